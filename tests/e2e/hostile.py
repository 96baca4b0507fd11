#!/usr/bin/python3
"""Hostile input against running daemons, while others talk: hostile.py BASE TOKEN ADDRESS PORT

Each attack must show up under its own name (a drop reason, an error, a closed connection) and harm nobody: a WHIP
publisher of ours that plays by the rules goes on all the while, and a player of it loses nothing.
CTL is the command that prints drop reasons as JSON."""
import asyncio, json, os, socket, ssl, struct, subprocess, sys, time
import aiohttp, websockets
from aiortc import RTCPeerConnection
import aio_media as aio

BASE, TOKEN, ADDRESS, PORT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
CTL = os.environ["CTL"].split()
failures = []


def check(ok, what):
    print(("  ok   " if ok else "  FAIL ") + what, flush=True)
    if not ok:
        failures.append(what)


def drops():
    out = json.loads(subprocess.run(CTL + ["--json", "drop-reasons"], check=True, capture_output=True).stdout)
    return {d["reason"]: d["packets"] for d in out["drop_reasons"]}


def expect(before, reason, at_least, what):
    got = 0
    for _ in range(20):
        got = drops().get(reason, 0) - before.get(reason, 0)
        if got >= at_least:
            break
        time.sleep(0.1)
    check(got >= at_least, f"{what}: {reason} +{got}")


def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((ADDRESS, PORT))
    s.setblocking(False)
    return s


def answers(s):
    time.sleep(0.3)
    n = 0
    while True:
        try:
            s.recv(2048)
            n += 1
        except BlockingIOError:
            return n


def stun_request(username, integrity=b"\0" * 20):
    def attr(kind, value):
        return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)
    body = attr(0x0006, username) + attr(0x0024, struct.pack("!I", 1845501695)) + attr(0x802A, os.urandom(8)) + attr(0x0008, integrity)
    return struct.pack("!HHI", 0x0001, len(body), 0x2112A442) + os.urandom(12) + body


CLIENT_HELLO = bytes.fromhex("16fefd0000000000000000003a010000" "2e000000000000002efefd") + os.urandom(32) + bytes.fromhex("00000002c02b0100")


def from_nobody():
    before = drops()
    s = udp()
    for _ in range(20):
        s.send(CLIENT_HELLO)
    expect(before, "unknown_source", 20, "DTLS ClientHello from an unvalidated address")
    check(answers(s) == 0, "and it is not answered")
    before = drops()
    for _ in range(20):
        s.send(b"\x80\x6f" + os.urandom(60))
        s.send(b"\x80\xc8\x00\x06" + os.urandom(60))
    expect(before, "unknown_source", 40, "RTP and RTCP from an unvalidated address")
    before = drops()
    for _ in range(20):
        s.send(stun_request(b"nobody:here"))
    expect(before, "stun_ufrag", 20, "STUN with a wrong ufrag")
    check(answers(s) <= 20, "answered at most once each")
    before = drops()
    good = stun_request(b"nobody:here")
    for n in range(1, len(good)):
        s.send(good[:n])
        if n % 8 == 0:
            time.sleep(0.05)
    expect(before, "stun_malformed", 30, "STUN cut off at every length")
    before = drops()
    for first in list(range(4, 20)) + list(range(192, 256)):
        s.send(bytes([first]) + os.urandom(30))
        time.sleep(0.02)
    expect(before, "first_byte", 40, "first bytes of no protocol")
    s.close()
    flood = udp()
    for i in range(20000):
        try:
            flood.send(stun_request(b"flood:er"))
        except BlockingIOError:
            pass
    flood.close()
    check(True, "20,000 STUN requests in one go")


async def from_a_peer(http):
    """A publisher with valid keys that sends what it should not."""
    pc = RTCPeerConnection()
    pc.addTransceiver(aio.Tone(), direction="sendonly")
    await aio.post(http, pc, BASE + "/whip/hostile", TOKEN)
    await aio.connected(pc)
    ice = pc.getTransceivers()[0].sender.transport.transport._connection
    dtls = pc.getTransceivers()[0].sender.transport
    sent = []
    send = dtls.transport._send

    async def tap(data):
        sent.append(data)
        await send(data)
    dtls.transport._send = tap
    for _ in range(100):
        await asyncio.sleep(0.1)
        if len(sent) > 80:
            break
    dtls.transport._send = send
    media = [d for d in sent if len(d) > 12 and 128 <= d[0] <= 191 and not 192 <= d[1] <= 223]
    reports = [d for d in sent if len(d) > 12 and 192 <= d[1] <= 223]
    check(len(media) > 50, f"recorded {len(media)} of its own packets")
    before = drops()
    for d in media[-50:]:
        await ice.send(d)
    expect(before, "srtp_replay", 50, "replayed SRTP")
    if reports:
        before = drops()
        await ice.send(reports[-1])
        expect(before, "srtp_replay", 1, "replayed SRTCP")
    before = drops()
    for d in media[-50:]:
        seq = struct.unpack("!H", d[2:4])[0]
        await ice.send(d[:2] + struct.pack("!H", (seq + 200) & 65535) + d[4:])
    expect(before, "srtp_auth", 50, "SRTP with a wrong tag")
    before = drops()
    for _ in range(30):
        await ice.send(b"\x80\xc8\x00\x06" + os.urandom(60))
    expect(before, "srtp_auth", 30, "SRTCP with a wrong tag")
    before = drops()
    for n in range(1, min(60, len(media[-1]))):
        await ice.send(media[-1][:n])
    await asyncio.sleep(0.5)
    now = drops()
    check(sum(now.values()) - sum(before.values()) >= 59, f"SRTP cut off at every length: {sum(now.values()) - sum(before.values())} drops")
    for n in (1, 12, 13, 14, 40):
        await ice.send((b"\x16\xfe\xfd" + os.urandom(80))[:n])
    await ice.send(b"\x15\xfe\xfd" + b"\0" * 8 + b"\0\x02\x02\x28")  # a forged fatal alert
    await asyncio.sleep(1)
    before_bytes = len(sent)
    dtls.transport._send = tap
    await asyncio.sleep(1)
    check(len(sent) > before_bytes and pc.connectionState == "connected", "garbage DTLS and a forged alert do not reset the association")
    await pc.close()


def tls():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    return ctx


async def signaling():
    url = BASE.replace("https", "wss") + "/ws"

    async def socket_in():
        ws = await websockets.connect(url, subprotocols=["callstack.v1"], ssl=tls(), max_size=None)
        await ws.send(json.dumps({"id": 1, "type": "login", "token": TOKEN}))
        reply = json.loads(await ws.recv())
        assert reply["type"] == "ok", reply
        return ws

    async def closes(text, what):
        ws = await websockets.connect(url, subprotocols=["callstack.v1"], ssl=tls(), max_size=None)
        try:
            await ws.send(text)
            reply = await asyncio.wait_for(ws.recv(), 5)
            check(json.loads(reply).get("type") == "error", f"{what}: {reply[:80]}")
        except websockets.ConnectionClosed as e:
            check(e.code in (1003, 1007, 1008, 1009), f"{what}: closed {e.code}")

    await closes("[" * 100000, "JSON bomb of brackets")
    await closes('{"a":' * 5000 + "1" + "}" * 5000, "JSON bomb of objects")
    await closes('{"id":1,"type":"login","token":"x"', "JSON cut off")
    await closes('{"id":1,"type":"login","user":"u","user":"v","password":"p"}', "duplicate keys")
    await closes('{"id":1,"type":"join","room":"r"}', "join without login")
    await closes('{"id":1,"type":"ping","x":1}', "unknown key")
    await closes(b"\x00\x01", "binary frame")
    await closes("x" * (1 << 20), "1 MiB of x")
    ws = await socket_in()
    for n, (req, what) in enumerate([
        ({"type": "join", "room": "../../etc"}, "room name with slashes"),
        ({"type": "publish", "sdp": "v=0"}, "publish outside a room"),
        ({"type": "join", "room": 7}, "wrong type"),
        ({"type": "accept", "call": "nope"}, "unknown call"),
        ({"type": "call", "to": "nobody", "media": "audio"}, "calling nobody"),
    ]):
        await ws.send(json.dumps({"id": n + 10, **req}))
        reply = json.loads(await ws.recv())
        check(reply.get("re") == n + 10 and (reply["type"] == "error" or what == "calling nobody"), f"{what}: {reply.get('code', reply['type'])}")
    await ws.close()
    ws = await socket_in()
    await ws.send(json.dumps({"id": 2, "type": "join", "room": "hostile2"}))
    while json.loads(await ws.recv()).get("re") != 2:
        pass
    for n, sdp in enumerate(["", "v=0\r\n", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 500, "a=x\r\n" * 40000, "v=0\r\n" + "\0" * 10]):
        await ws.send(json.dumps({"id": 20 + n, "type": "publish", "sdp": sdp}))
        try:
            reply = json.loads(await asyncio.wait_for(ws.recv(), 5))
            check(reply["type"] == "error", f"SDP of {len(sdp)} bytes: {reply['code']}: {reply['message'][:60]}")
        except websockets.ConnectionClosed as e:
            check(e.code in (1007, 1009), f"SDP of {len(sdp)} bytes: closed {e.code}")
            break
    await ws.close()
    # Reads nothing while a room talks to it.
    reader, writer = await asyncio.open_connection(ADDRESS, int(BASE.rsplit(":", 1)[1]), ssl=tls(), limit=1024)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: callstack.v1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    mask = b"\1\2\3\4"

    def frame(obj):
        data = json.dumps(obj).encode()
        head = b"\x81" + (bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data)))
        return head + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(data))
    writer.write(frame({"id": 1, "type": "login", "token": TOKEN}) + frame({"id": 2, "type": "join", "room": "loud"}))
    await writer.drain()
    reader._transport.pause_reading()
    ws = await socket_in()
    await ws.send(json.dumps({"id": 2, "type": "join", "room": "loud"}))
    text = "x" * 4000
    for n in range(600):
        await ws.send(json.dumps({"id": 100 + n, "type": "chat", "text": text}))
        if n % 20 == 0:
            await asyncio.sleep(0.4)  # under the request limit
    got = 0
    try:
        while True:
            got += json.loads(await asyncio.wait_for(ws.recv(), 2))["type"] == "chat"
    except asyncio.TimeoutError:
        pass
    check(got > 500, f"the other one in the room heard {got} chats beside a client that never reads")
    await ws.close()
    writer.close()


async def http_attacks(http):
    head = {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/sdp"}
    async with http.post(BASE + "/whip/r1", data=b"x" * (1 << 20), headers=head, ssl=aio.TLS) as r:
        check(r.status == 413, f"SDP of 1 MB by WHIP: {r.status}")
    async with http.post(BASE + "/whip/r1", data=b"v=0\r\n", headers={**head, "Content-Type": "text/plain"}, ssl=aio.TLS) as r:
        check(r.status == 415, f"WHIP of text/plain: {r.status}")
    async with http.post(BASE + "/whip/r1", data=b"v=0\r\n", headers={**head, "Authorization": "Bearer " + TOKEN[:-4] + "AAAA"}, ssl=aio.TLS) as r:
        check(r.status == 401, f"token with a wrong signature: {r.status}")
    path = aiohttp.client.URL(BASE + "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", encoded=True)
    async with http.get(path, ssl=aio.TLS) as r:
        check("root:" not in await r.text(), f"path traversal: {r.status}")


async def main():
    async with aiohttp.ClientSession() as http:
        good = RTCPeerConnection()
        good.addTransceiver(aio.Tone(), direction="sendonly")
        good.addTransceiver(aio.Bars(), direction="sendonly")
        location = await aio.post(http, good, BASE + "/whip/calm?name=good", TOKEN)
        await aio.connected(good)
        player = RTCPeerConnection()
        player.addTransceiver("audio", direction="recvonly")
        await aio.post(http, player, BASE + "/whep/calm/good", TOKEN)
        await aio.connected(player)
        await asyncio.sleep(2)

        async def received():
            """What the player got and missed, and what was sent to it: this machine may be slow, but lossless."""
            sent = sum(s.packetsSent for s in (await good.getStats()).values() if s.type == "outbound-rtp" and s.kind == "audio")
            for s in (await player.getStats()).values():
                if s.type == "inbound-rtp":
                    return s.packetsReceived, s.packetsLost, sent
            return 0, 0, sent
        start, _, sent_before = await received()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, from_nobody)
        await from_a_peer(http)
        await signaling()
        await http_attacks(http)
        got, lost, sent = await received()
        check(got - start > (sent - sent_before) * 0.98 and lost == 0,
              f"meanwhile the calm room's player got {got - start} audio packets of {sent - sent_before} sent, lost {lost}")
        await aio.delete(http, location, TOKEN)
        await good.close()
        await player.close()
    async with aiohttp.ClientSession() as http, http.get(BASE + "/healthz", ssl=aio.TLS) as r:
        check(r.status == 200, f"healthz after all that: {r.status}")

asyncio.run(main())
sys.exit(1 if failures else 0)
