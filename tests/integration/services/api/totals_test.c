/* Lists of one event loop that share a total.  proves: R-03 */
#include "tests/integration/services/api/api_crowd.h"

enum { posts_made = 20 }; /* a page of them */

static struct principal p_admin;
/* A list has a total of its own first, and the connection that they share is open then. */
static void ask_alone(void)
{
    nasked = 0;
    add_ask(&(struct ask){ "GET", "posts", .who = &p_admin });
    ask_all(NULL);
    EXPECT(asked[0].a, 200);
    nasked = 0;
}

static long long total_of(const struct answer *a)
{
    return json_integer_value(json_object_get(json_object_get(a->json, "meta"), "total"));
}

static const char *next_of(const struct answer *a)
{
    return json_string_value(json_object_get(json_object_get(a->json, "links"), "next"));
}

/* `counts` becomes a view that calls told(times it was called before) for each of its rows. */
static void watch_counts(const char *body)
{
    const char *const sql[] = {
        "ALTER TABLE counts RENAME TO counts_kept",
        "CREATE SEQUENCE looks MINVALUE 0",
        arena_printf(fx.a,
                     "CREATE FUNCTION told(looks bigint) RETURNS bigint LANGUAGE plpgsql AS "
                     "$$ BEGIN %s RETURN 0; END $$",
                     body),
        "CREATE VIEW counts AS SELECT entity, status, owner, shard, n + told(nextval('looks')) AS "
        "n FROM counts_kept",
    };
    for (size_t i = 0; i < ARRAY_LEN(sql); i++)
        (void)fx_sql(sql[i]);
}

static int unwatch_counts(void **state)
{
    const char *const sql[] = { "DROP VIEW IF EXISTS counts", "DROP FUNCTION IF EXISTS told",
                                "DROP SEQUENCE IF EXISTS looks",
                                "ALTER TABLE IF EXISTS counts_kept RENAME TO counts" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sql); i++)
        (void)fx_sql(sql[i]);
    return 0;
}

static long long looks(void)
{
    return fx_int("SELECT CASE WHEN is_called THEN last_value + 1 ELSE 0 END FROM looks");
}

/* The first one's total is of before the row that another's page has: that one counts again. */
static void a_page_with_a_row_more_has_a_total_of_its_own(void **state)
{
    (void)state;
    ask_alone();
    watch_counts("IF looks = 0 THEN INSERT INTO posts (title, slug, status, published_at) VALUES "
                 "('Late', 'late', 'published', now()); UPDATE counts_kept SET n = n + 1 WHERE "
                 "entity = 'post' AND owner = 0; END IF;");
    for (int i = 0; i < 3; i++)
        add_ask(&(struct ask){ "GET", "posts", .who = &p_admin });
    ask_all(NULL);
    EXPECT(asked[0].a, 200);
    assert_int_equal(total_of(&asked[0].a), posts_made);
    assert_null(next_of(&asked[0].a));
    for (size_t i = 1; i < nasked; i++) {
        EXPECT(asked[i].a, 200);
        assert_non_null(next_of(&asked[i].a));
        assert_int_equal(total_of(&asked[i].a), posts_made + 1);
    }
}

static void lists_at_once_look_for_their_total_once(void **state)
{
    (void)state;
    watch_counts("");
    ask_alone();
    long long alone = looks();
    assert_in_range(alone, 1, 20);
    for (int i = 0; i < 8; i++)
        add_ask(&(struct ask){ "GET", "posts", .who = &p_admin });
    ask_all(NULL);
    assert_int_equal(looks(), 2 * alone);
    for (size_t i = 0; i < nasked; i++) {
        EXPECT(asked[i].a, 200);
        assert_string_equal(asked[i].a.text, asked[0].a.text);
        assert_string_equal(asked[i].a.res.etag, asked[0].a.res.etag);
        assert_int_equal(total_of(&asked[i].a), posts_made + 1);
    }
    /* What is answered is over: the next one looks again. */
    ask_alone();
    assert_int_equal(looks(), 3 * alone);
}

static void who_gets_no_total_from_the_first_counts(void **state)
{
    (void)state;
    ask_alone();
    watch_counts("IF looks = 0 THEN RAISE 'no'; END IF;");
    for (int i = 0; i < 3; i++)
        add_ask(&(struct ask){ "GET", "posts", .who = &p_admin });
    ask_all(NULL);
    EXPECT(asked[0].a, 500);
    for (size_t i = 1; i < nasked; i++) {
        EXPECT(asked[i].a, 200);
        assert_int_equal(total_of(&asked[i].a), posts_made + 1);
    }
}

/* Of other entities, readers and filters. */
static void nobody_gets_anothers_total(void **state)
{
    (void)state;
    const struct principal author = fx_who(1, ROLE_AUTHOR, 0), other = fx_who(2, ROLE_AUTHOR, 0),
                           editor = fx_who(3, ROLE_EDITOR, 0);
    const struct principal *const readers[] = { &anonymous, &p_admin, &editor, &author, &other };
    static const struct {
        const char *plural, *query;
    } lists[] = {
        { "posts",     NULL                       },
        { "posts",     "filter[status]=published" },
        { "companies", NULL                       }
    };
    for (int i = 0; i < 25; i++) {
        if (i < 2)
            EXPECT(
                ASK("POST", "users", NULL, NULL,
                    arena_printf(
                        fx.a, "{\"username\":\"u%d\",\"email\":\"u%d@x.org\",\"role\":\"author\"}",
                        i, i),
                    NULL, &p_admin),
                201);
        EXPECT(ASK("POST", "companies", NULL, NULL,
                   arena_printf(fx.a, "{\"name\":\"Company %d\"}", i), NULL, &p_admin),
               201);
    }
    for (int i = 0; i < 30; i++)
        EXPECT(ASK("POST", "posts", NULL, NULL,
                   arena_printf(fx.a, "{\"title\":\"Draft %d\",\"status\":\"draft\",\"author\":%d}",
                                i, i % 3 ? 1 : 2),
                   NULL, &p_admin),
               201);
    for (int twice = 0; twice < 2; twice++)
        for (size_t k = 0; k < ARRAY_LEN(readers); k++)
            for (size_t i = 0; i < ARRAY_LEN(lists); i++)
                add_ask(&(struct ask){ "GET", lists[i].plural, .query = lists[i].query,
                                       .who = readers[k] });
    ask_all(NULL);
    for (size_t i = 0; i < nasked; i++) {
        struct answer alone = fx_ask(&asked[i].q);
        EXPECT(asked[i].a, 200);
        assert_true(total_of(&alone) > 20);
        assert_string_equal(asked[i].a.text, alone.text);
    }
}

static int setup(void **state)
{
    int rc = fx_setup(state);
    p_admin = fx_who(0, ROLE_ADMIN, (scope_set)1 << S_api_admin);
    for (int i = 0; !rc && i < posts_made; i++)
        EXPECT(ASK("POST", "posts", NULL, NULL,
                   arena_printf(fx.a, "{\"title\":\"Post %d\",\"status\":\"published\"}", i), NULL,
                   &p_admin),
               201);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_page_with_a_row_more_has_a_total_of_its_own, fresh,
                                        unwatch_counts),
        cmocka_unit_test_setup_teardown(lists_at_once_look_for_their_total_once, fresh,
                                        unwatch_counts),
        cmocka_unit_test_setup_teardown(who_gets_no_total_from_the_first_counts, fresh,
                                        unwatch_counts),
        cmocka_unit_test_setup(nobody_gets_anothers_total, fresh),
    };
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, setup, fx_teardown);
    loop_free(loop);
    return failed;
}
