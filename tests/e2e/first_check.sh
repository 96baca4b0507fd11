#!/usr/bin/env bash
# Nobody's first ICE check meets a dataplane that does not know him yet: answers wait for its word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
make_lo_ns
make_users 1
up --interface lo --address 127.0.0.1 --set dataplane.workers=2
token=$(ctl token --user u1)
DATAPLANE=$(cat "$CALLSTACK_RUNDIR/callstack-dataplane.pid")
export DATAPLANE CTL="$root/build/controlplane/callstackctl"
in_ns /usr/bin/python3 "$root/tests/e2e/first_check.py" https://127.0.0.1:8443 "$token" 100
