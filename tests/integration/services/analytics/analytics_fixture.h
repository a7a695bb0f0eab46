#ifndef TESTS_ANALYTICS_FIXTURE_H
#define TESTS_ANALYTICS_FIXTURE_H
/*
 * The analytics program on a real database, without HTTP and Kafka: a schema of its own, migrated;
 * messages are made by hand, handlers are called.  CMS365_TEST_DATABASE_URL names a role that may
 * create schemas.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/db.h"
#include "common/kit/migrate.h"
#include "common/kit/svc_internal.h"
#include "services/analytics/analytics.h"
#include "services/analytics/answers.h"
#include "services/analytics/record.h"

#include <unistd.h>

static struct fixture {
    struct arena *a;
    struct svc svc;
    struct svc_private priv;
    struct analytics_conf conf;
    struct analytics state;
    struct db_session *session;
    char schema[64];
} fx;

static void check(int rc, const struct err *err)
{
    if (rc < 0)
        fail_msg("%s: %s (%s)", err_name(err->code), err->msg, err->detail);
}

static struct db_rows *sql(const char *text, const struct db_val *v, size_t n)
{
    struct err err = { 0 };
    struct db_rows *rows;
    const struct db_stmt s = { .sql = text, .flags = DB_ONCE };
    check(db_query(fx.svc.db, fx.a, &s, v, n, &rows, &err), &err);
    return rows;
}

static int64_t number(const char *text)
{
    struct db_rows *rows = sql(text, NULL, 0);
    return db_nrows(rows) ? db_get_i64(rows, 0, 0) : -1;
}

static void set_up(const char *name)
{
    const char *url = getenv("CMS365_TEST_DATABASE_URL");
    struct err err = { 0 };
    int applied;
    if (!url) {
        fputs("CMS365_TEST_DATABASE_URL is not set\n", stderr);
        exit(1);
    }
    log_init("test", LOG_ERROR);
    fx.a = arena_new();
    snprintf(fx.schema, sizeof fx.schema, "analytics_%s_%d", name, (int)getpid());
    halt_init(&fx.priv.halt);
    fx.priv.db_conf =
        (struct db_conf){ .conninfo = arena_printf(fx.a, "%s%soptions=-csearch_path%%3D%s", url,
                                                   strchr(url, '?') ? "&" : "?", fx.schema),
                          .application = "analytics_test",
                          .conns_max = 2,
                          .loops = 1,
                          .statement_timeout_ms = 30000,
                          .wait_ms = 10000,
                          .connect_timeout_ms = 10000 };
    fx.conf = (struct analytics_conf){ .svc = { .public_url = "http://cms.test" },
                                       .log_days = 30,
                                       .minute_days = 8,
                                       .hour_days = 400,
                                       .roll_ms = 50,
                                       .anomaly_min = 50,
                                       .anomaly_mail_to = "" };
    fx.svc =
        (struct svc){ .conf = &fx.conf.svc, .arena = fx.a, .priv = &fx.priv, .state = &fx.state };
    check(db_session_open(&fx.priv.db_conf, &fx.session, &err), &err);
    check(db_session_script(fx.session, arena_printf(fx.a, "create schema %s", fx.schema), &err),
          &err);
    check(migrate_run(fx.session, analytics_def()->migrations, &applied, &err), &err);
    check(keyring_parse("t:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &fx.svc.keyring, &err),
          &err);
    fx.svc.db = db_new(&fx.priv.db_conf);
    fx.state.names = names_new();
}

static void tear_down(void)
{
    struct err err;
    names_free(fx.state.names);
    db_free(fx.svc.db);
    (void)!db_session_script(fx.session, arena_printf(fx.a, "drop schema %s cascade", fx.schema),
                             &err);
    db_session_close(fx.session);
    keyring_free(fx.svc.keyring);
    arena_free(fx.a);
}

/* --- messages --- */

struct made { /* a record; what is not said is that of an ordinary read */
    int64_t at_s, at_us /* added to it */, total_us, key, client, user, session;
    int status;
    const char *id, *method, *route, *network, *agent, *country, *problem;
};

static void put_record(struct buf *b, const struct made *m)
{
    buf_printf(b,
               "%s[%lld,\"%s\",\"%s\",\"%s\",%d,0,100,%lld,1,2,%lld,%lld,%lld,%lld,\"%s\",\"%s\","
               "\"%s\",\"%s\"]",
               b->data[b->len - 1] == '[' ? "" : ",", (long long)(m->at_s * 1000000 + m->at_us),
               m->id ? m->id : "", m->method ? m->method : "GET",
               m->route ? m->route : "/api/v2/posts", m->status ? m->status : 200,
               (long long)(m->total_us ? m->total_us : 1000), (long long)m->key,
               (long long)m->client, (long long)m->user, (long long)m->session,
               m->network ? m->network : "00000000000000aa", m->agent ? m->agent : "curl",
               m->country ? m->country : "", m->problem ? m->problem : "");
}

static void begin_message(struct buf *b, struct arena *a)
{
    buf_init(b, a, 4096, 1024 * 1024);
    buf_puts(b, "{\"v\":1,\"program\":\"api\",\"dropped\":0,\"rule\":\"buffer_full\",\"rows\":[");
}

static struct msg end_message(struct buf *b, struct arena *a, int partition, int64_t offset)
{
    buf_puts(b, "]}");
    return (struct msg){ .svc = &fx.svc,
                         .arena = a,
                         .topic = "api.requests",
                         .payload = b->data,
                         .len = b->len,
                         .partition = partition,
                         .offset = offset };
}

__attribute__((unused)) static const char *text_of(int64_t s)
{
    char text[rfc3339_len + 1];
    rfc3339_format(s * 1000000, text);
    return arena_strdup(fx.a, text);
}

struct storing {
    struct svc *svc;
    struct msg **m;
    size_t n;
    bool fail; /* as if the process died before its commit */
};

static int store_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct storing *s = ctx;
    int rc = ingest(s->svc, s->m, s->n, tx, err);
    return rc || !s->fail ? rc : err_set(err, E_unavailable, "It died.");
}

static int store_as(struct svc *svc, struct msg *m, size_t n, bool fail, struct err *err)
{
    struct msg *list[64];
    assert_true(n <= ARRAY_LEN(list));
    for (size_t i = 0; i < n; i++)
        list[i] = &m[i];
    struct storing s = { .svc = svc, .m = list, .n = n, .fail = fail };
    int rc = db_tx(svc->db, m[0].arena, store_tx, &s, err);
    if (rc)
        ingest_failed(svc);
    else
        ingest_committed(svc, n);
    return rc;
}

static void store(struct msg *m, size_t n)
{
    struct err err = { 0 };
    check(store_as(&fx.svc, m, n, false, &err), &err);
}

/* `n` equal records in one message. */
__attribute__((unused)) static void store_many(const struct made *m, size_t n, int partition,
                                               int64_t offset)
{
    struct buf b;
    begin_message(&b, fx.a);
    for (size_t i = 0; i < n; i++)
        put_record(&b, m);
    struct msg msg = end_message(&b, fx.a, partition, offset);
    store(&msg, 1);
}

__attribute__((unused)) static size_t roll(void)
{
    struct err err = { 0 };
    size_t n, all = 0;
    do {
        check(roll_once(&fx.svc, fx.a, &n, &err), &err);
        all += n;
    } while (n);
    return all;
}

/* --- answers --- */

struct asking {
    int64_t user;
    bool admin;
    int64_t now_us;
    const struct entity_def *entity; /* of the route, or NULL */
    const char *id;                  /* in its path */
};

static int ask_rc(int (*fn)(struct req *, struct res *, struct err *), const struct asking *by,
                  const char *const args[][2], json_t **ret, struct err *err)
{
    const struct route row = { .path = "/api/v2/analytics/x", .entity = by->entity };
    struct query_arg list[16];
    size_t n = 0;
    for (; args && args[n][0]; n++)
        list[n] = (struct query_arg){ .name = args[n][0], .value = args[n][1] };
    struct req req = {
        .svc = &fx.svc,
        .arena = fx.a,
        .route = &row,
        .path = row.path,
        .raw_query = "",
        .params = { by->id },
        .args = list,
        .nargs = n,
        .now_us = by->now_us ? by->now_us : clock_us(),
        .who = { .user_id = by->user,
                   .role = by->admin ? ROLE_ADMIN : ROLE_AUTHOR,
                   .scopes = by->admin ? scope_expand((scope_set)1 << S_api_admin)
                                     : (scope_set)1 << S_analytics_read }
    };
    struct res res = { .arena = fx.a };
    buf_init(&res.body, fx.a, 4096, 16 * 1024 * 1024);
    int rc = fn(&req, &res, err);
    if (!rc) {
        *ret = json_in(fx.a, json_loadb(res.body.data, res.body.len, 0, NULL));
        assert_non_null(*ret);
    }
    return rc;
}

__attribute__((unused)) static const json_t *
ask(int (*fn)(struct req *, struct res *, struct err *), const struct asking *by,
    const char *const args[][2])
{
    struct err err = { 0 };
    json_t *tree = NULL;
    check(ask_rc(fn, by, args, &tree, &err), &err);
    return json_object_get(tree, "data");
}

__attribute__((unused)) static int64_t field(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_integer(v))
        fail_msg("%s is not a number", name);
    return json_integer_value(v);
}
#endif
