#!/bin/sh
# Tests the lints: on a copy of the sources that is broken in one place, each must turn red and name
# that place; on the untouched copy they are green before (a lint that cannot fail is a defect).
# Usage: check_lints.sh [ROOT]
set -u
cd "${1:-.}" || exit 1

cc=${CC:-gcc}
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT
cp -r Makefile kernels models engine bench tools tests "$copy" || exit 1
tried=0
status=0

# red LINT "WANTED" FILE CODE...: with lines of CODE at the end of FILE, LINT must exit 1 and print
# WANTED after the name of FILE.
red() {
    lint=$1 wanted=$2 file=$3
    shift 3
    if [ -f "$copy/$file" ]; then cp "$copy/$file" "$copy/saved"; else : >"$copy/saved"; fi
    printf '%s\n' "$@" >>"$copy/$file"
    shows "$lint" "$file:[0-9]*:.*$wanted"
    cp "$copy/saved" "$copy/$file"
    [ -s "$copy/$file" ] || rm -f "$copy/$file"
}

shows() { # LINT PATTERN [ARGUMENT...]
    lint=$1 pattern=$2
    shift 2
    tried=$((tried + 1))
    if sh "tests/$lint" "$copy" "$@" >"$copy/out" 2>&1; then
        echo "$lint stays green, wanted: $pattern"
        status=1
    elif ! grep -q "$pattern" "$copy/out"; then
        echo "$lint is red, but not for: $pattern"
        head -3 "$copy/out"
        status=1
    fi
}

# ---- layers ----

red check_layers.sh "edge kernels -> models" kernels/view.c '#include "../models/models.h"'
red check_layers.sh "edge kernels -> bench" kernels/rows.h '#include "../bench/bench.h"'
red check_layers.sh "edge models -> engine" models/open.c '#include "../engine/engine.h"'
red check_layers.sh "edge engine -> tools" engine/kv.c '#  include "../tools/tools.h"'
red check_layers.sh "only the umbrella header" models/open.c '#include "../kernels/op.h"'
red check_layers.sh "only the umbrella header" tools/shared.c '#include "../models/gguf.h"'
red check_layers.sh "edge models -> engine" models/hf/hf_load.c '#include "../../engine/engine.h"'
red check_layers.sh "only the umbrella header" models/chat/chat.c '#include "../../kernels/op.h"'
red check_layers.sh "name a header" bench/run.c '#include "../tests/vectors.h"'
red check_layers.sh "name a header" bench/run.c '#include "../../x/y.h"'
red check_layers.sh "touches tensor data" engine/forward.c 'float f(rb_buffer *b) { return *(float *)b->data; }'
red check_layers.sh "touches tensor data" engine/session.c '    float *x = s->pad.x.data;'
red check_layers.sh "touches tensor data" engine/kv.c '    memset(buffer->data, 1, buffer->bytes);'
red check_layers.sh "address of tensor data" engine/attn_gqa.c '    float *q0 = (float *)rb_at(&q, 0, 0, 0);'

# ---- style ----

red check_style.sh "no opening comment" kernels/new.c 'int rb_x;'
red check_style.sh "opening comment of 1 lines" kernels/new.c '/* Says too little. */'
red check_style.sh "line of 1[0-9][0-9] columns" models/open.c "$(printf '/* %0110d */' 7)"
red check_style.sh "rb_new has no comment" engine/engine.h '' 'int rb_new(void);'
red check_style.sh "rb_new has no comment" kernels/op.h '/* Of another. */' '' 'const char *rb_new(int a,' '    int b);'
red check_style.sh "new_one has no comment" tests/files.h '' 'struct json_t' '*new_one(void);'
red check_style.sh "unfinished" engine/kv.c '/* TODO: later */'
red check_style.sh "unfinished" engine/kv.c '/* FIXME */'
red check_style.sh "disabled code" bench/run.c '#if 0'
red check_style.sh "disabled code" bench/run.c '# if 0 /* for now */'
red check_style.sh "comment of //" bench/run.c 'int x; // why'
red check_style.sh "tab" tools/rbench.c "$(printf 'int\tx;')"
red check_style.sh "function of 62 lines" engine/forward.c 'void rb_f(void)' '{' \
    $(awk 'BEGIN { for (i = 0; i < 60; i++) print "rb_g();" }') '}'
red check_style.sh "lines: 600 at most" tests/vectors.c \
    $(awk 'BEGIN { for (i = 0; i < 600; i++) print ";" }')

# symbol WANTED MEMBER CODE: a library of one object file, compiled from CODE
symbol() {
    printf '%s\n' "$3" | $cc -x c -O1 -c -o "$copy/$2" - || exit 1
    rm -f "$copy/lib.a"
    ar qcs "$copy/lib.a" "$copy/$2"
    shows check_style.sh "^$2: .*$1" "$copy/lib.a" elt kv
}
symbol "exports helper" view.o 'void helper(void) {}'
symbol "exports rb_helper: a kernel file" elt.avx2.o 'void rb_helper(void) {}'
symbol "rb_total is writable global" view.o 'long rb_total;'
symbol "calls.* is writable global" view.o 'int rb_f(void) { static int calls; return ++calls; }'
symbol "level is writable global" view.o 'static volatile int level = 3; int rb_f(void) { return level++; }'
symbol "rb_mine is writable global" view.o '_Thread_local int rb_mine;'
shows check_style.sh "not built" "$copy/none.a"

# ---- instructions ----

# code LEVEL 'INSTRUCTION': of four objects, built for all machines, AVX2, AVX-512 and bf16, those
# from LEVEL on may have it and the others not.
code() {
    level=$1
    for object in $objects; do
        case $object in
        *dotprod*) may=5 ;;
        *_bf16*) may=3 ;;
        *avx512*) may=2 ;;
        *avx2*) may=1 ;;
        *) may=0 ;;
        esac
        tried=$((tried + 1))
        printf 'void rb_f(void) { __asm__("%s"); }\n' "$2" | $cc -x c -c -o "$copy/$object" - || exit 1
        sh tests/check_isa.sh "$copy/$object" >"$copy/out" 2>&1
        code=$?
        [ $code = $((may < level)) ] || {
            echo "check_isa.sh exits $code on $2 in $object"
            status=1
        }
    done
}
objects="view.o elt.scalar.o elt.avx2.o elt.avx512.o roof_bf16.avx512.o"
case $($cc -dumpmachine) in
x86_64*)
    code 0 'mulps %xmm1, %xmm2'
    code 0 'cvtdq2ps %xmm1, %xmm2'
    code 1 'haddps %xmm1, %xmm2'
    code 1 'pshufb %xmm1, %xmm2'
    code 1 'popcnt %eax, %eax'
    code 1 'vaddps %xmm1, %xmm2, %xmm3'
    code 1 'vfmadd231ps %ymm1, %ymm2, %ymm3'
    code 1 'vcvtph2ps %xmm1, %ymm2'
    code 2 'vaddps %zmm1, %zmm2, %zmm3'
    code 2 'vaddps %ymm17, %ymm2, %ymm3'
    code 2 'kmovw %k1, %eax'
    code 3 'vdpbf16ps %zmm1, %zmm2, %zmm3'
    code 4 'andn %eax, %ebx, %ecx'
    code 4 'tdpbssd %tmm1, %tmm2, %tmm3'
    ;;
esac
if command -v aarch64-linux-gnu-gcc >/dev/null; then
    host=$cc cc="aarch64-linux-gnu-gcc -march=armv8.6-a"
    export OBJDUMP=aarch64-linux-gnu-objdump
    objects="view.o elt.neon.o roof.dotprod.o"
    code 0 'bfi w0, w1, #2, #3'
    code 0 'smull v0.8h, v1.8b, v2.8b'
    code 5 'sdot v0.4s, v1.16b, v2.16b'
    code 6 'usdot v0.4s, v1.16b, v2.16b'
    code 6 'bfdot v0.4s, v1.8h, v2.8h'
    code 6 'ldadd w0, w1, [x2]'
    cc=$host
    unset OBJDUMP
fi

# ---- counting ----

red check_counting.sh "no system header" kernels/elt.c '#include <math.h>'
red check_counting.sh "no system header" kernels/roof_bf16.c '#include <math.h>'
red check_counting.sh "no system header" kernels/rows.h '#include <immintrin.h>'
red check_counting.sh "data is sf" kernels/norm.c 'static float one(void);'
red check_counting.sh "data is sf" kernels/rows.h 'static double two(void);'
red check_counting.sh "has no members" kernels/glu.c '    sum = a.v + b.v;'
red check_counting.sh "has no members" kernels/attend.c '    sum.v = w.v;'
red check_counting.sh "has no members" kernels/glu.c '    y[0].bits = 0;'
red check_counting.sh "made by a primitive" kernels/glu.c '    return (sf){ 1 };'
red check_counting.sh "moves data" kernels/kv.c '    memcpy(to, from, 4);'
red check_counting.sh "arithmetic on data" kernels/norm.c '    x = sqrtf(x);'
red check_counting.sh "follows a pointer" kernels/elt.c \
    'static void f(const f32 *x, f32 *y, int64_t i) { y[i] = x[i]; }'
red check_counting.sh "follows a pointer" kernels/elt.c \
    'static void f(f32 *a,' '              const f32 *b)' '{' '    *a = *b;' '}'
red check_counting.sh "follows a pointer" kernels/elt.c \
    'static void f(void *p)' '{' '    f32 *a = p, *b = p;' '    b[1] = 0;' '}'
red check_counting.sh "intrinsics live" kernels/matmul.c '    x = _mm256_add_ps(x, y);'
red check_counting.sh "intrinsics live" kernels/dtype.c 'static __m512 zero;'
red check_counting.sh "intrinsics live" engine/sampler.c '    x = vld1q_f32(p);'
red check_counting.sh "headers of intrinsics" bench/run.c '#include <immintrin.h>'
red check_counting.sh "headers of intrinsics" kernels/simd.h '#include <arm_neon.h>'
red check_counting.sh "OpenMP belongs" kernels/matmul.c '#pragma omp parallel for'
red check_counting.sh "OpenMP belongs" bench/run.c '    n = omp_get_max_threads();'
red check_counting.sh "threads belong" engine/session.c '    pthread_create(&t, 0, f, 0);'
red check_counting.sh "runs through rb_launch" engine/forward.c '    k->run(call, 0, 0, 1, NULL, NULL);'
red check_counting.sh "runs through rb_launch" tools/shared.c '    row[i].run(call, 0, 0, 1, NULL, NULL);'

# ---- limits ----

red check_limits.sh "RB_MAX_LAYER is 4096" models/README.md '| x | 4,097 | `RB_MAX_LAYER` in `models.h` |'
red check_limits.sh "has no RB_MOST_SAID" tools/README.md '| x | 7 | `RB_MOST_SAID` in `shared.h` |'
red check_limits.sh "MAX_LINE is 16777216" bench/README.md '| x | 1 | `MAX_LINE` in `store.c` |'
sed 's/RB_ST_MAX_DIM = 8/RB_ST_MAX_DIM = 9/' models/hf/safetensors.h >"$copy/models/hf/safetensors.h"
shows check_limits.sh "models/README.md:[0-9]*: RB_ST_MAX_DIM is 9"
sed 's/.*RB_ST_MAX_DIM = 8.*/RB_ST_MAX_RANK = 8,/' models/hf/safetensors.h >"$copy/models/hf/safetensors.h"
shows check_limits.sh "models/README.md:1: does not tell RB_ST_MAX_RANK"
cp models/hf/safetensors.h "$copy/models/hf/safetensors.h"

# What no grep has to look for, because it does not compile in the counting build.
refused() {
    tried=$((tried + 1))
    printf '#include "rows.h"\n%s\n' "$1" >"$copy/kernels/probe.c"
    if $cc -fsyntax-only -DRB_BUILD=count8 -DRB_BUILD_count8=1 "$copy/kernels/probe.c" 2>/dev/null; then
        [ $# -gt 1 ] || { echo "this compiles as a kernel: $1"; status=1; }
    elif [ $# -gt 1 ]; then
        echo "this does not compile as a kernel: $1"
        status=1
    fi
}
refused 'sf f(sf a, sf b); sf f(sf a, sf b) { return s_mul(a, b); }' "but is right"
refused 'sf f(sf a, sf b); sf f(sf a, sf b) { return a * b; }'
refused 'vf f(vf a, vf b); vf f(vf a, vf b) { return a * b; }'
refused 'vi f(vi a); vi f(vi a) { return a + a; }'
refused 'sf f(f32 *a); sf f(f32 *a) { return *a; }'
refused 'void f(f32 *a); void f(f32 *a) { a[0] += a[1]; }'
refused 'void f(u8 *a); void f(u8 *a) { a[0] = 1; }'

rm "$copy/kernels/probe.c"

# ---- the runner of the tests: what it sums up is what happened ----

# runner WANTED_LAST_LINE WANTED_EXIT 'SCRIPT of a test program; $tap is its report'
runner() {
    tried=$((tried + 1))
    printf '#!/bin/sh\ntap=${2#--tap=}\n%s\n' "$3" >"$copy/program"
    chmod +x "$copy/program"
    sh tests/run.sh "$copy/program" >"$copy/out" 2>&1
    code=$?
    [ "$(tail -1 "$copy/out")" = "$1" ] && [ $code = "$2" ] && return
    echo "run.sh exits $code with '$(tail -1 "$copy/out")', wanted $2 with '$1'"
    status=1
}
runner "2 passed, 0 failed" 0 'printf "1..2\nok - a\nok - b\n" >$tap'
runner "1 passed, 1 failed" 1 'printf "1..2\nok - a\nnot ok - b\n" >$tap; exit 1'
runner "1 passed, 2 failed" 1 'printf "1..3\nok - a\n" >$tap'
runner "1 passed, 1 failed" 1 'printf "1..1\nok - a\n" >$tap; exit 1'
runner "0 passed, 1 failed" 1 'exit 0'
runner "0 passed, 1 failed" 1 'kill -SEGV $$'
runner "1 passed, 0 failed, 1 skipped" 0 'printf "1..2\nok - a\nok - b # SKIP\n" >$tap'

# What they must let pass: the same words where they mean nothing.
{
    echo '/* TODOs, memcpy( and _mm256_add_ps( in a comment; a * b, x[i] and .v */'
    echo 'static const char *said = "k->run(call) sqrtf(x) #pragma omp";'
} >>"$copy/kernels/elt.c"
printf '%s\n' '' '/* Of both. */' 'int rb_one(void);' 'int rb_two(int a,' '           int b);' '' \
    'int rb_three(void); /* 3 */' '' 'static inline int rb_four(void)' '{' '    return rb_one();' '}' \
    >>"$copy/kernels/op.h"
for lint in check_layers.sh check_counting.sh check_style.sh; do
    sh "tests/$lint" "$copy" >"$copy/out" 2>&1 || {
        echo "$lint is red on what it must let pass:"
        head -3 "$copy/out"
        status=1
    }
done
[ $status != 0 ] || echo "check_lints.sh: $tried breaks, each seen"
exit $status
