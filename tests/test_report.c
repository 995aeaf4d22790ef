/* Reports as programs read them: CSV against the record it is of, JSON that is whole however many
 * rows came, every row flushed when it comes, a write that fails told once.
 * Tables for people are looked at in test_cli.c. Read next: ../bench/report.c. */
#define _GNU_SOURCE
#include "../bench/csv.h"
#include "../bench/record.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- helpers ---- */

/* A result of a test that ran: every field that a record can have. */
typedef struct fixture {
    rb_model *model;
    rb_bench *bench;
    rb_result *r;
    rb_subject subject;
    rb_plan plan;
    rb_test test;
} fixture;

static void open_fixture(fixture *f)
{
    rb_bench_params params = { .n_reps = 6, .seed = 1 };
    rb_model_params how = { .seed = 1 };
    *f = (fixture){ .r = calloc(1, sizeof *f->r) };
    cr_assert_eq(rb_model_open(&f->model, "tiny", &how, NULL), RB_OK);
    cr_assert_eq(rb_bench_open(&f->bench, f->model, f->model, &params, NULL), RB_OK);
    f->subject = (rb_subject){ .filename = "a,\"b\"\nc.gguf",
                               .model = f->model,
                               .cpu = "A \"CPU\", 2 cores",
                               .commit = "c0ffee" };
    f->test = (rb_test){ .n_gen = 2,
                         .n_seq = 1,
                         .n_layer = 4,
                         .n_batch = 2048,
                         .n_ubatch = 16,
                         .n_threads = 1,
                         .type_k = RB_F16,
                         .type_v = RB_F16 };
    cr_assert_eq(rb_isa_detect(&f->test.isa, &f->test.capped, NULL), RB_OK);
    f->plan = (rb_plan){ &f->test, 1 };
    rb_bench_test(f->bench, &f->test, f->r);
    cr_assert_str_eq(f->r->error, "");
    f->r->sample[f->r->median].pmu = (rb_pmu_bytes){ .counted = 1, .read = 3, .write = 4 };
}

static void close_fixture(fixture *f)
{
    rb_bench_close(f->bench);
    rb_model_close(f->model);
    free(f->r);
}

static rb_report *open_report(fixture *f, FILE *out, rb_format format)
{
    rb_report *rep;
    cr_assert_eq(rb_report_open(&rep, out, format, NULL), RB_OK);
    cr_assert_eq(rb_report_subject(rep, &f->subject, &f->plan, 0, false, NULL), RB_OK);
    return rep;
}

/* What another process sees of the file now. */
static char *seen(FILE *f)
{
    char *text = calloc(1, 1 << 20);
    cr_assert_geq(pread(fileno(f), text, (1 << 20) - 1, 0), 0);
    return text;
}

/* One cell of a line of CSV, unquoted, as RFC 4180 reads it; moves *at behind its comma or newline.
 */
static char *next_cell(const char **at, char *buf)
{
    char *to = buf;
    const char *p = *at;
    bool quoted = *p == '"';
    for (p += quoted; *p; p++) {
        if (quoted && p[0] == '"' && p[1] == '"')
            p++;
        else if (quoted ? *p == '"' : *p == ',' || *p == '\n')
            break;
        else
            cr_assert(quoted || *p != '"', "a quote within an unquoted cell");
        *to++ = *p;
    }
    p += quoted;
    cr_assert(*p == ',' || *p == '\n', "a cell ends with '%c'", *p);
    *at = p + 1;
    *to = 0;
    return buf;
}

/* The cell of the first row below a name of the head; NULL if there is no such column. */
static char *cell_of(const char *csv, const char *name, char *buf)
{
    const char *head = csv, *row = strchr(csv, '\n') + 1, *end = row;
    while (head < end) {
        bool found = !strcmp(next_cell(&head, buf), name);
        next_cell(&row, buf);
        if (found)
            return buf;
    }
    return NULL;
}

static void check_cell(const char *csv, const char *name, const char *want)
{
    char buf[4096];
    cr_assert(cell_of(csv, name, buf) != NULL, "no column %s", name);
    cr_assert_str_eq(buf, want, "%s is '%s', not '%s'", name, buf, want);
}

static char *csv_of(const json_t *record)
{
    FILE *f = tmpfile();
    rb_csv_head(f);
    rb_csv_row(f, record);
    fflush(f);
    char *text = seen(f);
    fclose(f);
    return text;
}

/* ---- CSV ---- */

Test(csv, begins_with_the_columns_of_llama_bench)
{
    static const char names[] =
        "build_commit,build_number,cpu_info,gpu_info,backends,model_filename,model_type,model_size,"
        "model_n_params,n_batch,n_ubatch,n_threads,cpu_mask,cpu_strict,poll,type_k,type_v,"
        "n_gpu_layers,split_mode,main_gpu,no_kv_offload,flash_attn,tensor_split,use_mmap,"
        "embeddings,n_prompt,n_gen,n_depth,test_time,avg_ns,stddev_ns,avg_ts,stddev_ts,"
        "schema_version,";
    json_t *o = json_object();
    char *csv = csv_of(o);
    cr_assert(strncmp(csv, names, sizeof names - 1) == 0, "%.600s", csv);
    cr_assert(strstr(csv, ",bytes_weight,bytes_kv_read,bytes_kv_write,"));
    cr_assert(strstr(csv, ",dequant_int,dequant_conv,dequant_float,"));
    cr_assert(strstr(csv, ",ci95_ns_lo,ci95_ns_hi,"));
    for (const char *p = strchr(csv, '\n') + 1; *p != '\n'; p++)
        cr_assert_eq(*p, ',', "an empty record has empty cells");
    free(csv);
    json_decref(o);
}

Test(csv, quotes_and_writes_every_kind_of_value)
{
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:b, s:b, s:f, s:n, s:[I, I], s:{s:i},"
        " s:{s:I}, s:{s:s, s:s}, s:s}",
        "model_filename", "a,\"b\"\r\nc", "cpu_info", "two words", "gpu_info", "", "backends", "\"",
        "flops", (json_int_t)9007199254740993, "flash_attn", 1, "use_mmap", 0, "oi", 0.1, "drift",
        "ci95_ns", (json_int_t)5, (json_int_t)7, "dequant_ops", "conv", 3, "bytes", "weight",
        (json_int_t)1 << 40, "env", "model_digest", "xxh3:1", "kernel", "L", "no_such_column", "x");
    cr_assert(o != NULL);
    char *csv = csv_of(o);
    check_cell(csv, "model_filename", "a,\"b\"\r\nc");
    check_cell(csv, "cpu_info", "two words");
    check_cell(csv, "backends", "\"");
    check_cell(csv, "flops", "9007199254740993");
    check_cell(csv, "flash_attn", "1");
    check_cell(csv, "use_mmap", "0");
    check_cell(csv, "oi", "0.1");
    check_cell(csv, "drift", "");
    check_cell(csv, "ci95_ns_lo", "5");
    check_cell(csv, "ci95_ns_hi", "7");
    check_cell(csv, "dequant_conv", "3");
    check_cell(csv, "dequant_int", "");
    check_cell(csv, "bytes_weight", "1099511627776");
    check_cell(csv, "model_digest", "xxh3:1");
    cr_assert(strstr(csv, ",two words,"), "quoted only where it has to be");
    free(csv);
    json_decref(o);
}

/* Fields of a record that the columns leave out, on purpose: their keys differ between records. */
static bool left_out(const char *field)
{
    static const char *const objects[] = { "weight_types", "env", "noise", "proxy" };
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        if (!strcmp(field, objects[i]))
            return true;
    return false;
}

Test(csv, shows_every_single_value_of_a_record)
{
    fixture f;
    open_fixture(&f);
    json_t *o = rb_record(&f.subject, f.r, NULL), *value, *inner;
    const char *key, *sub;
    int n = 0;
    json_object_foreach(o, key, value)
    {
        if (json_is_array(value) || left_out(key))
            continue;
        if (!json_is_object(value)) {
            cr_assert(rb_csv_shows(key), "no column for the record's %s: add one to csv.c", key);
            n++;
            continue;
        }
        json_object_foreach(value, sub, inner)
        {
            char path[128];
            snprintf(path, sizeof path, "%s.%s", key, sub);
            cr_assert(rb_csv_shows(path), "no column for the record's %s: add one to csv.c", path);
            n++;
        }
    }
    cr_assert_gt(n, 60);
    json_decref(o);
    close_fixture(&f);
}

Test(csv, of_a_result_is_its_record)
{
    fixture f;
    open_fixture(&f);
    FILE *out = tmpfile();
    rb_report *rep = open_report(&f, out, RB_FORMAT_CSV);
    rb_report_row(rep, f.r, 0);
    char *csv = seen(out), number[32];
    check_cell(csv, "model_filename", f.subject.filename);
    check_cell(csv, "cpu_info", f.subject.cpu);
    check_cell(csv, "n_gen", "2");
    snprintf(number, sizeof number, "%llu", (unsigned long long)f.r->total.cost.flops);
    check_cell(csv, "flops", number);
    check_cell(csv, "error", "");
    snprintf(f.r->error, sizeof f.r->error, "out of memory: needs 7, has 5");
    rb_report_row(rep, f.r, 0);
    cr_assert_eq(rb_report_close(rep, NULL), RB_OK);
    free(csv);
    csv = seen(out);
    cr_assert(strstr(csv, ",\"out of memory: needs 7, has 5\"\n"));
    fclose(out);
    free(csv);
    close_fixture(&f);
}

/* Each sample stands beside the least time under the roofs around it, as they were when it was
 * placed. */
Test(csv, a_record_has_the_roofs_of_each_sample)
{
    fixture f;
    rb_machine m = { .n_threads = 1 };
    open_fixture(&f);
    m.roof[RB_ROOF_FMA_F32].value = 100;
    f.r->machine = &m;
    for (int i = 0; i < f.r->n_samples; i++) {
        f.r->sample[i].probe.fma_f32 = 100.0 / (1 + i);
        f.r->sample[i].roof_ns = rb_sample_roof_ns(f.r, i);
    }
    m.roof[RB_ROOF_LAUNCH].value = 1e9;
    json_t *o = rb_record(&f.subject, f.r, NULL);
    const json_t *least = json_object_get(o, "samples_roof_ns");
    const double first = json_number_value(json_array_get(least, 0));
    cr_assert(json_array_size(least) == (size_t)f.r->n_samples && first > 0);
    for (int i = 1; i < f.r->n_samples; i++)
        cr_assert_float_eq(json_number_value(json_array_get(least, (size_t)i)), (1 + i) * first,
                           1e-6 * first);
    json_decref(o);
    f.r->sample[0].roof_ns = 0;
    o = rb_record(&f.subject, f.r, NULL);
    cr_assert(json_is_null(json_array_get(json_object_get(o, "samples_roof_ns"), 0)));
    json_decref(o);
    close_fixture(&f);
}

/* Issued bytes of a total that some launch leaves unknown are null, not those of the others. */
Test(record, unknown_issued_bytes_are_null)
{
    fixture f;
    open_fixture(&f);
    rb_cost *cost = &f.r->total.cost;
    json_t *o = rb_record(&f.subject, f.r, NULL);
    const json_t *bytes = json_object_get(o, "bytes_issued");
    cr_assert_eq((uint64_t)json_integer_value(json_object_get(bytes, "read")), cost->issued_rd);
    cr_assert_eq((uint64_t)json_integer_value(json_object_get(bytes, "write")), cost->issued_wr);
    cr_assert_float_eq(json_real_value(json_object_get(o, "oi_issued")),
                       (double)cost->flops / (double)(cost->issued_rd + cost->issued_wr), 1e-12);
    json_decref(o);
    cost->issued_unknown = 1;
    o = rb_record(&f.subject, f.r, NULL);
    cr_assert(json_is_null(json_object_get(o, "bytes_issued")));
    cr_assert(json_is_null(json_object_get(o, "oi_issued")));
    json_decref(o);
    close_fixture(&f);
}

/* ---- flushing, closing ---- */

Test(report, json_is_whole_however_many_rows_came)
{
    fixture f;
    open_fixture(&f);
    for (int n = 0; n < 3; n++) {
        FILE *out = tmpfile();
        rb_report *rep = open_report(&f, out, RB_FORMAT_JSON);
        for (int i = 0; i < n; i++)
            rb_report_row(rep, f.r, 0);
        cr_assert_not(rb_report_failed(rep));
        cr_assert_eq(rb_report_close(rep, NULL), RB_OK);
        char *text = seen(out);
        json_t *list = json_loads(text, 0, NULL);
        cr_assert_eq(json_array_size(list), (size_t)n, "%s", text);
        json_decref(list);
        free(text);
        fclose(out);
    }
    close_fixture(&f);
}

Test(report, a_row_can_be_read_when_it_was_written)
{
    static const rb_format format[] = { RB_FORMAT_MD, RB_FORMAT_JSON, RB_FORMAT_JSONL,
                                        RB_FORMAT_CSV };
    fixture f;
    open_fixture(&f);
    for (int k = 0; k < 4; k++) {
        FILE *out = tmpfile();
        rb_report *rep = open_report(&f, out, format[k]);
        size_t last = 0;
        for (int i = 0; i < 3; i++) {
            rb_report_row(rep, f.r, 0);
            char *text = seen(out);
            cr_assert_gt(strlen(text), last + 50, "row %d of format %d is not there", i, format[k]);
            last = strlen(text);
            cr_assert(format[k] == RB_FORMAT_JSON || text[last - 1] == '\n');
            free(text);
        }
        rb_report_close(rep, NULL);
        fclose(out);
    }
    close_fixture(&f);
}

/* ---- writes that fail ---- */

static void fails(fixture *f, FILE *out, rb_format format, const char *why)
{
    rb_error err = { 0 };
    rb_report *rep = open_report(f, out, format);
    for (int i = 0; i < 3; i++)
        rb_report_row(rep, f->r, 0);
    rb_report_kernels(rep, f->r);
    rb_report_text(rep, "a sentence");
    cr_assert(rb_report_failed(rep));
    cr_assert_eq(rb_report_close(rep, &err), RB_ERR_IO);
    cr_assert(strstr(err.text, why), "%s", err.text);
    fclose(out);
}

Test(report, tells_once_that_the_disk_is_full)
{
    fixture f;
    open_fixture(&f);
    for (int format = RB_FORMAT_MD; format <= RB_FORMAT_CSV; format++)
        fails(&f, fopen("/dev/full", "w"), (rb_format)format, "No space left");
    cr_assert_not(rb_report_failed(NULL));
    cr_assert_eq(rb_report_close(NULL, NULL), RB_OK);
    close_fixture(&f);
}

Test(report, tells_that_nobody_reads)
{
    fixture f;
    signal(SIGPIPE, SIG_IGN);
    open_fixture(&f);
    for (int format = RB_FORMAT_MD; format <= RB_FORMAT_CSV; format++) {
        int ends[2];
        cr_assert_eq(pipe(ends), 0);
        close(ends[0]);
        fails(&f, fdopen(ends[1], "w"), (rb_format)format, "Broken pipe");
    }
    close_fixture(&f);
}

/* A disk that was full for one row only: nothing comes after the gap. */
Test(report, writes_nothing_after_a_failure)
{
    fixture f;
    open_fixture(&f);
    FILE *out = fopen("/dev/full", "w");
    rb_report *rep = open_report(&f, out, RB_FORMAT_JSONL);
    rb_report_row(rep, f.r, 0);
    cr_assert(rb_report_failed(rep));
    FILE *room = tmpfile();
    cr_assert(dup2(fileno(room), fileno(out)) >= 0);
    rb_report_row(rep, f.r, 0);
    char *text = seen(room);
    cr_assert_str_eq(text, "");
    free(text);
    cr_assert_eq(rb_report_close(rep, NULL), RB_ERR_IO, "and it is not forgotten");
    fclose(out);
    fclose(room);
    close_fixture(&f);
}
