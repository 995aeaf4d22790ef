/* The laws of context as tables, and what is in them as sentences. Nothing is fitted here.
 * It refuses to show a share of a roof above 100 %.
 * Read next: law.c. */
#include "record.h"
#include "table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LAW, FORETOLD, N_TABLE };
enum { VARIANT, LAYERS, CACHE, THREADS, N_COMMON };

static const char *const heads[N_TABLE][RB_MAX_COLUMN] = {
    { "variant", "layers", "cache", "threads", "test", "contexts", "a", "b, ns a token", "95 % CI",
      "roofs ask", "of it", "misfit" },
    { "variant", "layers", "cache", "threads", "foretold", "law says", "measured", "error" },
};

static void fill_common(const rb_subject *s, const rb_test *t, rb_cells cells)
{
    memset(cells, 0, sizeof(rb_cells));
    rb_subject_attn(s, t, cells[VARIANT], RB_CELL);
    snprintf(cells[LAYERS], RB_CELL, "%lld", (long long)t->n_layer);
    snprintf(cells[CACHE], RB_CELL, "%s", rb_dtype_get(t->type_k)->name);
    if (t->type_v != t->type_k)
        snprintf(cells[CACHE], RB_CELL, "%s %s", rb_dtype_get(t->type_k)->name,
                 rb_dtype_get(t->type_v)->name);
    snprintf(cells[THREADS], RB_CELL, "%d", t->n_threads);
}

static void fill_law(const rb_subject *s, const rb_law *law, rb_cells cells)
{
    const double b = law->b.median, share = 100 * law->roof_ns / b;
    rb_test t = law->test;
    char(*at)[RB_CELL] = &cells[N_COMMON];
    fill_common(s, &t, cells);
    t.n_depth = 0;
    rb_test_name(&t, at[0], RB_CELL);
    snprintf(at[1], RB_CELL, "%d", law->n_context);
    rb_time_text(law->a.median, at[2]);
    snprintf(at[3], RB_CELL, "%.1f", b);
    snprintf(at[4], RB_CELL, law->b.has_ci ? "%.1f to %.1f" : "-", law->b.ci_lo, law->b.ci_hi);
    snprintf(at[5], RB_CELL, isfinite(law->roof_ns) ? "%.1f" : "-", law->roof_ns);
    snprintf(at[6], RB_CELL, share > 100 ? "> roof" : share > 0 ? "%.1f %%" : "-", share);
    snprintf(at[7], RB_CELL, "%.1f %%", 100 * law->misfit);
}

static void fill_foretold(const rb_subject *s, const rb_foretold *f, rb_cells cells)
{
    char(*at)[RB_CELL] = &cells[N_COMMON];
    fill_common(s, &f->test, cells);
    rb_test_name(&f->test, at[0], RB_CELL);
    rb_time_text(f->said_ns, at[1]);
    rb_time_text(f->took_ns, at[2]);
    snprintf(at[3], RB_CELL, "%+.1f %%", 100 * (f->said_ns / f->took_ns - 1));
}

static void put_table(FILE *out, const rb_laws *l, const rb_subject *s, int which)
{
    const int n = which == LAW ? l->n_law : l->n_foretold;
    rb_table t = { 0 };
    rb_cells cells;
    for (int i = 0; heads[which][i]; i++)
        rb_table_column(&t, heads[which][i], i != VARIANT && i != CACHE && i != N_COMMON, 0);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            rb_table_head(out, &t);
        for (int i = 0; i < n; i++) {
            if (which == LAW)
                fill_law(s, &l->law[i], cells);
            else
                fill_foretold(s, &l->foretold[i], cells);
            pass ? rb_table_row(out, &t, cells) : rb_table_fit(&t, cells);
        }
    }
}

char *rb_laws_text(const rb_laws *l, const rb_subject *s)
{
    char *text = NULL;
    size_t size;
    FILE *out = l->n_law ? open_memstream(&text, &size) : NULL;
    if (!out)
        return NULL;
    put_table(out, l, s, LAW);
    fputs("\nA decode step with d tokens in the cache takes a + b d: a line by least squares in "
          "each round, the median over rounds.\n'roofs ask' is b of the least times, under "
          "the roofs of each round; misfit the most that a fitted median is off the law.\n",
          out);
    if (l->n_foretold) {
        fputs("\n", out);
        put_table(out, l, s, FORETOLD);
        fputs("\nNo law was made from these tests. More sequences: the law of fewer, with each "
              "kernel's share of time by the ratio\nof its least times at both.\n",
              out);
    }
    const bool whole = !ferror(out);
    if (fclose(out) || !whole) {
        free(text);
        return NULL;
    }
    text[strlen(text) - 1] = 0; /* a paragraph, without its newline */
    return text;
}
