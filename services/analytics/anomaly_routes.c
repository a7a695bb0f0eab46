/* What people say to an anomaly: quiet, please; that was useful; that was nothing. */
#include "services/analytics/anomaly.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/shape.h"
#include "common/kit/svc.h"
#include "common/kit/vis.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

extern const struct entity_def entity_anomaly;

struct saying {
    struct req *req;
    int64_t id;
    const char *until;   /* mute: RFC 3339; NULL: no longer */
    const char *verdict; /* feedback, or NULL: it is about muting */
    int64_t dim, ref;
    const char *signal;
};

static int find_tx(struct db_tx *tx, struct saying *s, struct err *err)
{
    const struct principal *who = &s->req->who;
    const struct db_val v[] = { db_i64(s->id), db_bool(vis_is_admin(who)), db_i64(who->user_id) };
    struct db_rows *r;
    int rc = db_exec(tx, s->req->arena, &sql_anomaly_find, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no anomaly %lld.", (long long)s->id);
    s->dim = db_get_i64(r, 0, 0);
    s->ref = db_get_i64(r, 0, 1);
    s->signal = db_str(r, 0, 2);
    return req_precondition(s->req, db_get_i64(r, 0, 3), err);
}

static int mute_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct saying *s = ctx;
    struct arena *a = s->req->arena;
    struct db_rows *r;
    int rc = find_tx(tx, s, err);
    if (rc)
        return rc;
    const struct db_val row[] = { db_i64(s->dim), db_i64(s->ref), db_text(s->signal), db_i64(s->id),
                                  db_text(s->until) };
    const struct db_val watch[] = { row[0], row[1], row[2], row[4] };
    rc = db_exec(tx, a, &sql_anomaly_mute, row, ARRAY_LEN(row), &r, err);
    return rc ? rc : db_exec(tx, a, &sql_watched_mute, watch, ARRAY_LEN(watch), &r, err);
}

static int feedback_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct saying *s = ctx;
    struct arena *a = s->req->arena;
    struct db_rows *r;
    int rc = find_tx(tx, s, err);
    if (rc)
        return rc;
    const struct db_val said[] = { db_i64(s->id), db_text(s->verdict) };
    rc = db_exec(tx, a, &sql_anomaly_feedback, said, ARRAY_LEN(said), &r, err);
    if (rc || !db_affected(r))
        return rc; /* said before */
    const struct db_val tune[] = { db_i64(s->dim), db_i64(s->ref), db_text(s->signal),
                                   db_bool(str_eq(s->verdict, "false_alarm")) };
    return db_exec(tx, a, &sql_watched_tune, tune, ARRAY_LEN(tune), &r, err);
}

static int say(struct saying *s, struct res *res,
               int (*tx)(struct db_tx *tx, void *ctx, struct err *err), struct err *err)
{
    int rc = req_id(s->req, 0, &s->id, err);
    if (!rc)
        rc = db_tx(s->req->svc->db, s->req->arena, tx, s, err);
    return rc ? rc : crud_answer(s->req, res, &entity_anomaly, s->req->params[0], err);
}

static int read_body(struct req *req, struct res *res, struct shape_row *row, struct err *err)
{
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, vis_is_admin(&req->who), req->body,
               row);
    res->faults = row->faults;
    return shape_check(row, err);
}

int anomaly_mute(struct req *req, struct res *res, struct err *err)
{
    struct saying s = { .req = req };
    struct shape_row row;
    char until[rfc3339_len + 1];
    int rc = read_body(req, res, &row, err);
    if (rc)
        return rc;
    rfc3339_format(req->now_us + shape_i64(&row, "minutes") * 60 * 1000000, until);
    s.until = until;
    return say(&s, res, mute_tx, err);
}

int anomaly_unmute(struct req *req, struct res *res, struct err *err)
{
    struct saying s = { .req = req };
    return say(&s, res, mute_tx, err);
}

int anomaly_feedback(struct req *req, struct res *res, struct err *err)
{
    struct saying s = { .req = req };
    struct shape_row row;
    int rc = read_body(req, res, &row, err);
    if (rc)
        return rc;
    s.verdict = shape_text(&row, "verdict");
    return say(&s, res, feedback_tx, err);
}
