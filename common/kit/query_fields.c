/* fields= and include=: what is shown of the rows, and what is read with them. */
#include "common/kit/query_int.h"

#include "common/base/str.h"

#include <assert.h>

static int unknown_include(const struct query_reader *r, struct query_at at, const char *what,
                           struct err *err)
{
    struct buf b;
    buf_init(&b, r->a, 128, 400);
    query_put_links(r, at, &b);
    return err_at(err, E_invalid_parameter, "include", "include does not know %.60s; valid: %s",
                  query_echo(what), b.data ? b.data : "nothing");
}

static int unknown_field(const struct query_reader *r, struct query_at at, const char *what,
                         struct err *err)
{
    struct buf b;
    buf_init(&b, r->a, 256, 400);
    for (const struct field_def *f = at.e->fields; f->name; f++)
        if (vis_field(at.e, f, at.vc, false))
            buf_printf(&b, "%s%s", b.len ? ", " : "", f->name);
    return err_at(err, E_invalid_parameter, "fields", "fields does not know %.60s; valid: %s",
                  query_echo(what), b.data ? b.data : "");
}

static struct query_at at_of(const struct query_reader *r, int node)
{
    if (node < 0)
        return (struct query_at){ r->e, r->q->vc };
    return (struct query_at){ r->q->includes[node].far, r->q->includes[node].vc };
}

static int depth_of(const struct query *q, int node)
{
    int n = 0;
    for (; node >= 0; node = q->includes[node].parent)
        n++;
    return n;
}

/* The relation `link` of what `parent` reads: its position, made if it is not there; *ret_new says
 * which. */
static int add_include(struct query_reader *r, const char *param, int parent,
                       const struct query_link *link, bool *ret_new, struct err *err)
{
    struct query *q = r->q;
    *ret_new = false;
    for (size_t i = 0; i < q->nincludes; i++)
        if (q->includes[i].parent == parent && q->includes[i].field == link->field &&
            q->includes[i].rel == link->rel)
            return (int)i;
    if (depth_of(q, parent) == query_include_depth_max)
        return err_at(err, E_invalid_parameter, param, "%s goes along more than %d relations.",
                      param, query_include_depth_max);
    if (q->nincludes == query_includes_max)
        return err_at(err, E_invalid_parameter, param, "More than %d relations are asked for.",
                      query_includes_max);
    q->includes[q->nincludes] = (struct query_include){ .parent = parent,
                                                        .field = link->field,
                                                        .rel = link->rel,
                                                        .far = link->far.e,
                                                        .vc = link->far.vc,
                                                        .fields = ~(uint64_t)0 };
    *ret_new = true;
    return (int)q->nincludes++;
}

int query_read_include(struct query_reader *r, const char *value, struct err *err)
{
    const char **list;
    size_t n;
    unsigned asked = 0; /* bit: the include was named in full */
    int rc = query_split(r->a, "include", value, query_includes_max, &list, &n, err);
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        int node = -1;
        bool made = false;
        struct query_word rest = { list[i], strlen(list[i]) };
        while (rc >= 0 && rest.s) {
            struct query_link link;
            struct query_at at = at_of(r, node);
            if (!query_link(r, at, query_before_dot(rest, &rest), &link))
                return unknown_include(r, at, list[i], err);
            rc = node = add_include(r, "include", node, &link, &made, err);
        }
        if (rc < 0)
            return rc;
        if (asked >> node & 1)
            return err_at(err, E_invalid_parameter, "include", "include names %.60s twice.",
                          query_echo(list[i]));
        asked |= 1u << node;
    }
    return rc;
}

/* The mask that a list of fields narrows: of the rows themselves or of an include. */
static uint64_t *narrow(struct query *q, int node)
{
    bool *given = node < 0 ? &q->fields_given : &q->includes[node].fields_given;
    uint64_t *mask = node < 0 ? &q->fields : &q->includes[node].fields;
    if (!*given)
        *mask = 0;
    *given = true;
    return mask;
}

static int add_field(struct query_reader *r, const char *item, struct err *err)
{
    struct query_word rest = { item, strlen(item) }, word = query_before_dot(rest, &rest);
    struct query_link link;
    int node = -1, rc;
    bool made;
    for (; rest.s; word = query_before_dot(rest, &rest)) {
        if (!query_link(r, at_of(r, node), word, &link))
            return unknown_field(r, at_of(r, node), item, err);
        narrow(r->q, node); /* a list that only names author.x shows no other field */
        rc = node = add_include(r, "fields", node, &link, &made, err);
        if (rc < 0)
            return rc;
    }
    struct query_at at = at_of(r, node);
    const struct field_def *f = query_field(at, word);
    if (f)
        *narrow(r->q, node) |= UINT64_C(1) << (f - at.e->fields);
    else if (query_word_is(word, "*"))
        *narrow(r->q, node) = ~(uint64_t)0;
    else if (query_link(r, at, word, &link)) { /* a relation that is no field: read in full */
        narrow(r->q, node);
        return add_include(r, "fields", node, &link, &made, err) < 0 ? -(int)err->code : 0;
    } else {
        return unknown_field(r, at, item, err);
    }
    return 0;
}

int query_read_fields(struct query_reader *r, const char *value, struct err *err)
{
    const char **list;
    size_t n;
    int rc = query_split(r->a, "fields", value, query_fields_max, &list, &n, err);
    r->q->fields_text = value;
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = add_field(r, list[i], err);
    return rc;
}

/* What is read with the rows is shown. */
void query_finish_includes(struct query *q, const struct entity_def *e)
{
    for (size_t i = 0; i < q->nincludes; i++) {
        const struct query_include *inc = &q->includes[i];
        const struct entity_def *near = inc->parent < 0 ? e : q->includes[inc->parent].far;
        uint64_t *mask = inc->parent < 0 ? &q->fields : &q->includes[inc->parent].fields;
        if (inc->field)
            *mask |= UINT64_C(1) << (inc->field - near->fields);
    }
}
