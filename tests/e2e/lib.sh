# What the stories share: a namespace of their own, a running pair of daemons in it, users, and cleaning up. Sourced.
# A story runs as root in `set -euo pipefail`, prints what it saw, and exits 0 when all it looked for was there.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
story=$(basename "$0" .sh)
ns=cs-$story-$$
work=$(mktemp -d /dev/shm/callstack-"$story"-XXXXXX)
export CALLSTACK_RUNDIR=$work/run CALLSTACK_DATADIR=$work/data
mkdir -p "$CALLSTACK_RUNDIR" "$CALLSTACK_DATADIR"
namespaces=() pids=()

in_ns() { ip netns exec "$ns" "$@"; }
ctl() { in_ns "$root/build/controlplane/callstackctl" "$@"; }

add_ns() { # NAME: with lo up
	ip netns add "$1"
	namespaces+=("$1")
	ip -n "$1" link set lo up
}

cleanup() {
	local status=$? pid name
	trap - EXIT
	in_ns "$root/conf/callstack" down >"$work/down.log" 2>&1 || true
	# Whatever still runs in a namespace that this script made was started by it.
	for pid in "${pids[@]}" $(for name in "${namespaces[@]}"; do ip netns pids "$name"; done); do
		kill "$pid" 2>/dev/null || true
	done
	if [ "$status" -ne 0 ]; then
		echo "--- daemons' last words"
		tail -n 40 "$CALLSTACK_RUNDIR"/*.log 2>/dev/null || true
	fi
	for name in "${namespaces[@]}"; do ip netns del "$name" 2>/dev/null || true; done
	rm -rf "$work"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# A namespace with lo and one more interface, as Chromium wants before it pairs with 127.0.0.1.
make_lo_ns() {
	add_ns "$ns"
	ip -n "$ns" link add other type veth peer name far
	ip -n "$ns" addr add 198.18.0.1/24 dev other
	ip -n "$ns" link set other up
	ip -n "$ns" link set far up
	ip -n "$ns" route add default dev other
}

# A server namespace and one for clients, a veth between: 198.18.1.1 serves, 198.18.1.2 (fd00:18::2) calls.
make_veth_ns() {
	add_ns "$ns"
	client_ns=$ns-c
	add_ns "$client_ns"
	ip link add "v$$s" netns "$ns" type veth peer name "v$$c" netns "$client_ns"
	server_if=v$$s client_if=v$$c
	ip -n "$ns" link set "$server_if" up
	ip -n "$client_ns" link set "$client_if" up
	ip -n "$ns" addr add 198.18.1.1/24 dev "$server_if"
	ip -n "$client_ns" addr add 198.18.1.2/24 dev "$client_if"
	ip -n "$ns" -6 addr add fd00:18::1/64 dev "$server_if" nodad
	ip -n "$client_ns" -6 addr add fd00:18::2/64 dev "$client_if" nodad
}
in_client() { ip netns exec "$client_ns" "$@"; }

# Users u1..uN, password p-uN.
make_users() {
	local i
	for i in $(seq "$1"); do ctl user add "u$i" --password "p-u$i" >/dev/null; done
}

up() { # further words for `callstack up`
	in_ns "$root/conf/callstack" up --detach "$@" >"$work/up.log" 2>&1 || { cat "$work/up.log"; return 1; }
}

pid_of() { cat "$CALLSTACK_RUNDIR/$1.pid"; }

# The kernel's count of UDP datagrams delivered to sockets in a namespace.
udp_in() { ip netns exec "$1" awk '/^Udp: [0-9]/ {print $2}' /proc/net/snmp; }

need_node() {
	[ -d "$root/tests/e2e/node_modules/playwright-core" ] ||
		(cd "$root/tests/e2e" && npm ci --no-audit --no-fund >"$work/npm.log" 2>&1) || { cat "$work/npm.log"; return 1; }
}

# A router between the server (198.18.1.1) and two clients, the publisher's namespace (198.18.2.2) and the subscriber's
# (198.18.3.2): what an AF_XDP port sends passes no queueing discipline of its own interface, a router's it does.
# `in_ns tc` and nft rules therefore go to $router_ns; its interfaces are $to_server, $to_pub, $to_sub.
make_routed_ns() {
	local name
	add_ns "$ns"
	router_ns=$ns-r pub_ns=$ns-p sub_ns=$ns-s
	to_server=v$$a to_pub=v$$b to_sub=v$$c server_if=v$$s
	for name in "$router_ns" "$pub_ns" "$sub_ns"; do add_ns "$name"; done
	ip link add "$to_server" netns "$router_ns" type veth peer name "$server_if" netns "$ns"
	ip link add "$to_pub" netns "$router_ns" type veth peer name eth0 netns "$pub_ns"
	ip link add "$to_sub" netns "$router_ns" type veth peer name eth0 netns "$sub_ns"
	route_to "$to_server" 1 "$ns" "$server_if" 1
	route_to "$to_pub" 2 "$pub_ns" eth0 2
	route_to "$to_sub" 3 "$sub_ns" eth0 2
	ip netns exec "$router_ns" sysctl -qw net.ipv4.ip_forward=1
}
route_to() { # ROUTER-INTERFACE NET NAMESPACE INTERFACE HOST
	ip -n "$router_ns" addr add "198.18.$2.254/24" dev "$1"
	ip -n "$router_ns" link set "$1" up
	ip -n "$3" addr add "198.18.$2.$5/24" dev "$4"
	ip -n "$3" link set "$4" up
	ip -n "$3" route add default via "198.18.$2.254"
}
# Chromium in a namespace, as a program that Playwright can start: its path.
chromium_in() { # NAMESPACE
	printf '#!/bin/sh\nexec ip netns exec %s /usr/bin/chromium "$@"\n' "$1" >"$work/chromium-$1"
	chmod +x "$work/chromium-$1"
	echo "$work/chromium-$1"
}

# The pages of a story that does things between their steps: a program of this folder that follows (lib.mjs) what is written
# to it. One at a time; what it prints between is the story's.
start_pages() { # in_ns or in_client, PROGRAM: until they are ready
	coproc pages { "$1" node "$root/tests/e2e/$2" 2>&1; }
	# shellcheck disable=SC2154 # coproc sets pages_PID
	pages_pid=$pages_PID from_pages=${pages[0]} to_pages=${pages[1]} # bash forgets these when the process ends
	pids+=("$pages_pid")
	await ready
}
await() { # WORD: prints what comes until that line
	local line
	while IFS= read -r -t 120 line <&"$from_pages"; do
		[ "$line" = "$1" ] && return
		echo "$line"
	done
	echo "the pages said no '$1'"
	return 1
}
step() { echo "$*" >&"$to_pages"; await "done $1"; }
end_pages() { # its status is theirs
	echo end >&"$to_pages"
	await never >/dev/null || true
	wait "$pages_pid"
}

says() { # FILTER WHAT: the JSON on standard input
	jq -e "$1" >/dev/null || { echo "  FAIL $2"; return 1; }
	echo "  ok   $2"
}
