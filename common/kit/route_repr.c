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

/* A write's tag is for the next If-Match, and a 412, which knows no length, has to tell the same.
 */
static bool is_tagged_write(const struct call *c)
{
    return c->res.etag && c->req.method != GET && c->req.method != HEAD;
}

/* Decided by the length of the handler's text, before another form is made of it: so the tag is
 * known, and a 304 decided, without making either. */
static enum coding coding_of(const struct call *c)
{
    const struct res *res = &c->res;
    bool worth = res->body.len >= coding_bytes_min && is_codable(res) && !is_tagged_write(c);
    if (c->rt->ops || !is_success(res) || (c->plain && !worth))
        return CODING_IDENTITY;
    return (enum coding)c->coding;
}

const char *route_tag(const struct call *c, const char *etag)
{
    const char *form = repr_types[c->repr].tag;
    enum coding coding = (enum coding)c->coding;
    if (!*form && coding == CODING_IDENTITY)
        return etag;
    return arena_printf(c->req.arena, "%.*s%s%s%s\"", (int)strlen(etag) - 1, etag, form,
                        coding == CODING_IDENTITY ? "" : "-",
                        coding == CODING_IDENTITY ? "" : coding_name(coding));
}

void route_etag(struct call *c)
{
    struct res *res = &c->res;
    if (!is_success(res) || res->content_type)
        c->repr = REPR_JSON; /* or what the handler chose itself */
    c->coding = (unsigned char)coding_of(c);
    if (res->etag)
        res->etag = route_tag(c, res->etag);
}

struct work {
    struct call *c;
    struct err *err;
    enum coding coding;
    int rc;
};

/* CSV has no place for meta.total; as without an envelope, it goes into the header. */
static void tell_total(struct call *c)
{
    struct res *res = &c->res;
    if (c->repr != REPR_CSV)
        return;
    struct js total = js_get(js_get(js_of(res->body.data, res->body.len), "meta"), "total");
    if (js_kind(total) == JS_NUMBER)
        res_header(res, "X-Total-Count", arena_strndup(res->arena, total.s, total.n));
}

static void convert(struct work *w)
{
    struct call *c = w->c;
    const struct entity_def *e = c->leaf->route->entity;
    struct repr_reader reader = { e, vis_class_of(e, &c->req.who) };
    struct repr_source src = { .entity = e,
                               .base = c->rt->public_url,
                               .fields = req_arg(&c->req, "fields"),
                               .shown = repr_shown,
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

/*
 * libmicrohttpd says Content-Length with every 304, so it has to be the 200's (RFC 9110 §8.6). That
 * of a form or coding is remembered, a word each, so that most 304 need not make what they do not
 * send.  A tag is strong: with the URL it stands for the bytes, hence for their number.
 */
static uint64_t *length_slot(const struct call *c, uint64_t *ret_mark)
{
    const char *const parts[] = { c->req.path, "?", c->req.raw_query, c->res.etag };
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a, then mixed */
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        for (const char *p = parts[i]; *p; p++)
            h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    }
    h = (h ^ h >> 31) * UINT64_C(0x9E3779B97F4A7C15);
    *ret_mark = h & ~(uint64_t)router_length_max;
    return &c->rt->lengths[(h ^ h >> 32) % router_lengths];
}

static bool length_known(const struct call *c, size_t *ret)
{
    uint64_t mark, *slot = length_slot(c, &mark);
    uint64_t seen = __atomic_load_n(slot, __ATOMIC_RELAXED);
    *ret = seen & router_length_max;
    return *ret && (seen & ~(uint64_t)router_length_max) == mark;
}

static void length_note(const struct call *c)
{
    uint64_t mark, *slot;
    if (!c->res.etag || c->res.body.len > router_length_max)
        return;
    slot = length_slot(c, &mark);
    __atomic_store_n(slot, mark | c->res.body.len, __ATOMIC_RELAXED);
}

int route_represent(struct call *c, struct err *err)
{
    struct res *res = &c->res;
    struct work w = { .c = c, .err = err, .coding = (enum coding)c->coding };
    if (res->stream || (c->repr == REPR_JSON && w.coding == CODING_IDENTITY))
        return 0;
    tell_total(c);
    if (res->status == 304 && res->etag && !c->kept.wanted && !c->req.svc->sandboxed &&
        length_known(c, &c->unsent))
        return 0;
    bool heavy = res->body.len > repr_inline_bytes ||
                 (w.coding != CODING_IDENTITY && res->body.len > coding_inline_bytes);
    struct err busy; /* the effect of a write stands: it is answered, if by this thread */
    if (!heavy || !c->rt->svc->workers || worker_run(c->rt->svc->workers, run, &w, &busy))
        run(&w);
    if (!w.rc && w.coding != CODING_IDENTITY && res->status != 304)
        res_header(res, "Content-Encoding", coding_name(w.coding));
    if (!w.rc && !c->req.svc->sandboxed) /* another one's row may have the same tag */
        length_note(c);
    return w.rc;
}
