#include "common/kit/migrate.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/io/crypto.h"
#include "common/io/db.h"

#include <assert.h>

enum { lock_wait_ms = 5 * 60 * 1000, lock_poll_ms = 100 };

/* No time limit of the server's: an index on a big table takes its time.  A lock that is not to be
 * had within ten seconds gives up instead, before everybody else queues behind it. */
static const char setup_sql[] = "set statement_timeout = 0;"
                                "set lock_timeout = '10s';"
                                "set client_min_messages = warning;"
                                "create table if not exists schema_migrations ("
                                "  version integer primary key,"
                                "  name text not null,"
                                "  sha256 text not null,"
                                "  applied_at timestamptz not null default now())";

static const struct db_stmt lock_stmt = {
    .name = "migrate_lock",
    .sql = "select pg_try_advisory_lock(hashtextextended('migrate:' || current_schema(), 365))",
};
static const struct db_stmt unlock_stmt = {
    .name = "migrate_unlock",
    .sql = "select pg_advisory_unlock(hashtextextended('migrate:' || current_schema(), 365))",
};
static const struct db_stmt exists_stmt = {
    .name = "migrate_exists",
    .sql = "select to_regclass('schema_migrations') is not null",
};
static const struct db_stmt recorded_stmt = {
    .name = "migrate_recorded",
    .sql = "select version, name, sha256 from schema_migrations order by version",
};
static const struct db_stmt record_stmt = {
    .name = "migrate_record",
    .sql = "insert into schema_migrations(version, name, sha256) values ($1, $2, $3)",
    .flags = DB_WRITE,
};

static void checksum(const struct migration *m, char out[sha256_hex_len + 1])
{
    sha256_hex(m->sql, strlen(m->sql), out);
}

/* The row of `version`, or -1. */
static int recorded_at(const struct db_rows *rows, int version)
{
    for (size_t i = 0; i < db_nrows(rows); i++)
        if (db_get_i64(rows, i, 0) == version)
            return (int)i;
    return -1;
}

/* What is recorded must be what this program brings: same text, none unknown among the old ones.
 * Newer ones than ours are fine: a newer release has migrated while this one still runs. */
static int compare(const struct db_rows *rows, const struct migration *all, struct err *err)
{
    int last = 0;
    size_t known = 0, old = 0;
    for (const struct migration *m = all; m->version; m++) {
        assert(m->version > last);
        last = m->version;
        int at = recorded_at(rows, m->version);
        if (at < 0)
            continue;
        known++;
        char sum[sha256_hex_len + 1];
        checksum(m, sum);
        if (strcmp(sum, db_cell(rows, (size_t)at, 2, NULL)) != 0)
            return err_set(err, E_config,
                           "Migration %s was changed after it had been applied; add a new one.",
                           m->name);
    }
    for (size_t i = 0; i < db_nrows(rows); i++)
        old += db_get_i64(rows, i, 0) <= last;
    if (old > known)
        return err_set(err, E_config, "A migration is recorded that this program does not know.");
    return 0;
}

static int lock(struct db_session *s, struct arena *a, struct err *err)
{
    /* Tried again and again, not waited for: a statement that waits would run into its time limit.
     */
    for (unsigned waited_ms = 0;; waited_ms += lock_poll_ms) {
        struct db_rows *rows;
        int rc = db_session_exec(s, a, &lock_stmt, NULL, 0, &rows, err);
        if (rc < 0 || db_get_bool(rows, 0, 0))
            return rc;
        if (db_is_null(rows, 0, 0))
            return err_set(err, E_config, "The role's search_path names no schema that exists.");
        if (waited_ms >= lock_wait_ms)
            return err_set(err, E_timeout, "Another migration has been running for too long.");
        fiber_sleep_ms(lock_poll_ms);
    }
}

struct step {
    struct db_session *session;
    struct arena *arena;
    const struct migration *m;
};

static int apply(struct db_tx *tx, void *ctx, struct err *err)
{
    struct step *st = ctx;
    int rc = db_session_script(st->session, st->m->sql, err);
    if (rc < 0)
        return rc;
    char sum[sha256_hex_len + 1];
    checksum(st->m, sum);
    const struct db_val v[] = { db_i64(st->m->version), db_text(st->m->name), db_text(sum) };
    struct db_rows *rows;
    return db_exec(tx, st->arena, &record_stmt, v, ARRAY_LEN(v), &rows, err);
}

static int run_locked(struct db_session *s, struct arena *a, const struct migration *all,
                      int *ret_applied, struct err *err)
{
    struct db_rows *rows;
    int n = 0, rc = db_session_exec(s, a, &recorded_stmt, NULL, 0, &rows, err);
    if (rc == 0)
        rc = compare(rows, all, err);
    for (const struct migration *m = all; rc == 0 && m->version; m++) {
        if (recorded_at(rows, m->version) >= 0)
            continue;
        struct step st = { s, a, m };
        struct err why;
        rc = db_session_tx(s, apply, &st, &why);
        if (rc < 0) {
            err_set(err, why.code, "Migration %s failed.", m->name);
            return err_detail(err, "%s", why.detail[0] ? why.detail : why.msg);
        }
        n++;
    }
    if (rc == 0)
        *ret_applied = n;
    return rc;
}

int migrate_run(struct db_session *s, const struct migration *m, int *ret_applied, struct err *err)
{
    struct arena *a = arena_new();
    int rc = lock(s, a, err);
    if (rc == 0) {
        /* The table is made under the lock too: "if not exists" is no help against two at once. */
        rc = db_session_script(s, setup_sql, err);
        if (rc == 0)
            rc = run_locked(s, a, m, ret_applied, err);
        struct db_rows *rows;
        struct err ignored; /* the lock goes with the session anyway */
        int unlocked = db_session_exec(s, a, &unlock_stmt, NULL, 0, &rows, &ignored);
        (void)unlocked;
    }
    arena_free(a);
    return rc;
}

static int check(struct db_session *s, struct arena *a, const struct migration *all,
                 struct err *err)
{
    struct db_rows *rows;
    int rc = db_session_exec(s, a, &exists_stmt, NULL, 0, &rows, err);
    if (rc < 0)
        return rc;
    if (!db_get_bool(rows, 0, 0))
        return err_set(err, E_config, "The database is empty; run --migrate first.");
    rc = db_session_exec(s, a, &recorded_stmt, NULL, 0, &rows, err);
    if (rc == 0)
        rc = compare(rows, all, err);
    for (const struct migration *m = all; rc == 0 && m->version; m++)
        if (recorded_at(rows, m->version) < 0)
            rc = err_set(err, E_config, "Migration %s is missing; run --migrate first.", m->name);
    return rc;
}

int migrate_check(struct db_session *s, const struct migration *m, struct err *err)
{
    struct arena *a = arena_new();
    int rc = check(s, a, m, err);
    arena_free(a);
    return rc;
}

void migrate_append(struct arena *a, struct migration *m, const char *name, const char *more)
{
    while (m->version && strcmp(m->name, name) != 0)
        m++;
    assert(m->version);
    m->sql = arena_printf(a, "%s%s", m->sql, more);
}
