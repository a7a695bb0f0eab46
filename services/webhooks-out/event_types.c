/* Every event there is, with what it looks like; printed once from the tables. */
#include "services/webhooks-out/filter.h"
#include "services/webhooks-out/provider.h"
#include "services/webhooks-out/webhooks.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "proto/emit.h"

#include <pthread.h>

enum { list_bytes_max = 16 * 1024 * 1024 };
static const char ref_prefix[] = "#/components/schemas/";
static const char example_id[] = "0195f3c2-6f00-7abc-8def-0123456789ab";
static const int64_t example_us = INT64_C(1771583405000000);

/* Points references at $defs, and puts there what they lead to. */
static void localize(json_t *v, const json_t *all, json_t *defs)
{
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_array(v))
        json_array_foreach(v, i, item) localize(item, all, defs);
    if (!json_is_object(v))
        return;
    const char *ref = json_string_value(json_object_get(v, "$ref"));
    if (ref && str_starts(ref, ref_prefix)) {
        char name[schema_name_max], local[schema_name_max + sizeof("#/$defs/")];
        snprintf(name, sizeof(name), "%s", ref + strlen(ref_prefix));
        snprintf(local, sizeof(local), "#/$defs/%s", name);
        json_object_set_new(v, "$ref", json_string(local));
        if (!json_object_get(defs, name)) {
            json_t *copy = json_deep_copy(json_object_get(all, name));
            json_object_set_new(defs, name, copy);
            localize(copy, all, defs);
        }
    }
    json_object_foreach(v, key, item) localize(item, all, defs);
}

static json_t *schema_of(const json_t *all, const struct event_def *def)
{
    char name[schema_name_max];
    emit_schema_name(def->type, "Event", name);
    json_t *schema = json_deep_copy(json_object_get(all, name)), *defs = json_object();
    localize(schema, all, defs);
    json_object_set_new(schema, "$schema",
                        json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(schema, "$defs", defs);
    return schema;
}

static json_t *example_of(struct arena *a, const struct event_def *def, const char *public_url)
{
    struct happening h = sample_happening(a, def);
    struct seen seen;
    const struct view v = { VC_ADMIN, true };
    const struct listener l = { .target = &target_standard };
    h.event_id = example_id;
    h.time_us = example_us;
    happening_seen(a, &h, &v, &seen);
    return json_loads(happening_body(a, &h, &l, &seen, public_url), 0, NULL);
}

static struct {
    pthread_once_t once;
    const char *public_url;
    char *text;
    size_t n, types;
} list = { .once = PTHREAD_ONCE_INIT };

static void print(void)
{
    struct arena *a = arena_new();
    struct buf b;
    json_t *all = json_in(a, emit_schemas());
    buf_init(&b, a, 1024 * 1024, list_bytes_max);
    for (const struct event_def *e = events; e->type; e++) {
        if (!e->entity)
            continue;
        json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:o, s:o}", "type", e->type, "version", 1,
                              "entity", e->entity, "description", e->doc, "schema",
                              schema_of(all, e), "example", example_of(a, e, list.public_url));
        if (list.types++)
            buf_putc(&b, ',');
        json_write(&b, json_in(a, o));
    }
    list.n = b.len;
    list.text = strdup(b.data);
    if (!list.text)
        abort();
    arena_free(a);
}

static void print_once(void *ctx)
{
    (void)ctx;
    (void)pthread_once(&list.once, print);
}

int event_type_list(struct req *req, struct res *res, struct err *err)
{
    if (!list.public_url)
        list.public_url = req->svc->conf->public_url;
    int rc = worker_run(req->svc->workers, print_once, NULL, err);
    if (rc)
        return rc;
    struct buf *b = &res->body;
    buf_puts(b, "{\"data\":[");
    buf_put(b, list.text, list.n);
    buf_printf(b,
               "],\"meta\":{\"total\":%zu,\"page\":1,\"per_page\":%zu},"
               "\"links\":{\"self\":\"%s%s\",\"next\":null,\"prev\":null}}",
               list.types, list.types, req->svc->conf->public_url, req->path);
    return 0;
}
