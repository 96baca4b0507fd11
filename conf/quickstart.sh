#!/usr/bin/env bash
# From a fresh Debian 12 to a call in the browser: installs packages, builds, starts both daemons on lo with three
# demo users, and prints where to go. Ctrl-C stops it. Run again, it is quick, and the logins are the same.
# Options are those of `conf/callstack up`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
callstack=$root/conf/callstack
ctl=${CALLSTACK_BUILD:-$root/build}/controlplane/callstackctl
export CALLSTACK_RUNDIR=${CALLSTACK_RUNDIR:-/run/callstack}
users=(alice bob carol)
first_extension=101
ctl_exists=5 # callstackctl's status when there is such a user or extension

die() {
	printf 'quickstart: %s\n' "$*" >&2
	exit 1
}

# shellcheck disable=SC2317 # called by the trap
stop() {
	trap '' INT TERM HUP EXIT
	"$callstack" down
}

# Without characters that look alike.
password() {
	local text=''

	while [[ ${#text} -lt 12 ]]; do
		text+=$(head -c 64 /dev/urandom | LC_ALL=C tr -dc 'a-km-np-z2-9')
	done
	printf '%s' "${text:0:12}"
}

# One "NAME PASSWORD EXTENSION" a line, made once.
make_logins() {
	local i

	(
		umask 077
		for i in "${!users[@]}"; do
			printf '%s %s %s\n' "${users[i]}" "$(password)" $((first_extension + i))
		done >"$1.new"
	)
	mv "$1.new" "$1"
}

# Whoever exists gets the password that is about to be printed.
add_users() {
	local name pass extension code

	while read -r name pass extension; do
		code=0
		"$ctl" user add "$name" --password - --extension "$extension" >/dev/null 2>&1 <<<"$pass" || code=$?
		if ((code == ctl_exists)); then
			code=0
			"$ctl" user passwd "$name" --password - >/dev/null <<<"$pass" || code=$?
		fi
		((code == 0)) || die "callstackctl cannot add the user $name (status $code)"
	done <"$1"
}

[[ $EUID -eq 0 ]] || die "run me as root: sudo conf/quickstart.sh"
"$callstack" build
trap stop EXIT
trap 'exit 130' INT TERM HUP
"$callstack" up --interface lo --address 127.0.0.1 "$@" --detach
logins=$(<"$CALLSTACK_RUNDIR/datadir")/demo-logins
[[ -s $logins ]] || make_logins "$logins"
add_users "$logins"

cat <<TEXT

  CallStack is up. Open $(<"$CALLSTACK_RUNDIR/url")/ in two tabs or more
  (its certificate was made here: accept it once), and log in as

$(awk '{ printf "      %-8s password %s   extension %s\n", $1, $2, $3 }' "$logins")

  Ctrl-C stops it.

TEXT
# Ends with the instance, whoever stopped it.
while [[ -f $CALLSTACK_RUNDIR/lock ]] && ! flock --nonblock "$CALLSTACK_RUNDIR/lock" true; do
	sleep 1
done
die "stopped by someone else"
