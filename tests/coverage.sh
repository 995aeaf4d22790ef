#!/bin/sh
# Says which share of the lines of each source file a coverage build has run, by gcov, and the share
# of all. Exit 1 if a file is below COVERAGE_LEAST (90) %. Usage: coverage.sh BUILD FILE...
set -u

build=$1
least=${COVERAGE_LEAST:-90}
shift
for f; do
    gcov -n -o "$build/${f%.c}.o" "$f" 2>/dev/null |
        awk -v file="$f" -F"[:%' ]" '
            /^File / { mine = $3 == file }
            mine && /^Lines executed/ { print file, $3, $6; mine = 0; found = 1 }
            END { if (!found) print file, "0.00", 0 }'
done | awk -v least="$least" '
    { printf "%-42s %6.2f %% of %4d lines%s\n", $1, $2, $3, $2 < least ? "  BELOW" : ""
      run += $2 * $3; all += $3; bad += $2 < least }
    END { printf "all: %.2f %% of %d lines\n", run / all, all; exit bad > 0 }'
