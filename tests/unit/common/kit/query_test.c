/* The query parser, and the SQL that is made of it.  proves: R-05 R-06 R-07 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/str.h"
#include "common/kit/query.h"
#include "common/kit/route.h"
#include "common/kit/sqlgen.h"

static struct arena *a;

static size_t split(const char *text, struct query_arg *args)
{
    size_t n = 0;
    char *s = arena_strdup(a, text), *save = NULL;
    for (char *p = strtok_r(s, "&", &save); p; p = strtok_r(NULL, "&", &save)) {
        char *eq = strchr(p, '=');
        assert_non_null(eq);
        *eq = '\0';
        args[n++] = (struct query_arg){ p, eq + 1 };
    }
    return n;
}

/* Somebody whom this class is the class of. */
static struct principal who_of(enum vis_class vc)
{
    switch (vc) {
    case VC_ADMIN:
        return (struct principal){ .user_id = 7,
                                   .role = ROLE_ADMIN,
                                   .scopes = (scope_set)1 << S_api_admin };
    case VC_ALL:
        return (struct principal){ .user_id = 7, .role = ROLE_EDITOR };
    case VC_OWN:
        return (struct principal){ .user_id = 7, .role = ROLE_AUTHOR };
    default:
        return (struct principal){ .role = ROLE_NONE };
    }
}

static int parse(const char *entity, enum vis_class vc, const char *text, struct query *q,
                 struct err *err)
{
    struct query_arg args[64];
    size_t n = split(text, args);
    struct principal who = who_of(vc);
    return query_parse(a, entity_find(entity), &who, QUERY_LIST, args, n, q, err);
}

static void good_queries_are_read(void **state)
{
    struct query q;
    struct err err;
    (void)state;
    assert_int_equal(parse("post", VC_PUBLIC, "", &q, &err), 0);
    assert_int_equal(q.limit, 20);
    assert_int_equal(q.offset, 0);
    assert_int_equal(q.count, COUNT_EXACT);
    assert_int_equal(q.nsort, 2); /* and the id */
    assert_true(q.sort[1].desc);
    assert_string_equal(q.sort[0].field->name, "published_at");
    assert_true(q.sort[0].desc);
    assert_int_equal(parse("post", VC_PUBLIC,
                           "page=3&per_page=50&count=none&sort=-title,id&fields=id,title", &q,
                           &err),
                     0);
    assert_int_equal(q.offset, 100);
    assert_int_equal(q.limit, 50);
    assert_int_equal(q.count, COUNT_NONE);
    assert_int_equal(q.nsort, 2);
    assert_int_equal(q.fields, 3);
    assert_int_equal(
        parse("post", VC_PUBLIC, "limit=5&offset=7&include=author&fields=title", &q, &err), 0);
    assert_int_equal(q.paging, PAGING_OFFSET);
    assert_int_equal(q.offset, 7);
    assert_string_equal(q.includes[0].field->name, "author");
    assert_true(q.fields & UINT64_C(1) << (q.includes[0].field - entity_find("post")->fields));
    assert_int_equal(
        parse("company", VC_PUBLIC, "include=experts,events,logo&filter[experts]=7", &q, &err), 0);
    assert_int_equal(q.nincludes, 3);
    assert_int_equal(q.filter.first->kind, QN_HAS);
}

static const struct {
    const char *entity, *text, *at, *says;
} bad[] = {
    { "post",    "nope=1",                                                "nope",                     "not a parameter"       },
    { "post",    "page=0",                                                "page",                     "whole number"          },
    { "post",    "page=x",                                                "page",                     "whole number"          },
    { "post",    "page=1e3",                                              "page",                     "whole number"          },
    { "post",    "per_page=101",                                          "per_page",                 "100"                   },
    { "post",    "per_page=-1",                                           "per_page",                 "100"                   },
    { "post",    "page=1&limit=3",                                        "page",                     "mixed"                 },
    { "post",    "page=1000000&per_page=100",                             "page",                     "filter"                },
    { "post",    "offset=99999999999999999999",                           "offset",                   "whole number"          },
    { "post",    "page=1&page=2",                                         "page",                     "twice"                 },
    { "post",    "fields=",                                               "fields",                   "empty"                 },
    { "post",    "fields=id,,title",                                      "fields",                   "empty"                 },
    { "post",    "fields=id,nope",                                        "fields",                   "nope"                  },
    { "post",    "fields=ID",                                             "fields",                   "valid: "               },
    { "post",    "fields=deleted_at",                                     "fields",                   "deleted_at"            },
    { "post",    "sort=content",                                          "sort",                     "title"                 },
    { "post",    "sort=--title",                                          "sort",                     "valid"                 },
    { "post",    "sort=title,-title",                                     "sort",                     "twice"                 },
    { "post",    "sort=title;drop table posts",                           "sort",                     "valid"                 },
    { "post",    "sort=id,title,slug,published_at,created_at,updated_at", "sort",                     "more than 5"           },
    { "post",    "include=nope",                                          "include",                  "author"                },
    { "post",    "include=title",                                         "include",                  "author"                },
    { "post",    "include=author,author",                                 "include",                  "twice"                 },
    { "post",    "count=maybe",                                           "count",                    "none, exact"           },
    { "post",    "filter[nope]=1",                                        "filter[nope]",             "valid: "               },
    { "post",    "filter[content]=1",                                     "filter[content]",          "valid: "               },
    { "post",    "filter[]=1",                                            "filter[]",                 "filter[field]"         },
    { "post",    "filter[status",                                         "filter[status",            ""                      },
    { "post",    "filter[status]x=draft",                                 "filter[status]x",          "filter[field]"         },
    { "post",    "filter[status][]=draft",                                "filter[status][]",         "filter[field]"         },
    { "post",    "filter[status][eq][eq]=draft",                          "filter[status][eq][eq]",   "filter[field]"         },
    { "post",    "filter[status]=nope",                                   "filter[status]",           "draft, scheduled"      },
    { "post",    "filter[status][gt]=draft",                              "filter[status][gt]",       "eq, ne, in, nin, null" },
    { "post",    "filter[status][in]=draft,nope",                         "filter[status][in]",       "one of"                },
    { "post",    "filter[author]=x",                                      "filter[author]",           "an id"                 },
    { "post",    "filter[author]=0",                                      "filter[author]",           "an id"                 },
    { "post",    "filter[author.name]=x",                                 "filter[author.name]",      "valid: "               },
    { "post",    "filter[title.id]=x",                                    "filter[title.id]",         "valid: "               },
    { "post",    "filter[published_at][gt]=yesterday",                    "filter[published_at][gt]", "RFC 3339"              },
    { "post",    "filter[id][between]=1",                                 "filter[id][between]",      "two values"            },
    { "post",    "filter[id][between]=1,2,3",                             "filter[id][between]",      "more than 2"           },
    { "post",    "filter[author][null]=perhaps",                          "filter[author][null]",     "true or false"         },
    { "post",    "filter[title][like]=abc\\",                             "filter[title][like]",      "backslash"             },
    { "user",    "filter[email]=a@example.com",                           "filter[email]",            "valid: "               },
    { "user",    "fields=email",                                          "fields",                   "email"                 },
    { "user",    "sort=username",                                         "sort",                     "username"              },
    { "company", "filter[experts]=x",                                     "filter[experts]",          "an id"                 },
    { "company", "filter[experts][like]=x",                               "filter[experts][like]",    "eq, in, null"          },
};

static void bad_queries_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct query q;
        struct err err = { 0 };
        const char *text =
            strchr(bad[i].text, '=') ? bad[i].text : arena_printf(a, "%s=1", bad[i].text);
        int rc = parse(bad[i].entity, VC_PUBLIC, text, &q, &err);
        if (rc != -E_invalid_parameter || !str_eq(err.pointer, bad[i].at) ||
            !strstr(err.msg, bad[i].says))
            fail_msg("%s: %d at %s: %s", bad[i].text, rc, err.pointer, err.msg);
    }
}

static void limits_hold(void **state)
{
    struct query q;
    struct err err;
    struct buf b;
    (void)state;
    buf_init(&b, a, 1024, 65536);
    buf_puts(&b, "filter[id][in]=1");
    for (int i = 0; i < query_in_values_max; i++)
        buf_puts(&b, ",1");
    assert_int_equal(parse("post", VC_ADMIN, b.data, &q, &err), -E_invalid_parameter);
    buf_reset(&b);
    for (int i = 0; i < query_tests_max; i++)
        buf_puts(&b, "filter[id]=1&");
    assert_int_equal(parse("post", VC_ADMIN, b.data, &q, &err), 0);
    buf_puts(&b, "filter[id]=1");
    assert_int_equal(parse("post", VC_ADMIN, b.data, &q, &err), -E_invalid_parameter);
    assert_non_null(strstr(err.msg, "20"));
    buf_reset(&b);
    buf_puts(&b, "filter[title]=");
    for (int i = 0; i <= query_value_bytes_max; i++)
        buf_putc(&b, 'x');
    assert_int_equal(parse("post", VC_ADMIN, b.data, &q, &err), -E_invalid_parameter);
}

static const struct {
    enum vis_class vc;
    const char *entity, *text, *has, *hasnt;
} sql[] = {
    { VC_PUBLIC, "post",    "",
     "WHERE t.deleted_at IS NULL AND (t.status = 'published' AND t.published_at <= now())",                                       "author_id ="     },
    { VC_OWN,    "post",    "",                                     "(t.author_id = $1::bigint OR (t.status = 'published'",       NULL              },
    { VC_ALL,    "post",    "",
     "WHERE t.deleted_at IS NULL AND true ORDER BY t.published_at DESC, t.id DESC",                                               "status ="        },
    { VC_ALL,    "post",    "sort=title",                           "ORDER BY t.title, t.id LIMIT",                               NULL              },
    { VC_ALL,    "post",    "sort=-id",                             "ORDER BY t.id DESC LIMIT",                                   "t.id DESC, t.id" },
    { VC_ALL,    "post",    "fields=title",                         "SELECT t.id, t.title, t.version, t.updated_at FROM",
     "content"                                                                                                                                      },
    { VC_ALL,    "post",    "filter[title]='; DROP TABLE posts --", "t.title = $1::text",                                         "DROP"            },
    { VC_ALL,    "post",    "filter[status][nin]=draft",
     "(t.status IS NULL OR t.status <> ALL($1::text[]))",                                                                         NULL              },
    { VC_PUBLIC, "user",    "",                                     "EXISTS (SELECT 1 FROM posts t_p WHERE t_p.author_id = t.id",
     "t.email"                                                                                                                                      },
    { VC_PUBLIC, "user",    "filter[posts]=7",
     "f1.deleted_at IS NULL AND (f1.status = 'published' AND f1.published_at <= now()) AND f1.id "
      "= "
      "$1::bigint",                                                                                                               NULL              },
    { VC_ALL,    "user",    "",                                     "AS own_",                                                    NULL              },
    { VC_PUBLIC, "media",   "",
     "t_r.featured_media_id = t.id AND t_r.deleted_at IS NULL AND (t_r.status = 'published'",                                     "t.storage_key"   },
    { VC_PUBLIC, "company", "filter[experts]=7",                    "f1.company_id = t.id",                                       NULL              },
};

static void statements_hide_what_is_not_for_the_reader(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
        struct query q;
        struct err err;
        struct sqlgen_text t, n;
        const struct entity_def *e = entity_find(sql[i].entity);
        assert_int_equal(parse(sql[i].entity, sql[i].vc, sql[i].text, &q, &err), 0);
        sqlgen_list(a, &(struct sqlgen_who){ e, sql[i].vc, 7 }, &q, 0, &t);
        if (!strstr(t.sql, sql[i].has) || (sql[i].hasnt && strstr(t.sql, sql[i].hasnt)))
            fail_msg("%s: %s", sql[i].text, t.sql);
        sqlgen_count(a, &(struct sqlgen_who){ e, sql[i].vc, 7 }, &q, TOTAL_ROWS, &n);
        const char *counted = strstr(n.sql, " FROM ");
        assert_true(str_starts(n.sql, "SELECT count(*), "));
        /* the condition is one, for rows and for their number */
        const char *where = strstr(t.sql, " FROM "), *order = strstr(t.sql, " ORDER BY t.");
        if (!vis_varies(e, sql[i].vc))
            assert_string_equal(counted, arena_strndup(a, where, (size_t)(order - where)));
    }
}

static void rights_follow_role_and_scope(void **state)
{
    static const struct {
        enum role role;
        bool admin;
        const char *entity;
        enum vis_action act;
        enum vis_right want;
    } cases[] = {
        { ROLE_NONE,   false, "post",             ACT_CREATE, RIGHT_NONE },
        { ROLE_MEMBER, false, "post",             ACT_CREATE, RIGHT_NONE },
        { ROLE_AUTHOR, false, "post",             ACT_CREATE, RIGHT_OWN  },
        { ROLE_EDITOR, false, "post",             ACT_CHANGE, RIGHT_ALL  },
        { ROLE_AUTHOR, false, "media",            ACT_DELETE, RIGHT_OWN  },
        { ROLE_AUTHOR, false, "company",          ACT_CREATE, RIGHT_NONE },
        { ROLE_EDITOR, false, "expert",           ACT_DELETE, RIGHT_ALL  },
        { ROLE_ADMIN,  false, "post",             ACT_PURGE,  RIGHT_NONE },
        { ROLE_ADMIN,  true,  "post",             ACT_PURGE,  RIGHT_ALL  },
        { ROLE_ADMIN,  false, "user",             ACT_CREATE, RIGHT_NONE },
        { ROLE_ADMIN,  true,  "user",             ACT_CREATE, RIGHT_ALL  },
        { ROLE_MEMBER, false, "user",             ACT_CHANGE, RIGHT_OWN  },
        { ROLE_MEMBER, false, "user",             ACT_DELETE, RIGHT_NONE },
        { ROLE_MEMBER, false, "webhook_endpoint", ACT_CREATE, RIGHT_OWN  },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct principal p = { .user_id = cases[i].role ? 7 : 0,
                               .role = cases[i].role,
                               .scopes = cases[i].admin ? (scope_set)1 << S_api_admin : 0 };
        if (vis_right_of(entity_find(cases[i].entity), &p, cases[i].act) != cases[i].want)
            fail_msg("case %zu", i);
    }
}

static int setup(void **state)
{
    (void)state;
    a = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_queries_are_read),
        cmocka_unit_test(bad_queries_are_named),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(statements_hide_what_is_not_for_the_reader),
        cmocka_unit_test(rights_follow_role_and_scope),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
