/* The report's tables beside those of claims: hardware like the paper's Table 1, rates like its
 * Tables 3 to 5, and every record behind the report. Private to bench/paper/.
 * Read next: tables.c. */
#ifndef RB_PAPER_TABLES_H
#define RB_PAPER_TABLES_H

#include "claims.h"

/* Each into an empty sheet, to be freed. rates may be NULL. */
void rb_table_of_devices(rb_sheet *g, const rb_evidence *e);
void rb_table_of_roofs(rb_sheet *g, const rb_evidence *e);
void rb_table_of_rates(rb_sheet *g, const rb_evidence *e, const rb_rates *rates);
void rb_table_of_records(rb_sheet *g, const rb_evidence *e); /* with anchors */

#endif
