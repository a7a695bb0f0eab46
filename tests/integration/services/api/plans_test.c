/* How PostgreSQL reads lists: off indexes.  proves: R-06 R-07 */
#include "tests/integration/services/api/api_samples.h"

#include "common/kit/sqlgen.h"

/* The plan of a list, as PostgreSQL makes it for these values. */
static const char *plan_of(const char *sql, const struct db_val *v, size_t n)
{
    struct err err;
    struct db_rows *r;
    struct db_stmt s = { .sql = arena_printf(fx.a, "EXPLAIN (COSTS OFF, FORMAT JSON) %s", sql),
                         .flags = DB_ONCE };
    fx_check(db_query(fx.svc.db, fx.a, &s, v, n, &r, &err), &err);
    return arena_strdup(fx.a, db_str(r, 0, 0));
}

static void sorts_have_indexes(void **state)
{
    (void)state;
    for (const struct entity_def *const *e = entities; *e; e++)
        for (const struct field_def *f = (*e)->fields; f->name; f++) {
            if (!(f->flags & FF_SORT) || f == (*e)->fields)
                continue;
            int64_t n = fx_int(arena_printf(
                fx.a,
                "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN "
                "pg_attribute a ON a.attrelid = c.oid "
                "AND a.attnum = i.indkey[0] WHERE c.relnamespace = current_schema()::regnamespace "
                "AND c.relname = '%s' AND a.attname = '%s' "
                "AND pg_get_expr(i.indpred, i.indrelid) = '(deleted_at IS NULL)'",
                (*e)->table, f->name));
            if (!n)
                fail_msg("%s.%s: sortable without an index", (*e)->table, f->name);
        }
}

static void big_table_of_posts(void)
{
    (void)fx_sql("INSERT INTO posts (title, slug, status, published_at, language, content) SELECT "
                 "'Big ' || i, 'big-' || i, 'published', "
                 "CASE WHEN i % 10 = 0 THEN now() - interval '1 day' ELSE now() - i * interval '1 "
                 "minute' END, 'en', 'words of the number ' || i "
                 "FROM generate_series(1, 20000) i");
    (void)fx_sql("ANALYZE posts");
}

static void lists_read_no_table_as_a_whole(void **state)
{
    (void)state;
    static const char *const sorts[] = { "title",        "-title",
                                         "slug",         "-published_at",
                                         "published_at", "created_at",
                                         "-updated_at",  "id" };
    static const char *const places[] = { "limit=20", "limit=20&offset=15000", "limit=20&cursor=" };
    struct err err;
    big_table_of_posts();
    for (size_t i = 0; i < ARRAY_LEN(sorts); i++)
        for (size_t k = 0; k < ARRAY_LEN(places); k++) {
            struct query q;
            struct sqlgen_text t;
            struct query_arg args[3] = {
                { "sort",                       sorts[i]              },
                { "limit",                      "20"                  },
                { k == 1 ? "offset" : "cursor", k == 1 ? "15000" : "" }
            };
            fx_check(
                query_parse(fx.a, &entity_post, &p_admin, QUERY_LIST, args, k ? 3 : 2, &q, &err),
                &err);
            if (k == 2) {
                struct answer a = ASK("GET", "posts", NULL,
                                      arena_printf(fx.a, "sort=%s&limit=20&cursor=", sorts[i]),
                                      NULL, NULL, &p_admin);
                EXPECT(a, 200);
                q.cursor = json_string_value(
                    json_object_get(json_object_get(a.json, "meta"), "next_cursor"));
                const struct query_scope s = { fx.svc.keyring, &entity_post, p_admin.user_id, args,
                                               1 };
                fx_check(query_open_cursor(fx.a, &s, &q, &err), &err);
            }
            sqlgen_list(fx.a, &(struct sqlgen_who){ &entity_post, VC_ADMIN, 0 }, &q, 0, &t);
            const char *plan = plan_of(t.sql, t.params, t.nparams);
            const char *inner = plan; /* what is sorted above it are the rows of the page */
            while (strstr(inner + 1, "\"Limit\""))
                inner = strstr(inner + 1, "\"Limit\"");
            if (strstr(plan, "\"Seq Scan\"") || strstr(inner, "\"Sort\""))
                fail_msg("%s %s: %s\n%s", sorts[i], places[k], t.sql, plan);
        }
    struct query q;
    struct sqlgen_text t;
    struct query_arg fts[2] = {
        { "filter[content][fts]", "number 777" },
        { "sort",                 "id"         }
    };
    fx_check(query_parse(fx.a, &entity_post, &p_admin, QUERY_LIST, fts, 2, &q, &err), &err);
    sqlgen_count(fx.a, &(struct sqlgen_who){ &entity_post, VC_ADMIN, 0 }, &q, TOTAL_ROWS, &t);
    const char *plan = plan_of(t.sql, t.params, t.nparams);
    if (!strstr(plan, "posts_fts_idx"))
        fail_msg("full text without its index: %s\n%s", t.sql, plan);
    (void)fx_sql("DELETE FROM posts WHERE slug LIKE 'big-%'");
}

static int people_setup(void **state)
{
    int rc = admin_setup(state);
    if (!rc)
        make_people();
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_have_indexes),
        cmocka_unit_test(lists_read_no_table_as_a_whole),
    };
    return cmocka_run_group_tests(tests, people_setup, fx_teardown);
}
