#ifndef TESTS_API_CROWD_H
#define TESTS_API_CROWD_H
/* Many requests of one event loop at once, each in a fiber of its own. */
#include "tests/integration/services/api/api_fixture.h"

#include "common/base/fiber.h"
#include "common/base/loop.h"

enum { asks_max = 80 };

static struct loop *loop; /* main makes it */

struct asked {
    struct ask q;
    struct answer a;
};
static struct asked asked[asks_max];
static size_t nasked, ndone;

static int fresh(void **state)
{
    (void)state;
    nasked = 0;
    return 0;
}

static void add_ask(const struct ask *q)
{
    assert_true(nasked < asks_max);
    asked[nasked++] = (struct asked){ .q = *q };
}

static void ask_one(void *ctx)
{
    struct asked *k = ctx;
    k->a = fx_ask(&k->q);
    if (++ndone == nasked)
        loop_stop(loop);
}

static void (*helper)(void *ctx);

static void start_all(void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < nasked; i++)
        assert_true(fiber_spawn(loop, ask_one, &asked[i]));
    if (helper)
        assert_true(fiber_spawn(loop, helper, NULL));
}

/* All at once; `with` (or NULL) is one fiber more. */
static void ask_all(void (*with)(void *ctx))
{
    ndone = 0;
    helper = with;
    loop_post(loop, start_all, NULL);
    loop_run(loop);
    assert_int_equal(ndone, nasked);
}
#endif
