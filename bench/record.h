/* Private to bench/: the JSON object of one result, and what models are called in reports.
 * Nothing here writes to a file.
 * Read next: record.c. */
#ifndef RB_RECORD_H
#define RB_RECORD_H

#include "bench.h"

#include <jansson.h>

/* Fields of records; what is missing or of another type is 0, or "". */
int64_t rb_field_int(const json_t *o, const char *key);
const char *rb_field_text(const json_t *o, const char *key);
json_t *rb_json_number(double x);       /* null for what is no finite number */
json_t *rb_json_name(const char *text); /* null for what is not UTF-8, as names of files may be */
/* The exact counts of a cost as fields of an object. */
void rb_record_cost(json_t *o, const rb_cost *c);
/* What a record is of: the model, every option that counts depend on, ISA and threads. Records of
 * one test have the same text. *whole: nothing of it was missing. To be freed; NULL: no memory. */
char *rb_record_identity(const json_t *record, bool *whole);
bool rb_record_finished(const json_t *record); /* neither failed nor interrupted */
/* Lengths, context and sequences of a record's test, for its name. */
rb_test rb_record_test(const json_t *record);
/* The measured roofs of a machine, as a list. */
json_t *rb_roofs_array(const rb_machine *m);
/* The same as a field of a record, once in a stream of them. */
void rb_record_roofs(json_t *o, const rb_machine *m, rb_told *told);
/* The dtype that holds most bytes. */
rb_dtype rb_main_dtype(const rb_model *m);
uint64_t rb_model_file_bytes(const rb_model *m); /* of the tensors of its own layers */
/* "93.1 %", "at roof" (within what pairs may differ by), "> roof", "unpaired" (roofs before and
 * after never agreed), "-". At most RB_CELL bytes. */
void rb_share_text(const rb_place *p, char *buf);
/* The OI at the level issued, "-" where it is not known. At most RB_CELL bytes. */
void rb_issued_text(const rb_tally *t, char *buf);
/* One launch of a kernel alone, and its columns in CSV; told as of rb_record. */
json_t *rb_kernel_record(const rb_kernel_result *r, const char *commit, rb_told *told);
void rb_kernel_csv(FILE *out, const json_t *record); /* NULL: the head */
/* "1.23 ms": at most RB_CELL bytes. */
void rb_time_text(double ns, char *buf);
/* 134515008 -> "134.52 M". Returns buf. */
char *rb_count_text(double count, char *buf, size_t size);

#endif
