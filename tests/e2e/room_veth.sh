#!/usr/bin/env bash
# The same room over veth: server and clients in two namespaces. The server's kernel sees no media at all.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_veth_ns
make_users 4
up --interface "$server_if" --address 198.18.1.1 --set dataplane.workers=2
before=$(udp_in "$ns")
in_client env CALLSTACK_URL=https://198.18.1.1:8443 ROOM_SECONDS="${ROOM_SECONDS:-60}" ROOM_CODEC="${ROOM_CODEC:-VP9}" node "$root/tests/e2e/room.mjs"
seen=$(($(udp_in "$ns") - before))
echo "UDP datagrams that the server's kernel delivered: $seen"
[ "$seen" -le 20 ]
ctl drop-reasons
