/* rbench tokenize: texts to token ids by a model's vocabulary, and ids to text. Runs no model.
 * What a token is, is not decided here.
 * Read next: ../models/tokenizer.h. */
#include "session_options.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const rb_option options[] = {
    { .names = "-f, --file",
      .kind = RB_OPT_WORD,
      .value = "FILE",
      .help = "the text is that of a file (-: stdin)" },
    { .names = "--lines",
      .kind = RB_OPT_FLAG,
      .help = "each line of the file is a text of its own, without its end" },
    { .names = "--no-special",
      .kind = RB_OPT_FLAG,
      .help = "add no BOS or EOS, whatever the model wants" },
    { .names = "--parse-special",
      .kind = RB_OPT_FLAG,
      .help = "the spelling of a special token in a text becomes that token" },
    { .names = "--decode",
      .kind = RB_OPT_FLAG,
      .help = "texts are JSON arrays of ids; print what they stand for, special tokens by name" },
};

static rb_status put_ids(const rb_tokenizer *t, const char *text, size_t n, rb_encode how,
                         rb_error *err)
{
    int32_t *id;
    int64_t n_id;
    const rb_status status = rb_tokenizer_encode(t, text, n, how, &id, &n_id, err);
    if (status != RB_OK)
        return status;
    putchar('[');
    for (int64_t i = 0; i < n_id; i++)
        printf("%s%d", i > 0 ? "," : "", id[i]);
    puts("]");
    free(id);
    return RB_OK;
}

static rb_status put_text(const rb_tokenizer *t, const char *text, size_t n, rb_error *err)
{
    json_error_t where;
    json_t *ids = json_loadb(text, n, 0, &where), *id;
    rb_status status = RB_OK;
    size_t i;
    if (!json_is_array(ids))
        status =
            rb_fail(err, RB_ERR_ARGUMENT, "'%.*s' is no array of ids", n < 40 ? (int)n : 40, text);
    json_array_foreach(ids, i, id)
    {
        size_t n_bytes;
        const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        const char *piece = value >= 0 && value < rb_tokenizer_n_vocab(t)
                                ? rb_tokenizer_piece(t, (int32_t)value, true, &n_bytes)
                                : NULL;
        if (!piece) {
            status = rb_fail(err, RB_ERR_ARGUMENT, "item %zu is no id of one of %lld tokens", i,
                             (long long)rb_tokenizer_n_vocab(t));
            break;
        }
        fwrite(piece, 1, n_bytes, stdout);
    }
    if (status == RB_OK)
        putchar('\n');
    json_decref(ids);
    return status;
}

static rb_status put(const rb_tokenizer *t, const rb_args *args, const char *text, size_t n,
                     rb_error *err)
{
    const rb_encode how = { .special = !rb_opt_flag(args, "--no-special"),
                            .parse = rb_opt_flag(args, "--parse-special") };
    return rb_opt_flag(args, "--decode") ? put_text(t, text, n, err)
                                         : put_ids(t, text, n, how, err);
}

static rb_status put_file(const rb_tokenizer *t, const rb_args *args, const char *path,
                          rb_error *err)
{
    char *data = NULL;
    size_t n = 0;
    rb_status status = rb_read_text(path, &data, &n, err);
    if (status == RB_OK && !rb_opt_flag(args, "--lines"))
        status = put(t, args, data, n, err);
    else
        for (size_t at = 0, end; status == RB_OK && at < n && !rb_signal(); at = end + 1) {
            const char *newline = memchr(data + at, '\n', n - at);
            end = newline ? (size_t)(newline - data) : n;
            status = put(t, args, data + at, end - at, err);
        }
    free(data);
    return status;
}

static rb_status tokenize(const rb_args *args, rb_error *err)
{
    rb_tokenizer *t = NULL;
    const char *path = rb_opt_text(args, "-f");
    rb_status status = rb_tokenizer_open(&t, args->arg[0], err);
    if (status == RB_OK && path)
        status = put_file(t, args, path, err);
    for (int i = 1; i < args->n && status == RB_OK; i++)
        status = put(t, args, args->arg[i], strlen(args->arg[i]), err);
    rb_tokenizer_close(t);
    if (status == RB_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = rb_fail(err, RB_ERR_IO, "stdout: cannot write: %s", strerror(errno));
    return status;
}

static int run_tokenize(const rb_args *args)
{
    const bool has_file = rb_opt_text(args, "-f") != NULL;
    rb_error err = { 0 };
    if (args->n < 1 || has_file == (args->n > 1)) {
        rb_complain("tokenize wants MODEL, and TEXTs or -f FILE; see 'rbench tokenize --help'");
        return RB_EXIT_USAGE;
    }
    rb_catch_signals();
    if (tokenize(args, &err) == RB_OK)
        return RB_EXIT_OK;
    rb_complain("%s", err.text);
    return RB_EXIT_FAILED;
}

const rb_command rb_cmd_tokenize = {
    .name = "tokenize",
    .usage = "MODEL TEXT... | -f FILE [options]",
    .about = "Prints the token ids of each TEXT, or of a file, as a JSON array on a line of its "
             "own. MODEL is a GGUF file or a directory with tokenizer.json; its weights are not "
             "read. A TEXT may be any bytes, a file may have NULs.",
    .what = "token ids of a text, or the text of ids",
    .example = "model.gguf 'the cat'\tids\n"
               "model.gguf '[464,3797]' --decode\ttext\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_tokenize,
};
