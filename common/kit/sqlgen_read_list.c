/* Lists and totals. */
#include "common/kit/sqlgen_read_int.h"

#include "common/base/str.h"

#include <assert.h>

/* Backwards, each key is walked the other way round. */
static void put_order(struct buf *b, const struct query *q)
{
    buf_puts(b, " ORDER BY ");
    for (size_t i = 0; i < q->nsort; i++)
        buf_printf(b, "%st.%s%s", i ? ", " : "", q->sort[i].field->name,
                   q->sort[i].desc != q->place.back ? " DESC" : "");
}

static const char *status_of(const struct query *q)
{
    const struct query_node *t = query_only(q, "status");
    return t ? t->v[0].text : NULL;
}

bool sqlgen_has_total(const struct entity_def *e, enum vis_class vc, const struct query *q)
{
    if (q->ntests && !status_of(q))
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
    buf_printf(b, "(SELECT coalesce(sum(c.n), 0)::bigint FROM counts c WHERE c.entity = '%s'",
               e->name);
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
    sqlgen_put_select(&b, ret_plan, "$1");
    if (total) {
        ret_plan->total = (int)ret_plan->n + (ret_plan->own >= 0);
        buf_puts(&b, ", ");
        put_total(&b, e, vc, "$1", status ? literal : NULL);
        buf_puts(&b, " AS total_");
    }
    buf_printf(&b, " FROM %s t", e->table);
    sqlgen_put_where(&b, e, vc, "$1");
    if (status) {
        buf_printf(&b, " AND t.status = %s", literal);
        put_timed(&b, e, open);
    }
    put_order(&b, q);
    buf_printf(&b, " LIMIT %d", query_per_page_default + 1);
    assert(!b.overflow);
    return b.data;
}

/* --- behind a cursor ---
 *
 * The rows after a place, in the direction that is walked.  Nulls are the largest values, as in the
 * order itself: walking up they come last, walking down first. */

struct walker {
    const struct query *q;
    unsigned param[query_sort_max + 1]; /* of each key's value */
};

static bool down(const struct query *q, size_t i)
{
    return q->sort[i].desc != q->place.back;
}

/* Keys that one row comparison can hold: all the same way, and no nulls after the place.  Those of
 * the first key are asked for apart. */
static bool comparable(const struct query *q)
{
    for (size_t i = 0; i < q->nsort; i++)
        if (down(q, i) != down(q, 0) || !q->place.keys[i] ||
            (i && query_nullable(q->sort[i].field) && !down(q, i)))
            return false;
    return true;
}

static void put_comparison(struct buf *b, const struct walker *w)
{
    const struct query *q = w->q;
    const char *sep = "";
    buf_puts(b, "(");
    for (size_t i = 0; i < q->nsort; i++, sep = ", ")
        buf_printf(b, "%st.%s", sep, q->sort[i].field->name);
    buf_printf(b, ") %s%s (", down(q, 0) ? "<" : ">", q->place.inclusive ? "=" : "");
    sep = "";
    for (size_t i = 0; i < q->nsort; i++, sep = ", ")
        buf_printf(b, "%s$%u::%s", sep, w->param[i], sqlgen_type(q->sort[i].field));
    buf_puts(b, ")");
}

/* Key i says after, or it is equal and the keys behind it say after.  The last one is unique.
 * `nulls`: rows without a value may come after one with a value. */
static void put_after(struct buf *b, const struct walker *w, size_t i, bool nulls)
{
    const struct query *q = w->q;
    const struct field_def *f = q->sort[i].field;
    const char *type = sqlgen_type(f), *op = down(q, i) ? "<" : ">";
    if (i + 1 == q->nsort) {
        buf_printf(b, "t.%s %s%s $%u::%s", f->name, op, q->place.inclusive ? "=" : "", w->param[i],
                   type);
        return;
    }
    if (!q->place.keys[i]) {
        buf_printf(b, "(t.%s %s ", f->name, down(q, i) ? "IS NOT NULL OR" : "IS NULL AND");
        put_after(b, w, i + 1, true);
        buf_puts(b, ")");
        return;
    }
    buf_printf(b, "(t.%s %s $%u::%s OR ", f->name, op, w->param[i], type);
    if (nulls && query_nullable(f) && !down(q, i))
        buf_printf(b, "t.%s IS NULL OR ", f->name);
    buf_printf(b, "(t.%s = $%u::%s AND ", f->name, w->param[i], type);
    put_after(b, w, i + 1, true);
    buf_puts(b, "))");
}

/* One or two conditions, each a range of an index on the first key; the rows of the second come
 * after those of the first.  How many there are. */
static unsigned put_behind(const struct query *q, struct sqlgen_text *t, struct buf *first,
                           struct buf *second)
{
    struct walker w = { .q = q };
    const struct field_def *f = q->sort[0].field;
    for (size_t i = 0; i < q->nsort; i++)
        if (q->place.keys[i])
            w.param[i] = sqlgen_param(t, db_text(q->place.keys[i]));
    if (!q->place.keys[0]) {
        buf_printf(first, " AND t.%s IS NULL AND ", f->name);
        put_after(first, &w, 1, true);
        if (!down(q, 0))
            return 1;
        buf_printf(second, " AND t.%s IS NOT NULL", f->name);
        return 2;
    }
    buf_puts(first, " AND ");
    if (comparable(q)) {
        put_comparison(first, &w);
    } else {
        buf_printf(first, "t.%s %s= $%u::%s AND ", f->name, down(q, 0) ? "<" : ">", w.param[0],
                   sqlgen_type(f));
        put_after(first, &w, 0, false);
    }
    if (down(q, 0) || !query_nullable(f))
        return 1;
    buf_printf(second, " AND t.%s IS NULL", f->name);
    return 2;
}

/* --- any list --- */

struct list {
    const struct sqlgen_who *who;
    const struct query *q;
    struct sqlgen_text *t;
    struct buf b, where;
    const char *uid;
};

static void list_init(struct list *l, struct arena *a, const struct sqlgen_who *who,
                      const struct query *q, struct sqlgen_text *t)
{
    *t = (struct sqlgen_text){ 0 };
    *l = (struct list){ .who = who, .q = q, .t = t, .uid = "" };
    buf_init(&l->b, a, 1024, sqlgen_text_max);
    buf_init(&l->where, a, 512, sqlgen_text_max);
}

/* The reader's id is the first parameter wherever it is needed at all. */
static void list_uid(struct list *l)
{
    l->t->uid = sqlgen_param(l->t, db_i64(l->who->uid));
    l->uid = "$1";
}

static void put_extra(struct list *l, unsigned extra)
{
    struct rowplan *p = &l->t->plan;
    struct buf *b = &l->b;
    int at = (int)p->n + (p->own >= 0);
    char status[24] = "";
    if (extra & SQLX_TOTAL) {
        if (status_of(l->q))
            snprintf(status, sizeof(status), "$%u::text",
                     sqlgen_param(l->t, db_text(status_of(l->q))));
        p->total = at++;
        buf_puts(b, ", ");
        put_total(b, l->who->e, l->who->vc, l->uid, *status ? status : NULL);
        buf_puts(b, " AS total_");
    }
    if (extra & SQLX_SNAPSHOT) {
        p->snapshot = at++;
        buf_puts(b, ", pg_current_snapshot()::text AS snapshot_");
    }
    if (l->q->paging != PAGING_CURSOR && !(extra & SQLX_KEYS))
        return;
    p->keys = at;
    for (size_t i = 0; i < l->q->nsort; i++)
        buf_printf(b, ", t.%s", l->q->sort[i].field->name);
}

/* Bounded numbers, written out: with them the planner knows that it is a few rows, and a text
 * without values is prepared when it comes again (db.h). */
static void put_limit(struct list *l, int64_t offset)
{
    put_order(&l->b, l->q);
    buf_printf(&l->b, " LIMIT %lld", (long long)l->q->limit + 1);
    if (offset)
        buf_printf(&l->b, " OFFSET %lld", (long long)offset);
}

static void put_range(struct list *l, const char *condition, int64_t offset)
{
    buf_printf(&l->b, "SELECT t.id FROM %s t", l->who->e->table);
    buf_put(&l->b, l->where.data, l->where.len);
    buf_puts(&l->b, condition);
    put_limit(l, offset);
}

static void put_source(struct list *l)
{
    const struct query *q = l->q;
    struct buf first, second, *b = &l->b;
    buf_init(&first, b->arena, 256, sqlgen_text_max);
    buf_init(&second, b->arena, 64, 256);
    unsigned ranges = q->place.set ? put_behind(q, l->t, &first, &second) : 0;
    assert(!first.overflow && !second.overflow);
    /* Where the program says in which rows to look, it does so for whole rows. */
    if (ranges < 2 && (q->offset < sqlgen_deep_offset || q->within.where)) {
        buf_printf(b, " FROM %s t", l->who->e->table);
        buf_put(b, l->where.data, l->where.len);
        buf_put(b, first.data, first.len);
        put_limit(l, q->offset);
        return;
    }
    buf_puts(b, ranges < 2 ? " FROM (" : " FROM ((");
    put_range(l, ranges ? first.data : "", q->offset);
    if (ranges == 2) {
        buf_puts(b, ") UNION ALL (");
        put_range(l, second.data, 0);
        buf_puts(b, ")");
    }
    buf_printf(b, ") k JOIN %s t ON t.id = k.id", l->who->e->table);
    put_order(b, q);
    if (ranges == 2)
        buf_printf(b, " LIMIT %lld", (long long)q->limit + 1);
}

void sqlgen_list(struct arena *a, const struct sqlgen_who *who, const struct query *q,
                 unsigned extra, struct sqlgen_text *ret)
{
    const struct entity_def *e = who->e;
    struct list l;
    list_init(&l, a, who, q, ret);
    rowplan_init(&ret->plan, a, e, who->vc, q->fields);
    if (vis_uses_uid(e, who->vc))
        list_uid(&l);
    sqlgen_put_select(&l.b, &ret->plan, "$1");
    put_extra(&l, extra);
    sqlgen_put_where(&l.where, e, who->vc, "$1");
    sqlgen_put_filters(&l.where, who, q, ret);
    if (status_of(q))
        put_timed(&l.where, e, status_of(q));
    put_source(&l);
    assert(!l.b.overflow && !l.where.overflow);
    ret->sql = l.b.data;
}

static void put_conditions(struct list *l)
{
    buf_printf(&l->b, " FROM %s t", l->who->e->table);
    sqlgen_put_where(&l->b, l->who->e, l->who->vc, l->uid);
    sqlgen_put_filters(&l->b, l->who, l->q, l->t);
}

void sqlgen_ids(struct arena *a, const struct sqlgen_who *who, const struct query *q, int64_t most,
                struct sqlgen_text *ret)
{
    struct list l;
    list_init(&l, a, who, q, ret);
    if (vis_where_uses_uid(who->e, who->vc))
        list_uid(&l);
    buf_puts(&l.b, "SELECT t.id");
    put_conditions(&l);
    buf_printf(&l.b, " ORDER BY t.id LIMIT $%u::bigint", sqlgen_param(ret, db_i64(most)));
    assert(!l.b.overflow);
    ret->sql = l.b.data;
}

void sqlgen_count(struct arena *a, const struct sqlgen_who *who, const struct query *q,
                  enum sqlgen_total how, struct sqlgen_text *ret)
{
    struct list l;
    char status[24] = "";
    list_init(&l, a, who, q, ret);
    if (how == TOTAL_COUNTS ? who->vc == VC_OWN : vis_where_uses_uid(who->e, who->vc))
        list_uid(&l);
    if (how == TOTAL_COUNTS) {
        if (status_of(q))
            snprintf(status, sizeof(status), "$%u::text", sqlgen_param(ret, db_text(status_of(q))));
        buf_puts(&l.b, "SELECT ");
        put_total(&l.b, who->e, who->vc, l.uid, *status ? status : NULL);
    } else {
        buf_puts(&l.b, how == TOTAL_PLAN ? "EXPLAIN (FORMAT JSON) SELECT 1"
                                         : "SELECT count(*), pg_current_snapshot()::text");
        put_conditions(&l);
    }
    assert(!l.b.overflow);
    ret->sql = l.b.data;
}
