/* What a figure is made of: records as plain numbers, axes, labels that do not collide.
 * Private to plot*.c; records come from files that may be hostile, so every number is checked once,
 * in plot_data.c, and nothing else looks at JSON.
 * Read next: plot.c, then plot_roofline.c and plot_layers.c, the two figures. */
#ifndef RB_PLOT_H
#define RB_PLOT_H

#include "draw.h"

/* ---- data (plot_data.c) ---- */

enum { RB_PLOT_MAX_RECORDS = 2048, RB_PLOT_MAX_ROOFS = 16, RB_PLOT_MAX_KERNELS = 64 };
enum { RB_PREFILL_POINT, RB_DECODE_POINT, RB_MIXED_POINT, RB_VERIFY_POINT, RB_N_POINT };
/* What a line may run over. */
enum {
    RB_NO_AXIS = -1,
    RB_AXIS_LAYERS,
    RB_AXIS_CONTEXT,
    RB_AXIS_SEQUENCES,
    RB_AXIS_DRAFTS,
    RB_N_AXIS
};

typedef struct rb_plot_roof {
    char name[32], label[96]; /* "read_dram"; "DRAM 29.0 GB/s" */
    bool compute;             /* GFLOP/s, else GB/s */
    double value;
    double low, high; /* of the probes while the records were made; 0: none */
    int64_t n_threads;
    char isa[24];
} rb_plot_roof;

typedef struct rb_plot_kernel {
    char op[32], site[32];
    double ns, share, flops, bytes, oi, gflops;
} rb_plot_kernel;

typedef struct rb_plot_record {
    const struct json_t *json;
    int set, subject;        /* index of the file; of the model and variant */
    char test[96], kind[96]; /* kind: without context, sequences and the number of drafts */
    int phase;
    int64_t at[RB_N_AXIS];
    int axis, line; /* of the line that it is part of; line: the record that came first */
    int64_t n_layer;
    uint64_t flops, bytes; /* bytes: W + KV; 0: not recorded */
    double oi, gflops, gflops_lo, gflops_hi;
    double oi_dram;               /* NaN: not modelled, or in_cache */
    bool in_cache;                /* by the model it is resident */
    double roof_gflops, roof_pct; /* NaN: not recorded, or no share because the point is above */
    bool resident, above;         /* above: its roof, which "resident" explains where it is one */
    char roof[32];                /* "read_dram" */
} rb_plot_record;

/* Records that are one line of a figure, rising along its axis. */
typedef struct rb_plot_series {
    const rb_plot_record *at;
    int n;
    int axis; /* RB_NO_AXIS: points of one test */
} rb_plot_series;

typedef struct rb_plot_machine {
    char name[64]; /* of the file */
    char cpu[96], isa[24];
    int64_t n_threads;
    rb_plot_roof roof[RB_PLOT_MAX_ROOFS];
    int n_roof;
    bool roofs_differ; /* the file has roofs of several teams or ISAs */
} rb_plot_machine;

typedef struct rb_plot_data {
    rb_plot_machine machine[RB_PLOT_MAX_SETS];
    int n_machine;
    char (*subject)[128];
    int n_subject;
    rb_plot_record *record; /* sorted: those of a series stand together */
    int n;
    rb_plot_series *series;
    int n_series;
    int n_untimed, n_failed, n_more; /* dry; with an error; beyond what one figure takes */
} rb_plot_data;

/* Checks every field of the sets' records once and sorts them into series; records that cannot
 * be drawn are counted. 1 to RB_PLOT_MAX_SETS sets. */
rb_status rb_plot_collect(rb_plot_data *data, const rb_plot_set *sets, int n_sets, rb_error *err);
void rb_plot_data_free(rb_plot_data *data);
/* plot_series.c: sorts the records into series; names. "pp128, 1-64 layers"; of an end "tg32, x 1"
 * or, the last, "x 64". Both return buf. */
rb_status rb_plot_split(rb_plot_data *data, rb_error *err);
char *rb_series_name(const rb_plot_series *s, char *buf, size_t size);
char *rb_series_end(const rb_plot_series *s, bool last, char *buf, size_t size);
/* The roof of that name, or NULL. */
const rb_plot_roof *rb_plot_roof_named(const rb_plot_machine *m, const char *name);
/* "DRAM" of "read_dram"; a name that is not known stays. */
const char *rb_plot_roof_title(const char *name);
/* Kernels of a record, largest share first; returns how many. share: of all rows' time. */
int rb_plot_kernels(const rb_plot_record *r, rb_plot_kernel kernel[RB_PLOT_MAX_KERNELS]);

/* ---- looks (plot_style.c) ---- */

#define RB_INK  0x222222ffu
#define RB_GREY 0x5f5f5fffu
#define RB_RULE 0xe4e4e4ffu

enum { RB_N_PALETTE = 7 };
extern const rb_color rb_palette[RB_N_PALETTE]; /* Okabe and Ito's, without black */

/* A mark that tells series apart without colour; shape is taken modulo their number. */
void rb_plot_mark(rb_draw *d, double x, double y, double r, int shape, rb_color color, bool filled);
/* Three significant digits without exponent where that is readable. Returns buf. */
char *rb_plot_number(double x, char *buf, size_t size);
/* Text cut to width with an ellipsis. */
void rb_plot_text_cut(rb_draw *d, double x, double y, const char *text, double width,
                      const rb_type *type);
/* Text wrapped to width; returns the y after its last line. */
double rb_plot_text_wrap(rb_draw *d, double x, double y, const char *text, double width,
                         double leading, const rb_type *type);
/* Appends as far as it fits. */
void rb_plot_put(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- axes (plot_axis.c) ---- */

typedef struct rb_axis {
    double lo, hi; /* of the values */
    double p0, p1; /* of the canvas */
    bool log;
} rb_axis;

/* Where a value stands on the canvas. */
double rb_axis_at(const rb_axis *a, double value);
/* Widens lo .. hi to hold value; starts from lo > hi. */
void rb_axis_hold(rb_axis *a, double value);

enum { RB_MAX_TICKS = 64 };
/* Values to label; returns how many. */
int rb_axis_ticks(const rb_axis *a, double tick[RB_MAX_TICKS]);
/* Grid, ticks, numbers, frame and titles. layers: x is labelled at these values instead. */
void rb_axis_draw(rb_draw *d, const rb_axis *x, const rb_axis *y, const char *x_title,
                  const char *y_title, const double *x_tick, int n_tick);

/* ---- labels (plot_label.c) ---- */

/* A rectangle turned about its centre: a label, a mark or a piece of line. */
typedef struct rb_slab {
    double x, y, half_w, half_h, angle; /* degrees */
    bool firm;                          /* a label or its leader: no other leader may cross it */
} rb_slab;

typedef struct rb_placer {
    rb_slab *at;
    int n, room;
    double x0, y0, x1, y1; /* labels stay inside */
    bool failed;
} rb_placer;

/* Whether two turned rectangles have a point in common. */
bool rb_slabs_meet(const rb_slab *a, const rb_slab *b);
void rb_placer_free(rb_placer *p);
/* Keeps labels off a slab, or off a line of that width. */
void rb_placer_block(rb_placer *p, rb_slab slab);
void rb_placer_block_line(rb_placer *p, double x0, double y0, double x1, double y1, double width);
/* Blocks the slab and returns true if it is inside and meets nothing. */
bool rb_placer_take(rb_placer *p, rb_slab slab);
/* The slab of a text centred there. */
rb_slab rb_label_slab(const char *text, double size, double x, double y, double angle);
void rb_label_draw(rb_draw *d, const char *text, double size, rb_color color, const rb_slab *slab);
/* Puts a label beside a mark of radius r, at most reach away from it, with a thin line to within
 * rim of its centre where it stands off. False: there is no room within reach. */
typedef struct rb_mark_spot {
    double x, y, r, rim;
} rb_mark_spot;
bool rb_label_beside(rb_draw *d, rb_placer *p, const char *text, rb_color color,
                     const rb_mark_spot *mark, double reach);

/* ---- figures ---- */

enum { RB_PLOT_WIDTH = 1200, RB_PLOT_HEIGHT = 800 };

/* Lay a figure out on an empty drawing. RB_ERR_FORMAT where no record has what it shows. */
rb_status rb_plot_roofline(rb_draw *d, const rb_plot_data *data, rb_error *err);
rb_status rb_plot_layers(rb_draw *d, const rb_plot_data *data, rb_error *err);

#endif
