/* The body of a bulk: what it asks for, item by item. */
#include "common/kit/crud_bulk_int.h"

#include "common/base/str.h"

enum { filter_depth_max = 8, filter_value_bytes_max = 8192 };

static const char *const op_names[BULK_OPS_MAX_] = { "create", "update", "upsert", "delete",
                                                     "restore" };

static int too_many(struct err *err)
{
    return err_set(err, E_too_large, "A bulk has at most %d operations.", bulk_ops_max);
}

/* --- operations --- */

static void refuse(struct bulk *b, struct bulk_item *it, const char *member, const char *why)
{
    (void)b;
    err_at(&it->err, E_validation, member, "%s", why);
    it->bad = true;
}

static void read_id(struct bulk *b, struct bulk_item *it, const json_t *v, const char *at)
{
    int64_t id = json_is_integer(v) ? json_integer_value(v) : 0;
    if (id < 1 || id > (INT64_C(1) << 53) - 1)
        refuse(b, it, at, "It must be the id of a row.");
    else
        it->id = arena_printf(b->req->arena, "%lld", (long long)id);
}

static bool read_tags(const char *s)
{
    int64_t versions[write_versions_max];
    size_t n;
    bool any;
    return etag_versions(s, &any, versions, ARRAY_LEN(versions), &n);
}

static void read_members(struct bulk *b, struct bulk_item *it, const json_t *o)
{
    static const char *const known[] = { "op", "id", "if_match", "if_none_match", "data", NULL };
    const char *key;
    json_t *v, *members = (json_t *)(uintptr_t)o; /* iterated, not changed */
    json_object_foreach(members, key, v)
    {
        size_t i = 0;
        while (known[i] && !str_eq(known[i], key))
            i++;
        if (!known[i])
            refuse(b, it, json_pointer_add(b->req->arena, "", key), "There is no such member.");
    }
    const json_t *id = json_object_get(o, "id"), *match = json_object_get(o, "if_match");
    const json_t *none = json_object_get(o, "if_none_match");
    if (id)
        read_id(b, it, id, "/id");
    it->if_match = json_string_value(match);
    if (match && (!it->if_match || !read_tags(it->if_match)))
        refuse(b, it, "/if_match", "It must be an entity tag, in quotes.");
    it->none_match = str_eq(json_string_value(none), "*");
    if (none && (!it->none_match || it->op != BULK_UPSERT))
        refuse(b, it, "/if_none_match", "It is * , of an upsert.");
    it->data = json_object_get(o, "data");
}

static void read_op(struct bulk *b, struct bulk_item *it, const json_t *o)
{
    const char *op = json_string_value(json_object_get(o, "op"));
    unsigned k = 0;
    while (k < BULK_OPS_MAX_ && !str_eq(op, op_names[k]))
        k++;
    if (!json_is_object(o)) {
        refuse(b, it, "", "An operation must be an object.");
        return;
    }
    if (k == BULK_OPS_MAX_ || (k == BULK_RESTORE && !b->e->soft_delete)) {
        refuse(b, it, "/op", "It must be one of create, update, upsert, delete, restore.");
        return;
    }
    it->op = (enum bulk_op)k;
    read_members(b, it, o);
    bool by_id = it->op == BULK_UPDATE || it->op == BULK_DELETE || it->op == BULK_RESTORE;
    bool has_data = it->op != BULK_DELETE && it->op != BULK_RESTORE;
    if (it->bad)
        return;
    if (by_id != (it->id != NULL))
        refuse(b, it, "/id", by_id ? "It must say which row." : "The platform gives the id.");
    else if (has_data != (it->data != NULL))
        refuse(b, it, "/data", has_data ? "It needs data." : "It takes no data.");
    else if (it->op == BULK_CREATE && it->if_match)
        refuse(b, it, "/if_match", "There is nothing yet that it could be.");
}

static int read_list(struct bulk *b, const json_t *body, struct err *err)
{
    b->n = json_array_size(body);
    if (b->n > bulk_ops_max)
        return too_many(err);
    b->items = arena_alloc(b->req->arena, (b->n + 1) * sizeof(*b->items));
    for (size_t i = 0; i < b->n; i++) {
        struct bulk_item *it = &b->items[i];
        it->at = arena_printf(b->req->arena, "/%zu", i);
        it->data_at = arena_printf(b->req->arena, "/%zu/data", i);
        read_op(b, it, json_array_get(body, i));
    }
    return 0;
}

/* --- one patch for many --- */

static int cmp_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int read_ids(struct bulk *b, const json_t *ids, struct err *err)
{
    b->n = json_array_size(ids);
    if (!json_is_array(ids))
        return err_at(err, E_validation, "/ids", "It must be an array of ids.");
    if (b->n > bulk_ops_max)
        return too_many(err);
    int64_t *sorted = arena_alloc(b->req->arena, (b->n + 1) * sizeof(*sorted));
    b->items = arena_alloc(b->req->arena, (b->n + 1) * sizeof(*b->items));
    for (size_t i = 0; i < b->n; i++) {
        struct bulk_item *it = &b->items[i];
        *it = (struct bulk_item){ .op = BULK_UPDATE,
                                  .data = b->patch,
                                  .at = arena_printf(b->req->arena, "/ids/%zu", i),
                                  .data_at = "/patch" };
        read_id(b, it, json_array_get(ids, i), "");
        sorted[i] = json_integer_value(json_array_get(ids, i));
    }
    qsort(sorted, b->n, sizeof(*sorted), cmp_i64);
    for (size_t i = 1; i < b->n; i++)
        if (sorted[i] == sorted[i - 1] && sorted[i])
            return err_at(err, E_validation, "/ids", "%lld is there twice.", (long long)sorted[i]);
    return 0;
}

int bulk_read_rows(struct bulk *b, const int64_t *ids, size_t n, struct err *err)
{
    if ((int64_t)n > b->max_affected)
        return err_at(err, E_conflict, "/max_affected", "More than %lld rows would be changed.",
                      (long long)b->max_affected);
    if (n > bulk_ops_max)
        return err_set(err, E_too_large, "The filter finds more than %d rows.", bulk_ops_max);
    b->n = n;
    b->items = arena_alloc(b->req->arena, (n + 1) * sizeof(*b->items));
    for (size_t i = 0; i < n; i++)
        b->items[i] =
            (struct bulk_item){ .op = BULK_UPDATE,
                                .data = b->patch,
                                .at = "/filter",
                                .data_at = "/patch",
                                .id = arena_printf(b->req->arena, "%lld", (long long)ids[i]) };
    return 0;
}

static int read_max(struct bulk *b, const json_t *v, struct err *err)
{
    b->max_affected = v ? json_integer_value(v) : INT64_MAX;
    if (v && (!json_is_integer(v) || b->max_affected < 0))
        return err_at(err, E_validation, "/max_affected", "It must be a number of rows.");
    return 0;
}

int bulk_read(struct bulk *b, const json_t *body, struct err *err)
{
    static const char *const known[] = { "ids", "filter", "patch", "max_affected" };
    if (json_is_array(body))
        return read_list(b, body, err);
    const json_t *ids = json_object_get(body, "ids");
    b->filter = json_object_get(body, "filter");
    b->patch = json_object_get(body, "patch");
    size_t members = json_object_size(body);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        members -= json_object_get(body, known[i]) != NULL;
    if (members || !b->patch || !ids == !b->filter)
        return err_at(
            err, E_validation, "",
            "The body must be an array of operations, or an object with ids and patch, or "
            "with filter, patch and max_affected.");
    if (!json_is_object(b->patch))
        return err_at(err, E_validation, "/patch", "It must be an object.");
    int rc = read_max(b, json_object_get(body, "max_affected"), err);
    if (rc < 0)
        return rc;
    if (b->filter)
        return json_is_object(b->filter)
                   ? 0
                   : err_at(err, E_validation, "/filter", "It must be an object.");
    rc = read_ids(b, ids, err);
    if (rc >= 0 && (int64_t)b->n > b->max_affected)
        return err_at(err, E_conflict, "/max_affected", "More than %lld rows would be changed.",
                      (long long)b->max_affected);
    return rc;
}

/* --- the filter as parameters of a list --- */

struct flat {
    struct bulk *b;
    struct query_arg *args;
    size_t n, max;
    struct err *err;
};

static int put_arg(struct flat *f, const char *name, const char *value)
{
    if (f->n == f->max)
        return err_at(f->err, E_invalid_parameter, "/filter", "The filter has too many parts.");
    f->args[f->n++] = (struct query_arg){ name, value };
    return 0;
}

static int bad_value(struct flat *f, const char *name)
{
    return err_at(f->err, E_invalid_parameter, "/filter",
                  "%.100s takes a text, a number, true, false, or a list of these.", name);
}

static const char *scalar(struct arena *a, const json_t *v)
{
    if (json_is_string(v))
        return json_string_value(v);
    return json_is_number(v) || json_is_boolean(v) ? json_text(a, v) : NULL;
}

/* ["a","b"] -> "a,b" */
static int put_values(struct flat *f, const char *name, const json_t *list)
{
    struct buf b;
    buf_init(&b, f->b->req->arena, 64, filter_value_bytes_max);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = scalar(f->b->req->arena, json_array_get(list, i));
        if (!s)
            return bad_value(f, name);
        if (strchr(s, ','))
            return err_at(f->err, E_invalid_parameter, "/filter",
                          "%.100s: a value of a list has no comma in it.", name);
        buf_printf(&b, "%s%s", i ? "," : "", s);
    }
    return b.overflow ? err_at(f->err, E_invalid_parameter, "/filter", "%.100s is too long.", name)
                      : put_arg(f, name, b.len ? b.data : "");
}

static int flatten(struct flat *f, const char *name, const json_t *v, unsigned depth)
{
    struct arena *a = f->b->req->arena;
    const char *key, *text = scalar(a, v);
    json_t *item, *members = (json_t *)(uintptr_t)v; /* iterated, not changed */
    int rc = 0;
    if (text)
        return put_arg(f, name, text);
    if (depth == filter_depth_max)
        return err_at(f->err, E_invalid_parameter, "/filter", "The filter is nested too deep.");
    if (json_is_object(v)) {
        json_object_foreach(members, key, item)
        {
            if (rc == 0 && strpbrk(key, "[]"))
                rc = err_at(f->err, E_invalid_parameter, "/filter",
                            "A name in a filter has no brackets; nest objects instead.");
            if (rc == 0)
                rc = flatten(f, arena_printf(a, "%s[%s]", name, key), item, depth + 1);
        }
        return rc;
    }
    if (!json_is_array(v))
        return bad_value(f, name);
    if (!json_is_object(json_array_get(v, 0)))
        return put_values(f, name, v);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
        rc = flatten(f, arena_printf(a, "%s[%zu]", name, i), json_array_get(v, i), depth + 1);
    return rc;
}

int bulk_read_filter(struct bulk *b, struct query_arg *args, size_t max, size_t *ret_n,
                     struct err *err)
{
    struct flat f = { .b = b, .args = args, .max = max, .err = err };
    int rc = flatten(&f, "filter", b->filter, 0);
    *ret_n = f.n;
    return rc;
}
