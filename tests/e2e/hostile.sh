#!/usr/bin/env bash
# Hostile input of every kind against running daemons; others go on talking.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
make_veth_ns
make_users 1
up --interface "$server_if" --address 198.18.1.1
daemon=$(pid_of callstackd) dataplane=$(pid_of callstack-dataplane)
export CTL="$root/build/controlplane/callstackctl"
in_client /usr/bin/python3 "$root/tests/e2e/hostile.py" https://198.18.1.1:8443 "$(ctl token --user u1)" 198.18.1.1 10000
# Nothing died and was restarted quietly.
kill -0 "$daemon"
kill -0 "$dataplane"
[ "$daemon" = "$(pid_of callstackd)" ]
[ "$dataplane" = "$(pid_of callstack-dataplane)" ]
