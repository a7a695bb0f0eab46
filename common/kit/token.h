#ifndef KIT_TOKEN_H
#define KIT_TOKEN_H
/*
 * Who is asking: an API key, or an access token (a JWT of the platform's own OAuth server:
 * common/kit/token_jwt.h).
 *
 * API keys `365k_<env>_<id>_<secret><crc>`: id is decimal, secret 43 base64url
 * characters (256 random bits), crc the 8 hex digits of CRC-32 over all before it.  Every program
 * keeps the compacted topic auth.keys as a table in memory, so checking a key costs one SHA-256 and
 * a look-up and no hop. Revocations also come through the Redis sorted sets `cms365:revoked`
 * (member "key:<id>" or "user:<id>", score Unix ms; "rekey:<id>": what is known of the key is
 * asked anew if it is older; "policy:1" in the same way) and `cms365:denied` (access tokens made
 * until then: "client:<id>", "family:<id>", "tokens:<user id>", "jti:<number>", and "session:<id>";
 * kept for an hour), polled
 * every 250 ms; while Redis is away, and once at the start, auth's own table of them is read (GET
 * /internal/auth/denials).  An id that is not in the table is asked of auth once (GET
 * /internal/auth/keys/{id} on its ops listener, single flight, negative cache 1 s); the same
 * listener's GET /internal/auth/keys gives the snapshot when Kafka is away at the start.
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "proto/names.h"

enum { key_secret_bytes = 32, key_text_max = 128 };

struct principal {
    int64_t user_id;    /* 0: anonymous */
    int64_t key_id;     /* 0: no key */
    int64_t client_id;  /* 0: no OAuth client; with user_id 0 the client acts for itself */
    int64_t session_id; /* 0: not by a browser's cookie (common/kit/session.h) */
    /* With E_unauthorized: whose credential was right, but is not accepted from there; else 0. */
    int64_t denied_key, denied_client, denied_user;
    enum role role;                    /* ROLE_NONE: anonymous */
    scope_set scopes;                  /* role ∩ granted, expanded */
    int64_t rate_limit, quota_monthly; /* of the key or client; 0: none of its own */
    bool sandbox; /* a key for trying: it reaches its own data only (common/kit/sandbox.h) */
};

struct svc;
struct tokens;
int tokens_start(struct svc *svc, struct tokens **ret,
                 struct err *err) MUST_CHECK; /* starts its thread */
void tokens_stop(struct tokens *t);
bool tokens_ready(const struct tokens *t); /* read to the high watermark, or the snapshot taken */
size_t tokens_count(const struct tokens *t);
/* Is it known of the key that it is not accepted any more?  False for one that is not known. */
bool tokens_key_over(struct tokens *t, int64_t key_id);
/* `addr` is the client's address text.  E_unauthorized (one message for all reasons), E_unavailable
 * when an unknown key cannot be asked for. */
int token_check(struct tokens *t, struct arena *a, const char *credential, const char *addr,
                struct principal *ret, struct err *err) MUST_CHECK;

/* The same for a request: an access token must be for its path. */
struct token_use {
    const char *credential, *addr, *path;
    bool dpop;          /* sent as "DPoP <token>" */
    const char *proof;  /* the DPoP header, or NULL */
    size_t proofs;      /* how many there were */
    const char *method; /* "GET" */
};
int token_check_use(struct tokens *t, struct arena *a, const struct token_use *use,
                    struct principal *ret, struct err *err) MUST_CHECK;

/* Is any credential accepted from there?  The organisation's own list (auth's policy) says so; it
 * is part of every check above and of session_check. */
bool tokens_network_ok(struct tokens *t, const char *addr);

/* The policy as it travels on auth.keys (key "policy"): networks as of a key. */
struct policy_state {
    int64_t changed_us;
    const char *allowed_networks;
};
char *policy_state_json(struct arena *a, const struct policy_state *p);
int policy_state_parse(struct arena *a, const char *json, size_t n, struct policy_state *ret,
                       struct err *err) MUST_CHECK;

/* The text form.  key_make writes a new key and its hash; key_parse checks form and CRC and
 * computes the hash; both without any look-up. */
void key_make(const char *env, int64_t id, char text[key_text_max], unsigned char hash[32]);
bool key_parse(const char *text, int64_t *ret_id, unsigned char ret_hash[32]);

/* One key as it travels on auth.keys (JSON value; key "key:<id>"; tombstone: gone). */
struct key_state {
    int64_t id, user_id, expires_us; /* 0: never */
    int64_t changed_us; /* when this state came to be: an older one never replaces a newer */
    unsigned char hash[32];
    unsigned char previous[32]; /* of the key before a rotation, */
    int64_t previous_until_us;  /* accepted until then; 0: there is none */
    enum role role;
    scope_set granted;
    bool revoked, sandbox;
    const char *name;
    const char *allowed_networks;      /* comma separated CIDR, "" for any */
    int64_t rate_limit, quota_monthly; /* units a minute, units a month; 0: none of its own */
};
/* Is it a list of CIDR blocks ("10.0.0.0/8, 2001:db8::/32", "" too)? */
bool key_networks_ok(const char *text);
/* Is the address in one of them?  "" has any; a list that is none has none. */
bool key_networks_hold(const char *text, const char *addr);
char *key_state_json(struct arena *a, const struct key_state *k);
int key_state_parse(struct arena *a, const char *json, size_t n, struct key_state *ret,
                    struct err *err) MUST_CHECK;
#endif
