/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL.  Kafka is librdkafka's mock cluster. */
#include "common/kit/inbox_internal.h"

#include "common/base/background.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { wait_ms = 20000 };
static char schema[64], conninfo[1024];
static struct arena *arena;
static struct db *db;
static struct db_conf conf;
static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *mock;
static const char *brokers;
static struct bus_producer *producer;
static atomic_int acked, calls, committed, nice_is;

/* --- the effect under test: a row an event, in order, and misbehaviour on demand -----------------
 */

static int effect(struct msg *m, struct db_tx *tx, struct err *err)
{
    static const struct db_stmt put = {
        .name = "test_effect",
        .sql = "insert into effects (event_id, key, n) values ($1, $2, $3)",
        .flags = DB_WRITE,
    };
    static const struct db_stmt gate = { .name = "test_gate",
                                         .sql = "select 1 from gates where key = $1" };
    atomic_fetch_add(&calls, 1);
    atomic_store(&nice_is, getpriority(PRIO_PROCESS, 0)); /* this thread's */
    json_t *o;
    struct db_rows *r;
    int rc = json_parse(m->arena, m->payload ? m->payload : "", m->len, &o, err);
    if (rc)
        return rc;
    const struct db_val key = db_text(m->key);
    if (str_eq(json_string_value(json_object_get(o, "do")), "wait")) {
        rc = db_exec(tx, m->arena, &gate, &key, 1, &r, err);
        if (rc)
            return rc;
        if (!db_nrows(r))
            return err_set(err, E_retry_later, "the gate is not open");
    }
    if (str_eq(json_string_value(json_object_get(o, "do")), "fail"))
        return err_set(err, E_internal, "it always fails");
    const struct db_val v[] = { db_text(m->event_id), key,
                                db_i64(json_integer_value(json_object_get(o, "n"))) };
    return db_exec(tx, m->arena, &put, v, ARRAY_LEN(v), &r, err);
}

static void on_commit(struct svc *svc, size_t n)
{
    (void)svc;
    atomic_fetch_add(&committed, (int)n);
}

/* --- tools ---------------------------------------------------------------------------------------
 */

static void script(const char *sql)
{
    struct db_session *s;
    struct err err;
    struct db_conf patient = conf; /* a machine that is busy makes tables slowly */
    patient.statement_timeout_ms = patient.connect_timeout_ms = 30000;
    if (db_session_open(&patient, &s, &err) || db_session_script(s, sql, &err)) {
        fprintf(stderr, "%s: %s\n", err.msg, err.detail);
        fail_msg("%s: %s", err.msg, err.detail);
    }
    db_session_close(s);
}

static int64_t number(const char *sql)
{
    struct db_stmt s = { .sql = sql, .flags = DB_ONCE };
    struct db_rows *r;
    struct err err;
    if (db_query(db, arena, &s, NULL, 0, &r, &err))
        fail_msg("%s: %s", err.msg, err.detail);
    return db_get_i64(r, 0, 0);
}

static void until(const char *sql, int64_t want)
{
    int64_t end = clock_mono_us() + wait_ms * 1000;
    while (clock_mono_us() < end && number(sql) != want)
        usleep(20000);
    assert_int_equal(number(sql), want);
}

static void on_done(void *ctx, int result, const char *reason)
{
    (void)ctx, (void)reason;
    assert_int_equal(result, 0);
    atomic_fetch_add(&acked, 1);
}

static void put_raw(const struct bus_msg *m)
{
    struct err err;
    assert_int_equal(bus_produce(producer, m, on_done, NULL, &err), 0);
}

static void put(const char *topic, const char *id, const char *key, const char *payload)
{
    struct bus_msg m = {
        .topic = topic,
        .key = key,
        .payload = payload,
        .len = strlen(payload),
        .headers = { { "ce_id", id }, { "ce_type", "com.cms365.test.happened" } },
        .nheaders = 2
    };
    put_raw(&m);
}

static void flush(void)
{
    struct err err;
    assert_int_equal(bus_flush(producer, 10000, &err), 0);
}

static const char *event(int n, const char *what)
{
    return arena_printf(arena, "{\"n\":%d,\"do\":\"%s\"}", n, what);
}

static const char *fresh_id(void)
{
    char *id = arena_alloc(arena, uuid_len + 1);
    uuid7(id);
    return id;
}

static struct inbox *start(const struct consumer *rows)
{
    struct inbox *in;
    struct err err;
    struct inbox_conf c = { .db = db, .brokers = brokers, .rows = rows };
    if (inbox_open(&c, &in, &err))
        fail_msg("%s", err.msg);
    return in;
}

static void make_topic(const char *topic, int partitions)
{
    assert_int_equal(rd_kafka_mock_topic_create(mock, topic, partitions, 1), 0);
    assert_int_equal(rd_kafka_mock_topic_create(mock, arena_printf(arena, "%s.dlq", topic), 1, 1),
                     0);
}

#define CONSUMER(topic_)                                                                           \
    {                                                                                              \
        { .name = "test." topic_,                                                                  \
          .topic = topic_,                                                                         \
          .mode = INBOX_EFFECT,                                                                    \
          .batch_max = 100,                                                                        \
          .fn = effect,                                                                            \
          .committed = on_commit },                                                                \
        {                                                                                          \
            .name = NULL                                                                           \
        }                                                                                          \
    }

static int setup(void **state)
{
    (void)state;
    script("truncate effects, gates, inbox, inbox_retry");
    calls = committed = 0;
    return 0;
}

/* --- tests ---------------------------------------------------------------------------------------
 */

/* proves: X-04 */
static void every_message_twice_has_its_effect_once(void **state)
{
    (void)state;
    enum { n = 300 };
    static const struct consumer rows[] = CONSUMER("t.twice");
    make_topic("t.twice", 3);
    const char *ids[n];
    for (int i = 0; i < n; i++) {
        ids[i] = fresh_id();
        put("t.twice", ids[i], arena_printf(arena, "post:%d", i % 17), event(i, ""));
        if (i % 3 == 0) /* at once, within the same batch */
            put("t.twice", ids[i], arena_printf(arena, "post:%d", i % 17), event(i, ""));
    }
    flush();
    struct inbox *in = start(rows);
    until("select count(*) from effects", n);
    for (int i = 0; i < n; i++) /* all of it again, later */
        put("t.twice", ids[i], arena_printf(arena, "post:%d", i % 17), event(i, ""));
    put("t.twice", fresh_id(), "post:0", event(n, ""));
    flush();
    until("select count(*) from effects", n + 1);
    inbox_stop(in);
    assert_int_equal(number("select count(*) from effects"), n + 1);
    assert_int_equal(atomic_load(&calls), n + 1);
    assert_int_equal(atomic_load(&committed), n + 1);
    assert_int_equal(
        number("select count(*) from effects a join effects b on a.key = b.key and a.id < b.id"
               " and a.n > b.n"),
        0);
    /* another start of the same group finds nothing to do */
    in = start(rows);
    usleep(500000);
    inbox_stop(in);
    assert_int_equal(atomic_load(&calls), n + 1);
    assert_true(number("select count(*) from inbox where tableoid = 'inbox_rest'::regclass") == 0);
}

static atomic_bool schema_there;
static atomic_int schema_asked;

static bool schema_ok(const struct svc *svc)
{
    (void)svc;
    atomic_fetch_add(&schema_asked, 1);
    return atomic_load(&schema_there);
}

/* proves: X-04: a program that was started before its migrations takes nothing, so that nothing is
 * dead for what it is not at fault for */
static void nothing_is_taken_before_the_schema_is_there(void **state)
{
    (void)state;
    static const struct consumer rows[] = CONSUMER("t.early");
    struct inbox *in;
    struct err err;
    make_topic("t.early", 1);
    put("t.early", fresh_id(), "post:1", event(1, ""));
    flush();
    struct inbox_conf c = { .db = db, .brokers = brokers, .rows = rows, .ready = schema_ok };
    assert_int_equal(inbox_open(&c, &in, &err), 0);
    for (int i = 0; i < wait_ms / 10 && atomic_load(&schema_asked) < 5; i++)
        usleep(10000);
    assert_true(atomic_load(&schema_asked) >= 5);
    assert_int_equal(atomic_load(&calls), 0);
    atomic_store(&schema_there, true);
    until("select count(*) from effects", 1);
    inbox_stop(in);
    atomic_store(&schema_there, false);
    assert_int_equal(inbox_open(&c, &in, &err), 0);
    inbox_stop(in); /* ends although it never began */
}

static atomic_int most_parts, rolled_back;

/* The same effect on many at once; notes of how many partitions a call had messages. */
static int effect_batch(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx,
                        struct err *err)
{
    int parts = 0, rc = 0;
    (void)svc;
    for (size_t i = 0; i < n; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first = first && m[k]->partition != m[i]->partition;
        parts += first;
    }
    if (parts > atomic_load(&most_parts))
        atomic_store(&most_parts, parts);
    for (size_t i = 0; i < n && !rc; i++)
        rc = effect(m[i], tx, err);
    return rc;
}

static void on_failure(struct svc *svc)
{
    (void)svc;
    atomic_fetch_add(&rolled_back, 1);
}

static size_t dead_letters(const char *topic, char reason[256])
{
    struct bus_reader *r;
    struct err err;
    size_t total = 0;
    assert_int_equal(bus_reader_new(brokers, arena_printf(arena, "%s.dlq", topic), &r, &err), 0);
    int64_t end = clock_mono_us() + wait_ms * 1000;
    while (!bus_reader_caught_up(r) && clock_mono_us() < end) {
        struct bus_msg *m;
        size_t n;
        if (bus_read(r, arena, 100, 200, &m, &n, &err))
            continue;
        for (size_t i = 0; i < n; i++) {
            assert_non_null(bus_header(&m[i], "x-dlq-reason"));
            assert_non_null(bus_header(&m[i], "x-dlq-offset"));
            assert_string_equal(bus_header(&m[i], "x-dlq-topic"), topic);
            snprintf(reason, 256, "%s", bus_header(&m[i], "x-dlq-reason"));
        }
        total += n;
    }
    bus_reader_free(r);
    return total;
}

static int wants_even(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, bool *ret,
                      struct err *err)
{
    (void)svc;
    (void)tx;
    (void)err;
    for (size_t i = 0; i < n; i++)
        ret[i] = strchr("02468", m[i]->key[strlen(m[i]->key) - 1]) != NULL;
    return 0;
}

/* proves: X-04: what has no effect leaves no trace, and holds nothing up */
static void what_is_not_wanted_is_not_recorded(void **state)
{
    enum { messages = 40 };
    (void)state;
    static const struct consumer rows[] = {
        { .name = "test.wants",
         .topic = "t.wants",
         .mode = INBOX_EFFECT,
         .batch_max = 7,
         .wants = wants_even,
         .fn_batch = effect_batch },
        { .name = NULL },
    };
    make_topic("t.wants", 1);
    struct inbox *in = start(rows);
    for (int i = 0; i < messages; i++)
        put("t.wants", fresh_id(), arena_printf(arena, "post:%d", i), event(i, ""));
    put("t.wants", fresh_id(), "post:0", event(messages, ""));
    flush();
    until("select count(*) from effects where n = 40", 1);
    inbox_stop(in);
    assert_int_equal(number("select count(*) from effects"), messages / 2 + 1);
    assert_int_equal(number("select count(*) from inbox"), messages / 2 + 1);
    assert_int_equal(number("select count(*) from effects where n % 2 = 1"), 0);
}

/* proves: X-04 */
static void one_call_gets_many_partitions_and_a_bad_message_goes_alone(void **state)
{
    enum { waves = 50, wave = 30 };
    (void)state;
    static const struct consumer rows[] = {
        { .name = "test.many",
         .topic = "t.many",
         .mode = INBOX_EFFECT,
         .batch_max = 100,
         .fn_batch = effect_batch,
         .committed = on_commit,
         .failed = on_failure },
        { .name = NULL },
    };
    char reason[256] = "";
    int n = 0, bad = 0;
    make_topic("t.many", 3);
    struct inbox *in = start(rows);
    while (n < waves * wave && (n == 0 || atomic_load(&most_parts) < 2)) {
        for (int i = 0; i < wave; i++, n++)
            put("t.many", fresh_id(), arena_printf(arena, "post:%d", i % 7), event(n, ""));
        put("t.many", fresh_id(), "post:3", event(-1, "fail"));
        bad++;
        flush();
        until("select count(*) from effects", n);
    }
    until("select count(*) from inbox", n + bad);
    inbox_stop(in);
    assert_true(atomic_load(&most_parts) >= 2);
    assert_true(atomic_load(&rolled_back) >= bad);
    assert_int_equal(atomic_load(&committed), n);
    assert_int_equal(dead_letters("t.many", reason), bad);
    assert_int_equal(
        number("select count(*) from effects a join effects b on a.key = b.key and a.id < b.id"
               " and a.n > b.n"),
        0);
}

static void malformed_messages_are_dead_letters_and_nothing_stalls(void **state)
{
    (void)state;
    static const struct consumer rows[] = CONSUMER("t.poison");
    static const char *const bad[] = {
        "",      "{",         "[]x", "\xff\xfe",         "{\"n\":1,\"n\":2}",
        "null ", "{\"n\":\"", "nan", "{\"do\":\"fail\"}"
    };
    make_topic("t.poison", 1);
    for (int i = 0; i < 9; i++) {
        put("t.poison", fresh_id(), "post:1", event(i, ""));
        put("t.poison", fresh_id(), "post:1", bad[i]);
    }
    struct bus_msg no_headers = { .topic = "t.poison", .key = "post:1", .payload = "{}", .len = 2 };
    put_raw(&no_headers);
    struct bus_msg foreign = no_headers;
    foreign.headers[0] = (struct bus_header){ "ce_id", fresh_id() };
    foreign.headers[1] = (struct bus_header){ "ce_type", "org.other.thing" };
    foreign.nheaders = 2;
    put_raw(&foreign);
    struct bus_msg tombstone = { .topic = "t.poison", .key = "post:1" };
    put_raw(&tombstone);
    put("t.poison", fresh_id(), "post:1", event(99, ""));
    flush();
    struct inbox *in = start(rows);
    until("select count(*) from effects where n = 99", 1);
    inbox_stop(in);
    char reason[256];
    /* "null " is JSON, but has no n: an effect with 0 */
    assert_int_equal(number("select count(*) from effects"), 9 + 1 + 1);
    assert_int_equal(dead_letters("t.poison", reason), 9 - 1 + 3);
    assert_int_equal(number("select count(*) from inbox_retry"), 0);
}

static void waiting_message_holds_its_key_only_and_order_is_kept(void **state)
{
    (void)state;
    static const struct consumer rows[] = CONSUMER("t.later");
    make_topic("t.later", 1);
    put("t.later", fresh_id(), "post:1", event(1, "wait"));
    put("t.later", fresh_id(), "post:1", event(2, ""));
    put("t.later", fresh_id(), "post:2", event(3, ""));
    put("t.later", fresh_id(), "post:1", event(4, ""));
    flush();
    struct inbox *in = start(rows);
    until("select count(*) from effects where key = 'post:2'", 1);
    put("t.later", fresh_id(), "post:1", event(5, "")); /* comes while the key is parked */
    flush();
    until("select count(*) from inbox_retry", 4);
    assert_int_equal(number("select count(*) from effects where key = 'post:1'"), 0);
    script("insert into gates values ('post:1')");
    until("select count(*) from effects where key = 'post:1'", 4);
    until("select count(*) from inbox_retry", 0);
    put("t.later", fresh_id(), "post:1", event(6, "")); /* not parked any more */
    flush();
    until("select count(*) from effects where key = 'post:1'", 5);
    inbox_stop(in);
    assert_int_equal(
        number("select count(*) from effects a join effects b on a.key = b.key and a.id < b.id"
               " and a.n > b.n"),
        0);
}

/* Each look is a transaction, of every consumer of every replica, all day long. */
static void who_has_nothing_parked_looks_rarely(void **state)
{
    (void)state;
    static const struct consumer rows[] = CONSUMER("t.idle");
    struct inbox in = { .conf = { .db = db } };
    struct inbox_thread t = { .inbox = &in, .row = rows };
    struct err err;
    int64_t before = clock_mono_us();
    assert_int_equal(inbox_retry_due(&t, arena, &err), 0);
    assert_true(t.next_retry_us - before >= 1000 * 1000);
    script("insert into inbox_retry (consumer, key, event_id, type, topic, partition, msg_offset, "
           "next_at) values ('test.t.idle', 'k', gen_random_uuid()::text, 'x', 't.idle', 0, 0, "
           "now() + "
           "interval '700 ms')");
    assert_int_equal(inbox_retry_due(&t, arena, &err), 0);
    assert_true(t.next_retry_us <= clock_mono_us() + 700 * 1000);
}

/* The effect's table is locked: statements time out, which is no reason to give a message up. */
static void database_that_does_not_answer_loses_nothing(void **state)
{
    (void)state;
    static const struct consumer rows[] = CONSUMER("t.away");
    struct db_session *s;
    struct err err;
    make_topic("t.away", 1);
    assert_int_equal(db_session_open(&conf, &s, &err), 0);
    assert_int_equal(
        db_session_script(s, "begin; lock table effects in access exclusive mode", &err), 0);
    for (int i = 0; i < 20; i++)
        put("t.away", fresh_id(), "post:1", event(i, ""));
    flush();
    struct inbox *in = start(rows);
    usleep(2500000);
    assert_int_equal(db_session_script(s, "rollback", &err), 0);
    db_session_close(s);
    until("select count(*) from effects", 20);
    /* and one whose connection is cut under it */
    script("select pg_terminate_backend(pid) from pg_stat_activity where application_name = "
           "'inbox_test'"
           " and pid <> pg_backend_pid()");
    for (int i = 20; i < 40; i++)
        put("t.away", fresh_id(), "post:1", event(i, ""));
    flush();
    struct err ignored;
    struct db_rows *r;
    struct db_stmt ping = { .sql = "select 1", .flags = DB_ONCE };
    for (int i = 0; i < 50 && db_query(db, arena, &ping, NULL, 0, &r, &ignored); i++)
        usleep(100000);
    until("select count(*) from effects", 40);
    inbox_stop(in);
    char reason[256];
    assert_int_equal(dead_letters("t.away", reason), 0);
    assert_int_equal(
        number("select count(*) from effects a join effects b on a.id < b.id and a.n > b.n"), 0);
}

static void types_that_are_not_wanted_leave_no_trace(void **state)
{
    (void)state;
    static const struct consumer rows[] = {
        { .name = "test.types",
         .topic = "t.types",
         .types = "other.",
         .mode = INBOX_EFFECT,
         .fn = effect },
        { .name = NULL },
    };
    make_topic("t.types", 1);
    for (int i = 0; i < 5; i++)
        put("t.types", fresh_id(), "post:1", event(i, ""));
    struct bus_msg m = {
        .topic = "t.types",
        .key = "post:1",
        .payload = "{\"n\":9}",
        .len = 7,
        .headers = { { "ce_id", fresh_id() }, { "ce_type", "com.cms365.other.thing" } },
        .nheaders = 2
    };
    put_raw(&m);
    flush();
    struct inbox *in = start(rows);
    until("select count(*) from effects", 1);
    inbox_stop(in);
    assert_int_equal(number("select count(*) from inbox"), 1);
}

/* proves: X-10 */
static void days_are_made_ahead_and_dropped_by_the_functions(void **state)
{
    (void)state;
    struct inbox_thread t = { .row = NULL };
    static const struct consumer rows[] = CONSUMER("t.days");
    struct inbox in = {
        .conf = { .db = db, .rows = rows }
    };
    struct err err;
    t.inbox = &in;
    assert_int_equal(inbox_days(&t, arena, &err), 0);
    assert_int_equal(inbox_days(&t, arena, &err), 0); /* again is harmless */
    assert_int_equal(number("select count(*) from pg_inherits where inhparent = 'inbox'::regclass"),
                     5);
    assert_int_equal(number("select inbox_ensure_day(current_date - 40)::int"), 1);
    script("insert into inbox (consumer, event_id, event_day) values ('c', 'a', current_date - 40),"
           " ('c', 'b', '1970-01-01'), ('c', 'd', current_date)");
    assert_int_equal(inbox_days(&t, arena, &err), 0);
    assert_int_equal(number("select count(*) from inbox"), 1);
    assert_int_equal(number("select count(*) from pg_inherits where inhparent = 'inbox'::regclass"),
                     5);
    /* a day whose rows are already in the rest stays there */
    script(
        "insert into inbox (consumer, event_id, event_day) values ('c', 'e', current_date + 30)");
    assert_int_equal(number("select inbox_ensure_day(current_date + 30)::int"), 0);
}

static void day_comes_from_the_event_never_from_the_clock(void **state)
{
    (void)state;
    struct msg m = { .event_id = "0195a1b0-0000-7000-8000-000000000000" };
    assert_string_equal(inbox_day(arena, &m), "2025-03-17");
    m = (struct msg){ .event_id = "not-a-uuid", .time = "2026-02-19T23:59:59.5Z" };
    assert_string_equal(inbox_day(arena, &m), "2026-02-19");
    m = (struct msg){ .event_id = "not-a-uuid", .time = "yesterday" };
    assert_string_equal(inbox_day(arena, &m), "1970-01-01");
}

static int group_setup(void **state)
{
    (void)state;
    char text[256];
    struct err err;
    const char *url = getenv("CMS365_TEST_DATABASE_URL");
    if (!url) {
        fputs("CMS365_TEST_DATABASE_URL is not set\n", stderr);
        return -1;
    }
    log_init("inbox_test", LOG_ERROR);
    arena = arena_new();
    snprintf(schema, sizeof(schema), "inbox_test_%d", (int)getpid());
    snprintf(conninfo, sizeof(conninfo), "%s%soptions=-csearch_path%%3D%s", url,
             strchr(url, '?') ? "&" : "?", schema);
    conf = (struct db_conf){ .conninfo = conninfo,
                             .application = "inbox_test",
                             .loops = 1,
                             .statement_timeout_ms = 1000,
                             .wait_ms = 2000,
                             .connect_timeout_ms = 2000 };
    db = db_new(&conf);
    script(arena_printf(arena, "create schema %s", schema));
    script(inbox_schema_sql);
    script("create table effects (id bigint generated always as identity primary key, event_id "
           "text not null"
           " unique, key text not null, n bigint not null); create table gates (key text primary "
           "key)");
    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    mock = rd_kafka_mock_cluster_new(host, 1);
    brokers = rd_kafka_mock_cluster_bootstraps(mock);
    return bus_producer_new(brokers, "inbox_test", &producer, &err);
}

static int group_teardown(void **state)
{
    (void)state;
    bus_producer_free(producer);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(host);
    script(arena_printf(arena, "drop schema %s cascade", schema));
    db_free(db);
    arena_free(arena);
    return 0;
}

static int in_bulk(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err)
{
    int rc = 0;
    (void)svc;
    for (size_t i = 0; i < n && !rc; i++)
        rc = effect(m[i], tx, err);
    return rc;
}

/* A batch gathers for longer than the test waits, but not while there is one: not behind one that
 * is full, nor behind one of few large messages, which a fetch brought alone. */
static void nobody_waits_for_a_batch_that_is_there(void **state)
{
    enum { few = 23, large = 10, large_bytes = 300 * 1024 };
    static const struct consumer rows[][2] = {
        { { .name = "test.few",
            .topic = "t.few",
            .mode = INBOX_BULK,
            .batch_max = 5,
            .background = true,
            .batch_ms = 10 * wait_ms,
            .fn_batch = in_bulk },
         { .name = NULL } },
        { { .name = "test.large",
            .topic = "t.large",
            .mode = INBOX_BULK,
            .batch_max = 4,
            .batch_ms = 10 * wait_ms,
            .fn_batch = in_bulk },
         { .name = NULL } },
    };
    char *filler = arena_raw(arena, large_bytes + 1);
    memset(filler, 'x', large_bytes);
    filler[large_bytes] = '\0';
    (void)state;
    for (int k = 0; k < 2; k++) {
        make_topic(rows[k]->topic, 1);
        for (int i = 0; i < (k ? large : few); i++)
            put(rows[k]->topic, fresh_id(), "post:1", event(i, k ? filler : ""));
        flush();
        struct inbox *in = start(rows[k]);
        if (k) /* less than a batch may be left */
            until(arena_printf(arena, "select (count(*) > %d)::int from effects", few + large - 4),
                  1);
        else
            until("select count(*) from effects", few);
        inbox_stop(in);
        assert_int_equal(atomic_load(&nice_is), k ? 0 : background_nice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(day_comes_from_the_event_never_from_the_clock),
        cmocka_unit_test_setup(days_are_made_ahead_and_dropped_by_the_functions, setup),
        cmocka_unit_test_setup(every_message_twice_has_its_effect_once, setup),
        cmocka_unit_test_setup(what_is_not_wanted_is_not_recorded, setup),
        cmocka_unit_test_setup(one_call_gets_many_partitions_and_a_bad_message_goes_alone, setup),
        cmocka_unit_test_setup(malformed_messages_are_dead_letters_and_nothing_stalls, setup),
        cmocka_unit_test_setup(waiting_message_holds_its_key_only_and_order_is_kept, setup),
        cmocka_unit_test_setup(who_has_nothing_parked_looks_rarely, setup),
        cmocka_unit_test_setup(database_that_does_not_answer_loses_nothing, setup),
        cmocka_unit_test_setup(types_that_are_not_wanted_leave_no_trace, setup),
        cmocka_unit_test_setup(nothing_is_taken_before_the_schema_is_there, setup),
        cmocka_unit_test_setup(nobody_waits_for_a_batch_that_is_there, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
