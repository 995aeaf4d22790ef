/* What the references of ops are written with: elements as doubles, and the one comparison. For
 * ref*.c alone.
 * Read next: ref.c. */
#ifndef REF_AT_H
#define REF_AT_H

#include "ref.h"

#include <float.h>

#define EPS  ((double)FLT_EPSILON)
#define TINY 1e-41 /* a few denormals */

typedef struct ref_report {
    char *buf;
    size_t size;
    bool bad;
} ref_report;

/* Element i of a row, decoded; of ids, as it is. */
double ref_at(const rb_view *v, int64_t s, int64_t t, int64_t h, int64_t i);
int32_t ref_index(const rb_view *v, int64_t i);
/* Written so that NaN fails; keeps the first failure. */
void ref_expect(ref_report *r, double got, double want, double tol, const char *what, int64_t t,
                int64_t i);

/* ref_moe.c: norms with a mean, ungated activations, routing and experts. */
void ref_layernorm(const rb_call *b, const rb_call *a, ref_report *r);
void ref_relu2(const rb_call *b, const rb_call *a, ref_report *r);
void ref_gelu(const rb_call *b, const rb_call *a, ref_report *r);
void ref_gelu_erf(const rb_call *b, const rb_call *a, ref_report *r);
void ref_route(const rb_call *b, const rb_call *a, ref_report *r);
void ref_experts(const rb_call *b, const rb_call *a, ref_report *r);

#endif
