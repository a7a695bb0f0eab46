/* A bulk as an operation: accepted now, done when its turn comes. */
#include "common/kit/crud_bulk_int.h"
#include "common/kit/crud_export.h"
#include "common/kit/operation.h"

#include "common/base/log.h"
#include "common/base/str.h"

int bulk_later(struct bulk *b, struct err *err)
{
    /* What no worker could do is said at once. */
    int rc = bulk_read(b, b->req->body, err);
    if (rc < 0)
        return rc;
    const json_t *options = json_in(
        b->req->arena, json_pack("{s:b,s:i}", "atomic", b->atomic, "answer", (int)b->answer));
    return operation_accept(b->req, b->res, &(struct operation_new){ "bulk", b->e->name, options },
                            err);
}

static int done(struct bulk *b, struct db_tx *tx, struct err *err)
{
    return operation_done(tx, b->req->arena, b->ctx, b->res->status, b->res->body.data, err);
}

static const struct crud *crud_named(struct crud *const *all, const char *name)
{
    while (*all && !str_eq((*all)->e->name, name))
        all++;
    return *all;
}

static int work(struct svc *svc, struct arena *a, const struct crud *c, struct operation *op,
                struct err *err)
{
    const struct route route = { .method = PATCH, .entity = c->e, .ctx = c, .path = c->e->path };
    struct req req = { .svc = svc,
                       .arena = a,
                       .route = &route,
                       .method = PATCH,
                       .path = c->e->path,
                       .raw_query = "",
                       .who = op->who,
                       .request_id = op->request_id,
                       .traceparent = op->traceparent };
    struct res res = { .arena = a };
    struct bulk b = { .req = &req, .res = &res, .c = c, .e = c->e, .last = done, .ctx = op };
    struct err why = { 0 };
    b.atomic = json_is_true(json_object_get(op->options, "atomic"));
    b.answer = (enum prefer_return)json_integer_value(json_object_get(op->options, "answer"));
    buf_init(&res.body, a, 4096, bulk_answer_bytes_max);
    int rc = op->tries > operation_tries_max
                 ? err_set(&why, E_internal, "given up after %d tries", operation_tries_max)
                 : bulk_run(&b, op->body, &why);
    log_info("operation.run", kv_s("operation", op->id), kv_s("entity", op->entity),
             kv_i("attempt", op->attempt), kv_i("status", rc < 0 ? err_http(why.code) : res.status),
             kv_s("request_id", op->request_id),
             kv_s("problem", rc < 0 ? err_name(why.code) : NULL),
             kv_s("detail", rc < 0 ? why.detail : NULL));
    return rc < 0 ? operation_failed(svc, a, op, &why, bulk_problem(&b, &why), err) : 0;
}

int crud_bulk_work(struct svc *svc, struct crud *const *all, int64_t lease_ms, bool *ret_worked,
                   struct err *err)
{
    struct arena *a = arena_new();
    struct operation *op;
    int rc = operation_claim(svc, a, lease_ms, &op, err);
    *ret_worked = rc >= 0 && op;
    if (*ret_worked) {
        const struct crud *c = crud_named(all, op->entity);
        rc = c && str_eq(op->kind, "export") ? crud_export_work(svc, a, c, op, err)
             : c                             ? work(svc, a, c, op, err)
                 : err_set(err, E_internal, "an operation on nothing known");
    }
    arena_free(a);
    return rc;
}
