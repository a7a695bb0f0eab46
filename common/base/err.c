#include "common/base/err.h"

#include "common/base/arena.h"

#include <assert.h>
#include <stdarg.h>

static const struct {
    const char *name, *title;
    int http;
    bool retryable;
} errors[E_MAX_] = {
    [E_OK] = { .name = "ok", .title = "", .http = 200 },
#define ERR(sym, http_, retry_, title_)                                                            \
    [E_##sym] = { .name = #sym, .title = title_, .http = http_, .retryable = retry_ },
#include "common/base/errors.def"
#undef ERR
};

static bool code_ok(enum err_code code)
{
    return (unsigned)code < (unsigned)E_MAX_;
}

/* Cuts `s` (already NUL-terminated) back to a whole UTF-8 sequence after a truncating print. */
static void trim_utf8(char *s, size_t cap, int wanted)
{
    size_t n, start;
    unsigned char lead;

    if (wanted < 0) {
        *s = '\0';
        return;
    }
    if ((size_t)wanted < cap)
        return;
    n = cap - 1;
    for (start = n; start > 0 && n - start < 3; start--)
        if (((unsigned char)s[start - 1] & 0xC0) != 0x80)
            break;
    if (start == 0)
        return;
    lead = (unsigned char)s[start - 1];
    if (lead >= 0xC0) {
        size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;

        if (n - (start - 1) < want)
            s[start - 1] = '\0';
    }
}

static void print_in(char *out, size_t cap, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static void print_in(char *out, size_t cap, const char *fmt, va_list ap)
{
    trim_utf8(out, cap, vsnprintf(out, cap, fmt, ap));
}

/* The message is printed before anything is cleared: callers may quote the old err in the new one.
 */
static void fill(struct err *err, enum err_code code, const char *pointer, const char *fmt,
                 va_list ap) __attribute__((format(printf, 4, 0)));
static void fill(struct err *err, enum err_code code, const char *pointer, const char *fmt,
                 va_list ap)
{
    char msg[sizeof(err->msg)], at[sizeof(err->pointer)];

    assert(err && code > E_OK && code_ok(code));
    print_in(msg, sizeof(msg), fmt, ap);
    trim_utf8(at, sizeof(at), snprintf(at, sizeof(at), "%s", pointer));
    err->code = code;
    err->retry_after_s = 0;
    memcpy(err->msg, msg, strlen(msg) + 1);
    memcpy(err->pointer, at, strlen(at) + 1);
    err->detail[0] = '\0';
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill(err, code, "", fmt, ap);
    va_end(ap);
    return -(int)code;
}

int err_at(struct err *err, enum err_code code, const char *pointer, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill(err, code, pointer ? pointer : "", fmt, ap);
    va_end(ap);
    return -(int)code;
}

int err_detail(struct err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_in(err->detail, sizeof(err->detail), fmt, ap);
    va_end(ap);
    return -(int)err->code;
}

const char *err_name(enum err_code code)
{
    assert(code_ok(code));
    return errors[code].name;
}

const char *err_title(enum err_code code)
{
    assert(code_ok(code));
    return errors[code].title;
}

int err_http(enum err_code code)
{
    assert(code_ok(code));
    return errors[code].http;
}

bool err_retryable(enum err_code code)
{
    assert(code_ok(code));
    return errors[code].retryable;
}

void err_list_add(struct err_list *l, const char *pointer, const char *code, const char *fmt, ...)
{
    struct err_item *item;
    va_list ap;

    if (l->n >= err_list_max) {
        l->dropped++;
        return;
    }
    item = &l->items[l->n++];
    item->pointer = arena_strdup(l->arena, pointer);
    item->code = arena_strdup(l->arena, code);
    va_start(ap, fmt);
    item->msg = arena_vprintf(l->arena, fmt, ap);
    va_end(ap);
}
