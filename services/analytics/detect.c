#include "services/analytics/detect.h"

#include <math.h>

/* How slowly is forgotten: some twenty windows of an hour of the week are two weeks. */
#define forget     0.05
#define dev_floor  0.1 /* of the mean: what is even by chance is not even by nature */
#define far_out    3.0 /* bounds away: one window is enough */
#define half_way   0.5
#define learn_edge 3.0 /* deviations at which what is learned ends */

const char *const measure_names[MEASURES_MAX_] = { "rate", "errors", "latency", "networks" };
const struct signal_def signal_defs[SIGNALS_MAX_] = {
    [SIGNAL_RATE_HIGH] = { "rate_high", "requests", MEASURE_RATE, 6, 1.5, 0, .windows = true },
    [SIGNAL_RATE_LOW] = { "rate_low", "requests", MEASURE_RATE, 6, 0.8, 0, .falls = true,
                          .windows = true },
    [SIGNAL_ERRORS] = { "errors", "permille", MEASURE_ERRORS, 6, 1, 100, .windows = true },
    [SIGNAL_LATENCY] = { "latency", "ms", MEASURE_LATENCY, 6, 1, 50, .windows = true },
    [SIGNAL_KEY_SHARING] = { "key_sharing", "networks", MEASURE_NETWORKS, 6, 2, 4 },
    [SIGNAL_NEW_COUNTRY] = { "new_country", "requests" },
    [SIGNAL_NEW_AGENT] = { "new_agent", "requests" },
};

void baseline_learn(struct baseline *b, double value)
{
    if (b->weight >= detect_week_weight) {
        double edge = learn_edge * fmax(b->dev, dev_floor * b->mean) + 1;
        value = fmin(fmax(value, b->mean - edge), b->mean + edge);
    }
    if (b->weight < INT32_MAX)
        b->weight++;
    double alpha = fmax(1.0 / b->weight, forget);
    double off = fabs(value - b->mean);
    b->mean += alpha * (value - b->mean);
    if (b->weight > 1) /* the first has nothing to be off from */
        b->dev += fmax(1.0 / (b->weight - 1), forget) * (off - b->dev);
}

/* How far from the mean is still usual. */
static double bound(const struct signal_def *d, const struct sample *in, const struct baseline *b,
                    double factor)
{
    double dev = fmax(b->dev, dev_floor * b->mean), chance = 0;
    if (d->measure == MEASURE_RATE)
        chance = sqrt(fmax(b->mean, 1));
    if (d->measure == MEASURE_ERRORS && in->n > 0) {
        double p = fmin(fmax(b->mean / 1000, 0.005), 0.5);
        chance = 1000 * sqrt(p * (1 - p) / in->n);
    }
    double width = fmax(d->spread * fmax(dev, chance), fmax(d->ratio * b->mean, d->least));
    return width * factor;
}

static bool enough(const struct signal_def *d, double min_requests, const struct sample *in,
                   const struct baseline *b)
{
    switch (d->measure) {
    case MEASURE_RATE:
        return d->falls ? b->mean >= 4 * min_requests : in->value >= min_requests;
    case MEASURE_ERRORS:
    case MEASURE_LATENCY:
        return in->n >= min_requests;
    case MEASURE_NETWORKS:
        return in->value >= 5;
    case MEASURES_MAX_:
        break;
    }
    return false;
}

/* How many bounds away from the mean; 1 is the bound. */
static double distance(const struct signal_def *d, const struct sample *in,
                       const struct baseline *b, double factor)
{
    if (d->falls) { /* there is no less than nothing: wider bounds ask for less than a fifth */
        double edge = fmin(bound(d, in, b, 1), b->mean * (1 - (1 - d->ratio) / factor));
        bool apart = bound(d, in, b, 1) <= b->mean * 0.95;
        return apart && edge > 0 ? (b->mean - in->value) / edge : 0;
    }
    double width = bound(d, in, b, factor);
    return width > 0 ? (in->value - b->mean) / width : 0;
}

static void step(const struct signal_def *d, double away, bool volume, struct watching *w)
{
    bool out = away >= 1 && (volume || w->open);
    if (out) {
        bool far = away >= far_out || !d->windows;
        w->hot = far && w->hot < detect_hot_windows ? detect_hot_windows : w->hot + 1;
        if (w->hot > INT16_MAX)
            w->hot = INT16_MAX;
        w->calm = 0;
    } else if (away < half_way) {
        w->hot = 0;
        w->calm = w->calm < INT16_MAX ? w->calm + 1 : w->calm;
    } else if (!w->open) {
        w->hot = 0;
    }
}

enum verdict detect(enum signal_kind s, double min_requests, const struct sample *in,
                    const struct baseline base[2], struct watching *w, struct finding *ret)
{
    const struct baseline *week = &base[0], *day = &base[1];
    const struct signal_def *d = &signal_defs[s];
    bool by_week = week->weight >= detect_week_weight;
    const struct baseline *b = by_week ? week : day;
    double factor = w->factor > 0 ? w->factor : 1;
    *ret = (struct finding){ .usual = b->mean, .by_week = by_week };
    /* By the hour of the day alone a Sunday looks like a failure. */
    bool known = by_week || (day->weight >= detect_day_weight && !d->falls);
    if (!known && !w->open)
        return VERDICT_NONE;
    step(d, distance(d, in, b, factor), enough(d, min_requests, in, b), w);
    if (!w->open && w->hot >= detect_hot_windows) {
        w->open = true;
        return VERDICT_OPENS;
    }
    if (w->open && w->calm >= detect_calm_windows) {
        w->open = false;
        w->hot = w->calm = 0;
        return VERDICT_ENDS;
    }
    return w->open ? VERDICT_GOES_ON : VERDICT_NONE;
}

int detect_hour(int64_t s)
{
    return (int)((s / 3600 + 3 * 24) % detect_hours); /* 1970 began on a Thursday */
}

const char *detect_hour_name(int hour, char out[16])
{
    static const char *const days[] = { "Monday", "Tuesday",  "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sunday" };
    if (hour < detect_hours)
        snprintf(out, 16, "%s-%02dh", days[hour / 24 % 7], hour % 24);
    else
        snprintf(out, 16, "%02dh", (hour - detect_hours) % 24);
    return out;
}
