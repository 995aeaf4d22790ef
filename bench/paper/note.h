/* What records of the paper's grid say besides: their part, and what the paper's code would have
 * said of the process that they stand for. Works on records, so that those of an earlier run count.
 * Included by paper.h. Read next: note.c. */
#ifndef RB_NOTE_H
#define RB_NOTE_H

#include "grid.h"

struct json_t;

/* Adds "paper": {"part", "model", "type"}; of a file the model is its name and the type that of
 * most of its bytes. */
void rb_paper_mark(struct json_t *record, const rb_grid_set *set, const rb_model *model);
/* Whether records, an array, hold a finished one of the same part and test. */
bool rb_paper_has(const struct json_t *records, const struct json_t *record);
/* The same of a record made without weights, so without their digest: those of a preset's name and
 * type are known, those of a file may have changed. */
bool rb_paper_seems_to_have(const struct json_t *records, const struct json_t *record);

/* Weights that were opened: of so many forms of attention, at once. */
typedef struct rb_paper_opened {
    double s;
    int n_form;
} rb_paper_opened;

/* Adds "proxy" to a record of a prompt of P tokens, or of decode after P, where records have the
 * other one: what the published code says of a process of llama-bench -p P -n 128.
 *   peak_bytes  weights of its layers and what lies around them (rb_proxy_sizes), the cache of
 *               P + 128 tokens, the larger scratch of both tests
 *   load_s      opening the weights of one form took its share for all layers that there are: here
 *               the part of it that these layers' bytes are. Of presets that is drawing them, not
 *               reading a file
 *   seconds     load_s, a warm-up (the prompt and one step), n_reps times the prompt
 * and 128 steps, each step at the mean of the decode test
 *   seconds_bounds  the same with both tests at the lower, then at the upper ends of their 95 %
 *               intervals; null where one has none
 * and flops, bytes, oi and gflops by all faults of the formula. Adds nothing for attention that the
 * formula does not know. model: of the record's test. */
void rb_paper_add_proxy(struct json_t *record, const struct json_t *records, const rb_model *model,
                        const rb_paper_opened *opened, int n_reps);

#endif
