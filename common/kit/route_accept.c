#include "common/kit/route_internal.h"

#include "common/base/str.h"

#include <strings.h>

/* One element of a comma separated header list, quotes respected; moves *s behind it. */
static bool list_next(const char **s, const char **ret, size_t *ret_n)
{
    const char *p = *s + strspn(*s, ", \t");
    if (!*p)
        return false;
    bool quoted = false;
    const char *end = p;
    for (; *end && (quoted || *end != ','); end++) {
        if (quoted && *end == '\\' && end[1])
            end++;
        else if (*end == '"')
            quoted = !quoted;
    }
    *s = end;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *ret = p;
    *ret_n = (size_t)(end - p);
    return true;
}

/* "q=0.8" as thousandths; -1 if it is not a weight (RFC 9110 §12.4.2). */
static int weight(const char *s, size_t n)
{
    int q = 0, unit = 1000;
    if (!n || n > 5 || (s[0] != '0' && s[0] != '1') || (n > 1 && s[1] != '.'))
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (i == 1)
            continue;
        if (s[i] < '0' || s[i] > '9')
            return -1;
        q += (s[i] - '0') * unit;
        unit /= 10;
    }
    return q <= 1000 ? q : -1;
}

/* How closely a media range names `type`: 0 not at all, 1 for any, 2 for type/any, 3 exactly. */
static int closeness(const char *range, size_t n, const char *type)
{
    const char *slash = strchr(type, '/');
    size_t main_n = (size_t)(slash - type), type_n = strcspn(type, ";");
    if (n == 3 && !memcmp(range, "*/*", 3))
        return 1;
    if (n == main_n + 2 && !strncasecmp(range, type, main_n + 1) && range[n - 1] == '*')
        return 2;
    return n == type_n && !strncasecmp(range, type, n) ? 3 : 0;
}

bool accept_allows(const char *accept, const char *type, int *ret_q)
{
    const char *item;
    size_t n;
    int best = 0;
    *ret_q = 1000;
    if (!accept || !*(accept + strspn(accept, ", \t")))
        return true;
    *ret_q = 0;
    while (list_next(&accept, &item, &n)) {
        size_t range_n = 0;
        while (range_n < n && !strchr("; \t", item[range_n]))
            range_n++;
        int q = 1000, close = closeness(item, range_n, type);
        for (const char *p = item + range_n; (p = memchr(p, ';', (size_t)(item + n - p)));) {
            p++;
            while (p < item + n && (*p == ' ' || *p == '\t'))
                p++;
            size_t left = (size_t)(item + n - p);
            const char *semi = memchr(p, ';', left);
            size_t len = semi ? (size_t)(semi - p) : left;
            while (len && (p[len - 1] == ' ' || p[len - 1] == '\t'))
                len--;
            if (len > 2 && (p[0] | 32) == 'q' && p[1] == '=')
                q = weight(p + 2, len - 2);
        }
        if (q >= 0 && close > best) {
            best = close;
            *ret_q = q;
        }
    }
    return best && *ret_q > 0;
}

const char *req_accept(const struct req *req, const char *const *types)
{
    const char *accept = req_header(req, "Accept"), *best = NULL;
    int best_q = 0;
    for (size_t i = 0; types[i]; i++) {
        int q;
        if (accept_allows(accept, types[i], &q) && q > best_q) {
            best = types[i];
            best_q = q;
        }
    }
    return best;
}

int route_negotiate(struct call *c, struct err *err)
{
    const char *type = c->leaf->route->produces;
    int q;
    if (str_eq(type, "*")) /* the handler chooses by req_accept */
        return 0;
    if (!type)
        type = "application/json";
    if (!accept_allows(http_header(c->http, "Accept"), type, &q))
        return err_set(err, E_not_acceptable, "This resource is there as %s.", type);
    return 0;
}

/* --- the body's media type -----------------------------------------------------------------------
 */

/* The only parameter that means something to JSON is charset, and that only as utf-8. */
static bool params_ok(const char *s)
{
    while (*(s += strspn(s, " \t"))) {
        if (*s++ != ';')
            return false;
        s += strspn(s, " \t");
        size_t name = strcspn(s, "=; \t");
        if (!name || s[name] != '=')
            return false;
        const char *value = s + name + 1;
        bool quoted = *value == '"';
        size_t n = strcspn(value += quoted, quoted ? "\"" : "; \t");
        if (quoted && value[n] != '"')
            return false;
        if (name == 7 && !strncasecmp(s, "charset", 7) &&
            (n != 5 || strncasecmp(value, "utf-8", 5) != 0))
            return false;
        s = value + n + quoted;
    }
    return true;
}

int route_media_type(struct call *c, struct err *err)
{
    const char *type = c->req.content_type;
    const char *coding = http_header(c->http, "Content-Encoding");
    size_t n = strcspn(type, "; \t");
    bool json = n == 16 && !strncasecmp(type, "application/json", n);
    bool merge = n == 28 && !strncasecmp(type, "application/merge-patch+json", n);
    bool merges = c->leaf->route->flags & ROUTE_MERGE;
    if (coding && !str_ieq(coding, "identity"))
        return err_set(err, E_unsupported_media_type, "A body is sent without content coding.");
    if (!(json || (merge && merges)) || !params_ok(type + n))
        return err_set(err, E_unsupported_media_type, "The body must be %sapplication/json.",
                       merges ? "application/merge-patch+json or " : "");
    return 0;
}
