/* Inserts of one event loop that share a statement, and keep their outcomes. */
#include "tests/integration/services/api/api_crowd.h"

enum { rounds_ms = 20000 };

static struct principal p_admin;

static void add(const char *plural, const char *body, const char *key)
{
    add_ask(&(struct ask){ "POST", plural, NULL, NULL, body, key, &p_admin });
}

static const char *post(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const char *more = arena_vprintf(fx.a, format, ap);
    va_end(ap);
    return arena_printf(fx.a, "{\"content\":\"Some \\\"text\\\" \\\\ ü €, {a,b} NULL\",%s}", more);
}

static int64_t count_of(const char *where)
{
    return fx_int(arena_printf(fx.a, "SELECT count(*) FROM posts WHERE %s", where));
}

static void expect_counts(void)
{
    assert_int_equal(fx_int("SELECT count(*) FROM (SELECT status, sum(n) AS n FROM counts WHERE "
                            "entity = 'post' AND owner = 0 GROUP BY status) c FULL JOIN (SELECT "
                            "status, count(*) AS n FROM posts WHERE deleted_at IS NULL GROUP BY "
                            "status) p USING (status) WHERE c.n IS DISTINCT FROM p.n"),
                     0);
    assert_int_equal(fx_int("SELECT count(*) FROM (SELECT owner, sum(n) AS n FROM counts WHERE "
                            "entity = 'post' AND owner <> 0 GROUP BY owner) c FULL JOIN (SELECT "
                            "author_id AS owner, count(*) AS n FROM posts WHERE status <> "
                            "'published' AND author_id IS NOT NULL GROUP BY author_id) p USING "
                            "(owner) WHERE c.n IS DISTINCT FROM p.n"),
                     0);
}

/* --- cases --- */

/* proves: X-03 X-04: each has its row, its events, its answer; a statement has many of them */
static void creates_that_wait_share_a_statement(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++)
        add("posts",
            post("\"title\":\"Shared %d\",\"status\":\"%s\",\"tags\":[\"a "
                 "b\",\"c,\\\"d\"],\"author\":"
                 "%s,\"meta\":{\"n\":%d}",
                 i, i % 3 ? "published" : "draft", i % 2 ? "1" : "null", i),
            i % 4 ? NULL : arena_printf(fx.a, "shared-%d", i));
    ask_all(NULL);
    for (size_t i = 0; i < nasked; i++) {
        const struct answer *a = &asked[i].a;
        EXPECT(*a, 201);
        const char *id = fx_id(a);
        assert_string_equal(a->res.location,
                            arena_printf(fx.a, "http://cms.test/api/v2/posts/%s", id));
        struct answer read = ASK("GET", "posts", id, NULL, NULL, NULL, &p_admin);
        assert_string_equal(read.text, a->text);
        assert_string_equal(read.res.etag, a->res.etag);
        assert_string_equal(json_string_value(json_object_get(a->data, "title")),
                            arena_printf(fx.a, "Shared %zu", i));
        struct db_rows *r = fx_sql(arena_printf(
            fx.a,
            "SELECT payload FROM outbox WHERE key = 'post:%s' AND type = 'post.created' AND "
            "also_types IS NOT DISTINCT FROM %s AND request_id = 'req-1' AND actor LIKE 'user:%%' "
            "AND trace IS NOT NULL",
            id, i % 3 ? "'{post.published}'" : "NULL"));
        assert_int_equal(db_nrows(r), 1);
        const char *row = arena_strndup(fx.a, a->text, strlen(a->text) - 2);
        assert_true(
            str_starts(db_str(r, 0, 0), arena_printf(fx.a, "%s,\"deleted_at\":null},", row)));
    }
    assert_true(fx_int("SELECT count(DISTINCT xmin::text) FROM posts WHERE title LIKE 'Shared%'") <
                20);
    /* What has a key was recorded with it. */
    for (size_t i = 0; i < nasked; i += 4) {
        struct answer again = fx_ask(&asked[i].q);
        assert_string_equal(again.text, asked[i].a.text);
        assert_string_equal(again.res.location, asked[i].a.res.location);
    }
    assert_int_equal(count_of("title LIKE 'Shared%'"), 60);
    expect_counts();
}

/* proves: R-05 X-03 */
static void what_cannot_be_inserted_says_so_and_the_others_are(void **state)
{
    (void)state;
    size_t same = 0, keyed = 0;
    for (int i = 0; i < 8; i++) {
        add("posts", post("\"title\":\"Good %d\",\"status\":\"draft\"", i), NULL);
        add("posts", post("\"title\":\"Bad\",\"status\":\"draft\",\"author\":999999"), NULL);
        add("posts", post("\"title\":\"Same\",\"status\":\"draft\",\"slug\":\"the-same\""), NULL);
        add("posts", post("\"title\":\"Again\",\"status\":\"draft\""), NULL);
        add("posts", post("\"title\":\"Keyed\",\"status\":\"draft\""), "one-key");
    }
    ask_all(NULL);
    for (size_t i = 0; i < nasked; i += 5) {
        EXPECT(asked[i].a, 201);
        EXPECT(asked[i + 1].a, 422);
        assert_string_equal(asked[i + 1].a.res.faults->items[0].pointer, "/author");
        same += asked[i + 2].a.status == 201;
        if (asked[i + 2].a.status != 201)
            EXPECT(asked[i + 2].a, 409);
        EXPECT(asked[i + 3].a, 201);
        keyed += asked[i + 4].a.status == 201;
        if (asked[i + 4].a.status != 201)
            EXPECT(asked[i + 4].a, 409);
    }
    assert_int_equal(same, 1);
    assert_true(keyed >= 1);
    assert_int_equal(count_of("title = 'Keyed'"), 1);
    assert_int_equal(count_of("title = 'Again'"), 8);
    assert_int_equal(count_of("title = 'Bad'"), 0);
    assert_int_equal(
        fx_int("SELECT count(*) FROM outbox WHERE payload LIKE '%\"title\":\"Keyed\"%'"), 1);
    expect_counts();
}

/* proves: X-04: a statement that fails takes nobody with it but whose fault it is */
static void a_failure_stays_its_own(void **state)
{
    (void)state;
    fx_sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.title = "
           "'Bomb' THEN RAISE EXCEPTION 'no'; END IF; RETURN new; END $$");
    fx_sql("CREATE TRIGGER refuse BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION refuse()");
    for (int i = 0; i < 20; i++)
        add("posts", post("\"title\":\"%s\",\"status\":\"draft\"", i == 11 ? "Bomb" : "Bystander"),
            NULL);
    ask_all(NULL);
    fx_sql("DROP TRIGGER refuse ON posts");
    for (size_t i = 0; i < nasked; i++)
        EXPECT(asked[i].a, i == 11 ? 500 : 201);
    assert_int_equal(count_of("title = 'Bystander'"), 19);
    assert_int_equal(fx_int("SELECT count(*) FROM outbox WHERE payload LIKE "
                            "'%\"title\":\"Bystander\"%'"),
                     19);
    expect_counts();
}

static size_t done_while_held;

static void let_go(void *ctx)
{
    struct err err;
    (void)ctx;
    for (int ms = 0; ndone + 1 < nasked && ms < rounds_ms; ms += 5)
        fiber_sleep_ms(5);
    done_while_held = ndone;
    fx_check(db_session_script(fx.session, "COMMIT", &err), &err);
}

/* proves: R-05: who waits for a lock does not keep those waiting who came with it */
static void a_lock_keeps_only_its_own_waiting(void **state)
{
    struct err err;
    (void)state;
    fx_check(
        db_session_script(fx.session,
                          arena_printf(fx.a,
                                       "SET search_path = %s; BEGIN; SELECT 1 FROM users WHERE "
                                       "id = 1 FOR UPDATE",
                                       fx.schema),
                          &err),
        &err);
    /* Titles of their own: the same slug is a lock too. */
    for (int i = 0; i < 20; i++)
        add("posts",
            post("\"title\":\"Locked %d\",\"status\":\"draft\",\"author\":%d", i, i == 7 ? 1 : 2),
            NULL);
    ask_all(let_go);
    assert_int_equal(done_while_held, nasked - 1);
    for (size_t i = 0; i < nasked; i++)
        EXPECT(asked[i].a, 201);
    assert_int_equal(count_of("title LIKE 'Locked %'"), 20);
    expect_counts();
}

static bool someone_waits_for_a_lock(void)
{
    return fx_int("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                  "datname = current_database()") > 0;
}

static void come_later(void *ctx)
{
    (void)ctx;
    for (int ms = 0; !someone_waits_for_a_lock() && ms < rounds_ms; ms += 5)
        fiber_sleep_ms(5);
    for (int i = 0; i < 3; i++) {
        add("posts", post("\"title\":\"Behind %d\",\"status\":\"draft\",\"author\":2", i), NULL);
        assert_true(fiber_spawn(loop, ask_one, &asked[nasked - 1]));
    }
    let_go(NULL);
}

/* proves: R-05: one that went alone and waits for a lock does not keep those behind it waiting */
static void a_lock_of_one_alone_keeps_nobody_waiting(void **state)
{
    struct err err;
    (void)state;
    fx_check(
        db_session_script(fx.session,
                          arena_printf(fx.a,
                                       "SET search_path = %s; BEGIN; SELECT 1 FROM users WHERE "
                                       "id = 1 FOR UPDATE",
                                       fx.schema),
                          &err),
        &err);
    add("posts", post("\"title\":\"Alone\",\"status\":\"draft\",\"author\":1"), NULL);
    ask_all(come_later);
    assert_int_equal(done_while_held, 3);
    for (size_t i = 0; i < nasked; i++)
        EXPECT(asked[i].a, 201);
    expect_counts();
}

/* What has links of its own goes alone, at the same time as the others. */
static void every_entity_can_be_made_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        add("users",
            arena_printf(fx.a, "{\"username\":\"g%d\",\"email\":\"g%d@x.org\",\"role\":\"author\"}",
                         i, i),
            NULL);
        add("pages", arena_printf(fx.a, "{\"title\":\"P\",\"status\":\"published\"}"), NULL);
        add("companies", arena_printf(fx.a, "{\"name\":\"C\"}"), NULL);
        add("experts", arena_printf(fx.a, "{\"name\":\"E\",\"languages\":[\"de\",\"en\"]}"), NULL);
        add("media",
            arena_printf(fx.a, "{\"filename\":\"m%d.png\",\"mime_type\":\"image/png\"}", i), NULL);
        add("events",
            arena_printf(fx.a, "{\"title\":\"T\",\"status\":\"draft\",\"starts_at\":"
                               "\"2026-02-02T00:00:00Z\",\"speakers\":[]}"),
            NULL);
    }
    ask_all(NULL);
    for (size_t i = 0; i < nasked; i++) {
        EXPECT(asked[i].a, 201);
        struct answer read =
            ASK("GET", asked[i].q.plural, fx_id(&asked[i].a), NULL, NULL, NULL, &p_admin);
        assert_string_equal(read.text, asked[i].a.text);
    }
    expect_counts();
}

static int setup(void **state)
{
    int rc = fx_setup(state);
    p_admin = fx_who(1, ROLE_ADMIN, (scope_set)1 << S_api_admin);
    for (int i = 1; rc == 0 && i <= 2; i++)
        if (ASK("POST", "users", NULL, NULL,
                arena_printf(fx.a,
                             "{\"username\":\"u%d\",\"email\":\"u%d@x.org\",\"role\":\"admin\"}", i,
                             i),
                NULL, &p_admin)
                .status != 201)
            return -1;
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(creates_that_wait_share_a_statement, fresh),
        cmocka_unit_test_setup(what_cannot_be_inserted_says_so_and_the_others_are, fresh),
        cmocka_unit_test_setup(a_failure_stays_its_own, fresh),
        cmocka_unit_test_setup(a_lock_keeps_only_its_own_waiting, fresh),
        cmocka_unit_test_setup(a_lock_of_one_alone_keeps_nobody_waiting, fresh),
        cmocka_unit_test_setup(every_entity_can_be_made_at_once, fresh),
    };
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, setup, fx_teardown);
    loop_free(loop);
    return failed;
}
