/* Private to bench/: the JSON object of one result, and what models are called in reports.
 * Nothing here writes to a file.
 * Read next: record.c. */
#ifndef RB_RECORD_H
#define RB_RECORD_H

#include "bench.h"

#include <jansson.h>

/* The measured roofs of a machine, as a list. */
json_t *rb_roofs_array(const rb_machine *m);
/* The dtype that holds most bytes. */
rb_dtype rb_main_dtype(const rb_model *m);
uint64_t rb_model_file_bytes(const rb_model *m); /* of the tensors of its own layers */
/* "93.1 %", "at roof" (within what pairs may differ by), "> roof", "unpaired" (roofs before and
 * after never agreed), "-". At most RB_CELL bytes. */
void rb_share_text(const rb_place *p, char *buf);
/* 134515008 -> "134.52 M". Returns buf. */
char *rb_count_text(double count, char *buf, size_t size);

#endif
