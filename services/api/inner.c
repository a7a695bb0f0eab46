/*
 * What other programs read here in somebody's name: an entity as GET would show it to them.  The
 * program that asks has authenticated them itself.  Their credential could not be passed on anyway:
 * an access token may be bound to a key (DPoP), whose proof names one address.
 */
#include "services/api/api.h"

#include "common/base/str.h"

static const struct entity_def *entity_of(const char *plural)
{
    for (const struct entity_def *const *e = entities; *e; e++)
        if (str_eq((*e)->plural, plural))
            return *e;
    return NULL;
}

/* No more than the role may do, whatever was said. */
static int read_reader(const struct req *req, struct principal *ret, struct err *err)
{
    const char *user = req_arg(req, "user_id"), *role = req_arg(req, "role"),
               *list = req_arg(req, "scopes");
    scope_set given = 0;
    *ret = (struct principal){ .role = role_find(role ? role : "") };
    if (user && !str_to_i64(user, 0, INT64_MAX, &ret->user_id))
        return err_at(err, E_invalid_parameter, "user_id", "user_id must be a user's id or 0.");
    if (ret->role == ROLE_NONE)
        return err_at(err, E_invalid_parameter, "role", "role must be a role.");
    for (const char *p = list ? list : ""; *p; p += strspn(p, ",")) {
        size_t n = strcspn(p, ",");
        int scope = scope_find(arena_strndup(req->arena, p, n));
        if (scope >= 0)
            given |= (scope_set)1 << scope;
        p += n;
    }
    ret->scopes = scope_expand(given) & role_scopes(ret->role);
    return 0;
}

static int read_for(struct req *req, struct res *res, struct err *err)
{
    const struct entity_def *e = entity_of(req->params[0]);
    int64_t id;
    if (!e)
        return err_set(err, E_not_found, "There is no such entity.");
    int rc = req_id(req, 1, &id, err);
    if (!rc)
        rc = read_reader(req, &req->who, err);
    if (rc)
        return rc;
    int scope = scope_find(e->scope_read);
    if (scope < 0 || !scope_has(req->who.scopes, (enum scope)scope))
        return err_set(err, E_insufficient_scope, "The scope %s is needed.", e->scope_read);
    res->cache_control = "no-store";
    return crud_answer(req, res, e, req->params[1], err);
}

static const struct param_def reader_params[] = {
    { "user_id", "integer", 0, INT64_MAX, "Who reads; 0 or left out: a client for itself." },
    { "role", "string", 0, 0, "Their role." },
    { "scopes", "string", 0, 0, "Names of what their credential may do, separated by commas." },
    { .name = NULL },
};
const struct route inner_routes[] = {
    { GET, "/internal/content/{entity}/{id}", read_for, .flags = ROUTE_INTERNAL,
     .query = reader_params, .op_id = "internal_content",
     .doc = "An entity (by the plural of its name) as GET shows it to the reader." },
    { .path = NULL },
};
