#include "common/base/err.h"

#include "common/base/arena.h"
#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void set_fills_and_returns_the_code(void **state)
{
    struct err err = { .retry_after_s = 9, .pointer = "/x", .detail = "old" };

    (void)state;
    assert_int_equal(err_set(&err, E_not_found, "no %s %d", "post", 7), -E_not_found);
    assert_int_equal(err.code, E_not_found);
    assert_string_equal(err.msg, "no post 7");
    assert_string_equal(err.pointer, "");
    assert_string_equal(err.detail, "");
    assert_int_equal(err.retry_after_s, 0);
    assert_int_equal(err_detail(&err, "row %d", 3), -E_not_found);
    assert_string_equal(err.detail, "row 3");
    assert_string_equal(err.msg, "no post 7");
    assert_int_equal(err_at(&err, E_validation, "/title", "is required"), -E_validation);
    assert_string_equal(err.pointer, "/title");
    assert_string_equal(err.detail, "");
}

static void message_may_quote_itself(void **state)
{
    struct err err;

    (void)state;
    (void)err_at(&err, E_invalid, "/a", "inner");
    (void)err_at(&err, E_upstream, err.pointer, "outer: %s", err.msg);
    assert_string_equal(err.msg, "outer: inner");
    assert_string_equal(err.pointer, "/a");
}

static void truncation_leaves_whole_characters(void **state)
{
    struct err err;
    char text[2 * sizeof(err.msg)];

    (void)state;
    for (size_t shift = 0; shift < 5; shift++) {
        memset(text, 'a', sizeof(text));
        for (size_t i = shift; i + 4 < sizeof(text); i += 4)
            memcpy(text + i, "\xF0\x9F\x98\x80", 4);
        text[sizeof(text) - 1] = '\0';
        (void)err_at(&err, E_invalid, text, "%s", text);
        (void)err_detail(&err, "%s", text);
        assert_true(str_utf8_ok(err.msg, strlen(err.msg)));
        assert_true(str_utf8_ok(err.pointer, strlen(err.pointer)));
        assert_true(str_utf8_ok(err.detail, strlen(err.detail)));
        assert_in_range(strlen(err.msg), sizeof(err.msg) - 4, sizeof(err.msg) - 1);
    }
}

/* proves: X-01: each code has a status, a title and a stable name. */
static void table_is_complete(void **state)
{
    (void)state;
    for (enum err_code code = E_OK + 1; code < E_MAX_; code++) {
        assert_in_range(err_http(code), 400, 599);
        assert_true(strlen(err_title(code)) > 10);
        for (const char *s = err_name(code); *s; s++)
            assert_true((*s >= 'a' && *s <= 'z') || *s == '_');
        for (enum err_code other = code + 1; other < E_MAX_; other++)
            assert_string_not_equal(err_name(code), err_name(other));
        /* A client's fault is not worth repeating, our own trouble with others is. */
        if (err_http(code) == 503 || err_http(code) == 429)
            assert_true(err_retryable(code));
        if (err_http(code) < 409)
            assert_false(err_retryable(code));
    }
    assert_string_equal(err_name(E_not_found), "not_found");
    assert_int_equal(err_http(E_idempotency_reused), 422);
}

static void list_keeps_a_hundred_and_counts_the_rest(void **state)
{
    struct arena *a = arena_new();
    struct err_list *l = arena_alloc(a, sizeof(*l));
    char pointer[16] = "/tags/0";

    (void)state;
    l->arena = a;
    for (int i = 0; i < 105; i++)
        err_list_add(l, pointer, "max", "Item %d is too long.", i);
    pointer[1] = 'x'; /* copied, not borrowed */
    assert_int_equal(l->n, err_list_max);
    assert_int_equal(l->dropped, 5);
    assert_string_equal(l->items[99].pointer, "/tags/0");
    assert_string_equal(l->items[99].msg, "Item 99 is too long.");
    assert_string_equal(l->items[0].code, "max");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_and_returns_the_code),
        cmocka_unit_test(message_may_quote_itself),
        cmocka_unit_test(truncation_leaves_whole_characters),
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(list_keeps_a_hundred_and_counts_the_rest),
    };

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
