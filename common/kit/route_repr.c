/* The answer on its way out: another representation, a content coding, and the tag that tells them
 * apart.  An answer in JSON, as it is, passes by here without a byte touched. */
#include "common/kit/route_internal.h"

#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/kit/repr.h"
#include "common/kit/svc.h"
#include "common/kit/vis.h"

enum { repr_inline_bytes = 128 * 1024 }; /* of JSON: under 1 ms of a core */

static bool is_success(const struct res *res)
{
    return res->status >= 200 && res->status < 300 && res->body.len;
}

/* Data as text is worth coding; pictures are coded already.  Not pages, and nothing that may not be
 * kept: what reflects the request beside a secret tells it by its length (BREACH). */
static bool is_codable(const struct res *res)
{
    const char *type = res->content_type;
    bool text = !type || strstr(type, "json") || strstr(type, "xml") || strstr(type, "csv");
    return text && !(res->cache_control && strstr(res->cache_control, "no-store"));
}

/* Decided by the length of the handler's text, before another form is made of it: so the tag is
 * known, and a 304 said, without making either. */
static enum coding coding_of(const struct call *c)
{
    const struct res *res = &c->res;
    bool worth = res->body.len >= coding_bytes_min && is_codable(res);
    if (c->rt->ops || !is_success(res) || (c->plain && !worth))
        return CODING_IDENTITY;
    return (enum coding)c->coding;
}

void route_etag(struct call *c)
{
    struct res *res = &c->res;
    enum coding coding = coding_of(c);
    if (!is_success(res) || res->content_type)
        c->repr = REPR_JSON; /* or what the handler chose itself */
    const char *form = repr_types[c->repr].tag;
    c->coding = (unsigned char)coding;
    if (!res->etag || (!*form && coding == CODING_IDENTITY))
        return;
    size_t n = strlen(res->etag);
    res->etag = arena_printf(res->arena, "%.*s%s%s%s\"", (int)n - 1, res->etag, form,
                             coding == CODING_IDENTITY ? "" : "-",
                             coding == CODING_IDENTITY ? "" : coding_name(coding));
}

struct work {
    struct call *c;
    struct err *err;
    enum coding coding;
    int rc;
};

struct reader {
    const struct entity_def *e;
    enum vis_class vc;
};

static bool shown(const struct field_def *f, const void *ctx)
{
    const struct reader *r = ctx;
    return vis_field(r->e, f, r->vc, vis_varies(r->e, r->vc));
}

static void convert(struct work *w)
{
    struct call *c = w->c;
    const struct entity_def *e = c->leaf->route->entity;
    struct reader reader = { e, vis_class_of(e, &c->req.who) };
    struct repr_source src = { .entity = e,
                               .base = c->rt->public_url,
                               .fields = req_arg(&c->req, "fields"),
                               .shown = shown,
                               .ctx = &reader,
                               .json = js_of(c->res.body.data, c->res.body.len) };
    struct buf out;
    buf_init(&out, c->req.arena, c->res.body.len + c->res.body.len / 4 + 512, route_res_bytes_max);
    w->rc = repr_write((enum repr)c->repr, &src, &out, w->err);
    c->res.body = out;
    c->res.content_type = repr_types[c->repr].content_type;
}

static void run(void *p)
{
    struct work *w = p;
    struct buf *b = &w->c->res.body;
    if (w->c->repr != REPR_JSON)
        convert(w);
    if (!w->rc && w->coding != CODING_IDENTITY)
        w->rc =
            coding_encode(w->coding, w->c->req.arena, b->data, b->len, &b->data, &b->len, w->err);
}

int route_represent(struct call *c, struct err *err)
{
    struct res *res = &c->res;
    struct work w = { .c = c, .err = err, .coding = (enum coding)c->coding };
    if (c->repr == REPR_JSON && w.coding == CODING_IDENTITY)
        return 0;
    if (res->status == 304) { /* its length is not known without making it */
        c->unmade = true;
        return 0;
    }
    bool heavy = res->body.len > repr_inline_bytes ||
                 (w.coding != CODING_IDENTITY && res->body.len > coding_inline_bytes);
    struct err busy; /* the effect of a write stands: it is answered, if by this thread */
    if (!heavy || !c->rt->svc->workers || worker_run(c->rt->svc->workers, run, &w, &busy))
        run(&w);
    if (!w.rc && w.coding != CODING_IDENTITY)
        res_header(res, "Content-Encoding", coding_name(w.coding));
    return w.rc;
}
