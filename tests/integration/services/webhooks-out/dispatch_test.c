/*
 * Fan-out and dispatcher on a real database, against tests/bench/sink.
 * proves: W-01, W-03, W-04, W-06, W-11, W-13, W-18, X-07
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
    pthread_mutex_init(&fx.priv.mu, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&fx.priv.cv, &attr);
    fx.conf = (struct webhooks_conf){
        .svc = { .drain_ms = 2000, .public_url = "http://cms.test" },
        .retry_base_ms = retry_base_ms,
        .retry_max = 5,
        .timeout_ms = 8000
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
                                   .conns_per_host_max = 64,
                                   .user_agent = "365CMS-Webhooks/test" };
    check(httpc_new(&hc, &fx.svc.httpc, &err), &err);
    fx.priv.stopping = false;
    fx.svc.state = dispatch_new(&fx.svc);
    assert_int_equal(pthread_create(&fx.thread, NULL, run_dispatch, &fx.svc), 0);
    fx.running = true;
}

static void stop(void)
{
    if (!fx.running)
        return;
    pthread_mutex_lock(&fx.priv.mu);
    __atomic_store_n(&fx.priv.stopping, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&fx.priv.cv);
    pthread_mutex_unlock(&fx.priv.mu);
    dispatch_wake(&fx.svc, true);
    pthread_join(fx.thread, NULL);
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
                                db_text(secret_seal(fx.svc.keyring, fx.a, id, secret)),
                                db_text(e->role ? e->role : "admin"),
                                db_bool(!e->role || e->admin) };
    sql("INSERT INTO endpoints (id, user_id, url, events, max_in_flight, status, secret, role, "
        "admin)"
        " VALUES ($1::bigint, $2::bigint, $3, $4::text[], $5::int, $6, $7, $8, $9::boolean)",
        v, ARRAY_LEN(v));
    dispatch_wake(&fx.svc, true);
    return id;
}

static int in_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    return fanout(ctx, tx, err);
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
    dispatch_wake(&fx.svc, false);
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

static const char count_delivered[] =
    "SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'delivered'";

/* --- tests --- */

static void retries_with_the_same_id_and_bytes_and_a_fresh_signature(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/a?answer=500,503,200", "company.*"));
    const char *event = company(1, 1);
    wait_until(count_delivered, id, 1);
    json_t *got;
    assert_int_equal(arrived("/a?", &got), 3);
    for (size_t i = 0; i < 3; i++) {
        const char *text = field(got, i, "body");
        const char *mid = field(got, i, "webhook_id"), *ts = field(got, i, "timestamp");
        assert_string_equal(mid, arena_printf(fx.a, "evt_%s", event));
        assert_string_equal(text, field(got, 0, "body"));
        assert_string_equal(mid, json_string_value(json_object_get(body(got, i), "id")));
        unsigned char key[32], mac[sha256_bytes];
        for (unsigned k = 0; k < sizeof(key); k++)
            key[k] = (unsigned char)k;
        const char *signed_text = arena_printf(fx.a, "%s.%s.%s", mid, ts, text);
        const struct sha256_part part = { signed_text, strlen(signed_text) };
        hmac_sha256(key, sizeof(key), &part, 1, mac);
        assert_string_equal(field(got, i, "signature"),
                            arena_printf(fx.a, "v1,%s", b64_encode(fx.a, mac, sizeof(mac))));
    }
    assert_int_equal(
        number("SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE"
               " d.endpoint_id = $1::bigint AND a.attempt BETWEEN 1 AND 3",
               id),
        3);
    assert_int_equal(
        number("SELECT attempts + response_code FROM deliveries WHERE endpoint_id = $1::bigint",
               id),
        203);
}

static void a_slow_endpoint_delays_no_other(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        endpoint(EP("/slow?delay_ms=4000", "company.*"));
    int64_t fast = endpoint(EP("/fast", "company.*"));
    int64_t begin = clock_mono_us();
    for (int i = 0; i < 40; i++)
        company(i + 1, 1);
    wait_until(count_delivered, fast, 40);
    assert_true(clock_mono_us() - begin < 3000000);
}

static void one_at_a_time_keeps_the_order_of_each_key(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/o?answer=200,500,200,200,500,500,200", "company.*", .max = 1));
    for (int v = 1; v <= 20; v++)
        for (int c = 1; c <= 3; c++)
            company(c, v);
    wait_until(count_delivered, id, 60);
    int64_t last[4] = { 0 };
    json_t *got;
    size_t n = arrived("/o?", &got), accepted = 0;
    for (size_t i = 0; i < n; i++) {
        if (json_integer_value(json_object_get(json_array_get(got, i), "status")) != 200)
            continue;
        const json_t *data = json_object_get(body(got, i), "data");
        int64_t c = json_integer_value(json_object_get(data, "id"));
        int64_t v = json_integer_value(json_object_get(data, "version"));
        assert_int_equal(v, last[c] + 1);
        last[c] = v;
        accepted++;
    }
    assert_int_equal(accepted, 60);
    assert_int_equal(n, 63);
}

static void a_waiting_retry_holds_its_key_only(void **state)
{
    (void)state;
    fx.conf.retry_base_ms = 700;
    int64_t id = endpoint(EP("/hold?answer=500,200", "company.*", .max = 1));
    company(1, 1);
    wait_arrived("/hold", 1);
    company(1, 2);
    company(2, 1);
    wait_until(count_delivered, id, 1);
    json_t *got;
    arrived("/hold", &got);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(body(got, 1), "data"), "id")), 2);
    wait_until(count_delivered, id, 3);
    arrived("/hold", &got);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(body(got, 3), "data"), "version")), 2);
    fx.conf.retry_base_ms = retry_base_ms;
}

static void dies_after_six_attempts_tells_and_can_be_resent(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/dead?answer=500,500,500,500,500,500,204", "company.*", .user = 5));
    company(1, 1);
    wait_until("SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'dead'"
               " AND attempts = 6 AND next_attempt_at IS NULL",
               id, 1);
    assert_int_equal(arrived("/dead", NULL), 6);
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE type = 'webhook.delivery.dead' AND"
                            " payload::json->'data'->'endpoint'->>'id' = $1::bigint::text",
                            id),
                     1);
    number(
        "UPDATE deliveries SET status = 'pending', trigger = 'resend', attempts_before = attempts,"
        " next_attempt_at = now() WHERE endpoint_id = $1::bigint RETURNING 1",
        id);
    dispatch_hint(&fx.svc, id);
    dispatch_wake(&fx.svc, false);
    wait_until(count_delivered, id, 1);
    json_t *got;
    assert_int_equal(arrived("/dead", &got), 7);
    assert_string_equal(field(got, 0, "webhook_id"), field(got, 6, "webhook_id"));
    assert_int_equal(
        number("SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE"
               " d.endpoint_id = $1::bigint AND a.trigger = 'resend' AND a.attempt = 7",
               id),
        1);
}

static void gone_pauses_at_once_and_keeps_the_rest(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/gone?answer=410,200", "company.*", .max = 1));
    company(1, 1);
    wait_until("SELECT count(*) FROM endpoints WHERE id = $1::bigint AND status = 'paused'", id, 1);
    company(1, 2);
    usleep(500000);
    assert_int_equal(arrived("/gone", NULL), 1);
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE type = 'webhook.endpoint.disabled'"
                            " AND key = 'webhook_endpoint:' || $1::bigint",
                            id),
                     1);
    number("UPDATE endpoints SET status = 'active', version = version + 1 WHERE id = $1::bigint"
           " RETURNING 1",
           id);
    dispatch_wake(&fx.svc, true);
    wait_until(count_delivered, id, 2);
}

static void a_paused_endpoint_drains_in_order(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/paused", "company.*", .max = 1, .status = "paused"));
    for (int i = 1; i <= 200; i++)
        company(i, 1);
    usleep(300000);
    assert_int_equal(arrived("/paused", NULL), 0);
    number("UPDATE endpoints SET status = 'active', version = version + 1 WHERE id = $1::bigint"
           " RETURNING 1",
           id);
    dispatch_wake(&fx.svc, true);
    wait_until(count_delivered, id, 200);
    json_t *got;
    assert_int_equal(arrived("/paused", &got), 200);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(body(got, i), "data"), "id")),
            i + 1);
}

static void everybody_hears_what_they_may_see(void **state)
{
    (void)state;
    int64_t admin = endpoint(EP("/see", "*"));
    int64_t plain_admin = endpoint(EP("/see", "*", .role = "admin"));
    int64_t editor = endpoint(EP("/see", "*", .role = "editor", .user = 3));
    int64_t author = endpoint(EP("/see", "post.*,user.*", .role = "author", .user = 4));
    int64_t member = endpoint(EP("/see", "*", .role = "member", .user = 6));
    int64_t picky = endpoint(EP("/see", "post.deleted"));
    static const struct {
        const char *type, *payload;
        int heard[6]; /* admin, admin's key without api:admin, editor, author, member, picky */
    } cases[] = {
        { "post.created",
         "{\"data\":{\"id\":1,\"status\":\"draft\"},\"owner_id\":9}",       { 1, 1, 1, 0, 0, 0 } },
        { "post.created",
         "{\"data\":{\"id\":2,\"status\":\"draft\"},\"owner_id\":4}",       { 1, 1, 1, 1, 0, 0 } },
        { "post.published",
         "{\"data\":{\"id\":1,\"status\":\"published\",\"published_at\":\"2020-01-01T00:00:00Z\"},"
          "\"owner_id\":9}",                                                { 1, 1, 1, 1, 1, 0 } },
        { "post.published",
         "{\"data\":{\"id\":1,\"status\":\"published\",\"published_at\":\"2999-01-01T00:00:00Z\"},"
          "\"owner_id\":9}",                                                { 1, 1, 1, 0, 0, 0 } },
        { "post.deleted",
         "{\"data\":{\"id\":1,\"status\":\"published\",\"published_at\":\"2020-01-01T00:00:00Z\","
          "\"deleted_at\":\"2026-01-01T00:00:00Z\"},\"owner_id\":9}",       { 1, 1, 1, 1, 1, 1 } },
        { "company.updated",
         "{\"data\":{\"id\":1,\"status\":\"inactive\"},\"owner_id\":null}", { 1, 1, 1, 0, 0, 0 } },
        { "user.created",
         "{\"data\":{\"id\":77,\"role\":\"author\",\"status\":\"active\",\"email\":\"x@y.z\"},"
          "\"owner_id\":77}",                                               { 1, 0, 0, 0, 0, 0 } },
        { "key.created",
         "{\"data\":{\"id\":1,\"user\":{\"id\":6}},\"owner_id\":6}",        { 1, 0, 0, 0, 1, 0 } },
    };
    const int64_t ids[] = { admin, plain_admin, editor, author, member, picky };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *event = happens(cases[i].type, "x:1", cases[i].payload);
        for (size_t k = 0; k < ARRAY_LEN(ids); k++) {
            const struct db_val v[] = { db_text(event), db_i64(ids[k]) };
            struct db_rows *r = sql("SELECT count(*) FROM deliveries WHERE event_id = $1::uuid AND"
                                    " endpoint_id = $2::bigint",
                                    v, 2);
            if (db_get_i64(r, 0, 0) != cases[i].heard[k])
                fail_msg("case %zu, listener %zu", i, k);
        }
    }
    /* A role that changed counts from then on; a suspended owner hears nothing. */
    happens("user.updated", "user:6",
            "{\"data\":{\"id\":6,\"role\":\"editor\",\"status\":\"active\"},\"owner_id\":6}");
    happens("post.created", "post:1", "{\"data\":{\"id\":3,\"status\":\"draft\"},\"owner_id\":9}");
    static const char heard[] =
        "SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND event = 'post.created'";
    assert_int_equal(number(heard, member), 1);
    happens("user.updated", "user:6",
            "{\"data\":{\"id\":6,\"role\":\"editor\",\"status\":\"suspended\"},\"owner_id\":6}");
    happens("post.created", "post:1", "{\"data\":{\"id\":4,\"status\":\"draft\"},\"owner_id\":9}");
    assert_int_equal(number(heard, member), 1);
}

static void private_fields_reach_their_owner_and_admins_only(void **state)
{
    (void)state;
    endpoint(EP("/p-admin", "user.*"));
    endpoint(EP("/p-editor", "expert.*", .role = "editor", .user = 3));
    happens(
        "user.created", "user:50",
        "{\"data\":{\"id\":50,\"username\":\"u\",\"email\":\"canary@example.org\",\"role\":"
        "\"member\",\"status\":\"active\",\"deleted_at\":null},\"changed\":[],\"owner_id\":50}");
    happens("expert.created", "expert:1",
            "{\"data\":{\"id\":1,\"name\":\"n\",\"status\":\"active\",\"deleted_at\":null,"
            "\"secret_column\":1},\"changed\":[],\"owner_id\":50}");
    wait_arrived("/p-admin", 1);
    wait_arrived("/p-editor", 1);
    json_t *got;
    arrived("/p-admin", &got);
    const json_t *data = json_object_get(body(got, 0), "data");
    assert_string_equal(json_string_value(json_object_get(data, "email")), "canary@example.org");
    assert_null(json_object_get(data, "deleted_at"));
    arrived("/p-editor", &got);
    data = json_object_get(body(got, 0), "data");
    assert_string_equal(json_string_value(json_object_get(data, "name")), "n");
    assert_null(json_object_get(data, "secret_column"));
    assert_null(json_object_get(data, "deleted_at"));
}

/* A replica that is killed in the middle of an attempt: the other sends it again, soon. */
static void a_killed_replica_loses_nothing(void **state)
{
    (void)state;
    stop();
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "dispatch_test", "--dispatch", fx.schema, (char *)NULL);
        _exit(127);
    }
    int64_t id = endpoint(EP("/kill?delay_ms=1500", "company.*"));
    company(1, 1);
    wait_arrived("/kill", 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(number(count_delivered, id), 0);
    start();
    wait_until(count_delivered, id, 1);
    json_t *got;
    assert_int_equal(arrived("/kill", &got), 2);
    assert_string_equal(field(got, 0, "webhook_id"), field(got, 1, "webhook_id"));
}

/* Two replicas share the endpoints, and no endpoint has two senders. */
static void two_replicas_never_exceed_max_in_flight(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "dispatch_test", "--dispatch", fx.schema, (char *)NULL);
        _exit(127);
    }
    int64_t ids[8];
    for (int i = 0; i < 8; i++)
        ids[i] = endpoint(EP(arena_printf(fx.a, "/two%d?delay_ms=5", i), "company.*", .max = 1));
    for (int i = 1; i <= 60; i++)
        company(1, i);
    for (int i = 0; i < 8; i++)
        wait_until(count_delivered, ids[i], 60);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    for (int i = 0; i < 8; i++) {
        json_t *got;
        assert_int_equal(arrived(arena_printf(fx.a, "/two%d", i), &got), 60);
        for (size_t k = 0; k < 60; k++)
            assert_int_equal(json_integer_value(
                                 json_object_get(json_object_get(body(got, k), "data"), "version")),
                             k + 1);
    }
}

/* --- fixture --- */

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
    sql("TRUNCATE endpoints, deliveries, attempts, people, outbox", NULL, 0);
    start();
    return 0;
}

static int each_teardown(void **state)
{
    (void)state;
    stop();
    return 0;
}

static volatile sig_atomic_t asked_to_stop;

static void on_term(int sig)
{
    (void)sig;
    asked_to_stop = 1;
}

/* Another replica: dispatches until it is told to stop, or killed. */
static int be_replica(const char *schema)
{
    signal(SIGTERM, on_term);
    open_svc(schema);
    start();
    while (!asked_to_stop)
        usleep(20000);
    stop();
    return 0;
}

int main(int argc, char **argv)
{
    log_init("dispatch_test", LOG_ERROR);
    if (argc == 3 && str_eq(argv[1], "--dispatch"))
        return be_replica(argv[2]);
#define T(fn) cmocka_unit_test_setup_teardown(fn, each_setup, each_teardown)
    const struct CMUnitTest tests[] = {
        T(retries_with_the_same_id_and_bytes_and_a_fresh_signature),
        T(a_slow_endpoint_delays_no_other),
        T(one_at_a_time_keeps_the_order_of_each_key),
        T(a_waiting_retry_holds_its_key_only),
        T(dies_after_six_attempts_tells_and_can_be_resent),
        T(gone_pauses_at_once_and_keeps_the_rest),
        T(a_paused_endpoint_drains_in_order),
        T(everybody_hears_what_they_may_see),
        T(private_fields_reach_their_owner_and_admins_only),
        T(a_killed_replica_loses_nothing),
        T(two_replicas_never_exceed_max_in_flight),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
