#!/usr/bin/env bash
# Three Chromium pages, then a fourth, in one room on lo; no media through a kernel UDP socket of the server's.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_lo_ns
make_users 4
up --interface lo --address 127.0.0.1
before=$(udp_in "$ns")
in_ns env CALLSTACK_URL=https://127.0.0.1:8443 ROOM_SECONDS="${ROOM_SECONDS:-60}" node "$root/tests/e2e/room.mjs"
# On lo the clients' own sockets are in the same namespace: what they received is in the count, what they sent is not.
# The server's share is told apart by the dataplane's ports, on which no socket may exist.
in_ns ss -Hlun "sport >= :10000 and sport <= :10015" | { ! grep .; } || { echo "a UDP socket on a media port"; exit 1; }
ctl drop-reasons
ctl --json status | jq -e '.dataplane.counters.rtp_in > 1000 and .dataplane.counters.rtp_out > 3000'
echo "UDP datagrams delivered to sockets here: $(($(udp_in "$ns") - before)) (the clients' own)"
