"""GStreamer's webrtcbin against the negotiator, both ways. With a second argument, writes fixtures into that folder.
   /usr/bin/python3 sdp_gstreamer.py BUILD/controlplane/nego/nego_peer [FOLDER]
   (python3-gi, gir1.2-gst-plugins-bad-1.0, gstreamer1.0-nice, gstreamer1.0-plugins-good, -bad)"""
import json
import re
import subprocess
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

Gst.init(None)
peer = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
OFFER, ANSWER = GstWebRTC.WebRTCSDPType.OFFER, GstWebRTC.WebRTCSDPType.ANSWER


def ask(**req):
    peer.stdin.write(json.dumps(req) + "\n")
    peer.stdin.flush()
    reply = json.loads(peer.stdout.readline())
    assert reply["rc"] == 0, reply
    return reply


def fixture(name, sdp):
    if len(sys.argv) > 2:
        with open(f"{sys.argv[2]}/gstreamer_{name}.sdp", "w", newline="") as f:
            f.write(re.sub(r"user(\d+)@host-\w+", r"user\1@host", sdp))


def call(w, signal, *args):
    promise = Gst.Promise.new()
    w.emit(signal, *args, promise)
    promise.wait()
    reply = promise.get_reply()
    assert not (reply and reply.has_field("error")), (signal, reply.to_string())
    return reply


def description(kind, text):
    return GstWebRTC.WebRTCSessionDescription.new(kind, GstSdp.SDPMessage.new_from_text(text)[1])


def create(w, what):
    reply = call(w, f"create-{what}", None)  # owns the description
    d = reply.get_value(what)
    text = d.sdp.as_text()
    call(w, "set-local-description", d)
    return text


def bin_of(launch):
    pipe = Gst.parse_launch(f"webrtcbin name=w bundle-policy=max-bundle {launch}")
    return pipe, pipe.get_by_name("w")


pipe, w = bin_of(
    "audiotestsrc is-live=true ! opusenc ! rtpopuspay pt=97 ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! w. "
    "videotestsrc is-live=true ! vp8enc deadline=1 ! rtpvp8pay pt=96 ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! w."
)
pipe.set_state(Gst.State.PLAYING)
time.sleep(1)
sdp = create(w, "offer")
fixture("av", sdp)
call(w, "set-remote-description", description(ANSWER, ask(op="publish", sdp=sdp)["sdp"]))
pipe.set_state(Gst.State.NULL)

pipe, w = bin_of("fakesrc")
pipe.set_state(Gst.State.PLAYING)
for add in (2, 2):
    call(w, "set-remote-description", description(OFFER, ask(op="subscribe", add=add)["sdp"]))
    sdp = create(w, "answer")
    reply = ask(op="answer", sdp=sdp)
    assert all(m["dir"] == 1 and m["codecs"] for m in reply["media"]), reply
pipe.set_state(Gst.State.NULL)

pipe, w = bin_of("fakesrc")
for kind, codec, pt, clock in (("audio", "OPUS", 97, 48000), ("video", "VP8", 96, 90000)):
    caps = f"application/x-rtp,media={kind},encoding-name={codec},payload={pt},clock-rate={clock}"
    w.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
pipe.set_state(Gst.State.PLAYING)
sdp = create(w, "offer")
fixture("recvonly", sdp)
call(w, "set-remote-description", description(ANSWER, ask(op="play", sdp=sdp)["sdp"]))
assert w.get_property("signaling-state") == GstWebRTC.WebRTCSignalingState.STABLE
pipe.set_state(Gst.State.NULL)
peer.stdin.close()
print("ok")
