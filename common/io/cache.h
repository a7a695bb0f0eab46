#ifndef IO_CACHE_H
#define IO_CACHE_H
/*
 * Redis (hiredis 0.14: no TLS, RESP2).  In a fiber a command parks it, in a thread it blocks.  One
 * pipelined connection a loop, one a thread.  Every command has a deadline of timeout_ms; Redis
 * away is E_unavailable at once while the connection is known to be down (reconnect with back-off).
 */
#include "common/base/arena.h"
#include "common/base/err.h"

struct cache;
struct cache_conf {
    const char *url; /* redis://[:password@]host:port[/db] */
    unsigned timeout_ms;
};
int cache_new(const struct cache_conf *conf, struct cache **ret, struct err *err) MUST_CHECK;
void cache_free(struct cache *c);

enum cache_type { CACHE_NIL, CACHE_INT, CACHE_TEXT, CACHE_LIST };
struct cache_reply { /* in the arena */
    enum cache_type type;
    int64_t i64;
    const char *text;
    size_t len;
    struct cache_reply *items;
    size_t n;
};
/* argv as Redis takes it; an error reply is E_internal with Redis' words in err->detail. */
int cache_call(struct cache *c, struct arena *a, const char *const *argv, size_t argc,
               struct cache_reply *ret, struct err *err) MUST_CHECK;
/* EVALSHA, loading the script on first use. */
struct cache_script {
    const char *name, *lua;
};
int cache_eval(struct cache *c, struct arena *a, const struct cache_script *s,
               const char *const *keys, size_t nkeys, const char *const *args, size_t nargs,
               struct cache_reply *ret, struct err *err) MUST_CHECK;
#endif
