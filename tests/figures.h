/* What the suites of figures share: a folder that goes away, records of a sweep over layers with
 * the true counts of SmolLM2-135M and made-up times, and a check that SVG is well-formed. Read
 * next: test_plot.c, test_plot_files.c. */
#ifndef RB_TEST_FIGURES_H
#define RB_TEST_FIGURES_H

#include "../bench/bench.h"

#include <jansson.h>

/* Init and fini of a suite: the folder is made and removed with what is in it. */
void rb_figures_open(void);
void rb_figures_close(void);
const char *rb_figures_folder(void);
const char *rb_figures_path(const char *name); /* one of four buffers in turn */
int rb_figures_count(void);                    /* files in the folder */
char *rb_figures_slurp(const char *path);
void rb_figures_spill(const char *path, const char *text);

/* Roofs, a test and a sweep of 14 depths; compute and memory scale the roofs of 212 GFLOP/s and
 * 29 GB/s and the rates. New references. */
json_t *rb_figures_roofs(double compute, double memory);
json_t *rb_figures_record(bool decode, int64_t layers, double gflops);
json_t *rb_figures_sweep(double compute, double memory);
/* n tests in dense clouds, so that not every label finds room. */
json_t *rb_figures_many(int n);

/* Draws records as one machine's; must_plot wants it to work. */
rb_status rb_figures_plot(const json_t *records, rb_plot_kind kind, const char *path,
                          rb_error *err);
void rb_figures_must_plot(const json_t *records, rb_plot_kind kind, const char *path);
/* Well-formed as far as our SVG goes: elements nest, attributes are quoted, text is escaped. */
void rb_figures_check_xml(const char *text);

#endif
