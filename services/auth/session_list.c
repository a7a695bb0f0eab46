/* /api/v2/auth/sessions: where people are signed in, and how that ends. */
#include "services/auth/audit.h"
#include "services/auth/fields.h"
#include "services/auth/password.h"
#include "services/auth/session.h"

#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/outbox.h"

#include "auth/sql.h"

/* --- reading ------------------------------------------------------------------------------------
 */

static void mark(json_t *row, int64_t current)
{
    const json_t *id = json_object_get(row, "id");
    if (json_is_integer(id))
        json_object_set_new(row, "current", json_boolean(json_integer_value(id) == current));
}

/* Says of each row whether it is the one that asks. */
static int mark_current(struct req *req, struct res *res, struct err *err)
{
    json_t *whole;
    int rc = json_parse(req->arena, res->body.data, res->body.len, &whole, err);
    if (rc)
        return rc;
    json_t *data = json_object_get(whole, "data");
    if (!data) /* envelope=false */
        data = whole;
    for (size_t i = 0; i < json_array_size(data); i++)
        mark(json_array_get(data, i), req->who.session_id);
    if (json_is_object(data))
        mark(data, req->who.session_id);
    buf_reset(&res->body);
    json_write(&res->body, whole);
    res->etag = NULL;
    return 0;
}

static int list(struct req *req, struct res *res, struct err *err)
{
    int rc = crud_list(req, res, err);
    return rc ? rc : mark_current(req, res, err);
}

static int get(struct req *req, struct res *res, struct err *err)
{
    int rc = crud_get(req, res, err);
    return rc ? rc : mark_current(req, res, err);
}

/* --- ending -------------------------------------------------------------------------------------
 */

struct ending {
    struct req *req;
    int64_t id;
    struct db_rows *ended; /* ids */
};

static int note(struct db_tx *tx, const struct ending *e, int64_t id, int64_t user, struct err *err)
{
    struct auth_cause why = auth_cause_of(e->req);
    const struct audit entry = { .type = "session.ended",
                                 .subject =
                                     arena_printf(e->req->arena, "session:%lld", (long long)id),
                                 .user_id = user,
                                 .event = true };
    return audit_put(tx, e->req->arena, &entry, &why, err);
}

static int one_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct ending *e = ctx;
    const struct principal *who = &e->req->who;
    struct db_rows *r;
    const struct db_val v[] = { db_i64(e->id),
                                vis_is_admin(who) ? db_null() : db_i64(who->user_id) };
    int rc = db_exec(tx, e->req->arena, &sql_session_lock, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no auth_session %lld.", (long long)e->id);
    e->ended = r; /* again if it was over before: that call may have failed after its commit */
    if (db_get_bool(r, 0, 2))
        return 0;
    int64_t user = db_get_i64(r, 0, 1);
    struct db_rows *done;
    rc = db_exec(tx, e->req->arena, &sql_session_end, v, 1, &done, err);
    return rc ? rc : note(tx, e, e->id, user, err);
}

int session_end_one(struct req *req, int64_t id, struct err *err)
{
    struct ending e = { .req = req, .id = id };
    int rc = db_tx(req->svc->db, req->arena, one_tx, &e, err);
    if (rc)
        return rc;
    outbox_wake(req->svc->outbox);
    return auth_deny_now(req->svc, req->arena, "session", id, err);
}

static int end_one(struct req *req, struct res *res, struct err *err)
{
    int64_t id;
    int rc = req_id(req, 0, &id, err);
    if (!rc)
        rc = session_end_one(req, id, err);
    if (!rc)
        res->status = 204;
    return rc;
}

static int others_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct ending *e = ctx;
    const struct principal *who = &e->req->who;
    const struct db_val v[] = { db_i64(who->user_id), db_i64(who->session_id) };
    int rc = db_exec(tx, e->req->arena, &sql_sessions_end, v, ARRAY_LEN(v), &e->ended, err);
    for (size_t i = 0; !rc && i < db_nrows(e->ended); i++)
        rc = note(tx, e, db_get_i64(e->ended, i, 0), who->user_id, err);
    return rc;
}

static int end_others(struct req *req, struct res *res, struct err *err)
{
    struct ending e = { .req = req };
    if (!req->who.user_id)
        return err_set(err, E_forbidden, "A client has no sessions.");
    int rc = db_tx(req->svc->db, req->arena, others_tx, &e, err);
    if (rc)
        return rc;
    outbox_wake(req->svc->outbox);
    sessions_deny(req->svc, req->arena, e.ended);
    json_t *o = json_pack("{s:I}", "ended", (json_int_t)db_nrows(e.ended));
    res_json(res, json_in(req->arena, o));
    return 0;
}

/* --- routes -------------------------------------------------------------------------------------
 */

extern const struct entity_def entity_auth_session;
static const struct field_def view_fields[] = {
    BODY_BOOL("current", "Whether it is the one that asks."),
    { .name = NULL },
};
static const struct field_def ended_fields[] = {
    BODY_INT("ended", 100000, "2", "How many sessions have ended."),
    { .name = NULL },
};
static const struct shape view = { .name = "AuthSessionView",
                                   .doc = "A session, and whether it is the one that asks.",
                                   .fields = view_fields,
                                   .extends = &entity_auth_session,
                                   .partial = true },
                          ended = { .name = "SessionsEnded",
                                    .doc = "What came of it.",
                                    .fields = ended_fields };
#define SESSIONS "/api/v2/auth/sessions"
static const int list_errors[] = { 400, 0 }, one_errors[] = { 400, 404, 0 },
                 end_errors[] = { 404, 0 }, others_errors[] = { 403, 0 };
const struct route auth_sessions_routes[] = {
    { GET, SESSIONS, list, .scope = "sessions:read", .entity = &entity_auth_session, .out = &view,
     .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_NO_BODY, .errors = list_errors,
     .cost = 2, .op_id = "list_auth_sessions",
     .doc = "Where you are signed in, or were in the last month; with api:admin everybody." },
    { GET, SESSIONS "/{id}", get, .scope = "sessions:read", .entity = &entity_auth_session,
     .out = &view, .query = crud_flat_get_params, .flags = ROUTE_NO_BODY, .errors = one_errors,
     .cost = 1, .op_id = "get_auth_session", .doc = "Read one session." },
    { DELETE, SESSIONS "/{id}", end_one, .scope = "sessions:write", .entity = &entity_auth_session,
     .flags = ROUTE_NO_BODY, .errors = end_errors, .cost = 2, .status = 204,
     .op_id = "delete_auth_session", .doc = "End a session: refused everywhere within a second." },
    { POST, SESSIONS "/end-others", end_others, .scope = "sessions:write", .out = &ended,
     .flags = ROUTE_NO_BODY, .errors = others_errors, .cost = 2, .op_id = "end_other_sessions",
     .doc = "End all your sessions but the one that asks." },
    { .path = NULL },
};
