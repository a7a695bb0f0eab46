#include "common/kit/vis.h"

#include "common/base/str.h"

#include <assert.h>

/* What anonymous readers may know of a person (rulings.md 13), and what every answer needs. */
static const char *const public_user_fields[] = { "id", "display_name", "avatar", "bio",
                                                  "website" };

bool vis_is_admin(const struct principal *who)
{
    return scope_has(who->scopes, S_api_admin);
}

enum vis_class vis_class_of(const struct entity_def *e, const struct principal *who)
{
    if (vis_is_admin(who))
        return VC_ADMIN;
    if (e->visibility == VIS_OWNER)
        return who->user_id ? VC_OWN : VC_PUBLIC;
    if (who->role == ROLE_EDITOR || who->role == ROLE_ADMIN)
        return VC_ALL;
    if (!who->user_id || !e->owner)
        return VC_PUBLIC;
    if (e->visibility == VIS_USERS || e->visibility == VIS_MEDIA)
        return VC_OWN;
    return who->role == ROLE_AUTHOR ? VC_OWN : VC_PUBLIC;
}

const char *vis_class_name(enum vis_class vc)
{
    static const char *const names[] = { "public", "own", "all", "admin" };
    assert(vc < VC_MAX_);
    return names[vc];
}

const char *vis_own(struct arena *a, const struct entity_def *e, const char *alias, const char *uid)
{
    if (!e->owner)
        return NULL;
    const struct field_def *f = entity_field(e, e->owner);
    assert(f);
    return arena_printf(a, "%s.%s%s = %s::bigint", alias, f->name, f->type == F_REF ? "_id" : "",
                        uid);
}

/* Rows that point at this one and are visible themselves. */
static void where_media(struct buf *b, enum vis_class vc, const char *alias, const char *uid)
{
    size_t n = 0;
    char inner[32];
    snprintf(inner, sizeof(inner), "%.28s_r", alias);
    for (const struct entity_def *const *e = entities; *e; e++)
        for (const struct field_def *f = (*e)->fields; f->name; f++) {
            if (f->type != F_REF || !str_eq(f->ref, "media"))
                continue;
            buf_printf(b, "%sEXISTS (SELECT 1 FROM %s %s WHERE %s.%s_id = %s.id AND ",
                       n++ ? " OR " : "", (*e)->table, inner, inner, f->name, alias);
            if ((*e)->soft_delete)
                buf_printf(b, "%s.deleted_at IS NULL AND ", inner);
            vis_where(b, *e, vc, inner, uid);
            buf_puts(b, ")");
        }
    if (!n)
        buf_puts(b, "false");
}

static void where_public(struct buf *b, const struct entity_def *e, enum vis_class vc,
                         const char *alias, const char *uid)
{
    switch (e->visibility) {
    case VIS_PUBLISHED:
        buf_printf(b, "%s.status = 'published'", alias);
        if (entity_field(e, "published_at"))
            buf_printf(b, " AND %s.published_at <= now()", alias);
        return;
    case VIS_ACTIVE:
        if (entity_field(e, "status"))
            buf_printf(b, "%s.status = 'active'", alias);
        else
            buf_puts(b, "true");
        return;
    case VIS_USERS: {
        const struct entity_def *post = entity_find("post");
        char inner[32];
        snprintf(inner, sizeof(inner), "%.28s_p", alias);
        buf_printf(b,
                   "%s.status = 'active' AND EXISTS (SELECT 1 FROM %s %s WHERE %s.author_id = "
                   "%s.id AND %s.deleted_at IS NULL AND ",
                   alias, post->table, inner, inner, alias, inner);
        vis_where(b, post, VC_PUBLIC, inner, "");
        buf_puts(b, ")");
        return;
    }
    case VIS_MEDIA:
        where_media(b, vc, alias, uid);
        return;
    case VIS_OWNER:
        buf_puts(b, "false");
        return;
    }
}

void vis_where(struct buf *b, const struct entity_def *e, enum vis_class vc, const char *alias,
               const char *uid)
{
    if (vc == VC_ADMIN || (vc == VC_ALL && e->visibility != VIS_OWNER)) {
        buf_puts(b, "true");
        return;
    }
    buf_puts(b, "(");
    if (vc != VC_PUBLIC && e->owner) {
        buf_puts(b, vis_own(b->arena, e, alias, uid));
        if (e->visibility != VIS_OWNER) {
            buf_puts(b, " OR (");
            where_public(b, e, vc, alias, uid);
            buf_puts(b, ")");
        }
    } else {
        where_public(b, e, vc, alias, uid);
    }
    buf_puts(b, ")");
}

static bool has_private(const struct entity_def *e)
{
    for (const struct field_def *f = e->fields; f->name; f++)
        if (f->flags & FF_PRIVATE)
            return true;
    return false;
}

bool vis_varies(const struct entity_def *e, enum vis_class vc)
{
    if (vc == VC_ADMIN || vc == VC_PUBLIC || e->visibility == VIS_OWNER || !e->owner)
        return false;
    return has_private(e) || (vc == VC_OWN && e->visibility == VIS_USERS);
}

bool vis_where_uses_uid(const struct entity_def *e, enum vis_class vc)
{
    return e->owner && vc != VC_PUBLIC && vc != VC_ADMIN &&
           (vc == VC_OWN || e->visibility == VIS_OWNER);
}

bool vis_uses_uid(const struct entity_def *e, enum vis_class vc)
{
    if (vc == VC_ADMIN || vc == VC_PUBLIC || !e->owner)
        return false;
    return vc == VC_OWN || e->visibility == VIS_OWNER || vis_varies(e, vc);
}

bool vis_field(const struct entity_def *e, const struct field_def *f, enum vis_class vc, bool own)
{
    if (f->flags & (FF_HIDDEN | FF_SECRET))
        return false;
    if (vc == VC_ADMIN || own || e->visibility == VIS_OWNER)
        return true;
    if (f->flags & FF_PRIVATE)
        return false;
    if (e->visibility != VIS_USERS || vc == VC_ALL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(public_user_fields); i++)
        if (str_eq(f->name, public_user_fields[i]))
            return true;
    return false;
}

enum vis_right vis_right_of(const struct entity_def *e, const struct principal *who,
                            enum vis_action act)
{
    if (vis_is_admin(who))
        return RIGHT_ALL;
    if (act == ACT_PURGE)
        return RIGHT_NONE;
    switch (e->visibility) {
    case VIS_USERS: /* one's own profile; making and removing people is for api:admin */
        return act == ACT_CHANGE && who->user_id ? RIGHT_OWN : RIGHT_NONE;
    case VIS_OWNER:
        return who->user_id ? RIGHT_OWN : RIGHT_NONE;
    case VIS_PUBLISHED:
    case VIS_MEDIA:
        if (who->role == ROLE_AUTHOR && who->user_id && e->owner)
            return RIGHT_OWN;
        break;
    case VIS_ACTIVE:
        break;
    }
    return who->role == ROLE_EDITOR || who->role == ROLE_ADMIN ? RIGHT_ALL : RIGHT_NONE;
}
