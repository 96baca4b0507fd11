#!/usr/bin/env bash
# The load generator against our own daemons over lo: two rooms of four, each publishes audio and video and watches the
# others; nothing may be lost, and all are heard. Then 3 % is lost on the way down, and on the way up.
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

run() { # WHAT FILTER WORDS…: a run that must be good, and its report as the filter says
	local what=$1 filter=$2

	shift 2
	in_ns "$loadgen" --config "$root/bench/scenarios/two-rooms.yaml" --set server.token_file="$work/token" \
		--set server.rundir="$CALLSTACK_RUNDIR" --set run.progress=false --set run.duration=3 --set run.warm_up=1 \
		--json "$work/report.json" "$@" || {
		echo "FAILED: $what"
		ctl drop-reasons
		return 1
	}
	jq -e ".good and .receivers.missing_streams == 0 and ($filter)" "$work/report.json" >/dev/null || {
		echo "FAILED: $what: not so: $filter"
		jq .receivers "$work/report.json"
		return 1
	}
	echo "$what: fine"
}
lose() { # HOOK MATCH: 3 % of it; the generator's kernel does it, on either side of its sockets
	in_ns nft "add table ip loss; delete table ip loss; add table ip loss
		add chain ip loss it { type filter hook $1 priority 0; }
		add rule ip loss it udp $2 numgen random mod 100 < 3 counter drop"
}

whole='.receivers.lost == 0 and .receivers.packets > 5000'
twcc='.receivers.feedback | .receivers.twcc_sent > 100 and .publishers.twcc > 100 and .publishers.arrived > 2000 and .publishers.lost == 0'
run "WHIP and WHEP" "$whole and ($twcc)" --set server.kind=whip
run "callstack.v1, with libnice's agent" "$whole and ($twcc)" --set server.kind=callstack --set net.ice=agent --set net.address=127.0.0.1
# A bound of half more than comes lets the server add pictures one by one: some may still wait for theirs.
run "REMB" "$whole and (.receivers.feedback.receivers | .remb_sent > 20 and .twcc_sent == 0 and .congested == 0
	and .remb_kbps > 600 and .remb_kbps < 19000)" --set feedback=remb --set run.warm_up=4 --set run.max_loss=200000
run "neither" "$whole and (.receivers.feedback.receivers | .remb_sent == 0 and .twcc_sent == 0)" --set feedback=none --set nack=false
run "each watches two of three" ".receivers.lost == 0 and .receivers.packets > 4000 and .receivers.streams_each.max == 4" --set rooms.watch=2

# A last packet that is lost is missed by nobody: hence a little loss is right.
lose input "sport 10000-10100"
run "3 % lost on the way down" \
	'.receivers.repaired > 50 and .receivers.lost_before_repair >= .receivers.repaired and .receivers.lost <= 2
		and .receivers.feedback.receivers.asked >= .receivers.repaired' --set audio.enabled=false --set run.max_loss=5000
lose output "dport 10000-10100"
run "3 % lost on the way up" '(.receivers.feedback.publishers | .lost > 20 and .lost < 200 and .nacked > 10 and .resent > 10)
		and .receivers.lost <= 4' --set audio.enabled=false --set run.max_loss=5000
run "3 % lost on the way up, of three layers" '(.receivers.feedback.publishers | .nacked > 10 and .resent > 10) and .receivers.lost <= 4' \
	--set audio.enabled=false --set video.layers=3 --set run.max_loss=5000
run "3 % lost on the way up, and nobody repeats" '.receivers.lost > 50 and .receivers.feedback.publishers.resent == 0' \
	--set audio.enabled=false --set nack=false --set run.max_loss=60000
