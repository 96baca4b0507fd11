#!/usr/bin/env bash
# The page itself, as the daemon serves it, in Chromium: log in, call, meet, share, chat, on a desk and on a phone.
# WEB_SHOTS=FOLDER keeps pictures of it; WEB_ONLY="CHAPTER…" runs only those chapters.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
[ -f "$root/controlplane/web/dist/index.html" ] || { echo "skip: the browser client is not built"; exit 77; }
make_lo_ns
make_users 3
up --interface lo --address 127.0.0.1 --set ring_timeout=15
in_ns env CALLSTACK_URL=https://127.0.0.1:8443 CALLSTACK_RUNDIR="$CALLSTACK_RUNDIR" node "$root/tests/e2e/web.mjs"
in_ns ss -Hlun "sport >= :10000 and sport <= :10015" | { ! grep .; } || { echo "a UDP socket on a media port"; exit 1; }
