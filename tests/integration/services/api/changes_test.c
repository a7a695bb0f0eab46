/* The feed of changes: a client that polls it ends with exactly the server's rows.  proves: R-18 */
#include "tests/integration/services/api/api_samples.h"

#include <pthread.h>

enum { writers = 3, writes = 120, polls_max = 400 };

static struct answer changes(const char *query, const struct principal *who)
{
    struct answer an = { 0 };
    const struct crud *c = NULL;
    for (struct crud *const *p = fx.api->cruds; *p; p++)
        if (str_eq(crud_entity(*p)->plural, "posts"))
            c = *p;
    assert_non_null(c);
    const struct route *r = crud_change_routes(fx.a, c);
    struct req req = { .svc = &fx.svc, .arena = fx.a, .route = r, .path = r->path, .who = *who };
    fx_args(&req, query);
    an.res.arena = fx.a;
    buf_init(&an.res.body, fx.a, 1024, 16 * 1024 * 1024);
    an.rc = r->fn(&req, &an.res, &an.err);
    an.status = an.rc < 0 ? (int)err_http(an.err.code) : 200;
    if (an.rc < 0)
        return an;
    an.json = json_in(fx.a, json_loads(an.res.body.data, 0, NULL));
    if (!an.json)
        fail_msg("not JSON: %s", an.res.body.data);
    an.data = json_object_get(an.json, "data");
    return an;
}

/* A client's copy: id -> version. */
struct copy {
    json_t *rows;
    const char *cursor;
    size_t seen;
};

static bool poll_once(struct copy *c, int limit)
{
    struct answer a = changes(c->cursor ? arena_printf(fx.a, "since=%s&limit=%d", c->cursor, limit)
                                        : arena_printf(fx.a, "limit=%d", limit),
                              &p_admin);
    EXPECT(a, 200);
    for (size_t i = 0; i < json_array_size(a.data); i++) {
        const json_t *change = json_array_get(a.data, i), *row = json_object_get(change, "row");
        const char *id = arena_printf(fx.a, "%lld",
                                      (long long)json_integer_value(json_object_get(change, "id")));
        if (json_is_null(row)) {
            assert_true(json_is_string(json_object_get(change, "deleted_at")));
            json_object_del(c->rows, id);
        } else {
            json_object_set(c->rows, id, json_object_get(row, "version"));
        }
        c->seen++;
    }
    const json_t *meta = json_object_get(a.json, "meta");
    c->cursor = json_string_value(json_object_get(meta, "next_cursor"));
    return json_is_true(json_object_get(meta, "more"));
}

/* Until everything that was committed is past the lag: waits for the condition, with a bound. */
static void catch_up(struct copy *c)
{
    int64_t until = clock_mono_us() + 1500 * 1000;
    while (poll_once(c, 7) || clock_mono_us() < until)
        ;
}

static void is_the_same(const struct copy *c)
{
    struct db_rows *r = fx_sql("SELECT id, version FROM posts WHERE deleted_at IS NULL");
    assert_int_equal(json_object_size(c->rows), db_nrows(r));
    for (size_t i = 0; i < db_nrows(r); i++) {
        const json_t *v = json_object_get(c->rows, db_str(r, i, 0));
        if (json_integer_value(v) != db_get_i64(r, i, 1))
            fail_msg("post %s: version %lld, not %s", db_str(r, i, 0),
                     (long long)json_integer_value(v), db_str(r, i, 1));
    }
}

static int late_write(struct db_tx *tx, void *ctx, struct err *err)
{
    struct db_rows *r;
    struct copy *c = ctx;
    struct db_stmt s = { .flags = DB_ONCE,
                         .sql = "UPDATE posts SET version = version + 1, updated_at = now() WHERE "
                                "id = (SELECT min(id) FROM posts)" };
    int rc = db_exec(tx, fx.a, &s, NULL, 0, &r, err);
    if (rc < 0)
        return rc;
    /* Another post is written and committed while this transaction is under way. */
    struct answer a =
        ASK("POST", "posts", NULL, NULL, "{\"title\":\"B\",\"status\":\"draft\"}", NULL, &p_admin);
    EXPECT(a, 201);
    catch_up(c);
    assert_null(json_object_get(c->rows, fx_id(&a))); /* it waits for the older one */
    return 0;
}

/* The transaction that began first commits last: its row has the older time, and is not missed. */
static void a_late_commit_is_not_missed(void **state)
{
    (void)state;
    struct err err;
    struct copy c = { .rows = json_in(fx.a, json_object()) };
    EXPECT(
        ASK("POST", "posts", NULL, NULL, "{\"title\":\"A\",\"status\":\"draft\"}", NULL, &p_admin),
        201);
    catch_up(&c);
    is_the_same(&c);
    int64_t before = fx_int("SELECT version FROM posts ORDER BY id LIMIT 1");
    fx_check(db_session_tx(fx.session, late_write, &c, &err), &err);
    assert_int_equal(fx_int("SELECT version FROM posts ORDER BY id LIMIT 1"), before + 1);
    catch_up(&c);
    is_the_same(&c);
}

static void *write_some(void *p)
{
    unsigned long who = (unsigned long)(uintptr_t)p;
    thread_arena = arena_new();
    for (int i = 0; i < writes; i++) {
        const char *id = arena_printf(thread_arena, "%d", 1 + (int)random_below(40));
        switch (random_below(5)) {
        case 0:
            ASK("DELETE", "posts", id, random_below(3) ? NULL : "purge=true", NULL, NULL, &p_admin);
            break;
        case 1:
            ASK("RESTORE", "posts", id, NULL, NULL, NULL, &p_admin);
            break;
        case 2:
            ASK("POST", "posts", NULL, NULL, "{\"title\":\"N\",\"status\":\"draft\"}", NULL,
                &p_admin);
            break;
        default:
            ASK("PATCH", "posts", id, NULL,
                arena_printf(thread_arena, "{\"title\":\"%lu-%d\"}", who, i), NULL, &p_admin);
        }
    }
    arena_free(thread_arena);
    return NULL;
}

static void a_polling_client_ends_with_the_servers_rows(void **state)
{
    (void)state;
    pthread_t t[writers];
    struct copy c = { .rows = json_in(fx.a, json_object()) };
    for (int i = 0; i < 40; i++)
        EXPECT(ASK("POST", "posts", NULL, NULL, "{\"title\":\"S\",\"status\":\"draft\"}", NULL,
                   &p_admin),
               201);
    for (size_t i = 0; i < writers; i++)
        assert_int_equal(pthread_create(&t[i], NULL, write_some, (void *)(uintptr_t)i), 0);
    for (int i = 0; i < polls_max / 10; i++)
        poll_once(&c, 1 + (int)random_below(20));
    for (size_t i = 0; i < writers; i++)
        pthread_join(t[i], NULL);
    catch_up(&c);
    assert_true(c.seen > 40);
    is_the_same(&c);
}

static void deletions_alone_and_what_is_asked_wrongly(void **state)
{
    (void)state;
    struct answer a = changes("deleted_since=2020-01-01T00:00:00Z", &p_admin);
    EXPECT(a, 200);
    assert_true(json_array_size(a.data) > 0);
    for (size_t i = 0; i < json_array_size(a.data); i++)
        assert_true(json_is_null(json_object_get(json_array_get(a.data, i), "row")));
    a = changes("updated_since=2999-01-01T00:00:00Z", &p_admin);
    assert_int_equal(json_array_size(a.data), 0);
    EXPECT(changes("since=x", &p_admin), 400);
    EXPECT(changes("since=1.-1", &p_admin), 400);
    EXPECT(changes("since=99999999999999999999.1", &p_admin), 400);
    EXPECT(changes("updated_since=today", &p_admin), 400);
    EXPECT(changes("updated_since=2020-01-01T00:00:00Z&since=1.1", &p_admin), 400);
    EXPECT(changes(NULL, &p_editor), 200);
    EXPECT(changes(NULL, &p_author), 403);
    EXPECT(changes(NULL, &p_member), 403);
    EXPECT(changes(NULL, &anonymous), 403);
}

static int set_up(void **state)
{
    admin_setup(state);
    make_people();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_commit_is_not_missed),
        cmocka_unit_test(a_polling_client_ends_with_the_servers_rows),
        cmocka_unit_test(deletions_alone_and_what_is_asked_wrongly),
    };
    return cmocka_run_group_tests_name("changes", tests, set_up, fx_teardown);
}
