"""Media and HTTP for the aiortc stories: a tone, moving bars, the WHIP/WHEP POST."""
import asyncio, fractions, math, ssl, time
import aiohttp, av, numpy
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

TLS = ssl.create_default_context()
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE


class Tone(MediaStreamTrack):
    kind = "audio"
    rate, samples = 48000, 960

    def __init__(self):
        super().__init__()
        self.at, self.start = 0, time.time()

    async def recv(self):
        await asyncio.sleep(max(0, self.start + self.at / self.rate - time.time()))
        t = (numpy.arange(self.samples) + self.at) / self.rate
        wave = (numpy.sin(2 * math.pi * 440 * t) * 12000).astype(numpy.int16)
        frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.at, fractions.Fraction(1, self.rate)
        self.at += self.samples
        return frame


class Bars(VideoStreamTrack):
    def __init__(self):
        super().__init__()
        self.n = 0

    async def recv(self):
        pts, base = await self.next_timestamp()
        x = (numpy.arange(320) + self.n * 3) % 256
        img = numpy.stack([numpy.tile(x, (180, 1)), numpy.full((180, 320), self.n % 256), numpy.tile(255 - x, (180, 1))], 2)
        frame = av.VideoFrame.from_ndarray(img.astype(numpy.uint8), format="rgb24")
        frame.pts, frame.time_base = pts, base
        self.n += 1
        return frame


async def post(http, pc, url, token):
    await pc.setLocalDescription(await pc.createOffer())
    async with http.post(url, data=pc.localDescription.sdp, ssl=TLS,
                         headers={"Content-Type": "application/sdp", "Authorization": "Bearer " + token}) as r:
        body = await r.text()
        if r.status != 201:
            raise SystemExit(f"POST {url}: {r.status} {body}")
        location = str(r.url.join(aiohttp.client.URL(r.headers["Location"])))
    await pc.setRemoteDescription(RTCSessionDescription(body, "answer"))
    return location


async def connected(pc, seconds=10):
    end = time.time() + seconds
    while pc.connectionState != "connected":
        if time.time() > end:
            raise SystemExit("not connected: " + pc.connectionState)
        await asyncio.sleep(0.05)


async def delete(http, location, token):
    async with http.delete(location, ssl=TLS, headers={"Authorization": "Bearer " + token}) as r:
        if r.status != 200:
            raise SystemExit(f"DELETE: {r.status}")


async def offer_text():
    """What a publisher of both would offer."""
    pc = RTCPeerConnection()
    pc.addTransceiver(Tone(), direction="sendonly")
    pc.addTransceiver(Bars(), direction="sendonly")
    await pc.setLocalDescription(await pc.createOffer())
    text = pc.localDescription.sdp
    await pc.close()
    return text
