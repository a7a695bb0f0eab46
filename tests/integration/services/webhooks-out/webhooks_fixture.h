#ifndef TESTS_WEBHOOKS_FIXTURE_H
#define TESTS_WEBHOOKS_FIXTURE_H
/*
 * Fan-out and dispatcher on a real database without HTTP and Kafka: a schema of its own, migrated,
 * a sink to deliver to, and events made by hand.  CMS365_TEST_DATABASE_URL names a role that may
 * create schemas.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/httpc.h"
#include "common/kit/migrate.h"
#include "common/kit/svc_internal.h"
#include "services/webhooks-out/webhooks.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { wait_ms = 15000, retry_base_ms = 20 };
static const char keys[] = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

static struct fixture {
    struct arena *a;
    struct svc svc;
    struct svc_private priv;
    struct webhooks_conf conf;
    struct db_session *session;
    pthread_t thread;
    bool running;
    char schema[40], log[64];
    unsigned port;
    pid_t sink;
} fx;

static void check(int rc, const struct err *err)
{
    if (rc < 0)
        fail_msg("%s: %s (%s)", err_name(err->code), err->msg, err->detail);
}

/* --- the program under test, without HTTP and Kafka --- */

static void open_svc(const char *schema)
{
    const char *url = getenv("CMS365_TEST_DATABASE_URL");
    struct err err;
    if (!url) {
        fputs("CMS365_TEST_DATABASE_URL is not set\n", stderr);
        exit(1);
    }
    fx.a = arena_new();
    snprintf(fx.schema, sizeof(fx.schema), "%s", schema);
    fx.priv.db_conf =
        (struct db_conf){ .conninfo = arena_printf(fx.a, "%s%soptions=-csearch_path%%3D%s", url,
                                                   strchr(url, '?') ? "&" : "?", schema),
                          .application = "dispatch_test",
                          .conns_max = 2,
                          .loops = 1,
                          .statement_timeout_ms = 30000,
                          .wait_ms = 5000,
                          .connect_timeout_ms = 5000 };
    fx.conf = (struct webhooks_conf){
        .svc = { .drain_ms = 2000, .public_url = "http://cms.test" },
        .retry_base_ms = retry_base_ms,
        .retry_max = 5,
        .timeout_ms = 8000,
        .disable_after_s = 432000,
        .api_url = ""
    };
    fx.svc = (struct svc){ .conf = &fx.conf.svc, .arena = fx.a, .priv = &fx.priv };
    check(keyring_parse(keys, &fx.svc.keyring, &err), &err);
    check(egress_new("127.0.0.0/8", &fx.svc.egress, &err), &err);
    fx.svc.db = db_new(&fx.priv.db_conf);
}

static void *run_dispatch(void *ctx)
{
    dispatch_job(ctx);
    return NULL;
}

static void start(void)
{
    struct err err;
    const struct httpc_conf hc = { .egress_allow = "127.0.0.0/8",
                                   .conns_max = 512,
                                   .conns_per_host_max = 0,
                                   .user_agent = "365CMS-Webhooks/test" };
    check(httpc_new(&hc, &fx.svc.httpc, &err), &err);
    halt_init(&fx.priv.halt); /* a halt is for good: the next run has its own */
    fx.svc.state = dispatch_new(&fx.svc);
    assert_int_equal(pthread_create(&fx.thread, NULL, run_dispatch, &fx.svc), 0);
    fx.running = true;
}

static void stop(void)
{
    if (!fx.running)
        return;
    halt_set(&fx.priv.halt);
    dispatch_wake(&fx.svc);
    pthread_join(fx.thread, NULL);
    halt_done(&fx.priv.halt);
    httpc_free(fx.svc.httpc);
    dispatch_free(fx.svc.state);
    fx.svc.state = NULL;
    fx.running = false;
}

static struct db_rows *sql(const char *text, const struct db_val *v, size_t n)
{
    struct err err;
    struct db_rows *rows;
    const struct db_stmt s = { .sql = text, .flags = DB_ONCE };
    check(db_query(fx.svc.db, fx.a, &s, v, n, &rows, &err), &err);
    return rows;
}

static int64_t number(const char *text, int64_t arg)
{
    const struct db_val v = db_i64(arg);
    struct db_rows *rows = sql(text, &v, 1);
    return db_nrows(rows) ? db_get_i64(rows, 0, 0) : -1;
}

static void wait_until(const char *text, int64_t arg, int64_t want)
{
    int64_t until = clock_mono_us() + wait_ms * 1000, got = 0;
    while ((got = number(text, arg)) != want) {
        if (clock_mono_us() > until)
            fail_msg("%s is %lld, not %lld", text, (long long)got, (long long)want);
        usleep(10000);
    }
}

/* --- the receiver --- */

static unsigned free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t n = sizeof(in);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    close(fd);
    return ntohs(in.sin_port);
}

/* build/…/tests/integration/… -> build/…/tests/bench/sink */
static const char *sink_path(void)
{
    static char path[4096];
    const char *given = getenv("CMS365_SINK");
    if (given)
        return given;
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
    assert_true(n > 0);
    path[n] = '\0';
    char *at = strstr(path, "/tests/integration/");
    assert_non_null(at);
    snprintf(at, 32, "/tests/bench/sink");
    return path;
}

static bool answers(unsigned port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
    close(fd);
    return ok;
}

static void start_sink(void)
{
    char port[16];
    fx.port = free_port();
    snprintf(port, sizeof(port), "%u", fx.port);
    snprintf(fx.log, sizeof(fx.log), "/tmp/%s.log", fx.schema);
    unlink(fx.log);
    fx.sink = fork();
    if (fx.sink == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(126);
        execl(sink_path(), "sink", "--port", port, "--log", fx.log, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && !answers(fx.port); i++)
        usleep(10000);
    assert_true(answers(fx.port));
}

/* What arrived at targets that begin with `path`, in order. */
static size_t arrived(const char *path, json_t **ret)
{
    char line[65536];
    json_t *all = json_in(fx.a, json_array());
    FILE *f = fopen(fx.log, "r");
    while (f && fgets(line, sizeof(line), f)) {
        json_t *one = json_loads(line, 0, NULL);
        if (one && str_starts(json_string_value(json_object_get(one, "path")), path))
            json_array_append(all, one);
        json_decref(one);
    }
    if (f)
        fclose(f);
    if (ret)
        *ret = all;
    return json_array_size(all);
}

static const char *field(const json_t *list, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(list, i), name));
}

static json_t *body(const json_t *list, size_t i)
{
    return json_in(fx.a, json_loads(field(list, i, "body"), 0, NULL));
}

static void wait_arrived(const char *path, size_t want)
{
    int64_t until = clock_mono_us() + wait_ms * 1000;
    while (arrived(path, NULL) < want) {
        if (clock_mono_us() > until)
            fail_msg("%zu of %zu arrived at %s", arrived(path, NULL), want, path);
        usleep(10000);
    }
}

/* --- endpoints and events --- */

static const char secret[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

struct ep {
    const char *target, *events, *role, *status;
    int64_t user, max;
    bool admin;
    const char *set; /* "ordered = true, rate_limit = 600" */
};

#define EP(where, what, ...)                                                                       \
    &(struct ep)                                                                                   \
    {                                                                                              \
        .target = (where), .events = (what), ##__VA_ARGS__                                         \
    }

static int64_t endpoint(const struct ep *e)
{
    int64_t id =
        number("SELECT nextval(pg_get_serial_sequence('endpoints', 'id')) + $1::bigint", 0);
    const char *url = arena_printf(fx.a, "http://127.0.0.1:%u%s", fx.port, e->target);
    const struct db_val v[] = { db_i64(id),
                                db_i64(e->user ? e->user : 1),
                                db_text(url),
                                db_text(arena_printf(fx.a, "{%s}", e->events)),
                                db_i64(e->max ? e->max : 8),
                                db_text(e->status ? e->status : "active"),
                                db_text(e->role ? e->role : "admin"),
                                db_bool(!e->role || e->admin) };
    const struct db_val s[] = { db_i64(id),
                                db_text(secret_seal(fx.svc.keyring, fx.a, id, secret)) };
    sql("INSERT INTO secrets (endpoint_id, kind, sealed) VALUES ($1::bigint, 'hmac', $2::text)", s,
        2);
    sql("INSERT INTO endpoints (id, user_id, url, events, max_in_flight, status, role, admin)"
        " VALUES ($1::bigint, $2::bigint, $3, $4::text[], $5::int, $6, $7, $8::boolean)",
        v, ARRAY_LEN(v));
    if (e->set)
        number(
            arena_printf(
                fx.a,
                "UPDATE endpoints SET version = version + 1, %s WHERE id = $1::bigint RETURNING 1",
                e->set),
            id);
    dispatch_wake(&fx.svc);
    return id;
}

static int in_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct msg *m = ctx;
    return fanout(m->svc, &m, 1, tx, err);
}

/* Returns the event's id. */
static const char *happens(const char *type, const char *key, const char *payload)
{
    char id[uuid_len + 1], time[rfc3339_len + 1];
    struct err err;
    uuid7(id);
    rfc3339_format(clock_us(), time);
    struct arena *batch = arena_new();
    struct msg m = { .svc = &fx.svc,
                     .arena = batch,
                     .topic = "content.events",
                     .key = key,
                     .event_id = arena_strdup(fx.a, id),
                     .type = type,
                     .time = arena_strdup(fx.a, time),
                     .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                     .request_id = "req-1",
                     .payload = payload,
                     .len = strlen(payload) };
    check(db_tx(fx.svc.db, fx.a, in_tx, &m, &err), &err);
    arena_free(batch);
    dispatch_offered(&fx.svc, true);
    return m.event_id;
}

static const char *company(int64_t id, int64_t version)
{
    const char *payload =
        arena_printf(fx.a,
                     "{\"data\":{\"id\":%lld,\"name\":\"c\",\"slug\":\"c\",\"status\":\"active\","
                     "\"version\":%lld,\"deleted_at\":null},\"changed\":[\"name\"],"
                     "\"owner_id\":null}",
                     (long long)id, (long long)version);
    return happens("company.updated", arena_printf(fx.a, "company:%lld", (long long)id), payload);
}

/* --- set-up --- */

static int setup(void **state)
{
    struct err err;
    int applied;
    char schema[40];
    (void)state;
    snprintf(schema, sizeof(schema), "webhooks_test_%d", (int)getpid());
    open_svc(schema);
    check(db_session_open(&fx.priv.db_conf, &fx.session, &err), &err);
    check(db_session_script(fx.session, arena_printf(fx.a, "CREATE SCHEMA %s", schema), &err),
          &err);
    check(migrate_run(fx.session, webhooks_def()->migrations, &applied, &err), &err);
    start_sink();
    return 0;
}

static int teardown(void **state)
{
    struct err err;
    (void)state;
    kill(fx.sink, SIGTERM);
    waitpid(fx.sink, NULL, 0);
    unlink(fx.log);
    check(db_session_script(fx.session, arena_printf(fx.a, "DROP SCHEMA %s CASCADE", fx.schema),
                            &err),
          &err);
    db_session_close(fx.session);
    db_free(fx.svc.db);
    egress_free(fx.svc.egress);
    keyring_free(fx.svc.keyring);
    arena_free(fx.a);
    return 0;
}

static int each_setup(void **state)
{
    (void)state;
    sql("TRUNCATE endpoints, secrets, deliveries, deferred, attempts, people, outbox", NULL, 0);
    start();
    return 0;
}

static int each_teardown(void **state)
{
    (void)state;
    stop();
    return 0;
}
#endif
