#!/usr/bin/env bash
# 5 % random loss each way, in a router between the server and its clients.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_routed_ns
make_users 2
cat >"$work/lose" <<LOSE
#!/bin/sh
# PERCENT, or 0. Only media: a lost segment of the WebSocket is another story.
ip netns exec $router_ns nft 'add table ip loss; delete table ip loss'
[ "\$1" = 0 ] || ip netns exec $router_ns nft "add table ip loss; add chain ip loss forward { type filter hook forward priority 0; };
	add rule ip loss forward meta l4proto udp numgen random mod 100 < \$1 counter drop"
LOSE
chmod +x "$work/lose"
up --interface "$server_if" --address 198.18.1.1
CALLSTACK_URL=https://198.18.1.1:8443 CHROMIUM_PUB=$(chromium_in "$pub_ns") CHROMIUM_SUB=$(chromium_in "$sub_ns") LOSE=$work/lose \
	node "$root/tests/e2e/loss.mjs"
ctl drop-reasons
