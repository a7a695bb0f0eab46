/* What an event would look like: of the examples in the tables, or of an entity that is there. */
#include "services/webhooks-out/webhooks.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/httpc.h"

enum { entity_bytes_max = 4 * 1024 * 1024, inner_url_bytes_max = 4096, fetch_timeout_ms = 10000 };

static void set_example(json_t *o, const struct field_def *f)
{
    const char *text = f->example ? f->example : f->fallback;
    json_t *v = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    json_object_set_new(o, f->name, v ? v : json_null());
}

/* What such an event says was changed. */
static json_t *changed_by(const struct event_def *def, const struct entity_def *e)
{
    const char *dot = strrchr(def->type, '.');
    json_t *out = json_array();
    if (!dot || str_eq(dot, ".created") || str_eq(dot, ".deleted"))
        return out;
    if (str_eq(dot, ".updated"))
        json_array_append_new(out, json_string(e->title));
    else if (entity_field(e, "status"))
        json_array_append_new(out, json_string("status"));
    return out;
}

/* Ids of events that happened nowhere. */
static struct happening happening_of(struct arena *a, const struct event_def *def, json_t *data)
{
    const struct entity_def *e = entity_find(def->entity);
    char id[uuid_len + 1];
    const json_t *number = json_object_get(data, "id");
    uuid7(id);
    struct happening h = { .def = def,
                           .event_id = arena_strdup(a, id),
                           .time_us = clock_us(),
                           .data = data,
                           .changed = json_in(a, changed_by(def, e)) };
    h.key = json_is_string(number)
                ? arena_printf(a, "%s:%s", e->name, json_string_value(number))
                : arena_printf(a, "%s:%lld", e->name, (long long)json_integer_value(number));
    const json_t *owner = e->owner ? json_object_get(data, e->owner) : NULL;
    h.owner_id = json_integer_value(json_is_object(owner) ? json_object_get(owner, "id") : owner);
    return h;
}

struct happening sample_happening(struct arena *a, const struct event_def *def)
{
    const struct entity_def *e = entity_find(def->entity);
    json_t *data = json_in(a, json_object());
    for (const struct field_def *f = e->fields; f->name; f++)
        if (!(f->flags & (FF_HIDDEN | FF_SECRET)))
            set_example(data, f);
    return happening_of(a, def, data);
}

/* As the caller, so that a preview shows nothing that its reader may not read; by the programs' own
 * way, as a credential that is bound to its sender cannot be passed on. */
static const char *inner_url(const struct req *req, const struct entity_def *e, int64_t id)
{
    const struct webhooks_conf *c = (const struct webhooks_conf *)(const void *)req->svc->conf;
    const struct principal *who = &req->who;
    struct buf b;
    buf_init(&b, req->arena, 512, inner_url_bytes_max);
    buf_printf(&b, "%s/internal/content/%s/%lld?user_id=%lld&role=%s&scopes=", c->api_url,
               e->plural, (long long)id, (long long)who->user_id, role_name(who->role));
    for (int i = 0, n = 0; i < S_MAX_; i++)
        if (scope_has(who->scopes, (enum scope)i))
            buf_printf(&b, "%s%s", n++ ? "," : "", scopes[i].name);
    return *c->api_url ? b.data : NULL;
}

int stored_happening(struct req *req, const struct event_def *def, int64_t entity_id,
                     struct happening *ret, struct err *err)
{
    const struct entity_def *e = entity_find(def->entity);
    const struct httpc_header h[] = {
        { "Accept", "application/json" },
        { "Authorization", arena_printf(req->arena, "Bearer %s", req->svc->conf->internal_token) },
    };
    struct httpc_res res;
    json_t *tree;
    if (!str_eq(e->service, "api"))
        return err_at(err, E_validation, "/entity_id", "Of a %s there is a sample only.", e->name);
    const struct httpc_req ask = { .method = "GET",
                                   .url = inner_url(req, e, entity_id),
                                   .headers = h,
                                   .nheaders = ARRAY_LEN(h),
                                   .timeout_ms = fetch_timeout_ms,
                                   .reply_bytes_max = entity_bytes_max };
    if (!ask.url)
        return err_set(err, E_unavailable, "Entities cannot be read here; there are samples only.");
    int rc = httpc_call(svc_inner(req->svc), req->arena, &ask, &res, err);
    if (rc)
        return err_set(err, E_unavailable, "The %s cannot be read now.", e->name);
    if (res.status == 404 || res.status == 403)
        return err_set(err, E_not_found, "There is no %s %lld.", e->name, (long long)entity_id);
    if (res.status != 200 || res.body_cut ||
        json_parse(req->arena, res.body, res.body_n, &tree, err) ||
        !json_is_object(json_object_get(tree, "data")))
        return err_set(err, E_unavailable, "The %s cannot be read now.", e->name);
    *ret = happening_of(req->arena, def, json_object_get(tree, "data"));
    return 0;
}
