#!/usr/bin/env bash
# Layers that a browser publishes, in each way it knows, and a subscriber that asks for sizes: over veth, two workers.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_veth_ns
make_users 2
up --interface "$server_if" --address 198.18.1.1 --set dataplane.workers=2
in_client env CALLSTACK_URL=https://198.18.1.1:8443 SIMULCAST_ONLY="${SIMULCAST_ONLY-vp8 h264 vp9 av1 vp9_svc av1_svc}" \
	node "$root/tests/e2e/simulcast.mjs"
