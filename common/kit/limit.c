#include "common/kit/limit_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"

#include <arpa/inet.h>
#include <assert.h>

const struct limit_class_def limit_classes[LIMIT_CLASSES_] = {
    [LIMIT_API] = { "api",   false,
                   "Reads and writes go on, each replica with its part of a limit."        },
    [LIMIT_NONE] = { "none",  false, "Never limited."                                       },
    [LIMIT_TOKEN] = { "token", true,
                   "Refused with 503: a token could be neither counted nor quickly ended." },
    [LIMIT_LOGIN] = { "login", false, "Goes on, each replica with its part of the limit."    },
    [LIMIT_DOCS] = { "docs",  false, "Goes on, each replica with its part of the limit."    },
};

/* Which policies apply to a request, and where their limit comes from. */
enum subject { BY_KEY, BY_CLIENT, BY_USER, BY_NETWORK };
static const struct {
    const char *name;
    enum subject subject;
    enum limit_class cls;
    bool monthly;
} policies[POLICIES_] = {
    [POLICY_KEY] = { "key",          BY_KEY,     LIMIT_API,   false },
    [POLICY_MONTH] = { "month",        BY_KEY,     LIMIT_API,   true  },
    [POLICY_CLIENT] = { "client",       BY_CLIENT,  LIMIT_API,   false },
    [POLICY_CLIENT_MONTH] = { "client-month", BY_CLIENT,  LIMIT_API,   true  },
    [POLICY_USER] = { "user",         BY_USER,    LIMIT_API,   false },
    [POLICY_NETWORK] = { "network",      BY_NETWORK, LIMIT_API,   false },
    [POLICY_TOKEN] = { "token",        BY_NETWORK, LIMIT_TOKEN, false },
    [POLICY_LOGIN] = { "login",        BY_NETWORK, LIMIT_LOGIN, false },
    [POLICY_DOCS] = { "docs",         BY_NETWORK, LIMIT_DOCS,  false },
};

const char *limit_policy_name(enum limit_policy p)
{
    return policies[p].name;
}

struct limits *limits_new(const struct limits_conf *conf)
{
    struct limits *l = calloc(1, sizeof(*l));
    char id[uuid_len + 1];
    assert(l);
    l->cache = conf->cache;
    l->replicas = 1;
    memcpy(l->rate, conf->rate, sizeof(l->rate));
    uuid7(id);
    snprintf(l->program, sizeof(l->program), "%s", conf->program);
    snprintf(l->replica, sizeof(l->replica), "%s", id);
    for (size_t i = 0; i < limit_shards; i++) {
        pthread_mutex_init(&l->shards[i].mu, NULL);
        l->shards[i].v = calloc(limit_entries / limit_shards, sizeof(struct limit_window));
        assert(l->shards[i].v);
    }
    return l;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    limit_return_leases(l);
    for (size_t i = 0; i < limit_shards; i++) {
        pthread_mutex_destroy(&l->shards[i].mu);
        free(l->shards[i].v);
    }
    free(l);
}

/* --- whose window -------------------------------------------------------------------------------
 */

static void put_number(struct limit_id *who, int64_t id)
{
    memcpy(who->id, &id, sizeof(id));
}

/* An IPv4 address is one household or one office; of IPv6 they have a /64. */
static void put_network(struct limit_id *who, const char *addr)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    unsigned char six[16];
    if (inet_pton(AF_INET, addr, who->id + 12) == 1) {
        memcpy(who->id, mapped, sizeof(mapped));
        return;
    }
    if (inet_pton(AF_INET6, addr, six) != 1)
        return; /* a peer without an address: all of them are one */
    memcpy(who->id, six, memcmp(six, mapped, sizeof(mapped)) ? 8 : 16);
}

const char *limit_key(struct arena *a, const struct limit_id *who)
{
    const char *name = policies[who->policy].name;
    int64_t id;
    char text[2 * limit_id_bytes + 1];
    if (policies[who->policy].subject == BY_NETWORK) {
        hex_encode(who->id, sizeof(who->id), text);
        return arena_printf(a, "cms365:limit:%s:%s", name, text);
    }
    memcpy(&id, who->id, sizeof(id));
    return arena_printf(a, "cms365:limit:%s:%lld", name, (long long)id);
}

/* Keys and clients have limits of their own, or the platform's. */
static void own_limit(struct limit_need *n, const struct principal *who, int64_t id)
{
    put_number(&n->who, id);
    if (id && !n->window_s)
        n->limit = who->quota_monthly;
    else if (id && who->rate_limit)
        n->limit = who->rate_limit;
}

static bool fill_need(const struct limits *l, enum limit_policy p, const struct limit_request *req,
                      struct limit_need *n)
{
    const struct principal *who = req->who;
    bool known = who->key_id || who->client_id || who->user_id;
    if (policies[p].cls != req->cls)
        return false;
    *n = (struct limit_need){ .who = { .policy = (unsigned char)p },
                              .limit = l->rate[p],
                              .cost = req->cost ? req->cost : 1,
                              .window_s = policies[p].monthly ? 0 : limit_window_s };
    switch (policies[p].subject) {
    case BY_KEY:
        own_limit(n, who, who->key_id);
        return n->limit && who->key_id;
    case BY_CLIENT:
        own_limit(n, who, who->client_id);
        return n->limit && who->client_id;
    case BY_USER:
        put_number(&n->who, who->user_id);
        return n->limit && who->user_id;
    case BY_NETWORK:
        if (!n->limit || (req->cls == LIMIT_API && known))
            return false;
        put_network(&n->who, req->addr);
        return true;
    }
    return false;
}

/* --- the table ----------------------------------------------------------------------------------
 */

static uint64_t hash_of(const struct limit_id *who)
{
    uint64_t a, b;
    memcpy(&a, who->id, 8);
    memcpy(&b, who->id + 8, 8);
    a = (a ^ who->policy) * UINT64_C(0x9E3779B97F4A7C15);
    b = (b ^ a >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
    return (a ^ b ^ b >> 31) * UINT64_C(0x94D049BB133111EB) >> 17;
}

static struct limit_shard *lock(struct limits *l, const struct limit_id *who, uint64_t *ret_hash)
{
    *ret_hash = hash_of(who);
    struct limit_shard *s = &l->shards[*ret_hash % limit_shards];
    pthread_mutex_lock(&s->mu);
    return s;
}

static struct limit_window *set_of(struct limit_shard *s, uint64_t hash)
{
    enum { sets = limit_entries / limit_shards / limit_ways };
    return &s->v[hash / limit_shards % sets * limit_ways];
}

static struct limit_window *find(struct limit_shard *s, uint64_t hash, const struct limit_id *who)
{
    struct limit_window *w = set_of(s, hash);
    for (size_t i = 0; i < limit_ways; i++)
        if ((w[i].label || w[i].hops) && !memcmp(&w[i].who, who, sizeof(*who)))
            return &w[i];
    return NULL;
}

/* Makes room for it: free, or over, or not seen for long.  What a lease had is lost, never doubled.
 */
static struct limit_window *make(struct limit_shard *s, uint64_t hash, const struct limit_id *who,
                                 int64_t now_us)
{
    struct limit_window *set = set_of(s, hash), *best = set;
    for (size_t i = 0; i < limit_ways; i++) {
        struct limit_window *w = &set[i];
        if (!w->label && !w->hops) {
            best = w;
            break;
        }
        bool over = w->until_us <= now_us, best_over = best->until_us <= now_us;
        if (over != best_over ? over : w->seen_us < best->seen_us)
            best = w;
    }
    *best = (struct limit_window){ .who = *who };
    return best;
}

static void show(const struct limit_window *w, const struct limit_need *n, int64_t now_us)
{
    int64_t rest = w->rest + w->leased, us = w->until_us - now_us;
    n->state->policy = (enum limit_policy)w->who.policy;
    n->state->limit = n->limit;
    n->state->window_s = w->length_s;
    n->state->remaining = rest > 0 ? rest : 0;
    n->state->reset_s = us > 1000000 ? (us + 999999) / 1000000 : 1;
}

/* A quota has something to tell at 80 % and when it is used up. */
static void mark(struct limits *l, struct limit_window *w, int64_t used, bool refused)
{
    if (!policies[w->who.policy].monthly)
        return;
    bool over = refused || used >= w->limit;
    bool warn = used * 100 >= w->limit * limit_warn_percent &&
                w->used * 100 < w->limit * limit_warn_percent;
    if (used > w->used)
        w->used = used;
    if (warn || (over && !w->exceeded)) {
        w->urgent = true;
        __atomic_store_n(&l->urgent, true, __ATOMIC_RELAXED);
    }
    w->exceeded |= over;
}

enum limit_verdict limit_local(struct limits *l, struct limit_need *n)
{
    uint64_t hash;
    int64_t now = clock_mono_us();
    enum limit_verdict v = TAKE_ASK;
    struct limit_shard *s = lock(l, &n->who, &hash);
    struct limit_window *w = find(s, hash, &n->who);
    if (!w)
        w = make(s, hash, &n->who, now);
    w->seen_us = now;
    if (w->label && w->until_us > now && w->limit == n->limit) {
        if (w->leased >= n->cost) {
            w->leased -= n->cost;
            n->taken = w->label;
            v = TAKE_OK;
        } else if (w->rest + w->leased < n->cost) {
            v = TAKE_REFUSED;
            mark(l, w, w->used, true);
        }
        show(w, n, now);
    }
    if (v == TAKE_ASK)
        n->lease = w->hops++ == 0;
    pthread_mutex_unlock(&s->mu);
    return v;
}

void limit_asked(struct limits *l, struct limit_need *n)
{
    uint64_t hash;
    struct limit_shard *s = lock(l, &n->who, &hash);
    struct limit_window *w = find(s, hash, &n->who);
    if (w && w->hops)
        w->hops--;
    if (w)
        w->asked = w->asked > n->asks ? w->asked - n->asks : 0;
    n->asks = 0;
    pthread_mutex_unlock(&s->mu);
}

static int64_t lease_most(int64_t limit)
{
    int64_t share = limit / limit_lease_share;
    return share < limit_lease_least ? limit_lease_least
           : share > limit_lease_max ? limit_lease_max
                                     : share;
}

void limit_own(struct limits *l, struct limit_need *n, int64_t *ret_granted, int64_t *ret_label,
               int64_t *ret_leased)
{
    uint64_t hash;
    int64_t most = n->lease ? lease_most(n->limit) : 0;
    struct limit_shard *s = lock(l, &n->who, &hash);
    struct limit_window *w = find(s, hash, &n->who);
    *ret_granted = w ? w->granted : 0;
    *ret_label = w ? w->label : 0;
    *ret_leased = w && w->until_us > clock_mono_us() ? w->leased : 0;
    if (w) {
        n->asks = n->cost > most ? n->cost : most;
        w->asked += n->asks;
    }
    pthread_mutex_unlock(&s->mu);
}

static void begin(struct limit_window *w, int64_t label, const struct limit_need *n,
                  int64_t until_us)
{
    struct limit_span s = { .label = label };
    if (!n->window_s)
        s = limit_span(0, clock_ms());
    w->length_s = n->window_s ? n->window_s : (s.end_ms - s.start_ms) / 1000;
    w->label = label;
    w->limit = n->limit;
    w->until_us = until_us;
    w->leased = w->granted = w->used = w->told = 0;
    w->rest = n->limit;
    w->exceeded = w->urgent = false;
}

static enum limit_verdict settle(struct limits *l, struct limit_window *w, struct limit_need *n,
                                 int64_t now)
{
    bool ok = w->leased >= n->cost;
    if (ok) {
        w->leased -= n->cost;
        n->taken = w->label;
    } else if (w->rest + w->leased >= n->cost) {
        return TAKE_ASK; /* somebody else was quicker with the lease */
    }
    mark(l, w, w->used, !ok);
    show(w, n, now);
    return ok ? TAKE_OK : TAKE_REFUSED;
}

enum limit_verdict limit_apply(struct limits *l, struct limit_need *n, const struct limit_grant *g,
                               int64_t asked_us)
{
    uint64_t hash;
    int64_t now = clock_mono_us(), until = asked_us + g->left_ms * 1000;
    enum limit_verdict v = TAKE_ASK;
    struct limit_shard *s = lock(l, &n->who, &hash);
    struct limit_window *w = find(s, hash, &n->who);
    if (!w)
        w = make(s, hash, &n->who, now);
    if (g->label > w->label)
        begin(w, g->label, n, until);
    /* A grant of a window that is over is worth nothing. */
    if (g->label == w->label && until > now) {
        bool raised = w->limit != n->limit;
        w->limit = n->limit;
        w->until_us = until < w->until_us ? until : w->until_us;
        w->granted += g->granted;
        w->leased += g->granted;
        w->rest = raised || g->rest < w->rest ? g->rest : w->rest;
        mark(l, w, g->used, false);
        v = settle(l, w, n, now);
    }
    w->seen_us = now;
    pthread_mutex_unlock(&s->mu);
    return v;
}

/* Our part of the limit, less what we were granted of it, and less what a hop that is under way
 * over another connection may be: Redis does not know of what we take here meanwhile.  Of a quota
 * of which we know nothing all goes: it is counted when Redis is back. */
static int64_t part_left(const struct limits *l, const struct limit_window *w)
{
    int64_t replicas = __atomic_load_n(&l->replicas, __ATOMIC_RELAXED);
    if (policies[w->who.policy].monthly)
        return w->used ? w->rest / replicas : w->rest;
    int64_t part = w->limit / replicas - w->granted - w->asked;
    return part < w->rest ? part : w->rest;
}

enum limit_verdict limit_alone(struct limits *l, struct limit_need *n)
{
    uint64_t hash;
    int64_t now = clock_mono_us();
    int64_t now_ms = clock_ms() + __atomic_load_n(&l->clock_ms, __ATOMIC_RELAXED);
    struct limit_span span = limit_span(n->window_s, now_ms);
    struct limit_shard *s = lock(l, &n->who, &hash);
    struct limit_window *w = find(s, hash, &n->who);
    if (!w)
        w = make(s, hash, &n->who, now);
    if (w->label < span.label)
        begin(w, span.label, n, now + (span.end_ms - now_ms) * 1000);
    w->limit = n->limit;
    int64_t more = n->cost - w->leased;
    if (more > 0 && more <= part_left(l, w)) {
        w->granted += more;
        w->leased += more;
        w->rest -= more;
        mark(l, w, w->used + more, false);
    }
    enum limit_verdict v = TAKE_REFUSED; /* what is left is the part of others */
    if (w->leased >= n->cost) {
        w->leased -= n->cost;
        n->taken = w->label;
        v = TAKE_OK;
    }
    mark(l, w, w->used, v == TAKE_REFUSED);
    show(w, n, now);
    if (v == TAKE_REFUSED)
        n->state->remaining = w->leased;
    w->seen_us = now;
    pthread_mutex_unlock(&s->mu);
    return v;
}

static void give_back(struct limits *l, const struct limit_need *n)
{
    uint64_t hash;
    if (!n->taken)
        return;
    struct limit_shard *s = lock(l, &n->who, &hash);
    struct limit_window *w = find(s, hash, &n->who);
    if (w && w->label == n->taken)
        w->leased += n->cost;
    pthread_mutex_unlock(&s->mu);
}

/* --- the decision -------------------------------------------------------------------------------
 */

enum { asks_max = 8 }; /* a window may end while Redis is asked, or the lease be used by others */

static int ask_until_settled(struct limits *l, struct arena *a, struct limit_need *needs, size_t n)
{
    struct limit_need *asking[limits_a_request_max];
    for (int tries = 0; tries < asks_max; tries++) {
        size_t k = 0;
        struct err why;
        for (size_t i = 0; i < n; i++)
            if (needs[i].verdict == TAKE_ASK)
                asking[k++] = &needs[i];
        if (!k)
            return 0;
        int rc = limit_hop(l, a, asking, k, &why);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < n; i++)
        if (needs[i].verdict == TAKE_ASK)
            needs[i].verdict = TAKE_REFUSED;
    return 0;
}

static int refuse(const struct limit_answer *x, struct err *err)
{
    const struct limit_state *s = &x->states[x->refused];
    bool month = policies[s->policy].monthly;
    metric_add(metric_cell(M_limit_refused, &policies[s->policy].name, 1), 1);
    err_set(err, month ? E_quota_exceeded : E_rate_limited,
            month ? "The month's quota of %lld units is used up."
                  : "The limit of %lld units a minute is used up.",
            (long long)s->limit);
    err->retry_after_s = (unsigned)s->reset_s;
    return -(int)err->code;
}

static int closed(struct err *err)
{
    err_set(err, E_unavailable, "The service is temporarily unavailable.");
    err->retry_after_s = 1;
    return err_detail(err, "limits: Redis is away");
}

static int decide(struct limits *l, const struct limit_need *needs, struct limit_answer *x,
                  struct err *err)
{
    for (size_t i = 0; i < x->n; i++)
        if (needs[i].verdict != TAKE_OK && x->refused < 0)
            x->refused = (int)i;
    if (x->refused < 0)
        return 0;
    for (size_t i = 0; i < x->n; i++)
        give_back(l, &needs[i]);
    return refuse(x, err);
}

int limits_take(struct limits *l, struct arena *a, const struct limit_request *req,
                struct limit_answer *ret, struct err *err)
{
    struct limit_need needs[limits_a_request_max];
    bool ask = false, shut = limit_classes[req->cls].closed;
    *ret = (struct limit_answer){ .refused = -1 };
    if (shut && limits_redis_down(l))
        return closed(err);
    for (int p = 0; p < POLICIES_ && ret->n < limits_a_request_max; p++) {
        struct limit_need *n = &needs[ret->n];
        if (!fill_need(l, (enum limit_policy)p, req, n))
            continue;
        n->state = &ret->states[ret->n];
        n->verdict = limit_local(l, n);
        ask |= n->verdict == TAKE_ASK;
        ret->n++;
    }
    if (ask && ask_until_settled(l, a, needs, ret->n)) {
        for (size_t i = 0; i < ret->n && !shut; i++)
            if (needs[i].verdict == TAKE_ASK)
                needs[i].verdict = limit_alone(l, &needs[i]);
        if (shut)
            return closed(err);
    }
    return decide(l, needs, ret, err);
}

bool limits_redis_down(const struct limits *l)
{
    return __atomic_load_n(&l->down, __ATOMIC_RELAXED);
}

/* --- header fields ------------------------------------------------------------------------------
 */

static void put_number_text(char **p, int64_t v)
{
    char digits[24];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *(*p)++ = digits[--n];
}

static void put_text(char **p, const char *s)
{
    while (*s)
        *(*p)++ = *s++;
}

/* By hand: this is on every answer. */
static char *fields(struct arena *a, const struct limit_answer *x, bool policy)
{
    char *out = arena_raw(a, x->n * 80 + 1), *p = out;
    for (size_t i = 0; i < x->n; i++) {
        const struct limit_state *s = &x->states[i];
        put_text(&p, i ? ", \"" : "\"");
        put_text(&p, policies[s->policy].name);
        put_text(&p, policy ? "\";q=" : "\";r=");
        put_number_text(&p, policy ? s->limit : s->remaining);
        put_text(&p, policy ? ";w=" : ";t=");
        put_number_text(&p, policy ? s->window_s : s->reset_s);
    }
    *p = '\0';
    return out;
}

char *limit_header(struct arena *a, const struct limit_answer *x)
{
    return fields(a, x, false);
}

char *limit_policy_header(struct arena *a, const struct limit_answer *x)
{
    return fields(a, x, true);
}
