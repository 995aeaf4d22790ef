/* Which ISA this CPU and OS can run, capped by RBENCH_ISA.
 * Refuses names it does not know and caps above what the machine has.
 * Read next: registry.c. */
#include "op.h"

#include <stdlib.h>
#include <string.h>

#if defined __x86_64__
#include <cpuid.h>

/* clang's __builtin_cpu_supports does not know f16c; avx2, asked with it, covers the OS's part. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#else
#include <sys/auxv.h>
#endif

bool rb_isa_supported(rb_isa isa)
{
    switch (isa) {
    case RB_ISA_SCALAR:
    case RB_ISA_BLAS:
    case RB_ISA_COUNT1:
    case RB_ISA_COUNT8:
    case RB_ISA_COUNT16:
        return true;
#if defined __x86_64__
    case RB_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    case RB_ISA_AVX512:
        return rb_isa_supported(RB_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#elif defined __aarch64__
    case RB_ISA_NEON:
        return true;
    case RB_ISA_DOTPROD:
        return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#endif
    default:
        return false;
    }
}

bool rb_kernel_supported(const rb_kernel *k)
{
#if defined __x86_64__
    if (k->needs_bf16 && k->isa == RB_ISA_AVX512 && !__builtin_cpu_supports("avx512bf16"))
        return false;
#endif
    return rb_isa_supported(k->isa);
}

bool rb_kernel_worth_taking(const rb_kernel *k)
{
#if defined __x86_64__
    return k->act != RB_ACT_BF16 || k->isa != RB_ISA_AVX512 || !__builtin_cpu_is("intel");
#else
    (void)k;
    return true;
#endif
}

rb_status rb_isa_by_name(const char *name, rb_isa *isa, rb_error *err)
{
    for (rb_isa i = RB_ISA_SCALAR; i < RB_ISA_BLAS; i++) {
        if (strcmp(name, rb_isa_name[i]) != 0)
            continue;
        if (!rb_isa_supported(i))
            return rb_fail(err, RB_ERR_ARGUMENT, "ISA %s: this machine does not have it", name);
        *isa = i;
        return RB_OK;
    }
    return rb_fail(err, RB_ERR_ARGUMENT,
                   "ISA %s: unknown; scalar, avx2, avx512, neon and dotprod exist", name);
}

rb_status rb_isa_detect(rb_isa *isa, bool *capped, rb_error *err)
{
    const char *cap = getenv("RBENCH_ISA");
    *capped = cap && *cap;
    if (*capped)
        return rb_isa_by_name(cap, isa, err);
    *isa = RB_ISA_SCALAR;
    for (rb_isa i = RB_ISA_SCALAR; i < RB_ISA_BLAS; i++)
        if (rb_isa_supported(i))
            *isa = i;
    return RB_OK;
}
