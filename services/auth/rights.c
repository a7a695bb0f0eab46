#include "services/auth/rights.h"

#include "common/base/str.h"
#include "common/kit/outbox.h"

#include "auth/sql.h"

#include <assert.h>

/* --- rights -------------------------------------------------------------------------------------
 */

int rights_hold(const struct principal *who, scope_set named, const char *what, struct err *err)
{
    scope_set more = scope_expand(named) & ~who->scopes;
    more &= role_scopes(who->role); /* what a role has not, what is its has not either */
    for (int s = 0; s < S_MAX_; s++)
        if (scope_has(more, (enum scope)s))
            return err_set(err, E_insufficient_scope,
                           "The %s's scope %s is more than your own credential has.", what,
                           scopes[s].name);
    return 0;
}

int rights_give(const struct req *req, scope_set had, struct err *err)
{
    const json_t *list = body_list(req, "scopes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        int s = scope_find(json_string_value(json_array_get(list, i)));
        assert(s >= 0); /* body_scopes has looked */
        if (!scope_has(req->who.scopes | had, (enum scope)s))
            return err_at(err, E_insufficient_scope, "/scopes",
                          "The scope %s is more than your own credential has.", scopes[s].name);
    }
    return 0;
}

int rights_owner(struct db_tx *tx, struct arena *a, struct shape_row *row, int64_t user,
                 struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(user);
    int rc = db_exec(tx, a, &sql_person_get, &v, 1, &r, err);
    if (!rc && (!db_nrows(r) || !str_eq(db_str(r, 0, 1), "active")))
        shape_fault(row, "user", "reference", "There is no active user with this id.");
    return rc ? rc : shape_check(row, err);
}

int effect_once(struct req *req, struct res *res,
                int (*effect)(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err),
                void *ctx, struct err *err)
{
    const struct idem_work work = { .effect = effect, .ctx = ctx, .flags = IDEM_SEALED };
    bool fresh = false;
    int rc = idem_run(req, res, &work, &fresh, err);
    if (!rc && fresh)
        outbox_wake(req->svc->outbox);
    return rc;
}

/* --- bodies -------------------------------------------------------------------------------------
 */

int body_object(const struct req *req, struct err *err)
{
    return json_is_object(req->body)
               ? 0
               : err_set(err, E_invalid_json, "A JSON object is needed as the body.");
}

const json_t *body_list(const struct req *req, const char *name)
{
    const json_t *l = json_object_get(req->body, name);
    return json_is_array(l) ? l : NULL;
}

void body_fault(const struct req *req, struct shape_row *row, const char *field, size_t i,
                const char *code, const char *why)
{
    err_list_add(row->faults, arena_printf(req->arena, "/%s/%zu", field, i), code, "%s", why);
}

void body_scopes(const struct req *req, struct shape_row *row)
{
    const json_t *list = body_list(req, "scopes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && scope_find(s) < 0)
            body_fault(req, row, "scopes", i, "choice",
                       arena_printf(req->arena, "There is no scope %.64s.", s));
    }
    if (list && !json_array_size(list))
        shape_fault(row, "scopes", "min", "At least one scope is needed.");
}

void body_networks(const struct req *req, struct shape_row *row)
{
    const json_t *list = body_list(req, "allowed_networks");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && (!*s || strchr(s, ',') || !key_networks_ok(s)))
            body_fault(req, row, "allowed_networks", i, "format",
                       "Must be an address or network such as 192.0.2.0/24.");
    }
}
