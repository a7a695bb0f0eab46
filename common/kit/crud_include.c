/* Relations read with the rows: one statement each, whatever the number of rows. */
#include "common/kit/crud_int.h"

#include "common/base/str.h"
#include "common/kit/rcache.h"
#include "common/kit/svc.h"

#include <assert.h>

enum { fast_ids_max = 100 }; /* what may travel on the pipelined connection (rulings.md 3) */

struct source { /* the rows that something is read for */
    const struct crud *c;
    const struct rowplan *plan;
    const struct db_rows *rows;
    size_t n;
};

static int by_value(const void *x, const void *y)
{
    const int64_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

static int too_many(const char *name, struct err *err)
{
    return err_at(err, E_invalid_parameter, "include",
                  "include=%.60s would read more than %d rows; ask for fewer rows at a time.", name,
                  include_rows_total_max);
}

/* The ids in a column, each once: one a cell, or those of an array. */
static size_t collect_ids(struct arena *a, const struct source *s, size_t col, bool array,
                          int64_t **ret)
{
    size_t n = 0, cap = s->n + 1, kept = 0;
    int64_t *ids = arena_raw(a, cap * sizeof(*ids));
    for (size_t i = 0; i < s->n; i++) {
        size_t len;
        const char *p = db_cell(s->rows, i, col, &len);
        for (p += array && len; len && *p && *p != '}';) {
            char *end;
            long long id = strtoll(p, &end, 10);
            if (end == p)
                break;
            if (n == cap) {
                int64_t *more = arena_raw(a, 2 * cap * sizeof(*more));
                memcpy(more, ids, n * sizeof(*ids));
                ids = more;
                cap *= 2;
            }
            ids[n++] = id;
            p = *end == ',' ? end + 1 : end;
        }
    }
    qsort(ids, n, sizeof(*ids), by_value);
    for (size_t i = 0; i < n; i++)
        if (!i || ids[i] != ids[i - 1])
            ids[kept++] = ids[i];
    *ret = ids;
    return kept;
}

/* The rows that a reference leads to. */
static int read_field(struct req *req, const struct source *s, const struct query_include *want,
                      struct rowinc *ret, struct err *err)
{
    const struct crud *peer = crud_peer(s->c, req->arena, want->far->name);
    size_t col = 0, nv = 0;
    int64_t *ids;
    struct db_val v[2];
    struct db_rows *got = NULL;
    struct rowplan *p = arena_alloc(req->arena, sizeof(*p));
    struct db_stmt once = { .flags = DB_ONCE };
    const struct db_stmt *stmt = &once;
    while (col < s->plan->n && s->plan->cols[col].f != want->field)
        col++;
    assert(col < s->plan->n);
    size_t n = collect_ids(req->arena, s, col, want->field->type == F_REFS, &ids);
    if (n > include_rows_total_max)
        return too_many(want->field->name, err);
    if (vis_uses_uid(peer->e, want->vc))
        v[nv++] = db_i64(req->who.user_id);
    v[nv++] = db_i64s(ids, n);
    once.sql = peer->prepared ? peer->reads[want->vc].by_ids.sql
                              : sqlgen_by_ids(req->arena, peer->e, want->vc, p);
    if (peer->prepared) {
        *p = peer->reads[want->vc].plan;
        if (n <= fast_ids_max)
            stmt = &peer->reads[want->vc].by_ids;
    }
    int rc = n ? db_query(req->svc->db, req->arena, stmt, v, nv, &got, err) : 0;
    if (rc < 0)
        return rc;
    *ret = (struct rowinc){ .name = want->field->name,
                            .field = want->field,
                            .plan = p,
                            .rows = got,
                            .n = got ? db_nrows(got) : 0,
                            .parent_col = -1 };
    return 0;
}

/* The rows of a relation that is no field. */
static int read_relation(struct req *req, const struct source *s, const struct query_include *want,
                         struct rowinc *ret, struct err *err)
{
    const struct relation_def *rel = want->rel;
    size_t nv = 0, at = (size_t)(rel - s->c->e->relations);
    int64_t *ids;
    size_t n = collect_ids(req->arena, s, (size_t)s->plan->id, false, &ids);
    struct db_val v[2];
    struct db_rows *got = NULL;
    struct rowplan *p = arena_alloc(req->arena, sizeof(*p));
    struct db_stmt once = { .flags = DB_ONCE };
    const struct db_stmt *stmt = &once;
    if (vis_uses_uid(want->far, want->vc))
        v[nv++] = db_i64(req->who.user_id);
    v[nv++] = db_i64s(ids, n);
    if (s->c->prepared) {
        stmt = &s->c->reads[want->vc].related[at];
        *p = s->c->reads[want->vc].related_plan[at];
    } else {
        once.sql = sqlgen_related(req->arena, s->c->e, rel, want->vc, p);
    }
    int rc = n ? db_query(req->svc->db, req->arena, stmt, v, nv, &got, err) : 0;
    if (rc < 0)
        return rc;
    if (got && db_nrows(got) > include_rows_total_max)
        return too_many(rel->name, err);
    *ret = (struct rowinc){ .name = rel->name,
                            .plan = p,
                            .rows = got,
                            .n = got ? db_nrows(got) : 0,
                            .parent_col = (int)p->n + (p->own >= 0) };
    return 0;
}

/* What is included in node `parent` (-1: in the rows themselves), as a list of its own. */
static void gather(struct arena *a, const struct query *q, const struct rowinc *all, int parent,
                   struct crud_incs *ret)
{
    struct rowinc *list = arena_alloc(a, query_includes_max * sizeof(*list));
    ret->list = list;
    ret->n = 0;
    for (size_t i = 0; i < q->nincludes; i++)
        if (q->includes[i].parent == parent)
            list[ret->n++] = all[i];
}

int crud_includes(struct req *req, const struct crud *c, const struct query *q,
                  const struct rowplan *plan, const struct db_rows *rows, size_t nrows,
                  struct crud_incs *ret, struct err *err)
{
    struct crud_incs inner;
    *ret = (struct crud_incs){ 0 };
    if (!q->nincludes)
        return 0;
    struct rowinc *all = arena_alloc(req->arena, q->nincludes * sizeof(*all));
    for (size_t i = 0; i < q->nincludes; i++) {
        const struct query_include *want = &q->includes[i];
        struct source s = { c, plan, rows, nrows };
        if (want->parent >= 0) {
            const struct rowinc *in = &all[want->parent];
            s = (struct source){ crud_peer(c, req->arena, q->includes[want->parent].far->name),
                                 in->plan, in->rows, in->n };
        }
        int rc = want->field ? read_field(req, &s, want, &all[i], err)
                             : read_relation(req, &s, want, &all[i], err);
        if (rc < 0)
            return rc;
        all[i].mask = want->fields;
        rowinc_index(&all[i], req->arena);
    }
    for (size_t i = q->nincludes; i-- > 0;) { /* children come after their parents */
        gather(req->arena, q, all, (int)i, &inner);
        all[i].inc = inner.list;
        all[i].ninc = inner.n;
    }
    gather(req->arena, q, all, -1, ret);
    ret->all = all;
    ret->nall = q->nincludes;
    return 0;
}

/* --- what the response cache has to know --- */

static void made_of_filter(struct rcache_made *m, const struct query_node *n)
{
    if (n->kind == QN_HAS)
        rcache_made_of_rows(m, n->far, n->vc);
    for (const struct query_node *k = n->first; k; k = k->next)
        made_of_filter(m, k);
}

void crud_made_of(const struct req *req, const struct query *q)
{
    if (!req->made)
        return;
    made_of_filter(req->made, &q->filter);
    for (size_t i = 0; i < q->nincludes; i++)
        rcache_made_of_rows(req->made, q->includes[i].far, q->includes[i].vc);
}
