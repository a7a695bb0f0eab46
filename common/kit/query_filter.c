/* filter[field], filter[field][op], filter[ref.id]: names, operators and typed values. */
#include "common/kit/query_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>

static const char *const op_names[QOPS_MAX_] = { "eq",   "ne",      "lt",      "lte",  "gt",
                                                 "gte",  "in",      "nin",     "like", "ilike",
                                                 "null", "between", "contains" };

const char *query_op_name(enum query_op op)
{
    assert(op < QOPS_MAX_);
    return op_names[op];
}

#define OP(x)     (1u << QOP_##x)
#define OPS_EQUAL (OP(EQ) | OP(NE) | OP(IN) | OP(NIN) | OP(NULL))
#define OPS_ORDER (OPS_EQUAL | OP(LT) | OP(LTE) | OP(GT) | OP(GTE) | OP(BETWEEN))

/* Which operators make sense on which type. */
static unsigned ops_of(const struct field_def *f)
{
    switch (f ? f->type : F_REFS) {
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

struct filter_name {
    const char *field;
    size_t field_n;
    const char *op; /* NULL: eq */
    size_t op_n;
};

/* filter[a], filter[a.id], filter[a][op] */
static bool split_name(const char *name, struct filter_name *ret)
{
    const char *p = name + strlen("filter[");
    const char *end = strchr(p, ']');
    if (!end || end == p)
        return false;
    *ret = (struct filter_name){ .field = p, .field_n = (size_t)(end - p) };
    if (ret->field_n > 3 && !memcmp(end - 3, ".id", 3))
        ret->field_n -= 3;
    if (!end[1])
        return true;
    const char *last = end[1] == '[' ? strchr(end + 2, ']') : NULL;
    if (!last || last == end + 2 || last[1])
        return false;
    ret->op = end + 2;
    ret->op_n = (size_t)(last - ret->op);
    return true;
}

static int bad_field(struct query_reader *r, const char *name, struct err *err)
{
    struct buf b;
    buf_init(&b, r->a, 128, 180);
    for (const struct field_def *f = r->e->fields; f->name; f++)
        if (f->flags & FF_FILTER && vis_field(r->e, f, r->vc, false))
            buf_printf(&b, "%s%s", b.len ? ", " : "", f->name);
    for (const struct relation_def *rel = r->e->relations; rel && rel->name; rel++)
        if (!entity_field(r->e, rel->name))
            buf_printf(&b, "%s%s", b.len ? ", " : "", rel->name);
    return err_at(err, E_invalid_parameter, name, "%.50s cannot be filtered by; valid: %s", name,
                  b.data ? b.data : "");
}

static int bad_value(const char *name, const char *what, struct err *err)
{
    return err_at(err, E_invalid_parameter, name, "%.60s must be %s.", name, what);
}

/* One value as the column's type. */
static int read_value(struct query_reader *r, const char *name, const struct field_def *f,
                      const char *s, struct db_val *ret, struct err *err)
{
    int64_t i;
    bool yes;
    unsigned char raw[16];
    switch (f ? f->type : F_REFS) {
    case F_ID:
    case F_REF:
    case F_REFS:
        if (!str_to_i64(s, 1, (INT64_C(1) << 53) - 1, &i))
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
    case F_TIME: {
        if (!rfc3339_parse(s, &i))
            return bad_value(name, "an RFC 3339 time such as 2026-02-19T08:00:00Z", err);
        char *text = arena_alloc(r->a, rfc3339_len + 1);
        rfc3339_format(i, text);
        *ret = db_text(text);
        return 0;
    }
    case F_UUID:
        if (!uuid_parse(s, raw))
            return bad_value(name, "a UUID", err);
        *ret = db_text(s);
        return 0;
    case F_ENUM: {
        struct buf b;
        buf_init(&b, r->a, 64, 160);
        for (const char *const *c = f->choices; *c; c++) {
            if (str_eq(*c, s)) {
                *ret = db_text(*c);
                return 0;
            }
            buf_printf(&b, "%s%s", b.len ? ", " : "one of: ", *c);
        }
        return bad_value(name, b.data, err);
    }
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

static int read_values(struct query_reader *r, const char *name, const char *value,
                       struct query_filter *f, struct err *err)
{
    bool yes;
    const char **two;
    size_t n;
    int rc;
    switch (f->op) {
    case QOP_NULL:
        if (!str_to_bool(value, &yes))
            return bad_value(name, "true or false", err);
        f->v[0] = db_bool(yes);
        return 0;
    case QOP_IN:
    case QOP_NIN:
        return read_list(r, name, f->field, value, &f->v[0], err);
    case QOP_BETWEEN:
        rc = query_split(r->a, name, value, 2, &two, &n, err);
        if (rc < 0)
            return rc;
        if (n != 2)
            return bad_value(name, "two values with a comma between them", err);
        rc = read_value(r, name, f->field, two[0], &f->v[0], err);
        return rc < 0 ? rc : read_value(r, name, f->field, two[1], &f->v[1], err);
    case QOP_LIKE:
    case QOP_ILIKE:
        if (trailing_backslash(value))
            return bad_value(name, "a pattern that does not end in a lone backslash", err);
        f->v[0] = db_text(pattern(r->a, value, false));
        return 0;
    case QOP_CONTAINS:
        f->v[0] = db_text(f->field->type == F_TEXT ? pattern(r->a, value, true) : value);
        return 0;
    default:
        return read_value(r, name, f->field, value, &f->v[0], err);
    }
}

static int read_op(struct query_reader *r, const char *name, const struct filter_name *fn,
                   struct query_filter *f, struct err *err)
{
    unsigned ops = ops_of(f->field);
    struct buf b;
    buf_init(&b, r->a, 64, 160);
    f->op = QOP_EQ;
    if (!fn->op && ops & OP(EQ))
        return 0;
    for (unsigned i = 0; i < QOPS_MAX_; i++) {
        if (!(ops >> i & 1))
            continue;
        if (fn->op && strlen(op_names[i]) == fn->op_n && !memcmp(op_names[i], fn->op, fn->op_n)) {
            f->op = (enum query_op)i;
            return 0;
        }
        buf_printf(&b, "%s%s", b.len ? ", " : "", op_names[i]);
    }
    return err_at(err, E_invalid_parameter, name, "%.60s has no such operator; valid: %s", name,
                  b.data ? b.data : "none");
}

int query_read_filter(struct query_reader *r, const char *name, const char *value, struct err *err)
{
    struct filter_name fn;
    struct query *q = r->q;
    if (!split_name(name, &fn))
        return err_at(err, E_invalid_parameter, name,
                      "%.60s must be filter[field] or filter[field][operator].", name);
    if (q->nfilters == query_filters_max)
        return err_at(err, E_invalid_parameter, name, "At most %d filters can be combined.",
                      query_filters_max);
    struct query_filter f = { .field = query_field(r, fn.field, fn.field_n) };
    f.rel = entity_relation(r->e, arena_strndup(r->a, fn.field, fn.field_n));
    bool dotted = fn.field[fn.field_n] == '.';
    if (f.rel)
        f.field = NULL;
    else if (!f.field || !(f.field->flags & FF_FILTER) || !vis_field(r->e, f.field, r->vc, false) ||
             (dotted && f.field->type != F_REF))
        return bad_field(r, name, err);
    int rc = read_op(r, name, &fn, &f, err);
    if (rc >= 0)
        rc = read_values(r, name, value, &f, err);
    if (rc < 0)
        return rc;
    q->filters[q->nfilters++] = f;
    return 0;
}
