/* CSV (RFC 4180) of a list: a column a leaf of the rows. */
#include "common/kit/repr_internal.h"

#include "common/base/json.h"
#include "common/base/str.h"

enum { csv_depth_max = 8, csv_columns_max = 1024 };

/*
 * What may stand in a row, as a tree: a node a field or relation of an entity.  A reference that is
 * shown has the nodes of the entity that it leads to, others are columns.  The first pass over the
 * rows notes what there is; so all columns are known before the header is written.
 */
struct column {
    const char *name;
    const struct field_def *field; /* NULL: a relation */
    const struct entity_def *far;  /* of a reference to one row */
    bool there;
    struct column *below; /* of far, one a field and relation; NULL: no row had it */
    size_t nbelow, at;    /* at: number of the column, if it is a leaf */
};
struct csv {
    struct buf *out;
    struct buf scratch;
    struct column *top;
    size_t ntop, ncolumns;
    struct js *cells; /* of the row at hand, by number of the column */
};

static struct column *columns_of(struct arena *a, const struct entity_def *e, size_t *ret_n)
{
    size_t nrel = 0, n = entity_nfields(e);
    while (e->relations && e->relations[nrel].name)
        nrel++;
    struct column *c = arena_alloc(a, (n + nrel) * sizeof(*c));
    for (size_t i = 0; i < n; i++) {
        const struct field_def *f = &e->fields[i];
        c[i] = (struct column){ .name = f->name, .field = f };
        if (f->type == F_REF)
            c[i].far = entity_find(f->ref);
    }
    for (size_t i = 0; i < nrel; i++) {
        if (!entity_field(e, e->relations[i].name))
            c[n++] = (struct column){ .name = e->relations[i].name };
    }
    *ret_n = n;
    return c;
}

static struct column *column_find(struct column *c, size_t n, struct js key)
{
    for (size_t i = 0; i < n; i++) {
        if (js_is(key, c[i].name))
            return &c[i];
    }
    return NULL;
}

static void note(struct csv *w, struct column *c, size_t n, struct js row, unsigned depth)
{
    struct js key, value;
    while (js_member(&row, &key, &value)) {
        struct column *col = column_find(c, n, key);
        if (!col)
            continue;
        col->there = true;
        if (!col->far || js_kind(value) != JS_OBJECT || depth == csv_depth_max)
            continue;
        if (!col->below)
            col->below = columns_of(w->out->arena, col->far, &col->nbelow);
        note(w, col->below, col->nbelow, value, depth + 1);
    }
}

/* Columns that are there whatever the rows hold: what was asked for and may be seen. */
static void note_asked(struct csv *w, const struct repr_source *src)
{
    for (size_t i = 0; i < w->ntop; i++) {
        struct column *col = &w->top[i];
        const char *p = src->fields;
        if (!col->field || col->field->flags & (FF_HIDDEN | FF_SECRET) ||
            (src->shown && !src->shown(col->field, src->ctx)))
            continue;
        bool asked = !p || !*p;
        for (; p && *p && !asked; p += strspn(p, ",")) {
            size_t n = strcspn(p, ",");
            asked = *p == '*' || js_is((struct js){ p, strcspn(p, ",.") }, col->name);
            p += n;
        }
        col->there |= asked;
    }
}

/* A cell's text is quoted where it has to be (RFC 4180 §2).  `guard`: a spreadsheet runs what
 * begins like a formula; an apostrophe in front makes it text, and so does one before an
 * apostrophe, so that taking one away gives the text back. */
static void put_text(struct buf *b, struct js text, bool guard)
{
    bool quote = !text.n;
    for (size_t i = 0; i < text.n && !quote; i++)
        quote = memchr("\",\r\n", text.s[i], 4) != NULL;
    quote |= text.n && (text.s[0] == ' ' || text.s[text.n - 1] == ' ');
    guard = guard && text.n && memchr("=+-@\t\r\n'", text.s[0], 8);
    if (quote)
        buf_putc(b, '"');
    if (guard)
        buf_putc(b, '\'');
    for (size_t i = 0; i < text.n;) {
        const char *mark = memchr(text.s + i, '"', text.n - i);
        size_t n = mark ? (size_t)(mark - text.s) - i : text.n - i;
        buf_put(b, text.s + i, n);
        i += n;
        if (mark) {
            buf_puts(b, "\"\"");
            i++;
        }
    }
    if (quote)
        buf_putc(b, '"');
}

static void put_cell(struct csv *w, struct js v)
{
    switch (js_kind(v)) {
    case JS_NONE:
    case JS_NULL:
        if (w->ncolumns == 1) /* an empty line is no row to many readers */
            buf_puts(w->out, "\"\"");
        return;
    case JS_STRING:
        put_text(w->out, js_decoded(js_inner(v), &w->scratch), true);
        return;
    default:
        put_text(w->out, v, false);
    }
}

static void put_header(struct csv *w, struct column *c, size_t n, const char *prefix)
{
    struct arena *a = w->out->arena;
    for (size_t i = 0; i < n; i++) {
        struct column *col = &c[i];
        col->there &= w->ncolumns < csv_columns_max;
        if (!col->there)
            continue;
        if (col->below) {
            put_header(w, col->below, col->nbelow, arena_printf(a, "%s%s.", prefix, col->name));
            continue;
        }
        const char *name = arena_printf(a, "%s%s%s", prefix, col->name, col->far ? ".id" : "");
        if (w->ncolumns)
            buf_putc(w->out, ',');
        put_text(w->out, (struct js){ name, strlen(name) }, false);
        col->at = w->ncolumns++;
    }
}

static void collect(struct csv *w, struct column *c, size_t n, struct js row)
{
    struct js key, value;
    while (js_member(&row, &key, &value)) {
        struct column *col = column_find(c, n, key);
        if (!col || !col->there)
            continue;
        if (col->below && js_kind(value) == JS_OBJECT)
            collect(w, col->below, col->nbelow, value);
        else if (!col->below && col->at < w->ncolumns)
            w->cells[col->at] = value;
    }
}

void repr_csv(const struct repr_source *src, struct buf *out)
{
    struct csv w = { .out = out };
    struct js data = repr_parts(src->json).data, rows = data, row;
    buf_init(&w.scratch, out->arena, 256, out->max);
    w.top = columns_of(out->arena, src->entity, &w.ntop);
    note_asked(&w, src);
    while (js_item(&rows, &row))
        note(&w, w.top, w.ntop, row, 0);
    put_header(&w, w.top, w.ntop, "");
    buf_puts(out, "\r\n");
    w.cells = arena_alloc(out->arena, (w.ncolumns + 1) * sizeof(*w.cells));
    while (js_item(&data, &row)) {
        memset(w.cells, 0, w.ncolumns * sizeof(*w.cells));
        collect(&w, w.top, w.ntop, row);
        for (size_t i = 0; i < w.ncolumns; i++) {
            if (i)
                buf_putc(out, ',');
            put_cell(&w, w.cells[i]);
        }
        buf_puts(out, "\r\n");
    }
}
