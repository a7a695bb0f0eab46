#include "common/kit/token_jwt.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/token_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char issuer[] = "https://cms.example";
static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct jwt_claims sample(void)
{
    char *jti = arena_alloc(arena, uuid_len + 1);
    uuid7(jti);
    return (struct jwt_claims){ .aud = { issuer },
                                .naud = 1,
                                .user_id = 7,
                                .client_id = 12,
                                .family_id = 3,
                                .issued_ms = clock_ms(),
                                .exp_s = clock_ms() / 1000 + jwt_life_s,
                                .role = ROLE_AUTHOR,
                                .scope = "posts:write keys:read",
                                .granted = (scope_set)1 << S_posts_write,
                                .jti = jti };
}

static int read_as(const char *typ, json_t *payload, struct jwt_claims *ret)
{
    struct jws t = { .payload = payload, .alg = "ES256", .kid = "k", .typ = typ };
    struct err err;
    return jwt_read(arena, &t, issuer, clock_us(), ret, &err);
}

/* proves: AU-08: what RFC 9068 §2.2 wants is there, and is read back */
static void token_says_what_it_was_made_of(void **state)
{
    (void)state;
    struct jwt_claims c = sample(), back;
    json_t *t = jwt_write(arena, issuer, &c);
    static const char *const needed[] = { "iss", "exp", "aud", "sub", "client_id", "iat", "jti" };
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        assert_non_null(json_object_get(t, needed[i]));
    assert_int_equal(read_as("at+jwt", t, &back), 0);
    assert_int_equal(back.user_id, 7);
    assert_int_equal(back.client_id, 12);
    assert_int_equal(back.family_id, 3);
    assert_int_equal(back.role, ROLE_AUTHOR);
    assert_true(scope_has(back.granted, S_posts_write));
    assert_true(scope_has(back.granted, S_keys_read));
    assert_int_equal(back.issued_ms / 1000, c.issued_ms / 1000);
    c.user_id = 0;
    assert_int_equal(read_as("application/at+jwt", jwt_write(arena, issuer, &c), &back), 0);
    assert_int_equal(back.user_id, 0);
}

/* proves: AU-08: RFC 8725 §3.8 to §3.11, RFC 9068 §4 */
static void tokens_for_somebody_else_are_refused(void **state)
{
    (void)state;
    struct jwt_claims c = sample(), back;
    const int64_t now = clock_ms() / 1000;
    const struct {
        const char *name, *json; /* NULL: taken away */
    } cases[] = {
        { "iss", "\"https://evil.example\"" },
        { "iss", "\"https://cms.example/\"" },
        { "iss", NULL },
        { "aud", "\"https://other.example\"" },
        { "aud", "[]" },
        { "aud", NULL },
        { "exp", arena_printf(arena, "%lld", (long long)now - jwt_skew_s - 1) },
        { "exp", "\"tomorrow\"" },
        { "exp", NULL },
        { "iat", arena_printf(arena, "%lld", (long long)now + 60) },
        { "nbf", arena_printf(arena, "%lld", (long long)now + 60) },
        { "sub", "\"365c_13\"" }, /* another client */
        { "sub", "\"-7\"" },
        { "sub", NULL },
        { "client_id", "\"12\"" },
        { "client_id", NULL },
        { "jti", "\"1\"" },
        { "jti", NULL },
        { "scope", NULL },
        { "scope", "[\"posts:write\"]" },
        { "roles", "[\"root\"]" },
        { "roles", NULL },
        { "fam", "0" },
        { "fam", "\"3\"" },
        { "cnf", "{\"x5t#S256\":\"AAAA\"}" },
        { "networks", "\"everywhere\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *t = jwt_write(arena, issuer, &c);
        json_object_del(t, cases[i].name);
        if (cases[i].json)
            json_object_set_new(t, cases[i].name, json_loads(cases[i].json, JSON_DECODE_ANY, NULL));
        if (!read_as("at+jwt", t, &back))
            fail_msg("taken: %s %s", cases[i].name, cases[i].json ? cases[i].json : "absent");
    }
    static const char *const types[] = { NULL, "", "JWT", "dpop+jwt", "at+jwt " };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        assert_int_equal(read_as(types[i], jwt_write(arena, issuer, &c), &back), -E_unauthorized);
}

/* proves: AU-10 */
static void audience_is_a_prefix_by_segments(void **state)
{
    (void)state;
    static const struct {
        const char *aud, *path;
        bool want;
    } cases[] = {
        { "https://cms.example",              "/api/v2/posts",      true  },
        { "https://cms.example/",             "/api/v2/posts",      true  },
        { "https://cms.example/api/v2/posts", "/api/v2/posts",      true  },
        { "https://cms.example/api/v2/posts", "/api/v2/posts/7",    true  },
        { "https://cms.example/api/v2/posts", "/api/v2/postscript", false },
        { "https://cms.example/api/v2/posts", "/api/v2/users",      false },
        { "https://cms.example.evil",         "/api/v2/posts",      false },
        { "https://other.example",            "/api/v2/posts",      false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (jwt_covers(cases[i].aud, issuer, cases[i].path) != cases[i].want)
            fail_msg("%s %s", cases[i].aud, cases[i].path);
}

static void remember(struct jwts *j, unsigned char n, const struct jwt_claims *c,
                     unsigned char hash[32])
{
    sha256(&n, 1, hash);
    jwts_remember(j, hash, c);
}

static void remembered_tokens_end_and_keep_their_limits(void **state)
{
    (void)state;
    struct jwts *j = jwts_new(issuer);
    struct jwt_claims c = sample();
    struct jwt_known k;
    unsigned char hash[32];
    bool there;
    c.networks = "192.0.2.0/24";
    c.aud[0] = "https://cms.example/api/v2/posts";
    remember(j, 1, &c, hash);
    assert_true(jwts_recall(j, hash, "192.0.2.9", "/api/v2/posts/7", &k, &there));
    assert_int_equal(k.user_id, 7);
    assert_true(scope_has(k.scopes, S_posts_read));
    assert_false(jwts_recall(j, hash, "198.51.100.1", "/api/v2/posts/7", &k, &there));
    assert_true(there);
    assert_false(jwts_recall(j, hash, "192.0.2.9", "/api/v2/users", &k, &there));
    clock_set_ms(clock_ms() + (jwt_life_s + jwt_skew_s + 1) * 1000);
    assert_false(jwts_recall(j, hash, "192.0.2.9", "/api/v2/posts/7", &k, &there));
    clock_set_ms(0);
    hash[0] ^= 1;
    assert_false(jwts_recall(j, hash, "192.0.2.9", "/api/v2/posts/7", &k, &there));
    assert_false(there);
    for (unsigned char n = 0; n < 255; n++)
        remember(j, n, &c, hash);
    assert_true(jwts_count(j) <= 255);
    jwts_free(j);
}

/* Rights are the role's at most, whatever the scopes say (rulings.md 13). */
static void role_limits_what_a_token_gives(void **state)
{
    (void)state;
    struct jwts *j = jwts_new(issuer);
    struct jwt_claims c = sample();
    struct jwt_known k;
    unsigned char hash[32];
    bool there;
    c.role = ROLE_MEMBER;
    c.granted = (scope_set)1 << S_api_admin;
    remember(j, 9, &c, hash);
    assert_true(jwts_recall(j, hash, "", "/", &k, &there));
    assert_false(scope_has(k.scopes, S_api_admin));
    assert_false(scope_has(k.scopes, S_posts_write));
    assert_true(scope_has(k.scopes, S_posts_read));
    jwts_free(j);
}

static void key_that_is_over_is_not_found_and_takes_its_tokens(void **state)
{
    (void)state;
    struct jwts *j = jwts_new(issuer);
    struct jose_key *key;
    struct err err;
    struct jwt_claims c = sample();
    struct jwt_known k;
    unsigned char hash[32];
    bool there;
    assert_int_equal(jose_key_make(JOSE_ES256, &key, &err), 0);
    const char *live = jwts_key_json(arena, key, 0),
               *over = jwts_key_json(arena, key, clock_us() - 1);
    assert_null(jwts_find_key(j, jose_key_thumb(key)));
    assert_int_equal(jwts_put_key(j, arena, live, strlen(live), &err), 0);
    assert_non_null(jwts_find_key(j, jose_key_thumb(key)));
    assert_null(jwts_find_key(j, "../../etc/passwd"));
    remember(j, 1, &c, hash);
    assert_int_equal(jwts_put_key(j, arena, over, strlen(over), &err), 0);
    assert_null(jwts_find_key(j, jose_key_thumb(key)));
    assert_false(jwts_recall(j, hash, "", "/", &k, &there));
    assert_false(there);
    assert_int_not_equal(jwts_put_key(j, arena, "{}", 2, &err), 0);
    jose_key_free(key);
    jwts_free(j);
}

/* proves: AU-12 */
static void denied_tokens_are_those_made_until_then(void **state)
{
    (void)state;
    struct token_table t;
    const struct jwt_known k = {
        .issued_ms = 5000, .user_id = 7, .client_id = 12, .family_id = 3, .jti_id = 99
    };
    static const char *const members[] = { "user:7", "tokens:7", "client:12", "family:3",
                                           "jti:99" };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        table_init(&t);
        assert_true(table_allows(&t, &k));
        assert_true(table_revoke(&t, members[i], 4999));
        assert_true(table_allows(&t, &k));
        assert_true(table_revoke(&t, members[i], 5000));
        assert_false(table_allows(&t, &k));
        table_done(&t);
    }
    table_init(&t);
    assert_false(table_revoke(&t, "jti:x", 1));
    assert_false(table_revoke(&t, "family:", 1));
    /* Old ones make room; young ones stay. */
    int64_t now = clock_ms();
    for (int64_t id = 1; id <= 5000; id++)
        table_revoke(&t, arena_printf(arena, "jti:%lld", (long long)id),
                     id % 2 ? now : now - denied_keep_ms - 1000);
    struct jwt_known old = { .issued_ms = now, .jti_id = 4999 };
    assert_false(table_allows(&t, &old));
    assert_true(t.denied[DENY_JTI].cap <= 8192);
    table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_says_what_it_was_made_of),
        cmocka_unit_test(tokens_for_somebody_else_are_refused),
        cmocka_unit_test(audience_is_a_prefix_by_segments),
        cmocka_unit_test(remembered_tokens_end_and_keep_their_limits),
        cmocka_unit_test(role_limits_what_a_token_gives),
        cmocka_unit_test(key_that_is_over_is_not_found_and_takes_its_tokens),
        cmocka_unit_test(denied_tokens_are_those_made_until_then),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
