#!/usr/bin/env bash
# RED (RFC 2198): Chromium publishes with RED first; who took RED gets it, a browser and an aiortc player that did not hear plain Opus.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_veth_ns
make_users 4
up --interface "$server_if" --address 198.18.1.1 --set dataplane.workers=2
export CALLSTACK_URL=https://198.18.1.1:8443
token=$(ctl token --user u4)

start_pages in_client red.mjs
step heard
echo "aiortc plays by WHEP what comes as RED:"
in_client /usr/bin/python3 "$root/tests/e2e/aio.py" whep "$CALLSTACK_URL/whep/den/u1" "$token" 6 audio | tee "$work/heard"
says '.loud and .hz > 430 and .hz < 450' "it hears the tone of 440 Hz" <"$work/heard"
end_pages
in_ns curl -fsS http://127.0.0.1:9464/metrics | awk '/^callstack_red_unwrapped_total/ {print; n += $2}
	/^callstack_drop_total{.*red_malformed/ {bad += $2}
	END {exit !(n > 100) || bad}'
