#!/usr/bin/env bash
# RED (RFC 2198): Chromium publishes with RED first; who took RED gets it, a browser and an aiortc player that did not hear plain Opus.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_veth_ns
make_users 4
up --interface "$server_if" --address 198.18.1.1 --set dataplane.workers=2
export CALLSTACK_URL=https://198.18.1.1:8443
token=$(ctl token --user u4)

mkfifo "$work/pages.in"
in_client node "$root/tests/e2e/red.mjs" <"$work/pages.in" >"$work/pages.log" 2>&1 &
pages=$!
pids+=("$pages")
exec 3>"$work/pages.in"
for _ in $(seq 300); do
	grep -q ready "$work/pages.log" && break
	kill -0 "$pages"
	sleep 0.2
done
echo "aiortc plays by WHEP what comes as RED:"
in_client /usr/bin/python3 "$root/tests/e2e/aio.py" whep "$CALLSTACK_URL/whep/den/u1" "$token" 6 | tee "$work/heard"
/usr/bin/python3 -c 'import json, sys; s = json.load(sys.stdin); sys.exit(not (s["loud"] and 430 < s["hz"] < 450))' <"$work/heard"
echo >&3
wait "$pages" && status=0 || status=$?
cat "$work/pages.log"
in_ns curl -fsS http://127.0.0.1:9464/metrics | awk '/^callstack_red_unwrapped_total/ {print; n += $2}
	/^callstack_drop_total{.*red_malformed/ {bad += $2}
	END {exit !(n > 100) || bad}'
[ "$status" -eq 0 ]
