#!/usr/bin/env bash
# Installs the Debian packages that CallStack needs, as far as they are missing; what is there is not touched.
#
#   conf/deps.sh [build] [run] [test]      all three when none is named
#   conf/deps.sh bench                     for bench/loadgen, and the servers that bench/peers compares with
#
# Quick and quiet when nothing is missing, and needs no root then.
set -euo pipefail

# In the order of DESIGN.md §13.
build=(
	gcc libc6-dev pkg-config meson ninja-build
	clang-14 clang bpftool linux-libc-dev
	libdpdk-dev libipsec-mb-dev libsrtp2-dev libssl-dev libnice-dev liburcu-dev
	libwebsockets-dev libwebsockets-evlib-uv libuv1-dev libre-dev
	libpq-dev libsqlite3-dev libhiredis-dev libbpf-dev libxdp-dev libelf-dev
	libjansson-dev libjwt-dev libcyaml-dev libyaml-dev libargon2-dev uthash-dev
	libnuma-dev libpcap-dev libcap-ng-dev libcmocka-dev
)
run=(
	dpdk librte-meta-net librte-meta-mempool
	iproute2 ethtool procps util-linux openssl ca-certificates curl
)
tests=(
	libclang-rt-14-dev llvm-14 shellcheck python3 jq iputils-ping nftables tcpdump
	libcurl4-openssl-dev
	chromium fonts-dejavu-core python3-aiortc python3-aiohttp python3-websockets
)
bench=(
	libcurl4-openssl-dev
	janus rtpengine-daemon
)
# Come with services that nobody asked for: masked before they are installed, so that none ever starts.
services=(janus rtpengine-daemon rtpengine-recording-daemon)

say() { printf 'deps: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# Prints those of its arguments that are neither installed nor provided.
missing() {
	local -A have=()
	local name

	while read -r name; do
		[[ -z $name ]] || have[$name]=1
	done < <(dpkg-query --show --showformat='${db:Status-Abbrev} ${binary:Package} ${Provides}\n' |
		sed -nE '/^.i /{ s/^.i +//; s/\([^)]*\)//g; s/:[a-z0-9-]+//g; s/[, ]+/\n/g; p }')
	for name in "$@"; do
		[[ -n ${have[$name]:-} ]] || printf '%s\n' "$name"
	done
}

install() {
	[[ $EUID -eq 0 ]] || die "missing packages, run me as root to install them: $*"
	say "installing $*"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update
	apt-get -qq install --yes --no-install-recommends --no-remove "$@" >/dev/null
}

# Only those of packages that are not there: who installed one by hand wants it to run.
mask_services() {
	local name

	[[ $EUID -eq 0 ]] || return 0
	for name in "${services[@]}"; do
		if ! dpkg-query --show "$name" >/dev/null 2>&1 && [[ ! -e /etc/systemd/system/$name.service ]]; then
			ln -s /dev/null "/etc/systemd/system/$name.service"
		fi
	done
}

main() {
	local group want=() todo=()

	command -v dpkg-query >/dev/null || die "this is for Debian 12; elsewhere install what $0 lists by hand"
	[[ $# -gt 0 ]] || set -- build run test
	for group in "$@"; do
		case $group in
		build) want+=("${build[@]}") ;;
		run) want+=("${run[@]}") ;;
		test) want+=("${tests[@]}") ;;
		bench)
			want+=("${bench[@]}")
			mask_services
			;;
		*) die "no such group: $group (build, run, test, bench)" ;;
		esac
	done
	mapfile -t todo < <(missing "${want[@]}")
	# Node may come from anywhere; Debian's own only where there is none.
	if [[ " $* " == *" build "* || " $* " == *" test "* ]]; then
		if ! command -v node >/dev/null; then
			todo+=(nodejs npm)
		elif ! command -v npm >/dev/null; then
			die "$(command -v node) is there without npm: install its npm too"
		fi
	fi
	[[ ${#todo[@]} -eq 0 ]] || install "${todo[@]}"
}

main "$@"
