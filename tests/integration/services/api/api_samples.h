#ifndef TESTS_API_SAMPLES_H
#define TESTS_API_SAMPLES_H
/* Somebody of each role, and one row of each entity with strings that are hard to write. */
#include "tests/integration/services/api/api_fixture.h"

static struct principal p_admin, p_editor, p_author, p_other, p_member;

/* One line: no control characters. */
#define LINE "\\\"q\\\" b\\\\s / ' ; -- $1 \\u2028 \\ud83d\\ude00 Ü {a,b} NULL"

/* Names of files have no folders. */
#define FILENAME "\\\"q\\\" ' ; -- $1 \\u2028 \\ud83d\\ude00 Ü {a,b} NULL"

static const struct {
    const char *plural, *body, *patch;
} samples[] = {
    { "users",
     "{\"username\":\"u.one\",\"email\":\"u1@example.com\",\"role\":\"author\",\"display_name\":"
      "\"" LINE
      "\",\"bio\":\"\\\"tab\\tnl\\ncr\\r\\\\\",\"meta\":{\"b\":1,\"a\":[1,2,{\"x\":null}]}}", "{\"display_name\":null,\"locale\":\"de-DE\",\"meta\":{\"b\":null,\"c\":\"" LINE "\"}}" },
    { "media",
     "{\"filename\":\"" FILENAME
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

/* `counts` of posts against the rows themselves. */
static inline void fx_counts_hold(void)
{
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

static void make_people(void)
{
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

static int admin_setup(void **state)
{
    int rc = fx_setup(state);
    p_admin = fx_who(0, ROLE_ADMIN, (scope_set)1 << S_api_admin);
    p_admin.key_id = 1;
    return rc;
}
#endif
