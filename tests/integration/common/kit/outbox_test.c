/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL.  Kafka is librdkafka's mock cluster, so that it can
 * be broken. */
#include "common/kit/outbox.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/io/db.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <cmocka.h>

enum { writers = 4, keys = 5, writes_each = 150, seen_max = 4096, produce_api = 0 };
#define TOPIC "content.events"

static char schema[64], conninfo[1024], program[64];
static struct arena *arena;
static struct db *db;
static struct db_conf conf;

static rd_kafka_t *mock_handle;
static rd_kafka_mock_cluster_t *mock;
static const char *brokers;
static struct bus_reader *reader;

/* --- what arrived ---------------------------------------------------------------------- */

struct seen {
    char key[32], id[uuid_len + 1];
    int64_t n;
};
static struct seen seen[seen_max];
static size_t nseen;
static struct bus_msg last;

/* Reads until `want` messages (copies counted) are there or the time is over. */
static size_t read_until(size_t want, int64_t ms)
{
    int64_t until_us = clock_mono_us() + ms * 1000;
    while (nseen < want && clock_mono_us() < until_us) {
        struct bus_msg *m;
        size_t n;
        struct err err;
        if (bus_read(reader, arena, 100, 50, &m, &n, &err) < 0)
            fail_msg("%s", err.detail);
        for (size_t i = 0; i < n; i++) {
            assert_true(nseen < seen_max);
            struct seen *s = &seen[nseen++];
            snprintf(s->key, sizeof(s->key), "%s", m[i].key);
            snprintf(s->id, sizeof(s->id), "%s", bus_header(&m[i], "ce_id"));
            s->n = 0;
            char *text = arena_strndup(arena, m[i].payload, m[i].len);
            assert_int_equal(sscanf(text, "{\"n\":%ld}", &s->n), 1);
            last = m[i];
        }
    }
    return nseen;
}

/* --- writing --------------------------------------------------------------------------- */

struct change {
    struct arena *arena;
    const char *key, *payload;
    unsigned before_ms; /* between the row and the event */
    unsigned linger_ms; /* between the event and the commit */
    int fail;
    char id[uuid_len + 1];
};

static int change_fn(struct db_tx *tx, void *ctx, struct err *err)
{
    static const struct db_stmt bump = {
        .name = "bump",
        .sql = "insert into counter(key, n) values ($1, 1) on conflict (key) do update"
               " set n = counter.n + 1 returning n",
        .flags = DB_WRITE,
    };
    struct change *c = ctx;
    struct db_rows *r;
    int rc = db_exec(tx, c->arena, &bump, (struct db_val[]){ db_text(c->key) }, 1, &r, err);
    if (rc < 0)
        return rc;
    if (c->before_ms > 0)
        fiber_sleep_ms(c->before_ms);
    const struct outbox_event e = {
        .type = "post.updated",
        .key = c->key,
        .payload =
            c->payload ? c->payload : arena_printf(c->arena, "{\"n\":%s}", db_cell(r, 0, 0, NULL)),
        .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        .request_id = "req-1",
        .actor = "user:7 key:3",
    };
    rc = outbox_put(tx, c->arena, &e, c->id, err);
    if (rc == 0 && c->linger_ms > 0)
        fiber_sleep_ms(c->linger_ms);
    return rc == 0 && c->fail ? err_set(err, (enum err_code)c->fail, "no") : rc;
}

static int change(struct change *c)
{
    struct err err;
    if (!c->arena)
        c->arena = arena;
    return db_tx(db, c->arena, change_fn, c, &err);
}

static int64_t number(const char *sql)
{
    struct db_stmt s = { .sql = sql, .flags = DB_ONCE };
    struct db_rows *r;
    struct err err;
    if (db_query(db, arena, &s, NULL, 0, &r, &err) < 0)
        fail_msg("%s", err.detail);
    return db_nrows(r) ? db_get_i64(r, 0, 0) : 0;
}

static bool becomes(const char *sql, int64_t want, int64_t ms)
{
    int64_t until_us = clock_mono_us() + ms * 1000;
    while (number(sql) != want) {
        if (clock_mono_us() > until_us)
            return false;
        usleep(5 * 1000);
    }
    return true;
}

static struct outbox *relay(void)
{
    struct outbox *o;
    struct err err;
    const struct outbox_conf oc = {
        .program = program, .brokers = brokers, .db = &conf, .drain_ms = 3000
    };
    assert_int_equal(outbox_open(&oc, &o, &err), 0);
    return o;
}

static void await_owner(struct outbox *o)
{
    for (int i = 0; i < 1000 && !outbox_is_owner(o); i++)
        usleep(5 * 1000);
    assert_true(outbox_is_owner(o));
}

/* --- cases ----------------------------------------------------------------------------- */

/* proves: X-04 */
static void an_event_is_there_if_and_only_if_its_transaction_is(void **state)
{
    (void)state;
    struct change good = { .key = "post:1" }, bad = { .key = "post:2", .fail = E_conflict };
    assert_int_equal(change(&good), 0);
    assert_int_equal(change(&bad), -E_conflict);
    assert_int_equal(number("select count(*) from outbox"), 1);
    assert_int_equal(number(arena_printf(arena,
                                         "select count(*) from outbox where event_id = '%s'"
                                         " and topic = '" TOPIC "' and type = 'post.updated'"
                                         " and trace like '00-4bf%%' and request_id = 'req-1'",
                                         good.id)),
                     1);
    assert_int_equal(number("select count(*) from counter where key = 'post:2'"), 0);
}

static int unknown_type(struct db_tx *tx, void *ctx, struct err *err)
{
    (void)ctx;
    return outbox_put(tx, arena,
                      &(struct outbox_event){ .type = "no.such", .key = "k", .payload = "{}" },
                      NULL, err);
}

static void an_unknown_type_is_refused(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(db_tx(db, arena, unknown_type, NULL, &err), -E_internal);
}

static void an_event_travels_as_cloudevent_and_its_row_goes(void **state)
{
    (void)state;
    struct change c = { .key = "post:7" };
    assert_int_equal(change(&c), 0);
    struct outbox *o = relay();
    assert_int_equal(read_until(1, 10000), 1);
    static const char *const want[][2] = {
        { "ce_specversion",  "1.0"                                                     },
        { "ce_type",         "com.cms365.post.updated"                                 },
        { "ce_subject",      "post:7"                                                  },
        { "ce_partitionkey", "post:7"                                                  },
        { "content-type",    "application/json"                                        },
        { "traceparent",     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
        { "x-request-id",    "req-1"                                                   },
        { "ce_actor",        "user:7 key:3"                                            },
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_string_equal(bus_header(&last, want[i][0]), want[i][1]);
    assert_string_equal(bus_header(&last, "ce_id"), c.id);
    assert_string_equal(bus_header(&last, "ce_source"), arena_printf(arena, "/cms365/%s", program));
    assert_string_equal(last.key, "post:7");
    int64_t us;
    assert_true(rfc3339_parse(bus_header(&last, "ce_time"), &us));
    assert_in_range(clock_us() - us + 1000000, 0, 60 * 1000000);
    assert_true(becomes("select count(*) from outbox", 0, 2000));
    outbox_stop(o);
    assert_int_equal(nseen, 1);
}

static bool is_gone(const char *event_id, int64_t ms)
{
    return becomes(
        arena_printf(arena, "select count(*) from outbox where event_id = '%s'", event_id), 0, ms);
}

/* The row goes when Kafka has it, so this is the time from commit to acknowledgement and a bit
 * more. */
static void a_woken_relay_is_quick(void **state)
{
    (void)state;
    struct outbox *o = relay();
    await_owner(o);
    struct change c = { .key = "post:1" };
    assert_int_equal(change(&c), 0); /* the first message opens connections */
    outbox_wake(o);
    assert_true(is_gone(c.id, 10000));
    int64_t from_us = clock_mono_us();
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(change(&c), 0);
        outbox_wake(o);
        assert_true(is_gone(c.id, 5000));
    }
    assert_in_range((clock_mono_us() - from_us) / 20, 0, 250 * 1000);
    outbox_stop(o);
}

static void *change_in_thread(void *ctx)
{
    struct change *c = ctx;
    c->arena = arena_new();
    return change(c) == 0 ? NULL : ctx;
}

static void begin(pthread_t *t, struct change *c)
{
    assert_int_equal(pthread_create(t, NULL, change_in_thread, c), 0);
    usleep(100 * 1000);
}

static void end(pthread_t t, struct change *c)
{
    void *failed;
    pthread_join(t, &failed);
    assert_null(failed);
    arena_free(c->arena);
}

/* `late` takes a lower event id than `early` and commits after it; `next`, of late's key, must not
 * overtake late.  With early_first early's transaction is the older one all the same. */
static void late_is_not_overtaken(struct outbox *o, bool early_first)
{
    pthread_t e, l;
    struct change late = { .key = "post:1", .linger_ms = 900 }, next = { .key = "post:1" },
                  early = { .key = "post:2", .before_ms = 200 };
    nseen = 0;
    begin(early_first ? &e : &l, early_first ? &early : &late);
    begin(early_first ? &l : &e, early_first ? &late : &early);
    end(e, &early);
    assert_true(is_gone(early.id, 5000));
    assert_int_equal(number("select count(*) from outbox"), 0); /* late has not committed yet */
    assert_int_equal(change(&next), 0);                         /* waits for the row */
    outbox_wake(o);
    end(l, &late);
    assert_int_equal(read_until(3, 5000), 3);
    const struct seen *of_key[2];
    for (size_t i = 0, k = 0; i < 3; i++)
        if (str_eq(seen[i].key, "post:1"))
            of_key[k++] = &seen[i];
    assert_string_equal(of_key[0]->id, late.id);
    assert_string_equal(of_key[1]->id, next.id);
}

/* proves: X-04 */
static void a_late_commit_is_found_and_not_overtaken(void **state)
{
    (void)state;
    struct outbox *o = relay();
    await_owner(o);
    for (int round = 0; round < 4; round++)
        late_is_not_overtaken(o, round % 2);
    outbox_stop(o);
}

static atomic_bool stop_killing;

static void *kill_owners(void *ctx)
{
    /* The backends that hold an advisory lock of this database are the relay's. */
    static const struct db_stmt s = {
        .name = "kill_owner",
        .sql = "select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory'"
               " and granted and pid in (select pid from pg_stat_activity where application_name = "
               "$1)",
    };
    struct arena *a = arena_new();
    size_t *killed = ctx;
    while (!atomic_load(&stop_killing)) {
        struct db_rows *r;
        struct err err;
        usleep(700 * 1000);
        if (db_query(db, a, &s, (struct db_val[]){ db_text(conf.application) }, 1, &r, &err) == 0)
            *killed += (size_t)db_get_i64(r, 0, 0);
    }
    arena_free(a);
    return NULL;
}

static void *write_much(void *ctx)
{
    struct outbox *const *o = ctx;
    struct arena *a = arena_new();
    size_t *failures = calloc(1, sizeof(*failures));
    for (size_t i = 0; i < writes_each; i++) {
        char key[32];
        snprintf(key, sizeof(key), "post:%d", (int)random_below(keys));
        struct change c = { .arena = a, .key = key, .linger_ms = (unsigned)random_below(12) };
        *failures += change(&c) != 0;
        outbox_wake(o[0]);
        outbox_wake(o[1]);
        arena_reset(a);
    }
    arena_free(a);
    return failures;
}

/* How many messages arrived at least once. */
static size_t arrived(void)
{
    static bool had[keys][writers * writes_each + 1];
    size_t n = 0;
    memset(had, 0, sizeof had);
    for (size_t i = 0; i < nseen; i++) {
        int k;
        assert_int_equal(sscanf(seen[i].key, "post:%d", &k), 1);
        assert_in_range(k, 0, keys - 1);
        assert_in_range(seen[i].n, 1, writers * writes_each);
        n += !had[k][seen[i].n];
        had[k][seen[i].n] = true;
    }
    return n;
}

/* First arrivals of each key are 1, 2, 3 …: nothing lost, nothing overtaken.  Copies may follow. */
static void check_order(void)
{
    for (int k = 0; k < keys; k++) {
        char key[32];
        int64_t next = 1;
        snprintf(key, sizeof(key), "post:%d", k);
        for (size_t i = 0; i < nseen; i++) {
            if (strcmp(seen[i].key, key) != 0)
                continue;
            if (seen[i].n > next)
                fail_msg("%s: %ld came before %ld", key, (long)seen[i].n, (long)next);
            next += seen[i].n == next;
        }
        assert_true(next - 1 ==
                    number(arena_printf(arena, "select n from counter where key = '%s'", key)));
    }
}

/* proves: X-04 */
static void two_relays_keep_the_order_while_owners_are_killed(void **state)
{
    (void)state;
    struct outbox *o[2] = { relay(), relay() };
    pthread_t w[writers], killer;
    size_t killed = 0;
    atomic_store(&stop_killing, false);
    pthread_create(&killer, NULL, kill_owners, &killed);
    for (size_t i = 0; i < writers; i++)
        pthread_create(&w[i], NULL, write_much, o);
    for (size_t i = 0; i < writers; i++) {
        void *failures;
        pthread_join(w[i], &failures);
        assert_int_equal(*(size_t *)failures, 0);
        free(failures);
    }
    for (int i = 0; i < 40 && killed < 2; i++)
        read_until(seen_max, 100);
    atomic_store(&stop_killing, true);
    pthread_join(killer, NULL);
    assert_true(killed >= 2);
    assert_true(becomes("select count(*) from outbox", 0, 15000));
    for (int i = 0; i < 150 && arrived() < writers * writes_each; i++)
        read_until(nseen + 1, 100);
    read_until(seen_max, 1000); /* copies */
    outbox_stop(o[0]);
    outbox_stop(o[1]);
    assert_int_equal(arrived(), writers * writes_each);
    check_order();
}

static void the_lock_passes_on_when_the_owner_stops(void **state)
{
    (void)state;
    struct outbox *first = relay();
    await_owner(first);
    struct outbox *second = relay();
    struct change c = { .key = "post:1" };
    usleep(100 * 1000);
    assert_false(outbox_is_owner(second));
    assert_int_equal(change(&c), 0);
    outbox_stop(first); /* sends what is there */
    assert_int_equal(number("select count(*) from outbox"), 0);
    int64_t from_us = clock_mono_us();
    await_owner(second);
    assert_in_range((clock_mono_us() - from_us) / 1000, 0, 5000);
    assert_int_equal(change(&c), 0);
    assert_int_equal(read_until(2, 5000), 2);
    outbox_stop(second);
}

static void a_row_that_kafka_refuses_for_good_is_buried(void **state)
{
    (void)state;
    struct change c = { .key = "post:1" }, bad = { .key = "post:2" };
    struct outbox *o = relay();
    await_owner(o);
    assert_int_equal(change(&c), 0);
    assert_int_equal(read_until(1, 10000), 1);
    assert_true(becomes("select count(*) from outbox", 0, 2000));
    /* Refused in its batch, and again alone. */
    rd_kafka_mock_push_request_errors(mock, produce_api, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal(change(&bad), 0);
    assert_true(becomes("select count(*) from outbox_dead", 1, 10000));
    assert_int_equal(number(arena_printf(arena,
                                         "select count(*) from outbox_dead where event_id = '%s'"
                                         " and reason <> ''",
                                         bad.id)),
                     1);
    assert_int_equal(change(&c), 0);
    assert_int_equal(read_until(2, 10000), 2);
    assert_string_equal(seen[1].id, c.id);
    assert_true(becomes("select count(*) from outbox", 0, 2000));
    outbox_stop(o);
}

static void rows_refused_with_their_batch_are_tried_alone(void **state)
{
    (void)state;
    rd_kafka_mock_push_request_errors(mock, produce_api, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    for (int i = 0; i < 20; i++) {
        struct change c = { .key = i % 2 ? "post:1" : "post:2" };
        assert_int_equal(change(&c), 0);
    }
    struct outbox *o = relay();
    assert_true(becomes("select count(*) from outbox", 0, 20000));
    assert_int_equal(number("select count(*) from outbox_dead"), 0);
    assert_true(read_until(20, 5000) >= 20);
    check_order();
    outbox_stop(o);
}

static void an_absent_broker_delays_and_loses_nothing(void **state)
{
    (void)state;
    struct outbox *o = relay();
    await_owner(o);
    rd_kafka_mock_broker_set_down(mock, 1);
    for (int i = 0; i < 200; i++) {
        struct change c = { .key = i % 2 ? "post:1" : "post:2" };
        assert_int_equal(change(&c), 0);
    }
    usleep(500 * 1000);
    assert_int_equal(number("select count(*) from outbox"), 200);
    rd_kafka_mock_broker_set_up(mock, 1);
    assert_true(becomes("select count(*) from outbox", 0, 20000));
    assert_true(read_until(200, 5000) >= 200);
    check_order();
    outbox_stop(o);
}

/* proves: X-04: events of one change share a row, and are messages of their own, in order */
static void a_row_of_two_events_is_two_messages(void **state)
{
    (void)state;
    static const char put[] =
        "insert into outbox(event_id, type, topic, key, payload, also_types, also_ids)"
        " select md5('a' || i)::uuid, 'post.created', '" TOPIC "', 'post:' || i, '{\"n\":' || i ||"
        " '}', '{post.published,post.scheduled}', array[md5('b' || i), md5('c' || i)]::uuid[]"
        " from generate_series(1, 100) i";
    number(put);
    struct outbox *o = relay();
    assert_true(becomes("select count(*) from outbox", 0, 10000));
    assert_int_equal(read_until(300, 10000), 300);
    const char *expect[3] = { "a", "b", "c" };
    size_t got[101] = { 0 };
    for (size_t i = 0; i < nseen; i++) {
        int64_t n = seen[i].n;
        assert_in_range(n, 1, 100);
        const char *want = arena_printf(arena, "select count(*) where md5('%s%lld')::uuid = '%s'",
                                        expect[got[n]++], (long long)n, seen[i].id);
        assert_int_equal(number(want), 1);
    }
    assert_string_equal(bus_header(&last, "ce_type"), "com.cms365.post.scheduled");
    outbox_stop(o);
    /* What the broker refuses for good is buried whole. */
    rd_kafka_mock_push_request_errors(mock, produce_api, 4, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    number(arena_printf(arena, "%s limit 1", put));
    o = relay();
    assert_true(becomes("select count(*) from outbox_dead where also_types ="
                        " '{post.published,post.scheduled}' and cardinality(also_ids) = 2",
                        1, 20000));
    assert_int_equal(number("select count(*) from outbox"), 0);
    outbox_stop(o);
}

static void a_backlog_larger_than_the_queue_drains(void **state)
{
    (void)state;
    /* 1,500 rows of two events, 12 MB: more than a read takes and more than librdkafka's 8 MiB
     * queue, which may end between the two. */
    number("insert into outbox(event_id, type, topic, key, payload, also_types, also_ids)"
           " select gen_random_uuid(), 'post.created', '" TOPIC "', 'post:' || i % 5,"
           " '{\"n\":' || i || '}' || repeat(' ', 4000), '{post.published}',"
           " array[gen_random_uuid()] from generate_series(1, 1500) i");
    struct outbox *o = relay();
    assert_true(becomes("select count(*) from outbox", 0, 30000));
    assert_int_equal(read_until(3000, 10000), 3000);
    int64_t top[5] = { 0 };
    bool second[5] = { false };
    for (size_t i = 0; i < nseen; i++) {
        size_t k = (size_t)(seen[i].n % 5);
        if (second[k])
            assert_int_equal(seen[i].n, top[k]);
        else
            assert_true(seen[i].n > top[k]);
        second[k] = !second[k];
        top[k] = seen[i].n;
    }
    outbox_stop(o);
}

/* --- fixture --------------------------------------------------------------------------- */

static void script(const char *sql)
{
    struct db_session *s;
    struct err err;
    assert_int_equal(db_session_open(&conf, &s, &err), 0);
    if (db_session_script(s, sql, &err) < 0)
        fail_msg("%s", err.detail);
    db_session_close(s);
}

static int setup(void **state)
{
    (void)state;
    char errstr[256];
    struct err err;
    script("truncate outbox, outbox_dead, counter");
    nseen = 0;
    rd_kafka_conf_t *kc = rd_kafka_conf_new();
    mock_handle = rd_kafka_new(RD_KAFKA_PRODUCER, kc, errstr, sizeof(errstr));
    assert_non_null(mock_handle);
    mock = rd_kafka_mock_cluster_new(mock_handle, 1);
    assert_non_null(mock);
    assert_int_equal(rd_kafka_mock_topic_create(mock, TOPIC, 2, 1), 0);
    brokers = rd_kafka_mock_cluster_bootstraps(mock);
    assert_int_equal(bus_reader_new(brokers, TOPIC, &reader, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bus_reader_free(reader);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(mock_handle);
    return 0;
}

static int group_setup(void **state)
{
    (void)state;
    const char *url = getenv("CMS365_TEST_DATABASE_URL");
    if (!url) {
        fputs("CMS365_TEST_DATABASE_URL is not set\n", stderr);
        return -1;
    }
    arena = arena_new();
    snprintf(schema, sizeof(schema), "outbox_test_%d", (int)getpid());
    snprintf(program, sizeof(program), "test-%d", (int)getpid());
    snprintf(conninfo, sizeof(conninfo), "%s%soptions=-csearch_path%%3D%s", url,
             strchr(url, '?') ? "&" : "?", schema);
    conf = (struct db_conf){ .conninfo = conninfo,
                             .application = "outbox_test",
                             .loops = 1,
                             .statement_timeout_ms = 5000,
                             .wait_ms = 2000,
                             .connect_timeout_ms = 2000 };
    db = db_new(&conf);
    script(arena_printf(arena, "create schema %s", schema));
    script(outbox_schema_sql);
    script(outbox_also_sql);
    script("create table counter(key text primary key, n bigint not null)");
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    script(arena_printf(arena, "drop schema %s cascade", schema));
    db_free(db);
    arena_free(arena);
    return 0;
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_is_there_if_and_only_if_its_transaction_is),
        CASE(an_unknown_type_is_refused),
        CASE(an_event_travels_as_cloudevent_and_its_row_goes),
        CASE(a_woken_relay_is_quick),
        CASE(a_late_commit_is_found_and_not_overtaken),
        CASE(two_relays_keep_the_order_while_owners_are_killed),
        CASE(the_lock_passes_on_when_the_owner_stops),
        CASE(a_row_that_kafka_refuses_for_good_is_buried),
        CASE(rows_refused_with_their_batch_are_tried_alone),
        CASE(an_absent_broker_delays_and_loses_nothing),
        CASE(a_row_of_two_events_is_two_messages),
        CASE(a_backlog_larger_than_the_queue_drains),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
