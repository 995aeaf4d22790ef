/* Fuzzes the command line: words between newlines. Every command parses them; those that run no
 * model run too, on a model and records of one layer, as far as no word names another file. A
 * refusal has to say why. build/fuzz/command is the corpus, seeded with every option of every
 * command. Read next: ../tools/options.c, ../tools/rbench.c. */
#define _GNU_SOURCE
#include "../tools/cmd.h"
#include "../tools/shared.h"
#include "fuzz_records.h"
#include "tiny_vocab.h"

#include <ctype.h>
#include <signal.h>

enum { MAX_INPUT = 512, MAX_WORD = 80 };

static const rb_command *const commands[] = {
    &rb_cmd_bench,   &rb_cmd_compare, &rb_cmd_convert, &rb_cmd_eval,       &rb_cmd_generate,
    &rb_cmd_kernels, &rb_cmd_paper,   &rb_cmd_place,   &rb_cmd_perplexity, &rb_cmd_plot,
    &rb_cmd_predict, &rb_cmd_roofs,   &rb_cmd_synth,   &rb_cmd_tokenize,   &rb_cmd_verify,
};
enum { N_COMMAND = sizeof commands / sizeof *commands };

/* What words may name: a model, a vocabulary, records. */
static char model[64], vocab[64], records[64];

int rb_main(int argc, char **argv); /* tools/rbench.c, under another name */

/* ---- files and seeds ---- */

static void make_files(void)
{
    static tiny_file f;
    int32_t file[256] = { 0 };
    const size_t n = 7 + 2 + 4 + 16 + 6 + 2 + 2;
    memcpy(file, (int32_t[]){ 2, 1, 1, 1, 1, 1, 64 }, 7 * sizeof *file); /* as fuzz_llama2c.c's */
    fuzz_fill(fuzz_memory(model), file, (n + 126) * sizeof *file);
    tiny_bpe(&f, "gpt-2");
    fuzz_fill(fuzz_memory(vocab), f.data, f.n);
    fuzz_fill(fuzz_memory(records), FUZZ_RECORD "\n", sizeof FUZZ_RECORD);
}

static void seed_option(const char *corpus, int *i, const char *command, const rb_option *o)
{
    char text[MAX_INPUT];
    const char *value = o->preset ? o->preset : o->choices ? o->choices : "1";
    for (const char *name = o->names; *name;) {
        const size_t n = strcspn(name, ",");
        const int length = snprintf(text, sizeof text, "%s\nM\n%.*s=%.*s\n%.*s", command, (int)n,
                                    name, (int)strcspn(value, "|"), value, (int)n, name);
        fuzz_write(corpus, (*i)++, "", 0, text, (size_t)length);
        fuzz_word(corpus, "", name, n);
        name += n + strspn(name + n, ", ");
    }
    for (const char *word = o->choices ? o->choices : ""; *word; word += strspn(word, "|")) {
        fuzz_word(corpus, "", word, strcspn(word, "|"));
        word += strcspn(word, "|");
    }
}

static void make_seeds(const char *corpus)
{
    static const char *const lines[] = {
        "",
        "help",
        "help\nbench",
        "help\npredct",
        "version",
        "--help",
        "predict\n--help",
        "nothing",
        "predict\nM\n-p\n0-9+9\n-n\n1-8*4\n-d\n0,3\n--explain",
        "predict\nM\n-pg\n2,3\n--draft\n2\n-ub\n4\n-b\n8\n-ctk\nf16,f32\n-o\njson\n--seed=7",
        "predict\nM\n--attn\nmha,gqa:1,mqa,lrkv:1,mla:2,gva:1,gha:1\n-o\njsonl\n--layers\n1,2",
        "tokenize\nV\nthe\nhello 12\n--parse-special\n--no-special",
        "tokenize\nV\n[1,2,3]\n--decode",
        "tokenize\nV\n-f\nR\n--lines",
        "compare\nR\nR\n--fail-above\n5",
        "compare\nR\nR\n-o\ncsv",
        "compare\nR\nR\n-o=json",
        "place\nR\nM\n--no-roofs\n-o\nmd",
        "plot\nR\n-o\nx.svg\n--kind\nlayers\n--overlay",
        "kernels\n--shape\n1,2,3;M=4,K=5-9*2\n--op\nmatmul",
        "M\n-t\n1,2\n--budget\n15m\n--out",
        "generate\nM\n--temp\n0.8\n--top-p\n1e-1",
        "bench\nM\n--depth-sweep\n1,2",
    };
    int i = 0;
    for (size_t k = 0; k < sizeof lines / sizeof *lines; k++)
        fuzz_write(corpus, i++, "", 0, lines[k], strlen(lines[k]));
    for (int c = 0; c < N_COMMAND; c++)
        for (int o = 0; rb_option_at(commands[c], o); o++)
            seed_option(corpus, &i, c ? commands[c]->name : "bench", rb_option_at(commands[c], o));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *corpus = fuzz_corpus(argc, argv, "command", MAX_INPUT);
    make_files();
    setenv("OMP_NUM_THREADS", "1", 1); /* others would spin */
    if (corpus) {
        make_seeds(corpus);
        fuzz_flag(argc, argv, "-close_fd_mask=3"); /* commands print */
    }
    return freopen("/dev/null", "rb", stdin) ? 0 : 1;
}

/* ---- what is run ---- */

/* Whether a run is done in no time: small numbers, few of them. */
static bool is_small(const rb_args *args)
{
    int64_t n = 1;
    for (int o = 0; rb_option_at(args->cmd, o); o++) {
        const rb_opt_value *v = &args->opt[o];
        const rb_opt_kind kind = rb_option_at(args->cmd, o)->kind;
        for (int i = 0; v->given && v->num && i < v->n; i++)
            if (v->num[i] > 16 && kind != RB_OPT_INT)
                return false;
        n *= v->given && v->n > 1 ? v->n : 1;
        if (n > 8)
            return false;
    }
    return true;
}

/* No file but ours is opened, none is written, no roof measured. */
static bool may_run(const rb_args *args)
{
    if (args->cmd == &rb_cmd_place && !rb_opt_flag(args, "--no-roofs"))
        return false;
    if (args->cmd == &rb_cmd_place && rb_opt_get(args, "--plot")->n)
        return false;
    if (args->cmd == &rb_cmd_predict && !rb_opt_get(args, "-p")->given)
        return false; /* 512 tokens */
    if (args->cmd != &rb_cmd_place && args->cmd != &rb_cmd_predict &&
        args->cmd != &rb_cmd_compare && args->cmd != &rb_cmd_tokenize)
        return false;
    for (int i = 0; i < args->n && args->cmd == &rb_cmd_predict; i++)
        if (strcmp(args->arg[i], model) != 0)
            return false; /* a preset takes its time */
    return is_small(args);
}

/* Lists that a command reads by itself. */
static void parse_more(const rb_args *args)
{
    if (args->cmd != &rb_cmd_kernels || !rb_opt_text(args, "--shape"))
        return;
    for (rb_op_id op = 0; op < RB_N_OP; op++) {
        rb_sizes *shape = NULL;
        int n = 0;
        rb_error err = { 0 };
        if (rb_extents(op) &&
            rb_shapes_parse(rb_opt_text(args, "--shape"), op, &shape, &n, &err) != RB_OK &&
            !err.text[0])
            abort();
        free(shape);
    }
}

/* Commands catch signals, which are libFuzzer's here. */
static void run(const rb_args *args)
{
    static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ };
    enum { N = sizeof caught / sizeof *caught };
    struct sigaction was[N];
    for (int i = 0; i < N; i++)
        sigaction(caught[i], NULL, &was[i]);
    const int code = args->cmd->run(args);
    if (code < RB_EXIT_OK || code > RB_EXIT_REGRESSION)
        abort();
    for (int i = 0; i < N; i++)
        sigaction(caught[i], &was[i], NULL);
}

static void parse(const rb_command *cmd, int argc, char **argv, bool own_files)
{
    rb_args args;
    rb_error err = { 0 };
    const rb_status status = rb_args_parse(&args, cmd, argc, argv, &err);
    if ((status == RB_OK) != !err.text[0] || strchr(err.text, '\n'))
        abort(); /* one line, and only where it is refused */
    if (status == RB_OK && args.help)
        rb_command_help(stdout, cmd);
    else if (status == RB_OK) {
        parse_more(&args);
        if (own_files && may_run(&args))
            run(&args);
    }
    rb_args_free(&args);
}

/* Words of an input, ours in the place of their names; false: one may name a file. */
static bool split(char *text, char **word, int *n)
{
    bool own = true;
    for (char *at = text, *next; at && *n < MAX_WORD; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = 0;
        own &= !strpbrk(at, "/~") && access(at, F_OK) != 0;
        word[(*n)++] = !strcmp(at, "M")   ? model
                       : !strcmp(at, "V") ? vocab
                       : !strcmp(at, "R") ? records
                                          : at;
    }
    return own;
}

/* Whether main refuses it as no command, file or preset, without running a benchmark. */
static bool names_nothing(const char *word)
{
    for (int c = 0; c < N_COMMAND; c++)
        if (!strcmp(word, commands[c]->name))
            return false;
    return word[0] != '-' && strlen(word) < 200 && !strpbrk(word, "/.") && !rb_preset_find(word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[MAX_INPUT + 1], *word[MAX_WORD + 2] = { "rbench" };
    int n = 1;
    if (size > MAX_INPUT)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    const bool own = split(text, word, &n);
    for (int c = 0; c < N_COMMAND; c++)
        if (!strcmp(word[1], c ? commands[c]->name : "bench"))
            parse(commands[c], n - 2, word + 2, own);
    if (!strcmp(word[1], "help") || !strcmp(word[1], "version") ||
        (n == 2 && own && names_nothing(word[1])))
        rb_main(n, word);
    return 0;
}
