#ifndef SUPPORT_DB_CROWD_H
#define SUPPORT_DB_CROWD_H
/*
 * What the tests of common/io/db share: a schema of their own on CMS365_TEST_DATABASE_URL (whose
 * role may create schemas and end its own backends), statements, and a crowd of fibers.
 */
#include "common/io/db.h"

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fiber.h"
#include "common/base/str.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cmocka.h>

static const char *url;
static char schema[64];
static struct arena *arena;

/* --- statements ------------------------------------------------------------------------ */

#define UNUSED __attribute__((unused))
#define STMT(id, text, fl)                                                                         \
    static const struct db_stmt id UNUSED = { .name = #id, .sql = (text), .flags = (fl) }
STMT(f_echo, "select $1::bigint, $2::text", DB_FAST);
STMT(f_divide, "select 100 / $1::bigint", DB_FAST);
STMT(f_nap, "select $1::bigint, pg_sleep($2::bigint / 1000.0)::text", DB_FAST);
STMT(f_late_table, "select n from late_table", DB_FAST);
STMT(f_star, "select * from star where id = $1", DB_FAST);
STMT(echo, "select $1::bigint, $2::text, $3::boolean, $4::text[], $5::bigint[], $6::text", 0);
STMT(nap, "select pg_sleep($1::bigint / 1000.0)::text", 0);
STMT(add, "insert into t(id, name) values ($1, $2)", DB_WRITE);
STMT(add_slowly,
     "with w as (insert into t(id) values ($1) returning id) select id, pg_sleep(5)::text from w",
     DB_WRITE);
STMT(count, "select count(*) from t where id = $1", 0);
STMT(touch, "update t set n = n + 1 where id = $1", DB_WRITE);
STMT(raise40001, "select fail('40001')", 0);
STMT(add_deferred, "insert into deferred_child(t_id) values ($1)", DB_WRITE);
STMT(end_others,
     "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1"
     " and pid <> pg_backend_pid()",
     0);
STMT(try_lock, "select pg_try_advisory_lock(365365)", 0);

static const struct db_stmt *const fast[] = { &f_echo,       &f_divide, &f_nap,
                                              &f_late_table, &f_star,   NULL };

static UNUSED struct db_conf conf_of(const char *application)
{
    static char conninfo[1024];
    snprintf(conninfo, sizeof(conninfo), "%s%soptions=-csearch_path%%3D%s", url,
             strchr(url, '?') ? "&" : "?", schema);
    return (struct db_conf){ .conninfo = conninfo,
                             .application = application,
                             .conns_max = 4,
                             .loops = 1,
                             .statement_timeout_ms = 3000,
                             .wait_ms = 2000,
                             .connect_timeout_ms = 2000,
                             .fast = fast };
}

/* Outside of any pool under test. */
static UNUSED int64_t admin(const struct db_stmt *s, const struct db_val *v, size_t n)
{
    struct db_conf conf = conf_of("db_test_admin");
    struct db_session *session;
    struct db_rows *rows;
    struct err err;
    assert_int_equal(db_session_open(&conf, &session, &err), 0);
    if (db_session_exec(session, arena, s, v, n, &rows, &err) < 0)
        fail_msg("%s", err.detail);
    int64_t got = db_nrows(rows) ? db_get_i64(rows, 0, 0) : 0;
    db_session_close(session);
    return got;
}

static UNUSED void script(const char *sql)
{
    struct db_conf conf = conf_of("db_test_admin");
    struct db_session *session;
    struct err err;
    assert_int_equal(db_session_open(&conf, &session, &err), 0);
    if (db_session_script(session, sql, &err) < 0)
        fail_msg("%s", err.detail);
    db_session_close(session);
}

static UNUSED int64_t rows_of(int64_t id)
{
    return admin(&count, (struct db_val[]){ db_i64(id) }, 1);
}

static UNUSED void end_backends(const char *application)
{
    admin(&end_others, (struct db_val[]){ db_text(application) }, 1);
}

/* cmocka's jumps must not cross stacks, so what fibers check is remembered. */

static atomic_int failed_line;
static char failed_detail[400];
#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x) && !atomic_exchange(&failed_line, __LINE__))                                      \
            snprintf(failed_detail, sizeof(failed_detail), "line %d: %s", __LINE__, #x);           \
    } while (0)

struct crowd {
    struct db *db;
    struct loop *loop;
    void (*fn)(struct crowd *c, size_t i, struct arena *a);
    size_t n, left;
    void *ctx;
};
struct member {
    struct crowd *crowd;
    size_t i;
};

static UNUSED void member_main(void *ctx)
{
    struct member m = *(struct member *)ctx;
    struct arena *a = arena_new();
    free(ctx);
    m.crowd->fn(m.crowd, m.i, a);
    arena_free(a);
    if (--m.crowd->left == 0)
        loop_stop(m.crowd->loop);
}

static UNUSED void crowd_start(void *ctx)
{
    struct crowd *c = ctx;
    for (size_t i = 0; i < c->n; i++) {
        struct member *m = malloc(sizeof(*m));
        *m = (struct member){ c, i };
        CHECK(fiber_spawn(c->loop, member_main, m));
    }
}

/* Runs n fibers to their end on a loop of this thread. */
static UNUSED void run_crowd(struct db *db, size_t n,
                             void (*fn)(struct crowd *, size_t, struct arena *), void *ctx)
{
    struct crowd c = { .db = db, .loop = loop_new(), .fn = fn, .n = n, .left = n, .ctx = ctx };
    loop_post(c.loop, crowd_start, &c);
    loop_run(c.loop);
    loop_free(c.loop);
    if (atomic_exchange(&failed_line, 0))
        fail_msg("%s", failed_detail);
}

/* Twenty fast reads whose answers must be their own. */
static UNUSED void read_often(struct crowd *c, size_t i, struct arena *a)
{
    for (size_t k = 0; k < 20; k++) {
        int64_t want = (int64_t)(i * 1000 + k);
        char text[32];
        struct db_rows *r;
        struct err err;
        snprintf(text, sizeof(text), "fiber %zu", i);
        const struct db_val v[] = { db_i64(want), db_text(text) };
        CHECK(db_query(c->db, a, &f_echo, v, 2, &r, &err) == 0);
        CHECK(db_get_i64(r, 0, 0) == want && str_eq(db_str(r, 0, 1), text));
    }
}

static UNUSED int group_setup(void **state)
{
    (void)state;
    url = getenv("CMS365_TEST_DATABASE_URL");
    if (!url) {
        fputs("CMS365_TEST_DATABASE_URL is not set\n", stderr);
        return -1;
    }
    arena = arena_new();
    snprintf(schema, sizeof(schema), "db_test_%d", (int)getpid());
    script(arena_printf(arena, "create schema %s", schema));
    script("create table t(id bigint primary key, name text unique,"
           "  n int not null default 1 constraint n_positive check (n > 0));"
           "create table child(t_id bigint references t);"
           "create table deferred_child(t_id bigint references t deferrable initially deferred);"
           "create function fail(state text) returns int language plpgsql as"
           "  $$ begin raise exception using errcode = state; end $$;");
    return 0;
}

static UNUSED int group_teardown(void **state)
{
    (void)state;
    script(arena_printf(arena, "drop schema %s cascade", schema));
    arena_free(arena);
    return 0;
}

#endif
