/*
 * What other programs ask for (content.commands): a change by the rights of a user, in the
 * transaction that records the command, with its outcome told on content.results.  Only what has
 * nothing to do with the command itself (the database is away) is left to the inbox to repeat.
 *
 *   {"reply":"webhook_action:7","command":{"op":"upsert","entity":"post","field":"slug",
 *     "key":"hello","data":{…},"user_id":7,"scopes":["posts:write"]}}
 *   {"reply":"webhook_action:7","ok":true,"entity":"post","id":12}
 *   {"reply":"webhook_action:7","ok":false,"code":"not_found","again":true,"error":"…"}
 */
#include "services/api/api.h"

#include "common/base/str.h"
#include "common/kit/outbox.h"

#include "api/sql.h"

static const struct {
    const char *name;
    enum crud_op op;
} ops[] = {
    { "create",  CRUD_OP_CREATE },
    { "update",  CRUD_OP_UPDATE },
    { "upsert",  CRUD_OP_UPSERT },
    { "publish", CRUD_OP_UPDATE },
    { "delete",  CRUD_OP_DELETE },
};

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

/* The user's role as it is now, and no more scopes than were given. */
static int who_asks(struct msg *m, struct db_tx *tx, const json_t *o, struct principal *ret,
                    struct err *err)
{
    const json_t *list = json_object_get(o, "scopes");
    const struct db_val id = db_i64(json_integer_value(json_object_get(o, "user_id")));
    struct db_rows *r;
    scope_set given = 0;
    int rc = db_exec(tx, m->arena, &sql_user_standing, &id, 1, &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r) || !str_eq(db_str(r, 0, 1), "active"))
        return err_set(err, E_forbidden, "The user is not there or not active.");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        int scope = name ? scope_find(name) : -1;
        if (scope >= 0)
            given |= (scope_set)1 << scope;
    }
    *ret = (struct principal){ .user_id = id.i64, .role = role_find(db_str(r, 0, 0)) };
    ret->scopes = scope_expand(given) & role_scopes(ret->role);
    return 0;
}

static int take(struct msg *m, struct db_tx *tx, const json_t *o, int64_t *ret_id, struct err *err)
{
    const char *name = text(o, "entity"), *op = text(o, "op");
    struct crud_command cmd = { .field = text(o, "field"),
                                .key = text(o, "key"),
                                .body = json_object_get(o, "data"),
                                .request_id = m->request_id,
                                .traceparent = m->traceparent };
    const struct entity_def *e = NULL;
    size_t i = 0;
    for (const struct entity_def *const *k = entities; name && *k; k++)
        e = str_eq((*k)->name, name) ? *k : e;
    while (i < ARRAY_LEN(ops) && !str_eq(ops[i].name, op))
        i++;
    if (!e || i == ARRAY_LEN(ops))
        return err_set(err, E_validation, "There is no such entity or operation.");
    cmd.op = ops[i].op;
    int rc = who_asks(m, tx, o, &cmd.who, err);
    if (rc)
        return rc;
    int scope = scope_find(e->scope_write);
    if (scope < 0 || !scope_has(cmd.who.scopes, (enum scope)scope))
        return err_set(err, E_insufficient_scope, "The scope %s is needed.", e->scope_write);
    return crud_command(m->svc, tx, m->arena, api_crud(e->name), &cmd, ret_id, err);
}

/* May it work later?  What it refers to may still be on its way. */
static bool worth_waiting(int rc, const char *op)
{
    return rc == -E_retry_later || (rc == -E_not_found && !str_eq(op, "delete"));
}

static int answer(struct msg *m, struct db_tx *tx, json_t *result, const char *reply,
                  struct err *err)
{
    const struct outbox_event e = { .type = "content.result",
                                    .key = reply,
                                    .payload = json_text(m->arena, result),
                                    .traceparent = m->traceparent,
                                    .request_id = m->request_id,
                                    .actor = m->actor };
    return outbox_put(tx, m->arena, &e, NULL, err);
}

static int on_command(struct msg *m, struct db_tx *tx, struct err *err)
{
    json_t *root;
    int64_t id = 0;
    int rc = json_parse(m->arena, m->payload ? m->payload : "", m->len, &root, err);
    if (rc)
        return rc;
    const char *reply = text(root, "reply");
    const json_t *o = json_object_get(root, "command");
    const char *entity = text(o, "entity"), *op = text(o, "op");
    if (!reply || !json_is_object(o))
        return err_set(err, E_invalid, "not a command: reply or command");
    struct err why = { 0 };
    rc = take(m, tx, o, &id, &why);
    if (rc == -E_unavailable || rc == -E_timeout || rc == -E_internal) {
        *err = why;
        return rc;
    }
    /* A deletion of what is not there has nothing left to do. */
    bool ok = !rc || (rc == -E_not_found && str_eq(op, "delete"));
    json_t *result =
        ok ? json_pack("{s:s, s:b, s:s?, s:I}", "reply", reply, "ok", 1, "entity", entity, "id",
                       (json_int_t)id)
           : json_pack("{s:s, s:b, s:s, s:b, s:s}", "reply", reply, "ok", 0, "code",
                       err_name(why.code), "again", worth_waiting(rc, op), "error", why.msg);
    return answer(m, tx, json_in(m->arena, result), reply, err);
}

static void on_commit(struct svc *svc, size_t n)
{
    (void)n;
    if (svc->outbox)
        outbox_wake(svc->outbox);
}

const struct consumer api_consumers[] = {
    { .name = "api.commands",
     .topic = "content.commands",
     .mode = INBOX_EFFECT,
     .batch_max = 200,
     .fn = on_command,
     .committed = on_commit,
     .doc = "Makes the changes that other programs ask for." },
    { 0 },
};
