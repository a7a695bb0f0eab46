/* What keys and clients used of their month: kept from what the programs say, told at 80 and 100 %,
 * and shown. */
#include "services/auth/quota.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/limit.h"
#include "common/kit/shape.h"
#include "common/kit/vis.h"
#include "services/auth/fields.h"
#include "services/auth/oauth.h"

#include "auth/sql.h"

enum { quotas_max = 1000, shown_max = 500 };

struct quotas {
    int64_t id[quotas_max], month[quotas_max], used[quotas_max];
    const char *exceeded[quotas_max], *client[quotas_max];
};

static int read_quotas(struct msg *m, struct quotas *q, size_t *ret_n, struct err *err)
{
    json_t *root;
    int rc = json_parse(m->arena, m->payload ? m->payload : "", m->len, &root, err);
    if (rc)
        return rc;
    const json_t *list = json_object_get(root, "quotas");
    size_t n = json_array_size(list);
    if (!n || n > quotas_max)
        return err_set(err, E_invalid, "not 1 to %d quotas", quotas_max);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *client = json_object_get(one, "client_id");
        q->id[i] = json_integer_value(client ? client : json_object_get(one, "key_id"));
        q->client[i] = client ? "t" : "f";
        q->month[i] = json_integer_value(json_object_get(one, "month"));
        q->used[i] = json_integer_value(json_object_get(one, "used"));
        q->exceeded[i] = json_is_true(json_object_get(one, "exceeded")) ? "t" : "f";
        bool month = q->month[i] / 100 >= 1970 && q->month[i] / 100 <= 9999 &&
                     q->month[i] % 100 >= 1 && q->month[i] % 100 <= 12;
        if (q->id[i] <= 0 || !month || q->used[i] < 0)
            return err_set(err, E_invalid, "not a quota: key_id or client_id, month or used");
    }
    *ret_n = n;
    return 0;
}

static int tell(struct msg *m, struct db_tx *tx, const struct db_rows *r, size_t i,
                const char *what, struct err *err)
{
    const struct auth_cause why = { .actor = "schedule", .traceparent = m->traceparent };
    bool client = db_get_bool(r, i, 0);
    int64_t id = db_get_i64(r, i, 1);
    const char *type = arena_printf(m->arena, "%s.%s", client ? "client" : "key", what);
    return client ? client_event(tx, m->arena, id, type, "[]", &why, err)
                  : auth_publish_event(tx, m->arena, id, type, "[]", &why, err);
}

int quota_on_use(struct msg *m, struct db_tx *tx, struct err *err)
{
    struct quotas *q = arena_alloc(m->arena, sizeof(*q));
    struct db_rows *r;
    size_t n;
    int rc = read_quotas(m, q, &n, err);
    if (rc)
        return rc;
    const struct db_val v[] = { db_i64s(q->id, n), db_i64s(q->month, n), db_i64s(q->used, n),
                                db_texts(q->exceeded, n), db_texts(q->client, n) };
    rc = db_exec(tx, m->arena, &sql_quota_lock, v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, m->arena, &sql_quota_lock_clients, v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, m->arena, &sql_quota_put, v, ARRAY_LEN(v), &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        if (db_get_bool(r, i, 2))
            rc = tell(m, tx, r, i, "quota_warning", err);
        if (!rc && db_get_bool(r, i, 3))
            rc = tell(m, tx, r, i, "quota_exceeded", err);
    }
    return rc;
}

/* Owners set and lower the limits of what is theirs; only administrators raise or lift them. */
void quota_check(const struct req *req, struct shape_row *row, const struct quota_had *had)
{
    static const char why[] = "Only administrators raise or lift a limit.";
    int64_t rate = had->rate ? had->rate : had->standard, quota = had->quota;
    if (vis_is_admin(&req->who))
        return;
    int64_t r = shape_i64(row, "rate_limit"), q = shape_i64(row, "quota_monthly");
    if (shape_given(row, "rate_limit") && rate && (r > rate || (!r && rate != had->standard)))
        shape_fault(row, "rate_limit", "not_allowed", why);
    if (shape_given(row, "quota_monthly") && quota && (!q || q > quota))
        shape_fault(row, "quota_monthly", "not_allowed", why);
}

/* --- what is shown ------------------------------------------------------------------------------
 */

static int list(struct req *req, struct res *res, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { vis_is_admin(&req->who) ? db_null() : db_i64(req->who.user_id),
                                db_i64(shown_max) };
    int rc = db_query(req->svc->db, req->arena, &sql_quota_list, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    buf_printf(&res->body,
               "{\"data\":%s,\"meta\":{\"total\":%s,\"page\":1,\"per_page\":%d},"
               "\"links\":{\"self\":\"%s%s\",\"next\":null,\"prev\":null}}",
               db_str(r, 0, 0), db_str(r, 0, 1), shown_max, req->svc->conf->public_url, req->path);
    res->cache_control = "private, no-store";
    return 0;
}

static const char *const holders[] = { "key", "client", NULL };
/* clang-format off */
static const struct field_def quota_fields[] = {
    { .name = "holder", .type = F_ENUM, .flags = FF_NONNULL, .choices = holders, .example = "\"key\"",
      .doc = "What has the limits: an API key, or an OAuth client." },
    { .name = "id", .type = F_ID, .flags = FF_NONNULL, .min = 1, .max = (INT64_C(1) << 53) - 1,
      .example = "12", .doc = "Number of the key or client." },
    BODY_TEXT("name", FF_NONNULL, 200, "Newsletter script", "What it is called."),
    { .name = "user", .type = F_JSON, .flags = FF_NONNULL, .max = 64, .example = "{\"id\":7}",
      .doc = "Whose it is." },
    { .name = "rate_limit", .type = F_INT, .min = 1, .max = 100000000, .example = "600",
      .doc = "Units a minute; null: the platform's default." },
    { .name = "quota_monthly", .type = F_INT, .min = 1, .max = INT64_C(1000000000000),
      .example = "100000", .doc = "Units a month; null: no quota." },
    { .name = "used", .type = F_INT, .flags = FF_NONNULL, .max = INT64_C(1000000000000000),
      .example = "73200", .doc = "Units used of this month, a minute old at most; 0 without a quota." },
    BODY_TIME("resets_at", "When the month ends."),
    BODY_TIME("last_used_at", "When it was last used; null: never, or a client."),
    { .name = NULL },
};
/* clang-format on */
static const struct shape quota_shape = { .name = "Quota",
                                          .doc = "What a key or client may use, and has used.",
                                          .fields = quota_fields };
const struct route auth_quota_routes[] = {
    { GET, "/api/v2/auth/quotas", list, .scope = "keys:read", .out = &quota_shape,
     .flags = ROUTE_LIST | ROUTE_NO_BODY, .cost = 2, .op_id = "list_quotas",
     .doc =
          "Limits of your active keys and clients and what they used of this month, the nearest to "
          "their end first; with api:admin everybody's." },
    { .path = NULL },
};
