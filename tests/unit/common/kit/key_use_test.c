#include "common/kit/key_use.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/str.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { minute = 60000 };

static struct arena *a;
static struct key_uses *u;

static int setup(void **state)
{
    (void)state;
    a = arena_new();
    u = key_uses_new(minute);
    clock_set_ms(INT64_C(1800000000000));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clock_set_ms(0);
    key_uses_free(u);
    arena_free(a);
    return 0;
}

static void pass_ms(int64_t ms)
{
    clock_set_ms(clock_ms() + ms);
}

static size_t collect(struct key_use **ret)
{
    return key_uses_collect(u, a, key_uses_max, ret);
}

static void settle_all(void)
{
    struct key_use *l;
    size_t n = collect(&l);
    key_uses_settle(u, l, n);
}

/* proves: AU-01 */
static void first_use_of_an_interval_is_noted(void **state)
{
    (void)state;
    struct key_use *l;
    int64_t first = clock_ms();
    key_use_note(NULL, USE_KEY, 7, "192.0.2.1", "x/1");
    key_use_note(u, USE_KEY, 0, "192.0.2.1", "x/1");
    assert_int_equal(collect(&l), 0);
    key_use_note(u, USE_KEY, 7, "192.0.2.1", "x/1");
    pass_ms(1000);
    key_use_note(u, USE_KEY, 7, "192.0.2.2", "x/2"); /* the same minute */
    key_use_note(u, USE_KEY, 8, NULL, NULL);
    assert_int_equal(collect(&l), 2);
    const struct key_use *seven = l[0].id == 7 ? &l[0] : &l[1];
    assert_int_equal(seven->at_ms, first);
    assert_string_equal(seven->address, "192.0.2.1");
    assert_string_equal(seven->agent, "x/1");
    assert_string_equal((l[0].id == 7 ? &l[1] : &l[0])->agent, "");
    pass_ms(minute);
    key_use_note(u, USE_KEY, 7, "2001:db8::1",
                 "x/3"); /* a later minute replaces what still waits */
    assert_int_equal(collect(&l), 2);
    seven = l[0].id == 7 ? &l[0] : &l[1];
    assert_int_equal(seven->at_ms, clock_ms());
    assert_string_equal(seven->address, "2001:db8::1");
}

/* proves: AU-03: however often it is tried; a key that is used elsewhere too is not taken for it */
static void refusals_are_noted_once_an_interval(void **state)
{
    (void)state;
    struct key_use *l;
    for (int i = 0; i < 1000; i++) {
        key_use_note(u, USE_KEY_DENIED, 7, "192.0.2.1", "x");
        key_use_note(u, USE_CLIENT_DENIED, 7, "192.0.2.1", "x");
        key_use_note(u, USE_USER_DENIED, 7, "192.0.2.1", "x");
    }
    key_use_note(u, USE_KEY, 7, "192.0.2.1", "x");
    unsigned kinds = 0;
    size_t n = collect(&l);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(l[i].id, 7);
        kinds |= 1U << l[i].kind;
    }
    assert_int_equal(kinds, 15);
    settle_all();
    assert_int_equal(collect(&l), 0);
}

/* proves: AU-01: what is noted while a batch is under way is not lost with it */
static void settling_keeps_what_came_later(void **state)
{
    (void)state;
    struct key_use *l, *later;
    key_use_note(u, USE_KEY, 7, "192.0.2.1", "x");
    key_use_note(u, USE_KEY, 8, "192.0.2.1", "x");
    size_t n = collect(&l);
    pass_ms(minute);
    key_use_note(u, USE_KEY, 8, "192.0.2.9", "x");
    key_uses_settle(u, l, n);
    assert_int_equal(collect(&later), 1);
    assert_int_equal(later[0].id, 8);
    assert_string_equal(later[0].address, "192.0.2.9");
    key_uses_settle(u, later, 1);
    assert_int_equal(collect(&later), 0);
    key_use_note(u, USE_KEY, 8, "192.0.2.9", "x"); /* still the same minute */
    assert_int_equal(collect(&later), 0);
}

static void agent_is_made_harmless_and_cut(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "curl/8.5",     "curl/8.5" },
        { "a\tb\x7f\x01"
          "c",   "abc"      },
        { "Größe",      "Größe"  },
        { "ab\xff"
          "cd",  "ab"       },
        { "\xed\xa0\x80", ""         },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct key_use *l;
        key_use_note(u, USE_KEY, 7, "::1", cases[i].in);
        assert_int_equal(collect(&l), 1);
        assert_string_equal(l[0].agent, cases[i].out);
        pass_ms(minute);
    }
    char *text = arena_alloc(a, 1002);
    struct key_use *l;
    memset(text, 'x', 1001);
    memcpy(text + key_use_agent_max - 1, "ß", 2); /* the cut falls into it */
    key_use_note(u, USE_KEY, 7, "::1", text);
    collect(&l);
    assert_int_equal(strlen(l[0].agent), key_use_agent_max - 1);
}

/* proves: AU-01: any number of keys, in time; none is forgotten but beyond what one flush takes */
static void room_is_made_for_new_keys(void **state)
{
    (void)state;
    struct key_use *l;
    for (int64_t id = 1; id <= key_uses_max + 100; id++)
        key_use_note(u, USE_KEY, id, "::1", "x");
    assert_int_equal(collect(&l), key_uses_max);
    assert_int_equal(key_uses_collect(u, a, 10, &l), 10);
    settle_all();
    for (int64_t round = 0; round < 20; round++) {
        int64_t from = 100000 + round * 1000;
        for (int64_t id = from; id < from + 1000; id++)
            key_use_note(u, USE_KEY, id, "::1", "x");
        assert_int_equal(collect(&l), 1000);
        if (round %
            2) { /* one comes while the batch is under way, and stays through the clearing */
            key_use_note(u, USE_KEY, 5, "::1", "x");
            key_uses_settle(u, l, 1000);
            assert_int_equal(collect(&l), 1);
            assert_int_equal(l[0].id, 5);
        }
        settle_all();
        pass_ms(minute);
    }
}

static void payload_names_each_use(void **state)
{
    (void)state;
    const struct key_use list[] = {
        { USE_KEY,           7,                1800000000123, "192.0.2.1", "a \"b\"" },
        { USE_KEY,           INT64_C(1) << 40, 1800000000124, "",          ""        },
        { USE_KEY_DENIED,    7,                1800000000124, "",          ""        },
        { USE_CLIENT_DENIED, 8,                1800000000124, "",          ""        },
        { USE_USER_DENIED,   9,                1800000000124, "",          ""        }
    };
#define LATER ",\"at\":\"2027-01-15T08:00:00.124000Z\",\"address\":\"\",\"agent\":\"\""
    assert_string_equal(
        key_uses_json(a, list, 5),
        "{\"uses\":[{\"key_id\":7,\"at\":\"2027-01-15T08:00:00.123000Z\",\"address\":\"192.0.2.1\","
        "\"agent\":\"a "
        "\\\"b\\\"\"},{\"key_id\":1099511627776" LATER "},{\"key_id\":7" LATER
        ",\"denied\":true},{\"client_id\":8" LATER ",\"denied\":true},{\"user_id\":9" LATER
        ",\"denied\":true}]}");
#undef LATER
}

/* --- several threads, for TSan too --- */

enum { threads = 4, keys = 2000, rounds = 20 };
static int64_t taken[keys + 1]; /* by the collector: the newest use of each key that it settled */
static bool done;

static void *note_all(void *arg)
{
    (void)arg;
    for (int round = 0; round < rounds; round++)
        for (int64_t id = 1; id <= keys; id++)
            key_use_note(u, USE_KEY, id, "192.0.2.1", "x");
    return NULL;
}

static void *collect_all(void *arg)
{
    (void)arg;
    struct arena *own = arena_new();
    for (bool last = false; !last;) {
        struct key_use *l;
        last = __atomic_load_n(&done, __ATOMIC_ACQUIRE);
        size_t n = key_uses_collect(u, own, 500, &l);
        for (size_t i = 0; i < n; i++)
            taken[l[i].id] = l[i].at_ms;
        key_uses_settle(u, l, n);
        arena_reset(own);
        last = last && n == 0;
    }
    arena_free(own);
    return NULL;
}

static void threads_note_while_one_collects(void **state)
{
    (void)state;
    pthread_t t[threads], c;
    done = false;
    assert_int_equal(pthread_create(&c, NULL, collect_all, NULL), 0);
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&t[i], NULL, note_all, NULL), 0);
    for (int i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    __atomic_store_n(&done, true, __ATOMIC_RELEASE);
    pthread_join(c, NULL);
    for (int64_t id = 1; id <= keys; id++)
        assert_int_equal(taken[id], clock_ms());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_use_of_an_interval_is_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals_are_noted_once_an_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(settling_keeps_what_came_later, setup, teardown),
        cmocka_unit_test_setup_teardown(agent_is_made_harmless_and_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(room_is_made_for_new_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(payload_names_each_use, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_note_while_one_collects, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
