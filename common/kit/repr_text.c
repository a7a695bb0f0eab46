#include "common/kit/repr_text.h"

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blank(const char *p, const char *end)
{
    while (p < end && blank(*p))
        p++;
    return p;
}

/* `p` is at the opening quote; behind the closing one, or the end. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end;) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (!quote)
            return end;
        size_t slashes = 0;
        while (quote - slashes > p && quote[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        p = quote + 1;
        if (slashes % 2 == 0)
            break;
    }
    return p;
}

/* Behind the value at `p`; nesting is counted, not recursed into. */
static const char *skip_value(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            if (depth)
                depth--;
            p++;
        } else if (depth) {
            p++;
        } else {
            while (p < end && !blank(*p) && !strchr(",:]}[{\"", *p))
                p++;
        }
        if (!depth)
            break;
    }
    return p;
}

struct js js_of(const char *text, size_t n)
{
    const char *end = text + n, *p = skip_blank(text, end);
    return (struct js){ p, (size_t)(skip_value(p, end) - p) };
}

enum js_kind js_kind(struct js v)
{
    if (!v.n)
        return JS_NONE;
    switch (v.s[0]) {
    case '{':
        return JS_OBJECT;
    case '[':
        return JS_ARRAY;
    case '"':
        return JS_STRING;
    case 't':
        return JS_TRUE;
    case 'f':
        return JS_FALSE;
    case 'n':
        return JS_NULL;
    default:
        return v.s[0] == '-' || (v.s[0] >= '0' && v.s[0] <= '9') ? JS_NUMBER : JS_NONE;
    }
}

/* Moves to the next value of what is left of an array or object. */
static bool next(struct js *at, char open, struct js *ret)
{
    const char *end = at->s + at->n, *p = skip_blank(at->s, end);
    if (p < end && (*p == open || *p == ',' || *p == ':'))
        p = skip_blank(p + 1, end);
    if (p == end || *p == '}' || *p == ']')
        return false;
    const char *stop = skip_value(p, end);
    if (stop == p)
        return false;
    *ret = (struct js){ p, (size_t)(stop - p) };
    *at = (struct js){ stop, (size_t)(end - stop) };
    return true;
}

bool js_item(struct js *at, struct js *ret)
{
    return next(at, '[', ret);
}

bool js_member(struct js *at, struct js *ret_key, struct js *ret_value)
{
    struct js key;
    if (!next(at, '{', &key) || js_kind(key) != JS_STRING || !next(at, ':', ret_value))
        return false;
    *ret_key = js_inner(key);
    return true;
}

bool js_is(struct js key, const char *name)
{
    return key.n && name[0] == key.s[0] && strlen(name) == key.n && !memcmp(name, key.s, key.n);
}

struct js js_get(struct js object, const char *key)
{
    struct js k, v;
    while (js_member(&object, &k, &v)) {
        if (js_is(k, key))
            return v;
    }
    return (struct js){ "", 0 };
}

struct js js_inner(struct js string)
{
    bool closed = string.n > 1 && string.s[string.n - 1] == '"';
    return (struct js){ string.s + (string.n > 0), string.n > 1 ? string.n - 1 - closed : 0 };
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)p[i] | 32;
        v = v << 4 | (unsigned)(c >= 'a' && c <= 'f' ? c - 'a' + 10 : (c - '0') & 15);
    }
    return v;
}

static void put_utf8(struct buf *b, unsigned c)
{
    char u[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        u[i] = (char)(0x80 | (c & 0x3F));
    static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    u[0] = (char)(lead[n] | c);
    buf_put(b, u, n);
}

/* One escape; returns behind it. */
static const char *put_escape(struct buf *b, const char *p, const char *end)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *at;
    if (end - p < 2)
        return end;
    if (p[1] == 'u' && end - p >= 6) {
        unsigned c = hex4(p + 2);
        p += 6;
        if (c >= 0xD800 && c < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
            c = 0x10000 + ((c & 0x3FF) << 10) + (hex4(p + 2) & 0x3FF);
            p += 6;
        }
        put_utf8(b, c);
        return p;
    }
    at = strchr(from, p[1]);
    buf_putc(b, p[1] && at ? to[at - from] : p[1]);
    return p + 2;
}

struct js js_decoded(struct js inner, struct buf *scratch)
{
    const char *p = inner.s, *end = inner.s + inner.n, *slash;
    if (!inner.n || !memchr(p, '\\', inner.n))
        return inner;
    buf_reset(scratch);
    while (p < end && (slash = memchr(p, '\\', (size_t)(end - p)))) {
        buf_put(scratch, p, (size_t)(slash - p));
        p = put_escape(scratch, slash, end);
    }
    buf_put(scratch, p, (size_t)(end - p));
    return (struct js){ scratch->data, scratch->len };
}
