/* rbench convert: a GGUF file with its weights in other types, and what that costs in accuracy; or
 * with its attention in another form; a GGUF file of a Hugging Face folder. Nothing is decided or
 * encoded here. Read next: ../models/convert.h. */
#include "calibrate.h"
#include "progress.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const rb_option options[] = {
    { .names = "--type",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .choices = RB_MATRIX_TYPES,
      .help = "type of the matrices, or one of llama.cpp's mixes (_s, _m), which spend more "
              "bits where they count (default: as they are)" },
    { .names = "--attn",
      .kind = RB_OPT_WORD,
      .value = "FORM",
      .help = "attention in another form: mha, gqa:G, mqa, mla, mla:R[:d_r], lrkv:R, gva:G or "
              "gha:G. The model is held in memory" },
    RB_CALIBRATE_OPTION,
    RB_THREADS_OPTION(RB_OPT_INT, "N", RB_THREADS_HELP),
    RB_FORMAT_OPTION("md|json",
                     "format of the table on stdout; on stderr where stdout is OUT.gguf"),
};

static void tell(void *arg, const char *tensor, int64_t i, int64_t n)
{
    char text[224];
    snprintf(text, sizeof text, "tensor %lld of %lld: %s", (long long)i + 1, (long long)n, tensor);
    rb_progress_text(arg, text);
}

/* Where the table goes: not into the file. To be asked before that is replaced. */
static FILE *table_stream(const char *path)
{
    struct stat file, out;
    const bool same = stat(path, &file) == 0 && fstat(STDOUT_FILENO, &out) == 0 &&
                      file.st_dev == out.st_dev && file.st_ino == out.st_ino;
    return same ? stderr : stdout;
}

/* Nobody should take what is computed then for what the model says. */
static void tell_attention(const rb_attn_note *note)
{
    char form[48];
    if (!note->converted)
        return;
    rb_complain("note: attention in the form %s is %s", rb_attn_form_text(&note->form, form, 48),
                note->exact ? "exact: the model is the same"
                            : "an approximation: what it writes is not the model's");
    if (note->n_calibrated)
        rb_complain("note: its ranks keep what %lld tokens of the text met most",
                    (long long)note->n_calibrated);
    if (note->n_refit)
        rb_complain("note: %lld matrices have rows that are no whole blocks of their type and are "
                    "f16, %s the first",
                    (long long)note->n_refit, note->refit);
}

static rb_status convert(const rb_args *args, const char *from, rb_convert_params params,
                         rb_error *err)
{
    FILE *out = table_stream(args->arg[1]);
    const char *type = rb_opt_text(args, "--type");
    rb_progress progress = rb_progress_make(false, false, NULL);
    rb_conversion done;
    params.arg = &progress;
    rb_status st = rb_gguf_convert(from, args->arg[1], &params, &done, err);
    rb_progress_clear(&progress);
    if (st != RB_OK)
        return st;
    tell_attention(&done.attn);
    if (done.n_again)
        rb_complain("note: %lld tensors of %s were quantised already: what they lost then is not "
                    "in the errors told here",
                    (long long)done.n_again, args->arg[0]);
    return rb_conversion_write(out, &done, type ? type : "as it is",
                               !strcmp(rb_opt_text(args, "-o"), "json"), err);
}

/* The folder's weights in their own types, in the order of GGUF files. */
static rb_status write_folder(const rb_args *args, const char *to, rb_error *err)
{
    const char *const from = args->arg[0];
    rb_model *shape = NULL, *model = NULL;
    rb_status st = rb_model_open(&shape, from, &(rb_model_params){ .dry = true }, err);
    if (st == RB_OK)
        st = rb_check_fits(shape, from, err);
    if (st == RB_OK) {
        rb_complain("note: the file has no tokenizer: that of %s is not converted", from);
        st = rb_model_open(&model, from, NULL, err);
    }
    if (st == RB_OK)
        st = rb_gguf_write(model, to, rb_stop, err);
    rb_model_close(model);
    rb_model_close(shape);
    return st;
}

/* By way of a file in the folder's own types, beside the other, if they are to change. */
static rb_status convert_folder(const rb_args *args, const rb_convert_params *params, rb_error *err)
{
    const char *const to = args->arg[1];
    char between[PATH_MAX];
    if (!params->mix && !params->attn)
        return write_folder(args, to, err);
    if ((size_t)snprintf(between, sizeof between, "%s.%d.whole.tmp", to, (int)getpid()) >=
        sizeof between)
        return rb_fail(err, RB_ERR_ARGUMENT, "%.300s: the path is too long", to);
    rb_status st = write_folder(args, between, err);
    if (st == RB_OK)
        st = convert(args, between, *params, err);
    unlink(between);
    return st;
}

/* The form of attention, if one is asked for; whether --calibrate goes with it. */
static rb_status read_form(const rb_args *args, rb_attn_form *form, rb_error *err)
{
    const char *attn = rb_opt_text(args, "--attn"), *text = rb_opt_text(args, "--calibrate");
    rb_status st = attn ? rb_attn_form_parse(form, attn, err) : RB_OK;
    if (st == RB_OK && text)
        st = attn ? rb_calibrate_check(form, err)
                  : rb_fail(err, RB_ERR_ARGUMENT, "--calibrate wants --attn mla:R or lrkv:R");
    return st;
}

static rb_status convert_any(const rb_args *args, const rb_attn_form *form, bool folder,
                             rb_error *err)
{
    const char *type = rb_opt_text(args, "--type"), *text = rb_opt_text(args, "--calibrate");
    rb_calibration *cal = NULL;
    rb_status st = text ? rb_calibrate_file(&cal, args, args->arg[0], form, text, err) : RB_OK;
    const rb_convert_params params = { .mix = type ? rb_mix_by_name(type) : NULL,
                                       .attn = rb_opt_text(args, "--attn") ? form : NULL,
                                       .cal = cal,
                                       .n_threads = rb_threads_of(args),
                                       .progress = tell,
                                       .stop = rb_stop };
    if (st == RB_OK)
        st = folder ? convert_folder(args, &params, err) : convert(args, args->arg[0], params, err);
    rb_calibration_close(cal);
    return st;
}

static int run_convert(const rb_args *args)
{
    rb_attn_form form = { 0 };
    rb_error err = { 0 };
    const bool folder = args->n == 2 && rb_model_is_folder(args->arg[0]);
    const bool changes = rb_opt_text(args, "--type") || rb_opt_text(args, "--attn");
    if (args->n != 2 || (!changes && !folder)) {
        rb_complain("convert wants IN.gguf, OUT.gguf and --type TYPE or --attn FORM; see 'rbench "
                    "convert --help'");
        return RB_EXIT_USAGE;
    }
    rb_catch_signals();
    rb_status st = read_form(args, &form, &err);
    if (st == RB_OK)
        st = convert_any(args, &form, folder, &err);
    return st == RB_OK ? RB_EXIT_OK : rb_refused(&err);
}

const rb_command rb_cmd_convert = {
    .name = "convert",
    .usage = "IN.gguf|FOLDER OUT.gguf [--attn FORM] [--type TYPE] [options]",
    .about = "Writes a GGUF file with its matrices in another type, of any architecture: metadata "
             "and tokenizer stay as they are, split sets become one file. Vectors and routers "
             "keep their types, what has the type already is copied, and rows that are no whole "
             "blocks fall back to a type of smaller blocks. A table says for each type bytes, "
             "bits per weight and the relative error that encoding made. With --attn the same "
             "weights in another form of attention, exactly where that loses nothing; with "
             "--calibrate low ranks keep what a text needs. Other programs read files of mha, gqa "
             "and mqa. A folder with config.json and safetensors becomes a GGUF file without its "
             "tokenizer.",
    .what = "write a GGUF file in another weight type or form of attention",
    .example =
        "model-f16.gguf model-q4.gguf --type q4_k_m\tquantise\n"
        "Qwen3-0.6B/ qwen3.gguf\ta folder with safetensors to one file\n"
        "model.gguf model-mla.gguf --attn mla\tthe same weights as latent attention, exactly\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_convert,
};
