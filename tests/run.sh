#!/bin/sh
# Runs test programs and Python checks one after another, each once per ISA cap in ISA_CAPS that the
# machine has but its own, the last of them (default: once, uncapped), and adds up what they report.
# The last line is "N passed, N failed[, N skipped]"; a program that ends early counts as failed. Exit
# 1 on a failure. RUNNER: what runs programs of another machine.
# Usage: run.sh PROGRAM|SCRIPT.py...
set -u

passed=0 failed=0 skipped=0
python=${PYTHON:-python3}
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
trap 'exit 130' INT TERM
# Criterion runs each test as a process that shares memory with it, which leak checking cannot follow
# (leaks.sh looks instead); tests that expect a fault want the signal itself.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0:handle_segv=0}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

# Adds up the TAP report of one program: "passed failed". What its plan promises and it does not
# report is failed, and so is a program that says nothing or exits in error without a failed test.
count_tap() {
    awk -v rc="$2" '
        /^1\.\.[0-9]+/ { planned = substr($1, 4) + 0 }
        /^ok / && !/# SKIP/ { passed++ }
        /^ok / && /# SKIP/ { skipped++ }
        /^not ok / { failed++ }
        END {
            lost = planned - passed - failed - skipped
            if (lost > 0) failed += lost
            if (!failed && (rc != 0 || passed + skipped == 0)) failed = 1
            print passed + 0, failed + 0, skipped + 0
        }' "$1"
}

run_program() {
    : >"$out/tap"
    ${RUNNER:-} "$1" -j1 --tap="$out/tap" >"$out/log" 2>&1
    rc=$?
    set -- "$1" $(count_tap "$out/tap" $rc)
    if [ "$3" != 0 ]; then
        cat "$out/log"
        grep '^not ok' "$out/tap"
        echo "$1 exited $rc"
    fi
    report "$(basename "$1")" "$2" "$3" "$4"
}

run_script() {
    if ! command -v "$python" >/dev/null 2>&1; then
        report "$(basename "$1")" 0 0 1 "$python is not installed"
    elif ! "$python" "$1" >"$out/log" 2>&1; then
        cat "$out/log"
        report "$(basename "$1")" 0 1 0
    elif grep -q '^skipped' "$out/log"; then
        report "$(basename "$1")" 0 0 1 "$(sed -n 's/^skipped: *//p' "$out/log")"
    else
        cat "$out/log"
        report "$(basename "$1")" 1 0 0
    fi
}

report() { # name passed failed skipped [why]
    line=$(printf '%-28s %4d passed' "$1" "$2")
    [ "$3" = 0 ] || line="$line, $3 FAILED"
    [ "$4" = 0 ] || line="$line, $4 skipped${5:+: $5}"
    echo "$line"
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
}

run_all() {
    for t; do
        case $t in
        *.py) run_script "$t" ;;
        *) run_program "$t" ;;
        esac
    done
}

has_isa() { # by the program that stands beside the tests
    "$(dirname "$1")/../rbench" predict smollm2-135m -p 1 -n 0 --isa "$2" >/dev/null 2>&1
}

if [ -z "${ISA_CAPS:-}" ]; then
    run_all "$@"
else
    own=
    for isa in $ISA_CAPS; do
        if has_isa "$1" "$isa"; then
            caps="${caps:+$caps }$isa" own=$isa
        else
            echo "RBENCH_ISA=$isa: skipped, this machine does not have it"
        fi
    done
    for isa in ${caps:-}; do
        if [ "$isa" = "$own" ] && [ "$caps" != "$own" ]; then
            echo "RBENCH_ISA=$isa: left out, as it is what runs without a cap"
        else
            echo "RBENCH_ISA=$isa"
            export RBENCH_ISA="$isa"
            run_all "$@"
            unset RBENCH_ISA
        fi
    done
fi

[ "$skipped" = 0 ] && extra= || extra=", $skipped skipped"
echo "$passed passed, $failed failed$extra"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
