#ifndef ANALYTICS_SKETCH_H
#define ANALYTICS_SKETCH_H
/*
 * A mergeable sketch of durations for quantiles: DDSketch (Masson, Rim, Lee: DDSketch, VLDB 2019)
 * with logarithmic bins.  A quantile is off by sketch_error of its value at most, whatever was
 * merged in whatever order; merging is adding counts, so replicas, minutes and routes add up.
 *
 * Values are microseconds; 0 has a bin of its own, what is above sketch_value_max counts as that.
 * As bytes: how many bins, then for each the distance to the one before and its count, all
 * unsigned LEB128.  A few dozen to a few hundred bytes.
 */
#include "common/base/arena.h"
#include "common/base/base.h"

#define sketch_error     0.01
#define sketch_value_max INT64_C(86400000000) /* a day */
enum {
    sketch_bins = 1262, /* bin of sketch_value_max + 1; 0 is for 0 */
    sketch_bytes_max = sketch_bins * 12 + 4,
};

struct sketch {
    uint64_t n;
    unsigned first, last; /* bins in use: first … last; first > last: none */
    uint64_t bin[sketch_bins];
};
void sketch_init(struct sketch *s);
unsigned sketch_bin(int64_t us); /* whose count a value belongs to */
void sketch_add(struct sketch *s, int64_t us, uint64_t times);
void sketch_merge(struct sketch *s, const struct sketch *other);
/* 0 ≤ q ≤ 1: the value with q × (n − 1) values below it, in microseconds; 0 if there are none. */
double sketch_quantile(const struct sketch *s, double q);

/* The bytes, in the arena. */
size_t sketch_write(const struct sketch *s, struct arena *a, unsigned char **ret);
/* The same bin by bin, upwards, of which there will be so many. */
struct sketch_writer {
    unsigned char *data;
    size_t n;
    unsigned before;
};
void sketch_begin(struct sketch_writer *w, struct arena *a, size_t bins);
void sketch_put(struct sketch_writer *w, unsigned bin, uint64_t n);
/* Adds what the bytes hold; false: they are no sketch, and nothing was added. */
bool sketch_read(struct sketch *s, const unsigned char *bytes, size_t n);
/* The same of PostgreSQL's text form of a bytea ("\x0102…"), and of each of its bins. */
bool sketch_read_hex(struct sketch *s, const char *hex, size_t n);
bool sketch_walk_hex(const char *hex, size_t n, void (*fn)(void *ctx, unsigned bin, uint64_t times),
                     void *ctx);
#endif
