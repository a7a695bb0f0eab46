/* Parameters of OAuth requests, and how they are refused. */
#include "services/auth/oauth.h"

#include "common/base/str.h"

#include <strings.h>

bool form_parse(struct arena *a, const char *text, size_t n, struct form *ret)
{
    ret->n = 0;
    for (const char *p = text, *end = text + n; p < end;) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        size_t len = (size_t)((amp ? amp : end) - p);
        const char *eq = memchr(p, '=', len);
        size_t name_n = eq ? (size_t)(eq - p) : len;
        char *name, *value;
        if (len && ret->n == form_params_max)
            return false;
        if (len && (!url_decode(a, p, name_n, true, &name) ||
                    !url_decode(a, eq ? eq + 1 : "", eq ? len - name_n - 1 : 0, true, &value)))
            return false;
        if (len)
            ret->list[ret->n++] = (struct query_arg){ .name = name, .value = value };
        p += len + 1;
    }
    return true;
}

const char *form_get(const struct form *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->list[i].name, name))
            return *f->list[i].value ? f->list[i].value : NULL;
    return NULL;
}

const char *form_twice(const struct form *f)
{
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = i + 1; k < f->n; k++)
            if (!strcmp(f->list[i].name, f->list[k].name) && !str_eq(f->list[i].name, "resource") &&
                !str_eq(f->list[i].name, "grant"))
                return f->list[i].name;
    return NULL;
}

int oauth_form(struct req *req, struct form *ret, struct fault *f, struct err *err)
{
    static const char type[] = "application/x-www-form-urlencoded";
    size_t n = strcspn(req->content_type, "; \t");
    if (n != sizeof(type) - 1 || strncasecmp(req->content_type, type, n) != 0)
        return fault_set(f, err, 400, "invalid_request", "The body must be %s.", type);
    if (!form_parse(req->arena, req->raw_body ? req->raw_body : "", req->raw_body_n, ret))
        return fault_set(f, err, 400, "invalid_request", "The body cannot be read as a form.");
    const char *twice = form_twice(ret);
    if (twice)
        return fault_set(f, err, 400, "invalid_request", "%.64s is there twice.", twice);
    return 0;
}

int fault_set(struct fault *f, struct err *err, int status, const char *error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    *f = (struct fault){ .error = error, .status = status, .retry_after_s = f->retry_after_s };
    vsnprintf(f->text, sizeof(f->text), fmt, ap);
    va_end(ap);
    /* RFC 6749 §5.2: printable ASCII without " and \. */
    for (char *p = f->text; *p; p++)
        if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
            *p = '?';
    return err_set(err, E_invalid, "%s", f->text);
}

void oauth_json(struct res *res, const json_t *o)
{
    json_write(&res->body, o);
    res->cache_control = "no-store";
    res_header(res, "Pragma", "no-cache");
}

int oauth_answer(struct req *req, struct res *res, int rc, const struct fault *f)
{
    if (rc != -E_invalid || !f->error)
        return rc;
    buf_reset(&res->body);
    res->status = f->status;
    res->nextra = 0;
    if (f->retry_after_s)
        res_header(res, "Retry-After",
                   arena_printf(req->arena, "%lld", (long long)f->retry_after_s));
    if (f->challenge)
        res_header(res, "WWW-Authenticate", f->challenge);
    oauth_json(res, json_in(req->arena, json_pack("{s:s,s:s}", "error", f->error,
                                                  "error_description", f->text)));
    return 0;
}
