#include "common/kit/crud_bulk.h"
#include "common/kit/crud_export.h"
#include "common/kit/crud_int.h"

#include "common/base/str.h"
#include "common/kit/svc.h"

#include <assert.h>

const char crud_counts_schema_sql[] =
    "CREATE TABLE counts (\n"
    "    entity text NOT NULL, status text NOT NULL, owner bigint NOT NULL, shard int NOT NULL,\n"
    "    n bigint NOT NULL,\n"
    "    PRIMARY KEY (entity, status, owner, shard)\n"
    ") WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = "
    "1000);\n"
    "CREATE INDEX counts_owner_idx ON counts (entity, owner, status);\n";

#define PARAM_FIELDS                                                                               \
    { "fields", "string", 0, query_value_bytes_max,                                                \
      "Names of the fields to show, separated by commas; author.display_name shows a field of "    \
      "what "                                                                                      \
      "a reference leads to, * all." },                                                            \
    {                                                                                              \
        "envelope", "boolean", 0, 0,                                                               \
            "false answers the bare resource or array, without data, meta and links: what these "  \
            "say is in the headers Link and X-Total-Count."                                        \
    }
#define PARAM_INCLUDE                                                                              \
    { "include", "string", 0, query_value_bytes_max,                                               \
      "Relations to show in full, separated by commas; author.avatar goes further." }
#define PARAMS_LIST                                                                                \
    { "page", "integer", 1, query_offset_max, "Page number, from 1." },                            \
        { "per_page", "integer", 1, query_per_page_max, "Rows a page; 20 if not said." },          \
        { "limit", "integer", 1, query_per_page_max,                                               \
          "Rows at most; instead of page and per_page." },                                         \
        { "cursor", "string", 0, query_cursor_bytes_max,                                           \
          "Where to go on: next_cursor or prev_cursor of a page, empty for the first one; with "   \
          "limit." },                                                                              \
        { "offset", "integer", 0, query_offset_max,                                                \
          "Rows to skip; instead of page and per_page." },                                         \
        PARAM_FIELDS,                                                                              \
        { "sort", "string", 0, query_value_bytes_max,                                              \
          "Fields to sort by, separated by commas; a leading - sorts downwards. Ties are sorted "  \
          "by id." },                                                                              \
        { "filter[]", "string", 0, query_value_bytes_max,                                          \
          "filter[field]=value or filter[field][op]=value with eq, ne, lt, lte, gt, gte, in, "     \
          "nin, like, ilike, null, between, contains, fts; filter[author.role]=editor asks about " \
          "what a reference leads to; filter[or][0][field], filter[and][0][field] and "            \
          "filter[not][field] group." },                                                           \
        { "updated_since", "string", 0, 40,                                                        \
          "Rows changed at this time or later, the oldest change first." },                        \
    {                                                                                              \
        "count", "string", 0, 9,                                                                   \
            "exact (the default), estimated or none: whether meta.total is counted."               \
    }

const struct param_def crud_get_params[] = { PARAM_FIELDS, PARAM_INCLUDE, { 0 } };
const struct param_def crud_list_params[] = { PARAMS_LIST, PARAM_INCLUDE, { 0 } };
const struct param_def crud_flat_get_params[] = { PARAM_FIELDS, { 0 } };
const struct param_def crud_flat_list_params[] = { PARAMS_LIST, { 0 } };
static const struct param_def delete_params[] = {
    { "purge", "boolean", 0, 5, "true removes the row for good; needs api:admin." },
    { 0 },
};

bool crud_has_slug(const struct entity_def *e)
{
    return e->slug_from && entity_field(e, "slug");
}

const struct entity_def *crud_entity(const struct crud *c)
{
    return c->e;
}

static struct db_stmt named(struct arena *a, unsigned flags, const char *sql, const char *entity,
                            const char *what, const char *vc)
{
    struct db_stmt s = { .name = arena_printf(a, "%s_%s_%s", entity, what, vc),
                         .sql = sql,
                         .flags = flags };
    assert(strlen(s.name) < 64);
    return s;
}

static void make_related(struct arena *a, const struct crud *c, enum vis_class vc,
                         struct crud_reads *r)
{
    const struct entity_def *e = c->e;
    size_t n = 0;
    while (e->relations && e->relations[n].name)
        n++;
    r->related = arena_alloc(a, (n + 1) * sizeof(*r->related));
    r->related_plan = arena_alloc(a, (n + 1) * sizeof(*r->related_plan));
    for (size_t i = 0; i < n; i++) {
        const char *sql = sqlgen_related(a, e, &e->relations[i], vc, &r->related_plan[i]);
        r->related[i] = named(a, 0, sql, e->name, e->relations[i].name, vis_class_name(vc));
    }
}

static void make_reads(struct arena *a, const struct crud *c, enum vis_class vc,
                       struct crud_reads *r)
{
    const struct entity_def *e = c->e;
    const char *v = vis_class_name(vc);
    struct rowplan ignored;
    r->get = named(a, DB_FAST, sqlgen_get(a, e, vc, &r->plan), e->name, "get", v);
    if (crud_has_slug(e))
        r->slug = named(a, DB_FAST, sqlgen_get_slug(a, e, vc, &ignored), e->name, "slug", v);
    if (e->fields[0].type == F_ID)
        r->by_ids = named(a, DB_FAST, sqlgen_by_ids(a, e, vc, &ignored), e->name, "ids", v);
    r->why = named(a, 0, sqlgen_why(a, e, vc), e->name, "why", v);
    query_plain(e, vc, &r->query);
    bool counted = c->flags & CRUD_COUNTS && sqlgen_has_total(e, vc, &r->query);
    /* A class whose rows depend on other tables' rows is not sure to be quick. */
    bool fast = vc == VC_ALL || vc == VC_ADMIN || e->visibility == VIS_PUBLISHED ||
                e->visibility == VIS_ACTIVE;
    for (unsigned status = 0; status <= (entity_field(e, "status") != NULL); status++)
        for (unsigned total = 0; total <= counted; total++) {
            const char *what = arena_printf(a, "page%u%u", status, total);
            r->page[status][total] =
                named(a, fast ? DB_FAST : 0,
                      sqlgen_first_page(a, &(struct sqlgen_who){ e, vc, 0 }, &r->query, status,
                                        total, total ? &r->plan_total : &ignored),
                      e->name, what, v);
        }
    make_related(a, c, vc, r);
}

/* Where an admin sees no more than an editor, the same statements serve both, prepared once. */
static void share_reads(const struct entity_def *e, const struct crud_reads *all,
                        struct crud_reads *admin)
{
    if (!str_eq(all->get.sql, admin->get.sql))
        return;
    admin->get = all->get;
    admin->slug = all->slug;
    admin->by_ids = all->by_ids;
    memcpy(admin->page, all->page, sizeof(all->page));
    for (size_t i = 0; e->relations && e->relations[i].name; i++)
        if (str_eq(all->related[i].sql, admin->related[i].sql))
            admin->related[i] = all->related[i];
}

struct crud *crud_new(struct arena *a, const struct entity_def *e, unsigned flags,
                      const struct crud_hooks *hooks)
{
    static const char *const names[SQL_WRITES_MAX_] = { "insert", "insert_idem", "insert_many",
                                                        "update", "delete",      "restore",
                                                        "purge" };
    unsigned parts = (flags & CRUD_COUNTS ? SQLW_COUNTS : 0u) |
                     (flags & CRUD_REVISIONS ? SQLW_REVISIONS : 0u) |
                     (flags & CRUD_CHANGES ? SQLW_PURGED : 0u);
    struct crud *c = arena_alloc(a, sizeof(*c));
    c->e = e;
    c->flags = flags;
    c->hooks = hooks;
    c->prepared = true;
    c->need_cond = arena_alloc(a, sizeof(*c->need_cond));
    c->totals = crud_totals_new(a);
    c->anchors = crud_anchors_new(a);
    for (unsigned vc = 0; vc < VC_MAX_; vc++)
        make_reads(a, c, (enum vis_class)vc, &c->reads[vc]);
    share_reads(e, &c->reads[VC_ALL], &c->reads[VC_ADMIN]);
    for (unsigned w = 0; !(flags & CRUD_READ_ONLY) && w < SQL_WRITES_MAX_; w++) {
        if ((w == SQL_RESTORE || w == SQL_PURGE) && !e->soft_delete)
            continue;
        if (w == SQL_INSERT_MANY && !sqlgen_can_many(e))
            continue;
        c->write[w] = named(a, DB_WRITE, sqlgen_write(a, e, (enum sqlgen_write)w, parts), e->name,
                            names[w], "stmt");
    }
    c->dead_refs = named(a, 0, sqlgen_dead_refs(a, e), e->name, "dead", "refs");
    return c;
}

void crud_require_cond(struct crud *c, bool yes)
{
    *c->need_cond = yes;
}

void crud_link(struct crud *const *all)
{
    for (struct crud *const *c = all; *c; c++)
        (*c)->all = all;
}

static size_t add(const struct db_stmt **list, size_t n, size_t max, const struct db_stmt *s,
                  unsigned flag)
{
    if (!s->sql || (flag && !(s->flags & flag)))
        return n;
    for (size_t i = 0; i < n; i++) /* shared by two classes */
        if (str_eq(list[i]->name, s->name))
            return n;
    assert(n < max);
    list[n] = s;
    return n + 1;
}

static size_t collect(const struct crud *c, const struct db_stmt **list, size_t max, unsigned flag)
{
    size_t n = 0;
    for (unsigned vc = 0; vc < VC_MAX_; vc++) {
        const struct crud_reads *r = &c->reads[vc];
        n = add(list, n, max, &r->get, flag);
        n = add(list, n, max, &r->slug, flag);
        n = add(list, n, max, &r->by_ids, flag);
        n = add(list, n, max, &r->why, flag);
        for (unsigned i = 0; i < 4; i++)
            n = add(list, n, max, &r->page[i / 2][i % 2], flag);
        for (size_t i = 0; c->e->relations && c->e->relations[i].name; i++)
            n = add(list, n, max, &r->related[i], flag);
    }
    for (unsigned w = 0; w < SQL_WRITES_MAX_; w++)
        n = add(list, n, max, &c->write[w], flag);
    return add(list, n, max, &c->dead_refs, flag);
}

size_t crud_fast(const struct crud *c, const struct db_stmt **list, size_t max)
{
    return collect(c, list, max, DB_FAST);
}

size_t crud_stmts(const struct crud *c, const struct db_stmt **list, size_t max)
{
    return collect(c, list, max, 0);
}

const struct crud *crud_of(struct req *req)
{
    if (req->route->ctx)
        return req->route->ctx;
    struct crud *c = arena_alloc(req->arena, sizeof(*c));
    c->e = req->route->entity;
    assert(c->e);
    return c;
}

const struct crud *crud_peer(const struct crud *c, struct arena *a, const char *entity)
{
    const struct entity_def *e = entity_find(entity);
    for (struct crud *const *p = c->all; p && *p; p++)
        if ((*p)->e == e)
            return *p;
    struct crud *other = arena_alloc(a, sizeof(*other));
    other->e = e;
    return other;
}

/* --- routes --- */

static const int read_errors[] = { 400, 401, 404, 0 };
static const int list_errors[] = { 400, 401, 0 };
static const int create_errors[] = { 403, 409, 415, 422, 0 };
static const int change_errors[] = { 403, 404, 409, 412, 415, 422, 428, 0 };
static const int bulk_errors[] = { 403, 404, 409, 412, 415, 422, 428, 429, 0 };
static const int delete_errors[] = { 403, 404, 409, 412, 428, 0 };

static void fill_reads(struct arena *a, const struct crud *c, struct route *list, struct route *get)
{
    const struct entity_def *e = c->e;
    unsigned open = e->visibility == VIS_OWNER ? 0 : ROUTE_PUBLIC;
    *list = (struct route){ .method = GET,
                            .path = e->path,
                            .fn = crud_list,
                            .scope = e->scope_read,
                            .entity = e,
                            .query = crud_list_params,
                            .errors = list_errors,
                            .cost = 2,
                            .flags = open | ROUTE_LIST | ROUTE_FORMS | ROUTE_ETAG | ROUTE_NO_BODY |
                                     ROUTE_CACHED,
                            .op_id = arena_printf(a, "list_%s", e->plural),
                            .doc = arena_printf(a, "List %s, page by page.", e->plural),
                            .ctx = c };
    *get = (struct route){ .method = GET,
                           .path = arena_printf(a, "%s/{id}", e->path),
                           .fn = crud_get,
                           .scope = e->scope_read,
                           .entity = e,
                           .query = crud_get_params,
                           .errors = read_errors,
                           .cost = 1,
                           .flags = open | ROUTE_FORMS | ROUTE_ETAG | ROUTE_NO_BODY | ROUTE_CACHED,
                           .op_id = arena_printf(a, "get_%s", e->name),
                           .doc = arena_printf(a, "Read one of the %s.", e->plural),
                           .ctx = c };
}

static void fill_writes(struct arena *a, const struct crud *c, struct route *r)
{
    const struct entity_def *e = c->e;
    const char *one = arena_printf(a, "%s/{id}", e->path);
    r[0] = (struct route){ .method = POST,
                           .path = e->path,
                           .fn = crud_create,
                           .status = 201,
                           .errors = create_errors,
                           .flags = ROUTE_IDEMPOTENT | ROUTE_ETAG | ROUTE_PREFER,
                           .op_id = arena_printf(a, "create_%s", e->name),
                           .doc = arena_printf(a, "Create one of the %s.", e->plural) };
    r[1] =
        (struct route){ .method = PATCH,
                        .path = one,
                        .fn = crud_patch,
                        .errors = change_errors,
                        .flags = ROUTE_MERGE | ROUTE_PATCHES | ROUTE_ETAG | ROUTE_PREFER,
                        .op_id = arena_printf(a, "patch_%s", e->name),
                        .doc = arena_printf(a, "Change some fields of one of the %s.", e->plural) };
    r[2] = (struct route){ .method = PUT,
                           .path = one,
                           .fn = crud_put,
                           .errors = change_errors,
                           .flags = ROUTE_ETAG | ROUTE_PREFER,
                           .op_id = arena_printf(a, "replace_%s", e->name),
                           .doc = arena_printf(
                               a, "Replace one of the %s; what is left out takes its default.",
                               e->plural) };
    r[3] = (struct route){ .method = DELETE,
                           .path = one,
                           .fn = crud_delete,
                           .status = 204,
                           .errors = delete_errors,
                           .flags = ROUTE_NO_BODY | ROUTE_ETAG,
                           .query = delete_params,
                           .op_id = arena_printf(a, "delete_%s", e->name),
                           .doc = arena_printf(a, "Delete one of the %s; it can be restored.",
                                               e->plural) };
    r[4] = (struct route){ .method = POST,
                           .path = arena_printf(a, "%s/restore", one),
                           .fn = crud_restore,
                           .errors = delete_errors,
                           .flags = ROUTE_NO_BODY | ROUTE_ETAG | ROUTE_IDEMPOTENT | ROUTE_PREFER,
                           .op_id = arena_printf(a, "restore_%s", e->name),
                           .doc = arena_printf(a, "Take back the deletion of one of the %s.",
                                               e->plural) };
    for (size_t i = 0; i < 5; i++) {
        r[i].scope = e->scope_write;
        r[i].entity = e;
        r[i].cost = 5;
        r[i].flags |= ROUTE_FORMS;
        r[i].ctx = c;
    }
}

static const int export_errors[] = { 429, 0 };

/* All rows that match, as files (common/kit/crud_export.h). */
static void fill_export(struct arena *a, const struct crud *c, struct route *list,
                        struct route *ret)
{
    const struct entity_def *e = c->e;
    list->flags |= ROUTE_EXPORT;
    *ret = (struct route){ .method = POST,
                           .path = arena_printf(a, "%s/export", e->path),
                           .fn = crud_export,
                           .scope = e->scope_read,
                           .entity = e,
                           .out = &operation_shape,
                           .status = 202,
                           .query = crud_export_params,
                           .errors = export_errors,
                           .cost = 50,
                           .flags = ROUTE_NO_BODY | ROUTE_IDEMPOTENT | ROUTE_EXPORT,
                           .op_id = arena_printf(a, "export_%s", e->plural),
                           .doc = arena_printf(a,
                                               "Write all %s that match into files: JSON, NDJSON, "
                                               "CSV or XML, by Accept.",
                                               e->plural),
                           .ctx = c };
}

static void fill_bulk(struct arena *a, const struct crud *c, struct route *ret)
{
    const struct entity_def *e = c->e;
    *ret = (struct route){ .method = PATCH,
                           .path = e->path,
                           .fn = crud_bulk,
                           .scope = e->scope_write,
                           .entity = e,
                           .query = crud_bulk_params,
                           .errors = bulk_errors,
                           .cost = 50,
                           .flags = ROUTE_BULK | ROUTE_IDEMPOTENT,
                           .body_max = bulk_body_bytes_max,
                           .op_id = arena_printf(a, "bulk_%s", e->plural),
                           .doc = arena_printf(a,
                                               "Many changes of %s in one transaction: an array of "
                                               "operations, or one patch for the rows of ids or of "
                                               "a filter.",
                                               e->plural),
                           .ctx = c };
}

/* By name instead of number: the same rows with another path and handler. */
static void fill_slug(struct arena *a, const struct crud *c, const struct route *get,
                      const struct route *put, struct route *ret)
{
    const struct entity_def *e = c->e;
    ret[0] = *get;
    ret[0].fn = crud_get_slug;
    ret[0].op_id = arena_printf(a, "get_%s_by_slug", e->name);
    ret[0].doc = arena_printf(a, "Read one of the %s by its slug.", e->plural);
    ret[0].path = arena_printf(a, "%s/slug:{slug}", e->path);
    if (!put)
        return;
    ret[1] = *put;
    ret[1].fn = crud_put_slug;
    ret[1].path = ret[0].path;
    ret[1].flags |= ROUTE_IDEMPOTENT | ROUTE_UPSERT;
    ret[1].op_id = arena_printf(a, "upsert_%s", e->name);
    ret[1].doc =
        arena_printf(a, "Replace the one of the %s with this slug, or create it.", e->plural);
}

const struct route *crud_routes(struct arena *a, const struct crud *c)
{
    struct route *r = arena_alloc(a, 12 * sizeof(*r));
    bool writes = !(c->flags & CRUD_READ_ONLY);
    size_t n = 2;
    fill_reads(a, c, &r[0], &r[1]);
    if (writes) {
        fill_writes(a, c, &r[2]);
        n = c->e->soft_delete ? 7 : 6;
        fill_bulk(a, c, &r[n++]);
        fill_export(a, c, &r[0], &r[n++]);
        r[n] = (struct route){ 0 };
    }
    if (crud_has_slug(c->e))
        fill_slug(a, c, &r[1], writes ? &r[4] : NULL, &r[n]);
    return r;
}
