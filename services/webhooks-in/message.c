/* The log's details, replays, and trying a mapping without doing anything. */
#include "services/webhooks-in/webhooks_in.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/rowjson.h"
#include "common/kit/shape.h"
#include "services/webhooks-in/mapper.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-in/sql.h"

static int no_message(const struct req *req, struct err *err)
{
    return err_set(err, E_not_found, "There is no webhook_message %.60s.", req->params[0]);
}

static bool id_ok(const char *text)
{
    unsigned char raw[16];
    return text && uuid_parse(text, raw);
}

/* --- what came, and what was done ----------------------------------------------------------------
 */

static void put_text(struct buf *b, const char *name, const struct db_rows *r, size_t i, size_t c)
{
    size_t n;
    const char *text = db_cell(r, i, c, &n);
    buf_printf(b, "%s\"%s\":", b->data[b->len - 1] == '{' ? "" : ",", name);
    if (db_is_null(r, i, c))
        buf_puts(b, "null");
    else
        buf_put_json_string(b, text, n);
}

static void put_raw(struct buf *b, const char *name, const struct db_rows *r, size_t i, size_t c)
{
    const char *text = db_str(r, i, c);
    buf_printf(b, ",\"%s\":", name);
    buf_puts(b, text ? text : "null");
}

static void put_actions(struct buf *b, const struct db_rows *r)
{
    buf_puts(b, ",\"actions\":[");
    for (size_t i = 0; i < db_nrows(r); i++) {
        size_t n;
        const char *at = db_cell(r, i, 8, &n);
        buf_puts(b, i ? ",{" : "{");
        put_text(b, "action", r, i, 1);
        put_text(b, "entity", r, i, 2);
        put_text(b, "key", r, i, 3);
        put_text(b, "status", r, i, 4);
        put_raw(b, "attempts", r, i, 5);
        put_raw(b, "entity_id", r, i, 6);
        put_text(b, "error", r, i, 7);
        buf_puts(b, ",\"next_attempt_at\":");
        if (n)
            rowjson_put_time(b, at, n);
        else
            buf_puts(b, "null");
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

int message_content(struct req *req, struct res *res, struct err *err)
{
    const struct db_val v[] = { db_text(req->params[0]), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    struct db_rows *r, *actions;
    if (!id_ok(req->params[0]))
        return no_message(req, err);
    int rc = db_query(req->svc->db, req->arena, &sql_message_read, v, ARRAY_LEN(v), &r, err);
    if (!rc && !db_nrows(r))
        return no_message(req, err);
    const struct db_val run[] = { db_text(req->params[0]), db_i64(rc ? 0 : db_get_i64(r, 0, 11)) };
    if (!rc)
        rc = db_query(req->svc->db, req->arena, &sql_message_actions, run, ARRAY_LEN(run), &actions,
                      err);
    if (rc)
        return rc;
    struct buf *b = &res->body;
    buf_puts(b, "{\"data\":{");
    put_text(b, "id", r, 0, 0);
    put_text(b, "query", r, 0, 2);
    put_raw(b, "headers", r, 0, 3);
    put_text(b, "body", r, 0, 4);
    buf_printf(b, ",\"body_encoding\":\"%s\"", db_get_bool(r, 0, 5) ? "base64" : "text");
    put_raw(b, "results", r, 0, 6);
    put_actions(b, actions);
    buf_puts(b, "}}");
    return 0;
}

/* --- replay --------------------------------------------------------------------------------------
 */

struct again {
    struct req *req;
    bool dry;
    const struct db_val *v;
    size_t nv;
};

static int again(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct again *g = ctx;
    struct db_rows *r;
    const struct db_val read[] = { g->v[0], g->v[1], g->v[2] };
    int rc = db_exec(tx, g->req->arena, &sql_message_read, read, ARRAY_LEN(read), &r, err);
    if (!rc && !db_nrows(r))
        return no_message(g->req, err);
    if (!rc)
        rc = db_exec(tx, g->req->arena, &sql_message_again, g->v, g->nv, &r, err);
    if (!rc && !db_nrows(r))
        return err_set(err, E_conflict, "It is being worked on, or its source was deleted.");
    ret->status = 202;
    return rc;
}

int message_replay(struct req *req, struct res *res, struct err *err)
{
    const struct db_val v[] = { db_text(req->params[0]), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    struct again g = { .req = req, .v = v, .nv = ARRAY_LEN(v) };
    const struct idem_work work = { again, &g, IDEM_BARE };
    bool fresh;
    if (!id_ok(req->params[0]))
        return no_message(req, err);
    int rc = idem_run(req, res, &work, &fresh, err);
    if (rc)
        return rc;
    process_wake(req->svc);
    rc = crud_answer(req, res, entity_find("webhook_message"), req->params[0], err);
    res->etag = NULL;
    res->status = 202;
    return rc;
}

static int bulk(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    enum { again_step_rows = 5000 };
    const struct again *g = ctx;
    const struct db_stmt *s = g->dry ? &sql_messages_again_count : &sql_messages_again;
    struct db_rows *r;
    int64_t n = 0;
    do {
        int rc = db_exec(tx, g->req->arena, s, g->v, g->nv, &r, err);
        if (rc)
            return rc;
        n += g->dry ? db_get_i64(r, 0, 0) : (int64_t)db_affected(r);
    } while (!g->dry && db_affected(r) == again_step_rows);
    ret->status = 202;
    ret->body = arena_printf(g->req->arena, "{\"data\":{\"matched\":%lld,\"dry_run\":%s}}",
                             (long long)n, g->dry ? "true" : "false");
    return 0;
}

int source_replay(struct req *req, struct res *res, struct err *err)
{
    struct shape_row row;
    struct db_rows *r;
    int64_t id;
    int rc = source_mine(req, &id, &r, err);
    if (rc)
        return rc;
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, false, req->body, &row);
    res->faults = row.faults;
    rc = shape_check(&row, err);
    if (rc)
        return rc;
    const struct db_val v[] = { db_i64(id), *shape_val(&row, "status"), *shape_val(&row, "since"),
                                *shape_val(&row, "until") };
    struct again g = { .req = req,
                       .dry = json_is_true(json_object_get(req->body, "dry_run")),
                       .v = v,
                       .nv = ARRAY_LEN(v) };
    const struct idem_work work = { bulk, &g, 0 };
    bool fresh;
    rc = idem_run(req, res, &work, &fresh, err);
    if (!rc && fresh)
        process_wake(req->svc);
    return rc;
}

/* --- dry run -------------------------------------------------------------------------------------
 */

struct trial {
    struct req *req;
    const json_t *mapping;
    struct message m;
    struct plan plan;
    struct err err;
    int rc;
};

static void try_it(void *p)
{
    struct trial *t = p;
    t->rc = mapping_plan(t->req->arena, t->mapping, &t->m, mappers_run,
                         hooks_of(t->req->svc)->mappers, &t->plan, &t->err);
}

static int stored_sample(struct trial *t, const char *id, int64_t source, struct err *err)
{
    struct req *req = t->req;
    const struct db_val v[] = { db_text(id), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    struct db_rows *r;
    void *raw;
    int rc = id_ok(id)
                 ? db_query(req->svc->db, req->arena, &sql_message_read, v, ARRAY_LEN(v), &r, err)
                 : -E_not_found;
    if (rc == -E_not_found || (!rc && (!db_nrows(r) || db_get_i64(r, 0, 1) != source)))
        return err_at(err, E_validation, "/message_id", "The source has no such message.");
    if (rc)
        return rc;
    t->m = (struct message){ .body = db_str(r, 0, 4),
                             .content_type = db_str(r, 0, 7),
                             .headers = db_str(r, 0, 3),
                             .query = db_str(r, 0, 2),
                             .event = db_str(r, 0, 8),
                             .id = db_str(r, 0, 9),
                             .created_at = db_str(r, 0, 10) };
    t->m.body_n = strlen(t->m.body);
    if (db_get_bool(r, 0, 5) && b64_decode(req->arena, t->m.body, &raw, &t->m.body_n))
        t->m.body = raw;
    return 0;
}

static int pasted_sample(struct trial *t, struct err *err)
{
    struct req *req = t->req;
    const json_t *body = json_object_get(req->body, "body");
    const json_t *headers = json_object_get(req->body, "headers");
    const char *type = json_string_value(json_object_get(req->body, "content_type"));
    if (!body)
        return err_at(err, E_validation, "", "A sample is needed: message_id or body.");
    t->m = (struct message){
        .content_type = type ? type : "application/json",
        .headers = json_is_object(headers) ? json_text(req->arena, headers) : "{}",
        .query = "",
        .body = json_is_string(body) ? json_string_value(body) : json_text(req->arena, body)
    };
    t->m.body_n = strlen(t->m.body);
    return 0;
}

static void put_plan(struct buf *b, const struct plan *p)
{
    buf_puts(b, "{\"data\":{\"error\":null,\"results\":");
    json_write(b, p->results);
    buf_puts(b, ",\"actions\":[");
    for (size_t i = 0; i < p->n; i++) {
        const struct planned *x = &p->actions[i];
        buf_printf(b, "%s{\"action\":\"%s\"", i ? "," : "", x->kind);
        const struct {
            const char *name, *value;
        } of[] = {
            { "entity", x->entity },
            { "field",  x->field  },
            { "key",    x->key    }
        };
        for (size_t k = 0; k < ARRAY_LEN(of); k++) {
            buf_printf(b, ",\"%s\":", of[k].name);
            if (of[k].value)
                buf_put_json_string(b, of[k].value, strlen(of[k].value));
            else
                buf_puts(b, "null");
        }
        buf_puts(b, ",\"data\":");
        if (x->data)
            json_write(b, x->data);
        else
            buf_puts(b, "null");
        buf_putc(b, '}');
    }
    buf_puts(b, "]}}");
}

int source_dry_run(struct req *req, struct res *res, struct err *err)
{
    struct trial t = { .req = req, .mapping = json_object_get(req->body, "mapping") };
    const char *message = json_string_value(json_object_get(req->body, "message_id"));
    const json_t *version = json_object_get(req->body, "version");
    struct db_rows *r;
    int64_t id;
    json_t *own;
    int rc = source_mine(req, &id, &r, err);
    if (!rc && t.mapping)
        rc = mapping_check(t.mapping, err);
    else if (!rc && version)
        rc = mapping_version_read(req, id, json_integer_value(version), &t.mapping, err);
    else if (!rc) {
        rc = json_parse(req->arena, db_str(r, 0, 0), strlen(db_str(r, 0, 0)), &own, err);
        t.mapping = rc ? NULL : own;
    }
    if (!rc)
        rc = message ? stored_sample(&t, message, id, err) : pasted_sample(&t, err);
    if (!rc)
        rc = worker_run(req->svc->workers, try_it, &t, err);
    if (rc)
        return rc;
    if (t.rc && t.rc != -E_validation) {
        *err = t.err;
        return t.rc;
    }
    if (!t.rc) {
        put_plan(&res->body, &t.plan);
        return 0;
    }
    buf_puts(&res->body, "{\"data\":{\"error\":");
    buf_put_json_string(&res->body, t.err.msg, strlen(t.err.msg));
    buf_puts(&res->body, ",\"results\":[],\"actions\":[]}}");
    return 0;
}
