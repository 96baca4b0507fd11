"""aiortc against the negotiator, both ways. With a second argument, writes what it said as fixtures into that folder.
   /usr/bin/python3 sdp_aiortc.py BUILD/controlplane/nego/nego_peer [FOLDER]"""
import asyncio
import json
import subprocess
import sys

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack


class Negotiator:
    def __init__(self):
        self.p = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **req):
        self.p.stdin.write(json.dumps(req) + "\n")
        self.p.stdin.flush()
        reply = json.loads(self.p.stdout.readline())
        assert reply["rc"] == 0, reply
        return reply


def fixture(name, sdp):
    if len(sys.argv) > 2:
        with open(f"{sys.argv[2]}/aiortc_{name}.sdp", "w", newline="") as f:
            f.write(sdp)


async def offer(pc, n, op, name=None):
    await pc.setLocalDescription(await pc.createOffer())
    if name:
        fixture(name, pc.localDescription.sdp)
    a = n.ask(op=op, sdp=pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(a["sdp"], "answer"))
    return a


async def answer(pc, n, name=None, **req):
    o = n.ask(**req)
    await pc.setRemoteDescription(RTCSessionDescription(o["sdp"], "offer"))
    await pc.setLocalDescription(await pc.createAnswer())
    if name:
        fixture(name, pc.localDescription.sdp)
    return n.ask(op="answer", sdp=pc.localDescription.sdp)


async def main():
    pcs = [RTCPeerConnection() for _ in range(4)]
    n = Negotiator()
    pcs[0].addTrack(AudioStreamTrack())
    pcs[0].addTrack(VideoStreamTrack())
    await offer(pcs[0], n, "publish", "av")
    assert [t.currentDirection for t in pcs[0].getTransceivers()] == ["sendonly", "sendonly"]
    a = await offer(pcs[0], n, "publish")
    assert not a["restarted"]
    pcs[1].addTransceiver("audio", direction="recvonly")
    pcs[1].addTransceiver("video", direction="recvonly")
    await offer(pcs[1], n, "play", "recvonly")
    assert [t.currentDirection for t in pcs[1].getTransceivers()] == ["recvonly", "recvonly"]
    a = await answer(pcs[2], n, op="subscribe", add=2)
    assert [m["dir"] for m in a["media"]] == [1, 1] and a["setup"] == 2
    await answer(pcs[2], n, op="subscribe", add=2)
    a = await answer(pcs[2], n, op="remove", index=1)
    assert [m["dir"] for m in a["media"]] == [1, 0, 1, 1]
    pcs[3].addTrack(AudioStreamTrack())
    pcs[3].createDataChannel("x")
    a = await offer(pcs[3], Negotiator(), "publish", "datachannel")
    assert [m["rejected"] for m in a["media"]] == [False, True]
    for pc in pcs:
        await pc.close()
    print("ok")


asyncio.run(main())
