/* Figures from records: what SVG and PNG hold, and that no text overlaps another.
 * Files that are torn, hostile or cannot be written are the other suite's matter.
 * Read next: figures.h, ../bench/plot.h, test_plot_files.c. */
#include "../bench/draw_list.h"
#include "../bench/plot.h"
#include "figures.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STBI_ONLY_PNG
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

TestSuite(plot, .init = rb_figures_open, .fini = rb_figures_close);

static const char *const roof_labels[] = {
    "f32 FMA 212 GFLOP/s", "bf16 dot 450 GFLOP/s", "int8 dot 880 GFLOP/s", "L1 400 GB/s",
    "L2 200 GB/s",         "L3 90.0 GB/s",         "DRAM 29.0 GB/s",       "ridge 7.31 FLOP/byte",
};

Test(plot, svg_is_well_formed_and_says_it_all)
{
    static const char *const also[] = {
        "Whole models",
        "prefill: pp128, 1\xe2\x80\x93\x36\x34 layers",
        "decode: tg32",
        "matmul gate_up",
        "matmul lm_head",
        "Kernels of tg32 at 64 layers and pp128 at 64 layers",
        "pp128, 1 layer",
        "AMD EPYC, 2 threads, avx512",
        "multiply-add counts as 2",
        "attend attn",
        "weights and KV cache",
        "operational intensity in FLOP/byte",
    };
    json_t *sweep = rb_figures_sweep(1, 1);
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("a.svg"));
    char *text = rb_figures_slurp(rb_figures_path("a.svg"));
    rb_figures_check_xml(text);
    for (size_t i = 0; i < sizeof roof_labels / sizeof *roof_labels; i++)
        cr_assert(strstr(text, roof_labels[i]), "no %s", roof_labels[i]);
    for (size_t i = 0; i < sizeof also / sizeof *also; i++)
        cr_assert(strstr(text, also[i]), "no %s", also[i]);
    cr_assert(!strstr(text, "triad") && !strstr(text, "launch 1"), "a roof that is no line");
    cr_assert_eq(rb_figures_count(), 1);
}

Test(plot, layers_say_what_oi_does)
{
    json_t *sweep = rb_figures_sweep(1, 1);
    rb_figures_must_plot(sweep, RB_PLOT_LAYERS, rb_figures_path("a.svg"));
    char *text = rb_figures_slurp(rb_figures_path("a.svg"));
    rb_figures_check_xml(text);
    cr_assert(strstr(
        text, "OI W+KV rises with layers: pp128 15.3595 to 113.648, tg32 1.00053 to 1.00438"));
    cr_assert(strstr(text, "a layer alone: 127.376"));
    cr_assert(strstr(text, "a layer alone: 1.00492"));
    /* Heavier layers from 13 on: OI turns at 12, by the counts and not by the recorded oi. */
    size_t i;
    json_t *o;
    json_array_foreach(sweep, i, o)
    {
        json_t *bytes = json_object_get(o, "bytes");
        json_int_t layers = json_integer_value(json_object_get(o, "n_layer_run"));
        json_int_t weight = json_integer_value(json_object_get(bytes, "weight"));
        if (layers > 12)
            json_object_set_new(bytes, "weight", json_integer(weight + (layers - 12) * 90000000));
        json_object_del(o, "oi");
    }
    rb_figures_must_plot(sweep, RB_PLOT_LAYERS, rb_figures_path("b.svg"));
    text = rb_figures_slurp(rb_figures_path("b.svg"));
    cr_assert(strstr(text, "OI W+KV turns with layers"));
    cr_assert(strstr(text, "(12 layers)") && strstr(text, "added layers alone"));
}

/* Crosses where the model streams from DRAM, a bar where it is resident, neither in older records.
 */
Test(plot, layers_show_modelled_traffic)
{
    json_t *sweep = rb_figures_sweep(1, 1);
    rb_figures_must_plot(sweep, RB_PLOT_LAYERS, rb_figures_path("a.svg"));
    char *text = rb_figures_slurp(rb_figures_path("a.svg"));
    cr_assert(!strstr(text, ">resident<") && !strstr(text, ">DRAM<"));
    size_t i;
    json_t *o;
    json_array_foreach(sweep, i, o)
    {
        const bool stays = json_integer_value(json_object_get(o, "n_layer_run")) < 4;
        const double oi = json_number_value(json_object_get(o, "oi"));
        json_object_set_new(o, "bytes_dram_model", json_object());
        json_object_set_new(o, "oi_dram", stays ? json_null() : json_real(oi * 0.99));
    }
    rb_figures_must_plot(sweep, RB_PLOT_LAYERS, rb_figures_path("b.svg"));
    text = rb_figures_slurp(rb_figures_path("b.svg"));
    rb_figures_check_xml(text);
    cr_assert(strstr(text, ">resident<"), "no bar");
    cr_assert(strstr(text, ">DRAM<"), "no crosses");
}

/* A point above its roof has no share of it: the layers say "over", the roofline counts them. */
Test(plot, points_above_their_roof_are_said)
{
    json_t *sweep = rb_figures_sweep(1, 1);
    rb_figures_must_plot(sweep, RB_PLOT_LAYERS, rb_figures_path("a.svg"));
    cr_assert_null(strstr(rb_figures_slurp(rb_figures_path("a.svg")), ">over<"));
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("a.svg"));
    cr_assert_null(strstr(rb_figures_slurp(rb_figures_path("a.svg")), "Above"));
    json_t *last = json_array_get(sweep, json_array_size(sweep) - 1);
    json_object_set_new(last, "roof_pct", json_null());
    json_object_set_new(last, "roof_exceeded", json_true());
    json_object_set_new(last, "roof", json_string("read_dram"));
    rb_figures_must_plot(sweep, RB_PLOT_LAYERS, rb_figures_path("b.svg"));
    cr_expect(strstr(rb_figures_slurp(rb_figures_path("b.svg")), ">over<"));
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("b.svg"));
    cr_expect(strstr(rb_figures_slurp(rb_figures_path("b.svg")), "Above the DRAM roof: 1 point, "));
    json_t *first = json_array_get(sweep, 0);
    json_object_set_new(first, "roof_exceeded", json_true());
    json_object_set_new(first, "roof", json_string("fma_f32"));
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("c.svg"));
    cr_expect(strstr(rb_figures_slurp(rb_figures_path("c.svg")), "Above their roof: 2 points, "));
    /* What cache explains is counted there alone. */
    json_object_set_new(last, "bound", json_string("resident"));
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("d.svg"));
    char *text = rb_figures_slurp(rb_figures_path("d.svg"));
    cr_expect(strstr(text, "Above the f32 FMA roof: 1 point, a roof that drifted"));
    cr_expect(strstr(text, "From cache (resident), not bound")); /* the line breaks there */
}

/* Marks every roof with a team and an ISA. */
static json_t *roofs_of(int64_t n_threads, const char *isa, double memory)
{
    json_t *roofs = rb_figures_roofs(1, memory), *o;
    size_t i;
    json_array_foreach(roofs, i, o)
    {
        json_object_set_new(o, "n_threads", json_integer(n_threads));
        json_object_set_new(o, "isa", json_string(isa));
    }
    return roofs;
}

Test(plot, roofs_of_several_teams_say_whose_are_drawn)
{
    json_t *sweep = rb_figures_sweep(1, 1), *first = json_array_get(sweep, 0);
    json_object_set_new(first, "roofs", roofs_of(2, "avx512", 1));
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("a.svg"));
    cr_expect_null(strstr(rb_figures_slurp(rb_figures_path("a.svg")), "Drawn are"), "only one");
    json_t *roofs = roofs_of(1, "avx512", 0.5);
    json_array_extend(roofs, roofs_of(2, "avx2", 0.7));
    json_array_extend(roofs, roofs_of(2, "avx512", 1));
    json_object_set_new(first, "roofs", roofs);
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("b.svg"));
    char *text = rb_figures_slurp(rb_figures_path("b.svg"));
    cr_expect(strstr(text, "Drawn are those of 2 threads, avx512."));
    cr_expect(strstr(text, "DRAM 29.0 GB/s"), "the records' own threads and ISA");
    json_object_set_new(json_array_get(sweep, 1), "n_threads", json_integer(1));
    json_object_set_new(json_array_get(sweep, 1), "isa", json_string("avx2"));
    rb_figures_must_plot(sweep, RB_PLOT_ROOFLINE, rb_figures_path("c.svg"));
    text = rb_figures_slurp(rb_figures_path("c.svg"));
    cr_expect(strstr(text, "Drawn are those of 1 thread, avx512."), "records of many: the first");
}

Test(plot, overlay_has_a_letter_and_a_color_each)
{
    json_t *a = rb_figures_sweep(1, 1), *b = rb_figures_sweep(0.6, 3.4),
           *c = rb_figures_sweep(1.7, 1.6);
    const rb_plot_set sets[] = { { a, "a.json" }, { b, "b.json" }, { c, "c.json" } };
    static const char *const wanted[] = {
        "A: DRAM 29.0 GB/s",
        "B: DRAM 98.6 GB/s",
        "C: f32 FMA 360 GFLOP/s",
        "b.json",
        "#0072b2",
        "ridge 1.29 FLOP/byte",
        "#d55e00",
        "#009e73",
    };
    rb_error err = { 0 };
    cr_assert_eq(rb_plot(sets, 3, RB_PLOT_ROOFLINE, 1, rb_figures_path("o.svg"), &err), RB_OK, "%s",
                 err.text);
    char *text = rb_figures_slurp(rb_figures_path("o.svg"));
    rb_figures_check_xml(text);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_assert(strstr(text, wanted[i]), "no %s", wanted[i]);
    cr_assert_eq(rb_plot(sets, 3, RB_PLOT_LAYERS, 1, rb_figures_path("l.svg"), &err), RB_OK);
    cr_assert_eq(rb_plot(sets, 8, RB_PLOT_LAYERS, 1, rb_figures_path("l.svg"), &err),
                 RB_ERR_ARGUMENT);
}

Test(plot, text_is_made_fit_for_xml)
{
    static const char *const text[][2] = {
        { "a<b>&\"c", "a&lt;b&gt;&amp;\"c" },
        { "\x01 \x7f \t", "? ? ?" },
        { "\xc3\xa9 \xe2\x82\xac", "\xc3\xa9 \xe2\x82\xac" },
        { "cut \xe2\x82", "cut ??" },
        { "\xff \xc0\x80 \xed\xa0\x80 \xef\xbf\xbf", "? ?? ??? ???" },
    };
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        rb_draw *d = rb_draw_new(200, 100);
        rb_draw_text(d, 10, 10, text[i][0], &(rb_type){ .size = 13, .color = 0xff });
        cr_assert_eq(rb_draw_write(d, rb_figures_path("t.svg"), 1, NULL), RB_OK);
        rb_draw_free(d);
        char *svg = rb_figures_slurp(rb_figures_path("t.svg"));
        rb_figures_check_xml(svg);
        cr_expect(strstr(svg, text[i][1]), "%s", svg);
    }
}

/* ---- PNG ---- */

Test(plot, png_is_a_picture)
{
    json_t *sweep = rb_figures_sweep(1, 1);
    for (int scale = 1; scale <= 2; scale++) {
        rb_error err = { 0 };
        const rb_plot_set set = { sweep, "test" };
        int w, h, channels, n_grey = 0, n_colored = 0, n_white = 0;
        cr_assert_eq(rb_plot(&set, 1, RB_PLOT_ROOFLINE, scale, rb_figures_path("a.png"), &err),
                     RB_OK);
        unsigned char *p = stbi_load(rb_figures_path("a.png"), &w, &h, &channels, 3);
        cr_assert(p);
        cr_assert_eq(w, 1200 * scale);
        cr_assert_eq(h, 800 * scale);
        for (int i = 0; i < w * h; i++) {
            const unsigned char *c = p + 3 * i;
            bool colored = abs(c[0] - c[1]) > 40 || abs(c[1] - c[2]) > 40;
            n_white += c[0] == 255 && c[1] == 255 && c[2] == 255;
            n_colored += colored;
            n_grey += !colored && c[0] < 100;
        }
        cr_assert_gt(n_white, w * h * 8 / 10);
        cr_assert_gt(n_colored, 1500 * scale * scale);
        cr_assert_gt(n_grey, 5000 * scale * scale);
        stbi_image_free(p);
    }
}

Test(plot, png_shapes_cover_what_they_should)
{
    rb_draw *d = rb_draw_new(100, 60);
    int w, h, n;
    rb_draw_rect(d, 10, 10, 20, 20, &(rb_pen){ .fill = 0x0000ffff });
    rb_draw_line(d, 30, 15, 50, 15, &(rb_pen){ .stroke = 0xff0000ff, .width = 4 });
    rb_draw_circle(d, 70, 20, 10, &(rb_pen){ .stroke = 0x000000ff, .width = 2 });
    rb_draw_rect(d, 10, 40, 20, 50, &(rb_pen){ .fill = 0x00000080 });
    rb_draw_clip(d, 40, 40, 60, 60);
    rb_draw_rect(d, 30, 40, 50, 50, &(rb_pen){ .fill = 0x00ff00ff });
    rb_draw_unclip(d);
    rb_draw_line(d, 70, 45, 90, 45, &(rb_pen){ .stroke = 0x000000ff, .width = 2, .dash = 5 });
    cr_assert_eq(rb_draw_write(d, rb_figures_path("s.png"), 1, NULL), RB_OK);
    rb_draw_free(d);
    unsigned char *p = stbi_load(rb_figures_path("s.png"), &w, &h, &n, 3);
    cr_assert(p);
    static const struct {
        int x, y, r, g, b;
    } want[] = {
        { 15, 15, 0, 0, 255 },     { 9, 15, 255, 255, 255 },  { 40, 15, 255, 0, 0 },
        { 40, 12, 255, 255, 255 }, { 70, 20, 255, 255, 255 }, { 15, 45, 127, 127, 127 },
        { 35, 45, 255, 255, 255 }, { 45, 45, 0, 255, 0 },     { 72, 45, 0, 0, 0 },
        { 77, 45, 255, 255, 255 },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const unsigned char *c = p + 3 * (want[i].y * w + want[i].x);
        cr_expect(abs(c[0] - want[i].r) < 3 && abs(c[1] - want[i].g) < 3 &&
                      abs(c[2] - want[i].b) < 3,
                  "%d,%d is %d %d %d", want[i].x, want[i].y, c[0], c[1], c[2]);
    }
    cr_expect_lt(p[3 * (20 * w + 60)], 60, "the ring is not there");
    stbi_image_free(p);
}

/* ---- labels ---- */

Test(plot, slabs_meet_when_they_do)
{
    const rb_slab a = { 0, 0, 10, 2, 0, false };
    const rb_slab near = { 0, 5, 10, 2, 0, false }, touch = { 0, 3, 10, 2, 0, false };
    const rb_slab across = { 0, 0, 10, 2, 90, false }, turned = { 11, -4.5, 10, 2, 45, false };
    const rb_slab reaches = { 11, -3, 10, 2, 45, false };
    cr_assert(!rb_slabs_meet(&a, &near));
    cr_assert(rb_slabs_meet(&a, &touch));
    cr_assert(rb_slabs_meet(&a, &across));
    cr_assert(!rb_slabs_meet(&a, &turned), "their boxes overlap, they do not");
    cr_assert(rb_slabs_meet(&a, &reaches));
}

/* Text of a drawing as slabs; texts of the same place and words count once. */
static int slabs_of(const rb_draw *d, rb_slab *slab, const char **text, int room)
{
    int n = 0;
    for (int i = 0; i < d->n; i++) {
        const rb_item *item = &d->item[i];
        if (item->kind != RB_ITEM_TEXT)
            continue;
        cr_assert_lt(n, room);
        cr_assert_geq(item->type.size, 13, "%s is too small to read", item->text);
        double turn = item->type.angle * 3.14159265358979323846 / 180, size = item->type.size;
        double w = rb_text_width(item->text, size), along = w / 2 * (1 - (int)item->type.anchor);
        double up = size * 0.27;
        slab[n] = (rb_slab){ item->point->x + along * cos(turn) + up * sin(turn),
                             item->point->y + along * sin(turn) - up * cos(turn),
                             w / 2,
                             size * 0.36,
                             item->type.angle,
                             false };
        text[n++] = item->text;
    }
    return n;
}

static void check_no_overlap(const rb_plot_set *sets, int n_sets, rb_plot_kind kind)
{
    enum { MAX = 512 };
    static rb_slab slab[MAX];
    static const char *text[MAX];
    rb_plot_data data;
    rb_draw *d = rb_draw_new(RB_PLOT_WIDTH, RB_PLOT_HEIGHT);
    cr_assert_eq(rb_plot_collect(&data, sets, n_sets, NULL), RB_OK);
    cr_assert_eq(kind == RB_PLOT_LAYERS ? rb_plot_layers(d, &data, NULL)
                                        : rb_plot_roofline(d, &data, NULL),
                 RB_OK);
    int n = slabs_of(d, slab, text, MAX);
    cr_assert_gt(n, 20);
    for (int i = 0; i < n; i++) {
        double c = fabs(cos(slab[i].angle * 3.14159265 / 180)) * slab[i].half_w;
        cr_expect(slab[i].x - c > 0 && slab[i].x + c < RB_PLOT_WIDTH && slab[i].y > 0 &&
                      slab[i].y < RB_PLOT_HEIGHT - 4,
                  "outside: %s", text[i]);
        for (int k = 0; k < i; k++)
            cr_expect(!rb_slabs_meet(&slab[i], &slab[k]), "%s over %s", text[i], text[k]);
    }
    rb_draw_free(d);
    rb_plot_data_free(&data);
}

/* A test of the sweep's first depth with fields of its own. */
static json_t *record_with(const char *key, int64_t value, double gflops)
{
    json_t *o = rb_figures_record(true, 30, gflops);
    json_object_set_new(o, key, json_integer(value));
    if (!strcmp(key, "n_draft")) {
        json_object_set_new(o, "phase", json_string("verify"));
        json_object_set_new(o, "n_gen", json_integer(0));
        json_object_set_new(o, "n_prompt", json_integer(value + 1));
    }
    return o;
}

/* Points along one thing, falling, so that sorting is seen; OI apart enough for two labels. */
static json_t *line_over(const char *key, int first, int n)
{
    json_t *array = json_array();
    for (int i = n - 1; i >= 0; i--) {
        json_t *o = record_with(key, (int64_t)first << i, 20.0 * (1 + i));
        json_object_set_new(o, "oi", json_real(1 << i));
        json_array_append_new(array, o);
    }
    json_object_set_new(json_array_get(array, 0), "roofs", rb_figures_roofs(1, 1));
    return array;
}

static void check_line(const char *key, int first, const char *begin, const char *end,
                       const char *name)
{
    json_t *two = line_over(key, first, 2), *five = line_over(key, first, 5);
    const rb_plot_set few = { two, "two" }, set = { five, "five" };
    rb_plot_data data;
    cr_assert_eq(rb_plot_collect(&data, &few, 1, NULL), RB_OK);
    cr_expect(data.n_series == 2 && data.series[0].axis == RB_NO_AXIS, "two are no line");
    rb_plot_data_free(&data);
    cr_assert_eq(rb_plot_collect(&data, &set, 1, NULL), RB_OK);
    cr_assert(data.n_series == 1 && data.series[0].n == 5, "%s: %d", key, data.n_series);
    const rb_plot_series *s = &data.series[0];
    for (int i = 0; i < s->n; i++)
        cr_expect_eq(s->at[i].at[s->axis], first << i, "%s: rising", key);
    rb_plot_data_free(&data);
    rb_figures_must_plot(five, RB_PLOT_ROOFLINE, rb_figures_path("a.svg"));
    const char *text = rb_figures_slurp(rb_figures_path("a.svg"));
    cr_expect(strstr(text, begin), "no '%s'", begin);
    cr_expect(strstr(text, end), "no '%s'", end);
    cr_expect(strstr(text, name), "no '%s'", name);
    check_no_overlap(&set, 1, RB_PLOT_ROOFLINE);
    cr_expect_eq(rb_figures_plot(five, RB_PLOT_LAYERS, rb_figures_path("b.svg"), NULL),
                 RB_ERR_FORMAT, "no sweep over layers");
}

Test(plot, what_differs_in_one_thing_is_a_line_with_both_ends_named)
{
    check_line("n_depth", 256, ">tg32, d256<", ">d4096<",
               ">decode: tg32, d256\xe2\x80\x93"
               "4096<");
    check_line("n_seq", 1, ">tg32, x 1<", ">x 16<",
               ">decode: tg32, x 1\xe2\x80\x93"
               "16<");
    check_line("n_draft", 1, ">vf1<", ">vf16<", ">verify: vf1 to vf16<");
}

/* Of two things lines run over the one with more values; layers come first; options part lines. */
Test(plot, a_record_is_of_one_line)
{
    json_t *grid = json_array();
    for (int d = 0; d < 3; d++)
        for (int b = 0; b < 4; b++) {
            json_t *o = record_with("n_seq", 1 << b, 20);
            json_object_set_new(o, "n_depth", json_integer(512 * d));
            json_array_append_new(grid, o);
        }
    const rb_plot_set set = { grid, "grid" };
    rb_plot_data data;
    cr_assert_eq(rb_plot_collect(&data, &set, 1, NULL), RB_OK);
    cr_assert_eq(data.n_series, 3);
    for (int i = 0; i < 3; i++)
        cr_expect(data.series[i].axis == RB_AXIS_SEQUENCES && data.series[i].n == 4);
    rb_plot_data_free(&data);
    for (size_t i = 0; i < 4; i++) /* the same context, each with another type of cache */
        json_object_set_new(json_array_get(grid, i), "type_k", json_string(i % 2 ? "q8_0" : "f16"));
    cr_assert_eq(rb_plot_collect(&data, &set, 1, NULL), RB_OK);
    int points = 0;
    for (int i = 0; i < data.n_series; i++)
        points += data.series[i].axis == RB_NO_AXIS;
    cr_expect_eq(points, 4, "two values of each type are no line: %d", points);
    rb_plot_data_free(&data);
    json_array_extend(grid, rb_figures_sweep(1, 1));
    for (size_t i = 0; i < 12; i++)
        json_object_set_new(json_array_get(grid, i), "n_layer_run", json_integer(i < 4 ? 2 : 3));
    cr_assert_eq(rb_plot_collect(&data, &set, 1, NULL), RB_OK);
    int layers = 0;
    for (int i = 0; i < data.n_series; i++)
        layers += data.series[i].axis == RB_AXIS_LAYERS;
    cr_expect_eq(layers, 2, "prefill and decode of the sweep: %d", layers);
    rb_plot_data_free(&data);
}

Test(plot, no_text_overlaps_in_any_figure)
{
    json_t *a = rb_figures_sweep(1, 1), *b = rb_figures_sweep(0.6, 3.4),
           *c = rb_figures_sweep(1.7, 1.6);
    const rb_plot_set three[] = { { a, "a.json" }, { b, "b.json" }, { c, "c.json" } };
    check_no_overlap(three, 1, RB_PLOT_ROOFLINE);
    check_no_overlap(three, 1, RB_PLOT_LAYERS);
    check_no_overlap(three, 3, RB_PLOT_ROOFLINE);
    check_no_overlap(three, 3, RB_PLOT_LAYERS);
    static const int n[] = { 1, 2, 5, 9, 30, 200 };
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        const rb_plot_set many = { rb_figures_many(n[i]), "many" };
        check_no_overlap(&many, 1, RB_PLOT_ROOFLINE);
    }
    /* With every note that a caption can have. */
    json_t *first = json_array_get(a, 0), *last = json_array_get(a, json_array_size(a) - 1);
    json_t *roofs = roofs_of(1, "avx2", 1);
    json_array_extend(roofs, roofs_of(2, "avx512", 1));
    json_object_set_new(first, "roofs", roofs);
    json_object_set_new(first, "bound", json_string("resident"));
    json_object_set_new(last, "roof_exceeded", json_true());
    json_object_set_new(last, "roof", json_string("read_dram"));
    json_array_append_new(a, json_pack("{si ss}", "n_gen", 1, "error", "failed"));
    json_array_append_new(a, json_pack("{si}", "n_gen", 1));
    check_no_overlap(three, 1, RB_PLOT_ROOFLINE);
    check_no_overlap(three, 1, RB_PLOT_LAYERS);
}

Test(plot, labels_stand_clear_of_each_other)
{
    enum { N = 300 };
    rb_draw *d = rb_draw_new(1200, 800);
    rb_placer p = { .x0 = 0, .y0 = 0, .x1 = 1200, .y1 = 800 };
    int placed = 0, n_text = 0;
    srand(7);
    for (int i = 0; i < N; i++) {
        rb_mark_spot m = { rand() % 1200, rand() % 800, 5, 5 };
        placed += rb_label_beside(d, &p, "label", 0x000000ff, &m, 20);
    }
    cr_assert(placed > 100, "%d placed", placed);
    double w = rb_text_width("label", 13);
    for (int i = 0; i < d->n; i++) {
        const rb_item *a = &d->item[i];
        n_text += a->kind == RB_ITEM_TEXT;
        for (int k = 0; k < i && a->kind == RB_ITEM_TEXT; k++) {
            const rb_item *b = &d->item[k];
            cr_assert(b->kind != RB_ITEM_TEXT || fabs(a->point->x - b->point->x) >= w ||
                      fabs(a->point->y - b->point->y) >= 12);
        }
    }
    cr_assert_eq(n_text, placed);
    rb_placer_free(&p);
    rb_draw_free(d);
}
