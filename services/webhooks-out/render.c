/*
 * Who may hear of an event, and in which words (rulings 15 and 21): what the endpoint's owner would
 * get from GET at that time, without include.  Full rows travel on internal topics only, so each
 * field passes the same question that reads ask.
 */
#include "common/kit/vis.h"
#include "services/webhooks-out/filter.h"
#include "services/webhooks-out/provider.h"
#include "services/webhooks-out/webhooks.h"

#include "common/base/clock.h"
#include "common/base/str.h"

static int malformed(struct err *err, const char *why)
{
    return err_set(err, E_invalid, "The event %s.", why);
}

static int64_t ref_id(const json_t *v)
{
    return json_integer_value(json_is_object(v) ? json_object_get(v, "id") : v);
}

int happening_read(const struct msg *m, struct happening *ret, struct err *err)
{
    json_t *root;
    *ret = (struct happening){ .event_id = m->event_id, .key = m->key ? m->key : "" };
    ret->def = event_find(m->type);
    if (!ret->def)
        return malformed(err, "has an unknown type");
    if (!ret->def->entity)
        return 0;
    if (!m->payload || json_parse(m->arena, m->payload, m->len, &root, err) != 0)
        return malformed(err, "is not JSON");
    ret->data = json_object_get(root, "data");
    ret->changed = json_object_get(root, "changed");
    if (!json_is_object(ret->data))
        return malformed(err, "has no data");
    if (!m->time || !rfc3339_parse(m->time, &ret->time_us))
        return malformed(err, "has no time");
    const struct entity_def *e = entity_find(ret->def->entity);
    ret->owner_id = json_integer_value(json_object_get(root, "owner_id"));
    if (!ret->owner_id && e && e->owner)
        ret->owner_id = ref_id(json_object_get(ret->data, e->owner));
    return 0;
}

static bool text_is(const json_t *data, const char *field, const char *want)
{
    return str_eq(json_string_value(json_object_get(data, field)), want);
}

/* Open to every reader? */
static bool is_open(const struct entity_def *e, const struct happening *h)
{
    int64_t at;
    switch (e->visibility) {
    case VIS_PUBLISHED: {
        const char *text = json_string_value(json_object_get(h->data, "published_at"));
        return text_is(h->data, "status", "published") && text && rfc3339_parse(text, &at) &&
               at <= clock_us();
    }
    case VIS_ACTIVE:
        return text_is(h->data, "status", "active");
    case VIS_USERS:
    case VIS_MEDIA: /* whether a visible row shows it is known to the api only */
    case VIS_OWNER:
        break;
    }
    return false;
}

/* Events about an endpoint never go to it. */
static bool about_itself(const struct happening *h, const struct listener *l)
{
    if (str_eq(h->def->entity, "webhook_endpoint"))
        return json_integer_value(json_object_get(h->data, "id")) == l->endpoint_id;
    return str_eq(h->def->entity, "webhook_delivery") &&
           ref_id(json_object_get(h->data, "endpoint")) == l->endpoint_id;
}

bool happening_visible(const struct happening *h, const struct listener *l, struct view *ret)
{
    const struct entity_def *e = h->def->entity ? entity_find(h->def->entity) : NULL;
    struct principal who = { .user_id = l->user_id, .role = l->role };
    if (!e || about_itself(h, l))
        return false;
    who.scopes = role_scopes(l->role) & ~((scope_set)1 << S_api_admin);
    if (l->admin && l->role == ROLE_ADMIN)
        who.scopes = role_scopes(ROLE_ADMIN);
    ret->vc = vis_class_of(e, &who);
    ret->own = h->owner_id && h->owner_id == l->user_id;
    if (ret->vc == VC_ADMIN)
        return true;
    if (e->visibility == VIS_USERS)
        return false;
    if (ret->vc == VC_ALL || (ret->vc == VC_OWN && ret->own))
        return true;
    return is_open(e, h);
}

static json_t *visible_fields(const struct entity_def *e, const struct happening *h,
                              const struct view *v)
{
    json_t *out = json_object();
    for (const struct field_def *f = e->fields; f->name; f++) {
        json_t *value = json_object_get(h->data, f->name);
        if (value && vis_field(e, f, v->vc, v->own))
            json_object_set(out, f->name, value);
    }
    return out;
}

static json_t *visible_names(const struct entity_def *e, const struct happening *h,
                             const struct view *v)
{
    json_t *out = json_array(), *name;
    size_t i;
    json_array_foreach(h->changed, i, name)
    {
        const struct field_def *f = entity_field(e, json_string_value(name));
        if (f && vis_field(e, f, v->vc, v->own))
            json_array_append(out, name);
    }
    return out;
}

void happening_seen(struct arena *a, const struct happening *h, const struct view *v,
                    struct seen *ret)
{
    const struct entity_def *e = entity_find(h->def->entity);
    ret->data = json_in(a, visible_fields(e, h, v));
    ret->changed = json_in(a, visible_names(e, h, v));
}

int happening_wanted(const struct happening *h, const struct listener *l, const struct seen *s,
                     struct err *err)
{
    return filter_holds(l->filter, s->data, h->def->type, s->changed, err);
}

const char *listener_taste(struct arena *a, const struct listener *l)
{
    struct buf b;
    buf_init(&b, a, 64, 16384);
    buf_printf(&b, "%s|%d", l->target->p.name, l->thin);
    for (size_t i = 0; i < l->nfields; i++)
        buf_printf(&b, "|%s", l->fields[i]);
    return b.data;
}

/* --- the words --- */

/* `path` of `from` at the same place of `to`. */
static void pick(json_t *to, const json_t *from, const char *path)
{
    for (;;) {
        size_t n = strcspn(path, ".");
        json_t *v = json_is_object(from) ? json_object_getn(from, path, n) : NULL;
        if (!v)
            return;
        if (!path[n] || !json_is_object(v)) {
            json_object_setn(to, path, n, v);
            return;
        }
        json_t *deeper = json_object_getn(to, path, n);
        if (!deeper) {
            deeper = json_object();
            json_object_setn_new(to, path, n, deeper);
        }
        if (deeper == v)
            return; /* the whole of it was picked before */
        to = deeper;
        from = v;
        path += n + 1;
    }
}

/* New reference. */
static json_t *projected(const struct listener *l, json_t *data)
{
    if (!l->nfields && !l->thin)
        return json_incref(data);
    json_t *out = json_object();
    pick(out, data, "id");
    for (size_t i = 0; i < l->nfields && !l->thin; i++)
        pick(out, data, l->fields[i]);
    return out;
}

static const char *link_of(struct arena *a, const struct happening *h, const char *public_url)
{
    const struct entity_def *e = entity_find(h->def->entity);
    const json_t *id = json_object_get(h->data, "id");
    if (json_is_string(id))
        return arena_printf(a, "%s%s/%s", public_url, e->path, json_string_value(id));
    return arena_printf(a, "%s%s/%lld", public_url, e->path, (long long)json_integer_value(id));
}

char *happening_body(struct arena *a, const struct happening *h, const struct listener *l,
                     const struct seen *s, const char *public_url)
{
    char time[rfc3339_len + 1];
    struct buf b;
    rfc3339_format(h->time_us, time);
    const struct target_event e = { .message_id = arena_printf(a, "evt_%s", h->event_id),
                                    .type = h->def->type,
                                    .subject = h->key,
                                    .source = public_url,
                                    .time = time,
                                    .data = json_in(a, projected(l, s->data)),
                                    .changed = s->changed,
                                    .link = l->thin ? link_of(a, h, public_url) : NULL };
    buf_init(&b, a, 4096, event_body_bytes_max);
    json_write(&b, json_in(a, l->target->body(&e)));
    return b.overflow ? NULL : b.data;
}
