/* The file that keeps results: killed, torn, full, foreign, in use, asked what it has. Every torn
 * length of a line is tried.
 * Read next: ../bench/store.c. */
#define _GNU_SOURCE
#include "../bench/bench.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/rbench_store_XXXXXX", path[64];

static void make_dir(void)
{
    cr_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/results.jsonl", dir);
}

static void remove_dir(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(store, .init = make_dir, .fini = remove_dir);

/* ---- helpers ---- */

static json_t *row(int n_gen)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:i,"
                     " s:{s:s}, s:f, s:b, s:s, s:s}",
                     "build_commit", "c0ffee", "schema_version", 1, "n_prompt", 0, "n_gen", n_gen,
                     "n_depth", 0, "n_seq", 1, "n_layer_run", 4, "n_batch", 2048, "n_ubatch", 512,
                     "type_k", "f16", "type_v", "f16", "act", "native", "isa", "avx2",
                     "attn_variant", "gqa", "n_threads", 2, "env", "model_digest", "xxh3:12",
                     "median_ns", 1.5, "blas", 1, "mla_auto", "flops", "ffn_act", "silu");
}

static rb_store *open_store(void)
{
    rb_store *s;
    rb_error err = { 0 };
    cr_assert_eq(rb_store_open(&s, path, &err), RB_OK, "%s", err.text);
    return s;
}

static void append(rb_store *s, json_t *record)
{
    rb_error err = { 0 };
    cr_assert_eq(rb_store_append(s, record, &err), RB_OK, "%s", err.text);
    json_decref(record);
}

static char *slurp(size_t *n)
{
    FILE *f = fopen(path, "rb");
    cr_assert(f != NULL);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *text = calloc(1, *n + 1);
    cr_assert_eq(fread(text, 1, *n, f), *n);
    fclose(f);
    return text;
}

static void spill(const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    cr_assert_eq(fwrite(text, 1, n, f), n);
    cr_assert_eq(fclose(f), 0);
}

/* Lines of the file, every one of them whole and a record. */
static int count_lines(void)
{
    size_t n;
    int lines = 0;
    char *text = slurp(&n), *rest = text;
    cr_assert(!n || text[n - 1] == '\n', "the last line is torn");
    for (char *end; (end = strchr(rest, '\n')); rest = end + 1) {
        json_t *o = json_loadb(rest, (size_t)(end - rest), 0, NULL);
        cr_assert(o && json_object_get(o, "schema_version"), "line %d is no record", lines + 1);
        json_decref(o);
        lines++;
    }
    free(text);
    return lines;
}

/* ---- what it keeps ---- */

Test(store, keeps_what_it_is_given)
{
    rb_store *s = open_store();
    for (int i = 1; i <= 3; i++)
        append(s, row(i));
    cr_assert_eq(rb_store_rows(s), 3);
    rb_store_close(s);
    cr_assert_eq(count_lines(), 3);
    s = open_store();
    cr_assert_eq(rb_store_rows(s), 3);
    cr_assert_eq(rb_store_cut(s), 0);
    append(s, row(4));
    rb_store_close(s);
    size_t n;
    char *text = slurp(&n);
    static const char start[] = "{\"schema_version\":1,\"build_commit\":\"c0ffee\",";
    cr_assert(strncmp(text, start, sizeof start - 1) == 0, "%.60s", text);
    cr_assert(strstr(text, "\"n_gen\":3") < strstr(text, "\"n_gen\":4"));
    free(text);
}

Test(store, a_record_comes_back_equal)
{
    rb_store *s = open_store();
    json_t *r = row(7);
    json_object_set_new(r, "text", json_string("a\nb \"c\" \xc3\xa9"));
    json_object_set_new(r, "big", json_integer(9007199254740993));
    cr_assert_eq(rb_store_append(s, r, NULL), RB_OK);
    rb_store_close(s);
    size_t n;
    char *text = slurp(&n);
    json_t *back = json_loads(text, 0, NULL);
    cr_assert(json_equal(back, r));
    json_decref(back);
    json_decref(r);
    free(text);
}

Test(store, knows_the_rows_it_has_by_what_they_counted)
{
    static const char *const number[] = { "n_prompt", "n_gen",    "n_depth",   "n_seq",
                                          "n_batch",  "n_ubatch", "n_threads", "n_layer_run" };
    static const char *const word[] = { "type_k",       "type_v",   "act",    "isa",
                                        "attn_variant", "mla_auto", "ffn_act" };
    rb_store *s = open_store();
    append(s, row(5));
    for (int again = 0; again < 2; again++) {
        json_t *probe = row(5);
        json_object_set_new(probe, "median_ns", json_null());
        json_object_set_new(probe, "build_commit", json_string("another"));
        cr_assert(rb_store_has(s, probe));
        json_object_set_new(probe, "blas", json_false());
        cr_assert_not(rb_store_has(s, probe), "with BLAS and without");
        json_object_set_new(probe, "blas", json_true());
        for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
            json_t *was = json_incref(json_object_get(probe, number[i]));
            json_object_set_new(probe, number[i], json_integer(99));
            cr_assert_not(rb_store_has(s, probe), "%s", number[i]);
            json_object_del(probe, number[i]);
            cr_assert_not(rb_store_has(s, probe), "no %s", number[i]);
            json_object_set_new(probe, number[i], was);
        }
        for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
            json_t *was = json_incref(json_object_get(probe, word[i]));
            json_object_set_new(probe, word[i], json_string("other"));
            cr_assert_not(rb_store_has(s, probe), "%s", word[i]);
            json_object_set_new(probe, word[i], was);
        }
        json_object_set_new(probe, "n_draft", json_integer(4));
        cr_assert_not(rb_store_has(s, probe), "drafted tokens");
        json_object_set_new(probe, "n_draft", json_integer(0));
        cr_assert(rb_store_has(s, probe), "older records know none");
        json_object_set_new(probe, "env", json_pack("{s:s}", "model_digest", "xxh3:13"));
        cr_assert_not(rb_store_has(s, probe), "another model");
        json_object_set_new(probe, "env", json_pack("{s:n}", "model_digest"));
        cr_assert_not(rb_store_has(s, probe), "a model without digest");
        json_decref(probe);
        rb_store_close(s);
        s = open_store(); /* the same from the file */
    }
    rb_store_close(s);
}

Test(store, rows_that_did_not_finish_are_not_had)
{
    rb_store *s = open_store();
    json_t *failed = row(1), *stopped = row(2), *whole = row(3), *nobody = row(4);
    json_object_set_new(failed, "error", json_string("out of memory"));
    json_object_set_new(stopped, "interrupted", json_true());
    json_object_set_new(whole, "interrupted", json_false());
    json_object_set_new(nobody, "env", json_pack("{s:n}", "model_digest"));
    json_t *const all[] = { failed, stopped, whole, nobody };
    for (int i = 0; i < 4; i++)
        cr_assert_eq(rb_store_append(s, all[i], NULL), RB_OK);
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 4; i++)
            cr_assert_eq(rb_store_has(s, all[i]), i == 2, "row %d", i + 1);
        rb_store_close(s);
        s = open_store();
    }
    cr_assert_eq(rb_store_rows(s), 4);
    rb_store_close(s);
    for (int i = 0; i < 4; i++)
        json_decref(all[i]);
}

Test(store, refuses_what_it_could_not_read_again)
{
    rb_store *s = open_store();
    rb_error err;
    json_t *r = row(1);
    json_object_del(r, "schema_version");
    cr_assert_eq(rb_store_append(s, r, &err), RB_ERR_ARGUMENT);
    json_decref(r);
    r = row(1);
    char *big = malloc((17 << 20) + 1);
    memset(big, 'x', 17 << 20);
    big[17 << 20] = 0;
    json_object_set_new(r, "big", json_string(big));
    cr_assert_eq(rb_store_append(s, r, &err), RB_ERR_ARGUMENT);
    free(big);
    json_decref(r);
    rb_store_close(s);
    cr_assert_eq(count_lines(), 0);
}

/* ---- one writer ---- */

Test(store, refuses_a_second_writer)
{
    rb_store *s = open_store(), *second = (rb_store *)&second;
    rb_error err = { 0 };
    cr_assert_eq(rb_store_open(&second, path, &err), RB_ERR_IO);
    cr_assert(second == NULL);
    cr_assert(strstr(err.text, path) && strstr(err.text, "another process"), "%s", err.text);
    append(s, row(1));
    rb_store_close(s);
    rb_store_close(open_store());
    cr_assert_eq(count_lines(), 1);
}

/* ---- torn lines ---- */

static void tear_everywhere(int n_whole)
{
    rb_store *s = open_store();
    for (int i = 0; i <= n_whole; i++)
        append(s, row(i));
    rb_store_close(s);
    size_t n, start;
    char *text = slurp(&n);
    for (start = n - 1; start > 0 && text[start - 1] != '\n'; start--)
        ;
    for (size_t end = start; end <= n; end++) {
        spill(text, end);
        s = open_store();
        bool whole = end >= n - 1; /* all but the newline is a record */
        cr_assert_eq(rb_store_rows(s), n_whole + whole, "cut at %zu", end - start);
        cr_assert_eq(rb_store_cut(s), whole ? 0 : (int64_t)(end - start));
        append(s, row(1000));
        rb_store_close(s);
        cr_assert_eq(count_lines(), n_whole + whole + 1, "cut at %zu", end - start);
    }
    free(text);
}

Test(store, mends_a_line_torn_anywhere)
{
    tear_everywhere(2);
}

Test(store, mends_the_only_line_torn_anywhere)
{
    tear_everywhere(0);
}

/* What a file system leaves after a power cut: the length, but not yet the data. */
Test(store, mends_a_tail_of_zeros)
{
    static const char zeros[100];
    rb_store *s = open_store();
    append(s, row(1));
    rb_store_close(s);
    FILE *f = fopen(path, "ab");
    fwrite(zeros, 1, sizeof zeros, f);
    fclose(f);
    s = open_store();
    cr_assert_eq(rb_store_cut(s), 100);
    rb_store_close(s);
    cr_assert_eq(count_lines(), 1);
}

/* ---- files of others ---- */

static void refused(const char *content, size_t n, const char *word)
{
    rb_store *s;
    rb_error err = { 0 };
    spill(content, n);
    cr_assert_neq(rb_store_open(&s, path, &err), RB_OK, "took: %.60s", content);
    cr_assert(strstr(err.text, path) && strstr(err.text, word), "%s", err.text);
    size_t after;
    char *text = slurp(&after);
    cr_assert(after == n && memcmp(text, content, n) == 0, "changed: %.60s", content);
    free(text);
}

Test(store, leaves_files_of_others_alone)
{
    static const char *const foreign[] = {
        "{\"a\":1}\n",
        "{\"a\":1}",
        "{\"schema_version\":2}\n",
        "{\"schema_version\":\"1\"}\n",
        "{\"schema_version\":1.0}\n",
        "{\"schema_version\" ",
        "{\"schema_version\":1}\n{\"schema_version\":1\n",
        "{\"schema_version\":1}\n[1]\n{\"schema_version\":1}\n",
        "{\"schema_version\":1}\nnotes\n",
        "{\n  \"schema_version\": 1\n}\n",
        "[{\"schema_version\":1}]\n",
        "model,tokens\nx,3\n",
        "\n\nhello\n",
        "x",
        "\x80\x00\x00\x00",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        refused(foreign[i], strlen(foreign[i]), "left as it is");
    static const char hole[64] = "{\"schema_version\":1}\n{\"schema\0_version\":1}\n";
    refused(hole, sizeof hole, "left as it is");
}

Test(store, never_touches_a_model)
{
    rb_model_params how = { .seed = 1 };
    rb_model *m;
    cr_assert_eq(rb_model_open(&m, "tiny", &how, NULL), RB_OK);
    cr_assert_eq(rb_gguf_write(m, path, NULL, NULL), RB_OK);
    rb_model_close(m);
    size_t n;
    char *model = slurp(&n);
    refused(model, n, "GGUF model");
    free(model);
}

Test(store, bounds_hostile_lines)
{
    size_t n = (17 << 20);
    char *big = malloc(n);
    memset(big, '{', n);
    refused(big, n, "16 MiB");
    memset(big, '[', n);
    memcpy(big, "{\"schema_version\":1,\"a\":", 24);
    big[1 << 20] = '\n'; /* a million brackets deep */
    refused(big, (1 << 20) + 1, "left as it is");
    free(big);
}

Test(store, wants_a_regular_file)
{
    rb_store *s;
    rb_error err = { 0 };
    cr_assert_eq(rb_store_open(&s, dir, &err), RB_ERR_IO);
    cr_assert(strstr(err.text, dir), "%s", err.text);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(rb_store_open(&s, path, &err), RB_ERR_ARGUMENT);
    cr_assert(strstr(err.text, "regular"), "%s", err.text);
    cr_assert_eq(rb_store_open(&s, "/dev/full", &err), RB_ERR_ARGUMENT);
    cr_assert_eq(rb_store_open(&s, "/no/such/folder/f", &err), RB_ERR_IO);
}

/* ---- a full disk ---- */

/* A limit on the size of files stands for it: the write stops in the middle of a line likewise. */
Test(store, a_full_disk_leaves_whole_lines)
{
    struct rlimit limit;
    rb_error err = { 0 };
    struct stat st;
    signal(SIGXFSZ, SIG_IGN);
    rb_store *s = open_store();
    append(s, row(1));
    append(s, row(2));
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    json_t *r = row(3);
    for (int more = 0; more < 150; more += 50) {
        struct rlimit small = { (rlim_t)(st.st_size + more), limit.rlim_max };
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
        cr_assert_eq(rb_store_append(s, r, &err), RB_ERR_IO);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        cr_assert(strstr(err.text, path) && strstr(err.text, "too large"), "%s", err.text);
        cr_assert_eq(count_lines(), 2);
        cr_assert_eq(rb_store_rows(s), 2);
        cr_assert_not(rb_store_has(s, r));
    }
    cr_assert_eq(rb_store_append(s, r, &err), RB_OK);
    json_decref(r);
    rb_store_close(s);
    cr_assert_eq(count_lines(), 3);
}

/* ---- killed ---- */

/* Appends long records until it is killed, and tells of each that is said to be there. */
static void append_for_ever(int told)
{
    rb_store *s;
    if (rb_store_open(&s, path, NULL) != RB_OK)
        _exit(1);
    static char filler[1 << 20];
    memset(filler, 'x', sizeof filler - 1);
    json_t *r = row(1);
    json_object_set_new(r, "filler", json_string(filler));
    for (;;) {
        if (rb_store_append(s, r, NULL) != RB_OK || write(told, "+", 1) != 1)
            _exit(1);
    }
}

/* Until a line is seen while it is being written; gives up after a while. All lines are as long as
 * the first. */
static void wait_for_half_a_line(void)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    uint64_t start = rb_now_ns();
    for (off_t line = st.st_size; rb_now_ns() - start < 100000000;) {
        if (stat(path, &st) == 0 && st.st_size % line)
            return;
    }
}

Test(store, killed_at_random_moments_it_keeps_every_record, .timeout = 120)
{
    uint64_t state = 2024;
    int torn = 0, told = 0;
    for (int i = 0; i < 30; i++) {
        int ends[2], status;
        char said[4096];
        ssize_t n;
        cr_assert_eq(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            append_for_ever(ends[1]);
        }
        close(ends[1]);
        cr_assert_eq(read(ends[0], said, 1), 1); /* it is at work */
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (i % 2)
            usleep((useconds_t)(state >> 33) % 20000);
        else
            wait_for_half_a_line();
        kill(child, SIGKILL);
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFSIGNALED(status), "the child failed by itself");
        for (told = 1; (n = read(ends[0], said, sizeof said)) > 0;)
            told += (int)n;
        close(ends[0]);
        rb_store *s = open_store();
        cr_assert_geq(rb_store_rows(s), told, "%d records were acknowledged", told);
        torn += rb_store_cut(s) > 0;
        rb_store_close(s);
        cr_assert_geq(count_lines(), told);
        cr_assert_eq(unlink(path), 0);
    }
    cr_assert_gt(torn, 0, "no kill was in the middle of a line: it proves nothing");
}
