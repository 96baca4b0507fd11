#!/usr/bin/python3
"""aiortc as a WHIP publisher and a WHEP player: a client that we did not write.

aio.py whip URL TOKEN SECONDS     publishes a tone and moving colour bars, then DELETEs
aio.py whep URL TOKEN SECONDS     plays; prints {"video": frames, "audio": frames, "loud": bool, "hz": of the sound at the end} as JSON
Exit 0 when media flowed."""
import asyncio, collections, json, sys
import aiohttp, numpy
from aiortc import RTCPeerConnection
from aio_media import Bars, Tone, connected, delete, post


async def publish(http, url, token, seconds):
    pc = RTCPeerConnection()
    pc.addTransceiver(Tone(), direction="sendonly")
    pc.addTransceiver(Bars(), direction="sendonly")
    location = await post(http, pc, url, token)
    await connected(pc)
    print("publishing", flush=True)
    await asyncio.sleep(seconds)
    await delete(http, location, token)
    await pc.close()


def pitch(samples, rate=48000):
    """What is strongest in it, Hz."""
    power = numpy.abs(numpy.fft.rfft(samples * numpy.hanning(len(samples))))
    power[0] = 0
    return round(float(numpy.argmax(power)) * rate / len(samples))


async def play(http, url, token, seconds):
    pc, seen, tasks = RTCPeerConnection(), {"video": 0, "audio": 0, "loud": False}, []
    sound = collections.deque(maxlen=25)

    async def drain(track):
        while True:
            frame = await track.recv()
            seen[track.kind] += 1
            if track.kind == "audio":
                sound.append(frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0])
                seen["loud"] |= bool(numpy.abs(sound[-1]).max() > 500)

    pc.on("track", lambda t: tasks.append(asyncio.ensure_future(drain(t))))
    pc.addTransceiver("audio", direction="recvonly")
    pc.addTransceiver("video", direction="recvonly")
    location = await post(http, pc, url, token)
    await connected(pc)
    await asyncio.sleep(seconds)
    seen["hz"] = pitch(numpy.concatenate(sound)) if sound else 0
    print(json.dumps(seen), flush=True)
    await delete(http, location, token)
    for t in tasks:
        t.cancel()
    await pc.close()
    if seen["video"] < seconds * 3 or seen["audio"] < seconds * 20:
        raise SystemExit("too little media")


async def main():
    what, url, token, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
    async with aiohttp.ClientSession() as http:
        await (publish if what == "whip" else play)(http, url, token, seconds)

asyncio.run(main())
