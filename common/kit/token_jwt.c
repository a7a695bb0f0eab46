/* Access tokens: what they say, and the table of those that were verified. */
#include "common/kit/token_jwt.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/token_internal.h"

#include <assert.h>

static const char client_prefix[] = "365c_";

/* --- claims -------------------------------------------------------------------------------------
 */

char *jwt_client_text(struct arena *a, int64_t client_id)
{
    return arena_printf(a, "%s%lld", client_prefix, (long long)client_id);
}

bool jwt_client_parse(const char *text, int64_t *ret)
{
    return str_starts(text, client_prefix) && text[sizeof(client_prefix) - 1] != '0' &&
           str_to_i64(text + sizeof(client_prefix) - 1, 1, (INT64_C(1) << 53) - 1, ret);
}

int64_t jwt_jti_id(const char *jti)
{
    unsigned char h[sha256_bytes];
    uint64_t id = 0;
    sha256(jti, strlen(jti), h);
    for (size_t i = 0; i < sizeof(id); i++)
        id = id << 8 | h[i];
    return (int64_t)(id >> 1) | 1;
}

json_t *jwt_write(struct arena *a, const char *issuer, const struct jwt_claims *c)
{
    json_t *aud = json_array();
    const char *client = jwt_client_text(a, c->client_id);
    for (size_t i = 0; i < c->naud; i++)
        json_array_append_new(aud, json_string(c->aud[i]));
    if (c->naud == 1) {
        json_decref(aud);
        aud = json_string(c->aud[0]);
    }
    json_t *t =
        json_pack("{s:s,s:o,s:s,s:s,s:s,s:[s],s:I,s:I,s:s}", "iss", issuer, "aud", aud, "sub",
                  c->user_id ? arena_printf(a, "%lld", (long long)c->user_id) : client, "client_id",
                  client, "scope", c->scope, "roles", role_name(c->role), "iat",
                  (json_int_t)(c->issued_ms / 1000), "exp", (json_int_t)c->exp_s, "jti", c->jti);
    assert(t); /* text that is not UTF-8 */
    if (c->family_id)
        json_object_set_new(t, "fam", json_integer(c->family_id));
    if (c->jkt)
        json_object_set_new(t, "cnf", json_pack("{s:s}", "jkt", c->jkt));
    if (c->networks)
        json_object_set_new(t, "networks", json_string(c->networks));
    if (c->rate_limit)
        json_object_set_new(t, "rate_limit", json_integer(c->rate_limit));
    if (c->quota_monthly)
        json_object_set_new(t, "quota_monthly", json_integer(c->quota_monthly));
    return json_in(a, t);
}

static int wrong(struct err *err, const char *why)
{
    err_set(err, E_unauthorized, "The credential is not valid.");
    return err_detail(err, "token: %s", why);
}

static bool read_audience(const json_t *aud, const char *issuer, struct jwt_claims *c)
{
    size_t n = json_is_array(aud) ? json_array_size(aud) : 1;
    if (!n || n > jwt_aud_max)
        return false;
    for (size_t i = 0; i < n; i++) {
        c->aud[i] = json_string_value(json_is_array(aud) ? json_array_get(aud, i) : aud);
        if (!c->aud[i] || strchr(c->aud[i], '\n'))
            return false;
        if (str_starts(c->aud[i], issuer))
            c->naud = n;
    }
    return c->naud == n;
}

/* Who acts: a user by a client, or the client itself. */
static bool read_subject(const json_t *p, struct jwt_claims *c)
{
    const char *sub = json_string_value(json_object_get(p, "sub"));
    const char *client = json_string_value(json_object_get(p, "client_id"));
    if (!sub || !client || !jwt_client_parse(client, &c->client_id))
        return false;
    return str_eq(sub, client) || str_to_i64(sub, 1, (INT64_C(1) << 53) - 1, &c->user_id);
}

static void read_scopes(struct arena *a, struct jwt_claims *c)
{
    char *s = arena_strdup(a, c->scope);
    while (*s) {
        size_t n = strcspn(s, " ");
        bool last = !s[n];
        s[n] = '\0';
        int scope = scope_find(s);
        if (scope >= 0)
            c->granted |= (scope_set)1 << scope;
        s += n + !last;
    }
}

/* Absent is none; anything else that is no limit is no token of ours. */
static bool read_limit(const json_t *v, int64_t *ret)
{
    *ret = json_integer_value(v);
    return !v || (json_is_integer(v) && *ret > 0);
}

static const char *read_times(const json_t *p, int64_t now_us, struct jwt_claims *c)
{
    const json_t *exp = json_object_get(p, "exp"), *iat = json_object_get(p, "iat");
    const json_t *nbf = json_object_get(p, "nbf");
    unsigned char uuid[16];
    int64_t now_s = now_us / 1000000;
    if (!json_is_integer(exp) || !json_is_integer(iat) || (nbf && !json_is_integer(nbf)))
        return "exp, iat or nbf is no number";
    c->exp_s = json_integer_value(exp);
    if (c->exp_s <= now_s - jwt_skew_s)
        return "it has expired";
    if (json_integer_value(iat) > now_s + jwt_skew_s ||
        (nbf && json_integer_value(nbf) > now_s + jwt_skew_s))
        return "its time has not come";
    c->jti = json_string_value(json_object_get(p, "jti"));
    if (!c->jti || !uuid_parse(c->jti, uuid))
        return "jti is not ours";
    c->issued_ms = uuid7_ms(uuid);
    return NULL;
}

int jwt_read(struct arena *a, const struct jws *token, const char *issuer, int64_t now_us,
             struct jwt_claims *ret, struct err *err)
{
    const json_t *p = token->payload;
    const json_t *roles = json_object_get(p, "roles"), *cnf = json_object_get(p, "cnf");
    const json_t *family = json_object_get(p, "fam"), *networks = json_object_get(p, "networks");
    *ret = (struct jwt_claims){ .naud = 0 };
    /* RFC 9068 §4: the type first, so that no other token of ours can be taken for one. */
    if (!str_ieq(token->typ, "at+jwt") && !str_ieq(token->typ, "application/at+jwt"))
        return wrong(err, "typ is not at+jwt");
    if (!str_eq(json_string_value(json_object_get(p, "iss")), issuer))
        return wrong(err, "another issuer");
    if (!read_audience(json_object_get(p, "aud"), issuer, ret))
        return wrong(err, "another audience");
    const char *why = read_times(p, now_us, ret);
    if (why)
        return wrong(err, why);
    ret->scope = json_string_value(json_object_get(p, "scope"));
    ret->role = role_find(json_string_value(json_array_get(roles, 0)));
    if (!read_subject(p, ret) || !ret->scope || ret->role == ROLE_NONE)
        return wrong(err, "sub, client_id, scope or roles is not ours");
    if (family && (!json_is_integer(family) || json_integer_value(family) <= 0))
        return wrong(err, "fam is not ours");
    ret->family_id = json_integer_value(family);
    ret->jkt = json_string_value(json_object_get(cnf, "jkt"));
    if (cnf && (!ret->jkt || strlen(ret->jkt) != jwk_thumb_len))
        return wrong(err, "a binding that we do not know");
    ret->networks = json_string_value(networks);
    if (networks && (!ret->networks || !key_networks_ok(ret->networks)))
        return wrong(err, "networks is not a list of networks");
    if (!read_limit(json_object_get(p, "rate_limit"), &ret->rate_limit) ||
        !read_limit(json_object_get(p, "quota_monthly"), &ret->quota_monthly))
        return wrong(err, "rate_limit or quota_monthly is not ours");
    read_scopes(a, ret);
    return 0;
}

bool jwt_covers(const char *aud, const char *issuer, const char *path)
{
    size_t n = strlen(issuer);
    if (strncmp(aud, issuer, n) != 0)
        return false;
    const char *rest = aud + n;
    size_t rest_n = strlen(rest);
    while (rest_n && rest[rest_n - 1] == '/')
        rest_n--;
    return !strncmp(path, rest, rest_n) && (!rest_n || !path[rest_n] || path[rest_n] == '/');
}

/* --- what is remembered -------------------------------------------------------------------------
 */

enum { ways = 4 };
struct known {
    struct jwt_known v;
    struct networks *networks;
    char *aud; /* one a line; NULL: the slot is free */
};
struct known_key {
    struct jose_key *key;
    int64_t expires_us; /* 0: in use */
};
struct jwts {
    char *issuer;
    pthread_rwlock_t lock;
    struct known *slot; /* jwt_slots, in sets of `ways` */
    size_t n;
    struct known_key keys[jwt_keys_max];
    size_t nkeys;
};

struct jwts *jwts_new(const char *issuer)
{
    struct jwts *j = calloc(1, sizeof(*j));
    assert(j);
    j->issuer = strdup(issuer);
    j->slot = calloc(jwt_slots, sizeof(*j->slot));
    assert(j->issuer && j->slot);
    pthread_rwlock_init(&j->lock, NULL);
    return j;
}

static void forget(struct jwts *j, struct known *k)
{
    if (!k->aud)
        return;
    free(k->aud);
    free(k->networks);
    *k = (struct known){ .aud = NULL };
    j->n--;
}

void jwts_free(struct jwts *j)
{
    if (!j)
        return;
    for (size_t i = 0; i < jwt_slots; i++)
        forget(j, &j->slot[i]);
    for (size_t i = 0; i < j->nkeys; i++)
        jose_key_free(j->keys[i].key);
    pthread_rwlock_destroy(&j->lock);
    free(j->slot);
    free(j->issuer);
    free(j);
}

size_t jwts_count(struct jwts *j)
{
    pthread_rwlock_rdlock(&j->lock);
    size_t n = j->n;
    pthread_rwlock_unlock(&j->lock);
    return n;
}

/* --- keys */

char *jwts_key_json(struct arena *a, const struct jose_key *k, int64_t expires_us)
{
    return arena_printf(a, "{\"kid\":\"%s\",\"jwk\":%s,\"expires_us\":%lld}", jose_key_thumb(k),
                        jose_key_text(k, a, JOSE_PUBLIC), (long long)expires_us);
}

static struct known_key *key_of(struct jwts *j, const char *kid)
{
    for (size_t i = 0; i < j->nkeys; i++)
        if (str_eq(jose_key_thumb(j->keys[i].key), kid))
            return &j->keys[i];
    return NULL;
}

/* Keys stay until the end, so that one may be used without the lock; they are few. */
int jwts_put_key(struct jwts *j, struct arena *a, const char *json, size_t n, struct err *err)
{
    json_t *o;
    struct jose_key *key;
    int rc = json_parse(a, json, n, &o, err);
    if (rc)
        return rc;
    const char *jwk = json_text(a, json_object_get(o, "jwk"));
    const json_t *expires = json_object_get(o, "expires_us");
    if (!json_is_object(json_object_get(o, "jwk")) || !json_is_integer(expires))
        return err_set(err, E_invalid, "not a signing key: jwk or expires_us");
    rc = jose_key_parse(jwk, strlen(jwk), JOSE_PUBLIC, &key, err);
    if (rc)
        return rc;
    pthread_rwlock_wrlock(&j->lock);
    struct known_key *old = key_of(j, jose_key_thumb(key));
    if (old || j->nkeys == jwt_keys_max) {
        jose_key_free(key);
    } else {
        old = &j->keys[j->nkeys++];
        *old = (struct known_key){ .key = key };
    }
    if (old)
        old->expires_us = json_integer_value(expires);
    /* A key that is over takes with it what it has signed. */
    for (size_t i = 0; old && old->expires_us && old->expires_us <= clock_us() && i < jwt_slots;
         i++)
        forget(j, &j->slot[i]);
    pthread_rwlock_unlock(&j->lock);
    return old ? 0 : err_set(err, E_invalid, "There are more than %d signing keys.", jwt_keys_max);
}

const struct jose_key *jwts_find_key(struct jwts *j, const char *kid)
{
    pthread_rwlock_rdlock(&j->lock);
    const struct known_key *k = key_of(j, kid);
    const struct jose_key *key =
        k && (!k->expires_us || k->expires_us > clock_us()) ? k->key : NULL;
    pthread_rwlock_unlock(&j->lock);
    return key;
}

/* --- tokens */

static struct known *set_of(struct jwts *j, const unsigned char hash[32])
{
    size_t i;
    memcpy(&i, hash, sizeof(i));
    return &j->slot[i % (jwt_slots / ways) * ways];
}

static bool usable(const struct jwts *j, const struct known *k, const char *path)
{
    bool covered = false;
    if (k->v.exp_us <= clock_us())
        return false;
    for (const char *line = k->aud; *line && !covered;) {
        size_t n = strcspn(line, "\n");
        char one[512];
        if (n < sizeof(one)) {
            memcpy(one, line, n);
            one[n] = '\0';
            covered = jwt_covers(one, j->issuer, path);
        }
        line += n + (line[n] == '\n');
    }
    return covered;
}

bool jwts_recall(struct jwts *j, const unsigned char hash[32], const char *addr, const char *path,
                 struct jwt_known *ret, bool *ret_there)
{
    bool ok = false;
    *ret_there = false;
    pthread_rwlock_rdlock(&j->lock);
    const struct known *k = set_of(j, hash);
    for (size_t i = 0; i < ways && !*ret_there; i++, k++) {
        *ret_there = k->aud && !memcmp(k->v.hash, hash, sizeof(k->v.hash));
        if (*ret_there) {
            *ret = k->v;
            ok = usable(j, k, path);
            ret->elsewhere = ok && k->networks && !networks_hold(k->networks, addr);
            ok = ok && !ret->elsewhere;
        }
    }
    pthread_rwlock_unlock(&j->lock);
    return ok;
}

static char *join_audience(const struct jwt_claims *c)
{
    size_t n = 1;
    for (size_t i = 0; i < c->naud; i++)
        n += strlen(c->aud[i]) + 1;
    char *text = calloc(1, n), *p = text;
    assert(text);
    for (size_t i = 0; i < c->naud; i++) {
        size_t len = strlen(c->aud[i]);
        memcpy(p, c->aud[i], len);
        p[len] = '\n';
        p += len + 1;
    }
    return text;
}

void jwts_remember(struct jwts *j, const unsigned char hash[32], const struct jwt_claims *c)
{
    struct known fresh = {
        .v = { .exp_us = (c->exp_s + jwt_skew_s) * 1000000,
              .issued_ms = c->issued_ms,
              .user_id = c->user_id,
              .client_id = c->client_id,
              .family_id = c->family_id,
              .jti_id = jwt_jti_id(c->jti),
              .rate_limit = c->rate_limit,
              .quota_monthly = c->quota_monthly,
              .role = c->role,
              .scopes = scope_expand(c->granted) & role_scopes(c->role) },
        .aud = join_audience(c),
    };
    memcpy(fresh.v.hash, hash, sizeof(fresh.v.hash));
    snprintf(fresh.v.jkt, sizeof(fresh.v.jkt), "%s", c->jkt ? c->jkt : "");
    bool readable = networks_parse(c->networks ? c->networks : "", &fresh.networks);
    assert(readable); /* jwt_read has looked */
    (void)readable;
    pthread_rwlock_wrlock(&j->lock);
    struct known *set = set_of(j, hash), *place = set;
    for (size_t i = 0; i < ways; i++) { /* the same, or free, or the next to expire */
        if (set[i].aud && !memcmp(set[i].v.hash, hash, sizeof(set[i].v.hash))) {
            place = &set[i];
            break;
        }
        if (place->aud && (!set[i].aud || set[i].v.exp_us < place->v.exp_us))
            place = &set[i];
    }
    forget(j, place);
    *place = fresh;
    j->n++;
    pthread_rwlock_unlock(&j->lock);
}
