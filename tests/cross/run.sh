#!/bin/sh
# Builds the kernels for AArch64 with the cross compiler and runs check.c under an emulator.
# Says "skipped" where either is absent.
set -eu
cd "$(dirname "$0")/../.."
CC=aarch64-linux-gnu-gcc
command -v $CC >/dev/null && command -v qemu-aarch64 >/dev/null || {
    echo "cross: skipped ($CC and qemu-aarch64 are wanted)"
    exit 0
}
B=build/cross
mkdir -p $B
FLAGS="-std=gnu11 -O2 -g -fopenmp -ffp-contract=off -fno-math-errno -Wall -Wextra -Werror"
KERNELS=$(sed -n 's/^KERNEL := //p' Makefile)
BF16=$(sed -n 's/^KERNEL_BF16 := //p' Makefile)
OBJ=''
COMMANDS=''
compile() { # compile OBJECT FILE [FLAG...]
    COMMANDS="$COMMANDS$CC $FLAGS $3 -c -o $B/$1.o kernels/$2.c
"
    OBJ="$OBJ $B/$1.o"
}
build() { # build FILE ISA...
    k=$1
    shift
    for isa; do
        compile $k.$isa $k "-DRB_BUILD=$isa -DRB_BUILD_$isa=1"
    done
}
for k in $KERNELS; do
    build $k scalar neon count1 count8 count16
done
for k in $BF16; do
    build $k count1 count8 count16
done
for f in kernels/*.c; do
    f=$(basename $f .c)
    case " $KERNELS $BF16 matmul_blas " in
    *" $f "*) continue ;; # built above, or not for this check
    esac
    compile $f $f ""
done
JOBS=$(nproc)
printf %s "$COMMANDS" | xargs -P "$JOBS" -d '\n' -n 1 sh -c
$CC $FLAGS -o $B/check $OBJ tests/guard.c tests/ref.c tests/ref_moe.c tests/cross/check.c -lm
seq 0 $((JOBS - 1)) | xargs -P "$JOBS" -I N qemu-aarch64 -L /usr/aarch64-linux-gnu $B/check N "$JOBS"
