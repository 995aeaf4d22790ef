#!/bin/sh
# Runs rbench on processors that are not there, under emulators of one program: x86-64 CPUs of other
# years, and AArch64 with and without dot products of bytes. There it runs as the ISA that they
# have, its self-checks pass and its counts are this machine's; an instruction that the CPU has not
# kills it. On AArch64 every row, count and kept ledger is checked besides, and suites are run. Says
# what is skipped because it is not installed; the last line adds up. Usage: run.sh
set -eu
cd "$(dirname "$0")/../.."
B=build/cross
ROOT=$PWD/build/arm64
passed=0 failed=0 skipped=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# Spinning threads would take the emulator's other thread its core.
export OMP_WAIT_POLICY=passive

# told NAME WRONG: one check, and what is wrong with it
told() {
    printf '%-28s %s\n' "$1" "${2:-ok}"
    if [ -z "$2" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

have() { # have PROGRAM...
    for p; do
        command -v "$p" >/dev/null && continue
        echo "cross: skipped, $p is not installed"
        skipped=$((skipped + 1))
        return 1
    done
}

model=$dir/small.gguf
./rbench synth --set arch=qwen3 --set n_layer=2 --set n_embd=64 --set n_ff=96 --set n_vocab=128 \
    --set n_head=4 --set n_head_kv=2 --set d_head=16 --set n_ctx=128 --type q8_0 -o "$model" \
    >/dev/null 2>&1

# sweep PROGRAM...: what a small sweep counted, in every phase and kernel; its records are in out
sweep() {
    "$@" "$model" --depth-sweep=1,2 -p 8 -n 2 -r 1 -t 2 --no-roofs -o jsonl 2>"$dir/err" \
        >"$dir/out" || cat "$dir/err"
    grep -o '"flops":[0-9]*\|"special":[0-9]*\|"bytes":{"weight[^}]*}' "$dir/out"
}

# runs_as ISA CPU PROGRAM...: the program under its emulator
runs_as() {
    isa=$1 cpu=$2 wrong=
    shift 2
    sweep "$@" >"$dir/counts" || wrong="it ends early; "
    cmp -s "$dir/counts" "$dir/here" || wrong="${wrong}its counts are not this machine's; "
    [ "$(grep -o '"isa":"[a-z0-9]*"' "$dir/out" | sort -u)" = "\"isa\":\"$isa\"" ] ||
        wrong="${wrong}it does not run as $isa; "
    "$@" verify "$model" -t 2 --no-roofs >"$dir/verify" 2>&1 || {
        cat "$dir/verify"
        wrong="${wrong}verify fails"
    }
    told "$cpu as $isa" "$wrong"
}

x86() {
    for cpu in qemu64=scalar Nehalem=scalar SandyBridge=scalar Haswell=avx2; do
        runs_as "${cpu#*=}" "${cpu%=*}" qemu-x86_64 -cpu "${cpu%=*}" ./rbench
    done
}

# side_by_side: each line NAME=COMMAND of stdin is a check
side_by_side() {
    cat >"$dir/jobs"
    # shellcheck disable=SC2016
    xargs -P "$(nproc)" -d '\n' -n 1 sh -c 'log=$0/${1%%=*}.log
        if sh -c "${1#*=}" >"$log" 2>&1; then rm "$log"; fi' "$dir" <"$dir/jobs"
    while IFS='=' read -r name _; do
        wrong=
        [ ! -e "$dir/$name.log" ] || { cat "$dir/$name.log" && wrong="see above"; }
        told "$name" "$wrong"
    done <"$dir/jobs"
}

# Not as it is shipped: GCC takes minutes to compile NEON's integer rows for speed or debugging.
# Two of its warnings are mistaken without -O2.
arm_make() {
    env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory B=$B ROOT="$ROOT" WERROR=1 \
        CC="aarch64-linux-gnu-gcc --sysroot=$ROOT" AR=aarch64-linux-gnu-ar \
        CFLAGS_release="-O1 -g0" CRITERION=$B/tests/cross/cross.o \
        EXTRA_CFLAGS="-Itests/cross/include -Wno-format-truncation -Wno-alloc-size-larger-than" "$@"
}

arm() {
    sh tests/cross/root.sh "$ROOT"
    arm_make $B/rbench $B/tests/cross/check $B/tests/ledger/ledger $B/tests/cross/cross.o
    arm_make $B/tests/test_vectors $B/tests/test_dtype $B/tests/test_experts
    a53="qemu-aarch64 -L $ROOT -cpu cortex-a53" a76="qemu-aarch64 -L $ROOT -cpu cortex-a76"
    runs_as neon cortex-a53 $a53 $B/rbench
    runs_as dotprod cortex-a76 $a76 $B/rbench
    side_by_side <<END
instructions=OBJDUMP=aarch64-linux-gnu-objdump sh tests/check_isa.sh $B/librbench.a $B/tools/*.o
rows-1=$a53 $B/tests/cross/check 0 4
rows-2=$a53 $B/tests/cross/check 1 4
rows-3=$a53 $B/tests/cross/check 2 4
rows-4=$a53 $B/tests/cross/check 3 4
rows-dotprod=$a76 $B/tests/cross/check 0 1 dotprod
ledger-neon=$a53 $B/tests/ledger/ledger neon | cmp - tests/vectors/ledger.txt
ledger-dotprod=$a76 $B/tests/ledger/ledger dotprod | cmp - tests/vectors/ledger.txt
vectors=RUNNER="$a76" sh tests/run.sh $B/tests/test_vectors
dtype=RUNNER="$a76" sh tests/run.sh $B/tests/test_dtype
experts=RUNNER="$a76" sh tests/run.sh $B/tests/test_experts
END
}

sweep ./rbench >"$dir/here"
[ "$(uname -m)" != x86_64 ] || ! have qemu-x86_64 || x86
! have aarch64-linux-gnu-gcc qemu-aarch64 apt-get || arm
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
