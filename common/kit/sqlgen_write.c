#include "common/kit/sqlgen.h"

#include "common/base/str.h"
#include "proto/names.h"

#include <assert.h>

/*
 * WITH old AS (SELECT … FOR UPDATE),              update, delete, restore, purge; what an update
 *                                                 changes is in old.changed_
 *      w AS (INSERT | UPDATE | DELETE … RETURNING the few columns that follow need, body_),
 *      lnk, unl AS (link tables of F_REFS),
 *      cnt AS (counts), rev AS (what the row was), ev AS (outbox: one row, of all the events), idm
 * AS (idempotency) SELECT id, version, body_, updated_at FROM w
 *
 * The events come from the RETURNING of the locked row, so that their outbox ids never invert per
 * key.  An update that changes nothing keeps version and updated_at and has no events.  A write
 * that would refer to a row that is not there, or deleted, writes nothing, unless the row does
 * already.
 */

bool sqlgen_is_input(const struct entity_def *e, const struct field_def *f)
{
    if (f->flags & FF_HIDDEN || str_eq(f->name, "id"))
        return false;
    /* Whose row it is is set by the platform even where clients may not. */
    return !(f->flags & FF_READONLY) || (e->owner && str_eq(f->name, e->owner));
}

size_t sqlgen_fixed_params(enum sqlgen_write w)
{
    switch (w) {
    case SQL_INSERT:
        return WP_EVENTS;
    case SQL_INSERT_IDEM:
        return WP_LOCATION;
    case SQL_UPDATE:
        return WP_MASK;
    default:
        return WP_UNMODIFIED;
    }
}

struct writer {
    struct buf *b;
    const struct entity_def *e;
    enum sqlgen_write w;
    bool has_status, has_published;
    const char *owner; /* column, or NULL */
};

static void put_time(struct buf *b, const char *expr)
{
    buf_printf(
        b, "'\"' || to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || '\"'",
        expr);
}

/* SQL text of the JSON of one field; null is the caller's. */
static void put_json(struct buf *b, const struct entity_def *e, const struct field_def *f,
                     const char *alias, const char *refs)
{
    struct buf col;
    buf_init(&col, b->arena, 64, 512);
    sqlgen_column(&col, e, f, alias);
    switch (f->type) {
    case F_ID:
    case F_INT:
    case F_BOOL: /* true, false */
    case F_JSON:
        buf_printf(b, "%s::text", col.data);
        return;
    case F_UUID:
        buf_printf(b, "'\"' || %s::text || '\"'", col.data);
        return;
    case F_TIME:
        put_time(b, col.data);
        return;
    case F_TEXT:
    case F_ENUM:
        buf_printf(b, "to_json(%s)::text", col.data);
        return;
    case F_TEXTS:
        buf_printf(b, "array_to_json(%s)::text", col.data);
        return;
    case F_REF:
        buf_printf(b, "'{\"id\":' || %s || '}'", col.data);
        return;
    case F_REFS:
        buf_printf(
            b,
            "(SELECT '[' || coalesce(string_agg('{\"id\":' || u.id || '}', ',' ORDER BY u.n), '') "
            "|| ']' FROM unnest(%s) WITH ORDINALITY AS u(id, n))",
            refs ? refs : col.data);
        return;
    }
}

void sqlgen_body(struct buf *b, const struct entity_def *e, const char *alias, const char *refs)
{
    bool first = true;
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (f->flags & (FF_HIDDEN | FF_SECRET))
            continue;
        buf_printf(b, "%s'%s\"%s\":' || coalesce(", first ? "" : " || ", first ? "{" : ",",
                   f->name);
        put_json(b, e, f, alias, f->type == F_REFS ? refs : NULL);
        buf_puts(b, ", 'null')");
        first = false;
    }
}

/* What the later parts need of the written row. */
static void put_returning(struct writer *w, const char *refs)
{
    const struct entity_def *e = w->e;
    bool insert = w->w == SQL_INSERT || w->w == SQL_INSERT_IDEM;
    buf_puts(w->b, " RETURNING t.id, t.version, t.updated_at, ");
    if (e->soft_delete)
        buf_puts(w->b, "t.deleted_at, ");
    if (w->has_status)
        buf_puts(w->b, "t.status, ");
    if (w->has_published)
        buf_puts(w->b, "t.published_at, ");
    if (w->owner)
        buf_printf(w->b, "t.%s AS owner_, ", w->owner);
    if (!insert) {
        if (e->soft_delete)
            buf_puts(w->b, "old.deleted_at AS old_deleted_at, ");
        if (w->has_status)
            buf_puts(w->b, "old.status AS old_status, ");
        if (w->has_published)
            buf_puts(w->b, "old.published_at AS old_published_at, ");
        if (w->owner)
            buf_printf(w->b, "old.%s AS old_owner, ", w->owner);
    }
    sqlgen_body(w->b, e, "t", refs);
    buf_puts(w->b, " AS body_");
}

/* Number of the parameter of a field, after the fixed ones. */
static unsigned param_of(const struct entity_def *e, enum sqlgen_write w, const struct field_def *f)
{
    unsigned n = (unsigned)sqlgen_fixed_params(w);
    for (const struct field_def *g = e->fields; g <= f; g++)
        n += sqlgen_is_input(e, g);
    return n;
}

const struct entity_def *sqlgen_deletable(const struct entity_def *e, const struct field_def *f)
{
    const struct entity_def *far = f->ref ? entity_find(f->ref) : NULL;
    return sqlgen_is_input(e, f) && far && far->soft_delete && str_eq(far->service, e->service)
               ? far
               : NULL;
}

/* Conditions on what is referred to, looked up only if something is, and by an update only if it
 * was not before. */
static void put_living(struct writer *w)
{
    for (const struct field_def *f = w->e->fields; f->name; f++) {
        const struct entity_def *far = sqlgen_deletable(w->e, f);
        if (!far)
            continue;
        unsigned p = param_of(w->e, w->w, f);
        buf_puts(w->b, " AND (");
        if (w->w == SQL_UPDATE)
            buf_printf(w->b, "'%s' <> ALL(old.changed_) OR ", f->name);
        if (f->type == F_REF) {
            buf_printf(w->b,
                       "$%u::bigint IS NULL OR EXISTS (SELECT 1 FROM %s r WHERE r.id = $%u::bigint "
                       "AND r.deleted_at IS NULL))",
                       p, far->table, p);
            continue;
        }
        /* An id that never was is for the foreign key. */
        buf_printf(w->b,
                   "coalesce(cardinality($%u::bigint[]), 0) = 0 OR NOT EXISTS (SELECT 1 FROM %s r "
                   "WHERE r.id = ANY($%u::bigint[]) AND r.deleted_at IS NOT NULL",
                   p, far->table, p);
        if (w->w == SQL_UPDATE) {
            buf_puts(w->b, " AND r.id <> ALL(");
            sqlgen_column(w->b, w->e, f, "old");
            buf_puts(w->b, ")");
        }
        buf_puts(w->b, "))");
    }
}

static void put_insert(struct writer *w)
{
    const struct entity_def *e = w->e;
    const char *refs = NULL, *sep = "";
    struct buf vals;
    buf_init(&vals, w->b->arena, 512, sqlgen_text_max);
    buf_printf(w->b, "WITH w AS (INSERT INTO %s AS t (", e->table);
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (!sqlgen_is_input(e, f))
            continue;
        unsigned p = param_of(e, w->w, f);
        if (f->type == F_REFS) {
            refs = arena_printf(w->b->arena, "$%u::bigint[]", p);
            continue;
        }
        buf_printf(w->b, "%s%s%s", sep, f->name, f->type == F_REF ? "_id" : "");
        if (w->has_published && str_eq(f->name, "published_at")) {
            unsigned st = param_of(e, w->w, entity_field(e, "status"));
            buf_printf(&vals,
                       "%scoalesce($%u::timestamptz, CASE WHEN $%u::text = 'published' THEN now() "
                       "END)",
                       sep, p, st);
        } else {
            buf_printf(&vals, "%s$%u::%s", sep, p, sqlgen_type(f));
        }
        sep = ", ";
    }
    buf_printf(w->b, ") SELECT %s WHERE true", vals.data);
    put_living(w);
    if (w->w == SQL_INSERT_IDEM)
        buf_printf(
            w->b,
            " AND CASE WHEN pg_try_advisory_xact_lock($%d::bigint) THEN NOT EXISTS (SELECT 1 "
            "FROM "
            "idempotency i WHERE i.owner = $%d::text AND i.key_hash = $%d::text) ELSE false END",
            WP_IDEM_LOCK, WP_IDEM_OWNER, WP_IDEM_KEY);
    put_returning(w, refs);
    buf_puts(w->b, ")");
}

static unsigned long long bit_of(const struct writer *w, const struct field_def *f)
{
    return 1ULL << (f - w->e->fields);
}

/* The new value of a field: the parameter where the mask says so, else what is there. */
static const char *new_value(struct writer *w, const struct field_def *f)
{
    const char *suffix = f->type == F_REF ? "_id" : "";
    return arena_printf(w->b->arena,
                        "CASE WHEN $%d::bigint & %llu <> 0 THEN $%u::%s ELSE t.%s%s END", WP_MASK,
                        bit_of(w, f), param_of(w->e, w->w, f), sqlgen_type(f), f->name, suffix);
}

/* published_at has a say of its own: a scheduled one published early was published now, and what is
 * published has a date, the one that it had if none is given. */
static const char *new_published(struct writer *w, const char *old)
{
    const struct field_def *f = entity_field(w->e, "published_at");
    const char *status = new_value(w, entity_field(w->e, "status"));
    return arena_printf(
        w->b->arena,
        "coalesce(CASE WHEN $%d::bigint & %llu = 0 AND %s.status = 'scheduled' AND "
        "t.published_at > now() AND (%s) = 'published' THEN now() END, %s, CASE WHEN (%s) = "
        "'published' THEN CASE WHEN %s.status = 'published' THEN t.published_at ELSE now() END "
        "END)",
        WP_MASK, bit_of(w, f), old, status, new_value(w, f), status, old);
}

/* The names of the fields that get another value. */
static void put_changed(struct writer *w)
{
    const char *sep = "";
    buf_puts(w->b, ", array_remove(ARRAY[");
    for (const struct field_def *f = w->e->fields; f->name; f++) {
        if (!sqlgen_is_input(w->e, f))
            continue;
        buf_puts(w->b, sep);
        sep = ", ";
        if (w->has_published && str_eq(f->name, "published_at"))
            buf_printf(w->b, "CASE WHEN %s IS DISTINCT FROM t.published_at", new_published(w, "t"));
        else {
            buf_printf(w->b, "CASE WHEN $%d::bigint & %llu <> 0 AND $%u::%s IS DISTINCT FROM ",
                       WP_MASK, bit_of(w, f), param_of(w->e, w->w, f),
                       f->type == F_REFS ? "bigint[]" : sqlgen_type(f));
            sqlgen_column(w->b, w->e, f, "t");
        }
        buf_printf(w->b, " THEN '%s' END", f->name);
    }
    buf_puts(w->b, "]::text[], NULL) AS changed_");
}

/* The row as it is, locked, if the writer may change it and knows its version. */
static void put_old(struct writer *w)
{
    const struct entity_def *e = w->e;
    const struct field_def *id = &e->fields[0];
    buf_puts(w->b, "WITH old AS MATERIALIZED (SELECT t.*");
    if (w->w == SQL_UPDATE)
        put_changed(w);
    buf_printf(w->b, " FROM %s t WHERE t.id = $%d::%s", e->table, WP_ID, sqlgen_type(id));
    if (e->soft_delete && w->w != SQL_PURGE)
        buf_printf(w->b, " AND t.deleted_at IS %sNULL", w->w == SQL_RESTORE ? "NOT " : "");
    char uid[16];
    snprintf(uid, sizeof(uid), "$%d", WP_UID);
    const char *own = vis_own(w->b->arena, e, "t", uid);
    if (own)
        buf_printf(w->b, " AND ($%d::bigint IS NULL OR %s)", WP_UID, own);
    else
        buf_printf(w->b, " AND $%d::bigint IS NULL", WP_UID);
    buf_printf(
        w->b,
        " AND ($%d::bigint[] IS NULL OR t.version = ANY($%d::bigint[])) AND ($%d::timestamptz IS "
        "NULL OR date_trunc('second', t.updated_at) <= $%d::timestamptz) FOR UPDATE)",
        WP_VERSIONS, WP_VERSIONS, WP_UNMODIFIED, WP_UNMODIFIED);
}

static void put_update(struct writer *w)
{
    const struct entity_def *e = w->e;
    const struct field_def *many = NULL;
    const char *status = w->has_status ? new_value(w, entity_field(e, "status")) : "";
    put_old(w);
    buf_printf(w->b,
               ", w AS (UPDATE %s t SET version = t.version + (old.changed_ <> '{}')::int, "
               "updated_at = CASE WHEN old.changed_ <> '{}' THEN now() ELSE t.updated_at END",
               e->table);
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (!sqlgen_is_input(e, f))
            continue;
        if (f->type == F_REFS) {
            many = f;
            continue;
        }
        buf_printf(w->b, ", %s%s = ", f->name, f->type == F_REF ? "_id" : "");
        bool published = w->has_published && str_eq(f->name, "published_at");
        buf_puts(w->b, published ? new_published(w, "old") : new_value(w, f));
    }
    buf_puts(w->b, " FROM old WHERE t.id = old.id");
    if (w->has_published) {
        /* A status of scheduled needs a time to come; one that is due already and stays as it is
         * may stay. */
        const char *pub = new_value(w, entity_field(e, "published_at"));
        buf_printf(w->b,
                   " AND ((%s) <> 'scheduled' OR coalesce((%s) > now(), false) OR (old.status = "
                   "'scheduled' AND (%s) IS NOT DISTINCT FROM old.published_at))",
                   status, pub, pub);
    }
    put_living(w);
    const char *refs = NULL;
    if (many) {
        struct buf col;
        buf_init(&col, w->b->arena, 128, 512);
        sqlgen_column(&col, e, many, "t");
        refs = arena_printf(w->b->arena,
                            "CASE WHEN $%d::bigint & %llu <> 0 THEN $%u::bigint[] ELSE %s END",
                            WP_MASK, bit_of(w, many), param_of(e, w->w, many), col.data);
    }
    put_returning(w, refs);
    buf_puts(w->b, ", old.changed_");
    buf_puts(w->b, ")");
}

static void put_remove(struct writer *w)
{
    const char *table = w->e->table;
    put_old(w);
    if (w->w == SQL_PURGE || !w->e->soft_delete)
        buf_printf(w->b, ", w AS (DELETE FROM %s t USING old WHERE t.id = old.id", table);
    else
        buf_printf(
            w->b,
            ", w AS (UPDATE %s t SET version = t.version + 1, updated_at = now(), deleted_at = "
            "%s FROM old WHERE t.id = old.id",
            table, w->w == SQL_DELETE ? "now()" : "NULL");
    put_returning(w, NULL);
    buf_puts(w->b, ")");
}

/* Link rows of F_REFS.  The new ones are upserted and only those not in the list deleted, because
 * parts of one statement do not see each other's rows. */
static void put_links(struct writer *w)
{
    if (w->w != SQL_UPDATE && w->w != SQL_INSERT && w->w != SQL_INSERT_IDEM)
        return;
    for (const struct field_def *f = w->e->fields; f->name; f++) {
        if (f->type != F_REFS)
            continue;
        const struct relation_def *rel = sqlgen_link(w->e, f);
        unsigned p = param_of(w->e, w->w, f);
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
static void put_counts(struct writer *w)
{
    const char *st = w->has_status ? "w.status" : "''::text";
    const char *old_st = w->has_status ? "w.old_status" : "''::text";
    const char *open = sqlgen_public_status(w->e), *sep = "";
    bool insert = w->w == SQL_INSERT || w->w == SQL_INSERT_IDEM;
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
        [SQL_INSERT] = "created", [SQL_INSERT_IDEM] = "created", [SQL_UPDATE] = "updated",
        [SQL_DELETE] = "deleted", [SQL_RESTORE] = "restored",    [SQL_PURGE] = "deleted"
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
static void put_revision(struct writer *w)
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

static void put_events(struct writer *w)
{
    const struct entity_def *e = w->e;
    const struct event_def *def = event_find(arena_printf(w->b->arena, "%s.created", e->name));
    bool insert = w->w == SQL_INSERT || w->w == SQL_INSERT_IDEM;
    assert(def);
    buf_printf(
        w->b,
        ", ev AS (INSERT INTO outbox (event_id, type, also_ids, also_types, topic, key, "
        "payload, trace, request_id, actor) SELECT ($%d::uuid[])[1], v.t[1], CASE WHEN "
        "cardinality(v.t) > 1 THEN ($%d::uuid[])[2:cardinality(v.t)] END, CASE WHEN "
        "cardinality(v.t) > 1 THEN v.t[2:] END, '%s', '%s:' || w.id, '{\"data\":' || w.body_",
        WP_EVENTS, WP_EVENTS, def->topic, e->name);
    if (e->soft_delete) {
        buf_puts(w->b, " || ',\"deleted_at\":' || coalesce(");
        put_time(w->b, "w.deleted_at");
        buf_puts(w->b, ", 'null')");
    }
    buf_puts(w->b, " || '},\"changed\":' || ");
    buf_puts(w->b, w->w == SQL_UPDATE ? "array_to_json(w.changed_)::text" : "'[]'");
    if (w->has_status && !insert)
        buf_puts(w->b, " || ',\"before\":{\"status\":' || to_json(w.old_status)::text || '}'");
    if (w->owner)
        buf_puts(w->b, " || ',\"owner_id\":' || coalesce(w.owner_::text, 'null')");
    if (w->w == SQL_PURGE)
        buf_puts(w->b, " || ',\"purged\":true'");
    buf_printf(w->b,
               " || '}', $%d::text, $%d::text, $%d::text FROM w CROSS JOIN LATERAL (SELECT "
               "array_remove(ARRAY[",
               WP_TRACE, WP_REQUEST, WP_ACTOR);
    put_event_types(w);
    buf_puts(w->b, "]::text[], NULL) AS t) v WHERE v.t <> '{}')");
}

const char *sqlgen_write(struct arena *a, const struct entity_def *e, enum sqlgen_write what,
                         unsigned parts)
{
    struct buf b;
    struct writer w = { .b = &b, .e = e, .w = what, .has_status = entity_field(e, "status") };
    w.has_published = w.has_status && entity_field(e, "published_at");
    if (e->owner)
        w.owner = entity_field(e, e->owner)->type == F_REF ? arena_printf(a, "%s_id", e->owner)
                                                           : e->owner;
    buf_init(&b, a, 4096, sqlgen_text_max);
    if (what == SQL_INSERT || what == SQL_INSERT_IDEM)
        put_insert(&w);
    else if (what == SQL_UPDATE)
        put_update(&w);
    else
        put_remove(&w);
    put_links(&w);
    if (parts & SQLW_COUNTS)
        put_counts(&w);
    if (parts & SQLW_PURGED && what == SQL_PURGE)
        buf_printf(&b,
                   ", prg AS (INSERT INTO purged (entity, row_id, at) SELECT '%s', w.id, now() "
                   "FROM w)",
                   e->name);
    if (parts & SQLW_REVISIONS)
        put_revision(&w);
    if (e->events)
        put_events(&w);
    if (what == SQL_INSERT_IDEM)
        buf_printf(&b,
                   ", idm AS (INSERT INTO idempotency (owner, key_hash, fingerprint, status, "
                   "location, body) "
                   "SELECT $%d::text, $%d::text, $%d::text, 201, $%d::text || w.id, '{\"data\":' "
                   "|| w.body_ "
                   "|| '}}' FROM w)",
                   WP_IDEM_OWNER, WP_IDEM_KEY, WP_IDEM_PRINT, WP_LOCATION);
    buf_puts(&b, " SELECT w.id, w.version, '{\"data\":' || w.body_ || '}}', "
                 "floor(extract(epoch FROM w.updated_at))::bigint, ");
    buf_puts(&b, w.owner ? "w.owner_ FROM w" : "NULL::bigint FROM w");
    assert(!b.overflow);
    return b.data;
}

const char *sqlgen_dead_refs(struct arena *a, const struct entity_def *e)
{
    struct buf b;
    unsigned p = 1;
    buf_init(&b, a, 512, sqlgen_text_max);
    for (const struct field_def *f = e->fields; f->name; f++) {
        const struct entity_def *far = sqlgen_deletable(e, f);
        if (!far)
            continue;
        p++;
        buf_printf(&b, "%sSELECT %d::bigint AS f, ", p == 2 ? "" : " UNION ALL ",
                   (int)(f - e->fields));
        const char *gone = arena_printf(
            a, "NOT EXISTS (SELECT 1 FROM %s r WHERE r.deleted_at IS NULL AND r.id = ", far->table);
        if (f->type == F_REF) {
            buf_printf(&b,
                       "0::bigint AS n WHERE $%u::bigint IS NOT NULL AND $%u::bigint IS DISTINCT "
                       "FROM (SELECT t.%s_id FROM %s t WHERE t.id = $1::bigint) AND %s$%u::bigint)",
                       p, p, f->name, e->table, gone, p);
            continue;
        }
        const struct relation_def *rel = sqlgen_link(e, f);
        buf_printf(&b,
                   "u.n - 1 FROM unnest($%u::bigint[]) WITH ORDINALITY AS u(id, n) WHERE %su.id) "
                   "AND NOT EXISTS (SELECT 1 FROM %s l WHERE l.%s = $1::bigint AND l.%s = u.id)",
                   p, gone, rel->link, rel->near, rel->far);
    }
    assert(!b.overflow);
    return p == 1 ? NULL : arena_printf(a, "%s ORDER BY 1, 2", b.data);
}

const char *sqlgen_why(struct arena *a, const struct entity_def *e, enum vis_class vc)
{
    struct buf b;
    bool status = entity_field(e, "status");
    const char *own = vis_own(a, e, "t", "$2");
    buf_init(&b, a, 512, sqlgen_text_max);
    buf_printf(&b, "SELECT t.version, %s, coalesce(%s, false), coalesce(",
               e->soft_delete ? "t.deleted_at IS NOT NULL" : "false",
               own ? own : "$2::bigint IS NULL AND false");
    vis_where(&b, e, vc, "t", "$2");
    buf_printf(&b,
               ", false), %s, %s, floor(extract(epoch FROM t.updated_at))::bigint FROM %s t WHERE "
               "t.id = $1::%s",
               status ? "t.status" : "NULL::text",
               status && entity_field(e, "published_at") ? "t.published_at" : "NULL::timestamptz",
               e->table, sqlgen_type(&e->fields[0]));
    assert(!b.overflow);
    return b.data;
}
