/* Where in a text that is no JSON the fault is, for people: a JSON pointer (RFC 6901). */
#include "common/base/json_read.h"

#include "common/base/str.h"

/* A container that is open at the place. */
struct level {
    bool object, named; /* a member's name was read */
    size_t index;       /* of an array */
    const char *name;   /* as written, between the quotes */
    size_t name_n;
};

enum { name_bytes_max = 100 }; /* a place below a longer one is not told */

static const char *string_end(const char *p, const char *end)
{
    while ((p = json_plain_end(p, end)) < end && *p != '"')
        p += *p == '\\' && end - p > 1 ? 2 : 1;
    return p < end ? p : NULL;
}

static void open_level(struct level *stack, size_t *depth, bool object)
{
    if (*depth < json_depth_max)
        stack[*depth] = (struct level){ .object = object };
    (*depth)++;
}

/* The containers around `at`; how many. */
static size_t walk(const char *p, const char *at, struct level *stack)
{
    size_t depth = 0;
    for (; p < at; p++) {
        struct level *top = depth && depth <= json_depth_max ? &stack[depth - 1] : NULL;
        const char *end;
        switch (*p) {
        case '"':
            end = string_end(p + 1, at);
            if (!end)
                return depth;
            if (top && top->object && !top->named) {
                top->named = true;
                top->name = p + 1;
                top->name_n = (size_t)(end - p - 1);
            }
            p = end;
            break;
        case '{':
        case '[':
            open_level(stack, &depth, *p == '{');
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            break;
        case ',':
            if (top) {
                top->index++;
                top->named = false;
            }
            break;
        default:
            break;
        }
    }
    return depth;
}

/* A name as it is read, if it can be. */
static const char *name_of(struct arena *a, const struct level *l)
{
    if (!memchr(l->name, '\\', l->name_n))
        return arena_strndup(a, l->name, l->name_n);
    json_t *v = json_in(a, json_loadb(l->name - 1, l->name_n + 2, JSON_DECODE_ANY, NULL));
    return v ? json_string_value(v) : arena_strndup(a, l->name, l->name_n);
}

char *json_place(struct arena *a, const char *text, size_t at)
{
    struct level stack[json_depth_max];
    size_t depth = walk(text, text + at, stack);
    char *place = arena_strdup(a, "");
    for (size_t i = 0; i < depth && i < json_depth_max; i++) {
        const struct level *l = &stack[i];
        if (l->object && (!l->named || l->name_n > name_bytes_max))
            break;
        place = json_pointer_add(a, place,
                                 l->object ? name_of(a, l) : arena_printf(a, "%zu", l->index));
    }
    return place;
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Digits that count of a number that is not whole: 17 are what a double tells apart. */
static size_t digits_of(const char *p, size_t n)
{
    size_t seen = 0, zeros = 0;
    for (size_t i = 0; i < n && p[i] != 'e' && p[i] != 'E'; i++) {
        if (p[i] < '0' || p[i] > '9' || (p[i] == '0' && !seen))
            continue;
        zeros = p[i] == '0' ? zeros + 1 : 0;
        seen++;
    }
    return seen - zeros;
}

int json_exact(struct arena *a, const char *text, size_t n, struct err *err)
{
    const char *end = text + n;
    for (const char *p = text; p < end; p++) {
        if (*p == '"') {
            p = string_end(p + 1, end);
            if (!p)
                return 0;
        } else if (*p >= '0' && *p <= '9') {
            size_t len = 1;
            while (p + len < end && strchr("0123456789.eE+-", p[len]) && p[len])
                len++;
            bool real = memchr(p, '.', len) || memchr(p, 'e', len) || memchr(p, 'E', len);
            if (real && digits_of(p, len) > json_digits_max)
                return err_at(err, E_invalid_json, json_place(a, text, (size_t)(p - text)),
                              "A number has more than %d digits; send it as a string.",
                              json_digits_max);
            p += len - 1;
        }
    }
    return 0;
}
