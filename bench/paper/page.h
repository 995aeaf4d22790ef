/* A page that is written twice, as HTML and as Markdown: heads, paragraphs, tables whose figures
 * link to records, figures. Private to bench/paper/. All text is escaped here and nowhere else.
 * Knows nothing of claims. Read next: page.c, report.c. */
#ifndef RB_PAGE_H
#define RB_PAGE_H

#include "sheet.h"

typedef struct rb_page {
    FILE *out;
    bool html;
    const char *dir; /* where figures/ is */
    bool figure_lost, table_lost;
} rb_page;

/* What stands around an HTML page; in Markdown nothing does. */
void rb_page_begin(rb_page *p, const char *title);
void rb_page_end(rb_page *p);
/* level: 1 to 3; id: of the section, NULL: none. */
void rb_page_head(rb_page *p, int level, const char *id, const char *text);
void rb_page_text(rb_page *p, const char *text);
void rb_page_item(rb_page *p, const char *text); /* of a list, which ends with what follows */
/* A word that stands out, and text after it; kind: of its colour. */
void rb_page_verdict(rb_page *p, int kind, const char *word, const char *text);
void rb_page_code(rb_page *p, const char *text);
/* anchors: the first cell of a row is the id of a record, which others link to. A table without
 * rows is not written. */
void rb_page_table(rb_page *p, const char *title, const rb_sheet *g, bool anchors);
/* dir/figures/NAME.svg, within the page or linked. */
void rb_page_figure(rb_page *p, const char *name, const char *title, const char *caption);

#endif
