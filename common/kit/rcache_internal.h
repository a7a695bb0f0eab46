#ifndef KIT_RCACHE_INTERNAL_H
#define KIT_RCACHE_INTERNAL_H
/*
 * What the files of the response cache share: rcache.c (entries, memory), rcache_gens.c (numbers of
 * changes, what answers are made of), rcache_follow.c (other replicas' changes, the clock).
 */
#include "common/kit/rcache.h"

#include <pthread.h>

/* The numbers.  Written under `mu`; those of rows and entities are read without it, as atomics. */
struct rcache_gens {
    pthread_mutex_t mu;
    uint64_t now;                         /* the last one given */
    uint64_t floor;                       /* below it nothing is used */
    uint64_t entity[rcache_entities_max]; /* last change of any row */
    uint64_t whole[rcache_entities_max];  /* last change of rows that were not named */
    uint64_t row[rcache_rows];            /* last change of a row that falls here */
    struct {
        uint64_t token; /* the changes that it has seen; 0: not known */
        int64_t at_us;
        bool wanted;
    } due[rcache_entities_max];
    uint32_t closure[rcache_entities_max]; /* entities that decide who sees a row of this one */
};
void rcache_gens_init(struct rcache_gens *g);
void rcache_gens_done(struct rcache_gens *g);

/* What an entry keeps of struct rcache_made. */
struct rcache_stamp {
    uint64_t token;
    int64_t until_us;
    uint32_t entities;
    int32_t row_entity; /* -1: none */
    uint32_t row;       /* its slot */
};
struct rcache_stamp rcache_stamp_of(const struct rcache_made *m);
bool rcache_stamp_ok(const struct rcache_gens *g, const struct rcache_stamp *s, int64_t now_us);

struct rcache_entry {
    struct rcache_shard *shard;
    struct rcache_entry *next;          /* of its bucket */
    struct rcache_entry *newer, *older; /* by use */
    uint64_t hash;
    uint32_t uses; /* atomic: the cache's, and one a request that sends it */
    size_t size;   /* of malloc's chunk */
    struct rcache_stamp stamp;
    struct rcache_key key;
    struct rcache_answer answer; /* all text behind the struct */
};
struct rcache_shard {
    pthread_mutex_t mu;
    struct rcache_entry **buckets;
    struct rcache_entry *newest, *oldest;
    size_t nbuckets, bytes_max;
    size_t bytes; /* atomic: of entries, also those that are only being sent */
    size_t entries;
    uint64_t result[RCACHE_RESULTS_MAX_], stored, evicted;
    uint32_t seen[rcache_seen_slots]; /* of keys asked for in vain */
} __attribute__((aligned(64)));
struct rcache {
    struct rcache_gens gens;
    int64_t fresh_until_us; /* atomic */
    uint64_t own, told;     /* atomic */
    uint64_t seed;
    size_t fixed_bytes, bytes_max;
    struct rcache_shard shards[rcache_shards];
};
#endif
