#include "common/kit/key_use.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"

#include <assert.h>
#include <pthread.h>

#define slots ((size_t)4096)

/* `id` and `interval` are read without the lock; a reader that sees a slot change under it takes
 * the lock and looks again, or skips a note that the next interval makes. */
struct slot {
    int64_t id;       /* atomic; of the credential and its kind (slot_id); 0: free */
    int64_t interval; /* atomic; when it was noted last */
    int64_t at_ms;
    bool pending;
    char address[key_use_address_max], agent[key_use_agent_max + 1];
};
struct key_uses {
    int64_t every_ms;
    pthread_mutex_t mu; /* what follows, but for the atomics */
    size_t used, pending;
    uint64_t dropped;
    struct slot slot[slots];
};

struct key_uses *key_uses_new(int64_t every_ms)
{
    struct key_uses *u = calloc(1, sizeof(*u));
    assert(u && every_ms > 0);
    u->every_ms = every_ms;
    pthread_mutex_init(&u->mu, NULL);
    return u;
}

void key_uses_free(struct key_uses *u)
{
    if (!u)
        return;
    pthread_mutex_destroy(&u->mu);
    free(u);
}

/* The slot of `id`, or the free one where it belongs.  There is always a free one: key_uses_max. */
static struct slot *slot_of(struct key_uses *u, int64_t id)
{
    _Static_assert((slots & (slots - 1)) == 0 && slots > key_uses_max, "a free slot ends a search");
    size_t i = (size_t)((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 32);
    for (;; i++) {
        struct slot *s = &u->slot[i & (slots - 1)];
        int64_t there = __atomic_load_n(&s->id, __ATOMIC_RELAXED);
        if (there == id || !there)
            return s;
    }
}

/* What a client sends as User-Agent may be anything. */
static void put_text(char *out, size_t max, const char *text)
{
    size_t n = 0;
    for (; text && *text && n < max; text++)
        if ((unsigned char)*text >= ' ' && *text != 0x7f)
            out[n++] = *text;
    while (n && !str_utf8_ok(out, n)) /* cut within a character, or no UTF-8 at all */
        n--;
    out[n] = '\0';
}

static void put_note(struct key_uses *u, int64_t id, int64_t interval, const struct key_use *k)
{
    struct slot *s = slot_of(u, id);
    if (!s->id) {
        if (u->used == key_uses_max) {
            u->dropped++;
            return;
        }
        u->used++;
    }
    s->at_ms = k->at_ms;
    put_text(s->address, sizeof(s->address) - 1, k->address);
    put_text(s->agent, sizeof(s->agent) - 1, k->agent);
    u->pending += !s->pending;
    s->pending = true;
    __atomic_store_n(&s->interval, interval, __ATOMIC_RELAXED);
    __atomic_store_n(&s->id, id, __ATOMIC_RELAXED);
}

/* Ids are below 2^53. */
enum { kind_bits = 2 };
static int64_t slot_id(enum use_kind kind, int64_t id)
{
    return id << kind_bits | (int64_t)kind;
}

void key_use_note(struct key_uses *u, enum use_kind kind, int64_t id, const char *address,
                  const char *agent)
{
    if (!u || !id)
        return;
    const struct key_use k = { kind, id, clock_ms(), address, agent };
    int64_t interval = k.at_ms / u->every_ms + 1, whose = slot_id(kind, id);
    const struct slot *s = slot_of(u, whose);
    if (__atomic_load_n(&s->interval, __ATOMIC_RELAXED) == interval &&
        __atomic_load_n(&s->id, __ATOMIC_RELAXED) == whose)
        return;
    pthread_mutex_lock(&u->mu);
    if (s->id != whose || s->interval != interval) /* another thread may have been quicker */
        put_note(u, whose, interval, &k);
    pthread_mutex_unlock(&u->mu);
}

static struct key_use use_of(const struct slot *s, const char *address, const char *agent)
{
    return (struct key_use){ (enum use_kind)(s->id & ((1 << kind_bits) - 1)), s->id >> kind_bits,
                             s->at_ms, address, agent };
}

size_t key_uses_collect(struct key_uses *u, struct arena *a, size_t max, struct key_use **ret)
{
    size_t n = 0;
    pthread_mutex_lock(&u->mu);
    if (max > u->pending)
        max = u->pending;
    struct key_use *list = arena_alloc(a, (max + 1) * sizeof(*list));
    for (size_t i = 0; i < slots && n < max; i++) {
        const struct slot *s = &u->slot[i];
        if (s->pending)
            list[n++] = use_of(s, arena_strdup(a, s->address), arena_strdup(a, s->agent));
    }
    pthread_mutex_unlock(&u->mu);
    *ret = list;
    return n;
}

/* Forgets the keys that have nothing pending, if there are many of them: they may be long gone. */
static void make_room(struct key_uses *u)
{
    size_t n = 0;
    if (u->used < key_uses_max / 2 || u->pending > key_uses_max / 4)
        return;
    struct slot *keep = calloc(u->pending + 1, sizeof(*keep));
    assert(keep);
    for (size_t i = 0; i < slots; i++) {
        struct slot *s = &u->slot[i];
        if (s->pending)
            keep[n++] = *s;
        s->pending = false;
        __atomic_store_n(&s->id, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&s->interval, 0, __ATOMIC_RELAXED);
    }
    u->used = u->pending = 0;
    for (size_t i = 0; i < n; i++) {
        const struct slot *k = &keep[i];
        const struct key_use use = use_of(k, k->address, k->agent);
        put_note(u, k->id, k->interval, &use);
    }
    free(keep);
    if (u->dropped)
        log_debug("keys.uses_dropped", kv_i("n", (int64_t)u->dropped));
    u->dropped = 0;
}

void key_uses_settle(struct key_uses *u, const struct key_use *list, size_t n)
{
    pthread_mutex_lock(&u->mu);
    for (size_t i = 0; i < n; i++) {
        int64_t id = slot_id(list[i].kind, list[i].id);
        struct slot *s = slot_of(u, id);
        if (s->id == id && s->pending && s->at_ms == list[i].at_ms) {
            s->pending = false;
            u->pending--;
        }
    }
    make_room(u);
    pthread_mutex_unlock(&u->mu);
}

bool key_uses_crowded(struct key_uses *u)
{
    pthread_mutex_lock(&u->mu);
    bool yes = u->pending > key_uses_max / 2 || u->dropped;
    pthread_mutex_unlock(&u->mu);
    return yes;
}
