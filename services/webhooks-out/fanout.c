/*
 * Each event becomes a delivery for each endpoint that asked for it and may see it, in the
 * transaction that records the events as consumed: a batch of events is one statement.  The
 * receivers' fate is no longer Kafka's matter.
 */
#include "common/kit/vis.h"
#include "services/webhooks-out/webhooks.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { views_max = 2 * VC_MAX_, types_max = 64, rows_first = 64 };

/* One event as one kind of listener sees it. */
struct sight {
    const struct event_def *def;
    const struct msg *m;
    const char *body;
    int64_t event_us;
};
struct row {
    const char *id;
    int64_t endpoint_id, user_id, sight; /* from 1 */
};

/* A batch. */
struct fan {
    struct arena *a, *scratch; /* scratch: one event */
    struct db_tx *tx;
    struct sight *sights;
    struct row *rows;
    size_t nsights, sights_max, nrows, rows_max;
    /* Who listens to a type is asked once: the messages were all read before the first of them gets
     * here, so an endpoint made since has nothing to hear among them. */
    struct {
        const struct event_def *def;
        struct db_rows *rows;
    } asked[types_max];
    size_t nasked;
};

static void *grown(struct arena *a, void *list, size_t n, size_t *max, size_t size)
{
    if (n < *max)
        return list;
    *max = *max ? 2 * *max : rows_first;
    void *more = arena_alloc(a, *max * size);
    if (n)
        memcpy(more, list, n * size);
    return more;
}

static int listeners(struct fan *f, const struct event_def *def, struct db_rows **ret,
                     struct err *err)
{
    const char *patterns[patterns_max];
    for (size_t i = 0; i < f->nasked; i++)
        if (f->asked[i].def == def) {
            *ret = f->asked[i].rows;
            return 0;
        }
    size_t n = patterns_of(f->a, def->type, patterns);
    struct db_val v = db_texts(patterns, n);
    int rc = db_exec(f->tx, f->a, &sql_endpoints_listening, &v, 1, ret, err);
    if (!rc && f->nasked < types_max) {
        f->asked[f->nasked].def = def;
        f->asked[f->nasked++].rows = *ret;
    }
    return rc;
}

static int follow_person(struct fan *f, const struct happening *h, struct err *err)
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
    f->nasked = 0; /* what they may see is another question now */
    return db_exec(f->tx, f->a, &sql_person_put, v, ARRAY_LEN(v), &rows, err);
}

/* The views of one event, each with its number among the sights; 0: there are no words for it. */
struct views {
    struct view view[views_max];
    int64_t sight[views_max];
    size_t n;
};

/* Listeners with the same view share the bytes. */
static int64_t sight_of(struct fan *f, struct views *known, const struct msg *m,
                        const struct happening *h, const struct view *v)
{
    for (size_t i = 0; i < known->n; i++)
        if (known->view[i].vc == v->vc && known->view[i].own == v->own)
            return known->sight[i];
    const char *body = happening_body(f->scratch, h, v);
    int64_t n = 0;
    if (body) {
        f->sights = grown(f->a, f->sights, f->nsights, &f->sights_max, sizeof(*f->sights));
        f->sights[f->nsights++] = (struct sight){ h->def, m, arena_strdup(f->a, body), h->time_us };
        n = (int64_t)f->nsights;
    }
    known->view[known->n] = *v;
    known->sight[known->n++] = n;
    return n;
}

static void choose(struct fan *f, const struct msg *m, const struct happening *h,
                   const struct db_rows *rows)
{
    struct views known = { .n = 0 };
    for (size_t i = 0; i < db_nrows(rows); i++) {
        struct listener l = { .endpoint_id = db_get_i64(rows, i, 0),
                              .user_id = db_get_i64(rows, i, 1),
                              .role = role_find(db_str(rows, i, 2)),
                              .admin = db_get_bool(rows, i, 3) };
        struct view v;
        int64_t sight = happening_visible(h, &l, &v) ? sight_of(f, &known, m, h, &v) : 0;
        if (!sight)
            continue;
        char id[uuid_len + 1];
        uuid7(id);
        f->rows = grown(f->a, f->rows, f->nrows, &f->rows_max, sizeof(*f->rows));
        f->rows[f->nrows++] =
            (struct row){ arena_strdup(f->a, id), l.endpoint_id, l.user_id, sight };
    }
}

static int one_event(struct fan *f, struct msg *m, struct err *err)
{
    struct happening h;
    struct db_rows *rows = NULL;
    struct arena *batch = m->arena;
    const struct event_def *def = event_find(m->type);
    /* What nobody listens to is not read: parsing is most of what an event costs here. */
    int rc = def ? listeners(f, def, &rows, err) : 0;
    if (rc || (def && !db_nrows(rows) && !str_eq(def->entity, "user")))
        return rc;
    m->arena = f->scratch;
    rc = happening_read(m, &h, err);
    m->arena = batch;
    if (rc || !h.data)
        return rc;
    rc = follow_person(f, &h, err);
    if (!rc)
        rc = listeners(f, h.def, &rows, err);
    if (!rc)
        choose(f, m, &h, rows);
    return rc;
}

static int store(const struct fan *f, struct err *err)
{
    enum { EVENT_ID, TYPE, KEY, TIME, TRACE, REQUEST_ID, BODY, TEXTS };
    struct db_rows *rows;
    const char **text[TEXTS], **ids = arena_alloc(f->a, f->nrows * sizeof(*ids));
    int64_t *num[3];
    for (size_t c = 0; c < TEXTS; c++)
        text[c] = arena_alloc(f->a, f->nsights * sizeof(**text));
    for (size_t c = 0; c < ARRAY_LEN(num); c++)
        num[c] = arena_alloc(f->a, f->nrows * sizeof(**num));
    for (size_t i = 0; i < f->nsights; i++) {
        const struct sight *s = &f->sights[i];
        const char *const of[TEXTS] = { s->m->event_id,    s->def->type,     s->m->key, s->m->time,
                                        s->m->traceparent, s->m->request_id, s->body };
        for (size_t c = 0; c < TEXTS; c++)
            text[c][i] = of[c];
    }
    for (size_t i = 0; i < f->nrows; i++) {
        ids[i] = f->rows[i].id;
        num[0][i] = f->rows[i].endpoint_id;
        num[1][i] = f->rows[i].user_id;
        num[2][i] = f->rows[i].sight;
    }
    struct db_val v[4 + TEXTS] = { db_texts(ids, f->nrows), db_i64s(num[0], f->nrows),
                                   db_i64s(num[1], f->nrows), db_i64s(num[2], f->nrows) };
    for (size_t c = 0; c < TEXTS; c++)
        v[4 + c] = db_texts(text[c], f->nsights);
    return db_exec(f->tx, f->a, &sql_deliveries_add, v, ARRAY_LEN(v), &rows, err);
}

static void hand_over(const struct fan *f, struct svc *svc)
{
    struct offer *o = arena_alloc(f->a, f->nrows * sizeof(*o));
    for (size_t i = 0; i < f->nrows; i++) {
        const struct row *r = &f->rows[i];
        const struct sight *s = &f->sights[r->sight - 1];
        o[i] = (struct offer){ .id = r->id,
                               .event_id = s->m->event_id,
                               .entity = s->m->key,
                               .event = s->def->type,
                               .body = s->body,
                               .body_n = strlen(s->body),
                               .trace = s->m->traceparent,
                               .request_id = s->m->request_id,
                               .endpoint_id = r->endpoint_id,
                               .user_id = r->user_id,
                               .event_us = s->event_us };
    }
    dispatch_offer(svc, o, f->nrows);
}

int fanout(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err)
{
    struct fan f = { .a = m[0]->arena, .scratch = arena_new(), .tx = tx };
    int rc = 0;
    dispatch_offered(svc, false); /* of a try before this one */
    for (size_t i = 0; i < n && !rc; i++) {
        rc = one_event(&f, m[i], err);
        arena_reset(f.scratch);
    }
    if (!rc && f.nrows)
        rc = store(&f, err);
    if (!rc && f.nrows)
        hand_over(&f, svc);
    arena_free(f.scratch);
    return rc;
}
