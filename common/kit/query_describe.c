/* What a list may be asked, for machines: the same tables that the parser reads. */
#include "common/kit/query_int.h"

#include "common/base/json.h"
#include "common/base/str.h"
#include "common/kit/sqlgen.h"

static void add(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

static json_t *operators(const struct entity_def *e, const struct field_def *f)
{
    unsigned ops = query_ops_of(e, f);
    json_t *list = json_array();
    for (unsigned op = 0; op < QOPS_MAX_; op++)
        if (ops >> op & 1)
            (void)json_array_append_new(list, json_string(query_op_name((enum query_op)op)));
    return list;
}

static json_t *link_names(struct arena *a, const struct entity_def *e)
{
    const struct principal admin = { .role = ROLE_ADMIN, .scopes = (scope_set)1 << S_api_admin };
    const struct query_reader r = { .a = a, .who = &admin, .e = e };
    struct buf b;
    json_t *list = json_array();
    buf_init(&b, a, 256, 4096);
    query_put_links(&r, (struct query_at){ e, VC_ADMIN }, &b);
    for (const char *p = b.data; p && *p; p += strspn(p, ", ")) {
        size_t n = strcspn(p, ",");
        (void)json_array_append_new(list, json_stringn(p, n));
        p += n;
    }
    return list;
}

static json_t *limits(bool includes)
{
    static const struct {
        const char *name;
        int64_t value;
        bool of_includes;
    } rows[] = {
        { "per_page_default",   query_per_page_default,    false },
        { "per_page_max",       query_per_page_max,        false },
        { "offset_max",         query_offset_max,          false },
        { "cursor_bytes_max",   query_cursor_bytes_max,    false },
        { "filters_max",        query_tests_max,           false },
        { "filter_depth_max",   query_filter_brackets_max, false },
        { "filter_group_max",   query_group_items_max,     false },
        { "filter_values_max",  query_in_values_max,       false },
        { "filter_cost_max",    query_cost_max,            false },
        { "relation_steps_max", query_steps_max,           true  },
        { "sort_max",           query_sort_max,            false },
        { "fields_max",         query_fields_max,          false },
        { "value_bytes_max",    query_value_bytes_max,     false },
        { "includes_max",       query_includes_max,        true  },
        { "include_depth_max",  query_include_depth_max,   true  },
        { "included_rows_max",  include_rows_max,          true  },
    };
    json_t *all = json_object();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (includes || !rows[i].of_includes)
            add(all, rows[i].name, json_integer(rows[i].value));
    return all;
}

json_t *query_describe(struct arena *a, const struct entity_def *e, bool includes)
{
    json_t *filters = json_object(), *sorts = json_array(), *private = json_array();
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (f->flags & (FF_HIDDEN | FF_SECRET))
            continue;
        if (query_ops_of(e, f))
            add(filters, f->name, operators(e, f));
        if (f->flags & FF_SORT)
            (void)json_array_append_new(sorts, json_string(f->name));
        if (f->flags & FF_PRIVATE)
            (void)json_array_append_new(private, json_string(f->name));
    }
    json_t *all = json_object();
    add(all, "filter", filters);
    add(all, "sort", sorts);
    add(all, "default_sort", json_string(e->sort ? e->sort : "id"));
    add(all, "include", includes ? link_names(a, e) : json_array());
    add(all, "private", private);
    add(all, "limits", limits(includes));
    return all;
}
