#define _GNU_SOURCE /* strchrnul */
#include "common/kit/route_internal.h"

#include "common/base/str.h"

#include <assert.h>

/*
 * Templates become a tree of segments.  A node's literal children are tried before its patterns,
 * and those from the longest fixed text to the shortest, so order in the tables does not matter.
 */
struct seg {
    const char *text; /* a literal, or what stands before {name} */
    size_t len;
    const char *tail; /* what stands after it */
    size_t tail_len;
    bool param;
    struct node *node;
};
struct node {
    struct seg *lit, *pat;
    size_t nlit, npat;
    unsigned allowed;
    struct route_leaf *leaf[METHODS_MAX_];
};
struct routes {
    struct arena *arena;
    struct node root;
};

const char *method_name(enum method m)
{
    static const char *const names[METHODS_MAX_] = { "GET",   "HEAD",   "POST",   "PUT",
                                                     "PATCH", "DELETE", "OPTIONS" };
    assert(m < METHODS_MAX_);
    return names[m];
}

static int bad_template(const struct route *r, const char *why, struct err *err)
{
    return err_set(err, E_config, "route %s %s: %s", method_name(r->method), r->path, why);
}

static bool seg_same(const struct seg *a, const struct seg *b)
{
    return a->param == b->param && a->len == b->len && a->tail_len == b->tail_len &&
           !memcmp(a->text, b->text, a->len) &&
           (!a->tail_len || !memcmp(a->tail, b->tail, a->tail_len));
}

/* The child for this segment, made if it is new; patterns are kept most specific first. */
static struct node *child(struct arena *a, struct node *n, const struct seg *s)
{
    struct seg **list = s->param ? &n->pat : &n->lit;
    size_t *count = s->param ? &n->npat : &n->nlit, at = *count;
    for (size_t i = 0; i < *count; i++) {
        if (seg_same(&(*list)[i], s))
            return (*list)[i].node;
    }
    struct seg *grown = arena_alloc(a, (*count + 1) * sizeof *grown);
    while (at && s->param && (*list)[at - 1].len + (*list)[at - 1].tail_len < s->len + s->tail_len)
        at--;
    if (at)
        memcpy(grown, *list, at * sizeof *grown);
    if (at < *count)
        memcpy(grown + at + 1, *list + at, (*count - at) * sizeof *grown);
    grown[at] = *s;
    grown[at].node = arena_alloc(a, sizeof *grown[at].node);
    *list = grown;
    *count += 1;
    return grown[at].node;
}

static int add(struct routes *rs, const struct route *r, struct err *err)
{
    struct node *n = &rs->root;
    const char *p = r->path;
    size_t params = 0;
    if (*p != '/')
        return bad_template(r, "does not begin with /", err);
    while (*p == '/' && p[1]) {
        const char *begin = p + 1, *end = strchrnul(begin, '/');
        const char *open = memchr(begin, '{', (size_t)(end - begin));
        const char *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
        if (begin == end || !open != !close)
            return bad_template(r, "has a bad segment", err);
        struct seg s = { .text = begin, .len = (size_t)((open ? open : end) - begin) };
        if (open) {
            s.param = true;
            s.tail = close + 1;
            s.tail_len = (size_t)(end - s.tail);
            if (++params > route_params_max)
                return bad_template(r, "has too many parameters", err);
        }
        n = child(rs->arena, n, &s);
        p = end;
    }
    if (n->leaf[r->method])
        return bad_template(r, "is there twice", err);
    n->leaf[r->method] = arena_alloc(rs->arena, sizeof *n->leaf[r->method]);
    n->leaf[r->method]->route = r;
    n->leaf[r->method]->scope = r->scope ? scope_find(r->scope) : -1;
    if (r->scope && n->leaf[r->method]->scope < 0)
        return bad_template(r, "has an unknown scope", err);
    n->leaf[r->method]->deprecated = r->deprecated ? deprecation_find(r->deprecated) : -1;
    if (r->deprecated && n->leaf[r->method]->deprecated < 0)
        return bad_template(r, "is deprecated by an unknown name", err);
    n->allowed |= 1U << r->method | (r->method == GET ? 1U << HEAD : 0) | 1U << OPTIONS;
    return 0;
}

static struct routes *build(struct arena *a, const struct route *const *tables, int internal,
                            struct err *err)
{
    struct routes *rs = arena_alloc(a, sizeof *rs);
    rs->arena = a;
    for (size_t t = 0; tables && tables[t]; t++) {
        for (const struct route *r = tables[t]; r->path; r++) {
            if (internal >= 0 && !(r->flags & ROUTE_INTERNAL) != !internal)
                continue;
            if (add(rs, r, err))
                return NULL;
        }
    }
    return rs;
}

struct routes *routes_build(struct arena *a, const struct route *const *tables, bool internal,
                            struct err *err)
{
    return build(a, tables, internal, err);
}

struct routes *routes_new(struct arena *a, const struct route *const *tables, struct err *err)
{
    return build(a, tables, -1, err);
}

/* --- matching ------------------------------------------------------------------------------------
 */

struct walk {
    const char *seg[route_segments_max]; /* decoded */
    size_t len[route_segments_max], n;
    const struct seg *via[route_segments_max];
};

/* Splits at "/" and decodes.  An empty segment ("//", a trailing "/"), "." and ".." match nothing:
 * no two spellings of a path reach one resource but for the escapes. */
static bool split(struct walk *w, struct arena *a, const char *path)
{
    if (*path++ != '/')
        return false;
    while (*path || w->n) {
        const char *end = strchrnul(path, '/');
        size_t len = (size_t)(end - path);
        if (!len || w->n == route_segments_max)
            return false;
        const char *text = path;
        if (memchr(path, '%', len)) {
            char *decoded;
            if (!url_decode(a, path, len, false, &decoded))
                return false;
            text = decoded;
            len = strlen(decoded);
        } else if (!str_utf8_ok(path, len)) {
            return false;
        }
        if (len == 0 || (text[0] == '.' && (len == 1 || (len == 2 && text[1] == '.'))))
            return false;
        w->seg[w->n] = text;
        w->len[w->n++] = len;
        if (!*end)
            break;
        path = end + 1;
    }
    return true;
}

static const struct node *descend(struct walk *w, const struct node *n, size_t i)
{
    if (i == w->n)
        return n->allowed ? n : NULL;
    const char *s = w->seg[i];
    size_t len = w->len[i];
    for (size_t k = 0; k < n->nlit; k++) {
        const struct seg *c = &n->lit[k];
        if (c->len == len && !memcmp(c->text, s, len)) {
            w->via[i] = c;
            const struct node *hit = descend(w, c->node, i + 1);
            if (hit)
                return hit;
            break;
        }
    }
    for (size_t k = 0; k < n->npat; k++) {
        const struct seg *c = &n->pat[k];
        if (len <= c->len + c->tail_len || memcmp(s, c->text, c->len) ||
            (c->tail_len && memcmp(s + len - c->tail_len, c->tail, c->tail_len)))
            continue;
        w->via[i] = c;
        const struct node *hit = descend(w, c->node, i + 1);
        if (hit)
            return hit;
    }
    return NULL;
}

struct route_leaf *routes_find(const struct routes *r, struct arena *a, enum method m,
                               const char *path, const char **params, unsigned *ret_allowed)
{
    struct walk w = { .n = 0 };
    *ret_allowed = 0;
    if (!split(&w, a, path))
        return NULL;
    const struct node *n = descend(&w, &r->root, 0);
    if (!n)
        return NULL;
    *ret_allowed = n->allowed;
    struct route_leaf *leaf = m < METHODS_MAX_ ? n->leaf[m] : NULL;
    if (!leaf && m == HEAD)
        leaf = n->leaf[GET];
    if (!leaf)
        return NULL;
    for (size_t i = 0, p = 0; i < w.n; i++) {
        const struct seg *s = w.via[i];
        if (s->param)
            params[p++] = arena_strndup(a, w.seg[i] + s->len, w.len[i] - s->len - s->tail_len);
    }
    return leaf;
}

const struct route *routes_match(const struct routes *r, struct arena *a, enum method m,
                                 const char *path, const char **params, unsigned *ret_allowed)
{
    const struct route_leaf *leaf = routes_find(r, a, m, path, params, ret_allowed);
    return leaf ? leaf->route : NULL;
}
