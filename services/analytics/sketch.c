#include "services/analytics/sketch.h"

#include <math.h>

/* Bin i > 0 holds (γ^(i-2), γ^(i-1)] with γ = (1 + e) / (1 - e): 1 µs is alone in bin 1. */
/* The natural logarithm of (1 + sketch_error) / (1 - sketch_error). */
static const double log_gamma = 0.020000666706669435;

void sketch_init(struct sketch *s)
{
    s->n = 0;
    s->first = sketch_bins;
    s->last = 0;
    memset(s->bin, 0, sizeof s->bin);
}

unsigned sketch_bin(int64_t us)
{
    if (us <= 0)
        return 0;
    if (us > sketch_value_max)
        us = sketch_value_max;
    unsigned i = 1 + (unsigned)ceil(log((double)us) / log_gamma - 1e-9);
    return i < sketch_bins ? i : sketch_bins - 1;
}

static void count(struct sketch *s, unsigned bin, uint64_t times)
{
    s->bin[bin] += times;
    s->n += times;
    if (bin < s->first)
        s->first = bin;
    if (bin > s->last)
        s->last = bin;
}

void sketch_add(struct sketch *s, int64_t us, uint64_t times)
{
    if (times)
        count(s, sketch_bin(us), times);
}

void sketch_merge(struct sketch *s, const struct sketch *other)
{
    for (unsigned i = other->first; i <= other->last && i < sketch_bins; i++) {
        if (other->bin[i])
            count(s, i, other->bin[i]);
    }
}

double sketch_quantile(const struct sketch *s, double q)
{
    if (!s->n)
        return 0;
    double rank = q * (double)(s->n - 1);
    uint64_t below = 0;
    unsigned i = s->first;
    for (; i < s->last; i++) {
        below += s->bin[i];
        if ((double)below > rank)
            break;
    }
    /* In the middle of the bin, in the sense that both ends are off by the same part. */
    double gamma = exp(log_gamma);
    return i ? 2 * pow(gamma, (double)i - 1) / (gamma + 1) : 0;
}

static unsigned char *put(unsigned char *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (unsigned char)(v | 0x80);
    *p++ = (unsigned char)v;
    return p;
}

void sketch_begin(struct sketch_writer *w, struct arena *a, size_t bins)
{
    *w = (struct sketch_writer){ .data = arena_raw(a, bins * 12 + 4) };
    w->n = (size_t)(put(w->data, bins) - w->data);
}

void sketch_put(struct sketch_writer *w, unsigned bin, uint64_t n)
{
    unsigned char *p = put(w->data + w->n, bin - w->before);
    w->n = (size_t)(put(p, n) - w->data);
    w->before = bin;
}

size_t sketch_write(const struct sketch *s, struct arena *a, unsigned char **ret)
{
    struct sketch_writer w;
    size_t used = 0;
    for (unsigned i = s->first; i <= s->last && i < sketch_bins; i++)
        used += s->bin[i] != 0;
    sketch_begin(&w, a, used);
    for (unsigned i = s->first; i <= s->last && i < sketch_bins; i++) {
        if (s->bin[i])
            sketch_put(&w, i, s->bin[i]);
    }
    *ret = w.data;
    return w.n;
}

static bool get(const unsigned char **p, const unsigned char *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
        unsigned char c = *(*p)++;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* fn NULL: is it one at all? */
static bool walk(const unsigned char *p, const unsigned char *end,
                 void (*fn)(void *ctx, unsigned bin, uint64_t times), void *ctx)
{
    uint64_t used, step, times, at = 0;
    if (!get(&p, end, &used) || used > sketch_bins)
        return false;
    for (uint64_t i = 0; i < used; i++) {
        if (!get(&p, end, &step) || !get(&p, end, &times) || step >= sketch_bins || !times ||
            (i && !step))
            return false;
        at += step;
        if (at >= sketch_bins)
            return false;
        if (fn)
            fn(ctx, (unsigned)at, times);
    }
    return p == end;
}

static void add(void *ctx, unsigned bin, uint64_t times)
{
    count(ctx, bin, times);
}

bool sketch_read(struct sketch *s, const unsigned char *bytes, size_t n)
{
    return walk(bytes, bytes + n, NULL, NULL) && walk(bytes, bytes + n, add, s);
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(const char *hex, size_t n, unsigned char *out, size_t max)
{
    if (n < 4 || hex[0] != '\\' || hex[1] != 'x' || n % 2 || n / 2 - 1 > max)
        return false;
    for (size_t i = 2; i < n; i += 2) {
        int hi = digit(hex[i]), lo = digit(hex[i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i / 2 - 1] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

bool sketch_walk_hex(const char *hex, size_t n, void (*fn)(void *ctx, unsigned bin, uint64_t times),
                     void *ctx)
{
    unsigned char bytes[sketch_bytes_max];
    if (!unhex(hex, n, bytes, sizeof bytes))
        return false;
    const unsigned char *end = bytes + n / 2 - 1;
    return walk(bytes, end, NULL, NULL) && walk(bytes, end, fn, ctx);
}

bool sketch_read_hex(struct sketch *s, const char *hex, size_t n)
{
    return sketch_walk_hex(hex, n, add, s);
}
