#!/bin/sh
# Fails when a dataplane could lose packets on purpose: check_no_impairment.sh CALLSTACK-DATAPLANE
set -eu
symbols=$(nm "$1")
echo "$symbols" | grep -q ' dp_nodes_init$' || { echo "$1: has no symbols to look at"; exit 1; }
if echo "$symbols" | grep -E ' (dp_impair|dp_line|dp_wire)'; then
	echo "$1: has the impairment node"
	exit 1
fi
if said=$("$1" --set impairment.seed=1 --check-config 2>&1); then
	echo "$1: takes the option impairment.seed"
	exit 1
fi
echo "$said" | grep -q 'impairment.seed: no such option' || { echo "$said"; exit 1; }
