/* Sending again what there is: everything missed since a time, or whatever a filter finds. */
#include "services/webhooks-out/endpoint.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/idem.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { replay_rows_max = 50000, replay_step_rows = 5000, entity_max = 200 };

struct replay {
    struct req *req;
    int64_t id;
    const char *trigger;
    const char *const *statuses;
    size_t nstatuses;
    const char *event, *entity, *since, *until; /* event: a LIKE pattern; NULL: any */
    bool dry_run, whole; /* whole: more than replay_rows_max is refused, as asking again would find
                            them again */
};

static const char *const missed[] = { "dead", "skipped" };
static const char *const ended[] = { "delivered", "dead", "skipped" };

/* In steps, each well within the time that a statement has. */
static int send_again(struct db_tx *tx, const struct replay *p, int64_t *ret_sent, struct err *err)
{
    const struct db_val v[] = { db_i64(p->id),       db_texts(p->statuses, p->nstatuses),
                                db_text(p->event),   db_text(p->entity),
                                db_text(p->since),   db_text(p->until),
                                db_text(p->trigger), db_i64(replay_step_rows) };
    struct db_rows *r;
    int64_t n = replay_step_rows;
    *ret_sent = 0;
    while (n == replay_step_rows && *ret_sent < replay_rows_max) {
        int rc = db_exec(tx, p->req->arena, &sql_replay_again, v, ARRAY_LEN(v), &r, err);
        if (rc)
            return rc;
        n = db_get_i64(r, 0, 0);
        *ret_sent += n;
    }
    return 0;
}

static int again(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct replay *p = ctx;
    struct arena *a = p->req->arena;
    struct db_rows *r;
    int64_t matched, sent = 0;
    const struct db_val v[] = { db_i64(p->id),     db_texts(p->statuses, p->nstatuses),
                                db_text(p->event), db_text(p->entity),
                                db_text(p->since), db_text(p->until) };
    int rc = endpoint_lock(tx, p->req, p->id, NULL, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_replay_count, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    matched = db_get_i64(r, 0, 0);
    if (!p->dry_run && p->whole && matched > replay_rows_max)
        return err_set(err, E_conflict,
                       "There are %lld; at most %d go at once: narrow it by since and until.",
                       (long long)matched, replay_rows_max);
    if (!p->dry_run && matched)
        rc = send_again(tx, p, &sent, err);
    if (rc)
        return rc;
    ret->status = 202;
    ret->body = arena_printf(
        a, "{\"data\":{\"matched\":%lld,\"sent\":%lld,\"remaining\":%lld,\"dry_run\":%s}}",
        (long long)matched, (long long)sent, (long long)(matched - sent),
        p->dry_run ? "true" : "false");
    return 0;
}

static int run(struct replay *p, struct res *res, struct err *err)
{
    const struct idem_work work = { again, p, 0 };
    bool fresh;
    int rc = idem_run(p->req, res, &work, &fresh, err);
    if (!rc && fresh)
        dispatch_due(p->req->svc, p->id);
    return rc;
}

static int read_shape(struct req *req, struct res *res, struct shape_row *row, struct err *err)
{
    const json_t *body = req->body ? req->body : json_in(req->arena, json_object());
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, vis_is_admin(&req->who), body,
               row);
    res->faults = row->faults;
    return shape_check(row, err);
}

int endpoint_recover(struct req *req, struct res *res, struct err *err)
{
    struct shape_row row;
    struct replay p = {
        .req = req, .trigger = "recover", .statuses = missed, .nstatuses = ARRAY_LEN(missed)
    };
    int rc = req_id(req, 0, &p.id, err);
    if (!rc)
        rc = read_shape(req, res, &row, err);
    if (rc)
        return rc;
    p.since = shape_text(&row, "since");
    p.until = shape_text(&row, "until");
    p.dry_run = shape_val(&row, "dry_run")->i64;
    return run(&p, res, err);
}

/* --- by filter --- */

static const char *like_of(struct arena *a, const char *pattern)
{
    struct buf b;
    size_t n = strlen(pattern);
    buf_init(&b, a, 64, 4 * n + 16);
    for (size_t i = 0; i < n; i++) {
        if (pattern[i] == '*' && i == n - 1) {
            buf_putc(&b, '%');
            continue;
        }
        if (strchr("\\%_", pattern[i]))
            buf_putc(&b, '\\');
        buf_putc(&b, pattern[i]);
    }
    return b.data;
}

struct filter_field {
    const char *name;
    enum { STATUS, EVENT, ENTITY, SINCE, UNTIL } what;
};
static const struct filter_field filter_fields[] = {
    { "status", STATUS },
    { "event",  EVENT  },
    { "entity", ENTITY },
    { "since",  SINCE  },
    { "until",  UNTIL  },
};

static void read_status(struct replay *p, struct shape_row *row, const json_t *v)
{
    const char **list = arena_alloc(p->req->arena, (json_array_size(v) + 1) * sizeof(*list));
    json_t *one = json_in(p->req->arena, json_is_string(v) ? json_pack("[O]", v)
                                                           : json_incref((json_t *)(uintptr_t)v));
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(one); i++)
        for (size_t k = 0; k < ARRAY_LEN(ended); k++)
            if (str_eq(json_string_value(json_array_get(one, i)), ended[k]) && n < ARRAY_LEN(ended))
                list[n++] = ended[k];
    if (!n || n != json_array_size(one))
        err_list_add(row->faults, "/filter/status", "choice",
                     "Must be one or several of: delivered, dead, skipped.");
    p->statuses = list;
    p->nstatuses = n;
}

static void read_text(struct replay *p, struct shape_row *row, const struct filter_field *f,
                      const json_t *v)
{
    const char *s = json_string_value(v), *at = arena_printf(p->req->arena, "/filter/%s", f->name);
    int64_t us;
    if (!s || !*s || strlen(s) > entity_max)
        err_list_add(row->faults, at, "type", "Must be a string of 1 to %d bytes.", entity_max);
    else if ((f->what == SINCE || f->what == UNTIL) && !rfc3339_parse(s, &us))
        err_list_add(row->faults, at, "format", "Must be an RFC 3339 time.");
    else if (f->what == EVENT && !pattern_known(s))
        err_list_add(row->faults, at, "choice", "There is no such event.");
    else if (f->what == EVENT)
        p->event = like_of(p->req->arena, s);
    else
        *(f->what == ENTITY ? &p->entity : f->what == SINCE ? &p->since : &p->until) = s;
}

static void read_filter(struct replay *p, struct shape_row *row, const json_t *filter)
{
    const char *name;
    json_t *v, *all = json_in(p->req->arena, json_copy((json_t *)(uintptr_t)filter));
    json_object_foreach(all, name, v)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(filter_fields) && !str_eq(filter_fields[i].name, name))
            i++;
        if (i == ARRAY_LEN(filter_fields))
            err_list_add(row->faults, json_pointer_add(p->req->arena, "/filter", name), "unknown",
                         "There are status, event, entity, since and until.");
        else if (filter_fields[i].what == STATUS)
            read_status(p, row, v);
        else
            read_text(p, row, &filter_fields[i], v);
    }
}

int endpoint_replay(struct req *req, struct res *res, struct err *err)
{
    struct shape_row row;
    struct replay p = { .req = req,
                        .trigger = "replay",
                        .whole = true,
                        .statuses = ended,
                        .nstatuses = ARRAY_LEN(ended) };
    int rc = req_id(req, 0, &p.id, err);
    if (!rc)
        rc = read_shape(req, res, &row, err);
    if (rc)
        return rc;
    read_filter(&p, &row, json_object_get(req->body, "filter"));
    rc = shape_check(&row, err);
    if (rc)
        return rc;
    p.dry_run = shape_val(&row, "dry_run")->i64;
    return run(&p, res, err);
}
