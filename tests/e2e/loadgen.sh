#!/usr/bin/env bash
# The load generator against our own daemons over lo: two rooms of four, each publishes audio and video and watches the
# others; nothing may be lost, and all are heard.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

loadgen=${LOADGEN:-$root/build/bench/loadgen/loadgen}
[ -x "$loadgen" ] || {
	echo "skip: no loadgen; conf/deps.sh bench, then build"
	exit 77
}
make_lo_ns
up --address 127.0.0.1
make_users 1
ctl token --user u1 --ttl 600 >"$work/token"

run() { # WHAT WORDS…: a run that must be good
	local what=$1

	shift
	in_ns "$loadgen" --config "$root/bench/scenarios/two-rooms.yaml" --set server.token_file="$work/token" \
		--set server.rundir="$CALLSTACK_RUNDIR" --set run.progress=false --json "$work/report.json" "$@" || {
		echo "FAILED: $what"
		ctl drop-reasons
		return 1
	}
	jq -e '.good and .receivers.lost == 0 and .receivers.missing_streams == 0 and .receivers.packets > 5000' \
		"$work/report.json" >/dev/null
	echo "$what: fine"
}
run "WHIP and WHEP" --set server.kind=whip --set run.duration=3
run "callstack.v1, with libnice's agent" --set server.kind=callstack --set net.ice=agent --set net.address=127.0.0.1 --set run.duration=3
