#include "common/kit/query.h"

#include "common/base/str.h"
#include "common/kit/query_int.h"
#include "common/kit/route.h"

#include <assert.h>

int query_split(struct arena *a, const char *param, const char *value, size_t max,
                const char ***ret, size_t *ret_n, struct err *err)
{
    const char **list = arena_alloc(a, max * sizeof(*list));
    size_t n = 0;
    for (const char *p = value;; p++) {
        size_t len = strcspn(p, ",");
        if (!len)
            return err_at(err, E_invalid_parameter, param, "%s has an empty item.", param);
        if (n == max)
            return err_at(err, E_invalid_parameter, param, "%s has more than %zu items.", param,
                          max);
        list[n++] = arena_strndup(a, p, len);
        p += len;
        if (!*p)
            break;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

const struct field_def *query_field(const struct query_reader *r, const char *name, size_t n)
{
    for (const struct field_def *f = r->e->fields; f->name; f++)
        if (strlen(f->name) == n && !memcmp(f->name, name, n))
            return vis_field(r->e, f, r->vc, vis_varies(r->e, r->vc)) ? f : NULL;
    return NULL;
}

/* A field that anyone of this class may ask about on every row, not on his own only. */
static bool plain_visible(const struct query_reader *r, const struct field_def *f)
{
    return vis_field(r->e, f, r->vc, false);
}

/* What was asked for, if it could be a name at all: other text is not sent back. */
const char *query_echo(const char *what)
{
    size_t n = strspn(what, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return n && n <= 40 && !what[n] ? what : "that name";
}

/* "… is not one of: a, b, c." */
static int unknown(const struct query_reader *r, const char *param, const char *what, unsigned flag,
                   struct err *err)
{
    struct buf b;
    buf_init(&b, r->a, 128, 200);
    for (const struct field_def *f = r->e->fields; f->name; f++)
        if ((!flag || f->flags & flag) && plain_visible(r, f))
            buf_printf(&b, "%s%s", b.len ? ", " : "", f->name);
    return err_at(err, E_invalid_parameter, param, "%.40s does not know %.40s; valid: %s", param,
                  query_echo(what), b.data ? b.data : "");
}

static int read_int(const char *name, const char *value, int64_t min, int64_t max, int64_t *ret,
                    struct err *err)
{
    if (!str_to_i64(value, min, max, ret))
        return err_at(err, E_invalid_parameter, name,
                      "%s must be a whole number from %lld to %lld.", name, (long long)min,
                      (long long)max);
    return 0;
}

static int read_fields(struct query_reader *r, const char *value, struct err *err)
{
    const char **list;
    size_t n;
    int rc = query_split(r->a, "fields", value, 64, &list, &n, err);
    if (rc < 0)
        return rc;
    r->q->fields = 0;
    r->q->fields_given = true;
    r->q->fields_text = value;
    for (size_t i = 0; i < n; i++) {
        const struct field_def *f = query_field(r, list[i], strlen(list[i]));
        if (!f)
            return unknown(r, "fields", list[i], 0, err);
        r->q->fields |= UINT64_C(1) << (f - r->e->fields);
    }
    return 0;
}

static int add_sort(struct query_reader *r, const char *item, struct err *err)
{
    bool desc = item[0] == '-';
    const struct field_def *f = query_field(r, item + desc, strlen(item + desc));
    if (!f || !(f->flags & FF_SORT) || !plain_visible(r, f))
        return unknown(r, "sort", item + desc, FF_SORT, err);
    for (size_t i = 0; i < r->q->nsort; i++)
        if (r->q->sort[i].field == f)
            return err_at(err, E_invalid_parameter, "sort", "sort names %s twice.", f->name);
    r->q->sort[r->q->nsort++] = (struct query_sort){ f, desc };
    return 0;
}

static int read_sort(struct query_reader *r, const char *value, struct err *err)
{
    const char **list;
    size_t n;
    int rc = query_split(r->a, "sort", value, query_sort_max, &list, &n, err);
    r->q->sort_given = true;
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = add_sort(r, list[i], err);
    return rc;
}

/* The entity's own order.  A class that may not see its fields is sorted by id. */
static void default_sort(struct query_reader *r)
{
    const char *p = r->e->sort ? r->e->sort : "id";
    while (*p && r->q->nsort < query_sort_max) {
        bool desc = *p == '-';
        size_t n = strcspn(p + desc, ",");
        const struct field_def *f = query_field(r, p + desc, n);
        if (f && plain_visible(r, f))
            r->q->sort[r->q->nsort++] = (struct query_sort){ f, desc };
        p += (size_t)desc + n;
        p += *p == ',';
    }
    if (!r->q->nsort)
        r->q->sort[r->q->nsort++] = (struct query_sort){ &r->e->fields[0], false };
}

/* What another program keeps cannot be included. */
static bool same_program(const struct entity_def *e, const char *ref)
{
    const struct entity_def *far = entity_find(ref);
    return far && str_eq(far->service, e->service);
}

static int unknown_include(const struct query_reader *r, const char *what, struct err *err)
{
    struct buf b;
    buf_init(&b, r->a, 128, 200);
    for (const struct field_def *f = r->e->fields; f->name; f++)
        if ((f->type == F_REF || f->type == F_REFS) && same_program(r->e, f->ref) &&
            query_field(r, f->name, strlen(f->name)))
            buf_printf(&b, "%s%s", b.len ? ", " : "", f->name);
    for (const struct relation_def *rel = r->e->relations; rel && rel->name; rel++)
        if (!entity_field(r->e, rel->name))
            buf_printf(&b, "%s%s", b.len ? ", " : "", rel->name);
    return err_at(err, E_invalid_parameter, "include", "include does not know %.40s; valid: %s",
                  query_echo(what), b.data ? b.data : "");
}

static int read_include(struct query_reader *r, const char *value, struct err *err)
{
    const char **list;
    size_t n;
    int rc = query_split(r->a, "include", value, query_includes_max, &list, &n, err);
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        const struct relation_def *rel = entity_relation(r->e, list[i]);
        const struct field_def *f = query_field(r, list[i], strlen(list[i]));
        if (f && f->type != F_REF && f->type != F_REFS)
            f = NULL;
        if ((f && !same_program(r->e, f->ref)) || (rel && !same_program(r->e, rel->ref)))
            return unknown_include(r, list[i], err);
        if (!rel && !f)
            return unknown_include(r, list[i], err);
        for (size_t k = 0; k < r->q->nincludes; k++)
            if (r->q->includes[k].field == f && r->q->includes[k].rel == rel)
                return err_at(err, E_invalid_parameter, "include", "include names %.40s twice.",
                              list[i]);
        r->q->includes[r->q->nincludes++] = (struct query_include){ f, rel };
    }
    return rc;
}

struct paging {
    bool page, offset;
};

static int read_paging(struct query *q, struct paging *p, const char *name, const char *value,
                       struct err *err)
{
    if (str_eq(name, "page")) {
        p->page = true;
        return read_int(name, value, 1, query_offset_max, &q->page, err);
    }
    if (str_eq(name, "per_page")) {
        p->page = true;
        return read_int(name, value, 1, query_per_page_max, &q->limit, err);
    }
    p->offset = true;
    if (str_eq(name, "limit"))
        return read_int(name, value, 1, query_per_page_max, &q->limit, err);
    return read_int(name, value, 0, query_offset_max, &q->offset, err);
}

static int finish_paging(struct query *q, const struct paging *p, struct err *err)
{
    if (p->page && p->offset)
        return err_at(err, E_invalid_parameter, "page",
                      "page and per_page cannot be mixed with limit and offset.");
    q->by_offset = p->offset;
    if (!p->offset)
        q->offset = (q->page - 1) * q->limit;
    if (q->offset > query_offset_max)
        return err_at(err, E_invalid_parameter, "page",
                      "Rows past %d cannot be paged to; filter instead.", query_offset_max);
    return 0;
}

static int read_one(struct query_reader *r, enum query_kind kind, struct paging *paging,
                    const struct query_arg *arg, struct err *err)
{
    const char *name = arg->name, *value = arg->value;
    if (strlen(value) > query_value_bytes_max)
        return err_at(err, E_invalid_parameter, name, "%.60s is longer than %d bytes.", name,
                      query_value_bytes_max);
    if (str_eq(name, "fields"))
        return read_fields(r, value, err);
    if (str_eq(name, "include"))
        return read_include(r, value, err);
    if (kind == QUERY_ONE)
        return err_at(err, E_invalid_parameter, name,
                      "%.60s is not a parameter here; valid: fields, include", name);
    if (str_eq(name, "sort"))
        return read_sort(r, value, err);
    if (str_starts(name, "filter["))
        return query_read_filter(r, name, value, err);
    if (str_eq(name, "page") || str_eq(name, "per_page") || str_eq(name, "limit") ||
        str_eq(name, "offset"))
        return read_paging(r->q, paging, name, value, err);
    if (str_eq(name, "count")) {
        if (!str_eq(value, "none") && !str_eq(value, "exact"))
            return err_at(err, E_invalid_parameter, name, "count must be none or exact.");
        r->q->count = str_eq(value, "none") ? COUNT_NONE : COUNT_EXACT;
        return 0;
    }
    return err_at(err, E_invalid_parameter, name,
                  "%.60s is not a parameter; valid: page, per_page, limit, offset, fields, sort, "
                  "filter[field], include, count",
                  name);
}

int query_parse(struct arena *a, const struct entity_def *e, enum vis_class vc,
                enum query_kind kind, const struct query_arg *args, size_t nargs, struct query *ret,
                struct err *err)
{
    struct query q = {
        .page = 1, .limit = query_per_page_default, .fields = ~(uint64_t)0, .fields_text = ""
    };
    struct query_reader r = { .a = a, .e = e, .vc = vc, .q = &q };
    struct paging paging = { 0 };
    for (size_t i = 0; i < nargs; i++) {
        bool filter = str_starts(args[i].name, "filter[");
        for (size_t k = 0; !filter && k < i; k++)
            if (str_eq(args[k].name, args[i].name))
                return err_at(err, E_invalid_parameter, args[i].name, "%.60s is given twice.",
                              args[i].name);
        int rc = read_one(&r, kind, &paging, &args[i], err);
        if (rc < 0)
            return rc;
    }
    if (kind == QUERY_LIST) {
        int rc = finish_paging(&q, &paging, err);
        if (rc < 0)
            return rc;
        if (!q.sort_given)
            default_sort(&r);
    }
    for (size_t i = 0; i < q.nincludes; i++) /* what is included is shown */
        if (q.includes[i].field)
            q.fields |= UINT64_C(1) << (q.includes[i].field - e->fields);
    *ret = q;
    return 0;
}
