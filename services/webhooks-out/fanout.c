/*
 * One event becomes a delivery for each endpoint that asked for it and may see it, in the
 * transaction that records the event as consumed.  The receivers' fate is no longer Kafka's matter.
 */
#include "common/kit/vis.h"
#include "services/webhooks-out/webhooks.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { views_max = 2 * VC_MAX_, types_max = 64 };

/* What the rows of one event have in common. */
struct fan {
    struct arena *a;
    const struct happening *h;
    struct view views[views_max];
    const char *bodies[views_max];
    size_t nviews;
    const char **ids;
    int64_t *endpoints, *users, *body_no;
    size_t n;
};

/*
 * Who listens to a type is asked once a batch: its messages were all read before the first of them
 * gets here, so an endpoint made since has nothing to hear among them.  The batch's arena takes the
 * answers with it.
 */
static _Thread_local struct {
    struct arena *a;
    size_t n;
    struct {
        const struct event_def *def;
        struct db_rows *rows;
    } of[types_max];
} asked;

static void forget(void *unused)
{
    (void)unused;
    asked.a = NULL;
    asked.n = 0;
}

static int listeners(const struct msg *m, const struct event_def *def, struct db_tx *tx,
                     struct db_rows **ret, struct err *err)
{
    const char *patterns[patterns_max];
    if (asked.a != m->arena) {
        forget(NULL);
        asked.a = m->arena;
        arena_defer(m->arena, forget, NULL);
    }
    for (size_t i = 0; i < asked.n; i++)
        if (asked.of[i].def == def) {
            *ret = asked.of[i].rows;
            return 0;
        }
    size_t n = patterns_of(m->arena, def->type, patterns);
    struct db_val v = db_texts(patterns, n);
    int rc = db_exec(tx, m->arena, &sql_endpoints_listening, &v, 1, ret, err);
    if (!rc && asked.n < types_max) {
        asked.of[asked.n].def = def;
        asked.of[asked.n++].rows = *ret;
    }
    return rc;
}

static int follow_person(const struct msg *m, const struct happening *h, struct db_tx *tx,
                         struct err *err)
{
    const char *status = json_string_value(json_object_get(h->data, "status"));
    const char *role = json_string_value(json_object_get(h->data, "role"));
    struct db_rows *rows;
    if (!str_eq(h->def->entity, "user"))
        return 0;
    struct db_val v[] = {
        db_i64(json_integer_value(json_object_get(h->data, "id"))), db_text(role ? role : "member"),
        db_bool(str_eq(status, "active") && !str_eq(h->def->type, "user.deleted"))
    };
    asked.n = 0; /* what they may see is another question now */
    return db_exec(tx, m->arena, &sql_person_put, v, ARRAY_LEN(v), &rows, err);
}

/* Listeners with the same view share the bytes. */
static bool body_of(struct fan *f, const struct view *v, int64_t *ret_no)
{
    size_t i = 0;
    while (i < f->nviews && (f->views[i].vc != v->vc || f->views[i].own != v->own))
        i++;
    if (i == f->nviews) {
        f->views[i] = *v;
        f->bodies[i] = happening_body(f->a, f->h, v);
        f->nviews++;
    }
    *ret_no = (int64_t)i + 1;
    return f->bodies[i] != NULL;
}

static void choose(struct fan *f, const struct db_rows *rows)
{
    size_t n = db_nrows(rows);
    f->ids = arena_alloc(f->a, n * sizeof(*f->ids));
    f->endpoints = arena_alloc(f->a, n * sizeof(*f->endpoints));
    f->users = arena_alloc(f->a, n * sizeof(*f->users));
    f->body_no = arena_alloc(f->a, n * sizeof(*f->body_no));
    for (size_t i = 0; i < n; i++) {
        struct listener l = { .endpoint_id = db_get_i64(rows, i, 0),
                              .user_id = db_get_i64(rows, i, 1),
                              .role = role_find(db_str(rows, i, 2)),
                              .admin = db_get_bool(rows, i, 3) };
        struct view v;
        if (!happening_visible(f->h, &l, &v) || !body_of(f, &v, &f->body_no[f->n]))
            continue;
        char id[uuid_len + 1];
        uuid7(id);
        f->ids[f->n] = arena_strdup(f->a, id);
        f->endpoints[f->n] = l.endpoint_id;
        f->users[f->n] = l.user_id;
        f->n++;
    }
}

static int store(const struct fan *f, const struct msg *m, struct db_tx *tx, struct err *err)
{
    struct db_rows *rows;
    struct db_val v[] = {
        db_texts(f->ids, f->n),    db_i64s(f->endpoints, f->n),    db_i64s(f->users, f->n),
        db_text(f->h->event_id),   db_text(f->h->def->type),       db_text(f->h->key),
        db_text(m->time),          db_text(m->traceparent),        db_text(m->request_id),
        db_i64s(f->body_no, f->n), db_texts(f->bodies, f->nviews),
    };
    return db_exec(tx, f->a, &sql_deliveries_add, v, ARRAY_LEN(v), &rows, err);
}

int fanout(struct msg *m, struct db_tx *tx, struct err *err)
{
    struct happening h;
    struct db_rows *rows;
    int rc = happening_read(m, &h, err);
    if (rc || !h.data)
        return rc;
    rc = follow_person(m, &h, tx, err);
    if (!rc)
        rc = listeners(m, h.def, tx, &rows, err);
    if (rc || !db_nrows(rows))
        return rc;
    struct fan f = { .a = m->arena, .h = &h };
    choose(&f, rows);
    if (!f.n)
        return 0;
    rc = store(&f, m, tx, err);
    for (size_t i = 0; i < f.n && !rc; i++)
        dispatch_hint(m->svc, f.endpoints[i]);
    return rc;
}
