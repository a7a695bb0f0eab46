/* Reading in full depth: cursors, nested filters, fields and includes, full text, totals.
 * proves: R-02 R-03 R-04 R-05 R-06 R-07 R-16 R-17 */
#include "tests/integration/services/api/api_samples.h"

static const char *meta_text(const struct answer *a, const char *name)
{
    return json_string_value(json_object_get(json_object_get(a->json, "meta"), name));
}

static struct answer list(const char *plural, const char *query, const struct principal *who)
{
    return ASK("GET", plural, NULL, query, NULL, NULL, who);
}

static void expect_fault(const char *plural, const char *query, const char *at, const char *says)
{
    struct answer a = list(plural, query, &p_admin);
    if (a.status != 400 || !str_eq(a.err.pointer, at) || !strstr(a.err.msg, says))
        fail_msg("%s: %d at %s: %s", query, a.status, a.rc < 0 ? a.err.pointer : "",
                 a.rc < 0 ? a.err.msg : "");
}

/* --- cursors --- */

/* Names of the ids on a page, in order. */
static void add_ids(struct buf *b, const struct answer *a, bool front)
{
    struct buf page;
    buf_init(&page, fx.a, 256, 1 << 20);
    for (size_t i = 0; i < json_array_size(a->data); i++)
        buf_printf(
            &page, "%lld,",
            (long long)json_integer_value(json_object_get(json_array_get(a->data, i), "id")));
    if (!front) {
        buf_put(b, page.data ? page.data : "", page.len);
        return;
    }
    const char *old = arena_strndup(fx.a, b->data ? b->data : "", b->len);
    buf_reset(b);
    buf_puts(b, page.data ? page.data : "");
    buf_puts(b, old);
}

/* Walks a list by cursor, in either direction, and says the ids in the order of the list. */
static const char *walk(const char *plural, const char *query, const char *start, bool back,
                        const struct principal *who)
{
    struct buf b;
    const char *cursor = start;
    buf_init(&b, fx.a, 1024, 1 << 20);
    for (int page = 0; cursor; page++) {
        assert_true(page < 500);
        struct answer a =
            list(plural, arena_printf(fx.a, "%s&cursor=%s", query, url_encode(fx.a, cursor)), who);
        EXPECT(a, 200);
        assert_null(json_object_get(json_object_get(a.json, "meta"), "page"));
        add_ids(&b, &a, back);
        cursor = meta_text(&a, back ? "prev_cursor" : "next_cursor");
    }
    return b.data ? b.data : "";
}

static const struct {
    const char *plural, *sort, *order;
} walks[] = {
    { "companies", "name",                                   "name, id"                               },
    { "companies", "-name",                                  "name DESC, id DESC"                     },
    { "companies", "city",                                   "city, id"                               },
    { "companies", "-city",                                  "city DESC, id DESC"                     },
    { "companies", "industry,-employee_count",               "industry, employee_count DESC, id DESC" },
    { "companies", "-industry,employee_count,-city",
     "industry DESC, employee_count, city DESC, id DESC"                                              },
    { "companies", "-employee_count,-founded_year",
     "employee_count DESC, founded_year DESC, id DESC"                                                },
    { "companies", "employee_count,founded_year,name",       "employee_count, founded_year, name, id" },
    { "companies", "-created_at",                            "created_at DESC, id DESC"               },
    { "companies", "id",                                     "id"                                     },
    { "companies", "-id",                                    "id DESC"                                },
    { "companies", "city,id,name",                           "city, id"                               },
    { "companies", "city,-founded_year,slug,-industry,name",
     "city, founded_year DESC, slug, industry DESC, name, id"                                         },
};

static void cursors_walk_the_list_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(walks); i++)
        for (int limit = 1; limit <= 40; limit = limit * 3 + 1) {
            struct db_rows *r = fx_sql(arena_printf(fx.a,
                                                    "SELECT string_agg(id || ',', '' ORDER BY %s) "
                                                    "FROM companies WHERE deleted_at IS NULL",
                                                    walks[i].order));
            const char *q = arena_printf(fx.a, "limit=%d&sort=%s", limit, walks[i].sort);
            const char *there = walk(walks[i].plural, q, "", false, &p_admin);
            if (!str_eq(there, db_str(r, 0, 0)))
                fail_msg("%s:\n%s not\n%s", q, there, db_str(r, 0, 0));
            /* from the end back: a cursor behind the last row is what an empty page gives */
            struct answer a = list("companies", arena_printf(fx.a, "%s&cursor=", q), &p_admin);
            const char *last = NULL;
            while (meta_text(&a, "next_cursor")) {
                last = meta_text(&a, "next_cursor");
                a = list("companies", arena_printf(fx.a, "%s&cursor=%s", q, last), &p_admin);
                EXPECT(a, 200);
            }
            if (!last)
                continue;
            struct buf b;
            buf_init(&b, fx.a, 1024, 1 << 20);
            buf_puts(&b, walk("companies", q, meta_text(&a, "prev_cursor"), true, &p_admin));
            add_ids(&b, &a, false);
            if (!str_eq(b.data, db_str(r, 0, 0)))
                fail_msg("%s, back:\n%s not\n%s", q, b.data, db_str(r, 0, 0));
        }
}

static void a_cursor_is_good_for_its_own_list_only(void **state)
{
    (void)state;
    struct answer a = list("companies", "limit=2&sort=city&filter[id][gt]=1&cursor=", &p_admin);
    EXPECT(a, 200);
    const char *c = meta_text(&a, "next_cursor");
    assert_non_null(c);
    EXPECT(list("companies",
                arena_printf(
                    fx.a, "filter[id][gt]=1&limit=50&cursor=%s&sort=city&count=exact&fields=id", c),
                &p_admin),
           200);
    static const char *const others[] = {
        "sort=-city&filter[id][gt]=1",
        "sort=city,name&filter[id][gt]=1",
        "sort=city",
        "sort=city&filter[id][gte]=1",
        "sort=city&filter[id][gt]=2",
        "sort=city&filter[id][gt]=1&filter[id][lt]=900",
        "filter[id][gt]=1",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        expect_fault("companies", arena_printf(fx.a, "%s&cursor=%s", others[i], c), "cursor",
                     "not one that this list gave");
    expect_fault("experts", arena_printf(fx.a, "sort=city&filter[id][gt]=1&cursor=%s", c), "cursor",
                 "not one");
    const char *q = arena_printf(fx.a, "sort=city&filter[id][gt]=1&cursor=%s", c);
    EXPECT(list("companies", q, &anonymous), 400); /* another class of readers */
    for (size_t i = 0; i < strlen(c); i++) {       /* one character after the other is forged */
        char *forged = arena_strdup(fx.a, c);
        forged[i] = forged[i] == 'A' ? 'B' : 'A';
        EXPECT(list("companies", arena_printf(fx.a, "sort=city&filter[id][gt]=1&cursor=%s", forged),
                    &p_admin),
               400);
        forged[i] = '\0';
        if (i)
            EXPECT(list("companies",
                        arena_printf(fx.a, "sort=city&filter[id][gt]=1&cursor=%s", forged),
                        &p_admin),
                   400);
    }
    expect_fault("companies", "cursor=*", "cursor", "not one");
    expect_fault("companies", "cursor=&page=1", "page", "mixed");
    expect_fault("companies", "cursor=&offset=1", "cursor", "mixed");
}

/* Rows come and go between the pages; those that stay are seen once each. */
static void cursors_stand_while_rows_come_and_go(void **state)
{
    (void)state;
    struct buf seen;
    const char *cursor = "";
    int64_t from = fx_int("SELECT max(id) FROM companies");
    buf_init(&seen, fx.a, 1024, 1 << 20);
    for (int i = 0; i < 60; i++)
        (void)fx_sql(arena_printf(
            fx.a, "INSERT INTO companies (name, slug, city) VALUES ('stays %d', 'stays-%d', %s)", i,
            i, i % 7 ? arena_printf(fx.a, "'town %d'", i % 5) : "NULL"));
    for (int page = 0; cursor; page++) {
        struct answer a = list(
            "companies",
            arena_printf(fx.a, "limit=4&sort=-city&filter[slug][like]=stays-*&cursor=%s", cursor),
            &p_admin);
        EXPECT(a, 200);
        add_ids(&seen, &a, false);
        cursor = meta_text(&a, "next_cursor");
        /* the very row that the cursor was made of goes, others come before and behind it */
        size_t n = json_array_size(a.data);
        if (n)
            (void)fx_sql(arena_printf(fx.a,
                                      "UPDATE companies SET deleted_at = now() WHERE id = %lld",
                                      (long long)json_integer_value(
                                          json_object_get(json_array_get(a.data, n - 1), "id"))));
        for (int k = 0; k < 3; k++)
            (void)fx_sql(arena_printf(
                fx.a,
                "INSERT INTO companies (name, slug, city) VALUES ('new', 'new-%d-%d', 'town %d')",
                page, k, k));
    }
    int64_t rows = fx_int(arena_printf(
        fx.a, "SELECT count(*) FROM companies WHERE slug LIKE 'stays-%%' AND id > %lld",
        (long long)from));
    assert_int_equal(rows, 60);
    struct db_rows *r = fx_sql(arena_printf(
        fx.a,
        "SELECT count(*), count(DISTINCT x) FROM unnest(string_to_array(rtrim('%s', ','), ',')) x",
        seen.data));
    assert_int_equal(db_get_i64(r, 0, 0), 60);
    assert_int_equal(db_get_i64(r, 0, 1), 60);
    (void)fx_sql("DELETE FROM companies WHERE slug LIKE 'stays-%' OR slug LIKE 'new-%'");
}

static void an_empty_page_leads_back(void **state)
{
    (void)state;
    (void)fx_sql("INSERT INTO companies (name, slug, industry) SELECT 'e', 'e-' || i, 'empties' "
                 "FROM generate_series(1, 4) i");
    const char *q = "filter[industry]=empties&sort=id&limit=2";
    struct answer a = list("companies", arena_printf(fx.a, "%s&cursor=", q), &p_admin);
    assert_null(meta_text(&a, "prev_cursor"));
    const char *next = meta_text(&a, "next_cursor");
    (void)fx_sql("UPDATE companies SET deleted_at = now() WHERE slug IN ('e-3', 'e-4')");
    a = list("companies", arena_printf(fx.a, "%s&cursor=%s", q, next), &p_admin);
    EXPECT(a, 200);
    assert_int_equal(json_array_size(a.data), 0);
    assert_null(meta_text(&a, "next_cursor"));
    a = list("companies", arena_printf(fx.a, "%s&cursor=%s", q, meta_text(&a, "prev_cursor")),
             &p_admin);
    assert_int_equal(json_array_size(a.data), 2); /* with the row that the cursor was made of */
    (void)fx_sql("DELETE FROM companies WHERE industry = 'empties'");
}

/* --- filters --- */

static const struct {
    const char *plural, *query, *where; /* of t */
} filters[] = {
    { "posts", "filter[or][0][status]=draft&filter[or][1][title][like]=Tea*",
     "status = 'draft' OR title LIKE 'Tea%'"                                                                                                    },
    { "posts", "filter[or][0][status]=draft&filter[or][0][language]=de&filter[or][1][language]=en",
     "(status = 'draft' AND language = 'de') OR language = 'en'"                                                                                },
    { "posts", "filter[not][language]=de",                                                          "language IS DISTINCT FROM 'de'"            },
    { "posts", "filter[not][language]=de&filter[not][status]=draft",
     "(language = 'de' AND status = 'draft') IS NOT TRUE"                                                                                       },
    { "posts",
     "filter[and][0][or][0][id]=1&filter[and][0][or][1][id]=2&filter[and][1][not][status]=draft",   "id IN (1, 2) AND status <> 'draft'"        },
    { "posts", "filter[author.role]=author",
     "author_id IN (SELECT id FROM users WHERE role = 'author' AND deleted_at IS NULL)"                                                         },
    { "posts", "filter[author][role]=author&filter[author][username][like]=a*",
     "author_id IN (SELECT id FROM users WHERE role = 'author' AND username LIKE 'a%' AND "
      "deleted_at IS NULL)"                                                                                                                     },
    { "posts", "filter[not][author.role]=author",
     "NOT EXISTS (SELECT 1 FROM users u WHERE u.id = t.author_id AND u.role = 'author' AND "
      "u.deleted_at IS NULL)"                                                                                                                   },
    { "posts", "filter[author.id][in]=1,2",                                                         "author_id IN (1, 2)"                       },
    { "posts", "filter[author.avatar.filename][null]=false",
     "EXISTS (SELECT 1 FROM users u JOIN media m ON m.id = u.avatar_id WHERE u.id = t.author_id "
      "AND u.deleted_at IS NULL AND m.deleted_at IS NULL)"                                                                                      },
    { "users", "filter[posts.status]=draft",
     "id IN (SELECT author_id FROM posts WHERE status = 'draft' AND deleted_at IS NULL)"                                                        },
    { "users", "filter[posts][status]=draft&filter[posts][language]=de",
     "id IN (SELECT author_id FROM posts WHERE status = 'draft' AND language = 'de' AND "
      "deleted_at IS NULL)"                                                                                                                     },
    { "users", "filter[posts.status]=draft&filter[posts.language]=de",
     "id IN (SELECT author_id FROM posts WHERE status = 'draft' AND deleted_at IS NULL) AND id IN "
      "(SELECT author_id FROM posts WHERE language = 'de' AND deleted_at IS NULL)"                                                              },
    { "users", "filter[posts][null]=true",
     "NOT EXISTS (SELECT 1 FROM posts p WHERE p.author_id = t.id AND p.deleted_at IS NULL)"                                                     },
    { "users", "filter[or][0][posts][null]=true&filter[or][1][role]=editor",
     "role = 'editor' OR NOT EXISTS (SELECT 1 FROM posts p WHERE p.author_id = t.id AND "
      "p.deleted_at IS NULL)"                                                                                                                   },
    { "posts", "filter[title][fts]=teas",                                                           "title = 'Teas of Asia'"                    },
    { "posts", "filter[content][fts]=H%C3%A4user",                                                  "content LIKE '%Haus%' AND language = 'de'" },
    { "posts", "filter[content][fts]=house -tea&filter[language]=en",
     "content LIKE '%houses%' AND content NOT ILIKE '%tea%' AND language = 'en'"                                                                },
    { "posts", "filter[title][fts]=-tea",                                                           "title NOT ILIKE '%tea%'"                   },
    { "posts", "filter[content][fts]=the",
     "language = 'de' AND content LIKE '%the %' OR language IS NULL AND content LIKE '%the %'"                                                  },
    { "posts", "filter[or][0][title][fts]=tea&filter[or][1][content][fts]=houses",
     "title ILIKE '%tea%' OR content LIKE '%house%'"                                                                                            },
    { "posts", "updated_since=2024-03-01T00:00:00Z",                                                "updated_at >= '2024-03-01Z'"               },
};

static void groups_relations_and_full_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        struct answer a =
            list(filters[i].plural,
                 arena_printf(fx.a, "limit=100&sort=id&fields=id&%s", filters[i].query), &p_admin);
        EXPECT(a, 200);
        struct buf b;
        buf_init(&b, fx.a, 256, 1 << 20);
        add_ids(&b, &a, false);
        struct db_rows *r = fx_sql(arena_printf(
            fx.a,
            "SELECT coalesce(string_agg(id || ',', '' ORDER BY id), ''), count(*) FROM (SELECT id "
            "FROM %s t WHERE deleted_at IS NULL AND (%s) ORDER BY id LIMIT 100) x",
            filters[i].plural, filters[i].where));
        if (!str_eq(b.data ? b.data : "", db_str(r, 0, 0)) || !db_get_i64(r, 0, 1))
            fail_msg("%s: %s, not %s", filters[i].query, b.data ? b.data : "nothing",
                     db_str(r, 0, 0));
    }
}

static const struct {
    const char *plural, *query, *at, *says;
} refused[] = {
    { "posts", "filter[author.nope]=1",                               "filter[author.nope]",
     "of users these are valid: id, username"                                                                                                  },
    { "posts", "filter[author][nope][eq]=1",                          "filter[author][nope][eq]", "cannot be filtered by"                      },
    { "posts", "filter[nope.role]=1",                                 "filter[nope.role]",        "of posts"                                   },
    { "posts", "filter[or][status]=draft",                            "filter[or][status]",       "[0] to [19]"                                },
    { "posts", "filter[or][20][status]=draft",                        "filter[or][20][status]",   "[0] to [19]"                                },
    { "posts", "filter[or][0]=draft",                                 "filter[or][0]",            "filter[field]"                              },
    { "posts", "filter[not]=draft",                                   "filter[not]",              "filter[field]"                              },
    { "posts", "filter[content]=x",                                   "filter[content]",          "valid: fts"                                 },
    { "posts", "filter[title][fts]=",                                 "filter[title][fts]",       "words"                                      },
    { "posts", "filter[id][fts]=x",                                   "filter[id][fts]",          "no such operator"                           },
    { "posts", "filter[author.avatar.uploaded_by.avatar.filename]=1",
     "filter[author.avatar.uploaded_by.avatar.filename]",                                         "more than 3 relations"                      },
    { "posts", "filter[author.]=1",                                   "filter[author.]",          "cannot be filtered"                         },
    { "posts", "filter[.author]=1",                                   "filter[.author]",          "cannot be filtered"                         },
    { "posts", "filter[author..role]=1",                              "filter[author..role]",     "cannot be filtered"                         },
    { "posts", "filter[meta.a]=1",                                    "filter[meta.a]",           "cannot be filtered"                         },
    { "posts", "updated_since=yesterday",                             "updated_since",            "RFC 3339"                                   },
    { "posts", "fields=author.nope",                                  "fields",
     "fields does not know author.nope; valid: id, username"                                                                                   },
    { "posts", "fields=title.x",                                      "fields",                   "does not know"                              },
    { "posts", "fields=author.avatar.uploaded_by.avatar.id",          "fields",                   "more than 3 relations"                      },
    { "posts", "include=author.nope",                                 "include",                  "valid: avatar, posts"                       },
    { "posts", "sort=author.username",                                "sort",                     "does not know"                              },
    { "posts", "sort=content",                                        "sort",                     "has no index for content; valid: id, title" },
    { "posts", "count=some",                                          "count",                    "estimated"                                  },
    { "posts", "envelope=maybe",                                      "envelope",                 "true or false"                              },
};

static void what_is_not_known_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        expect_fault(refused[i].plural, refused[i].query, refused[i].at, refused[i].says);
    struct buf b;
    buf_init(&b, fx.a, 1024, 65536);
    for (int i = 0; i < 18; i++)
        buf_printf(&b, "%sfilter[or][%d][author.role]=author", i ? "&" : "", i);
    expect_fault("posts", b.data, "filter[or][14][author.role]", "cost more than 100");
}

/* Nobody learns of a field that he may not see, on any row he may not see. */
static void filters_tell_nothing_that_is_hidden(void **state)
{
    (void)state;
    static const char *const unknown[] = {
        "filter[author.email]=a@example.com",
        "filter[author.role]=admin",
        "filter[author.username][like]=a*",
        "filter[author][email][null]=false",
        "filter[or][0][author.email]=x",
        "filter[not][author.email]=x",
        "fields=author.email",
        "fields=author.username",
        "include=author&fields=author.role",
        "filter[author.bio][fts]=x&filter[author.email][fts]=x"
    };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        struct answer a = list("posts", unknown[i], &anonymous);
        EXPECT(a, 400);
        assert_null(strstr(a.err.msg, "username,"));
        assert_null(strstr(a.err.msg, "email,"));
    }
    EXPECT(list("posts", "filter[author.email]=a@example.com", &p_editor), 400);
    EXPECT(list("media", "filter[storage_key]=x", &p_editor), 400);
    EXPECT(list("users", "updated_since=2020-01-01T00:00:00Z", &anonymous), 400);
    /* drafts, and people without a visible post, are not there to be asked about either */
    struct answer a = list("users", "filter[posts.status]=draft", &anonymous);
    EXPECT(a, 200);
    assert_int_equal(json_array_size(a.data), 0);
    a = list("users", "filter[posts][null]=true", &anonymous);
    assert_int_equal(json_array_size(a.data), 0);
    a = list("users", "filter[posts.title]=secret draft", &p_member);
    assert_int_equal(json_array_size(a.data), 0);
    a = list("users", "filter[posts.title]=secret draft", &p_author);
    assert_int_equal(json_array_size(a.data), 1); /* his own */
    a = list("users", "filter[posts.title]=secret draft", &p_other);
    assert_int_equal(json_array_size(a.data), 0);
    a = list("posts",
             "filter[or][0][author.display_name][null]=true&filter[or][1][id][gt]=0&limit=100&"
             "count=exact",
             &anonymous);
    int64_t open = fx_int("SELECT count(*) FROM posts WHERE deleted_at IS NULL AND status = "
                          "'published' AND published_at <= now()");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(a.json, "meta"), "total")),
                     open);
}

/* --- fields and include --- */

static const json_t *first(const struct answer *a)
{
    return json_array_get(a->data, 0);
}

static void fields_reach_into_what_is_included(void **state)
{
    (void)state;
    struct answer a = list(
        "posts", "filter[id]=1&fields=title,author.display_name,author.avatar.filename", &p_admin);
    EXPECT(a, 200);
    const json_t *row = first(&a), *author = json_object_get(row, "author");
    assert_int_equal(json_object_size(row), 2);
    assert_int_equal(json_object_size(author), 2);
    assert_true(json_object_get(author, "display_name") != NULL);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(author, "avatar"), "filename")),
        "face.png");
    a = list("posts", "filter[id]=1&fields=id,author.*&include=author.avatar", &p_admin);
    EXPECT(a, 200);
    author = json_object_get(first(&a), "author");
    assert_non_null(json_object_get(author, "username"));
    assert_non_null(json_object_get(json_object_get(author, "avatar"), "mime_type"));
    a = ASK("GET", "users", "1", "fields=id,posts.title&include=posts.featured_media", NULL, NULL,
            &p_admin);
    EXPECT(a, 200);
    assert_int_equal(json_object_size(a.data), 2);
    const json_t *post = json_array_get(json_object_get(a.data, "posts"), 0);
    assert_int_equal(json_object_size(post), 2);
    assert_non_null(json_object_get(json_object_get(post, "featured_media"), "filename"));
    a = list("posts", "fields=*&filter[id]=1", &p_admin);
    assert_non_null(json_object_get(first(&a), "content"));
    /* the other end is shown as its own reader sees it */
    a = list("posts", "filter[id]=1&include=author.posts&fields=id", &anonymous);
    EXPECT(a, 200);
    author = json_object_get(first(&a), "author");
    assert_null(json_object_get(author, "email"));
    for (size_t i = 0; i < json_array_size(json_object_get(author, "posts")); i++)
        assert_string_equal(json_string_value(json_object_get(
                                json_array_get(json_object_get(author, "posts"), i), "status")),
                            "published");
    EXPECT(list("companies", "include=experts.events.speakers", &p_admin), 200);
    EXPECT(list("companies", "include=experts.events.speakers.company", &p_admin), 400);
}

static uint64_t statements(void)
{
    struct db_stats st;
    db_stats(fx.svc.db, &st);
    return st.statements;
}

/* One statement a relation, however many rows there are. */
static void a_relation_is_one_statement(void **state)
{
    (void)state;
    static const struct {
        const char *plural, *query;
        unsigned more;
    } cases[] = {
        { "posts",     "include=author",                                                       1 },
        { "posts",     "include=author.avatar,featured_media",                                 3 },
        { "posts",     "fields=title,author.display_name,author.username",                     1 },
        { "companies", "include=experts.events.speakers,events",                               4 },
        { "posts",     "filter[author.role]=author&filter[author.avatar.filename][null]=true", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int limit = 1; limit <= 100; limit += 99) {
            const char *q = arena_printf(fx.a, "limit=%d&count=none&%s", limit, cases[i].query);
            for (int k = 0; k < 2; k++) /* what is prepared by name is now, and so is the text */
                EXPECT(list(cases[i].plural, q, &p_admin), 200);
            uint64_t before = statements();
            EXPECT(list(cases[i].plural, q, &p_admin), 200);
            if (statements() - before > 1 + cases[i].more)
                fail_msg("%s: %u statements", q, (unsigned)(statements() - before));
        }
}

static void the_envelope_can_be_left_out(void **state)
{
    (void)state;
    struct answer a = list("companies", "envelope=false&limit=2&sort=id", &p_admin);
    EXPECT(a, 200);
    assert_int_equal(json_array_size(a.json), 2);
    assert_non_null(strstr(a.res.link, "offset=2>; rel=\"next\""));
    assert_string_equal(a.res.extra[0].name, "X-Total-Count");
    struct answer one = ASK("GET", "companies", "1", "envelope=false", NULL, NULL, &p_admin);
    EXPECT(one, 200);
    assert_int_equal(json_integer_value(json_object_get(one.json, "id")), 1);
    struct answer full = ASK("GET", "companies", "1", "", NULL, NULL, &p_admin);
    assert_string_not_equal(one.res.etag, full.res.etag);
    assert_true(json_equal(one.json, full.data));
}

/* --- totals --- */

static int64_t total_of(const struct answer *a)
{
    return json_integer_value(json_object_get(json_object_get(a->json, "meta"), "total"));
}

static void exact_totals_follow_every_change(void **state)
{
    (void)state;
    const char *q = "limit=2&filter[industry]=counted&sort=id";
    for (int i = 0; i < 12; i++) {
        (void)fx_sql(arena_printf(
            fx.a,
            "INSERT INTO companies (name, slug, industry) VALUES ('c', 'counted-%d', 'counted')",
            i));
        for (int again = 0; again < 2; again++) {
            struct answer a = list("companies", q, &p_admin);
            assert_int_equal(total_of(&a), i + 1);
        }
    }
    struct answer a = list("companies", "limit=2&filter[industry]=counted&sort=id", &anonymous);
    assert_int_equal(total_of(&a), 12);
    (void)fx_sql("UPDATE companies SET status = 'inactive' WHERE slug = 'counted-3'");
    a = list("companies", q, &anonymous);
    assert_int_equal(total_of(&a), 11);
    a = list("companies", q, &p_admin);
    assert_int_equal(total_of(&a), 12);
    (void)fx_sql("DELETE FROM companies WHERE industry = 'counted'");
    a = list("companies", "limit=2&count=none&filter[id][gt]=0", &p_admin);
    assert_true(json_is_null(json_object_get(json_object_get(a.json, "meta"), "total")));
    a = list("companies", "limit=2&count=exact&cursor=&filter[id][gt]=0", &p_admin);
    assert_int_equal(total_of(&a),
                     fx_int("SELECT count(*) FROM companies WHERE deleted_at IS NULL"));
}

/* A page far behind is entered where it was found before, but only while that is where it is. */
static void deep_pages_follow_every_change(void **state)
{
    (void)state;
    (void)fx_sql("INSERT INTO companies (name, slug, city) SELECT 'deep', 'deep-' || i, "
                 "nullif('town ' || i % 9, 'town 4') FROM generate_series(1, 1500) i");
    static const char *const sorts[] = { "id", "-city", "city,-id", "-created_at,city" };
    static const char *const orders[] = { "id", "city DESC, id DESC", "city, id DESC",
                                          "created_at DESC, city, id" };
    for (size_t i = 0; i < 4 * ARRAY_LEN(sorts); i++) {
        size_t k = i % ARRAY_LEN(sorts);
        for (int page = 0; page < 6; page++) { /* each twice, and the one behind it */
            int offset = 600 + page / 2 * 20;
            struct answer a = list("companies",
                                   arena_printf(fx.a, "limit=20&offset=%d&sort=%s&fields=id%s",
                                                offset, sorts[k], page % 2 ? "" : "&count=none"),
                                   &p_admin);
            struct buf b;
            EXPECT(a, 200);
            buf_init(&b, fx.a, 256, 1 << 20);
            add_ids(&b, &a, false);
            struct db_rows *r = fx_sql(
                arena_printf(fx.a,
                             "SELECT string_agg(id || ',', '' ORDER BY n) FROM (SELECT id, "
                             "row_number() OVER (ORDER BY %s) n FROM companies WHERE deleted_at IS "
                             "NULL) x WHERE n > %d AND n <= %d",
                             orders[k], offset, offset + 20));
            assert_string_equal(b.data, db_str(r, 0, 0));
        }
        (void)fx_sql(arena_printf(
            fx.a, "DELETE FROM companies WHERE slug IN ('deep-%zu', 'deep-%zu')", i + 1, 700 + i));
    }
    (void)fx_sql("DELETE FROM companies WHERE name = 'deep'");
}

static void estimates_say_so_and_small_ones_are_counted(void **state)
{
    (void)state;
    (void)fx_sql("ANALYZE companies");
    struct answer a = list("companies", "limit=2&count=estimated&filter[name][like]=*", &p_admin);
    EXPECT(a, 200);
    assert_int_equal(total_of(&a),
                     fx_int("SELECT count(*) FROM companies WHERE deleted_at IS NULL"));
    assert_null(json_object_get(json_object_get(a.json, "meta"), "estimated"));
    (void)fx_sql("INSERT INTO media (filename, mime_type) SELECT 'bulk ' || i, 'image/png' FROM "
                 "generate_series(1, 5000) i");
    (void)fx_sql("ANALYZE media");
    a = list("media", "limit=2&count=estimated&filter[mime_type]=image/png", &p_admin);
    EXPECT(a, 200);
    assert_true(json_is_true(json_object_get(json_object_get(a.json, "meta"), "estimated")));
    assert_in_range(total_of(&a), 4000, 6000);
    assert_true(json_is_null(json_object_get(json_object_get(a.json, "links"), "last")));
}

static int reading_setup(void **state)
{
    int rc = admin_setup(state);
    for (size_t i = 0; !rc && i < ARRAY_LEN(samples); i++)
        EXPECT(ASK("POST", samples[i].plural, NULL, NULL, samples[i].body, NULL, &p_admin), 201);
    if (rc)
        return rc;
    make_people();
    (void)fx_sql("INSERT INTO companies (name, slug, city, industry, employee_count, founded_year) "
                 "SELECT 'name ' || i % 9, 'co-' || i, "
                 "(ARRAY['Ulm', 'Köln', NULL, 'ulm', ''])[i % 5 + 1], (ARRAY['tea', NULL, "
                 "'tin'])[i * 7 % 3 + 1], nullif(i * 13 % 4, 0), "
                 "nullif(1900 + i % 6, 1903) FROM generate_series(1, 70) i");
    (void)fx_sql("INSERT INTO media (filename, mime_type) VALUES ('face.png', 'image/png')");
    (void)fx_sql("UPDATE users SET avatar_id = (SELECT id FROM media WHERE filename = 'face.png') "
                 "WHERE id = 1");
    (void)fx_sql(arena_printf(
        fx.a,
        "INSERT INTO posts (title, slug, status, language, author_id, content, published_at, "
        "updated_at) SELECT "
        "(ARRAY['Tea time', 'Teas of Asia', 'Bread'])[i %% 3 + 1], 'p-' || i, (ARRAY['draft', "
        "'published'])[i %% 2 + 1], "
        "(ARRAY['de', 'en', NULL])[i %% 3 + 1], (ARRAY[1, NULL, %lld, %lld])[i %% 4 + 1], "
        "(ARRAY['Ein Haus am Meer', 'the houses stand', 'tea in houses', 'the end'])[i %% 4 + 1], "
        "'2024-01-01Z'::timestamptz, '2024-01-01Z'::timestamptz + i * interval '10 days' FROM "
        "generate_series(1, 24) i",
        (long long)p_author.user_id, (long long)p_editor.user_id));
    (void)fx_sql(arena_printf(fx.a,
                              "INSERT INTO posts (title, slug, status, author_id) VALUES ('secret "
                              "draft', 'secret', 'draft', %lld)",
                              (long long)p_author.user_id));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursors_walk_the_list_both_ways),
        cmocka_unit_test(a_cursor_is_good_for_its_own_list_only),
        cmocka_unit_test(cursors_stand_while_rows_come_and_go),
        cmocka_unit_test(an_empty_page_leads_back),
        cmocka_unit_test(groups_relations_and_full_text),
        cmocka_unit_test(what_is_not_known_is_named),
        cmocka_unit_test(filters_tell_nothing_that_is_hidden),
        cmocka_unit_test(fields_reach_into_what_is_included),
        cmocka_unit_test(a_relation_is_one_statement),
        cmocka_unit_test(the_envelope_can_be_left_out),
        cmocka_unit_test(exact_totals_follow_every_change),
        cmocka_unit_test(deep_pages_follow_every_change),
        cmocka_unit_test(estimates_say_so_and_small_ones_are_counted),
    };
    return cmocka_run_group_tests(tests, reading_setup, fx_teardown);
}
