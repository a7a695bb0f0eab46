#ifndef TESTS_API_FIXTURE_H
#define TESTS_API_FIXTURE_H
/*
 * The api's handlers on a real database without HTTP: a schema of its own, migrated, and requests
 * made by hand. CMS365_TEST_DATABASE_URL names a role that may create schemas.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/migrate.h"
#include "services/api/api.h"

#include <unistd.h>

struct fixture {
    struct arena *a;
    struct svc svc;
    struct svc_conf conf;
    struct db_conf dbc;
    struct db_session *session;
    const struct api *api;
    char schema[40];
};
static struct fixture fx;
/* A thread of a test has an arena of its own. */
static _Thread_local struct arena *thread_arena;

static struct arena *fx_arena(void)
{
    return thread_arena ? thread_arena : fx.a;
}

static const char *fx_url(struct arena *a, const char *schema)
{
    const char *url = getenv("CMS365_TEST_DATABASE_URL");
    if (!url) {
        fputs("CMS365_TEST_DATABASE_URL is not set\n", stderr);
        exit(1);
    }
    return arena_printf(a, "%s%soptions=-csearch_path%%3D%s", url, strchr(url, '?') ? "&" : "?",
                        schema);
}

static void fx_check(int rc, const struct err *err)
{
    if (rc < 0)
        fail_msg("%s: %s (%s) at %s", err_name(err->code), err->msg, err->detail, err->pointer);
}

static int fx_setup(void **state)
{
    struct err err;
    (void)state;
    fx.a = arena_new();
    fx.api = api_make(fx.a);
    snprintf(fx.schema, sizeof(fx.schema), "api_test_%d", (int)getpid());
    fx.dbc = (struct db_conf){ .conninfo = fx_url(fx.a, fx.schema),
                               .application = "api_test",
                               .conns_max = 4,
                               .loops = 1,
                               .statement_timeout_ms = 30000,
                               .wait_ms = 5000,
                               .connect_timeout_ms = 5000,
                               .fast = fx.api->def.fast };
    fx_check(db_session_open(&fx.dbc, &fx.session, &err), &err);
    fx_check(db_session_script(fx.session, arena_printf(fx.a, "CREATE SCHEMA %s", fx.schema), &err),
             &err);
    int applied;
    fx_check(migrate_run(fx.session, fx.api->def.migrations, &applied, &err), &err);
    fx.conf = (struct svc_conf){ .public_url = "http://cms.test", .public_read = true };
    fx.svc =
        (struct svc){ .def = &fx.api->def, .conf = &fx.conf, .arena = fx.a, .db = db_new(&fx.dbc) };
    fx_check(keyring_parse("t:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &fx.svc.keyring, &err),
             &err);
    return 0;
}

static int fx_teardown(void **state)
{
    struct err err;
    (void)state;
    fx_check(db_session_script(fx.session, arena_printf(fx.a, "DROP SCHEMA %s CASCADE", fx.schema),
                               &err),
             &err);
    keyring_free(fx.svc.keyring);
    db_session_close(fx.session);
    db_free(fx.svc.db);
    arena_free(fx.a);
    return 0;
}

static const struct principal anonymous;

static struct principal fx_who(int64_t id, enum role role, scope_set extra)
{
    scope_set s = scope_expand((scope_set)1 << S_api_write | extra);
    return (struct principal){ .user_id = id, .key_id = id, .role = role, .scopes = s };
}

struct answer {
    int rc, status;
    struct err err;
    struct res res;
    const char *text;
    json_t *json;
    const json_t *data;
};

/* "GET", "posts", "7" or NULL (the collection), "a=b&c=d" or NULL, body or NULL, Idempotency-Key or
 * NULL. */
struct ask {
    const char *method, *plural, *id, *query, *body, *key;
    const struct principal *who;
};

static const struct route *fx_route(const struct crud *c, const char *method, bool one,
                                    bool restore, bool slug)
{
    for (const struct route *r = crud_routes(fx_arena(), c); r->path; r++)
        if (str_eq(method_name(r->method), method) && (strstr(r->path, "{") != NULL) == one &&
            str_ends(r->path, "/restore") == restore && (strstr(r->path, "{slug}") != NULL) == slug)
            return r;
    fail_msg("no route");
    return NULL;
}

static void fx_args(struct req *req, const char *query)
{
    struct query_arg *args = arena_alloc(fx_arena(), 32 * sizeof(*args));
    char *name, *value;
    for (const char *p = query; p && *p;) {
        size_t n = strcspn(p, "&"), eq = strcspn(p, "=");
        assert_true(url_decode(fx_arena(), p, eq, true, &name));
        assert_true(url_decode(fx_arena(), p + eq + 1, n - eq - 1, true, &value));
        args[req->nargs++] = (struct query_arg){ name, value };
        p += n + (p[n] == '&');
    }
    req->args = args;
    req->raw_query = query ? query : "";
}

static struct answer fx_ask(const struct ask *q)
{
    struct answer an = { 0 };
    bool restore = str_eq(q->method, "RESTORE"), slug = q->id && str_starts(q->id, "slug:");
    const struct crud *c = NULL;
    for (struct crud *const *p = fx.api->cruds; *p; p++)
        if (str_eq(crud_entity(*p)->plural, q->plural))
            c = *p;
    assert_non_null(c);
    const struct route *r = fx_route(c, restore ? "POST" : q->method, q->id != NULL, restore, slug);
    struct req req = { .svc = &fx.svc,
                       .arena = fx_arena(),
                       .route = r,
                       .method = r->method,
                       .path = r->path,
                       .who = *q->who,
                       .idempotency_key = q->key,
                       .request_id = "req-1",
                       .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
    req.params[0] = slug ? q->id + 5 : q->id;
    fx_args(&req, q->query);
    if (q->body) {
        json_t *body;
        req.raw_body = q->body;
        req.raw_body_n = strlen(q->body);
        fx_check(json_parse(fx_arena(), q->body, req.raw_body_n, &body, &an.err), &an.err);
        req.body = body;
    }
    an.res.arena = fx_arena();
    buf_init(&an.res.body, fx_arena(), 1024, 16 * 1024 * 1024);
    an.rc = r->fn(&req, &an.res, &an.err);
    if (an.rc < 0) {
        an.status = err_http(an.err.code);
        return an;
    }
    an.status = an.res.status ? an.res.status : r->status ? r->status : 200;
    an.text = an.res.body.data ? an.res.body.data : "";
    if (*an.text) {
        an.json = json_in(fx_arena(), json_loads(an.text, 0, NULL));
        if (!an.json)
            fail_msg("not JSON: %s", an.text);
        an.data = json_object_get(an.json, "data");
    }
    return an;
}

#define ASK(...) fx_ask(&(const struct ask){ __VA_ARGS__ })

static void fx_expect(const struct answer *an, int status, const char *file, int line)
{
    if (an->status == status)
        return;
    for (size_t i = 0; an->res.faults && i < an->res.faults->n; i++)
        print_message("  %s %s %s\n", an->res.faults->items[i].pointer,
                      an->res.faults->items[i].code, an->res.faults->items[i].msg);
    print_message("  %s %s | %s\n", an->rc < 0 ? err_name(an->err.code) : "",
                  an->rc < 0 ? an->err.msg : an->text, an->rc < 0 ? an->err.detail : "");
    _assert_int_equal((uintmax_t)an->status, (uintmax_t)status, file, line);
}
#define EXPECT(an, status)                                                                         \
    do {                                                                                           \
        struct answer an_ = an;                                                                    \
        fx_expect(&an_, status, __FILE__, __LINE__);                                               \
    } while (0)

static struct db_rows *fx_sql(const char *sql)
{
    struct err err;
    struct db_rows *r;
    struct db_stmt s = { .sql = sql, .flags = DB_ONCE };
    fx_check(db_query(fx.svc.db, fx.a, &s, NULL, 0, &r, &err), &err);
    return r;
}

static inline int64_t fx_int(const char *sql)
{
    return db_get_i64(fx_sql(sql), 0, 0);
}

static inline const char *fx_id(const struct answer *an)
{
    return arena_printf(fx.a, "%lld",
                        (long long)json_integer_value(json_object_get(an->data, "id")));
}
#endif
