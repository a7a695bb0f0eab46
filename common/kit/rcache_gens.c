/* Numbers of changes, and what answers are made of. */
#include "common/kit/rcache_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>

static int index_of(const struct entity_def *e)
{
    for (int i = 0; entities[i]; i++)
        if (entities[i] == e)
            return i;
    return -1;
}

static uint32_t bit_of(const struct entity_def *e)
{
    int i = index_of(e);
    assert(i >= 0);
    return (uint32_t)1 << i;
}

bool rcache_is_timed(const struct entity_def *e)
{
    return e->visibility == VIS_PUBLISHED && entity_field(e, "published_at");
}

/* Whose rows decide, beside its own, who sees a row of e (vis_where). */
static uint32_t closure_of(const struct entity_def *e)
{
    uint32_t bits = 0;
    if (e->visibility == VIS_USERS)
        bits |= bit_of(entity_find("post"));
    for (size_t i = 0; e->visibility == VIS_MEDIA && entities[i]; i++)
        for (const struct field_def *f = entities[i]->fields; f->name; f++)
            if (f->type == F_REF && entity_find(f->ref) == e)
                bits |= (uint32_t)1 << i | closure_of(entities[i]);
    return bits;
}

void rcache_gens_init(struct rcache_gens *g)
{
    pthread_mutex_init(&g->mu, NULL);
    g->now = 1; /* 0 is "not known" */
    for (int i = 0; entities[i]; i++) {
        assert(i < rcache_entities_max);
        g->closure[i] = closure_of(entities[i]);
    }
}

void rcache_gens_done(struct rcache_gens *g)
{
    pthread_mutex_destroy(&g->mu);
}

static uint32_t slot_of(int entity, int64_t id)
{
    uint64_t h = ((uint64_t)id << 5 | (unsigned)entity) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(h >> 32) % rcache_rows;
}

/* --- changes --- */

static void changed(struct rcache *c, const struct entity_def *e, int64_t id, uint64_t *count)
{
    struct rcache_gens *g = &c->gens;
    int i = index_of(e);
    if (i < 0)
        return;
    pthread_mutex_lock(&g->mu);
    uint64_t n = ++g->now;
    uint64_t *narrow = id > 0 ? &g->row[slot_of(i, id)] : &g->whole[i];
    __atomic_store_n(narrow, n, __ATOMIC_RELEASE);
    __atomic_store_n(&g->entity[i], n, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&g->mu);
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

void rcache_wrote(struct rcache *c, const struct entity_def *e, int64_t id)
{
    if (c)
        changed(c, e, id, &c->own);
}

void rcache_told(struct rcache *c, const struct entity_def *e, int64_t id)
{
    changed(c, e, id, &c->told);
}

void rcache_forget(struct rcache *c)
{
    struct rcache_gens *g = &c->gens;
    pthread_mutex_lock(&g->mu);
    __atomic_store_n(&g->floor, ++g->now, __ATOMIC_RELEASE);
    for (int i = 0; i < rcache_entities_max; i++)
        g->due[i].token = 0;
    pthread_mutex_unlock(&g->mu);
}

void rcache_fresh_until(struct rcache *c, int64_t until_us)
{
    __atomic_store_n(&c->fresh_until_us, until_us, __ATOMIC_RELEASE);
}

bool rcache_is_fresh(const struct rcache *c)
{
    return clock_mono_us() < __atomic_load_n(&c->fresh_until_us, __ATOMIC_ACQUIRE);
}

/* --- what becomes visible by itself --- */

uint64_t rcache_due_begin(struct rcache *c)
{
    pthread_mutex_lock(&c->gens.mu);
    uint64_t token = c->gens.now;
    pthread_mutex_unlock(&c->gens.mu);
    return token;
}

void rcache_due(struct rcache *c, const struct entity_def *e, uint64_t token, int64_t due_us)
{
    struct rcache_gens *g = &c->gens;
    int i = index_of(e);
    assert(i >= 0);
    pthread_mutex_lock(&g->mu);
    g->due[i].token = token;
    g->due[i].at_us = due_us;
    pthread_mutex_unlock(&g->mu);
}

bool rcache_due_wanted(struct rcache *c, const struct entity_def *e)
{
    return __atomic_exchange_n(&c->gens.due[index_of(e)].wanted, false, __ATOMIC_RELAXED);
}

/* --- what an answer is made of --- */

void rcache_begin(struct rcache *c, struct rcache_made *m)
{
    struct rcache_gens *g = &c->gens;
    int64_t now_us = clock_mono_us();
    *m = (struct rcache_made){ .cache = c, .until_us = INT64_MAX };
    pthread_mutex_lock(&g->mu);
    m->token = g->now;
    for (int i = 0; entities[i]; i++) {
        bool known = g->due[i].token >= g->floor && g->due[i].token >= g->entity[i] &&
                     g->due[i].at_us > now_us;
        m->due_us[i] = known ? g->due[i].at_us : 0;
    }
    pthread_mutex_unlock(&g->mu);
}

static void add_timed(struct rcache_made *m, uint32_t bits)
{
    for (int i = 0; entities[i]; i++) {
        if (!(bits >> i & 1) || !rcache_is_timed(entities[i]))
            continue;
        if (!m->due_us[i]) {
            m->never = true;
            __atomic_store_n(&m->cache->gens.due[i].wanted, true, __ATOMIC_RELAXED);
        } else if (m->due_us[i] < m->until_us) {
            m->until_us = m->due_us[i];
        }
    }
}

/* Who sees all rows does not ask other rows, nor the clock. */
static bool sees_all(const struct entity_def *e, enum vis_class vc)
{
    return vc == VC_ADMIN || (vc == VC_ALL && e->visibility != VIS_OWNER);
}

static bool begin_saying(struct rcache_made *m, const struct entity_def *e, enum vis_class vc)
{
    if (!m)
        return false;
    m->said = true;
    m->personal |= vis_uses_uid(e, vc);
    m->never |= index_of(e) < 0;
    return !m->never;
}

void rcache_made_of_row(struct rcache_made *m, const struct entity_def *e, enum vis_class vc,
                        int64_t id)
{
    if (!begin_saying(m, e, vc))
        return;
    if (m->row_entity) { /* one is enough: of more, any row */
        m->entities |= bit_of(e);
    } else {
        m->row_entity = e;
        m->row = id;
    }
    /* Time alone shows rows and hides none, and this one is shown already. */
    if (!sees_all(e, vc))
        m->entities |= m->cache->gens.closure[index_of(e)];
}

void rcache_made_of_rows(struct rcache_made *m, const struct entity_def *e, enum vis_class vc)
{
    if (!begin_saying(m, e, vc))
        return;
    uint32_t bits = bit_of(e);
    if (!sees_all(e, vc)) {
        bits |= m->cache->gens.closure[index_of(e)];
        add_timed(m, bits);
    }
    m->entities |= bits;
}

struct rcache_stamp rcache_stamp_of(const struct rcache_made *m)
{
    struct rcache_stamp s = { .token = m->token,
                              .until_us = m->until_us,
                              .entities = m->entities,
                              .row_entity = m->row_entity ? index_of(m->row_entity) : -1 };
    if (s.row_entity >= 0)
        s.row = slot_of(s.row_entity, m->row);
    return s;
}

static bool older(const uint64_t *number, uint64_t token)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE) <= token;
}

bool rcache_stamp_ok(const struct rcache_gens *g, const struct rcache_stamp *s, int64_t now_us)
{
    bool ok = older(&g->floor, s->token) && now_us < s->until_us;
    if (s->row_entity >= 0)
        ok = ok && older(&g->row[s->row], s->token) && older(&g->whole[s->row_entity], s->token);
    for (uint32_t bits = s->entities; ok && bits; bits &= bits - 1)
        ok = older(&g->entity[__builtin_ctz(bits)], s->token);
    return ok;
}
