#!/usr/bin/env bash
# A scenario against our own daemons over memif, where no kernel is in the way of media: for long runs and large rooms.
#
#   sudo bench/memif.sh bench/scenarios/room-500.yaml [--set KEY=VALUE]… [--json FILE]
#
# Signaling goes over the loopback interface of a network namespace of its own; what follows the scenario is loadgen's.
# Environment: SERVER: more options of the daemons, KEY=VALUE each. NICE (-10): of both. SERVER_CPU, GENERATOR_CPU: the last two
# allowed CPUs. POLL (adaptive): of the dataplane.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ns=cs-memif-$$
work=$(mktemp -d /dev/shm/callstack-memif-XXXXXX)
export CALLSTACK_RUNDIR=$work/run CALLSTACK_DATADIR=$work/data

cleanup() {
	local status=$?

	trap - EXIT INT TERM
	ip netns exec "$ns" "$root/conf/callstack" down >"$work/down.log" 2>&1 || true
	[[ $status -eq 0 ]] || tail -n 20 "$work"/*.log "$CALLSTACK_RUNDIR"/*.log 2>/dev/null || true
	ip netns del "$ns" 2>/dev/null || true
	rm -rf "$work"
	exit "$status"
}

# nice counts within a session only where sessions are scheduled as groups.
favour() { # PID
	renice -n "${NICE:--10}" -p "$1" >/dev/null 2>&1 || true
	[[ ! -w /proc/$1/autogroup ]] || echo "${NICE:--10}" >"/proc/$1/autogroup" 2>/dev/null || true
}

main() {
	local allowed server_cpu generator_cpu word words=()

	[[ $# -gt 0 && -f $1 ]] || {
		echo "usage: bench/memif.sh SCENARIO.yaml [loadgen's words]" >&2
		exit 2
	}
	mapfile -t allowed < <(/usr/bin/python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep="\n")')
	server_cpu=${SERVER_CPU:-${allowed[-1]}}
	generator_cpu=${GENERATOR_CPU:-${allowed[0]}}
	for word in ${SERVER:-}; do words+=(--set "$word"); done
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	mkdir -p "$CALLSTACK_RUNDIR" "$CALLSTACK_DATADIR"
	ip netns add "$ns"
	ip -n "$ns" link set lo up
	ip netns exec "$ns" "$root/conf/callstack" up --detach --address 198.18.9.1 --set "lcores=$server_cpu" \
		--set "poll=${POLL:-adaptive}" --set "ports=[{kind: memif, socket: $work/memif, role: server}]" \
		--set max_endpoints=65536 --set max_tracks=65536 --set max_subs=262144 --set mbufs=131072 \
		--set limits.participants=10000 --set limits.connections_per_address=20000 "${words[@]}" >"$work/up.log" 2>&1
	favour $$
	favour "$(<"$CALLSTACK_RUNDIR/callstack-dataplane.pid")"
	ip netns exec "$ns" "$root/build/controlplane/callstackctl" user add load --password load-load-load >/dev/null
	ip netns exec "$ns" "$root/build/controlplane/callstackctl" token --user load --ttl 86400 >"$work/token"
	ip netns exec "$ns" taskset -c "$generator_cpu" "$root/build/bench/loadgen/loadgen" --config "$1" \
		--set net.transport=memif --set "net.socket=$work/memif" --set net.address=198.18.9.2 \
		--set server.url=https://127.0.0.1:8443 --set "server.token_file=$work/token" \
		--set "server.rundir=$CALLSTACK_RUNDIR" "${@:2}"
}

main "$@"
