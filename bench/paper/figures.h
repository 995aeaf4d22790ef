/* The report's figures, those that the paper has as its 2 to 8: each as SVG and as PNG, of rows of
 * evidence. Private to bench/paper/. A figure without data is left out, never drawn empty.
 * Read next: figures.c, panel.h. */
#ifndef RB_FIGURES_H
#define RB_FIGURES_H

#include "claims.h"
#include "panel.h"

enum {
    RB_FIGURE_ROOFLINE,
    RB_FIGURE_LAYERS,
    RB_FIGURE_CONTEXT,
    RB_FIGURE_TYPES,
    RB_FIGURE_ATTENTION,
    RB_FIGURE_DEVICES,
    RB_FIGURE_PHI,
    RB_N_FIGURE
};

typedef struct rb_paper_figure {
    const char *name, *title; /* "roofline": of dir/figures/roofline.svg */
    bool drawn;
    char caption[900];
} rb_paper_figure;

/* Writes dir/figures/NAME.svg and .png, dir/figures being there. */
rb_status rb_paper_figures(rb_paper_figure figure[RB_N_FIGURE], const rb_evidence *e,
                           const char *dir, rb_error *err);

/* One each: draws on d and writes what the caption adds; false: there is nothing to draw. */
typedef bool rb_figure_fn(rb_draw *d, const rb_evidence *e, char *caption, size_t size);
rb_figure_fn rb_figure_roofline, rb_figure_devices, rb_figure_phi; /* figures_roof.c */
rb_figure_fn rb_figure_layers, rb_figure_context;                  /* figures_over.c */
rb_figure_fn rb_figure_types, rb_figure_attention;                 /* figures_rows.c */

/* Of that figure's canvas, in pixels: it grows with rows of devices. */
double rb_figure_devices_height(const rb_evidence *e);

/* ---- looks that all figures share ---- */

/* Colour: the model; shape: the type; filled: decode. */
rb_look rb_look_of(const rb_paper_row *r);
/* What the models, types and phases of a part look like. */
void rb_legend_looks(rb_legend *l, const rb_evidence *e, rb_row_part part);
/* "qwen2.5-1.5b f16, tg8 @ d128: OI 1.0064 FLOP/byte, 55.1 GFLOP/s, 17.6 tok/s [..], record 3". */
char *rb_row_tip(const rb_paper_row *r, char *buf, size_t size);
/* "AMD EPYC, 2 threads, avx512". Returns buf. */
char *rb_machine_text(const rb_evidence *e, char *buf, size_t size);

#endif
