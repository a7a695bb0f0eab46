#include "services/webhooks-out/filter.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <ctype.h>
#include <string.h>

enum filter_op {
    ALL,
    ANY,
    NOT,
    EQ,
    NE,
    LT,
    LTE,
    GT,
    GTE,
    IN,
    NIN,
    LIKE,
    ILIKE,
    NUL,
    BETWEEN,
    CONTAINS
};
static const struct op_row {
    const char *name;
    enum filter_op op;
    enum { TAKES_VALUE, TAKES_ORDER, TAKES_TEXT, TAKES_LIST, TAKES_TWO, TAKES_BOOL } takes;
} ops[] = {
    { "eq",       EQ,       TAKES_VALUE },
    { "ne",       NE,       TAKES_VALUE },
    { "lt",       LT,       TAKES_ORDER },
    { "lte",      LTE,      TAKES_ORDER },
    { "gt",       GT,       TAKES_ORDER },
    { "gte",      GTE,      TAKES_ORDER },
    { "in",       IN,       TAKES_LIST  },
    { "nin",      NIN,      TAKES_LIST  },
    { "like",     LIKE,     TAKES_TEXT  },
    { "ilike",    ILIKE,    TAKES_TEXT  },
    { "null",     NUL,      TAKES_BOOL  },
    { "between",  BETWEEN,  TAKES_TWO   },
    { "contains", CONTAINS, TAKES_VALUE },
};
static const char op_list[] =
    "eq, ne, lt, lte, gt, gte, in, nin, like, ilike, null, between, contains";

struct filter {
    enum filter_op op;
    const char *path;    /* of a test */
    const json_t *value; /* of a test */
    struct filter *first, *next;
};

struct reader {
    struct arena *a;
    bool (*known)(void *ctx, const char *field, size_t n);
    void *ctx;
    unsigned tests;
    struct err *err;
};

static int bad(struct reader *r, const char *at, const char *why)
{
    return err_at(r->err, E_validation, at, "%s", why);
}

/* --- reading --- */

static bool is_scalar(const json_t *v)
{
    return json_is_string(v) || json_is_number(v) || json_is_boolean(v);
}

static bool short_enough(const json_t *v)
{
    return !json_is_string(v) || json_string_length(v) <= filter_value_bytes_max;
}

static int check_list(struct reader *r, const json_t *v, const char *at, size_t least, size_t most)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n < least || n > most)
        return bad(r, at,
                   least == most ? "Must be an array of two values."
                                 : "Must be an array of 1 to 100 values.");
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(v, i);
        if (!is_scalar(item) || !short_enough(item))
            return bad(r, at, "Must hold strings, numbers and booleans only.");
    }
    return 0;
}

static int check_value(struct reader *r, const struct op_row *op, const json_t *v, const char *at)
{
    if (op->takes == TAKES_BOOL)
        return json_is_boolean(v) ? 0 : bad(r, at, "Must be true or false.");
    if (op->takes == TAKES_LIST)
        return check_list(r, v, at, 1, filter_values_max);
    if (op->takes == TAKES_TWO)
        return check_list(r, v, at, 2, 2);
    if (!short_enough(v))
        return bad(r, at, "Must be at most 1024 bytes long.");
    if (op->takes == TAKES_TEXT)
        return json_is_string(v) ? 0 : bad(r, at, "Must be a string.");
    if (op->takes == TAKES_ORDER)
        return json_is_string(v) || json_is_number(v) ? 0
                                                      : bad(r, at, "Must be a string or a number.");
    return is_scalar(v) ? 0
                        : bad(r, at, "Must be a string, a number or a boolean; for none: null.");
}

static struct filter *add(struct reader *r, struct filter *parent, enum filter_op op)
{
    struct filter *f = arena_alloc(r->a, sizeof(*f)), **at = &parent->first;
    f->op = op;
    while (*at)
        at = &(*at)->next;
    *at = f;
    return f;
}

static int add_test(struct reader *r, struct filter *parent, const char *path,
                    const struct op_row *op, const json_t *v, const char *at)
{
    int rc = check_value(r, op, v, at);
    if (rc)
        return rc;
    if (++r->tests > filter_tests_max)
        return bad(r, at, "A filter has at most 20 conditions.");
    struct filter *f = add(r, parent, op->op);
    f->path = arena_strdup(r->a, path);
    f->value = json_in(r->a, json_deep_copy(v));
    return 0;
}

static const struct op_row *op_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (str_eq(ops[i].name, name))
            return &ops[i];
    return NULL;
}

static int check_path(struct reader *r, const char *path, const char *at)
{
    size_t n = strlen(path);
    if (!n || n > filter_path_bytes_max)
        return bad(r, at, "A name has 1 to 200 characters.");
    if (str_eq(path, "$.type") || str_eq(path, "$.changed"))
        return 0;
    if (path[0] == '$')
        return bad(r, at, "Of the event itself there are $.type and $.changed.");
    if (r->known && !r->known(r->ctx, path, strcspn(path, ".")))
        return bad(r, at, "Is no field of the entities whose events are listened to.");
    return 0;
}

static int read_tests(struct reader *r, struct filter *parent, const char *path, const json_t *v,
                      const char *at)
{
    const char *name;
    json_t *value, *members;
    int rc = check_path(r, path, at);
    if (rc)
        return rc;
    if (!json_is_object(v))
        return add_test(r, parent, path, &ops[0], v, at);
    if (!json_object_size(v))
        return bad(r, at, "Must be a value, or an object of operators.");
    members = json_in(r->a, json_copy((json_t *)(uintptr_t)v));
    json_object_foreach(members, name, value)
    {
        const struct op_row *op = op_find(name);
        const char *where = json_pointer_add(r->a, at, name);
        if (str_eq(name, "fts"))
            return bad(r, where,
                       "Full text is searched in lists only; there are like and contains.");
        if (!op)
            return err_at(r->err, E_validation, where, "There is no such operator; valid: %s",
                          op_list);
        rc = add_test(r, parent, path, op, value, where);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_group(struct reader *r, struct filter *into, const json_t *tree, const char *at,
                      unsigned depth);

static int read_list(struct reader *r, struct filter *into, const json_t *list, const char *at,
                     unsigned depth)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || !n || n > filter_tests_max)
        return bad(r, at, "Must be an array of 1 to 20 filters.");
    for (size_t i = 0; i < n; i++) {
        const char *where = arena_printf(r->a, "%s/%zu", at, i);
        int rc = read_group(r, add(r, into, ALL), json_array_get(list, i), where, depth);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_group(struct reader *r, struct filter *into, const json_t *tree, const char *at,
                      unsigned depth)
{
    const char *name;
    json_t *value, *members;
    int rc = 0;
    if (!json_is_object(tree))
        return bad(r, at, "Must be an object.");
    if (depth > filter_depth_max)
        return bad(r, at, "Groups are nested at most 10 deep.");
    members = json_in(r->a, json_copy((json_t *)(uintptr_t)tree));
    json_object_foreach(members, name, value)
    {
        const char *where = json_pointer_add(r->a, at, name);
        if (str_eq(name, "or") || str_eq(name, "and"))
            rc = read_list(r, add(r, into, *name == 'o' ? ANY : ALL), value, where, depth + 1);
        else if (str_eq(name, "not"))
            rc = read_group(r, add(r, add(r, into, NOT), ALL), value, where, depth + 1);
        else
            rc = read_tests(r, into, name, value, where);
        if (rc)
            return rc;
    }
    return 0;
}

int filter_parse(struct arena *a, const json_t *tree,
                 bool (*known)(void *ctx, const char *field, size_t n), void *ctx,
                 struct filter **ret, struct err *err)
{
    struct reader r = { .a = a, .known = known, .ctx = ctx, .err = err };
    struct filter *f = arena_alloc(a, sizeof(*f)); /* ALL */
    int rc = read_group(&r, f, tree, "", 0);
    *ret = rc || !f->first ? NULL : f;
    return rc;
}

/* --- asking --- */

const json_t *json_at(const json_t *root, const char *path)
{
    while (root && *path) {
        size_t n = strcspn(path, ".");
        root = json_is_object(root) ? json_object_getn(root, path, n) : NULL;
        path += n + (path[n] == '.');
    }
    return root;
}

/* A reference is its id. */
static const json_t *plain(const json_t *v)
{
    const json_t *id = json_is_object(v) ? json_object_get(v, "id") : NULL;
    return id ? id : v;
}

static bool same(const json_t *a, const json_t *b)
{
    a = plain(a);
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return json_is_integer(a) && json_is_integer(b)
                   ? json_integer_value(a) == json_integer_value(b)
                   : x >= y && x <= y;
    }
    int64_t s, t;
    if (json_is_string(a) && json_is_string(b) && rfc3339_parse(json_string_value(a), &s) &&
        rfc3339_parse(json_string_value(b), &t))
        return s == t;
    return json_equal(a, b);
}

static int incomparable(const struct filter *f, struct err *err)
{
    return err_set(err, E_invalid, "The filter compares %.100s with a value of another type.",
                   f->path);
}

/* *ret: <0, 0, >0. */
static int compare(const struct filter *f, const json_t *a, const json_t *b, int *ret,
                   struct err *err)
{
    a = plain(a);
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        *ret = x < y ? -1 : x > y;
        return 0;
    }
    if (!json_is_string(a) || !json_is_string(b))
        return incomparable(f, err);
    int64_t s, t;
    const char *x = json_string_value(a), *y = json_string_value(b);
    if (rfc3339_parse(x, &s) && rfc3339_parse(y, &t))
        *ret = s < t ? -1 : s > t;
    else
        *ret = strcmp(x, y);
    return 0;
}

static size_t char_len(const char *s)
{
    size_t n = *s != '\0';
    while ((s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static bool char_same(const char *p, const char *s, size_t n, bool any_case)
{
    if (n == 1 && any_case)
        return tolower((unsigned char)*p) == tolower((unsigned char)*s);
    return !memcmp(p, s, n);
}

/* Iterative: a run is taken up again one character later, so it costs length × length at most. */
static bool like(const char *pattern, const char *s, bool any_case)
{
    const char *p = pattern, *star = NULL, *back = NULL;
    while (*s) {
        size_t n = char_len(s);
        if (*p == '*' || *p == '%') {
            star = ++p;
            back = s;
        } else if (*p == '_') {
            p++;
            s += n;
        } else if (*p && char_len(p) == n && char_same(p, s, n, any_case)) {
            p += n;
            s += n;
        } else if (star) {
            p = star;
            back += char_len(back);
            s = back;
        } else {
            return false;
        }
    }
    while (*p == '*' || *p == '%')
        p++;
    return !*p;
}

static bool is_in(const json_t *list, const json_t *v)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (same(v, item)) return true;
    return false;
}

static bool has_item(const json_t *list, const json_t *want)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (same(item, want)) return true;
    return false;
}

static bool has_text(const char *s, const char *want)
{
    size_t n = strlen(want);
    for (size_t left = strlen(s); left >= n; s++, left--) {
        size_t i = 0;
        while (i < n && tolower((unsigned char)s[i]) == tolower((unsigned char)want[i]))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

static int contains(const struct filter *f, const json_t *v, struct err *err)
{
    if (json_is_array(v))
        return has_item(v, f->value);
    if (!json_is_string(v) || !json_is_string(f->value))
        return incomparable(f, err);
    return has_text(json_string_value(v), json_string_value(f->value));
}

static int ordered(const struct filter *f, const json_t *v, struct err *err)
{
    int c, d = 0;
    const json_t *low = f->op == BETWEEN ? json_array_get(f->value, 0) : f->value;
    int rc = compare(f, v, low, &c, err);
    if (!rc && f->op == BETWEEN)
        rc = compare(f, v, json_array_get(f->value, 1), &d, err);
    if (rc)
        return rc;
    switch (f->op) {
    case LT:
        return c < 0;
    case LTE:
        return c <= 0;
    case GT:
        return c > 0;
    case GTE:
        return c >= 0;
    default:
        return c >= 0 && d <= 0;
    }
}

static int test(const struct filter *f, const json_t *v, struct err *err)
{
    bool none = !v || json_is_null(v);
    switch (f->op) {
    case NUL:
        return none == json_is_true(f->value);
    case NE:
        return none || !same(v, f->value);
    case NIN:
        return none || !is_in(f->value, v);
    default:
        break;
    }
    if (none)
        return 0;
    switch (f->op) {
    case EQ:
        return same(v, f->value);
    case IN:
        return is_in(f->value, v);
    case CONTAINS:
        return contains(f, v, err);
    case LIKE:
    case ILIKE:
        if (!json_is_string(v))
            return incomparable(f, err);
        return like(json_string_value(f->value), json_string_value(v), f->op == ILIKE);
    default:
        return ordered(f, v, err);
    }
}

struct subject {
    const json_t *data, *type, *changed;
};

static int holds(const struct filter *f, const struct subject *s, struct err *err)
{
    int rc;
    if (f->op > NOT) {
        const json_t *v = str_eq(f->path, "$.type")      ? s->type
                          : str_eq(f->path, "$.changed") ? s->changed
                                                         : json_at(s->data, f->path);
        return test(f, v, err);
    }
    if (f->op == NOT) {
        rc = holds(f->first, s, err);
        return rc < 0 ? rc : !rc;
    }
    for (const struct filter *c = f->first; c; c = c->next) {
        rc = holds(c, s, err);
        if (rc < 0 || rc == (f->op == ANY))
            return rc;
    }
    return f->op == ALL;
}

int filter_holds(const struct filter *f, const json_t *data, const char *type,
                 const json_t *changed, struct err *err)
{
    json_t *name = json_string(type);
    const struct subject s = { data, name, changed };
    int rc = f ? holds(f, &s, err) : 1;
    json_decref(name);
    return rc;
}
