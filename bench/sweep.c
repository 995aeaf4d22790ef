/* The sweep over layers: which depths fit, and what the operational intensity did and why.
 * OI is compared on exact integers (cross products of 128 bits): a sentence about a direction must
 * not rest on rounding. Nothing is run here. Read next: trial.c. */
#include "bench.h"

#include <stdarg.h>
#include <string.h>

int rb_sweep_fit(rb_need_fn *need, void *arg, int n, uint64_t available)
{
    uint64_t limit = available - available / 10;
    int fit = 0, over = n - 1; /* the first `fit` depths fit; from `over` on they do not */
    if (!available || !n || need(arg, n - 1) <= limit)
        return n;
    while (fit < over) {
        int middle = fit + (over - fit) / 2;
        if (need(arg, middle) <= limit)
            fit = middle + 1;
        else
            over = middle;
    }
    return fit;
}

int rb_oi_compare(const rb_trend_point *a, const rb_trend_point *b)
{
    unsigned __int128 x = (unsigned __int128)a->flops * b->bytes;
    unsigned __int128 y = (unsigned __int128)b->flops * a->bytes;
    return (x > y) - (x < y);
}

/* Whether (a1 - a0) / dl0 == (b1 - b0) / dl1, exactly. */
static bool same_rate(uint64_t a0, uint64_t a1, int64_t dl0, uint64_t b0, uint64_t b1, int64_t dl1)
{
    return (__int128)((__int128)a1 - a0) * dl1 == (__int128)((__int128)b1 - b0) * dl0;
}

static bool layers_are_equal(const rb_trend_point *p, int n)
{
    for (int i = 1; i + 1 < n; i++) {
        int64_t first = p[1].n_layer - p[0].n_layer, here = p[i + 1].n_layer - p[i].n_layer;
        if (!same_rate(p[0].flops, p[1].flops, first, p[i].flops, p[i + 1].flops, here) ||
            !same_rate(p[0].bytes, p[1].bytes, first, p[i].bytes, p[i + 1].bytes, here))
            return false;
    }
    return true;
}

rb_trend rb_trend_of(const rb_trend_point *p, int n)
{
    rb_trend t = { .kind = RB_TREND_NONE };
    if (n < 2)
        return t;
    int direction = 0; /* of the last step that was not level */
    bool level = false;
    for (int i = 0; i + 1 < n; i++) {
        int step = rb_oi_compare(&p[i + 1], &p[i]);
        level = level || step == 0;
        if (step && direction && step != direction && !t.n_turn++)
            t.first_turn = i;
        direction = step ? step : direction;
    }
    t.equal_layers = n > 2 && layers_are_equal(p, n); /* two depths show one step only */
    t.kind = t.n_turn         ? RB_TREND_TURNS
             : direction == 0 ? RB_TREND_FLAT
             : direction > 0  ? RB_TREND_RISES
                              : RB_TREND_FALLS;
    t.strict = !level;
    return t;
}

static double oi_of(const rb_trend_point *p)
{
    return p->bytes ? (double)p->flops / (double)p->bytes : 0;
}

/* FLOPs per byte of the layers between two depths. */
static double added_ratio(const rb_trend_point *a, const rb_trend_point *b)
{
    return b->bytes > a->bytes ? (double)(b->flops - a->flops) / (double)(b->bytes - a->bytes) : 0;
}

static void put(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Appends to buf as far as it fits. */
static void put(char *buf, size_t size, const char *fmt, ...)
{
    size_t used = strlen(buf);
    va_list args;
    va_start(args, fmt);
    vsnprintf(buf + used, size - used, fmt, args);
    va_end(args);
}

static void put_reason(const rb_trend_point *p, int n, const rb_trend *t, char *buf, size_t size)
{
    double ratio = added_ratio(&p[0], &p[n - 1]);
    if (t->equal_layers && t->kind == RB_TREND_FLAT)
        put(buf, size, "Every layer brings exactly the ratio the model has already.");
    else if (t->equal_layers) {
        uint64_t layers = (uint64_t)(p[n - 1].n_layer - p[0].n_layer);
        put(buf, size,
            "Every layer adds the same %llu FLOPs and %llu bytes (%.6g FLOP/byte), %s than the "
            "part around the layers, so OI moves toward that ratio and can have no peak between.",
            (unsigned long long)((p[n - 1].flops - p[0].flops) / layers),
            (unsigned long long)((p[n - 1].bytes - p[0].bytes) / layers), ratio,
            t->kind == RB_TREND_RISES ? "more" : "less");
    } else if (t->kind == RB_TREND_TURNS) {
        int at = t->first_turn;
        put(buf, size,
            "Layers differ: OI moves toward each added layer's own ratio, %.6g FLOP/byte for the "
            "layers up to that depth and %.6g for those after it.",
            added_ratio(&p[at - 1], &p[at]), added_ratio(&p[at], &p[at + 1]));
    } else
        put(buf, size,
            "Layers differ, and OI moves toward each added layer's own ratio, %.6g FLOP/byte on "
            "average, which stays on one side of it.",
            ratio);
}

char *rb_trend_text(const char *test, const rb_trend_point *p, int n, char *buf, size_t size)
{
    rb_trend t = rb_trend_of(p, n);
    buf[0] = 0;
    if (t.kind == RB_TREND_NONE) {
        put(buf, size, "%s: one depth only, so OI W+KV has no direction.", test);
        return buf;
    }
    const rb_trend_point *last = &p[n - 1], *turn = &p[t.first_turn];
    long long l0 = p->n_layer, l1 = last->n_layer;
    const char *strictly = t.strict ? "strictly " : "";
    if (t.kind == RB_TREND_FLAT)
        put(buf, size, "%s: OI W+KV is the same, %.6g, from %lld to %lld layers. ", test, oi_of(p),
            l0, l1);
    else if (t.kind == RB_TREND_TURNS)
        put(buf, size,
            "%s: OI W+KV is %.6g at %lld layers, %s %.6g at %lld, turns there%s and is %.6g at "
            "%lld. ",
            test, oi_of(p), l0, rb_oi_compare(turn, p) > 0 ? "rises to" : "falls to", oi_of(turn),
            (long long)turn->n_layer, t.n_turn > 1 ? " (and again later)" : "", oi_of(last), l1);
    else
        put(buf, size, "%s: OI W+KV %s %swith layers, from %.6g at %lld to %.6g at %lld. ", test,
            t.kind == RB_TREND_RISES ? "rises" : "falls", strictly, oi_of(p), l0, oi_of(last), l1);
    put_reason(p, n, &t, buf, size);
    return buf;
}

char *rb_dram_trend_text(const char *test, const rb_trend_point *p, int n, uint64_t cache_bytes,
                         char *buf, size_t size)
{
    const double cache = (double)cache_bytes / 1e6;
    int first = 0; /* depth that does not stay in the cache */
    while (first < n && p[first].oi_dram <= 0)
        first++;
    buf[0] = 0;
    if (first == n) {
        put(buf, size,
            "%s: by the model, all depths stay in a last cache of %.4g MB (resident: less than "
            "half "
            "of weights and KV cache comes from DRAM), and OI DRAM has no meaning.",
            test, cache);
        return buf;
    }
    put(buf, size, "%s: by the model, with a last cache of %.4g MB, ", test, cache);
    if (first)
        put(buf, size,
            "%lld to %lld layers stay in it (resident: less than half of weights and KV cache "
            "comes from DRAM). The one "
            "bend is where the model leaves it: ",
            (long long)p[0].n_layer, (long long)p[first - 1].n_layer);
    else
        put(buf, size, "every depth streams from DRAM and there is no bend: ");
    put(buf, size, "OI DRAM is %.4g at %lld", p[first].oi_dram, (long long)p[first].n_layer);
    if (first + 1 < n)
        put(buf, size, " and %.4g at %lld", p[n - 1].oi_dram, (long long)p[n - 1].n_layer);
    put(buf, size, ".");
    return buf;
}
