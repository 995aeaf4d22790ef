#!/bin/sh
# Lint of the hosts: what cannot run rbench is refused before anything is compiled, with the reason,
# and what can is let through. Machines are the compiler's own modes or, where it has no such mode,
# its macros. Usage: check_hosts.sh [ROOT [COMPILER...]]
set -u
cd "${1:-.}" || exit 1
[ $# = 0 ] || shift
[ $# != 0 ] || set -- "${CC:-gcc}"
tried=0
status=0

# host "WANTED" COMPILER FLAG...: WANTED is a part of the error; empty: the machine is fine.
host() {
    wanted=$1
    shift
    tried=$((tried + 1))
    said=$("$@" -x c -fsyntax-only kernels/host.h 2>&1)
    code=$?
    if [ -z "$wanted" ] && [ $code != 0 ]; then
        echo "$*: refused, wanted: let through"
    elif [ -n "$wanted" ] && [ $code = 0 ]; then
        echo "$*: let through, wanted: $wanted"
    elif [ -n "$wanted" ] && ! echo "$said" | grep -q "#error.*$wanted"; then
        echo "$*: refused without the reason '$wanted':"
        echo "$said" | head -3
    else
        return
    fi
    status=1
}

for cc; do
    host "" "$cc"
    host "64-bit" "$cc" -U__SIZEOF_POINTER__ -D__SIZEOF_POINTER__=4
    host "little-endian" "$cc" -U__BYTE_ORDER__ -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__
    host "x86-64 or AArch64" "$cc" -U__x86_64__ -U__aarch64__
    case $("$cc" -dumpmachine) in
    x86_64*)
        host "64-bit" "$cc" -m32
        host "64-bit" "$cc" -mx32
        ;;
    aarch64*)
        host "64-bit" "$cc" -mabi=ilp32
        host "little-endian" "$cc" -mbig-endian
        ;;
    esac
done

# Every file of the program includes it: the first that is compiled says why.
grep -q '#include "host.h"' kernels/types.h || {
    echo "kernels/types.h: does not include host.h"
    status=1
}
[ $status != 0 ] || echo "check_hosts.sh: $tried hosts"
exit $status
