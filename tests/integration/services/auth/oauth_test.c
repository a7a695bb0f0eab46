/*
 * Signing keys, logins and the tables of OAuth on a real database, without HTTP.
 * CMS365_TEST_DATABASE_URL names a role that may create schemas; CMS365_TEST_REDIS_URL.
 */
#include "tests/integration/services/auth/auth_fixture.h"

#include "services/auth/oauth.h"

#include "services/auth/jwk.h"
#include "services/auth/login.h"
#include "services/auth/password.h"

#include "auth/sql.h"

#include <argon2.h>

/* --- signing keys -------------------------------------------------------------------------------
 */

static void refresh(struct signers *s, bool force, int64_t lead_s)
{
    struct err err = { 0 };
    ok(signers_refresh(&svc, s, a, force, lead_s, &err), &err);
}

static char *signed_by(const struct jose_key *k)
{
    char *token;
    struct err err;
    ok(jws_sign(k, a, "at+jwt", json_in(a, json_pack("{s:s}", "iss", "x")), &token, &err), &err);
    return token;
}

/* proves: AU-08, X-06 */
static void signing_keys_are_made_once_and_sealed(void **state)
{
    (void)state;
    struct signers *one = signers_new(), *two = signers_new();
    assert_null(signers_key(one, JOSE_ES256));
    refresh(one, false, signing_lead_s);
    refresh(two, false, signing_lead_s);
    assert_int_equal(number("select count(*) from signing_keys"), 2);
    for (enum jose_alg alg = JOSE_ES256; alg <= JOSE_RS256; alg++) {
        const struct jose_key *k = signers_key(one, alg);
        assert_non_null(k);
        assert_string_equal(jose_key_thumb(signers_key(two, alg)), jose_key_thumb(k));
        json_t *o;
        struct err err;
        char *text = jose_key_text(k, a, JOSE_PRIVATE);
        ok(json_parse(a, text, strlen(text), &o, &err), &err);
        const char *secret = json_string_value(json_object_get(o, "d"));
        static const char *const tables[] = { "signing_keys", "outbox" };
        for (size_t i = 0; i < ARRAY_LEN(tables); i++)
            assert_int_equal(number(arena_printf(
                                 a, "select count(*) from %s t where position('%s' in t::text) > 0",
                                 tables[i], secret)),
                             0);
    }
    assert_int_equal(number("select count(*) from outbox where type = 'signing_key.state'"), 2);
    signers_free(one);
    signers_free(two);
}

/* proves: AU-08: the next key is published before it signs, the last one is accepted after */
static void signing_keys_rotate_with_overlap(void **state)
{
    (void)state;
    struct signers *s = signers_new();
    struct jwts *j = jwts_new("https://cms.example");
    struct err err;
    refresh(s, false, signing_lead_s);
    const struct jose_key *first = signers_key(s, JOSE_ES256);
    char *token = signed_by(first);
    refresh(s, true, signing_lead_s);
    assert_int_equal(number("select count(*) from signing_keys"), 4);
    assert_ptr_equal(signers_key(s, JOSE_ES256), first);
    assert_int_equal(number("select count(*) from signing_keys where expires_at is null"), 2);
    query("update signing_keys set active_at = now() where active_at > now()"); /* after the first's
                                                                                 */
    refresh(s, false, signing_lead_s);
    const struct jose_key *second = signers_key(s, JOSE_ES256);
    assert_ptr_not_equal(second, first);
    /* What the other programs were told lets them accept both. */
    struct db_rows *r =
        query("select payload from outbox where type = 'signing_key.state' order by id");
    for (size_t i = 0; i < db_nrows(r); i++)
        ok(jwts_put_key(j, a, db_str(r, i, 0), strlen(db_str(r, i, 0)), &err), &err);
    assert_true(jws_verify(jwts_find_key(j, jose_key_thumb(first)), a, token));
    assert_true(jws_verify(jwts_find_key(j, jose_key_thumb(second)), a, signed_by(second)));
    /* A week on the first is over. */
    clock_set_ms(clock_ms() + 7 * 86400000ll);
    assert_null(jwts_find_key(j, jose_key_thumb(first)));
    assert_non_null(jwts_find_key(j, jose_key_thumb(second)));
    clock_set_ms(0);
    jwts_free(j);
    signers_free(s);
}

static void signing_keys_grow_old(void **state)
{
    (void)state;
    struct signers *s = signers_new();
    refresh(s, false, 0);
    const struct jose_key *before = signers_key(s, JOSE_RS256);
    query("update signing_keys set active_at = active_at - interval '31 days'");
    refresh(s, false, 0);
    assert_ptr_not_equal(signers_key(s, JOSE_RS256), before);
    signers_free(s);
}

/* --- logins -------------------------------------------------------------------------------------
 */

static enum login_verdict login(const char *name, const char *password, struct login_user *ret)
{
    const struct login_try t = { .name = name, .password = password };
    struct req req = { .svc = &svc, .arena = a, .client_addr = "192.0.2.1" };
    struct login_result r;
    struct err err = { 0 };
    ok(login_verify(&req, &t, &r, &err), &err);
    *ret = r.user;
    return r.verdict;
}

/* proves: AU-11 */
static void password_opens_by_name_or_address_while_active(void **state)
{
    (void)state;
    struct login_user u = { 0 };
    const char *phc = password_hash(a, "correct horse");
    query("insert into people (user_id, role, username, email) values"
          " (7, 'author', 'Erika', 'erika@example.org'), (8, 'author', 'other', 'o@example.org')");
    query(arena_printf(a, "insert into credentials (user_id, password_phc) values (7, '%s')", phc));
    assert_int_equal(login("erika", "correct horse", &u), LOGIN_OK);
    assert_int_equal(u.user_id, 7);
    assert_int_equal(u.role, ROLE_AUTHOR);
    assert_int_equal(login("ERIKA@example.org", "correct horse", &u), LOGIN_OK);
    char *longer = arena_alloc(a, login_password_max + 2);
    memset(longer, 'x', login_password_max + 1);
    static const char *const names[] = { "erika", "other", "nobody", "", "erika' or true --" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(login(names[i], "wrong", &u), LOGIN_REFUSED);
        assert_int_equal(login(names[i], "", &u), LOGIN_REFUSED);
        assert_int_equal(login(names[i], longer, &u), LOGIN_REFUSED);
    }
    query("update people set status = 'suspended' where user_id = 7");
    assert_int_equal(login("erika", "correct horse", &u), LOGIN_REFUSED);
}

/* proves: AU-11: each wrong one makes the next wait longer; what is locked is not looked at */
static void wrong_passwords_make_the_next_wait(void **state)
{
    (void)state;
    struct login_user u = { 0 };
    query("update people set status = 'active' where user_id = 7");
    query("delete from login_tries");
    for (int i = 0; i < 4; i++)
        assert_int_equal(login("erika", "wrong", &u), LOGIN_REFUSED);
    assert_int_equal(number("select count(*) from login_tries where locked_until is not null"), 0);
    int64_t wait = 0;
    for (int i = 0; i < 12; i++) {
        query("update login_tries set locked_until = now() where locked_until is not null");
        assert_int_equal(login("erika", "wrong", &u), LOGIN_REFUSED);
        int64_t next = number("select round(extract(epoch from locked_until - last_at)) from "
                              "login_tries where key like 'name:%'");
        if (next != (wait ? wait * 2 : 1) && next != 900)
            fail_msg("%lld after %lld", (long long)next, (long long)wait);
        wait = next;
    }
    assert_int_equal(wait, 900);
    assert_int_equal(login("erika", "correct horse", &u), LOGIN_LOCKED);
    query("update login_tries set locked_until = now()");
    assert_int_equal(login("erika", "correct horse", &u), LOGIN_OK);
    assert_int_equal(number("select count(*) from login_tries where key like 'name:%'"), 0);
    assert_int_equal(
        number("select count(*) from audit where type = 'login.locked' and user_id = 7"), 1);
    assert_int_equal(number("select count(*) from outbox where type = 'login.locked'"), 1);
}

/* proves: AU-11: forgotten after twice the longest lock */
static void tries_of_long_ago_do_not_count(void **state)
{
    (void)state;
    struct login_user u = { 0 };
    query("delete from login_tries");
    for (int i = 0; i < 4; i++)
        assert_int_equal(login("erika", "wrong", &u), LOGIN_REFUSED);
    query("update login_tries set last_at = now() - interval '1801 seconds'");
    for (int i = 0; i < 4; i++)
        assert_int_equal(login("erika", "wrong", &u), LOGIN_REFUSED);
    assert_int_equal(number("select max(n) from login_tries where key like 'name:%'"), 4);
    query("delete from login_tries");
}

/* proves: AU-11: a hash of other parameters is renewed when its password is given */
static void old_hashes_are_renewed(void **state)
{
    (void)state;
    struct login_user u = { 0 };
    char old[160];
    assert_int_equal(argon2id_hash_encoded(1, 4096, 1, "correct horse", 13, "saltsaltsaltsalt", 16,
                                           32, old, sizeof(old)),
                     ARGON2_OK);
    query(arena_printf(a, "update credentials set password_phc = '%s' where user_id = 7", old));
    assert_int_equal(login("erika", "wrong", &u), LOGIN_REFUSED);
    static const char stale[] =
        "select count(*) from credentials where user_id = 7 and password_phc like '%m=4096%'";
    assert_int_equal(number(stale), 1);
    assert_int_equal(login("erika", "correct horse", &u), LOGIN_OK);
    assert_int_equal(number(stale), 0);
    assert_int_equal(login("erika", "correct horse", &u), LOGIN_OK);
    query("delete from login_tries");
}

/* --- links by mail ------------------------------------------------------------------------------
 */

static const char *mailed;
static int mail_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct auth_cause why = { .actor = "test" };
    struct password_mail m = { .svc = &svc, .a = a, .who = ctx, .purpose = PASSWORD_RESET };
    int rc = password_mail(tx, &m, &why, err);
    mailed = m.url;
    return rc;
}

/* proves: AU-11, X-06: the mail has the link, sealed; nothing on the way shows it */
static void links_travel_sealed(void **state)
{
    (void)state;
    struct person_known who, found;
    struct err err;
    json_t *o;
    void *opened;
    size_t n;
    char hash[65];
    ok(person_find(&svc, a, 7, &who, &err), &err);
    ok(db_tx(svc.db, a, mail_tx, &who, &err), &err);
    struct db_rows *r = query("select payload, topic from outbox where type = 'mail.send'");
    assert_int_equal(db_nrows(r), 1);
    assert_string_equal(db_str(r, 0, 1), "mail.commands");
    const char *token = strstr(mailed, "token=") + 6;
    assert_null(strstr(db_str(r, 0, 0), token));
    ok(json_parse(a, db_str(r, 0, 0), strlen(db_str(r, 0, 0)), &o, &err), &err);
    assert_string_equal(json_string_value(json_object_get(o, "template")), "password_reset");
    assert_string_equal(json_string_value(json_object_get(o, "to")), "erika@example.org");
    const char *sealed = json_string_value(json_object_get(json_object_get(o, "sealed"), "url"));
    ok(crypto_open(svc.keyring, a, "mail.commands", sealed, &opened, &n, &err), &err);
    assert_string_equal(opened, mailed);
    ok(password_token_find(&svc, a, token, &found, hash, &err), &err);
    assert_int_equal(found.id, 7);
    assert_int_equal(
        number(arena_printf(a, "select count(*) from password_tokens where hash = '%s'", hash)), 1);
    query("update password_tokens set expires_at = now()");
    ok(password_token_find(&svc, a, token, &found, hash, &err), &err);
    assert_int_equal(found.id, 0);
}

/* --- people -------------------------------------------------------------------------------------
 */

static int consume_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    return auth_consumers[0].fn(ctx, tx, err);
}

static int64_t denied_ms(const char *member)
{
    struct cache_reply r;
    struct err err;
    const char *const argv[] = { "ZSCORE", "cms365:denied", member };
    int64_t ms = 0;
    ok(cache_call(svc.cache, a, argv, ARRAY_LEN(argv), &r, &err), &err);
    if (r.type == CACHE_TEXT)
        assert_true(str_to_i64(r.text, 1, INT64_MAX, &ms));
    return ms;
}

/* proves: AU-12: access tokens carry the role of their time, so a new role ends them */
static void changed_role_ends_access_tokens(void **state)
{
    (void)state;
    static const char *const roles[] = { "editor", "editor", "author" };
    int64_t seen[3];
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        const char *payload =
            arena_printf(a,
                         "{\"data\":{\"id\":41,\"username\":\"u41\",\"email\":\"u41@example.org\","
                         "\"role\":\"%s\",\"status\":\"active\",\"version\":%zu}}",
                         roles[i], i + 1);
        struct msg m = { .svc = &svc,
                         .arena = a,
                         .topic = "content.events",
                         .key = "user:41",
                         .type = i ? "user.updated" : "user.created",
                         .payload = payload,
                         .len = strlen(payload) };
        struct err err = { 0 };
        ok(db_tx(svc.db, a, consume_tx, &m, &err), &err);
        seen[i] = denied_ms("tokens:41");
    }
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], 0);
    assert_true(seen[2] > 0);
    assert_int_equal(number("select count(*) from people where user_id = 41 and username = 'u41'"
                            " and email = 'u41@example.org'"),
                     1);
}

/* --- tables -------------------------------------------------------------------------------------
 */

static void tables_have_the_columns_of_the_entities(void **state)
{
    (void)state;
    static const struct entity_def *const all[] = { &entity_oauth_client, &entity_oauth_grant };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        for (const struct field_def *f = all[i]->fields; f->name; f++)
            if (number(arena_printf(a,
                                    "select count(*) from information_schema.columns where"
                                    " table_schema = current_schema() and table_name = '%s' and"
                                    " column_name = '%s%s'",
                                    all[i]->table, f->name, f->type == F_REF ? "_id" : "")) != 1)
                fail_msg("%s: no column for %s", all[i]->table, f->name);
}

static void events_show_what_the_entities_show(void **state)
{
    (void)state;
    query("insert into people (user_id, role) values (20, 'author')");
    query("insert into oauth_clients (id, name, user_id, scopes) values (5, 'c', 20, "
          "'{posts:read}')");
    query("insert into oauth_grants (id, user_id, client_id, client_name, scopes)"
          " values (6, 20, 5, 'c', '{posts:read}')");
    static const struct {
        const struct entity_def *entity;
        const struct db_stmt *json;
        int64_t id;
    } cases[] = {
        { &entity_oauth_client, &sql_client_json, 5 },
        { &entity_oauth_grant,  &sql_grant_json,  6 }
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct db_rows *r;
        struct err err;
        json_t *row;
        size_t shown = 0;
        const struct db_val v = db_i64(cases[i].id);
        ok(db_query(svc.db, a, cases[i].json, &v, 1, &r, &err), &err);
        ok(json_parse(a, db_str(r, 0, 0), strlen(db_str(r, 0, 0)), &row, &err), &err);
        for (const struct field_def *f = cases[i].entity->fields; f->name; f++, shown++)
            if (!json_object_get(row, f->name))
                fail_msg("%s: %s is missing", cases[i].entity->name, f->name);
        assert_int_equal(json_object_size(row), shown);
    }
}

static int setup(void **state)
{
    (void)state;
    struct err err;
    int rc = fx_setup("oauth_test", "cms365:denied");
    if (rc)
        return rc;
    own_conf.signing_key_days = 30;
    svc.workers = workers_new(1, 16);
    ok(keyring_parse("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", &svc.keyring, &err), &err);
    return 0;
}

static int teardown(void **state)
{
    workers_free(svc.workers);
    keyring_free(svc.keyring);
    return fx_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signing_keys_are_made_once_and_sealed),
        cmocka_unit_test(signing_keys_rotate_with_overlap),
        cmocka_unit_test(signing_keys_grow_old),
        cmocka_unit_test(password_opens_by_name_or_address_while_active),
        cmocka_unit_test(wrong_passwords_make_the_next_wait),
        cmocka_unit_test(tries_of_long_ago_do_not_count),
        cmocka_unit_test(old_hashes_are_renewed),
        cmocka_unit_test(links_travel_sealed),
        cmocka_unit_test(changed_role_ends_access_tokens),
        cmocka_unit_test(tables_have_the_columns_of_the_entities),
        cmocka_unit_test(events_show_what_the_entities_show),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
