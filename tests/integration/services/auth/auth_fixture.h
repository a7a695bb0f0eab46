#ifndef TESTS_AUTH_FIXTURE_H
#define TESTS_AUTH_FIXTURE_H
/*
 * auth on a real database and Redis without HTTP: a schema of its own, migrated, removed again.
 * CMS365_TEST_DATABASE_URL names a role that may create schemas; CMS365_TEST_REDIS_URL.
 */
#include "services/auth/auth.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/cache.h"
#include "common/io/crypto.h"
#include "common/kit/migrate.h"
#include "common/kit/svc_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static struct svc svc;
static struct auth_conf own_conf;
static struct db_conf dbc;
static struct db_session *session;
static struct arena *a;
static char schema[64];

static void ok(int rc, const struct err *err)
{
    if (rc && !err)
        fail_msg("%s", err_name((enum err_code) - rc));
    if (rc)
        fail_msg("%s: %s (%s)", err_name(err->code), err->msg, err->detail);
}

static struct db_rows *query(const char *sql)
{
    struct db_stmt s = { .sql = sql, .flags = DB_ONCE };
    struct db_rows *r;
    struct err err;
    ok(db_query(svc.db, a, &s, NULL, 0, &r, &err), &err);
    return r;
}

static int64_t number(const char *sql)
{
    return db_get_i64(query(sql), 0, 0);
}

/* `redis_key` is what an earlier run may have left. */
static int fx_setup(const char *name, const char *redis_key)
{
    struct err err = { 0 };
    const char *url = getenv("CMS365_TEST_DATABASE_URL"), *redis = getenv("CMS365_TEST_REDIS_URL");
    if (!url || !redis) {
        fputs("CMS365_TEST_DATABASE_URL and CMS365_TEST_REDIS_URL are not set\n", stderr);
        return -1;
    }
    log_init(name, LOG_ERROR);
    a = arena_new();
    snprintf(schema, sizeof(schema), "%s_%d", name, (int)getpid());
    dbc = (struct db_conf){ .conninfo = arena_printf(a, "%s%soptions=-csearch_path%%3D%s", url,
                                                     strchr(url, '?') ? "&" : "?", schema),
                            .application = name,
                            .loops = 1,
                            .statement_timeout_ms = 5000,
                            .wait_ms = 2000,
                            .connect_timeout_ms = 2000 };
    ok(db_session_open(&dbc, &session, &err), &err);
    ok(db_session_script(session, arena_printf(a, "create schema %s", schema), &err), &err);
    int applied;
    ok(migrate_run(session, auth_migrations(a), &applied, &err), &err);
    own_conf.svc.env = "test";
    own_conf.svc.public_url = "http://cms.test";
    own_conf.login_lock_max_s = 900;
    own_conf.password_min = 12;
    own_conf.totp_roles = "";
    svc = (struct svc){ .def = auth_def(), .conf = &own_conf.svc, .arena = a, .db = db_new(&dbc) };
    ok(cache_new(&(struct cache_conf){ .url = redis, .timeout_ms = 1000 }, &svc.cache, &err), &err);
    struct cache_reply r;
    const char *const argv[] = { "DEL", redis_key };
    return cache_call(svc.cache, a, argv, ARRAY_LEN(argv), &r, &err);
}

static int fx_teardown(void **state)
{
    (void)state;
    struct err err;
    ok(db_session_script(session, arena_printf(a, "drop schema %s cascade", schema), &err), &err);
    db_session_close(session);
    cache_free(svc.cache);
    db_free(svc.db);
    arena_free(a);
    return 0;
}
#endif
