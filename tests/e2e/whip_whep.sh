#!/usr/bin/env bash
# aiortc publishes by WHIP and plays by WHEP against Chromium at the other end; a WHEP player in Chromium too.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_veth_ns
make_users 2
up --interface "$server_if" --address 198.18.1.1
export CALLSTACK_URL=https://198.18.1.1:8443
token=$(ctl token --user u2)

mkfifo "$work/viewer.in"
in_client node "$root/tests/e2e/whip_whep.mjs" viewer <"$work/viewer.in" >"$work/viewer.log" 2>&1 &
viewer=$!
pids+=("$viewer")
exec 3>"$work/viewer.in"
for _ in $(seq 100); do grep -q ready "$work/viewer.log" && break; sleep 0.2; done

in_client /usr/bin/python3 "$root/tests/e2e/aio.py" whip "$CALLSTACK_URL/whip/studio?name=robot" "$token" 40 >"$work/whip.log" 2>&1 &
whip=$!
pids+=("$whip")
for _ in $(seq 50); do grep -q publishing "$work/whip.log" && break; sleep 0.2; done
cat "$work/whip.log"

echo "aiortc plays the room by WHEP:"
in_client /usr/bin/python3 "$root/tests/e2e/aio.py" whep "$CALLSTACK_URL/whep/studio/u1" "$token" 6
echo "aiortc plays aiortc by name:"
in_client /usr/bin/python3 "$root/tests/e2e/aio.py" whep "$CALLSTACK_URL/whep/studio/robot" "$token" 6
echo "aiortc follows a room whose publishers leave and come:"
in_client /usr/bin/python3 "$root/tests/e2e/aio.py" follow "$CALLSTACK_URL" "$token" stage
echo "Chromium plays the room by WHEP:"
in_client node "$root/tests/e2e/whip_whep.mjs" player
wait "$whip"
echo >&3
wait "$viewer" && status=0 || status=$?
cat "$work/viewer.log"
[ "$status" -eq 0 ]
