"""How the tests of the front (front_test.py) reach it: front_test_server on ports of this namespace."""
import asyncio
import socket
import ssl

import websockets

PORT, METRICS = 18443, 19464
BASE = f"https://localhost:{PORT}"
WS = f"wss://localhost:{PORT}/ws"
LISTED = "https://listed.example"
TLS = ssl.create_default_context()
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE
tests = []


def test(f):
    """Registers it: it is given an aiohttp session, and runs beside the others."""
    tests.append(f)
    return f


def ws(**kw):
    kw.setdefault("subprotocols", ["callstack.v1"])
    kw.setdefault("max_size", None)
    kw.setdefault("ping_interval", None)
    return websockets.connect(kw.pop("uri", WS), ssl=TLS, **kw)


async def raw(tls=True, port=PORT, room=None):
    """room: bytes that the kernel keeps for it; else it grows to many MB."""
    s = socket.socket()
    s.setblocking(False)
    if room:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    await asyncio.get_running_loop().sock_connect(s, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=s, ssl=TLS if tls else None, server_hostname="" if tls else None)


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


async def expect_close(c, code):
    try:
        while True:
            await asyncio.wait_for(c.recv(), 8)
    except websockets.ConnectionClosed as e:
        got = e.rcvd.code if e.rcvd else None
        # Still sending too much when the server closes, a client may get the reset before it reads the close frame.
        assert got == code or (code == 1009 and got is None), (code, e)
