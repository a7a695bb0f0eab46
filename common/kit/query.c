#include "common/kit/query.h"

#include "common/base/clock.h"
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
            return err_at(err, E_invalid_parameter, param, "%.60s has an empty item.", param);
        if (n == max)
            return err_at(err, E_invalid_parameter, param, "%.60s has more than %zu items.", param,
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

struct query_word query_before_dot(struct query_word w, struct query_word *ret_rest)
{
    const char *dot = memchr(w.s, '.', w.n);
    *ret_rest = (struct query_word){ NULL, 0 };
    if (!dot)
        return w;
    size_t n = (size_t)(dot - w.s);
    *ret_rest = (struct query_word){ dot + 1, w.n - n - 1 };
    return (struct query_word){ w.s, n };
}

static const struct field_def *field_named(const struct entity_def *e, struct query_word name)
{
    for (const struct field_def *f = e->fields; f->name; f++)
        if (query_word_is(name, f->name))
            return f;
    return NULL;
}

const struct field_def *query_field(struct query_at at, struct query_word name)
{
    const struct field_def *f = field_named(at.e, name);
    return f && vis_field(at.e, f, at.vc, vis_varies(at.e, at.vc)) ? f : NULL;
}

const struct field_def *query_plain_field(struct query_at at, struct query_word name)
{
    const struct field_def *f = field_named(at.e, name);
    return f && vis_field(at.e, f, at.vc, false) ? f : NULL;
}

bool query_nullable(const struct field_def *f)
{
    return !(f->flags & (FF_REQUIRED | FF_NONNULL));
}

/* What another program keeps cannot be read with the rows, nor asked about. */
static bool follow(const struct query_reader *r, struct query_at at, const char *ref,
                   struct query_link *ret)
{
    const struct entity_def *far = entity_find(ref);
    if (!far || !str_eq(far->service, at.e->service) || far->fields[0].type != F_ID)
        return false;
    ret->far = (struct query_at){ far, vis_class_of(far, r->who) };
    return true;
}

bool query_link(const struct query_reader *r, struct query_at at, struct query_word name,
                struct query_link *ret)
{
    *ret = (struct query_link){ .field = query_plain_field(at, name) };
    if (ret->field && ret->field->type != F_REF && ret->field->type != F_REFS)
        return false;
    for (const struct relation_def *rel = at.e->relations; rel && rel->name; rel++)
        if (query_word_is(name, rel->name))
            ret->rel = rel;
    if (!ret->field && !ret->rel)
        return false;
    return follow(r, at, ret->rel ? ret->rel->ref : ret->field->ref, ret);
}

void query_put_links(const struct query_reader *r, struct query_at at, struct buf *b)
{
    struct query_link link;
    for (const struct field_def *f = at.e->fields; f->name; f++)
        if (query_link(r, at, (struct query_word){ f->name, strlen(f->name) }, &link))
            buf_printf(b, "%s%s", b->len ? ", " : "", f->name);
    for (const struct relation_def *rel = at.e->relations; rel && rel->name; rel++)
        if (!entity_field(at.e, rel->name) &&
            query_link(r, at, (struct query_word){ rel->name, strlen(rel->name) }, &link))
            buf_printf(b, "%s%s", b->len ? ", " : "", rel->name);
}

/* What was asked for, if it could be a name at all: other text is not sent back. */
const char *query_echo(const char *what)
{
    size_t n = strspn(what, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return n && n <= 60 && !what[n] ? what : "that name";
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

/* --- sort --- */

static int bad_sort(const struct query_reader *r, const char *what, bool known, struct err *err)
{
    struct buf b;
    buf_init(&b, r->a, 256, 400);
    for (const struct field_def *f = r->e->fields; f->name; f++)
        if (f->flags & FF_SORT && vis_field(r->e, f, r->q->vc, false))
            buf_printf(&b, "%s%s", b.len ? ", " : "", f->name);
    return err_at(err, E_invalid_parameter, "sort", "sort %s %.60s; valid: %s",
                  known ? "has no index for" : "does not know", query_echo(what),
                  b.data ? b.data : "");
}

static int add_sort(struct query_reader *r, const char *item, struct err *err)
{
    struct query *q = r->q;
    bool desc = item[0] == '-';
    struct query_at at = { r->e, q->vc };
    const struct field_def *f =
        query_plain_field(at, (struct query_word){ item + desc, strlen(item + desc) });
    if (!f || !(f->flags & FF_SORT))
        return bad_sort(r, item + desc, f != NULL, err);
    for (size_t i = 0; i < q->nsort; i++)
        if (q->sort[i].field == f)
            return err_at(err, E_invalid_parameter, "sort", "sort names %s twice.", f->name);
    q->sort[q->nsort++] = (struct query_sort){ f, desc };
    return 0;
}

/* Ties are in the order of their ids, in the direction of the last key; behind the id, or another
 * key that no two rows share, nothing counts. */
static void finish_sort(const struct entity_def *e, struct query *q)
{
    const struct field_def *id = &e->fields[0];
    for (size_t i = 0; i < q->nsort; i++)
        if (q->sort[i].field == id ||
            (q->sort[i].field->flags & FF_UNIQUE && !query_nullable(q->sort[i].field))) {
            q->nsort = i + 1;
            return;
        }
    bool desc = q->nsort && q->sort[q->nsort - 1].desc;
    q->sort[q->nsort++] = (struct query_sort){ id, desc };
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
static void default_sort(const struct entity_def *e, struct query *q)
{
    const char *p = e->sort ? e->sort : "id";
    struct query_at at = { e, q->vc };
    while (*p && q->nsort < query_sort_max) {
        bool desc = *p == '-';
        size_t n = strcspn(p + desc, ",");
        const struct field_def *f = query_plain_field(at, (struct query_word){ p + desc, n });
        if (f)
            q->sort[q->nsort++] = (struct query_sort){ f, desc };
        p += (size_t)desc + n;
        p += *p == ',';
    }
}

/* --- pages --- */

struct paging {
    const char *page, *offset, *cursor, *limit; /* names that were given */
};

static int read_paging(struct query *q, struct paging *p, const char *name, const char *value,
                       struct err *err)
{
    if (str_eq(name, "page")) {
        p->page = name;
        return read_int(name, value, 1, query_offset_max, &q->page, err);
    }
    if (str_eq(name, "per_page")) {
        p->page = name;
        return read_int(name, value, 1, query_per_page_max, &q->limit, err);
    }
    if (str_eq(name, "limit")) {
        p->limit = name;
        return read_int(name, value, 1, query_per_page_max, &q->limit, err);
    }
    p->offset = name;
    return read_int(name, value, 0, query_offset_max, &q->offset, err);
}

static int finish_paging(struct query *q, const struct paging *p, bool count_given, struct err *err)
{
    if (p->page && (p->offset || p->limit || p->cursor))
        return err_at(err, E_invalid_parameter, "page",
                      "page and per_page cannot be mixed with limit, offset and cursor.");
    if (p->cursor && p->offset)
        return err_at(err, E_invalid_parameter, "cursor",
                      "cursor and offset cannot be mixed: a cursor is a place already.");
    q->paging = p->cursor ? PAGING_CURSOR : p->offset || p->limit ? PAGING_OFFSET : PAGING_PAGE;
    if (q->paging == PAGING_CURSOR && !count_given)
        q->count = COUNT_NONE; /* who pages by cursor walks the whole list anyway */
    if (q->paging == PAGING_PAGE)
        q->offset = (q->page - 1) * q->limit;
    if (q->offset > query_offset_max)
        return err_at(err, E_invalid_parameter, "page",
                      "Rows past %d cannot be paged to; filter, or page by cursor.",
                      query_offset_max);
    return 0;
}

/* --- all --- */

static int read_count(struct query *q, const char *value, struct err *err)
{
    static const char *const names[] = {
        [COUNT_EXACT] = "exact", [COUNT_NONE] = "none", [COUNT_ESTIMATED] = "estimated"
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i], value)) {
            q->count = (enum query_count)i;
            return 0;
        }
    return err_at(err, E_invalid_parameter, "count", "count must be none, exact or estimated.");
}

/* The rows changed since then, oldest change first: filter[updated_at][gte] and sort=updated_at. */
static int read_since(struct query_reader *r, const char *value, struct err *err)
{
    struct query_at at = { r->e, r->q->vc };
    if (!query_plain_field(at, (struct query_word){ "updated_at", 10 }))
        return err_at(err, E_invalid_parameter, "updated_since",
                      "updated_since is not for readers of these rows.");
    return query_read_filter(r, "filter[updated_at][gte]", value, err) < 0
               ? err_at(err, E_invalid_parameter, "updated_since",
                        "updated_since must be an RFC 3339 time such as 2026-02-19T08:00:00Z.")
               : 0;
}

static int read_list_arg(struct query_reader *r, struct paging *paging, const char *name,
                         const char *value, struct err *err)
{
    if (str_eq(name, "sort"))
        return read_sort(r, value, err);
    if (str_starts(name, "filter["))
        return query_read_filter(r, name, value, err);
    if (str_eq(name, "page") || str_eq(name, "per_page") || str_eq(name, "limit") ||
        str_eq(name, "offset"))
        return read_paging(r->q, paging, name, value, err);
    if (str_eq(name, "cursor")) {
        paging->cursor = name;
        r->q->cursor = value;
        return 0;
    }
    if (str_eq(name, "count"))
        return read_count(r->q, value, err);
    if (str_eq(name, "updated_since"))
        return read_since(r, value, err);
    return err_at(err, E_invalid_parameter, name,
                  "%.60s is not a parameter; valid: page, per_page, limit, offset, cursor, fields, "
                  "sort, filter[field], include, count, updated_since, envelope",
                  name);
}

static int read_one(struct query_reader *r, enum query_kind kind, struct paging *paging,
                    const struct query_arg *arg, struct err *err)
{
    const char *name = arg->name, *value = arg->value;
    size_t most = str_eq(name, "cursor") ? query_cursor_bytes_max : query_value_bytes_max;
    bool yes;
    if (strlen(value) > most)
        return err_at(err, E_invalid_parameter, name, "%.60s is longer than %zu bytes.", name,
                      most);
    if (str_eq(name, "fields"))
        return query_read_fields(r, value, err);
    if (str_eq(name, "include"))
        return query_read_include(r, value, err);
    if (str_eq(name, "envelope")) {
        if (!str_to_bool(value, &yes))
            return err_at(err, E_invalid_parameter, name, "envelope must be true or false.");
        r->q->bare = !yes;
        return 0;
    }
    if (kind == QUERY_LIST)
        return read_list_arg(r, paging, name, value, err);
    return err_at(err, E_invalid_parameter, name,
                  "%.60s is not a parameter here; valid: fields, include, envelope", name);
}

static int unique(const struct query_arg *args, size_t i, struct err *err)
{
    for (size_t k = 0; k < i; k++)
        if (str_eq(args[k].name, args[i].name))
            return err_at(err, E_invalid_parameter, args[i].name, "%.60s is given twice.",
                          args[i].name);
    return 0;
}

void query_plain(const struct entity_def *e, enum vis_class vc, struct query *ret)
{
    *ret = (struct query){ .vc = vc,
                           .page = 1,
                           .limit = query_per_page_default,
                           .fields = ~(uint64_t)0,
                           .fields_text = "",
                           .filter = { .kind = QN_ALL } };
    default_sort(e, ret);
    finish_sort(e, ret);
}

int query_parse(struct arena *a, const struct entity_def *e, const struct principal *who,
                enum query_kind kind, const struct query_arg *args, size_t nargs, struct query *ret,
                struct err *err)
{
    struct query_reader r = { .a = a, .who = who, .e = e, .q = ret };
    struct paging paging = { 0 };
    bool count = false, since = false;
    query_plain(e, vis_class_of(e, who), ret);
    ret->nsort = 0;
    for (size_t i = 0; i < nargs; i++) {
        int rc = str_starts(args[i].name, "filter[") ? 0 : unique(args, i, err);
        if (rc >= 0)
            rc = read_one(&r, kind, &paging, &args[i], err);
        if (rc < 0)
            return rc;
        count |= str_eq(args[i].name, "count");
        since |= str_eq(args[i].name, "updated_since");
    }
    int rc = kind == QUERY_LIST ? finish_paging(ret, &paging, count, err) : 0;
    if (rc < 0)
        return rc;
    if (!ret->sort_given && since)
        rc = add_sort(&r, "updated_at", err);
    else if (!ret->sort_given)
        default_sort(e, ret);
    finish_sort(e, ret);
    query_finish_includes(ret, e);
    return rc;
}

const struct query_node *query_only(const struct query *q, const char *field)
{
    const struct query_node *t = q->filter.first;
    if (!t || t->next || t->kind != QN_TEST || t->op != QOP_EQ)
        return NULL;
    return str_eq(t->field->name, field) ? t : NULL;
}
