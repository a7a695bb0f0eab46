#include "common/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void memory_is_zeroed_and_aligned(void **state)
{
    struct arena *a = arena_new();

    (void)state;
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p = arena_alloc(a, n);

        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xAA, n);
    }
    arena_reset(a);
    assert_int_equal(*(char *)arena_alloc(a, 1), 0);
    arena_free(a);
}

/* Sizes around every block boundary; no two allocations may share a byte. */
static void allocations_do_not_overlap(void **state)
{
    static const size_t sizes[] = { 1, 15, 16, 17, 500, 4095, 4096, 8192, 9000, 70000, 1 << 20 };
    struct arena *a = arena_new();
    unsigned char *at[300];
    size_t total = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        size_t n = sizes[i * 7 % (i % 50 ? ARRAY_LEN(sizes) - 1 : ARRAY_LEN(sizes))];

        at[i] = arena_raw(a, n);
        memset(at[i], (int)(i & 0xFF), n);
        total += n;
    }
    assert_int_equal(arena_used(a), total);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        size_t n = sizes[i * 7 % (i % 50 ? ARRAY_LEN(sizes) - 1 : ARRAY_LEN(sizes))];

        for (size_t k = 0; k < n; k++)
            if (at[i][k] != (i & 0xFF))
                fail_msg("allocation %zu was overwritten at %zu", i, k);
    }
    arena_free(a);
}

static void strings_are_copied(void **state)
{
    struct arena *a = arena_new();
    char text[] = "hello", big[1000];

    (void)state;
    assert_string_equal(arena_strndup(a, "hello", 3), "hel");
    assert_string_equal(arena_strndup(a, "hello", 99), "hello");
    assert_string_equal(arena_strndup(a, "", 0), "");
    assert_ptr_not_equal(arena_strdup(a, text), text);
    assert_string_equal(arena_printf(a, "%s %d", "n", 42), "n 42");
    for (size_t n = 250; n < 260; n++) { /* around the size that is printed only once */
        memset(big, 'x', n);
        big[n] = '\0';
        assert_string_equal(arena_printf(a, "%s", big), big);
    }
    arena_free(a);
}

static char order[16];
static void note(void *p)
{
    size_t n = strlen(order);

    order[n] = *(char *)p;
    order[n + 1] = '\0';
}

static void destructors_run_backwards_once(void **state)
{
    struct arena *a = arena_new();

    (void)state;
    order[0] = '\0';
    arena_defer(a, note, (char[]){ 'a' });
    arena_defer(a, note, (char[]){ 'b' });
    assert_int_equal(arena_used(a), 0);
    arena_reset(a);
    assert_string_equal(order, "ba");
    arena_defer(a, note, (char[]){ 'c' });
    arena_free(a);
    assert_string_equal(order, "bac");
    arena_free(NULL);
}

static void reset_reuses_memory(void **state)
{
    struct arena *a = arena_new();
    const void *first = arena_alloc(a, 64);

    (void)state;
    for (int i = 0; i < 100; i++)
        (void)arena_alloc(a, 5000);
    arena_reset(a);
    assert_int_equal(arena_used(a), 0);
#ifndef CMS365_ARENA_MALLOC
    assert_ptr_equal(arena_alloc(a, 64), first);
#else
    (void)first;
#endif
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(allocations_do_not_overlap),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(destructors_run_backwards_once),
        cmocka_unit_test(reset_reuses_memory),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
