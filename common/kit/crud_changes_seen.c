/*
 * Where the feed looks for changes, by reader.
 *
 * Who sees all rows is told of each by its own time of change.  Who does not is told of
 *   - the rows that he sees now, by their time of change;
 *   - people, by the posts that show them; media, by the rows that do;
 *   - what `moved` has for everybody or for him: what he sees no more, and what comes to light by
 *     its date alone (services/api/migrations/0008_moved.sql writes it);
 *   - people and media that went though what shows them is still there.
 * Each is a candidate only: whether it is there is looked up afterwards, with his rights of now. So
 * he hears of nothing that he never saw, and a candidate too many does no harm.
 */
#include "common/kit/crud_changes_int.h"

#include "common/base/str.h"

/* One part of the union: rows of one index, each no longer than the page. */
struct part {
    const char *id, *at;
    bool gone;        /* if it is not there, it was: say so */
    const char *from; /* FROM … WHERE …, */
    const char *seen; /* and a condition, or NULL */
};

static void put_part(struct buf *b, const struct part *p)
{
    buf_printf(b,
               "%s(SELECT %s AS id, %s AS at, %s AS gone FROM %s%s%s AND (%s, %s) > "
               "($1::timestamptz, $2::bigint) AND %s < $3::timestamptz ORDER BY 2, 1 LIMIT "
               "$4::bigint)",
               b->len ? " UNION ALL " : "", p->id, p->at, p->gone ? "true" : "false", p->from,
               p->seen ? " AND " : "", p->seen ? p->seen : "", p->at, p->id, p->at);
}

static const char *seen_of(struct arena *a, const struct entity_def *e, enum vis_class vc,
                           const char *alias)
{
    struct buf b;
    buf_init(&b, a, 512, changes_sql_max);
    vis_where(&b, e, vc, alias, "$5");
    return b.data;
}

/* All rows, as they are stored: the feed of editors and admins. */
static void put_all(struct arena *a, struct buf *b, const struct entity_def *e, bool deleted)
{
    struct part live = { "id", "updated_at", false,
                         arena_printf(a, "%s WHERE deleted_at IS NULL", e->table), NULL };
    struct part dead = { "id", "updated_at", true,
                         arena_printf(a, "%s WHERE deleted_at IS NOT NULL", e->table), NULL };
    struct part purged = { "row_id", "at", true,
                           arena_printf(a, "purged WHERE entity = '%s'", e->name), NULL };
    if (!deleted)
        put_part(b, &live);
    put_part(b, &dead);
    put_part(b, &purged);
}

/* People are seen by their published posts. */
static void put_people(struct arena *a, struct buf *b, const struct entity_def *e, bool deleted)
{
    const struct entity_def *post = entity_find("post");
    const char *seen = seen_of(a, post, VC_PUBLIC, "p");
    struct part shown = {
        "p.author_id", "p.updated_at", false,
        arena_printf(a, "%s p WHERE p.author_id IS NOT NULL AND p.deleted_at IS NULL", post->table),
        seen
    };
    const char *wrote = arena_printf(a,
                                     "EXISTS (SELECT 1 FROM %s p WHERE p.author_id = t.id AND "
                                     "p.deleted_at IS NULL AND %s)",
                                     post->table, seen);
    struct part barred = {
        "t.id", "t.updated_at", true,
        arena_printf(a, "%s t WHERE t.deleted_at IS NULL AND t.status <> 'active'", e->table), wrote
    };
    struct part dead = { "t.id", "t.updated_at", true,
                         arena_printf(a, "%s t WHERE t.deleted_at IS NOT NULL", e->table), wrote };
    if (!deleted)
        put_part(b, &shown);
    put_part(b, &barred);
    put_part(b, &dead);
}

/* Pictures of people are seen with their posts too. */
static void put_portraits(struct arena *a, struct buf *b, const struct entity_def *users)
{
    const struct entity_def *post = entity_find("post");
    for (const struct field_def *f = users->fields; f->name; f++) {
        if (f->type != F_REF || !str_eq(f->ref, "media"))
            continue;
        struct part p = { arena_printf(a, "u.%s_id", f->name), "p.updated_at", false,
                          arena_printf(a,
                                       "%s p JOIN %s u ON u.id = p.author_id WHERE u.%s_id IS NOT "
                                       "NULL AND u.deleted_at IS NULL AND p.deleted_at IS NULL",
                                       post->table, users->table, f->name),
                          seen_of(a, post, VC_PUBLIC, "p") };
        put_part(b, &p);
    }
}

static void put_media(struct arena *a, struct buf *b, const struct entity_def *e, enum vis_class vc,
                      bool deleted)
{
    struct part dead = { "t.id", "t.updated_at", true,
                         arena_printf(a, "%s t WHERE t.deleted_at IS NOT NULL", e->table),
                         seen_of(a, e, vc, "t") };
    put_part(b, &dead);
    for (const struct entity_def *const *x = entities; *x && !deleted; x++) {
        for (const struct field_def *f = (*x)->fields; f->name; f++) {
            if (f->type != F_REF || !str_eq(f->ref, "media"))
                continue;
            const char *id = arena_printf(a, "r.%s_id", f->name);
            const char *from = arena_printf(a, "%s r WHERE %s IS NOT NULL AND r.deleted_at IS NULL",
                                            (*x)->table, id);
            struct part p = { id, "r.updated_at", false, from, seen_of(a, *x, vc, "r") };
            put_part(b, &p);
        }
        if ((*x)->visibility == VIS_USERS)
            put_portraits(a, b, *x);
    }
}

static void put_moved(struct arena *a, struct buf *b, const struct entity_def *e, enum vis_class vc,
                      bool lost)
{
    struct part p = { "row_id", "at", lost,
                      arena_printf(a, "moved WHERE entity = '%s' AND %s AND %s", e->name,
                                   vc == VC_OWN ? "uid IN (0, $5::bigint)" : "uid = 0",
                                   lost ? "lost" : "NOT lost"),
                      NULL };
    put_part(b, &p);
}

void changes_parts(struct arena *a, struct buf *b, const struct entity_def *e, enum vis_class vc,
                   bool deleted)
{
    if (vc == VC_ALL || vc == VC_ADMIN) {
        put_all(a, b, e, deleted);
        return;
    }
    struct part live = { "t.id", "t.updated_at", false,
                         arena_printf(a, "%s t WHERE t.deleted_at IS NULL", e->table),
                         seen_of(a, e, vc, "t") };
    if (!deleted) {
        put_part(b, &live);
        put_moved(a, b, e, vc, false);
    }
    put_moved(a, b, e, vc, true);
    if (e->visibility == VIS_USERS)
        put_people(a, b, e, deleted);
    if (e->visibility == VIS_MEDIA)
        put_media(a, b, e, vc, deleted);
}
