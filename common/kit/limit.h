#ifndef KIT_LIMIT_H
#define KIT_LIMIT_H
/*
 * Rate limits and quotas, exact across replicas and programs (docs/limits.md, docs/adr/0013).
 *
 * A request costs units (its route's `cost`).  They are taken from fixed windows that Redis counts
 * in its own time: a minute per key, client, user or network, a calendar month (UTC) per key and
 * client.  A replica takes units ahead (a lease), a limit_lease_share-th of the limit, from
 * limit_lease_least to limit_lease_max units, and at most an eighth of
 * its part of what is left, one by one when less than a tenth is left; so the common case asks
 * nobody.  What was granted is never more than the limit; a replica that is killed takes its open
 * leases with it, one that stops gives them back.
 *
 * While Redis is away each replica goes on alone with its part of the limit (limit / replicas of
 * the program, less what it was granted in that window), unless the class of the route refuses then
 * (limit_classes).  What it let through is reported when Redis is back.  Minute counters that Redis
 * lost are rebuilt from what the replicas were granted; until a window ends that began before the
 * loss, nobody gets more than his part.  Quotas are kept in auth (event key.quota, a minute old at
 * most) and put back by it.
 *
 * Threads: limits_take from any, in a fiber (parks for a hop) or a thread (blocks); a request that
 * the lease covers never waits.
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/kit/token.h"

enum {
    limit_lease_least = 32,     /* units; of limits up to 32,768 */
    limit_lease_share = 1024,   /* of greater ones a lease is that part */
    limit_lease_max = 4096,     /* units */
    limit_window_s = 60,        /* of all rates */
    limit_rate_max = 100000000, /* units a minute that a setting or a key may say */
    limit_entries = 32768,      /* windows that one process remembers */
    limits_a_request_max = 3,   /* policies that apply to one request */
    limit_warn_percent = 80,    /* of a quota */
};

/* What a route counts as. */
enum limit_class {
    LIMIT_API,   /* by who asks; anonymous: by network */
    LIMIT_NONE,  /* never limited: what other systems push, documents that clients must find */
    LIMIT_TOKEN, /* issues tokens: by network, before anything is known of who asks */
    LIMIT_LOGIN, /* takes passwords, codes and mailed links: by network, narrower */
    LIMIT_DOCS,  /* documents of the API: by network, wider; nobody pays for reading them */
    LIMIT_CLASSES_
};
struct limit_class_def {
    const char *name;
    bool closed; /* refused (503) while Redis is away */
    const char *doc;
};
extern const struct limit_class_def limit_classes[LIMIT_CLASSES_];

enum limit_policy {
    POLICY_KEY,
    POLICY_MONTH,
    POLICY_CLIENT,
    POLICY_CLIENT_MONTH,
    POLICY_USER,
    POLICY_NETWORK,
    POLICY_TOKEN,
    POLICY_LOGIN,
    POLICY_DOCS,
    POLICIES_
};
/* The name of a policy as RateLimit-Policy has it: "key", "month", … */
const char *limit_policy_name(enum limit_policy p);

struct cache;
struct svc;
struct limits;
struct limits_conf {
    struct cache *cache;     /* NULL: always alone */
    const char *program;     /* replicas of the same name share when Redis is away */
    int64_t rate[POLICIES_]; /* units a minute; 0: none.  Of keys and clients: without their own */
};
struct limits *limits_new(const struct limits_conf *conf);
/* Gives the open leases back.  The last request must be over. */
void limits_free(struct limits *l);

struct limit_request {
    enum limit_class cls;
    unsigned cost; /* units; 0 counts as 1 */
    const struct principal *who;
    const char *addr; /* of the client */
};
struct limit_state {
    enum limit_policy policy;
    int64_t limit, remaining; /* units; other replicas' latest are not in it */
    int64_t reset_s;          /* until the window ends, 1 at least */
    int64_t window_s;         /* length */
};
struct limit_answer {
    size_t n; /* 0: nothing limits the request */
    struct limit_state states[limits_a_request_max];
    int refused; /* index of the policy that refused, or -1 */
};
/* 0: let through.  E_rate_limited, E_quota_exceeded (err->retry_after_s: until the window ends);
 * E_unavailable: Redis is away and the class is closed then. */
int limits_take(struct limits *l, struct arena *a, const struct limit_request *req,
                struct limit_answer *ret, struct err *err) MUST_CHECK;

/* What was used of quotas since the last time, for auth; *ret_urgent: one crossed 80 or 100 %. */
struct quota_use {
    int64_t key_id, client_id; /* one of them is 0 */
    int64_t used;
    int month;     /* 202611 */
    bool exceeded; /* something was refused, or nothing is left */
};
size_t limits_quotas(struct limits *l, struct arena *a, size_t max, struct quota_use **ret);
bool limits_quota_urgent(struct limits *l);
/* These are told: they come again when more was used. */
void limits_quotas_told(struct limits *l, const struct quota_use *list, size_t n);
/* Where Redis keeps a quota; POLICY_MONTH or POLICY_CLIENT_MONTH. */
const char *limit_quota_key(struct arena *a, enum limit_policy p, int64_t id, int month);
char *limits_quotas_json(struct arena *a, const struct quota_use *list, size_t n);

bool limits_redis_down(const struct limits *l);
void limits_job(struct svc *svc); /* job_def.fn: heartbeat, and what auth is told */
/* What the job does once: counts the replicas. */
int limits_beat(struct limits *l, struct arena *a, struct err *err) MUST_CHECK;
/* RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10). */
char *limit_header(struct arena *a, const struct limit_answer *x);
char *limit_policy_header(struct arena *a, const struct limit_answer *x);
#endif
