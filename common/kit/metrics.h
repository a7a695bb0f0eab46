#ifndef KIT_METRICS_H
#define KIT_METRICS_H
/*
 * Counters, gauges and histograms of proto/metrics.def, printed as Prometheus text.  Label values
 * are looked up once (metric_cell) and bumped without a lock; at most metric_cells_max cells a
 * metric, the rest falls into the cell with label values "other".
 */
#include "common/base/buf.h"
#include "proto/names.h"

enum { metric_cells_max = 2000 };
struct metric_cell;
/* Label values in the order of the definition's labels; found or made; never NULL.  Any thread. */
struct metric_cell *metric_cell(enum metric m, const char *const *values, size_t n);
void metric_add(struct metric_cell *c, int64_t n);
void metric_set(struct metric_cell *c, int64_t v);
void metric_observe_us(struct metric_cell *c, int64_t us); /* histogram, in seconds on the wire */
void metrics_write(struct buf *out);
/* The same as OpenMetrics 1.0 (a counter's family is named without _total; ends with # EOF). */
void metrics_write_open(struct buf *out);
/* Shorthands for metrics without labels. */
void metric_inc(enum metric m);
void metric_gauge(enum metric m, int64_t v);
#endif
