/* The same answer in its other forms, to the byte. */
#include "common/kit/repr.h"

#include "common/base/json.h"
#include "common/base/str.h"
#include "common/kit/route.h"
#include "proto/jsonld.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena *a;

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

static bool not_private(const struct field_def *f, const void *ctx)
{
    (void)ctx;
    return !(f->flags & FF_PRIVATE);
}

static const char *form(enum repr r, const char *entity, const char *json, const char *fields)
{
    struct buf out;
    struct err err = { 0 };
    struct repr_source src = { .entity = entity_find(entity),
                               .base = "https://cms.test",
                               .fields = fields,
                               .shown = not_private,
                               .json = js_of(json, strlen(json)) };
    buf_init(&out, a, 64, 1 << 20);
    assert_int_equal(repr_write(r, &src, &out, &err), 0);
    assert_int_equal(strlen(out.data), out.len);
    return out.data;
}

struct form_case {
    const char *entity, *json, *want;
};

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<"
#define XML_NS                                                                                     \
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""                                     \
    " xsi:noNamespaceSchemaLocation=\"https://cms.test/schemas/v2.xsd\">"
#define JSON_NS " xmlns=\"http://www.w3.org/2005/xpath-functions\""

/* proves: R-15 */
static void xml_holds_what_json_holds(void **state)
{
    static const struct form_case cases[] = {
        { "post",
         "{\"data\":{\"id\":7,\"title\":\"a<b>&\\\"c\\\"\",\"excerpt\":null,\"author\":{\"id\":3}}"
          "}",                                                                              XML_HEAD
          "response" XML_NS "<data><post><id>7</id><title>a&lt;b&gt;&amp;&quot;c&quot;</title>"
          "<excerpt xsi:nil=\"true\"/><author><id>3</id></author></post></data></response>\n"                                             },
        { "post",
         "{\"data\":[{\"id\":7,\"tags\":[\"x\",\"\"]},{\"id\":8,\"tags\":[]}],\"meta\":{\"total\":"
          "2,"
          "\"page\":null},\"links\":{\"self\":\"https://x/?a&b\"}}",                        XML_HEAD "list" XML_NS
                   "<data><post><id>7</id><tags><item>x</item><item></item></tags></post>"
                   "<post><id>8</id><tags></tags></post></data><meta><total>2</total><page "
                   "xsi:nil=\"true\"/>"
                   "</meta><links><self>https://x/?a&amp;b</self></links></list>\n" },
        { "post",  "{\"id\":7}",                                                            XML_HEAD "post" XML_NS "<id>7</id></post>\n"                },
        { "post",  "[{\"id\":7}]",                                                          XML_HEAD "items" XML_NS "<post><id>7</id></post></items>\n" },
        /* breaks of lines survive; what XML has not is told in JSON's escapes */
        { "post",  "{\"data\":{\"content\":\"a\\r\\n\\tb\"}}",
         XML_HEAD "response" XML_NS
                   "<data><post><content>a&#13;\n\tb</content></post></data></response>\n"                                                              },
        { "post",  "{\"data\":{\"content\":\"\\u0001 \\\\ \\\" <\"}}",
         XML_HEAD "response" XML_NS
                   "<data><post><content escaped=\"true\">\\u0001 \\\\ \\&quot; &lt;"
                   "</content></post></data></response>\n"                                                                                              },
        { "post",  "{\"data\":{\"content\":\"\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd\"}}",
         XML_HEAD "response" XML_NS
                   "<data><post><content escaped=\"true\">\\uFFFE\\uFFFF\xef\xbf\xbd"
                   "</content></post></data></response>\n"                                                                                              },
        { "post",  "{\"data\":{\"content\":\"\\u00e4\\ud83d\\ude00\\/\"}}",
         XML_HEAD "response" XML_NS
                   "<data><post><content>\xc3\xa4\xf0\x9f\x98\x80/</content></post>"
                   "</data></response>\n"                                                                                                               },
        { "post",  "{\"data\":{\"meta\":{\"a b\":[1.50,true,null,\"<\"],\"\\u0001\":{}}}}",
         XML_HEAD "response" XML_NS "<data><post><meta><map" JSON_NS
                   "><array key=\"a b\"><number>1.50"
                   "</number><boolean>true</boolean><null></null><string>&lt;</string></array>"
                   "<map escaped-key=\"true\" "
                   "key=\"\\u0001\"></map></map></meta></post></data></response>\n"                                                                     },
        { "event", "{\"data\":{\"speakers\":[{\"id\":1},{\"id\":2}],\"organizer\":null}}",
         XML_HEAD
          "response" XML_NS "<data><event><speakers><expert><id>1</id></expert><expert><id>2</id>"
          "</expert></speakers><organizer xsi:nil=\"true\"/></event></data></response>\n"                                                               },
        { "user",  "{\"data\":{\"posts\":[{\"id\":1,\"author\":{\"id\":7}}]}}",
         XML_HEAD "response" XML_NS
                   "<data><user><posts><post><id>1</id><author><id>7</id></author></post>"
                   "</posts></user></data></response>\n"                                                                                                },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(form(REPR_XML, cases[i].entity, cases[i].json, NULL), cases[i].want);
}

#define LD_HEAD  "{\"@context\":\"https://cms.test/contexts/v2.jsonld\","
#define AT(path) "\"@id\":\"https://cms.test/api/v2/" path "\","

/* proves: R-14 */
static void jsonld_names_nodes_and_types(void **state)
{
    static const struct form_case cases[] = {
        { "post",
         "{\"data\":{\"id\":7,\"title\":\"x\",\"author\":{\"id\":3},\"featured_media\":null}}",  LD_HEAD "\"data\":{" AT(
              "posts/7") "\"@type\":[\"Article\",\"Post\"],\"id\":7,\"title\":\"x\","
                         "\"author\":{" AT("users/3") "\"@type\":[\"Person\",\"User\"],\"id\":3},"
                                                      "\"featured_media\":null}}"         },
        { "post",    "{\"data\":[{\"id\":1}],\"meta\":{\"total\":1},\"links\":{\"next\":null}}",
         LD_HEAD "\"data\":[{" AT("posts/1") "\"@type\":[\"Article\",\"Post\"],\"id\":1}],"
                                              "\"meta\":{\"total\":1},\"links\":{\"next\":null}}"                                                                                        },
        { "post",    "{\"id\":1}",
         LD_HEAD AT("posts/1") "\"@type\":[\"Article\",\"Post\"],\"id\":1}"                                                                                                              },
        { "post",    "[{\"title\":\"x\"}]",
         LD_HEAD "\"data\":[{\"@type\":[\"Article\",\"Post\"],\"title\":\"x\"}]}"                                                                                                        },
        { "event",
         "{\"data\":{\"id\":1,\"venue_name\":\"Hall\",\"address\":\"A\",\"title\":\"T\"}}",      LD_HEAD "\"data\":{" AT(
              "events/1") "\"@type\":\"Event\",\"id\":1,\"title\":\"T\",\"venue\":"
                          "{\"@type\":\"Place\",\"venue_name\":\"Hall\",\"address\":\"A\"}}}" },
        { "company", "{\"data\":{\"id\":1,\"street\":null,\"city\":\"Berlin\"}}",
         LD_HEAD
          "\"data\":{" AT("companies/1") "\"@type\":[\"Organization\",\"Company\"],\"id\":1,"
                                         "\"postal_address\":{\"@type\":\"PostalAddress\",\"city\":"
                                         "\"Berlin\"}}}"                                                                                                                                 },
        { "media",   "{\"data\":{\"id\":1,\"mime_type\":\"image/png\"}}",
         LD_HEAD "\"data\":{" AT("media/1") "\"@type\":[\"ImageObject\",\"Media\"],\"id\":1,"
                                             "\"mime_type\":\"image/png\"}}"                                                                                                             },
        { "media",   "{\"data\":{\"id\":1,\"mime_type\":\"video/mp4\"}}",
         LD_HEAD "\"data\":{" AT("media/1") "\"@type\":[\"MediaObject\",\"Media\"],\"id\":1,"
                                             "\"mime_type\":\"video/mp4\"}}"                                                                                                             },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(form(REPR_JSONLD, cases[i].entity, cases[i].json, NULL), cases[i].want);
    assert_int_equal(jsonld_check(stderr), 0);
    json_t *context = emit_jsonld("https://cms.test");
    json_t *terms = json_object_get(context, "@context");
    for (const struct entity_def *const *e = entities; *e; e++) {
        char class[schema_name_max];
        jsonld_class(*e, class);
        json_t *own = json_object_get(json_object_get(terms, class), "@context");
        for (const struct field_def *f = (*e)->fields; f->name; f++) {
            const struct jsonld_row *row = jsonld_find(*e, f->name);
            bool there = json_object_get(own, f->name) != NULL;
            assert_true(there == (!(f->flags & (FF_HIDDEN | FF_SECRET)) && !(row && row->in)));
        }
    }
    json_decref(context);
}

/* proves: R-13 (CSV of lists) */
static void csv_is_safe_and_reversible(void **state)
{
    static const struct {
        const char *entity, *fields, *json, *want;
    } cases[] = {
        { "post", "id,title",       "{\"data\":[]}",                                            "id,title\r\n"                                                   },
        { "post", "title,id",       "{\"data\":[{\"id\":1,\"title\":\"a\"}]}",                  "id,title\r\n1,a\r\n"                                            },
        { "post", "id,title",
         "{\"data\":[{\"id\":1,\"title\":\"a,\\\"b\\\"\"},{\"id\":2,\"title\":\"x\\ny\"}]}",    "id,title\r\n1,\"a,\"\"b\"\"\"\r\n2,\"x\ny\"\r\n"                },
        { "post", "id,excerpt",
         "{\"data\":[{\"id\":1,\"excerpt\":null},{\"id\":2,\"excerpt\":\"\"}]}",                "id,excerpt\r\n1,\r\n2,\"\"\r\n"                                 },
        { "post", "title",
         "{\"data\":[{\"title\":\"=1+1\"},{\"title\":\"+1\"},{\"title\":\"-1\"},"
          "{\"title\":\"@x\"},{\"title\":\"'q\"},{\"title\":\"\\t=1\"},{\"title\":\"a=1\"}]}",  "title\r\n'=1+1\r\n'+1\r\n'-1\r\n'@x\r\n''q\r\n'\t=1\r\na=1\r\n" },
        { "page", "menu_order",     "{\"data\":[{\"menu_order\":-5}]}",                         "menu_order\r\n-5\r\n"                                           },
        { "post", "title",          "{\"data\":[{\"title\":null}]}",                            "title\r\n\"\"\r\n"                                              },
        { "post", "author,tags",    "{\"data\":[{\"author\":null,\"tags\":[\"a\",\"b\"]}]}",
         "author.id,tags\r\n,\"[\"\"a\"\",\"\"b\"\"]\"\r\n"                                                                                                      },
        { "post", "author",
         "{\"data\":[{\"author\":{\"id\":3,\"username\":\"e\"}},{\"author\":{\"id\":4}}]}",     "author.id,author.username\r\n3,e\r\n4,\r\n"                     },
        { "user", "username,posts", "{\"data\":[{\"username\":\"e\",\"posts\":[{\"id\":1}]}]}",
         "username,posts\r\ne,\"[{\"\"id\"\":1}]\"\r\n"                                                                                                          },
        { "post", "title",          "[{\"title\":\" x\"}]",                                     "title\r\n\" x\"\r\n"                                            },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(form(REPR_CSV, cases[i].entity, cases[i].json, cases[i].fields),
                            cases[i].want);
    /* all columns, on a page without rows too; not those that this reader never sees */
    const char *all = form(REPR_CSV, "user", "{\"data\":[]}", NULL);
    assert_non_null(strstr(all, "id,username,display_name,role,"));
    assert_non_null(strstr(all, ",avatar.id,"));
    assert_null(strstr(all, "email"));
    assert_null(strstr(all, "deleted_at"));
}

/* proves: X-01 (problem+xml) */
static void problems_are_xml_by_appendix_b(void **state)
{
    static const char json[] =
        "{\"type\":\"https://x/p?a&b\",\"status\":422,\"errors\":[{\"pointer\":\"/a\"},"
        "{\"pointer\":\"/b\"}],\"none\":null,\"bad name\":1,\"t\":\"\\u0001\"}";
    struct buf out;
    (void)state;
    buf_init(&out, a, 64, 4096);
    repr_problem_xml(js_of(json, sizeof(json) - 1), &out);
    assert_string_equal(out.data,
                        XML_HEAD "problem xmlns=\"urn:ietf:rfc:7807\"><type>https://x/p?a&amp;b"
                                 "</type><status>422</status><errors><i><pointer>/a</pointer></i>"
                                 "<i><pointer>/b</pointer></i></errors><none></none><t>\\u0001</t>"
                                 "</problem>\n");
}

/* Text that is no JSON, or deeper than ours ever is: less comes out, and nothing breaks. */
static void strange_text_is_survived(void **state)
{
    static const char *const texts[] = { "",
                                         " ",
                                         "{",
                                         "{\"",
                                         "{\"data\"",
                                         "{\"data\":",
                                         "{\"data\":{",
                                         "{\"data\":{\"id\":",
                                         "{\"data\":\"x\"}",
                                         "[",
                                         "[,",
                                         "[[[]",
                                         "]",
                                         "{\"data\":{\"title\":\"\\",
                                         "{\"data\":{\"title\":\"\\u00",
                                         "{\"data\":{\"title\":\"\\ud800\"}}",
                                         "nonsense",
                                         "{\"data\":[1,\"x\"]}" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (enum repr r = REPR_JSONLD; r < REPR_MAX_; r++)
            (void)form(r, "post", texts[i], NULL);
    }
    enum { deep = 100000 };
    for (int kind = 0; kind < 3; kind++) {
        static const char *const units[] = { "{\"author\":{\"avatar\":", "{\"meta\":", "[" };
        struct buf b;
        buf_init(&b, a, 64, 32 << 20);
        buf_puts(&b, "{\"data\":");
        for (int i = 0; i < deep; i++)
            buf_puts(&b, units[kind]);
        struct buf out;
        struct err err;
        struct repr_source src = {
            .entity = entity_find("post"), .base = "x", .json = { b.data, b.len }
        };
        for (enum repr r = REPR_JSONLD; r < REPR_MAX_; r++) {
            buf_init(&out, a, 64, 32 << 20);
            assert_int_equal(repr_write(r, &src, &out, &err), 0);
        }
    }
}

static void too_much_is_said_so(void **state)
{
    struct buf out;
    struct err err;
    static const char json[] = "{\"data\":{\"id\":1}}";
    struct repr_source src = {
        .entity = entity_find("post"), .base = "x", .json = { json, sizeof(json) - 1 }
    };
    (void)state;
    for (enum repr r = REPR_JSONLD; r < REPR_MAX_; r++) {
        buf_init(&out, a, 4, 4);
        assert_int_equal(repr_write(r, &src, &out, &err), -E_internal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xml_holds_what_json_holds),
        cmocka_unit_test(jsonld_names_nodes_and_types),
        cmocka_unit_test(csv_is_safe_and_reversible),
        cmocka_unit_test(problems_are_xml_by_appendix_b),
        cmocka_unit_test(strange_text_is_survived),
        cmocka_unit_test(too_much_is_said_so),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
