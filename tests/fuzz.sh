#!/bin/sh
# Runs each libFuzzer target for FUZZ_SECONDS (default 30), FUZZ_JOBS (2) at a time, on the seeds that
# it makes itself and the corpus of earlier runs in tests/corpora, and says how many inputs ran, how
# many edges they reached, and about when the last new one came. Exit 1 if one finds anything; the
# input that did it stays in build/fuzz. With --keep it runs none, but puts what build/fuzz has of
# each target's corpus, as few inputs as reach the same edges, into tests/corpora.
# Usage: fuzz.sh [--keep] PROGRAM...
set -u

seconds=${FUZZ_SECONDS:-30}

# "E edges, the last after S s" of a log, which has inputs and, on the average, inputs a second.
edges() {
    awk '{ for (i = 1; i < NF; i++) if ($i == "cov:" && $(i + 1) > most) { most = $(i + 1); at = $0 } }
         END {
             n = split(at, word); sub("#", "", word[1])
             for (i = 1; i < n; i++) if (word[i] == "exec/s:" && word[i + 1] > 0) s = word[1] / word[i + 1]
             printf "%d edges, the last after %d s\n", most, s
         }' "$1"
}

one() {
    name=$(basename "$1")
    corpus=build/fuzz/${name#fuzz_}
    kept=tests/corpora/${name#fuzz_}.tar.xz
    log=build/fuzz/$name.log
    mkdir -p "$corpus"
    [ ! -f "$kept" ] || tar -xJf "$kept" -C "$corpus" || return 1
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

keep() {
    name=$(basename "$1")
    name=${name#fuzz_}
    few=$(mktemp -d) || return 1
    if "$1" -merge=1 -use_counters=0 -rss_limit_mb=2048 -timeout=10 "$few" "build/fuzz/$name" \
        >"build/fuzz/$name.log" 2>&1; then
        tar -cf - --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$few" . |
            xz -9e >"tests/corpora/$name.tar.xz"
        echo "$name: $(find "$few" -type f | wc -l) inputs"
    else
        echo "$name: FAILED, see build/fuzz/$name.log"
    fi
    rm -rf "$few"
}

case ${1:-} in
--one)
    one "$2"
    ;;
--keep)
    shift
    mkdir -p tests/corpora
    for program; do keep "$program"; done
    ;;
*)
    mkdir -p build/fuzz
    printf '%s\n' "$@" | xargs -n 1 -P "${FUZZ_JOBS:-2}" sh "$0" --one
    ;;
esac
