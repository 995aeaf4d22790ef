#!/bin/sh
# Lint of what the counting proof rests on (kernels/README.md): kernel files reach data through
# primitives only, intrinsics live in isa_*.h, kernels run through the one door. What the compiler
# and the proof cannot see is looked for here. Prints each offending line; exit 1 if there is one.
# Usage: check_counting.sh [ROOT [KERNEL_FILE_NAME|PATH_WITHOUT_.c...]]
# (default: KERNEL and KERNEL_BF16 of the Makefile)
set -u
cd "${1:-.}" || exit 1
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(sed -n 's/^KERNEL\(_BF16\)* := //p' Makefile)
[ $# -gt 0 ] || { echo "no kernel files are named"; exit 1; }

status=0
kernels=
for k; do
    case $k in
    */*) kernels="$kernels $k.c" ;;
    *) kernels="$kernels kernels/$k.c" ;;
    esac
done

# Source without comments and string literals, "FILE:LINE:text" per line.
code_of() {
    awk '
        FNR == 1 { inside = 0 }
        {
            text = ""
            rest = $0
            while (rest != "") {
                if (inside) {
                    end = index(rest, "*/")
                    if (!end) { rest = ""; continue }
                    rest = substr(rest, end + 2)
                    inside = 0
                } else {
                    begin = index(rest, "/*")
                    if (!begin) { text = text rest; rest = ""; continue }
                    text = text substr(rest, 1, begin - 1) " "
                    rest = substr(rest, begin + 2)
                    inside = 1
                }
            }
            if (text !~ /^[ \t]*#[ \t]*include/)
                gsub(/"([^"\\]|\\.)*"/, "\"\"", text)
            print FILENAME ":" FNR ":" text
        }' "$@"
}

# forbid WHAT_TO_DO PATTERN [FILTER...]: prints the lines of $lines that match, after FILTER
forbid() {
    what=$1 pattern=$2
    shift 2
    [ $# -gt 0 ] || set -- cat
    if "$@" <"$lines" | grep -E "^[^:]*:[0-9]+:(.*[^A-Za-z0-9_])?($pattern)" |
        sed "s|\$|   <- $what|" | grep .; then
        status=1
    fi
}

every=$(find kernels models engine bench tools -name '*.[ch]' | sort)
all=$(mktemp) && own=$(mktemp) || exit 1
trap 'rm -f "$all" "$own"' EXIT
code_of $every >"$all"
code_of $kernels $(grep -lE '^#include "(simd|rows)\.h"' kernels/*.h) >"$own"

# ---- kernel files and the headers that they share (rows.h ...): data is opaque ----

lines=$own
forbid "a kernel file includes rows.h and contracts, no system header" \
    '#[ 	]*include[ 	]*<' grep -v '<rbench/kernels/[a-z]*\.h>'
forbid "data is sf, vf or behind f32 *; numbers of the call enter by s_const((double)..)" \
    '(float|double|_Float16|__fp16)([^A-Za-z0-9_]|$)' sed 's/s_const((double)/s_const((/'
forbid "an f32, sf or vector has no members here: use a primitive" \
    '[A-Za-z0-9_)]*\]?(\.|->)bits([^A-Za-z0-9_]|$)'
forbid "an sf or a vector is made by a primitive: s_const, v_set, v_zero, v_load" \
    '\((const )?(sf|vf|vi|f32|f16|bf16|u8)\)[ ]*\{'
forbid "moves data uncounted: use v_load and v_store" \
    '(mem(cpy|move|set|cmp)|bcopy)[ ]*\('
forbid "arithmetic on data uncounted: use a primitive" \
    '(exp|exp2|expm1|log|log2|sqrt|tanh|pow|fabs|fma|fmax|fmin|sin|cos|erf|round|rint|floor|ceil)f?[ ]*\(' \
   
# No grep can tell sf's .v from a member of that name of a struct of the file's own: those are known.
awk -F: '
    {
        name = $1
        text = substr($0, length($1) + length($2) + 3)
        if (text ~ /struct [a-z_]+ \{/) in_struct = 1
        if (in_struct && text ~ /(\*|[ ,])v[;,]/) has_v[name] = 1
        if (text ~ /^}/) in_struct = 0
        line[NR] = $0; file[NR] = name; body[NR] = text
    }
    END {
        for (i = 1; i <= NR; i++) {
            text = body[i]
            if (has_v[file[i]])
                gsub(/(^|[^A-Za-z0-9_.>])w(\.|->)v([^A-Za-z0-9_]|$)/, " ", text)
            if (text ~ /[A-Za-z0-9_\])](\.|->)v([^A-Za-z0-9_]|$)/) {
                print line[i] "   <- an sf has no members here: use a primitive"
                bad++
            }
        }
        exit bad > 0
    }' "$own" || status=1
# A pointer to elements may be moved and handed to primitives, never followed.
awk -F: '
    {
        text = substr($0, length($1) + length($2) + 3)
        if (text ~ /^[A-Za-z]/) split("", data)     # a declaration at the left edge: a new function
        if (text ~ /^}/) split("", data)
        rest = text
        while (match(rest, /(^|[^A-Za-z0-9_])(f32|f16|bf16|u8) \*(const )?[A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])?/)) {
            found = substr(rest, RSTART, RLENGTH)
            rest = substr(rest, RSTART + RLENGTH)
            if (found ~ /\[/) continue              # an array of pointers: following it gives one
            sub(/.*\*(const )?/, "", found)
            data[found] = 1
            # the other names of the same declaration: "f32 *q, *acc"
            more = rest
            while (match(more, /^ *(=[^,;()]*(\([^()]*\))?[^,;()]*)?, *\*[A-Za-z_][A-Za-z0-9_]*/)) {
                name = substr(more, RSTART, RLENGTH)
                sub(/.*\*/, "", name)
                data[name] = 1
                more = substr(more, RSTART + RLENGTH)
            }
        }
        for (name in data) {
            follow = "(^|[^A-Za-z0-9_.>])" name "\\["
            star = "(^|[=(,{;&|!?:+-])[ ]*\\*" name "([^A-Za-z0-9_]|$)"
            probe = text
            if (probe ~ /(f32|f16|bf16|u8) \*/)
                gsub(/, *\*[A-Za-z_][A-Za-z0-9_]* *[=,;]/, ",", probe)
            gsub(/(f32|f16|bf16|u8) \*(const )?[A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])*(, *\*[A-Za-z_][A-Za-z0-9_]*)*/, "", probe)
            if (probe ~ follow || probe ~ star) {
                print $0 "   <- follows a pointer to data: use v_load, s_load"
                bad++
            }
        }
    }
    END { exit bad > 0 }' "$own" || status=1

# ---- everywhere ----

lines=$all
forbid "intrinsics live in kernels/isa_*.h" \
    '_mm(256|512)?_|__m(128|256|512)|_tile_|v(ld|st)[1-4]q?_|v[a-z]+q?_(f|s|u)(8|16|32|64)[ ]*\(' \
    grep -v '^kernels/isa_[a-z0-9]*\.h:'
forbid "headers of intrinsics belong into kernels/isa_*.h" \
    '#[ 	]*include[ 	]*<([a-z0-9]*intrin|arm_neon|arm_sve)\.h>' \
    grep -v '^kernels/isa_[a-z0-9]*\.h:'
forbid "OpenMP belongs into kernels/threads.c alone" \
    '#[ 	]*pragma[ 	]+omp|#[ 	]*include[ 	]*<omp\.h>|omp_[a-z_]+[ ]*\(' \
    grep -v '^kernels/threads\.c:'
forbid "threads belong into kernels/threads.c alone" '(pthread_create|thrd_create)[ ]*\(' \
    grep -v '^kernels/threads\.c:'
forbid "a kernel runs through rb_launch, or it is not counted" \
    '[A-Za-z0-9_)]*\]?(->|\.)run[ ]*\(' \
    sed '/^kernels\/launch\.c:/d; /^kernels\/prove\.c:/d; s/cmd->run(&*args)/cmd_run/'
exit $status
