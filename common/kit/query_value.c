/* Operators, and the typed values of filters. */
#include "common/kit/query_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>

static const char *const op_names[QOPS_MAX_] = { "eq",   "ne",      "lt",       "lte",  "gt",
                                                 "gte",  "in",      "nin",      "like", "ilike",
                                                 "null", "between", "contains", "fts" };

const char *query_op_name(enum query_op op)
{
    assert(op < QOPS_MAX_);
    return op_names[op];
}

#define OP(x)     (1u << QOP_##x)
#define OPS_EQUAL (OP(EQ) | OP(NE) | OP(IN) | OP(NIN) | OP(NULL))
#define OPS_ORDER (OPS_EQUAL | OP(LT) | OP(LTE) | OP(GT) | OP(GTE) | OP(BETWEEN))

bool query_searchable(const struct entity_def *e, const struct field_def *f)
{
    for (const struct entity_def *const *p = entities; *p; p++)
        if (*p == e)
            return f->type == F_TEXT &&
                   (f->format == FMT_LINE || f->format == FMT_LONG || f->format == FMT_FILENAME) &&
                   !(f->flags & (FF_PRIVATE | FF_SECRET | FF_HIDDEN));
    return false;
}

static unsigned ops_of_type(enum field_type type)
{
    switch (type) {
    case F_ID:
    case F_INT:
    case F_TIME:
    case F_UUID:
        return OPS_ORDER;
    case F_TEXT:
        return OPS_ORDER | OP(LIKE) | OP(ILIKE) | OP(CONTAINS);
    case F_ENUM:
    case F_REF:
        return OPS_EQUAL;
    case F_BOOL:
        return OP(EQ) | OP(NE) | OP(NULL);
    case F_TEXTS:
        return OP(EQ) | OP(NE) | OP(IN) | OP(NIN) | OP(CONTAINS) | OP(NULL);
    case F_REFS:
        return OP(EQ) | OP(IN) | OP(NULL);
    case F_JSON:
        return 0;
    }
    return 0;
}

unsigned query_ops_of(const struct entity_def *e, const struct field_def *f)
{
    unsigned ops = f->flags & FF_FILTER ? ops_of_type(f->type) : 0;
    return ops | (query_searchable(e, f) ? OP(FTS) : 0);
}

static int bad_value(const char *name, const char *what, struct err *err)
{
    return err_at(err, E_invalid_parameter, name, "%.100s must be %s.", name, what);
}

static int read_choice(struct query_reader *r, const char *name, const struct field_def *f,
                       const char *s, struct db_val *ret, struct err *err)
{
    struct buf b;
    for (const char *const *c = f->choices; *c; c++)
        if (str_eq(*c, s)) {
            *ret = db_text(*c);
            return 0;
        }
    buf_init(&b, r->a, 64, 160);
    for (const char *const *c = f->choices; *c; c++)
        buf_printf(&b, "%s%s", b.len ? ", " : "one of: ", *c);
    return bad_value(name, b.data, err);
}

/* PostgreSQL knows times from 4713 BC; the wire's four digits end at both ends before that. */
static int read_time(struct query_reader *r, const char *name, const char *s, struct db_val *ret,
                     struct err *err)
{
    int64_t us;
    if (!rfc3339_parse(s, &us))
        return bad_value(name, "an RFC 3339 time such as 2026-02-19T08:00:00Z", err);
    char *text = arena_alloc(r->a, rfc3339_len + 1);
    rfc3339_format(us, text);
    *ret = db_text(text);
    return 0;
}

/* One value as the column's type. */
static int read_value(struct query_reader *r, const char *name, const struct field_def *f,
                      const char *s, struct db_val *ret, struct err *err)
{
    int64_t i;
    bool yes;
    unsigned char raw[16];
    switch (f->type) {
    case F_ID:
    case F_REF:
    case F_REFS:
        /* id > 0 is a fair question, author = 0 is not. */
        if (!str_to_i64(s, f->type != F_ID, (INT64_C(1) << 53) - 1, &i))
            return bad_value(name, "an id", err);
        *ret = db_i64(i);
        return 0;
    case F_INT:
        if (!str_to_i64(s, INT64_MIN, INT64_MAX, &i))
            return bad_value(name, "a whole number", err);
        *ret = db_i64(i);
        return 0;
    case F_BOOL:
        if (!str_to_bool(s, &yes))
            return bad_value(name, "true or false", err);
        *ret = db_bool(yes);
        return 0;
    case F_TIME:
        return read_time(r, name, s, ret, err);
    case F_UUID:
        if (!uuid_parse(s, raw))
            return bad_value(name, "a UUID", err);
        *ret = db_text(s);
        return 0;
    case F_ENUM:
        return read_choice(r, name, f, s, ret, err);
    case F_TEXT:
    case F_TEXTS:
        *ret = db_text(s);
        return 0;
    case F_JSON:
        break;
    }
    return bad_value(name, "something else", err);
}

/* in, nin: one typed array parameter. */
static int read_list(struct query_reader *r, const char *name, const struct field_def *f,
                     const char *value, struct db_val *ret, struct err *err)
{
    const char **items;
    size_t n;
    int rc = query_split(r->a, name, value, query_in_values_max, &items, &n, err);
    if (rc < 0)
        return rc;
    int64_t *ids = arena_alloc(r->a, n * sizeof(*ids));
    bool numbers = false;
    for (size_t i = 0; i < n; i++) {
        struct db_val v;
        rc = read_value(r, name, f, items[i], &v, err);
        if (rc < 0)
            return rc;
        numbers = v.type == DBV_I64;
        ids[i] = v.i64;
        if (v.type == DBV_TEXT)
            items[i] = v.text;
    }
    *ret = numbers ? db_i64s(ids, n) : db_texts(items, n);
    return 0;
}

/* Patterns: * is any run; the text of contains is taken literally. */
static const char *pattern(struct arena *a, const char *s, bool literal)
{
    char *out = arena_alloc(a, 2 * strlen(s) + 3), *p = out;
    if (literal)
        *p++ = '%';
    for (; *s; s++) {
        if (literal && strchr("%_\\", *s))
            *p++ = '\\';
        *p++ = !literal && *s == '*' ? '%' : *s;
    }
    if (literal)
        *p++ = '%';
    return out;
}

static bool trailing_backslash(const char *s)
{
    size_t n = 0, len = strlen(s);
    while (n < len && s[len - 1 - n] == '\\')
        n++;
    return n & 1;
}

static int read_two(struct query_reader *r, const char *name, const char *value,
                    struct query_node *t, struct err *err)
{
    const char **two;
    size_t n;
    int rc = query_split(r->a, name, value, 2, &two, &n, err);
    if (rc < 0)
        return rc;
    if (n != 2)
        return bad_value(name, "two values with a comma between them", err);
    rc = read_value(r, name, t->field, two[0], &t->v[0], err);
    return rc < 0 ? rc : read_value(r, name, t->field, two[1], &t->v[1], err);
}

int query_read_values(struct query_reader *r, const char *name, const char *value,
                      struct query_node *t, struct err *err)
{
    bool yes;
    switch (t->op) {
    case QOP_NULL:
        if (!str_to_bool(value, &yes))
            return bad_value(name, "true or false", err);
        t->v[0] = db_bool(yes);
        return 0;
    case QOP_IN:
    case QOP_NIN:
        return read_list(r, name, t->field, value, &t->v[0], err);
    case QOP_BETWEEN:
        return read_two(r, name, value, t, err);
    case QOP_LIKE:
    case QOP_ILIKE:
        if (trailing_backslash(value))
            return bad_value(name, "a pattern that does not end in a lone backslash", err);
        t->v[0] = db_text(pattern(r->a, value, false));
        return 0;
    case QOP_CONTAINS:
        t->v[0] = db_text(t->field->type == F_TEXT ? pattern(r->a, value, true) : value);
        return 0;
    case QOP_FTS:
        if (!*value)
            return bad_value(name, "one or more words", err);
        t->v[0] = db_text(value);
        return 0;
    default:
        return read_value(r, name, t->field, value, &t->v[0], err);
    }
}
