/* Redis' side of limits: the counters, and the windows in its own time. */
#include "common/kit/limit_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/cache.h"
#include "common/kit/metrics.h"

#include <assert.h>

/* Which Redis this is and since when it knows: a restart or a loss of data makes it anew.  INFO is
 * a hundred times as dear as the rest, and is asked only after LASTSAVE has changed, as it does
 * when a server starts and when it has saved; one that starts twice within a second is not
 * seen. */
#define SINCE                                                                                      \
    "local t = redis.call('TIME')\n"                                                               \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                                          \
    "local saved = redis.call('LASTSAVE')\n"                                                       \
    "local known = redis.call('HMGET', 'cms365:limit:redis', 'run', 'since', 'saved')\n"           \
    "local since = tonumber(known[2])\n"                                                           \
    "if not since or tonumber(known[3]) ~= saved then\n"                                           \
    "  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')\n"                   \
    "  if not since or known[1] ~= run then since = now end\n"                                     \
    "  redis.call('HSET', 'cms365:limit:redis', 'run', run, 'since', since, 'saved', saved)\n"     \
    "end\n"

/*
 * A window is a hash: `t` what was granted to all, a field a replica with its part, `f` if auth has
 * put a quota back.  The script
 *   - believes a replica that says it was granted more than the hash has (the rest was lost), but
 *     not if auth has put the sum back, which has it already;
 *   - while a window began before the loss, grants each replica its part only.
 *
 * KEYS: a window each, without its label.  ARGV: replica, replicas of the program, then for each
 * window: seconds (0: a month), its label, start and end (ms; of months), limit, cost, lease
 * wanted, granted to the replica before, label of the window of that.
 * Reply: now, then for each: granted, rest, label, ms to its end, used.  Label 0: the month is
 * another.
 */
static const struct cache_script take_script = {
    .name = "limit_take",
    .lua = SINCE
    "local me, replicas, out = ARGV[1], tonumber(ARGV[2]), { now }\n"
    "for i = 1, #KEYS do\n"
    "  local at = 2 + (i - 1) * 9\n"
    "  local len, label = tonumber(ARGV[at + 1]) * 1000, tonumber(ARGV[at + 2])\n"
    "  local from, to = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])\n"
    "  local limit, cost = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])\n"
    "  local own, own_label = tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9])\n"
    "  if len > 0 then\n"
    "    label = math.floor(now / len)\n"
    "    from, to = label * len, label * len + len\n"
    "  end\n"
    "  local grant, rest, total = 0, 0, 0\n"
    "  if now < from or now >= to then\n"
    "    label = 0\n"
    "  else\n"
    "    local key = KEYS[i] .. ':' .. string.format('%.0f', label)\n"
    "    local had = redis.call('HMGET', key, 't', me, 'f')\n"
    "    total = tonumber(had[1]) or 0\n"
    "    local mine, grown = tonumber(had[2]) or 0, false\n"
    "    if own_label == label and own > mine then\n"
    "      if not had[3] then total = total + own - mine end\n"
    "      mine, grown = own, true\n"
    "    end\n"
    "    local n = replicas\n"
    "    if had[1] then n = math.max(n, redis.call('HLEN', key) - 1) end\n"
    "    rest = limit - total\n"
    "    if len > 0 and since > from then\n"
    "      rest = math.min(rest, math.floor(limit / replicas) - mine)\n"
    "    end\n"
    "    if rest >= cost then\n"
    "      grant = cost\n"
    "      if ARGV[at + 7] == '1' and rest * 10 >= limit then\n"
    "        local most = math.max(32, math.min(4096, math.floor(limit / 1024)))\n"
    "        grant = math.max(cost, math.min(most, math.floor(rest / (8 * n))))\n"
    "      end\n"
    "    end\n"
    "    if grant > 0 or grown then\n"
    "      total = total + grant\n"
    "      redis.call('HSET', key, 't', string.format('%.0f', total), me,\n"
    "                 string.format('%.0f', mine + grant))\n"
    "      redis.call('PEXPIRE', key, to - now + 5000)\n"
    "    end\n"
    "    rest = rest - grant\n"
    "  end\n"
    "  for _, v in ipairs({ grant, rest, label, to - now, total }) do out[#out + 1] = v end\n"
    "end\n"
    "return out\n",
};
_Static_assert(limit_lease_least == 32 && limit_lease_share == 1024 && limit_lease_max == 4096,
               "the script says it too");

/* KEYS: windows with their label.  ARGV: replica, what each gets back, where replicas are counted.
 */
static const struct cache_script return_script = {
    .name = "limit_return",
    .lua = "for i = 1, #KEYS do\n"
           "  if redis.call('HEXISTS', KEYS[i], ARGV[1]) == 1 then\n"
           "    redis.call('HINCRBY', KEYS[i], 't', -ARGV[i + 1])\n"
           "    redis.call('HINCRBY', KEYS[i], ARGV[1], -ARGV[i + 1])\n"
           "  end\n"
           "end\n"
           "redis.call('ZREM', ARGV[#KEYS + 2], ARGV[1])\n"
           "return 0\n",
};

/* KEYS: the replicas of a program.  ARGV: replica, ms without a heartbeat after which it is gone.
 * Reply: now, how many there are, for how long Redis has known. */
static const struct cache_script beat_script = {
    .name = "limit_beat",
    .lua = SINCE "redis.call('ZADD', KEYS[1], now, ARGV[1])\n"
                 "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])\n"
                 "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                 "return { now, redis.call('ZCARD', KEYS[1]), now - since }\n",
};

struct limit_span limit_span(int64_t window_s, int64_t now_ms)
{
    struct limit_span s;
    char text[rfc3339_len + 1], first[32];
    int64_t year, month, us = 0;
    if (window_s) {
        s.label = now_ms / (window_s * 1000);
        s.start_ms = s.label * window_s * 1000;
        s.end_ms = s.start_ms + window_s * 1000;
        return s;
    }
    rfc3339_format(now_ms * 1000, text); /* 2026-02-… */
    text[4] = text[7] = '\0';
    bool ok = str_to_i64(text, 1970, 9999, &year) && str_to_i64(text + 5, 1, 12, &month);
    snprintf(first, sizeof(first), "%04d-%02d-01T00:00:00Z", (int)year, (int)month);
    ok = ok && rfc3339_parse(first, &us);
    s.label = year * 100 + month;
    s.start_ms = us / 1000;
    snprintf(first, sizeof(first), "%04d-%02d-01T00:00:00Z", (int)(year + (month == 12)),
             (int)(month % 12 + 1));
    ok = ok && rfc3339_parse(first, &us);
    assert(ok);
    (void)ok;
    s.end_ms = us / 1000;
    return s;
}

/* --- the hop ------------------------------------------------------------------------------------
 */

enum { head_args = 2, need_args = 9, need_reply = 5 };

static const char *num(struct arena *a, int64_t v)
{
    return arena_printf(a, "%lld", (long long)v);
}

static void put_need(struct limits *l, struct arena *a, struct limit_need *n, const char **args)
{
    int64_t granted, label, leased;
    int64_t now = clock_ms() + __atomic_load_n(&l->clock_ms, __ATOMIC_RELAXED);
    struct limit_span s = limit_span(n->window_s, now);
    limit_own(l, n, &granted, &label, &leased);
    /* What is missing to the lease; but others may take that meanwhile, so all of it the next time.
     */
    int64_t cost = n->tries++ % 2 == 0 && n->cost > leased ? n->cost - leased : n->cost;
    const int64_t v[need_args] = { n->window_s, s.label,  s.start_ms, s.end_ms, n->limit,
                                   cost,        n->lease, granted,    label };
    for (size_t i = 0; i < need_args; i++)
        args[i] = num(a, v[i]);
}

static void set_down(struct limits *l, bool down, const struct err *why)
{
    bool was = __atomic_exchange_n(&l->down, down, __ATOMIC_RELAXED);
    if (down && !was)
        log_warn("limits.alone", kv_s("why", why->detail));
    else if (!down && was)
        log_info("limits.together", kv_s("redis", "back"));
}

static int read_reply(struct limits *l, const struct cache_reply *r, size_t n, struct err *err)
{
    if (r->type != CACHE_LIST || r->n != 1 + n * need_reply)
        return err_set(err, E_internal, "Something went wrong on our side.");
    __atomic_store_n(&l->clock_ms, r->items[0].i64 - clock_ms(), __ATOMIC_RELAXED);
    return 0;
}

int limit_hop(struct limits *l, struct arena *a, struct limit_need *const *needs, size_t n,
              struct err *err)
{
    const char *keys[limits_a_request_max];
    const char *args[head_args + need_args * limits_a_request_max];
    struct cache_reply r;
    assert(n <= limits_a_request_max);
    if (!l->cache)
        return err_set(err, E_unavailable, "The cache is not available.");
    args[0] = l->replica;
    args[1] = num(a, __atomic_load_n(&l->replicas, __ATOMIC_RELAXED));
    for (size_t i = 0; i < n; i++) {
        keys[i] = limit_key(a, &needs[i]->who);
        put_need(l, a, needs[i], args + head_args + i * need_args);
    }
    int64_t asked = clock_mono_us();
    int rc =
        cache_eval(l->cache, a, &take_script, keys, n, args, head_args + n * need_args, &r, err);
    if (!rc)
        rc = read_reply(l, &r, n, err);
    set_down(l, rc != 0, err);
    metric_inc(M_limit_hops);
    for (size_t i = 0; i < n; i++) {
        if (rc) {
            limit_asked(l, needs[i]);
            continue;
        }
        const struct cache_reply *x = &r.items[1 + i * need_reply];
        const struct limit_grant g = { .granted = x[0].i64,
                                       .rest = x[1].i64,
                                       .label = x[2].i64,
                                       .left_ms = x[3].i64,
                                       .used = x[4].i64 };
        needs[i]->verdict = g.label ? limit_apply(l, needs[i], &g, asked) : TAKE_ASK;
        limit_asked(l, needs[i]); /* now that it is granted, nobody takes it for free */
    }
    return rc;
}

/* --- replicas -----------------------------------------------------------------------------------
 */

static const char *replicas_key(struct arena *a, const struct limits *l)
{
    return arena_printf(a, "cms365:replicas:%s", l->program);
}

int limits_beat(struct limits *l, struct arena *a, struct err *err)
{
    const char *const keys[] = { replicas_key(a, l) };
    const char *const args[] = { l->replica, num(a, (int64_t)limit_beats_gone_s * 1000) };
    struct cache_reply r;
    if (!l->cache)
        return 0;
    int rc = cache_eval(l->cache, a, &beat_script, keys, 1, args, 2, &r, err);
    if (!rc && (r.type != CACHE_LIST || r.n != 3))
        rc = err_set(err, E_internal, "Something went wrong on our side.");
    set_down(l, rc != 0, err);
    if (rc)
        return rc;
    __atomic_store_n(&l->clock_ms, r.items[0].i64 - clock_ms(), __ATOMIC_RELAXED);
    unsigned n = r.items[1].i64 > 0 ? (unsigned)r.items[1].i64 : 1;
    unsigned before = __atomic_load_n(&l->replicas, __ATOMIC_RELAXED);
    /* One that lost its data has not heard of all of us yet, and some may be late in finding it:
     * whoever believed it would take the others' parts for his own.  Parts count as long as a
     * window lasts. */
    if (r.items[2].i64 < (int64_t)limit_window_s * 1000 && n < before)
        n = before;
    __atomic_store_n(&l->replicas, n, __ATOMIC_RELAXED);
    return 0;
}

/* --- the end ------------------------------------------------------------------------------------
 */

enum { returns_max = 200 };
struct returning {
    struct limits *l;
    struct arena *a;
    const char *keys[returns_max + 1], *args[returns_max + 2];
    size_t n;
};

static void send_back(struct returning *x)
{
    struct cache_reply r;
    struct err err;
    x->args[0] = x->l->replica;
    x->args[x->n + 1] = replicas_key(x->a, x->l);
    if (cache_eval(x->l->cache, x->a, &return_script, x->keys, x->n, x->args, x->n + 2, &r, &err))
        log_debug("limits.leases_lost", kv_i("n", (int64_t)x->n), kv_s("why", err.detail));
    x->n = 0;
}

void limit_return_leases(struct limits *l)
{
    struct returning x = { .l = l, .a = arena_new() };
    int64_t now = clock_mono_us();
    for (size_t i = 0; l->cache && i < limit_shards; i++) {
        for (size_t k = 0; k < limit_entries / limit_shards; k++) {
            const struct limit_window *w = &l->shards[i].v[k];
            if (!w->leased || w->until_us <= now)
                continue;
            x.keys[x.n] =
                arena_printf(x.a, "%s:%lld", limit_key(x.a, &w->who), (long long)w->label);
            x.args[++x.n] = num(x.a, w->leased);
            if (x.n == returns_max)
                send_back(&x);
        }
    }
    if (l->cache)
        send_back(&x);
    arena_free(x.a);
}
