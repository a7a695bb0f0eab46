/*
 * What common/io/db costs: reads by primary key from fibers on one loop a core, to be set beside
 * pgbench on the same table.
 *
 *   db_bench URL LOOPS FIBERS SECONDS [write]     prints statements a second
 *
 * It makes its table (db_bench: 100,000 rows of 2 KB) if it is not there.
 *   pgbench -n -M prepared -c 32 -j 1 -T 5 -f read.sql, with read.sql:
 *     \set id random(1, 100000)
 *     select id, title, body from db_bench where id = :id
 */
#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/io/db.h"

#include <pthread.h>
#include <stdatomic.h>

enum { rows = 100000 };
static const struct db_stmt read_one = { .name = "read_one",
                                         .sql =
                                             "select id, title, body from db_bench where id = $1",
                                         .flags = DB_FAST };
static const struct db_stmt write_one = {
    .name = "write_one",
    .sql = "update db_bench set title = $2 where id = $1 returning id",
    .flags = DB_WRITE
};
static const struct db_stmt *const fast[] = { &read_one, NULL };

static struct db *db;
static atomic_uint_fast64_t done;
static atomic_bool stop;
static size_t fibers;
static bool writing;

static void reader(void *ctx)
{
    size_t *left = ctx;
    struct arena *a = arena_new();
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        const struct db_val v[] = { db_i64(1 + (int64_t)random_below(rows)),
                                    db_text("a new title") };
        struct db_rows *r;
        struct err err;
        if (db_query(db, a, writing ? &write_one : &read_one, v, writing ? 2 : 1, &r, &err) < 0) {
            fprintf(stderr, "%s (%s)\n", err.msg, err.detail);
            exit(1);
        }
        if (db_nrows(r) != 1)
            exit(1);
        arena_reset(a);
        atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
    }
    arena_free(a);
    if (--*left == 0)
        loop_stop(loop_self());
}

struct start {
    struct loop *loop;
    size_t left;
};

static void start_all(void *ctx)
{
    struct start *s = ctx;
    for (size_t i = 0; i < fibers; i++)
        if (!fiber_spawn(s->loop, reader, &s->left))
            exit(1);
}

static void *loop_main(void *ctx)
{
    struct start s = { .loop = loop_new(), .left = fibers };
    (void)ctx;
    loop_post(s.loop, start_all, &s);
    loop_run(s.loop);
    loop_free(s.loop);
    return NULL;
}

static int make_table(const struct db_conf *conf, struct err *err)
{
    struct db_session *s;
    int rc = db_session_open(conf, &s, err);
    if (rc < 0)
        return rc;
    rc = db_session_script(s,
                           "set statement_timeout = 0; set client_min_messages = warning;"
                           "create table if not exists db_bench(id bigint primary key, title text,"
                           " body text);"
                           "insert into db_bench select i, 'Title ' || i, repeat(md5(i::text), 64)"
                           " from generate_series(1, 100000) i on conflict do nothing;"
                           "analyze db_bench",
                           err);
    db_session_close(s);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "db_bench URL LOOPS FIBERS SECONDS [write]\n");
        return 2;
    }
    size_t loops = strtoul(argv[2], NULL, 10);
    unsigned seconds = (unsigned)strtoul(argv[4], NULL, 10);
    struct db_conf conf = { .conninfo = argv[1],
                            .application = "db_bench",
                            .conns_max = 12,
                            .loops = loops,
                            .statement_timeout_ms = 5000,
                            .wait_ms = 5000,
                            .connect_timeout_ms = 3000,
                            .fast = fast };
    struct err err;
    pthread_t t[16];
    if (loops == 0 || loops > ARRAY_LEN(t) || make_table(&conf, &err) < 0) {
        fprintf(stderr, "%s (%s)\n", err.msg, err.detail);
        return 1;
    }
    fibers = strtoul(argv[3], NULL, 10) / loops;
    writing = argc > 5;
    db = db_new(&conf);
    for (size_t i = 0; i < loops; i++)
        if (pthread_create(&t[i], NULL, loop_main, NULL) != 0)
            return 1;
    fiber_sleep_ms(500);
    uint64_t from = atomic_load(&done);
    fiber_sleep_ms(seconds * 1000);
    uint64_t n = atomic_load(&done) - from;
    atomic_store(&stop, true);
    for (size_t i = 0; i < loops; i++)
        pthread_join(t[i], NULL);
    db_free(db);
    printf("%s: %.0f/s\n", writing ? "write one" : "read one", (double)n / seconds);
    return 0;
}
