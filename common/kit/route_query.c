#define _GNU_SOURCE /* strchrnul */
#include "common/kit/route_internal.h"

#include "common/base/str.h"

enum { brackets_max = 10 };

/* "filter[]" takes filter[status], filter[price][gte] and filter[or][0][price][gte]. */
static bool brackets_ok(const char *s)
{
    unsigned groups = 0;
    while (*s == '[') {
        size_t n = strcspn(++s, "[]");
        if (!n || s[n] != ']' || ++groups > brackets_max)
            return false;
        s += n + 1;
    }
    return groups && !*s;
}

static bool def_takes(const struct param_def *d, const char *name)
{
    size_t n = strlen(d->name);
    if (n < 2 || strcmp(d->name + n - 2, "[]") != 0)
        return !strcmp(d->name, name);
    return !strncmp(d->name, name, n - 2) && brackets_ok(name + n - 2);
}

static int unknown_name(struct arena *a, const struct param_def *defs, const char *name,
                        struct err *err)
{
    struct buf b;
    if (str_ieq(name, "access_token") || str_ieq(name, "api_key") || str_ieq(name, "apikey") ||
        str_ieq(name, "token") || str_ieq(name, "x-api-key"))
        return err_at(err, E_invalid_parameter, name,
                      "A credential in the URL ends up in logs; send it as Authorization: Bearer.");
    buf_init(&b, a, 256, 4096);
    for (size_t i = 0; defs && defs[i].name; i++) {
        size_t n = strlen(defs[i].name);
        bool group = n > 2 && !strcmp(defs[i].name + n - 2, "[]");
        buf_printf(&b, "%s%.*s%s", i ? ", " : "", (int)(group ? n - 2 : n), defs[i].name,
                   group ? "[…]" : "");
    }
    if (!b.len)
        return err_at(err, E_invalid_parameter, name, "There are no query parameters here.");
    return err_at(err, E_invalid_parameter, name, "There is no parameter %.64s; there are: %s.",
                  name, b.data);
}

static int check_value(const struct param_def *d, const char *name, const char *value,
                       struct err *err)
{
    int64_t v;
    bool flag;
    if (str_eq(d->type, "integer")) {
        bool limits = d->min || d->max;
        if (!str_to_i64(value, limits ? d->min : INT64_MIN, limits ? d->max : INT64_MAX, &v))
            return limits
                       ? err_at(err, E_invalid_parameter, name,
                                "%.64s is a whole number from %lld to %lld.", name,
                                (long long)d->min, (long long)d->max)
                       : err_at(err, E_invalid_parameter, name, "%.64s is a whole number.", name);
    } else if (str_eq(d->type, "boolean")) {
        if (!str_to_bool(value, &flag))
            return err_at(err, E_invalid_parameter, name, "%.64s is true or false.", name);
    } else if (d->max > 0 && str_utf8_len(value, strlen(value)) > (size_t)d->max) {
        return err_at(err, E_invalid_parameter, name, "%.64s has %lld characters at most.", name,
                      (long long)d->max);
    }
    return 0;
}

static int one_arg(struct call *c, struct query_arg *args, const char *text, size_t n,
                   struct err *err)
{
    struct req *req = &c->req;
    const struct param_def *defs = c->leaf->route->query, *def = NULL;
    const char *eq = memchr(text, '=', n);
    size_t name_n = eq ? (size_t)(eq - text) : n;
    char *name, *value;
    if (req->nargs == route_args_max)
        return err_set(err, E_invalid_parameter, "There are more than %d query parameters.",
                       route_args_max);
    if (!url_decode(req->arena, text, name_n, true, &name) ||
        !url_decode(req->arena, eq ? eq + 1 : "", eq ? n - name_n - 1 : 0, true, &value))
        return err_set(err, E_invalid_parameter,
                       "The query has a bad percent escape or is not UTF-8.");
    for (size_t i = 0; defs && defs[i].name && !def; i++)
        def = def_takes(&defs[i], name) ? &defs[i] : NULL;
    if (!def)
        return unknown_name(req->arena, defs, name, err);
    for (size_t i = 0; i < req->nargs; i++) {
        if (!strcmp(args[i].name, name))
            return err_at(err, E_invalid_parameter, name, "%.64s is there more than once.", name);
    }
    args[req->nargs++] = (struct query_arg){ .name = name, .value = value };
    return check_value(def, name, value, err);
}

int route_query(struct call *c, struct err *err)
{
    const char *p = c->req.raw_query;
    if (!*p || c->leaf->route->flags & ROUTE_FOREIGN)
        return 0;
    size_t most = 1;
    for (const char *s = p; *s; s++)
        most += *s == '&';
    if (most > route_args_max)
        most = route_args_max;
    struct query_arg *args = arena_alloc(c->req.arena, most * sizeof *args);
    c->req.args = args;
    while (*p) {
        const char *end = strchrnul(p, '&');
        int rc = end == p ? 0 : one_arg(c, args, p, (size_t)(end - p), err);
        if (rc)
            return rc;
        p = *end ? end + 1 : end;
    }
    return 0;
}

const char *req_arg(const struct req *req, const char *name)
{
    for (size_t i = 0; i < req->nargs; i++) {
        if (!strcmp(req->args[i].name, name))
            return req->args[i].value;
    }
    return NULL;
}
