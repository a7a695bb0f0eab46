#include "common/io/cache_internal.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/resolve.h"
#include "common/base/str.h"

#include <arpa/inet.h>
#include <assert.h>

int cache_down(struct err *err, const char *detail)
{
    err_set(err, E_unavailable, "The cache is not available.");
    err->retry_after_s = 1;
    return err_detail(err, "redis: %s", detail);
}

/* --- address ------------------------------------------------------------------------------------
 */

static bool take_part(char *out, size_t cap, const char *from, size_t n)
{
    struct arena *a = arena_new();
    char *plain;
    bool ok = url_decode(a, from, n, false, &plain) && strlen(plain) < cap;
    if (ok)
        snprintf(out, cap, "%s", plain);
    arena_free(a);
    return ok;
}

static bool parse_url(struct cache *c, const char *url)
{
    static const char scheme[] = "redis://";
    int64_t port = 6379, db = 0;
    if (!str_starts(url, scheme))
        return false;
    const char *p = url + strlen(scheme);
    size_t n = strcspn(p, "/");
    const char *path = p + n, *at = memchr(p, '@', n);
    if (at) {
        const char *colon = memchr(p, ':', (size_t)(at - p));
        if (!colon || !take_part(c->user, sizeof(c->user), p, (size_t)(colon - p)) ||
            !take_part(c->password, sizeof(c->password), colon + 1, (size_t)(at - colon - 1)))
            return false;
        n -= (size_t)(at + 1 - p);
        p = at + 1;
    }
    char host[300];
    if (n == 0 || n >= sizeof(host))
        return false;
    memcpy(host, p, n);
    host[n] = '\0';
    char *name = host, *end = strchr(host, ':');
    if (*host == '[') { /* IPv6 */
        name = host + 1;
        end = strchr(host, ']');
        if (!end)
            return false;
        *end++ = '\0';
    }
    if (end && *end == ':') {
        *end = '\0';
        if (!str_to_i64(end + 1, 1, 65535, &port))
            return false;
    }
    if (*path == '/' && path[1] && !str_to_i64(path + 1, 0, 1000, &db))
        return false;
    snprintf(c->host, sizeof(c->host), "%.255s", name);
    c->port = (int)port;
    c->db = (int)db;
    return *c->host != '\0';
}

/* Blocks: threads only.  Each connect of a thread refreshes what the loops use. */
static bool find_host(struct cache *c)
{
    struct addresses found;
    char text[NI_MAXHOST];
    if (resolve(c->host, &found))
        return false;
    address_text(&found.at[0], text);
    pthread_mutex_lock(&c->mu);
    snprintf(c->address, sizeof(c->address), "%.63s", text);
    pthread_mutex_unlock(&c->mu);
    return true;
}

/* --- life ---------------------------------------------------------------------------------------
 */

static void thread_free(void *p)
{
    struct cache_thread *t = p;
    pthread_mutex_lock(&t->cache->mu);
    for (struct cache_thread **q = &t->cache->threads; *q; q = &(*q)->next)
        if (*q == t) {
            *q = t->next;
            break;
        }
    pthread_mutex_unlock(&t->cache->mu);
    if (t->ctx)
        redisFree(t->ctx);
    free(t);
}

int cache_new(const struct cache_conf *conf, struct cache **ret, struct err *err)
{
    struct cache *c = calloc(1, sizeof(*c));
    assert(c);
    c->timeout_ms = conf->timeout_ms;
    if (!parse_url(c, conf->url ? conf->url : "")) {
        free(c);
        return err_set(err, E_config,
                       "The Redis URL must be redis://[:password@]host[:port][/db].");
    }
    pthread_mutex_init(&c->mu, NULL);
    int rc = pthread_key_create(&c->own, thread_free);
    assert(rc == 0);
    (void)rc;
    find_host(c);
    *ret = c;
    return 0;
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    pthread_key_delete(c->own);
    while (c->threads)
        thread_free(c->threads);
    for (size_t i = 0; i < c->nloops; i++)
        cache_loop_free(c->loops[i].conn);
    pthread_mutex_destroy(&c->mu);
    free(c);
}

/* --- replies ------------------------------------------------------------------------------------
 */

static int error_reply(const redisReply *in, struct err *err)
{
    /* These pass: Redis is loading, changing roles, or out of memory for a moment. */
    static const char *const passing[] = { "LOADING",     "READONLY", "MASTERDOWN", "BUSY ",
                                           "CLUSTERDOWN", "TRYAGAIN", "OOM" };
    for (size_t i = 0; i < ARRAY_LEN(passing); i++)
        if (str_starts(in->str, passing[i]))
            return cache_down(err, in->str);
    err_set(err, E_internal, "Something went wrong on our side.");
    return err_detail(err, "redis: %s", in->str);
}

int cache_copy(struct arena *a, const redisReply *in, struct cache_reply *out, struct err *err)
{
    struct cache_reply r = { .type = CACHE_NIL };
    switch (in->type) {
    case REDIS_REPLY_ERROR:
        return error_reply(in, err);
    case REDIS_REPLY_INTEGER:
        r.type = CACHE_INT;
        r.i64 = in->integer;
        break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        r.type = CACHE_TEXT;
        r.len = (size_t)in->len;
        r.text = arena_strndup(a, in->str, r.len);
        break;
    case REDIS_REPLY_ARRAY:
        r.type = CACHE_LIST;
        r.n = in->elements;
        r.items = arena_alloc(a, (r.n + 1) * sizeof(*r.items));
        for (size_t i = 0; i < r.n; i++) {
            int rc = cache_copy(a, in->element[i], &r.items[i], err);
            if (rc)
                return rc;
        }
        break;
    default:
        break;
    }
    *out = r;
    return 0;
}

/* --- threads ------------------------------------------------------------------------------------
 */

static struct cache_thread *own_connection(struct cache *c)
{
    struct cache_thread *t = pthread_getspecific(c->own);
    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    assert(t);
    t->cache = c;
    t->backoff_us = backoff_first_us;
    pthread_mutex_lock(&c->mu);
    t->next = c->threads;
    c->threads = t;
    pthread_mutex_unlock(&c->mu);
    pthread_setspecific(c->own, t);
    return t;
}

static bool greet(struct cache *c, redisContext *ctx)
{
    bool ok = true;
    if (*c->password) {
        redisReply *r = *c->user ? redisCommand(ctx, "AUTH %s %s", c->user, c->password)
                                 : redisCommand(ctx, "AUTH %s", c->password);
        ok = r && r->type != REDIS_REPLY_ERROR;
        freeReplyObject(r);
    }
    if (ok && c->db) {
        redisReply *r = redisCommand(ctx, "SELECT %d", c->db);
        ok = r && r->type != REDIS_REPLY_ERROR;
        freeReplyObject(r);
    }
    return ok;
}

static int fail(struct cache_thread *t, const char *detail, struct err *err)
{
    t->retry_us = clock_mono_us() + t->backoff_us;
    t->backoff_us = t->backoff_us * 2 > backoff_max_us ? backoff_max_us : t->backoff_us * 2;
    cache_down(err, detail);
    if (t->ctx)
        redisFree(t->ctx);
    t->ctx = NULL;
    return -E_unavailable;
}

static int thread_connect(struct cache *c, struct cache_thread *t, struct err *err)
{
    struct timeval tv = { .tv_sec = c->timeout_ms / 1000, .tv_usec = c->timeout_ms % 1000 * 1000 };
    char address[64];
    if (clock_mono_us() < t->retry_us)
        return cache_down(err, "known to be down");
    if (!find_host(c))
        return fail(t, "cannot resolve its name", err);
    pthread_mutex_lock(&c->mu);
    memcpy(address, c->address, sizeof(address));
    pthread_mutex_unlock(&c->mu);
    t->ctx = redisConnectWithTimeout(address, c->port, tv);
    if (!t->ctx || t->ctx->err)
        return fail(t, t->ctx ? t->ctx->errstr : "no memory", err);
    redisSetTimeout(t->ctx, tv);
    if (!greet(c, t->ctx))
        return fail(t, t->ctx->err ? t->ctx->errstr : "refused the login", err);
    t->backoff_us = backoff_first_us;
    return 0;
}

static int thread_call(struct cache *c, struct arena *a, const struct cache_cmd *cmd,
                       struct cache_reply *ret, struct err *err)
{
    struct cache_thread *t = own_connection(c);
    if (!t->ctx) {
        int rc = thread_connect(c, t, err);
        if (rc)
            return rc;
    }
    redisReply *r = redisCommandArgv(t->ctx, cmd->argc, cmd->argv, cmd->lens);
    if (!r)
        return fail(t, t->ctx->errstr, err);
    int rc = cache_copy(a, r, ret, err);
    freeReplyObject(r);
    return rc;
}

/* --- calls --------------------------------------------------------------------------------------
 */

int cache_call(struct cache *c, struct arena *a, const char *const *argv, size_t argc,
               struct cache_reply *ret, struct err *err)
{
    assert(argc > 0 && argc < 1024 * 1024);
    size_t *lens = arena_alloc(a, argc * sizeof(*lens));
    const char **copy = arena_alloc(a, argc * sizeof(*copy));
    for (size_t i = 0; i < argc; i++) {
        copy[i] = argv[i];
        lens[i] = strlen(argv[i]);
    }
    struct cache_cmd cmd = { .argc = (int)argc, .argv = copy, .lens = lens };
    return fiber_self() ? cache_fiber_call(c, a, &cmd, ret, err)
                        : thread_call(c, a, &cmd, ret, err);
}

static bool known_sha(struct cache *c, const struct cache_script *s, char sha[48])
{
    bool found = false;
    pthread_mutex_lock(&c->mu);
    for (size_t i = 0; i < c->nscripts && !found; i++)
        if (c->scripts[i].script == s) {
            memcpy(sha, c->scripts[i].sha, 48);
            found = true;
        }
    pthread_mutex_unlock(&c->mu);
    return found;
}

static int load(struct cache *c, struct arena *a, const struct cache_script *s, char sha[48],
                struct err *err)
{
    const char *const argv[] = { "SCRIPT", "LOAD", s->lua };
    struct cache_reply r;
    int rc = cache_call(c, a, argv, 3, &r, err);
    if (rc)
        return rc;
    if (r.type != CACHE_TEXT || r.len >= 48)
        return err_set(err, E_internal, "Something went wrong on our side.");
    snprintf(sha, 48, "%s", r.text);
    char old[48];
    if (known_sha(c, s, old))
        return 0;
    pthread_mutex_lock(&c->mu);
    assert(c->nscripts < cache_scripts_max);
    c->scripts[c->nscripts].script = s;
    memcpy(c->scripts[c->nscripts++].sha, sha, 48);
    pthread_mutex_unlock(&c->mu);
    return 0;
}

int cache_eval(struct cache *c, struct arena *a, const struct cache_script *s,
               const char *const *keys, size_t nkeys, const char *const *args, size_t nargs,
               struct cache_reply *ret, struct err *err)
{
    char sha[48], count[24];
    snprintf(count, sizeof(count), "%zu", nkeys);
    const char **argv = arena_alloc(a, (nkeys + nargs + 3) * sizeof(*argv));
    argv[0] = "EVALSHA";
    argv[1] = sha;
    argv[2] = count;
    for (size_t i = 0; i < nkeys; i++)
        argv[3 + i] = keys[i];
    for (size_t i = 0; i < nargs; i++)
        argv[3 + nkeys + i] = args[i];
    int rc = known_sha(c, s, sha) ? 0 : load(c, a, s, sha, err);
    if (rc)
        return rc;
    struct err first = { 0 };
    rc = cache_call(c, a, argv, nkeys + nargs + 3, ret, &first);
    /* A restarted Redis has forgotten it. */
    if (rc == -E_internal && strstr(first.detail, "NOSCRIPT")) {
        rc = load(c, a, s, sha, err);
        return rc ? rc : cache_call(c, a, argv, nkeys + nargs + 3, ret, err);
    }
    if (rc)
        *err = first;
    return rc;
}
