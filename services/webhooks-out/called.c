/*
 * Calls (webhooks.commands): an action of an incoming webhook has one endpoint told, whatever that
 * listens to.  The endpoint must be the source's owner's own; the caller hears on webhooks.results
 * whether there is one, and tries again later if there is none yet.
 *
 *   {"reply":"webhook_action:7","endpoint_id":5,"owner_id":7,"data":{…},"changed":[]}
 *   {"reply":"webhook_action:7","ok":false,"again":true,"error":"…"}
 */
#include "common/kit/outbox.h"
#include "services/webhooks-out/webhooks.h"

#include "common/base/str.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

bool is_call(const struct event_def *def)
{
    return def && str_eq(def->topic, "webhooks.commands");
}

int call_listeners(struct db_tx *tx, struct arena *a, const struct happening *h,
                   struct db_rows **ret, struct err *err)
{
    const struct db_val v[] = { db_i64(h->endpoint_id), db_i64(h->owner_id) };
    if (!h->endpoint_id || !h->reply)
        return err_set(err, E_invalid, "not a call: endpoint_id or reply");
    int rc = db_exec(tx, a, &sql_endpoint_called, v, ARRAY_LEN(v), ret, err);
    if (rc)
        return rc;
    json_t *result =
        db_nrows(*ret)
            ? json_pack("{s:s, s:b, s:I}", "reply", h->reply, "ok", 1, "id",
                        (json_int_t)h->endpoint_id)
            : json_pack("{s:s, s:b, s:b, s:s}", "reply", h->reply, "ok", 0, "again", 1, "error",
                        arena_printf(a, "There is no webhook endpoint %lld of the source's owner.",
                                     (long long)h->endpoint_id));
    const struct outbox_event e = { .type = "webhook.result",
                                    .key = arena_strdup(a, h->reply),
                                    .payload = json_text(a, json_in(a, result)) };
    return outbox_put(tx, a, &e, NULL, err);
}
