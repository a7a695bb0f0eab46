#include "common/kit/token_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/token_jwt.h"

#include <assert.h>

enum { slots_first = 256 };

/* Ids are consecutive, so the low bits alone would cluster less than a hash; but they are also what
 * a client sends. */
static size_t spread(int64_t id, size_t cap)
{
    return (size_t)((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (cap - 1);
}

/* --- id -> time ---------------------------------------------------------------------------------
 */

static void idmap_set(struct idmap *m, int64_t id, int64_t ms);

/* Makes room, leaving out what is older than since_ms. */
static void idmap_grow(struct idmap *m, int64_t since_ms)
{
    struct idmap old = *m;
    size_t kept = 0;
    for (size_t i = 0; i < old.cap; i++)
        kept += old.slot[i].id && old.slot[i].ms >= since_ms;
    m->cap = !old.cap ? slots_first : kept * 2 > old.cap ? old.cap * 2 : old.cap;
    m->n = 0;
    m->slot = calloc(m->cap, sizeof(*m->slot));
    assert(m->slot);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slot[i].id && old.slot[i].ms >= since_ms)
            idmap_set(m, old.slot[i].id, old.slot[i].ms);
    free(old.slot);
}

static bool idmap_full(const struct idmap *m)
{
    return (m->n + 1) * 10 > m->cap * 7;
}

static void idmap_set(struct idmap *m, int64_t id, int64_t ms)
{
    if (idmap_full(m))
        idmap_grow(m, INT64_MIN);
    size_t i = spread(id, m->cap);
    while (m->slot[i].id && m->slot[i].id != id)
        i = (i + 1) & (m->cap - 1);
    if (!m->slot[i].id)
        m->n++;
    m->slot[i].id = id;
    if (m->slot[i].ms < ms)
        m->slot[i].ms = ms;
}

static int64_t idmap_get(const struct idmap *m, int64_t id) /* 0: not there */
{
    if (!m->n)
        return 0;
    for (size_t i = spread(id, m->cap); m->slot[i].id; i = (i + 1) & (m->cap - 1))
        if (m->slot[i].id == id)
            return m->slot[i].ms;
    return 0;
}

/* --- keys ---------------------------------------------------------------------------------------
 */

void table_init(struct token_table *t)
{
    *t = (struct token_table){ .cap = slots_first };
    t->slot = calloc(t->cap, sizeof(*t->slot));
    assert(t->slot);
    pthread_rwlock_init(&t->lock, NULL);
}

void table_done(struct token_table *t)
{
    for (size_t i = 0; i < t->cap; i++)
        free(t->slot[i].networks);
    free(t->slot);
    free(t->everyone);
    free(t->keys_revoked.slot);
    free(t->keys_changed.slot);
    free(t->users_revoked.slot);
    for (size_t i = 0; i < DENY_KINDS; i++)
        free(t->denied[i].slot);
    pthread_rwlock_destroy(&t->lock);
}

static struct token_entry *place(struct token_table *t, int64_t id)
{
    size_t i = spread(id, t->cap);
    while (t->slot[i].id && t->slot[i].id != id)
        i = (i + 1) & (t->cap - 1);
    return &t->slot[i];
}

static void grow(struct token_table *t)
{
    struct token_entry *old = t->slot;
    size_t cap = t->cap;
    t->cap = cap * 2;
    t->slot = calloc(t->cap, sizeof(*t->slot));
    assert(t->slot);
    for (size_t i = 0; i < cap; i++)
        if (old[i].id)
            *place(t, old[i].id) = old[i];
    free(old);
}

size_t table_count(struct token_table *t)
{
    pthread_rwlock_rdlock(&t->lock);
    size_t n = t->n;
    pthread_rwlock_unlock(&t->lock);
    return n;
}

/* Rotated since: Kafka has not told of it yet. */
static bool outdated(const struct token_table *t, const struct token_entry *e)
{
    return e->changed_us / 1000 < idmap_get(&t->keys_changed, e->id);
}

bool table_has(struct token_table *t, int64_t id)
{
    pthread_rwlock_rdlock(&t->lock);
    const struct token_entry *e = place(t, id);
    bool there = e->id != 0 && !outdated(t, e);
    pthread_rwlock_unlock(&t->lock);
    return there;
}

/* In a sandbox everybody edits: the data is nobody else's. */
static enum role role_of(const struct key_state *k)
{
    return k->sandbox && k->role != ROLE_NONE ? ROLE_EDITOR : k->role;
}

void table_put(struct token_table *t, const struct key_state *k)
{
    struct networks *networks = NULL;
    bool readable = networks_parse(k->allowed_networks, &networks);
    pthread_rwlock_wrlock(&t->lock);
    if ((t->n + 1) * 10 > t->cap * 7)
        grow(t);
    struct token_entry *e = place(t, k->id);
    if (e->id && e->changed_us > k->changed_us) {
        pthread_rwlock_unlock(&t->lock);
        free(networks);
        return;
    }
    if (!e->id)
        t->n++;
    free(e->networks);
    *e = (struct token_entry){
        .id = k->id,
        .user_id = k->user_id,
        .expires_us = k->expires_us,
        .changed_us = k->changed_us,
        .networks = networks,
        .scopes = scope_expand(k->granted) & role_scopes(role_of(k)) &
                  (k->sandbox ? sandbox_scopes() : ~(scope_set)0),
        .role = role_of(k),
        .sandbox = k->sandbox,
        .rate_limit = k->rate_limit,
        .quota_monthly = k->quota_monthly,
        /* A limit that cannot be read is no licence. */
        .revoked = k->revoked || !readable,
    };
    memcpy(e->hash, k->hash, sizeof(e->hash));
    memcpy(e->previous, k->previous, sizeof(e->previous));
    e->previous_until_us = k->previous_until_us;
    pthread_rwlock_unlock(&t->lock);
}

void table_drop(struct token_table *t, int64_t id)
{
    pthread_rwlock_wrlock(&t->lock);
    struct token_entry *e = place(t, id);
    if (e->id)
        e->revoked = true; /* the slot stays: open addressing, and the id is never given again */
    pthread_rwlock_unlock(&t->lock);
}

bool table_revoke(struct token_table *t, const char *member, int64_t ms)
{
    const struct {
        const char *prefix;
        struct idmap *map;
        bool denied;
    } kinds[] = {
        { "rekey:",   &t->keys_changed,           false },
        { "key:",     &t->keys_revoked,           false },
        { "user:",    &t->users_revoked,          false },
        { "client:",  &t->denied[DENY_CLIENT],    true  },
        { "family:",  &t->denied[DENY_FAMILY],    true  },
        { "tokens:",  &t->denied[DENY_TOKENS_OF], true  },
        { "jti:",     &t->denied[DENY_JTI],       true  },
        { "session:", &t->denied[DENY_SESSION],   true  },
    };
    int64_t id;
    if (str_eq(member, "policy:1")) {
        pthread_rwlock_wrlock(&t->lock);
        if (ms > t->policy_wanted_ms)
            t->policy_wanted_ms = ms;
        pthread_rwlock_unlock(&t->lock);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!str_starts(member, kinds[i].prefix))
            continue;
        if (!str_to_i64(member + strlen(kinds[i].prefix), 1, INT64_MAX, &id))
            return false;
        pthread_rwlock_wrlock(&t->lock);
        if (kinds[i].denied && idmap_full(kinds[i].map))
            idmap_grow(kinds[i].map, clock_ms() - denied_keep_ms);
        idmap_set(kinds[i].map, id, ms);
        pthread_rwlock_unlock(&t->lock);
        return true;
    }
    return false;
}

static bool denied(const struct idmap *m, int64_t id, int64_t issued_ms)
{
    int64_t ms = id ? idmap_get(m, id) : 0;
    return ms && issued_ms <= ms;
}

bool table_allows(struct token_table *t, const struct jwt_known *k)
{
    pthread_rwlock_rdlock(&t->lock);
    bool no = denied(&t->users_revoked, k->user_id, k->issued_ms) ||
              denied(&t->denied[DENY_TOKENS_OF], k->user_id, k->issued_ms) ||
              denied(&t->denied[DENY_CLIENT], k->client_id, k->issued_ms) ||
              denied(&t->denied[DENY_FAMILY], k->family_id, k->issued_ms) ||
              denied(&t->denied[DENY_JTI], k->jti_id, k->issued_ms);
    pthread_rwlock_unlock(&t->lock);
    return !no;
}

bool table_denies_session(struct token_table *t, int64_t session, int64_t user, int64_t since_ms)
{
    pthread_rwlock_rdlock(&t->lock);
    bool no = denied(&t->denied[DENY_SESSION], session, since_ms) ||
              denied(&t->denied[DENY_TOKENS_OF], user, since_ms) ||
              denied(&t->users_revoked, user, since_ms);
    pthread_rwlock_unlock(&t->lock);
    return no;
}

/* A user's keys work again once they are published anew, which is later than the suspension. */
static bool live(const struct token_table *t, const struct token_entry *e)
{
    if (e->revoked || e->role == ROLE_NONE || idmap_get(&t->keys_revoked, e->id))
        return false;
    if (e->expires_us && e->expires_us <= clock_us())
        return false;
    int64_t user_ms = idmap_get(&t->users_revoked, e->user_id);
    if (user_ms && e->changed_us / 1000 <= user_ms)
        return false;
    return true;
}

bool table_over(struct token_table *t, int64_t id)
{
    pthread_rwlock_rdlock(&t->lock);
    const struct token_entry *e = place(t, id);
    bool over = e->id && !live(t, e);
    pthread_rwlock_unlock(&t->lock);
    return over;
}

enum token_verdict table_check(struct token_table *t, int64_t id, const unsigned char hash[32],
                               const char *addr, struct principal *ret)
{
    enum token_verdict v = TOKEN_UNKNOWN;
    pthread_rwlock_rdlock(&t->lock);
    const struct token_entry *e = place(t, id);
    if (e->id && (e->revoked || !outdated(t, e))) {
        v = TOKEN_REFUSED;
        bool now = crypto_equal(e->hash, hash, sizeof(e->hash));
        bool before = crypto_equal(e->previous, hash, sizeof(e->previous)) &&
                      e->previous_until_us > clock_us();
        bool alive = live(t, e), good = (now || before) && alive;
        bool here = (!e->networks || networks_hold(e->networks, addr)) &&
                    (!t->everyone || networks_hold(t->everyone, addr));
        if (alive && !good) {
            v = TOKEN_OTHER;
        } else if (good && !here) {
            ret->denied_key = e->id;
        } else if (good) {
            v = TOKEN_OK;
            *ret = (struct principal){ .user_id = e->user_id,
                                       .key_id = e->id,
                                       .role = e->role,
                                       .scopes = e->scopes,
                                       .rate_limit = e->rate_limit,
                                       .quota_monthly = e->quota_monthly,
                                       .sandbox = e->sandbox };
        }
    }
    pthread_rwlock_unlock(&t->lock);
    return v;
}
