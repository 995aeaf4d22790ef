/* Markdown tables with aligned columns. Widths are known before the first row is written, so that
 * rows can be flushed as they come; a cell that is wider than its column is still written in full.
 * On a terminal that is too narrow columns that can be spared are left out, which is said.
 * Read next: report.c. */
#include "table.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Characters, not bytes, of UTF-8 text. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xC0) != 0x80;
    return n;
}

void rb_table_column(rb_table *t, const char *head, bool right, int width)
{
    t->head[t->n] = head;
    t->right[t->n] = right;
    t->width[t->n] = width > width_of(head) ? width : width_of(head);
    t->n++;
}

void rb_table_fit(rb_table *t, rb_cells cells)
{
    for (int c = 0; c < t->n; c++)
        t->width[c] = width_of(cells[c]) > t->width[c] ? width_of(cells[c]) : t->width[c];
}

int rb_terminal_width(FILE *out)
{
    struct winsize size = { 0 };
    if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

static int row_width(const rb_table *t)
{
    int n = 1;
    for (int c = 0; c < t->n; c++)
        n += t->hidden[c] ? 0 : t->width[c] + 3;
    return n;
}

void rb_table_narrow(rb_table *t, FILE *out, const char *const *spare)
{
    const int room = rb_terminal_width(out);
    bool told = false;
    for (; room && *spare && row_width(t) > room; spare++) {
        bool has = false;
        for (int c = 0; c < t->n; c++)
            if (!strcmp(t->head[c], *spare))
                has = t->hidden[c] = true;
        if (has)
            fprintf(out, "%s%s", told ? ", " : "Not shown, as the terminal is narrow: ", *spare);
        told |= has;
    }
    fputs(told ? "\n\n" : "", out);
}

static void put_cell(FILE *out, const rb_table *t, int c, const char *text)
{
    if (t->hidden[c])
        return;
    int pad = t->width[c] - width_of(text);
    pad = pad > 0 ? pad : 0;
    fputs("| ", out);
    if (t->right[c])
        fprintf(out, "%*s%s ", pad, "", text);
    else
        fprintf(out, "%s%*s ", text, pad, "");
}

void rb_table_head(FILE *out, const rb_table *t)
{
    for (int c = 0; c < t->n; c++)
        put_cell(out, t, c, t->head[c]);
    fputs("|\n", out);
    for (int c = 0; c < t->n; c++) {
        if (t->hidden[c])
            continue;
        fputs(t->right[c] ? "| " : "| :", out);
        for (int i = 1; i < t->width[c]; i++)
            fputc('-', out);
        fputs(t->right[c] ? ": " : " ", out);
    }
    fputs("|\n", out);
}

void rb_table_row(FILE *out, const rb_table *t, rb_cells cells)
{
    for (int c = 0; c < t->n; c++)
        put_cell(out, t, c, cells[c]);
    fputs("|\n", out);
}
