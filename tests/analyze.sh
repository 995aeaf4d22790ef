#!/bin/sh
# Runs gcc's -fanalyzer (12) over all sources, kernels as scalar code, two files at a time. Two of its
# warnings are off: it takes structs that functions return for uninitialised, and memory that a list
# keeps for leaked; ASan and LSan look for both (`make asan`). What else it says and is mistaken in
# stands below with the reason; anything new is red, and so is a line that it no longer says.
# `make analyze` sets KERNEL, KERNEL_BF16, EXAMPLE_KERNEL, CC, FLAGS and FLAGS_BF16 (empty: no ISA
# here has them).
set -u

accepted() {
    sed 's/ *#.*//' <<'END' | sort
bench/paper/claim_types.c put_row null-dereference # rows without a base are not chosen
bench/plot_legend.c put_spot_row null-dereference # what is shown has a spot
bench/verify.c gather null-dereference # its caller made it
kernels/registry.c rb_op_by_name null-dereference # every row has an op
models/attn/matrix.c reverse null-argument # without memory there are no rows
tools/prompt.c prompt_text null-argument # a text that was read is never NULL
END
}

# is_of FILE NAME...: whether it is the file of one of these
is_of() {
    file=$(basename "$1")
    shift
    case " $(printf '%s.c ' "$@") " in
    *" $file "*) return 0 ;;
    esac
    return 1
}

# analyse FILE FLAG...: "FILE FUNCTION WARNING" a line; what it says besides goes to stderr
analyse() {
    file=$1
    shift
    $CC $FLAGS "$@" -O1 -g0 -fanalyzer -fdiagnostics-plain-output -Wno-analyzer-malloc-leak \
        -Wno-analyzer-use-of-uninitialized-value -Wno-alloc-size-larger-than -Wno-format-truncation \
        -c "$file" -o /dev/null 2>&1 |
        awk -v file="$file" '
            / In function / { f = $NF; gsub(/[^A-Za-z0-9_]/, "", f) }
            / (warning|error): / {
                kind = $NF
                if (sub(/^\[-Wanalyzer-/, "", kind) && sub(/\]$/, "", kind))
                    print file, f, kind
                else
                    print file, f, "other"
                print > "/dev/stderr"
            }'
}

if [ "${1:-}" = --one ]; then
    shift
    analyse "$@"
    exit
fi

out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
for f in $(find kernels models engine bench tools -name '*.c' | sort); do
    if is_of "$f" $KERNEL_BF16; then
        [ -z "$FLAGS_BF16" ] || echo "$f $FLAGS_BF16 -DRB_BUILD=avx512 -DRB_BUILD_avx512=1"
    elif is_of "$f" $KERNEL $EXAMPLE_KERNEL; then
        echo "$f -DRB_BUILD=scalar -DRB_BUILD_scalar=1"
    else
        echo "$f"
    fi
done | xargs -P 2 -L 1 sh "$0" --one >"$out/said" 2>"$out/log"
sort -u "$out/said" >"$out/found"
accepted >"$out/accepted"
new=$(comm -23 "$out/found" "$out/accepted")
gone=$(comm -13 "$out/found" "$out/accepted")
[ -z "$new" ] || { cat "$out/log" && printf 'new: %s\n' "$new"; }
[ -z "$gone" ] || printf 'no longer said: %s\n' "$gone"
[ -z "$new$gone" ] && echo "-fanalyzer: ok, $(wc -l <"$out/accepted") findings explained"
