#include "common/kit/sqlgen.h"

#include "common/base/str.h"

#include <assert.h>

/* From here on the rows that are skipped are read from the index alone. */
enum { deep_offset = 500 };

const char *sqlgen_type(const struct field_def *f)
{
    switch (f->type) {
    case F_ID:
    case F_INT:
    case F_REF:
        return "bigint";
    case F_UUID:
        return "uuid";
    case F_BOOL:
        return "boolean";
    case F_TIME:
        return "timestamptz";
    case F_JSON:
        return "jsonb";
    case F_TEXTS:
        return "text[]";
    case F_REFS:
        return "bigint[]";
    case F_TEXT:
    case F_ENUM:
        return "text";
    }
    return "text";
}

const struct relation_def *sqlgen_link(const struct entity_def *e, const struct field_def *f)
{
    const struct relation_def *rel = entity_relation(e, f->name);
    assert(rel && rel->kind == REL_MANY);
    return rel;
}

void sqlgen_column(struct buf *b, const struct entity_def *e, const struct field_def *f,
                   const char *alias)
{
    if (f->type != F_REFS) {
        buf_printf(b, "%s.%s%s", alias, f->name, f->type == F_REF ? "_id" : "");
        return;
    }
    const struct relation_def *rel = sqlgen_link(e, f);
    buf_printf(b, "ARRAY(SELECT l.%s FROM %s l WHERE l.%s = %s.id ORDER BY l.position)", rel->far,
               rel->link, rel->near, alias);
}

const char *sqlgen_public_status(const struct entity_def *e)
{
    if (!entity_field(e, "status"))
        return NULL;
    return e->visibility == VIS_PUBLISHED ? "published" : "active";
}

bool sqlgen_counts_owner(const struct entity_def *e)
{
    return e->owner && (e->visibility == VIS_PUBLISHED || e->visibility == VIS_ACTIVE) &&
           sqlgen_public_status(e);
}

/* SELECT … FROM table t, with the plan's columns. */
static void put_select(struct buf *b, struct rowplan *p, const char *uid)
{
    buf_puts(b, "SELECT ");
    for (size_t i = 0; i < p->n; i++) {
        if (i)
            buf_puts(b, ", ");
        sqlgen_column(b, p->e, &p->e->fields[p->cols[i].index], "t");
    }
    if (vis_varies(p->e, p->vc)) {
        p->own = (int)p->n;
        buf_printf(b, ", coalesce(%s, false) AS own_", vis_own(b->arena, p->e, "t", uid));
    }
}

static void put_where(struct buf *b, const struct entity_def *e, enum vis_class vc, const char *uid)
{
    buf_puts(b, " WHERE ");
    if (e->soft_delete)
        buf_puts(b, "t.deleted_at IS NULL AND ");
    vis_where(b, e, vc, "t", uid);
}

static const char *by_key(struct arena *a, const struct entity_def *e, enum vis_class vc,
                          struct rowplan *plan, const char *key)
{
    struct buf b;
    unsigned n = vis_uses_uid(e, vc) ? 2 : 1;
    buf_init(&b, a, 1024, sqlgen_text_max);
    rowplan_init(plan, a, e, vc, ~(uint64_t)0);
    put_select(&b, plan, "$1");
    buf_printf(&b, " FROM %s t", e->table);
    put_where(&b, e, vc, "$1");
    buf_printf(&b, " AND t.%s = $%u::%s", key, n, sqlgen_type(entity_field(e, key)));
    assert(!b.overflow);
    return b.data;
}

const char *sqlgen_get(struct arena *a, const struct entity_def *e, enum vis_class vc,
                       struct rowplan *ret_plan)
{
    return by_key(a, e, vc, ret_plan, "id");
}

const char *sqlgen_get_slug(struct arena *a, const struct entity_def *e, enum vis_class vc,
                            struct rowplan *ret_plan)
{
    return by_key(a, e, vc, ret_plan, "slug");
}

const char *sqlgen_by_ids(struct arena *a, const struct entity_def *e, enum vis_class vc,
                          struct rowplan *ret_plan)
{
    struct buf b;
    buf_init(&b, a, 1024, sqlgen_text_max);
    rowplan_init(ret_plan, a, e, vc, ~(uint64_t)0);
    put_select(&b, ret_plan, "$1");
    buf_printf(&b, " FROM %s t", e->table);
    put_where(&b, e, vc, "$1");
    buf_printf(&b, " AND t.id = ANY($%u::bigint[])", vis_uses_uid(e, vc) ? 2u : 1u);
    assert(!b.overflow);
    return b.data;
}

const char *sqlgen_related(struct arena *a, const struct entity_def *near,
                           const struct relation_def *rel, enum vis_class vc,
                           struct rowplan *ret_plan)
{
    const struct entity_def *far = entity_find(rel->ref);
    struct buf b;
    (void)near;
    buf_init(&b, a, 1024, sqlgen_text_max);
    rowplan_init(ret_plan, a, far, vc, ~(uint64_t)0);
    buf_puts(&b, "SELECT x.*, p.id AS parent_ FROM unnest(");
    buf_printf(&b, "$%u::bigint[]) AS p(id) CROSS JOIN LATERAL (", vis_uses_uid(far, vc) ? 2u : 1u);
    put_select(&b, ret_plan, "$1");
    buf_printf(&b, " FROM %s t", far->table);
    if (rel->kind == REL_MANY)
        buf_printf(&b, " JOIN %s k ON k.%s = t.id AND k.%s = p.id", rel->link, rel->far, rel->near);
    put_where(&b, far, vc, "$1");
    if (rel->kind == REL_REVERSE)
        buf_printf(&b, " AND t.%s_id = p.id ORDER BY t.id LIMIT %d) x", rel->via, include_rows_max);
    else
        buf_printf(&b, " ORDER BY k.position LIMIT %d) x", include_rows_max);
    assert(!b.overflow);
    return b.data;
}

/* --- lists --- */

static unsigned add_param(struct sqlgen_text *t, struct db_val v)
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

static void filter_texts(struct buf *b, const struct query_filter *f, const char *col,
                         struct sqlgen_text *t)
{
    if (f->op == QOP_NULL) {
        buf_printf(b, "(coalesce(cardinality(%s), 0) = 0) = $%u::boolean", col,
                   add_param(t, f->v[0]));
        return;
    }
    bool list = f->op == QOP_IN || f->op == QOP_NIN;
    bool no = f->op == QOP_NE || f->op == QOP_NIN;
    unsigned p = add_param(t, f->v[0]);
    if (no)
        buf_puts(b, "NOT coalesce(");
    if (list)
        buf_printf(b, "%s && $%u::text[]", col, p);
    else
        buf_printf(b, "%s @> ARRAY[$%u::text]", col, p);
    if (no)
        buf_puts(b, ", false)");
}

static void filter_plain(struct buf *b, const struct query_filter *f, const char *col,
                         struct sqlgen_text *t)
{
    const char *type = sqlgen_type(f->field);
    unsigned p = add_param(t, f->v[0]);
    switch (f->op) {
    case QOP_NULL:
        buf_printf(b, "(%s IS NULL) = $%u::boolean", col, p);
        return;
    case QOP_IN:
        buf_printf(b, "%s = ANY($%u::%s[])", col, p, type);
        return;
    case QOP_NIN:
        buf_printf(b, "(%s IS NULL OR %s <> ALL($%u::%s[]))", col, col, p, type);
        return;
    case QOP_BETWEEN:
        buf_printf(b, "%s BETWEEN $%u::%s AND $%u::%s", col, p, type, add_param(t, f->v[1]), type);
        return;
    default:
        buf_printf(b, "%s %s $%u::%s", col, comparison(f->op), p, type);
    }
}

/* Rows of the other entity count only if the reader may see them. */
static void filter_relation(struct buf *b, const struct query_filter *f, struct sqlgen_text *t,
                            enum vis_class far_vc, const char *uid)
{
    const struct relation_def *rel = f->rel;
    const struct entity_def *far = entity_find(rel->ref);
    if (f->op == QOP_NULL)
        buf_printf(b, "$%u::boolean <> ", add_param(t, f->v[0]));
    buf_printf(b, "EXISTS (SELECT 1 FROM %s f", far->table);
    if (rel->kind == REL_MANY)
        buf_printf(b, " JOIN %s k ON k.%s = f.id WHERE k.%s = t.id", rel->link, rel->far,
                   rel->near);
    else
        buf_printf(b, " WHERE f.%s_id = t.id", rel->via);
    if (f->op == QOP_EQ)
        buf_printf(b, " AND f.id = $%u::bigint", add_param(t, f->v[0]));
    else if (f->op == QOP_IN)
        buf_printf(b, " AND f.id = ANY($%u::bigint[])", add_param(t, f->v[0]));
    if (far->soft_delete)
        buf_puts(b, " AND f.deleted_at IS NULL");
    buf_puts(b, " AND ");
    vis_where(b, far, far_vc, "f", uid);
    buf_puts(b, ")");
}

static void put_filters(struct buf *b, const struct entity_def *e, const struct query *q,
                        struct sqlgen_text *t, const enum vis_class *rel_vc, int64_t uid)
{
    for (size_t i = 0; i < q->nfilters; i++) {
        const struct query_filter *f = &q->filters[i];
        buf_puts(b, " AND ");
        if (f->rel) {
            char own[16] = "";
            if (vis_uses_uid(entity_find(f->rel->ref), rel_vc[i]))
                snprintf(own, sizeof(own), "$%u", add_param(t, db_i64(uid)));
            filter_relation(b, f, t, rel_vc[i], own);
            continue;
        }
        struct buf col;
        buf_init(&col, b->arena, 64, 512);
        sqlgen_column(&col, e, f->field, "t");
        if (f->field->type == F_TEXTS)
            filter_texts(b, f, col.data, t);
        else
            filter_plain(b, f, col.data, t);
    }
}

static void put_order(struct buf *b, const struct entity_def *e, const struct query *q)
{
    bool desc = false, by_id = false;
    buf_puts(b, " ORDER BY ");
    for (size_t i = 0; i < q->nsort; i++) {
        desc = q->sort[i].desc;
        by_id |= str_eq(q->sort[i].field->name, "id");
        sqlgen_column(b, e, q->sort[i].field, "t");
        buf_puts(b, desc ? " DESC, " : ", ");
    }
    if (by_id) { /* the comma after the last key */
        b->len -= 2;
        b->data[b->len] = '\0';
    } else {
        buf_printf(b, "t.id%s", desc ? " DESC" : "");
    }
}

static const struct query_filter *status_filter(const struct query *q)
{
    if (q->nfilters != 1 || !q->filters[0].field || q->filters[0].op != QOP_EQ)
        return NULL;
    return str_eq(q->filters[0].field->name, "status") ? &q->filters[0] : NULL;
}

bool sqlgen_has_total(const struct entity_def *e, enum vis_class vc, const struct query *q)
{
    if (q->nfilters && !status_filter(q))
        return false;
    if (vc == VC_ALL || vc == VC_ADMIN)
        return e->visibility != VIS_OWNER;
    return e->visibility == VIS_PUBLISHED || e->visibility == VIS_ACTIVE;
}

/* The total by `counts`.  status: text of the parameter, or NULL.  Rows published for later are
 * counted as published and not yet seen: they are taken off again (an index range, a few rows). */
static void put_total(struct buf *b, const struct entity_def *e, enum vis_class vc, const char *uid,
                      const char *status)
{
    const char *open = sqlgen_public_status(e);
    buf_printf(b, "(SELECT coalesce(sum(c.n), 0) FROM counts c WHERE c.entity = '%s'", e->name);
    if (status)
        buf_printf(b, " AND c.status = %s", status);
    if (vc == VC_ALL || vc == VC_ADMIN || !open) {
        buf_puts(b, " AND c.owner = 0)");
        return;
    }
    buf_printf(b, " AND ((c.owner = 0 AND c.status = '%s')", open);
    if (vc == VC_OWN)
        buf_printf(b, " OR c.owner = %s::bigint", uid);
    buf_puts(b, "))");
    if (e->visibility != VIS_PUBLISHED || !entity_field(e, "published_at"))
        return;
    buf_printf(b,
               " - (SELECT count(*) FROM %s y WHERE y.deleted_at IS NULL AND y.status = '%s' AND "
               "y.published_at > now()",
               e->table, open);
    if (vc == VC_OWN)
        buf_printf(b, " AND y.%s_id IS DISTINCT FROM %s::bigint", e->owner, uid);
    if (status)
        buf_printf(b, " AND %s = '%s'", status, open);
    buf_puts(b, ")");
}

/* Published and scheduled rows have a time (a check of the table); saying so lets the index on it
 * skip the drafts, which come first in it when read backwards. */
static void put_timed(struct buf *b, const struct entity_def *e, const char *status)
{
    if (e->lifecycle == LIFE_PUBLISH && entity_field(e, "published_at") &&
        (str_eq(status, "published") || str_eq(status, "scheduled")))
        buf_puts(b, " AND t.published_at IS NOT NULL");
}

const char *sqlgen_first_page(struct arena *a, const struct sqlgen_who *who, const struct query *q,
                              bool status, bool total, struct rowplan *ret_plan)
{
    const struct entity_def *e = who->e;
    enum vis_class vc = who->vc;
    struct buf b;
    const char *open = sqlgen_public_status(e),
               *literal = arena_printf(a, "'%s'", open ? open : "");
    buf_init(&b, a, 1024, sqlgen_text_max);
    rowplan_init(ret_plan, a, e, vc, ~(uint64_t)0);
    put_select(&b, ret_plan, "$1");
    if (total) {
        ret_plan->total = (int)ret_plan->n + (ret_plan->own >= 0);
        buf_puts(&b, ", ");
        put_total(&b, e, vc, "$1", status ? literal : NULL);
        buf_puts(&b, " AS total_");
    }
    buf_printf(&b, " FROM %s t", e->table);
    put_where(&b, e, vc, "$1");
    if (status) {
        buf_printf(&b, " AND t.status = %s", literal);
        put_timed(&b, e, open);
    }
    put_order(&b, e, q);
    buf_printf(&b, " LIMIT %d", query_per_page_default + 1);
    assert(!b.overflow);
    return b.data;
}

/* Relations are filtered with the reader's class on the other entity, which differs from the one on
 * this. */
static void far_classes(const struct query *q, enum vis_class vc, int64_t uid, enum vis_class *ret)
{
    for (size_t i = 0; i < q->nfilters; i++) {
        if (!q->filters[i].rel)
            continue;
        const struct entity_def *far = entity_find(q->filters[i].rel->ref);
        ret[i] = vc;
        if (vc == VC_OWN && (!far->owner || !uid))
            ret[i] = VC_PUBLIC;
    }
}

void sqlgen_list(struct arena *a, const struct sqlgen_who *who, const struct query *q, bool total,
                 struct sqlgen_text *ret)
{
    const struct entity_def *e = who->e;
    enum vis_class vc = who->vc;
    int64_t uid = who->uid;
    struct buf b;
    char status[24] = "";
    enum vis_class far[query_filters_max] = { 0 };
    *ret = (struct sqlgen_text){ 0 };
    bool deep = q->offset >= deep_offset;
    buf_init(&b, a, 1024, sqlgen_text_max);
    rowplan_init(&ret->plan, a, e, vc, q->fields);
    if (vis_uses_uid(e, vc))
        add_param(ret, db_i64(uid));
    put_select(&b, &ret->plan, "$1");
    if (total) {
        ret->plan.total = (int)ret->plan.n + (ret->plan.own >= 0);
        if (status_filter(q))
            snprintf(status, sizeof(status), "$%u::text", add_param(ret, status_filter(q)->v[0]));
        buf_puts(&b, ", ");
        put_total(&b, e, vc, "$1", *status ? status : NULL);
        buf_puts(&b, " AS total_");
    }
    buf_printf(&b, deep ? " FROM (SELECT t.id FROM %s t" : " FROM %s t", e->table);
    put_where(&b, e, vc, "$1");
    far_classes(q, vc, uid, far);
    put_filters(&b, e, q, ret, far, uid);
    if (status_filter(q))
        put_timed(&b, e, status_filter(q)->v[0].text);
    put_order(&b, e, q);
    unsigned limit = add_param(ret, db_i64(q->limit + 1));
    buf_printf(&b, " LIMIT $%u::bigint OFFSET $%u::bigint", limit,
               add_param(ret, db_i64(q->offset)));
    if (deep) {
        buf_printf(&b, ") k JOIN %s t ON t.id = k.id", e->table);
        put_order(&b, e, q);
    }
    assert(!b.overflow);
    ret->sql = b.data;
}

void sqlgen_count(struct arena *a, const struct sqlgen_who *who, const struct query *q, bool counts,
                  struct sqlgen_text *ret)
{
    const struct entity_def *e = who->e;
    enum vis_class vc = who->vc;
    int64_t uid = who->uid;
    struct buf b;
    char status[24] = "";
    enum vis_class far[query_filters_max] = { 0 };
    bool quick = counts && sqlgen_has_total(e, vc, q);
    *ret = (struct sqlgen_text){ 0 };
    buf_init(&b, a, 1024, sqlgen_text_max);
    const char *own = "";
    if ((quick && vc == VC_OWN) || (!quick && e->owner && vc != VC_PUBLIC && vc != VC_ADMIN &&
                                    (vc == VC_OWN || e->visibility == VIS_OWNER))) {
        add_param(ret, db_i64(uid));
        own = "$1";
    }
    if (quick) {
        if (status_filter(q))
            snprintf(status, sizeof(status), "$%u::text", add_param(ret, status_filter(q)->v[0]));
        buf_puts(&b, "SELECT ");
        put_total(&b, e, vc, own, *status ? status : NULL);
    } else {
        buf_printf(&b, "SELECT count(*) FROM %s t", e->table);
        put_where(&b, e, vc, own);
        far_classes(q, vc, uid, far);
        put_filters(&b, e, q, ret, far, uid);
    }
    assert(!b.overflow);
    ret->sql = b.data;
}
