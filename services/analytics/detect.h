#ifndef ANALYTICS_DETECT_H
#define ANALYTICS_DETECT_H
/*
 * What is unusual: a measure of five minutes against what is usual at that hour of the week.
 *
 * A baseline is a mean and a mean absolute deviation, both averages that forget slowly (EWMA), one
 * an hour of the week and, until a week has been seen, one an hour of the day.  What is far out is
 * learned as if it were at the edge, so an incident does not become usual.  A signal opens when it
 * was out of bounds for two windows in a row, or far out in one, and ends after three calm ones;
 * between the bounds nothing changes (hysteresis).  No input or output here: the job and the test
 * bring the numbers.
 */
#include "common/base/base.h"

enum {
    detect_window_s = 300,
    detect_hours = 168,               /* slots 0 … 167: hour of the week, Monday 00h UTC first */
    detect_slots = detect_hours + 24, /* 168 …: hour of the day */
    detect_week_weight = 12,          /* windows after which an hour of the week is known */
    detect_day_weight = 36,           /* of an hour of the day */
    detect_hot_windows = 2,
    detect_calm_windows = 3,
};
enum measure { MEASURE_RATE, MEASURE_ERRORS, MEASURE_LATENCY, MEASURE_NETWORKS, MEASURES_MAX_ };
enum signal_kind {
    SIGNAL_RATE_HIGH,
    SIGNAL_RATE_LOW,
    SIGNAL_ERRORS,
    SIGNAL_LATENCY,
    SIGNAL_KEY_SHARING,
    SIGNALS_WATCHED_, /* the rest has no measure */
    SIGNAL_NEW_COUNTRY = SIGNALS_WATCHED_,
    SIGNAL_NEW_AGENT,
    SIGNALS_MAX_
};
struct signal_def {
    const char *name, *unit;
    enum measure measure;
    double spread; /* deviations that are usual, at least */
    double ratio;  /* of the mean that is usual, at least */
    double least;  /* in the measure's unit, at least */
    bool falls;    /* out of bounds is below */
    bool windows;  /* needs so many windows in a row; else one is enough */
};
extern const struct signal_def signal_defs[SIGNALS_MAX_];
extern const char *const measure_names[MEASURES_MAX_];

struct baseline {
    double mean, dev;
    int weight; /* windows it was learned from */
};
void baseline_learn(struct baseline *b, double value);

struct watching {
    int hot, calm; /* windows in a row out of bounds, and well within */
    bool open;
    double factor; /* of what people said: bounds are so much wider; 0 is 1 */
};
struct sample {
    double value; /* requests; failures in 1,000; milliseconds at p95; networks */
    double n;     /* requests that it is made of */
};
enum verdict { VERDICT_NONE, VERDICT_OPENS, VERDICT_GOES_ON, VERDICT_ENDS };
struct finding {
    double usual;
    bool by_week; /* compared with that hour of the week, else of the day */
};
/* Decides on one signal of one subject in a window; base: of the hour of the week, of the day.
 * `min_requests`: below that nothing opens. */
enum verdict detect(enum signal_kind s, double min_requests, const struct sample *in,
                    const struct baseline base[2], struct watching *w, struct finding *ret);
int detect_hour(int64_t s);                           /* hour of the week, of Unix seconds */
const char *detect_hour_name(int hour, char out[16]); /* "Monday-09h" */
#endif
