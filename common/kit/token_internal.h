#ifndef KIT_TOKEN_INTERNAL_H
#define KIT_TOKEN_INTERNAL_H
/*
 * What the parts of the token module share: token_key.c (text form, state, networks), token_table.c
 * (the table in memory), token.c (the check), token_feed.c (its threads).
 */
#include "common/base/halt.h"
#include "common/kit/token.h"

#include <pthread.h>

struct cache;
struct httpc;

/* --- networks: a list of CIDR blocks; IPv4 is kept as ::ffff:a.b.c.d
 * ------------------------------ */
enum { networks_max = 64 };
struct network {
    unsigned char addr[16];
    unsigned bits;
};
struct networks {
    size_t n;
    struct network list[];
};
/* False: an item is not CIDR.  *ret NULL: empty, any address will do.  On the heap. */
bool networks_parse(const char *text, struct networks **ret);
bool networks_hold(const struct networks *l, const char *addr);

/* --- the table ----------------------------------------------------------------------------------
 */
struct token_entry {
    int64_t id; /* 0: free */
    int64_t user_id, expires_us, changed_us;
    int64_t rate_limit, quota_monthly; /* 0: none of its own */
    struct networks *networks;
    scope_set scopes; /* effective */
    unsigned char hash[32], previous[32];
    int64_t previous_until_us; /* 0: there is no key of before */
    enum role role;
    bool revoked, sandbox;
};
struct idmap { /* id -> Unix ms, open addressing */
    struct {
        int64_t id, ms;
    } *slot;
    size_t cap, n;
};
/* Access tokens are refused by what they come from.  They live ten minutes, so what is older than
 * an hour is dropped when a map grows. */
enum deny_kind { DENY_CLIENT, DENY_FAMILY, DENY_TOKENS_OF, DENY_JTI, DENY_SESSION, DENY_KINDS };
enum { denied_keep_ms = 3600 * 1000 };
struct token_table {
    pthread_rwlock_t lock;
    struct token_entry *slot;
    size_t cap, n;
    struct idmap keys_revoked, users_revoked;
    struct idmap keys_changed;           /* what is older is asked anew */
    struct idmap denied[DENY_KINDS];     /* access tokens made until then */
    struct networks *everyone;           /* the organisation's list; NULL: any */
    int64_t policy_us, policy_wanted_ms; /* of what is known; the newest that was told of */
};
enum token_verdict { TOKEN_OK, TOKEN_REFUSED, TOKEN_UNKNOWN, TOKEN_OTHER };
/* TOKEN_OTHER: the key is live, but its text is another: made up, or newer than what is known. */

void table_init(struct token_table *t);
void table_done(struct token_table *t);
size_t table_count(struct token_table *t);
bool table_over(struct token_table *t, int64_t id); /* known, and not accepted any more */
bool table_has(struct token_table *t, int64_t id);  /* and nothing newer is known to be */
/* An older state than what is there is ignored. */
void table_put(struct token_table *t, const struct key_state *k);
void table_drop(struct token_table *t, int64_t id); /* tombstone */
/* `member` is "key:7", "rekey:7", "user:7", "policy:1", "client:7", "family:7", "tokens:7",
 * "jti:7" or "session:7"; false if it is none of these. */
bool table_revoke(struct token_table *t, const char *member, int64_t ms);
enum token_verdict table_check(struct token_table *t, int64_t id, const unsigned char hash[32],
                               const char *addr, struct principal *ret);

struct jwt_known;
bool table_allows(struct token_table *t, const struct jwt_known *k);
/* token_policy.c.  What cannot be read lets nobody in; an older one than what is known is ignored.
 */
void table_put_policy(struct token_table *t, const struct policy_state *p);
bool table_network_ok(struct token_table *t, const char *addr);
bool table_policy_old(struct token_table *t); /* there is a newer one */
/* Was the session, or what its user may do, changed at that time or later? */
bool table_denies_session(struct token_table *t, int64_t session, int64_t user, int64_t since_ms);

/* --- the module ---------------------------------------------------------------------------------
 */
struct tokens_conf {
    const char *brokers, *auth_url, *internal_token;
    struct cache *cache;     /* NULL: no revocations from Redis */
    struct httpc *httpc;     /* NULL: unknown ids are refused, no snapshot */
    const char *issuer;      /* CMS365_PUBLIC_URL; NULL: no access tokens */
    struct workers *workers; /* for RSA; NULL: the caller's own stack */
    struct keyring *keyring; /* of browser sessions */
};
enum { ask_slots = 64, absent_slots = 1024, ask_timeout_ms = 2000, asks_per_s_max = 100 };
struct tokens {
    struct tokens_conf conf;
    struct arena *arena;
    struct token_table table;
    struct jwts *jwts;
    struct sessions *sessions;
    int64_t polled_us; /* atomic, monotonic: revocations were read last */
    pthread_t feed, poller;
    struct halt halt;
    pthread_mutex_t mu;        /* what follows */
    int64_t asking[ask_slots]; /* ids under way; 0: free */
    struct {
        int64_t id, until_us;
    } absent[absent_slots], vain[absent_slots]; /* not there; asked for in vain */
    int64_t ask_window_us;
    int64_t keys_asked_us; /* monotonic: when the signing keys were asked for last */
    bool keys_asking;
    unsigned asks;
    bool ready;         /* atomic */
    int64_t seen_ms[2]; /* poller only: newest revocation read, of each set */
    int64_t table_ms;   /* poller only: the newest of auth's own table */
    int64_t table_us;   /* poller only: monotonic, when that is asked for next; 0: not asked yet */
    bool table_read;    /* poller only */
    struct metric_cell *ok, *refused, *unknown, *unavailable;
};
int tokens_open(const struct tokens_conf *conf, struct tokens **ret, struct err *err) MUST_CHECK;
void *tokens_feed(void *t);
void *tokens_poll(void *t);
/* token_check.c */
int token_check_jwt(struct tokens *t, struct arena *a, const struct token_use *use,
                    struct principal *ret, struct err *err) MUST_CHECK;
/* GET path on auth's ops listener: the status, or negative. */
int tokens_get(struct tokens *t, struct arena *a, const char *path, const char **ret_body,
               size_t *ret_n, struct err *err) MUST_CHECK;
#endif
