/* Entries of the audit log, and how they are read over HTTP. */
#include "services/auth/audit.h"

#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/outbox.h"

#include "auth/sql.h"

#include <arpa/inet.h>

char *audit_data(struct arena *a, const char *name, const char *value)
{
    return json_text(a, json_in(a, json_pack("{s:s}", name, value)));
}

const char *audit_network(struct arena *a, const char *address)
{
    unsigned char raw[16];
    char text[INET6_ADDRSTRLEN];
    if (!address)
        return "";
    if (inet_pton(AF_INET, address, raw) == 1)
        return address;
    if (inet_pton(AF_INET6, address, raw) != 1)
        return "";
    memset(raw + 8, 0, 8);
    inet_ntop(AF_INET6, raw, text, sizeof(text));
    return arena_printf(a, "%s/64", text);
}

/* The entry as GET shows it. */
static int tell(struct db_tx *tx, struct arena *a, const struct audit *x,
                const struct auth_cause *why, const struct db_rows *row, struct err *err)
{
    json_t *data;
    const char *text = db_str(row, 0, 2);
    int rc = json_parse(a, text, strlen(text), &data, err);
    if (rc)
        return rc;
    json_t *user = x->user_id ? json_pack("{s:I}", "id", (json_int_t)x->user_id) : json_null();
    json_t *o = json_pack("{s:{s:I,s:s,s:s?,s:o,s:s,s:s?,s:s?,s:s?,s:O,s:s},s:[]}", "data", "id",
                          (json_int_t)db_get_i64(row, 0, 0), "type", x->type, "actor", why->actor,
                          "user", user, "subject", x->subject, "address", why->address, "agent",
                          db_str(row, 0, 3), "request_id", why->request_id, "data", data,
                          "created_at", db_str(row, 0, 1), "changed");
    json_object_set_new(o, "owner_id", x->user_id ? json_integer(x->user_id) : json_null());
    const struct outbox_event e = {
        .type = x->type,
        .key = arena_printf(a, "user:%lld", (long long)x->user_id),
        .payload = json_text(a, json_in(a, o)),
        .traceparent = why->traceparent,
        .request_id = why->request_id,
        .actor = why->actor,
    };
    return outbox_put(tx, a, &e, NULL, err);
}

int audit_put(struct db_tx *tx, struct arena *a, const struct audit *x,
              const struct auth_cause *why, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_text(x->type),
                                db_text(why->actor),
                                x->user_id ? db_i64(x->user_id) : db_null(),
                                db_text(x->subject),
                                db_text(why->address),
                                db_text(why->agent),
                                db_text(why->request_id),
                                db_text(x->data) };
    int rc = db_exec(tx, a, &sql_audit_insert, v, ARRAY_LEN(v), &r, err);
    return rc || !x->event ? rc : tell(tx, a, x, why, r, err);
}

struct note {
    struct arena *a;
    const struct audit *x;
    const struct auth_cause *why;
};

static int note_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct note *n = ctx;
    return audit_put(tx, n->a, n->x, n->why, err);
}

int audit_note(struct svc *svc, struct arena *a, const struct audit *x,
               const struct auth_cause *why, struct err *err)
{
    struct note n = { a, x, why };
    int rc = db_tx(svc->db, a, note_tx, &n, err);
    if (!rc && x->event && svc->outbox)
        outbox_wake(svc->outbox);
    return rc;
}

int audit_row(struct db_tx *tx, struct arena *a, const struct outbox_event *e,
              const struct db_rows *row, const char *changed, const struct auth_cause *why,
              struct err *err)
{
    json_t *shown, *data;
    const char *text = db_str(row, 0, 0);
    int rc = json_parse(a, text, strlen(text), &shown, err);
    if (!rc)
        rc = json_parse(a, changed, strlen(changed), &data, err);
    if (rc)
        return rc;
    json_t *o = json_pack("{s:O}", "changed", data), *names = json_object_get(shown, "scopes");
    if (names)
        json_object_set(o, "scopes", names);
    const struct audit x = { .type = e->type,
                             .subject = e->key,
                             .user_id = db_get_i64(row, 0, 1),
                             .data = json_text(a, json_in(a, o)) };
    return audit_put(tx, a, &x, why, err);
}

/* --- reading ------------------------------------------------------------------------------------
 */

extern const struct entity_def entity_audit_entry;

/* An administrator's key with this scope alone sees all of the log, as the scope says. */
static void see_all(struct req *req)
{
    if (req->who.role == ROLE_ADMIN)
        req->who.scopes |= (scope_set)1 << S_api_admin;
}

static int list(struct req *req, struct res *res, struct err *err)
{
    see_all(req);
    return crud_list(req, res, err);
}

static int get(struct req *req, struct res *res, struct err *err)
{
    see_all(req);
    return crud_get(req, res, err);
}

#define AUDIT "/api/v2/auth/audit"
static const int list_errors[] = { 400, 0 }, get_errors[] = { 400, 404, 0 };
const struct route auth_audit_routes[] = {
    { GET, AUDIT, list, .scope = "audit:read", .entity = &entity_audit_entry,
     .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
     .errors = list_errors, .cost = 2, .op_id = "list_audit_entries",
     .doc = "What was done to credentials and sign-ins, the newest first: what concerns you, for "
             "administrators all." },
    { GET, AUDIT "/{id}", get, .scope = "audit:read", .entity = &entity_audit_entry,
     .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = get_errors,
     .cost = 1, .op_id = "get_audit_entry", .doc = "Read one entry." },
    { .path = NULL },
};
