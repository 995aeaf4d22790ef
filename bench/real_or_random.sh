#!/bin/sh
# Whether random weights stand for real ones: a GGUF file against one of its shape with each tensor
# in its type (rbench synth --like). Counts have to be identical (exit 3); of times the table has
# ratios with intervals. The options are those of a benchmark.
#   bench/real_or_random.sh FILE.gguf [-p 512 -n 128 -r 10 ...]
# RBENCH names another program than ./rbench, TMPDIR where the second file goes.
set -e
file=$1
[ -n "$file" ] || { echo "usage: $0 FILE.gguf [options of a benchmark]" >&2; exit 2; }
shift
rbench=${RBENCH:-./rbench}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$rbench" synth --like "$file" -o "$dir/random.gguf"
"$rbench" "$file" "$@" -o jsonl >"$dir/real"
"$rbench" "$dir/random.gguf" "$@" -o jsonl >"$dir/random"
cd "$dir"
case $rbench in /*) ;; *) rbench=$OLDPWD/$rbench ;; esac
"$rbench" compare --any-weights real random
