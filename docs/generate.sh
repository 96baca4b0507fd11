#!/bin/sh
# generate.sh write|check FILE STAMP COMMAND...: FILE is what COMMAND prints. check: is it?
set -eu
mode=$1 file=$2 stamp=$3
shift 3
new=$(mktemp)
trap 'rm -f "$new"' EXIT
"$@" >"$new"
if [ "$mode" = check ]; then
	diff -u "$file" "$new" || { echo "$file is not current: ninja generated" >&2; exit 1; }
else
	cmp -s "$new" "$file" || cat "$new" >"$file"
	: >"$stamp"
fi
