/*
 * Sources that are being posted to, for a fifth of a second: what a request is judged by is read
 * once for all that come meanwhile.  A change through this process is seen at once, through
 * another replica within source_keep_ms; what is not there is always asked for.
 */
#include "services/webhooks-in/webhooks_in.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

#include <assert.h>
#include <pthread.h>

enum { slots = 256, texts = SOURCE_TEXTS_ };

struct slot {
    char *slug, *text[texts];
    int64_t num[SOURCE_NUMS_], until_us;
};
struct source_cache {
    pthread_mutex_t mu;
    struct slot slot[slots];
    uint64_t change; /* counts the drops: what was read before one is not kept after it */
};

struct source_cache *source_cache_new(void)
{
    struct source_cache *c = calloc(1, sizeof(*c));
    assert(c);
    pthread_mutex_init(&c->mu, NULL);
    return c;
}

static void empty(struct slot *s)
{
    free(s->slug);
    for (size_t i = 0; i < texts; i++) {
        if (s->text[i])
            crypto_wipe(s->text[i], strlen(s->text[i])); /* secrets are among them */
        free(s->text[i]);
    }
    *s = (struct slot){ 0 };
}

void source_cache_free(struct source_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < slots; i++)
        empty(&c->slot[i]);
    pthread_mutex_destroy(&c->mu);
    free(c);
}

static struct slot *slot_of(struct source_cache *c, const char *slug)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *slug; slug++)
        h = (h ^ (unsigned char)*slug) * 16777619u;
    return &c->slot[h % slots];
}

bool source_cache_get(struct source_cache *c, struct arena *a, const char *slug,
                      struct source_view *ret, uint64_t *ret_change)
{
    pthread_mutex_lock(&c->mu);
    const struct slot *s = slot_of(c, slug);
    bool found = s->slug && str_eq(s->slug, slug) && s->until_us > clock_mono_us();
    for (size_t i = 0; found && i < texts; i++)
        ret->text[i] = s->text[i] ? arena_strdup(a, s->text[i]) : NULL;
    if (found)
        memcpy(ret->num, s->num, sizeof(ret->num));
    *ret_change = c->change;
    pthread_mutex_unlock(&c->mu);
    return found;
}

void source_cache_put(struct source_cache *c, const char *slug, const struct source_view *v,
                      uint64_t change)
{
    pthread_mutex_lock(&c->mu);
    if (change == c->change) {
        struct slot *s = slot_of(c, slug);
        empty(s);
        s->slug = strdup(slug);
        assert(s->slug);
        for (size_t i = 0; i < texts; i++) {
            s->text[i] = v->text[i] ? strdup(v->text[i]) : NULL;
            assert(!v->text[i] || s->text[i]);
        }
        memcpy(s->num, v->num, sizeof(s->num));
        s->until_us = clock_mono_us() + source_keep_ms * 1000;
    }
    pthread_mutex_unlock(&c->mu);
}

void source_cache_drop(struct source_cache *c)
{
    pthread_mutex_lock(&c->mu);
    c->change++;
    for (size_t i = 0; i < slots; i++)
        empty(&c->slot[i]);
    pthread_mutex_unlock(&c->mu);
}
