#include "proto/emit.h"

#include "common/base/str.h"
#include "proto/names.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void names_are_made_alike(void **state)
{
    static const struct {
        const char *name, *suffix, *want;
    } cases[] = {
        { "post",                     "",      "Post"                        },
        { "api_key",                  "Input", "ApiKeyInput"                 },
        { "webhook.endpoint.created", "Event", "WebhookEndpointCreatedEvent" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[schema_name_max];
        emit_schema_name(cases[i].name, cases[i].suffix, out);
        assert_string_equal(out, cases[i].want);
    }
}

/* Every $ref below v is the name of a schema. */
static size_t check_refs(const json_t *v, const json_t *schemas)
{
    static const char prefix[] = "#/components/schemas/";
    const char *key;
    json_t *item;
    size_t i, n = 0;
    if (json_is_array(v)) {
        json_array_foreach(v, i, item) n += check_refs(item, schemas);
        return n;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, item)
    {
        if (!str_eq(key, "$ref")) {
            n += check_refs(item, schemas);
            continue;
        }
        assert_true(str_starts(json_string_value(item), prefix));
        const char *name = json_string_value(item) + sizeof(prefix) - 1;
        if (!json_object_get(schemas, name))
            fail_msg("no schema %s", name);
        n++;
    }
    return n;
}

static void every_reference_has_a_schema(void **state)
{
    (void)state;
    json_t *schemas = emit_schemas(), *hooks = emit_webhooks();
    assert_true(check_refs(schemas, schemas) > 20);
    assert_true(check_refs(hooks, schemas) >= json_object_size(hooks));
    json_decref(schemas);
    json_decref(hooks);
}

static json_t *property(json_t *schemas, const char *schema, const char *name)
{
    return json_object_get(json_object_get(json_object_get(schemas, schema), "properties"), name);
}

static bool required(json_t *schemas, const char *schema, const char *name)
{
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(schemas, schema), "required"), i,
                       item) if (str_eq(json_string_value(item), name)) return true;
    return false;
}

static void schemas_follow_the_flags(void **state)
{
    (void)state;
    json_t *s = emit_schemas();
    assert_true(required(s, "PostInput", "title"));
    assert_false(required(s, "PostPatch", "title"));
    assert_false(required(s, "Post", "title")); /* fields= may leave it out */
    assert_false(required(s, "Post", "id"));    /* so may id */
    assert_null(property(s, "PostInput", "id"));
    assert_null(property(s, "Post", "deleted_at"));
    assert_null(property(s, "WebhookEndpoint", "secret"));
    assert_non_null(property(s, "ApiKeyInput", "user"));
    assert_null(property(s, "ApiKeyPatch", "user"));
    assert_null(json_object_get(s, "WebhookDeliveryInput"));
    assert_string_equal(json_string_value(json_object_get(property(s, "Post", "title"), "type")),
                        "string");
    json_t *type = json_object_get(property(s, "Post", "excerpt"), "type");
    assert_string_equal(json_string_value(json_array_get(type, 1)), "null");
    assert_non_null(json_object_get(property(s, "Post", "author"), "anyOf"));
    assert_non_null(property(s, "Company", "experts"));
    assert_string_equal(
        json_string_value(json_object_get(property(s, "PostPublishedEvent", "type"), "const")),
        "post.published");
    json_decref(s);
}

static void shapes_stand_on_their_entity(void **state)
{
    static const struct field_def extra[] = {
        { .name = "secret", .type = F_TEXT, .flags = FF_REQUIRED, .max = 99, .doc = "Once." },
        { 0 },
    };
    static const struct shape made = { .name = "EndpointMade", .doc = "Made.", .fields = extra };
    struct shape over = made;
    (void)state;
    json_t *s = json_object();
    emit_shape(s, &made, false);
    assert_int_equal(
        json_object_size(json_object_get(json_object_get(s, "EndpointMade"), "properties")), 1);
    over.extends = &entity_webhook_endpoint;
    emit_shape(s, &over, false);
    assert_non_null(property(s, "EndpointMade", "url"));
    assert_true(required(s, "EndpointMade", "secret"));
    assert_true(required(s, "EndpointMade", "id"));
    json_decref(s);
}

static void the_internal_event_is_not_a_webhook(void **state)
{
    (void)state;
    json_t *hooks = emit_webhooks();
    assert_null(json_object_get(hooks, "key.state"));
    assert_non_null(json_object_get(hooks, "post.published"));
    assert_non_null(json_object_get(hooks, "expert.created"));
    json_decref(hooks);
}

/* What is printed names every row of its list. */
static void pages_are_complete(void **state)
{
    (void)state;
    json_t *all = emit_all(), *files = json_object_get(all, "files");
    const char *events_md = json_string_value(json_object_get(files, "docs/reference/events.md"));
    const char *ts = json_string_value(json_object_get(files, "docs/api/types.d.ts"));
    const char *md = json_string_value(json_object_get(files, "docs/reference/entities.md"));
    for (const struct event_def *e = events; e->type; e++) {
        char cell[event_type_max + 8];
        snprintf(cell, sizeof(cell), "| `%s` |", e->type);
        assert_non_null(strstr(events_md, cell));
    }
    for (const struct entity_def *const *e = entities; *e; e++)
        for (const struct field_def *f = (*e)->fields; f->name; f++) {
            char text[96];
            snprintf(text, sizeof(text), "| `%s` |", f->name);
            if (f->flags & FF_HIDDEN)
                continue;
            assert_non_null(strstr(md, text));
            assert_non_null(strstr(ts, f->name));
        }
    assert_int_equal(json_object_size(files), 9);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_made_alike),
        cmocka_unit_test(every_reference_has_a_schema),
        cmocka_unit_test(schemas_follow_the_flags),
        cmocka_unit_test(shapes_stand_on_their_entity),
        cmocka_unit_test(the_internal_event_is_not_a_webhook),
        cmocka_unit_test(pages_are_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
