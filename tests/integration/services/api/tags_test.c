/* A list's ETag stands for its bytes: with what is included in it, which it is told by versions of.
 */
#include "tests/integration/services/api/api_samples.h"

enum { seen_max = 4000 };

struct seen {
    const char *query, *text, *etag;
};
static struct seen seen[seen_max];
static size_t nseen;

static const struct {
    const char *plural, *query;
} lists[] = {
    { "posts",     "include=author"                                     },
    { "posts",     "include=author.avatar.uploaded_by,featured_media"   },
    { "posts",     "include=author&fields=id,author.display_name"       },
    { "posts",     "include=author&sort=id&limit=2&offset=1&count=none" },
    { "posts",     "include=author.avatar&fields=id,author.avatar"      },
    { "media",     "sort=id"                                            },
    { "users",     "include=posts&fields=id,posts.title"                },
    { "experts",   "include=events,user,company.logo"                   },
    { "events",    "include=speakers.user,organizer"                    },
    { "media",     "include=uploaded_by"                                },
    { "companies", "include=experts,logo"                               },
};

/* Each changes a list, and so its tag. */
static const struct {
    const char *method, *plural, *id, *query, *body;
} changes[] = {
    { "PATCH",   "users",   "1", NULL,         "{\"display_name\":\"Renamed\"}" },
    { "PATCH",   "users",   "1", NULL,         "{\"avatar\":1}"                 },
    { "PATCH",   "media",   "1", NULL,         "{\"title\":\"Other\"}"          },
    { "PATCH",   "media",   "1", NULL,         "{\"uploaded_by\":2}"            },
    { "PATCH",   "users",   "2", NULL,         "{\"bio\":\"Now with a bio\"}"   },
    { "PATCH",   "posts",   "1", NULL,         "{\"author\":2}"                 },
    { "PATCH",   "posts",   "3", NULL,         "{\"author\":1}"                 },
    { "PATCH",   "posts",   "2", NULL,         "{\"status\":\"draft\"}"         },
    { "PATCH",   "posts",   "2", NULL,         "{\"status\":\"published\"}"     },
    { "PATCH",   "events",  "1", NULL,         "{\"speakers\":[1,2]}"           },
    { "PATCH",   "events",  "1", NULL,         "{\"speakers\":[2,1]}"           },
    { "PATCH",   "experts", "2", NULL,         "{\"name\":\"Somebody else\"}"   },
    { "PATCH",   "experts", "2", NULL,         "{\"user\":2,\"company\":1}"     },
    { "DELETE",  "experts", "2", NULL,         NULL                             },
    { "RESTORE", "experts", "2", NULL,         NULL                             },
    { "DELETE",  "events",  "1", NULL,         NULL                             },
    { "RESTORE", "events",  "1", NULL,         NULL                             },
    { "DELETE",  "users",   "2", NULL,         NULL                             },
    { "RESTORE", "users",   "2", NULL,         NULL                             },
    { "PATCH",   "events",  "1", NULL,         "{\"speakers\":[1]}"             },
    { "DELETE",  "experts", "2", "purge=true", NULL                             },
};

static const struct seen *same_tag(const struct seen *now)
{
    for (size_t i = 0; i < nseen; i++)
        if (seen[i].query == now->query && str_eq(seen[i].etag, now->etag))
            return &seen[i];
    return NULL;
}

/* How many of the lists are other bytes than ever before. */
static size_t look(const char *after)
{
    const struct principal *const readers[] = { &anonymous, &p_member, &p_author, &p_editor,
                                                &p_admin };
    size_t fresh = 0;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (size_t k = 0; k < ARRAY_LEN(readers); k++) {
            struct answer a =
                ASK("GET", lists[i].plural, NULL, lists[i].query, NULL, NULL, readers[k]);
            EXPECT(a, 200);
            struct seen now = { lists[i].query, a.text, a.res.etag };
            const struct seen *was = same_tag(&now);
            if (was && !str_eq(was->text, now.text))
                fail_msg("after %s, %s?%s has a tag that was another's:\n%s\n%s", after,
                         lists[i].plural, lists[i].query, was->text, now.text);
            if (was)
                continue;
            fresh++;
            assert_true(nseen < seen_max);
            seen[nseen++] = now;
        }
    return fresh;
}

/* proves: R-09 R-06 */
static void another_list_has_another_tag(void **state)
{
    (void)state;
    (void)look("nothing");
    assert_int_equal(look("nothing"), 0); /* what did not change keeps its tag */
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct answer a = ASK(changes[i].method, changes[i].plural, changes[i].id, changes[i].query,
                              changes[i].body, NULL, &p_admin);
        const char *what = arena_printf(fx.a, "%s %s %s", changes[i].method, changes[i].plural,
                                        changes[i].body ? changes[i].body : changes[i].id);
        if (a.rc < 0)
            fail_msg("%s: %s", what, a.err.msg);
        if (!look(what))
            fail_msg("no list changed by %s", what);
        assert_int_equal(look(what), 0);
    }
}

static int setup(void **state)
{
    int rc = admin_setup(state);
    for (size_t i = 0; !rc && i < ARRAY_LEN(samples); i++) {
        EXPECT(ASK("POST", samples[i].plural, NULL, NULL, samples[i].body, NULL, &p_admin), 201);
        EXPECT(ASK("PATCH", samples[i].plural, "1", NULL, samples[i].patch, NULL, &p_admin), 200);
    }
    if (rc)
        return rc;
    make_people();
    for (int i = 0; i < 3; i++)
        EXPECT(
            ASK("POST", "posts", NULL, NULL,
                arena_printf(fx.a, "{\"title\":\"Post %d\",\"status\":\"published\",\"author\":%d}",
                             i, i % 2 + 1),
                NULL, &p_admin),
            201);
    EXPECT(ASK("POST", "posts", NULL, NULL,
               arena_printf(fx.a,
                            "{\"title\":\"A member's\",\"status\":\"published\",\"author\":%lld}",
                            (long long)p_member.user_id),
               NULL, &p_admin),
           201);
    EXPECT(ASK("POST", "experts", NULL, NULL, "{\"name\":\"Two\",\"user\":1}", NULL, &p_admin),
           201);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_list_has_another_tag),
    };
    return cmocka_run_group_tests(tests, setup, fx_teardown);
}
