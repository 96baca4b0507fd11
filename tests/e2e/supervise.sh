#!/usr/bin/env bash
# conf/callstack with stand-ins for both daemons: up, a kill -9 of each, down; the foreground and Ctrl-C; what goes
# wrong. In a network namespace of its own.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [[ ${1:-} != inside ]]; then
	[[ $EUID -eq 0 ]] || { echo "skip: needs root" && exit 77; }
	exec unshare --net --mount-proc --fork --pid --kill-child "$0" inside
fi

work=$(mktemp -d /tmp/callstack-supervise.XXXXXX)
export CALLSTACK_RUNDIR=$work/run CALLSTACK_BUILD=$work/build CALLSTACK_CONF=$work/conf
export CALLSTACK_UP_TIMEOUT=20
unset CALLSTACK_DATADIR
callstack=$root/conf/callstack
localnet=/proc/sys/net/ipv4/conf/lo/route_localnet

# shellcheck disable=SC2317 # called by the trap
finish() {
	local code=$?

	"$callstack" down >/dev/null 2>&1 || true
	((code == 0)) || tail -n 50 "$CALLSTACK_RUNDIR"/*.log 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

step() { printf '== %s\n' "$*"; }
fail() {
	printf 'FAILED: %s\n' "$*"
	exit 1
}
pid() { cat "$CALLSTACK_RUNDIR/$1.pid"; }
healthy() { [[ $(curl -ksm 2 -o /dev/null -w '%{http_code}' "https://127.0.0.1:8443/healthz") == 200 ]]; }

# eventually SECONDS COMMAND…
eventually() {
	local tenths=$(($1 * 10))

	shift
	until "$@"; do
		((tenths-- > 0)) || return 1
		sleep 0.1
	done
}
replaced() { [[ -s $CALLSTACK_RUNDIR/$1.pid && $(pid "$1") != "$2" && -e /proc/$(pid "$1") ]]; }
gone() { [[ ! -e /proc/$1 || $(<"/proc/$1/stat") == *") Z "* ]]; }

mkdir -p "$work/build/dataplane" "$work/build/controlplane"
cp "$root/tests/fakes/daemon" "$work/build/dataplane/callstack-dataplane"
cp "$root/tests/fakes/daemon" "$work/build/controlplane/callstackd"

step "status before: nothing runs"
code=0
"$callstack" status || code=$?
[[ $code -eq 3 ]] || fail "status says $code"
"$callstack" down

step "up --detach"
"$callstack" up --detach --interface lo --address 127.0.0.1 --set workers=2 --set log=debug --set callstackd.log=warn
healthy || fail "up returned before healthz answers"
[[ $(<"$CALLSTACK_RUNDIR/url") == https://127.0.0.1:8443 ]] || fail "url"
[[ $(<"$localnet") == 1 ]] || fail "route_localnet is not set"
grep -q 'log=debug' "$CALLSTACK_RUNDIR/callstack-dataplane.log" || fail "log=debug did not reach the dataplane"
grep -q 'log=warn' "$CALLSTACK_RUNDIR/callstackd.log" || fail "callstackd.log=warn did not win"
"$callstack" status || fail "status"
tr '\0' ' ' <"/proc/$(pid callstack-dataplane)/cmdline" | grep -q -- '--set workers=2 ' || fail "workers=2"
if tr '\0' ' ' <"/proc/$(pid callstackd)/cmdline" | grep -q workers; then fail "workers went to callstackd"; fi

step "a second up is refused, and harms nothing"
if "$callstack" up --detach; then fail "second up"; fi
healthy || fail "the first instance suffered"

step "kill -9 of each is repaired"
for name in callstack-dataplane callstackd; do
	old=$(pid "$name")
	kill -9 "$old"
	eventually 5 replaced "$name" "$old" || fail "$name was not started again"
done
eventually 5 healthy || fail "healthz after kill"
[[ $("$callstack" status) == *"restarts 1"* ]] || fail "restarts are not shown"

step "down"
pids=("$(pid supervisor)" "$(pid callstack-dataplane)" "$(pid callstackd)")
touch "$CALLSTACK_RUNDIR/dataplane.sock" "$CALLSTACK_RUNDIR/lo.bpf.o"
"$callstack" down
for pid in "${pids[@]}"; do
	gone "$pid" || fail "still runs: $(ps -o args= -p "$pid")"
done
[[ $(<"$localnet") == 0 ]] || fail "route_localnet is not restored"
left=$(find "$CALLSTACK_RUNDIR" -mindepth 1 -maxdepth 1 ! -name '*.log' ! -name data)
[[ -z $left ]] || fail "left behind: $left"
"$callstack" down || fail "a second down"

step "foreground, Ctrl-C"
# Background jobs of a script ignore SIGINT; a process group of its own has it back.
python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.setsid()
os.execv(sys.argv[1], sys.argv[1:])' "$callstack" up >"$work/fg.log" 2>&1 &
foreground=$!
eventually 20 grep -q 'callstack: up: https://' "$work/fg.log" || fail "does not say that it is up"
callstackd=$(pid callstackd)
kill -INT -- "-$foreground"
wait "$foreground" && fail "Ctrl-C is no success"
gone "$callstackd" || fail "Ctrl-C left callstackd"
[[ ! -e $CALLSTACK_RUNDIR/lock ]] || fail "Ctrl-C left the lock"

step "a supervisor that was killed"
"$callstack" up --detach
dataplane=$(pid callstack-dataplane) callstackd=$(pid callstackd)
kill -9 "$(pid supervisor)"
sleep 0.3
gone "$callstackd" && fail "the daemon died with the supervisor"
"$callstack" up --detach || fail "up over the rest of a killed supervisor"
gone "$callstackd" || fail "old callstackd is left"
gone "$dataplane" || fail "old dataplane is left"
"$callstack" down

step "a daemon that cannot start"
code=0
FAKE_FAIL=callstackd "$callstack" up --detach >"$work/out" 2>&1 || code=$?
[[ $code -eq 1 ]] || fail "up of a broken daemon says $code"
grep -q 'callstackd keeps ending' "$work/out" || fail "does not say which daemon"
grep -q 'made to fail' "$work/out" || fail "does not show its log"
[[ ! -e $CALLSTACK_RUNDIR/lock ]] || fail "failed up left a supervisor"

step "a daemon that does not stop"
FAKE_DEAF=callstack-dataplane "$callstack" up --detach
dataplane=$(pid callstack-dataplane)
"$callstack" down
gone "$dataplane" || fail "deaf dataplane still runs"
grep -q 'dataplane did not stop .* killed' "$CALLSTACK_RUNDIR/supervisor.log" || fail "nothing said about the deaf one"

step "bad options"
for bad in "--set nonsense=1" "--set workers=x" "--set workers" "--set" "--wrong" "--set callstackd.workers=1"; do
	code=0
	# shellcheck disable=SC2086 # two words are meant
	"$callstack" up --detach $bad >"$work/out" 2>&1 || code=$?
	[[ $code -ne 0 ]] || fail "$bad was taken"
	[[ -s $work/out ]] || fail "$bad was refused without a word"
	[[ ! -e $CALLSTACK_RUNDIR/lock ]] || fail "$bad started something"
done

step "two instances side by side"
"$callstack" up --detach
if CALLSTACK_RUNDIR=$work/run2 "$callstack" up --detach; then fail "two instances on one port"; fi
CALLSTACK_RUNDIR=$work/run2 "$callstack" up --detach --set listen.https_port=9443 >"$work/out"
grep -q :9443/ "$work/out" || fail "second instance"
CALLSTACK_RUNDIR=$work/run2 "$callstack" down
healthy || fail "the first was taken down with the second"
"$callstack" down
echo "all well"
