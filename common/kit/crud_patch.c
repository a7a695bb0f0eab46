/* PATCH: a merge patch (RFC 7396), or a JSON Patch (RFC 6902) of what the writer sees. */
#include "common/kit/crud_write_int.h"

#include "common/base/json_patch.h"
#include "common/base/str.h"

#include <strings.h>

enum { answer_bytes_max = 16 * 1024 * 1024 };

/* --- merge patch --- */

/* F_JSON fields hold a merge patch (RFC 7396): they are merged with what is stored, and the version
 * read with it must still be there when the row is written. */
static bool needs_merge(const struct write *w)
{
    for (size_t i = 0; i < w->row.n; i++)
        if (w->row.fields[i].type == F_JSON && w->mask >> i & 1 &&
            json_is_object(json_object_get(w->req->body, w->row.fields[i].name)))
            return true;
    return false;
}

static int merge(struct write *w, int64_t *ret_version, struct err *err)
{
    struct buf b;
    struct arena *a = w->req->arena;
    struct db_rows *r;
    buf_init(&b, a, 256, 4096);
    buf_puts(&b, "SELECT t.version");
    for (size_t i = 0; i < w->row.n; i++)
        if (w->row.fields[i].type == F_JSON)
            buf_printf(&b, ", t.%s::text", w->row.fields[i].name);
    buf_printf(&b, " FROM %s t WHERE t.id = $1::%s", w->e->table, sqlgen_type(&w->e->fields[0]));
    struct db_stmt s = { .sql = b.data, .flags = DB_ONCE };
    struct db_val id = db_text(w->id);
    int rc = crud_query(w->req, &s, &id, 1, &r, err);
    if (rc < 0)
        return rc;
    *ret_version = db_nrows(r) ? db_get_i64(r, 0, 0) : 0;
    size_t col = 1;
    for (size_t i = 0; db_nrows(r) && i < w->row.n; i++) {
        const struct field_def *f = &w->row.fields[i];
        if (f->type != F_JSON)
            continue;
        const json_t *patch = json_object_get(w->req->body, f->name);
        size_t len;
        const char *old = db_cell(r, 0, col++, &len);
        if (!(w->mask >> i & 1) || !json_is_object(patch))
            continue;
        json_t *tree = json_in(a, json_loadb(old, len, JSON_DECODE_ANY, NULL));
        json_t *merged = json_in(a, json_merge_patch(tree, patch));
        w->row.val[i] = db_text(json_text(a, merged));
        if (f->max && strlen(w->row.val[i].text) > (size_t)f->max)
            shape_fault(&w->row, f->name, "max_length", "Is too large when merged.");
    }
    w->res->faults = w->row.faults;
    return shape_check(&w->row, err);
}

/* Another writer was quicker, and the client did not ask for a version: once more. */
static bool raced(const struct write_cond *asked, int rc)
{
    return rc == -E_precondition_failed && asked->any && !asked->timed;
}

static int busy(const struct write *w, struct err *err)
{
    return err_set(err, E_conflict, "The %s is being changed by others all the time.", w->e->name);
}

static bool asks_for(const struct write_cond *c, int64_t version)
{
    for (size_t i = 0; !c->any && i < c->n; i++)
        if (c->versions[i] == version)
            return true;
    return c->any;
}

/* What was read must still be there when it is written. */
static void pin(struct write_cond *c, int64_t version)
{
    c->any = false;
    c->versions[0] = version;
    c->n = 1;
}

static int update_merged(struct write *w, struct err *err)
{
    const struct write_cond asked = w->cond;
    for (int i = 0;; i++) {
        int64_t version;
        int rc = merge(w, &version, err);
        if (rc < 0)
            return rc;
        if (version && asks_for(&asked, version))
            pin(&w->cond, version);
        rc = write_update(w, err);
        if (!raced(&asked, rc))
            return rc;
        if (i == write_tries_max)
            return busy(w, err);
        w->cond = asked;
    }
}

int write_patch(struct write *w, struct err *err)
{
    shape_read(w->req->arena, w->e->fields, SHAPE_PATCH, vis_is_admin(&w->req->who), w->req->body,
               &w->row);
    int rc = write_check(w, err);
    if (rc < 0)
        return rc;
    w->mask = write_mask(w, w->row.given);
    return !w->whole && needs_merge(w) ? update_merged(w, err) : write_update(w, err);
}

/* --- JSON Patch --- */

/* The row as the writer reads it, and its version. */
static int read_now(struct write *w, json_t **ret, int64_t *ret_version, struct err *err)
{
    struct res now = { .arena = w->req->arena };
    json_t *all;
    buf_init(&now.body, w->req->arena, 4096, answer_bytes_max);
    int rc = crud_answer(w->req, &now, w->e, w->id, err);
    if (rc < 0)
        return rc;
    rc = json_parse(w->req->arena, now.body.data, now.body.len, &all, err);
    if (rc < 0)
        return err_set(err, E_internal, "a row does not read as JSON");
    *ret = json_object_get(all, "data");
    *ret_version = json_integer_value(json_object_get(*ret, "version"));
    return 0;
}

/* What of `to` is not so in `from`, as members to set; what is gone is null. */
static json_t *changes(struct arena *a, const json_t *from, const json_t *to)
{
    json_t *out = json_in(a, json_object()), *v;
    json_t *before = (json_t *)(uintptr_t)from, *after = (json_t *)(uintptr_t)to; /* iterated */
    const char *key;
    json_object_foreach(after, key, v)
    {
        const json_t *old = json_object_get(before, key);
        if (!old || !json_same(old, v))
            json_object_set(out, key, v);
    }
    json_object_foreach(before, key, v)
    {
        if (!json_object_get(after, key) && !json_is_null(v))
            json_object_set_new(out, key, json_null());
    }
    return out;
}

static int patch_once(struct write *w, const json_t *patch, struct err *err)
{
    json_t *now, *then;
    int64_t version;
    int rc = read_now(w, &now, &version, err);
    if (rc < 0)
        return rc;
    if (!asks_for(&w->cond, version)) /* a precondition comes before all else */
        return write_explain(w, w->right == RIGHT_OWN, false, err);
    rc = json_patch(w->req->arena, now, patch, &then, err);
    if (rc < 0)
        return rc;
    w->req->body = json_is_object(then) ? changes(w->req->arena, now, then) : then;
    pin(&w->cond, version);
    return write_patch(w, err);
}

/* Applied to the version that was read; if another writer was quicker, to what he left. */
static int json_patch_row(struct write *w, struct err *err)
{
    const json_t *patch = w->req->body;
    const struct write_cond asked = w->cond;
    w->whole = true;
    for (int i = 0;; i++) {
        int rc = patch_once(w, patch, err);
        if (!raced(&asked, rc))
            return rc;
        if (i == write_tries_max)
            return busy(w, err);
        w->cond = asked;
    }
}

static bool is_json_patch(const struct req *req)
{
    static const char type[] = "application/json-patch+json";
    const char *sent = req->content_type ? req->content_type : "";
    size_t n = strcspn(sent, "; \t");
    return n == sizeof(type) - 1 && !strncasecmp(sent, type, n);
}

int crud_patch(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = write_begin(&w, req, res, ACT_CHANGE, err);
    if (rc >= 0)
        rc = write_need_body(req, err);
    if (rc >= 0)
        rc = crud_id(req, w.e, &w.id, err);
    if (rc >= 0)
        rc = write_none_match(&w, err);
    if (rc < 0)
        return rc;
    return is_json_patch(req) ? json_patch_row(&w, err) : write_patch(&w, err);
}
