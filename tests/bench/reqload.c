#define _GNU_SOURCE /* RUSAGE_THREAD */
/*
 * Sends request records as a program does (common/kit/reqlog.h), at RATE a second for SECONDS, over
 * the routes, keys, networks and outcomes of an installation: one JSON object with how many were
 * offered and dropped, and the CPU time a record took, of the thread that answers requests and of
 * the whole process.  A process that only waits takes the same paces first; its time is not
 * counted.
 *
 *   reqload BROKERS RATE SECONDS
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/reqlog.h"
#include "common/kit/token.h"

#include <sys/resource.h>
#include <time.h>

enum { pace_us = 1000, keys = 200, networks = 500, ids = 4096, wait_ms_max = 30000 };

static const struct {
    const char *method, *route;
    int status;
    int64_t us;
} shapes[] = {
    { "GET",    "/api/v2/posts/{id}",           200, 900   },
    { "GET",    "/api/v2/posts",                200, 3100  },
    { "GET",    "/api/v2/posts/{id}",           304, 300   },
    { "GET",    "/api/v2/experts",              200, 2800  },
    { "GET",    "/api/v2/companies/{id}",       200, 800   },
    { "GET",    "/api/v2/events",               200, 2600  },
    { "POST",   "/api/v2/posts",                201, 9000  },
    { "PATCH",  "/api/v2/posts/{id}",           200, 8000  },
    { "GET",    "/api/v2/media/{id}",           404, 700   },
    { "DELETE", "/api/v2/posts/{id}",           412, 1200  },
    { "GET",    "/api/v2/users/{id}",           200, 1000  },
    { "GET",    "/api/v2/webhooks/deliveries",  200, 4000  },
    { "POST",   "/api/v2/posts",                422, 500   },
    { "GET",    "/api/v2/pages",                429, 100   },
    { "GET",    "/api/v2/posts/{id}/revisions", 200, 1500  },
    { "GET",    "/api/v2/posts",                503, 60000 },
};
static char request_id[ids][uuid_len + 1], address[networks][32];

static double cpu_us(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void put(struct reqlog *l, uint64_t n)
{
    size_t shape = n * 7 % ARRAY_LEN(shapes);
    struct principal who = { .key_id = (int64_t)(n * n % keys) + 1, .user_id = 3 };
    const struct reqlog_record r = {
        .at_us = clock_us(),
        .total_us = shapes[shape].us + (int64_t)(n * 31 % 700),
        .queue_us = 40,
        .db_us = shapes[shape].us / 2,
        .bytes_in = shapes[shape].status == 201 ? 2100 : 0,
        .bytes_out = 2400,
        .who = &who,
        .request_id = request_id[n % ids],
        .method = shapes[shape].method,
        .route = shapes[shape].route,
        .address = address[(who.key_id * 3 + (int64_t)(n % 3)) % networks],
        .user_agent =
            n & 1 ? "curl/7.88.1" : "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0",
        .country = "DE",
        .problem = shapes[shape].status == 404 ? "not_found" : NULL,
        .status = shapes[shape].status,
    };
    reqlog_put(l, &r);
}

/* rate × seconds records; without a log only the clock is kept. */
static uint64_t pace(struct reqlog *l, int64_t rate, int64_t seconds)
{
    int64_t begin = clock_mono_us(), passed = 0;
    uint64_t n = 0;
    while (passed < seconds * 1000000) {
        nanosleep(&(struct timespec){ .tv_nsec = (long)pace_us * 1000 }, NULL);
        passed = clock_mono_us() - begin;
        for (uint64_t due = (uint64_t)(rate * passed / 1000000); l && n < due; n++)
            put(l, n);
    }
    return n;
}

/* Kafka has acknowledged all of it. */
static void await_idle(struct reqlog *l)
{
    int64_t end = clock_mono_us() + wait_ms_max * INT64_C(1000);
    while (!reqlog_idle(l) && clock_mono_us() < end)
        nanosleep(&(struct timespec){ .tv_nsec = (long)pace_us * 1000 }, NULL);
}

int main(int argc, char **argv)
{
    int64_t rate, seconds;
    struct reqlog *l;
    struct err err = { 0 };
    if (argc != 4 || !str_to_i64(argv[2], 1, 1000000, &rate) ||
        !str_to_i64(argv[3], 1, 600, &seconds)) {
        fprintf(stderr, "usage: reqload BROKERS RATE SECONDS\n");
        return 2;
    }
    log_init("reqload", LOG_ERROR);
    for (size_t i = 0; i < ids; i++)
        uuid7(request_id[i]);
    for (size_t i = 0; i < networks; i++)
        snprintf(address[i], sizeof address[i], "198.51.%zu.%zu", i / 250, i % 250);
    double idle_us = cpu_us(RUSAGE_SELF);
    pace(NULL, rate, 1);
    idle_us = (cpu_us(RUSAGE_SELF) - idle_us) * (double)seconds;
    if (reqlog_start(&(struct reqlog_conf){ .program = "api", .brokers = argv[1] }, &l, &err)) {
        fprintf(stderr, "reqload: %s\n", err.msg);
        return 1;
    }
    put(l, 0); /* the way to Kafka is found before the load, as in a program that runs */
    await_idle(l);
    double all_us = cpu_us(RUSAGE_SELF), path_us = cpu_us(RUSAGE_THREAD);
    uint64_t n = pace(l, rate, seconds);
    path_us = cpu_us(RUSAGE_THREAD) - path_us - idle_us;
    await_idle(l);
    all_us = cpu_us(RUSAGE_SELF) - all_us - idle_us;
    uint64_t dropped = reqlog_dropped(l);
    reqlog_stop(l);
    printf("{\"offered\":%llu,\"dropped\":%llu,\"path_us\":%.3f,\"process_us\":%.3f}\n",
           (unsigned long long)n, (unsigned long long)dropped, path_us / (double)n,
           all_us / (double)n);
    return 0;
}
