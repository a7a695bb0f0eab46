#ifndef KIT_RCACHE_H
#define KIT_RCACHE_H
/*
 * The response cache of a program (docs/adr, "response cache"): answers of reads, kept under all
 * that decides their bytes, and used again until something that they were made of is changed.
 *
 * Exact.  Changes are numbered.  An entry knows the number of the last change before its first
 * statement was sent (its token) and what it was made of: one row, whole entities, a moment at
 * which something becomes visible by itself.  A change gives its number to the row and the entity;
 * an entry whose token is smaller than a number of what it was made of is never used.  So it does
 * not matter whether a reader that was under way during a change stores its answer before or after
 * it.
 *
 * Own changes are told (rcache_wrote) after their commit and before their answer, those of other
 * replicas by the topic content.invalidations (common/kit/rcache_follow.c), which also says up to
 * which moment it has told all; when that is more than rcache_behind_ms_max ago, nothing is
 * answered from here (rulings.md 1).
 *
 * Bounded.  bytes_max holds all of it, tables too; what a request still sends after it was thrown
 * out counts until it is sent.  An answer is stored when its key is asked for a second time within
 * the last rcache_seen_slots keys of its shard, so that a walk over everything throws nothing out;
 * the least recently used go first.
 *
 * Any thread; a look-up takes one lock for as long as a hash chain takes, and never waits for
 * anything else.
 */
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/kit/vis.h"

enum {
    rcache_bytes_min = 1024 * 1024,
    rcache_shards = 8,
    rcache_seen_slots = 1024, /* of a shard */
    rcache_key_bytes_max = 1024,
    rcache_extra_max = 8,
    rcache_rows = 4096,        /* numbers of rows: two rows of one number only cost a hit */
    rcache_entities_max = 32,  /* a bit each */
    rcache_behind_ms_max = 100 /* rulings.md 1 */
};

struct rcache;
struct rcache_entry;
struct svc;

/* E_config: bytes_max is under rcache_bytes_min. */
int rcache_new(size_t bytes_max, struct rcache **ret, struct err *err) MUST_CHECK;
void rcache_free(struct rcache *c); /* NULL is fine; no entry may be in use */

/* A row was changed and is committed, or may be; id 0: which ones is not known.  `c` NULL is fine.
 */
void rcache_wrote(struct rcache *c, const struct entity_def *e, int64_t id);

/* --- what an answer is made of: filled by the handler as it reads */
struct rcache_made {
    struct rcache *cache;
    uint64_t token;
    uint32_t entities;                   /* bits: any row of these */
    const struct entity_def *row_entity; /* and this row, or NULL */
    int64_t row;
    int64_t until_us;                    /* monotonic: something becomes visible then by itself */
    int64_t due_us[rcache_entities_max]; /* when the next row of the entity becomes visible; 0: not
                                            known */
    bool said;     /* the handler has said what it is made of; else it is not kept */
    bool personal; /* the reader's id is part of it */
    bool never;
};
/* All of these do nothing if m is NULL. */
/* The row with this id, as a reader of class vc sees it. */
void rcache_made_of_row(struct rcache_made *m, const struct entity_def *e, enum vis_class vc,
                        int64_t id);
/* Any number of rows, also those that there are not. */
void rcache_made_of_rows(struct rcache_made *m, const struct entity_def *e, enum vis_class vc);

/* --- for route_cache.c */
struct rcache_key {
    const char *text;
    size_t n;
};
struct rcache_answer { /* of a 200, coded as it is sent */
    const char *body;
    size_t body_n;
    const char *content_type, *coding, *etag, *cache_control, *link; /* or NULL */
    int64_t modified_s;
    struct {
        const char *name, *value;
    } extra[rcache_extra_max];
    size_t nextra;
};
enum rcache_result { RCACHE_HIT, RCACHE_MISS, RCACHE_STALE, RCACHE_BYPASS, RCACHE_RESULTS_MAX_ };
/* Tries each key in turn.  A hit holds *ret until rcache_release.  *ret_wanted, on a miss: an
 * answer under one of these keys is worth storing. */
enum rcache_result rcache_find(struct rcache *c, const struct rcache_key *keys, size_t n,
                               struct rcache_entry **ret, bool *ret_wanted);
const struct rcache_answer *rcache_answer(const struct rcache_entry *e);
void rcache_release(void *entry);
/* Before the first statement of an answer that may be stored. */
void rcache_begin(struct rcache *c, struct rcache_made *m);
/* Copies.  False: it is too large, or was overtaken by a change. */
bool rcache_put(struct rcache *c, const struct rcache_key *key, const struct rcache_made *m,
                const struct rcache_answer *a);

/* --- for rcache_follow.c and tests */
/* All that was committed elsewhere is told, as far as until_us (monotonic) is to be believed. */
void rcache_fresh_until(struct rcache *c, int64_t until_us);
bool rcache_is_fresh(const struct rcache *c);
void rcache_told(struct rcache *c, const struct entity_def *e, int64_t id); /* by the stream */
void rcache_forget(struct rcache *c); /* nothing that was read before is used again */
/* The next moment at which a row of e becomes visible by itself (INT64_MAX: none), as found by a
 * statement sent after rcache_due_begin answered `token`. */
uint64_t rcache_due_begin(struct rcache *c);
void rcache_due(struct rcache *c, const struct entity_def *e, uint64_t token, int64_t due_us);
/* Is there an answer that could not be kept for want of it?  Asked once, then no more. */
bool rcache_due_wanted(struct rcache *c, const struct entity_def *e);
bool rcache_is_timed(const struct entity_def *e); /* do its rows become visible by themselves? */

struct rcache_stats {
    size_t bytes, entries, bytes_max;
    uint64_t result[RCACHE_RESULTS_MAX_], stored, evicted, own, told;
    int64_t behind_us; /* -1: nothing heard yet */
};
void rcache_stats(struct rcache *c, struct rcache_stats *ret);

/* The program's jobs (struct job_def): hear of changes; know the database's clock and what is due.
 */
void rcache_follow_job(struct svc *svc);
void rcache_due_job(struct svc *svc);
#endif
