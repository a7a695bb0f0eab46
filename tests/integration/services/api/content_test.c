/* The seven entities on a real database.  proves: R-01 R-03 R-05 R-16 R-17 X-03 X-04 */
#include "tests/integration/services/api/api_fixture.h"

#include "api/sql.h"

static struct principal p_admin, p_editor, p_author, p_other, p_member;

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
    for (size_t i = 0; sql_all[i]; i++)
        fx_check(db_session_script(fx.session,
                                   arena_printf(fx.a, "PREPARE f%zu AS %s", i, sql_all[i]->sql),
                                   &err),
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

#define NASTY                                                                                      \
    "\\\"quote\\\" back\\\\slash /slash \\u0001\\u001f\\u007f tab\\tnl\\ncr\\r \\u2028 "           \
    "\\ud83d\\ude00 Ü {a,b} NULL"
/* One line: no control characters. */
#define LINE "\\\"q\\\" b\\\\s / ' ; -- $1 \\u2028 \\ud83d\\ude00 Ü {a,b} NULL"

static const struct {
    const char *plural, *body, *patch;
} samples[] = {
    { "users",
     "{\"username\":\"u.one\",\"email\":\"u1@example.com\",\"role\":\"author\",\"display_name\":"
      "\"" LINE
      "\",\"bio\":\"\\\"tab\\tnl\\ncr\\r\\\\\",\"meta\":{\"b\":1,\"a\":[1,2,{\"x\":null}]}}", "{\"display_name\":null,\"locale\":\"de-DE\",\"meta\":{\"b\":null,\"c\":\"" LINE "\"}}" },
    { "media",
     "{\"filename\":\"" LINE
      "\",\"mime_type\":\"image/png\",\"size_bytes\":9007199254740991,\"width\":1,"
      "\"storage_key\":\"a/b\"}",                                                             "{\"alt_text\":\"" LINE "\",\"height\":7}"                                              },
    { "companies",
     "{\"name\":\"" LINE
      "\",\"country\":\"DE\",\"employee_count\":0,\"description\":\"a\\r\\n\\tb\"}",          "{\"city\":\"Köln\",\"logo\":1}"                                                       },
    { "experts",
     "{\"name\":\"" LINE "\",\"specialties\":[\"" LINE
      "\",\"NULL\",\"\",\"a b\",\"{\"],\"languages\":[],"
      "\"hourly_rate_minor\":12000,\"currency\":\"EUR\",\"company\":{\"id\":1},\"user\":1}",  "{\"specialties\":[],\"languages\":[\"de\"],\"company\":null}"                          },
    { "posts",
     "{\"title\":\"" LINE
      "\",\"status\":\"published\",\"content\":\"\\\"tab\\tnl\\ncr\\r\\\\\",\"tags\":[\"a\",\"" LINE
      "\"],\"published_at\":\"2026-02-19T08:00:00.5+01:00\",\"author\":1,\"featured_media\":{"
      "\"id\":1}}",                                                                           "{\"published_at\":\"2026-02-19T08:00:00.000001Z\",\"excerpt\":\"x\"}"                  },
    { "pages",
     "{\"title\":\"" LINE
      "\",\"status\":\"draft\",\"menu_order\":-5,\"content_format\":\"markdown\"}",           "{\"status\":\"published\",\"template\":\"" LINE "\"}"                                  },
    { "events",
     "{\"title\":\"" LINE
      "\",\"status\":\"draft\",\"starts_at\":\"0001-01-01T00:00:00Z\",\"ends_at\":"
      "\"9999-12-31T23:59:59.999999Z\",\"speakers\":[1],\"timezone\":\"Europe/Berlin\"}",     "{\"speakers\":[],\"status\":\"published\"}"                                            },
};

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
    struct db_rows *r = fx_sql(arena_printf(
        fx.a, "SELECT coalesce(string_agg(type, ' ' ORDER BY id), '') FROM outbox WHERE id > %lld",
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
        fx_sql("SELECT type, topic, key, payload, trace, request_id, actor, event_id FROM outbox "
               "ORDER BY id DESC LIMIT 2");
    assert_string_equal(db_str(r, 0, 0), "post.published");
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

/* --- lists --- */

static void counts_are_exact(void **state)
{
    (void)state;
    uint32_t seed = 7;
    static const char *const status[] = { "draft", "published", "archived", "scheduled" };
    const struct principal *who[] = { &p_author, &p_other, &p_editor, &p_admin };
    const char *ids[400];
    size_t n = 0;
    for (int i = 0; i < 400; i++) {
        seed = seed * 1664525 + 1013904223;
        unsigned what = seed >> 16 & 7, st = seed >> 20 & 3;
        const char *at =
            st == 3 || seed >> 24 & 1 ? "2999-01-01T00:00:00Z" : "2020-01-01T00:00:00Z";
        const char *id = n ? ids[(seed >> 8) % n] : "1";
        struct answer a;
        if (what < 3)
            a = ASK("POST", "posts", NULL, NULL,
                    arena_printf(fx.a,
                                 "{\"title\":\"Count\",\"status\":\"%s\",\"published_at\":\"%s\"}",
                                 status[st], at),
                    NULL, who[seed >> 12 & 3]);
        else if (what < 6)
            a = ASK("PATCH", "posts", id, NULL,
                    arena_printf(fx.a,
                                 "{\"status\":\"%s\",\"published_at\":\"%s\",\"author\":%lld}",
                                 status[st], at,
                                 (long long)(seed >> 25 & 1 ? p_author.user_id : p_other.user_id)),
                    NULL, &p_admin);
        else
            a = ASK(what == 6 ? "DELETE" : "RESTORE", "posts", id, NULL, NULL, NULL, &p_admin);
        if (what < 3) {
            EXPECT(a, 201);
            ids[n++] = fx_id(&a);
        }
    }
    struct db_rows *r = fx_sql("SELECT * FROM (SELECT status, 0::bigint AS owner, count(*) AS n "
                               "FROM posts WHERE deleted_at IS NULL GROUP BY 1 "
                               "UNION ALL SELECT status, author_id, count(*) FROM posts WHERE "
                               "deleted_at IS NULL AND status <> 'published' AND "
                               "author_id IS NOT NULL GROUP BY 1, 2) a FULL JOIN (SELECT status, "
                               "owner, sum(n) AS n FROM counts WHERE entity = "
                               "'post' GROUP BY 1, 2 HAVING sum(n) <> 0) b USING (status, owner) "
                               "WHERE a.n IS DISTINCT FROM b.n");
    if (db_nrows(r))
        fail_msg("%zu counts differ, e.g. %s of %s", db_nrows(r), db_str(r, 0, 0), db_str(r, 0, 1));
}

/* The total of each reader, by counts, is what he can count page by page. */
static void totals_are_what_the_reader_sees(void **state)
{
    (void)state;
    const struct principal *who[] = { &anonymous, &p_member, &p_author,
                                      &p_other,   &p_editor, &p_admin };
    static const char *const filters[] = { "", "filter[status]=published", "filter[status]=draft",
                                           "filter[status]=scheduled",
                                           "filter[title][like]=Count*" };
    for (size_t w = 0; w < ARRAY_LEN(who); w++)
        for (size_t f = 0; f < ARRAY_LEN(filters); f++) {
            size_t rows = 0;
            int64_t total = -1;
            for (int page = 1;; page++) {
                struct answer a =
                    ASK("GET", "posts", NULL,
                        arena_printf(fx.a, "page=%d%s%s", page, *filters[f] ? "&" : "", filters[f]),
                        NULL, NULL, who[w]);
                EXPECT(a, 200);
                const json_t *meta = json_object_get(a.json, "meta");
                if (page == 1)
                    total = json_integer_value(json_object_get(meta, "total"));
                else
                    assert_int_equal(json_integer_value(json_object_get(meta, "total")), total);
                rows += json_array_size(a.data);
                if (json_is_null(json_object_get(json_object_get(a.json, "links"), "next")))
                    break;
            }
            if ((int64_t)rows != total)
                fail_msg("reader %zu, %s: %zu rows, total %lld", w, filters[f], rows,
                         (long long)total);
        }
}

static void pages_do_not_overlap(void **state)
{
    (void)state;
    int64_t seen = 0, distinct_ids = 0;
    json_t *ids = json_in(fx.a, json_object());
    for (int page = 1; page < 50; page++) {
        struct answer a =
            ASK("GET", "posts", NULL,
                arena_printf(fx.a, "per_page=7&page=%d&sort=title,-published_at&fields=id", page),
                NULL, NULL, &p_admin);
        EXPECT(a, 200);
        for (size_t i = 0; i < json_array_size(a.data); i++) {
            const json_t *row = json_array_get(a.data, i);
            assert_int_equal(json_object_size(row), 1);
            char *key = arena_printf(fx.a, "%lld",
                                     (long long)json_integer_value(json_object_get(row, "id")));
            json_object_set_new(ids, key, json_true());
            seen++;
        }
        if (!json_array_size(a.data))
            break;
    }
    distinct_ids = (int64_t)json_object_size(ids);
    assert_int_equal(seen, distinct_ids);
    assert_int_equal(seen, fx_int("SELECT count(*) FROM posts WHERE deleted_at IS NULL"));
}

static const struct {
    const char *query, *where;
} filter_cases[] = {
    { "filter[status]=draft",                          "status = 'draft'"                     },
    { "filter[status][ne]=draft",                      "status <> 'draft'"                    },
    { "filter[status][in]=draft,archived",             "status IN ('draft', 'archived')"      },
    { "filter[status][nin]=draft,archived",            "status NOT IN ('draft', 'archived')"  },
    { "filter[title][like]=C*",                        "title LIKE 'C%'"                      },
    { "filter[title][ilike]=c*",                       "title ILIKE 'c%'"                     },
    { "filter[title][contains]=%25",                   "title LIKE '%\\%%'"                   },
    { "filter[title][lt]=E",                           "title < 'E'"                          },
    { "filter[id][between]=3,9",                       "id BETWEEN 3 AND 9"                   },
    { "filter[id][gte]=5&filter[id][lt]=8",            "id >= 5 AND id < 8"                   },
    { "filter[author][null]=true",                     "author_id IS NULL"                    },
    { "filter[author][null]=false",                    "author_id IS NOT NULL"                },
    { "filter[featured_media]=1",                      "featured_media_id = 1"                },
    { "filter[featured_media.id][ne]=1",               "featured_media_id IS DISTINCT FROM 1" },
    { "filter[tags]=a",                                "tags @> '{a}'"                        },
    { "filter[tags][null]=true",                       "tags = '{}'"                          },
    { "filter[tags][nin]=a,b",                         "NOT tags && '{a,b}'"                  },
    { "filter[published_at][gt]=2026-01-01T00:00:00Z", "published_at > '2026-01-01Z'"         },
    { "filter[title][eq]=' OR 1=1 --",                 "title = ''' OR 1=1 --'"               },
};

static void filters_mean_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(filter_cases); i++) {
        struct answer a = ASK("GET", "posts", NULL, filter_cases[i].query, NULL, NULL, &p_admin);
        EXPECT(a, 200);
        int64_t want = fx_int(
            arena_printf(fx.a, "SELECT count(*) FROM posts WHERE deleted_at IS NULL AND (%s)",
                         filter_cases[i].where));
        int64_t total =
            json_integer_value(json_object_get(json_object_get(a.json, "meta"), "total"));
        if (total != want)
            fail_msg("%s: %lld, not %lld", filter_cases[i].query, (long long)total,
                     (long long)want);
    }
}

static void relations_are_included_and_filtered(void **state)
{
    (void)state;
    struct answer a = ASK("GET", "posts", "1", "include=author,featured_media&fields=id,title",
                          NULL, NULL, &p_admin);
    EXPECT(a, 200);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(a.data, "author"), "username")), "u.one");
    assert_int_equal(json_object_size(a.data), 4);
    a = ASK("GET", "posts", "1", "include=author", NULL, NULL, &anonymous);
    EXPECT(a, 200);
    assert_null(json_object_get(json_object_get(a.data, "author"), "email"));
    assert_null(json_object_get(json_object_get(a.data, "author"), "username"));
    assert_non_null(json_object_get(json_object_get(a.data, "author"), "display_name"));
    EXPECT(ASK("PATCH", "events", "1", NULL, "{\"speakers\":[1]}", NULL, &p_admin), 200);
    a = ASK("GET", "events", "1", "include=speakers", NULL, NULL, &anonymous);
    EXPECT(a, 200);
    const json_t *sp = json_array_get(json_object_get(a.data, "speakers"), 0);
    assert_non_null(json_object_get(sp, "name"));
    a = ASK("GET", "experts", "1", "include=events,user", NULL, NULL, &p_admin);
    assert_int_equal(json_array_size(json_object_get(a.data, "events")), 1);
    a = ASK("GET", "events", NULL, "filter[speakers]=1", NULL, NULL, &anonymous);
    assert_int_equal(json_array_size(a.data), 1);
    a = ASK("GET", "events", NULL, "filter[speakers]=99", NULL, NULL, &anonymous);
    assert_int_equal(json_array_size(a.data), 0);
    a = ASK("GET", "users", NULL, "filter[posts][null]=true&include=posts", NULL, NULL, &p_admin);
    EXPECT(a, 200);
    for (size_t i = 0; i < json_array_size(a.data); i++)
        assert_int_equal(json_array_size(json_object_get(json_array_get(a.data, i), "posts")), 0);
}

/* --- who may what --- */

static void readers_see_what_is_theirs(void **state)
{
    (void)state;
    struct answer a = ASK("POST", "posts", NULL, NULL, "{\"title\":\"Mine\",\"status\":\"draft\"}",
                          NULL, &p_author);
    EXPECT(a, 201);
    const char *id = fx_id(&a);
    EXPECT(ASK("GET", "posts", id, NULL, NULL, NULL, &p_author), 200);
    EXPECT(ASK("GET", "posts", id, NULL, NULL, NULL, &p_editor), 200);
    EXPECT(ASK("GET", "posts", id, NULL, NULL, NULL, &p_other), 404);
    EXPECT(ASK("GET", "posts", id, NULL, NULL, NULL, &p_member), 404);
    EXPECT(ASK("GET", "posts", id, NULL, NULL, NULL, &anonymous), 404);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"title\":\"x\"}", NULL, &p_other), 404);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"title\":\"x\"}", NULL, &p_member), 403);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"author\":1}", NULL, &p_author), 422);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"status\":\"published\"}", NULL, &p_author), 200);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"title\":\"x\"}", NULL, &p_other), 403);
    EXPECT(ASK("DELETE", "posts", id, "purge=true", NULL, NULL, &p_editor), 403);
    EXPECT(ASK("POST", "companies", NULL, NULL, "{\"name\":\"x\"}", NULL, &p_author), 403);
    EXPECT(ASK("POST", "companies", NULL, NULL, "{\"name\":\"x\"}", NULL, &p_editor), 201);
    EXPECT(ASK("POST", "users", NULL, NULL, "{}", NULL, &p_editor), 403);
    const char *me = arena_printf(fx.a, "%lld", (long long)p_member.user_id);
    EXPECT(ASK("PATCH", "users", me, NULL, "{\"bio\":\"Hi\"}", NULL, &p_member), 200);
    EXPECT(ASK("PATCH", "users", me, NULL, "{\"role\":\"admin\"}", NULL, &p_member), 422);
    EXPECT(ASK("PATCH", "users", "1", NULL, "{\"bio\":\"Hi\"}", NULL, &p_member), 403);
    a = ASK("GET", "users", me, NULL, NULL, NULL, &p_member);
    assert_non_null(json_object_get(a.data, "email"));
    a = ASK("GET", "users", me, NULL, NULL, NULL, &p_editor);
    assert_non_null(json_object_get(a.data, "username"));
    assert_null(json_object_get(a.data, "email"));
    EXPECT(ASK("GET", "users", NULL, "filter[email]=a@example.com", NULL, NULL, &p_editor), 400);
    EXPECT(ASK("GET", "users", NULL, "sort=username", NULL, NULL, &anonymous), 400);
    fx.conf.public_read = false;
    EXPECT(ASK("GET", "posts", NULL, NULL, NULL, NULL, &anonymous), 401);
    fx.conf.public_read = true;
}

static void another_members_media_keeps_its_private_fields(void **state)
{
    (void)state;
    struct answer a = ASK("POST", "media", NULL, NULL,
                          "{\"filename\":\"a.png\",\"mime_type\":\"image/png\"}", NULL, &p_author);
    EXPECT(a, 201);
    const char *id = fx_id(&a);
    EXPECT(ASK("PATCH", "media", id, NULL, "{\"storage_key\":\"secret/place\"}", NULL, &p_admin),
           200);
    a = ASK("PATCH", "media", id, NULL, "{\"title\":\"x\"}", NULL, &p_editor);
    EXPECT(a, 200);
    assert_null(strstr(a.text, "secret/place"));
    assert_string_equal(a.text, ASK("GET", "media", id, NULL, NULL, NULL, &p_editor).text);
    EXPECT(ASK("GET", "media", id, NULL, NULL, NULL, &anonymous), 404);
    EXPECT(ASK("PATCH", "posts", "1", NULL, arena_printf(fx.a, "{\"featured_media\":%s}", id), NULL,
               &p_admin),
           200);
    EXPECT(ASK("GET", "media", id, NULL, NULL, NULL, &anonymous), 200);
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

static int people(void **state)
{
    int rc = fx_setup(state);
    p_admin = fx_who(0, ROLE_ADMIN, (scope_set)1 << S_api_admin);
    p_admin.key_id = 1;
    return rc;
}

static void people_are_made(void **state)
{
    (void)state;
    static const char *const roles[] = { "editor", "author", "author", "member" };
    static struct principal *const who[] = { &p_editor, &p_author, &p_other, &p_member };
    static const enum role r[] = { ROLE_EDITOR, ROLE_AUTHOR, ROLE_AUTHOR, ROLE_MEMBER };
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        struct answer a = ASK(
            "POST", "users", NULL, NULL,
            arena_printf(fx.a,
                         "{\"username\":\"%s%zu\",\"email\":\"%s%zu@example.com\",\"role\":\"%s\"}",
                         roles[i], i, roles[i], i, roles[i]),
            NULL, &p_admin);
        EXPECT(a, 201);
        *who[i] = fx_who(json_integer_value(json_object_get(a.data, "id")), r[i],
                         (scope_set)1 << S_users_write);
    }
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
        cmocka_unit_test(counts_are_exact),
        cmocka_unit_test(totals_are_what_the_reader_sees),
        cmocka_unit_test(pages_do_not_overlap),
        cmocka_unit_test(filters_mean_what_they_say),
        cmocka_unit_test(relations_are_included_and_filtered),
        cmocka_unit_test(readers_see_what_is_theirs),
        cmocka_unit_test(another_members_media_keeps_its_private_fields),
        cmocka_unit_test(slugs_are_made_and_kept_apart),
        cmocka_unit_test(faults_of_the_database_name_the_field),
        cmocka_unit_test(put_sets_defaults),
        cmocka_unit_test(the_program_changes_rows_itself),
    };
    return cmocka_run_group_tests(tests, people, fx_teardown);
}
