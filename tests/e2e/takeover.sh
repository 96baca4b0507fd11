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

coproc pages { in_client node "$root/tests/e2e/takeover.mjs" 2>&1; }
# shellcheck disable=SC2154 # coproc sets pages_PID
pages_pid=$pages_PID from=${pages[0]} to=${pages[1]} # bash forgets these when the process ends
pids+=("$pages_pid")
await() { # WORD: prints what comes until that line
	local line
	while IFS= read -r -t 120 line <&"$from"; do
		[ "$line" = "$1" ] && return
		echo "$line"
	done
	echo "the pages said no '$1'"
	return 1
}
step() { echo "$*" >&"$to"; await "done $1"; }
pid_of() { cat "$CALLSTACK_RUNDIR/$1.pid"; }

await ready
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
echo end >&"$to"
await never >/dev/null || true
wait "$pages_pid"
