#!/usr/bin/env bash
# Session descriptions, without a call: Chromium, aiortc and (where installed) webrtcbin take our offers and answers over
# several rounds, and we theirs. With a folder as argument, what they said is written there as fixtures
# (controlplane/nego/testdata).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_lo_ns
peer=$root/build/controlplane/nego/nego_peer
in_ns node "$root/tests/e2e/sdp_chromium.mjs" "$peer" "$@"
in_ns /usr/bin/python3 "$root/tests/e2e/sdp_aiortc.py" "$peer" "$@"
if gst-inspect-1.0 webrtcbin >/dev/null 2>&1 && /usr/bin/python3 -c 'import gi; gi.require_version("GstWebRTC", "1.0")' 2>/dev/null; then
	in_ns /usr/bin/python3 "$root/tests/e2e/sdp_gstreamer.py" "$peer" "$@"
else
	echo "webrtcbin is not installed: left out"
fi
