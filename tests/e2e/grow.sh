#!/usr/bin/env bash
# A room that grows past rooms.direct_max: streams a listener, who speaks, nobody hears himself; and that goes on without
# callstackd, and with another dataplane.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_veth_ns
make_users 5
up --interface "$server_if" --address 198.18.1.1 --set dataplane.workers=2 \
	--set rooms.direct_max=3 --set rooms.audio_slots=2 --set rooms.video_slots=2
export CALLSTACK_URL=https://198.18.1.1:8443

linked() { grep -c 'dataplane linked' "$CALLSTACK_RUNDIR/callstackd.log"; }

start_pages in_client grow.mjs
step small
step grow
step speak 2
step speak 4
supervisor=$(pid_of supervisor)
daemon=$(pid_of callstackd)
kill -STOP "$supervisor" # so that nobody starts another yet
kill -KILL "$daemon"
echo "callstackd $daemon killed"
step orphaned 1
step orphaned 0
kill -CONT "$supervisor"
step resume
[ "$(pid_of callstackd)" != "$daemon" ]
step told 0
step speak 3
step whole
step shown
dataplane=$(pid_of callstack-dataplane)
links=$(linked)
kill -KILL "$dataplane"
echo "callstack-dataplane $dataplane killed"
until [ "$(linked)" -gt "$links" ]; do sleep 0.02; done
step restarted
[ "$(pid_of callstack-dataplane)" != "$dataplane" ]
step speak 1
end_pages
ctl drop-reasons
