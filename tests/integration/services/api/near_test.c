/* Lists that are as quick as a first page go with the quick reads.  proves: R-03 */
#include "tests/integration/services/api/api_crowd.h"

static struct principal p_admin, p_author;

/* The connections that are open when a first page was read, and then this list three times. */
static size_t connections_for(const char *query, const struct principal *who)
{
    struct db *kept = fx.svc.db;
    struct db_stats st;
    nasked = 0;
    fx.svc.db = db_new(&fx.dbc);
    add_ask(&(struct ask){ "GET", "posts", .query = "count=none", .who = &p_admin });
    ask_all(NULL);
    EXPECT(asked[0].a, 200);
    for (int i = 0; i < 3; i++) {
        nasked = 0;
        add_ask(&(struct ask){ "GET", "posts", .query = query, .who = who });
        ask_all(NULL);
        EXPECT(asked[0].a, 200);
        struct answer alone = fx_ask(&asked[0].q); /* a thread's connection */
        assert_string_equal(asked[0].a.text, alone.text);
        assert_true(json_array_size(alone.data) > 0);
    }
    db_stats(fx.svc.db, &st);
    db_free(fx.svc.db);
    fx.svc.db = kept;
    return st.conns_open - 1;
}

static void lists_near_the_start_share_the_quick_connection(void **state)
{
    (void)state;
    static const char *const near[] = {
        "count=none&page=2",
        "count=none&page=15",
        "count=none&per_page=100&page=3",
        "count=none&fields=id,title",
        "count=none&offset=7&limit=3",
        "cursor=",
        "page=2",
    };
    static const char *const far[] = {
        "count=none&page=16",
        "count=none&per_page=100&page=4",
        "count=none&sort=title",
        "count=none&filter[author]=1&page=2",
        "count=none&filter[status]=published&page=2",
        "count=none&filter[title]=Near%207",
        "count=none&filter[featured_media][null]=true",
    };
    for (size_t i = 0; i < ARRAY_LEN(near); i++)
        if (connections_for(near[i], &p_admin) != 1)
            fail_msg("%s", near[i]);
    for (size_t i = 0; i < ARRAY_LEN(far); i++)
        if (connections_for(far[i], &p_admin) != 2)
            fail_msg("%s", far[i]);
    /* Whose rows are looked up by a value. */
    assert_int_equal(connections_for("count=none&page=2", &p_author), 2);
}

static int setup(void **state)
{
    int rc = fx_setup(state);
    p_admin = fx_who(0, ROLE_ADMIN, (scope_set)1 << S_api_admin);
    p_author = fx_who(1, ROLE_AUTHOR, 0);
    if (rc)
        return rc;
    EXPECT(ASK("POST", "users", NULL, NULL,
               "{\"username\":\"near\",\"email\":\"near@x.org\",\"role\":\"author\"}", NULL,
               &p_admin),
           201);
    (void)fx_sql("INSERT INTO posts (title, slug, status, author_id, published_at) SELECT 'Near ' "
                 "|| i, 'near-' || i, 'published', 1, now() - i * interval '1 minute' FROM "
                 "generate_series(1, 340) i");
    (void)fx_sql("INSERT INTO counts (entity, status, owner, shard, n) VALUES ('post', "
                 "'published', 0, 1, 340)");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lists_near_the_start_share_the_quick_connection, fresh),
    };
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, setup, fx_teardown);
    loop_free(loop);
    return failed;
}
