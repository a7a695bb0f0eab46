/*
 * Messages of api.requests into the log, into cells that the sums do not have yet, and into what
 * the detector looks at: all in the transaction that says how far the partition was read, so that
 * a record counts once, whoever dies when.
 */
#include "common/base/clock.h"
#include "common/base/siphash.h"
#include "common/base/str.h"
#include "common/io/db_copy.h"
#include "common/kit/metrics.h"
#include "services/analytics/analytics.h"
#include "services/analytics/block.h"
#include "services/analytics/cells.h"
#include "services/analytics/record.h"

#include <assert.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

enum {
    log_row_bytes = 160,     /* of the log, of most records */
    log_bytes = 1024 * 1024, /* in one statement, and what one block adds */
    partitions_max = 64,
    facet_s = 300,
    facets_max = 20000, /* of a batch; more networks than that tell nothing new */
    facet_slots = 1 << 15,
    future_us = 5 * 60 * 1000 * 1000,
};
#define TOPIC_NAME "api.requests"

struct ingest {
    struct svc *svc;
    struct names *names;
    struct arena *a;
    struct db_tx *tx;
    struct batch *b;
    size_t nb, nrows;
    struct {
        int64_t partition, next;
    } at[partitions_max];
    size_t nat;
};

/* --- how far ----------------------------------------------------------------------------------
 */

static size_t partition_at(struct ingest *in, int64_t partition)
{
    size_t i = 0;
    while (i < in->nat && in->at[i].partition != partition)
        i++;
    assert(i < partitions_max);
    if (i == in->nat) {
        in->at[i].partition = partition;
        in->at[i].next = 0;
        in->nat++;
    }
    return i;
}

static int lock_partitions(struct ingest *in, struct msg **m, size_t n, struct err *err)
{
    int64_t list[partitions_max];
    for (size_t i = 0; i < n; i++)
        partition_at(in, m[i]->partition);
    for (size_t i = 0; i < in->nat; i++)
        list[i] = in->at[i].partition;
    const struct db_val v[] = { db_text(TOPIC_NAME), db_i64s(list, in->nat) };
    struct db_rows *r;
    int rc = db_exec(in->tx, in->a, &sql_taken_make, v, 2, &r, err);
    if (!rc)
        rc = db_exec(in->tx, in->a, &sql_taken_lock, v, 2, &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++)
        in->at[partition_at(in, db_get_i64(r, i, 0))].next = db_get_i64(r, i, 1);
    return rc;
}

static int store_partitions(struct ingest *in, struct err *err)
{
    int64_t list[partitions_max], next[partitions_max];
    for (size_t i = 0; i < in->nat; i++) {
        list[i] = in->at[i].partition;
        next[i] = in->at[i].next;
    }
    const struct db_val v[] = { db_text(TOPIC_NAME), db_i64s(list, in->nat),
                                db_i64s(next, in->nat) };
    struct db_rows *r;
    return db_exec(in->tx, in->a, &sql_taken_set, v, ARRAY_LEN(v), &r, err);
}

static struct metric_cell *outcome(const char *name)
{
    return metric_cell(M_analytics_rows, &name, 1);
}

/* The messages that were not stored before, read; what cannot be read fails the batch, and alone
 * goes to the dead letters. */
static int read_batches(struct ingest *in, struct msg **m, size_t n, struct err *err)
{
    in->b = arena_alloc(in->a, (n + 1) * sizeof *in->b);
    for (size_t i = 0; i < n; i++) {
        size_t k = partition_at(in, m[i]->partition);
        int rc =
            batch_read(in->a, m[i]->payload ? m[i]->payload : "", m[i]->len, &in->b[in->nb], err);
        if (rc) {
            if (n == 1)
                metric_add(outcome("invalid"), 1);
            return rc;
        }
        if (m[i]->offset < in->at[k].next) {
            metric_add(outcome("repeated"), (int64_t)in->b[in->nb].n);
            continue;
        }
        in->at[k].next = m[i]->offset + 1;
        in->nrows += in->b[in->nb++].n;
    }
    return 0;
}

/* --- cells and facets --------------------------------------------------------------------------
 */

static void add_cell(struct cells *c, const struct record *r, const struct cell_key *key)
{
    struct cell *cell = cells_at(c, key);
    cell->sum[SUM_N]++;
    cell->sum[SUM_LIMITED] += r->number[RR_status] == 429;
    cell->sum[SUM_BYTES_IN] += r->number[RR_bytes_in];
    cell->sum[SUM_BYTES_OUT] += r->number[RR_bytes_out];
    cell->sum[SUM_TOTAL_US] += r->number[RR_total_us];
    cell->sum[SUM_QUEUE_US] += r->number[RR_queue_us];
    cell->sum[SUM_DB_US] += r->number[RR_db_us];
    if (r->number[RR_total_us] > cell->max_us)
        cell->max_us = r->number[RR_total_us];
    cells_bin(c, cell, sketch_bin(r->number[RR_total_us]), 1);
}

static int store_cells(struct ingest *in, struct cells *c, struct err *err)
{
    enum { BUCKET, ROUTE, CONSUMER, CLASS, FIRST_SUM, MAX_US = FIRST_SUM + SUMS_MAX_, NUMBERS };
    int64_t *number[NUMBERS];
    const char **sketch = arena_raw(in->a, (c->n + 1) * sizeof *sketch);
    struct db_val v[NUMBERS + 1];
    struct db_rows *r;
    cells_finish(c);
    for (size_t k = 0; k < NUMBERS; k++)
        number[k] = arena_raw(in->a, (c->n + 1) * sizeof(int64_t));
    for (size_t i = 0; i < c->n; i++) {
        const struct cell *cell = &c->v[i];
        char *hex = arena_raw(in->a, 2 * cell->sketch_n + 1);
        number[BUCKET][i] = cell->key.bucket;
        number[ROUTE][i] = cell->key.route;
        number[CONSUMER][i] = cell->key.consumer;
        number[CLASS][i] = cell->key.class;
        for (size_t k = 0; k < SUMS_MAX_; k++)
            number[FIRST_SUM + k][i] = cell->sum[k];
        number[MAX_US][i] = cell->max_us;
        hex_encode(cell->sketch, cell->sketch_n, hex);
        sketch[i] = hex;
    }
    for (size_t k = 0; k < NUMBERS; k++)
        v[k] = db_i64s(number[k], c->n);
    v[NUMBERS] = db_texts(sketch, c->n);
    return c->n ? db_exec(in->tx, in->a, &sql_fresh_store, v, ARRAY_LEN(v), &r, err) : 0;
}

enum facet_kind { FACET_COUNTRY, FACET_AGENT, FACET_NETWORK, FACET_KINDS_MAX_ };
static const struct {
    const char *name;
    enum request_record_field field;
} facet_kinds[FACET_KINDS_MAX_] = {
    [FACET_COUNTRY] = { "country", RR_country },
    [FACET_AGENT] = { "agent",   RR_agent   },
    [FACET_NETWORK] = { "network", RR_network },
};

struct facets {
    uint32_t slots[facet_slots];     /* place + 1 by the hash of what it is about; 0: free */
    uint32_t last[FACET_KINDS_MAX_]; /* the one added to last, + 1; 0: none */
    int64_t *bucket, *consumer, *n;
    const char **kind, **value;
    size_t count;
};

static struct facets *facets_new(struct arena *a, size_t rows)
{
    size_t max = 3 * rows + 1 < facets_max ? 3 * rows + 1 : facets_max;
    struct facets *f = arena_alloc(a, sizeof *f);
    f->bucket = arena_raw(a, max * sizeof(int64_t));
    f->consumer = arena_raw(a, max * sizeof(int64_t));
    f->n = arena_raw(a, max * sizeof(int64_t));
    f->kind = arena_raw(a, max * sizeof(char *));
    f->value = arena_raw(a, max * sizeof(char *));
    return f;
}

static bool facet_is(const struct facets *f, size_t i, int64_t bucket, int32_t consumer,
                     const char *kind, const char *value)
{
    return f->bucket[i] == bucket && f->consumer[i] == consumer && f->kind[i] == kind &&
           (f->value[i] == value || str_eq(f->value[i], value));
}

static void add_facet(struct facets *f, int64_t bucket, int32_t consumer, enum facet_kind k,
                      const char *value)
{
    static const unsigned char fixed[16] = "facets";
    const char *kind = facet_kinds[k].name;
    size_t len = strlen(value), i = f->last[k];
    if (!len)
        return;
    if (i && facet_is(f, i - 1, bucket, consumer, kind, value)) {
        f->n[i - 1]++;
        return;
    }
    uint64_t h = siphash(fixed, value, len) ^ (uint64_t)bucket * 0x9e3779b97f4a7c15u ^
                 (uint64_t)(uint32_t)consumer * 0xc2b2ae3d27d4eb4fu ^ k * 0x165667b1u;
    size_t at = (size_t)(h ^ h >> 32) % facet_slots;
    for (; f->slots[at]; at = (at + 1) % facet_slots) {
        i = f->slots[at] - 1;
        if (facet_is(f, i, bucket, consumer, kind, value)) {
            f->last[k] = (uint32_t)i + 1;
            f->n[i]++;
            return;
        }
    }
    if (f->count == facets_max)
        return;
    i = f->count++;
    f->slots[at] = f->last[k] = (uint32_t)i + 1;
    f->bucket[i] = bucket;
    f->consumer[i] = consumer;
    f->kind[i] = kind;
    f->value[i] = value;
    f->n[i] = 1;
}

static int store_facets(struct ingest *in, struct facets *f, struct err *err)
{
    const struct db_val v[] = { db_i64s(f->bucket, f->count), db_i64s(f->consumer, f->count),
                                db_texts(f->kind, f->count), db_texts(f->value, f->count),
                                db_i64s(f->n, f->count) };
    struct db_rows *r;
    return f->count ? db_exec(in->tx, in->a, &sql_facets_store, v, ARRAY_LEN(v), &r, err) : 0;
}

/* --- a batch ----------------------------------------------------------------------------------
 */

static int older(const void *x, const void *y)
{
    const struct block_row *a = x, *b = y;
    return (a->at > b->at) - (a->at < b->at);
}

/* By the pointers of texts: the reader gives the same to equal ones of rows beside each other. */
static bool same_route(const struct record *r, const struct record *q)
{
    return r->text[RR_route] == q->text[RR_route] && r->text[RR_method] == q->text[RR_method];
}

static bool same_consumer(const struct record *r, const struct record *q)
{
    return r->number[RR_key] == q->number[RR_key] && r->number[RR_client] == q->number[RR_client] &&
           r->number[RR_user] == q->number[RR_user] &&
           r->number[RR_session] == q->number[RR_session];
}

/* False: a name has no number yet. */
static bool number(struct ingest *in, struct block_row *rows)
{
    const int64_t latest = clock_us() + future_us; /* not beyond the partitions that there are */
    struct block_row *row = rows;
    for (size_t i = 0; i < in->nb; i++) {
        for (size_t k = 0; k < in->b[i].n; k++, row++) {
            const struct record *r = &in->b[i].rows[k];
            row->r = r;
            row->at = r->number[RR_at] < latest ? r->number[RR_at] : latest;
            row->route =
                k && same_route(r, r - 1) ? row[-1].route : names_route(in->names, &in->b[i], r);
            row->consumer =
                k && same_consumer(r, r - 1) ? row[-1].consumer : names_consumer(in->names, r);
            if (!row->route || !row->consumer)
                return false;
        }
    }
    assert(row == rows + in->nrows);
    return true;
}

/* Records of several messages in the order of their time, so that what happened together lies
 * together. */
static int gather(struct ingest *in, struct block_row **ret, struct err *err)
{
    struct block_row *rows = arena_raw(in->a, (in->nrows + 1) * sizeof *rows);
    if (!number(in, rows)) {
        int rc = names_learn(in->names, in->a, in->tx, in->b, in->nb, err);
        if (rc)
            return rc;
        if (!number(in, rows))
            return err_set(err, E_unavailable, "A name is being made by another replica.");
    }
    qsort(rows, in->nrows, sizeof *rows, older);
    *ret = rows;
    return 0;
}

static int store_log(struct ingest *in, const struct block_row *rows, struct err *err)
{
    struct db_copy copy;
    struct block *block = block_new(in->a, &copy);
    int rc = 0;
    db_copy_init(&copy, in->a, in->nrows * log_row_bytes + block_bytes_max,
                 log_bytes + block_rows_max * block_row_bytes_max + block_bytes_max);
    for (size_t i = 0; i < in->nrows && !rc; i++) {
        block_add(block, &rows[i]);
        if (copy.b.len >= log_bytes)
            rc = db_copy(in->tx, &copy, &sql_requests_store, err);
    }
    block_end(block);
    return rc || !copy.rows ? rc : db_copy(in->tx, &copy, &sql_requests_store, err);
}

static int store_sums(struct ingest *in, const struct block_row *rows, struct err *err)
{
    struct cells cells;
    struct facets *facets = facets_new(in->a, in->nrows);
    cells_init(&cells, in->a);
    for (size_t i = 0; i < in->nrows; i++) {
        const struct record *r = rows[i].r;
        int64_t ignored, s = rows[i].at / 1000000;
        add_cell(&cells, r,
                 &(struct cell_key){ .bucket = s - s % level_s[LEVEL_MINUTE],
                                     .route = rows[i].route,
                                     .consumer = rows[i].consumer,
                                     .class = (short)(r->number[RR_status] / 100) });
        if (record_consumer(r, &ignored) == BY_ANONYMOUS)
            continue;
        s -= s % facet_s;
        for (size_t k = 0; k < FACET_KINDS_MAX_; k++)
            add_facet(facets, s, rows[i].consumer, (enum facet_kind)k,
                      r->text[facet_kinds[k].field]);
    }
    int rc = store_cells(in, &cells, err);
    return rc ? rc : store_facets(in, facets, err);
}

static int store_rows(struct ingest *in, struct err *err)
{
    struct block_row *rows;
    int rc = gather(in, &rows, err);
    if (!rc)
        rc = store_log(in, rows, err);
    return rc ? rc : store_sums(in, rows, err);
}

static int store_losses(struct ingest *in, struct err *err)
{
    const char **program = arena_raw(in->a, (in->nb + 1) * sizeof *program);
    const char **rule = arena_raw(in->a, (in->nb + 1) * sizeof *rule);
    int64_t *lost = arena_raw(in->a, (in->nb + 1) * sizeof *lost);
    size_t n = 0;
    struct db_rows *r;
    for (size_t i = 0; i < in->nb; i++) {
        if (!in->b[i].dropped)
            continue;
        program[n] = in->b[i].program;
        rule[n] = in->b[i].rule;
        lost[n++] = in->b[i].dropped;
    }
    const struct db_val v[] = { db_texts(program, n), db_texts(rule, n), db_i64s(lost, n) };
    return n ? db_exec(in->tx, in->a, &sql_losses_store, v, ARRAY_LEN(v), &r, err) : 0;
}

int ingest(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err)
{
    struct analytics *state = svc->state;
    struct ingest in = { .svc = svc, .names = state->names, .a = m[0]->arena, .tx = tx };
    int64_t sent_us;
    names_settle(in.names, false); /* a rerun begins anew */
    int rc = lock_partitions(&in, m, n, err);
    if (!rc)
        rc = read_batches(&in, m, n, err);
    if (rc || !in.nb)
        return rc;
    rc = store_rows(&in, err);
    if (!rc)
        rc = store_losses(&in, err);
    if (!rc)
        rc = store_partitions(&in, err);
    if (!rc) {
        metric_add(outcome("stored"), (int64_t)in.nrows);
        if (m[n - 1]->time && rfc3339_parse(m[n - 1]->time, &sent_us))
            metric_gauge(M_analytics_behind, (clock_us() - sent_us) / 1000);
    }
    return rc;
}

void ingest_committed(struct svc *svc, size_t n)
{
    struct analytics *state = svc->state;
    (void)n;
    names_settle(state->names, true);
}

void ingest_failed(struct svc *svc)
{
    struct analytics *state = svc->state;
    names_settle(state->names, false);
}
