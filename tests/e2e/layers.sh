#!/usr/bin/env bash
# Switches of simulcast, spatial and temporal layers, as a viewer's browser sees them: how soon, and with which freezes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_node
make_lo_ns
make_users 2
up --set dataplane.workers=2
in_ns env LAYERS_ONLY="${LAYERS_ONLY:-}" node "$root/tests/e2e/layers.mjs"
ctl drop-reasons
