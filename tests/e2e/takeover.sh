#!/usr/bin/env bash
# kill -9 of callstackd: media goes on for DOWN_SECONDS without a lost packet, and a new callstackd takes the room over.
# kill -9 of the dataplane: a new one is programmed and media comes back without a reload.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_veth_ns
make_users 3
up --interface "$server_if" --address 198.18.1.1
export CALLSTACK_URL=https://198.18.1.1:8443
seconds=${DOWN_SECONDS:-60}

start_pages in_client takeover.mjs
step flowing
step mark
supervisor=$(pid_of supervisor)
daemon=$(pid_of callstackd)
kill -STOP "$supervisor" # so that nobody starts another yet
kill -"${DAEMON_SIGNAL:-KILL}" "$daemon" # TERM: what it says in its last moments must harm no media either
echo "callstackd $daemon killed"
sleep "$seconds"
step unharmed "$seconds"
kill -CONT "$supervisor"
step resume
step unharmed "$seconds"
[ "$(pid_of callstackd)" != "$daemon" ]
step newcomer

dataplane=$(pid_of callstack-dataplane)
kill -9 "$dataplane"
echo "callstack-dataplane $dataplane killed"
step back
[ "$(pid_of callstack-dataplane)" != "$dataplane" ]
step newcomer
end_pages
