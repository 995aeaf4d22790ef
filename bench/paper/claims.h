/* The six claims of the paper, each with a verdict that is computed from records and the table it
 * follows from. Private to bench/paper/. Nothing here is typed but the paper's own words; what has
 * no records is "not testable here". Read next: claims.c, then claim_*.c. */
#ifndef RB_CLAIMS_H
#define RB_CLAIMS_H

#include "sheet.h"

typedef enum {
    RB_UNTESTED,
    RB_HOLDS,
    RB_IN_PART,
    RB_ARTEFACT, /* exact counts never say so, and of some test the paper's code alone does (of
                    layers: that OI peaks and falls beyond, at whatever depth) */
    RB_FAILS,    /* exact counts never say so, nor the paper's code alone */
    RB_N_VERDICT
} rb_paper_verdict;
extern const char *const rb_verdict_name[RB_N_VERDICT];

enum {
    RB_CLAIM_CONTEXT,
    RB_CLAIM_LAYERS,
    RB_CLAIM_TYPES,
    RB_CLAIM_ATTENTION,
    RB_CLAIM_RIDGES,
    RB_CLAIM_CARRIES,
    RB_N_CLAIM
};

enum { RB_CLAIM_NOTES = 7, RB_CLAIM_SHEETS = 3 };

typedef struct rb_paper_claim {
    const char *says; /* the paper */
    rb_paper_verdict verdict;
    char why[600];                  /* what decided, with its figures */
    char note[RB_CLAIM_NOTES][700]; /* what else there is to know; "": none */
    int n_note;
    const char *title[RB_CLAIM_SHEETS];
    rb_sheet sheet[RB_CLAIM_SHEETS];
} rb_paper_claim;

/* All six, in the paper's order; to be freed. rates: the paper's, or a user's; may be NULL. */
void rb_claims_judge(rb_paper_claim claim[RB_N_CLAIM], const rb_evidence *e, const rb_rates *rates);
void rb_claims_free(rb_paper_claim claim[RB_N_CLAIM]);

/* One each; claim_*.c. says is set. */
void rb_claim_context(rb_paper_claim *c, const rb_evidence *e, const rb_rates *rates);
void rb_claim_layers(rb_paper_claim *c, const rb_evidence *e, const rb_rates *rates);
void rb_claim_types(rb_paper_claim *c, const rb_evidence *e);
void rb_claim_attention(rb_paper_claim *c, const rb_evidence *e);
void rb_claim_ridges(rb_paper_claim *c, const rb_evidence *e);
void rb_claim_carries(rb_paper_claim *c, const rb_evidence *e);

/* Adds a sentence below the verdict; what is beyond RB_CLAIM_NOTES is left out. */
void rb_claim_note(rb_paper_claim *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- a sweep over layers ---- */

/* Fills g with the proxy's peak by rates alone, and says where it is; rated.c. */
void rb_claim_layers_rated(rb_paper_claim *c, rb_sheet *g, const rb_rates *rates);

enum { RB_MOST_DEPTHS = 128 };

/* One subject's test at rising layers. */
typedef struct rb_depths {
    const rb_paper_row *at[RB_MOST_DEPTHS];
    int n;
    rb_trend trend; /* of exact counts */
    int best;       /* index of the largest exact OI */
    int proxy_best; /* of the proxy's; -1: some depth has none */
    bool has_law;
    rb_proxy_law law; /* of its memory and time */
    int law_best;     /* the depth that the law says; -1: it has no peak */
} rb_depths;

/* The depth with the proxy's largest OI beside the one at which its law has most. */
typedef enum {
    RB_LAW_NONE,  /* one of them is missing */
    RB_LAW_NEAR,  /* the same depth, or next to it among those that ran */
    RB_LAW_TIED,  /* further off, but the bounds of both OI overlap: times do not tell them apart */
    RB_LAW_APART, /* further off, and no value lies in both */
    RB_LAW_UNSURE, /* further off, and one of them has no bounds */
    RB_N_LAW
} rb_law_match;
/* The sweep that begins with first, if first is the first row of it. */
bool rb_depths_of(const rb_evidence *e, const rb_paper_row *first, rb_depths *d);
bool rb_depths_peak_inside(const rb_depths *d, int best); /* at neither end */
/* The proxy's is, and its OI there is apart from that at both ends, where they have bounds. */
bool rb_depths_proxy_inside(const rb_depths *d);
rb_law_match rb_depths_match(const rb_depths *d);

/* ---- ways of attention ---- */

typedef enum { RB_KIND_MLA, RB_KIND_MHA, RB_KIND_GQA, RB_N_KIND } rb_attn_kind;
extern const char *const rb_attn_kind_name[RB_N_KIND];
/* Of "mla-absorbed", "gqa:8", "mqa" (the last of GQA's). RB_N_KIND: of another. */
rb_attn_kind rb_attn_kind_of(const char *attn);

/* A model of the trio at the size at which the paper compares; times by lines in layers. */
typedef struct rb_drawn_out {
    const rb_paper_row *first; /* the shallowest row behind it */
    rb_attn_kind kind;
    int64_t n_layer;
    double oi;       /* exact; NaN: it is no preset, and its layers are not equal */
    bool counted;    /* oi is of a dry run, else of the line that equal layers make */
    rb_span tps;     /* bounds hold all intervals at once */
    double proxy_oi; /* NaN: no record has it, or it has no line */
    double misfit;   /* the largest share by which a time is off its line */
} rb_drawn_out;
/* false: first is not the first row of its sweep, of no kind, or has fewer than two depths. */
bool rb_draw_out(const rb_evidence *e, const rb_paper_row *first, rb_drawn_out *out);

#endif
