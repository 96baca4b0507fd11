#!/usr/bin/env bash
# The same work before CallStack, Janus and rtpengine, one after another on this machine: one publisher, 200 who watch,
# 1200 B, AES-GCM. For each the highest packet rate without loss and with a
# p99 under 100 ms, then the latency at a rate that all can carry.
#
#   sudo bench/peers/compare.sh [callstack] [janus] [rtpengine]      all three when none is named
#
# Environment: RUNS (1): searches of each server; the best counts, the median is told. STEP (3): seconds a step.
#   TRIES (3): of a step. SUBSCRIBERS (200). OUT (build/bench/compare.json): everything as JSON. SERVER_CPU, GENERATOR_CPU: the last two allowed
#   CPUs. FEEDBACK (twcc): of receivers in the searches; or remb, or none. NICE (-10): of servers and generator, so that what else runs here disturbs less. TRANSPORT (af_xdp, or sockets): the generator's, the same for all servers.
#
# Two network namespaces and a veth, made here and removed at the end; nothing outside is touched. The server runs
# on SERVER_CPU with all its threads, the generator on the other CPU. What is not comparable: docs/performance.md.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
loadgen=$root/build/bench/loadgen/loadgen
runs=${RUNS:-1} tries=${TRIES:-3} step=${STEP:-3} subscribers=${SUBSCRIBERS:-200}
transport=${TRANSPORT:-af_xdp} nice=${NICE:--10} feedback=${FEEDBACK:-twcc}
warm_up=6 # seconds before each step: for an estimate to follow
[[ $feedback != none ]] || warm_up=0
out=${OUT:-$root/build/bench/compare.json}
ns=cs-peers-$$ client_ns=cs-peers-$$-c
server_if=vp$$s client_if=vp$$c
server=198.18.7.1 client=198.18.7.2
work=$(mktemp -d /dev/shm/callstack-peers-XXXXXX)
export CALLSTACK_RUNDIR=$work/run CALLSTACK_DATADIR=$work/data
server_pid=

say() { printf 'compare: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# ---- machine --------------------------------------------------------------------------------------------------

choose_cpus() {
	local allowed

	mapfile -t allowed < <(/usr/bin/python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep="\n")')
	[[ ${#allowed[@]} -ge 2 ]] || die "needs two CPUs"
	server_cpu=${SERVER_CPU:-${allowed[-1]}}
	generator_cpu=${GENERATOR_CPU:-${allowed[-2]}}
}

# A veth has what is sent received on the sender's CPU: the generator's half of that is in the server's account, the same
# for all servers. (Moved to the generator's CPU by a NAPI thread, the 256 frames that a veth holds overflow.)
make_network() {
	ip netns add "$ns"
	ip netns add "$client_ns"
	ip link add "$server_if" netns "$ns" type veth peer name "$client_if" netns "$client_ns"
	ip -n "$ns" addr add $server/24 dev "$server_if"
	ip -n "$client_ns" addr add $client/24 dev "$client_if"
	ip -n "$ns" link set lo up
	ip -n "$client_ns" link set lo up
	ip -n "$ns" link set "$server_if" up
	ip -n "$client_ns" link set "$client_if" up
	ip netns exec "$client_ns" sysctl -qw net.core.netdev_max_backlog=16384 2>/dev/null || true
}

cleanup() {
	local status=$? name pid

	trap - EXIT INT TERM
	stop_server
	for name in "$ns" "$client_ns"; do
		for pid in $(ip netns pids "$name" 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
		ip netns del "$name" 2>/dev/null || true
	done
	[[ $status -eq 0 ]] || tail -n 20 "$work"/*.log "$CALLSTACK_RUNDIR"/*.log 2>/dev/null || true
	rm -rf "$work"
	exit "$status"
}

# nice counts within a session only where sessions are scheduled as groups.
favour() { # PID
	[[ ! -w /proc/$1/autogroup ]] || echo "$nice" >"/proc/$1/autogroup" 2>/dev/null || true
}

wait_for() { # SECONDS COMMAND…
	local until=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[[ $SECONDS -lt $until ]] || return 1
		sleep 0.1
	done
}

# ---- servers --------------------------------------------------------------------------------------------------

start_callstack() {
	mkdir -p "$CALLSTACK_RUNDIR" "$CALLSTACK_DATADIR"
	ip netns exec "$ns" nice -n "$nice" taskset -c "$server_cpu" "$root/conf/callstack" up --detach --interface "$server_if" \
		--address $server --set workers=1 --set lcores="$server_cpu" --set limits.participants=1000 \
		--set limits.request_rate=1000 >"$work/callstack.log" 2>&1 || return 1
	favour "$(<"$CALLSTACK_RUNDIR/callstack-dataplane.pid")"
	ip netns exec "$ns" "$root/build/controlplane/callstackctl" user add load --password load-load-load >/dev/null 2>&1 || true
	ip netns exec "$ns" "$root/build/controlplane/callstackctl" token --user load --ttl 3600 >"$work/token"
	words=(--set server.kind=whip --set "server.url=https://$server:8443" --set server.token_file="$work/token"
		--set server.rundir="$CALLSTACK_RUNDIR")
}

start_janus() {
	local conf=$work/janus

	mkdir -p "$conf/none"
	cat >"$conf/janus.jcfg" <<-CONF
		general: {
			configs_folder = "$conf"
			plugins_folder = "/usr/lib/$(uname -m)-linux-gnu/janus/plugins"
			transports_folder = "/usr/lib/$(uname -m)-linux-gnu/janus/transports"
			events_folder = "$conf/none"
			loggers_folder = "$conf/none"
			debug_level = 3
			event_loops = 1
			session_timeout = 0
			candidates_timeout = 0
			admin_secret = "none"
		}
		certificates: { }
		media: { ipv6 = false }
		nat: { ice_lite = true, ice_enforce_list = "$server", full_trickle = false }
		plugins: {
			disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so"
		}
		transports: {
			disable = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so,libjanus_websockets.so"
		}
		events: { broadcast = false }
	CONF
	printf 'general: { json = "compact", base_path = "/janus", http = true, port = 8088, https = false }\nadmin: { admin_http = false }\n' \
		>"$conf/janus.transport.http.jcfg"
	printf 'general: { }\n' >"$conf/janus.plugin.videoroom.jcfg"
	ip netns exec "$ns" nice -n "$nice" taskset -c "$server_cpu" janus -F "$conf" -C "$conf/janus.jcfg" >"$work/janus.log" 2>&1 &
	server_pid=$!
	words=(--set server.kind=janus --set "server.url=http://$server:8088/janus" --set "server.pids=$server_pid")
	wait_for 15 ip netns exec "$ns" curl -s --noproxy '*' http://$server:8088/janus/info
}

start_rtpengine() {
	ip netns exec "$ns" nice -n "$nice" taskset -c "$server_cpu" rtpengine --foreground --log-stderr --log-level=4 --table=-1 \
		--config-file=none --interface=$server --listen-ng=$server:2223 --port-min=20000 --port-max=40000 --num-threads=1 \
		--timeout=3600 --pidfile="$work/rtpengine.pid" >"$work/rtpengine.log" 2>&1 &
	server_pid=$!
	words=(--set server.kind=rtpengine --set "server.url=$server:2223" --set "server.pids=$server_pid")
	wait_for 15 sh -c "ip netns exec $ns ss -lun | grep -q :2223"
}

stop_server() {
	if [[ -n $server_pid ]]; then
		kill "$server_pid" 2>/dev/null || true
		wait "$server_pid" 2>/dev/null || true
		server_pid=
	elif [[ -d $CALLSTACK_RUNDIR ]]; then
		ip netns exec "$ns" "$root/conf/callstack" down >>"$work/callstack.log" 2>&1 || true
		rm -rf "$CALLSTACK_RUNDIR" "$CALLSTACK_DATADIR"
	fi
}

# ---- measuring ------------------------------------------------------------------------------------------------

net_words() {
	net=(--set net.transport="$transport" --set "net.address=$client")
	[[ $transport != af_xdp ]] || net+=(--set net.interface="$client_if" --set
		net.server_mac="$(ip netns exec "$ns" cat "/sys/class/net/$server_if/address")")
}

# run NAME JSON WORDS…: the server anew, and the generator before it.
run() {
	local name=$1 json=$2 status=0

	shift 2
	"start_$name" || die "$name does not start: $(tail -n 5 "$work/$name.log")"
	ip netns exec "$client_ns" nice -n "$nice" taskset -c "$generator_cpu" "$loadgen" --config "$root/bench/scenarios/one-to-200.yaml" \
		--set rooms.participants=$((subscribers + 1)) "${words[@]}" "${net[@]}" --set run.progress=false "$@" \
		--json "$json" >"$work/$name-table" || status=$?
	stop_server
	[[ $status -lt 2 && -s $json ]] || die "$name: the generator says it cannot"
}

best_of() { # NAME: kbit/s
	jq -s 'map(.figures.video_kbps) | max' "$work/search-$1"-*.json
}

# Twice: in coarse steps, then anew (a server may not recover from what was too much) in fine ones from there.
search() {
	local name i
	local words_all=(--set "feedback=$feedback" --set "run.warm_up=$warm_up")

	for name in "${names[@]}"; do
		for ((i = 1; i <= runs; i++)); do
			say "$name: highest rate without loss, run $i of $runs"
			run "$name" "$work/search-$name-$i-a.json" "${words_all[@]}" --set search.from=500 --set search.step="$step" \
				--set search.tries="$tries" --set search.factor=140 --set search.halves=0
			run "$name" "$work/search-$name-$i-b.json" "${words_all[@]}" --set search.step="$step" \
				--set search.tries="$tries" --set search.halves=0 --set search.factor=109 \
				--set search.from="$(jq '.figures.video_kbps * 109 / 100 | floor | if . < 500 then 500 else . end' "$work/search-$name-$i-a.json")"
		done
	done
}

# 70 % of what the slowest carries.
common_rate() {
	local name rate

	rate=$(for name in "${names[@]}"; do best_of "$name"; done | sort -n | head -n 1)
	common=$((rate * 7 / 10))
	for name in "${names[@]}"; do
		say "$name: latency at $common kbit/s"
		run "$name" "$work/common-$name.json" --set video.bitrate="$common" --set run.duration=8 \
			--set run.max_loss=1000000
	done
}

gather() {
	local name

	for name in "${names[@]}"; do
		jq -n --arg name "$name" --slurpfile common "$work/common-$name.json" '{name: $name, common: $common[0],
			searches: [inputs]} | .rates = ([.searches | _nwise(2) | map(.figures.packets_per_second) | max] | sort)
			| .best = .rates[-1] | .median = (.rates[((.rates | length) - 1) / 2 | floor] + .rates[(.rates | length) / 2 | floor]) / 2' "$work/search-$name"-*.json
	done | jq -s --arg cpu "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" --arg kernel "$(uname -r | cut -d- -f1)" \
		--arg date "$(date -u +%F)" --arg load "$(cut -d' ' -f1-3 /proc/loadavg)" --argjson cpus "$(nproc --all)" \
		--arg transport "$transport" --argjson subscribers "$subscribers" --arg janus "$(dpkg-query -Wf '${Version}' janus 2>/dev/null)" \
		--arg rtpengine "$(dpkg-query -Wf '${Version}' rtpengine-daemon 2>/dev/null)" '{date: $date, cpu: $cpu, cpus: $cpus,
		kernel: $kernel, load: $load, generator: $transport, subscribers: $subscribers, janus: $janus, rtpengine: $rtpengine,
		servers: .}' >"$out"
}

show() {
	jq -r '
		def f: . * 10 | round / 10;
		(.servers[] | select(.name == "callstack")) as $us |
		"\(.date), \(.cpu), \(.cpus) CPUs, load \(.load)",
		(["server", "packets/s", "median", "of best", "p50 us", "p99 us", "p99.9 us", "CPU", "cycles"] | @tsv),
		(.servers[] | [.name, (.best | round), (.median | round),
			(if $us and .best > 0 then "\($us.best / .best * 100 | round / 100) x" else "-" end),
			(.common.figures.latency_us | (.p50 | f), (.p99 | f), (."p99.9" | f)),
			(.common.figures.server.cpu * 100 | round / 100), (.common.figures.server.cycles_per_packet | round)] | @tsv)' \
		"$out" | column -t -s "$(printf '\t')"
	printf 'packets/s: out of the server, without loss, at best and in the median of %s runs; latency, CPU and cycles a\npacket: all at %s kbit/s in (%s packets/s out). All of it: %s\n' \
		"$runs" "$common" "$(jq '.servers[0].common.figures.packets_per_second | round' "$out")" "$out"
}

main() {
	local name

	names=("$@")
	[[ $# -gt 0 ]] || names=(callstack janus rtpengine)
	[[ $EUID -eq 0 ]] || die "needs root, for network namespaces"
	[[ -x $loadgen ]] || die "no $loadgen: conf/deps.sh bench && meson setup --reconfigure build && ninja -C build"
	for name in "${names[@]}"; do
		declare -F "start_$name" >/dev/null || die "no such server: $name"
	done
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	favour $$
	choose_cpus
	make_network
	net_words
	search
	common_rate
	gather
	show
}

main "$@"
