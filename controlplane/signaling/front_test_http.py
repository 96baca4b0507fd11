"""The front's HTTPS: TLS, the client's files, requests and bodies good and bad, CORS, the metrics' own listener."""
import asyncio
import socket
import ssl
import subprocess

import aiohttp

from front_test_client import BASE, METRICS, PORT, TLS, ask, status, test


@test
async def tls_versions(s):
    def handshake(lo, hi, ciphers=None):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
        c.minimum_version, c.maximum_version = lo, hi
        c.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", PORT)) as k, c.wrap_socket(k) as t:
            return t.version(), t.cipher()[0]

    v = ssl.TLSVersion
    run = asyncio.get_running_loop().run_in_executor
    assert (await run(None, handshake, v.TLSv1_3, v.TLSv1_3))[0] == "TLSv1.3"
    got = await run(None, handshake, v.TLSv1_2, v.TLSv1_2)
    assert got[0] == "TLSv1.2" and got[1].startswith("ECDHE-"), got
    for bad in ((v.TLSv1, v.TLSv1_1), (v.TLSv1_2, v.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")):
        try:
            await run(None, handshake, *bad)
            raise AssertionError(f"{bad} was accepted")
        except ssl.SSLError:
            pass


@test
async def certificate(s):
    pem = ssl.get_server_certificate(("127.0.0.1", PORT))
    text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem, capture_output=True, text=True).stdout
    for want in ("DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1", "prime256v1",
                 "DNS:" + socket.gethostname()):
        assert want in text, want


@test
async def static_files(s):
    async with s.get(BASE + "/") as r:
        page = await r.text()
        assert r.status == 200 and "the page" in page
        assert r.headers["content-type"].startswith("text/html")
        csp = r.headers["content-security-policy"]
        assert "default-src 'self'" in csp and f"wss://localhost:{PORT}" in csp and "unsafe" not in csp
        assert r.headers["x-content-type-options"] == "nosniff"
        assert r.headers["referrer-policy"] == "no-referrer"
        assert "camera=(self)" in r.headers["permissions-policy"]
        assert "display-capture=(self)" in r.headers["permissions-policy"]
        assert "strict-transport-security" not in r.headers
        assert r.headers["cache-control"] == "no-cache"
        etag = r.headers["etag"]
    async with s.get(BASE + "/", headers={"if-none-match": etag}) as r:
        assert r.status == 304 and not await r.read()
        assert r.headers["content-security-policy"] == csp  # a browser's cache takes it over
    async with s.get(BASE + "/api/v1/echo") as r:
        assert "default-src 'none'" in r.headers["content-security-policy"]
    for path, kind in (("/assets/index-4f3a2b1c.js", "text/javascript"), ("/icon.svg", "image/svg+xml"),
                       ("/assets/style-deadbeef.css", "text/css"), ("/sound.wav", "audio/wav"),
                       ("/site.webmanifest", "application/manifest+json")):
        async with s.get(BASE + path) as r:
            assert r.status == 200 and r.headers["content-type"].startswith(kind), path
            assert ("immutable" in r.headers["cache-control"]) == path.startswith("/assets/"), path
    async with s.head(BASE + "/") as r:
        assert r.status == 200 and int(r.headers["content-length"]) == len(page) and not await r.read()
    async with s.get(BASE + "/rooms/some-room") as r:
        assert r.status == 200 and await r.text() == page
    for path in ("/assets/gone-12345678.js", "/nothing.png", "/api/v1/nothing", "/whep", "/ws", "/.hidden"):
        async with s.get(BASE + path) as r:
            assert (r.status == 404) or path == "/.hidden", (path, r.status)
            assert "secret" not in await r.text()
    async with s.post(BASE + "/", data="x") as r:
        assert r.status == 405 and "GET" in r.headers["allow"]
    async with s.get(BASE + "/large.bin") as r:
        assert len(await r.read()) == 3_000_000


@test
async def path_traversal(s):
    for path in ("/../secret.txt", "/../../../../../../etc/passwd", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
                 "/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/assets/../../secret.txt", "/assets/..%5c..%5csecret.txt",
                 "/....//secret.txt", "//etc/passwd", "/link.txt", "/dirlink/secret.txt", "/%252e%252e/secret.txt",
                 "/.git/config", "/assets/.hidden", "/index.html%00.txt", "/\\..\\secret.txt", "/./../secret.txt"):
        got = await ask(f"GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n")
        assert "SECRET" not in got and "root:" not in got, (path, got)
        if path.endswith(".txt") or "hidden" in path:
            assert status(got) in (0, 400, 403, 404), (path, got)


@test
async def requests(s):
    async with s.post(BASE + "/api/v1/echo?q=a%26b+c%3D%C3%A9&r=1", data="x" * 1000,
                      headers={"authorization": "bearer abc.def", "content-type": "Application/SDP; charset=x",
                               "if-match": '"7"'}) as r:
        j = await r.json()
        assert r.status == 200 and r.headers["cache-control"] == "no-store"
        assert (j["q"], j["bearer"], j["content_type"], j["if_match"], j["len"], j["peer"]) == \
            ("a&b c=\u00e9", "abc.def", "application/sdp", '"7"', 1000, "127.0.0.1"), j
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        async with s.request(method, BASE + "/api/v1/echo/x%20y") as r:
            j = await r.json()
            assert r.status == 200 and j["path"] == "/api/v1/echo/x y" and j["q"] is None, j
    async with s.request("DELETE", BASE + "/api/v1/echo", data="body") as r:
        assert (await r.json())["len"] == 4
    async with s.get(BASE + "/api/v1/echoes") as r:
        assert r.status == 404
    async with s.get(BASE + "/api/v1/bad-header") as r:
        assert r.status == 500 and "set-cookie" not in r.headers
    # keep-alive: many on one connection
    one = aiohttp.TCPConnector(ssl=TLS, limit=1)
    async with aiohttp.ClientSession(connector=one) as s1:
        for i in range(50):
            async with s1.post(BASE + "/api/v1/echo", data="y" * i) as r:
                assert (await r.json())["len"] == i
    async with s.get(BASE + "/api/v1/big") as r:
        assert len(await r.read()) == 8 << 20


@test
async def bodies(s):
    async with s.post(BASE + "/api/v1/echo", data=b"z" * 262144) as r:
        assert r.status == 200 and (await r.json())["len"] == 262144
    for size in (262145, 1_000_000, 5_000_000):
        async with s.post(BASE + "/api/v1/echo", data=b"z" * size) as r:
            assert r.status == 413 and (await r.json())["error"] == "too_large", size
    got = await ask("POST /api/v1/echo HTTP/1.1\nHost: x\nContent-Length: 99999999999\n\n", wait=6)
    assert status(got) == 413, got
    got = await ask("POST /api/v1/echo HTTP/1.1\nHost: x\nContent-Length: 300000\nExpect: 100-continue\n\n", wait=6)
    assert status(got) == 413, got
    got = await ask("POST /api/v1/echo HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 3\n"
                    "Expect: 100-continue\n\nabc")
    assert "100 Continue" in got and "200 OK" in got, got
    got = await ask("POST /api/v1/echo HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", wait=6)
    assert status(got) == 411, got
    for bad in ("-1", "1x", "0x10", "18446744073709551617"):
        got = await ask(f"POST /api/v1/echo HTTP/1.1\nHost: x\nContent-Length: {bad}\nConnection: close\n\nabc", wait=6)
        assert status(got) in (400, 413), (bad, got)
    got = await ask("POST /api/v1/echo HTTP/1.1\nHost: x\nContent-Length: 0\nConnection: close\n\n")
    assert status(got) == 200 and '"len": 0' in got, got


@test
async def malformed(s):
    for text in ("BREW / HTTP/1.1\nHost: x\n\n", "\x00\x01\x02\x03\n\n", "GET\n\n", "CONNECT a:1 HTTP/1.1\nHost: x\n\n",
                 "GET / HTTP/1.1\nHost: x\nUpgrade: h2c\nConnection: Upgrade\n\n",
                 "GET /" + "a" * 20000 + " HTTP/1.1\nHost: x\n\n", "GET /%zz HTTP/1.1\nHost: x\n\n",
                 "GET /" + "a" * 2000 + " HTTP/1.1\nHost: x\nConnection: close\n\n",
                 "GET / HTTP/1.1\nHost: x\nX: " + "b" * 100000 + "\n\n",
                 "GET /%ff%fe HTTP/1.1\nHost: x\nConnection: close\n\n"):
        got = await ask(text, wait=2)
        assert status(got) == 0 or status(got) >= 400, (text[:40], got)
    async with s.get(BASE + "/") as r:
        assert r.status == 200


@test
async def cors(s):
    pre = {"origin": "https://other.example", "access-control-request-method": "POST",
           "access-control-request-headers": "authorization,content-type"}
    async with s.options(BASE + "/whip/room", headers=pre) as r:
        h = r.headers
        assert r.status == 204 and h["accept-post"] == "application/sdp"
        assert h["access-control-allow-origin"] == "*"
        for m in ("POST", "PATCH", "DELETE"):
            assert m in h["access-control-allow-methods"]
        assert "Authorization" in h["access-control-allow-headers"] and "If-Match" in h["access-control-allow-headers"]
    async with s.options(BASE + "/whep/none", headers=pre) as r:  # even where there is nothing
        assert r.status == 204 and r.headers["access-control-allow-origin"] == "*"
    async with s.post(BASE + "/whip/room", data="v=0", headers={"origin": "https://other.example",
                                                               "content-type": "application/sdp"}) as r:
        assert r.status == 201 and r.headers["location"] == "/whip/r/1" and await r.text() == "v=0"
        assert "Location" in r.headers["access-control-expose-headers"]
    for m, want in (("PATCH", 204), ("DELETE", 200)):
        async with s.request(m, BASE + "/whip/r/1") as r:
            assert r.status == want
    async with s.get(BASE + "/", headers={"origin": "https://other.example"}) as r:
        assert "access-control-allow-origin" not in r.headers


@test
async def metrics_listener(s):
    async with s.get(f"http://127.0.0.1:{METRICS}/metrics") as r:
        assert r.status == 200 and "opened" in await r.text()
    for path in ("/", "/api/v1/echo", "/whip/x"):
        async with s.get(f"http://127.0.0.1:{METRICS}{path}") as r:
            assert r.status == 404, path
    async with s.get(BASE + "/metrics") as r:  # not outside
        assert "opened" not in await r.text()
    # loopback only
    k = socket.socket(socket.AF_INET6)
    assert k.connect_ex(("::1", METRICS)) != 0
    k.close()
    k = socket.socket(socket.AF_INET6)
    assert k.connect_ex(("::1", PORT)) == 0
    k.close()
