#!/usr/bin/env bash
# Every test there is: installs what they need, builds, runs them.
#
#   tests/run.sh [PATTERN…]    only the tests whose name has a PATTERN (unit, asan/ring_test, e2e/…)
#
# One line a test: `ok NAME`, `not ok NAME (LOG)` with what failed and the log's end, `skip NAME: REASON`. The last line is
# `N passed, N failed`; status 0 only without a failure. Logs: build/test-logs. Build folders are kept, so that the
# second run is quick.
#
# Names: lint/… the scripts; unit/… asan/… tsan/… the unit tests in three builds; web/… the browser client's own;
#   fuzz/… each fuzzer for FUZZ_SECONDS (5) on its corpus; e2e/… the stories, each with E2E_TIMEOUT (300) seconds.
#   Unit tests have TEST_SLOWNESS (4) times the seconds that they ask for: machines are shared, sanitizers slow.
# A story exits 77 to be skipped; its last line says why.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=$root/build/test-logs
fuzz_seconds=${FUZZ_SECONDS:-5}
e2e_timeout=${E2E_TIMEOUT:-300}
slowness=${TEST_SLOWNESS:-4}
patterns=("$@")
passed=0
failed=0
child= # what runs now

# ---- results --------------------------------------------------------------------------------------------------

ok() {
	printf 'ok %s\n' "$1"
	passed=$((passed + 1))
}

not_ok() {
	printf 'not ok %s (%s)\n' "$1" "$2"
	{ grep -m 20 -E '^ *(FAIL|not ok)|Error: |ERROR: |ended after' "$2" || true; } 2>/dev/null | sed 's/^/    /'
	tail -n 25 "$2" 2>/dev/null | sed 's/^/    | /' || true
	failed=$((failed + 1))
}

skip() { printf 'skip %s: %s\n' "$1" "$2"; }

wanted() {
	local pattern

	[[ ${#patterns[@]} -gt 0 ]] || return 0
	for pattern in "${patterns[@]}"; do
		[[ $1 != *"$pattern"* ]] || return 0
	done
	return 1
}

# True when some test of the group may be wanted: of pattern "unit" or "unit/ring" only unit, of "ring" each.
wanted_group() {
	local pattern

	[[ ${#patterns[@]} -gt 0 ]] || return 0
	for pattern in "${patterns[@]}"; do
		case $pattern/ in
		"$1"/*) return 0 ;;
		lint/* | unit/* | asan/* | tsan/* | web/* | fuzz/* | e2e/*) ;;
		*) return 0 ;;
		esac
	done
	return 1
}

log_of() { printf '%s/%s.log' "$logs" "${1//\//.}"; }

# `timeout` makes a process group; what a story forgot of it must not slow down the next one.
end_group() {
	kill -TERM -- "-$1" 2>/dev/null || return 0
	sleep 1
	kill -KILL -- "-$1" 2>/dev/null || true
}

# run NAME SECONDS COMMAND…: one test that is one command.
run() {
	local name=$1 seconds=$2 log code=0

	shift 2
	wanted "$name" || return 0
	log=$(log_of "$name")
	timeout --kill-after=10 "$seconds" "$@" >"$log" 2>&1 </dev/null &
	child=$!
	wait "$child" || code=$?
	end_group "$child"
	child=
	case $code in
	0) ok "$name" ;;
	77) skip "$name" "$(tail -n 1 "$log" | sed -E 's/^skip(ped)?: *//')" ;;
	124 | 137)
		printf '(ended after %s s)\n' "$seconds" >>"$log"
		not_ok "$name" "$log"
		;;
	*) not_ok "$name" "$log" ;;
	esac
}

# ---- builds ---------------------------------------------------------------------------------------------------

# prepare NAME FOLDER OPTION…: sets up and builds; a failure is a failed test of that name.
prepare() {
	local name=$1 dir=$root/$2 log

	shift 2
	log=$(log_of "$name")
	if {
		if [[ ! -f $dir/build.ninja ]]; then
			meson setup "$@" "$dir" "$root"
		elif [[ ! -f $dir/.options || $(<"$dir/.options") != "$*" ]]; then
			meson configure "$dir" "$@" # made by another version of this script
		fi
		printf '%s\n' "$*" >"$dir/.options"
		ninja -C "$dir" ${CALLSTACK_JOBS:+-j "$CALLSTACK_JOBS"}
	} >"$log" 2>&1; then
		return 0
	fi
	not_ok "$name" "$log"
	return 1
}

# Meson's results, one "RESULT NAME" a line, each test's output into its log.
read_meson_log() {
	python3 - "$1" "$2" "$logs" <<'PYTHON'
import json, re, sys
testlog, group, logs = sys.argv[1:]
for line in open(testlog, encoding="utf-8", errors="replace"):
    test = json.loads(line)
    name = test["name"].split(" / ")[-1]
    text = "\n".join(filter(None, (test.get("stdout"), test.get("stderr"), f"({test['result']})")))
    with open(f"{logs}/{group}.{name}.log", "w", encoding="utf-8") as log:
        print(text, file=log)
    why = re.findall(r"(?m)^skip(?:ped)?: *(.*)", text)
    print({"OK": "ok", "EXPECTEDFAIL": "ok", "SKIP": "skip"}.get(test["result"], "not_ok"), name, why[-1] if why else "")
PYTHON
}

# Sanitizers make gcc warn of what cannot be; warnings are the release build's business. The node that impairs the network
# is in this build, for its own tests and a story.
asan_build() {
	prepare build/asan build-asan -Db_sanitize=address,undefined \
		--buildtype=debugoptimized -Db_lundef=false -Dwerror=false -Dimpairment=true
}

# unit GROUP FOLDER: the unit tests of a build that is ready.
unit() {
	local group=$1 dir=$root/$2 result name why shown=0

	# A fixed layout: gcc 12's TSan cannot live with today's address space randomisation.
	setarch "$(uname -m)" --addr-no-randomize \
		meson test -C "$dir" --no-rebuild --suite unit --timeout-multiplier "$slowness" >"$(log_of "$group/meson")" 2>&1 </dev/null || true
	[[ -f $dir/meson-logs/testlog.json ]] || {
		not_ok "$group/meson" "$(log_of "$group/meson")"
		return 0
	}
	while read -r result name why; do
		wanted "$group/$name" || continue
		shown=1
		case $result in
		ok) ok "$group/$name" ;;
		skip) skip "$group/$name" "${why:-it said no reason}" ;;
		*) not_ok "$group/$name" "$(log_of "$group/$name")" ;;
		esac
	done < <(read_meson_log "$dir/meson-logs/testlog.json" "$group" | sort -k2)
	[[ $shown -eq 1 || ${#patterns[@]} -gt 0 ]] || not_ok "$group/meson" "$(log_of "$group/meson")"
}

# ---- groups ---------------------------------------------------------------------------------------------------

lint() {
	local script

	while read -r script; do
		run "lint/${script#"$root"/}" 60 shellcheck --severity=warning "$script"
	done < <(cd "$root" && { git ls-files || find conf tests .ci -type f; } 2>/dev/null |
		xargs -r grep -lE --max-count=1 '^#!(/usr)?/bin/(env )?(ba)?sh' 2>/dev/null | sed "s,^,$root/," | sort)
}

web() {
	local dir=$root/controlplane/web

	[[ -f $dir/package.json ]] || return 0
	if jq -e '.scripts.test' "$dir/package.json" >/dev/null; then
		run web/unit 300 npm --prefix "$dir" test --silent
	fi
}

fuzz() {
	local fuzzer name fresh corpus=()

	for fuzzer in "$root"/build-fuzz/tests/fuzz/fuzz_*; do
		[[ -f $fuzzer && -x $fuzzer ]] || continue
		name=${fuzzer##*/fuzz_}
		fresh=$root/build-fuzz/corpus/$name # what it finds goes here, not into the tree
		corpus=()
		[[ ! -d $root/tests/fuzz/corpus/$name ]] || corpus=("$root/tests/fuzz/corpus/$name")
		mkdir -p "$fresh"
		run "fuzz/$name" $((fuzz_seconds + 60)) "$fuzzer" -max_total_time="$fuzz_seconds" -timeout=10 \
			-rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$logs/fuzz.$name." \
			"$fresh" "${corpus[@]}"
	done
}

# The stories may have a package.json of their own (Playwright).
e2e_packages() {
	local dir=$root/tests/e2e lock

	[[ -f $dir/package-lock.json ]] || return 0
	lock=$(sha256sum <"$dir/package-lock.json")
	[[ ! -f $dir/node_modules/.lock || $(<"$dir/node_modules/.lock") != "$lock" ]] || return 0
	(cd "$dir" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error) &&
		printf '%s\n' "$lock" >"$dir/node_modules/.lock"
}

e2e() {
	local story

	e2e_packages >"$(log_of e2e/packages)" 2>&1 || not_ok e2e/packages "$(log_of e2e/packages)"
	for story in "$root"/tests/e2e/*.sh "$root"/tests/e2e/*_test; do
		[[ -f $story && -x $story ]] || continue
		run "e2e/$(basename "$story" .sh)" "$e2e_timeout" "$story"
	done
}

# ---------------------------------------------------------------------------------------------------------------

summary() {
	printf '%d passed, %d failed\n' "$passed" "$failed"
	[[ $failed -eq 0 ]]
}

main() {
	trap '[[ -z $child ]] || kill "$child"; exit 130' INT TERM
	mkdir -p "$logs"
	rm -f "$logs"/*
	export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
	export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$root/tests/lsan.supp:print_suppressions=0}
	export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
	export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

	"$root/conf/deps.sh" build run test >"$(log_of build/deps)" 2>&1 || not_ok build/deps "$(log_of build/deps)"
	if "$root/conf/callstack" build >"$(log_of build/product)" 2>&1; then
		ok build/product
	else
		not_ok build/product "$(log_of build/product)"
	fi
	! wanted_group lint || lint
	if wanted_group unit && prepare build/release build --buildtype=release; then
		unit unit build
	fi
	if wanted_group asan || wanted e2e/impaired; then
		if asan_build && wanted_group asan; then
			unit asan build-asan
		fi
	fi
	if wanted_group tsan && prepare build/tsan build-tsan -Db_sanitize=thread \
		--buildtype=debugoptimized -Db_lundef=false -Dwerror=false; then
		unit tsan build-tsan
	fi
	! wanted_group web || web
	if wanted_group fuzz && CC=clang prepare build/fuzz build-fuzz -Dfuzzers=true --buildtype=debugoptimized; then
		fuzz
	fi
	! wanted_group e2e || e2e
	summary
}

main
