/* --calibrate FILE: what attention of a model reads over a text, for conversions that cut ranks.
 * Refuses forms that would not look at it, and texts too short for the model's width.
 * Read next: calibrate.c, rb_calibrate in ../engine/engine.h. */
#ifndef RB_CALIBRATE_H
#define RB_CALIBRATE_H

#include "shared.h"

enum { RB_MOST_CALIBRATED = 16384 }; /* tokens */

#define RB_CALIBRATE_OPTION                                                                        \
    {                                                                                              \
        .names = "--calibrate", .kind = RB_OPT_WORD, .value = "FILE",                              \
        .help = "with --attn mla:R or lrkv:R: choose what a rank keeps by what attention reads "   \
                "over this text, of its first 16384 tokens at most; - is stdin"                    \
    }

/* RB_ERR_ARGUMENT where a form has no rank to choose. */
rb_status rb_calibrate_check(const rb_attn_form *form, rb_error *err);

/* Runs the text in `file` through MODEL, whose tokenizer cuts it, in windows of 512 tokens, in f32
 * but for the weights; by as many threads as -t of args says (its GELU is the model's own). What
 * can be refused without weights is refused before they are read, which happens here: the model is
 * closed again on return. Closed by rb_calibration_close. */
rb_status rb_calibrate_file(rb_calibration **cal, const rb_args *args, const char *model,
                            const rb_attn_form *form, const char *file, rb_error *err);

#endif
