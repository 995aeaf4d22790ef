/* What became of the weights of a converted file, type by type: their sizes and their errors.
 * Refuses to convert.
 * Read next: ../models/convert.h. */
#include "bench.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

static double bits_per_weight(const rb_converted *what)
{
    return what->n_element ? 8 * (double)what->bytes_after / (double)what->n_element : 0;
}

/* The root of the mean squared error over that of the values: of what was converted. */
static double relative_rmse(const rb_converted *what)
{
    return what->sum_sq > 0 ? sqrt(what->error_sq / what->sum_sq) : 0;
}

static void fill(const char *name, const rb_converted *what, rb_cells cells)
{
    memset(cells, 0, sizeof(rb_cells));
    snprintf(cells[0], RB_CELL, "%s", name);
    snprintf(cells[1], RB_CELL, "%" PRId64, what->n_tensor);
    snprintf(cells[2], RB_CELL, "%" PRId64, what->n_copied);
    snprintf(cells[3], RB_CELL, "%" PRIu64, what->bytes_before);
    snprintf(cells[4], RB_CELL, "%" PRIu64, what->bytes_after);
    snprintf(cells[5], RB_CELL, "%.4f", bits_per_weight(what));
    snprintf(cells[6], RB_CELL, what->n_copied < what->n_tensor ? "%.3e" : "-",
             relative_rmse(what));
}

static void put_table(FILE *out, const rb_conversion *c)
{
    static const char *const head[] = { "type",         "tensors",     "copied",
                                        "bytes before", "bytes after", "bits per weight",
                                        "relative RMSE" };
    enum { N_COLUMN = sizeof head / sizeof *head };
    const rb_converted total = rb_conversion_total(c);
    rb_table t = { 0 };
    rb_cells cells;
    for (int i = 0; i < N_COLUMN; i++)
        rb_table_column(&t, head[i], i > 0, 0);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            rb_table_head(out, &t);
        for (int type = 0; type <= RB_FIRST_PACKED; type++) {
            const bool last = type == RB_FIRST_PACKED;
            if (!last && !c->of[type].n_tensor)
                continue;
            fill(last ? "total" : rb_dtype_get((rb_dtype)type)->name, last ? &total : &c->of[type],
                 cells);
            pass ? rb_table_row(out, &t, cells) : rb_table_fit(&t, cells);
        }
    }
}

static json_t *record_of(const rb_converted *what)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:f,s:f}", "n_tensors", (json_int_t)what->n_tensor,
                     "n_copied", (json_int_t)what->n_copied, "n_params",
                     (json_int_t)what->n_element, "bytes_before", (json_int_t)what->bytes_before,
                     "bytes_after", (json_int_t)what->bytes_after, "bits_per_weight",
                     bits_per_weight(what), "relative_rmse", relative_rmse(what));
}

static rb_status put_json(FILE *out, const rb_conversion *c, const char *type, rb_error *err)
{
    const rb_converted total = rb_conversion_total(c);
    json_t *types = json_object();
    for (int t = 0; t < RB_FIRST_PACKED; t++)
        if (c->of[t].n_tensor)
            json_object_set_new(types, rb_dtype_get((rb_dtype)t)->name, record_of(&c->of[t]));
    json_t *o = json_pack("{s:i,s:s,s:o,s:o}", "schema_version", RB_SCHEMA_VERSION, "type", type,
                          "types", types, "total", record_of(&total));
    if (!o)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a record");
    json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputs("\n", out);
    json_decref(o);
    return RB_OK;
}

rb_status rb_conversion_write(FILE *out, const rb_conversion *c, const char *type, bool json,
                              rb_error *err)
{
    rb_status status = RB_OK;
    if (json)
        status = put_json(out, c, type, err);
    else
        put_table(out, c);
    if (status == RB_OK && (fflush(out) || ferror(out)))
        return rb_fail(err, RB_ERR_IO, "cannot write the table: %s", strerror(errno));
    return status;
}
