#!/usr/bin/env bash
# Everything that docs/performance.md tells in figures, measured anew on this machine and written into it: about a quarter of an hour.
#
#   sudo bench/performance.sh [compare] [forward] [growth] [latency] [rooms] [dtls]      all when none is named
#
# Environment: RUNS (3): of each measurement. SECONDS_EACH (60): of each room scenario. Results stay in build/bench/.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$root/build/bench
runs=${RUNS:-3} seconds=${SECONDS_EACH:-60}

compare() { RUNS=$runs OUT=$out/compare.json "$root/bench/peers/compare.sh"; }

forward() {
	local subs

	for subs in 1000 10000 50000; do
		"$out/bench_forward" --subs "$subs" --payload 1200 --profile 7 --memif 0 --runs "$runs" \
			--json "$out/forward-$subs.json"
	done
}

# Subscriptions, workers, video and audio; a second worker has a CPU of its own, so there it is only where there are two.
growth() {
	local subs payload workers

	for subs in 100 1000 10000 50000; do
		for payload in 1200 160; do
			for workers in 1 2; do
				[[ $workers -le $(nproc) ]] || continue
				"$out/bench_forward" --subs "$subs" --payload "$payload" --profile 7 --memif 0 \
					--workers "$workers" --runs "$runs" --json "$out/growth-$subs-$payload-$workers.json"
			done
		done
	done
}

# At 70 % of what the same run saw come through.
latency() {
	local subs

	for subs in 1000 10000; do
		"$out/bench_forward" --subs "$subs" --payload 1200 --profile 7 --memif 1 --runs "$runs" \
			--json "$out/latency-$subs.json"
	done
}

# A loss is a figure too, here.
room() { # SCENARIO RESULT [loadgen's words]
	"$root/bench/memif.sh" "$root/bench/scenarios/$1.yaml" --set "run.duration=$seconds" --set run.progress=false \
		--set run.max_loss=1000000 --json "$out/$2.json" "${@:3}"
}

rooms() {
	room room-500 room-500
	room rooms-50x10 rooms-50x10
	room rooms-50x10 rooms-50x10-plain --set feedback=none --set nack=false
}

dtls() { "$out/bench_dtls" --runs "$runs" --json "$out/dtls.json"; }

[[ $# -gt 0 ]] || set -- compare forward growth latency rooms dtls
for part in "$@"; do
	case $part in
	compare | forward | growth | latency | rooms | dtls) "$part" ;;
	*)
		echo "usage: bench/performance.sh [compare] [forward] [growth] [latency] [rooms] [dtls]" >&2
		exit 2
		;;
	esac
done
/usr/bin/python3 "$root/bench/performance.py" "$root/docs/performance.md" "$out"
