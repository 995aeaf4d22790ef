#!/bin/sh
# Runs each libFuzzer target for FUZZ_SECONDS (default 30), FUZZ_JOBS (2) at a time, on the corpus
# that it makes itself, and says how many inputs ran, how many edges they reached, and with which of
# them the last new edge came. Exit 1 if one finds anything; the input that did it stays in
# build/fuzz. Usage: fuzz.sh PROGRAM...
set -u

seconds=${FUZZ_SECONDS:-30}

# "E edges, the last at input K" of a log.
edges() {
    awk '{ for (i = 1; i < NF; i++) if ($i == "cov:" && $(i + 1) > most) { most = $(i + 1); at = $1 } }
         END { sub("#", "", at); print most + 0 " edges, the last at input " at + 0 }' "$1"
}

one() {
    name=$(basename "$1")
    log=build/fuzz/$name.log
    # An allocation that a hostile file asks for must be refused, not tried: 2 GiB is the limit.
    if "$1" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$name-" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "$name: $runs inputs in $seconds s, $(edges "$log"), nothing found"
    else
        tail -40 "$log"
        echo "$name: FAILED, see $log"
        return 1
    fi
}

if [ "${1:-}" = --one ]; then
    one "$2"
else
    mkdir -p build/fuzz
    printf '%s\n' "$@" | xargs -n 1 -P "${FUZZ_JOBS:-2}" sh "$0" --one
fi
