#!/usr/bin/env bash
# The steering program under the real dataplane, on veth and on lo: attached and held, there again after a kill -9,
# gone after down; someone else's program is respected.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

xdp=$root/build/ebpf/callstack-xdp
status() { in_ns "$xdp" status --json "$1" || true; }
expect() { # IF FILTER WHAT
	status "$1" | jq -e "$2" >/dev/null || {
		echo "FAILED: $3: $(status "$1")"
		return 1
	}
	echo "$1: $3"
}
eventually() { # IF FILTER WHAT
	for _ in $(seq 100); do
		! status "$1" | jq -e "$2" >/dev/null || break
		sleep 0.1
	done
	expect "$@"
}
held='.ours and .held'

# Datagrams that look like media, to a worker's port, from the client's side.
send() { # NAMESPACE ADDRESS
	ip netns exec "$1" /usr/bin/python3 - "$2" <<'PYTHON'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20):
    s.sendto(b"\x80" + bytes(99), (sys.argv[1], 10000))
PYTHON
}

round() { # IF ADDRESS CLIENTS MODE
	local dataplane before

	up --interface "$1" --address "$2"
	expect "$1" "$held and .mode == \"$4\"" "attached ($4), and held"
	before=$(udp_in "$ns")
	send "$3" "$2"
	expect "$1" '.counters.steered >= 20 and .counters.no_socket_passed == 0' "20 datagrams steered"
	[[ $(udp_in "$ns") == "$before" ]] || { echo "FAILED: media reached a kernel socket" && return 1; }
	dataplane=$(pid_of callstack-dataplane)
	kill -9 "$dataplane"
	eventually "$1" "$held and .counters.steered == 0" "a new program after kill -9 of the dataplane"
	in_ns "$root/conf/callstack" down
	expect "$1" '.mode == "none"' "nothing left after down"
}

make_veth_ns
round "$server_if" 198.18.1.1 "$client_ns" native
round lo 127.0.0.1 "$ns" generic

echo "someone else's program"
cat >"$work/pass.c" <<'C'
__attribute__((section("xdp"), used)) int someone_else(void *ctx) { return 2; }
C
clang -O2 -target bpf -c "$work/pass.c" -o "$work/pass.o"
in_ns ip link set dev "$server_if" xdp obj "$work/pass.o" sec xdp
if up --interface "$server_if" --address 198.18.1.1; then
	echo "FAILED: up took an interface that is in use"
	exit 1
fi
grep -q 'someone else' "$work/up.log" || { echo "FAILED: up does not say why" && exit 1; }
expect "$server_if" '(.ours | not) and .mode == "native"' "the foreign program is still there"
in_ns "$root/conf/callstack" down
expect "$server_if" '(.ours | not) and .mode == "native"' "and after down"
