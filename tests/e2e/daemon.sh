#!/usr/bin/env bash
# callstackd and callstackctl as an operator meets them, without a dataplane; sanitized when that build is there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build
[[ ! -f $root/build-asan/build.ninja ]] || build=$root/build-asan
programs=(controlplane/callstackd controlplane/callstackctl controlplane/make_state)
ninja -C "$build" "${programs[@]}" >/dev/null
exec /usr/bin/python3 "$root/controlplane/ops/daemon_test.py" "${programs[@]/#/$build/}"
