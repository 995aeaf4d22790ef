/* Fuzzes files of results, as every command reads them: the reader itself, the file behind --out
 * with what --resume asks, records of other engines, and two runs compared. build/fuzz/records is
 * the corpus. Read next: fuzz_records.h, ../bench/plot_read.c, ../bench/store.c. */
#define _GNU_SOURCE
#include "fuzz_json.h"
#include "fuzz_records.h"

enum { MAX_INPUT = 4096 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_record_seeds(fuzz_corpus(argc, argv, "records", MAX_INPUT));
    return 0;
}

/* Once opened a file of ours stays one: nothing of it is lost, and a record more is found again. */
static void resume(const uint8_t *data, size_t size)
{
    rb_store *s;
    rb_error err = { 0 };
    json_t *record = fuzz_full();
    const char *path = fuzz_file(data, size);
    const rb_status status = rb_store_open(&s, path, &err);
    if ((status == RB_OK) != (s != NULL) || (status != RB_OK && !err.text[0]))
        abort();
    if (s) {
        const int64_t n = rb_store_rows(s);
        if (rb_store_append(s, record, &err) != RB_OK || !rb_store_has(s, record))
            abort();
        rb_store_close(s);
        if (rb_store_open(&s, path, &err) != RB_OK && err.status != RB_ERR_IO)
            abort(); /* libFuzzer may have a child that still holds the lock */
        if (s && (rb_store_rows(s) != n + 1 || rb_store_cut(s) != 0 || !rb_store_has(s, record)))
            abort();
        rb_store_close(s);
    }
}

static void read_peers(const json_t *records)
{
    static const rb_test like = { .n_seq = 1, .n_layer = 1 };
    const json_t *o;
    size_t i;
    json_array_foreach(records, i, o)
    {
        rb_peer p;
        rb_error err = { 0 };
        if (rb_peer_read(&p, o, &like, &err) == RB_OK)
            rb_peer_free(&p);
        else if (!err.text[0])
            abort();
    }
}

/* The records before and behind the middle. */
static void compare(const json_t *records, bool any_weights)
{
    static const rb_format formats[] = { RB_FORMAT_MD, RB_FORMAT_JSON, RB_FORMAT_CSV };
    const rb_compare_names names = { "a", "b", 5 };
    json_t *side[] = { json_array(), json_array() };
    char *text = NULL, name[200];
    size_t n = json_array_size(records), n_text;
    rb_comparison c;
    for (size_t i = 0; i < n; i++)
        json_array_append(side[2 * i >= n], json_array_get(records, i));
    if (rb_compare(&c, side[0], side[1], any_weights, NULL) != RB_OK)
        abort();
    FILE *out = open_memstream(&text, &n_text);
    for (int i = 0; out && i < 3; i++)
        if (rb_comparison_write(out, &c, formats[i], &names, NULL) != RB_OK)
            abort();
    for (int s = 0; s < RB_N_SIDE; s++)
        for (int i = 0; i < c.n_only[s]; i++)
            rb_record_name(c.only[s][i], name, sizeof name);
    (void)rb_comparison_slower(&c, 5);
    fclose(out);
    free(text);
    rb_comparison_free(&c);
    json_decref(side[0]);
    json_decref(side[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    resume(data, size);
    for (int complete = 0; complete < 2; complete++) {
        json_t *records = fuzz_records(data, size, complete);
        if (records) {
            read_peers(records);
            compare(records, false);
            compare(records, true);
        }
        json_decref(records);
    }
    return 0;
}
