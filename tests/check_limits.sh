#!/bin/sh
# Lint of the limits that READMEs tell: each row "| what | number | `NAME` in `FILE` |" has to be what
# the source says, and every limit of the formats is in a row. Prints each offence; exit 1 if there
# is one. Usage: check_limits.sh [ROOT]
set -u
cd "${1:-.}" || exit 1
status=0

bad() { # FILE LINE TEXT
    echo "$1:$2: $3"
    status=1
}

# "LINE NAME FILE NUMBER" of each row of a README.
rows() {
    awk -F'|' '$4 ~ /^ `[A-Z_]+` in `[a-z_\/.]+` $/ {
        split($4, part, "`"); gsub(/[^0-9]/, "", $3); print NR, part[2], part[4], $3 }' "$1"
}

for readme in models/README.md bench/README.md tools/README.md; do
    folder=${readme%/*}
    while read -r line name file number; do
        [ -n "$line" ] || continue
        value=$(sed -n "s|.*[^A-Z_]$name = \([0-9<() +*-]*\).*|\1|p; s|^ *$name = \([0-9<() +*-]*\).*|\1|p" \
            "$folder/$file" 2>/dev/null | head -n 1)
        if [ -z "$value" ]; then
            bad "$readme" "$line" "$folder/$file has no $name"
        elif [ "$(($value))" != "$number" ]; then
            bad "$readme" "$line" "$name is $(($value)) in $folder/$file"
        fi
    done <<EOF
$(rows "$readme")
EOF
done

for name in $(grep -ohE '(RB_GGUF|RB_ST|JINJA)_MAX_[A-Z]+ =' models/*.h models/*/*.h | cut -d' ' -f1); do
    grep -q "\`$name\`" models/README.md || bad models/README.md 1 "does not tell $name"
done
exit $status
