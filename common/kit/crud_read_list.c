/* GET list. */
#include "common/kit/crud_int.h"

#include "common/base/str.h"
#include "common/kit/rcache.h"
#include "common/kit/svc.h"

#include <assert.h>

enum {
    link_bytes_max = 32 * 1024,
    link_rel_bytes = sizeof(", <>; rel=\"first\""),
    link_header_bytes_max = 6 * 1024, /* what does not fit is in the body only */
    near_rows = 300, /* that a list may walk on the connection that all quick reads share */
    etag_bytes_max = 64 * 1024, /* of ids and versions; if they are more, the body is hashed */
};

struct list {
    struct req *req;
    const struct crud *c;
    const struct crud_blocks *blocks; /* or NULL */
    enum vis_class vc;
    struct query q;
    struct query_scope scope; /* of its cursors */
    const struct rowplan *plan;
    struct sqlgen_text text; /* of a composed one */
    struct db_rows *rows;
    size_t n;      /* rows on the page */
    bool more;     /* there are others behind them, in the direction that was walked */
    int64_t total; /* -1: not counted */
    bool estimated;
    struct crud_shared shared;
    const char *next, *prev; /* cursors, or NULL */
    struct buf link_start;   /* what all links begin with, once there is one */
};

static bool in_own_order(const struct list *l)
{
    const struct query *q = &l->q, *own = &l->c->reads[l->vc].query;
    if (q->nsort != own->nsort)
        return false;
    for (size_t i = 0; i < q->nsort; i++)
        if (q->sort[i].field != own->sort[i].field || q->sort[i].desc != own->sort[i].desc)
            return false;
    return true;
}

/* A composed text that is as quick as the first page: a few rows further down its index. */
static bool is_near(const struct list *l)
{
    const struct query *q = &l->q;
    return l->c->prepared && l->c->reads[l->vc].page[0][0].flags & DB_FAST && !l->blocks &&
           !q->ntests && !q->place.set && q->offset + q->limit <= near_rows && in_own_order(l);
}

/* The precomposed statement of the first page, if the query is that. */
static const struct db_stmt *first_page(const struct list *l, bool total)
{
    const struct query *q = &l->q;
    if (!l->c->prepared || q->fields_given || q->offset || q->paging == PAGING_CURSOR ||
        q->limit != query_per_page_default || q->ntests > 1 || !in_own_order(l))
        return NULL;
    const struct query_node *status = query_only(q, "status");
    if (q->ntests && !(status && str_eq(status->v[0].text, sqlgen_public_status(l->c->e))))
        return NULL;
    const struct db_stmt *s = &l->c->reads[l->vc].page[status != NULL][total];
    return s->sql ? s : NULL;
}

static int run(struct list *l, const struct query *q, unsigned extra, struct err *err)
{
    struct req *req = l->req;
    struct db_stmt once = { .flags = DB_ONCE | (is_near(l) ? DB_FAST : 0u) };
    sqlgen_list(req->arena, &(struct sqlgen_who){ l->c->e, l->vc, req->who.user_id }, q, extra,
                &l->text);
    l->plan = &l->text.plan;
    once.sql = l->text.sql;
    return db_query(req->svc->db, req->arena, &once, l->text.params, l->text.nparams, &l->rows,
                    err);
}

static struct query_place place_of(const struct list *l, size_t row)
{
    struct query_place p = { .set = true };
    for (size_t i = 0; i < l->q.nsort; i++)
        p.keys[i] = db_str(l->rows, row, (size_t)l->plan->keys + i);
    return p;
}

/* A page far behind: from a place that was found before, if nothing was written since; else by
 * skipping, and its place and that of the next page are kept. */
static int run_deep(struct list *l, unsigned extra, struct err *err)
{
    struct crud_anchor at = { .scope = l->scope, .q = &l->q };
    struct query_place place;
    const char *snapshot;
    extra |= SQLX_SNAPSHOT | SQLX_KEYS;
    if (l->c->e->visibility != VIS_ACTIVE && l->vc != VC_ALL && l->vc != VC_ADMIN)
        at.second = l->req->now_us / 1000000;
    else if (l->q.ntests) /* a filter may look at rows that become due */
        at.second = l->req->now_us / 1000000;
    if (crud_anchor_find(l->req, l->c, &at, &place, &snapshot)) {
        struct query near = l->q;
        near.place = place;
        near.offset = 0;
        int rc = run(l, &near, extra, err);
        if (rc < 0 ||
            (db_nrows(l->rows) && str_eq(db_str(l->rows, 0, (size_t)l->plan->snapshot), snapshot)))
            return rc;
    }
    int rc = run(l, &l->q, extra, err);
    size_t limit = (size_t)l->q.limit;
    for (size_t row = 0; rc >= 0 && row <= limit && row < db_nrows(l->rows); row += limit) {
        place = place_of(l, row);
        place.inclusive = true;
        crud_anchor_keep(l->req, l->c, &at, l->q.offset + (int64_t)row, &place,
                         db_str(l->rows, 0, (size_t)l->plan->snapshot));
    }
    return rc;
}

static int run_blocks(struct list *l, unsigned extra, struct err *err)
{
    bool all = false;
    int rc;
    for (unsigned attempt = 0;; attempt++) {
        rc = l->blocks->within(l->req, &l->q, attempt, l->blocks->ctx, &all, err);
        if (rc >= 0)
            rc = run(l, &l->q, extra, err);
        if (rc < 0 || all || db_nrows(l->rows) > (size_t)l->q.limit)
            return rc;
    }
}

static int fetch(struct list *l, struct err *err)
{
    struct req *req = l->req;
    const struct entity_def *e = l->c->e;
    bool total =
        l->q.count != COUNT_NONE && l->c->flags & CRUD_COUNTS && sqlgen_has_total(e, l->vc, &l->q);
    const struct db_stmt *s = first_page(l, total);
    struct db_val v[1];
    size_t nv = 0;
    int rc;
    if (s && total && !vis_uses_uid(e, l->vc) && crud_share_total(req->svc->db, s, &l->shared)) {
        total = false;
        s = first_page(l, total);
    }
    if (s) {
        l->plan = total ? &l->c->reads[l->vc].plan_total : &l->c->reads[l->vc].plan;
        if (vis_uses_uid(e, l->vc))
            v[nv++] = db_i64(req->who.user_id);
        rc = db_query(req->svc->db, req->arena, s, v, nv, &l->rows, err);
    } else {
        unsigned extra = total ? SQLX_TOTAL : l->q.count == COUNT_EXACT ? SQLX_SNAPSHOT : 0u;
        bool deep = l->c->anchors && l->q.offset >= sqlgen_deep_offset;
        rc = l->blocks ? run_blocks(l, extra, err)
             : deep    ? run_deep(l, extra, err)
                       : run(l, &l->q, extra, err);
    }
    if (rc < 0)
        return rc;
    l->n = db_nrows(l->rows);
    if (total && l->n)
        crud_tell_total(&l->shared, db_get_i64(l->rows, 0, (size_t)l->plan->total));
    l->more = l->n > (size_t)l->q.limit;
    l->n -= l->more;
    return 0;
}

static int count(struct list *l, struct err *err)
{
    struct crud_total t = { .c = l->c, .q = &l->q };
    l->total = -1;
    if (l->q.count == COUNT_NONE)
        return 0;
    bool whole = l->q.paging != PAGING_CURSOR || !l->q.place.set; /* what came before is known */
    if (!l->more && whole && (l->n || !l->q.offset)) {            /* the last page says it itself */
        l->total = l->q.offset + (int64_t)l->n;
        return 0;
    }
    if (l->plan->total >= 0 && l->n) {
        l->total = db_get_i64(l->rows, 0, (size_t)l->plan->total);
        return 0;
    }
    l->total = crud_shared_total(&l->shared);
    if (l->total > l->q.offset + (int64_t)l->n) /* this page's next row among them */
        return 0;
    if (l->plan->snapshot >= 0 && l->n)
        t.snapshot = db_str(l->rows, 0, (size_t)l->plan->snapshot);
    int rc = crud_count(l->req, &t, err);
    l->total = t.n;
    l->estimated = t.estimated;
    return rc;
}

/* The row that is shown at position i: backwards they come the other way round. */
static size_t row_at(const struct list *l, size_t i)
{
    return l->q.place.back ? l->n - 1 - i : i;
}

/* --- cursors --- */

static int cursor_at(struct list *l, size_t row, bool back, const char **ret, struct err *err)
{
    struct query_place p = place_of(l, row);
    p.back = back;
    return query_make_cursor(l->req->arena, &l->scope, &l->q, &p, ret, err);
}

/* Nothing is left where the cursor led: the way back begins with the row that it was made of. */
static int turn_round(struct list *l, struct err *err)
{
    struct query_place p = l->q.place;
    if (!p.set)
        return 0;
    p.back = !p.back;
    p.inclusive = !p.inclusive;
    return query_make_cursor(l->req->arena, &l->scope, &l->q, &p, p.back ? &l->prev : &l->next,
                             err);
}

static int make_cursors(struct list *l, struct err *err)
{
    const struct query_place *p = &l->q.place;
    int rc = 0;
    if (l->q.paging != PAGING_CURSOR)
        return 0;
    if (!l->n)
        return turn_round(l, err);
    if (l->more || p->back)
        rc = cursor_at(l, row_at(l, l->n - 1), false, &l->next, err);
    if (rc >= 0 && p->set && (l->more || !p->back))
        rc = cursor_at(l, row_at(l, 0), true, &l->prev, err);
    return rc;
}

/* --- the answer --- */

/* The same list at another place: every parameter as sent but those that page. */
static void put_link_start(const struct list *l, struct buf *b)
{
    const char *sep = "?";
    const struct req *req = l->req;
    buf_puts(b, req_url(req, l->c->e->path));
    for (size_t i = 0; i < req->nargs; i++) {
        const char *n = req->args[i].name;
        if (str_eq(n, "page") || str_eq(n, "offset") || str_eq(n, "cursor"))
            continue;
        buf_puts(b, sep);
        buf_puts(b, url_encode(req->arena, n));
        buf_putc(b, '=');
        buf_puts(b, url_encode(req->arena, req->args[i].value));
        sep = "&";
    }
    buf_puts(b, sep);
}

static void start_link(struct list *l, struct buf *b)
{
    if (!l->link_start.data) {
        buf_init(&l->link_start, l->req->arena, 256, link_bytes_max);
        put_link_start(l, &l->link_start);
    }
    buf_init(b, l->req->arena, l->link_start.len + 24, link_bytes_max);
    buf_put(b, l->link_start.data, l->link_start.len);
}

static const char *page_link(struct list *l, int64_t offset)
{
    struct buf b;
    bool page = l->q.paging != PAGING_OFFSET;
    start_link(l, &b);
    buf_puts(&b, page ? "page=" : "offset=");
    buf_put_i64(&b, page ? offset / l->q.limit + 1 : offset);
    return b.data;
}

static const char *cursor_link(struct list *l, const char *cursor)
{
    struct buf b;
    if (!cursor)
        return NULL;
    start_link(l, &b);
    buf_puts(&b, "cursor=");
    buf_puts(&b, url_encode(l->req->arena, cursor)); /* one that was sent may need it */
    return b.data;
}

enum { LINK_SELF, LINK_NEXT, LINK_PREV, LINK_FIRST, LINK_LAST, LINKS_MAX_ };
static const char *const link_names[LINKS_MAX_] = { "self", "next", "prev", "first", "last" };

static void offset_links(struct list *l, const char *links[LINKS_MAX_])
{
    const struct query *q = &l->q;
    int64_t prev = q->offset - q->limit,
            last = l->total > 0 ? (l->total - 1) / q->limit * q->limit : 0;
    if (prev < 0)
        prev = 0;
    if (l->total >= 0 && !l->estimated && prev > last) /* behind the end: back is the last page */
        prev = last;
    links[LINK_SELF] = page_link(l, q->offset);
    links[LINK_NEXT] = l->more ? page_link(l, q->offset + q->limit) : NULL;
    links[LINK_PREV] = q->offset ? page_link(l, prev) : NULL;
    links[LINK_FIRST] = page_link(l, 0);
    links[LINK_LAST] = l->total >= 0 && !l->estimated ? page_link(l, last) : NULL;
}

static void put_string(struct buf *b, const char *s)
{
    if (s)
        buf_put_json_string(b, s, strlen(s));
    else
        buf_puts(b, "null");
}

static void put_meta(const struct list *l, struct buf *b)
{
    const struct query *q = &l->q;
    if (q->paging != PAGING_CURSOR || l->total >= 0) {
        buf_puts(b, "\"total\":");
        if (l->total < 0)
            buf_puts(b, "null");
        else
            buf_put_i64(b, l->total);
        buf_puts(b, l->estimated ? ",\"estimated\":true," : ",");
    }
    if (q->paging == PAGING_PAGE) {
        buf_puts(b, "\"page\":");
        buf_put_i64(b, q->page);
        buf_puts(b, ",\"per_page\":");
    } else {
        buf_puts(b, "\"limit\":");
    }
    buf_put_i64(b, q->limit);
    if (q->paging == PAGING_OFFSET) {
        buf_puts(b, ",\"offset\":");
        buf_put_i64(b, q->offset);
    }
    if (q->paging != PAGING_CURSOR)
        return;
    buf_puts(b, ",\"next_cursor\":");
    put_string(b, l->next);
    buf_puts(b, ",\"prev_cursor\":");
    put_string(b, l->prev);
}

/* Without the envelope the links are in the header alone, and so is the total. */
static void put_tail(struct list *l, struct res *res)
{
    const char *links[LINKS_MAX_] = { 0 };
    struct buf header, *b = &res->body;
    buf_init(&header, l->req->arena, 512, link_header_bytes_max + 1);
    if (l->q.paging == PAGING_CURSOR) {
        links[LINK_SELF] = cursor_link(l, l->q.cursor);
        links[LINK_NEXT] = cursor_link(l, l->next);
        links[LINK_PREV] = cursor_link(l, l->prev);
        links[LINK_FIRST] = cursor_link(l, "");
    } else {
        offset_links(l, links);
    }
    for (size_t i = LINK_NEXT; i < LINKS_MAX_; i++) {
        if (!links[i] || header.len + strlen(links[i]) + link_rel_bytes > link_header_bytes_max)
            continue;
        buf_puts(&header, header.len ? ", <" : "<");
        buf_puts(&header, links[i]);
        buf_puts(&header, ">; rel=\"");
        buf_puts(&header, link_names[i]);
        buf_putc(&header, '"');
    }
    res->link = header.len ? header.data : NULL;
    if (l->q.bare) {
        if (l->total >= 0)
            res_header(res, "X-Total-Count",
                       arena_printf(l->req->arena, "%lld", (long long)l->total));
        buf_putc(b, ']');
        return;
    }
    buf_puts(b, "],\"meta\":{");
    put_meta(l, b);
    buf_puts(b, "},\"links\":{");
    for (size_t i = 0; i < LINKS_MAX_; i++) {
        buf_puts(b, i ? ",\"" : "\"");
        buf_puts(b, link_names[i]);
        buf_puts(b, "\":");
        put_string(b, links[i]);
    }
    buf_puts(b, "}}");
}

/* Are the rows of this plan the same bytes as long as their versions are the same? */
static bool versions_tell(const struct rowplan *p)
{
    return p->version >= 0 && p->id >= 0 && !p->e->unversioned;
}

static void put_reader(const struct list *l, struct buf *b, const struct entity_def *e,
                       enum vis_class vc)
{
    buf_puts(b, e->name);
    buf_putc(b, '|');
    buf_puts(b, vis_class_name(vc));
    buf_putc(b, '|');
    buf_put_i64(b, vis_uses_uid(e, vc) ? l->req->who.user_id : 0);
}

static void put_versions(struct buf *b, const struct rowplan *p, const struct db_rows *rows,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_putc(b, '|');
        buf_puts(b, db_cell(rows, i, (size_t)p->id, NULL));
        buf_putc(b, '.');
        buf_puts(b, db_cell(rows, i, (size_t)p->version, NULL));
    }
}

/* A page is told by who asks for what, and by the ids and versions of its rows and of those that
 * are included, in their order: hashing these instead of 40 KB of text.  Which row is included in
 * which is a field of one of the two, and so of its version. */
static const char *list_etag(const struct list *l, const struct crud_incs *inc,
                             const struct res *res)
{
    struct arena *a = l->req->arena;
    const struct route_version *version = l->req->route->version;
    bool told = versions_tell(l->plan);
    struct buf b;
    for (size_t i = 0; i < inc->nall; i++)
        told = told && versions_tell(inc->all[i].plan);
    if (!told)
        return crud_hash_etag(a, "l", res->body.data, res->body.len);
    buf_init(&b, a, 1024, etag_bytes_max);
    buf_printf(&b, "application/json|%d|%d|%lld|%d|", crud_schema_version,
               version ? version->number : 0, (long long)l->total, l->more);
    buf_puts(&b, l->req->raw_query);
    buf_putc(&b, '|');
    put_reader(l, &b, l->c->e, l->vc);
    put_versions(&b, l->plan, l->rows, l->n);
    for (size_t i = 0; i < inc->nall; i++) {
        const struct rowinc *one = &inc->all[i];
        buf_putc(&b, '#');
        put_reader(l, &b, one->plan->e, one->plan->vc);
        put_versions(&b, one->plan, one->rows, one->n);
    }
    if (b.overflow)
        return crud_hash_etag(a, "l", res->body.data, res->body.len);
    return crud_hash_etag(a, "l", b.data, b.len);
}

static int parse(struct list *l, struct err *err)
{
    struct req *req = l->req;
    int rc =
        query_parse(req->arena, l->c->e, &req->who, QUERY_LIST, req->args, req->nargs, &l->q, err);
    if (rc < 0)
        return rc;
    l->vc = l->q.vc;
    l->scope =
        (struct query_scope){ req->svc->keyring, l->c->e, req->who.user_id, req->args, req->nargs };
    if (l->q.paging != PAGING_CURSOR)
        return 0;
    return query_open_cursor(req->arena, &l->scope, &l->q, err);
}

static void say(const struct list *l)
{
    struct rcache_made *m = l->req->made;
    if (!m)
        return;
    rcache_made_of_rows(m, l->c->e, l->vc);
    crud_made_of(l->req, &l->q);
    m->personal |= l->q.paging == PAGING_CURSOR; /* cursors are the reader's */
    m->never |= l->q.count == COUNT_ESTIMATED;   /* what ANALYZE finds is no change of a row */
}

int crud_list(struct req *req, struct res *res, struct err *err)
{
    return crud_list_blocks(req, res, NULL, err);
}

int crud_list_blocks(struct req *req, struct res *res, const struct crud_blocks *blocks,
                     struct err *err)
{
    struct list l = { .req = req, .c = crud_of(req), .blocks = blocks };
    struct crud_incs inc;
    int rc = crud_may_read(req, err);
    if (rc >= 0)
        rc = parse(&l, err);
    if (rc >= 0)
        rc = fetch(&l, err);
    if (rc >= 0)
        rc = count(&l, err);
    if (rc >= 0)
        rc = make_cursors(&l, err);
    if (rc >= 0)
        rc = crud_includes(req, l.c, &l.q, l.plan, l.rows, l.n, &inc, err);
    if (rc < 0)
        return rc;
    say(&l);
    (void)buf_room(&res->body, rowjson_bytes(l.plan, l.rows)); /* grown once, not by doubling */
    buf_puts(&res->body, l.q.bare ? "[" : "{\"data\":[");
    for (size_t i = 0; i < l.n; i++) {
        if (i)
            buf_putc(&res->body, ',');
        rowjson_put(&res->body, l.plan, l.rows, row_at(&l, i), l.q.fields, inc.list, inc.n);
    }
    put_tail(&l, res);
    res->etag = list_etag(&l, &inc, res);
    return 0;
}
