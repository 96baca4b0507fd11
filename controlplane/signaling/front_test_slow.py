"""Time and load at the front: peers that drip or do not read, replies that come late or are held, a flood."""
import asyncio
import ssl
import time

from front_test_client import BASE, PORT, counts, raw, test, ws


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
    r, w = await raw(room=65536)  # so that the reply does not fit into the kernel
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
