#include "proto/entity.h"

#include "common/base/str.h"
#include "proto/names.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_table_is_sound(void **state)
{
    (void)state;
    size_t faults = 0;
    for (size_t i = 0; entities[i]; i++)
        faults += entity_check(entities[i], stderr);
    for (size_t i = 0; resources[i]; i++)
        faults += entity_check(resources[i], stderr);
    assert_int_equal(faults, 0);
}

/* Nothing of the agreed field set may be dropped.  '*' required, '!' unique. */
static void agreed_fields_are_there(void **state)
{
    static const struct {
        const char *entity, *fields;
    } want[] = {
        { "user",    "username*! email*! display_name role* status locale bio website avatar" },
        { "post",
         "title* slug! status* excerpt content content_format language author featured_media "
          "categories tags published_at seo_title seo_description"                            },
        { "page",    "title* slug! status* content content_format language author parent menu_order "
                  "template published_at seo_title seo_description"          },
        { "media",   "filename* mime_type* size_bytes sha256 width height title alt_text caption url "
                   "storage_key uploaded_by"                                },
        { "expert",
         "name* slug! title email phone bio specialties languages company user photo city "
          "country website linkedin_url hourly_rate_minor currency status"                    },
        { "company", "name* slug! description industry email phone website street postal_code city "
                     "country employee_count founded_year logo status"    },
        { "event",
         "title* slug! description status* starts_at* ends_at timezone venue_name address "
          "online_url capacity price_minor currency organizer image speakers"                 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct entity_def *e = entity_find(want[i].entity);
        char line[512], *save = NULL;
        assert_non_null(e);
        snprintf(line, sizeof(line), "%s id created_at updated_at version meta", want[i].fields);
        for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
            bool required = strchr(w, '*'), unique = strchr(w, '!');
            w[strcspn(w, "*!")] = '\0';
            const struct field_def *f = entity_field(e, w);
            if (!f)
                fail_msg("%s.%s is missing", e->name, w);
            assert_int_equal(required, (f->flags & FF_REQUIRED) != 0);
            assert_int_equal(unique, (f->flags & FF_UNIQUE) != 0);
        }
    }
}

static void agreed_relations_are_there(void **state)
{
    static const struct {
        const char *entity, *name, *ref;
        enum relation_kind kind;
    } want[] = {
        { "users",     "posts",    "post",   REL_REVERSE },
        { "companies", "experts",  "expert", REL_REVERSE },
        { "companies", "events",   "event",  REL_REVERSE },
        { "experts",   "events",   "event",  REL_MANY    },
        { "pages",     "children", "page",   REL_REVERSE },
        { "events",    "speakers", "expert", REL_MANY    },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct relation_def *r = entity_relation(entity_find(want[i].entity), want[i].name);
        assert_non_null(r);
        assert_string_equal(r->ref, want[i].ref);
        assert_int_equal(r->kind, want[i].kind);
    }
}

/* The check must see what it is there for: each of these tables has one mistake. */
static const struct field_def id_field = { .name = "id",
                                           .type = F_ID,
                                           .flags = FF_READONLY | FF_NONNULL | FF_FILTER | FF_SORT,
                                           .min = 1,
                                           .max = 9,
                                           .example = "7",
                                           .doc = "Number." };

static size_t faults_of(struct field_def f)
{
    struct field_def fields[] = { id_field, f, { 0 } };
    struct entity_def e = *entity_find("webhook_attempt");
    FILE *sink = tmpfile();
    e.fields = fields;
    e.title = "id";
    e.sort = "id";
    size_t n = entity_check(&e, sink);
    fclose(sink);
    return n;
}

static void mistakes_are_found(void **state)
{
    static const char *const choices[] = { "a", NULL };
    struct field_def good = {
        .name = "note", .type = F_TEXT, .max = 9, .example = "\"x\"", .doc = "A note."
    };
    (void)state;
    size_t clean = faults_of(good); /* a copy of a table is never the registered one */
    struct field_def bad = good;
    bad.name = "Note";
    assert_true(faults_of(bad) > clean);
    bad = good, bad.doc = "";
    assert_true(faults_of(bad) > clean);
    bad = good, bad.max = 0;
    assert_true(faults_of(bad) > clean);
    bad = good, bad.choices = choices;
    assert_true(faults_of(bad) > clean);
    bad = good, bad.type = F_REF, bad.ref = "nobody", bad.example = "{\"id\":1}";
    assert_true(faults_of(bad) > clean);
    bad = good, bad.flags = FF_REQUIRED | FF_READONLY;
    assert_true(faults_of(bad) > clean);
    bad = good, bad.flags = FF_SECRET | FF_FILTER;
    assert_true(faults_of(bad) > clean);
    bad = good, bad.fallback = "7";
    assert_true(faults_of(bad) > clean);
    bad = good, bad.example = "\"far too long a note\"";
    assert_true(faults_of(bad) > clean);
    bad = good, bad.name = "id";
    assert_true(faults_of(bad) > clean);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_sound),
        cmocka_unit_test(agreed_fields_are_there),
        cmocka_unit_test(agreed_relations_are_there),
        cmocka_unit_test(mistakes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
