#ifndef ANALYTICS_CELLS_H
#define ANALYTICS_CELLS_H
/*
 * Sums of requests by cell: a stretch of time, and what is told apart in it.  A set of cells is
 * filled from records, from other cells or from what the database has, and then taken out with one
 * sketch each.  Memory grows with the cells and with the bins that their requests fall into, not
 * with the requests.
 */
#include "common/base/arena.h"
#include "services/analytics/sketch.h"

enum level { LEVEL_MINUTE, LEVEL_HOUR, LEVEL_DAY, LEVELS_MAX_ };
enum dim { DIM_ALL, DIM_ROUTE, DIM_CONSUMER, DIM_BOTH, DIMS_MAX_ };
extern const int64_t level_s[LEVELS_MAX_]; /* length of a bucket, seconds */

enum cell_sum { /* what adds up */
                SUM_N,
                SUM_LIMITED, /* of them, those answered 429 */
                SUM_BYTES_IN,
                SUM_BYTES_OUT,
                SUM_TOTAL_US,
                SUM_QUEUE_US,
                SUM_DB_US,
                SUMS_MAX_
};
struct cell_key {
    int64_t bucket; /* its begin, Unix seconds */
    int32_t route, consumer;
    short level, dim, class;
};
struct cell {
    struct cell_key key;
    int64_t sum[SUMS_MAX_], max_us;
    const unsigned char *sketch; /* after cells_finish */
    size_t sketch_n;
};
enum { cells_recent = 512 };
struct cells {
    struct arena *arena;
    struct cell *v;
    size_t n, max;
    uint32_t *slots; /* hash table of positions + 1 */
    size_t nslots;
    struct cell_bin {
        uint32_t cell;
        uint16_t bin;
        uint64_t n;
    } *bins;
    size_t nbins, bins_max;
    uint32_t recent[cells_recent]; /* positions + 1 of bins, by a hash: most come again soon */
};
void cells_init(struct cells *c, struct arena *a);
/* The cell of a key, made if it is not there; valid until the next call. */
struct cell *cells_at(struct cells *c, const struct cell_key *key);
void cells_bin(struct cells *c, const struct cell *cell, unsigned bin, uint64_t n);
/* Adds the bins of a sketch as PostgreSQL gives it; false: it is none. */
bool cells_bins_hex(struct cells *c, const struct cell *cell, const char *hex, size_t n);
void cells_finish(struct cells *c); /* gives each its sketch; nothing may be added any more */
#endif
