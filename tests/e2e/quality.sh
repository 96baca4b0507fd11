#!/usr/bin/env bash
# What operators see of how streams are: callstackctl top, rooms, status and the metrics, with and without the daemon.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_lo_ns
make_users 2
up --interface lo --address 127.0.0.1
export CALLSTACK_URL=https://127.0.0.1:8443

start_pages in_ns quality.mjs
sleep "${QUALITY_SECONDS:-8}" # receiver reports on audio come each 5 s
ctl top --once
top=$(ctl top --json)
says '.named and (.workers | length) == 1 and (.workers[0] | .rx_pps > 50 and .tx_pps > 50 and .load > 0 and .load < 1)' \
	'top: what the worker does' <<<"$top"
says '.workers[0].latency_us | .p50 > 0 and .p50 <= .p99 and .p99 <= .["p99.99"] and .p50 < 100000' \
	'top: how long forwarding takes' <<<"$top"
says '[.streams[] | select(.direction == "in")] | length == 4 and all(.room == "kitchen" and .bps > 1000 and .loss == 0)' \
	'top: four streams in' <<<"$top"
says '[.streams[] | select(.direction == "out")] | length == 4 and
	all(.rtt_ms > 0 and .rtt_ms < 100 and (.user != .from) and (.from | IN("u1", "u2")))' 'top: four out' <<<"$top"
says '[.streams[] | select(.direction == "in" and .kind == "video")] | length == 2 and
	all(.fps > 5 and .codec == "VP8" and .source == "camera" and (has("mos") | not))' 'top: video' <<<"$top"
says '[.streams[] | select(.kind == "audio")] | length == 4 and
	all(.mos >= 4 and .codec == "opus" and .source == "microphone")' 'top: audio' <<<"$top"
ctl --json rooms | says '[.rooms[].participants[] | .tracks[].quality[0], .receives[].quality] | length == 8 and
	all(.live and .bps > 1000 and .loss_average < 2)' 'rooms: the same'
ctl --json status | says '.dataplane.workers_detail[0].latency_us | .p50 > 0 and .p50 <= .["p99.9"]' 'status: latency'
metrics=$(in_ns curl -sf http://127.0.0.1:9464/metrics)
for want in 'callstack_streams{worker="0",direction="in"}' 'callstack_streams{worker="0",direction="out"}' \
	'callstack_forwarding_seconds_bucket{worker="0",le="+Inf"}' 'callstack_stream_mos_count{worker="0",direction="in"}' \
	'callstack_stream_rtt_seconds_count{worker="0",direction="out"}' \
	'callstack_forwarding_latency_seconds{worker="0",quantile="0.999"}'; do
	awk -v want="$want" '$1 == want && $2 > 0 { found = 1 } END { exit !found }' <<<"$metrics" ||
		{ echo "  FAIL no $want above 0"; exit 1; }
	echo "  ok   $want"
done

kill -STOP "$(pid_of supervisor)"
kill -9 "$(pid_of callstackd)"
ctl top --json | says '(.named | not) and (.streams | length) == 8 and all(.streams[]; has("room") | not)' 'top: without the daemon, ids'
ctl top --once --rows 3 --sort rate | grep -q 'and 5 more'
kill -CONT "$(pid_of supervisor)"
end_pages
