#define _GNU_SOURCE /* gettid */
/* The seven entities on a real database.  proves: R-01 R-09 R-16 X-03 X-04 */
#include "tests/integration/services/api/api_samples.h"

#include <pthread.h>
#include <unistd.h>

static int64_t fx_version(struct arena *a)
{
    struct err err;
    struct db_rows *r;
    struct db_stmt s = { .sql = "SELECT version FROM posts WHERE id = 1", .flags = DB_ONCE };
    return db_query(fx.svc.db, a, &s, NULL, 0, &r, &err) < 0 ? 0 : db_get_i64(r, 0, 0);
}

/* --- what is there --- */

static void tables_equal_the_schema_both_ways(void **state)
{
    (void)state;
    for (const struct entity_def *const *e = entities; *e; e++) {
        size_t n = 0;
        for (const struct field_def *f = (*e)->fields; f->name; f++) {
            if (f->type == F_REFS)
                continue;
            const char *want = f->type == F_TEXT || f->type == F_ENUM ? "text"
                               : f->type == F_TIME                    ? "timestamp with time zone"
                               : f->type == F_JSON                    ? "jsonb"
                               : f->type == F_TEXTS                   ? "ARRAY"
                               : f->type == F_BOOL                    ? "boolean"
                                                                      : "bigint";
            struct db_rows *r = fx_sql(
                arena_printf(fx.a,
                             "SELECT data_type, is_nullable FROM information_schema.columns WHERE "
                             "table_schema = '%s' AND "
                             "table_name = '%s' AND column_name = '%s%s'",
                             fx.schema, (*e)->table, f->name, f->type == F_REF ? "_id" : ""));
            if (db_nrows(r) != 1)
                fail_msg("no column %s.%s", (*e)->table, f->name);
            assert_string_equal(db_str(r, 0, 0), want);
            bool never = f->flags & (FF_REQUIRED | FF_NONNULL);
            if (str_eq(db_str(r, 0, 1), "NO") != never)
                fail_msg("%s.%s: null or not", (*e)->table, f->name);
            n++;
        }
        int64_t columns =
            fx_int(arena_printf(fx.a,
                                "SELECT count(*) FROM information_schema.columns WHERE "
                                "table_schema = '%s' AND table_name = '%s'",
                                fx.schema, (*e)->table));
        if ((size_t)columns != n)
            fail_msg("%s has %lld columns, its table %zu", (*e)->table, (long long)columns, n);
    }
}

static void every_statement_prepares(void **state)
{
    struct err err;
    size_t n = 0;
    (void)state;
    for (struct crud *const *c = fx.api->cruds; *c; c++) {
        const struct db_stmt *list[crud_stmts_max];
        size_t k = crud_stmts(*c, list, crud_stmts_max);
        for (size_t i = 0; i < k; i++, n++) {
            const char *sql = arena_printf(fx.a, "PREPARE s%zu AS %s", n, list[i]->sql);
            if (db_session_script(fx.session, sql, &err) < 0)
                fail_msg("%s: %s\n%s", list[i]->name, err.detail, list[i]->sql);
        }
    }
    for (size_t i = 0; api_statements()[i]; i++)
        fx_check(db_session_script(
                     fx.session,
                     arena_printf(fx.a, "PREPARE f%zu AS %s", i, api_statements()[i]->sql), &err),
                 &err);
    assert_true(n > 100);
}

static void fast_statements_have_names_of_their_own(void **state)
{
    (void)state;
    const struct db_stmt *const *s = fx.api->def.fast;
    for (size_t i = 0; s[i]; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(s[i]->name, s[k]->name);
}

/* --- the same bytes from every side --- */

static const char *last_payload(void)
{
    struct db_rows *r = fx_sql("SELECT payload FROM outbox ORDER BY id DESC LIMIT 1");
    return db_str(r, 0, 0);
}

/* The event's data is the representation and deleted_at. */
static void expect_payload(const char *text)
{
    const char *payload = last_payload();
    size_t n = strlen(text) - 2; /* without the two closing braces */
    if (strncmp(payload, text, n) != 0 || !str_starts(payload + n, ",\"deleted_at\":"))
        fail_msg("payload %s\nis not of %s", payload, text);
    assert_non_null(json_in(fx.a, json_loads(payload, 0, NULL)));
}

static void writes_answer_with_the_bytes_of_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const char *plural = samples[i].plural;
        struct answer made = ASK("POST", plural, NULL, NULL, samples[i].body, NULL, &p_admin);
        EXPECT(made, 201);
        const char *id = fx_id(&made);
        assert_string_equal(made.res.location,
                            arena_printf(fx.a, "http://cms.test/api/v2/%s/%s", plural, id));
        expect_payload(made.text);
        struct answer got = ASK("GET", plural, id, NULL, NULL, NULL, &p_admin);
        EXPECT(got, 200);
        assert_string_equal(made.text, got.text);
        assert_string_equal(made.res.etag, got.res.etag);
        struct answer patched = ASK("PATCH", plural, id, NULL, samples[i].patch, NULL, &p_admin);
        EXPECT(patched, 200);
        got = ASK("GET", plural, id, NULL, NULL, NULL, &p_admin);
        assert_string_equal(patched.text, got.text);
        assert_string_equal(patched.res.etag, got.res.etag);
        assert_string_not_equal(patched.res.etag, made.res.etag);
        expect_payload(patched.text);
    }
}

static void values_come_back_as_sent(void **state)
{
    (void)state;
    struct answer a = ASK("GET", "experts", "1", NULL, NULL, NULL, &p_admin);
    EXPECT(a, 200);
    assert_int_equal(json_array_size(json_object_get(a.data, "specialties")), 0);
    assert_true(json_is_null(json_object_get(a.data, "company")));
    json_t *sent = json_in(fx.a, json_loads(samples[3].body, 0, NULL));
    assert_true(json_equal(json_object_get(a.data, "name"), json_object_get(sent, "name")));
    a = ASK("GET", "posts", "1", NULL, NULL, NULL, &p_admin);
    sent = json_in(fx.a, json_loads(samples[4].body, 0, NULL));
    assert_true(json_equal(json_object_get(a.data, "tags"), json_object_get(sent, "tags")));
    assert_true(json_equal(json_object_get(a.data, "content"), json_object_get(sent, "content")));
    assert_string_equal(json_string_value(json_object_get(a.data, "published_at")),
                        "2026-02-19T08:00:00.000001Z");
    a = ASK("GET", "users", "1", NULL, NULL, NULL, &p_admin);
    json_t *want =
        json_in(fx.a, json_loads("{\"a\":[1,2,{\"x\":null}],\"c\":\"" LINE "\"}", 0, NULL));
    assert_true(json_equal(json_object_get(a.data, "meta"), want));
}

/* --- events --- */

static const char *event_types_since(int64_t id)
{
    struct db_rows *r = fx_sql(
        arena_printf(fx.a,
                     "SELECT coalesce(string_agg(array_to_string(type || also_types, ' '), ' ' "
                     "ORDER BY id), '') "
                     "FROM outbox WHERE id > %lld AND cardinality(also_types) IS NOT DISTINCT FROM "
                     "cardinality(also_ids)",
                     (long long)id));
    return db_str(r, 0, 0);
}

static int64_t last_event(void)
{
    return fx_int("SELECT coalesce(max(id), 0) FROM outbox");
}

static void events_say_what_happened_in_order(void **state)
{
    (void)state;
    int64_t at = last_event();
    struct answer a = ASK("POST", "posts", NULL, NULL,
                          "{\"title\":\"Events\",\"status\":\"published\"}", NULL, &p_admin);
    EXPECT(a, 201);
    const char *id = fx_id(&a);
    assert_string_equal(event_types_since(at), "post.created post.published");
    static const struct {
        const char *method, *body, *want;
        int status;
    } steps[] = {
        { "PATCH",   "{\"title\":\"Events 2\"}",                                             "post.updated",                  200 },
        { "PATCH",   "{\"status\":\"draft\"}",                                               "post.updated post.unpublished", 200 },
        { "PATCH",   "{\"status\":\"published\",\"title\":\"E\"}",                           "post.updated post.published",
         200                                                                                                                      },
        { "PATCH",   "{\"status\":\"scheduled\",\"published_at\":\"2999-01-01T00:00:00Z\"}",
         "post.updated post.unpublished post.scheduled",                                                                      200 },
        { "PATCH",   "{\"published_at\":\"2999-01-02T00:00:00Z\"}",                          "post.updated post.scheduled",
         200                                                                                                                      },
        { "PATCH",   "{\"title\":\"still scheduled\"}",                                      "post.updated",                  200 },
        { "PATCH",   "{\"published_at\":\"2001-01-02T00:00:00Z\"}",                          "",                              422 },
        { "PATCH",   "{\"status\":\"published\"}",                                           "post.updated post.published",   200 },
        { "DELETE",  NULL,                                                                   "post.deleted",                  204 },
        { "PATCH",   "{\"title\":\"gone\"}",                                                 "",                              404 },
        { "RESTORE", NULL,                                                                   "post.restored",                 200 },
        { "RESTORE", NULL,                                                                   "",                              409 },
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        at = last_event();
        a = ASK(steps[i].method, "posts", id, NULL, steps[i].body, NULL, &p_admin);
        EXPECT(a, steps[i].status);
        assert_string_equal(event_types_since(at), steps[i].want);
    }
    at = last_event();
    a = ASK("DELETE", "posts", id, "purge=true", NULL, NULL, &p_admin);
    EXPECT(a, 204);
    assert_string_equal(event_types_since(at), "post.deleted");
    assert_non_null(strstr(last_payload(), ",\"purged\":true}"));
    assert_int_equal(fx_int(arena_printf(fx.a, "SELECT count(*) FROM posts WHERE id = %s", id)), 0);
}

static void events_carry_what_webhooks_need(void **state)
{
    (void)state;
    struct answer a = ASK("POST", "posts", NULL, NULL, "{\"title\":\"Carry\",\"status\":\"draft\"}",
                          NULL, &p_author);
    EXPECT(a, 201);
    const char *id = fx_id(&a);
    a = ASK("PATCH", "posts", id, NULL, "{\"status\":\"published\"}", NULL, &p_author);
    EXPECT(a, 200);
    struct db_rows *r =
        fx_sql("SELECT also_types[1], topic, key, payload, trace, request_id, actor, event_id, "
               "also_ids[1], type FROM outbox ORDER BY id DESC LIMIT 2");
    assert_string_equal(db_str(r, 0, 9), "post.updated");
    assert_string_equal(db_str(r, 0, 0), "post.published");
    assert_string_not_equal(db_str(r, 0, 7), db_str(r, 0, 8));
    assert_string_equal(db_str(r, 0, 1), "content.events");
    assert_string_equal(db_str(r, 0, 2), arena_printf(fx.a, "post:%s", id));
    assert_true(str_starts(db_str(r, 0, 4), "00-0af7651916cd43dd8448eb211c80319c-"));
    assert_string_equal(db_str(r, 0, 5), "req-1");
    assert_string_equal(db_str(r, 0, 6),
                        arena_printf(fx.a, "user:%lld key:%lld", (long long)p_author.user_id,
                                     (long long)p_author.key_id));
    assert_string_not_equal(db_str(r, 0, 7), db_str(r, 1, 7));
    json_t *p = json_in(fx.a, json_loads(db_str(r, 0, 3), 0, NULL));
    json_t *changed = json_object_get(p, "changed");
    assert_int_equal(json_array_size(changed), 2);
    assert_string_equal(json_string_value(json_array_get(changed, 0)), "status");
    assert_string_equal(json_string_value(json_array_get(changed, 1)), "published_at");
    assert_string_equal(json_string_value(json_object_get(json_object_get(p, "before"), "status")),
                        "draft");
    assert_int_equal(json_integer_value(json_object_get(p, "owner_id")), p_author.user_id);
}

/* --- idempotency --- */

static void a_key_has_one_effect(void **state)
{
    (void)state;
    const char *body = "{\"title\":\"Once\",\"status\":\"draft\"}";
    int64_t n = fx_int("SELECT count(*) FROM posts");
    struct answer first = ASK("POST", "posts", NULL, NULL, body, "k-1", &p_author);
    EXPECT(first, 201);
    struct answer again = ASK("POST", "posts", NULL, NULL, body, "k-1", &p_author);
    EXPECT(again, 201);
    assert_string_equal(first.text, again.text);
    assert_string_equal(first.res.location, again.res.location);
    assert_string_equal(again.res.extra[0].name, "Idempotent-Replayed");
    assert_int_equal(fx_int("SELECT count(*) FROM posts"), n + 1);
    struct answer other = ASK("POST", "posts", NULL, NULL,
                              "{\"title\":\"Two\",\"status\":\"draft\"}", "k-1", &p_author);
    EXPECT(other, 422);
    assert_int_equal(other.err.code, E_idempotency_reused);
    EXPECT(ASK("POST", "posts", NULL, NULL, body, "k-1", &p_editor), 201); /* somebody else's key */
    assert_int_equal(fx_int("SELECT count(*) FROM posts"), n + 2);
}

/* --- slugs, references, constraints --- */

static void slugs_are_made_and_kept_apart(void **state)
{
    (void)state;
    const char *body = "{\"title\":\"Über uns!\",\"status\":\"published\"}";
    static const char *const want[] = { "ueber-uns", "ueber-uns-2", "ueber-uns-3" };
    const char *ids[3];
    for (size_t i = 0; i < 3; i++) {
        struct answer a = ASK("POST", "pages", NULL, NULL, body, NULL, &p_admin);
        EXPECT(a, 201);
        assert_string_equal(json_string_value(json_object_get(a.data, "slug")), want[i]);
        ids[i] = fx_id(&a);
    }
    struct answer a =
        ASK("POST", "pages", NULL, NULL,
            "{\"title\":\"x\",\"status\":\"draft\",\"slug\":\"ueber-uns\"}", NULL, &p_admin);
    EXPECT(a, 409);
    assert_string_equal(a.err.pointer, "/slug");
    EXPECT(ASK("DELETE", "pages", ids[0], NULL, NULL, NULL, &p_admin), 204);
    EXPECT(ASK("PATCH", "pages", ids[1], NULL, "{\"slug\":\"ueber-uns\"}", NULL, &p_admin), 200);
    EXPECT(ASK("RESTORE", "pages", ids[0], NULL, NULL, NULL, &p_admin), 409);
    a = ASK("GET", "pages", "slug:ueber-uns", NULL, NULL, NULL, &anonymous);
    EXPECT(a, 200);
    assert_string_equal(fx_id(&a), ids[1]);
    a = ASK("PUT", "pages", "slug:ueber-uns", NULL, body, NULL, &p_admin);
    EXPECT(a, 200);
    assert_string_equal(fx_id(&a), ids[1]);
    a = ASK("PUT", "pages", "slug:brand-new", NULL, body, NULL, &p_admin);
    EXPECT(a, 201);
    assert_string_equal(json_string_value(json_object_get(a.data, "slug")), "brand-new");
}

static void faults_of_the_database_name_the_field(void **state)
{
    (void)state;
    struct answer a =
        ASK("POST", "posts", NULL, NULL,
            "{\"title\":\"x\",\"status\":\"draft\",\"featured_media\":999999}", NULL, &p_admin);
    EXPECT(a, 422);
    assert_string_equal(a.res.faults->items[0].pointer, "/featured_media");
    assert_string_equal(a.res.faults->items[0].code, "reference");
    a = ASK("PATCH", "events", "1", NULL, "{\"speakers\":[1,999999]}", NULL, &p_admin);
    EXPECT(a, 422);
    assert_string_equal(a.res.faults->items[0].pointer, "/speakers");
    a = ASK("PATCH", "events", "1", NULL,
            "{\"starts_at\":\"2026-02-02T00:00:00Z\",\"ends_at\":\"2026-02-01T00:00:00Z\"}", NULL,
            &p_admin);
    EXPECT(a, 422);
    assert_string_equal(a.res.faults->items[0].pointer, "/ends_at");
    EXPECT(ASK("DELETE", "users", "1", "purge=true", NULL, NULL, &p_admin), 409);
    a = ASK("POST", "users", NULL, NULL,
            "{\"username\":\"U.One\",\"email\":\"other@example.com\",\"role\":\"member\"}", NULL,
            &p_admin);
    EXPECT(a, 409);
    assert_string_equal(a.err.pointer, "/username");
}

static int64_t links_of_the_last_write(void)
{
    return fx_int("SELECT count(*) FROM event_speakers WHERE xmin::text::bigint = (SELECT max("
                  "xmin::text::bigint) FROM events)");
}

/* proves: a change that changes nothing is answered and leaves no trace */
static void a_change_that_changes_nothing_is_no_change(void **state)
{
    (void)state;
    static const struct {
        const char *method, *plural, *body;
    } same[] = {
        { "PATCH", "posts",  "{}"                                                  },
        { "PATCH", "posts",  "{\"title\":\"Same\"}"                                },
        { "PATCH", "posts",
         "{\"title\":\"Same\",\"tags\":[\"b\",\"a\"],\"meta\":{\"x\":1},\"excerpt\":null,"
          "\"status\":\"published\",\"author\":{\"id\":1}}"                        },
        { "PATCH", "posts",  "{\"meta\":{\"gone\":null}}"                          },
        { "PUT",   "posts",
         "{\"title\":\"Same\",\"status\":\"published\",\"tags\":[\"b\",\"a\"],"
          "\"meta\":{\"x\":1},\"published_at\":\"2026-01-01T00:00:00Z\"}"          },
        { "PATCH", "events", "{\"speakers\":[1]}"                                  },
        { "PATCH", "events",
         "{\"starts_at\":\"2026-02-19T09:00:00+01:00\",\"speakers\":[{\"id\":1}]}" },
    };
    struct answer post =
        ASK("POST", "posts", NULL, NULL,
            "{\"title\":\"Same\",\"slug\":\"same\",\"status\":\"published\",\"tags\":[\"b\",\"a\"],"
            "\"meta\":{\"x\":1},\"author\":1,\"published_at\":\"2026-01-01T00:00:00Z\"}",
            NULL, &p_admin);
    EXPECT(post, 201);
    struct answer event = ASK("POST", "events", NULL, NULL,
                              "{\"title\":\"Same\",\"status\":\"draft\",\"starts_at\":"
                              "\"2026-02-19T08:00:00Z\",\"speakers\":[1]}",
                              NULL, &p_admin);
    EXPECT(event, 201);
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct answer *was = str_eq(same[i].plural, "posts") ? &post : &event;
        int64_t at = last_event();
        struct answer a =
            ASK(same[i].method, same[i].plural, fx_id(was), NULL, same[i].body, NULL, &p_admin);
        EXPECT(a, 200);
        assert_string_equal(a.text, was->text);
        assert_string_equal(a.res.etag, was->res.etag);
        assert_string_equal(event_types_since(at), "");
        assert_string_equal(ASK("GET", same[i].plural, fx_id(was), NULL, NULL, NULL, &p_admin).text,
                            was->text);
    }
    /* nor does a PUT without a date give what is published another one */
    struct answer put = ASK("PUT", "posts", fx_id(&post), NULL,
                            "{\"title\":\"Same\",\"status\":\"published\",\"tags\":[\"b\",\"a\"],"
                            "\"meta\":{\"x\":1}}",
                            NULL, &p_admin);
    EXPECT(put, 200);
    assert_string_equal(put.text, post.text);
    assert_int_equal(links_of_the_last_write(),
                     0); /* the link rows are those of the first statement */
    /* one field of several that differs is a change, and only it is named */
    int64_t at = last_event();
    struct answer a = ASK("PATCH", "posts", fx_id(&post), NULL,
                          "{\"title\":\"Same\",\"tags\":[\"a\",\"b\"]}", NULL, &p_admin);
    EXPECT(a, 200);
    assert_string_equal(event_types_since(at), "post.updated");
    assert_non_null(strstr(last_payload(), "\"changed\":[\"tags\"]"));
    assert_int_equal(json_integer_value(json_object_get(a.data, "version")), 2);
}

static void expect_dead(struct answer a, const char *pointer)
{
    EXPECT(a, 422);
    assert_int_equal(a.res.faults->n, 1);
    assert_string_equal(a.res.faults->items[0].pointer, pointer);
    assert_string_equal(a.res.faults->items[0].code, "reference");
}

/* proves: R-01: what is deleted cannot be referred to anew; what a row holds already it keeps */
static void references_lead_to_rows_that_are_there(void **state)
{
    (void)state;
    static const char *const made[] = { "media", "experts", "companies" };
    const char *id[ARRAY_LEN(made)];
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        struct answer a = ASK("POST", made[i], NULL, NULL,
                              i == 0 ? "{\"filename\":\"f\",\"mime_type\":\"image/png\"}"
                                     : "{\"name\":\"Dead reference\"}",
                              NULL, &p_admin);
        EXPECT(a, 201);
        id[i] = fx_id(&a);
    }
    const char *post = arena_printf(
        fx.a, "{\"title\":\"Holds\",\"status\":\"draft\",\"featured_media\":%s}", id[0]);
    const char *event = arena_printf(fx.a,
                                     "{\"title\":\"Holds\",\"status\":\"draft\",\"starts_at\":"
                                     "\"2026-02-19T08:00:00Z\",\"speakers\":[1,%s],"
                                     "\"organizer\":%s}",
                                     id[1], id[2]);
    struct answer p = ASK("POST", "posts", NULL, NULL, post, "dead-1", &p_admin);
    struct answer e = ASK("POST", "events", NULL, NULL, event, NULL, &p_admin);
    EXPECT(p, 201);
    EXPECT(e, 201);
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        EXPECT(ASK("DELETE", made[i], id[i], NULL, NULL, NULL, &p_admin), 204);
    int64_t at = last_event(), rows = fx_int("SELECT count(*) FROM posts");
    expect_dead(ASK("POST", "posts", NULL, NULL, post, NULL, &p_admin), "/featured_media");
    expect_dead(ASK("POST", "posts", NULL, NULL, post, "dead-2", &p_admin), "/featured_media");
    EXPECT(ASK("POST", "posts", NULL, NULL, post, "dead-1", &p_admin), 201); /* a repetition */
    struct answer two = ASK("POST", "events", NULL, NULL, event, NULL, &p_admin);
    EXPECT(two, 422);
    assert_int_equal(two.res.faults->n, 2);
    assert_string_equal(two.res.faults->items[0].pointer, "/organizer");
    assert_string_equal(two.res.faults->items[1].pointer, "/speakers/1");
    expect_dead(ASK("PATCH", "posts", "1", NULL,
                    arena_printf(fx.a, "{\"featured_media\":%s}", id[0]), NULL, &p_admin),
                "/featured_media");
    expect_dead(ASK("PATCH", "events", "1", NULL,
                    arena_printf(fx.a, "{\"speakers\":[1,%s]}", id[1]), NULL, &p_admin),
                "/speakers/1");
    expect_dead(ASK("PUT", "posts", "slug:dead-reference", NULL, post, NULL, &p_admin),
                "/featured_media");
    assert_string_equal(event_types_since(at), "");
    assert_int_equal(fx_int("SELECT count(*) FROM posts"), rows);
    /* unchanged, and beside a change */
    EXPECT(ASK("PATCH", "posts", fx_id(&p), NULL,
               arena_printf(fx.a, "{\"title\":\"Holds on\",\"featured_media\":%s}", id[0]), NULL,
               &p_admin),
           200);
    EXPECT(ASK("PATCH", "events", fx_id(&e), NULL,
               arena_printf(fx.a, "{\"organizer\":%s,\"speakers\":[%s]}", id[2], id[1]), NULL,
               &p_admin),
           200);
    EXPECT(ASK("PATCH", "posts", fx_id(&p), NULL, "{\"featured_media\":null}", NULL, &p_admin),
           200);
    expect_dead(ASK("PATCH", "posts", fx_id(&p), NULL,
                    arena_printf(fx.a, "{\"featured_media\":%s}", id[0]), NULL, &p_admin),
                "/featured_media");
    EXPECT(ASK("RESTORE", "media", id[0], NULL, NULL, NULL, &p_admin), 200);
    EXPECT(ASK("PATCH", "posts", fx_id(&p), NULL,
               arena_printf(fx.a, "{\"featured_media\":%s}", id[0]), NULL, &p_admin),
           200);
}

static void put_sets_defaults(void **state)
{
    (void)state;
    struct answer a = ASK("POST", "events", NULL, NULL,
                          "{\"title\":\"P\",\"status\":\"draft\",\"starts_at\":\"2026-05-01T00:00:"
                          "00Z\",\"capacity\":7,"
                          "\"speakers\":[1],\"meta\":{\"a\":1}}",
                          NULL, &p_author);
    EXPECT(a, 201);
    const char *slug = json_string_value(json_object_get(a.data, "slug"));
    a = ASK("PUT", "events", fx_id(&a), NULL,
            "{\"title\":\"P2\",\"status\":\"draft\",\"starts_at\":\"2026-05-01T00:00:00Z\"}", NULL,
            &p_author);
    EXPECT(a, 200);
    assert_true(json_is_null(json_object_get(a.data, "capacity")));
    assert_int_equal(json_array_size(json_object_get(a.data, "speakers")), 0);
    assert_int_equal(json_object_size(json_object_get(a.data, "meta")), 0);
    assert_string_equal(json_string_value(json_object_get(a.data, "slug")), slug);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(a.data, "author"), "id")),
                     p_author.user_id);
    EXPECT(ASK("PUT", "events", "999999", NULL,
               "{\"title\":\"P2\",\"status\":\"draft\",\"starts_at\":\"2026-05-01T00:00:00Z\"}",
               NULL, &p_admin),
           404);
}

static void the_program_changes_rows_itself(void **state)
{
    (void)state;
    struct err err;
    int64_t id = 0, version = fx_int("SELECT version FROM posts WHERE id = 1");
    json_t *body = json_in(fx.a, json_pack("{s:s}", "excerpt", "by itself"));
    const struct crud *c = NULL;
    for (struct crud *const *p = fx.api->cruds; *p; p++)
        if (crud_entity(*p) == entity_find("post"))
            c = *p;
    struct crud_change change = { .id = 1, .version = version, .body = body, .actor = "schedule" };
    fx_check(crud_apply(&fx.svc, fx.a, c, &change, &id, &err), &err);
    assert_int_equal(id, 1);
    assert_int_equal(crud_apply(&fx.svc, fx.a, c, &change, &id, &err), -E_conflict);
    assert_string_equal(db_str(fx_sql("SELECT actor FROM outbox ORDER BY id DESC LIMIT 1"), 0, 0),
                        "schedule");
}

/* --- at the same time --- */

enum { threads = 8, rounds = 12 };

struct racer {
    pthread_t thread;
    const char *key, *id;
    int64_t version;
    int status[rounds];
};

static void *create_with_key(void *arg)
{
    struct racer *r = arg;
    thread_arena = arena_new();
    for (int i = 0; i < rounds; i++) {
        struct answer a =
            ASK("POST", "posts", NULL, NULL, "{\"title\":\"Race\",\"status\":\"draft\"}",
                arena_printf(thread_arena, "race-%d", i), &p_author);
        r->status[i] = a.status;
    }
    arena_free(thread_arena);
    return NULL;
}

/* proves: X-03 */
static void racing_requests_with_one_key_have_one_effect(void **state)
{
    struct racer r[threads] = { 0 };
    int64_t before = fx_int("SELECT count(*) FROM posts"), last = last_event();
    (void)state;
    for (size_t i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&r[i].thread, NULL, create_with_key, &r[i]), 0);
    for (size_t i = 0; i < threads; i++)
        pthread_join(r[i].thread, NULL);
    for (size_t k = 0; k < rounds; k++) {
        size_t made = 0;
        for (size_t i = 0; i < threads; i++) {
            made += r[i].status[k] == 201;
            if (r[i].status[k] != 201 && r[i].status[k] != 409)
                fail_msg("status %d", r[i].status[k]);
        }
        assert_true(made >= 1);
    }
    assert_int_equal(fx_int("SELECT count(*) FROM posts") - before, rounds);
    assert_int_equal(
        fx_int(arena_printf(fx.a,
                            "SELECT count(*) FROM outbox WHERE id > %lld AND type = 'post.created'",
                            (long long)last)),
        rounds);
}

static void *change_version(void *arg)
{
    struct racer *r = arg;
    struct arena *a = arena_new();
    for (int i = 0; i < rounds; i++) {
        struct err err;
        /* Each writer's own words, or the second would change nothing. */
        json_t *body =
            json_in(a, json_pack("{s:o}", "excerpt",
                                 json_sprintf("%lld %d", (long long)r->version + i, gettid())));
        int64_t id;
        struct crud_change change = {
            .id = 1, .version = r->version + i, .body = body, .actor = "race"
        };
        do
            r->status[i] = crud_apply(&fx.svc, a, fx.api->cruds[1], &change, &id, &err);
        while (r->status[i] == -E_conflict && fx_version(a) < change.version);
    }
    arena_free(a);
    return NULL;
}

/* proves: R-09 */
static void one_writer_wins_each_version(void **state)
{
    struct racer r[threads] = { 0 };
    int64_t version = fx_version(fx.a);
    (void)state;
    assert_ptr_equal(crud_entity(fx.api->cruds[1]), entity_find("post"));
    for (size_t i = 0; i < threads; i++) {
        r[i].version = version;
        assert_int_equal(pthread_create(&r[i].thread, NULL, change_version, &r[i]), 0);
    }
    for (size_t i = 0; i < threads; i++)
        pthread_join(r[i].thread, NULL);
    for (size_t k = 0; k < rounds; k++) {
        size_t won = 0;
        for (size_t i = 0; i < threads; i++)
            won += r[i].status[k] == 0;
        assert_int_equal(won, 1);
    }
    assert_int_equal(fx_version(fx.a), version + rounds);
    /* events of a key are in the order of its versions */
    assert_int_equal(fx_int("SELECT count(*) FROM (SELECT "
                            "(payload::json->'data'->>'version')::bigint AS v, lag((payload::"
                            "json->'data'->>'version')::bigint) OVER (ORDER BY id) AS w FROM "
                            "outbox WHERE key = 'post:1') x "
                            "WHERE v < w"),
                     0);
}

static void people_are_made(void **state)
{
    (void)state;
    make_people();
}

static void counts_hold_after_all_this(void **state)
{
    (void)state;
    fx_counts_hold();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_equal_the_schema_both_ways),
        cmocka_unit_test(every_statement_prepares),
        cmocka_unit_test(fast_statements_have_names_of_their_own),
        cmocka_unit_test(writes_answer_with_the_bytes_of_reads),
        cmocka_unit_test(values_come_back_as_sent),
        cmocka_unit_test(people_are_made),
        cmocka_unit_test(events_say_what_happened_in_order),
        cmocka_unit_test(events_carry_what_webhooks_need),
        cmocka_unit_test(a_key_has_one_effect),
        cmocka_unit_test(slugs_are_made_and_kept_apart),
        cmocka_unit_test(faults_of_the_database_name_the_field),
        cmocka_unit_test(a_change_that_changes_nothing_is_no_change),
        cmocka_unit_test(references_lead_to_rows_that_are_there),
        cmocka_unit_test(put_sets_defaults),
        cmocka_unit_test(the_program_changes_rows_itself),
        cmocka_unit_test(racing_requests_with_one_key_have_one_effect),
        cmocka_unit_test(one_writer_wins_each_version),
        cmocka_unit_test(counts_hold_after_all_this),
    };
    return cmocka_run_group_tests(tests, admin_setup, fx_teardown);
}
