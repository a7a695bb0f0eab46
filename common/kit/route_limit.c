/* The phase that takes units for a request, and says how many are left. */
#include "common/kit/limit.h"
#include "common/kit/route_internal.h"
#include "common/kit/svc.h"

#include "common/base/clock.h"

int route_limit_class(const struct route *r)
{
    bool free = r->flags & ROUTE_INTERNAL || (r->flags & ROUTE_FOREIGN && r->limit == LIMIT_API);
    return free ? LIMIT_NONE : r->limit;
}

int route_limit(struct call *c, struct err *err)
{
    struct limits *l = c->rt->svc->limits;
    int cls = route_limit_class(c->leaf->route);
    if (!l || cls == LIMIT_NONE)
        return 0;
    const struct limit_request ask = { .cls = (enum limit_class)cls,
                                       .cost = c->leaf->route->cost,
                                       .who = &c->req.who,
                                       .addr = c->req.client_addr };
    int rc = limits_take(l, c->req.arena, &ask, &c->limits, err);
    c->limits.refused = rc == -E_rate_limited || rc == -E_quota_exceeded ? c->limits.refused : -1;
    return rc;
}

/* RateLimit fields of every answer to a request that is limited; X-RateLimit-* says the same of the
 * first policy for those who know nothing else. */
void route_limit_headers(const struct call *c, struct http_res *out)
{
    const struct limit_answer *x = &c->limits;
    struct arena *a = c->req.arena;
    if (!x->n)
        return;
    const struct limit_state *s = &x->states[x->refused >= 0 ? x->refused : 0];
    int64_t reset = c->req.now_us / 1000000 + s->reset_s;
    http_res_header(out, "RateLimit-Policy", limit_policy_header(a, x));
    http_res_header(out, "RateLimit", limit_header(a, x));
    http_res_header(out, "X-RateLimit-Limit", arena_printf(a, "%lld", (long long)s->limit));
    http_res_header(out, "X-RateLimit-Remaining", arena_printf(a, "%lld", (long long)s->remaining));
    http_res_header(out, "X-RateLimit-Reset", arena_printf(a, "%lld", (long long)reset));
}

/* The draft's extension member of a refusal (draft-ietf-httpapi-ratelimit-headers-10 §7). */
void route_limit_problem(const struct call *c, struct buf *b)
{
    const struct limit_answer *x = &c->limits;
    if (x->n && x->refused >= 0)
        buf_printf(b, ",\"violated-policies\":[\"%s\"]",
                   limit_policy_name(x->states[x->refused].policy));
}
