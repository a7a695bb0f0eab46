/* The log of single requests: crud's list over the view, without ever counting it. */
#include "services/analytics/answers.h"

#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/svc.h"
#include "common/kit/vis.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

/* The log is found by person.  Whoever sees everybody's and asks for one key is asked for whom it
 * stands as well: the key alone would be looked for in the whole log. */
static int add_person(struct req *req, struct query_arg *ret, bool *ret_any, struct err *err)
{
    const char *key = req_arg(req, "filter[key]");
    struct db_rows *r;
    int64_t id;
    *ret_any = false;
    if (!vis_is_admin(&req->who) || !key || !str_to_i64(key, 1, INT64_MAX, &id))
        return 0;
    for (size_t i = 0; i < req->nargs; i++)
        if (str_starts(req->args[i].name, "filter[user]"))
            return 0;
    const struct db_val v = db_i64(id);
    int rc = db_query(req->svc->db, req->arena, &sql_key_people, &v, 1, &r, err);
    if (rc < 0 || db_nrows(r) != 1)
        return rc;
    *ret = (struct query_arg){ .name = "filter[user]", .value = db_str(r, 0, 0) };
    *ret_any = true;
    return 0;
}

int list_requests(struct req *req, struct res *res, struct err *err)
{
    struct query_arg *args = arena_alloc(req->arena, (req->nargs + 2) * sizeof(*args));
    bool person;
    for (size_t i = 0; i < req->nargs; i++) {
        args[i] = req->args[i];
        if (str_eq(args[i].name, "count") && !str_eq(args[i].value, "none"))
            return err_at(err, E_invalid_parameter, "count",
                          "The log is not counted; /api/v2/analytics/overview has the numbers.");
    }
    bool said = req_arg(req, "count");
    req->args = args;
    if (!said)
        args[req->nargs++] = (struct query_arg){ .name = "count", .value = "none" };
    int rc = add_person(req, &args[req->nargs], &person, err);
    if (rc < 0)
        return rc;
    req->nargs += person;
    return crud_list(req, res, err);
}
