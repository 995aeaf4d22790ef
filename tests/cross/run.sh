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
OBJ=
for k in $KERNELS; do
    for isa in scalar neon count1 count8 count16; do
        $CC $FLAGS -DRB_BUILD=$isa -DRB_BUILD_$isa=1 -c -o $B/$k.$isa.o kernels/$k.c
        OBJ="$OBJ $B/$k.$isa.o"
    done
done
for f in attend_op cases cost count cpu dtype launch matmul_op ops prove registry tables view; do
    $CC $FLAGS -c -o $B/$f.o kernels/$f.c
    OBJ="$OBJ $B/$f.o"
done
$CC $FLAGS -o $B/check $OBJ tests/guard.c tests/ref.c tests/cross/check.c -lm
qemu-aarch64 -L /usr/aarch64-linux-gnu $B/check
