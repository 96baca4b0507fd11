"""The front's WebSocket: what is agreed and refused, frames good and bad, peers that do not read or answer."""
import asyncio
import ssl
import time

import websockets

from front_test_client import LISTED, PORT, ask, counts, expect_close, raw, status, test, ws


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
