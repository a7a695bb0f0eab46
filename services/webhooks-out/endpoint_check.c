/* What the field table cannot say about an endpoint. */
#include "services/webhooks-out/endpoint.h"

#include "common/base/str.h"
#include "common/io/httpc.h"
#include "common/kit/vis.h"
#include "services/webhooks-out/filter.h"

enum {
    header_value_max = 1000,
    wait_s_max = 7 * 86400,
    batch_events_max = 1000,
    batch_wait_ms_max = 600000
};

struct check {
    struct req *req;
    struct arena *a;
    struct shape_row *row;
    const json_t *body, *before;
};

static bool is_faulty(const struct check *c, const char *field)
{
    const char *at = arena_printf(c->a, "/%s", field);
    for (size_t i = 0; i < c->row->faults->n; i++)
        if (str_starts(c->row->faults->items[i].pointer, at))
            return true;
    return false;
}

/* What the row will have: of the body, else of the row before. */
static const json_t *will_be(const struct check *c, const char *field)
{
    const json_t *v = json_object_get(c->body, field);
    return v ? v : json_object_get(c->before, field);
}

/* Given, well-formed and not null: worth a look. */
static const json_t *given(const struct check *c, const char *field)
{
    const json_t *v = json_object_get(c->body, field);
    return v && !json_is_null(v) && !is_faulty(c, field) ? v : NULL;
}

#define FAULT(c, at, code, ...) err_list_add((c)->row->faults, at, code, __VA_ARGS__)

/* --- url --- */

static bool is_https(const json_t *url)
{
    return json_is_string(url) && !strncasecmp(json_string_value(url), "https:", 6);
}

/* A URL that this installation's settings refuse. */
static bool needs_https(const struct check *c, const json_t *url)
{
    const struct webhooks_conf *conf =
        (const struct webhooks_conf *)(const void *)c->req->svc->conf;
    return conf->https_only && json_is_string(url) && !is_https(url);
}

static void check_url(struct check *c)
{
    const char *url = json_string_value(given(c, "url"));
    struct err why;
    if (url && egress_check_url(c->req->svc->egress, url, &why))
        FAULT(c, "/url", "egress_refused", "%s", why.msg);
    else if (needs_https(c, given(c, "url")))
        FAULT(c, "/url", "https_only", "Must be an https URL here.");
}

/* --- events, and the fields of their entities --- */

static const char *some_types(struct arena *a)
{
    struct buf b;
    buf_init(&b, a, 1024, 4096);
    buf_puts(&b, "*, ");
    const char *last = "";
    for (const struct event_def *e = events; e->type; e++) {
        size_t n = strcspn(e->type, ".");
        if (!e->entity)
            continue;
        if (strncmp(last, e->type, n + 1) != 0)
            buf_printf(&b, "%s%.*s.*", *last ? ", " : "", (int)n, e->type);
        buf_printf(&b, ", %s", e->type);
        last = e->type;
    }
    return b.data;
}

static void check_events(struct check *c)
{
    const json_t *list = json_object_get(c->body, "events");
    if (!json_is_array(list))
        return;
    if (json_array_size(list) == 0)
        shape_fault(c->row, "events", "min", "At least one pattern is needed.");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && !pattern_known(s))
            FAULT(c, arena_printf(c->a, "/events/%zu", i), "choice",
                  "There is no event %.64s. There are: %s", s, some_types(c->a));
    }
}

/* Is it a field of an entity whose events are listened to? */
static bool field_known(void *ctx, const char *name, size_t n)
{
    const struct check *c = ctx;
    const json_t *list = will_be(c, "events");
    const char *field = arena_strndup(c->a, name, n);
    for (const struct event_def *e = events; e->type; e++) {
        const struct entity_def *entity = e->entity ? entity_find(e->entity) : NULL;
        const struct field_def *f = entity ? entity_field(entity, field) : NULL;
        if (!f || f->flags & (FF_SECRET | FF_HIDDEN))
            continue;
        for (size_t i = 0; i < json_array_size(list); i++)
            if (pattern_matches(json_string_value(json_array_get(list, i)), e->type))
                return true;
    }
    return false;
}

static void check_filter(struct check *c)
{
    const json_t *tree = will_be(c, "filter");
    struct filter *f;
    struct err why;
    if (!json_is_object(tree) || is_faulty(c, "events") || is_faulty(c, "filter"))
        return;
    if (!json_object_get(c->body, "filter") && !json_object_get(c->body, "events"))
        return;
    if (filter_parse(c->a, tree, field_known, c, &f, &why))
        FAULT(c, arena_printf(c->a, "/filter%s", why.pointer), "filter", "%s", why.msg);
}

static void check_fields(struct check *c)
{
    const json_t *list = will_be(c, "fields");
    if (!json_is_array(list) || is_faulty(c, "events") || is_faulty(c, "fields"))
        return;
    if (!json_object_get(c->body, "fields") && !json_object_get(c->body, "events"))
        return;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *path = json_string_value(json_array_get(list, i));
        if (path && !field_known(c, path, strcspn(path, ".")))
            FAULT(c, arena_printf(c->a, "/fields/%zu", i), "unknown",
                  "Is no field of the entities whose events are listened to.");
    }
}

/* --- what is sent with it --- */

static bool value_ok(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

static void check_headers(struct check *c)
{
    const json_t *o = given(c, "headers");
    const char *name, *why;
    json_t *v, *all = o ? json_in(c->a, json_copy((json_t *)(uintptr_t)o)) : NULL;
    if (json_object_size(o) > custom_headers_max)
        FAULT(c, "/headers", "too_many", "There are at most %d headers.", custom_headers_max);
    json_object_foreach(all, name, v)
    {
        const char *at = json_pointer_add(c->a, "/headers", name);
        if (!header_allowed(name, &why))
            FAULT(c, at, "denied", "%s", why);
        else if (!json_is_string(v) || json_string_length(v) > header_value_max ||
                 !value_ok(json_string_value(v)))
            FAULT(c, at, "format", "Must be a string of at most %d printable ASCII characters.",
                  header_value_max);
    }
}

struct prove {
    struct check *c;
    const json_t *auth;
    bool bad;
    struct err why;
};

static void prove(void *ctx)
{
    struct prove *p = ctx;
    bool https = is_https(will_be(p->c, "url"));
    p->bad = auth_check(p->c->a, p->c->req->svc->egress, p->auth, https, &p->why) != 0;
}

static int check_auth(struct check *c, struct err *err)
{
    struct prove p = { .c = c, .auth = given(c, "auth") };
    const json_t *kept = json_object_get(c->before, "auth");
    bool certificates = json_object_get(kept, "certificate") || json_object_get(kept, "ca");
    if (!p.auth) {
        if (certificates && !json_object_get(c->body, "auth") && !is_https(will_be(c, "url")))
            FAULT(c, "/url", "format", "Its certificates need an https URL.");
        return 0;
    }
    int rc = worker_run(c->req->svc->workers, prove, &p, err);
    if (!rc && p.bad)
        FAULT(c, arena_printf(c->a, "/auth%s", p.why.pointer), "auth", "%s", p.why.msg);
    else if (!rc && needs_https(c, json_object_get(p.auth, "token_url")))
        FAULT(c, "/auth/token_url", "https_only", "Must be an https URL here.");
    return rc;
}

/* --- when it is sent --- */

static void check_batch(struct check *c)
{
    const json_t *o = will_be(c, "batch"), *v;
    const char *name;
    json_t *all, *item;
    const char *format = json_string_value(will_be(c, "format"));
    const struct target *t = target_find(format ? format : "standard");
    if (!json_is_object(o) || is_faulty(c, "batch"))
        return;
    if (t && !t->batches)
        FAULT(c, "/batch", "format", "The format %s has no batches.", t->p.name);
    all = json_in(c->a, json_copy((json_t *)(uintptr_t)o));
    json_object_foreach(all, name,
                        item) if (!str_eq(name, "max_events") && !str_eq(name, "max_wait_ms"))
        FAULT(c, json_pointer_add(c->a, "/batch", name), "unknown",
              "A batch has max_events and max_wait_ms.");
    v = json_object_get(o, "max_events");
    if (!json_is_integer(v) || json_integer_value(v) < 1 ||
        json_integer_value(v) > batch_events_max)
        FAULT(c, "/batch/max_events", "range", "Must be a whole number from 1 to %d.",
              batch_events_max);
    v = json_object_get(o, "max_wait_ms");
    if (!json_is_integer(v) || json_integer_value(v) < 0 ||
        json_integer_value(v) > batch_wait_ms_max)
        FAULT(c, "/batch/max_wait_ms", "range", "Must be a whole number from 0 to %d.",
              batch_wait_ms_max);
}

static void check_schedule(struct check *c)
{
    const json_t *list = given(c, "retry_schedule");
    size_t n = json_array_size(list);
    if (!list)
        return;
    if (!n || n > schedule_max)
        FAULT(c, "/retry_schedule", "range", "Must hold 1 to %d waits.", schedule_max);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > wait_s_max)
            FAULT(c, arena_printf(c->a, "/retry_schedule/%zu", i), "range",
                  "Must be a whole number of seconds from 0 to %d.", wait_s_max);
    }
}

static void check_status(struct check *c)
{
    if (str_eq(json_string_value(given(c, "status")), "disabled"))
        FAULT(c, "/status", "choice", "Must be one of: active, paused.");
}

int endpoint_read(struct req *req, struct res *res, enum shape_mode mode, const json_t *body,
                  const json_t *before, struct shape_row *row, struct err *err)
{
    struct check c = { .req = req, .a = req->arena, .row = row, .body = body, .before = before };
    shape_read(req->arena, entity_find("webhook_endpoint")->fields, mode, vis_is_admin(&req->who),
               body, row);
    if (json_is_object(body)) {
        check_url(&c);
        check_events(&c);
        check_filter(&c);
        check_fields(&c);
        check_headers(&c);
        check_batch(&c);
        check_schedule(&c);
        check_status(&c);
        int rc = check_auth(&c, err);
        if (rc)
            return rc;
    }
    res->faults = row->faults;
    return shape_check(row, err);
}

json_t *endpoint_record(struct req *req, const struct shape_row *row, enum shape_mode mode,
                        const json_t *body)
{
    json_t *out = json_in(req->arena, json_object());
    for (size_t i = 0; i < row->n; i++) {
        const struct field_def *f = &row->fields[i];
        json_t *v = json_object_get(body, f->name);
        if (f->flags & FF_READONLY || (mode == SHAPE_PATCH && !v))
            continue;
        if ((!v || json_is_null(v)) && f->fallback)
            v = json_in(req->arena, json_loads(f->fallback, JSON_DECODE_ANY, NULL));
        if (v && str_eq(f->name, "auth"))
            v = auth_shown(req->arena, v);
        if (v)
            json_object_set(out, f->name, v);
        else
            json_object_set_new(out, f->name, json_null());
    }
    return out;
}
