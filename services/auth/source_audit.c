/*
 * Webhook sources in the audit log (I-07): whoever opens a way in from outside is written down, and
 * above all who opened one that verifies nothing, and why.  The program that keeps them tells of
 * each change (hooks.events); an event is worked on once, so there is one entry of it.
 */
#include "services/auth/audit.h"

#include "common/base/str.h"

int audit_source(struct msg *m, struct db_tx *tx, struct err *err)
{
    struct arena *a = m->arena;
    json_t *root;
    int rc = json_parse(a, m->payload ? m->payload : "", m->len, &root, err);
    if (rc)
        return rc;
    const json_t *data = json_object_get(root, "data"), *id = json_object_get(data, "id"),
                 *owner = json_object_get(root, "owner_id");
    if (!json_is_integer(id))
        return err_set(err, E_invalid, "not a source: id");
    json_t *said = json_in(a, json_object());
    static const char *const members[] = { "name", "path", "provider", "verification", "reason" };
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (json_object_get(data, members[i]))
            json_object_set(said, members[i], json_object_get(data, members[i]));
    if (json_array_size(json_object_get(root, "changed")))
        json_object_set(said, "changed", json_object_get(root, "changed"));
    const struct auth_cause why = { .actor = m->actor,
                                    .request_id = m->request_id,
                                    .traceparent = m->traceparent };
    const struct audit entry = { .type = m->type,
                                 .subject = arena_printf(a, "webhook_source:%lld",
                                                         (long long)json_integer_value(id)),
                                 .user_id = json_integer_value(owner),
                                 .data = json_text(a, said) };
    return audit_put(tx, a, &entry, &why, err);
}
