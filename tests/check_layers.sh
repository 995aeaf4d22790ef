#!/bin/sh
# Lint of the layers: kernels <- models <- engine <- bench <- tools. A file includes headers of its
# own folder and the umbrella header of folders to its left, nothing includes tests/, and no file of
# engine/ but the sampler gets at tensor data. Prints each offending line; exit 1 if there is one.
# Usage: check_layers.sh [ROOT]
set -u
cd "${1:-.}" || exit 1

awk '
function bad(what) {
    printf "%s:%d: %s\n", FILENAME, FNR, what
    n_bad++
}

BEGIN {
    n = split("kernels models engine bench tools", folder, " ")
    for (i = 1; i <= n; i++)
        layer[folder[i]] = i
}

FNR == 1 {
    split(FILENAME, at, "/")
    own = at[1]
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
    path = $0
    sub(/^[^"]*"/, "", path)
    sub(/".*/, "", path)
    if (path !~ /\//)
        next
    if (split(path, part, "/") != 3 || part[1] != ".." || !(part[2] in layer)) {
        if (own != "tests")
            bad("include of \"" path "\": name a header of this folder or \"../FOLDER/FOLDER.h\"")
        next
    }
    if (own == "tests")
        next
    if (layer[part[2]] >= layer[own])
        bad("edge " own " -> " part[2] ": dependencies run kernels <- models <- engine <- bench <- tools")
    else if (part[3] != part[2] ".h")
        bad("include of \"" path "\": only the umbrella header ../" part[2] "/" part[2] ".h crosses folders")
}

# Arithmetic on tensor data in engine/ would go uncounted. What is not traffic may be filled by hand:
# ids and positions (ctrl), the table of rope angles and zeros in a fresh cache before the first step,
# and the pointer to the logits that is handed out.
own == "engine" && FILENAME != "engine/sampler.c" {
    code = $0
    sub(/\/\*.*/, "", code)
    gsub(/(!|&& |\|\| |if \()[A-Za-z0-9_.>-]+(->|\.)data( &&| \|\||\))/, "", code) # is it there?
    if (FILENAME == "engine/kv.c")
        sub(/memset\(buffer->data, 0, buffer->bytes\)/, "", code)
    if (code ~ /(\.|->)data([^A-Za-z0-9_]|$)/ &&
        !(FILENAME == "engine/session.c" && code ~ /pad\.(ids|pos|key_pos|logits)\.data/) &&
        !(FILENAME == "engine/pad.c" && code ~ /pad\.rope_table\.data/))
        bad("touches tensor data: make it a launch, or it is neither counted nor proven")
    if (code ~ /(^|[^A-Za-z0-9_])rb_at\(/)
        bad("takes the address of tensor data: make it a launch, or it is neither counted nor proven")
}

END { exit n_bad > 0 }
' $(find kernels models engine bench tools tests -name '*.[ch]' | sort)
