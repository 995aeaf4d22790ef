#!/bin/sh
# Runs every lint and says of each whether it is green; one that a missing tool prevents is skipped.
# Exit 1 if one is red. `make check` sets KERNEL, KERNEL_BF16, EXAMPLE_KERNEL, FLAGS_BF16 (empty: no
# ISA of this machine has them), CC, FLAGS and LIB. Usage: check.sh
set -u

status=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

step() { # NAME COMMAND...
    name=$1
    shift
    if "$@" >"$log" 2>&1; then
        echo "$name: ok"
    else
        cat "$log"
        echo "$name: RED"
        status=1
    fi
}

# installed NAME...: those of these programs that are, one a line
installed() {
    for f; do
        if command -v "$f" >/dev/null 2>&1; then echo "$f"; fi
    done
}

# first NAME...: the first of them
first() {
    installed "$@" | grep -m 1 .
}

# Other versions lay the same .clang-format out differently.
formatter() {
    f=$(first clang-format-14 clang-format) && "$f" --version | grep -q 'version 14\.' && echo "$f"
}

format_check() {
    "$1" --dry-run -Werror $sources
}

# tidy_some TIDY FLAGS FILE...: three files at a time on two cores
tidy_some() {
    tidy=$1 flags=$2
    shift 2
    # shellcheck disable=SC2016
    printf '%s\n' "$@" |
        xargs -n 3 -P 2 sh -c 't=$1 f=$2; shift 2; exec "$t" --quiet "$@" -- $f' sh "$tidy" "$flags"
}

# paths NAME...: files of these kernels, one a line
paths() {
    [ $# = 0 ] || printf 'kernels/%s.c\n' "$@"
}

examples() { # the same of kernels that are examples
    printf 'bench/examples/%s.c\n' "$@"
}

# Kernel files are compiled per ISA: they are looked at as scalar and as counting code, those of
# bf16 as counting code and, where that can be compiled, as their own ISA's.
tidy_check() {
    kernels="$(paths $KERNEL) $(examples $EXAMPLE_KERNEL)"
    bf16=$(paths $KERNEL_BF16)
    plain=$(find kernels models engine bench tools -name '*.c' | sort |
        grep -vxF "$(paths $KERNEL $KERNEL_BF16; examples $EXAMPLE_KERNEL)")
    red=0
    tidy_some "$1" "$FLAGS" $plain || red=1
    for isa in scalar count8; do
        tidy_some "$1" "$FLAGS -DRB_BUILD=$isa -DRB_BUILD_$isa=1" $kernels || red=1
    done
    tidy_some "$1" "$FLAGS -DRB_BUILD=count8 -DRB_BUILD_count8=1" $bf16 || red=1
    if [ -n "$FLAGS_BF16" ]; then
        tidy_some "$1" "$FLAGS $FLAGS_BF16 -DRB_BUILD=avx512 -DRB_BUILD_avx512=1" $bf16 || red=1
    fi
    return $red
}

sources=$(find kernels models engine bench tools tests -name '*.[ch]' | sort)
step "layers" sh tests/check_layers.sh
step "style" sh tests/check_style.sh . "$LIB" $KERNEL $KERNEL_BF16
step "counting" sh tests/check_counting.sh . $KERNEL $KERNEL_BF16 \
    $(printf 'bench/examples/%s\n' $EXAMPLE_KERNEL)
step "limits in READMEs" sh tests/check_limits.sh
step "instructions" sh tests/check_isa.sh "$LIB" "$(dirname "$LIB")"/tools/*.o
step "hosts" sh tests/check_hosts.sh . $(installed "$CC" clang aarch64-linux-gnu-gcc)
step "the lints themselves" sh tests/check_lints.sh

if f=$(formatter); then
    step "clang-format" format_check "$f"
else
    echo "clang-format: skipped, version 14 is not installed"
fi
if t=$(first clang-tidy-14 clang-tidy); then
    step "clang-tidy" tidy_check "$t"
else
    echo "clang-tidy: skipped, it is not installed"
fi
# invalidPointerCast: tensor data are bytes until someone who knows their type reads them.
if c=$(first cppcheck); then
    step "cppcheck" "$c" --quiet --std=c11 --enable=warning,performance,portability -j2 \
        --inline-suppr --error-exitcode=1 --suppress=invalidPointerCast -D__x86_64__=1 \
        -D__SIZEOF_POINTER__=8 -D__BYTE_ORDER__=1 -D__ORDER_LITTLE_ENDIAN__=1 -DRB_BUILD=scalar -DRB_BUILD_scalar=1 \
        kernels models engine bench tools
else
    echo "cppcheck: skipped, it is not installed"
fi
if s=$(first shellcheck); then
    step "shellcheck" "$s" -s sh -S warning -e SC2046 tests/*.sh tests/cross/*.sh .ci/deps \
        tools/deb/build tools/deb/try
    step "shellcheck, bash" "$s" -s bash -S warning tools/completion/rbench.bash
else
    echo "shellcheck: skipped, it is not installed"
fi
exit $status
