#include "common/base/json_read.h"

#include "common/base/str.h"

#include <assert.h>
#include <math.h>

static int fail_at(struct arena *a, struct err *err, const char *text, size_t at, const char *what)
{
    size_t line = 1, start = 0;

    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    return err_at(err, E_invalid_json, json_place(a, text, at), "%s at line %zu, column %zu.", what,
                  line, str_utf8_len(text + start, at - start) + 1);
}

static size_t first_bad_utf8(const char *text, size_t n)
{
    size_t at = 0;

    /* Cold: halve down to the longest valid prefix that ends at a character. */
    for (size_t step = 1; at < n; at += step) {
        for (step = 1; step <= 4 && at + step <= n; step++)
            if (str_utf8_ok(text + at, step))
                break;
        if (step > 4 || at + step > n)
            return at;
    }
    return at;
}

/* None quotes the text, which may be a secret. */
static const char *sentence(enum json_error_code code)
{
    switch (code) {
    case json_error_duplicate_key:
        return "An object has the same key twice";
    case json_error_numeric_overflow:
        return "A number is out of range";
    case json_error_null_character:
        return "A string has a NUL character";
    case json_error_premature_end_of_input:
        return "The text ends too early";
    case json_error_end_of_input_expected:
        return "There is more after the value";
    case json_error_stack_overflow:
        return "Nesting is too deep";
    default:
        return "The text is not JSON";
    }
}

static void free_tree(void *p)
{
    json_decref(p);
}

json_t *json_in(struct arena *a, json_t *owned)
{
    if (owned)
        arena_defer(a, free_tree, owned);
    return owned;
}

int json_parse(struct arena *a, const char *text, size_t n, json_t **ret, struct err *err)
{
    enum json_error_code why;
    size_t at;
    json_t *v;

    if (n == 0)
        return err_set(err, E_invalid_json, "The body is empty.");
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        return fail_at(a, err, text, 0, "A byte order mark is not allowed");
    if (!str_utf8_ok(text, n))
        return fail_at(a, err, text, first_bad_utf8(text, n), "The text is not valid UTF-8");
    v = json_read(a, text, n, &why, &at);
    if (!v)
        return fail_at(a, err, text, at, sentence(why));
    *ret = json_in(a, v);
    return 0;
}

/* The shortest digits that read back as the same double, and always recognisable as a real. */
static void write_real(struct buf *b, double v)
{
    char digits[40];

    if (!isfinite(v)) {
        buf_puts(b, "null");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, v);
        if (strtod(digits, NULL) == v)
            break;
    }
    buf_puts(b, digits);
    if (!strpbrk(digits, ".e"))
        buf_puts(b, ".0");
}

static void write_value(struct buf *b, const json_t *v);

static void write_object(struct buf *b, const json_t *v)
{
    union {
        const json_t *in;
        json_t *iterable; /* jansson's iterators want it not const, and leave it alone */
    } o = { .in = v };
    const char *key, *comma = "";
    json_t *item;

    buf_putc(b, '{');
    json_object_foreach(o.iterable, key, item)
    {
        buf_puts(b, comma);
        buf_put_json_string(b, key, strlen(key));
        buf_putc(b, ':');
        write_value(b, item);
        comma = ",";
    }
    buf_putc(b, '}');
}

static void write_value(struct buf *b, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        write_object(b, v);
        return;
    case JSON_ARRAY:
        buf_putc(b, '[');
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i > 0)
                buf_putc(b, ',');
            write_value(b, json_array_get(v, i));
        }
        buf_putc(b, ']');
        return;
    case JSON_STRING:
        buf_put_json_string(b, json_string_value(v), json_string_length(v));
        return;
    case JSON_INTEGER:
        buf_put_i64(b, json_integer_value(v));
        return;
    case JSON_REAL:
        write_real(b, json_real_value(v));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_puts(b, json_is_true(v) ? "true" : "false");
        return;
    case JSON_NULL:
        break;
    }
    buf_puts(b, "null");
}

void json_write(struct buf *b, const json_t *v)
{
    if (v)
        write_value(b, v);
    else
        buf_puts(b, "null");
}

char *json_text(struct arena *a, const json_t *v)
{
    struct buf b;

    buf_init(&b, a, 256, (size_t)1 << 30);
    json_write(&b, v);
    assert(!b.overflow);
    return b.data;
}

json_t *json_merge_patch(const json_t *target, const json_t *patch)
{
    union {
        const json_t *in;
        json_t *iterable;
    } p = { .in = patch };
    const char *key;
    json_t *out, *item;

    if (!json_is_object(patch))
        return json_deep_copy(patch);
    out = json_is_object(target) ? json_deep_copy(target) : json_object();
    json_object_foreach(p.iterable, key, item)
    {
        if (json_is_null(item))
            (void)json_object_del(out, key);
        else
            (void)json_object_set_new(out, key, json_merge_patch(json_object_get(out, key), item));
    }
    return out;
}

char *json_pointer_add(struct arena *a, const char *base, const char *key)
{
    char *out = arena_raw(a, strlen(base) + 2 * strlen(key) + 2), *p = out;

    memcpy(p, base, strlen(base));
    p += strlen(base);
    *p++ = '/';
    for (; *key; key++) {
        if (*key == '~' || *key == '/') {
            *p++ = '~';
            *p++ = *key == '~' ? '0' : '1';
        } else {
            *p++ = *key;
        }
    }
    *p = '\0';
    return out;
}
