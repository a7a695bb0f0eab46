#include "services/webhooks-out/called.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/outbox.h"
#include "services/webhooks-out/provider.h"
#include "services/webhooks-out/webhooks.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { woken_max = 100 };

/* Whom the transaction that is open has something for; one consumer, one thread. */
static struct {
    int64_t id[woken_max];
    size_t n;
} woken;

struct call {
    const char *reply;
    int64_t endpoint, owner;
    json_t *data;
};

static int read_call(const struct msg *m, struct call *ret, struct err *err)
{
    json_t *root;
    int rc = json_parse(m->arena, m->payload ? m->payload : "", m->len, &root, err);
    if (rc)
        return rc;
    *ret = (struct call){ .reply = json_string_value(json_object_get(root, "reply")),
                          .endpoint = json_integer_value(json_object_get(root, "endpoint_id")),
                          .owner = json_integer_value(json_object_get(root, "owner_id")),
                          .data = json_object_get(root, "data") };
    return ret->reply && ret->endpoint > 0 && ret->owner > 0 && json_is_object(ret->data) && m->time
               ? 0
               : err_set(err, E_invalid, "not a call: reply, endpoint_id, owner_id, data or time");
}

/* In the endpoint's form.  Its filter and fields are about events that it listens to; what a call
 * has to say was chosen by the mapping. */
static const char *words(const struct msg *m, const struct call *c, const struct target *t)
{
    struct arena *a = m->arena;
    const struct target_event e = { .message_id = arena_printf(a, "evt_%s", m->event_id),
                                    .type = m->type,
                                    .subject = m->key,
                                    .source = m->svc->conf->public_url,
                                    .time = m->time,
                                    .data = c->data,
                                    .changed = json_in(a, json_array()) };
    return json_text(a, json_in(a, t->body(&e)));
}

/* The delivery, as any event's; *ret_there: the owner has such an endpoint. */
static int deliver(struct msg *m, struct db_tx *tx, const struct call *c, bool *ret_there,
                   struct err *err)
{
    struct arena *a = m->arena;
    struct db_rows *r;
    char id[uuid_len + 1];
    const struct db_val whose[] = { db_i64(c->endpoint), db_i64(c->owner) };
    int rc = db_exec(tx, a, &sql_call_format, whose, ARRAY_LEN(whose), &r, err);
    *ret_there = !rc && db_nrows(r) > 0;
    if (!*ret_there)
        return rc;
    const struct target *target = target_find(db_str(r, 0, 0));
    if (!target)
        return err_set(err, E_internal, "The endpoint's form is unknown.");
    uuid7(id);
    const struct db_val v[] = { db_text(id),
                                db_i64(c->endpoint),
                                db_i64(c->owner),
                                db_text(m->event_id),
                                db_text(m->type),
                                db_text(m->key),
                                db_text(m->time),
                                db_text(m->traceparent),
                                db_text(m->request_id),
                                db_text(words(m, c, target)) };
    rc = db_exec(tx, a, &sql_call_add, v, ARRAY_LEN(v), &r, err);
    if (!rc && woken.n < woken_max) /* the others are found when somebody looks */
        woken.id[woken.n++] = c->endpoint;
    return rc;
}

int call_endpoint(struct msg *m, struct db_tx *tx, struct err *err)
{
    struct arena *a = m->arena;
    struct call c;
    bool there;
    int rc = read_call(m, &c, err);
    if (!rc)
        rc = deliver(m, tx, &c, &there, err);
    if (rc)
        return rc;
    json_t *result =
        there
            ? json_pack("{s:s, s:b, s:I}", "reply", c.reply, "ok", 1, "id", (json_int_t)c.endpoint)
            : json_pack("{s:s, s:b, s:b, s:s}", "reply", c.reply, "ok", 0, "again", 1, "error",
                        arena_printf(a, "There is no webhook endpoint %lld of the source's owner.",
                                     (long long)c.endpoint));
    const struct outbox_event e = { .type = "webhook.result",
                                    .key = c.reply,
                                    .payload = json_text(a, json_in(a, result)),
                                    .traceparent = m->traceparent,
                                    .request_id = m->request_id };
    return outbox_put(tx, a, &e, NULL, err);
}

void called(struct svc *svc, size_t n)
{
    (void)n;
    for (size_t i = 0; i < woken.n; i++)
        dispatch_due(svc, woken.id[i]);
    woken.n = 0;
    events_wake(svc);
}
