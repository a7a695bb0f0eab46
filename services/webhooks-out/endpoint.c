/* Who listens to what: making, changing and removing endpoints.  Reading them is crud's. */
#include "common/base/str.h"
#include "common/io/httpc.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/outbox.h"
#include "common/kit/shape.h"
#include "services/webhooks-out/webhooks.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

#include <assert.h>

static const struct entity_def *entity(void)
{
    return entity_find("webhook_endpoint");
}

json_t *endpoint_json(struct arena *a, const struct db_rows *r)
{
    json_t *out;
    struct err err;
    size_t n;
    const char *text = db_cell(r, 0, 0, &n);
    int rc = json_parse(a, text, n, &out, &err);
    assert(rc == 0);
    (void)rc;
    return out;
}

void events_wake(struct svc *svc)
{
    if (svc->outbox)
        outbox_wake(svc->outbox);
}

int endpoint_event(struct db_tx *tx, struct arena *a, const char *type, json_t *endpoint,
                   json_t *changed, const struct req *req, struct err *err)
{
    json_t *owner = json_object_get(json_object_get(endpoint, "user"), "id");
    json_t *payload =
        json_in(a, json_pack("{s:O, s:o, s:O}", "data", endpoint, "changed",
                             changed ? json_incref(changed) : json_array(), "owner_id", owner));
    struct outbox_event e = { .type = type,
                              .key = arena_printf(
                                  a, "webhook_endpoint:%lld",
                                  (long long)json_integer_value(json_object_get(endpoint, "id"))),
                              .payload = json_text(a, payload) };
    if (req) {
        e.traceparent = req->traceparent;
        e.request_id = req->request_id;
        e.actor = arena_printf(a, "user:%lld key:%lld", (long long)req->who.user_id,
                               (long long)req->who.key_id);
    }
    return outbox_put(tx, a, &e, NULL, err);
}

/* --- validation --- */

static void check_url(const struct req *req, struct shape_row *row)
{
    const char *url = shape_given(row, "url") ? shape_text(row, "url") : NULL;
    struct err why;
    for (size_t i = 0; i < row->faults->n; i++)
        if (str_eq(row->faults->items[i].pointer, "/url"))
            return;
    if (url && egress_check_url(req->svc->egress, url, &why))
        shape_fault(row, "url", "egress_refused", why.msg);
}

static const char *some_types(struct arena *a)
{
    struct buf b;
    buf_init(&b, a, 1024, 4096);
    buf_puts(&b, "*, ");
    const char *last = "";
    for (const struct event_def *e = events; e->type; e++) {
        size_t n = strcspn(e->type, ".");
        if (!e->entity)
            continue;
        if (strncmp(last, e->type, n + 1) != 0)
            buf_printf(&b, "%s%.*s.*", *last ? ", " : "", (int)n, e->type);
        buf_printf(&b, ", %s", e->type);
        last = e->type;
    }
    return b.data;
}

static void check_events(const struct req *req, struct shape_row *row)
{
    const json_t *list = json_object_get(req->body, "events");
    if (!json_is_array(list))
        return;
    if (json_array_size(list) == 0)
        shape_fault(row, "events", "min", "At least one pattern is needed.");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && !pattern_known(s))
            err_list_add(row->faults, arena_printf(req->arena, "/events/%zu", i), "choice",
                         "There is no event %.64s. There are: %s", s, some_types(req->arena));
    }
}

static int read_body(struct req *req, struct res *res, enum shape_mode mode, struct shape_row *row,
                     struct err *err)
{
    shape_read(req->arena, entity()->fields, mode, vis_is_admin(&req->who), req->body, row);
    check_url(req, row);
    check_events(req, row);
    res->faults = row->faults;
    return shape_check(row, err);
}

/* --- create --- */

struct make {
    struct req *req;
    struct shape_row row;
    struct idem idem;
    bool seen;
    int64_t id;
    const char *body, *location;
};

static int make_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct make *m = ctx;
    struct arena *a = m->req->arena;
    const struct principal *who = &m->req->who;
    char secret[secret_text_max];
    struct db_rows *r;
    int rc = idem_claim(tx, a, &m->idem, &m->seen, err);
    if (rc || m->seen)
        return rc;
    rc = db_exec(tx, a, &sql_endpoint_id, NULL, 0, &r, err);
    if (rc)
        return rc;
    m->id = db_get_i64(r, 0, 0);
    secret_make(secret);
    const struct db_val v[] = {
        db_i64(m->id),
        db_i64(who->user_id),
        *shape_val(&m->row, "url"),
        *shape_val(&m->row, "events"),
        *shape_val(&m->row, "description"),
        *shape_val(&m->row, "max_in_flight"),
        *shape_val(&m->row, "status"),
        db_text(secret_seal(m->req->svc->keyring, a, m->id, secret)),
        db_text(role_name(who->role)),
        db_bool(vis_is_admin(who)),
    };
    rc = db_exec(tx, a, &sql_endpoint_add, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    json_t *json = endpoint_json(a, r);
    rc = endpoint_event(tx, a, "webhook.endpoint.created", json, NULL, m->req, err);
    if (rc)
        return rc;
    json_object_set_new(json, "secret", json_string(secret));
    m->body = arena_printf(a, "{\"data\":%s}", json_text(a, json));
    m->location = arena_printf(a, "%s%s/%lld", m->req->svc->conf->public_url, entity()->path,
                               (long long)m->id);
    return idem_record(tx, m->req, &m->idem, 201, m->location, m->body, err);
}

int endpoint_create(struct req *req, struct res *res, struct err *err)
{
    struct make m = { .req = req };
    int rc = read_body(req, res, SHAPE_CREATE, &m.row, err);
    if (rc)
        return rc;
    if (!req->who.user_id)
        return err_set(err, E_forbidden,
                       "An endpoint belongs to a user; this credential has none.");
    idem_init(&m.idem, req, IDEM_SEALED);
    rc = db_tx(req->svc->db, req->arena, make_tx, &m, err);
    if (rc)
        return rc;
    res->cache_control = "no-store";
    if (m.seen)
        return idem_replay(req, &m.idem, res, err);
    dispatch_wake(req->svc);
    events_wake(req->svc);
    buf_puts(&res->body, m.body);
    res->location = m.location;
    return 0;
}

/* --- change and remove --- */

struct change {
    struct req *req;
    struct shape_row row;
    int64_t id;
};

static int lock_row(struct db_tx *tx, const struct change *c, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_i64(c->id), db_bool(vis_is_admin(&c->req->who)),
                                db_i64(c->req->who.user_id) };
    int rc = db_exec(tx, c->req->arena, &sql_endpoint_lock, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no webhook_endpoint %lld.", (long long)c->id);
    return req_precondition(c->req, db_get_i64(r, 0, 2), err);
}

static int change_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    static const char *const names[] = { "url", "events", "description", "max_in_flight",
                                         "status" };
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    struct db_val v[1 + 2 * ARRAY_LEN(names)] = { db_i64(c->id) };
    json_t *changed = json_in(a, json_array());
    struct db_rows *r;
    int rc = lock_row(tx, c, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool given = shape_given(&c->row, names[i]);
        v[1 + 2 * i] = db_bool(given);
        v[2 + 2 * i] = given ? *shape_val(&c->row, names[i]) : db_null();
        if (given)
            json_array_append_new(changed, json_string(names[i]));
    }
    if (json_array_size(changed) == 0)
        return 0;
    rc = db_exec(tx, a, &sql_endpoint_change, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    return endpoint_event(tx, a, "webhook.endpoint.updated", endpoint_json(a, r), changed, c->req,
                          err);
}

int endpoint_patch(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = read_body(req, res, SHAPE_PATCH, &c.row, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, change_tx, &c, err);
    if (rc)
        return rc;
    dispatch_wake(req->svc);
    events_wake(req->svc);
    return crud_answer(req, res, entity(), req->params[0], err);
}

static int delete_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    const struct db_val v = db_i64(c->id);
    struct db_rows *r, *cancelled;
    int rc = lock_row(tx, c, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_endpoint_remove, &v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_endpoint_cancel, &v, 1, &cancelled, err);
    if (rc)
        return rc;
    return endpoint_event(tx, a, "webhook.endpoint.deleted", endpoint_json(a, r), NULL, c->req,
                          err);
}

int endpoint_delete(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, delete_tx, &c, err);
    if (rc)
        return rc;
    dispatch_wake(req->svc);
    events_wake(req->svc);
    res->status = 204;
    return 0;
}
