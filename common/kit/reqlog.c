#define _GNU_SOURCE /* pthread_setname_np */
#include "common/kit/reqlog.h"

#include "common/base/background.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/siphash.h"
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/io/cache.h"
#include "common/kit/metrics.h"
#include "common/kit/token.h"
#include "proto/request_record.h"

#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>

enum {
    row_bytes_max = 640, /* of texts that are all bounded: see put_row */
    head_bytes_max = 256,
    key_bytes = 16,
    network_chars = 16,
    key_keep_s = 2 * 86400,
    known_agents = 64, /* of the last headers seen, by thread */
    known_agent_bytes = 255,
};
#define day_us INT64_C(86400000000)

struct chunk {
    struct chunk *next;
    size_t len;
    unsigned rows;
    struct { /* of the last row; texts lie where they were written last */
        uint64_t number[RR_MAX_];
        unsigned text_at[RR_MAX_], text_n[RR_MAX_];
    } last;
    char data[reqlog_chunk_bytes];
};
struct net_key {
    int64_t day;     /* since 1970; -1: none */
    uint64_t number; /* of this process' keys; no two have the same */
    bool shared;
    unsigned char key[key_bytes];
};

struct reqlog {
    char *program, *brokers;
    struct cache *cache;
    pthread_mutex_t mu;
    pthread_cond_t cv;
    pthread_t thread;
    /* Under mu: */
    struct chunk *filling, *first, **last, *spare;
    size_t chunks; /* allocated, without those under way */
    size_t full;   /* from `first` on */
    size_t spares;
    size_t under_way;
    uint64_t dropped, told; /* told: of the dropped, in messages */
    struct net_key keys[2]; /* of today and the day before, or the day after */
    bool stopping;
};

/* --- what becomes of texts -----------------------------------------------------------------------
 */

/* The same few clients ask most of the time. */
static const char *family_of(const char *header)
{
    struct known {
        const char *family;
        char text[known_agent_bytes + 1];
    };
    static _Thread_local struct known seen[known_agents];
    size_t n = header ? strlen(header) : 0;
    if (!n || n > known_agent_bytes)
        return agent_family(header);
    size_t at =
        (n * 7 + (unsigned char)header[n - 1] * 31 + (unsigned char)header[n / 2]) % known_agents;
    struct known *k = &seen[at];
    if (!k->family || strcmp(k->text, header) != 0) {
        memcpy(k->text, header, n + 1);
        k->family = agent_family(header);
    }
    return k->family;
}

static size_t network_of(const char *address, unsigned char out[16])
{
    if (inet_pton(AF_INET, address, out) == 1)
        return 4;
    return inet_pton(AF_INET6, address, out) == 1 ? 8 : 0; /* a customer's network: its /64 */
}

static const char *country_of(const char *s)
{
    bool two = s && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z' && !s[2];
    return two && !str_eq(s, "XX") ? s : "";
}

/* What clients make up themselves may say anything; ours and the gateway's cannot. */
static const char *id_of(const char *id)
{
    unsigned char raw[16];
    bool ok = id && (uuid_parse(id, raw) || (strlen(id) == 32 && hex_decode(id, 32, raw)));
    return ok ? id : "";
}

/* --- rows ----------------------------------------------------------------------------------------
 */

/* Two digits a division: a time has sixteen. */
static char *put_number(char *p, uint64_t v)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    char digits[20];
    size_t n = sizeof digits;
    for (; v >= 100; v /= 100)
        memcpy(&digits[n -= 2], &pairs[2 * (v % 100)], 2);
    if (v >= 10)
        memcpy(&digits[n -= 2], &pairs[2 * v], 2);
    else
        digits[--n] = (char)('0' + v);
    memcpy(p, &digits[n], sizeof digits - n);
    return p + (sizeof digits - n);
}

/* Our own words: they need no escapes. */
static char *put_word(char *p, const char *s, size_t n)
{
    *p++ = '"';
    memcpy(p, s, n);
    p += n;
    *p++ = '"';
    return p;
}

static uint64_t positive(int64_t v)
{
    return v > 0 ? (uint64_t)v : 0;
}

struct fields {
    uint64_t number[RR_MAX_];
    const char *text[RR_MAX_]; /* NULL: the number */
};

static bool as_before(const struct chunk *c, const struct fields *f, size_t i, size_t n)
{
    if (!c->rows)
        return false;
    return f->text[i]
               ? n == c->last.text_n[i] && memcmp(c->data + c->last.text_at[i], f->text[i], n) == 0
               : f->number[i] == c->last.number[i];
}

/* What the row before has too is not said again: clients ask for much of the same. */
static void put_row(struct chunk *c, const struct fields *f)
{
    size_t n[RR_MAX_];
    unsigned said = 0;
    char *p = c->data + c->len;
    for (size_t i = 0; i < RR_MAX_; i++) {
        n[i] = f->text[i] ? strlen(f->text[i]) : 0;
        said |= (unsigned)!as_before(c, f, i, n[i]) << i;
    }
    if (c->rows)
        *p++ = ',';
    *p++ = '[';
    p = put_number(p, said);
    for (; said; said &= said - 1) {
        size_t i = (size_t)__builtin_ctz(said);
        *p++ = ',';
        if (f->text[i]) {
            c->last.text_at[i] = (unsigned)(p + 1 - c->data);
            c->last.text_n[i] = (unsigned)n[i];
            p = put_word(p, f->text[i], n[i]);
        } else {
            c->last.number[i] = f->number[i];
            p = put_number(p, f->number[i]);
        }
    }
    *p++ = ']';
    c->len = (size_t)(p - c->data);
    c->rows++;
}

static uint64_t next_number(void)
{
    static uint64_t number;
    return __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED);
}

/* A key for the day of the record; a replica that has none yet makes one up.  Under mu. */
static const struct net_key *key_of(struct reqlog *l, int64_t day)
{
    struct net_key *k = &l->keys[day & 1];
    if (k->day != day) {
        k->day = day;
        k->shared = false;
        k->number = next_number();
        random_bytes(k->key, sizeof k->key);
    }
    return k;
}

/* The address of whoever asks hardly changes from one request to the next.  Under mu. */
static const char *pseudonym(struct reqlog *l, const char *address, int64_t day)
{
    static _Thread_local struct {
        uint64_t key; /* its number; 0: none */
        char address[INET6_ADDRSTRLEN], text[network_chars + 1];
    } last;
    const struct net_key *k = key_of(l, day);
    unsigned char network[16];
    size_t len = strlen(address);
    if (last.key == k->number && strcmp(last.address, address) == 0)
        return last.text;
    size_t n = network_of(address, network);
    uint64_t h = n ? siphash(k->key, network, n) : 0;
    for (unsigned i = 0; i < network_chars; i++)
        last.text[i] = "0123456789abcdef"[h >> (60 - 4 * i) & 15];
    last.key = len < sizeof last.address ? k->number : 0;
    memcpy(last.address, address, last.key ? len + 1 : 0);
    return last.text;
}

static bool room(struct reqlog *l)
{
    struct chunk *c = l->filling;
    if (c && c->rows < request_batch_rows_max && c->len + row_bytes_max < sizeof c->data)
        return true;
    if (c) {
        *l->last = c;
        l->last = &c->next;
        l->filling = NULL;
        if (++l->full >= reqlog_gather)
            pthread_cond_signal(&l->cv);
    }
    c = l->spare;
    if (c) {
        l->spare = c->next;
        l->spares--;
    } else if (l->chunks < reqlog_chunks_max && (c = malloc(sizeof *c))) {
        l->chunks++;
    }
    if (!c)
        return false;
    c->next = NULL;
    c->len = head_bytes_max; /* the head is written when it is sent */
    c->rows = 0;
    l->filling = c;
    return true;
}

void reqlog_put(struct reqlog *l, const struct reqlog_record *r)
{
    const struct principal *who = r->who;
    struct fields f = {
        .number = { [RR_at] = positive(r->at_us),
                   [RR_status] = positive(r->status),
                   [RR_bytes_in] = r->bytes_in,
                   [RR_bytes_out] = r->bytes_out,
                   [RR_total_us] = positive(r->total_us),
                   [RR_queue_us] = positive(r->queue_us),
                   [RR_db_us] = positive(r->db_us),
                   [RR_key] = positive(who->key_id),
                   [RR_client] = positive(who->client_id),
                   [RR_user] = positive(who->user_id),
                   [RR_session] = who->session_id != 0 },
        .text = { [RR_id] = r->own_id ? r->request_id : id_of(r->request_id),
                   [RR_method] = r->method ? r->method : "OTHER",
                   [RR_route] = r->route,
                   [RR_agent] = family_of(r->user_agent),
                   [RR_country] = country_of(r->country),
                   [RR_problem] = r->problem ? r->problem : "" },
    };
    if (strlen(f.text[RR_route]) > 200)
        f.text[RR_route] = "unmatched"; /* no row of a table is so long */
    pthread_mutex_lock(&l->mu);
    if (room(l)) {
        f.text[RR_network] = pseudonym(l, r->address, r->at_us / day_us);
        put_row(l->filling, &f);
        pthread_mutex_unlock(&l->mu);
        return;
    }
    l->dropped++;
    pthread_mutex_unlock(&l->mu);
    metric_add(metric_cell(M_request_log_lost, (const char *[]){ REQUEST_RULE_BUFFER_FULL }, 1), 1);
}

uint64_t reqlog_dropped(const struct reqlog *l)
{
    return __atomic_load_n(&l->dropped, __ATOMIC_RELAXED);
}

/* --- sending -------------------------------------------------------------------------------------
 */

static void give_back(struct reqlog *l, struct chunk *c)
{
    pthread_mutex_lock(&l->mu);
    bool keep = l->spares < reqlog_spares_max;
    if (keep) {
        c->next = l->spare;
        l->spare = c;
        l->spares++;
    } else {
        l->chunks--;
    }
    pthread_mutex_unlock(&l->mu);
    if (!keep)
        free(c);
}

/* The message was copied: what comes back is that one is no longer under way. */
static void on_sent(void *ctx, int result, const char *reason)
{
    struct reqlog *l = ctx;
    if (result)
        log_debug("reqlog.unsent", kv_s("why", reason));
    pthread_mutex_lock(&l->mu);
    l->under_way--;
    pthread_mutex_unlock(&l->mu);
}

static int produce(struct reqlog *l, struct bus_producer *bus, struct chunk *c, struct err *err)
{
    char head[head_bytes_max], id[uuid_len + 1], time[rfc3339_len + 1], source[80];
    uint64_t lost = __atomic_load_n(&l->dropped, __ATOMIC_RELAXED) - l->told;
    int n = snprintf(head, sizeof head,
                     "{\"v\":%d,\"program\":\"%s\",\"dropped\":%llu,\"rule\":\"%s\",\"rows\":[",
                     request_record_version, l->program, (unsigned long long)lost,
                     REQUEST_RULE_BUFFER_FULL);
    assert(n > 0 && n < (int)sizeof head);
    char *begin = c->data + head_bytes_max - n;
    memcpy(begin, head, (size_t)n);
    c->data[c->len] = ']';
    c->data[c->len + 1] = '}';
    uuid7(id);
    rfc3339_format(clock_us(), time);
    snprintf(source, sizeof source, "/cms365/%s", l->program);
    const struct bus_msg m = {
        .topic = "api.requests",
        .payload = begin,
        .len = c->len + 2 - (head_bytes_max - (size_t)n),
        .headers = { { "ce_specversion", "1.0" },
                    { "ce_id", id },
                    { "ce_type", CE_TYPE_PREFIX "request.batch" },
                    { "ce_source", source },
                    { "ce_time", time },
                    { "content-type", "application/json" } },
        .nheaders = 6,
    };
    pthread_mutex_lock(&l->mu);
    l->under_way++;
    pthread_mutex_unlock(&l->mu);
    int rc = bus_produce(bus, &m, on_sent, l, err);
    if (rc) {
        pthread_mutex_lock(&l->mu);
        l->under_way--;
        pthread_mutex_unlock(&l->mu);
        return rc;
    }
    static struct metric_cell *sent;
    if (!sent)
        sent = metric_cell(M_request_log_rows, NULL, 0);
    metric_add(sent, c->rows);
    l->told += lost;
    return 0;
}

/* The oldest full chunk, or what has gathered; NULL: nothing, or enough is under way. */
static struct chunk *take(struct reqlog *l)
{
    pthread_mutex_lock(&l->mu);
    struct chunk *c = NULL;
    if (l->under_way < reqlog_in_flight_max) {
        c = l->first;
        if (c) {
            l->first = c->next;
            if (!l->first)
                l->last = &l->first;
            l->full--;
        } else if (l->filling && l->filling->rows) {
            c = l->filling;
            l->filling = NULL;
        }
    }
    pthread_mutex_unlock(&l->mu);
    return c;
}

static void put_back(struct reqlog *l, struct chunk *c)
{
    pthread_mutex_lock(&l->mu);
    c->next = l->first;
    if (!l->first)
        l->last = &c->next;
    l->first = c;
    l->full++;
    pthread_mutex_unlock(&l->mu);
}

/* False: the producer's queue is full; what is left waits. */
static bool send_all(struct reqlog *l, struct bus_producer *bus)
{
    struct chunk *c;
    struct err err;
    while ((c = take(l))) {
        if (produce(l, bus, c, &err)) {
            put_back(l, c);
            return false;
        }
        give_back(l, c);
    }
    return true;
}

/* --- the key of networks -------------------------------------------------------------------------
 */

/* The first program of the day makes it, the others find it. */
static bool ask_key(struct reqlog *l, int64_t day, unsigned char out[key_bytes])
{
    struct arena *a = arena_new();
    unsigned char own[key_bytes];
    char hex[2 * key_bytes + 1], keep[16];
    struct cache_reply got;
    struct err err;
    random_bytes(own, sizeof own);
    hex_encode(own, sizeof own, hex);
    snprintf(keep, sizeof keep, "%d", key_keep_s);
    const char *name = arena_printf(a, "cms365:network_key:%lld", (long long)day);
    const char *set[] = { "SET", name, hex, "EX", keep, "NX" };
    const char *get[] = { "GET", name };
    bool ok = !cache_call(l->cache, a, set, ARRAY_LEN(set), &got, &err) &&
              !cache_call(l->cache, a, get, ARRAY_LEN(get), &got, &err) && got.type == CACHE_TEXT &&
              got.len == 2 * key_bytes && hex_decode(got.text, got.len, out);
    arena_free(a);
    return ok;
}

static void refresh_key(struct reqlog *l)
{
    int64_t day = clock_us() / day_us;
    unsigned char key[key_bytes];
    pthread_mutex_lock(&l->mu);
    bool known = key_of(l, day)->shared;
    pthread_mutex_unlock(&l->mu);
    if (known || !l->cache || !ask_key(l, day, key))
        return;
    pthread_mutex_lock(&l->mu);
    struct net_key *k = &l->keys[day & 1];
    if (k->day == day) {
        memcpy(k->key, key, sizeof key);
        k->shared = true;
        k->number = next_number();
    }
    pthread_mutex_unlock(&l->mu);
}

/* --- the thread ----------------------------------------------------------------------------------
 */

/* Until enough chunks are full (and can be sent), reqlog_every_ms have passed, or it is to end. */
static bool wait_for_more(struct reqlog *l, bool can_send)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += reqlog_every_ms * 1000000L;
    if (end.tv_nsec >= 1000000000L) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&l->mu);
    if (!l->stopping &&
        (!can_send || l->full < reqlog_gather || l->under_way >= reqlog_in_flight_max))
        pthread_cond_timedwait(&l->cv, &l->mu, &end);
    bool more = !l->stopping;
    pthread_mutex_unlock(&l->mu);
    return more;
}

bool reqlog_idle(struct reqlog *l)
{
    pthread_mutex_lock(&l->mu);
    bool left = l->first || l->under_way || (l->filling && l->filling->rows);
    pthread_mutex_unlock(&l->mu);
    return !left;
}

static void finish(struct reqlog *l, struct bus_producer *bus)
{
    int64_t until = clock_mono_us() + reqlog_close_ms * INT64_C(1000);
    while (!reqlog_idle(l) && clock_mono_us() < until) {
        (void)send_all(l, bus);
        bus_poll(bus, 20);
    }
}

static struct bus_producer *open_bus(const struct reqlog *l)
{
    struct bus_producer *bus = NULL;
    struct err err;
    if (bus_producer_new(l->brokers, "request-log", &bus, &err)) {
        log_error("reqlog.failed", kv_s("error", err.msg));
        return NULL;
    }
    return bus;
}

static void *run(void *p)
{
    struct reqlog *l = p;
    background_thread(); /* and with it those of its producer */
    struct bus_producer *bus = open_bus(l);
    bool can_send = bus;
    refresh_key(l);
    while (wait_for_more(l, can_send)) {
        if (bus && bus_fatal(bus)) { /* what was under way is reported as unsent, and is lost */
            bus_producer_free(bus);
            bus = NULL;
        }
        if (!bus)
            bus = open_bus(l);
        if (bus)
            bus_poll(bus, 0); /* first: what has arrived makes room under way */
        can_send = bus && send_all(l, bus);
        if (bus)
            refresh_key(l);
    }
    if (bus)
        finish(l, bus);
    bus_producer_free(bus);
    return NULL;
}

int reqlog_start(const struct reqlog_conf *conf, struct reqlog **ret, struct err *err)
{
    struct reqlog *l = calloc(1, sizeof *l);
    pthread_condattr_t attr;
    assert(l);
    l->program = strdup(conf->program);
    l->brokers = strdup(conf->brokers);
    assert(l->program && l->brokers);
    l->cache = conf->cache;
    l->last = &l->first;
    l->keys[0].day = l->keys[1].day = -1;
    pthread_mutex_init(&l->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->cv, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&l->thread, NULL, run, l))
        return err_set(err, E_internal, "cannot start a thread");
    pthread_setname_np(l->thread, "request-log");
    *ret = l;
    return 0;
}

static void free_list(struct chunk *c)
{
    for (struct chunk *next; c; c = next) {
        next = c->next;
        free(c);
    }
}

void reqlog_stop(struct reqlog *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->mu);
    l->stopping = true;
    pthread_cond_signal(&l->cv);
    pthread_mutex_unlock(&l->mu);
    pthread_join(l->thread, NULL);
    free_list(l->first);
    free_list(l->filling);
    free_list(l->spare);
    pthread_cond_destroy(&l->cv);
    pthread_mutex_destroy(&l->mu);
    free(l->program);
    free(l->brokers);
    free(l);
}
