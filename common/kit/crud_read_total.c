/* Totals that are not in `counts`.
 *
 * An exact one is counted once for what the database holds: it is kept under the statement's text,
 * its parameters (filter, class, reader) and the snapshot that it was counted in.  Two snapshots
 * with the same text see the same rows, so an answer from here is as exact as counting again; any
 * committed change in the database makes another snapshot.  Where visibility hangs on the clock
 * (published_at <= now()), a total is good for the second it was counted in. */
#include "common/kit/crud_int.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/svc.h"

#include <assert.h>
#include <pthread.h>

enum {
    totals_kept_max = 1024,
    snapshot_bytes_max = 120, /* more writers at once than that: not kept */
    estimate_exact_max = 1000 /* what is estimated to be fewer is counted */
};

struct kept {
    unsigned char key[sha256_bytes];
    char snapshot[snapshot_bytes_max];
    int64_t second, n;
};
struct crud_totals {
    pthread_mutex_t lock;
    struct kept rows[totals_kept_max]; /* by the first bytes of the key; a later one replaces */
};

static void totals_done(void *ptr)
{
    struct crud_totals *t = ptr;
    (void)pthread_mutex_destroy(&t->lock);
}

struct crud_totals *crud_totals_new(struct arena *a)
{
    struct crud_totals *t = arena_alloc(a, sizeof(*t));
    (void)pthread_mutex_init(&t->lock, NULL);
    arena_defer(a, totals_done, t);
    return t;
}

static struct kept *slot(struct crud_totals *t, const unsigned char *key)
{
    return &t->rows[((size_t)key[0] << 8 | key[1]) % totals_kept_max];
}

static bool recall(struct crud_totals *t, const unsigned char *key, const char *snapshot,
                   int64_t second, int64_t *ret)
{
    (void)pthread_mutex_lock(&t->lock);
    const struct kept *k = slot(t, key);
    bool hit = !memcmp(k->key, key, sha256_bytes) && str_eq(k->snapshot, snapshot) &&
               (!k->second || k->second == second);
    if (hit)
        *ret = k->n;
    (void)pthread_mutex_unlock(&t->lock);
    return hit;
}

static void keep(struct crud_totals *t, const unsigned char *key, const char *snapshot,
                 int64_t second, int64_t n)
{
    if (strlen(snapshot) >= snapshot_bytes_max)
        return;
    (void)pthread_mutex_lock(&t->lock);
    struct kept *k = slot(t, key);
    memcpy(k->key, key, sha256_bytes);
    snprintf(k->snapshot, sizeof(k->snapshot), "%s", snapshot);
    k->second = second;
    k->n = n;
    (void)pthread_mutex_unlock(&t->lock);
}

static void put_param(struct buf *b, const struct db_val *v)
{
    buf_printf(b, "|%d:", (int)v->type);
    if (v->type == DBV_I64 || v->type == DBV_BOOL)
        buf_put_i64(b, v->i64);
    if (v->type == DBV_TEXT)
        buf_printf(b, "%zu:%s", strlen(v->text), v->text);
    for (size_t i = 0; v->type == DBV_I64S && i < v->n; i++)
        buf_printf(b, "%lld,", (long long)((const int64_t *)v->list)[i]);
    for (size_t i = 0; v->type == DBV_TEXTS && i < v->n; i++) {
        const char *s = ((const char *const *)v->list)[i];
        buf_printf(b, "%zu:%s,", strlen(s), s);
    }
}

/* False: too long to be kept. */
static bool key_of(struct arena *a, const struct sqlgen_text *t, unsigned char key[sha256_bytes])
{
    struct buf b;
    buf_init(&b, a, 1024, 2 * sqlgen_text_max);
    buf_puts(&b, t->sql);
    for (size_t i = 0; i < t->nparams; i++)
        put_param(&b, &t->params[i]);
    sha256(b.data, b.len, key);
    return !b.overflow;
}

static int ask(struct req *req, const struct sqlgen_text *t, struct db_rows **ret, struct err *err)
{
    struct db_stmt s = { .sql = t->sql, .flags = DB_ONCE };
    return db_query(req->svc->db, req->arena, &s, t->params, t->nparams, ret, err);
}

static int count_rows(struct req *req, struct crud_total *total, struct err *err)
{
    struct sqlgen_text t;
    struct db_rows *rows;
    unsigned char key[sha256_bytes];
    sqlgen_count(req->arena, &total->who, total->q, TOTAL_ROWS, &t);
    struct crud_totals *totals = req->svc->sandboxed ? NULL : total->c->totals;
    if (totals && !key_of(req->arena, &t, key))
        totals = NULL;
    int64_t second = strstr(t.sql, "now()") ? req->now_us / 1000000 : 0;
    if (totals && total->snapshot && recall(totals, key, total->snapshot, second, &total->n))
        return 0;
    int rc = ask(req, &t, &rows, err);
    if (rc < 0)
        return rc;
    total->n = db_get_i64(rows, 0, 0);
    if (totals)
        keep(totals, key, db_str(rows, 0, 1), second, total->n);
    return 0;
}

/* The planner's guess at the number of rows. */
static int estimate(struct req *req, struct crud_total *total, struct err *err)
{
    struct sqlgen_text t;
    struct db_rows *rows;
    sqlgen_count(req->arena, &total->who, total->q, TOTAL_PLAN, &t);
    int rc = ask(req, &t, &rows, err);
    if (rc < 0)
        return rc;
    const json_t *doc = json_in(req->arena, json_loads(db_str(rows, 0, 0), 0, NULL));
    const json_t *plan = json_object_get(json_array_get(doc, 0), "Plan");
    if (!json_is_integer(json_object_get(plan, "Plan Rows")))
        return err_set(err, E_internal, "the plan of a statement has no number of rows");
    total->n = json_integer_value(json_object_get(plan, "Plan Rows"));
    total->estimated = total->n >= estimate_exact_max;
    return total->estimated ? 0 : count_rows(req, total, err);
}

int crud_count(struct req *req, struct crud_total *total, struct err *err)
{
    const struct query *q = total->q;
    struct sqlgen_text t;
    struct db_rows *rows;
    total->who = (struct sqlgen_who){ total->c->e, q->vc, req->who.user_id };
    if (total->c->flags & CRUD_COUNTS && sqlgen_has_total(total->c->e, q->vc, q)) {
        sqlgen_count(req->arena, &total->who, q, TOTAL_COUNTS, &t);
        int rc = ask(req, &t, &rows, err);
        if (rc >= 0)
            total->n = db_get_i64(rows, 0, 0);
        return rc;
    }
    return q->count == COUNT_ESTIMATED ? estimate(req, total, err) : count_rows(req, total, err);
}
