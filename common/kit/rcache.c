/* Entries and their memory. */
#include "common/kit/rcache_internal.h"

#include "common/base/clock.h"

#include <assert.h>
#include <malloc.h>

enum { bytes_a_bucket = 1024, buckets_min = 64, chunk_head_bytes = sizeof(size_t) };

/* --- life --- */

int rcache_new(size_t bytes_max, struct rcache **ret, struct err *err)
{
    if (bytes_max < rcache_bytes_min)
        return err_set(err, E_config, "A response cache has %d bytes at least.", rcache_bytes_min);
    struct rcache *c = aligned_alloc(64, sizeof(*c));
    if (!c)
        abort();
    memset(c, 0, sizeof(*c));
    size_t nbuckets = buckets_min;
    while (nbuckets * bytes_a_bucket * rcache_shards < bytes_max)
        nbuckets *= 2;
    rcache_gens_init(&c->gens);
    random_bytes(&c->seed, sizeof(c->seed));
    c->bytes_max = bytes_max;
    c->fixed_bytes = sizeof(*c) + rcache_shards * nbuckets * sizeof(struct rcache_entry *);
    assert(c->fixed_bytes < bytes_max / 2);
    for (size_t i = 0; i < rcache_shards; i++) {
        struct rcache_shard *s = &c->shards[i];
        pthread_mutex_init(&s->mu, NULL);
        s->nbuckets = nbuckets;
        s->buckets = calloc(nbuckets, sizeof(*s->buckets));
        s->bytes_max = (bytes_max - c->fixed_bytes) / rcache_shards;
        if (!s->buckets)
            abort();
    }
    *ret = c;
    return 0;
}

void rcache_release(void *entry)
{
    struct rcache_entry *e = entry;
    if (__atomic_sub_fetch(&e->uses, 1, __ATOMIC_ACQ_REL))
        return;
    __atomic_fetch_sub(&e->shard->bytes, e->size, __ATOMIC_RELAXED);
    free(e);
}

/* --- a shard; called under its lock --- */

static struct rcache_entry **place_of(struct rcache_shard *s, uint64_t hash,
                                      const struct rcache_key *key)
{
    struct rcache_entry **at = &s->buckets[hash % s->nbuckets];
    while (*at && ((*at)->hash != hash || (*at)->key.n != key->n ||
                   memcmp((*at)->key.text, key->text, key->n) != 0))
        at = &(*at)->next;
    return at;
}

static void unlink_use(struct rcache_shard *s, struct rcache_entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

static void link_newest(struct rcache_shard *s, struct rcache_entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void drop(struct rcache_shard *s, struct rcache_entry *e)
{
    struct rcache_entry **at = &s->buckets[e->hash % s->nbuckets];
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    unlink_use(s, e);
    s->entries--;
    rcache_release(e);
}

/* Room for n bytes more; false: what is being sent leaves none. */
static bool make_room(struct rcache_shard *s, size_t n)
{
    while (__atomic_load_n(&s->bytes, __ATOMIC_RELAXED) + n > s->bytes_max) {
        if (!s->oldest)
            return false;
        s->evicted++;
        drop(s, s->oldest);
    }
    return true;
}

/* Was it asked for before?  It is from now on.  Two share a place: the two keys of a look-up may
 * fall together, and would drive each other out for ever. */
static bool seen_before(struct rcache_shard *s, uint64_t hash)
{
    uint32_t *place = &s->seen[hash / rcache_shards % rcache_seen_slots & ~UINT64_C(1)];
    uint32_t mark = (uint32_t)(hash >> 32) | 1;
    if (place[0] == mark || place[1] == mark)
        return true;
    place[1] = place[0];
    place[0] = mark;
    return false;
}

/* --- look-up --- */

/* Keyed, so that nobody can choose keys that fall together. */
static uint64_t hash_of(const struct rcache *c, const struct rcache_key *key)
{
    uint64_t h = c->seed ^ key->n, word;
    const char *p = key->text;
    size_t n = key->n;
    for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 29 ^ c->seed;
    }
    word = 0;
    memcpy(&word, p, n);
    h = (h ^ word) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ h >> 31) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 30;
}

static struct rcache_shard *shard_of(struct rcache *c, uint64_t hash)
{
    return &c->shards[hash % rcache_shards];
}

static enum rcache_result find_one(struct rcache *c, const struct rcache_key *key, int64_t now_us,
                                   struct rcache_entry **ret, bool *ret_wanted)
{
    uint64_t hash = hash_of(c, key);
    struct rcache_shard *s = shard_of(c, hash);
    enum rcache_result result = RCACHE_HIT;
    pthread_mutex_lock(&s->mu);
    struct rcache_entry *e = *place_of(s, hash, key);
    if (e && rcache_stamp_ok(&c->gens, &e->stamp, now_us)) {
        unlink_use(s, e);
        link_newest(s, e);
        __atomic_fetch_add(&e->uses, 1, __ATOMIC_RELAXED);
        *ret = e;
    } else if (e) {
        drop(s, e);
        *ret_wanted = true;
        result = RCACHE_STALE;
    } else {
        *ret_wanted |= seen_before(s, hash);
        result = RCACHE_MISS;
    }
    pthread_mutex_unlock(&s->mu);
    return result;
}

static void count(struct rcache *c, enum rcache_result r, uint64_t spread)
{
    __atomic_fetch_add(&c->shards[spread % rcache_shards].result[r], 1, __ATOMIC_RELAXED);
}

enum rcache_result rcache_find(struct rcache *c, const struct rcache_key *keys, size_t n,
                               struct rcache_entry **ret, bool *ret_wanted)
{
    enum rcache_result worst = RCACHE_MISS;
    *ret = NULL;
    *ret_wanted = false;
    int64_t now = clock_mono_us();
    if (now >= __atomic_load_n(&c->fresh_until_us, __ATOMIC_ACQUIRE)) {
        count(c, RCACHE_BYPASS, 0);
        return RCACHE_BYPASS;
    }
    for (size_t i = 0; i < n; i++) {
        enum rcache_result r = find_one(c, &keys[i], now, ret, ret_wanted);
        if (r == RCACHE_HIT) {
            count(c, r, (*ret)->hash);
            return r;
        }
        worst = r == RCACHE_STALE ? r : worst;
    }
    count(c, worst, 0);
    return worst;
}

const struct rcache_answer *rcache_answer(const struct rcache_entry *e)
{
    return &e->answer;
}

/* --- storing --- */

static size_t text_bytes(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

static size_t size_of(const struct rcache_key *key, const struct rcache_answer *a)
{
    size_t n = sizeof(struct rcache_entry) + key->n + a->body_n + text_bytes(a->content_type) +
               text_bytes(a->coding) + text_bytes(a->etag) + text_bytes(a->cache_control) +
               text_bytes(a->link);
    for (size_t i = 0; i < a->nextra; i++)
        n += text_bytes(a->extra[i].name) + text_bytes(a->extra[i].value);
    return n;
}

static const char *copy(char **to, const void *from, size_t n)
{
    char *at = *to;
    if (!from)
        return NULL;
    memcpy(at, from, n);
    *to += n;
    return at;
}

static const char *copy_text(char **to, const char *s)
{
    return copy(to, s, text_bytes(s));
}

static struct rcache_entry *make(struct rcache_shard *s, const struct rcache_key *key,
                                 const struct rcache_answer *a)
{
    struct rcache_entry *e = malloc(size_of(key, a));
    if (!e)
        abort();
    char *to = (char *)(e + 1);
    *e = (struct rcache_entry){ .shard = s, .uses = 1, .answer = *a };
    e->size = malloc_usable_size(e) + chunk_head_bytes;
    e->key = (struct rcache_key){ copy(&to, key->text, key->n), key->n };
    e->answer.body = copy(&to, a->body, a->body_n);
    e->answer.content_type = copy_text(&to, a->content_type);
    e->answer.coding = copy_text(&to, a->coding);
    e->answer.etag = copy_text(&to, a->etag);
    e->answer.cache_control = copy_text(&to, a->cache_control);
    e->answer.link = copy_text(&to, a->link);
    for (size_t i = 0; i < a->nextra; i++) {
        e->answer.extra[i].name = copy_text(&to, a->extra[i].name);
        e->answer.extra[i].value = copy_text(&to, a->extra[i].value);
    }
    return e;
}

bool rcache_put(struct rcache *c, const struct rcache_key *key, const struct rcache_made *m,
                const struct rcache_answer *a)
{
    const struct rcache_stamp stamp = rcache_stamp_of(m);
    uint64_t hash = hash_of(c, key);
    struct rcache_shard *s = shard_of(c, hash);
    /* One answer must not throw out most of the others. */
    if (!m->said || m->never || size_of(key, a) > s->bytes_max / 4 ||
        !rcache_stamp_ok(&c->gens, &stamp, clock_mono_us()))
        return false;
    struct rcache_entry *e = make(s, key, a);
    e->stamp = stamp;
    e->hash = hash;
    pthread_mutex_lock(&s->mu);
    struct rcache_entry *old = *place_of(s, hash, key);
    if (old)
        drop(s, old);
    bool room = make_room(s, e->size);
    if (room) {
        struct rcache_entry **bucket = &s->buckets[hash % s->nbuckets];
        __atomic_fetch_add(&s->bytes, e->size, __ATOMIC_RELAXED);
        e->next = *bucket;
        *bucket = e;
        link_newest(s, e);
        s->entries++;
        s->stored++;
    }
    pthread_mutex_unlock(&s->mu);
    if (!room)
        free(e);
    return room;
}

void rcache_free(struct rcache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < rcache_shards; i++) {
        struct rcache_shard *s = &c->shards[i];
        while (s->oldest)
            drop(s, s->oldest);
        pthread_mutex_destroy(&s->mu);
        free(s->buckets);
    }
    rcache_gens_done(&c->gens);
    free(c);
}

void rcache_stats(struct rcache *c, struct rcache_stats *ret)
{
    int64_t fresh = __atomic_load_n(&c->fresh_until_us, __ATOMIC_ACQUIRE);
    *ret = (struct rcache_stats){ .bytes = c->fixed_bytes,
                                  .bytes_max = c->bytes_max,
                                  .own = __atomic_load_n(&c->own, __ATOMIC_RELAXED),
                                  .told = __atomic_load_n(&c->told, __ATOMIC_RELAXED),
                                  .behind_us = -1 };
    if (fresh)
        ret->behind_us = clock_mono_us() - fresh + (int64_t)rcache_behind_ms_max * 1000;
    for (size_t i = 0; i < rcache_shards; i++) {
        struct rcache_shard *s = &c->shards[i];
        pthread_mutex_lock(&s->mu);
        ret->bytes += __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
        ret->entries += s->entries;
        ret->stored += s->stored;
        ret->evicted += s->evicted;
        pthread_mutex_unlock(&s->mu);
        for (size_t r = 0; r < RCACHE_RESULTS_MAX_; r++)
            ret->result[r] += __atomic_load_n(&s->result[r], __ATOMIC_RELAXED);
    }
}
