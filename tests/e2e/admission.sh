#!/usr/bin/env bash
# Two are in a room; by the model of a very slow host a third does not fit: it is refused with the reason, by signaling and by WHIP,
# and the two inside lose nothing. When one leaves, it may come in. A model that others may write is not believed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_lo_ns
make_users 3

# A packet out takes 1.3 ms of a worker's second: two who send each other audio and video need at most 60 % of it.
cat >"$CALLSTACK_DATADIR/model.json" <<'JSON'
{"format": "callstack-cost-3", "tsc_hz": 1e9, "usable": 1, "error": 0.1,
 "ciphers": {"aes_128_gcm": {"in": 0, "in_byte": 0, "out": 1300000, "out_byte": 0}},
 "cached": 1, "cache": 0, "cache_in": 0, "mixed": 0, "video": 0, "endpoint": 0, "report": 0, "scan": 0,
 "handoff": 0, "link": 0, "feedback": 0, "cache_feedback": 0, "track": 0,
 "port": {"name": "slow", "in": 0, "in_byte": 0, "out": 0, "out_byte": 0, "max_pps": 0, "max_bps": 0},
 "memory": {"base": 0, "endpoint": 0, "subscription": 0, "video": 0, "audio": 0, "available": 0}}
JSON
chmod 600 "$CALLSTACK_DATADIR/model.json"
up --set admission.budget=80
ctl admission | tee "$work/before"
grep -q 'with a cost model' "$work/before"
token=$(ctl token --user u3)
export TOKEN=$token
in_ns node "$root/tests/e2e/admission.mjs"
ctl admission | tee "$work/after"
grep -q 'last refusal: the server is full: worker 0' "$work/after"
in_ns curl -fsS http://127.0.0.1:9464/metrics >"$work/metrics"
grep -E '^callstackd_admission' "$work/metrics"
refused=$(awk '$1 == "callstackd_admission_refused_total" {print $2}' "$work/metrics")
[ "$refused" -ge 2 ]
grep -q '^callstackd_admission_model 1$' "$work/metrics"
lines=$(grep -c 'admission: refused' "$CALLSTACK_RUNDIR/callstackd.log")
echo "refused $refused, log lines of it $lines"
[ "$lines" -ge 1 ] && [ "$lines" -lt "$refused" ]

echo "a model that others may write:"
in_ns "$root/conf/callstack" down >/dev/null
chmod 666 "$CALLSTACK_DATADIR/model.json"
up
ctl admission | tee "$work/distrusted"
grep -q 'no cost model' "$work/distrusted"
grep 'admission: without a model: .*chmod go-w' "$CALLSTACK_RUNDIR/callstackd.log"
