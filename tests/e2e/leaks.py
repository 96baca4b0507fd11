#!/usr/bin/python3
"""leaks.py BASE TOKEN ROUNDS: joins, publishes, subscribes and leaves, ROUNDS times, a tenth of them with real media.

Somebody stays in the room all the while, so that every join also makes and ends subscriptions on its side."""
import asyncio, json, os, sys
import aiohttp, websockets
from aiortc import RTCPeerConnection, RTCSessionDescription
from aio_media import TLS, Tone, connected, delete, offer_text, post

BASE, TOKEN, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
WS = BASE.replace("https", "wss") + "/ws"


class Client:
    async def open(self, room):
        self.ws = await websockets.connect(WS, subprotocols=["callstack.v1"], ssl=TLS, max_size=None)
        self.n, self.offers = 0, []
        await self.ask("login", token=TOKEN)
        return await self.ask("join", room=room)

    async def ask(self, type, **fields):
        self.n += 1
        await self.ws.send(json.dumps({"id": self.n, "type": type, **fields}))
        while True:
            f = json.loads(await self.ws.recv())
            if f.get("re") == self.n:
                if f["type"] != "ok":
                    raise SystemExit(f"{type}: {f}")
                return f
            if f["type"] == "offer":
                self.offers.append(f)

    async def close(self):
        await self.ask("logout")
        await self.ws.close()


async def answerer(client, stop):
    """The one who stays: answers each offer."""
    pc = RTCPeerConnection()
    while not stop.is_set():
        try:
            f = client.offers.pop(0) if client.offers else json.loads(await asyncio.wait_for(client.ws.recv(), 0.2))
        except asyncio.TimeoutError:
            continue
        if f.get("type") != "offer":
            continue
        await pc.setRemoteDescription(RTCSessionDescription(f["sdp"], "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        client.n += 1
        await client.ws.send(json.dumps({"id": client.n, "type": "answer", "rev": f["rev"], "sdp": pc.localDescription.sdp}))
    await pc.close()


async def one(i, offer):
    c = Client()
    await c.open("leaky")
    mids = [l[6:] for l in offer.splitlines() if l.startswith("a=mid:")]
    await c.ask("publish", sdp=offer, tracks=[{"mid": mids[0], "source": "microphone"}, {"mid": mids[1], "source": "camera"}])
    if i % 3 == 0:
        await c.ask("leave")
    if i % 3 == 1:
        await c.ws.close()  # without a word: the session's time runs out
    else:
        await c.close()


async def with_media(http):
    pc = RTCPeerConnection()
    pc.addTransceiver(Tone(), direction="sendonly")
    location = await post(http, pc, BASE + "/whip/leaky", TOKEN)
    await connected(pc)
    await asyncio.sleep(0.2)
    await delete(http, location, TOKEN)
    await pc.close()


async def main():
    stop = asyncio.Event()
    stay = Client()
    await stay.open("leaky")
    task = asyncio.ensure_future(answerer(stay, stop))
    offer = await offer_text()
    at_once = asyncio.Semaphore(6)
    async with aiohttp.ClientSession() as http:
        async def round(i):
            async with at_once:
                await (with_media(http) if i % 10 == 0 else one(i, offer))
        await asyncio.gather(*(round(i) for i in range(ROUNDS)))
    stop.set()
    await task
    await stay.close()

try:
    asyncio.run(asyncio.wait_for(main(), 280))
except BaseException as e:  # SystemExit of one round too: the others must not keep us
    print(f"leaks: {type(e).__name__}: {e}", flush=True)
    os._exit(1)
