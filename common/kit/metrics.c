#include "common/kit/metrics.h"

#include "common/base/str.h"

#include <assert.h>
#include <pthread.h>

enum { labels_max = 3, hash_slots = 256 };

static const int64_t bounds_us[] = { 1000,   2500,   5000,    10000,   25000,   50000,   100000,
                                     250000, 500000, 1000000, 2500000, 5000000, 10000000 };
static const char *const bounds_text[] = { "0.001", "0.0025", "0.005", "0.01", "0.025",
                                           "0.05",  "0.1",    "0.25",  "0.5",  "1.0",
                                           "2.5",   "5.0",    "10.0" };

/* Cells are never freed: a pointer may be kept for the life of the program. */
struct metric_cell {
    int64_t value;     /* histogram: sum in microseconds */
    uint64_t *buckets; /* histogram: counts by bound, the last for all above */
    char *values[labels_max];
    struct metric_cell *next, *next_in_slot;
};
struct metric_family {
    struct metric_cell *first, **last, *slot[hash_slots];
    struct metric_cell *plain; /* the one cell without labels */
    size_t n;
};

/* Metrics are a process's, like its log: not a part of svc, which every bump would have to carry.
 */
static struct metric_family families[M_MAX_];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t label_count(enum metric m)
{
    const char *s = metrics[m].labels;
    size_t n = *s ? 1 : 0;
    for (; *s; s++)
        n += *s == ',';
    return n;
}

static size_t hash(const char *const *values, size_t n)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < n; i++) {
        for (const char *s = values[i]; *s; s++)
            h = (h ^ (unsigned char)*s) * 16777619U;
        h = (h ^ 0xff) * 16777619U;
    }
    return h % hash_slots;
}

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static struct metric_cell *find(struct metric_family *f, size_t slot, const char *const *values,
                                size_t n)
{
    for (struct metric_cell *c = f->slot[slot]; c; c = c->next_in_slot) {
        size_t i = 0;
        while (i < n && !strcmp(c->values[i], values[i]))
            i++;
        if (i == n)
            return c;
    }
    return NULL;
}

static struct metric_cell *add(enum metric m, struct metric_family *f, size_t slot,
                               const char *const *values, size_t n)
{
    struct metric_cell *c = must(calloc(1, sizeof *c));
    for (size_t i = 0; i < n; i++)
        c->values[i] = must(strdup(values[i]));
    if (metrics[m].kind == METRIC_HISTOGRAM)
        c->buckets = must(calloc(ARRAY_LEN(bounds_us) + 1, sizeof *c->buckets));
    c->next_in_slot = f->slot[slot];
    f->slot[slot] = c;
    if (!f->last)
        f->last = &f->first;
    __atomic_store_n(f->last, c, __ATOMIC_RELEASE); /* metrics_write walks without the lock */
    f->last = &c->next;
    f->n++;
    return c;
}

struct metric_cell *metric_cell(enum metric m, const char *const *values, size_t n)
{
    static const char *const other[labels_max] = { "other", "other", "other" };
    struct metric_family *f = &families[m];
    assert(m < M_MAX_ && n == label_count(m) && n <= labels_max);
    size_t slot = hash(values, n);
    pthread_mutex_lock(&lock);
    struct metric_cell *c = find(f, slot, values, n);
    if (!c && f->n >= metric_cells_max) {
        values = other;
        slot = hash(values, n);
        c = find(f, slot, values, n);
    }
    if (!c)
        c = add(m, f, slot, values, n);
    pthread_mutex_unlock(&lock);
    return c;
}

void metric_add(struct metric_cell *c, int64_t n)
{
    __atomic_fetch_add(&c->value, n, __ATOMIC_RELAXED);
}

void metric_set(struct metric_cell *c, int64_t v)
{
    __atomic_store_n(&c->value, v, __ATOMIC_RELAXED);
}

void metric_observe_us(struct metric_cell *c, int64_t us)
{
    size_t i = 0;
    assert(c->buckets);
    while (i < ARRAY_LEN(bounds_us) && us > bounds_us[i])
        i++;
    __atomic_fetch_add(&c->buckets[i], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&c->value, us, __ATOMIC_RELAXED);
}

static struct metric_cell *plain(enum metric m)
{
    struct metric_cell *c = __atomic_load_n(&families[m].plain, __ATOMIC_ACQUIRE);
    if (!c) {
        c = metric_cell(m, NULL, 0);
        __atomic_store_n(&families[m].plain, c, __ATOMIC_RELEASE);
    }
    return c;
}

void metric_inc(enum metric m)
{
    metric_add(plain(m), 1);
}

void metric_gauge(enum metric m, int64_t v)
{
    metric_set(plain(m), v);
}

/* --- text ----------------------------------------------------------------------------------------
 */

/* {route="/a",status="200"}, with `le` at the end for a bucket; nothing if there is no label. */
static void put_labels(struct buf *out, enum metric m, const struct metric_cell *c, const char *le)
{
    const char *names = metrics[m].labels;
    bool any = false;
    for (size_t i = 0; *names; i++) {
        size_t n = strcspn(names, ",");
        buf_printf(out, "%s%.*s=\"", any ? "," : "{", (int)n, names);
        for (const char *s = c->values[i]; *s; s++) {
            if (*s == '\\' || *s == '"')
                buf_putc(out, '\\');
            buf_putc(out, *s == '\n' ? ' ' : *s);
        }
        buf_putc(out, '"');
        any = true;
        names += n + (names[n] == ',');
    }
    if (le)
        buf_printf(out, "%sle=\"%s\"", any ? "," : "{", le);
    if (any || le)
        buf_putc(out, '}');
}

static void put_histogram(struct buf *out, enum metric m, const struct metric_cell *c)
{
    const char *name = metrics[m].name;
    uint64_t sum = 0;
    for (size_t i = 0; i <= ARRAY_LEN(bounds_us); i++) {
        sum += __atomic_load_n(&c->buckets[i], __ATOMIC_RELAXED);
        buf_printf(out, "%s_bucket", name);
        put_labels(out, m, c, i < ARRAY_LEN(bounds_us) ? bounds_text[i] : "+Inf");
        buf_printf(out, " %llu\n", (unsigned long long)sum);
    }
    int64_t us = __atomic_load_n(&c->value, __ATOMIC_RELAXED);
    buf_printf(out, "%s_sum", name);
    put_labels(out, m, c, NULL);
    buf_printf(out, " %lld.%06lld\n", (long long)(us / 1000000), (long long)(us % 1000000));
    buf_printf(out, "%s_count", name);
    put_labels(out, m, c, NULL);
    buf_printf(out, " %llu\n", (unsigned long long)sum);
}

static void put_family(struct buf *out, const struct metric_def *d, bool open)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    size_t n = strlen(d->name);
    if (open && d->kind == METRIC_COUNTER && str_ends(d->name, "_total"))
        n -= strlen("_total");
    if (open) /* §3.2: TYPE before HELP, by convention of its examples */
        buf_printf(out, "# TYPE %.*s %s\n# HELP %.*s %s\n", (int)n, d->name, kinds[d->kind], (int)n,
                   d->name, d->doc);
    else
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", d->name, d->doc, d->name, kinds[d->kind]);
}

static void write_all(struct buf *out, bool open)
{
    for (enum metric m = 0; m < M_MAX_; m++) {
        const struct metric_def *d = &metrics[m];
        if (!*d->labels)
            plain(m); /* a counter that never moved is 0, not absent */
        put_family(out, d, open);
        pthread_mutex_lock(&lock);
        struct metric_cell *c = families[m].first;
        pthread_mutex_unlock(&lock);
        for (; c; c = __atomic_load_n(&c->next, __ATOMIC_ACQUIRE)) {
            if (d->kind == METRIC_HISTOGRAM) {
                put_histogram(out, m, c);
                continue;
            }
            buf_puts(out, d->name);
            put_labels(out, m, c, NULL);
            buf_putc(out, ' ');
            buf_put_i64(out, __atomic_load_n(&c->value, __ATOMIC_RELAXED));
            buf_putc(out, '\n');
        }
    }
}

void metrics_write(struct buf *out)
{
    write_all(out, false);
}

void metrics_write_open(struct buf *out)
{
    write_all(out, true);
    buf_puts(out, "# EOF\n");
}
