/* What a row of one's own may refer to: only what its writer sees.  A picture is seen by who sees a
 * row with it, so else one's own draft would show any picture there is; and a draft that somebody
 * else keeps would be told from one that is not there. */
#include "common/kit/crud_write_int.h"

#include "common/base/str.h"

enum { refs_sql_max = 16 * 1024 };

/* Ids of $1 that reader $2 does not see, and that row $3 did not refer to before. */
static const char *unseen_sql(const struct write *w, const struct field_def *f,
                              const struct entity_def *far)
{
    struct buf b;
    enum vis_class vc = vis_class_of(far, &w->req->who);
    buf_init(&b, w->req->arena, 1024, refs_sql_max);
    buf_printf(&b,
               "SELECT k.id FROM unnest($1::bigint[]) AS k (id) WHERE $2::bigint IS NOT NULL AND "
               "NOT EXISTS (SELECT 1 FROM %s r WHERE r.id = k.id AND ",
               far->table);
    if (far->soft_delete)
        buf_puts(&b, "r.deleted_at IS NULL AND ");
    vis_where(&b, far, vc, "r", "$2");
    buf_puts(&b, ") AND NOT EXISTS (SELECT 1 FROM ");
    if (f->type == F_REFS) {
        const struct relation_def *rel = sqlgen_link(w->e, f);
        buf_printf(&b, "%s o WHERE o.%s = $3::bigint AND o.%s = k.id)", rel->link, rel->near,
                   rel->far);
    } else {
        buf_printf(&b, "%s o WHERE o.id = $3::bigint AND o.%s_id = k.id)", w->e->table, f->name);
    }
    return b.overflow ? NULL : b.data;
}

static int check_field(struct write *w, const struct field_def *f, const struct db_val *v,
                       struct err *err)
{
    const struct entity_def *far = entity_find(f->ref);
    struct arena *a = w->req->arena;
    struct db_rows *r;
    bool many = v->type == DBV_I64S;
    if (!far || !str_eq(far->service, w->e->service) || far->fields[0].type != F_ID ||
        (many ? !v->n : v->type != DBV_I64))
        return 0;
    struct db_stmt s = { .flags = DB_ONCE, .sql = unseen_sql(w, f, far) };
    const struct db_val p[] = { many ? *v : db_i64s(&v->i64, 1), db_i64(w->req->who.user_id),
                                db_text(w->id) };
    if (!s.sql)
        return err_set(err, E_internal, "the statement is too long");
    int rc = crud_query(w->req, &s, p, ARRAY_LEN(p), &r, err);
    for (size_t i = 0; rc >= 0 && i < db_nrows(r); i++) {
        int64_t id = db_get_i64(r, i, 0);
        size_t at = 0;
        while (many && at < v->n && ((const int64_t *)v->list)[at] != id)
            at++;
        err_list_add(w->row.faults,
                     many ? arena_printf(a, "/%s/%zu", f->name, at)
                          : arena_printf(a, "/%s", f->name),
                     "reference", "Refers to something that is not there.");
    }
    return rc;
}

int write_check_refs(struct write *w, struct err *err)
{
    if (w->right != RIGHT_OWN || !w->req->who.user_id)
        return 0;
    for (size_t i = 0; i < w->row.n; i++) {
        const struct field_def *f = &w->row.fields[i];
        bool owner = w->e->owner && str_eq(f->name, w->e->owner); /* oneself: write_check */
        if ((f->type != F_REF && f->type != F_REFS) || owner || !(w->row.given >> i & 1))
            continue;
        int rc = check_field(w, f, &w->row.val[i], err);
        if (rc < 0)
            return rc;
    }
    w->res->faults = w->row.faults;
    return shape_check(&w->row, err);
}
