/* Fuzzes figures of records: of either kind, of one set or of two laid over each other, as the
 * length of the input has it; as SVG, which has to be UTF-8 without control characters.
 * build/fuzz/figures is the corpus.
 * Read next: fuzz_records.h, ../bench/plot_data.c. */
#define _GNU_SOURCE
#include "fuzz_json.h"
#include "fuzz_records.h"

#include "../bench/draw_list.h"
#include "../bench/plot.h"
#include "../models/chat/jinja.h"

enum { MAX_INPUT = 2048 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_record_seeds(fuzz_corpus(argc, argv, "figures", MAX_INPUT));
    return 0;
}

static void write_svg(const rb_draw *d)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (!out || !rb_draw_svg(d, out) || fclose(out) != 0)
        abort();
    if (strlen(text) != n || !rb_jinja_utf8_valid(text, n))
        abort();
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' && *c != '\n')
            abort();
    free(text);
}

static void draw(const json_t *records, int n_set, bool layers)
{
    const rb_plot_set set[] = { { records, "a" }, { records, "b" } };
    rb_plot_data data;
    rb_error err = { 0 };
    if (rb_plot_collect(&data, set, n_set, &err) != RB_OK) {
        if (!err.text[0])
            abort();
        return;
    }
    rb_draw *d = rb_draw_new(RB_PLOT_WIDTH, RB_PLOT_HEIGHT);
    const rb_status status =
        layers ? rb_plot_layers(d, &data, &err) : rb_plot_roofline(d, &data, &err);
    if (status == RB_OK)
        write_svg(d);
    else if (!err.text[0])
        abort();
    rb_draw_free(d);
    rb_plot_data_free(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *records = fuzz_records(data, size, true);
    if (records)
        draw(records, 1 + (int)(size & 1), size & 2);
    json_decref(records);
    return 0;
}
