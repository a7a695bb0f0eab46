/* PUT: by id, or by the natural key, which also makes the row. */
#include "common/kit/crud_write_int.h"

#include "common/base/str.h"
#include "common/kit/svc.h"

const struct field_def *crud_key(const struct entity_def *e)
{
    if (crud_has_slug(e))
        return entity_field(e, "slug");
    for (const struct field_def *f = e->fields; f->name; f++)
        if (f->flags & FF_UNIQUE && f->type == F_TEXT)
            return f;
    return NULL;
}

/* A name that is unique is so in any case; slugs have only one. */
const char *crud_key_column(struct arena *a, const struct entity_def *e)
{
    const struct field_def *f = crud_key(e);
    return arena_printf(a, f->flags & FF_UNIQUE ? "lower(t.%s)" : "t.%s", f->name);
}

/* Absent fields become defaults; but not the slug and the owner, which name the row, nor what may
 * be written by others only. */
static uint64_t replace_mask(const struct write *w)
{
    uint64_t m = 0;
    bool admin = vis_is_admin(&w->req->who);
    for (size_t i = 0; i < w->row.n; i++) {
        const struct field_def *f = &w->row.fields[i];
        bool keep = f->flags & (FF_READONLY | FF_CREATE) || (f->flags & FF_ADMIN && !admin) ||
                    str_eq(f->name, "slug") || (w->e->owner && str_eq(f->name, w->e->owner));
        if (!keep || w->row.given >> i & 1)
            m |= UINT64_C(1) << i;
    }
    return write_mask(w, m);
}

/* The id behind the natural key, or NULL. */
static int find_key(struct write *w, const char *key, struct err *err)
{
    struct db_rows *r;
    const struct field_def *f = crud_key(w->e);
    struct db_stmt s = { .flags = DB_ONCE,
                         .sql = arena_printf(
                             w->req->arena,
                             "SELECT t.id FROM %s t WHERE t.deleted_at IS NULL AND %s = %s",
                             w->e->table, crud_key_column(w->req->arena, w->e),
                             f->flags & FF_UNIQUE ? "lower($1::text)" : "$1::text") };
    struct db_val v = db_text(key);
    int rc = crud_query(w->req, &s, &v, 1, &r, err);
    if (rc >= 0)
        w->id = db_nrows(r) ? arena_strdup(w->req->arena, db_str(r, 0, 0)) : NULL;
    return rc;
}

int write_replace(struct write *w, struct err *err)
{
    shape_read(w->req->arena, w->e->fields, SHAPE_REPLACE, vis_is_admin(&w->req->who), w->req->body,
               &w->row);
    int rc = write_check(w, err);
    if (rc < 0)
        return rc;
    w->mask = replace_mask(w);
    return write_update(w, err);
}

static int with_key(struct write *w, const char *key, bool *ret_other, struct err *err)
{
    const struct field_def *f = crud_key(w->e);
    const char *why;
    if (!f)
        return err_set(err, E_validation, "There is no natural key of %s.", w->e->plural);
    if (!shape_format_ok(f->format, key, &why))
        return err_at(err, E_validation, arena_printf(w->req->arena, "/%s", f->name),
                      "The %s must be %s.", f->name, why);
    json_t *body = json_in(w->req->arena, json_deep_copy(w->req->body));
    const char *other = json_string_value(json_object_get(body, f->name));
    if (json_is_object(body) && !other)
        json_object_set_new(body, f->name, json_string(key));
    *ret_other = other && !str_eq(other, key);
    w->req->body = body;
    return 0;
}

int write_upsert(struct write *w, const char *key, struct err *err)
{
    bool other;
    int rc = with_key(w, key, &other, err);
    w->named = key;
    for (int i = 0; rc >= 0; i++) {
        rc = find_key(w, key, err);
        if (rc < 0)
            return rc;
        if (w->id && w->none_match)
            return err_set(err, E_precondition_failed, "There is a %s with this %s.", w->e->name,
                           crud_key(w->e)->name);
        if (w->id) {
            rc = write_none_match(w, err);
            return rc < 0 ? rc : write_replace(w, err);
        }
        if (w->cond.given && !w->cond.timed)
            return err_set(err, E_precondition_failed, "There is no %s with this %s.", w->e->name,
                           crud_key(w->e)->name);
        w->right = vis_right_of(w->e, &w->req->who, ACT_CREATE);
        if (w->right == RIGHT_NONE)
            return err_set(err, E_forbidden, "Your role and scopes do not allow this on %s.",
                           w->e->plural);
        rc = write_create(w, err);
        /* Somebody made it in between: replace his, unless that is what must not be. */
        if (rc != -E_conflict || other || i == write_tries_max)
            return rc;
        rc = 0;
    }
    return rc;
}

static int put_key(struct write *w, struct err *err)
{
    return write_upsert(w, w->req->params[0], err);
}

int crud_put(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = write_begin(&w, req, res, ACT_CHANGE, err);
    if (rc >= 0)
        rc = write_need_body(req, err);
    if (rc < 0)
        return rc;
    rc = crud_id(req, w.e, &w.id, err);
    if (rc < 0)
        return rc;
    rc = write_none_match(&w, err);
    return rc < 0 ? rc : write_replace(&w, err);
}

int crud_put_slug(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = write_begin(&w, req, res, ACT_CHANGE, err);
    if (rc >= 0)
        rc = write_need_body(req, err);
    return rc < 0 ? rc : write_keyed(&w, put_key, err);
}
