/* What follows from a written row, in the statement that writes it. */
#include "common/kit/sqlgen_write_int.h"

#include "common/base/str.h"
#include "proto/names.h"

#include <assert.h>

/* Link rows of F_REFS.  The new ones are upserted and only those not in the list deleted, because
 * parts of one statement do not see each other's rows. */
void writer_put_links(struct writer *w)
{
    if (w->w != SQL_UPDATE && !writer_inserts(w))
        return;
    for (const struct field_def *f = w->e->fields; f->name; f++) {
        if (f->type != F_REFS)
            continue;
        const struct relation_def *rel = sqlgen_link(w->e, f);
        unsigned p = writer_param(w, f);
        char given[64] = "";
        if (w->w == SQL_UPDATE) {
            snprintf(given, sizeof(given), "'%s' = ANY(w.changed_)", f->name);
            buf_printf(w->b,
                       ", unl AS (DELETE FROM %s l USING w WHERE %s AND l.%s = w.id AND l.%s <> "
                       "ALL($%u::bigint[]))",
                       rel->link, given, rel->near, rel->far, p);
        }
        buf_printf(w->b,
                   ", lnk AS (INSERT INTO %s (%s, %s, position) SELECT w.id, u.id, u.n FROM w, "
                   "unnest($%u::bigint[]) WITH ORDINALITY AS u(id, n)%s%s ORDER BY u.n ON CONFLICT "
                   "(%s, %s) "
                   "DO UPDATE SET position = excluded.position)",
                   rel->link, rel->near, rel->far, p, *given ? " WHERE " : "", given, rel->near,
                   rel->far);
    }
}

/* Every backend has a shard of its own, so that two writers never meet on a row, in whatever order
 * a transaction of many statements comes by. */
void writer_put_counts(struct writer *w)
{
    const char *st = w->has_status ? "w.status" : "''::text";
    const char *old_st = w->has_status ? "w.old_status" : "''::text";
    const char *open = sqlgen_public_status(w->e), *sep = "";
    bool insert = writer_inserts(w);
    bool plus = w->w != SQL_DELETE && w->w != SQL_PURGE, minus = !insert && w->w != SQL_RESTORE;
    bool owners = sqlgen_counts_owner(w->e);
    buf_printf(
        w->b,
        ", cnt AS (INSERT INTO counts AS c (entity, status, owner, shard, n) SELECT '%s', d.s, "
        "d.o, pg_backend_pid(), sum(d.n) FROM (",
        w->e->name);
    if (plus) {
        buf_printf(w->b, "SELECT %s AS s, 0::bigint AS o, 1 AS n FROM w", st);
        if (owners)
            buf_printf(w->b,
                       " UNION ALL SELECT %s, w.owner_, 1 FROM w WHERE w.owner_ IS NOT NULL AND "
                       "%s <> '%s'",
                       st, st, open);
        sep = " UNION ALL ";
    }
    if (minus) {
        const char *live = w->e->soft_delete ? "w.old_deleted_at IS NULL" : "true";
        buf_printf(w->b, "%sSELECT %s AS s, 0::bigint AS o, -1 AS n FROM w WHERE %s", sep, old_st,
                   live);
        if (owners)
            buf_printf(
                w->b,
                " UNION ALL SELECT %s, w.old_owner, -1 FROM w WHERE %s AND w.old_owner IS NOT "
                "NULL AND %s <> '%s'",
                old_st, live, old_st, open);
    }
    buf_puts(
        w->b,
        ") d GROUP BY d.s, d.o HAVING sum(d.n) <> 0 ORDER BY d.s, d.o ON CONFLICT (entity, status, "
        "owner, shard) DO UPDATE SET n = c.n + excluded.n)");
}

/* One event, and when it is one. */
static void put_event(struct writer *w, const char *verb, const char *when)
{
    buf_printf(w->b, ", CASE WHEN %s THEN '%s.%s' END", when, w->e->name, verb);
}

/* Elements of an array: the platform's events in their order (rulings.md 21), null where there is
 * none. */
static void put_event_types(struct writer *w)
{
    bool publish = w->e->lifecycle == LIFE_PUBLISH && w->has_status;
    static const char *const verb[] = {
        [SQL_INSERT] = "created", [SQL_INSERT_IDEM] = "created", [SQL_INSERT_MANY] = "created",
        [SQL_UPDATE] = "updated", [SQL_DELETE] = "deleted",      [SQL_RESTORE] = "restored",
        [SQL_PURGE] = "deleted"
    };
    buf_printf(w->b, "CASE WHEN %s THEN '%s.%s' END",
               w->w == SQL_UPDATE ? "w.changed_ <> '{}'" : "true", w->e->name, verb[w->w]);
    if (!publish || w->w == SQL_DELETE || w->w == SQL_RESTORE || w->w == SQL_PURGE)
        return;
    if (w->w != SQL_UPDATE) {
        put_event(w, "published", "w.status = 'published'");
        put_event(w, "scheduled", "w.status = 'scheduled'");
        return;
    }
    put_event(w, "unpublished", "w.old_status = 'published' AND w.status <> 'published'");
    put_event(w, "published", "w.old_status <> 'published' AND w.status = 'published'");
    put_event(w, "scheduled",
              w->has_published ? "w.status = 'scheduled' AND (w.old_status <> 'scheduled' OR "
                                 "w.published_at IS DISTINCT FROM w.old_published_at)"
                               : "w.status = 'scheduled' AND w.old_status <> 'scheduled'");
}

/* What the row was before a change of it, and what changed it. */
void writer_put_revision(struct writer *w)
{
    static const char *const verb[SQL_WRITES_MAX_] = {
        [SQL_UPDATE] = "updated", [SQL_DELETE] = "deleted", [SQL_RESTORE] = "restored"
    };
    const char *name = w->e->name;
    if (w->w == SQL_PURGE) {
        buf_printf(w->b,
                   ", rev AS (DELETE FROM revisions r USING w WHERE r.entity = '%s' AND r.row_id = "
                   "w.id)",
                   name);
        return;
    }
    if (!verb[w->w]) /* what is new was nothing before */
        return;
    buf_printf(w->b,
               ", rev AS (INSERT INTO revisions (entity, row_id, version, at, action, actor, "
               "request_id, changed, body) SELECT '%s', old.id, old.version, w.updated_at, '%s', "
               "$%d::text, $%d::text, %s, ",
               name, verb[w->w], WP_ACTOR, WP_REQUEST,
               w->w == SQL_UPDATE ? "w.changed_" : "'{deleted_at}'::text[]");
    sqlgen_body(w->b, w->e, "old", NULL);
    buf_puts(w->b, " || '}' FROM w JOIN old ON old.id = w.id");
    buf_puts(w->b, w->w == SQL_UPDATE ? " WHERE w.changed_ <> '{}')" : ")");
}

void writer_put_events(struct writer *w)
{
    const struct entity_def *e = w->e;
    const struct event_def *def = event_find(arena_printf(w->b->arena, "%s.created", e->name));
    bool insert = writer_inserts(w);
    assert(def);
    const char *ids = writer_fixed(w, WP_EVENTS, "uuid[]");
    buf_printf(
        w->b,
        ", ev AS (INSERT INTO outbox (event_id, type, also_ids, also_types, topic, key, "
        "payload, trace, request_id, actor) SELECT (%s)[1], v.t[1], CASE WHEN "
        "cardinality(v.t) > 1 THEN (%s)[2:cardinality(v.t)] END, CASE WHEN "
        "cardinality(v.t) > 1 THEN v.t[2:] END, '%s', '%s:' || w.id, '{\"data\":' || w.body_ || (",
        ids, ids, def->topic, e->name);
    if (e->soft_delete) {
        buf_puts(w->b, "',\"deleted_at\":' || coalesce(");
        writer_put_time(w->b, "w.deleted_at");
        buf_puts(w->b, ", 'null') || ");
    }
    buf_puts(w->b, "'},\"changed\":' || ");
    buf_puts(w->b, w->w == SQL_UPDATE ? "array_to_json(w.changed_)::text" : "'[]'");
    if (w->has_status && !insert)
        buf_puts(w->b, " || ',\"before\":{\"status\":' || to_json(w.old_status)::text || '}'");
    if (w->owner)
        buf_puts(w->b, " || ',\"owner_id\":' || coalesce(w.owner_::text, 'null')");
    if (w->w == SQL_PURGE)
        buf_puts(w->b, " || ',\"purged\":true'");
    buf_printf(w->b, " || '}'), %s, %s, %s FROM w %sCROSS JOIN LATERAL (SELECT array_remove(ARRAY[",
               writer_fixed(w, WP_TRACE, "text"), writer_fixed(w, WP_REQUEST, "text"),
               writer_fixed(w, WP_ACTOR, "text"),
               w->w == SQL_INSERT_MANY ? "JOIN i ON i.id = w.id " : "");
    put_event_types(w);
    buf_puts(w->b, "]::text[], NULL) AS t) v WHERE v.t <> '{}' ORDER BY w.id)");
}

void writer_put_idem(struct writer *w)
{
    if (w->w != SQL_INSERT_IDEM && w->w != SQL_INSERT_MANY)
        return;
    const char *key = writer_fixed(w, WP_IDEM_KEY, "text");
    buf_printf(w->b,
               ", idm AS (INSERT INTO idempotency (owner, key_hash, fingerprint, status, location, "
               "body) SELECT %s, %s, %s, 201, %s || w.id, '{\"data\":' || w.body_ || '}}' FROM w",
               writer_fixed(w, WP_IDEM_OWNER, "text"), key, writer_fixed(w, WP_IDEM_PRINT, "text"),
               writer_fixed(w, WP_LOCATION, "text"));
    if (w->w == SQL_INSERT_MANY)
        buf_printf(w->b, " JOIN i ON i.id = w.id WHERE %s IS NOT NULL", key);
    buf_puts(w->b, ")");
}
