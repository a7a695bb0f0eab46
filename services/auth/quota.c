/* What keys used of their month: kept from what the programs say, told at 80 and 100 %. */
#include "services/auth/quota.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/limit.h"
#include "common/kit/shape.h"
#include "common/kit/vis.h"
#include "services/auth/auth.h"

#include "auth/sql.h"

enum { quotas_max = 1000 };

struct quotas {
    int64_t id[quotas_max], month[quotas_max], used[quotas_max];
    const char *exceeded[quotas_max];
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
        q->id[i] = json_integer_value(json_object_get(one, "key_id"));
        q->month[i] = json_integer_value(json_object_get(one, "month"));
        q->used[i] = json_integer_value(json_object_get(one, "used"));
        q->exceeded[i] = json_is_true(json_object_get(one, "exceeded")) ? "t" : "f";
        bool month = q->month[i] / 100 >= 1970 && q->month[i] / 100 <= 9999 &&
                     q->month[i] % 100 >= 1 && q->month[i] % 100 <= 12;
        if (q->id[i] <= 0 || !month || q->used[i] < 0)
            return err_set(err, E_invalid, "not a quota: key_id, month or used");
    }
    *ret_n = n;
    return 0;
}

static int tell(struct msg *m, struct db_tx *tx, int64_t key, const char *type, struct err *err)
{
    const struct auth_cause why = { .actor = "schedule", .traceparent = m->traceparent };
    return auth_publish_event(tx, m->arena, key, type, "[]", &why, err);
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
                                db_texts(q->exceeded, n) };
    rc = db_exec(tx, m->arena, &sql_quota_lock, v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, m->arena, &sql_quota_put, v, ARRAY_LEN(v), &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        if (db_get_bool(r, i, 3))
            rc = tell(m, tx, db_get_i64(r, i, 0), "key.quota_warning", err);
        if (!rc && db_get_bool(r, i, 4))
            rc = tell(m, tx, db_get_i64(r, i, 0), "key.quota_exceeded", err);
    }
    return rc;
}

/* Owners may set and lower the limits of their keys; only administrators raise or lift them. */
void quota_check(const struct req *req, struct shape_row *row, int64_t rate, int64_t quota)
{
    static const char why[] = "Only administrators raise or lift a limit.";
    if (vis_is_admin(&req->who))
        return;
    if (!rate)
        rate = req->svc->conf->rate_key;
    int64_t r = shape_i64(row, "rate_limit"), q = shape_i64(row, "quota_monthly");
    if (shape_given(row, "rate_limit") && rate &&
        (r > rate || (!r && rate != req->svc->conf->rate_key)))
        shape_fault(row, "rate_limit", "not_allowed", why);
    if (shape_given(row, "quota_monthly") && quota && (!q || q > quota))
        shape_fault(row, "quota_monthly", "not_allowed", why);
}
