/* Browser sessions: those that are known, and the check of one. */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/metrics.h"
#include "common/kit/session.h"
#include "common/kit/token_internal.h"

#include <assert.h>

enum { ways = 4 };

/* --- the table ----------------------------------------------------------------------------------
 */

struct known {
    unsigned char hash[sha256_bytes];
    struct session_state s; /* id 0: no such session, and there never will be */
    int64_t asked_us;       /* monotonic; 0: free */
};
struct sessions {
    pthread_rwlock_t lock;
    struct known slot[session_slots];
};

struct sessions *sessions_new(void)
{
    struct sessions *s = calloc(1, sizeof(*s));
    assert(s);
    pthread_rwlock_init(&s->lock, NULL);
    return s;
}

void sessions_free(struct sessions *s)
{
    if (s)
        pthread_rwlock_destroy(&s->lock);
    free(s);
}

static struct known *set_of(struct sessions *t, const unsigned char hash[sha256_bytes])
{
    size_t i;
    memcpy(&i, hash, sizeof(i));
    return &t->slot[i % (session_slots / ways) * ways];
}

static bool recall(struct sessions *t, const unsigned char hash[sha256_bytes], struct known *ret)
{
    bool there = false;
    pthread_rwlock_rdlock(&t->lock);
    const struct known *set = set_of(t, hash);
    for (size_t i = 0; i < ways && !there; i++) {
        there = set[i].asked_us && !memcmp(set[i].hash, hash, sha256_bytes);
        if (there)
            *ret = set[i];
    }
    pthread_rwlock_unlock(&t->lock);
    return there;
}

static void remember(struct sessions *t, const struct known *k)
{
    pthread_rwlock_wrlock(&t->lock);
    struct known *set = set_of(t, k->hash), *place = set;
    for (size_t i = 0; i < ways; i++) { /* the same, or free, or the one asked for longest ago */
        if (set[i].asked_us && !memcmp(set[i].hash, k->hash, sha256_bytes)) {
            place = &set[i];
            break;
        }
        if (set[i].asked_us < place->asked_us)
            place = &set[i];
    }
    *place = *k;
    pthread_rwlock_unlock(&t->lock);
}

/* --- the check ----------------------------------------------------------------------------------
 */

static int refused(struct err *err, const char *why)
{
    err_set(err, E_unauthorized, "The credential is not valid.");
    return err_detail(err, "session: %s", why);
}

static bool fresh(const struct tokens *t, const struct known *k)
{
    int64_t now = clock_mono_us(), polled = __atomic_load_n(&t->polled_us, __ATOMIC_ACQUIRE);
    bool blind = !polled || now - polled > (int64_t)session_blind_ms * 2000;
    return now - k->asked_us < (blind ? session_blind_ms : session_trust_ms) * 1000ll;
}

/* 0: *k is what auth says now. */
static int ask(struct tokens *t, struct arena *a, const char *addr, struct known *k,
               struct err *err)
{
    char hex[sha256_hex_len + 1];
    const char *body;
    size_t n;
    struct err why = { 0 };
    hex_encode(k->hash, sizeof(k->hash), hex);
    int status = tokens_get(t, a,
                            arena_printf(a, "/internal/auth/sessions/%s?address=%s", hex,
                                         url_encode(a, addr ? addr : "")),
                            &body, &n, &why);
    k->asked_us = clock_mono_us();
    k->s = (struct session_state){ .id = 0 };
    if (status == 404 || (status == 200 && !session_state_parse(a, body, n, &k->s, &why))) {
        remember(t->sessions, k);
        return 0;
    }
    err_set(err, E_unavailable, "The session cannot be checked at the moment.");
    err->retry_after_s = 1;
    return err_detail(err, "%s", why.msg);
}

static int find(struct tokens *t, struct arena *a, const char *text, const char *addr,
                struct known *ret, struct err *err)
{
    struct known now = { .asked_us = 0 };
    sha256(text, strlen(text), now.hash);
    bool there = recall(t->sessions, now.hash, ret);
    if (there && !ret->s.id)
        return refused(err, "none, or over");
    bool denied = there && table_denies_session(&t->table, ret->s.id, ret->s.user_id,
                                                ret->s.as_of_ms - session_skew_ms);
    if (there && !denied && fresh(t, ret))
        return 0;
    int rc = t->conf.httpc && *t->conf.auth_url
                 ? ask(t, a, addr, &now, err)
                 : err_set(err, E_unavailable, "The session cannot be checked here.");
    if (rc && there && !denied)
        return 0; /* auth is away: what was known holds */
    *ret = now;
    return rc;
}

int session_check(struct tokens *t, struct arena *a, const char *text, const char *addr,
                  struct principal *ret, struct err *err)
{
    struct known k = { .asked_us = 0 };
    int rc = session_form_ok(t->conf.keyring, text) ? find(t, a, text, addr, &k, err)
                                                    : refused(err, "not of our making");
    if (!rc && (!k.s.id || k.s.expires_us <= clock_us()))
        rc = refused(err, "none, or over");
    if (!rc && !table_network_ok(&t->table, addr)) {
        *ret = (struct principal){ .denied_user = k.s.user_id };
        rc = refused(err, "not accepted from there");
    }
    metric_add(!rc ? t->ok : rc == -E_unauthorized ? t->refused : t->unavailable, 1);
    if (!rc)
        *ret = (struct principal){ .user_id = k.s.user_id,
                                   .session_id = k.s.id,
                                   .role = k.s.role,
                                   .scopes = role_scopes(k.s.role) };
    return rc;
}
