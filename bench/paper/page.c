/* Pages: HTML that is well-formed XML too, needs no network and no script and prints well, and
 * Markdown of the same. Refuses to pass on what neither can hold: that becomes a '?'.
 * Read next: page.h. */
#include "page.h"

#include "../draw.h"

#include <string.h>

static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:75rem;"
    "margin:0 auto;padding:1rem 1.5rem}\n"
    "ul{margin:.3rem 0}h1{font-size:1.8rem;line-height:1.2}h2{margin-top:2.5rem;border-bottom:1px "
    "solid #ccc}\n"
    "table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;"
    "margin:.5rem 0 1.5rem}\n"
    "caption{text-align:left;color:#444;padding:.3rem 0}\n"
    "th,td{padding:.2rem .6rem;border-bottom:1px solid #e4e4e4;text-align:left;"
    "vertical-align:top}\n"
    "th{border-bottom:1px solid #888}.r{text-align:right}td{white-space:nowrap}td a{color:#0b57a4;"
    "text-decoration:none}\n"
    "td a:hover{text-decoration:underline}:target{background:#fff3c4}\n"
    ".wide{overflow-x:auto}.wide:first-of-type td:nth-child(2){white-space:normal}"
    "figure{margin:1rem 0}figure svg{max-width:100%;height:auto;"
    "border:1px solid #e4e4e4}\n"
    "figcaption{color:#444;font-size:.9rem}pre{background:#f5f5f5;padding:.7rem;"
    "white-space:pre-wrap;overflow-wrap:anywhere}\n"
    ".verdict b{padding:.1rem .5rem;border:2px solid #222;border-radius:.3rem;"
    "margin-right:.5rem;white-space:nowrap}\n"
    ".k0 b{border-style:dashed;color:#444}.k1 b{border-color:#007a58;color:#00654a}"
    ".k2 b{border-color:#0072b2;color:#005a8c}\n"
    ".k3 b,.k4 b{border-color:#b34700;color:#963c00}\n"
    "@media "
    "print{td{white-space:normal}body{max-width:none;font-size:10pt}h2{break-after:avoid}figure,tr{"
    "break-inside:avoid}.wide{overflow:visible}}\n";

/* ---- text ---- */

static const char *html_of(char c)
{
    return c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : NULL;
}

static const char *markdown_of(char c)
{
    return c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : NULL;
}

static void put(const rb_page *p, const char *text)
{
    while (*text) {
        const int n = rb_text_bytes(text);
        const char *as = n == 1 ? p->html ? html_of(*text) : markdown_of(*text) : NULL;
        if (!n)
            fputc(*text == '\n' || *text == '\t' ? ' ' : '?', p->out);
        else if (as)
            fputs(as, p->out);
        else {
            if (n == 1 && !p->html && strchr("\\`*[]|#$~", *text))
                fputc('\\', p->out);
            fwrite(text, 1, (size_t)n, p->out);
        }
        text += n ? n : 1;
    }
}

static void element(rb_page *p, const char *before, const char *text, const char *after)
{
    fputs(before, p->out);
    put(p, text);
    fputs(after, p->out);
}

void rb_page_begin(rb_page *p, const char *title)
{
    if (!p->html)
        return;
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n",
          p->out);
    element(p, "<title>", title, "</title>\n");
    fprintf(p->out, "<style>\n%s</style></head>\n<body>\n", style);
}

void rb_page_end(rb_page *p)
{
    if (p->html)
        fputs("</body></html>\n", p->out);
}

void rb_page_head(rb_page *p, int level, const char *id, const char *text)
{
    if (p->html)
        fprintf(p->out, "<h%d%s%s%s>", level, id ? " id=\"" : "", id ? id : "", id ? "\"" : "");
    else
        fprintf(p->out, "\n%.*s ", level, "###");
    put(p, text);
    if (p->html)
        fprintf(p->out, "</h%d>\n", level);
    else
        fputs("\n\n", p->out);
}

void rb_page_text(rb_page *p, const char *text)
{
    element(p, p->html ? "<p>" : "", text, p->html ? "</p>\n" : "\n\n");
}

void rb_page_item(rb_page *p, const char *text)
{
    element(p, p->html ? "<ul><li>" : "- ", text, p->html ? "</li></ul>\n" : "\n");
}

void rb_page_verdict(rb_page *p, int kind, const char *word, const char *text)
{
    if (p->html)
        fprintf(p->out, "<p class=\"verdict k%d\"><b>", kind);
    element(p, p->html ? "" : "**", word, p->html ? "</b>" : ".** ");
    element(p, "", text, p->html ? "</p>\n" : "\n\n");
}

/* A line of a terminal: in Markdown indented, where nothing has a meaning. */
void rb_page_code(rb_page *p, const char *text)
{
    if (p->html) {
        element(p, "<pre>", text, "</pre>\n");
        return;
    }
    fputs("    ", p->out);
    for (; *text; text++)
        fputc((unsigned char)*text < 0x20 ? ' ' : *text, p->out);
    fputs("\n\n", p->out);
}

/* ---- tables ---- */

static void put_cell(rb_page *p, const rb_sheet_cell *c, bool right, bool anchor)
{
    if (p->html)
        fprintf(p->out, "<td%s>", right ? " class=\"r\"" : "");
    else
        fputs("| ", p->out);
    if (anchor)
        fprintf(p->out, "<a id=\"r%d\"></a>", c->id);
    else if (c->id)
        fprintf(p->out, p->html ? "<a href=\"#r%d\">" : "[", c->id);
    put(p, c->text);
    if (!anchor && c->id && !p->html)
        fprintf(p->out, "](#r%d)", c->id);
    else if (!anchor && c->id)
        fputs("</a>", p->out);
    fputs(p->html ? "</td>" : " ", p->out);
}

static void put_heads(rb_page *p, const rb_sheet *g)
{
    fputs(p->html ? "<thead><tr>" : "", p->out);
    for (int c = 0; c < g->n_column; c++) {
        if (p->html)
            fprintf(p->out, "<th scope=\"col\"%s>", g->right[c] ? " class=\"r\"" : "");
        element(p, p->html ? "" : "| ", g->head[c], p->html ? "</th>" : " ");
    }
    fputs(p->html ? "</tr></thead>\n<tbody>\n" : "|\n", p->out);
    for (int c = 0; c < g->n_column && !p->html; c++)
        fputs(g->right[c] ? "| ---: " : "| :--- ", p->out);
    fputs(p->html ? "" : "|\n", p->out);
}

void rb_page_table(rb_page *p, const char *title, const rb_sheet *g, bool anchors)
{
    p->table_lost = p->table_lost || g->failed;
    if (!rb_sheet_rows(g))
        return;
    fputs(p->html ? "<div class=\"wide\"><table>" : "", p->out);
    element(p, p->html ? "<caption>" : "", title, p->html ? "</caption>" : ":\n\n");
    put_heads(p, g);
    for (int r = 0; r < rb_sheet_rows(g); r++) {
        fputs(p->html ? "<tr>" : "", p->out);
        for (int c = 0; c < g->n_column; c++)
            put_cell(p, &g->cell[r * g->n_column + c], g->right[c], anchors && !c);
        fputs(p->html ? "</tr>\n" : "|\n", p->out);
    }
    fputs(p->html ? "</tbody></table></div>\n" : "\n", p->out);
}

/* ---- figures ---- */

/* What was drawn, without the line that says that it is XML. */
static void copy_svg(rb_page *p, const char *name)
{
    char path[4096], buf[16384];
    size_t n;
    snprintf(path, sizeof path, "%s/figures/%s.svg", p->dir, name);
    FILE *f = fopen(path, "rb");
    if (!f || !fgets(buf, sizeof buf, f))
        p->figure_lost = true;
    while (f && !p->figure_lost && (n = fread(buf, 1, sizeof buf, f)) > 0)
        fwrite(buf, 1, n, p->out);
    if (f) {
        p->figure_lost = p->figure_lost || ferror(f);
        fclose(f);
    }
}

void rb_page_figure(rb_page *p, const char *name, const char *title, const char *caption)
{
    if (!p->html) {
        element(p, "![", title, "]");
        fprintf(p->out, "(figures/%s.svg)\n\n", name);
        element(p, "*", caption, "*\n\n");
        return;
    }
    fprintf(p->out, "<figure id=\"figure-%s\">", name);
    copy_svg(p, name);
    element(p, "<figcaption>", caption, "</figcaption></figure>\n");
}
