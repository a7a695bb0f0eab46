#include "common/kit/route_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"

struct tag {
    const char *text; /* with quotes, without W/ */
    size_t n;
    bool weak;
};

/* etagc of RFC 9110 §8.8.3: visible characters but the quote, and what is not ASCII. */
static bool is_etagc(char ch)
{
    unsigned char c = (unsigned char)ch;
    return c == 0x21 || (c >= 0x23 && c != 0x7f);
}

/* The next entity tag of a list (RFC 9110 §8.8.3, §5.6.1).  False at its end, or with *bad set. */
static bool tag_next(const char **s, struct tag *t, bool *bad)
{
    const char *p = *s + strspn(*s, ", \t");
    if (!*p)
        return false;
    t->weak = p[0] == 'W' && p[1] == '/';
    if (t->weak)
        p += 2;
    const char *end = p + 1;
    while (*p == '"' && is_etagc(*end))
        end++;
    const char *next = *p == '"' && *end == '"' ? end + 1 : NULL;
    if (next)
        next += strspn(next, " \t");
    if (!next || (*next && *next != ',')) {
        *bad = true;
        return false;
    }
    t->text = p;
    t->n = (size_t)(end + 1 - p);
    *s = next;
    return true;
}

static bool is_any(const char *s)
{
    s += strspn(s, " \t");
    return *s == '*' && !s[1 + strspn(s + 1, " \t")];
}

/* "12.9f3c" -> 12: what a write compares (rulings.md 20). */
static bool tag_version(const struct tag *t, int64_t *ret)
{
    int64_t v = 0;
    size_t i = 1;
    for (; i + 1 < t->n && t->text[i] >= '0' && t->text[i] <= '9'; i++) {
        if (v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (t->text[i] - '0');
    }
    if (i == 1 || (t->text[i] != '"' && t->text[i] != '.'))
        return false;
    *ret = v;
    return true;
}

static bool list_has(const char *list, const char *etag, bool weak_too)
{
    struct tag t;
    bool bad = false; /* it was read before: route_conditions */
    size_t n = strlen(etag);
    while (tag_next(&list, &t, &bad)) {
        if (t.n == n && !memcmp(t.text, etag, n) && (weak_too || !t.weak))
            return true;
    }
    return false;
}

/* A condition that cannot be read neither holds nor fails: whatever the method, and whether the
 * resource is there or not, it is refused before anything is done. */
int route_conditions(struct call *c, struct err *err)
{
    static const char *const names[] = { "If-Match", "If-None-Match" };
    bool read = c->req.method == GET || c->req.method == HEAD;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *s = http_header(c->http, names[i]);
        struct tag t;
        bool bad = false;
        size_t n = 0;
        if (!s || is_any(s))
            continue;
        while (tag_next(&s, &t, &bad))
            n++;
        if (bad)
            return err_at(err, E_invalid, names[i],
                          "%s is \"*\" or a list of entity tags in quotes.", names[i]);
        if (!read && n > condition_tags_max)
            return err_at(err, E_invalid, names[i], "%s of a write has %d entity tags at most.",
                          names[i], condition_tags_max);
    }
    return 0;
}

bool etag_versions(const char *s, bool *ret_any, int64_t *ret_versions, size_t max, size_t *ret_n)
{
    struct tag t;
    bool bad = false;
    int64_t v;
    *ret_n = 0;
    *ret_any = is_any(s);
    while (!*ret_any && tag_next(&s, &t, &bad)) {
        if (t.weak ||
            !tag_version(&t, &v)) /* strong comparison: a weak one is no match (§8.8.3.2) */
            continue;
        if (*ret_n == max)
            return false;
        ret_versions[(*ret_n)++] = v;
    }
    return !bad;
}

bool req_if_match_version(const struct req *req, bool *ret_any, int64_t *ret_versions, size_t max,
                          size_t *ret_n)
{
    const char *s = req_header(req, "If-Match");
    *ret_any = false;
    *ret_n = 0;
    if (s)
        (void)etag_versions(s, ret_any, ret_versions, max, ret_n);
    return s;
}

static bool versions_have(const char *list, int64_t version, bool weak_too)
{
    struct tag t;
    bool bad = false;
    int64_t v;
    while (tag_next(&list, &t, &bad)) {
        if ((weak_too || !t.weak) && tag_version(&t, &v) && v == version)
            return true;
    }
    return false;
}

int req_precondition(const struct req *req, int64_t version, struct err *err)
{
    const char *match = req_header(req, "If-Match"), *none = req_header(req, "If-None-Match");
    if (match && !is_any(match) && !versions_have(match, version, false))
        return err_set(err, E_precondition_failed, "The resource is at another version.");
    if (none && (is_any(none) || versions_have(none, version, true)))
        return err_set(err, E_precondition_failed, "The resource is there.");
    return 0;
}

/* If-Match, else If-Unmodified-Since, on a read (RFC 9110 §13.2.2 steps 1 and 2). */
static int must_match(const struct call *c, struct err *err)
{
    const struct res *res = &c->res;
    const char *match = http_header(c->http, "If-Match");
    const char *since = http_header(c->http, "If-Unmodified-Since");
    int64_t s;
    bool ok = true;
    if (match)
        ok = is_any(match) || (res->etag && list_has(match, res->etag, false));
    else if (since && res->modified_s && http_date_parse(since, &s))
        ok = res->modified_s <= s;
    return ok ? 0
              : err_set(err, E_precondition_failed, "The representation is not the one expected.");
}

int route_conditional(struct call *c, struct err *err)
{
    route_etag(c);
    return route_condition(c, err);
}

int route_condition(struct call *c, struct err *err)
{
    struct res *res = &c->res;
    if (c->req.method != GET && c->req.method != HEAD)
        return 0;
    if (res->status != 200 || (!res->etag && !res->modified_s))
        return 0;
    int rc = must_match(c, err);
    if (rc)
        return rc;
    const char *none = http_header(c->http, "If-None-Match");
    const char *since = http_header(c->http, "If-Modified-Since");
    int64_t s;
    bool same = false;
    if (none)
        same = is_any(none) || (res->etag && list_has(none, res->etag, true));
    else if (since && res->modified_s && http_date_parse(since, &s))
        same = res->modified_s <= s;
    if (same)
        res->status = 304; /* the body stays: it is not sent, but its length is told */
    return 0;
}
