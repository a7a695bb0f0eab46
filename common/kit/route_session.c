/* When the cookie of a browser session speaks for a request (common/kit/session.h). */
#include "common/kit/route_internal.h"

#include "common/base/str.h"
#include "common/kit/session.h"
#include "common/kit/svc.h"

static int not_ours(struct err *err, const char *what)
{
    return err_set(err, E_forbidden, "%s", what);
}

/* Another site may make a browser send a request, but cannot choose these headers (Fetch Metadata
 * §2, RFC 6454 §7.3) nor know the token. */
static int check_write(const struct call *c, const char *text, struct err *err)
{
    const char *origin = http_header(c->http, "Origin"),
               *site = http_header(c->http, "Sec-Fetch-Site");
    if (!origin || !session_own_origin(c->rt->public_url, origin) ||
        (site && !str_eq(site, "same-origin")))
        return not_ours(err, "A session's changes must come from this site's own pages (Origin).");
    if (http_header_count(c->http, "X-CMS365-CSRF") != 1 ||
        !session_csrf_ok(text, http_header(c->http, "X-CMS365-CSRF")))
        return not_ours(err, "X-CMS365-CSRF is missing, or is not this session's.");
    return 0;
}

static bool reads_here(const struct call *c)
{
    const char *origin = http_header(c->http, "Origin"),
               *site = http_header(c->http, "Sec-Fetch-Site");
    if (origin && !session_own_origin(c->rt->public_url, origin))
        return false;
    return !site || str_eq(site, "same-origin") || str_eq(site, "none");
}

int route_cookie(struct call *c, const char **ret, struct err *err)
{
    const char *header = http_header(c->http, "Cookie");
    bool reads = c->req.method == GET || c->req.method == HEAD;
    *ret = NULL;
    if (!header || http_header_count(c->http, "Cookie") > 1)
        return 0;
    const char *text =
        cookie_find(c->req.arena, header, cookie_name(c->req.arena, "session", c->rt->public_url));
    if (!text || (reads && !reads_here(c)))
        return 0;
    int rc = reads ? 0 : check_write(c, text, err);
    if (!rc)
        *ret = text;
    return rc;
}

/* A cookie that is over is taken back, so that the next request is simply anonymous. */
void route_cookie_clear(struct call *c)
{
    res_header(&c->res, "Set-Cookie",
               cookie_make(c->req.arena, "session", "", c->rt->public_url, "Strict", 0));
}
