/* What limits do beside requests: count the replicas, tell auth of quotas by the outbox. */
#include "common/kit/limit_internal.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/io/db.h"
#include "common/kit/metrics.h"
#include "common/kit/outbox.h"
#include "common/kit/svc.h"

enum { quotas_told_at_once = 500 };

/* --- what is told -------------------------------------------------------------------------------
 */

static bool has_news(const struct limit_window *w)
{
    bool monthly = w->who.policy == POLICY_MONTH || w->who.policy == POLICY_CLIENT_MONTH;
    return monthly && w->label && (w->used > w->told || w->urgent);
}

size_t limits_quotas(struct limits *l, struct arena *a, size_t max, struct quota_use **ret)
{
    struct quota_use *list = arena_alloc(a, (max + 1) * sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; i < limit_shards; i++) {
        pthread_mutex_lock(&l->shards[i].mu);
        for (size_t k = 0; k < limit_entries / limit_shards && n < max; k++) {
            const struct limit_window *w = &l->shards[i].v[k];
            if (!has_news(w))
                continue;
            list[n] = (struct quota_use){ .used = w->used,
                                          .month = (int)w->label,
                                          .exceeded = w->exceeded };
            bool client = w->who.policy == POLICY_CLIENT_MONTH;
            memcpy(client ? &list[n].client_id : &list[n].key_id, w->who.id, sizeof(int64_t));
            n++;
        }
        pthread_mutex_unlock(&l->shards[i].mu);
    }
    *ret = list;
    return n;
}

bool limits_quota_urgent(struct limits *l)
{
    return __atomic_load_n(&l->urgent, __ATOMIC_RELAXED);
}

static const struct quota_use *told_of(const struct limit_window *w, const struct quota_use *list,
                                       size_t n)
{
    int64_t id;
    memcpy(&id, w->who.id, sizeof(id));
    bool client = w->who.policy == POLICY_CLIENT_MONTH;
    for (size_t i = 0; i < n; i++)
        if ((client ? list[i].client_id : list[i].key_id) == id && list[i].month == w->label)
            return &list[i];
    return NULL;
}

void limits_quotas_told(struct limits *l, const struct quota_use *list, size_t n)
{
    for (size_t i = 0; i < limit_shards; i++) {
        pthread_mutex_lock(&l->shards[i].mu);
        for (size_t k = 0; k < limit_entries / limit_shards; k++) {
            struct limit_window *w = &l->shards[i].v[k];
            const struct quota_use *t = has_news(w) ? told_of(w, list, n) : NULL;
            if (!t)
                continue;
            w->told = t->used;
            w->urgent = w->exceeded && !t->exceeded;
        }
        pthread_mutex_unlock(&l->shards[i].mu);
    }
}

char *limits_quotas_json(struct arena *a, const struct quota_use *list, size_t n)
{
    json_t *uses = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            uses, json_pack("{s:I,s:i,s:I,s:b}", list[i].client_id ? "client_id" : "key_id",
                            (json_int_t)(list[i].client_id ? list[i].client_id : list[i].key_id),
                            "month", list[i].month, "used", (json_int_t)list[i].used, "exceeded",
                            list[i].exceeded));
    return json_text(a, json_in(a, json_pack("{s:o}", "quotas", uses)));
}

const char *limit_quota_key(struct arena *a, enum limit_policy p, int64_t id, int month)
{
    struct limit_id who = { .policy = (unsigned char)p };
    memcpy(who.id, &id, sizeof(id));
    return arena_printf(a, "%s:%d", limit_key(a, &who), month);
}

/* --- the outbox ---------------------------------------------------------------------------------
 */

struct flush {
    struct svc *svc;
    struct arena *a;
    const struct quota_use *list;
    size_t n;
};

static int flush_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct flush *f = ctx;
    const struct outbox_event e = { .type = "key.quota",
                                    .key = arena_printf(f->a, "program:%s", f->svc->def->name),
                                    .payload = limits_quotas_json(f->a, f->list, f->n),
                                    .actor = f->svc->def->name };
    return outbox_put(tx, f->a, &e, NULL, err);
}

static int flush(struct svc *svc, struct arena *a, struct err *err)
{
    struct limits *l = svc->limits;
    __atomic_store_n(&l->urgent, false, __ATOMIC_RELAXED);
    for (;;) {
        struct quota_use *list;
        size_t n = limits_quotas(l, a, quotas_told_at_once, &list);
        if (!n)
            return 0;
        int rc = db_tx(svc->db, a, flush_tx, &(struct flush){ svc, a, list, n }, err);
        if (rc) {
            __atomic_store_n(&l->urgent, true, __ATOMIC_RELAXED);
            return rc;
        }
        limits_quotas_told(l, list, n);
        outbox_wake(svc->outbox);
    }
}

/* Started before the listeners and joined after they have closed: its last flush sees all. */
void limits_job(struct svc *svc)
{
    struct arena *a = arena_new();
    int64_t every_us = svc->conf->key_use_ms * 1000, next = clock_mono_us() + every_us;
    for (bool stopping = false; !stopping;) {
        struct err err = { 0 };
        stopping = svc_pause(svc, limit_beat_ms);
        if (limits_beat(svc->limits, a, &err))
            log_debug("limits.no_beat", kv_s("why", err.detail));
        metric_gauge(M_limit_alone, limits_redis_down(svc->limits));
        bool due = stopping || clock_mono_us() >= next || limits_quota_urgent(svc->limits);
        if (due && svc->outbox && flush(svc, a, &err))
            log_debug("limits.quotas_wait", kv_s("why", err.msg), kv_s("detail", err.detail));
        if (due)
            next = clock_mono_us() + every_us;
        arena_reset(a);
    }
    arena_free(a);
}
