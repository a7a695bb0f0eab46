/* Keys: their text form, their state on the wire, networks, and the table that checks them. */
#include "common/kit/token_internal.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* proves: AU-01 */
static void made_key_is_parsed_back_with_its_hash(void **state)
{
    (void)state;
    for (int64_t id = 1; id < 5000000000000; id = id * 37 + 1) {
        char text[key_text_max];
        unsigned char hash[32], again[32], sha[32];
        int64_t got;
        key_make("dev", id, text, hash);
        assert_true(str_starts(text, "365k_dev_"));
        assert_true(key_parse(text, &got, again));
        assert_int_equal(got, id);
        assert_memory_equal(hash, again, 32);
        sha256(text, strlen(text), sha);
        assert_memory_equal(hash, sha, 32);
    }
}

/* proves: AU-01: every single typo is found by the checksum, without a look-up */
static void checksum_rejects_every_typo(void **state)
{
    (void)state;
    char text[key_text_max], typo[key_text_max];
    unsigned char hash[32];
    int64_t id;
    key_make("live", 42, text, hash);
    size_t n = strlen(text);
    static const char alphabet[] = "abcXYZ0189_-";
    for (size_t i = 0; i < n; i++) {
        for (const char *c = alphabet; *c; c++) {
            if (text[i] == *c)
                continue;
            memcpy(typo, text, n + 1);
            typo[i] = *c;
            assert_false(key_parse(typo, &id, hash));
        }
        memcpy(typo, text, n + 1); /* a letter left out */
        memmove(typo + i, typo + i + 1, n - i);
        assert_false(key_parse(typo, &id, hash));
        if (i + 1 < n && text[i] != text[i + 1]) { /* two letters swapped */
            memcpy(typo, text, n + 1);
            typo[i] = text[i + 1];
            typo[i + 1] = text[i];
            assert_false(key_parse(typo, &id, hash));
        }
    }
    assert_true(key_parse(text, &id, hash));
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "365k_",
        "365k_dev",
        "365k_dev_",
        "365k_dev_1_",
        "365k__1_x",
        "Bearer x",
        "365k_dev_0_x",
        "365k_dev_-1_x",
        "365k_dev_99999999999999999999999_x",
        "365k_DEV_1_x",
        "\xff\xfe",
    };
    unsigned char hash[32];
    int64_t id;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_false(key_parse(cases[i], &id, hash));
    char big[4096];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_false(key_parse(big, &id, hash));
}

static struct key_state sample(int64_t id)
{
    struct key_state k = { .id = id,
                           .user_id = 7,
                           .role = ROLE_EDITOR,
                           .granted = (scope_set)1 << S_posts_write | (scope_set)1 << S_users_write,
                           .changed_us = clock_us(),
                           .name = "n\"a\\me \xc3\xbc",
                           .allowed_networks = "" };
    memset(k.hash, (int)id, sizeof(k.hash));
    return k;
}

static void state_survives_the_wire(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct key_state k = sample(9), got;
    struct err err;
    k.expires_us = 1790000000000000;
    k.revoked = true;
    k.allowed_networks = "10.0.0.0/8,2001:db8::/32";
    char *json = key_state_json(a, &k);
    assert_int_equal(key_state_parse(a, json, strlen(json), &got, &err), 0);
    assert_int_equal(got.id, 9);
    assert_int_equal(got.user_id, 7);
    assert_int_equal(got.expires_us, k.expires_us);
    assert_int_equal(got.changed_us, k.changed_us);
    assert_int_equal(got.role, ROLE_EDITOR);
    assert_true(got.granted == k.granted);
    assert_true(got.revoked);
    assert_memory_equal(got.hash, k.hash, 32);
    assert_string_equal(got.name, k.name);
    assert_string_equal(got.allowed_networks, k.allowed_networks);
    arena_free(a);
}

/* A limit that is missing or unreadable must not read as "no limit". */
static void state_without_its_limits_is_refused(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct err err;
    struct key_state k = sample(9), got;
    static const char *const parts[] = { "hash",       "role",    "scopes",
                                         "expires_us", "revoked", "allowed_networks",
                                         "id",         "user_id" };
    char *json = key_state_json(a, &k);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        json_t *o;
        assert_int_equal(json_parse(a, json, strlen(json), &o, &err), 0);
        json_object_del(o, parts[i]);
        char *cut = json_text(a, o);
        assert_true(key_state_parse(a, cut, strlen(cut), &got, &err) < 0);
    }
    assert_true(key_state_parse(a, "[]", 2, &got, &err) < 0);
    assert_true(key_state_parse(a, "{", 1, &got, &err) < 0);
    arena_free(a);
}

static enum token_verdict checked(struct token_table *t, int64_t id, const unsigned char hash[32])
{
    struct principal who;
    return table_check(t, id, hash, "192.0.2.1", &who);
}

/* proves: AU-02: both keys in the overlap, one after it; what is older than a rotation is asked */
static void a_rotated_key_is_accepted_until_its_time(void **state)
{
    (void)state;
    struct token_table t;
    struct key_state k = sample(9);
    struct arena *a = arena_new();
    struct err err;
    unsigned char old[32], other[32] = { 5 };
    memcpy(old, k.hash, sizeof(old));
    table_init(&t);
    k.changed_us = clock_us();
    table_put(&t, &k);
    assert_int_equal(checked(&t, 9, old), TOKEN_OK);
    assert_true(table_revoke(&t, "rekey:9", k.changed_us / 1000 + 1));
    assert_int_equal(checked(&t, 9, old), TOKEN_UNKNOWN);
    assert_false(table_has(&t, 9));
    memcpy(k.previous, old, sizeof(old));
    memcpy(k.hash, other, sizeof(other));
    k.previous_until_us = clock_us() + 3600 * 1000000ll;
    k.changed_us += 2000;
    char *json = key_state_json(a, &k);
    assert_int_equal(key_state_parse(a, json, strlen(json), &k, &err), 0);
    table_put(&t, &k);
    assert_true(table_has(&t, 9));
    assert_int_equal(checked(&t, 9, old), TOKEN_OK);
    assert_int_equal(checked(&t, 9, other), TOKEN_OK);
    k.previous_until_us = clock_us() - 1;
    table_put(&t, &k);
    assert_int_equal(checked(&t, 9, old), TOKEN_OTHER);
    assert_int_equal(checked(&t, 9, other), TOKEN_OK);
    k.previous_until_us = 0;
    memset(k.previous, 0, sizeof(k.previous));
    json = key_state_json(a, &k);
    assert_null(strstr(json, "previous"));
    table_put(&t, &k);
    assert_int_equal(checked(&t, 9, k.previous), TOKEN_OTHER);
    k.revoked = true;
    table_put(&t, &k);
    assert_true(table_revoke(&t, "rekey:9", k.changed_us / 1000 + 1000));
    assert_int_equal(checked(&t, 9, other), TOKEN_REFUSED); /* nobody is asked for what is over */
    arena_free(a);
    table_done(&t);
}

/* proves: AU-03 */
static void networks_hold_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *list, *addr;
        bool want;
    } cases[] = {
        { "10.0.0.0/8",             "10.1.2.3",         true  },
        { "10.0.0.0/8",             "11.1.2.3",         false },
        { "10.0.0.0/8",             "::ffff:10.1.2.3",  true  },
        { "10.0.0.0/8",             "::ffff:11.1.2.3",  false },
        { "192.0.2.7",              "192.0.2.7",        true  },
        { "192.0.2.7",              "192.0.2.8",        false },
        { "192.0.2.0/25",           "192.0.2.127",      true  },
        { "192.0.2.0/25",           "192.0.2.128",      false },
        { "2001:db8::/33",          "2001:db8:7fff::1", true  },
        { "2001:db8::/33",          "2001:db8:8000::1", false },
        { "10.0.0.0/8,2001:db8::1", "2001:db8::1",      true  },
        { "10.0.0.0/8, 127.0.0.1",  "127.0.0.1",        true  },
        { "0.0.0.0/0",              "203.0.113.9",      true  },
        { "0.0.0.0/0",              "2001:db8::1",      false },
        { "::/0",                   "2001:db8::1",      true  },
        { "::/0",                   "203.0.113.9",      false },
        { "::/0",                   "::ffff:10.1.2.3",  false },
        { "::ffff:10.0.0.0/104",    "10.1.2.3",         true  },
        { "10.0.0.0/8",             "nonsense",         false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct networks *l = NULL;
        assert_true(networks_parse(cases[i].list, &l));
        assert_int_equal(networks_hold(l, cases[i].addr), cases[i].want);
        assert_false(networks_hold(l, NULL));
        free(l);
    }
    static const char *const bad[] = { "10.0.0.0/33", "2001:db8::/129",         "10.0.0",    "x",
                                       "10.0.0.0/-1", "10.0.0.0/8,,10.0.0.0/8", "10.0.0.0/", "/8",
                                       "localhost" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(key_networks_ok(bad[i]));
    assert_true(key_networks_ok(""));
}

static enum token_verdict check(struct token_table *t, int64_t id, const char *addr,
                                struct principal *who)
{
    unsigned char hash[32];
    memset(hash, (int)id, sizeof(hash));
    return table_check(t, id, hash, addr, who);
}

static void table_answers_for_every_state(void **state)
{
    (void)state;
    struct token_table t;
    struct principal who;
    struct key_state k = sample(1);
    table_init(&t);
    assert_int_equal(check(&t, 1, "10.0.0.1", &who), TOKEN_UNKNOWN);
    table_put(&t, &k);
    assert_int_equal(check(&t, 1, "10.0.0.1", &who), TOKEN_OK);
    assert_int_equal(who.user_id, 7);
    assert_int_equal(who.key_id, 1);
    assert_true(scope_has(who.scopes, S_posts_read)); /* implied by posts:write */
    assert_false(scope_has(who.scopes, S_pages_read));
    /* proves: AU-04: never more than the role */
    k = sample(2);
    k.granted = ~(scope_set)0;
    k.role = ROLE_MEMBER;
    table_put(&t, &k);
    assert_int_equal(check(&t, 2, "10.0.0.1", &who), TOKEN_OK);
    assert_false(scope_has(who.scopes, S_api_admin));
    assert_false(scope_has(who.scopes, S_posts_write));
    /* another secret */
    unsigned char wrong[32] = { 9 };
    assert_int_equal(table_check(&t, 1, wrong, "10.0.0.1", &who), TOKEN_OTHER);
    k = sample(3);
    k.expires_us = clock_us() - 1;
    table_put(&t, &k);
    assert_int_equal(check(&t, 3, "10.0.0.1", &who), TOKEN_REFUSED);
    k = sample(4);
    k.role = ROLE_NONE;
    table_put(&t, &k);
    assert_int_equal(check(&t, 4, "10.0.0.1", &who), TOKEN_REFUSED);
    k = sample(5);
    k.allowed_networks = "10.0.0.0/8";
    table_put(&t, &k);
    assert_int_equal(check(&t, 5, "10.0.0.1", &who), TOKEN_OK);
    assert_int_equal(check(&t, 5, "192.0.2.1", &who), TOKEN_REFUSED);
    k = sample(6);
    k.allowed_networks = "not a network";
    table_put(&t, &k);
    assert_int_equal(check(&t, 6, "10.0.0.1", &who), TOKEN_REFUSED);
    table_drop(&t, 1);
    assert_int_equal(check(&t, 1, "10.0.0.1", &who), TOKEN_REFUSED);
    assert_int_equal(table_count(&t), 6);
    table_done(&t);
}

/* proves: AU-12 (the table's part) */
static void revocations_hold_before_and_after_the_state_comes(void **state)
{
    (void)state;
    struct token_table t;
    struct principal who;
    struct key_state k = sample(1);
    table_init(&t);
    table_put(&t, &k);
    assert_true(table_revoke(&t, "key:1", clock_ms()));
    assert_int_equal(check(&t, 1, "::1", &who), TOKEN_REFUSED);
    k.changed_us += 10000000; /* a late update of a revoked key does not bring it back */
    table_put(&t, &k);
    assert_int_equal(check(&t, 1, "::1", &who), TOKEN_REFUSED);
    assert_true(table_revoke(&t, "key:2", clock_ms()));
    k = sample(2);
    table_put(&t, &k);
    assert_int_equal(check(&t, 2, "::1", &who), TOKEN_REFUSED);
    /* A suspended user's keys work again once published after the suspension. */
    k = sample(3);
    table_put(&t, &k);
    assert_true(table_revoke(&t, "user:7", k.changed_us / 1000 + 5));
    assert_int_equal(check(&t, 3, "::1", &who), TOKEN_REFUSED);
    k.changed_us += 1000000;
    table_put(&t, &k);
    assert_int_equal(check(&t, 3, "::1", &who), TOKEN_OK);
    k.changed_us -= 500000; /* out of order */
    k.revoked = true;
    table_put(&t, &k);
    assert_int_equal(check(&t, 3, "::1", &who), TOKEN_OK);
    assert_false(table_revoke(&t, "nonsense", 1));
    assert_false(table_revoke(&t, "key:x", 1));
    assert_false(table_revoke(&t, "role:7", 1));
    table_done(&t);
}

static void table_grows_and_finds_every_key(void **state)
{
    (void)state;
    enum { n = 20000 };
    struct token_table t;
    struct principal who;
    table_init(&t);
    for (int64_t i = 1; i <= n; i++) {
        struct key_state k = sample(i * 3);
        table_put(&t, &k);
    }
    assert_int_equal(table_count(&t), n);
    for (int64_t i = 1; i <= n; i++) {
        assert_int_equal(check(&t, i * 3, "::1", &who), TOKEN_OK);
        assert_int_equal(who.key_id, i * 3);
        assert_int_equal(check(&t, i * 3 + 1, "::1", &who), TOKEN_UNKNOWN);
    }
    table_done(&t);
}

/* The whole check, parse to principal, within 10 us: with slack, it is CPU time on a shared
 * machine. */
static void check_costs_microseconds(void **state)
{
    (void)state;
    enum { rounds = 20000 };
    struct token_table t;
    struct principal who;
    struct key_state k = sample(12345);
    char text[key_text_max];
    table_init(&t);
    key_make("dev", 12345, text, k.hash);
    table_put(&t, &k);
    int64_t start = clock_cpu_us(), id;
    for (int i = 0; i < rounds; i++) {
        unsigned char hash[32];
        assert_true(key_parse(text, &id, hash));
        assert_int_equal(table_check(&t, id, hash, "10.0.0.1", &who), TOKEN_OK);
    }
    int64_t each_ns = (clock_cpu_us() - start) * 1000 / rounds;
    print_message("key check: %lld ns\n", (long long)each_ns);
    assert_true(each_ns < 100000);
    table_done(&t);
}

/* proves: AU-03: the organisation's list is beside the key's own; the newest one holds, and one
 * that cannot be read lets nobody in */
static void policy_binds_every_key(void **state)
{
    (void)state;
    struct arena *own = arena_new();
    struct token_table t;
    struct principal who;
    struct policy_state p;
    struct err err;
    struct key_state k = { .id = 7,
                           .user_id = 3,
                           .role = ROLE_EDITOR,
                           .granted = (scope_set)1 << S_api_read,
                           .allowed_networks = "10.0.0.0/8,192.0.2.0/24" };
    table_init(&t);
    table_put(&t, &k);
    const struct policy_state first = { 1000000, "192.0.2.0/24,198.51.100.0/24" };
    char *json = policy_state_json(own, &first);
    assert_int_equal(policy_state_parse(own, json, strlen(json), &p, &err), 0);
    assert_true(table_network_ok(&t, "203.0.113.9"));
    table_put_policy(&t, &p);
    static const struct {
        const char *addr;
        bool all, key;
    } cases[] = {
        { "192.0.2.7",    true,  true  },
        { "10.1.2.3",     false, false },
        { "198.51.100.1", true,  false },
        { "2001:db8::1",  false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        who.denied_key = 0;
        assert_int_equal(table_network_ok(&t, cases[i].addr), cases[i].all);
        enum token_verdict v = table_check(&t, 7, k.hash, cases[i].addr, &who);
        assert_int_equal(v, cases[i].key ? TOKEN_OK : TOKEN_REFUSED);
        if (!cases[i].key)
            assert_int_equal(who.denied_key, 7);
    }
    assert_false(table_policy_old(&t));
    assert_true(table_revoke(&t, "policy:1", 2000));
    assert_true(table_policy_old(&t));
    table_put_policy(&t, &(struct policy_state){ 999999, "" }); /* of before */
    assert_false(table_network_ok(&t, "10.1.2.3"));
    table_put_policy(&t, &(struct policy_state){ 2000000, "" });
    assert_true(table_network_ok(&t, "10.1.2.3"));
    assert_false(table_policy_old(&t));
    table_put_policy(&t, &(struct policy_state){ 3000000, "no network" });
    assert_false(table_network_ok(&t, "10.1.2.3"));
    static const char *const bad[] = { "[]", "{}", "{\"changed_us\":1}",
                                       "{\"allowed_networks\":\"\"}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_not_equal(policy_state_parse(own, bad[i], strlen(bad[i]), &p, &err), 0);
    table_done(&t);
    arena_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_key_is_parsed_back_with_its_hash),
        cmocka_unit_test(checksum_rejects_every_typo),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(state_survives_the_wire),
        cmocka_unit_test(state_without_its_limits_is_refused),
        cmocka_unit_test(a_rotated_key_is_accepted_until_its_time),
        cmocka_unit_test(networks_hold_what_they_say),
        cmocka_unit_test(policy_binds_every_key),
        cmocka_unit_test(table_answers_for_every_state),
        cmocka_unit_test(revocations_hold_before_and_after_the_state_comes),
        cmocka_unit_test(table_grows_and_finds_every_key),
        cmocka_unit_test(check_costs_microseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
