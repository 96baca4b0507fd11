#!/bin/sh
# nth_alloc.sh LIBRARY PROGRAM [RUNS]: a unit test again and again, with its 1st, 2nd, 3rd … allocation failing. It may
# fail each time; it must not crash or hang. With more allocations than RUNS (200), the first half of the runs takes the
# first ones and the rest is spread evenly.
set -eu
library=$1 program=$2 runs=${3:-200}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 711 "$scratch" # some tests become another user
report=$scratch/report
export TMPDIR="$scratch" # what a test that failed leaves there

once() {
	: >"$report"
	status=0
	timeout 30 env NTH_ALLOC="$1" NTH_ALLOC_REPORT="$report" LD_PRELOAD="$library" "$program" >"$report.out" 2>&1 || status=$?
	if [ "$status" -ge 124 ]; then
		tail -20 "$report.out"
		echo "$program: allocation $1 failing: exit status $status" >&2
		exit 1
	fi
}

once 0
[ "$status" -eq 0 ] || { echo "$program fails without any help" >&2; exit 1; }
total=$(cat "$report")
half=$((runs / 2)) done=0 failed=0 n=1
while [ "$n" -le "$total" ]; do
	once "$n"
	done=$((done + 1))
	[ "$status" -eq 0 ] || failed=$((failed + 1))
	if [ "$total" -le "$runs" ] || [ "$n" -lt "$half" ]; then
		n=$((n + 1))
	else
		n=$((n + (total - half) / half + 1))
	fi
done
echo "$program: $total allocations, $done of them failing in turn: $failed runs failed, none crashed"
