#!/usr/bin/env bash
# 1,000 joins and leaves: memory, slabs, file descriptors and map entries are back where they were.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
make_veth_ns
make_users 1
# A third of them leave without a word, and stay until their session's time runs out: on a quick machine hundreds at once.
up --interface "$server_if" --address 198.18.1.1 --set callstackd.resume_ttl=5 --set callstackd.limits.participants=2000 \
	--set callstackd.limits.request_rate=10000 --set callstackd.limits.request_burst=10000
token=$(ctl token --user u1 --ttl 3600)

entries() { # of the steering program's per-source map
	local id
	id=$(in_ns bpftool -j net show dev "$server_if" 2>/dev/null | jq -r '.. | .id? // empty' | head -n 1)
	[ -n "$id" ] && in_ns bpftool -j prog show id "$id" | jq -r '.map_ids[]' | while read -r m; do
		in_ns bpftool -j map show id "$m" | jq -r '.name' | sed "s/^/$m /"
	done
	return 0
}
measure() {
	local name pid
	for name in callstackd callstack-dataplane; do
		pid=$(pid_of "$name")
		echo "$name.fds $(ls "/proc/$pid/fd" | wc -l)"
		echo "$name.rss_kib $(awk '/^Rss(Anon|Shmem)/ {n += $2} END {print n}' "/proc/$pid/status")"
	done
	ctl --json status | jq -r '.rooms, .participants, .sessions, .dataplane.endpoints, .dataplane.tracks, .dataplane.subs' | paste -sd' ' | sed 's/^/slabs /'
}
rounds=${LEAK_ROUNDS:-1000}
run() { in_client /usr/bin/python3 "$root/tests/e2e/leaks.py" https://198.18.1.1:8443 "$token" "$1"; sleep 18; } # sessions that nobody resumes end; free memory is given back

run 100 # caches fill, arenas grow
measure >"$work/before"
run "$rounds"
measure >"$work/after"
paste -d' ' "$work/before" "$work/after"
entries || true
grep -q '^slabs 0 0 0 0 0 0$' "$work/after"
diff <(grep -E 'fds|slabs' "$work/before") <(grep -E 'fds|slabs' "$work/after")
while read -r what was _ now; do
	# Fragmentation keeps some; what a participant owns is tens of KiB, so a leak of each would be far more than this.
	[ $((now - was)) -le 8192 ] || { echo "$what grew by $((now - was)) KiB"; exit 1; }
done < <(paste -d' ' <(grep rss "$work/before") <(grep rss "$work/after"))
