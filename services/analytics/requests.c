/* The log of single requests: crud's list over the view, without ever counting it. */
#include "services/analytics/answers.h"

#include "common/base/str.h"
#include "common/kit/crud.h"

int list_requests(struct req *req, struct res *res, struct err *err)
{
    struct query_arg *args = arena_alloc(req->arena, (req->nargs + 1) * sizeof(*args));
    for (size_t i = 0; i < req->nargs; i++) {
        args[i] = req->args[i];
        if (str_eq(args[i].name, "count") && !str_eq(args[i].value, "none"))
            return err_at(err, E_invalid_parameter, "count",
                          "The log is not counted; /api/v2/analytics/overview has the numbers.");
    }
    if (!req_arg(req, "count"))
        args[req->nargs++] = (struct query_arg){ .name = "count", .value = "none" };
    req->args = args;
    return crud_list(req, res, err);
}
