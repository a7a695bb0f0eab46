/*
 * auth on a real database and Redis, without HTTP: what it makes of user events, its first
 * administrator, its statements.  CMS365_TEST_DATABASE_URL names a role that may create schemas;
 * CMS365_TEST_REDIS_URL.
 */
#include "tests/integration/services/auth/auth_fixture.h"

#include "common/base/json.h"
#include "common/kit/key_use.h"
#include "proto/entity.h"
#include "services/auth/policy.h"

#include "auth/sql.h"

/* --- tools
 * ---------------------------------------------------------------------------------------- */

static const char *text(const char *sql)
{
    struct db_rows *r = query(sql);
    return db_nrows(r) ? db_str(r, 0, 0) : NULL;
}

static struct msg event(const char *type, const char *payload)
{
    char *id = arena_alloc(a, uuid_len + 1);
    uuid7(id);
    return (struct msg){ .svc = &svc,
                         .arena = a,
                         .topic = "content.events",
                         .key = "user:7",
                         .event_id = id,
                         .type = type,
                         .payload = payload,
                         .len = strlen(payload) };
}

static int call(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct msg *m = ctx;
    const struct consumer *c = auth_consumers;
    while (strncmp(m->type, c->types, strlen(c->types)))
        c++;
    return c->fn(ctx, tx, err);
}

static int consume(const char *type, const char *payload)
{
    struct msg m = event(type, payload);
    struct err err = { 0 };
    return db_tx(svc.db, a, call, &m, &err);
}

static const char *user(int id, const char *role, const char *status, int version)
{
    return arena_printf(
        a,
        "{\"data\":{\"id\":%d,\"username\":\"u\",\"role\":\"%s\",\"status\":\"%s\",\"version\":%d,"
        "\"deleted_at\":null},\"changed\":[],\"owner_id\":%d}",
        id, role, status, version, id);
}

static int64_t made;
static char key_text[key_text_max];

static int make_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    static const char *const all[] = { "api:admin" };
    struct auth_cause why = { .actor = "test" };
    struct auth_new_key k = {
        .env = "test", .name = "k", .user_id = *(int64_t *)ctx, .scopes = db_texts(all, 1)
    };
    return auth_make_key(tx, a, &k, &why, &made, key_text, err);
}

static int64_t make_key(int64_t user_id)
{
    struct err err;
    ok(db_tx(svc.db, a, make_tx, &user_id, &err), &err);
    return made;
}

/* The newest state of a key on its way to auth.keys. */
static struct key_state state_of(int64_t key)
{
    struct key_state k = { .id = 0 };
    struct err err;
    const char *json =
        text(arena_printf(a,
                          "select payload from outbox where topic = 'auth.keys' and key ="
                          " 'key:%lld' order by id desc limit 1",
                          (long long)key));
    assert_non_null(json);
    ok(key_state_parse(a, json, strlen(json), &k, &err), &err);
    return k;
}

static int64_t revoked_ms(const char *member)
{
    struct cache_reply r;
    struct err err;
    const char *const argv[] = { "ZSCORE", "cms365:revoked", member };
    int64_t ms = 0;
    ok(cache_call(svc.cache, a, argv, 3, &r, &err), &err);
    if (r.type == CACHE_TEXT)
        assert_true(str_to_i64(r.text, 1, INT64_MAX, &ms));
    return ms;
}

/* --- tests
 * ---------------------------------------------------------------------------------------- */

static void every_statement_prepares_on_the_schema(void **state)
{
    (void)state;
    struct err err;
    for (const struct db_stmt *const *s = sql_all; *s; s++)
        ok(db_session_script(session, arena_printf(a, "prepare t_%s as %s", (*s)->name, (*s)->sql),
                             &err),
           &err);
}

static void table_has_the_columns_of_the_entity(void **state)
{
    (void)state;
    const struct entity_def *e = entity_find("api_key");
    for (const struct field_def *f = e->fields; f->name; f++) {
        int64_t n = number(
            arena_printf(a,
                         "select count(*) from information_schema.columns where table_schema ="
                         " current_schema() and table_name = '%s' and column_name = '%s%s'",
                         e->table, f->name, f->type == F_REF ? "_id" : ""));
        if (n != 1)
            fail_msg("no column for %s", f->name);
    }
}

/* proves: AU-01: one representation, whether a key is made or read */
static void new_key_is_shown_with_the_fields_of_the_entity(void **state)
{
    (void)state;
    json_t *row;
    struct err err;
    ok(consume("user.created", user(20, "author", "active", 1)), &err);
    int64_t id = make_key(20);
    struct db_rows *r;
    struct db_val v = db_i64(id);
    ok(db_query(svc.db, a, &sql_key_json, &v, 1, &r, &err), &err);
    ok(json_parse(a, db_str(r, 0, 0), strlen(db_str(r, 0, 0)), &row, &err), &err);
    const struct entity_def *e = entity_find("api_key");
    size_t shown = 0;
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (f->flags & (FF_HIDDEN | FF_SECRET))
            continue;
        shown++;
        if (!json_object_get(row, f->name))
            fail_msg("%s is missing", f->name);
    }
    assert_int_equal(json_object_size(row), shown);
    int64_t us;
    assert_true(rfc3339_parse(json_string_value(json_object_get(row, "created_at")), &us));
}

/* proves: AU-01, X-06 */
static void database_holds_no_key_in_the_clear(void **state)
{
    (void)state;
    ok(consume("user.created", user(21, "author", "active", 1)), NULL);
    int64_t id = make_key(21);
    static const char *const tables[] = { "api_keys", "outbox", "people", "inbox", "credentials" };
    const char *secret = strrchr(key_text, '_') + 1;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        assert_int_equal(
            number(arena_printf(a, "select count(*) from %s t where position('%s' in t::text) > 0",
                                tables[i], secret)),
            0);
    unsigned char hash[32];
    int64_t parsed;
    assert_true(key_parse(key_text, &parsed, hash));
    assert_int_equal(parsed, id);
    struct key_state k = state_of(id);
    assert_memory_equal(k.hash, hash, 32);
}

static void changed_role_publishes_the_keys_anew(void **state)
{
    (void)state;
    ok(consume("user.created", user(7, "author", "active", 1)), NULL);
    int64_t one = make_key(7), two = make_key(7);
    int64_t before = number("select count(*) from outbox");
    ok(consume("user.updated", user(7, "author", "active", 2)),
       NULL); /* nothing that matters here */
    assert_int_equal(number("select count(*) from outbox"), before);
    struct key_state old = state_of(one);
    ok(consume("user.updated", user(7, "editor", "active", 3)), NULL);
    assert_int_equal(number("select count(*) from outbox"), before + 2);
    assert_int_equal(state_of(one).role, ROLE_EDITOR);
    assert_int_equal(state_of(two).role, ROLE_EDITOR);
    assert_true(state_of(one).changed_us > old.changed_us);
    ok(consume("user.updated", user(7, "member", "active", 2)),
       NULL); /* late: older than what is known */
    assert_int_equal(number("select count(*) from outbox"), before + 2);
    assert_string_equal(text("select role from people where user_id = 7"), "editor");
}

/* proves: AU-12 */
static void suspension_refuses_and_its_end_accepts_again(void **state)
{
    (void)state;
    ok(consume("user.created", user(8, "admin", "active", 1)), NULL);
    int64_t id = make_key(8);
    assert_int_equal(revoked_ms("user:8"), 0);
    ok(consume("user.updated", user(8, "admin", "suspended", 2)), NULL);
    struct key_state k = state_of(id);
    assert_int_equal(k.role, ROLE_NONE);
    assert_false(k.revoked);
    assert_true(revoked_ms("user:8") >= k.changed_us / 1000);
    usleep(5000);
    ok(consume("user.updated", user(8, "admin", "active", 3)), NULL);
    k = state_of(id);
    assert_int_equal(k.role, ROLE_ADMIN);
    assert_true(k.changed_us / 1000 > revoked_ms("user:8"));
}

static void deletion_revokes_for_good(void **state)
{
    (void)state;
    ok(consume("user.created", user(9, "admin", "active", 1)), NULL);
    int64_t id = make_key(9);
    ok(consume("user.deleted", user(9, "admin", "active", 2)), NULL);
    assert_true(state_of(id).revoked);
    assert_true(revoked_ms("user:9") > 0);
    assert_string_equal(
        text(arena_printf(a, "select status from api_keys where id = %lld", (long long)id)),
        "revoked");
    ok(consume("user.restored", user(9, "admin", "active", 3)), NULL);
    assert_true(state_of(id).revoked);
    assert_string_equal(text("select status from people where user_id = 9"), "active");
}

static void what_is_no_user_is_refused_without_effect(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"data\":null}",
        "{\"data\":{\"id\":\"7\",\"role\":\"admin\",\"status\":\"active\",\"version\":1}}",
        "{\"data\":{\"id\":31,\"role\":\"root\",\"status\":\"active\",\"version\":1}}",
        "{\"data\":{\"id\":31,\"role\":\"admin\",\"status\":\"odd\",\"version\":1}}",
        "{\"data\":{\"id\":31,\"role\":\"admin\",\"status\":\"active\"}}",
        "{\"data\":{\"id\":-1,\"role\":\"admin\",\"status\":\"active\",\"version\":1}}",
    };
    int64_t before = number("select count(*) from people");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int rc = consume("user.created", bad[i]);
        assert_true(rc == -E_invalid || rc == -E_invalid_json);
    }
    assert_int_equal(number("select count(*) from people"), before);
}

static void expired_keys_are_marked_once(void **state)
{
    (void)state;
    ok(consume("user.created", user(10, "admin", "active", 1)), NULL);
    int64_t id = make_key(10);
    query(arena_printf(a, "update api_keys set expires_at = now() - interval '1 s' where id = %lld",
                       (long long)id));
    assert_int_equal(number("select count(*) from outbox where type = 'key.expired'"), 0);
    struct db_rows *r;
    struct db_val max = db_i64(10);
    struct err err;
    ok(db_query(svc.db, a, &sql_key_expire, &max, 1, &r, &err), &err);
    assert_int_equal(db_nrows(r), 1);
    assert_int_equal(db_get_i64(r, 0, 0), id);
    ok(db_query(svc.db, a, &sql_key_expire, &max, 1, &r, &err), &err);
    assert_int_equal(db_nrows(r), 0);
}

static void first_administrator_is_made_once(void **state)
{
    (void)state;
    char id[] = "40", *args[] = { id };
    struct err err;
    own_conf.admin_password = "";
    assert_int_equal(auth_bootstrap_admin(&svc, args, &err), -E_config);
    own_conf.admin_password = "correct horse";
    ok(auth_bootstrap_admin(&svc, args, &err), &err);
    ok(auth_bootstrap_admin(&svc, args, &err), &err);
    assert_int_equal(number("select count(*) from api_keys where user_id = 40"), 1);
    assert_string_equal(text("select role from people where user_id = 40"), "admin");
    assert_true(password_matches(text("select password_phc from credentials where user_id = 40"),
                                 "correct horse"));
    int64_t key = number("select id from api_keys where user_id = 40");
    assert_int_equal(state_of(key).role, ROLE_ADMIN);
    assert_true(scope_has(state_of(key).granted, S_api_admin));
    /* the event of the user itself, which comes later, is newer than what was assumed */
    ok(consume("user.created", user(40, "editor", "active", 1)), &err);
    assert_int_equal(state_of(key).role, ROLE_EDITOR);
}

static const char *used(int64_t key)
{
    return text(arena_printf(a,
                             "select to_char(last_used_at at time zone 'UTC', 'HH24:MI:SS') || ' ' "
                             "|| coalesce(last_used_address, '-') || ' ' || "
                             "coalesce(last_used_agent, '-') || ' ' || version from api_keys where "
                             "id = %lld",
                             (long long)key));
}

static const char *use(int64_t key, const char *time, const char *address, const char *agent)
{
    return arena_printf(a,
                        "{\"key_id\":%lld,\"at\":\"2026-02-19T%sZ\",\"address\":\"%s\","
                        "\"agent\":\"%s\"}",
                        (long long)key, time, address, agent);
}

/* proves: AU-01 */
static void newest_use_of_a_key_is_kept(void **state)
{
    (void)state;
    ok(consume("user.created", user(50, "author", "active", 1)), NULL);
    int64_t one = make_key(50), two = make_key(50);
    const char *updated = text("select max(updated_at)::text from api_keys");
    int64_t waiting = number("select count(*) from outbox");
    ok(consume("key.used",
               arena_printf(a, "{\"uses\":[%s,%s,%s]}", use(one, "08:00:00", "192.0.2.1", "x/1"),
                            use(two, "08:00:00", "", ""),
                            use(INT64_C(1) << 40, "08:00:00", "192.0.2.1", "x/1"))),
       NULL);
    assert_string_equal(used(one), "08:00:00 192.0.2.1 x/1 1");
    assert_string_equal(used(two), "08:00:00 - - 1");
    /* an older batch of another program comes later; one batch may name a key twice */
    ok(consume("key.used",
               arena_printf(a, "{\"uses\":[%s,%s,%s]}", use(one, "07:59:59", "192.0.2.2", "x/2"),
                            use(two, "09:01:00", "::1", "y"), use(two, "09:00:00", "::2", "z"))),
       NULL);
    assert_string_equal(used(one), "08:00:00 192.0.2.1 x/1 1");
    assert_string_equal(used(two), "09:01:00 ::1 y 1");
    assert_string_equal(text("select max(updated_at)::text from api_keys"), updated);
    assert_int_equal(number("select count(*) from outbox"), waiting);
}

/* proves: AU-03, AU-13: a right credential in a wrong place is told of, once an hour and network,
 * and never so often that it would fill the log */
static void refusals_are_entries_and_events(void **state)
{
    (void)state;
    ok(consume("user.created", user(53, "author", "active", 1)), NULL);
    int64_t id = make_key(53);
    const char *entries = arena_printf(a,
                                       "select count(*) from audit where type = 'key.denied' and "
                                       "subject = 'key:%lld' and user_id = 53",
                                       (long long)id);
#define DENIED(what, whose, from)                                                                  \
    arena_printf(a,                                                                                \
                 "{\"uses\":[{\"" what                                                             \
                 "\":%lld,\"at\":\"2026-02-19T08:00:00Z\",\"address\":\"%s\","                     \
                 "\"agent\":\"\",\"denied\":true}]}",                                              \
                 (long long)(whose), from)
    for (int i = 0; i < 3; i++)
        ok(consume("key.used", DENIED("key_id", id, "192.0.2.1")), NULL);
    assert_int_equal(number(entries), 1);
    assert_null(used(id));
    assert_int_equal(number(arena_printf(a,
                                         "select count(*) from outbox where type = 'key.denied' "
                                         "and payload like '%%\"subject\": \"key:%lld\"%%' or "
                                         "payload like '%%\"subject\":\"key:%lld\"%%'",
                                         (long long)id, (long long)id)),
                     1);
    for (int i = 2; i < 60; i++) /* somebody has many networks */
        ok(consume("key.used", DENIED("key_id", id, arena_printf(a, "192.0.2.%d", i))), NULL);
    assert_int_equal(number(entries), 32);
    ok(consume("key.used", DENIED("user_id", 53, "192.0.2.1")), NULL);
    assert_int_equal(
        number("select count(*) from audit where type = 'session.denied' and subject = "
               "'user:53'"),
        1);
    ok(consume("key.used", DENIED("client_id", 999999, "192.0.2.1")), NULL); /* nobody's */
    assert_int_equal(number("select count(*) from audit where type = 'client.denied'"), 0);
#undef DENIED
}

/* proves: AU-03: who shut themselves out all the same is let in again by hand, and it is told */
static void networks_are_cleared_by_hand(void **state)
{
    (void)state;
    struct err err = { 0 };
    query("update policy set allowed_networks = '{192.0.2.0/24}', totp_roles = '{editor}'");
    ok(policy_clear_networks(&svc, NULL, &err), &err);
    assert_int_equal(
        number("select count(*) from policy where allowed_networks = '{}' and totp_roles = "
               "'{editor}' and version = 2"),
        1);
    assert_int_equal(
        number("select count(*) from outbox where type = 'policy.state' and key = 'policy' "
               "and topic = 'auth.keys' and payload like '%\"allowed_networks\":\"\"%'"),
        1);
    assert_int_equal(number("select count(*) from audit where type = 'policy.changed' and actor = "
                            "'operator'"),
                     1);
    query("update policy set totp_roles = '{}'");
}

static void what_is_no_use_is_refused_without_effect(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"uses\":[]}",
        "{\"uses\":[7]}",
        "{\"uses\":[{\"key_id\":0,\"at\":\"2026-02-19T08:00:00Z\",\"address\":\"\",\"agent\":\"\"}]"
        "}",
        "{\"uses\":[{\"key_id\":1,\"at\":\"yesterday\",\"address\":\"\",\"agent\":\"\"}]}",
        "{\"uses\":[{\"key_id\":1,\"at\":\"2026-02-19T08:00:00Z\",\"agent\":\"\"}]}",
        "{\"uses\":[{\"key_id\":1,\"at\":\"2026-02-19T08:00:00Z\",\"address\":\"\"}]}",
    };
    ok(consume("user.created", user(51, "author", "active", 1)), NULL);
    int64_t id = make_key(51);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int rc = consume("key.used", bad[i]);
        if (rc != -E_invalid && rc != -E_invalid_json)
            fail_msg("%s: %d", bad[i], rc);
    }
    int rc = consume("key.used",
                     arena_printf(a, "{\"uses\":[%s,{}]}", use(id, "08:00:00", "192.0.2.1", "x")));
    assert_int_equal(rc, -E_invalid);
    assert_null(used(id));
}

/* proves: AU-01: a program's notes leave by its outbox, and are what auth reads */
static void noted_uses_travel_by_the_outbox(void **state)
{
    (void)state;
    struct err err;
    ok(consume("user.created", user(52, "author", "active", 1)), NULL);
    int64_t id = make_key(52);
    svc.key_uses = key_uses_new(60000);
    key_use_note(svc.key_uses, USE_KEY, id, "192.0.2.7", "a \"quoted\" agent");
    ok(key_uses_flush(&svc, a, &err), &err);
    ok(key_uses_flush(&svc, a, &err), &err);
    assert_int_equal(number("select count(*) from outbox where type = 'key.used' and topic = "
                            "'auth.commands' and key = 'program:auth'"),
                     1);
    ok(consume("key.used", text("select payload from outbox where type = 'key.used'")), NULL);
    const char *row = used(id);
    assert_non_null(row);
    assert_non_null(strstr(row, " 192.0.2.7 a \"quoted\" agent 1"));
    key_uses_free(svc.key_uses);
    svc.key_uses = NULL;
}

static void *run_job(void *arg)
{
    key_uses_job(arg);
    return NULL;
}

/* proves: AU-01, X-09: a stopping program flushes what it noted since the last time */
static void uses_survive_a_graceful_stop(void **state)
{
    (void)state;
    struct svc_private priv = { .njobs = 0 };
    pthread_t job;
    query("delete from outbox");
    halt_init(&priv.halt);
    svc.priv = &priv;
    svc.key_uses = key_uses_new(3600000);
    own_conf.svc.key_use_ms = 3600000;
    assert_int_equal(pthread_create(&job, NULL, run_job, &svc), 0);
    key_use_note(svc.key_uses, USE_KEY, 1, "192.0.2.7", "x");
    assert_int_equal(number("select count(*) from outbox"), 0);
    halt_set(&priv.halt);
    pthread_join(job, NULL);
    assert_int_equal(number("select count(*) from outbox where type = 'key.used'"), 1);
    halt_done(&priv.halt);
    key_uses_free(svc.key_uses);
    svc.key_uses = NULL;
    svc.priv = NULL;
}

static int setup(void **state)
{
    (void)state;
    return fx_setup("auth_test", "cms365:revoked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_prepares_on_the_schema),
        cmocka_unit_test(table_has_the_columns_of_the_entity),
        cmocka_unit_test(new_key_is_shown_with_the_fields_of_the_entity),
        cmocka_unit_test(database_holds_no_key_in_the_clear),
        cmocka_unit_test(changed_role_publishes_the_keys_anew),
        cmocka_unit_test(suspension_refuses_and_its_end_accepts_again),
        cmocka_unit_test(deletion_revokes_for_good),
        cmocka_unit_test(what_is_no_user_is_refused_without_effect),
        cmocka_unit_test(expired_keys_are_marked_once),
        cmocka_unit_test(first_administrator_is_made_once),
        cmocka_unit_test(newest_use_of_a_key_is_kept),
        cmocka_unit_test(refusals_are_entries_and_events),
        cmocka_unit_test(networks_are_cleared_by_hand),
        cmocka_unit_test(what_is_no_use_is_refused_without_effect),
        cmocka_unit_test(noted_uses_travel_by_the_outbox),
        cmocka_unit_test(uses_survive_a_graceful_stop),
    };
    return cmocka_run_group_tests(tests, setup, fx_teardown);
}
