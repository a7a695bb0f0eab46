#include "common/kit/route_internal.h"

#include "common/base/str.h"
#include "common/kit/repr.h"

#include <assert.h>
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

/* What an element of Accept says, as far as it matters here. */
struct range {
    const char *type; /* "text/csv", a star for either part */
    size_t n;
    int q;            /* thousandths; -1: not a weight */
    int64_t version;  /* of the parameter, 0: none, -1: not a number */
    bool charset_bad; /* one that is not UTF-8 */
    unsigned params;  /* that are understood: each makes the range closer */
};

/* The next ";name=value" of an element (RFC 9110 §5.6.6), quotes taken off. */
static bool param_next(const char **s, const char *end, struct js *name, struct js *value)
{
    const char *p = *s;
    while (p < end && (*p == ';' || *p == ' ' || *p == '\t'))
        p++;
    if (p == end)
        return false;
    const char *stop = p;
    for (bool quoted = false; stop < end && (quoted || *stop != ';'); stop++) {
        if (quoted && *stop == '\\' && stop + 1 < end)
            stop++;
        else if (*stop == '"')
            quoted = !quoted;
    }
    *s = stop;
    while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    const char *eq = memchr(p, '=', (size_t)(stop - p));
    *name = (struct js){ p, (size_t)((eq ? eq : stop) - p) };
    *value = eq ? (struct js){ eq + 1, (size_t)(stop - eq - 1) } : (struct js){ stop, 0 };
    if (value->n > 1 && value->s[0] == '"' && stop[-1] == '"')
        *value = (struct js){ value->s + 1, value->n - 2 };
    return true;
}

static bool same(struct js text, const char *word)
{
    return strlen(word) == text.n && !strncasecmp(text.s, word, text.n);
}

static int64_t number(struct js text)
{
    int64_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.s[i] < '0' || text.s[i] > '9' || text.n > 9)
            return -1;
        v = v * 10 + (text.s[i] - '0');
    }
    return text.n ? v : -1;
}

static bool range_next(const char **accept, struct range *r)
{
    const char *item;
    size_t n;
    struct js name, value;
    if (!list_next(accept, &item, &n))
        return false;
    *r = (struct range){ .type = item, .q = 1000 };
    while (r->n < n && !strchr("; \t", item[r->n]))
        r->n++;
    for (const char *p = item + r->n; param_next(&p, item + n, &name, &value);) {
        if (same(name, "q")) {
            r->q = weight(value.s, value.n);
        } else if (same(name, "version")) {
            r->version = number(value);
            if (!r->version) /* named, and none that there could be */
                r->version = -1;
            r->params++;
        } else if (same(name, "charset")) {
            r->charset_bad = !same(value, "utf-8") && !same(value, "utf8");
            r->params++;
        } /* others ask for what is not known here: the type alone decides */
    }
    return true;
}

/* How closely a range names `type` of API version `version`: 0 not at all, 1 for any, 2 for
 * type/any, 3 exactly, and more with parameters (RFC 9110 §12.5.1). */
static unsigned closeness(const struct range *r, const char *type, int64_t version)
{
    size_t main_n = (size_t)(strchr(type, '/') - type), type_n = strcspn(type, ";");
    if (r->charset_bad || (r->version && version >= 0 && r->version != version))
        return 0;
    if (r->n == 3 && !memcmp(r->type, "*/*", 3))
        return 1;
    if (r->n == main_n + 2 && !strncasecmp(r->type, type, main_n + 1) && r->type[r->n - 1] == '*')
        return 2;
    return r->n == type_n && !strncasecmp(r->type, type, r->n) ? 3 + r->params : 0;
}

size_t accept_best(const char *accept, const char *const *types, size_t n, int64_t version)
{
    unsigned close[accept_types_max] = { 0 };
    int q[accept_types_max] = { 0 }, top = 0;
    struct range r;
    assert(n <= accept_types_max);
    if (!accept || !accept[strspn(accept, ", \t")])
        return 0;
    while (range_next(&accept, &r)) {
        for (size_t i = 0; i < n && r.q >= 0; i++) {
            unsigned c = closeness(&r, types[i], version);
            if (c > close[i] || (c && c == close[i] && r.q > q[i])) {
                close[i] = c;
                q[i] = r.q;
            }
        }
    }
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (q[i] > top) {
            top = q[i];
            best = i;
        }
    }
    return best;
}

int64_t accept_version(const char *accept)
{
    struct range r;
    int64_t version = 0;
    int top = 0;
    while (accept && range_next(&accept, &r)) {
        if (r.version && r.q > top) {
            version = r.version;
            top = r.q;
        }
    }
    return version;
}

enum coding accept_coding(const char *accept, bool *ret_plain)
{
    int q[CODINGS_MAX_], rest = -1; /* -1: not named */
    const char *item;
    size_t n;
    *ret_plain = true;
    if (!accept)
        return CODING_IDENTITY;
    for (int i = 0; i < CODINGS_MAX_; i++)
        q[i] = -1;
    while (list_next(&accept, &item, &n)) {
        size_t name_n = 0;
        struct js name, value, coding;
        int w = 1000;
        while (name_n < n && !strchr("; \t", item[name_n]))
            name_n++;
        coding = (struct js){ item, name_n };
        for (const char *p = item + name_n; param_next(&p, item + n, &name, &value);) {
            if (same(name, "q"))
                w = weight(value.s, value.n);
        }
        if (w < 0)
            continue;
        if (same(coding, "*"))
            rest = w;
        for (int i = 0; i < CODINGS_MAX_; i++) {
            bool old = i == CODING_GZIP && same(coding, "x-gzip"); /* §8.4.1.3 */
            if ((old || same(coding, coding_name((enum coding)i))) && w > q[i])
                q[i] = w;
        }
    }
    /* What is not named goes by the star; identity, without one, is the last resort. */
    int plain = q[CODING_IDENTITY] >= 0 ? q[CODING_IDENTITY] : rest == 0 ? 0 : 1;
    enum coding best = CODING_IDENTITY;
    for (int i = CODING_IDENTITY + 1, top = 0; i < CODINGS_MAX_; i++) {
        int have = q[i] >= 0 ? q[i] : rest;
        if (have > top && have >= plain) {
            top = have;
            best = (enum coding)i;
        }
    }
    *ret_plain = plain > 0;
    return best;
}

const char *req_accept(const struct req *req, const char *const *types)
{
    size_t n = 0;
    while (types[n])
        n++;
    size_t i = accept_best(req_header(req, "Accept"), types, n, 0);
    return i < n ? types[i] : NULL;
}

/* "/api/v2/posts" -> 2; 0: the path has none. */
static int64_t path_version(const char *path)
{
    static const char api[] = "/api/v";
    if (!str_starts(path, api))
        return 0;
    const char *digits = path + sizeof(api) - 1;
    return number((struct js){ digits, strspn(digits, "0123456789") });
}

size_t route_types(const struct route *r, const char *ret[accept_types_max])
{
    size_t n = 0;
    if (!(r->flags & ROUTE_FORMS)) {
        ret[0] = r->produces ? r->produces : repr_types[REPR_JSON].type;
        return 1;
    }
    for (int i = 0; i < REPR_MAX_; i++) {
        if (i != REPR_CSV || r->flags & ROUTE_LIST)
            ret[n++] = repr_types[i].type;
    }
    return n;
}

int route_negotiate(struct call *c, struct err *err)
{
    const struct route *r = c->leaf->route;
    const char *accept = http_header(c->http, "Accept"), *types[accept_types_max];
    c->coding = (unsigned char)accept_coding(http_header(c->http, "Accept-Encoding"), &c->plain);
    if (!c->plain && c->coding == CODING_IDENTITY)
        return err_set(err, E_not_acceptable,
                       "The answer is there as it is, or coded by zstd or gzip.");
    /* The first type; or the handler chooses by req_accept; or another protocol has its own idea.
     */
    if (!accept || str_eq(accept, "*/*") || str_eq(r->produces, "*") || r->flags & ROUTE_FOREIGN)
        return 0;
    if (r->flags & ROUTE_EXPORT && r->method == POST) /* the file's form, which the handler reads */
        return 0;
    if (!r->produces && str_eq(accept, repr_types[REPR_JSON].type))
        return 0; /* what most say, without a look at more */
    size_t n = route_types(r, types);
    size_t best = accept_best(accept, types, n, path_version(r->path));
    if (best == n)
        return err_set(err, E_not_acceptable, "This resource is there as %s%s.", types[0],
                       n > 1 ? " and in other forms" : "");
    c->repr = (unsigned char)best;
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

const char *route_takes(const struct route *r)
{
    if (!(r->flags & ROUTE_MERGE))
        return "application/json";
    return r->flags & ROUTE_PATCHES
               ? "application/merge-patch+json, application/json-patch+json, application/json"
               : "application/merge-patch+json, application/json";
}

int route_media_type(struct call *c, struct err *err)
{
    const char *type = c->req.content_type;
    const char *coding = http_header(c->http, "Content-Encoding");
    size_t n = strcspn(type, "; \t");
    bool json = n == 16 && !strncasecmp(type, "application/json", n);
    bool merge = n == 28 && !strncasecmp(type, "application/merge-patch+json", n);
    bool patch = n == 27 && !strncasecmp(type, "application/json-patch+json", n);
    const unsigned flags = c->leaf->route->flags;
    if (coding && !str_ieq(coding, "identity")) {
        c->coded_body = true;
        return err_set(err, E_unsupported_media_type, "A body is sent without content coding.");
    }
    bool ok = json || (merge && flags & ROUTE_MERGE) || (patch && flags & ROUTE_PATCHES);
    if (!ok || !params_ok(type + n))
        return err_set(err, E_unsupported_media_type, "The body must be %s.",
                       route_takes(c->leaf->route));
    return 0;
}
