/*
 * Each event becomes a delivery for each endpoint that asked for it and may see it, in the
 * transaction that records the events as consumed: a batch of events is one statement.  The
 * receivers' fate is no longer Kafka's matter.
 */
#include "common/kit/vis.h"
#include "services/webhooks-out/filter.h"
#include "services/webhooks-out/provider.h"
#include "services/webhooks-out/webhooks.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { types_max = 64, rows_first = 64, words_buckets = 256, error_max = 200 };

/* One event in one form of words. */
struct sight {
    const struct event_def *def;
    const struct msg *m;
    const char *body;
    int64_t event_us;
};
struct row {
    const char *id, *status, *error;     /* status: pending, skipped or dead (with the reason) */
    int64_t endpoint_id, user_id, sight; /* from 1 */
    bool batched;                        /* goes with others; the dispatcher puts them together */
    bool deferred;                       /* its endpoint could not be sent to now */
};

/* Who listens to a type is asked once: the messages were all read before the first of them gets
 * here, so an endpoint made since has nothing to hear among them. */
struct audience {
    const struct event_def *def;
    struct listener *l;
    const char **taste;
    bool *skips, *batched;
    size_t n;
};

/* A batch. */
struct fan {
    struct svc *svc;
    struct arena *a, *scratch; /* scratch: one event */
    struct db_tx *tx;
    struct sight *sights;
    struct row *rows;
    size_t nsights, sights_max, nrows, rows_max;
    struct audience asked[types_max];
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

static void read_listener(struct fan *f, const struct db_rows *r, size_t i, struct listener *l)
{
    enum { ID, USER, ROLE, ADMIN, FILTER, FIELDS, PAYLOAD, FORMAT };
    json_t *tree;
    struct err err;
    size_t n;
    *l = (struct listener){ .endpoint_id = db_get_i64(r, i, ID),
                            .user_id = db_get_i64(r, i, USER),
                            .role = role_find(db_str(r, i, ROLE)),
                            .admin = db_get_bool(r, i, ADMIN),
                            .thin = str_eq(db_str(r, i, PAYLOAD), "thin"),
                            .target = target_find(db_str(r, i, FORMAT)) };
    const char *text = db_cell(r, i, FILTER, &n);
    struct filter *filter = NULL;
    /* It was checked when it was saved. */
    if (n > 2 && !json_parse(f->a, text, n, &tree, &err) &&
        !filter_parse(f->a, tree, NULL, NULL, &filter, &err))
        l->filter = filter;
    text = db_cell(r, i, FIELDS, &n);
    if (n > 2 && !json_parse(f->a, text, n, &tree, &err)) {
        const char **fields = arena_alloc(f->a, json_array_size(tree) * sizeof(*fields));
        for (size_t k = 0; k < json_array_size(tree); k++)
            fields[l->nfields++] = json_string_value(json_array_get(tree, k));
        l->fields = fields;
    }
}

static int listeners(struct fan *f, const struct event_def *def, const struct audience **ret,
                     struct err *err)
{
    const char *patterns[patterns_max];
    struct db_rows *rows;
    for (size_t i = 0; i < f->nasked; i++)
        if (f->asked[i].def == def) {
            *ret = &f->asked[i];
            return 0;
        }
    size_t n = patterns_of(f->a, def->type, patterns);
    struct db_val v = db_texts(patterns, n);
    int rc = db_exec(f->tx, f->a, &sql_endpoints_listening, &v, 1, &rows, err);
    if (rc)
        return rc;
    struct audience *au =
        f->nasked < types_max ? &f->asked[f->nasked++] : arena_alloc(f->a, sizeof(*au));
    n = db_nrows(rows);
    *au = (struct audience){ .def = def,
                             .l = arena_alloc(f->a, (n + 1) * sizeof(*au->l)),
                             .taste = arena_alloc(f->a, (n + 1) * sizeof(*au->taste)),
                             .skips = arena_alloc(f->a, n + 1),
                             .batched = arena_alloc(f->a, n + 1) };
    for (size_t i = 0; i < n; i++) {
        struct listener *l = &au->l[au->n];
        read_listener(f, rows, i, l);
        if (!l->target)
            continue;
        au->taste[au->n] = listener_taste(f->a, l);
        au->skips[au->n] = db_get_bool(rows, i, 8);
        au->batched[au->n++] = db_get_bool(rows, i, 9);
    }
    *ret = au;
    return 0;
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

/* The views of one event with what they show, and the words they were put into. */
struct words {
    const char *taste;
    size_t view;
    int64_t sight; /* 0: there are none */
    struct words *next;
};
struct views {
    struct view view[2 * VC_MAX_];
    struct seen seen[2 * VC_MAX_];
    size_t n;
    struct words *words[words_buckets];
};

static size_t view_of(struct fan *f, struct views *known, const struct happening *h,
                      const struct view *v)
{
    for (size_t i = 0; i < known->n; i++)
        if (known->view[i].vc == v->vc && known->view[i].own == v->own)
            return i;
    known->view[known->n] = *v;
    happening_seen(f->scratch, h, v, &known->seen[known->n]);
    return known->n++;
}

/* Listeners with the same view and taste share the bytes. */
static int64_t sight_of(struct fan *f, struct views *known, const struct msg *m,
                        const struct happening *h, const struct audience *au, size_t who,
                        size_t view)
{
    const char *taste = au->taste[who];
    size_t bucket = (crc32_of(taste, strlen(taste)) + view) % words_buckets;
    for (const struct words *w = known->words[bucket]; w; w = w->next)
        if (w->view == view && str_eq(w->taste, taste))
            return w->sight;
    const char *body =
        happening_body(f->scratch, h, &au->l[who], &known->seen[view], f->svc->conf->public_url);
    struct words *w = arena_alloc(f->scratch, sizeof(*w));
    *w = (struct words){ .taste = taste, .view = view, .next = known->words[bucket] };
    known->words[bucket] = w;
    if (!body)
        return 0;
    if (strlen(body) > event_body_bytes_warn)
        log_info("fanout.large", kv_s("event", h->event_id), kv_i("bytes", (int64_t)strlen(body)));
    f->sights = grown(f->a, f->sights, f->nsights, &f->sights_max, sizeof(*f->sights));
    f->sights[f->nsights++] = (struct sight){ h->def, m, arena_strdup(f->a, body), h->time_us };
    return w->sight = (int64_t)f->nsights;
}

/* A filter that cannot say is its owner's matter: there is a row that tells, and nobody else is
 * touched. */
static void choose(struct fan *f, const struct msg *m, const struct happening *h,
                   const struct audience *au)
{
    struct views known = { .n = 0 };
    for (size_t i = 0; i < au->n; i++) {
        const struct listener *l = &au->l[i];
        struct view v;
        struct err why = { .code = E_OK };
        if (!happening_visible(h, l, &v))
            continue;
        size_t view = view_of(f, &known, h, &v);
        int wanted = happening_wanted(h, l, &known.seen[view], &why);
        int64_t sight = wanted ? sight_of(f, &known, m, h, au, i, view) : 0;
        if (!sight)
            continue;
        char id[uuid_len + 1];
        uuid7(id);
        f->rows = grown(f->a, f->rows, f->nrows, &f->rows_max, sizeof(*f->rows));
        f->rows[f->nrows++] = (struct row){
            .id = arena_strdup(f->a, id),
            .status = wanted < 0     ? "dead"
                      : au->skips[i] ? "skipped"
                                     : "pending",
            .error = wanted < 0 ? arena_printf(f->a, "%.*s", error_max, why.msg) : NULL,
            .endpoint_id = l->endpoint_id,
            .user_id = l->user_id,
            .sight = sight,
            .batched = au->batched[i],
        };
    }
}

static int one_event(struct fan *f, struct msg *m, struct err *err)
{
    struct happening h;
    const struct audience *au = NULL;
    struct arena *batch = m->arena;
    const struct event_def *def = event_find(m->type);
    /* What nobody listens to is not read: parsing is most of what an event costs here. */
    int rc = def ? listeners(f, def, &au, err) : 0;
    if (rc || (def && !au->n && !str_eq(def->entity, "user")))
        return rc;
    m->arena = f->scratch;
    rc = happening_read(m, &h, err);
    m->arena = batch;
    if (rc || !h.data)
        return rc;
    rc = follow_person(f, &h, err);
    if (!rc)
        rc = listeners(f, h.def, &au, err);
    if (!rc)
        choose(f, m, &h, au);
    return rc;
}

/* Rows that would only wait go another way; false: there are none such. */
static bool defer(const struct fan *f)
{
    int64_t *endpoint = arena_alloc(f->a, f->nrows * sizeof(*endpoint));
    bool *put_off = arena_alloc(f->a, f->nrows), some = false;
    for (size_t i = 0; i < f->nrows; i++)
        endpoint[i] = str_eq(f->rows[i].status, "pending") ? f->rows[i].endpoint_id : 0;
    dispatch_defer(f->svc, endpoint, f->nrows, put_off);
    for (size_t i = 0; i < f->nrows; i++)
        some |= f->rows[i].deferred = put_off[i];
    return some;
}

enum { EVENT_ID, TYPE, KEY, TIME, TRACE, REQUEST_ID, BODY, TEXTS };

static void sight_params(const struct fan *f, struct db_val ret[TEXTS])
{
    const char **text[TEXTS];
    for (size_t c = 0; c < TEXTS; c++)
        text[c] = arena_alloc(f->a, f->nsights * sizeof(**text));
    for (size_t i = 0; i < f->nsights; i++) {
        const struct sight *s = &f->sights[i];
        const char *const of[TEXTS] = { s->m->event_id,    s->def->type,     s->m->key, s->m->time,
                                        s->m->traceparent, s->m->request_id, s->body };
        for (size_t c = 0; c < TEXTS; c++)
            text[c][i] = of[c];
    }
    for (size_t c = 0; c < TEXTS; c++)
        ret[c] = db_texts(text[c], f->nsights);
}

/* Those that are deferred, or those that are not. */
static int store(const struct fan *f, bool deferred, const struct db_val sights[TEXTS],
                 struct err *err)
{
    enum { IDS, ENDPOINTS, USERS, SIGHTS, BOTH, STATUS = BOTH, ERROR, ADDED };
    struct db_rows *rows;
    const char **text[3];
    int64_t *num[3];
    size_t n = 0;
    for (size_t c = 0; c < ARRAY_LEN(num); c++) {
        num[c] = arena_alloc(f->a, f->nrows * sizeof(**num));
        text[c] = arena_alloc(f->a, f->nrows * sizeof(**text));
    }
    for (size_t i = 0; i < f->nrows; i++) {
        const struct row *r = &f->rows[i];
        if (r->deferred != deferred)
            continue;
        text[0][n] = r->id;
        text[1][n] = r->status;
        text[2][n] = r->error;
        num[0][n] = r->endpoint_id;
        num[1][n] = r->user_id;
        num[2][n++] = r->sight;
    }
    struct db_val v[ADDED + TEXTS] = { [IDS] = db_texts(text[0], n),
                                       [ENDPOINTS] = db_i64s(num[0], n),
                                       [USERS] = db_i64s(num[1], n),
                                       [SIGHTS] = db_i64s(num[2], n) };
    size_t nv = BOTH;
    if (!deferred) {
        v[STATUS] = db_texts(text[1], n);
        v[ERROR] = db_texts(text[2], n);
        nv = ADDED;
    }
    memcpy(v + nv, sights, TEXTS * sizeof(*sights));
    return n ? db_exec(f->tx, f->a, deferred ? &sql_deferred_add : &sql_deliveries_add, v,
                       nv + TEXTS, &rows, err)
             : 0;
}

static int store_all(const struct fan *f, struct err *err)
{
    struct db_val sights[TEXTS];
    bool deferred = defer(f);
    sight_params(f, sights);
    int rc = store(f, false, sights, err);
    return rc || !deferred ? rc : store(f, true, sights, err);
}

static void hand_over(const struct fan *f, struct svc *svc)
{
    struct offer *o = arena_alloc(f->a, f->nrows * sizeof(*o));
    size_t n = 0;
    for (size_t i = 0; i < f->nrows; i++) {
        const struct row *r = &f->rows[i];
        if (!str_eq(r->status, "pending") || r->deferred)
            continue;
        const struct sight *s = &f->sights[r->sight - 1];
        o[n++] = (struct offer){ .id = r->id,
                                 .event_id = s->m->event_id,
                                 .entity = s->m->key,
                                 .event = s->def->type,
                                 .body = s->body,
                                 .body_n = strlen(s->body),
                                 .trace = s->m->traceparent,
                                 .request_id = s->m->request_id,
                                 .endpoint_id = r->endpoint_id,
                                 .user_id = r->user_id,
                                 .event_us = s->event_us,
                                 .batched = r->batched };
    }
    dispatch_offer(svc, o, n);
}

/* The kinds of event of a batch. */
struct kinds {
    const struct event_def *def[types_max];
    bool wanted[types_max];
    size_t n;
};

/* Its place; types_max: there are too many. */
static size_t kind_of(struct kinds *k, const struct event_def *def)
{
    size_t i = 0;
    while (i < k->n && k->def[i] != def)
        i++;
    if (i == k->n && i < types_max)
        k->def[k->n++] = def;
    return i;
}

/* What nobody listens to is not recorded either.  People are followed in any case. */
int fanout_wants(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, bool *ret,
                 struct err *err)
{
    struct arena *a = m[0]->arena;
    struct kinds kinds = { .n = 0 };
    size_t *of = arena_alloc(a, n * sizeof(*of)), np = 0;
    int64_t type[types_max * patterns_max];
    const char *pattern[types_max * patterns_max];
    struct db_rows *r;
    (void)svc;
    for (size_t i = 0; i < n; i++) {
        const struct event_def *def = event_find(m[i]->type);
        of[i] = def && !str_eq(def->entity, "user") ? kind_of(&kinds, def) : types_max;
    }
    for (size_t i = 0; i < kinds.n; i++) {
        const char *some[patterns_max];
        size_t k = patterns_of(a, kinds.def[i]->type, some);
        for (size_t j = 0; j < k; j++, np++) {
            type[np] = (int64_t)i;
            pattern[np] = some[j];
        }
    }
    const struct db_val v[] = { db_i64s(type, np), db_texts(pattern, np) };
    int rc = np ? db_exec(tx, a, &sql_types_wanted, v, ARRAY_LEN(v), &r, err) : 0;
    for (size_t i = 0; np && !rc && i < db_nrows(r); i++)
        kinds.wanted[db_get_i64(r, i, 0)] = true;
    for (size_t i = 0; i < n; i++)
        ret[i] = of[i] == types_max || kinds.wanted[of[i]];
    return rc;
}

int fanout(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err)
{
    struct fan f = { .svc = svc, .a = m[0]->arena, .scratch = arena_new(), .tx = tx };
    int rc = 0;
    dispatch_offered(svc, false); /* of a try before this one */
    for (size_t i = 0; i < n && !rc; i++) {
        rc = one_event(&f, m[i], err);
        arena_reset(f.scratch);
    }
    if (!rc && f.nrows)
        rc = store_all(&f, err);
    if (!rc && f.nrows)
        hand_over(&f, svc);
    arena_free(f.scratch);
    return rc;
}
