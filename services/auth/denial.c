/*
 * What is refused from now on.  The table is what lasts; Redis, which every program reads four
 * times a second, is what is quick.  While Redis is away, or has lost its data, the programs read
 * the table through GET /internal/auth/denials, and as soon as it is back it is filled again.
 */
#include "services/auth/auth.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/cache.h"
#include "common/kit/limit.h"
#include "services/auth/oauth.h"

#include "auth/sql.h"

enum {
    at_once = 100,
    page_max = 10000, /* lines of an answer */
    look_ms = 250,
    fill_page = 1000,
    forget_days = 30,
    forget_s = 3600,
};

/* Keys and people are in one set, what tokens come from in the other (common/kit/token.h). */
static const char *set_of(const char *kind)
{
    return str_eq(kind, "key") || str_eq(kind, "user") ? "cms365:revoked" : "cms365:denied";
}

/* --- denying ------------------------------------------------------------------------------------
 */

static int tell_redis(struct svc *svc, struct arena *a, const char *kind, const int64_t *ids,
                      size_t n, int64_t ms, struct err *err)
{
    const char *argv[2 + 2 * at_once] = { "ZADD", set_of(kind) };
    const char *now = arena_printf(a, "%lld", (long long)ms);
    int rc = 0;
    for (size_t i = 0; i < n && !rc;) {
        struct cache_reply reply;
        size_t argc = 2;
        for (; i < n && argc < ARRAY_LEN(argv); i++) {
            argv[argc++] = now;
            argv[argc++] = arena_printf(a, "%s:%lld", kind, (long long)ids[i]);
        }
        rc = cache_call(svc->cache, a, argv, argc, &reply, err);
    }
    return rc;
}

/* One of the two is enough: the other follows from it. */
int auth_deny_all(struct svc *svc, struct arena *a, const char *kind, const int64_t *ids, size_t n,
                  struct err *err)
{
    int64_t now = clock_ms();
    struct db_rows *r;
    struct err why = { 0 };
    const struct db_val v[] = { db_text(kind), db_i64s(ids, n), db_i64(now) };
    if (!n)
        return 0;
    int stored = db_query(svc->db, a, &sql_denial_put, v, ARRAY_LEN(v), &r, err);
    int told = tell_redis(svc, a, kind, ids, n, now, &why);
    if (told)
        log_warn("auth.denial_by_table_only", kv_s("kind", kind), kv_s("why", why.detail));
    return stored && told ? stored : 0;
}

int auth_deny_now(struct svc *svc, struct arena *a, const char *kind, int64_t id, struct err *err)
{
    return auth_deny_all(svc, a, kind, &id, 1, err);
}

void auth_denials_forget(struct svc *svc, struct arena *a)
{
    const int64_t now = clock_ms();
    const struct db_val v[] = { db_i64(now - forget_s * 1000),
                                db_i64(now - forget_days * INT64_C(86400000)) };
    static const char *const sets[] = { "cms365:denied", "cms365:revoked" };
    struct db_rows *r;
    struct cache_reply reply;
    struct err ignored;
    if (db_query(svc->db, a, &sql_denials_forget, v, ARRAY_LEN(v), &r, &ignored))
        log_debug("auth.forget", kv_s("why", ignored.detail));
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        const char *const argv[] = { "ZREMRANGEBYSCORE", sets[i], "-inf",
                                     arena_printf(a, "%lld", (long long)v[i].i64) };
        if (cache_call(svc->cache, a, argv, ARRAY_LEN(argv), &reply, &ignored))
            log_debug("auth.forget", kv_s("why", ignored.detail));
    }
}

/* --- the table for those without Redis ----------------------------------------------------------
 */

static int since(struct svc *svc, struct arena *a, int64_t ms, int64_t max, struct db_rows **ret,
                 struct err *err)
{
    const struct db_val v[] = { db_i64(ms), db_i64(max) };
    return db_query(svc->db, a, &sql_denials_since, v, ARRAY_LEN(v), ret, err);
}

static int get_denials(struct req *req, struct res *res, struct err *err)
{
    const char *text = req_arg(req, "since");
    int64_t ms = 0;
    struct db_rows *r;
    if (text && !str_to_i64(text, 0, INT64_MAX, &ms))
        return err_at(err, E_invalid_parameter, "since", "since must be Unix milliseconds.");
    int rc = since(req->svc, req->arena, ms, page_max, &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++)
        buf_printf(&res->body, "%s:%lld %lld\n", db_str(r, i, 0), (long long)db_get_i64(r, i, 1),
                   (long long)db_get_i64(r, i, 2));
    res->content_type = "text/plain; charset=utf-8";
    res->cache_control = "no-store";
    return rc;
}

static const struct param_def since_params[] = {
    { "since", "integer", 0, INT64_MAX, "Unix milliseconds; what is older is left out." },
    { .name = NULL },
};
const struct route auth_denial_routes[] = {
    { GET, "/internal/auth/denials", get_denials, .flags = ROUTE_INTERNAL, .query = since_params,
     .produces = "text/plain", .op_id = "internal_denials",
     .doc =
          "What was revoked since then, a line each: the member and the time of the Redis sets." },
    { .path = NULL },
};

/* --- filling Redis again ------------------------------------------------------------------------
 */

/* Which Redis this is, and which was filled last. */
static const struct cache_script look_script = {
    .name = "refill_look",
    .lua = "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')\n"
           "return { run, redis.call('GET', 'cms365:filled') or '' }\n",
};
/* KEYS: months.  ARGV: what is used of each, then ms that they are kept.  `f`: the sum has all
 * that the replicas were granted before. */
static const struct cache_script quota_script = {
    .name = "refill_quota",
    .lua = "for i = 1, #KEYS do\n"
           "  local had = tonumber(redis.call('HGET', KEYS[i], 't')) or 0\n"
           "  local used = math.max(had, tonumber(ARGV[i]))\n"
           "  redis.call('HSET', KEYS[i], 't', string.format('%.0f', used), 'f', 1)\n"
           "  redis.call('PEXPIRE', KEYS[i], ARGV[#KEYS + 1])\n"
           "end\n"
           "return 0\n",
};

static int fill_denials(struct svc *svc, struct arena *a, struct err *err)
{
    struct db_rows *r;
    int64_t from = 0;
    for (;;) {
        int rc = since(svc, a, from, fill_page, &r, err);
        if (rc)
            return rc;
        for (size_t i = 0; i < db_nrows(r) && !rc; i++) {
            int64_t id = db_get_i64(r, i, 1), ms = db_get_i64(r, i, 2);
            rc = tell_redis(svc, a, db_str(r, i, 0), &id, 1, ms, err);
        }
        if (rc || db_nrows(r) < fill_page || db_get_i64(r, fill_page - 1, 2) == from)
            return rc;
        from = db_get_i64(r, fill_page - 1, 2);
    }
}

static int fill_quotas(struct svc *svc, struct arena *a, bool client, struct err *err)
{
    enum { most = 200, keep_days = 32 };
    const char *keys[most], *args[most + 1];
    char text[rfc3339_len + 1];
    int64_t month, year, after = 0;
    enum limit_policy p = client ? POLICY_CLIENT_MONTH : POLICY_MONTH;
    struct cache_reply reply;
    struct db_rows *r;
    rfc3339_format(clock_us(), text);
    text[4] = text[7] = '\0';
    if (!str_to_i64(text, 1970, 9999, &year) || !str_to_i64(text + 5, 1, 12, &month))
        return 0;
    for (;;) {
        const struct db_val v[] = { db_i64(year * 100 + month), db_i64(after), db_i64(most),
                                    db_bool(client) };
        int rc = db_query(svc->db, a, &sql_quota_month, v, ARRAY_LEN(v), &r, err);
        if (rc || !db_nrows(r))
            return rc;
        size_t n = db_nrows(r);
        for (size_t i = 0; i < n; i++) {
            after = db_get_i64(r, i, 0);
            keys[i] = limit_quota_key(a, p, after, (int)(year * 100 + month));
            args[i] = db_str(r, i, 1);
        }
        args[n] = arena_printf(a, "%lld", keep_days * 86400000LL);
        rc = cache_eval(svc->cache, a, &quota_script, keys, n, args, n + 1, &reply, err);
        if (rc || n < most)
            return rc;
    }
}

static int refill(struct svc *svc, struct arena *a, struct err *err)
{
    struct cache_reply r;
    int rc = cache_eval(svc->cache, a, &look_script, NULL, 0, NULL, 0, &r, err);
    if (rc || r.type != CACHE_LIST || r.n != 2 || str_eq(r.items[0].text, r.items[1].text))
        return rc;
    const char *const done[] = { "SET", "cms365:filled", r.items[0].text };
    rc = fill_denials(svc, a, err);
    if (!rc)
        rc = fill_quotas(svc, a, false, err);
    if (!rc)
        rc = fill_quotas(svc, a, true, err);
    if (!rc)
        rc = cache_call(svc->cache, a, done, ARRAY_LEN(done), &r, err);
    if (!rc)
        log_info("auth.redis_filled", kv_s("redis", done[2]));
    return rc;
}

void auth_refill_job(struct svc *svc)
{
    struct arena *a = arena_new();
    do {
        struct err err = { 0 };
        if (refill(svc, a, &err))
            log_debug("auth.redis_not_filled", kv_s("why", err.msg), kv_s("detail", err.detail));
        arena_reset(a);
    } while (!svc_pause(svc, look_ms));
    arena_free(a);
}
