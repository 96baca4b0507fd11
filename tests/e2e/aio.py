#!/usr/bin/python3
"""aiortc as a WHIP publisher and a WHEP player: a client that we did not write.

aio.py whip URL TOKEN SECONDS          publishes a tone and moving colour bars, then DELETEs
aio.py whep URL TOKEN SECONDS [audio]  plays all, or the sound alone; prints {"video": frames, "audio": frames, "loud": bool, "hz": of
                                       the sound at the end} as JSON
aio.py follow BASE TOKEN ROOM          plays a room without a name while its publishers come and go
Exit 0 when media flowed."""
import asyncio, collections, json, sys, time
import aiohttp, av, numpy
from aiortc import RTCPeerConnection, VideoStreamTrack
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


async def play(http, url, token, seconds, only=None):
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
    if only != "audio":
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
    if (only != "audio" and seen["video"] < seconds * 3) or seen["audio"] < seconds * 20:
        raise SystemExit("too little media")


class Seen:
    """What came of a player's tracks, by second parts: frames, and how light the picture's lower left corner is."""

    def __init__(self, pc):
        self.frames, self.light, self.tasks = {"audio": 0, "video": 0}, None, []
        pc.on("track", lambda t: self.tasks.append(asyncio.ensure_future(self.drain(t))))

    async def drain(self, track):
        while True:
            frame = await track.recv()
            self.frames[track.kind] += 1
            if track.kind == "video":
                self.light = int(frame.to_ndarray(format="gray")[-16:, :16].mean())

    async def flow(self, what, until, seconds=15):
        """Waits for a picture that is as it should be, and for both kinds to go on after it."""
        start = time.time()
        while not (self.light is not None and until(self.light)):
            if time.time() - start > seconds:
                raise SystemExit(f"{what}: not within {seconds} s; light is {self.light}, frames {self.frames}")
            await asyncio.sleep(0.02)
        took, before = time.time() - start, dict(self.frames)
        await asyncio.sleep(2)
        came = {k: self.frames[k] - before[k] for k in before}
        print(f"  ok   {what} after {took * 1000:.0f} ms; then in 2 s {came}", flush=True)
        if came["audio"] < 40 or came["video"] < 6 or not until(self.light):
            raise SystemExit(f"{what}: it does not go on: {came}, light is {self.light}")


class Light(VideoStreamTrack):
    def __init__(self, light):
        super().__init__()
        self.light = light

    async def recv(self):
        pts, base = await self.next_timestamp()
        frame = av.VideoFrame.from_ndarray(numpy.full((180, 320, 3), self.light, numpy.uint8), format="rgb24")
        frame.pts, frame.time_base = pts, base
        return frame


async def publisher(http, base, token, room, light):
    pc = RTCPeerConnection()
    pc.addTransceiver(Tone(), direction="sendonly")
    pc.addTransceiver(Light(light), direction="sendonly")
    location = await post(http, pc, f"{base}/whip/{room}?name=light{light}", token)
    await connected(pc)
    return pc, location


async def ssrcs(pc):
    stats = (await pc.getStats()).values()
    return sorted(s.ssrc for s in stats if s.type == "inbound-rtp" and s.packetsReceived)


async def follow(http, base, token, room):
    """Two m-lines, and more publishers than that: when the one that plays leaves, another one is there, in the same streams."""
    pc = RTCPeerConnection()
    seen = Seen(pc)
    pc.addTransceiver("audio", direction="recvonly")
    pc.addTransceiver("video", direction="recvonly")
    location = await post(http, pc, f"{base}/whep/{room}", token)  # of a room where nobody is yet
    await connected(pc)
    one = await publisher(http, base, token, room, 40)
    await seen.flow("the first publisher", lambda light: light < 90)
    first = await ssrcs(pc)
    two = await publisher(http, base, token, room, 220)
    await asyncio.sleep(2)
    if seen.light > 90:
        raise SystemExit("a newcomer who is no louder took the place")
    for gone, there, what, right in ((one, two, "the second one, as the first left", lambda light: light > 170),
                                     (two, None, "a third one, as nobody was left", lambda light: 90 < light < 170)):
        await delete(http, gone[1], token)
        await gone[0].close()
        if not there:
            await asyncio.sleep(2)
            there = await publisher(http, base, token, room, 130)
        await seen.flow(what, right)
    last = await ssrcs(pc)
    print(f"  SSRCs {first}, then {last}", flush=True)
    if first != last or len(first) != 2:
        raise SystemExit("other streams than at first")
    await delete(http, location, token)
    await delete(http, there[1], token)
    for t in seen.tasks:
        t.cancel()
    await there[0].close()
    await pc.close()


async def main():
    if sys.argv[1] == "follow":
        async with aiohttp.ClientSession() as http:
            await follow(http, *sys.argv[2:5])
        return
    what, url, token, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
    async with aiohttp.ClientSession() as http:
        await (publish if what == "whip" else play)(http, url, token, seconds, *sys.argv[5:])

asyncio.run(main())
