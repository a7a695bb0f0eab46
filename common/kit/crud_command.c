/* Changes that other programs ask for, in the transaction that records the request. */
#include "common/kit/crud_int.h"

#include "common/base/str.h"

enum { answer_bytes_max = 4 * 1024 * 1024 };

/* The id behind the natural key; 0: no row has it. */
static int find(const struct req *req, const struct crud *c, const struct crud_command *cmd,
                int64_t *ret_id, struct err *err)
{
    const struct field_def *f = entity_field(c->e, cmd->field);
    struct db_rows *r;
    if (!f || !cmd->key || !(f->type == F_ID || f->flags & FF_UNIQUE))
        return err_at(err, E_validation, "/key", "A %s is not found by %.60s.", c->e->name,
                      cmd->field ? cmd->field : "nothing");
    *ret_id = 0;
    if (f->type == F_ID && !str_to_i64(cmd->key, 1, INT64_MAX, ret_id))
        return err_at(err, E_validation, "/key", "%.60s is no id.", cmd->key);
    struct db_stmt s = { .flags = DB_ONCE,
                         .sql =
                             arena_printf(req->arena, "SELECT t.id FROM %s t WHERE t.%s = $1::%s%s",
                                          c->e->table, f->name, sqlgen_type(f),
                                          c->e->soft_delete ? " AND t.deleted_at IS NULL" : "") };
    const struct db_val v = db_text(cmd->key);
    int rc = crud_query(req, &s, &v, 1, &r, err);
    if (!rc)
        *ret_id = db_nrows(r) ? db_get_i64(r, 0, 0) : 0;
    return rc;
}

/* What a new row is made of also holds the key it was looked for by. */
static const json_t *with_key(struct arena *a, const struct crud_command *cmd)
{
    if (!json_is_object(cmd->body) || !cmd->field || str_eq(cmd->field, "id") ||
        json_object_get(cmd->body, cmd->field))
        return cmd->body;
    json_t *body = json_in(a, json_copy((json_t *)(uintptr_t)cmd->body));
    json_object_set_new(body, cmd->field, json_string(cmd->key));
    return body;
}

static int make(struct req *req, struct res *res, const struct crud_command *cmd, int64_t *ret_id,
                struct err *err)
{
    req->body = with_key(req->arena, cmd);
    int rc = crud_create(req, res, err);
    if (rc)
        return rc;
    const char *id = res->location ? strrchr(res->location, '/') : NULL;
    return id && str_to_i64(id + 1, 1, INT64_MAX, ret_id)
               ? 0
               : err_set(err, E_internal, "a new row has no location");
}

static int run(struct req *req, struct res *res, const struct crud *c,
               const struct crud_command *cmd, int64_t *ret_id, struct err *err)
{
    if (cmd->op != CRUD_OP_DELETE && !json_is_object(cmd->body))
        return err_at(err, E_validation, "", "A JSON object is needed as the body.");
    if (cmd->op == CRUD_OP_CREATE)
        return make(req, res, cmd, ret_id, err);
    int rc = find(req, c, cmd, ret_id, err);
    if (rc)
        return rc;
    if (!*ret_id && cmd->op == CRUD_OP_UPSERT)
        return make(req, res, cmd, ret_id, err);
    if (!*ret_id)
        return err_set(err, E_not_found, "There is no %s with %s %.100s.", c->e->name, cmd->field,
                       cmd->key);
    req->params[0] = arena_printf(req->arena, "%lld", (long long)*ret_id);
    return cmd->op == CRUD_OP_DELETE ? crud_delete(req, res, err) : crud_patch(req, res, err);
}

int crud_command(struct svc *svc, struct db_tx *tx, struct arena *a, const struct crud *c,
                 const struct crud_command *cmd, int64_t *ret_id, struct err *err)
{
    const struct route route = { .entity = c->e, .ctx = c };
    struct req req = { .svc = svc,
                       .arena = a,
                       .route = &route,
                       .body = cmd->body,
                       .who = cmd->who,
                       .tx = tx,
                       .request_id = cmd->request_id,
                       .traceparent = cmd->traceparent };
    struct res res = { .arena = a };
    buf_init(&res.body, a, 4096, answer_bytes_max);
    int rc = run(&req, &res, c, cmd, ret_id, err);
    if (rc == -E_validation && res.faults && res.faults->n) {
        const struct err_item *first = &res.faults->items[0];
        /* What it refers to may still be on its way. */
        return err_at(err, str_eq(first->code, "reference") ? E_retry_later : E_validation,
                      first->pointer, "%s: %s", first->pointer, first->msg);
    }
    return rc;
}
