#!/usr/bin/env bash
# A subscriber behind a narrow link gets what fits, and the top layer when the link is wide again.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_routed_ns
make_users 2
cat >"$work/limit" <<LIMIT
#!/bin/sh
# KBIT, or 0
ip netns exec $router_ns tc qdisc del dev $to_sub root 2>/dev/null
[ "\$1" = 0 ] || ip netns exec $router_ns tc qdisc add dev $to_sub root tbf rate "\$1kbit" burst 5kb latency 200ms
LIMIT
chmod +x "$work/limit"
up --interface "$server_if" --address 198.18.1.1
CALLSTACK_URL=https://198.18.1.1:8443 CHROMIUM_PUB=$(chromium_in "$pub_ns") CHROMIUM_SUB=$(chromium_in "$sub_ns") LIMIT=$work/limit \
	node "$root/tests/e2e/limited.mjs"
ctl drop-reasons
