#include "common/kit/sqlgen_write_int.h"

#include "common/base/str.h"
#include "proto/names.h"

#include <assert.h>

/*
 * WITH old AS (SELECT … FOR UPDATE),              update, delete, restore, purge; what an update
 *                                                 changes is in old.changed_
 *      i AS (what to insert)                      if it is many rows
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
    case SQL_INSERT_MANY:
        return WP_LOCATION + sqlgen_many_first;
    case SQL_UPDATE:
        return WP_MASK;
    default:
        return WP_UNMODIFIED;
    }
}

void writer_put_time(struct buf *b, const char *expr)
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
        writer_put_time(b, col.data);
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

/* Halves in brackets: a long text is copied some five times on its way into the whole, not once by
 * each `||` that follows it. */
static void put_concat(struct buf *b, const char *const *parts, size_t n)
{
    if (n == 1) {
        buf_puts(b, parts[0]);
        return;
    }
    buf_putc(b, '(');
    put_concat(b, parts, n / 2);
    buf_puts(b, " || ");
    put_concat(b, parts + n / 2, n - n / 2);
    buf_putc(b, ')');
}

void sqlgen_body(struct buf *b, const struct entity_def *e, const char *alias, const char *refs)
{
    size_t n = 0;
    while (e->fields[n].name)
        n++;
    const char **parts = arena_alloc(b->arena, n * sizeof(*parts));
    n = 0;
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (f->flags & (FF_HIDDEN | FF_SECRET))
            continue;
        struct buf one;
        buf_init(&one, b->arena, 256, sqlgen_text_max);
        buf_printf(&one, "('%s\"%s\":' || coalesce(", n ? "," : "{", f->name);
        put_json(&one, e, f, alias, f->type == F_REFS ? refs : NULL);
        buf_puts(&one, ", 'null'))");
        assert(!one.overflow);
        parts[n++] = one.data;
    }
    put_concat(b, parts, n);
}

/* What the later parts need of the written row. */
static void put_returning(struct writer *w, const char *refs)
{
    const struct entity_def *e = w->e;
    bool insert = writer_inserts(w);
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

unsigned writer_param(const struct writer *w, const struct field_def *f)
{
    unsigned n = (unsigned)sqlgen_fixed_params(w->w);
    for (const struct field_def *g = w->e->fields; g <= f; g++)
        n += sqlgen_is_input(w->e, g);
    return n;
}

/* Columns of i by parameter. */
static const char *const many_fixed[] = {
    [WP_TRACE] = "trace_",           [WP_REQUEST] = "request_",       [WP_ACTOR] = "actor_",
    [WP_EVENTS] = "events_",         [WP_IDEM_OWNER] = "idem_owner_", [WP_IDEM_KEY] = "idem_key_",
    [WP_IDEM_PRINT] = "idem_print_", [WP_IDEM_LOCK] = "idem_lock_",   [WP_LOCATION] = "location_",
};

const char *writer_fixed(const struct writer *w, int param, const char *type)
{
    if (w->w == SQL_INSERT_MANY)
        return arena_printf(w->b->arena, "i.%s::%s", many_fixed[param], type);
    return arena_printf(w->b->arena, "$%d::%s", param, type);
}

/* What a field is to be, with its type. */
static const char *given_value(const struct writer *w, const struct field_def *f)
{
    if (w->w == SQL_INSERT_MANY)
        return arena_printf(w->b->arena, "i.%s%s", f->name, f->type == F_REF ? "_id" : "");
    return arena_printf(w->b->arena, "$%u::%s", writer_param(w, f), sqlgen_type(f));
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
        unsigned p = writer_param(w, f);
        const char *given = given_value(w, f);
        buf_puts(w->b, " AND (");
        if (w->w == SQL_UPDATE)
            buf_printf(w->b, "'%s' <> ALL(old.changed_) OR ", f->name);
        if (f->type == F_REF) {
            buf_printf(w->b,
                       "%s IS NULL OR EXISTS (SELECT 1 FROM %s r WHERE r.id = %s AND r.deleted_at "
                       "IS NULL))",
                       given, far->table, given);
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

/* i: what is to be inserted, a row an element of the parameters, each with its id.  Whoever holds
 * what one of many waits for must not keep all of them waiting for long: hence the limit. */
static void put_many(struct writer *w)
{
    const struct entity_def *e = w->e;
    struct buf cols;
    buf_init(&cols, w->b->arena, 512, sqlgen_text_max);
    buf_printf(w->b,
               "WITH lim AS MATERIALIZED (SELECT set_config('lock_timeout', coalesce($1::text, "
               "current_setting('lock_timeout')), true) AS v), i AS MATERIALIZED (SELECT "
               "nextval((SELECT pg_get_serial_sequence('%s', 'id')::regclass)) AS id, u.ord_",
               e->table);
    for (int p = WP_TRACE; p <= WP_LOCATION; p++) {
        buf_printf(w->b, p == WP_EVENTS ? ", u.%s::uuid[]" : ", u.%s", many_fixed[p]);
        buf_printf(&cols, "%s, ", many_fixed[p]);
    }
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (!sqlgen_is_input(e, f))
            continue;
        const char *suffix = f->type == F_REF ? "_id" : "";
        buf_printf(w->b, ", u.%s%s::%s", f->name, suffix, sqlgen_type(f));
        buf_printf(&cols, "%s%s, ", f->name, suffix);
    }
    unsigned n = (unsigned)sqlgen_fixed_params(w->w) - sqlgen_many_first;
    for (const struct field_def *f = e->fields; f->name; f++)
        n += sqlgen_is_input(e, f);
    buf_puts(w->b, " FROM lim, unnest(");
    for (unsigned p = 0; p < n; p++)
        buf_printf(w->b, "%s$%u::text[]", p ? ", " : "", p + 1 + sqlgen_many_first);
    buf_printf(w->b, ") WITH ORDINALITY AS u(%sord_) WHERE lim.v IS NOT NULL), ", cols.data);
}

static void put_insert_idem(struct writer *w)
{
    bool many = w->w == SQL_INSERT_MANY;
    const char *key = writer_fixed(w, WP_IDEM_KEY, "text");
    buf_puts(w->b, " AND ");
    if (many)
        buf_printf(w->b, "(%s IS NULL OR ", key);
    buf_printf(w->b,
               "CASE WHEN pg_try_advisory_xact_lock(%s) THEN NOT EXISTS (SELECT 1 FROM idempotency "
               "r WHERE r.owner = %s AND r.key_hash = %s) ELSE false END%s",
               writer_fixed(w, WP_IDEM_LOCK, "bigint"), writer_fixed(w, WP_IDEM_OWNER, "text"), key,
               many ? ")" : "");
}

static void put_insert(struct writer *w)
{
    const struct entity_def *e = w->e;
    bool many = w->w == SQL_INSERT_MANY;
    const char *refs = NULL, *sep = many ? ", " : "";
    struct buf vals;
    buf_init(&vals, w->b->arena, 512, sqlgen_text_max);
    if (many)
        put_many(w);
    buf_printf(w->b, "%sw AS (INSERT INTO %s AS t (%s", many ? "" : "WITH ", e->table,
               many ? "id" : "");
    buf_puts(&vals, many ? "i.id" : "");
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (!sqlgen_is_input(e, f))
            continue;
        const char *value = given_value(w, f);
        if (f->type == F_REFS) {
            assert(!many);
            refs = arena_printf(w->b->arena, "$%u::bigint[]", writer_param(w, f));
            continue;
        }
        buf_printf(w->b, "%s%s%s", sep, f->name, f->type == F_REF ? "_id" : "");
        if (w->has_published && str_eq(f->name, "published_at"))
            buf_printf(&vals, "%scoalesce(%s, CASE WHEN %s = 'published' THEN now() END)", sep,
                       value, given_value(w, entity_field(e, "status")));
        else
            buf_printf(&vals, "%s%s", sep, value);
        sep = ", ";
    }
    buf_printf(w->b, ") SELECT %s%s WHERE true", vals.data, many ? " FROM i" : "");
    put_living(w);
    if (w->w != SQL_INSERT)
        put_insert_idem(w);
    if (many)
        buf_puts(w->b, " ORDER BY i.id ON CONFLICT DO NOTHING");
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
                        bit_of(w, f), writer_param(w, f), sqlgen_type(f), f->name, suffix);
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
                       WP_MASK, bit_of(w, f), writer_param(w, f),
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
                            WP_MASK, bit_of(w, many), writer_param(w, many), col.data);
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
    if (writer_inserts(&w))
        put_insert(&w);
    else if (what == SQL_UPDATE)
        put_update(&w);
    else
        put_remove(&w);
    writer_put_links(&w);
    if (parts & SQLW_COUNTS)
        writer_put_counts(&w);
    if (parts & SQLW_PURGED && what == SQL_PURGE)
        buf_printf(&b,
                   ", prg AS (INSERT INTO purged (entity, row_id, at) SELECT '%s', w.id, now() "
                   "FROM w)",
                   e->name);
    if (parts & SQLW_REVISIONS)
        writer_put_revision(&w);
    if (e->events)
        writer_put_events(&w);
    writer_put_idem(&w);
    const char *body = "'{\"data\":' || w.body_ || '}}'";
    if (what == SQL_INSERT_MANY)
        body = arena_printf(a, "CASE WHEN $2::boolean THEN %s END", body);
    buf_printf(&b, " SELECT w.id, w.version, %s, floor(extract(epoch FROM w.updated_at))::bigint, ",
               body);
    buf_puts(&b, w.owner ? "w.owner_" : "NULL::bigint");
    buf_puts(&b, what == SQL_INSERT_MANY ? ", i.ord_ FROM w JOIN i ON i.id = w.id ORDER BY i.ord_"
                                         : " FROM w");
    assert(!b.overflow);
    return b.data;
}

bool sqlgen_can_many(const struct entity_def *e)
{
    for (const struct field_def *f = e->fields; f->name; f++)
        if (f->type == F_REFS && sqlgen_is_input(e, f))
            return false;
    return e->fields[0].type == F_ID;
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
