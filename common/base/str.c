#include "common/base/str.h"

#include <assert.h>

bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool str_ieq(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return !*a && !*b;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool str_to_u64(const char *s, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (!s || !*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return false;
    }
    if (v > max)
        return false;
    *ret = v;
    return true;
}

bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = s && *s == '-';
    uint64_t u;
    int64_t v;

    if (!s || !str_to_u64(s + negative, (uint64_t)INT64_MAX + negative, &u))
        return false;
    v = negative ? (int64_t)(0 - u) : (int64_t)u;
    if (v < min || v > max)
        return false;
    *ret = v;
    return true;
}

bool str_to_bool(const char *s, bool *ret)
{
    static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on" };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_ieq(s, words[i])) {
            *ret = i & 1;
            return true;
        }
    }
    return false;
}

/* Length of the sequence at p (n bytes left), 0 if it is not valid; *cp gets the code point. */
static size_t utf8_next(const unsigned char *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xC2 ? 0
                 : p[0] < 0xE0 ? 2
                 : p[0] < 0xF0 ? 3
                 : p[0] < 0xF5 ? 4
                               : 0;
    uint32_t v;

    if (len == 1) {
        *cp = p[0];
        return p[0] != 0;
    }
    if (len == 0 || len > n)
        return 0;
    v = p[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3F);
    }
    if (v < least[len] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
        return 0;
    *cp = v;
    return len;
}

bool str_utf8_ok(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint32_t cp;

    for (size_t i = 0, len; i < n; i += len) {
        uint64_t w;

        if (n - i >= sizeof(w)) {
            memcpy(&w, p + i, sizeof(w));
            /* Eight ASCII bytes, none of them NUL. */
            if (!((w | ((w - ones) & ~w)) & high)) {
                len = sizeof(w);
                continue;
            }
        }
        len = utf8_next(p + i, n - i, &cp);
        if (len == 0)
            return false;
    }
    return true;
}

size_t str_utf8_len(const char *s, size_t n)
{
    const uint64_t ones = 0x0101010101010101u;
    size_t count = 0, i = 0;
    uint64_t w;

    for (; n - i >= sizeof(w); i += sizeof(w)) { /* all bytes but those that continue a character */
        memcpy(&w, s + i, sizeof(w));
        count += sizeof(w) - ((w >> 7 & ~w >> 6 & ones) * ones >> 56);
    }
    for (; i < n; i++)
        count += ((unsigned char)s[i] & 0xC0) != 0x80;
    return count;
}

/* Base letters of U+00C0-U+017F; "" drops the sign (× and ÷). */
static const char *const latin[] = {
    "a", "a", "a",  "a",  "ae", "a", "ae", "c", "e", "e", "e", "e", "i",  "i", "i",  "i",
    "d", "n", "o",  "o",  "o",  "o", "oe", "",  "o", "u", "u", "u", "ue", "y", "th", "ss",
    "a", "a", "a",  "a",  "ae", "a", "ae", "c", "e", "e", "e", "e", "i",  "i", "i",  "i",
    "d", "n", "o",  "o",  "o",  "o", "oe", "",  "o", "u", "u", "u", "ue", "y", "th", "y",
    "a", "a", "a",  "a",  "a",  "a", "c",  "c", "c", "c", "c", "c", "c",  "c", "d",  "d",
    "d", "d", "e",  "e",  "e",  "e", "e",  "e", "e", "e", "e", "e", "g",  "g", "g",  "g",
    "g", "g", "g",  "g",  "h",  "h", "h",  "h", "i", "i", "i", "i", "i",  "i", "i",  "i",
    "i", "i", "ij", "ij", "j",  "j", "k",  "k", "k", "l", "l", "l", "l",  "l", "l",  "l",
    "l", "l", "l",  "n",  "n",  "n", "n",  "n", "n", "n", "n", "n", "o",  "o", "o",  "o",
    "o", "o", "oe", "oe", "r",  "r", "r",  "r", "r", "r", "s", "s", "s",  "s", "s",  "s",
    "s", "s", "t",  "t",  "t",  "t", "t",  "t", "u", "u", "u", "u", "u",  "u", "u",  "u",
    "u", "u", "u",  "u",  "w",  "w", "y",  "y", "y", "z", "z", "z", "z",  "z", "z",  "s"
};
_Static_assert(ARRAY_LEN(latin) == 0x180 - 0xC0, "one entry a letter");

/* What a code point becomes in a slug; NULL: a separator; "": dropped without separating. */
static const char *slug_of(uint32_t cp, char one[2])
{
    if (cp < 0x80) {
        one[0] = lower((char)cp);
        return (one[0] >= 'a' && one[0] <= 'z') || (cp >= '0' && cp <= '9') ? one : NULL;
    }
    if (cp >= 0xC0 && cp < 0x180)
        return latin[cp - 0xC0];
    if (cp == 0x1E9E) /* capital sharp s */
        return "ss";
    if (cp >= 0x300 && cp < 0x370) /* combining marks */
        return "";
    if (cp == 0xA0 || (cp >= 0x2000 && cp < 0x2070) || cp == 0x3000) /* spaces, dashes, quotes */
        return cp == 0x2019 ? "" : NULL;
    return "";
}

/* Puts `s` back to whole words' end: no trailing dash. */
static size_t trim_dash(const char *out, size_t n)
{
    while (n > 0 && out[n - 1] == '-')
        n--;
    return n;
}

char *str_slug(struct arena *a, const char *title, size_t max_bytes)
{
    size_t n = strlen(title), len = 0;
    char *out = arena_raw(a, max_bytes + 3), one[2] = "";
    bool digits = true, gap = false, full = false;

    for (size_t i = 0, step; i < n && !full; i += step) {
        uint32_t cp = 0;
        const char *s;

        step = utf8_next((const unsigned char *)title + i, n - i, &cp);
        if (step == 0) {
            step = 1;
            continue;
        }
        s = slug_of(cp, one);
        if (!s) {
            gap = len > 0;
            continue;
        }
        if (len + (gap && *s) + strlen(s) > max_bytes) {
            full = true;
            continue;
        }
        if (gap && *s)
            out[len++] = '-';
        gap = gap && !*s;
        for (; *s; s++) {
            digits = digits && *s >= '0' && *s <= '9';
            out[len++] = *s;
        }
    }
    out[len] = '\0';
    /* "2024-10" is fine, "2024" would read as an id. */
    if (len > 0 && digits && !memchr(out, '-', len)) {
        if (len + 2 > max_bytes)
            len = max_bytes > 2 ? max_bytes - 2 : 0;
        memmove(out + 2, out, len);
        memcpy(out, "n-", 2);
        len = len ? len + 2 : 0;
        out[len] = '\0';
    }
    out[trim_dash(out, len)] = '\0';
    return out;
}

size_t hex_encode(const void *in, size_t n, char *out)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = in;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex[p[i] >> 4];
        out[2 * i + 1] = hex[p[i] & 15];
    }
    out[2 * n] = '\0';
    return 2 * n;
}

/* -1: no digit.  A table: the digits of an id are random, and so would be the way through ifs. */
static int hex_value(char c)
{
    static const unsigned char plus_one[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    };
    return plus_one[(unsigned char)c] - 1;
}

bool hex_decode(const char *in, size_t n, void *out)
{
    unsigned char *p = out;

    if (n % 2)
        return false;
    for (size_t i = 0; i < n / 2; i++) {
        int hi = hex_value(in[2 * i]), lo = hex_value(in[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return false;
        p[i] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

bool url_decode(struct arena *a, const char *in, size_t n, bool plus, char **ret)
{
    char *out = arena_raw(a, n + 1);
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        char c = in[i];

        if (c == '%') {
            int hi = n - i > 2 ? hex_value(in[i + 1]) : -1;
            int lo = hi >= 0 ? hex_value(in[i + 2]) : -1;

            if (lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[len++] = c;
    }
    out[len] = '\0';
    if (!str_utf8_ok(out, len))
        return false;
    *ret = out;
    return true;
}

char *url_encode(struct arena *a, const char *in)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_raw(a, 3 * strlen(in) + 1), *p = out;

    for (; *in; in++) {
        unsigned char c = (unsigned char)*in;

        if ((lower(*in) >= 'a' && lower(*in) <= 'z') || (c >= '0' && c <= '9') ||
            (c && strchr("-._~", c))) {
            *p++ = *in;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    *p = '\0';
    return out;
}
