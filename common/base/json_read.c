#include "common/base/json_read.h"

#include "common/base/str.h"

#include <math.h>
#include <stdlib.h>

struct reader {
    struct arena *a;
    const char *p, *end;
    enum json_error_code why;
    const char *at; /* of the fault */
};

static json_t *read_value(struct reader *r, unsigned depth);

static bool fault(struct reader *r, const char *at, enum json_error_code why)
{
    r->at = at;
    r->why = at < r->end ? why : json_error_premature_end_of_input;
    return false;
}

static void *none(struct reader *r, const char *at, enum json_error_code why)
{
    fault(r, at, why);
    return NULL;
}

static json_t *must(json_t *v)
{
    if (!v) /* no memory */
        abort();
    return v;
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

/* --- strings --- */

const char *json_plain_end(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    for (uint64_t w; (size_t)(end - p) >= sizeof(w); p += sizeof(w)) {
        memcpy(&w, p, sizeof(w));
        uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
        uint64_t found =
            ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w);
        if (found & high)
            break;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

/* The four digits at p, before the closing quote. */
static bool read_hex(const char *p, const char *quote, uint32_t *ret)
{
    unsigned char bytes[2];
    if (quote - p < 4 || !hex_decode(p, 4, bytes))
        return false;
    *ret = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

static char *put_utf8(char *out, uint32_t cp)
{
    if (cp < 0x80) {
        *out++ = (char)cp;
        return out;
    }
    if (cp < 0x800) {
        *out++ = (char)(0xC0 | cp >> 6);
    } else {
        if (cp < 0x10000) {
            *out++ = (char)(0xE0 | cp >> 12);
        } else {
            *out++ = (char)(0xF0 | cp >> 18);
            *out++ = (char)(0x80 | (cp >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (cp >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (cp & 0x3F));
    return out;
}

/* At p, past the `u`: a character, in UTF-16 (RFC 8259 §7); where it ends, or NULL. */
static const char *read_unicode(struct reader *r, const char *p, const char *quote, char **out)
{
    uint32_t cp, low;
    const char *start = p - 2;
    if (!read_hex(p, quote, &cp))
        return none(r, start, json_error_invalid_syntax);
    p += 4;
    if (cp >= 0xD800 && cp < 0xDC00 && p[0] == '\\' && p[1] == 'u' &&
        read_hex(p + 2, quote, &low) && low >= 0xDC00 && low < 0xE000) {
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
        p += 6;
    } else if (cp >= 0xD800 && cp < 0xE000) {
        return none(r, start, json_error_invalid_syntax);
    }
    if (!cp)
        return none(r, start, json_error_null_character);
    *out = put_utf8(*out, cp);
    return p;
}

/* One escape, past its backslash; where it ends, or NULL. */
static const char *read_escape(struct reader *r, const char *p, const char *quote, char **out)
{
    static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    if (*p == 'u')
        return read_unicode(r, p + 1, quote, out);
    const char *known = memchr(plain, *p, sizeof(plain) - 1);
    if (!known)
        return none(r, p - 1, json_error_invalid_syntax);
    *(*out)++ = means[known - plain];
    return p + 1;
}

/* [p, quote) without its escapes, which are longer than what they stand for. */
static bool unescape(struct reader *r, const char *p, const char *quote, const char **ret,
                     size_t *ret_n)
{
    char *start = arena_raw(r->a, (size_t)(quote - p)), *out = start;
    while (p < quote) {
        const char *slash = memchr(p, '\\', (size_t)(quote - p));
        size_t n = (size_t)((slash ? slash : quote) - p);
        memcpy(out, p, n);
        out += n;
        p += n;
        if (slash)
            p = read_escape(r, slash + 1, quote, &out);
        if (!p)
            return false;
    }
    *ret = start;
    *ret_n = (size_t)(out - start);
    return true;
}

/* Past the opening quote, to past the closing one.  *ret lasts as long as text and arena. */
static bool read_string(struct reader *r, const char **ret, size_t *ret_n)
{
    const char *from = r->p, *p = json_plain_end(from, r->end);
    bool plain = true;
    while (p < r->end && *p == '\\') {
        plain = false;
        if (r->end - p < 2)
            return fault(r, r->end, json_error_premature_end_of_input);
        p = json_plain_end(p + 2, r->end);
    }
    if (p == r->end || *p != '"')
        return fault(r, p, json_error_invalid_syntax);
    r->p = p + 1;
    *ret = from;
    *ret_n = (size_t)(p - from);
    return plain || unescape(r, from, p, ret, ret_n);
}

/* --- numbers --- */

static bool is_digit(const struct reader *r, const char *p)
{
    return p < r->end && *p >= '0' && *p <= '9';
}

static const char *skip_digits(const struct reader *r, const char *p)
{
    while (is_digit(r, p))
        p++;
    return p;
}

static json_t *make_whole(struct reader *r, const char *from)
{
    bool minus = *from == '-';
    json_int_t v = 0; /* negative, for there is one more of those */
    for (const char *p = from + minus; p < r->p; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *p - '0', &v))
            return none(r, from, json_error_numeric_overflow);
    if (!minus && __builtin_sub_overflow(0, v, &v))
        return none(r, from, json_error_numeric_overflow);
    return must(json_integer(v));
}

static json_t *make_real(struct reader *r, const char *from)
{
    double v = strtod(arena_strndup(r->a, from, (size_t)(r->p - from)), NULL);
    if (!isfinite(v))
        return none(r, from, json_error_numeric_overflow);
    return must(json_real(v));
}

static json_t *read_number(struct reader *r)
{
    const char *from = r->p, *p = from + (*from == '-');
    bool real = false;
    if (!is_digit(r, p))
        return none(r, p, json_error_invalid_syntax);
    p = *p == '0' ? p + 1 : skip_digits(r, p);
    if (p < r->end && *p == '.') {
        real = true;
        if (!is_digit(r, ++p))
            return none(r, p, json_error_invalid_syntax);
        p = skip_digits(r, p);
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        real = true;
        p++;
        p += p < r->end && (*p == '+' || *p == '-');
        if (!is_digit(r, p))
            return none(r, p, json_error_invalid_syntax);
        p = skip_digits(r, p);
    }
    r->p = p;
    return real ? make_real(r, from) : make_whole(r, from);
}

/* --- containers --- */

/* Between two values of a container: at the next, or past its end. */
static bool more(struct reader *r, char close, bool *ret)
{
    skip_space(r);
    if (r->p == r->end || (*r->p != ',' && *r->p != close))
        return fault(r, r->p, json_error_invalid_syntax);
    *ret = *r->p++ == ',';
    skip_space(r);
    return true;
}

static bool read_member(struct reader *r, json_t *object, unsigned depth)
{
    const char *key, *after;
    size_t n;
    if (r->p == r->end || *r->p != '"')
        return fault(r, r->p, json_error_invalid_syntax);
    r->p++;
    if (!read_string(r, &key, &n))
        return false;
    after = r->p;
    skip_space(r);
    if (r->p == r->end || *r->p != ':')
        return fault(r, r->p, json_error_invalid_syntax);
    r->p++;
    if (json_object_getn(object, key, n))
        return fault(r, after, json_error_duplicate_key);
    json_t *value = read_value(r, depth);
    if (!value)
        return false;
    if (json_object_setn_new_nocheck(object, key, n, value))
        abort();
    return true;
}

static bool read_item(struct reader *r, json_t *array, unsigned depth)
{
    json_t *value = read_value(r, depth);
    if (!value)
        return false;
    if (json_array_append_new(array, value))
        abort();
    return true;
}

static json_t *read_container(struct reader *r, unsigned depth)
{
    bool object = *r->p == '{', going;
    char close = object ? '}' : ']';
    if (depth == json_depth_max)
        return none(r, r->p, json_error_stack_overflow);
    r->p++;
    skip_space(r);
    json_t *v = must(object ? json_object() : json_array());
    going = !(r->p < r->end && *r->p == close);
    if (!going)
        r->p++;
    while (going)
        if (!(object ? read_member(r, v, depth + 1) : read_item(r, v, depth + 1)) ||
            !more(r, close, &going)) {
            json_decref(v);
            return NULL;
        }
    return v;
}

static json_t *read_word(struct reader *r, const char *word, json_t *v)
{
    for (; *word; word++, r->p++)
        if (r->p == r->end || *r->p != *word)
            return none(r, r->p, json_error_invalid_syntax);
    return v;
}

static json_t *read_value(struct reader *r, unsigned depth)
{
    const char *text;
    size_t n;
    skip_space(r);
    switch (r->p < r->end ? *r->p : '\0') {
    case '{':
    case '[':
        return read_container(r, depth);
    case '"':
        r->p++;
        return read_string(r, &text, &n) ? must(json_stringn_nocheck(text, n)) : NULL;
    case 't':
        return read_word(r, "true", json_true());
    case 'f':
        return read_word(r, "false", json_false());
    case 'n':
        return read_word(r, "null", json_null());
    default:
        return r->p < r->end && (*r->p == '-' || is_digit(r, r->p))
                   ? read_number(r)
                   : none(r, r->p, json_error_invalid_syntax);
    }
}

json_t *json_read(struct arena *a, const char *text, size_t n, enum json_error_code *ret_why,
                  size_t *ret_at)
{
    struct reader r = { .a = a, .p = text, .end = text + n };
    json_t *v = read_value(&r, 0);
    skip_space(&r);
    if (v && r.p < r.end) {
        json_decref(v);
        v = NULL;
        fault(&r, r.p, json_error_end_of_input_expected);
    }
    if (!v) {
        *ret_why = r.why;
        *ret_at = (size_t)(r.at - text);
    }
    return v;
}
