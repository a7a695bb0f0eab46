/* What readers see: lists, totals, filters, includes, roles.  proves: R-03 R-04 R-05 R-06 R-17 */
#include "tests/integration/services/api/api_samples.h"

#include <pthread.h>
#include <stdatomic.h>

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
    fx_counts_hold();
}

static void fold_once(struct arena *a)
{
    struct err err;
    fx_check(api_fold_counts(&fx.svc, a, &err), &err);
}

static void *fold_often(void *stop)
{
    struct arena *a = arena_new();
    while (!atomic_load((atomic_bool *)stop)) {
        fold_once(a);
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

/* Folding the shards changes no total, also while others write; what a writer holds is left to him.
 */
static void totals_hold_while_counts_are_folded(void **state)
{
    (void)state;
    struct err err;
    struct db_rows *rows;
    static const struct db_stmt shards = { .sql = "select count(*) from counts where shard >= 0",
                                           .flags = DB_ONCE };
    pthread_t folder;
    atomic_bool stop = false;
    assert_int_equal(pthread_create(&folder, NULL, fold_often, &stop), 0);
    for (int i = 0; i < 60; i++)
        EXPECT(ASK("POST", "posts", NULL, NULL, "{\"title\":\"Fold\",\"status\":\"published\"}",
                   NULL, &p_admin),
               201);
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(folder, NULL), 0);
    fx_counts_hold();
    fold_once(fx.a);
    assert_int_equal(db_query(fx.svc.db, fx.a, &shards, NULL, 0, &rows, &err), 0);
    assert_int_equal(db_get_i64(rows, 0, 0), 0);
    fx_counts_hold();
}

/* A few folds are enough to have the table vacuumed: what is dead in it slows down every total. */
static void what_a_fold_leaves_is_soon_vacuumed(void **state)
{
    (void)state;
    struct err err;
    struct db_rows *rows;
    static const struct db_stmt options = {
        .sql = "select option_name, option_value::bigint from pg_class, "
               "pg_options_to_table(reloptions) where oid = 'counts'::regclass and option_name in "
               "('autovacuum_vacuum_threshold', 'autovacuum_vacuum_scale_factor') order by 1",
        .flags = DB_ONCE
    };
    assert_int_equal(db_query(fx.svc.db, fx.a, &options, NULL, 0, &rows, &err), 0);
    assert_int_equal(db_nrows(rows), 2);
    assert_int_equal(db_get_i64(rows, 0, 1), 0);
    assert_in_range(db_get_i64(rows, 1, 1), 0, 20);
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
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"author\":1}", NULL, &p_author), 403);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"status\":\"published\"}", NULL, &p_author), 200);
    EXPECT(ASK("PATCH", "posts", id, NULL, "{\"title\":\"x\"}", NULL, &p_other), 403);
    EXPECT(ASK("DELETE", "posts", id, "purge=true", NULL, NULL, &p_editor), 403);
    EXPECT(ASK("POST", "companies", NULL, NULL, "{\"name\":\"x\"}", NULL, &p_author), 403);
    EXPECT(ASK("POST", "companies", NULL, NULL, "{\"name\":\"x\"}", NULL, &p_editor), 201);
    EXPECT(ASK("POST", "users", NULL, NULL, "{}", NULL, &p_editor), 403);
    const char *me = arena_printf(fx.a, "%lld", (long long)p_member.user_id);
    EXPECT(ASK("PATCH", "users", me, NULL, "{\"bio\":\"Hi\"}", NULL, &p_member), 200);
    EXPECT(ASK("PATCH", "users", me, NULL, "{\"role\":\"admin\"}", NULL, &p_member), 403);
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

static int samples_setup(void **state)
{
    int rc = admin_setup(state);
    for (size_t i = 0; !rc && i < ARRAY_LEN(samples); i++) {
        EXPECT(ASK("POST", samples[i].plural, NULL, NULL, samples[i].body, NULL, &p_admin), 201);
        EXPECT(ASK("PATCH", samples[i].plural, "1", NULL, samples[i].patch, NULL, &p_admin), 200);
    }
    if (!rc)
        make_people();
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_exact),
        cmocka_unit_test(totals_hold_while_counts_are_folded),
        cmocka_unit_test(what_a_fold_leaves_is_soon_vacuumed),
        cmocka_unit_test(totals_are_what_the_reader_sees),
        cmocka_unit_test(pages_do_not_overlap),
        cmocka_unit_test(filters_mean_what_they_say),
        cmocka_unit_test(relations_are_included_and_filtered),
        cmocka_unit_test(readers_see_what_is_theirs),
        cmocka_unit_test(another_members_media_keeps_its_private_fields),
    };
    return cmocka_run_group_tests(tests, samples_setup, fx_teardown);
}
