/* From where the organisation lets anybody in at all. */
#include "common/base/json.h"
#include "common/base/str.h"
#include "common/kit/token_internal.h"

#include <assert.h>

char *policy_state_json(struct arena *a, const struct policy_state *p)
{
    return json_text(a, json_in(a, json_pack("{s:I,s:s}", "changed_us", (json_int_t)p->changed_us,
                                             "allowed_networks", p->allowed_networks)));
}

int policy_state_parse(struct arena *a, const char *json, size_t n, struct policy_state *ret,
                       struct err *err)
{
    json_t *o;
    int rc = json_parse(a, json, n, &o, err);
    if (rc)
        return rc;
    const json_t *changed = json_object_get(o, "changed_us");
    const char *networks = json_string_value(json_object_get(o, "allowed_networks"));
    if (!json_is_integer(changed) || !networks)
        return err_set(err, E_invalid, "not a policy: changed_us or allowed_networks");
    *ret = (struct policy_state){ json_integer_value(changed), networks };
    return 0;
}

void table_put_policy(struct token_table *t, const struct policy_state *p)
{
    struct networks *list = NULL;
    if (!networks_parse(p->allowed_networks, &list)) {
        list = calloc(1, sizeof(*list)); /* of none */
        assert(list);
    }
    pthread_rwlock_wrlock(&t->lock);
    bool newer = p->changed_us >= t->policy_us;
    struct networks *old = newer ? t->everyone : list;
    if (newer) {
        t->everyone = list;
        t->policy_us = p->changed_us;
    }
    pthread_rwlock_unlock(&t->lock);
    free(old);
}

bool table_network_ok(struct token_table *t, const char *addr)
{
    pthread_rwlock_rdlock(&t->lock);
    bool ok = !t->everyone || networks_hold(t->everyone, addr);
    pthread_rwlock_unlock(&t->lock);
    return ok;
}

bool table_policy_old(struct token_table *t)
{
    pthread_rwlock_rdlock(&t->lock);
    bool old = t->policy_us / 1000 < t->policy_wanted_ms;
    pthread_rwlock_unlock(&t->lock);
    return old;
}

bool tokens_network_ok(struct tokens *t, const char *addr)
{
    return table_network_ok(&t->table, addr);
}
