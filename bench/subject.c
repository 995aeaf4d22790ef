/* What a model is called in tables and records, and how large it is: the one that was named, or the
 * one that a test ran in another form of attention. Nothing is refused here.
 * Read next: record.c, columns.c. */
#include "record.h"

const rb_model *rb_subject_model(const rb_subject *s, const rb_test *t)
{
    return t->model && s->formed ? s->formed[t->model - 1].model : s->model;
}

static const rb_outside *outside_of(const rb_subject *s, const rb_test *t)
{
    return t->outside && s->outside ? &s->outside[t->outside - 1] : NULL;
}

bool rb_subject_exact(const rb_subject *s, const rb_test *t)
{
    const rb_model *m = rb_subject_model(s, t);
    const rb_outside *own = outside_of(s, t);
    return !(own && own->variant) && (!m->attn.converted || m->attn.exact);
}

const char *rb_subject_attn(const rb_subject *s, const rb_test *t, char *buf, size_t size)
{
    const rb_model *m = rb_subject_model(s, t);
    const char *order = rb_attn_name(&m->config, t->attn);
    const rb_outside *own = outside_of(s, t);
    char form[48];
    if (own && own->variant)
        snprintf(buf, size, "%s", own->name ? own->name : own->variant->name);
    else if (own && own->name)
        snprintf(buf, size, "%s + %s", order, own->name);
    else if (!m->attn.converted)
        snprintf(buf, size, "%s", order);
    else if (t->attn == RB_ATTN_OWN)
        rb_attn_form_text(&m->attn.form, buf, size);
    else
        snprintf(buf, size, "%s, %s", rb_attn_form_text(&m->attn.form, form, sizeof form), order);
    return buf;
}

rb_dtype rb_main_dtype(const rb_model *m)
{
    int best = 0;
    for (int d = 1; d < RB_N_DTYPE; d++)
        best = m->bytes_of[d] > m->bytes_of[best] ? d : best;
    return (rb_dtype)best;
}

uint64_t rb_model_file_bytes(const rb_model *m)
{
    uint64_t sum = 0;
    for (int d = 0; d < RB_N_DTYPE; d++)
        sum += m->bytes_of[d];
    return sum;
}

char *rb_count_text(double n, char *buf, size_t size)
{
    static const char *const unit[] = { "", " K", " M", " G", " T", " P" };
    int u = 0;
    while (n >= 999.995 && u < 5) {
        n /= 1000;
        u++;
    }
    snprintf(buf, size, u ? "%.2f%s" : "%.0f%s", n, unit[u]);
    return buf;
}
