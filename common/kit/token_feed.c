/* The two threads that keep the table: the topic (or auth's snapshot), and Redis. */
#include "common/kit/token_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/io/cache.h"
#include "common/kit/token_jwt.h"

enum {
    read_max = 500,
    read_ms = 100,
    snapshot_after_us = 1500 * 1000,
    snapshot_page = 1000,
    poll_ms = 250,
    table_every_us = 1000 * 1000,
    overlap_ms = 10000, /* clocks of auth's replicas differ, and writes overtake each other */
};

static void set_ready(struct tokens *t, const char *by)
{
    if (tokens_ready(t))
        return;
    log_info("keys.ready", kv_s("by", by), kv_i("keys", (int64_t)table_count(&t->table)));
    __atomic_store_n(&t->ready, true, __ATOMIC_RELEASE);
}

/* --- the topic ----------------------------------------------------------------------------------
 */

static void take(struct tokens *t, struct arena *a, const struct bus_msg *m)
{
    int64_t id;
    struct key_state k;
    struct policy_state p;
    struct err err;
    if (str_eq(m->key, "policy")) {
        if (m->payload && !policy_state_parse(a, m->payload, m->len, &p, &err))
            table_put_policy(&t->table, &p);
    } else if (m->key && str_starts(m->key, "jwk:")) {
        if (m->payload && t->jwts && jwts_put_key(t->jwts, a, m->payload, m->len, &err))
            log_debug("keys.unreadable", kv_s("key", m->key), kv_s("why", err.msg));
    } else if (!m->payload) {
        if (m->key && str_starts(m->key, "key:") && str_to_i64(m->key + 4, 1, INT64_MAX, &id))
            table_drop(&t->table, id);
    } else if (key_state_parse(a, m->payload, m->len, &k, &err) == 0) {
        table_put(&t->table, &k);
    } else {
        log_debug("keys.unreadable", kv_s("key", m->key), kv_s("why", err.msg));
    }
}

/* Applies one page; returns the last id, 0 at the end, negative on an error. */
static int64_t snapshot_page_of(struct tokens *t, struct arena *a, int64_t after, struct err *err)
{
    const char *body;
    size_t n;
    int status = tokens_get(
        t, a,
        arena_printf(a, "/internal/auth/keys?after=%lld&limit=%d", (long long)after, snapshot_page),
        &body, &n, err);
    if (status != 200)
        return status < 0 ? status : -E_unavailable;
    int64_t last = 0, rows = 0;
    for (const char *p = body, *end = body + n; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);
        struct key_state k;
        if (len) {
            int rc = key_state_parse(a, p, len, &k, err);
            if (rc)
                return rc;
            table_put(&t->table, &k);
            last = k.id;
            rows++;
        }
        p += len + 1;
    }
    return rows == snapshot_page ? last : 0;
}

static int read_policy(struct tokens *t, struct arena *a, struct err *err)
{
    const char *body;
    size_t n;
    struct policy_state p;
    int status = tokens_get(t, a, "/internal/auth/policy", &body, &n, err);
    if (status != 200)
        return status < 0 ? status : err_set(err, E_unavailable, "auth answers %d", status);
    int rc = policy_state_parse(a, body, n, &p, err);
    if (!rc)
        table_put_policy(&t->table, &p);
    return rc;
}

static void snapshot(struct tokens *t, struct arena *a)
{
    struct err err = { 0 };
    int64_t after = 0;
    if (!t->conf.httpc || !*t->conf.auth_url)
        return;
    if (read_policy(t, a, &err))
        after = -E_unavailable;
    while (after >= 0) {
        after = snapshot_page_of(t, a, after, &err);
        arena_reset(a);
        if (!after || halt_is_set(&t->halt))
            break;
    }
    if (after == 0)
        set_ready(t, "snapshot");
    else
        log_debug("keys.snapshot_failed", kv_s("why", err.msg));
}

void *tokens_feed(void *arg)
{
    struct tokens *t = arg;
    struct arena *a = arena_new();
    struct bus_reader *r = NULL;
    int64_t next_snapshot = clock_mono_us() + snapshot_after_us;
    while (!halt_is_set(&t->halt)) {
        struct bus_msg *m;
        size_t n = 0;
        struct err err;
        int rc = r ? 0 : bus_reader_new(t->conf.brokers, "auth.keys", &r, &err);
        if (!rc)
            rc = bus_read(r, a, read_max, read_ms, &m, &n, &err);
        for (size_t i = 0; !rc && i < n; i++)
            take(t, a, &m[i]);
        if (!rc && bus_reader_caught_up(r))
            set_ready(t, "topic");
        arena_reset(a);
        if (rc && halt_pause(&t->halt, 100))
            break;
        if (!tokens_ready(t) && clock_mono_us() >= next_snapshot) {
            snapshot(t, a);
            next_snapshot = clock_mono_us() + snapshot_after_us;
        }
    }
    bus_reader_free(r);
    arena_free(a);
    return NULL;
}

/* --- revocations --------------------------------------------------------------------------------
 */

static int poll_set(struct tokens *t, struct arena *a, size_t set, struct err *err)
{
    static const char *const names[] = { "cms365:revoked", "cms365:denied" };
    int64_t *seen = &t->seen_ms[set];
    const char *from = *seen ? arena_printf(a, "%lld", (long long)(*seen - overlap_ms)) : "-inf";
    const char *const argv[] = { "ZRANGEBYSCORE", names[set], from, "+inf", "WITHSCORES" };
    struct cache_reply r;
    int rc = cache_call(t->conf.cache, a, argv, ARRAY_LEN(argv), &r, err);
    if (rc || r.type != CACHE_LIST)
        return rc;
    for (size_t i = 0; i + 1 < r.n; i += 2) {
        int64_t ms;
        if (!r.items[i].text || !r.items[i + 1].text ||
            !str_to_i64(r.items[i + 1].text, 1, INT64_MAX, &ms))
            continue;
        table_revoke(&t->table, r.items[i].text, ms);
        if (ms > *seen)
            *seen = ms;
    }
    return 0;
}

static int poll_revoked(struct tokens *t, struct arena *a, struct err *err)
{
    int rc = poll_set(t, a, 0, err);
    return rc ? rc : poll_set(t, a, 1, err);
}

/* What auth's table says, a line each: "family:7 1795819014000". */
static int read_table(struct tokens *t, struct arena *a, struct err *err)
{
    const char *body;
    size_t n;
    int64_t since = t->table_ms > overlap_ms ? t->table_ms - overlap_ms : 0;
    int status =
        tokens_get(t, a, arena_printf(a, "/internal/auth/denials?since=%lld", (long long)since),
                   &body, &n, err);
    if (status != 200)
        return status < 0 ? status : err_set(err, E_unavailable, "auth answers %d", status);
    for (char *p = arena_strndup(a, body, n); *p;) {
        int64_t ms;
        char *line = p, *space = strchr(p, ' ');
        p += strcspn(p, "\n");
        if (*p)
            *p++ = '\0';
        if (!space || space > p)
            continue;
        *space = '\0';
        if (!str_to_i64(space + 1, 1, INT64_MAX, &ms) || !table_revoke(&t->table, line, ms))
            continue;
        if (ms > t->table_ms)
            t->table_ms = ms;
    }
    return 0;
}

/* Redis is quicker, but may be away, or have come back empty before this program started. */
static int without_redis(struct tokens *t, struct arena *a, bool down, struct err *err)
{
    bool due = down || (!t->table_read && clock_mono_us() >= t->table_us);
    if (!due || !t->conf.httpc || !*t->conf.auth_url)
        return -E_unavailable;
    t->table_us = clock_mono_us() + table_every_us;
    int rc = read_table(t, a, err);
    t->table_read |= !rc;
    return rc;
}

void *tokens_poll(void *arg)
{
    struct tokens *t = arg;
    struct arena *a = arena_new();
    bool down = false;
    while (t->conf.cache && !halt_pause(&t->halt, poll_ms)) {
        struct err err;
        int rc = poll_revoked(t, a, &err);
        if (!rc)
            __atomic_store_n(&t->polled_us, clock_mono_us(), __ATOMIC_RELEASE);
        if (rc && !down)
            log_warn("keys.revocations_unreadable", kv_s("why", err.msg),
                     kv_s("detail", err.detail));
        /* Redis may have come back empty or restored: read all of it again. */
        if (rc)
            t->seen_ms[0] = t->seen_ms[1] = 0;
        down = rc != 0;
        if (without_redis(t, a, down, &err) == 0)
            __atomic_store_n(&t->polled_us, clock_mono_us(), __ATOMIC_RELEASE);
        if (table_policy_old(&t->table) && t->conf.httpc && *t->conf.auth_url &&
            read_policy(t, a, &err))
            log_debug("keys.policy_unreadable", kv_s("why", err.msg));
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}
