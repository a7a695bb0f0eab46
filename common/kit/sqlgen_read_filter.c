/* The tree of filters as SQL: names from the tables, values as parameters. */
#include "common/kit/sqlgen_read_int.h"

#include "common/base/str.h"

#include <assert.h>

struct sink {
    struct buf *b;
    struct sqlgen_text *t;
    int64_t uid;
    unsigned aliases; /* of other entities' rows so far */
};

unsigned sqlgen_param(struct sqlgen_text *t, struct db_val v)
{
    assert(t->nparams < sqlgen_params_max);
    t->params[t->nparams++] = v;
    return (unsigned)t->nparams;
}

static const char *comparison(enum query_op op)
{
    switch (op) {
    case QOP_LT:
        return "<";
    case QOP_LTE:
        return "<=";
    case QOP_GT:
        return ">";
    case QOP_GTE:
        return ">=";
    case QOP_LIKE:
        return "LIKE";
    case QOP_ILIKE:
    case QOP_CONTAINS:
        return "ILIKE";
    case QOP_NE:
        return "IS DISTINCT FROM";
    default:
        return "=";
    }
}

static void test_texts(struct sink *s, const struct query_node *n, const char *col)
{
    struct buf *b = s->b;
    if (n->op == QOP_NULL) {
        buf_printf(b, "coalesce(cardinality(%s), 0) %s 0", col, n->v[0].i64 ? "=" : "<>");
        return;
    }
    bool list = n->op == QOP_IN || n->op == QOP_NIN;
    bool no = n->op == QOP_NE || n->op == QOP_NIN;
    unsigned p = sqlgen_param(s->t, n->v[0]);
    if (no)
        buf_puts(b, "NOT coalesce(");
    if (list)
        buf_printf(b, "%s && $%u::text[]", col, p);
    else
        buf_printf(b, "%s @> ARRAY[$%u::text]", col, p);
    if (no)
        buf_puts(b, ", false)");
}

static void test_plain(struct sink *s, const struct query_node *n, const char *col)
{
    struct buf *b = s->b;
    const char *type = sqlgen_type(n->field);
    if (n->op == QOP_NULL) {
        buf_printf(b, "%s IS %sNULL", col, n->v[0].i64 ? "" : "NOT ");
        return;
    }
    unsigned p = sqlgen_param(s->t, n->v[0]);
    switch (n->op) {
    case QOP_IN:
        buf_printf(b, "%s = ANY($%u::%s[])", col, p, type);
        return;
    case QOP_NIN:
        buf_printf(b, "(%s IS NULL OR %s <> ALL($%u::%s[]))", col, col, p, type);
        return;
    case QOP_BETWEEN:
        buf_printf(b, "%s BETWEEN $%u::%s AND $%u::%s", col, p, type, sqlgen_param(s->t, n->v[1]),
                   type);
        return;
    default:
        buf_printf(b, "%s %s $%u::%s", col, comparison(n->op), p, type);
    }
}

/* What the index on the full text is made of, to the letter (services/api/migrations). */
static void put_document(struct buf *b, const struct entity_def *e, const char *alias)
{
    const char *sep = "";
    buf_puts(b, "fts_document(");
    sqlgen_put_language(b, e, alias);
    buf_puts(b, ", ARRAY[");
    for (const struct field_def *f = e->fields; f->name; f++)
        if (query_searchable(e, f)) {
            buf_printf(b, "%s%s.%s", sep, alias, f->name);
            sep = ", ";
        }
    buf_puts(b, "])");
}

void sqlgen_put_language(struct buf *b, const struct entity_def *e, const char *alias)
{
    const char *name = entity_field(e, "language") ? "language"
                       : entity_field(e, "locale") ? "locale"
                                                   : NULL;
    if (name)
        buf_printf(b, "%s.%s", alias, name);
    else
        buf_puts(b, "NULL::text");
}

/* The index finds rows whose text would match in any language (fts_any; null where the words leave
 * nothing to look up, such as -tea alone); what counts is the field in the row's own language. */
static void test_fts(struct sink *s, const struct query_node *n, const struct entity_def *e,
                     const char *alias)
{
    struct buf *b = s->b;
    unsigned p = sqlgen_param(s->t, n->v[0]);
    buf_printf(b, "((fts_any($%u::text) IS NULL OR ", p);
    put_document(b, e, alias);
    buf_printf(b, " @@ fts_any($%u::text)) AND fts_document(", p);
    sqlgen_put_language(b, e, alias);
    buf_printf(b, ", ARRAY[%s.%s]) @@ fts_query(", alias, n->field->name);
    sqlgen_put_language(b, e, alias);
    buf_printf(b, ", $%u::text))", p);
}

static void put_test(struct sink *s, const struct query_node *n, const struct entity_def *e,
                     const char *alias)
{
    if (n->op == QOP_FTS) {
        test_fts(s, n, e, alias);
        return;
    }
    char col[160];
    snprintf(col, sizeof(col), "%s.%s%s", alias, n->field->name,
             n->field->type == F_REF ? "_id" : "");
    if (n->field->type == F_TEXTS)
        test_texts(s, n, col);
    else
        test_plain(s, n, col);
}

static void put_node(struct sink *s, const struct query_node *n, const struct entity_def *e,
                     const char *alias);

static void put_children(struct sink *s, const struct query_node *n, const struct entity_def *e,
                         const char *alias, const char *between)
{
    for (const struct query_node *c = n->first; c; c = c->next) {
        if (c != n->first)
            buf_puts(s->b, between);
        put_node(s, c, e, alias);
    }
}

/* Rows of the other entity count only if the reader may see them. */
static void put_has(struct sink *s, const struct query_node *n, const char *alias)
{
    struct buf *b = s->b;
    char far[16], uid[16] = "";
    unsigned k = ++s->aliases;
    snprintf(far, sizeof(far), "f%u", k);
    if (vis_where_uses_uid(n->far, n->vc)) {
        if (!s->t->uid)
            s->t->uid = sqlgen_param(s->t, db_i64(s->uid));
        snprintf(uid, sizeof(uid), "$%u", s->t->uid);
    }
    buf_printf(b, "EXISTS (SELECT 1 FROM %s %s", n->far->table, far);
    if (n->ref)
        buf_printf(b, " WHERE %s.id = %s.%s_id", far, alias, n->ref->name);
    else if (n->rel->kind == REL_MANY)
        buf_printf(b, " JOIN %s k%u ON k%u.%s = %s.id WHERE k%u.%s = %s.id", n->rel->link, k, k,
                   n->rel->far, far, k, n->rel->near, alias);
    else
        buf_printf(b, " WHERE %s.%s_id = %s.id", far, n->rel->via, alias);
    if (n->far->soft_delete)
        buf_printf(b, " AND %s.deleted_at IS NULL", far);
    buf_puts(b, " AND ");
    vis_where(b, n->far, n->vc, far, uid);
    for (const struct query_node *c = n->first; c; c = c->next) {
        buf_puts(b, " AND ");
        put_node(s, c, n->far, far);
    }
    buf_puts(b, ")");
}

static void put_node(struct sink *s, const struct query_node *n, const struct entity_def *e,
                     const char *alias)
{
    bool one = n->first && !n->first->next;
    switch (n->kind) {
    case QN_TEST:
        put_test(s, n, e, alias);
        return;
    case QN_HAS:
        put_has(s, n, alias);
        return;
    case QN_NOT:
        if (one && n->first->kind == QN_HAS) { /* never null, and can be an anti-join */
            buf_puts(s->b, "NOT ");
            put_has(s, n->first, alias);
            return;
        }
        buf_puts(s->b, "(");
        put_children(s, n, e, alias, " AND ");
        buf_puts(s->b, ") IS NOT TRUE");
        return;
    case QN_ALL:
    case QN_ANY:
        buf_puts(s->b, "(");
        put_children(s, n, e, alias, n->kind == QN_ANY ? " OR " : " AND ");
        buf_puts(s->b, ")");
        return;
    }
}

void sqlgen_put_marked(struct buf *b, const char *text, unsigned first)
{
    for (; *text; text++) {
        if (*text == '?')
            buf_printf(b, "$%u", first++);
        else
            buf_putc(b, *text);
    }
}

void sqlgen_put_filters(struct buf *b, const struct sqlgen_who *who, const struct query *q,
                        struct sqlgen_text *t)
{
    struct sink s = { .b = b, .t = t, .uid = who->uid };
    for (const struct query_node *c = q->filter.first; c; c = c->next) {
        buf_puts(b, " AND ");
        put_node(&s, c, who->e, "t");
    }
    if (!q->within.where)
        return;
    sqlgen_put_marked(b, q->within.where, (unsigned)t->nparams + 1);
    for (size_t i = 0; i < q->within.n; i++)
        sqlgen_param(t, q->within.v[i]);
}
