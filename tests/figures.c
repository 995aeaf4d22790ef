/* Records, folder and XML check of the suites of figures.
 * Nothing is asserted about figures here.
 * Read next: figures.h. */
#include "figures.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

void rb_figures_open(void)
{
    snprintf(folder, sizeof folder, "/tmp/rbench-plot-XXXXXX");
    cr_assert(mkdtemp(folder));
}

void rb_figures_close(void)
{
    char command[256];
    snprintf(command, sizeof command, "chmod -R u+w '%s' && rm -r '%s'", folder, folder);
    cr_assert_eq(system(command), 0);
}

const char *rb_figures_path(const char *name)
{
    static char path[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

int rb_figures_count(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    cr_assert(dir);
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

const char *rb_figures_folder(void)
{
    return folder;
}

char *rb_figures_slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    char *text = calloc(1, 1 << 22);
    cr_assert(text && fread(text, 1, (1 << 22) - 1, f) > 0);
    fclose(f);
    return text;
}

void rb_figures_spill(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* ---- records ---- */

json_t *rb_figures_roofs(double compute, double memory)
{
    return json_pack(
        "[{ssssss sf},{ssssss sf},{ssssss sf},{ssssss sf},{ssssss sf},{ssssss sf},{ssssss sf},"
        "{ssssss sf},{ssssss sf}]",
        "name", "fma_f32", "kind", "compute", "unit", "GFLOP/s", "value", 212 * compute, "name",
        "dot_bf16", "kind", "compute", "unit", "GFLOP/s", "value", 450 * compute, "name", "dot_i8",
        "kind", "compute", "unit", "GFLOP/s", "value", 880 * compute, "name", "read_l1", "kind",
        "bandwidth", "unit", "GB/s", "value", 400 * memory, "name", "read_l2", "kind", "bandwidth",
        "unit", "GB/s", "value", 200 * memory, "name", "read_l3", "kind", "bandwidth", "unit",
        "GB/s", "value", 90 * memory, "name", "read_dram", "kind", "bandwidth", "unit", "GB/s",
        "value", 29 * memory, "name", "triad_dram", "kind", "bandwidth", "unit", "GB/s", "value",
        23 * memory, "name", "launch", "kind", "floor", "unit", "ns", "value", 1500.0);
}

static void add_kernel(json_t *list, const char *op, const char *site, double share, double ns,
                       double flops, double oi)
{
    json_int_t bytes = oi > 0 ? (json_int_t)(flops / oi) : 0;
    json_array_append_new(list, json_pack("{ss ss sI sI s{sI sI}}", "op", op, "site", site, "ns",
                                          (json_int_t)(share * ns), "flops", (json_int_t)flops,
                                          "bytes", "weight", bytes, "act_read", (json_int_t)0));
}

static json_t *make_kernels(bool decode, double ns, double flops)
{
    json_t *list = json_array();
    add_kernel(list, "matmul", "qkv", 0.144, ns, 0.14 * flops, decode ? 0.994 : 74.8);
    add_kernel(list, "attend", "attn", decode ? 0.009 : 0.06, ns, 0.02 * flops,
               decode ? 2.24 : 28.2);
    add_kernel(list, "matmul", "o", 0.085, ns, 0.09 * flops, decode ? 0.993 : 67.8);
    add_kernel(list, "matmul", "gate_up", 0.45, ns, 0.45 * flops, decode ? 0.996 : 83.8);
    add_kernel(list, "matmul", "down", 0.18, ns, 0.22 * flops, decode ? 0.995 : 79.4);
    add_kernel(list, "matmul", "lm_head", decode ? 0.11 : 0.004, ns, 0.1 * flops, 0.996);
    add_kernel(list, "add", "residual", 0.012, ns, 0.00015 * flops, 0.0833);
    add_kernel(list, "kv_store", "kv_store", 0.002, ns, 0, 0);
    json_array_append_new(list,
                          json_pack("{ss sI}", "op", "barrier", "ns", (json_int_t)(0.02 * ns)));
    return list;
}

/* One test of the sweep: exact counts, a rate near gflops. */
json_t *rb_figures_record(bool decode, int64_t layers, double gflops)
{
    const int64_t more = layers - 1;
    int64_t flops = decode ? 2040201072 + more * 228187888 : 983809220 + more * 927183808;
    int64_t weight = decode ? 2038689792 + more * 226639872 : 63855360 + more * 7082496;
    int64_t read = layers * (decode ? 405504 : 98304), write = layers * (decode ? 24576 : 98304);
    double oi = (double)flops / (double)(weight + read + write), ns = (double)flops / gflops;
    double roof = fmin(212, 29 * oi);
    json_t *o = json_pack(
        "{ss ss ss ss si si si si si sI sI sf sf s[ff] sf sf ss s{sI sI sI}}", "model_type",
        "llama 134.52 M f16", "attn_variant", "gqa", "cpu_info", "AMD EPYC", "isa", "avx512",
        "n_threads", 2, "n_prompt", decode ? 0 : 128, "n_gen", decode ? 32 : 0, "n_depth", 0,
        "n_seq", 1, "n_layer_run", (json_int_t)layers, "flops", (json_int_t)flops, "oi", oi,
        "median_ns", ns, "ci95_ns", ns * 0.98, ns * 1.03, "gflops", gflops, "roof_pct",
        100 * gflops / roof, "phase", decode ? "decode" : "prefill", "bytes", "weight",
        (json_int_t)weight, "kv_read", (json_int_t)read, "kv_write", (json_int_t)write);
    cr_assert(o);
    json_object_set_new(o, "kernels", make_kernels(decode, ns, (double)flops));
    return o;
}

json_t *rb_figures_sweep(double compute, double memory)
{
    static const int layers[] = { 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64 };
    json_t *array = json_array();
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        double wobble = (double)(i * 7 % 5) / 4;
        json_array_append_new(
            array,
            rb_figures_record(false, layers[i], compute * (170 - 50.0 / layers[i] + 4 * wobble)));
        json_array_append_new(array,
                              rb_figures_record(true, layers[i], memory * (17 + 5 * wobble)));
    }
    json_object_set_new(json_array_get(array, 0), "roofs", rb_figures_roofs(compute, memory));
    return array;
}

/* Points of one depth in a dense cloud, so that not every label finds room. */
json_t *rb_figures_many(int n)
{
    json_t *array = json_array();
    for (int i = 0; i < n; i++) {
        json_t *o = rb_figures_record(i % 2, 30, i % 2 ? 20 + i % 3 : 160 + i % 7);
        json_object_set_new(o, "n_depth", json_integer(128 * i));
        json_object_set_new(o, "n_seq", json_integer(1 + i)); /* two things: no line */
        json_object_set_new(o, "oi", json_real(i % 2 ? 1 + i * 0.01 : 90 - i * 0.5));
        json_array_append_new(array, o);
    }
    json_object_set_new(json_array_get(array, 0), "roofs", rb_figures_roofs(1, 1));
    return array;
}

rb_status rb_figures_plot(const json_t *records, rb_plot_kind kind, const char *path, rb_error *err)
{
    return rb_plot(&(rb_plot_set){ records, "test" }, 1, kind, 1, path, err);
}

void rb_figures_must_plot(const json_t *records, rb_plot_kind kind, const char *path)
{
    rb_error err = { 0 };
    cr_assert_eq(rb_figures_plot(records, kind, path, &err), RB_OK, "%s", err.text);
}

/* ---- SVG ---- */

void rb_figures_check_xml(const char *text)
{
    char open[64][32];
    json_t *utf8 = json_string(text);
    cr_assert(utf8, "not UTF-8");
    json_decref(utf8);
    int depth = 0, n_root = 0;
    cr_assert(!strncmp(text, "<?xml ", 6));
    for (const char *p = strstr(text, "?>") + 2; *p; p++) {
        cr_assert_eq(*p == '&' && strncmp(p, "&lt;", 4) && strncmp(p, "&gt;", 4) &&
                         strncmp(p, "&amp;", 5),
                     0, "bare & at: %.40s", p);
        cr_assert((unsigned char)*p >= 0x20 || *p == '\n', "control character");
        if (*p != '<')
            continue;
        const char *end = strchr(p, '>'), *name = p + 1 + (p[1] == '/');
        cr_assert(end && !memchr(p + 1, '<', (size_t)(end - p - 1)), "%.40s", p);
        int quotes = 0;
        for (const char *q = p; q < end; q++)
            quotes += *q == '"';
        cr_assert_eq(quotes % 2, 0);
        size_t n = strcspn(name, " />");
        if (p[1] == '/') {
            cr_assert(depth > 0 && strlen(open[depth - 1]) == n);
            cr_assert(!strncmp(open[--depth], name, n), "%.20s closes %s", name, open[depth]);
        } else if (end[-1] != '/') {
            n_root += depth == 0;
            snprintf(open[depth++], 32, "%.*s", (int)n, name);
        }
        p = end;
    }
    cr_assert_eq(depth, 0);
    cr_assert_eq(n_root, 1);
}
