/*
 * What checking a credential and a limit costs in CPU, without sockets, and what our signatures
 * cost beside OpenSSL's own: one JSON object with nanoseconds each.  ./dev bench auth prints it;
 * run by hand: build/rel/tests/bench/auth_bench.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/crypto_jose.h"
#include "common/kit/limit_internal.h"
#include "common/kit/metrics.h"
#include "common/kit/token_internal.h"
#include "common/kit/token_jwt.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

enum { hot_rounds = 300000, sign_rounds = 4000, rsa_rounds = 600, turns = 5, key_id = 7 };
static const char issuer[] = "https://cms.example.com";

static struct arena *a;
static struct tokens t;
static struct limits *limits;
static char key_text[key_text_max], *token;
static struct jose_key *es, *rs;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "auth_bench: %s\n", what);
    exit(1);
}

static void make_world(void)
{
    struct err err;
    struct key_state k = { .id = key_id,
                           .user_id = 3,
                           .role = ROLE_EDITOR,
                           .granted = (scope_set)1 << S_api_read,
                           .allowed_networks = "192.0.2.0/24,2001:db8::/32",
                           .rate_limit = limit_rate_max,
                           .quota_monthly = 1000000000 };
    a = arena_new();
    table_init(&t.table);
    t.conf.issuer = issuer;
    t.jwts = jwts_new(issuer);
    const char *outcome = "ok";
    t.ok = t.refused = t.unknown = t.unavailable = metric_cell(M_auth_checks, &outcome, 1);
    key_make("live", key_id, key_text, k.hash);
    table_put(&t.table, &k);
    must(!jose_key_make(JOSE_ES256, &es, &err) && !jose_key_make(JOSE_RS256, &rs, &err), "no keys");
    char *text = jwts_key_json(a, es, 0), jti[uuid_len + 1];
    must(!jwts_put_key(t.jwts, a, text, strlen(text), &err), err.msg);
    unsigned char raw[16];
    uuid7(jti);
    must(uuid_parse(jti, raw), "no uuid");
    struct jwt_claims c = { .aud = { issuer },
                            .naud = 1,
                            .user_id = 3,
                            .client_id = 5,
                            .issued_ms = uuid7_ms(raw),
                            .exp_s = clock_ms() / 1000 + jwt_life_s,
                            .role = ROLE_EDITOR,
                            .scope = "api:read",
                            .jti = jti };
    must(!jws_sign(es, a, "at+jwt", jwt_write(a, issuer, &c), &token, &err), err.msg);
}

/* Leases as Redis would give them, but long enough for the whole run. */
static void make_leases(void)
{
    const struct limits_conf conf = {
        .program = "bench",
        .rate = { [POLICY_CLIENT] = limit_rate_max, [POLICY_USER] = limit_rate_max }
    };
    limits = limits_new(&conf);
    static const struct {
        enum limit_policy p;
        int64_t id, limit;
    } rows[] = {
        { POLICY_KEY,    key_id, limit_rate_max },
        { POLICY_MONTH,  key_id, 1000000000     },
        { POLICY_USER,   3,      limit_rate_max },
        { POLICY_CLIENT, 5,      limit_rate_max }
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct limit_state s;
        struct limit_need n = { .who = { .policy = (unsigned char)rows[i].p },
                                .limit = rows[i].limit,
                                .cost = 1,
                                .window_s = rows[i].p == POLICY_MONTH ? 0 : limit_window_s,
                                .state = &s };
        memcpy(n.who.id, &rows[i].id, sizeof(rows[i].id));
        const struct limit_grant g = {
            .granted = 90000000, .rest = 1, .label = 1, .left_ms = 3600000
        };
        must(limit_apply(limits, &n, &g, clock_mono_us()) == TAKE_OK, "no lease");
    }
}

/* --- the hot path -------------------------------------------------------------------------------
 */

static void one_request(struct arena *own, const char *credential)
{
    struct principal who;
    struct limit_answer x;
    struct err err;
    const struct token_use use = {
        .credential = credential, .addr = "192.0.2.7", .path = "/api/v2/posts/1", .method = "GET"
    };
    must(!token_check_use(&t, own, &use, &who, &err), "the credential is refused");
    const struct limit_request r = { LIMIT_API, 1, &who, use.addr };
    must(!limits_take(limits, own, &r, &x, &err) && x.n >= 2, "the limit refuses");
    limit_policy_header(own, &x);
    limit_header(own, &x);
}

static double hot(const char *credential)
{
    struct arena *own = arena_new();
    int64_t begin = clock_cpu_us();
    for (int i = 0; i < hot_rounds; i++) {
        one_request(own, credential);
        arena_reset(own);
    }
    int64_t us = clock_cpu_us() - begin;
    arena_free(own);
    return (double)us * 1000 / hot_rounds;
}

/* --- signatures, ours beside OpenSSL's ----------------------------------------------------------
 */

static double ours(const struct jose_key *k, bool verify, int rounds)
{
    struct arena *own = arena_new();
    struct err err;
    json_t *payload = json_pack("{s:s,s:s,s:i}", "iss", issuer, "scope", "api:read", "exp", 1);
    char *text;
    must(!jws_sign(k, a, "at+jwt", payload, &text, &err), "no signature");
    int64_t begin = clock_cpu_us();
    for (int i = 0; i < rounds; i++) {
        if (verify)
            must(jws_verify(k, own, text), "a wrong signature");
        else
            must(!jws_sign(k, own, "at+jwt", payload, &(char *){ NULL }, &err), "no signature");
        arena_reset(own);
    }
    int64_t us = clock_cpu_us() - begin;
    json_decref(payload);
    arena_free(own);
    return (double)us * 1000 / rounds;
}

static double raw(EVP_PKEY *k, bool verify, int rounds)
{
    static const unsigned char text[260] = { 'x' };
    unsigned char mac[512];
    size_t n = sizeof(mac);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, k) == 1 &&
             EVP_DigestSign(c, mac, &n, text, sizeof(text)) == 1,
         "OpenSSL does not sign");
    int64_t begin = clock_cpu_us();
    for (int i = 0; i < rounds; i++) {
        size_t len = sizeof(mac);
        EVP_MD_CTX_reset(c);
        if (verify)
            must(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, k) == 1 &&
                     EVP_DigestVerify(c, mac, n, text, sizeof(text)) == 1,
                 "OpenSSL does not verify");
        else {
            unsigned char out[512];
            must(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, k) == 1 &&
                     EVP_DigestSign(c, out, &len, text, sizeof(text)) == 1,
                 "OpenSSL does not sign");
        }
    }
    int64_t us = clock_cpu_us() - begin;
    EVP_MD_CTX_free(c);
    return (double)us * 1000 / rounds;
}

static int by_value(const void *x, const void *y)
{
    double d = *(const double *)x - *(const double *)y;
    return (d > 0) - (d < 0);
}

struct pair {
    const char *name;
    const struct jose_key *key;
    EVP_PKEY *pkey;
    bool verify;
    int rounds;
};

/* The median of pairs taken in turn: the machine has other things to do. */
static void print_pair(const struct pair *p)
{
    double mine[turns], theirs[turns], ratio[turns];
    for (int i = 0; i < turns; i++) {
        mine[i] = ours(p->key, p->verify, p->rounds);
        theirs[i] = raw(p->pkey, p->verify, p->rounds);
        ratio[i] = theirs[i] / mine[i];
    }
    qsort(mine, turns, sizeof(*mine), by_value);
    qsort(theirs, turns, sizeof(*theirs), by_value);
    qsort(ratio, turns, sizeof(*ratio), by_value);
    printf(",\"%s_ns\":%.0f,\"openssl_%s_ns\":%.0f,\"%s_ratio\":%.2f", p->name, mine[turns / 2],
           p->name, theirs[turns / 2], p->name, ratio[turns / 2]);
}

int main(void)
{
    double by_key[turns], by_jwt[turns];
    log_init("auth_bench", LOG_ERROR);
    make_world();
    make_leases();
    for (int i = 0; i < turns; i++) {
        by_key[i] = hot(key_text);
        by_jwt[i] = hot(token);
    }
    qsort(by_key, turns, sizeof(*by_key), by_value);
    qsort(by_jwt, turns, sizeof(*by_jwt), by_value);
    printf("{\"key_and_limit_ns\":%.0f,\"jwt_and_limit_ns\":%.0f", by_key[turns / 2],
           by_jwt[turns / 2]);
    EVP_PKEY *ec = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(rsa_bits);
    must(ec && rsa, "OpenSSL makes no keys");
    const struct pair pairs[] = {
        { "es256_sign",   es, ec,  false, sign_rounds },
        { "es256_verify", es, ec,  true,  sign_rounds },
        { "rs256_sign",   rs, rsa, false, rsa_rounds  },
        { "rs256_verify", rs, rsa, true,  sign_rounds },
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        print_pair(&pairs[i]);
    printf("}\n");
    return 0;
}
