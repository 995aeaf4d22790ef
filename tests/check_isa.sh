#!/bin/sh
# Lint of machine code: no object has an instruction above the ISA it is built for. kernels/NAME.ISA.o
# is built for that ISA, all others for what every machine of the architecture has; a program that
# starts anywhere depends on it. Prints object, function and instruction; exit 1 if there is one.
# Usage: check_isa.sh LIBRARY|OBJECT... (OBJDUMP: the objdump to use)
set -u

"${OBJDUMP:-objdump}" -d --no-show-raw-insn "$@" | awk '
# What an instruction needs: 0 what all have, 1 AVX, AVX2, FMA, F16C and older; 2 AVX-512; 3 dot
# products of bf16; 4 no build of ours. AArch64: 5 dot products of bytes, 6 what no build of ours.
function need_x86(name, operands) {
    if (operands ~ /%tmm/ || name ~ /^v(add|sub|mul|div|min|max|sqrt|rcp|fn?m(add|sub)[0-9]*)[ps]h$/)
        return 4
    if (name ~ /^(vdpbf16ps|vcvtne2?ps2?bf16)/)
        return 3
    if (operands ~ /%zmm|%[xy]mm(1[6-9]|2[0-9]|3[01])|%k[0-7]|\{1to/ || name ~ /^\{evex\}/)
        return 2
    if (name ~ /^v/ && name !~ /^ver[rw]/)
        return 1
    # SSE3, SSSE3, SSE4, POPCNT
    if (name ~ /^(addsubp|haddp|hsubp|lddqu|movddup|movs[hl]dup|pabs|palignr|ph(add|sub)|pmaddubsw)/ ||
        name ~ /^(pmulhrsw|pshufb|psign|blend|pblend|dpp|extractps|insertps|movntdqa|mpsadbw)/ ||
        name ~ /^(packusdw|pcmpeqq|pcmpgtq|p(ext|ins)r[bdq]|pm(ax|in)(sb|sd|ud|uw)|pmov[sz]x)/ ||
        name ~ /^(pmuldq|pmulld|ptest|round[ps][sd]|pcmp[ei]str|phminposuw|crc32|popcnt)/)
        return 1
    # BMI, ADX, AES and what else is no part of AVX2
    if (name ~ /^(andn|bextr|bls[ir]|blsmsk|bzhi|mulx|pdep|pext|rorx|s[ah][rl]x|tzcnt|lzcnt)[lq]?$/ ||
        name ~ /^(adcx|adox|movbe|aes|pclmul|sha(1|256)|xbegin|movdiri|movdir64b|serialize)/)
        return 4
    return 0
}

function need_arm(name, operands) {
    if (name ~ /^[su]dot$/ && operands ~ /v[0-9]/)
        return 5
    if (operands ~ /(^|[ ,{])z[0-9]/ || operands ~ /(^|[ ,])p[0-9][0-9]?[./]/ ||
        name ~ /^(bf(cvt|dot|ml|mm)|usdot|sudot|[su]mmla|usmmla|ptrue|sqrdmla|sqrdmls|fmlal|fmlsl|fcadd|fcmla)/ ||
        name ~ /^(cas|swp|ld(add|clr|set|eor|smax|smin|umax|umin))(a|l|al)?[bh]?$/)
        return 6
    return 0
}

# What an object may have.
function level(object) {
    if (object ~ /\.avx2\.o$/) return 1
    if (object ~ /_bf16\.avx512\.o$/) return 3
    if (object ~ /\.avx512\.o$/) return 2
    return object ~ /\.dotprod\.o$/ ? 5 : 0
}

/file format/ {
    object = $1
    sub(/:$/, "", object)
    sub(/.*\//, "", object)
    arm = /aarch64/
    may = level(object)
    n_object++
}
/^[0-9a-f]+ </ { where = $2 }
/^ +[0-9a-f]+:\t/ {
    split($0, field, "\t")
    name = field[2]
    sub(/ .*/, "", name)
    operands = field[2] "," field[3]
    sub(/^[^ ]* */, "", operands)
    n_instruction++
    need = arm ? need_arm(name, operands) : need_x86(name, operands)
    if (need > may && (object != said || n_said++ < 3)) {
        if (object != said)
            n_said = 1
        said = object
        printf "%s %s %s %s: not for every machine that may run it\n", object, where, name, operands
        n_bad++
    }
}

END {
    if (!n_object || !n_instruction) {
        print "check_isa.sh: no code to look at"
        exit 1
    }
    if (!n_bad)
        printf "check_isa.sh: %d objects, %d instructions\n", n_object, n_instruction
    exit n_bad > 0
}'
