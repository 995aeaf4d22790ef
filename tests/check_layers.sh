#!/bin/sh
# Lint of the layers: kernels <- models <- engine <- bench <- tools. A file includes headers of its
# own layer (a folder, and the folders within) and the umbrella header of layers to its left, nothing
# includes tests/, and no file of engine/ but the sampler gets at tensor data. Prints each offending
# line; exit 1 if there is one.
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

# Where an include leads, from the root: "../models.h" in models/hf/hf.c is "models/models.h".
function resolve(path,    part, n, i, where, depth) {
    depth = split(FILENAME, where, "/") - 1
    n = split(path, part, "/")
    for (i = 1; i <= n && part[i] == ".."; i++)
        depth--
    for (; i <= n; i++)
        where[++depth] = part[i]
    path = where[1]
    for (i = 2; i <= depth; i++)
        path = path "/" where[i]
    return path
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
    target = resolve(path)
    split(target, part, "/")
    if (own == "tests" || part[1] == own)
        next
    if (!(part[1] in layer))
        bad("include of \"" path "\": name a header of this layer or \"../FOLDER/FOLDER.h\"")
    else if (layer[part[1]] >= layer[own])
        bad("edge " own " -> " part[1] ": dependencies run kernels <- models <- engine <- bench <- tools")
    else if (target != part[1] "/" part[1] ".h")
        bad("include of \"" path "\": only the umbrella header " part[1] "/" part[1] ".h crosses layers")
}

# Arithmetic on tensor data in engine/ would go uncounted. What is not traffic may be filled by hand:
# ids and positions (ctrl), the table of rope angles and zeros in a fresh cache before the first step,
# and the pointers to logits and to inputs of attention that are handed out.
own == "engine" && FILENAME != "engine/sampler.c" {
    code = $0
    sub(/\/\*.*/, "", code)
    gsub(/(!|&& |\|\| |if \()[A-Za-z0-9_.>-]+(->|\.)data( &&| \|\||\))/, "", code) # is it there?
    if (FILENAME == "engine/kv.c")
        sub(/memset\(buffer->data, 0, buffer->bytes\)/, "", code)
    if (code ~ /(\.|->)data([^A-Za-z0-9_]|$)/ &&
        !(FILENAME == "engine/session.c" && code ~ /pad\.(ids|pos|key_pos|logits|attn_in)\.data/) &&
        !(FILENAME == "engine/pad.c" && code ~ /pad\.rope_table\.data/))
        bad("touches tensor data: make it a launch, or it is neither counted nor proven")
    if (code ~ /(^|[^A-Za-z0-9_])rb_at\(/)
        bad("takes the address of tensor data: make it a launch, or it is neither counted nor proven")
}

END { exit n_bad > 0 }
' $(find kernels models engine bench tools tests -name '*.[ch]' | sort)
