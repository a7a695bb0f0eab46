#include "proto/names.h"

#include "common/base/str.h"
#include "proto/entity.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static scope_set set(const char *names)
{
    char line[256], *save = NULL;
    scope_set s = 0;
    snprintf(line, sizeof(line), "%s", names);
    for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        int i = scope_find(w);
        if (i < 0)
            fail_msg("no scope %s", w);
        s |= (scope_set)1 << i;
    }
    return s;
}

static void scopes_are_named_and_unique(void **state)
{
    (void)state;
    for (int i = 0; i < S_MAX_; i++) {
        assert_int_equal(scope_find(scopes[i].name), i);
        assert_true(*scopes[i].doc);
    }
    assert_int_equal(scope_find("posts"), -1);
    assert_int_equal(scope_find(""), -1);
}

/* proves: AU-04 in part: what a scope implies, and what it never does. */
static void scopes_imply_no_more_than_they_say(void **state)
{
    static const struct {
        const char *given, *has, *has_not;
    } cases[] = {
        { "posts:write", "posts:read",                                                              "pages:read api:read posts:write api:write" },
        { "posts:read",  "posts:read",                                                              "posts:write api:read"                      },
        { "api:read",    "posts:read users:read webhooks:read",                                     "posts:write keys:read api:write"           },
        { "api:write",   "api:read posts:write events:write events:read webhooks:write users:read",
         "users:write keys:read keys:write api:admin"                                                                                           },
        { "users:write", "users:read",                                                              "posts:read api:read"                       },
        { "keys:write",  "keys:read",                                                               "api:read users:read"                       },
        { "api:admin",   "api:write api:read users:write keys:write posts:write webhooks:write",    ""                                          },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        scope_set s = scope_expand(set(cases[i].given));
        scope_set none = set(cases[i].has_not) & ~set(cases[i].given);
        assert_true((s & set(cases[i].has)) == set(cases[i].has));
        assert_true((s & none) == 0);
        assert_true(scope_expand(s) == s);
    }
    assert_true(scope_expand(0) == 0);
    assert_true(scope_expand((scope_set)1 << 63) == 0); /* a bit that is no scope */
}

static void roles_hold_what_the_rules_say(void **state)
{
    (void)state;
    assert_true(role_scopes(ROLE_NONE) == 0);
    scope_set m = role_scopes(ROLE_MEMBER), a = role_scopes(ROLE_AUTHOR),
              e = role_scopes(ROLE_EDITOR), x = role_scopes(ROLE_ADMIN);
    scope_set content = set("posts:write pages:write media:write events:write");
    assert_true((m & content) == 0);
    assert_true((m & set("users:write keys:write posts:read")) ==
                set("users:write keys:write posts:read"));
    assert_true((a & content) == content);
    assert_true((a & set("experts:write companies:write api:admin")) == 0);
    assert_true((e & set("experts:write companies:write")) == set("experts:write companies:write"));
    assert_true(!scope_has(e, S_api_admin));
    assert_true(x == scope_expand(set("api:admin")));
    assert_true((m & ~a) == 0 && (a & ~e) == 0 && (e & ~x) == 0);
    for (enum role r = ROLE_MEMBER; r <= ROLE_ADMIN; r++)
        assert_int_equal(role_find(role_name(r)), r);
    assert_int_equal(role_find("none"), ROLE_NONE);
    assert_int_equal(role_find("root"), ROLE_NONE);
}

static void topics_are_sound(void **state)
{
    (void)state;
    for (const struct topic_def *t = topics; t->name; t++) {
        assert_ptr_equal(topic_find(t->name), t);
        assert_in_range(t->partitions, 1, 64);
        assert_true(t->retention_ms == -1 || t->retention_ms >= 3600000);
        assert_true(*t->doc && *t->owner);
        assert_true(t->compact || t->retention_ms > 0);
    }
    assert_null(topic_find("nothing"));
}

static void events_have_a_topic_and_an_entity(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct event_def *e = events; e->type; e++, n++) {
        assert_ptr_equal(event_find(e->type), e);
        assert_true(strlen(e->type) < event_type_max);
        assert_non_null(topic_find(e->topic));
        assert_true(!e->entity || entity_find(e->entity));
        assert_true(*e->doc);
    }
    assert_true(n >= 7 * 4 + 3 * 3);
    assert_string_equal(event_find("post.published")->topic, "content.events");
    assert_null(event_find("media.published"));
    assert_null(event_find("com.cms365.post.published"));
}

static void metrics_are_named_by_the_book(void **state)
{
    (void)state;
    for (size_t i = 0; i < M_MAX_; i++) {
        assert_true(str_starts(metrics[i].name, "cms365_"));
        assert_int_equal(str_ends(metrics[i].name, "_total"), metrics[i].kind == METRIC_COUNTER);
        assert_true(*metrics[i].doc);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(metrics[i].name, metrics[k].name);
    }
}

static void settings_are_documented(void **state)
{
    (void)state;
    for (size_t i = 0; settings[i].name; i++) {
        assert_string_equal(setting_names[i], settings[i].name);
        assert_true(str_starts(settings[i].name, "CMS365_"));
        assert_true(*settings[i].doc && *settings[i].who);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(settings[i].name, settings[k].name);
        assert_non_null(setting_names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_are_named_and_unique),
        cmocka_unit_test(scopes_imply_no_more_than_they_say),
        cmocka_unit_test(roles_hold_what_the_rules_say),
        cmocka_unit_test(topics_are_sound),
        cmocka_unit_test(events_have_a_topic_and_an_entity),
        cmocka_unit_test(metrics_are_named_by_the_book),
        cmocka_unit_test(settings_are_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
