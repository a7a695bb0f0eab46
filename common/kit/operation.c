#include "common/kit/operation.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/idem.h"
#include "common/kit/svc.h"

enum { purge_rows_max = 1000 };

static const struct db_stmt accept_stmt = {
    .name = "operation_accept",
    .sql = "INSERT INTO operations (id, owner, entity, request, options, credential, request_id, "
           "trace, kind) SELECT $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, "
           "$7::text, $8::text, $10::text WHERE (SELECT count(*) FROM operations WHERE owner = "
           "$2::text AND status IN "
           "('queued', 'running')) < $9::int",
    .flags = DB_WRITE,
};
/* A lease that ran out is due again: whoever had it has died, or will find that it is not his.  An
 * owner's operations run one at a time (operations_running_key). */
static const struct db_stmt claim_stmt = {
    .name = "operation_claim",
    .sql = "UPDATE operations o SET status = 'running', attempts = o.attempts + 1, tries = o.tries "
           "+ 1, started_at = coalesce(o.started_at, now()), due_at = now() + make_interval(secs "
           "=> $1::bigint / 1000.0) WHERE o.id = (SELECT i.id FROM operations i WHERE i.status IN "
           "('queued', 'running') AND i.due_at <= now() AND NOT EXISTS (SELECT 1 FROM operations "
           "r WHERE r.owner = i.owner AND r.status = 'running' AND r.id <> i.id) ORDER BY "
           "i.due_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING o.id, o.entity, o.request, "
           "o.options, o.credential, o.attempts, o.request_id, o.trace, o.kind, o.tries, o.place, "
           "o.done",
    .flags = DB_WRITE,
};
static const struct db_stmt pages_stmt = {
    .name = "operation_pages",
    .sql = "SELECT count(*), coalesce(max(part), 1), coalesce(sum(bytes), 0)::bigint, "
           "coalesce(sum(bytes) FILTER (WHERE part = (SELECT max(part) FROM operation_pages WHERE "
           "operation = $1::uuid)), 0)::bigint FROM operation_pages WHERE operation = $1::uuid",
};
static const struct db_stmt page_stmt = {
    .name = "operation_page",
    .sql = "WITH o AS (UPDATE operations SET done = done + $3::bigint, total = "
           "coalesce(nullif($4::bigint, -1), total), place = $5::text, tries = 0, due_at = now() + "
           "make_interval(secs => $6::bigint / 1000.0) WHERE id = $1::uuid AND status = 'running' "
           "AND attempts = $2::int RETURNING id) INSERT INTO operation_pages (operation, seq, "
           "part, bytes, body) SELECT o.id, $7::int, $8::int, $9::bigint, $10::text FROM o",
    .flags = DB_WRITE,
};
static const struct db_stmt yield_stmt = {
    .name = "operation_yield",
    .sql = "UPDATE operations SET status = 'queued', due_at = now() WHERE id = $1::uuid AND status "
           "= 'running' AND attempts = $2::int",
    .flags = DB_WRITE,
};
static const struct db_stmt cancel_stmt = {
    .name = "operation_cancel",
    .sql = "WITH o AS (SELECT id, status IN ('queued', 'running') AS open FROM operations WHERE id "
           "= $1::uuid AND owner = $2::text AND coalesce(expires_at > now(), true) FOR UPDATE), d "
           "AS (DELETE FROM operations WHERE id IN (SELECT id FROM o WHERE NOT open)), p AS "
           "(DELETE FROM operation_pages WHERE operation IN (SELECT id FROM o WHERE open)), u AS "
           "(UPDATE operations SET status = 'cancelled', request = '', finished_at = now(), "
           "expires_at = now() + make_interval(hours => $3::int) WHERE id IN (SELECT id FROM o "
           "WHERE open)) SELECT open FROM o",
    .flags = DB_WRITE,
};
static const struct db_stmt result_stmt = {
    .name = "operation_result",
    .sql = "SELECT o.options, (SELECT max(part) FROM operation_pages WHERE operation = o.id), "
           "(SELECT string_agg(body, '' ORDER BY seq) FROM operation_pages WHERE operation = o.id "
           "AND part = $3::int) FROM operations o WHERE o.id = $1::uuid AND o.owner = $2::text AND "
           "o.kind = 'export' AND o.status = 'succeeded' AND o.expires_at > now()",
};
static const struct db_stmt end_stmt = {
    .name = "operation_end",
    .sql = "UPDATE operations SET status = $3::text, http_status = $4::int, result = $5::text, "
           "request = '', finished_at = now(), expires_at = now() + make_interval(hours => "
           "$6::int) WHERE id = $1::uuid AND status = 'running' AND attempts = $2::int",
    .flags = DB_WRITE,
};
static const struct db_stmt again_stmt = {
    .name = "operation_again",
    .sql = "UPDATE operations SET status = 'queued', due_at = now() + make_interval(secs => "
           "$3::int) WHERE id = $1::uuid AND status = 'running' AND attempts = $2::int",
    .flags = DB_WRITE,
};
static const struct db_stmt purge_stmt = {
    .name = "operation_purge",
    .sql = "DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE expires_at < now() "
           "LIMIT $1::int)",
    .flags = DB_WRITE,
};
static const struct db_stmt read_stmt = {
    .name = "operation_read",
    .sql = "SELECT id, entity, status, http_status, result, kind, done, total, to_char(created_at, "
           "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), to_char(started_at, "
           "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), to_char(finished_at, "
           "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), to_char(expires_at, "
           "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM operations WHERE id = $1::uuid AND owner = "
           "$2::text AND coalesce(expires_at > now(), true)",
};

/* --- accepting --- */

static const char *credential_text(struct arena *a, const struct principal *p)
{
    return arena_printf(a, "%lld %lld %lld %s %llx", (long long)p->user_id, (long long)p->key_id,
                        (long long)p->client_id, role_name(p->role), (unsigned long long)p->scopes);
}

static bool credential_read(struct arena *a, const char *text, struct principal *ret)
{
    char *part[5], *s = arena_strdup(a, text);
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        part[i] = s;
        s += strcspn(s, " ");
        if (*s)
            *s++ = '\0';
    }
    *ret = (struct principal){ .role = role_find(part[3]) };
    for (const char *p = part[4]; *p; p++)
        ret->scopes = ret->scopes << 4 | (scope_set)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
    return str_to_i64(part[0], 0, INT64_MAX, &ret->user_id) &&
           str_to_i64(part[1], 0, INT64_MAX, &ret->key_id) &&
           str_to_i64(part[2], 0, INT64_MAX, &ret->client_id);
}

struct acceptance {
    struct req *req;
    const char *kind, *entity, *options, *location, *body;
    char id[uuid_len + 1];
    struct idem idem;
    bool seen;
};

static int accept_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct acceptance *c = ctx;
    struct req *req = c->req;
    struct arena *a = req->arena;
    struct db_rows *r;
    char owner[idem_owner_max];
    int rc = idem_claim(tx, a, &c->idem, &c->seen, err);
    if (rc < 0 || c->seen)
        return rc;
    idem_owner(&req->who, owner);
    const struct db_val v[] = { db_text(c->id),
                                db_text(owner),
                                db_text(c->entity),
                                db_text(json_text(a, req->body)),
                                db_text(c->options),
                                db_text(credential_text(a, &req->who)),
                                db_text(req->request_id),
                                db_text(req->traceparent),
                                db_i64(operation_open_max),
                                db_text(c->kind) };
    rc = db_exec(tx, a, &accept_stmt, v, ARRAY_LEN(v), &r, err);
    if (rc < 0)
        return rc;
    if (!db_affected(r)) {
        rc = err_set(err, E_rate_limited, "%d of your operations are not done yet.",
                     operation_open_max);
        err->retry_after_s = 1;
        return rc;
    }
    return idem_record(tx, req, &c->idem, 202, c->location, c->body, err);
}

int operation_accept(struct req *req, struct res *res, const struct operation_new *o,
                     struct err *err)
{
    if (req->svc->sandboxed)
        return err_set(err, E_forbidden,
                       "Nothing is worked off later in a sandbox: leave respond-async out.");
    struct acceptance c = { .req = req,
                            .kind = o->kind,
                            .entity = o->entity,
                            .options = json_text(req->arena, o->options) };
    char now[rfc3339_len + 1];
    uuid7(c.id);
    rfc3339_format(clock_us(), now);
    c.location =
        arena_printf(req->arena, "%s/api/v2/operations/%s", req->svc->conf->public_url, c.id);
    c.body = arena_printf(req->arena,
                          "{\"data\":{\"id\":\"%s\",\"kind\":\"%s\",\"resource\":\"%s\",\"status\":"
                          "\"queued\",\"http_status\":null,\"progress\":%s,\"created_at\":\"%s\","
                          "\"started_at\":null,\"finished_at\":null,\"expires_at\":null,"
                          "\"result\":null}}",
                          c.id, o->kind, entity_find(o->entity)->plural,
                          str_eq(o->kind, "export") ? "{\"done\":0,\"total\":null}" : "null", now);
    idem_init(&c.idem, req, 0);
    int rc = db_tx(req->svc->db, req->arena, accept_tx, &c, err);
    if (rc < 0)
        return rc;
    if (c.seen)
        return idem_replay(req, &c.idem, res, err);
    res->status = 202;
    res->location = c.location;
    res_header(res, "Retry-After", "1");
    buf_puts(&res->body, c.body);
    return 0;
}

/* --- working --- */

int operation_claim(struct svc *svc, struct arena *a, int64_t lease_ms, struct operation **ret,
                    struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(lease_ms);
    *ret = NULL;
    int rc = db_query(svc->db, a, &claim_stmt, &v, 1, &r, err);
    if (rc < 0 || !db_nrows(r))
        return rc;
    struct operation *op = arena_alloc(a, sizeof(*op));
    size_t n, m;
    const char *body = db_cell(r, 0, 2, &n), *options = db_cell(r, 0, 3, &m);
    *op = (struct operation){ .id = db_str(r, 0, 0),
                              .entity = db_str(r, 0, 1),
                              .attempt = db_get_i64(r, 0, 5),
                              .request_id = db_str(r, 0, 6),
                              .traceparent = db_str(r, 0, 7),
                              .kind = db_str(r, 0, 8),
                              .tries = db_get_i64(r, 0, 9),
                              .place = db_str(r, 0, 10),
                              .done = db_get_i64(r, 0, 11),
                              .lease_ms = lease_ms };
    rc = json_parse(a, body, n, &op->body, err);
    if (rc >= 0)
        rc = json_parse(a, options, m, &op->options, err);
    if (rc < 0 || !credential_read(a, db_str(r, 0, 4), &op->who))
        return err_set(err, E_internal, "an operation cannot be read");
    if (str_eq(op->kind, "export")) {
        const struct db_val id = db_text(op->id);
        rc = db_query(svc->db, a, &pages_stmt, &id, 1, &r, err);
        if (rc < 0)
            return rc;
        op->pages = db_get_i64(r, 0, 0);
        op->part = db_get_i64(r, 0, 1);
        op->bytes = db_get_i64(r, 0, 2);
        op->part_bytes = db_get_i64(r, 0, 3);
    }
    *ret = op;
    return 0;
}

int operation_page(struct svc *svc, struct arena *a, struct operation *op,
                   const struct operation_page_new *page, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_text(op->id),       db_i64(op->attempt),  db_i64(page->rows),
                                db_i64(page->total),   db_text(page->place), db_i64(op->lease_ms),
                                db_i64(op->pages + 1), db_i64(op->part),     db_i64(page->bytes),
                                db_text(page->body) };
    int rc = db_query(svc->db, a, &page_stmt, v, ARRAY_LEN(v), &r, err);
    if (rc < 0)
        return rc;
    if (!db_affected(r))
        return err_set(err, E_gone, "The operation went to another worker.");
    op->pages++;
    op->done += page->rows;
    op->bytes += page->bytes;
    op->part_bytes += page->bytes;
    return 0;
}

int operation_yield(struct svc *svc, struct arena *a, const struct operation *op, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_text(op->id), db_i64(op->attempt) };
    return db_query(svc->db, a, &yield_stmt, v, ARRAY_LEN(v), &r, err);
}

int operation_end(struct svc *svc, struct arena *a, const struct operation *op, int http_status,
                  const char *answer, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_text(op->id),      db_i64(op->attempt),
                                db_text("succeeded"), db_i64(http_status),
                                db_text(answer),      db_i64(operation_keep_hours) };
    return db_query(svc->db, a, &end_stmt, v, ARRAY_LEN(v), &r, err);
}

const char *operation_problem(struct svc *svc, struct arena *a, const struct operation *op,
                              const struct err *why)
{
    const char *detail = err_http(why->code) < 500 && why->msg[0] ? why->msg : err_title(why->code);
    const json_t *problem =
        json_in(a, json_pack("{s:s+,s:s,s:i,s:s,s:s*}", "type", svc->conf->public_url,
                             arena_printf(a, "/problems/%s", err_name(why->code)), "title",
                             err_title(why->code), "status", (int)err_http(why->code), "detail",
                             detail, "request_id", op->request_id));
    return json_text(a, problem);
}

int operation_done(struct db_tx *tx, struct arena *a, const struct operation *op, int http_status,
                   const char *answer, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_text(op->id),      db_i64(op->attempt),
                                db_text("succeeded"), db_i64(http_status),
                                db_text(answer),      db_i64(operation_keep_hours) };
    int rc = db_exec(tx, a, &end_stmt, v, ARRAY_LEN(v), &r, err);
    if (rc < 0)
        return rc;
    return db_affected(r) ? 0 : err_set(err, E_gone, "The operation went to another worker.");
}

int operation_failed(struct svc *svc, struct arena *a, const struct operation *op,
                     const struct err *why, const char *problem, struct err *err)
{
    struct db_rows *r;
    if (err_retryable(why->code) && op->tries < operation_tries_max) {
        const struct db_val v[] = { db_text(op->id), db_i64(op->attempt), db_i64(op->attempt) };
        return db_query(svc->db, a, &again_stmt, v, ARRAY_LEN(v), &r, err);
    }
    const struct db_val v[] = { db_text(op->id),   db_i64(op->attempt),
                                db_text("failed"), db_i64(err_http(why->code)),
                                db_text(problem),  db_i64(operation_keep_hours) };
    return db_query(svc->db, a, &end_stmt, v, ARRAY_LEN(v), &r, err);
}

int operation_purge(struct svc *svc, struct arena *a, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(purge_rows_max);
    return db_query(svc->db, a, &purge_stmt, &v, 1, &r, err);
}

/* --- reading --- */

static void put_text(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, ",\"%s\":", name);
    if (value)
        buf_put_json_string(b, value, strlen(value));
    else
        buf_puts(b, "null");
}

static int operation_get(struct req *req, struct res *res, struct err *err)
{
    static const char *const times[] = { "created_at", "started_at", "finished_at", "expires_at" };
    unsigned char raw[16];
    char owner[idem_owner_max];
    struct db_rows *r;
    struct buf *b = &res->body;
    idem_owner(&req->who, owner);
    const struct db_val v[2] = { db_text(req->params[0]), db_text(owner) };
    bool found = uuid_parse(req->params[0], raw);
    int rc = found ? db_query(req->svc->db, req->arena, &read_stmt, v, 2, &r, err) : 0;
    if (rc < 0)
        return rc;
    if (!found || !db_nrows(r))
        return err_set(err, E_not_found, "There is no such operation.");
    buf_printf(b, "{\"data\":{\"id\":\"%s\"", db_str(r, 0, 0));
    put_text(b, "kind", db_str(r, 0, 5));
    put_text(b, "resource", entity_find(db_str(r, 0, 1))->plural);
    put_text(b, "status", db_str(r, 0, 2));
    buf_printf(b, ",\"http_status\":%s", db_is_null(r, 0, 3) ? "null" : db_str(r, 0, 3));
    if (str_eq(db_str(r, 0, 5), "export"))
        buf_printf(b, ",\"progress\":{\"done\":%s,\"total\":%s}", db_str(r, 0, 6),
                   db_is_null(r, 0, 7) ? "null" : db_str(r, 0, 7));
    else
        buf_puts(b, ",\"progress\":null");
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        put_text(b, times[i], db_str(r, 0, 8 + i));
    size_t n;
    const char *result = db_cell(r, 0, 4, &n);
    buf_puts(b, ",\"result\":");
    buf_put(b, n ? result : "null", n ? n : 4);
    buf_puts(b, "}}");
    if (str_eq(db_str(r, 0, 2), "queued") || str_eq(db_str(r, 0, 2), "running"))
        res_header(res, "Retry-After", "1");
    return 0;
}

static int not_there(struct err *err)
{
    return err_set(err, E_not_found, "There is no such operation.");
}

static int operation_delete(struct req *req, struct res *res, struct err *err)
{
    unsigned char raw[16];
    char owner[idem_owner_max];
    struct db_rows *r;
    (void)res;
    idem_owner(&req->who, owner);
    if (!uuid_parse(req->params[0], raw))
        return not_there(err);
    const struct db_val v[] = { db_text(req->params[0]), db_text(owner),
                                db_i64(operation_keep_hours) };
    int rc = db_query(req->svc->db, req->arena, &cancel_stmt, v, ARRAY_LEN(v), &r, err);
    return rc < 0 ? rc : db_nrows(r) ? 0 : not_there(err);
}

int operation_result(struct req *req, int64_t part, struct buf *out, const char **ret_type,
                     int64_t *ret_parts, struct err *err)
{
    unsigned char raw[16];
    char owner[idem_owner_max];
    struct db_rows *r;
    json_t *options;
    size_t n;
    idem_owner(&req->who, owner);
    if (!uuid_parse(req->params[0], raw))
        return not_there(err);
    const struct db_val v[] = { db_text(req->params[0]), db_text(owner), db_i64(part) };
    int rc = db_query(req->svc->db, req->arena, &result_stmt, v, ARRAY_LEN(v), &r, err);
    if (rc < 0)
        return rc;
    if (!db_nrows(r) || db_is_null(r, 0, 2))
        return err_set(err, E_not_found, "There is no such result.");
    const char *text = db_cell(r, 0, 0, &n);
    rc = json_parse(req->arena, text, n, &options, err);
    if (rc < 0)
        return rc;
    *ret_type = json_string_value(json_object_get(options, "type"));
    *ret_parts = db_get_i64(r, 0, 1);
    text = db_cell(r, 0, 2, &n);
    buf_put(out, text, n);
    return 0;
}

static const char *const statuses[] = { "queued", "running",   "succeeded",
                                        "failed", "cancelled", NULL };
static const char *const kinds[] = { "bulk", "export", NULL };
static const struct field_def fields[] = {
    { .name = "id", .type = F_UUID, .flags = FF_NONNULL, .doc = "Number of the operation." },
    { .name = "kind",
     .type = F_ENUM,
     .flags = FF_NONNULL,
     .choices = kinds,
     .doc = "What it does." },
    { .name = "resource",
     .type = F_TEXT,
     .flags = FF_NONNULL,
     .doc = "What it changes or reads: posts." },
    { .name = "status",
     .type = F_ENUM,
     .flags = FF_NONNULL,
     .choices = statuses,
     .doc = "How far it is." },
    { .name = "http_status",
     .type = F_INT,
     .min = 200,
     .max = 599,
     .doc = "What the request would have been answered with, when it is done." },
    { .name = "progress",
     .type = F_JSON,
     .doc = "Of an export: {done, total}, rows written and rows that there were at its start." },
    { .name = "created_at", .type = F_TIME, .flags = FF_NONNULL, .doc = "When it was accepted." },
    { .name = "started_at", .type = F_TIME, .doc = "When it was first begun." },
    { .name = "finished_at", .type = F_TIME, .doc = "When it was done." },
    { .name = "expires_at", .type = F_TIME, .doc = "Until when the result is kept." },
    { .name = "result",
     .type = F_JSON,
     .doc =
          "The results of a bulk; of an export {media_type, rows, bytes, parts: [addresses]}; or "
          "a problem." },
    { .name = NULL },
};
const struct shape operation_shape = { .name = "Operation",
                                       .doc = "A request that is worked off after its answer.",
                                       .fields = fields };
static const int cancel_errors[] = { 404, 0 };
const struct route operation_routes[] = {
    { GET, "/api/v2/operations/{id}", operation_get, .out = &operation_shape, .cost = 1,
     .flags = ROUTE_NO_BODY, .op_id = "get_operation",
     .doc = "How far an operation of yours is (Prefer: respond-async), and its result." },
    { DELETE, "/api/v2/operations/{id}", operation_delete, .status = 204, .cost = 2,
     .flags = ROUTE_NO_BODY, .op_id = "cancel_operation", .errors = cancel_errors,
     .doc = "Cancel an operation of yours that is not done, or forget one that is." },
    { .path = NULL },
};
