#define _GNU_SOURCE /* strcasestr */
/* Answers that are kept: looked for after everything that may refuse the request, and before its
 * query is even split; put away once they have the form in which they are sent.  A hit never parks
 * (rulings.md 2) and copies nothing: the arena of the request holds the entry until it is sent. */
#include "common/kit/route_internal.h"

#include "common/base/str.h"
#include "common/kit/svc.h"

/* RFC 9211 §2 */
static const char *const statuses[RCACHE_RESULTS_MAX_] = {
    [RCACHE_HIT] = "cms365; hit",
    [RCACHE_MISS] = "cms365; fwd=miss",
    [RCACHE_STALE] = "cms365; fwd=stale",
    [RCACHE_BYPASS] = "cms365; fwd=bypass",
};
static const char stored_miss[] = "cms365; fwd=miss; stored";
static const char stored_stale[] = "cms365; fwd=stale; stored";

static const char asked_past[] = "cms365; fwd=request";

/* RFC 9111 §5.2.1: the client wants to know it from the source. */
static bool asks_past(const struct call *c)
{
    const char *s = http_header(c->http, "Cache-Control");
    return s && (strcasestr(s, "no-cache") || strcasestr(s, "no-store"));
}

static bool is_read(const struct call *c)
{
    return c->req.method == GET || c->req.method == HEAD;
}

/* All that decides an answer's bytes: the row, the address, the form and coding, and what the
 * reader may see.  `uid` 0: for whoever reads alike. */
static bool make_key(struct call *c, int64_t uid, struct rcache_key *ret)
{
    const struct principal *who = &c->req.who;
    const struct {
        const struct route *route;
        int64_t uid;
        scope_set scopes;
        uint32_t role;
        unsigned char repr, coding, plain, credential;
    } head = { c->leaf->route, uid,       who->scopes, (uint32_t)who->role,
               c->repr,        c->coding, c->plain,    c->credential };
    size_t path = strlen(c->req.path), query = strlen(c->req.raw_query);
    if (path + query > rcache_key_bytes_max)
        return false;
    char *p = arena_raw(c->req.arena, sizeof(head) + path + query + 1);
    memcpy(p, &head, sizeof(head));
    memcpy(p + sizeof(head), c->req.path, path);
    p[sizeof(head) + path] = '?';
    memcpy(p + sizeof(head) + path + 1, c->req.raw_query, query);
    *ret = (struct rcache_key){ p, sizeof(head) + path + 1 + query };
    return true;
}

static void take(struct call *c, struct rcache_entry *e)
{
    const struct rcache_answer *a = rcache_answer(e);
    struct res *res = &c->res;
    arena_defer(c->req.arena, rcache_release, e);
    union { /* nobody writes into a body that is there */
        const char *in;
        char *out;
    } body = { a->body };
    res->status = 200;
    res->body = (struct buf){ .arena = c->req.arena, .data = body.out, .len = a->body_n };
    res->content_type = a->content_type;
    res->etag = a->etag;
    res->modified_s = a->modified_s;
    res->cache_control = a->cache_control;
    res->link = a->link;
    for (size_t i = 0; i < a->nextra; i++)
        res_header(res, a->extra[i].name, a->extra[i].value);
}

int route_recall(struct call *c, struct err *err)
{
    struct rcache *cache = c->req.svc->rcache;
    struct rcache_entry *e;
    if (!cache || !is_read(c) || !(c->leaf->route->flags & ROUTE_CACHED) || c->http->body_n)
        return 0;
    c->kept.nextra = c->res.nextra;
    if (asks_past(c)) {
        c->kept.status = asked_past;
        return 0;
    }
    if (!make_key(c, 0, &c->kept.keys[0]))
        return 0;
    c->kept.nkeys = 1;
    if (c->req.who.user_id && make_key(c, c->req.who.user_id, &c->kept.keys[1]))
        c->kept.nkeys++;
    enum rcache_result found = rcache_find(cache, c->kept.keys, c->kept.nkeys, &e, &c->kept.wanted);
    c->kept.status = statuses[found];
    if (found == RCACHE_HIT) {
        take(c, e);
        int rc = route_condition(c, err);
        if (!rc && c->res.status != 304 && rcache_answer(e)->coding)
            res_header(&c->res, "Content-Encoding", rcache_answer(e)->coding);
        c->answered = true;
        return rc;
    }
    if (c->kept.wanted) {
        rcache_begin(cache, &c->kept.made);
        c->req.made = &c->kept.made;
    }
    return 0;
}

int route_keep(struct call *c, struct err *err)
{
    const struct res *res = &c->res;
    const struct rcache_made *m = &c->kept.made;
    struct rcache_answer a = { .body = res->body.data,
                               .body_n = res->body.len,
                               .content_type = res->content_type,
                               .etag = res->etag,
                               .cache_control = res->cache_control,
                               .link = res->link,
                               .modified_s = res->modified_s };
    (void)err;
    if (!c->kept.wanted || !m->said || (res->status != 200 && res->status != 304) || c->unsent ||
        !res->body.len)
        return 0;
    for (size_t i = c->kept.nextra; i < res->nextra; i++) {
        if (str_eq(res->extra[i].name, "Content-Encoding"))
            continue; /* told with a 304 it is not */
        a.extra[a.nextra].name = res->extra[i].name;
        a.extra[a.nextra++].value = res->extra[i].value;
    }
    if (c->coding != CODING_IDENTITY)
        a.coding = coding_name((enum coding)c->coding);
    const struct rcache_key *key = &c->kept.keys[m->personal ? 1 : 0];
    if (m->personal && c->kept.nkeys < 2)
        return 0;
    if (rcache_put(c->req.svc->rcache, key, m, &a))
        c->kept.status = c->kept.status == statuses[RCACHE_STALE] ? stored_stale : stored_miss;
    return 0;
}
