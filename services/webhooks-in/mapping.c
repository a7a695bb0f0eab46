/* The versions of a source's mapping: listed, read, compared, made the mapping again. */
#include "services/webhooks-in/webhooks_in.h"

#include "common/base/str.h"
#include "common/kit/rowjson.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-in/sql.h"

enum { diff_entries_max = 1000 };

static int no_source(const struct req *req, struct err *err)
{
    return err_set(err, E_not_found, "There is no webhook_source %.60s.", req->params[0]);
}

int source_mine(struct req *req, int64_t *ret_id, struct db_rows **ret, struct err *err)
{
    int rc = req_id(req, 0, ret_id, err);
    const struct db_val v[] = { db_i64(rc ? 0 : *ret_id), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    if (!rc)
        rc = db_query(req->svc->db, req->arena, &sql_source_mapping, v, ARRAY_LEN(v), ret, err);
    return !rc && !db_nrows(*ret) ? no_source(req, err) : rc;
}

static void put_version(struct buf *b, const struct db_rows *r, size_t i)
{
    size_t n;
    const char *at = db_cell(r, i, 3, &n);
    buf_printf(b, "{\"version\":%s,\"mapping\":%s,\"user\":{\"id\":%s},\"created_at\":",
               db_str(r, i, 0), db_str(r, i, 1), db_str(r, i, 2));
    rowjson_put_time(b, at, n);
}

int source_mappings(struct req *req, struct res *res, struct err *err)
{
    struct db_rows *r;
    int64_t id;
    int rc = source_mine(req, &id, &r, err);
    const struct db_val v = db_i64(rc ? 0 : id);
    if (!rc)
        rc = db_query(req->svc->db, req->arena, &sql_mapping_list, &v, 1, &r, err);
    if (rc)
        return rc;
    struct buf *b = &res->body;
    buf_puts(b, "{\"data\":[");
    for (size_t i = 0; i < db_nrows(r); i++) {
        buf_puts(b, i ? "," : "");
        put_version(b, r, i);
        buf_putc(b, '}');
    }
    buf_printf(b,
               "],\"meta\":{\"total\":%zu,\"page\":1,\"per_page\":100},"
               "\"links\":{\"self\":\"%s%s\",\"next\":null,\"prev\":null}}",
               db_nrows(r), req->svc->conf->public_url, req->path);
    return 0;
}

/* --- one -----------------------------------------------------------------------------------------
 */

static int read_row(struct req *req, int64_t source, int64_t version, struct db_rows **ret,
                    struct err *err)
{
    const struct db_val v[] = { db_i64(source), db_i64(version) };
    int rc = version > INT32_MAX ? -E_not_found
                                 : db_query(req->svc->db, req->arena, &sql_mapping_version, v,
                                            ARRAY_LEN(v), ret, err);
    return rc == -E_not_found || (!rc && !db_nrows(*ret))
               ? err_set(err, E_not_found, "The mapping has no version %lld.", (long long)version)
               : rc;
}

int mapping_version_read(struct req *req, int64_t source, int64_t version, const json_t **ret,
                         struct err *err)
{
    struct db_rows *r;
    json_t *tree;
    int rc = read_row(req, source, version, &r, err);
    if (!rc)
        rc = json_parse(req->arena, db_str(r, 0, 1), strlen(db_str(r, 0, 1)), &tree, err);
    *ret = rc ? NULL : tree;
    return rc;
}

/* --- comparing -----------------------------------------------------------------------------------
 */

static void compare(struct arena *a, const char *at, const json_t *x, const json_t *y, json_t *out)
{
    const char *key;
    json_t *v;
    if (json_array_size(out) == diff_entries_max || (x && y && json_equal(x, y)))
        return;
    if (json_is_object(x) && json_is_object(y)) {
        json_object_foreach((json_t *)(uintptr_t)x, key, v)
            compare(a, json_pointer_add(a, at, key), v, json_object_get(y, key), out);
        json_object_foreach((json_t *)(uintptr_t)y, key, v) if (!json_object_get(x, key))
            compare(a, json_pointer_add(a, at, key), NULL, v, out);
        return;
    }
    size_t n = json_array_size(x), m = json_array_size(y);
    if (json_is_array(x) && json_is_array(y)) {
        for (size_t i = 0; i < (n > m ? n : m); i++)
            compare(a, arena_printf(a, "%s/%zu", at, i), json_array_get(x, i), json_array_get(y, i),
                    out);
        return;
    }
    json_array_append_new(out, json_pack("{s:s, s:O?, s:O?}", "at", at, "from", x, "to", y));
}

static int other(struct req *req, int64_t source, int64_t present, int64_t *ret_version,
                 const json_t **ret, struct err *err)
{
    const char *text = req_arg(req, "against");
    *ret = NULL;
    *ret_version = present;
    if (!text)
        return 0;
    if (!str_eq(text, "present") && !str_to_i64(text, 1, INT32_MAX, ret_version))
        return err_at(err, E_invalid_parameter, "against", "against is a version, or present.");
    return mapping_version_read(req, source, *ret_version, ret, err);
}

int mapping_get(struct req *req, struct res *res, struct err *err)
{
    struct db_rows *source, *r;
    int64_t id, version, against;
    const json_t *here, *there;
    int rc = source_mine(req, &id, &source, err);
    if (!rc)
        rc = req_id(req, 1, &version, err);
    if (!rc)
        rc = read_row(req, id, version, &r, err);
    if (!rc)
        rc = mapping_version_read(req, id, version, &here, err);
    if (!rc)
        rc = other(req, id, db_get_i64(source, 0, 1), &against, &there, err);
    if (rc)
        return rc;
    struct buf *b = &res->body;
    buf_puts(b, "{\"data\":");
    put_version(b, r, 0);
    if (there) {
        json_t *diff = json_in(req->arena, json_array());
        compare(req->arena, "", here, there, diff);
        buf_printf(b, ",\"against\":%lld,\"diff\":", (long long)against);
        json_write(b, diff);
    }
    buf_puts(b, "}}");
    return 0;
}

/* A change of the source like any other, by the caller's rights as they are now. */
int mapping_restore(struct req *req, struct res *res, struct err *err)
{
    struct db_rows *source;
    int64_t id, version;
    const json_t *mapping;
    int rc = source_mine(req, &id, &source, err);
    if (!rc)
        rc = req_id(req, 1, &version, err);
    if (!rc)
        rc = mapping_version_read(req, id, version, &mapping, err);
    if (rc)
        return rc;
    req->body = json_in(req->arena, json_pack("{s:O}", "mapping", mapping));
    return source_patch(req, res, err);
}
