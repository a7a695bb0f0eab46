/*
 * Who may hear of an event, and in which words (rulings 15 and 21): what the endpoint's owner would
 * get from GET at that time, without include.  Full rows travel on internal topics only, so each
 * field passes the same question that reads ask.
 */
#include "common/kit/vis.h"
#include "services/webhooks-out/webhooks.h"

#include "common/base/clock.h"
#include "common/base/str.h"

enum { body_bytes_max = 8 * 1024 * 1024 };

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

char *happening_body(struct arena *a, const struct happening *h, const struct view *v)
{
    const struct entity_def *e = entity_find(h->def->entity);
    char time[rfc3339_len + 1];
    struct buf b;
    rfc3339_format(h->time_us, time);
    buf_init(&b, a, 4096, body_bytes_max);
    buf_printf(&b, "{\"id\":\"evt_%s\",\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":", h->event_id,
               h->def->type, time);
    json_write(&b, json_in(a, visible_fields(e, h, v)));
    buf_puts(&b, ",\"changed\":");
    json_write(&b, json_in(a, visible_names(e, h, v)));
    buf_putc(&b, '}');
    return b.overflow ? NULL : b.data;
}
