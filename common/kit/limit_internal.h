#ifndef KIT_LIMIT_INTERNAL_H
#define KIT_LIMIT_INTERNAL_H
/*
 * What the files of limit share: limit.c (which policies apply, the table, the decision),
 * limit_redis.c (scripts, the hop, life without Redis), limit_job.c (heartbeat, quotas told).
 */
#include "common/kit/limit.h"

#include <pthread.h>

enum {
    limit_shards = 64,
    limit_ways = 8, /* windows that share a place */
    limit_replica_max = 40,
    limit_beat_ms = 1000,
    limit_beats_gone_s = 5, /* without a heartbeat a replica no longer counts */
    limit_id_bytes = 16,
};

/* Whose window it is. */
struct limit_id {
    unsigned char policy;
    unsigned char id[limit_id_bytes]; /* a number, or a network with the host bits cleared */
};
struct limit_window {
    struct limit_id who;
    int64_t label;    /* Redis' number of the window; 0: the place is free */
    int64_t until_us; /* monotonic: the window is surely not over before */
    int64_t limit, length_s;
    int64_t leased;  /* granted to us and not used */
    int64_t granted; /* to us, in this window, leases included */
    int64_t rest;    /* what Redis had left after its last grant to us */
    int64_t asked;   /* at most so many may be granted by hops under way */
    int64_t used;    /* of all, as far as we know; of quotas only */
    int64_t told;    /* of that, what auth knows */
    int64_t seen_us;
    unsigned short hops; /* under way */
    bool exceeded, urgent;
};
struct limit_shard {
    pthread_mutex_t mu;
    struct limit_window *v; /* limit_entries / limit_shards, in sets of limit_ways */
};
struct limits {
    struct cache *cache;
    char program[64], replica[limit_replica_max];
    int64_t rate[POLICIES_];
    struct limit_shard shards[limit_shards];
    int64_t clock_ms;  /* atomic: Redis' wall clock less ours */
    unsigned replicas; /* atomic */
    bool down;         /* atomic: the last that asked Redis had no answer */
    bool urgent;       /* atomic: a quota has something to tell */
};

enum limit_verdict { TAKE_OK, TAKE_REFUSED, TAKE_ASK };
/* One policy of one request. */
struct limit_need {
    struct limit_id who;
    int64_t limit, cost, window_s; /* window_s 0: a calendar month */
    bool lease;                    /* asks for more than the cost */
    unsigned tries;
    int64_t asks;  /* of the hop under way: its share of the window's `asked` */
    int64_t taken; /* label of the window that the cost was taken from; 0: not yet */
    enum limit_verdict verdict;
    struct limit_state *state;
};
/* What Redis says of one window. */
struct limit_grant {
    int64_t granted, rest, label, left_ms, used;
};

/* limit.c */
/* Takes the cost from the lease, or says why not; need->lease: nobody else asks for one now. */
enum limit_verdict limit_local(struct limits *l, struct limit_need *need);
/* Keeps what Redis granted and takes the cost from it; TAKE_ASK: the window ended meanwhile. */
enum limit_verdict limit_apply(struct limits *l, struct limit_need *need,
                               const struct limit_grant *g, int64_t asked_us);
/* The same without Redis: from our part of the limit. */
enum limit_verdict limit_alone(struct limits *l, struct limit_need *need);
void limit_asked(struct limits *l, struct limit_need *need); /* the hop is over */
/* What we were granted, and in which window; a hop that says so begins. */
void limit_own(struct limits *l, struct limit_need *need, int64_t *ret_granted, int64_t *ret_label,
               int64_t *ret_leased);
const char *limit_key(struct arena *a, const struct limit_id *who); /* in Redis, without window */
/* The window of `window_s` (0: the calendar month) around a time. */
struct limit_span {
    int64_t label, start_ms, end_ms;
};
struct limit_span limit_span(int64_t window_s, int64_t now_ms);

/* limit_redis.c */
/* Asks for all of them at once and applies the answers. */
int limit_hop(struct limits *l, struct arena *a, struct limit_need *const *needs, size_t n,
              struct err *err) MUST_CHECK;
void limit_return_leases(struct limits *l);
#endif
