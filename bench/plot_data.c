/* Records as numbers that a figure can use. Every field is checked here: what is missing, of
 * another type or out of any scale leaves the record out, never the figure. Nothing is drawn here.
 * Read next: plot_series.c. */
#include "plot.h"
#include "record.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double smallest = 1e-6, largest = 1e9; /* of what a log axis is asked to show */

/* ---- fields ---- */

static double number_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    return isfinite(x) ? x : NAN;
}

static uint64_t count_of(const json_t *o, const char *key)
{
    int64_t n = rb_field_int(o, key);
    return n > 0 ? (uint64_t)n : 0;
}

/* Copies as much as fits, whole characters of UTF-8 only. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t n = strlen(from);
    if (n >= size) {
        n = size - 1;
        while (n && ((unsigned char)from[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(to, from, n);
    to[n] = 0;
}

static bool showable(double x)
{
    return x >= smallest && x <= largest;
}

/* ---- roofs ---- */

const char *rb_plot_roof_title(const char *name)
{
    static const char *const known[][2] = {
        { "read_l1", "L1" },      { "read_l2", "L2" },      { "read_l3", "L3" },
        { "read_dram", "DRAM" },  { "fma_f32", "f32 FMA" }, { "dot_bf16", "bf16 dot" },
        { "dot_i8", "int8 dot" },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strcmp(name, known[i][0]))
            return known[i][1];
    }
    return name;
}

/* With its range where it drifted by more than a tenth. */
static void label_roof(rb_plot_roof *r)
{
    char value[32], low[32], high[32], range[80] = "";
    if (r->high > 1.1 * r->low)
        snprintf(range, sizeof range, " (%s–%s)", rb_plot_number(r->low, low, 32),
                 rb_plot_number(r->high, high, 32));
    snprintf(r->label, sizeof r->label, "%s %s%s %s", rb_plot_roof_title(r->name),
             rb_plot_number(r->value, value, 32), range, r->compute ? "GFLOP/s" : "GB/s");
}

const rb_plot_roof *rb_plot_roof_named(const rb_plot_machine *m, const char *name)
{
    for (int i = 0; i < m->n_roof; i++) {
        if (!strcmp(m->roof[i].name, name))
            return &m->roof[i];
    }
    return NULL;
}

/* How much of what the records ran with a roof was measured with. */
static int fit_of(const rb_plot_machine *m, const rb_plot_roof *r)
{
    return 2 * (r->n_threads == m->n_threads) + !strcmp(r->isa, m->isa);
}

/* Roofs that are lines of a figure; of several the one under the records' threads and ISA counts,
 * or the first. */
static void add_roof(rb_plot_machine *m, const json_t *o)
{
    rb_plot_roof r = { .value = number_of(o, "value"), .n_threads = rb_field_int(o, "n_threads") };
    const char *kind = rb_field_text(o, "kind");
    r.compute = !strcmp(kind, "compute");
    copy_text(r.name, sizeof r.name, rb_field_text(o, "name"));
    copy_text(r.isa, sizeof r.isa, rb_field_text(o, "isa"));
    if ((!r.compute && (strcmp(kind, "bandwidth") != 0 || strncmp(r.name, "read_", 5) != 0)) ||
        !r.name[0] || !showable(r.value))
        return;
    label_roof(&r);
    if (m->n_roof && (m->roof[0].n_threads != r.n_threads || strcmp(m->roof[0].isa, r.isa) != 0))
        m->roofs_differ = true;
    for (int i = 0; i < m->n_roof; i++) {
        rb_plot_roof *old = &m->roof[i];
        if (strcmp(old->name, r.name) != 0)
            continue;
        if (fit_of(m, &r) > fit_of(m, old))
            *old = r;
        return;
    }
    if (m->n_roof < RB_PLOT_MAX_ROOFS)
        m->roof[m->n_roof++] = r;
}

static void add_roofs(rb_plot_machine *m, const json_t *records)
{
    size_t i;
    json_t *o;
    json_array_foreach(records, i, o)
    {
        const json_t *roofs = json_object_get(o, "roofs");
        for (size_t k = 0; k < json_array_size(roofs) && k < 1024; k++)
            add_roof(m, json_array_get(roofs, k));
    }
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A figure's roof is what 19 of 20 probes around its samples stayed under: the one that was
 * measured before may have drifted away. */
static void follow_probes(rb_plot_machine *m, const json_t *records, const char *name,
                          const char *samples)
{
    enum { MOST = 4096 };
    rb_plot_roof *roof = (rb_plot_roof *)rb_plot_roof_named(m, name);
    double *probe = roof ? calloc(MOST, sizeof *probe) : NULL;
    int n = 0;
    size_t i, k;
    json_t *o, *x;
    if (!probe)
        return;
    json_array_foreach(records, i, o)
    {
        if (rb_field_int(o, "n_threads") != roof->n_threads ||
            strcmp(rb_field_text(o, "isa"), roof->isa) != 0)
            continue;
        json_array_foreach(json_object_get(o, samples), k, x)
        {
            if (n < MOST && json_is_number(x) && showable(json_number_value(x)))
                probe[n++] = json_number_value(x);
        }
    }
    qsort(probe, (size_t)n, sizeof *probe, by_size);
    if (n) {
        roof->value = probe[(n - 1) * 19 / 20];
        roof->low = probe[0];
        roof->high = probe[n - 1];
        label_roof(roof);
    }
    free(probe);
}

/* ---- records ---- */

/* A file's name without folders and suffix, of what models are kept in. */
static void copy_base_name(char *to, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    copy_text(to, size, slash ? slash + 1 : path);
    char *dot = strrchr(to, '.');
    if (dot && (!strcmp(dot, ".gguf") || !strcmp(dot, ".bin")))
        *dot = 0;
}

static void name_subject(const json_t *o, char *buf, size_t size)
{
    const char *file = rb_field_text(o, "model_filename"), *type = rb_field_text(o, "model_type");
    const char *variant = rb_field_text(o, "attn_variant");
    char part[80];
    copy_text(part, 32, variant); /* first: legends cut what is long, and it is what differs */
    if (variant[0])
        rb_plot_put(buf, size, "%s, ", part);
    copy_base_name(part, 48, file);
    if (part[0])
        rb_plot_put(buf, size, "%s%s", part, type[0] ? ": " : "");
    copy_text(part, 48, type[0] || file[0] ? type : "unnamed model");
    rb_plot_put(buf, size, "%s", part);
    const json_t *peer = json_object_get(o, "peer");
    copy_text(part, 20, rb_field_text(peer, "name"));
    if (part[0])
        rb_plot_put(buf, size, ", by %s ", part);
    copy_text(part, 32, rb_field_text(peer, "build"));
    rb_plot_put(buf, size, "%s", part);
}

static int subject_of(rb_plot_data *data, const json_t *o)
{
    char name[128] = "";
    name_subject(o, name, sizeof name);
    for (int i = 0; i < data->n_subject; i++) {
        if (!strcmp(data->subject[i], name))
            return i;
    }
    memcpy(data->subject[data->n_subject], name, sizeof name);
    return data->n_subject++;
}

/* Options that may vary between records of one file and then belong to the test's name. */
static const struct {
    const char *key, *fmt;
} options[] = {
    { "n_threads", "%s threads" }, { "isa", "%s" },        { "act", "act %s" },
    { "type_k", "K %s" },          { "type_v", "V %s" },   { "n_ubatch", "ub %s" },
    { "n_batch", "b %s" },         { "kv_fill", "%s KV" },
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static void option_text(const json_t *o, const char *key, char *buf, size_t size)
{
    const json_t *v = json_object_get(o, key);
    buf[0] = 0;
    if (json_is_integer(v))
        snprintf(buf, size, "%lld", (long long)json_integer_value(v));
    else
        copy_text(buf, size, rb_field_text(o, key));
}

static bool varies(const json_t *records, const char *key)
{
    char first[24] = "", here[24];
    for (size_t i = 0; i < json_array_size(records); i++) {
        option_text(json_array_get(records, i), key, here, sizeof here);
        if (here[0] && first[0] && strcmp(here, first) != 0)
            return true;
        if (here[0])
            memcpy(first, here, sizeof first);
    }
    return false;
}

static void name_test(const rb_test *t, const json_t *o, const bool vary[N_OPTIONS], char *buf,
                      size_t size)
{
    char value[24];
    rb_test_name(t, buf, size);
    for (int i = 0; i < N_OPTIONS; i++) {
        option_text(o, options[i].key, value, sizeof value);
        if (!vary[i] || !value[0])
            continue;
        rb_plot_put(buf, size, ", ");
        rb_plot_put(buf, size,
                    i                    ? options[i].fmt
                    : strcmp(value, "1") ? "%s threads"
                                         : "%s thread",
                    value);
    }
}

/* What it is called, and without all that lines run over. */
static void read_test(rb_plot_record *r, const json_t *o, const bool vary[N_OPTIONS])
{
    rb_test t = rb_record_test(o);
    name_test(&t, o, vary, r->test, sizeof r->test);
    r->at[RB_AXIS_LAYERS] = r->n_layer = rb_field_int(o, "n_layer_run");
    r->at[RB_AXIS_CONTEXT] = t.n_depth;
    r->at[RB_AXIS_SEQUENCES] = t.n_seq > 1 ? t.n_seq : 1;
    r->at[RB_AXIS_DRAFTS] = t.n_draft;
    t.n_depth = 0;
    t.n_seq = 1;
    t.n_draft = t.n_draft > 0;
    name_test(&t, o, vary, r->kind, sizeof r->kind);
}

static int phase_of(const json_t *o)
{
    const char *phase = rb_field_text(o, "phase");
    if (!phase[0])
        phase = rb_field_int(o, "n_gen") <= 0      ? "prefill"
                : rb_field_int(o, "n_prompt") <= 0 ? "decode"
                                                   : "";
    return !strcmp(phase, "prefill")  ? RB_PREFILL_POINT
           : !strcmp(phase, "decode") ? RB_DECODE_POINT
           : !strcmp(phase, "verify") ? RB_VERIFY_POINT
                                      : RB_MIXED_POINT;
}

static void read_counts(rb_plot_record *r, const json_t *o)
{
    const json_t *bytes = json_object_get(o, "bytes");
    static const char *const key[] = { "weight", "kv_read", "kv_write" };
    r->flops = count_of(o, "flops");
    for (int i = 0; i < 3; i++) {
        if (__builtin_add_overflow(r->bytes, count_of(bytes, key[i]), &r->bytes))
            r->bytes = 0;
    }
    r->oi = number_of(o, "oi");
    if (isnan(r->oi) && r->bytes)
        r->oi = (double)r->flops / (double)r->bytes;
    r->oi_dram = number_of(o, "oi_dram");
    if (!showable(r->oi_dram))
        r->oi_dram = NAN;
    r->in_cache = isnan(r->oi_dram) && json_is_object(json_object_get(o, "bytes_dram_model"));
}

/* Rate and its interval, from the interval of the time. */
static void read_rate(rb_plot_record *r, const json_t *o)
{
    const json_t *ci = json_object_get(o, "ci95_ns");
    double ns = number_of(o, "median_ns"), end[2] = { NAN, NAN };
    r->gflops = ns > 0 ? number_of(o, "gflops") : NAN;
    if (isnan(r->gflops) && ns > 0)
        r->gflops = (double)r->flops / ns;
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_array_get(ci, i);
        end[i] = json_is_number(v) ? json_number_value(v) : NAN;
    }
    r->gflops_lo = r->gflops_hi = r->gflops;
    if (end[0] > 0 && end[0] <= ns && end[1] >= ns && end[1] < INFINITY) {
        r->gflops_lo = r->gflops * ns / end[1];
        r->gflops_hi = r->gflops * ns / end[0];
    }
    if (!showable(r->gflops_lo) || !showable(r->gflops_hi))
        r->gflops_lo = r->gflops_hi = r->gflops;
}

static void add_record(rb_plot_data *data, int set, const json_t *o, const bool vary[N_OPTIONS])
{
    if (!json_object_get(o, "n_prompt") && !json_object_get(o, "n_gen"))
        return; /* a machine's roofs, not a test */
    if (json_object_get(o, "error")) {
        data->n_failed++;
        return;
    }
    rb_plot_record r = { .json = o, .set = set, .phase = phase_of(o) };
    read_counts(&r, o);
    read_rate(&r, o);
    if (!showable(r.oi) || !showable(r.gflops)) {
        data->n_untimed++;
        return;
    }
    if (data->n == RB_PLOT_MAX_RECORDS) {
        data->n_more++;
        return;
    }
    r.subject = subject_of(data, o);
    read_test(&r, o, vary);
    r.roof_gflops = number_of(o, "roof_gflops");
    r.roof_pct = number_of(o, "roof_pct");
    r.resident = !strcmp(rb_field_text(o, "bound"), "resident");
    r.above = json_is_true(json_object_get(o, "roof_exceeded")) || r.roof_pct > 100;
    copy_text(r.roof, sizeof r.roof, rb_field_text(o, "roof"));
    data->record[data->n++] = r;
}

static void add_set(rb_plot_data *data, int set, const rb_plot_set *from)
{
    rb_plot_machine *m = &data->machine[set];
    bool vary[N_OPTIONS];
    size_t i;
    json_t *o;
    copy_text(m->name, sizeof m->name, from->name ? from->name : "");
    for (int k = 0; k < N_OPTIONS; k++)
        vary[k] = varies(from->records, options[k].key);
    json_array_foreach(from->records, i, o)
    {
        if (!m->cpu[0])
            copy_text(m->cpu, sizeof m->cpu, rb_field_text(o, "cpu_info"));
        if (!m->isa[0] && !vary[1])
            copy_text(m->isa, sizeof m->isa, rb_field_text(o, "isa"));
        if (!m->n_threads && !vary[0])
            m->n_threads = rb_field_int(o, "n_threads");
        add_record(data, set, o, vary);
    }
    add_roofs(m, from->records);
    follow_probes(m, from->records, "read_dram", "samples_read_dram");
    follow_probes(m, from->records, "fma_f32", "samples_fma_f32");
}

/* ---- all of them ---- */

rb_status rb_plot_collect(rb_plot_data *data, const rb_plot_set *sets, int n_sets, rb_error *err)
{
    *data = (rb_plot_data){ .n_machine = n_sets };
    if (n_sets < 1 || n_sets > RB_PLOT_MAX_SETS)
        return rb_fail(err, RB_ERR_ARGUMENT, "a figure takes 1 to %d sets of records",
                       RB_PLOT_MAX_SETS);
    data->record = calloc(RB_PLOT_MAX_RECORDS, sizeof *data->record);
    data->series = calloc(RB_PLOT_MAX_RECORDS, sizeof *data->series);
    data->subject = calloc(RB_PLOT_MAX_RECORDS, sizeof *data->subject);
    if (!data->record || !data->series || !data->subject) {
        rb_plot_data_free(data);
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for the figure");
    }
    for (int i = 0; i < n_sets; i++)
        add_set(data, i, &sets[i]);
    const rb_status st = rb_plot_split(data, err);
    if (st != RB_OK)
        rb_plot_data_free(data);
    return st;
}

void rb_plot_data_free(rb_plot_data *data)
{
    free(data->record);
    free(data->series);
    free(data->subject);
    data->record = NULL;
    data->series = NULL;
    data->subject = NULL;
}

/* ---- kernels ---- */

static int by_share(const void *x, const void *y)
{
    const rb_plot_kernel *a = x, *b = y;
    return (a->share < b->share) - (a->share > b->share);
}

static rb_plot_kernel *kernel_of(rb_plot_kernel *kernel, int *n, const json_t *o)
{
    char op[32], site[32];
    copy_text(op, sizeof op, rb_field_text(o, "op"));
    copy_text(site, sizeof site, rb_field_text(o, "site"));
    for (int i = 0; i < *n; i++) {
        if (!strcmp(kernel[i].op, op) && !strcmp(kernel[i].site, site))
            return &kernel[i];
    }
    if (*n == RB_PLOT_MAX_KERNELS)
        return NULL;
    rb_plot_kernel *k = &kernel[(*n)++];
    *k = (rb_plot_kernel){ 0 };
    memcpy(k->op, op, sizeof op);
    memcpy(k->site, site, sizeof site);
    return k;
}

static double bytes_of(const json_t *bytes)
{
    static const char *const key[] = { "weight", "kv_read", "kv_write", "act_read", "act_write" };
    double sum = 0;
    for (int i = 0; i < 5; i++)
        sum += (double)count_of(bytes, key[i]);
    return sum;
}

int rb_plot_kernels(const rb_plot_record *r, rb_plot_kernel kernel[RB_PLOT_MAX_KERNELS])
{
    const json_t *list = json_object_get(r->json, "kernels");
    double whole = 0;
    int n = 0;
    for (size_t i = 0; i < json_array_size(list) && i < 4096; i++) {
        const json_t *o = json_array_get(list, i);
        double ns = (double)count_of(o, "ns");
        rb_plot_kernel *k = kernel_of(kernel, &n, o);
        whole += ns;
        if (!k)
            continue;
        k->ns += ns;
        k->flops += (double)count_of(o, "flops");
        k->bytes += bytes_of(json_object_get(o, "bytes"));
    }
    if (!(whole > 0)) /* counts alone: of a dry run, or of another engine */
        return 0;
    for (int i = 0; i < n; i++) {
        rb_plot_kernel *k = &kernel[i];
        k->share = k->ns / whole;
        k->oi = k->bytes > 0 ? k->flops / k->bytes : 0;
        k->gflops = k->ns > 0 ? k->flops / k->ns : 0;
        if (!showable(k->oi) || !showable(k->gflops))
            k->oi = k->gflops = 0; /* no place: barriers, copies */
    }
    qsort(kernel, (size_t)n, sizeof *kernel, by_share);
    return n;
}
