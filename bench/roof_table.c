/* The roofs of machines as a table for people, with ridge points, or as JSON.
 * Refuses to measure.
 * Read next: roofs.c. */
#include "record.h"
#include "table.h"

#include <errno.h>
#include <string.h>

static void put_ridge(FILE *out, const rb_machine *m, rb_roof_id compute, rb_roof_id memory)
{
    const double flops = m->roof[compute].value, bytes = m->roof[memory].value;
    if (flops > 0 && bytes > 0)
        fprintf(out, "ridge of %s over %s: %.2f FLOP/byte\n", rb_roof_infos[compute].name,
                rb_roof_infos[memory].name, flops / bytes);
}

static void fill(const rb_machine *m, int id, rb_cells cells)
{
    const rb_roof *r = &m->roof[id];
    const int digits = r->value < 100 ? 2 : 1;
    memset(cells, 0, sizeof(rb_cells));
    snprintf(cells[0], RB_CELL, "%s", rb_roof_infos[id].name);
    snprintf(cells[1], RB_CELL, "%.*f", digits, r->value);
    snprintf(cells[2], RB_CELL, "%s", rb_roof_infos[id].unit);
    if (r->ci95[1] > 0)
        snprintf(cells[3], RB_CELL, "%.*f .. %.*f", digits, r->ci95[0], digits, r->ci95[1]);
    snprintf(cells[4], RB_CELL, "%.1f %%", 100 * r->mad / r->value);
    snprintf(cells[5], RB_CELL, "%s", r->note);
}

static void put_machine(FILE *out, const rb_machine *m)
{
    static const char *const head[] = { "roof", "value", "unit", "95 % CI", "MAD", "loop" };
    rb_table t = { 0 };
    rb_cells cells;
    for (int c = 0; c < 6; c++)
        rb_table_column(&t, head[c], c == 1 || c == 4, 0);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            fprintf(out, "\n%d thread%s, %s\n\n", m->n_threads, m->n_threads > 1 ? "s" : "",
                    rb_isa_name[m->isa]);
            rb_table_head(out, &t);
        }
        for (int id = 0; id < RB_N_ROOF; id++) {
            if (!m->roof[id].value)
                continue;
            fill(m, id, cells);
            pass ? rb_table_row(out, &t, cells) : rb_table_fit(&t, cells);
        }
    }
    fputs("\n", out);
    put_ridge(out, m, RB_ROOF_FMA_F32, RB_ROOF_READ_DRAM);
    put_ridge(out, m, RB_ROOF_DOT_BF16, RB_ROOF_READ_DRAM);
    put_ridge(out, m, RB_ROOF_DOT_I8, RB_ROOF_READ_DRAM);
}

static void put_json(FILE *out, const rb_machine *m, int n, const char *commit)
{
    char cpu[128];
    json_t *roofs = json_array();
    for (int i = 0; i < n; i++) {
        json_t *some = rb_roofs_array(&m[i]);
        json_array_extend(roofs, some);
        json_decref(some);
    }
    json_t *o =
        json_pack("{s:i,s:s,s:s,s:o,s:o}", "schema_version", 1, "build_commit", commit, "cpu_info",
                  rb_host_cpu(cpu, sizeof cpu), "env", rb_env_manifest(NULL), "roofs", roofs);
    if (o)
        json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputs("\n", out);
    json_decref(o);
}

rb_status rb_roofs_write(FILE *out, const rb_machine *m, int n, bool json, const char *commit,
                         rb_error *err)
{
    char cpu[128];
    if (json) {
        put_json(out, m, n, commit);
    } else {
        fprintf(out, "%s\n", rb_host_cpu(cpu, sizeof cpu));
        for (int i = 0; i < n; i++)
            put_machine(out, &m[i]);
    }
    return fflush(out) || ferror(out)
               ? rb_fail(err, RB_ERR_IO, "cannot write the roofs: %s", strerror(errno))
               : RB_OK;
}
