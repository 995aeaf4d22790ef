#!/bin/sh
# Lint of the style: lengths of files, functions and lines, the comment that opens each file, one for
# every function that a header declares, nothing unfinished or disabled, names of exported symbols, no
# global state. The symbols are looked up in the built library. Prints each offence and what to do; exit 1 if there is one.
# Usage: check_style.sh [ROOT [LIBRARY [KERNEL_FILE_NAME...]]]
set -u
cd "${1:-.}" || exit 1
library=${2:-}
if [ $# -gt 2 ]; then shift 2; else set --; fi
status=0

awk '
function bad(line, what) {
    printf "%s:%d: %s\n", FILENAME, line, what
    n_bad++
}

function close_file() {
    if (lines > 600)
        bad_in(file, lines, "file of " lines " lines: 600 at most, split it")
}

function bad_in(name, line, what) {
    printf "%s:%d: %s\n", name, line, what
    n_bad++
}

FNR == 1 {
    close_file()
    file = FILENAME
    header = $0 ~ /^\/\*/
    start = 0
    if (!header)
        bad(1, "no opening comment: say what the file is, what it refuses to do, what to read next")
}

{ lines = FNR }

header && /\*\// {
    header = 0
    if (FNR < 3 || FNR > 6)
        bad(FNR, "opening comment of " FNR " lines: 3 to 6 (what it is, what it refuses, what to read next)")
}

length($0) > 100 { bad(FNR, "line of " length($0) " columns: 100 at most") }
/\t/ { bad(FNR, "tab: indent by 4 spaces") }
/[ \t]$/ { bad(FNR, "blank at the end of the line") }
/(^|[^A-Za-z0-9_])(TODO|FIXME|XXX)([^A-Za-z0-9_]|$)/ { bad(FNR, "unfinished: do it, or file it as an issue") }
/^[ \t]*#[ \t]*if[ \t]+0([^-9A-Za-z_]|$)/ { bad(FNR, "disabled code: delete it") }
/^[ \t]*\/\/|;[ \t]*\/\// { bad(FNR, "comment of // style: write /* */") }

/^{/ { start = FNR }
/^}/ {
    if (start && FNR - start + 1 > 60)
        bad(start, "function of " FNR - start + 1 " lines: 60 at most, 40 mostly; split it")
    start = 0
}

END {
    close_file()
    exit n_bad > 0
}
' $(find kernels models engine bench tools tests -name '*.[ch]' | sort) || status=1

# A declaration has a comment on its lines or above it, or above the group (no empty line between) that
# it stands in.
awk '
FNR == 1 { said = comment = begun = 0 }
comment { comment = !/\*\//; next }
/^$/ { said = 0 }
/^\/\*/ { said = 1; comment = !/\*\//; next }
!begun && /^[A-Za-z*][A-Za-z0-9_ *]*[a-z0-9_]\(/ && !/^(static|typedef)[^a-z0-9_]/ {
    name = $0
    sub(/\(.*/, "", name)
    sub(/.*[ *]/, "", name)
    begun = FNR
    told = said
}
begun && /\/\*/ { told = 1 }
begun && /^\{/ { begun = 0 }
begun && /;/ {
    if (!told) {
        printf "%s:%d: %s has no comment: say what it does, with shapes, units, errors, source\n", FILENAME, begun, name
        n_bad++
    }
    begun = 0
}
END { exit n_bad > 0 }
' $(find kernels models engine bench tools tests -name '*.h' | sort) || status=1

# sections FILE: "object section symbol binding" of every defined object and function
sections() {
    objdump -t "$1" | awk '
        /file format/ { object = $1; sub(/:$/, "", object) }
        /^[0-9a-f]+ / {
            section = $(NF - 2)
            if (section !~ /^[.*]/) next
            print object, section, $NF, (substr($0, index($0, " ") + 1, 1))
        }'
}

if [ -n "$library" ] && [ -f "$library" ]; then
    sections "$library" | awk -v kernels="$*" '
        BEGIN {
            n = split(kernels, name, " ")
            for (i = 1; i <= n; i++)
                kernel[name[i]] = 1
            # The counting ISA finds its tally by thread.
            allowed["count.o nowhere"] = allowed["count.o rb_counting"] = 1
            # Threads belong to the process, and so does where they run.
            allowed["threads.o pinned"] = allowed["threads.o n_pinned"] = 1
            allowed["threads.o own_cpu"] = 1
            # stb calls two tables static int and never writes them.
            foreign["draw_stb.o"] = 1
        }
        { stem = $1; sub(/\..*/, "", stem) }
        $2 ~ /^\*UND/ || $2 ~ /^\*ABS/ || $3 ~ /^[.]/ { next }
        $4 == "g" && $3 !~ /^rb_/ {
            printf "%s: exports %s: make it static, or name it rb_...\n", $1, $3; n_bad++
        }
        $4 == "g" && stem in kernel && $1 ~ /\.[a-z0-9]+\.o$/ && $3 !~ /^rb_rows_/ {
            printf "%s: exports %s: a kernel file exports its table of rows only\n", $1, $3; n_bad++
        }
        $2 ~ /^[.](data|bss|tdata|tbss)/ && $2 !~ /rel[.]ro/ && !(($1 " " $3) in allowed) && !($1 in foreign) && $3 !~ /^__/ {
            printf "%s: %s is writable global data: pass it in a struct\n", $1, $3; n_bad++
        }
        END { exit n_bad > 0 }
    ' || status=1
elif [ -n "$library" ]; then
    echo "$library: not built, symbols were not checked"
    status=1
fi
exit $status
