#ifndef IO_CACHE_INTERNAL_H
#define IO_CACHE_INTERNAL_H
/* What cache.c (life, threads, scripts) and cache_loop.c (fibers) share. */
#include "common/io/cache.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <pthread.h>

struct loop;
struct cache_loop;
enum {
    cache_loops_max = 64,
    cache_scripts_max = 32,
    backoff_first_us = 50000,
    backoff_max_us = 1000000
};

struct cache_thread { /* a thread's own connection */
    struct cache *cache;
    redisContext *ctx;
    int64_t retry_us, backoff_us;
    struct cache_thread *next;
};
struct cache {
    char host[256], user[128], password[256];
    int port, db;
    unsigned timeout_ms;
    pthread_key_t own;  /* struct cache_thread */
    pthread_mutex_t mu; /* what follows */
    char address[64];   /* resolved; "": not yet.  Loops never resolve. */
    struct cache_thread *threads;
    struct {
        struct loop *loop;
        struct cache_loop *conn;
    } loops[cache_loops_max];
    size_t nloops;
    struct {
        const struct cache_script *script;
        char sha[48];
    } scripts[cache_scripts_max];
    size_t nscripts;
};

struct cache_cmd {
    int argc;
    const char **argv;
    const size_t *lens;
};
int cache_down(struct err *err, const char *detail);
/* Copies a reply into the arena; negative if it is an error reply. */
int cache_copy(struct arena *a, const redisReply *in, struct cache_reply *out,
               struct err *err) MUST_CHECK;
/* On the running loop, from a fiber. */
int cache_fiber_call(struct cache *c, struct arena *a, const struct cache_cmd *cmd,
                     struct cache_reply *ret, struct err *err) MUST_CHECK;
void cache_loop_free(struct cache_loop *l); /* its loop has ended */
#endif
