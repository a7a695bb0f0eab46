#include "common/kit/token_internal.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/io/httpc.h"
#include "common/kit/metrics.h"
#include "common/kit/session.h"
#include "common/kit/svc.h"
#include "common/kit/token_jwt.h"

#include <assert.h>
#include <stdatomic.h>

enum { absent_us = 1000 * 1000, ask_poll_ms = 5 };

/* --- life ---------------------------------------------------------------------------------------
 */

static struct metric_cell *outcome(const char *name)
{
    return metric_cell(M_auth_checks, &name, 1);
}

int tokens_open(const struct tokens_conf *conf, struct tokens **ret, struct err *err)
{
    struct tokens *t = calloc(1, sizeof(*t));
    assert(t);
    t->arena = arena_new();
    t->conf = *conf;
    t->conf.brokers = arena_strdup(t->arena, conf->brokers);
    t->conf.auth_url = arena_strdup(t->arena, conf->auth_url ? conf->auth_url : "");
    t->conf.internal_token =
        arena_strdup(t->arena, conf->internal_token ? conf->internal_token : "");
    table_init(&t->table);
    t->sessions = sessions_new();
    t->jwts = conf->issuer ? jwts_new(conf->issuer) : NULL;
    t->conf.issuer = conf->issuer ? arena_strdup(t->arena, conf->issuer) : NULL;
    pthread_mutex_init(&t->mu, NULL);
    halt_init(&t->halt);
    t->ok = outcome("ok");
    t->refused = outcome("refused");
    t->unknown = outcome("unknown");
    t->unavailable = outcome("unavailable");
    if (pthread_create(&t->feed, NULL, tokens_feed, t) ||
        pthread_create(&t->poller, NULL, tokens_poll, t))
        return err_set(err, E_internal, "The key table's threads cannot be started.");
    *ret = t;
    return 0;
}

int tokens_start(struct svc *svc, struct tokens **ret, struct err *err)
{
    struct tokens_conf conf = { .brokers = svc->conf->kafka_brokers,
                                .auth_url = svc->conf->auth_internal_url,
                                .internal_token = svc->conf->internal_token,
                                .cache = svc->cache,
                                .issuer = svc->conf->public_url,
                                .workers = svc->workers,
                                .keyring = svc->keyring };
    /* A client of its own: the address of auth is the operator's word, often a private one, and the
     * egress guard is for what users say. */
    struct httpc_conf hc = { .egress_allow = "0.0.0.0/0,::/0",
                             .dns_servers = svc->conf->dns_servers,
                             .conns_max = 8,
                             .conns_per_host_max = 8,
                             .user_agent = "365CMS/" CMS365_VERSION };
    int rc = httpc_new(&hc, &conf.httpc, err);
    if (!rc)
        rc = tokens_open(&conf, ret, err);
    if (rc)
        httpc_free(conf.httpc);
    return rc;
}

void tokens_stop(struct tokens *t)
{
    if (!t)
        return;
    halt_set(&t->halt);
    pthread_join(t->feed, NULL);
    pthread_join(t->poller, NULL);
    httpc_free(t->conf.httpc);
    table_done(&t->table);
    sessions_free(t->sessions);
    jwts_free(t->jwts);
    halt_done(&t->halt);
    pthread_mutex_destroy(&t->mu);
    arena_free(t->arena);
    free(t);
}

bool tokens_ready(const struct tokens *t)
{
    return __atomic_load_n(&t->ready, __ATOMIC_ACQUIRE);
}

size_t tokens_count(const struct tokens *t)
{
    union {
        const struct tokens *in;
        struct tokens *out;
    } u = { t }; /* taking the lock does not change what the caller sees */
    return table_count(&u.out->table);
}

bool tokens_key_over(struct tokens *t, int64_t key_id)
{
    return table_over(&t->table, key_id);
}

/* --- asking auth for an id ----------------------------------------------------------------------
 */

enum turn { TURN_MINE, TURN_WAIT, TURN_ABSENT, TURN_FULL };

static enum turn take_turn(struct tokens *t, int64_t id, bool known, size_t *ret_slot)
{
    int64_t now = clock_mono_us();
    enum turn turn = TURN_FULL;
    pthread_mutex_lock(&t->mu);
    size_t k = (size_t)id % absent_slots;
    bool absent = t->absent[k].id == id && t->absent[k].until_us > now;
    bool vain = t->vain[k].id == id && t->vain[k].until_us > now;
    if (known ? vain : absent) {
        turn = TURN_ABSENT;
    } else {
        for (size_t i = 0; i < ask_slots; i++) {
            if (t->asking[i] == id) {
                turn = TURN_WAIT;
                break;
            }
            if (!t->asking[i]) {
                turn = TURN_MINE;
                *ret_slot = i;
            }
        }
        if (now - t->ask_window_us > 1000 * 1000) {
            t->ask_window_us = now;
            t->asks = 0;
        }
        /* Checksums are easily made: made-up ids must not become a load on auth. */
        if (turn == TURN_MINE && t->asks++ >= asks_per_s_max)
            turn = TURN_FULL;
        if (turn == TURN_MINE)
            t->asking[*ret_slot] = id;
    }
    pthread_mutex_unlock(&t->mu);
    return turn;
}

static void end_turn(struct tokens *t, size_t slot, bool absent)
{
    pthread_mutex_lock(&t->mu);
    int64_t id = t->asking[slot];
    t->asking[slot] = 0;
    if (absent) {
        size_t k = (size_t)id % absent_slots;
        t->absent[k].id = id;
        t->absent[k].until_us = clock_mono_us() + absent_us;
    }
    pthread_mutex_unlock(&t->mu);
}

/* Auth does not know the key by that text either. */
static void was_in_vain(struct tokens *t, int64_t id)
{
    size_t k = (size_t)id % absent_slots;
    pthread_mutex_lock(&t->mu);
    t->vain[k].id = id;
    t->vain[k].until_us = clock_mono_us() + absent_us;
    pthread_mutex_unlock(&t->mu);
}

static bool is_asked(struct tokens *t, int64_t id)
{
    bool yes = false;
    pthread_mutex_lock(&t->mu);
    for (size_t i = 0; i < ask_slots; i++)
        yes = yes || t->asking[i] == id;
    pthread_mutex_unlock(&t->mu);
    return yes;
}

static int no_answer(struct err *err)
{
    err_set(err, E_unavailable, "The credential cannot be checked at the moment.");
    err->retry_after_s = 1;
    return -E_unavailable;
}

int tokens_get(struct tokens *t, struct arena *a, const char *path, const char **ret_body,
               size_t *ret_n, struct err *err)
{
    struct httpc_header h = { "Authorization",
                              arena_printf(a, "Bearer %s", t->conf.internal_token) };
    struct httpc_req req = { .method = "GET",
                             .url = arena_printf(a, "%s%s", t->conf.auth_url, path),
                             .headers = &h,
                             .nheaders = 1,
                             .timeout_ms = ask_timeout_ms,
                             .connect_timeout_ms = ask_timeout_ms / 2,
                             .reply_bytes_max = 4 * 1024 * 1024 };
    struct httpc_res res;
    int rc = httpc_call(t->conf.httpc, a, &req, &res, err);
    if (rc)
        return rc;
    if (res.result || res.body_cut)
        return no_answer(err);
    *ret_body = res.body;
    *ret_n = res.body_n;
    return res.status;
}

/* 0: the table was brought up to date, or there is no such key. */
static int ask(struct tokens *t, struct arena *a, int64_t id, size_t slot, struct err *err)
{
    struct key_state k;
    const char *body;
    size_t n;
    struct err why = { 0 };
    int status = tokens_get(t, a, arena_printf(a, "/internal/auth/keys/%lld", (long long)id), &body,
                            &n, &why);
    bool got = status == 200 && key_state_parse(a, body, n, &k, &why) == 0 && k.id == id;
    if (got)
        table_put(&t->table, &k);
    end_turn(t, slot, status == 404);
    return got || status == 404 ? 0 : no_answer(err);
}

/* `known`: it is there, but may be older than what auth has. */
static int resolve(struct tokens *t, struct arena *a, int64_t id, bool known, struct err *err)
{
    int64_t until = clock_mono_us() + (int64_t)ask_timeout_ms * 1000;
    if (!t->conf.httpc || !*t->conf.auth_url)
        return 0;
    for (bool waited = false;; waited = true) {
        size_t slot = 0;
        if (waited && (known ? !is_asked(t, id) : table_has(&t->table, id)))
            return 0;
        switch (take_turn(t, id, known, &slot)) {
        case TURN_MINE:
            return ask(t, a, id, slot, err);
        case TURN_ABSENT:
            return 0;
        case TURN_WAIT:
            if (clock_mono_us() < until) {
                fiber_sleep_ms(ask_poll_ms);
                continue;
            }
            return no_answer(err);
        case TURN_FULL:
            return no_answer(err);
        }
    }
}

/* --- the check ----------------------------------------------------------------------------------
 */

static int check_key(struct tokens *t, struct arena *a, const struct token_use *use,
                     struct principal *ret, struct err *err)
{
    const char *credential = use->credential, *addr = use->addr;
    int64_t id;
    unsigned char hash[32];
    enum token_verdict v = TOKEN_REFUSED;
    if (key_parse(credential, &id, hash)) {
        v = table_check(&t->table, id, hash, addr, ret);
        /* A key that was made a moment ago, or replaced, works at once. */
        if (v == TOKEN_UNKNOWN || v == TOKEN_OTHER) {
            bool known = v == TOKEN_OTHER;
            int rc = resolve(t, a, id, known, err);
            if (rc && !known) {
                metric_add(t->unavailable, 1);
                return rc;
            }
            v = table_check(&t->table, id, hash, addr, ret);
            if (known && v == TOKEN_OTHER)
                was_in_vain(t, id);
        }
    }
    metric_add(v == TOKEN_OK ? t->ok : v == TOKEN_UNKNOWN ? t->unknown : t->refused, 1);
    /* One message whatever the reason: it would tell an attacker which half was right. */
    return v == TOKEN_OK ? 0 : err_set(err, E_unauthorized, "The credential is not valid.");
}

int token_check_use(struct tokens *t, struct arena *a, const struct token_use *use,
                    struct principal *ret, struct err *err)
{
    bool jwt = t->jwts && strchr(use->credential, '.');
    if (!jwt && use->dpop) /* keys are not bound to anything */
        return err_set(err, E_unauthorized, "The credential is not valid.");
    return jwt ? token_check_jwt(t, a, use, ret, err) : check_key(t, a, use, ret, err);
}

int token_check(struct tokens *t, struct arena *a, const char *credential, const char *addr,
                struct principal *ret, struct err *err)
{
    const struct token_use use = { .credential = credential, .addr = addr, .path = "/" };
    return token_check_use(t, a, &use, ret, err);
}
