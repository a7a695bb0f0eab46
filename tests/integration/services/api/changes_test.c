/* The feed of changes: a client that polls it ends with exactly the server's rows.  proves: R-18 */
#include "tests/integration/services/api/api_samples.h"

#include <pthread.h>

enum { writers = 3, writes = 120, polls_max = 400 };

static struct answer changes_of(const char *plural, const char *query, const struct principal *who)
{
    struct answer an = { 0 };
    const struct crud *c = NULL;
    for (struct crud *const *p = fx.api->cruds; *p; p++)
        if (str_eq(crud_entity(*p)->plural, plural))
            c = *p;
    assert_non_null(c);
    const struct route *r = crud_change_routes(fx.a, c);
    struct req req = { .svc = &fx.svc,
                       .arena = fx.a,
                       .route = r,
                       .path = r->path,
                       .who = *who,
                       .now_us = clock_us() };
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

static struct answer changes(const char *query, const struct principal *who)
{
    return changes_of("posts", query, who);
}

/* A client's copy: id -> version. */
struct copy {
    const char *plural;          /* NULL: posts */
    const struct principal *who; /* NULL: the admin */
    json_t *rows;
    const char *cursor;
    size_t seen;
};

/* Of people, not everybody sees it. */
static json_t *version_of(const json_t *row)
{
    json_t *version = json_object_get(row, "version");
    return version ? version : json_true();
}

static bool poll_once(struct copy *c, int limit)
{
    const char *query = c->cursor ? arena_printf(fx.a, "since=%s&limit=%d", c->cursor, limit)
                                  : arena_printf(fx.a, "limit=%d", limit);
    struct answer a =
        changes_of(c->plural ? c->plural : "posts", query, c->who ? c->who : &p_admin);
    EXPECT(a, 200);
    for (size_t i = 0; i < json_array_size(a.data); i++) {
        const json_t *change = json_array_get(a.data, i), *row = json_object_get(change, "row");
        const char *id = arena_printf(fx.a, "%lld",
                                      (long long)json_integer_value(json_object_get(change, "id")));
        if (json_is_null(row)) {
            assert_true(json_is_string(json_object_get(change, "deleted_at")));
            json_object_del(c->rows, id);
        } else {
            json_object_set(c->rows, id, version_of(row));
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
    EXPECT(changes(NULL, &p_author), 200);
    EXPECT(changes(NULL, &p_member), 200);
    EXPECT(changes(NULL, &anonymous), 200);
    /* A place of somebody who sees other rows, and one that is too old. */
    const char *cursor =
        json_string_value(json_object_get(json_object_get(a.json, "meta"), "next_cursor"));
    const char *since = arena_printf(fx.a, "since=%s", cursor);
    EXPECT(changes(since, &p_admin), 200);
    EXPECT(changes(since, &p_editor), 410);
    EXPECT(changes(since, &anonymous), 410);
    EXPECT(changes("since=1.1.1.admin", &p_admin), 410);
    EXPECT(changes("since=1.1.1", &p_admin), 400);
    EXPECT(changes("since=9000000000000000000.1.1.admin", &p_admin), 400);
    a = changes(NULL, &p_author);
    cursor = json_string_value(json_object_get(json_object_get(a.json, "meta"), "next_cursor"));
    EXPECT(changes(arena_printf(fx.a, "since=%s", cursor), &p_author), 200);
    EXPECT(changes(arena_printf(fx.a, "since=%s", cursor), &p_other), 410);
}

/* --- readers who do not see all rows -------------------------------------------------------------
 */

enum { seen_writes = 150, seen_writers = 2, seen_polls = 250, pool_rows = 6 };
enum { POSTS, USERS, MEDIA, EXPERTS, EVENTS, SEEN_MAX_ };
static const char *const seen_plurals[SEEN_MAX_] = { "posts", "users", "media", "experts",
                                                     "events" };
static const char *pool[SEEN_MAX_][pool_rows]; /* ids */

static void make_pool(void)
{
    for (int p = 0; p < SEEN_MAX_; p++) {
        for (int i = 0; i < pool_rows; i++) {
            const char *bodies[SEEN_MAX_] = {
                "{\"title\":\"P\",\"status\":\"draft\"}",
                arena_printf(fx.a,
                             "{\"username\":\"seen%d\",\"email\":\"seen%d@example.com\",\"role\":"
                             "\"author\"}",
                             i, i),
                "{\"filename\":\"a.png\",\"mime_type\":\"image/png\"}",
                "{\"name\":\"E\",\"status\":\"inactive\"}",
                "{\"title\":\"V\",\"status\":\"draft\",\"starts_at\":\"2027-01-01T00:00:00Z\"}",
            };
            struct answer a = ASK("POST", seen_plurals[p], NULL, NULL, bodies[p], NULL, &p_admin);
            EXPECT(a, 201);
            pool[p][i] = fx_id(&a);
        }
    }
    pool[USERS][0] = arena_printf(fx.a, "%lld", (long long)p_author.user_id);
    pool[USERS][1] = arena_printf(fx.a, "%lld", (long long)p_other.user_id);
}

static const char *pick(int plural)
{
    return pool[plural][random_below(pool_rows)];
}

static const char *or_null(int plural)
{
    return random_below(4) ? pick(plural) : "null";
}

/* A time about now: a second ago or to come. */
static const char *soon(void)
{
    char *text = arena_alloc(thread_arena, rfc3339_len + 1);
    rfc3339_format(clock_us() + (int64_t)random_below(2000000) - 1000000, text);
    return text;
}

static const char *random_patch(int plural)
{
    static const char *const status[] = { "draft", "published", "archived", "draft" };
    static const char *const pictures[SEEN_MAX_] = { "featured_media", "avatar", NULL, "photo",
                                                     "image" };
    struct arena *a = thread_arena;
    unsigned dice = (unsigned)random_below(6);
    bool dated = plural == POSTS || plural == EVENTS;
    if (plural == MEDIA)
        return arena_printf(a, "{\"uploaded_by\":%s}", or_null(USERS));
    if (dice < 2)
        return arena_printf(a, "{\"%s\":%s}", pictures[plural], or_null(MEDIA));
    if (!dated)
        return arena_printf(a, "{\"status\":\"%s\"}",
                            dice < 4          ? "active"
                            : plural == USERS ? "suspended"
                                              : "inactive");
    if (dice == 2)
        return arena_printf(a, "{\"author\":%s}", or_null(USERS));
    if (dice == 3)
        return arena_printf(a, "{\"status\":\"published\",\"published_at\":\"%s\"}", soon());
    return arena_printf(a, "{\"status\":\"%s\"}", status[random_below(4)]);
}

static void *write_seen(void *p)
{
    (void)p;
    thread_arena = arena_new();
    for (int i = 0; i < seen_writes; i++) {
        static const int often[] = { POSTS, POSTS, POSTS, EVENTS, USERS, EXPERTS, MEDIA };
        int plural = often[random_below(ARRAY_LEN(often))];
        const char *name = seen_plurals[plural];
        switch (random_below(8)) {
        case 0:
            if (plural != USERS) /* whose key would be dead too */
                ASK("DELETE", name, pick(plural), random_below(4) ? NULL : "purge=true", NULL, NULL,
                    &p_admin);
            break;
        case 1:
            ASK("RESTORE", name, pick(plural), NULL, NULL, NULL, &p_admin);
            break;
        case 2:
            ASK("POST", "posts", NULL, NULL,
                arena_printf(thread_arena,
                             "{\"title\":\"N\",\"status\":\"published\",\"published_at\":\"%s\"}",
                             soon()),
                NULL, &p_admin);
            break;
        default:
            ASK("PATCH", name, pick(plural), NULL, random_patch(plural), NULL, &p_admin);
        }
        arena_reset(thread_arena);
    }
    arena_free(thread_arena);
    thread_arena = NULL;
    return NULL;
}

/* What the reader's own list shows: id -> version. */
static json_t *listed(const char *plural, const struct principal *who)
{
    json_t *all = json_in(fx.a, json_object());
    const char *cursor = "";
    while (cursor) {
        struct answer a =
            ASK("GET", plural, NULL, arena_printf(fx.a, "limit=100&sort=id&cursor=%s", cursor),
                NULL, NULL, who);
        EXPECT(a, 200);
        for (size_t i = 0; i < json_array_size(a.data); i++) {
            const json_t *row = json_array_get(a.data, i);
            long long id = (long long)json_integer_value(json_object_get(row, "id"));
            json_object_set(all, arena_printf(fx.a, "%lld", id), version_of(row));
        }
        cursor = json_string_value(json_object_get(json_object_get(a.json, "meta"), "next_cursor"));
    }
    return all;
}

static void is_what_the_reader_sees(const struct copy *c)
{
    json_t *all = listed(c->plural, c->who), *v;
    const char *id;
    json_object_foreach(all, id, v)
    {
        const json_t *have = json_object_get(c->rows, id);
        if (!have || !json_equal(have, v))
            fail_msg("%s %s of user %lld: the copy lacks it, or is at another version", c->plural,
                     id, (long long)c->who->user_id);
    }
    json_object_foreach(c->rows, id, v)
    {
        if (!json_object_get(all, id))
            fail_msg("%s %s of user %lld: the copy has what is not seen", c->plural, id,
                     (long long)c->who->user_id);
    }
}

static void all_see_what_they_should(struct copy *copies, size_t n)
{
    /* All dates have passed, and the horizon with them. */
    int64_t until = clock_mono_us() + 2500 * 1000;
    for (size_t i = 0; clock_mono_us() < until; i = (i + 1) % n)
        poll_once(&copies[i], 17);
    for (size_t i = 0; i < n; i++) {
        while (poll_once(&copies[i], 100))
            ;
        is_what_the_reader_sees(&copies[i]);
    }
}

static void every_readers_copy_becomes_what_he_sees(void **state)
{
    const struct principal *const who[] = { &anonymous, &p_member, &p_author, &p_other, &p_editor };
    enum { readers = ARRAY_LEN(who) };
    static struct copy copies[readers * SEEN_MAX_];
    pthread_t t[seen_writers];
    (void)state;
    make_pool();
    for (size_t i = 0; i < ARRAY_LEN(copies); i++)
        copies[i] = (struct copy){ .plural = seen_plurals[i % SEEN_MAX_],
                                   .who = who[i / SEEN_MAX_],
                                   .rows = json_in(fx.a, json_object()) };
    for (size_t i = 0; i < seen_writers; i++)
        assert_int_equal(pthread_create(&t[i], NULL, write_seen, NULL), 0);
    for (int i = 0; i < seen_polls; i++)
        poll_once(&copies[random_below(ARRAY_LEN(copies))], 1 + (int)random_below(30));
    for (size_t i = 0; i < seen_writers; i++)
        pthread_join(t[i], NULL);
    all_see_what_they_should(copies, ARRAY_LEN(copies));
    /* Whoever is seen by a post alone comes with it, and goes with it. */
    for (int shown = 1; shown >= 0; shown--) {
        for (size_t i = 0; i < pool_rows; i++)
            ASK("PATCH", "posts", pool[POSTS][i], NULL,
                shown
                    ? arena_printf(fx.a, "{\"status\":\"published\",\"author\":%s}", pool[USERS][i])
                    : "{\"status\":\"archived\"}",
                NULL, &p_admin);
        all_see_what_they_should(copies, ARRAY_LEN(copies));
    }
    assert_true(fx_int("SELECT count(*) FROM moved WHERE lost") > 0);
    assert_true(fx_int("SELECT count(*) FROM moved WHERE NOT lost") > 0);
}

/* Of what a reader never saw he is told nothing, however often it changes or goes. */
static void nothing_is_told_of_what_was_never_seen(void **state)
{
    const struct principal *const who[] = { &anonymous, &p_member, &p_other };
    static const char *const steps[] = { "{\"title\":\"b\"}",
                                         "{\"status\":\"scheduled\","
                                         "\"published_at\":\"2099-01-01T00:00:00Z\"}",
                                         "{\"status\":\"archived\"}" };
    struct copy copies[ARRAY_LEN(who)];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(who); i++) {
        copies[i] =
            (struct copy){ .who = who[i], .plural = "posts", .rows = json_in(fx.a, json_object()) };
        catch_up(&copies[i]);
    }
    struct answer a =
        ASK("POST", "posts", NULL, NULL,
            arena_printf(fx.a, "{\"title\":\"a\",\"status\":\"draft\",\"author\":%lld}",
                         (long long)p_author.user_id),
            NULL, &p_admin);
    EXPECT(a, 201);
    const char *id = fx_id(&a);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        EXPECT(ASK("PATCH", "posts", id, NULL, steps[i], NULL, &p_admin), 200);
    EXPECT(ASK("DELETE", "posts", id, NULL, NULL, NULL, &p_admin), 204);
    EXPECT(ASK("RESTORE", "posts", id, NULL, NULL, NULL, &p_admin), 200);
    EXPECT(ASK("DELETE", "posts", id, "purge=true", NULL, NULL, &p_admin), 204);
    struct copy admins = { .rows = json_in(fx.a, json_object()) };
    catch_up(&admins);
    for (size_t i = 0; i < ARRAY_LEN(who); i++) {
        size_t before = copies[i].seen;
        catch_up(&copies[i]);
        assert_int_equal(copies[i].seen, before);
    }
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
        cmocka_unit_test(every_readers_copy_becomes_what_he_sees),
        cmocka_unit_test(nothing_is_told_of_what_was_never_seen),
    };
    return cmocka_run_group_tests_name("changes", tests, set_up, fx_teardown);
}
