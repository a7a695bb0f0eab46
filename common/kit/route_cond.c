#include "common/kit/route_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"

struct tag {
    const char *text; /* with quotes, without W/ */
    size_t n;
    bool weak;
};

/* The next entity tag of a list (RFC 9110 §8.8.3).  False at its end, or with *bad set. */
static bool tag_next(const char **s, struct tag *t, bool *bad)
{
    const char *p = *s + strspn(*s, ", \t");
    if (!*p)
        return false;
    t->weak = p[0] == 'W' && p[1] == '/';
    if (t->weak)
        p += 2;
    const char *end = *p == '"' ? strchr(p + 1, '"') : NULL;
    if (!end || !strchr(", \t", end[1])) {
        *bad = true;
        return false;
    }
    t->text = p;
    t->n = (size_t)(end + 1 - p);
    *s = end + 1;
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

static bool list_has(const char *list, const char *etag, bool weak_too, bool *bad)
{
    struct tag t;
    size_t n = strlen(etag);
    while (tag_next(&list, &t, bad)) {
        if (t.n == n && !memcmp(t.text, etag, n) && (weak_too || !t.weak))
            return true;
    }
    return false;
}

static int malformed(const char *header, struct err *err)
{
    return err_at(err, E_invalid, header, "%s is \"*\" or a list of entity tags in quotes.",
                  header);
}

bool etag_versions(const char *s, bool *ret_any, int64_t *ret_versions, size_t max, size_t *ret_n)
{
    struct tag t;
    bool bad = false;
    int64_t v;
    *ret_n = 0;
    *ret_any = is_any(s);
    while (!*ret_any && *ret_n < max && tag_next(&s, &t, &bad)) {
        if (!t.weak && tag_version(&t, &v))
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

static int if_match_version(const char *s, int64_t version, struct err *err)
{
    struct tag t;
    bool bad = false, hit = is_any(s);
    int64_t v;
    if (hit)
        return 0;
    while (tag_next(&s, &t, &bad))
        hit |= !t.weak && tag_version(&t, &v) && v == version;
    if (bad)
        return malformed("If-Match", err);
    return hit ? 0 : err_set(err, E_precondition_failed, "The resource is at another version.");
}

int req_precondition(const struct req *req, int64_t version, struct err *err)
{
    const char *match = req_header(req, "If-Match"), *none = req_header(req, "If-None-Match");
    struct tag t;
    bool bad = false, hit;
    int64_t v;
    int rc = match ? if_match_version(match, version, err) : 0;
    if (rc || !none)
        return rc;
    hit = is_any(none);
    while (!hit && tag_next(&none, &t, &bad))
        hit = tag_version(&t, &v) && v == version;
    if (bad)
        return malformed("If-None-Match", err);
    return hit ? err_set(err, E_precondition_failed, "The resource is there.") : 0;
}

/* If-Match, else If-Unmodified-Since, on a read (RFC 9110 §13.2.2 steps 1 and 2). */
static int must_match(const struct call *c, struct err *err)
{
    const struct res *res = &c->res;
    const char *match = http_header(c->http, "If-Match");
    const char *since = http_header(c->http, "If-Unmodified-Since");
    int64_t s;
    bool bad = false, ok = true;
    if (match)
        ok = is_any(match) || (res->etag && list_has(match, res->etag, false, &bad));
    else if (since && res->modified_s && http_date_parse(since, &s))
        ok = res->modified_s <= s;
    if (bad)
        return malformed("If-Match", err);
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
    bool bad = false, same = false;
    if (none)
        same = is_any(none) || (res->etag && list_has(none, res->etag, true, &bad));
    else if (since && res->modified_s && http_date_parse(since, &s))
        same = res->modified_s <= s;
    if (same && !bad)
        res->status = 304; /* the body stays: it is not sent, but its length is told */
    return 0;
}
