/* proves: N-02 */
#include "services/analytics/sketch.h"

#include "common/base/arena.h"
#include "common/base/str.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { samples = 1000000, replicas = 3 };

static uint64_t rng = 0x365c365;

static double uniform(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (double)(rng >> 11) / 9007199254740992.0;
}

/* What latencies look like: a log-normal body, a slow tail, cache hits, and a few outliers. */
static int64_t latency(void)
{
    double u = uniform(), body = sqrt(-2 * log(uniform() + 1e-12)) * cos(6.283185307 * uniform());
    if (u < 0.3)
        return (int64_t)(20 + uniform() * 30);
    if (u < 0.97)
        return (int64_t)exp(7.5 + 0.6 * body);
    if (u < 0.9999)
        return (int64_t)exp(11 + body);
    return (int64_t)(uniform() * 6e7);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_of_three_replicas_are_within_one_percent_of_exact_ones(void **state)
{
    static const double asked[] = { 0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1 };
    struct arena *a = arena_new();
    struct sketch *part[replicas], *all = arena_alloc(a, sizeof *all);
    int64_t *exact = malloc(samples * sizeof *exact);
    (void)state;
    for (size_t i = 0; i < replicas; i++) {
        part[i] = arena_alloc(a, sizeof *part[i]);
        sketch_init(part[i]);
    }
    for (size_t i = 0; i < samples; i++) {
        exact[i] = latency();
        sketch_add(part[(size_t)(uniform() * replicas) % replicas], exact[i], 1);
    }
    qsort(exact, samples, sizeof *exact, ascending);
    sketch_init(all);
    for (size_t i = 0; i < replicas; i++) { /* as they travel: through their bytes */
        unsigned char *bytes;
        size_t n = sketch_write(part[i], a, &bytes);
        assert_true(n < 4000);
        assert_true(sketch_read(all, bytes, n));
    }
    assert_int_equal(all->n, samples);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        double want = (double)exact[(size_t)(asked[i] * (samples - 1))];
        double got = sketch_quantile(all, asked[i]);
        if (fabs(got - want) > sketch_error * want + 1e-9)
            fail_msg("quantile %g: %g instead of %g", asked[i], got, want);
    }
    free(exact);
    arena_free(a);
}

static void merging_is_adding_whatever_the_order(void **state)
{
    struct arena *a = arena_new();
    struct sketch *x = arena_alloc(a, sizeof *x), *y = arena_alloc(a, sizeof *y),
                  *xy = arena_alloc(a, sizeof *xy), *yx = arena_alloc(a, sizeof *yx);
    unsigned char *one, *two;
    (void)state;
    sketch_init(x);
    sketch_init(y);
    sketch_init(xy);
    sketch_init(yx);
    for (int i = 0; i < 5000; i++)
        sketch_add(i % 3 ? x : y, latency(), (uint64_t)(i % 7));
    sketch_merge(xy, x);
    sketch_merge(xy, y);
    sketch_merge(yx, y);
    sketch_merge(yx, x);
    size_t n = sketch_write(xy, a, &one);
    assert_int_equal(sketch_write(yx, a, &two), n);
    assert_memory_equal(one, two, n);
    arena_free(a);
}

static void every_value_is_within_one_percent_of_its_bin(void **state)
{
    static const int64_t values[] = { 0,   1,    2,     3,        99,         100,
                                      101, 1000, 65535, 60000000, 3600000000, sketch_value_max };
    struct sketch *s = malloc(sizeof *s);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        sketch_init(s);
        sketch_add(s, values[i], 1);
        double got = sketch_quantile(s, 0.5), v = (double)values[i];
        assert_true(fabs(got - v) <= sketch_error * v + 1e-9);
    }
    sketch_init(s);
    sketch_add(s, INT64_MAX, 1);
    assert_int_equal(s->last, sketch_bins - 1);
    sketch_add(s, -5, 1);
    assert_int_equal(s->first, 0);
    free(s);
}

static void what_is_no_sketch_is_refused_and_adds_nothing(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        { "",                                             0  }, /* nothing */
        { "\x01",                                         1  }, /* a bin that is missing */
        { "\x01\x05\x00",                                 3  }, /* a count of 0 */
        { "\x02\x05\x01\x00\x01",                         5  }, /* a bin twice */
        { "\x01\xff\x7f\x01",                             4  }, /* beyond the last bin */
        { "\x00\x00",                                     2  }, /* more than it says */
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11 },
    };
    struct sketch *s = malloc(sizeof *s);
    (void)state;
    sketch_init(s);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(sketch_read(s, (const unsigned char *)bad[i].bytes, bad[i].n));
    assert_false(sketch_read_hex(s, "\\x01zz", 6));
    assert_false(sketch_read_hex(s, "0100", 4));
    assert_int_equal(s->n, 0);
    assert_true(sketch_read_hex(s, "\\x010507", 8));
    assert_int_equal(s->n, 7);
    assert_int_equal(s->bin[5], 7);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_of_three_replicas_are_within_one_percent_of_exact_ones),
        cmocka_unit_test(merging_is_adding_whatever_the_order),
        cmocka_unit_test(every_value_is_within_one_percent_of_its_bin),
        cmocka_unit_test(what_is_no_sketch_is_refused_and_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
