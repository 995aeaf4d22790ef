#!/bin/sh
# Runs each libFuzzer target for FUZZ_SECONDS (default 30) on the corpus that it makes itself.
# Exit 1 if one finds anything; the input that did it stays in build/fuzz. Usage: fuzz.sh PROGRAM...
set -u

seconds=${FUZZ_SECONDS:-30}
status=0
mkdir -p build/fuzz
for f; do
    name=$(basename "$f")
    # An allocation that a hostile file asks for must be refused, not tried: 2 GiB is the limit.
    if "$f" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$name-" >"build/fuzz/$name.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log")
        echo "$name: $runs inputs in $seconds s, nothing found"
    else
        tail -40 "build/fuzz/$name.log"
        echo "$name: FAILED, see build/fuzz/$name.log"
        status=1
    fi
done
exit $status
