/* What would be sent, and sending it once to see. */
#include "services/webhooks-out/endpoint.h"
#include "services/webhooks-out/filter.h"
#include "services/webhooks-out/handshake.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/httpc.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

/* Shown with previews of drafts, so that a receiver's verification can be tried on them. */
static const char draft_secret[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
enum { connect_timeout_ms = 5000 };

struct preview {
    struct req *req;
    struct arena *a;
    const json_t *endpoint; /* as JSON, stored or draft */
    struct sending *how;
    struct listener who;
    const struct event_def *def;
    struct happening h;
    const char *body;
    bool matches; /* it would be sent */
    const char *why;
};

static void drop_sending(void *ptr)
{
    sending_free(ptr);
}

static const struct event_def *first_event(const json_t *patterns)
{
    for (size_t i = 0; i < json_array_size(patterns); i++)
        for (const struct event_def *e = events; e->type; e++)
            if (e->entity &&
                pattern_matches(json_string_value(json_array_get(patterns, i)), e->type))
                return e;
    return NULL;
}

static int choose_event(struct preview *p, const struct shape_row *row, struct err *err)
{
    const char *type = shape_text(row, "event");
    int64_t id = shape_i64(row, "entity_id");
    p->def = type ? event_find(type) : first_event(json_object_get(p->endpoint, "events"));
    if (!p->def || !p->def->entity)
        return err_at(err, E_validation, "/event", "There is no such event.");
    if (id)
        return stored_happening(p->req, p->def, id, &p->h, err);
    p->h = sample_happening(p->a, p->def);
    return 0;
}

static void set_wishes(struct preview *p)
{
    const json_t *fields = json_object_get(p->endpoint, "fields"),
                 *tree = json_object_get(p->endpoint, "filter");
    const char **list = arena_alloc(p->a, (json_array_size(fields) + 1) * sizeof(*list));
    struct filter *filter = NULL;
    struct err ignored;
    for (size_t i = 0; i < json_array_size(fields); i++)
        list[p->who.nfields++] = json_string_value(json_array_get(fields, i));
    p->who.fields = list;
    p->who.thin = str_eq(json_string_value(json_object_get(p->endpoint, "payload")), "thin");
    p->who.target = p->how->target;
    if (json_is_object(tree) && !filter_parse(p->a, tree, NULL, NULL, &filter, &ignored))
        p->who.filter = filter;
}

static bool listens(const struct preview *p)
{
    const json_t *patterns = json_object_get(p->endpoint, "events");
    for (size_t i = 0; i < json_array_size(patterns); i++)
        if (pattern_matches(json_string_value(json_array_get(patterns, i)), p->def->type))
            return true;
    return false;
}

/* The bytes; and would they be sent? */
static int render(struct preview *p, struct err *err)
{
    struct view v;
    struct seen seen;
    struct err why;
    bool visible = happening_visible(&p->h, &p->who, &v);
    happening_seen(p->a, &p->h, &v, &seen);
    int wanted = happening_wanted(&p->h, &p->who, &seen, &why);
    p->why = !listens(p)   ? "The endpoint does not listen to this event."
             : !visible    ? "The endpoint's owner may not read this."
             : wanted < 0  ? arena_strdup(p->a, why.msg)
             : wanted == 0 ? "The filter does not hold."
                           : NULL;
    p->matches = !p->why;
    const char *body = happening_body(p->a, &p->h, &p->who, &seen, p->req->svc->conf->public_url);
    if (!body)
        return err_set(err, E_too_large, "The event is too large to be sent.");
    p->body = p->how->batch_events ? arena_printf(p->a, "%s%s%s", p->how->target->batch_open, body,
                                                  p->how->target->batch_close)
                                   : body;
    return 0;
}

static struct target_job job_of(const struct preview *p, bool test)
{
    bool batch = p->how->batch_events > 0;
    return (struct target_job){ .message_id = arena_printf(p->a, "evt_%s", p->h.event_id),
                                .timestamp_s = clock_ms() / 1000,
                                .keys = p->how->keys,
                                .nkeys = p->how->nkeys,
                                .body = p->body,
                                .body_n = strlen(p->body),
                                .type = p->def->type,
                                .subject = p->h.key,
                                .source = p->req->svc->conf->public_url,
                                .event_us = p->h.time_us,
                                .batch = batch,
                                .test = test,
                                .traceparent = p->req->traceparent,
                                .request_id = p->req->request_id };
}

static json_t *headers_json(struct arena *a, const struct sent *s)
{
    struct buf b;
    json_t *tree;
    struct err err;
    buf_init(&b, a, 1024, 64 * 1024);
    log_headers_json(&b, a, log_headers(a, s->headers, s->req.nheaders, log_request_headers_max));
    return json_parse(a, b.data, b.len, &tree, &err) ? json_in(a, json_object()) : tree;
}

static int answer_preview(struct preview *p, struct res *res, const char *secret, struct err *err)
{
    struct sent s;
    int rc = render(p, err);
    if (rc)
        return rc;
    const struct target_job job = job_of(p, false);
    /* A token is asked for when there is something to send. */
    sending_request(p->how, p->a, &job, p->how->auth.kind == AUTH_OAUTH2 ? "***" : NULL, &s);
    json_t *o = json_pack("{s:s, s:s, s:O, s:s, s:b, s:s?}", "method", s.req.method, "url",
                          s.req.url, "headers", headers_json(p->a, &s), "body", p->body, "matches",
                          p->matches, "reason", p->why);
    if (secret)
        json_object_set_new(o, "secret", json_string(secret));
    res->cache_control = "no-store";
    res_json(res, json_in(p->a, o));
    return 0;
}

/* --- a stored endpoint --- */

static int load_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct preview *p = ctx;
    int64_t id;
    struct db_rows *r, *s;
    json_t *endpoint;
    int rc = req_id(p->req, 0, &id, err);
    if (!rc)
        rc = endpoint_lock(tx, p->req, id, NULL, err);
    if (!rc)
        rc = endpoint_tell(tx, p->a, id, &endpoint, err);
    const struct db_val ids = db_i64s(&id, 1), one = db_i64(id);
    if (!rc)
        rc = db_exec(tx, p->a, &sql_endpoints_sending, &ids, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, p->a, &sql_secrets_live, &ids, 1, &s, err);
    if (rc)
        return rc;
    p->endpoint = endpoint;
    p->how = sending_of_row(p->req->svc->keyring, r, 0, err);
    if (!p->how)
        return -(int)err->code;
    arena_defer(p->a, drop_sending, p->how);
    for (size_t i = 0; i < db_nrows(s) && !rc; i++)
        rc = sending_add_secret(p->how, p->req->svc->keyring, db_str(s, i, 1), db_str(s, i, 2),
                                db_get_i64(s, i, 3), err);
    if (!rc)
        rc = db_exec(tx, p->a, &sql_endpoint_owner, &one, 1, &r, err);
    if (!rc)
        p->who = (struct listener){ .endpoint_id = id,
                                    .user_id = db_get_i64(r, 0, 1),
                                    .role = role_find(db_str(r, 0, 2)),
                                    .admin = db_get_bool(r, 0, 3) };
    return rc;
}

static int load(struct req *req, struct res *res, struct preview *p, struct err *err)
{
    struct shape_row row;
    const json_t *body = req->body ? req->body : json_in(req->arena, json_object());
    *p = (struct preview){ .req = req, .a = req->arena };
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, vis_is_admin(&req->who), body,
               &row);
    res->faults = row.faults;
    int rc = shape_check(&row, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, load_tx, p, err);
    if (!rc)
        rc = choose_event(p, &row, err);
    if (!rc)
        set_wishes(p);
    return rc;
}

int endpoint_preview(struct req *req, struct res *res, struct err *err)
{
    struct preview p;
    int rc = load(req, res, &p, err);
    return rc ? rc : answer_preview(&p, res, NULL, err);
}

/* --- a draft --- */

int draft_preview(struct req *req, struct res *res, struct err *err)
{
    struct preview p = { .req = req, .a = req->arena };
    struct shape_row row, draft;
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, vis_is_admin(&req->who), req->body,
               &row);
    res->faults = row.faults;
    int rc = shape_check(&row, err);
    if (!rc)
        rc = endpoint_read(req, res, SHAPE_CREATE, json_object_get(req->body, "endpoint"), NULL,
                           &draft, err);
    if (rc) {
        if (err->code == E_validation && res->faults && res->faults != row.faults)
            for (size_t i = 0; i < res->faults->n; i++)
                draft.faults->items[i].pointer =
                    arena_printf(p.a, "/endpoint%s", draft.faults->items[i].pointer);
        return rc;
    }
    json_t *record =
        endpoint_record(req, &draft, SHAPE_CREATE, json_object_get(req->body, "endpoint"));
    json_t *auth = json_object_get(json_object_get(req->body, "endpoint"), "auth");
    if (auth)
        json_object_set(record, "auth", auth);
    p.endpoint = record;
    p.how = sending_of_json(record);
    arena_defer(p.a, drop_sending, p.how);
    sending_add_key(p.how, draft_secret, NULL, 0);
    p.who = (struct listener){ .user_id = req->who.user_id,
                               .role = req->who.role,
                               .admin = vis_is_admin(&req->who) };
    rc = choose_event(&p, &row, err);
    if (rc)
        return rc;
    set_wishes(&p);
    return answer_preview(&p, res, draft_secret, err);
}

/* --- one request now --- */

struct trial {
    struct preview p;
    struct httpc_res got;
    struct sent sent;
    bool made, answered; /* made: it went out, whatever came of it */
    char why[sizeof(((struct err *)NULL)->msg)];
    char delivery[uuid_len + 1];
};

static void refused(struct trial *t, const struct err *err)
{
    snprintf(t->why, sizeof(t->why), "%s", err->msg);
}

/* A token and the receiver's permission, if they are needed. */
static int prepare(struct trial *t, const char **ret_token, struct err *err)
{
    struct preview *p = &t->p;
    struct req *req = p->req;
    struct httpc_header h[handshake_headers_max];
    struct httpc_req ask;
    struct httpc_res res;
    int64_t ignored;
    int rc = 0;
    *ret_token = NULL;
    if (p->how->auth.kind == AUTH_OAUTH2) {
        token_request(p->a, &p->how->auth, h, &ask);
        rc = httpc_call(req->svc->httpc, p->a, &ask, &res, err);
        if (!rc)
            rc = token_answer(p->a, &res, ret_token, &ignored, err);
    }
    if (rc || p->how->allowed)
        return rc;
    handshake_request(p->a, p->how, req->svc->conf->public_url, *ret_token, h, &ask);
    ask.timeout_ms = token_timeout_ms;
    rc = httpc_call(req->svc->httpc, p->a, &ask, &res, err);
    return rc ? rc : handshake_answer(&res, req->svc->conf->public_url, &ignored, err);
}

static void send_it(struct trial *t)
{
    struct preview *p = &t->p;
    const struct webhooks_conf *conf =
        (const struct webhooks_conf *)(const void *)p->req->svc->conf;
    const char *token;
    struct err err;
    const struct target_job job = job_of(p, true);
    const char *barred = sending_barred(p->how, conf);
    if (barred) {
        err_set(&err, E_egress_refused, "%s", barred);
        refused(t, &err);
        return;
    }
    if (prepare(t, &token, &err)) {
        refused(t, &err);
        return;
    }
    sending_request(p->how, p->a, &job, token, &t->sent);
    t->sent.req.timeout_ms = (unsigned)conf->timeout_ms;
    t->sent.req.connect_timeout_ms = connect_timeout_ms;
    t->sent.req.reply_bytes_max = log_body_max;
    if (httpc_call(p->req->svc->httpc, p->a, &t->sent.req, &t->got, &err))
        refused(t, &err);
    else
        t->answered = true;
    t->made = t->answered || err.code == E_timeout || err.code == E_upstream;
}

static bool succeeded(const struct trial *t)
{
    return t->answered && t->got.status >= 200 && t->got.status <= 299;
}

static struct db_val ms(const struct trial *t, int64_t us)
{
    return t->answered && us ? db_i64(us / 1000) : db_null();
}

static struct db_val optional(const char *text)
{
    return text && *text ? db_text(text) : db_null();
}

/* The log has it like any other. */
static int log_it(struct trial *t, struct err *err)
{
    struct preview *p = &t->p;
    struct db_rows *r;
    char time[rfc3339_len + 1];
    if (t->answered && !succeeded(t))
        snprintf(t->why, sizeof(t->why), "The endpoint answered %d.", t->got.status);
    rfc3339_format(p->h.time_us, time);
    uuid7(t->delivery);
    const struct db_val v[] = {
        db_text(t->delivery),
        db_i64(p->who.endpoint_id),
        db_i64(p->who.user_id),
        db_text(p->h.event_id),
        db_text(p->def->type),
        db_text(p->h.key),
        db_text(time),
        optional(p->req->traceparent),
        optional(p->req->request_id),
        db_text(p->body),
        db_text(succeeded(t) ? "delivered" : "dead"),
        t->answered ? db_i64(t->got.status) : db_null(),
        ms(t, t->got.total_us),
        optional(t->why),
        optional(t->answered ? log_body(p->a, t->got.body, t->got.body_n) : NULL),
        optional(t->answered ? t->got.address : NULL),
        db_text(p->how->url),
        optional(log_headers(p->a, t->sent.headers, t->sent.req.nheaders, log_request_headers_max)),
        optional(t->answered
                     ? log_headers(p->a, t->got.headers, t->got.nheaders, log_response_headers_max)
                     : NULL),
        ms(t, t->got.dns_us),
        ms(t, t->got.connect_us),
        ms(t, t->got.tls_us),
        ms(t, t->got.first_byte_us),
    };
    return db_query(p->req->svc->db, p->a, &sql_delivery_tested, v, ARRAY_LEN(v), &r, err);
}

static json_t *number_or_null(int64_t us, bool there)
{
    return there ? json_integer(us) : json_null();
}

int endpoint_test(struct req *req, struct res *res, struct err *err)
{
    struct trial *t = arena_alloc(req->arena, sizeof(*t));
    int rc = load(req, res, &t->p, err);
    if (!rc)
        rc = render(&t->p, err);
    if (rc)
        return rc;
    send_it(t);
    rc = log_it(t, err);
    if (rc)
        return rc;
    json_t *reply = NULL;
    const char *text = t->answered ? log_body(req->arena, t->got.body, t->got.body_n) : NULL;
    reply = text ? json_string(text) : json_null();
    const struct httpc_res *g = &t->got;
    json_t *o = json_pack(
        "{s:s, s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s?, s:o}", "delivery_id", t->delivery,
        "event", t->p.def->type, "made", t->made, "outcome", succeeded(t) ? "delivered" : "failed",
        "response_code", number_or_null(g->status, t->answered), "latency_ms",
        number_or_null(g->total_us / 1000, t->answered), "dns_ms",
        number_or_null(g->dns_us / 1000, t->answered && g->dns_us), "connect_ms",
        number_or_null(g->connect_us / 1000, t->answered && g->connect_us), "tls_ms",
        number_or_null(g->tls_us / 1000, t->answered && g->tls_us), "first_byte_ms",
        number_or_null(g->first_byte_us / 1000, t->answered && g->first_byte_us), "error",
        *t->why ? t->why : NULL, "response_body", reply);
    res_json(res, json_in(req->arena, o));
    return 0;
}
