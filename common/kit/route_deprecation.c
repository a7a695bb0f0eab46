/* What is deprecated says so in every answer (RFC 9745, RFC 8594), and has a page that explains it.
 */
#include "common/kit/route_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/svc.h"

/* "2026-02-19", or a time as in RFC 3339. */
static bool read_date(struct arena *a, const char *text, int64_t *ret_s)
{
    int64_t us;
    if (!strchr(text, 'T'))
        text = arena_printf(a, "%sT00:00:00Z", text);
    if (!rfc3339_parse(text, &us))
        return false;
    *ret_s = us / 1000000;
    return true;
}

/* "v1=2026-02-19/2027-12-31" */
static int read_item(struct arena *a, char *item, struct deprecation_dates *ret, struct err *err)
{
    char *eq = strchr(item, '='), *slash = eq ? strchr(eq, '/') : NULL;
    struct deprecation_dates d;
    if (!slash)
        return err_set(err, E_config, "CMS365_DEPRECATIONS: %s is not name=since/sunset.", item);
    *eq = *slash = '\0';
    int i = deprecation_find(item);
    if (i < 0)
        return err_set(err, E_config, "CMS365_DEPRECATIONS: nothing is called %s.", item);
    if (!read_date(a, eq + 1, &d.since_s) || !read_date(a, slash + 1, &d.sunset_s))
        return err_set(err, E_config,
                       "CMS365_DEPRECATIONS: the dates of %s are not like 2026-02-19.", item);
    if (d.sunset_s < d.since_s) /* RFC 9745 §4 */
        return err_set(err, E_config, "CMS365_DEPRECATIONS: %s ends before it is deprecated.",
                       item);
    ret[i] = d;
    return 0;
}

int deprecation_read(struct arena *a, const char *setting, struct deprecation_dates *ret,
                     struct err *err)
{
    char *text = arena_strdup(a, setting ? setting : "");
    for (char *end; *(text += strspn(text, ", ")); text = end) {
        end = text + strcspn(text, ", ");
        if (*end)
            *end++ = '\0';
        int rc = read_item(a, text, ret, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int which(const struct call *c)
{
    if (c->leaf && c->leaf->route)
        return c->leaf->deprecated;
    return c->version && c->version->deprecated ? deprecation_find(c->version->deprecated) : -1;
}

const char *route_deprecate(const struct call *c, struct http_res *out, const char *link)
{
    struct arena *a = c->req.arena;
    const struct router *rt = c->rt;
    int i = which(c);
    if (i < 0 || !rt->deprecated[i].since_s)
        return link;
    const struct deprecation_def *d = &deprecations[i];
    const char *rest = str_starts(c->req.path, d->from) ? c->req.path + strlen(d->from) : "";
    char *sunset = arena_raw(a, http_date_len + 1);
    http_date_format(rt->deprecated[i].sunset_s, sunset);
    http_res_header(out, "Deprecation",
                    arena_printf(a, "@%lld", (long long)rt->deprecated[i].since_s));
    http_res_header(out, "Sunset", sunset);
    struct buf b;
    buf_init(&b, a, 512, 64 * 1024);
    if (link)
        buf_printf(&b, "%s, ", link);
    buf_printf(&b, "<%s%s%s>; rel=\"successor-version\", ", rt->public_url, d->to, rest);
    buf_printf(&b, "<%s/deprecations/%s>; rel=\"deprecation\"; type=\"text/html\", ",
               rt->public_url, d->name);
    buf_printf(&b, "<%s/deprecations/%s>; rel=\"sunset\"; type=\"text/html\"", rt->public_url,
               d->name);
    return b.overflow ? link : b.data;
}

/* --- GET /deprecations/{name} --------------------------------------------------------------------
 */

static void put_pair(struct buf *b, const char *name, const char *value)
{
    buf_puts(b, name);
    buf_put_json_string(b, value, strlen(value));
}

/* Markup of text from our own tables. */
static void put_html(struct buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '<' || *s == '&')
            buf_puts(b, *s == '<' ? "&lt;" : "&amp;");
        else
            buf_putc(b, *s);
    }
}

static void put_page(struct buf *b, const struct deprecation_def *d, const char *since,
                     const char *sunset)
{
    buf_printf(b,
               "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%s is "
               "deprecated</title><h1>%s is deprecated</h1><p>",
               d->title, d->title);
    put_html(b, d->doc);
    buf_printf(b,
               "</p><dl><dt>Paths<dd><code>%s</code><dt>Successor<dd><code>%s</code>"
               "<dt>Deprecated since<dd>%s<dt>There until<dd>%s</dl></html>\n",
               d->from, d->to, since, sunset);
}

static int deprecation_get(struct req *req, struct res *res, struct err *err)
{
    static const char *const types[] = { "application/json", "text/html", NULL };
    struct deprecation_dates dates[deprecations_max] = { 0 };
    char since[rfc3339_len + 1], sunset[rfc3339_len + 1];
    int i = deprecation_find(req->params[0]);
    int rc = deprecation_read(req->arena, req->svc->conf->deprecations, dates, err);
    if (rc)
        return rc;
    if (i < 0 || !dates[i].since_s)
        return err_set(err, E_not_found, "Nothing of this name is deprecated.");
    const char *type = req_accept(req, types);
    if (!type)
        return err_set(err, E_not_acceptable, "This page is there as JSON and HTML.");
    const struct deprecation_def *d = &deprecations[i];
    rfc3339_format(dates[i].since_s * 1000000, since);
    rfc3339_format(dates[i].sunset_s * 1000000, sunset);
    res->content_type = type;
    res->cache_control = "public, max-age=3600";
    if (type == types[1]) {
        res->content_type = "text/html; charset=utf-8";
        put_page(&res->body, d, since, sunset);
        return 0;
    }
    put_pair(&res->body, "{\"data\":{\"name\":", d->name);
    put_pair(&res->body, ",\"title\":", d->title);
    put_pair(&res->body, ",\"paths\":", d->from);
    put_pair(&res->body, ",\"successor\":", d->to);
    put_pair(&res->body, ",\"deprecated_at\":", since);
    put_pair(&res->body, ",\"sunset_at\":", sunset);
    put_pair(&res->body, ",\"doc\":", d->doc);
    buf_puts(&res->body, "}}");
    return 0;
}

static const struct field_def deprecation_fields[] = {
    { .name = "name",
     .type = F_TEXT,
     .flags = FF_REQUIRED,
     .doc = "Last part of the page's path." },
    { .name = "title", .type = F_TEXT, .flags = FF_REQUIRED, .doc = "What is deprecated." },
    { .name = "paths", .type = F_TEXT, .flags = FF_REQUIRED, .doc = "What its paths begin with." },
    { .name = "successor",
     .type = F_TEXT,
     .flags = FF_REQUIRED,
     .doc = "What the paths of its successor begin with." },
    { .name = "deprecated_at",
     .type = F_TIME,
     .flags = FF_REQUIRED,
     .doc = "Since when (RFC 9745)." },
    { .name = "sunset_at",
     .type = F_TIME,
     .flags = FF_REQUIRED,
     .doc = "Until when it is there at least (RFC 8594)." },
    { .name = "doc", .type = F_TEXT, .flags = FF_REQUIRED, .doc = "What the successor does." },
    { .name = NULL },
};
static const struct shape deprecation_shape = { .name = "Deprecation",
                                                .doc = "Something that is there not for good.",
                                                .fields = deprecation_fields };
const struct route deprecation_routes[] = {
    { GET, "/deprecations/{name}", deprecation_get, .out = &deprecation_shape,
     .flags = ROUTE_PUBLIC, .produces = "*", .op_id = "deprecation_get",
     .doc = "Explain what is deprecated, since when and until when." },
    { .path = NULL },
};
