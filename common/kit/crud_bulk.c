/* PATCH on a collection: one transaction of the statements that single writes are. */
#include "common/kit/crud_bulk_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/svc.h"

const struct param_def crud_bulk_params[] = {
    { "atomic", "boolean", 0, 5,
     "true (the default): all of it or nothing; false: what fails is left out." },
    { "dry_run", "boolean", 0, 5, "true: does all of it, answers, and takes it back." },
    { 0 },
};

/* --- one operation --- */

static int read_cond(struct write *w, const struct bulk_item *it, struct err *err)
{
    struct write_cond *c = &w->cond;
    w->none_match = it->none_match;
    if (it->if_match) {
        bool any;
        c->given = etag_versions(it->if_match, &any, c->versions, ARRAY_LEN(c->versions), &c->n);
        c->any = any;
    }
    return it->op == BULK_CREATE ? 0 : write_need_cond(w, err);
}

static int upsert(struct write *w, struct err *err)
{
    const struct field_def *f = crud_key(w->e);
    if (!f)
        return err_set(err, E_validation, "There is no natural key of %s.", w->e->plural);
    const char *key = json_string_value(json_object_get(w->req->body, f->name));
    if (!key)
        return err_at(err, E_validation, arena_printf(w->req->arena, "/%s", f->name),
                      "An upsert needs the %s.", f->name);
    return write_upsert(w, key, err);
}

/* All of an operation that goes before its statement; of a create, all up to the insert. */
static void begin_item(struct bulk *b, struct db_tx *tx, struct bulk_item *it)
{
    static const enum vis_action acts[BULK_OPS_MAX_] = { ACT_CREATE, ACT_CHANGE, ACT_CHANGE,
                                                         ACT_DELETE, ACT_DELETE };
    struct arena *a = b->req->arena;
    struct bulk_write *bw = arena_alloc(a, sizeof(*bw));
    struct write *w = &bw->w;
    it->write = bw;
    bw->route = (struct route){ .entity = b->e, .ctx = b->c };
    bw->req = *b->req;
    bw->req.route = &bw->route;
    bw->req.http = NULL;
    bw->req.idempotency_key = NULL;
    bw->req.content_type = NULL;
    bw->req.body = it->data;
    bw->req.tx = tx;
    bw->req.tx_bare = !b->careful;
    bw->res = (struct res){ .arena = a };
    buf_init(&bw->res.body, a, 256, bulk_answer_bytes_max);
    bw->rc = write_init(w, &bw->req, &bw->res, acts[it->op], &it->err);
    if (bw->rc >= 0)
        bw->rc = read_cond(w, it, &it->err);
    w->id = it->id;
    w->prefer.answer = b->answer == PREFER_REPRESENTATION ? b->answer : PREFER_MINIMAL;
    if (bw->rc < 0 || it->op != BULK_CREATE)
        return;
    shape_read(a, b->e->fields, SHAPE_CREATE, vis_is_admin(&bw->req.who), it->data, &w->row);
    bw->rc = write_insert_begin(w, &bw->base, &it->err);
}

/* Begins a run of creates and inserts what it can of them by one statement; what is left out says
 * why when its turn comes.  An error that has ended the transaction. */
static int begin_creates(struct bulk *b, struct db_tx *tx, size_t from, struct err *err)
{
    enum { rows_max = 256 };
    struct write *writes[rows_max];
    const struct bulk_item *first = &b->items[from];
    struct err why;
    size_t n = 0;
    for (size_t i = from; i < b->n && b->items[i].op == BULK_CREATE && n < rows_max; i++) {
        struct bulk_item *it = &b->items[i];
        if (it->bad)
            continue;
        begin_item(b, tx, it);
        if (it->write->rc >= 0)
            writes[n++] = &it->write->w;
    }
    if (n < 2 || !b->c->write[SQL_INSERT_MANY].sql)
        return 0;
    int rc = write_many(&first->write->req, writes, n, 0, &why);
    if (rc >= 0 || db_tx_usable(tx))
        return 0;
    *err = why;
    return rc;
}

static int apply(struct bulk_write *bw, enum bulk_op op, struct err *err)
{
    struct write *w = &bw->w;
    switch (op) {
    case BULK_CREATE:
        return write_insert_end(w, bw->base, w->rows != NULL, err);
    case BULK_UPDATE:
        return write_patch(w, err);
    case BULK_UPSERT:
        return upsert(w, err);
    case BULK_DELETE:
        return write_target(w, SQL_DELETE, err);
    case BULK_RESTORE:
        return write_target(w, SQL_RESTORE, err);
    case BULK_OPS_MAX_:
        break;
    }
    return err_set(err, E_internal, "no such operation");
}

static int run_item(struct bulk *b, struct db_tx *tx, struct bulk_item *it)
{
    if (!it->write)
        begin_item(b, tx, it);
    struct bulk_write *bw = it->write;
    const struct res *out = &bw->res;
    int rc = bw->rc < 0 ? bw->rc : apply(bw, it->op, &it->err);
    if (rc >= 0)
        it->err = (struct err){ 0 }; /* of a try that another one made good */
    it->etag = out->etag;
    it->faults = out->faults;
    it->body = out->body.data;
    it->body_n = out->body.len;
    it->row = rc >= 0 ? bw->w.done_id : 0;
    it->status = rc < 0                  ? err_http(it->err.code)
                 : out->status == 201    ? 201
                 : it->op == BULK_DELETE ? 204
                                         : 200;
    return rc;
}

/* --- all of them --- */

static void forget(struct bulk *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct bulk_item *it = &b->items[i];
        if (!it->bad)
            it->err = (struct err){ 0 };
        it->faults = NULL;
        it->write = NULL;
        it->etag = it->body = NULL;
        it->row = 0;
        it->body_n = 0;
        it->status = it->bad ? err_http(it->err.code) : 0;
    }
    b->again = b->done = false;
}

/* Is it the whole that cannot go on? */
static bool fatal(const struct bulk *b, struct db_tx *tx, const struct bulk_item *it)
{
    return err_http(it->err.code) >= 500 || (b->careful && !db_tx_usable(tx));
}

static int run_items(struct bulk *b, struct db_tx *tx, struct err *err)
{
    for (size_t i = 0; i < b->n; i++) {
        struct bulk_item *it = &b->items[i];
        if (clock_mono_us() > b->deadline_us) {
            err_set(err, E_timeout, "The bulk took too long; nothing was changed.");
            err->retry_after_s = 1;
            return -(int)err->code;
        }
        if (!it->bad && !it->write && it->op == BULK_CREATE) {
            int rc = begin_creates(b, tx, i, err);
            if (rc < 0) {
                /* What the server refused takes down nobody else where there are savepoints. */
                b->again = !b->careful && rc != -E_unavailable && rc != -E_timeout;
                b->careful = true;
                return rc;
            }
        }
        int rc = it->bad ? -(int)it->err.code : run_item(b, tx, it);
        if (rc >= 0)
            continue;
        if (!it->bad && fatal(b, tx, it))
            return bulk_refuse(b, it, err);
        if (!it->bad && !db_tx_usable(tx)) {
            /* The server refused a statement and with it the transaction.  With savepoints it may
             * find another slug, or leave this operation out. */
            b->careful = b->again = true;
            return bulk_refuse(b, it, err);
        }
        if (b->atomic)
            return bulk_refuse(b, it, err);
    }
    return 0;
}

static int bulk_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct bulk *b = ctx;
    forget(b);
    int rc = b->dry_run ? 0 : idem_claim(tx, b->req->arena, &b->idem, &b->seen, err);
    if (rc < 0 || b->seen)
        return rc;
    rc = bulk_lock(b, tx, err);
    if (rc >= 0)
        rc = run_items(b, tx, err);
    if (rc < 0)
        return rc;
    bulk_answer(b);
    if (b->res->body.overflow)
        return err_set(err, E_too_large, "The answer would be too large; ask for less of it.");
    b->done = true;
    if (b->dry_run) /* the failure that takes it back */
        return err_set(err, E_conflict, "Dry run.");
    if (b->last)
        rc = b->last(b, tx, err);
    if (rc >= 0)
        rc = idem_record(tx, b->req, &b->idem, b->res->status, NULL, b->res->body.data, err);
    return rc;
}

static void tell(const struct bulk *b)
{
    write_tell(b->req, b->c, 0);
    for (size_t i = 0; b->c->hooks && i < b->n; i++)
        if (b->items[i].row)
            write_tell(b->req, b->c, b->items[i].row);
}

/* No row is there to say so: what may not be asked of any is refused all the same. */
static int check_patch(struct bulk *b, struct err *err)
{
    struct bulk_item *it = &b->items[0]; /* room for one more than there are */
    struct shape_row row;
    *it = (struct bulk_item){ .op = BULK_UPDATE, .data = b->patch, .data_at = "/patch" };
    it->at = b->filter ? "/filter" : "/ids";
    shape_read(b->req->arena, b->e->fields, SHAPE_PATCH, vis_is_admin(&b->req->who), b->patch,
               &row);
    it->faults = row.faults;
    return shape_check(&row, &it->err) < 0 ? bulk_refuse(b, it, err) : 0;
}

int bulk_run(struct bulk *b, const json_t *body, struct err *err)
{
    int rc = bulk_read(b, body, err);
    b->deadline_us = clock_mono_us() + (int64_t)bulk_ms_max * 1000;
    for (int i = 0; rc >= 0 && i <= write_tries_max; i++) {
        rc = b->filter ? bulk_select(b, err) : 0;
        if (rc >= 0 && b->patch && !b->n)
            rc = check_patch(b, err);
        if (rc < 0)
            break;
        b->again = false;
        rc = db_tx(b->req->svc->db, b->req->arena, bulk_tx, b, err);
        if (b->dry_run && b->done)
            return 0;
        if (!b->again || i == write_tries_max)
            break;
        *err = (struct err){ 0 };
        rc = 0;
    }
    if (rc < 0)
        return rc;
    if (b->seen)
        return idem_replay(b->req, &b->idem, b->res, err);
    tell(b);
    return 0;
}

/* --- over HTTP --- */

static int read_flag(const struct req *req, const char *name, bool fallback, bool *ret,
                     struct err *err)
{
    const char *arg = req_arg(req, name);
    *ret = fallback;
    if (arg && !str_to_bool(arg, ret))
        return err_at(err, E_invalid_parameter, name, "%s must be true or false.", name);
    return 0;
}

static int read_prefer(struct bulk *b, bool *ret_async, struct err *err)
{
    struct prefer p;
    prefer_parse(b->req->arena, crud_header(b->req, "Prefer"), &p);
    *ret_async = p.async && !b->dry_run;
    b->answer = p.answer;
    if (p.strict && p.unknown)
        return err_at(err, E_invalid, "Prefer", "The preference %.60s is not known here.",
                      p.unknown);
    bool full = p.answer == PREFER_REPRESENTATION;
    if (full || *ret_async)
        res_header(b->res, "Preference-Applied",
                   full && *ret_async ? "respond-async, return=representation"
                   : full             ? "return=representation"
                                      : "respond-async");
    return 0;
}

int crud_bulk(struct req *req, struct res *res, struct err *err)
{
    struct bulk b = { .req = req, .res = res, .c = crud_of(req) };
    bool async = false;
    b.e = b.c->e;
    int rc = crud_no_condition(req, err);
    if (rc >= 0)
        rc = read_flag(req, "atomic", true, &b.atomic, err);
    if (rc >= 0)
        rc = read_flag(req, "dry_run", false, &b.dry_run, err);
    if (rc >= 0)
        rc = read_prefer(&b, &async, err);
    if (rc >= 0)
        rc = write_need_body(req, err);
    if (rc < 0)
        return rc;
    if (async)
        return bulk_later(&b, err);
    idem_init(&b.idem, req, 0);
    return bulk_run(&b, req->body, err);
}
