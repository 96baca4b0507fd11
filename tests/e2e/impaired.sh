#!/usr/bin/env bash
# Two Chromium pages over a bad network: 5 % of the packets lost each way and 50 ms there and back, made by the impairment
# node of the sanitized build. Pictures and sound go on, RTX repairs the pictures, and operators see it in `top`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
export CALLSTACK_BUILD=$root/build-asan ASAN_OPTIONS=detect_leaks=0
if ! "$CALLSTACK_BUILD/dataplane/callstack-dataplane" --set impairment.seed=1 --check-config >"$work/check.log" 2>&1; then
	cat "$work/check.log"
	echo "skip: build-asan has no impairment node: meson setup -Dimpairment=true"
	exit 77
fi
need_node
make_lo_ns
make_users 2
impair=()
for way in in out; do
	impair+=(--set "impairment_$way.loss=50000" --set "impairment_$way.delay=25000")
done
up --interface lo --address 127.0.0.1 --set impairment.seed=7 "${impair[@]}"
export CALLSTACK_URL=https://127.0.0.1:8443

start_pages in_ns quality.mjs
sleep 10
step flows 20
step repaired
ctl top --once
top=$(ctl top --json)
rooms=$(ctl --json rooms)
jq -c '.rooms[].participants[] | .tracks[] | [.kind, .quality[0]]' <<<"$rooms"
says '[.streams[] | select(.direction == "out" and has("rtt_ms"))] | length >= 2 and all(.rtt_ms > 40 and .rtt_ms < 300)' \
	'top: the round-trip time' <<<"$top"
says '[.rooms[].participants[].tracks[] | select(.kind == "audio") | .quality[0]] | length == 2 and
	all(.loss_average > 2 and .loss_average < 9 and .mos_average < 4.3 and .mos_worst < 4 and .mos_average > 3)' \
	'rooms: sound has lost 5 %, and its MOS has fallen' <<<"$rooms"
says '[.rooms[].participants[].tracks[] | select(.kind == "video") | .quality[0]] | length == 2 and all(.loss_average < 2)' \
	'rooms: pictures are repaired by RTX' <<<"$rooms"
says '[.rooms[].participants[].receives[].quality | select(. != null and has("mos_worst"))] | length == 2 and all(.mos_worst < 4.3)' \
	'rooms: subscribers report it too' <<<"$rooms"
ctl --json drop-reasons | says '.drop_reasons[] | select(.reason == "impaired") | .packets > 100' 'drop-reasons: lost on purpose'
ctl --json status | says '.dataplane.counters | .nack_out > 0 and .rtx_in > 0 and .nack_in > 0 and .rtx_out > 0' 'NACK and RTX both ways'
ctl --json status | jq -c '.dataplane.counters | {nack_out, rtx_in, nack_in, rtx_out, pli_out, twcc_in, twcc_out}'
end_pages
