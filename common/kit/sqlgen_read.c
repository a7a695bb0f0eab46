#include "common/kit/sqlgen_read_int.h"

#include "common/base/str.h"

#include <assert.h>

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

void sqlgen_put_select(struct buf *b, struct rowplan *p, const char *uid)
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

void sqlgen_put_where(struct buf *b, const struct entity_def *e, enum vis_class vc, const char *uid)
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
    sqlgen_put_select(&b, plan, "$1");
    buf_printf(&b, " FROM %s t", e->table);
    sqlgen_put_where(&b, e, vc, "$1");
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
    sqlgen_put_select(&b, ret_plan, "$1");
    buf_printf(&b, " FROM %s t", e->table);
    sqlgen_put_where(&b, e, vc, "$1");
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
    sqlgen_put_select(&b, ret_plan, "$1");
    buf_printf(&b, " FROM %s t", far->table);
    if (rel->kind == REL_MANY)
        buf_printf(&b, " JOIN %s k ON k.%s = t.id AND k.%s = p.id", rel->link, rel->far, rel->near);
    sqlgen_put_where(&b, far, vc, "$1");
    if (rel->kind == REL_REVERSE)
        buf_printf(&b, " AND t.%s_id = p.id ORDER BY t.id LIMIT %d) x", rel->via, include_rows_max);
    else
        buf_printf(&b, " ORDER BY k.position LIMIT %d) x", include_rows_max);
    buf_printf(&b, " LIMIT %d", include_rows_total_max + 1);
    assert(!b.overflow);
    return b.data;
}
