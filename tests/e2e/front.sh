#!/usr/bin/env bash
# The HTTPS and WebSocket front against real clients, friendly and hostile; sanitized when that build is there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build
[[ ! -f $root/build-asan/build.ninja ]] || build=$root/build-asan
server=controlplane/signaling/front_test_server
ninja -C "$build" "$server" >/dev/null
exec /usr/bin/python3 -W ignore "$root/controlplane/signaling/front_test.py" "$build/$server"
