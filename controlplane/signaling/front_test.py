#!/usr/bin/python3
"""The front against real clients, friendly and hostile: front_test.py SERVER

Runs in a network namespace of its own when it may make one. Tests that wait for deadlines run side by side."""
import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import aiohttp
import websockets

SERVER = os.path.abspath(sys.argv[1])
PORT, METRICS = 18443, 19464
BASE = f"https://localhost:{PORT}"
WS = f"wss://localhost:{PORT}/ws"
LISTED = "https://listed.example"
TLS = ssl.create_default_context()
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE
tests = []


def test(f):
    tests.append(f)
    return f


def ws(**kw):
    kw.setdefault("subprotocols", ["callstack.v1"])
    kw.setdefault("max_size", None)
    kw.setdefault("ping_interval", None)
    return websockets.connect(kw.pop("uri", WS), ssl=TLS, **kw)


async def raw(tls=True, port=PORT):
    return await asyncio.open_connection("127.0.0.1", port, ssl=TLS if tls else None)


async def ask(text, read=65536, wait=5):
    """One request as bytes; everything until the server closes, or what came within the time."""
    r, w = await raw()
    w.write(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode())
    got = b""
    try:
        while True:
            piece = await asyncio.wait_for(r.read(read), wait)
            if not piece:
                break
            got += piece
    except (asyncio.TimeoutError, ConnectionResetError, ssl.SSLError):
        pass
    w.close()
    return got.decode("latin1")


def status(text):
    return int(text.split(" ", 2)[1]) if text.startswith("HTTP/1.1 ") else 0


async def counts(s):
    async with s.get(BASE + "/api/v1/counts") as r:
        return await r.json()


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
async def websocket_basics(s):
    async with ws() as c:
        assert c.subprotocol == "callstack.v1"
        for text in ("hello", "", "\u00e9\u20ac\U0001f600", "x" * 262144):
            await c.send(text)
            assert await c.recv() == text
        await c.send(["frag", "men", "ted \u20ac"])
        assert await c.recv() == "fragmented \u20ac"
        await c.send("peer")
        assert await c.recv() == "127.0.0.1"
        for i in range(500):
            await c.send(str(i))
        for i in range(500):
            assert await c.recv() == str(i)
        await c.send("close")
        assert await c.recv() == "bye"
        try:
            await c.recv()
            raise AssertionError("not closed")
        except websockets.ConnectionClosed as e:
            assert (e.code, e.reason) == (4001, "as you wish"), e
    async with ws(subprotocols=["other", "callstack.v1"]) as c:
        assert c.subprotocol == "callstack.v1"


@test
async def websocket_refusals(s):
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
    base = f"GET /ws HTTP/1.1\nHost: localhost:{PORT}\nConnection: Upgrade\nUpgrade: websocket\n"
    proto = "Sec-WebSocket-Protocol: callstack.v1\n"
    v = "Sec-WebSocket-Version: 13\n"
    for text, want in ((base + key + v, 400),
                       (base + key + v + "Sec-WebSocket-Protocol: chat\n", 400),
                       (base + key + v + "Sec-WebSocket-Protocol: xcallstack.v1, callstack.v12\n", 400),
                       (base + v + proto, 400),
                       (base + key + proto, 426),
                       (base + key + proto + "Sec-WebSocket-Version: 8\n", 426),
                       (base.replace("/ws", "/api/v1/echo") + key + v + proto, 404),
                       (base.replace("GET /ws", "GET /ws/x") + key + v + proto, 404),
                       (base.replace("GET", "POST") + key + v + proto, 405),
                       (base + key + v + proto + "Origin: https://evil.example\n", 403),
                       (base + key + v + proto + "Origin: null\n", 403),
                       (base + key + v + proto + f"Origin: http://localhost:{PORT}\n", 403),
                       (base + key + v + proto + f"Origin: https://localhost:{PORT}.evil.example\n", 403),
                       (base + key + v + proto + f"Origin: https://localhost:{PORT}\n", 101),
                       (base + key + v + proto + f"Origin: {LISTED}\n", 101),
                       (base + key + v + proto, 101)):
        got = await ask(text + "\n", wait=1)
        assert status(got) == want, (text, want, got)
    got = await ask("GET /ws HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert status(got) == 404, got


async def expect_close(c, code):
    try:
        while True:
            await asyncio.wait_for(c.recv(), 8)
    except websockets.ConnectionClosed as e:
        got = e.rcvd.code if e.rcvd else None
        # Still sending too much when the server closes, a client may get the reset before it reads the close frame.
        assert got == code or (code == 1009 and got is None), (code, e)


@test
async def websocket_bad_frames(s):
    async with ws() as c:
        await c.send(b"binary")
        await expect_close(c, 1003)
    async with ws() as c:
        await c.send("x" * 262145)
        await expect_close(c, 1009)
    async with ws() as c:
        # Still sending when the server closes, a client may get the reset before it reads the close frame.
        try:
            await c.send("x" * 3_000_000)
            await asyncio.wait_for(c.recv(), 10)
            raise AssertionError("3 MB were taken")
        except websockets.ConnectionClosed as e:
            assert e.rcvd is None or e.rcvd.code == 1009, e.rcvd
    async with ws() as c:
        async def pieces():
            for _ in range(40):
                yield "y" * 10000
        try:
            await c.send(pieces())
            await expect_close(c, 1009)
        except websockets.ConnectionClosed as e:
            assert e.rcvd is None or e.rcvd.code == 1009, e.rcvd
    for bad in (b"\xff", b"ok \xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut \xe2\x82"):
        async with ws() as c:
            await c.write_frame(True, 1, bad)
            await expect_close(c, 1007)


@test
async def websocket_never_reads(s):
    """It gets megabytes and reads none: dropped, while another goes on."""
    before = (await counts(s))["overflowed"]
    r, w = await raw()
    w.write(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: callstack.v1\r\n\r\n")
    await r.readuntil(b"\r\n\r\n")
    w.transport.pause_reading()
    w.write(b"\x81\x85\0\0\0\0flood")
    slowest = 0
    async with ws() as c:
        for _ in range(300):
            t = time.monotonic()
            await c.send("alive?")
            await c.recv()
            slowest = max(slowest, time.monotonic() - t)
            await asyncio.sleep(0.005)
            if (await counts(s))["overflowed"] > before:
                break
        else:
            raise AssertionError("never dropped")
    assert slowest < 1, slowest
    w.close()


@test
async def websocket_silent_peer_is_dropped(s):
    """Answers no ping: gone after twice the interval (2 s here). One that answers stays."""
    async with ws() as good:
        r, w = await raw()
        w.write(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: callstack.v1\r\n\r\n")
        await r.readuntil(b"\r\n\r\n")
        t = time.monotonic()
        got = b""
        while True:
            try:
                piece = await asyncio.wait_for(r.read(100), 12)
            except (ConnectionResetError, ssl.SSLError):
                break
            if not piece:
                break
            got += piece
        took = time.monotonic() - t
        assert got[:1] == b"\x89" and 3 < took < 9, (got, took)
        w.close()
        await good.send("still here")
        assert await good.recv() == "still here"


@test
async def slow_tls(s):
    r, w = await raw(tls=False)
    t = time.monotonic()
    w.write(b"\x16\x03\x01")
    assert await asyncio.wait_for(r.read(10), 20) == b""
    assert 8 < time.monotonic() - t < 16
    w.close()


@test
async def slow_header(s):
    """A byte a second never resets the clock."""
    r, w = await raw()
    t = time.monotonic()
    w.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    try:
        for i in range(25):
            w.write(b"X")
            await asyncio.sleep(1)
            if r.at_eof() or w.transport.is_closing():
                break
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
        pass
    assert 8 < time.monotonic() - t < 16, time.monotonic() - t
    w.close()


@test
async def slow_body(s):
    r, w = await raw()
    t = time.monotonic()
    w.write(b"POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    got = b""
    for _ in range(25):
        w.write(b"b")
        try:
            got += await asyncio.wait_for(r.read(4096), 1)
        except asyncio.TimeoutError:
            continue
        break
    assert b"HTTP/1.1 408" in got and 12 < time.monotonic() - t < 21, (got, time.monotonic() - t)
    w.close()


@test
async def late_replies(s):
    async with s.get(BASE + "/api/v1/later") as r:
        j = await r.json()
        assert r.status == 409 and j == {"error": "late", "message": 'as "asked"'}, j
    # one that hangs up while its handler works: the handler is told, or its late reply goes nowhere
    before = (await counts(s))["gone"]
    for path in ("/api/v1/never", "/api/v1/later"):
        r, w = await raw()
        w.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0.2)
        w.close()
    await asyncio.sleep(3)
    assert (await counts(s))["gone"] == before + 1


@test
async def held_output(s):
    """What is held waits for its ticket, 200 ms at most, and what comes behind it waits too."""
    loop = asyncio.get_running_loop()

    async def timed(c, release=None):
        began = loop.time()
        if release:
            await asyncio.sleep(0.05)
            await release()
        got = [await c.recv(), await c.recv()]
        return got, loop.time() - began

    async with ws() as c, ws() as other:
        await c.send("hold 5")
        await c.send("next")
        got, took = await timed(c)
        assert got == ["hold 5", "next"] and 0.15 < took < 1, (got, took)
        await c.send("hold 5")
        await c.send("next")
        got, took = await timed(c, lambda: other.send("release 4"))  # another one's
        assert got == ["hold 5", "next"] and 0.15 < took < 1, (got, took)
        shortest = 1
        for _ in range(5):  # a busy machine may be late
            await c.send("hold 6")
            await c.send("next")
            got, took = await timed(c, lambda: other.send("release 6"))
            assert got == ["hold 6", "next"], got
            shortest = min(shortest, took)
            await other.send("release 0")
            await asyncio.sleep(0.1)
        assert 0.04 < shortest < 0.19, shortest
        began = loop.time()
        async with s.get(BASE + "/api/v1/held") as r:
            assert r.status == 200 and await r.json() == {}
        assert loop.time() - began > 0.15
        await c.send("hold 7")  # and goes while it is held
        gone = await raw()
        gone[1].write(b"GET /api/v1/held HTTP/1.1\r\nHost: x\r\n\r\n")
        await gone[1].drain()
        gone[1].close()


@test
async def slow_reader_of_a_reply(s):
    """Sends more while it takes nothing of an 8 MB reply: hung up soon, and the loop stays idle meanwhile."""
    r, w = await raw()
    w.transport.pause_reading()
    w.write(b"GET /api/v1/big HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.5)
    w.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(2.5)
    w.transport.resume_reading()
    got = 0
    try:
        while True:
            piece = await asyncio.wait_for(r.read(1 << 20), 3)
            if not piece:
                break
            got += len(piece)
    except (ConnectionResetError, ssl.SSLError):
        pass
    assert got < 8 << 20
    w.close()


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


async def many_connections(s):
    """More from one address than it may have: the surplus is refused, and all is well afterwards."""
    held = []
    refused = 0
    for _ in range(260):
        try:
            r, w = await asyncio.open_connection("127.0.0.1", PORT)
            held.append((r, w))
        except OSError:
            refused += 1
    await asyncio.sleep(0.5)
    for r, w in held:
        if r.at_eof() or r.exception():
            refused += 1
    assert refused >= 40, refused
    for _, w in held:
        w.close()
    await asyncio.sleep(0.5)
    async with s.get(BASE + "/") as r:
        assert r.status == 200


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")


def web_root(top):
    root = os.path.join(top, "web")
    os.makedirs(os.path.join(root, "assets"))
    os.makedirs(os.path.join(root, ".git"))
    for path, text in (("index.html", "<!doctype html><p>the page"), ("assets/index-4f3a2b1c.js", "1"),
                       ("assets/style-deadbeef.css", "p{}"), ("icon.svg", "<svg/>"), ("sound.wav", "RIFF"),
                       ("site.webmanifest", "{}"), (".hidden", "SECRET"), ("assets/.hidden", "SECRET"),
                       (".git/config", "SECRET"), ("../secret.txt", "SECRET"), ("large.bin", "l" * 3_000_000)):
        with open(os.path.join(root, path), "w") as f:
            f.write(text)
    os.symlink("../secret.txt", os.path.join(root, "link.txt"))
    os.symlink("..", os.path.join(root, "dirlink"))
    return root


async def run_all(server):
    failed = []

    async def one(f):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=TLS)) as s:
            try:
                await asyncio.wait_for(f(s), 60)
                print(f"ok   {f.__name__}", flush=True)
            except Exception as e:  # noqa: BLE001 - reported
                failed.append(f.__name__)
                print(f"FAIL {f.__name__}: {type(e).__name__}: {e}", flush=True)

    # the flood first and alone, as its reader slows this process too
    await one(websocket_never_reads)
    await asyncio.gather(*(one(f) for f in tests if f is not websocket_never_reads))
    await one(many_connections)
    await asyncio.sleep(1.2)
    before = cpu_seconds(server.pid)
    await asyncio.sleep(2)
    used = cpu_seconds(server.pid) - before
    if used > 0.2:
        failed.append("idle")
        print(f"FAIL idle: {used} s of CPU in 2 s with nothing to do")
    async with ws() as c, aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=TLS)) as s:
        j = await counts(s)
        if j["connections"] > 3:
            failed.append("connections left")
            print(f"FAIL connections left: {j}")
        server.send_signal(signal.SIGTERM)
        try:
            await expect_close(c, 1001)
            print("ok   goodbye", flush=True)
        except AssertionError as e:
            failed.append("goodbye")
            print(f"FAIL goodbye: {e}")
    return failed


def main():
    top = tempfile.mkdtemp(prefix="front_test_")
    log = open(os.path.join(top, "log"), "w+")
    server = subprocess.Popen([SERVER, top, web_root(top), str(PORT), str(METRICS), "*, " + LISTED],
                              stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout.readline() == "ready\n", "the server did not start"
        failed = asyncio.run(run_all(server))
        end = server.wait(20)
        if end:
            failed.append(f"exit status {end}: {server.stdout.read()}")
        log.seek(0)
        text = log.read()
        if failed or re.search("Sanitizer|runtime error", text):
            print(text[-6000:])
            print("failed:", failed)
            return 1
        return 0
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        shutil.rmtree(top)


if __name__ == "__main__":
    if os.geteuid() == 0 and "FRONT_TEST_NETNS" not in os.environ:
        os.environ["FRONT_TEST_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable] +
                  sys.argv)
    sys.exit(main())
