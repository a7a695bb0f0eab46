/* filter[…]…=: names to a tree of tests. */
#include "common/kit/query_int.h"

#include "common/base/str.h"

#include <assert.h>

/* What tests cost PostgreSQL, roughly: rows of another table are looked up for each row, patterns
 * and full text are compared word by word.  query_cost_max bounds the sum. */
enum { cost_test = 1, cost_pattern = 4, cost_relation = 6 };

/* A node while the tree is built: what it was asked for by, so that a later parameter finds it. */
struct grown {
    struct query_node node; /* first */
    struct query_word key;  /* "or", "3", "author"; none: cannot be found again */
};

struct path {
    const char *name; /* of the parameter */
    struct query_word part[query_filter_brackets_max];
    size_t n;
};

static int bad_name(const char *name, struct err *err)
{
    return err_at(
        err, E_invalid_parameter, name,
        "%.60s: a filter is filter[field], filter[field][operator], or these in groups such "
        "as filter[or][0][field], with at most %d pairs of brackets.",
        name, query_filter_brackets_max);
}

/* "filter[a][b]" to its parts; false unless it is that. */
static bool split_name(const char *name, struct path *ret)
{
    const char *p = name + strlen("filter");
    *ret = (struct path){ .name = name };
    while (*p == '[') {
        size_t n = strcspn(++p, "[]");
        if (!n || p[n] != ']' || ret->n == query_filter_brackets_max)
            return false;
        ret->part[ret->n++] = (struct query_word){ p, n };
        p += n + 1;
    }
    return ret->n && !*p;
}

static int bad_field(struct query_reader *r, struct query_at at, const char *name, struct err *err)
{
    struct buf b;
    buf_init(&b, r->a, 256, 350);
    for (const struct field_def *f = at.e->fields; f->name; f++)
        if (vis_field(at.e, f, at.vc, false) && query_ops_of(at.e, f))
            buf_printf(&b, "%s%s", b.len ? ", " : "", f->name);
    for (const struct relation_def *rel = at.e->relations; rel && rel->name; rel++)
        if (!entity_field(at.e, rel->name))
            buf_printf(&b, "%s%s", b.len ? ", " : "", rel->name);
    return err_at(err, E_invalid_parameter, name,
                  "%.80s cannot be filtered by; of %s these are valid: %s; to group: or, and, not",
                  name, at.e->plural, b.data ? b.data : "");
}

static struct grown *append(struct query_reader *r, struct query_node *parent,
                            enum query_node_kind kind, struct query_word key)
{
    struct grown *g = arena_alloc(r->a, sizeof(*g));
    *g = (struct grown){ .node = { .kind = kind }, .key = key };
    const struct query_node **at = &parent->first;
    while (*at)
        at = (const struct query_node **)(uintptr_t) & (*at)->next;
    *at = &g->node;
    return g;
}

/* The child that an earlier parameter made by this name, or a new one. */
static struct query_node *child(struct query_reader *r, struct query_node *parent,
                                enum query_node_kind kind, struct query_word key)
{
    for (const struct query_node *c = parent->first; c; c = c->next) {
        const struct grown *g = (const struct grown *)c;
        if (c->kind == kind && g->key.s && g->key.n == key.n && !memcmp(g->key.s, key.s, key.n))
            return (struct query_node *)(uintptr_t)c;
    }
    return &append(r, parent, kind, key)->node;
}

static bool is_index(struct query_word w)
{
    char text[4] = { 0 };
    int64_t i;
    if (w.n >= sizeof(text))
        return false;
    memcpy(text, w.s, w.n);
    return str_to_i64(text, 0, query_group_items_max - 1, &i);
}

/* [or][0], [and][0], [not]: one step into the tree; how many parts it took, 0 if it is no group. */
static int group(struct query_reader *r, const struct path *p, size_t i, struct query_node **at,
                 struct err *err)
{
    struct query_word w = p->part[i];
    bool any = query_word_is(w, "or");
    if (query_word_is(w, "not")) {
        *at = child(r, *at, QN_NOT, w);
        return 1;
    }
    if (!any && !query_word_is(w, "and"))
        return 0;
    if (i + 1 == p->n || !is_index(p->part[i + 1]))
        return err_at(err, E_invalid_parameter, p->name,
                      "%.80s: %.*s is followed by a number from [0] to [%d] and a filter.", p->name,
                      (int)w.n, w.s, query_group_items_max - 1);
    *at = child(r, *at, any ? QN_ANY : QN_ALL, w);
    *at = child(r, *at, QN_ALL, p->part[i + 1]);
    return 2;
}

static int spend(struct query_reader *r, const char *name, unsigned cost, struct err *err)
{
    r->cost += cost;
    if (r->cost <= query_cost_max)
        return 0;
    return err_at(err, E_invalid_parameter, name,
                  "The filters cost more than %d: a test %d, a pattern or full text %d, a relation "
                  "%d.",
                  query_cost_max, cost_test, cost_pattern, cost_relation);
}

/* The node for rows at the other end of a relation.  In brackets it is shared by all parameters
 * that name it there, so that their tests are about one row. */
static int step(struct query_reader *r, const struct path *p, struct query_node **at,
                const struct query_link *link, const struct query_word *shared, struct err *err)
{
    struct query_node *n = shared ? child(r, *at, QN_HAS, *shared)
                                  : &append(r, *at, QN_HAS, (struct query_word){ NULL, 0 })->node;
    *at = n;
    if (n->far)
        return 0;
    n->ref = link->rel ? NULL : link->field;
    n->rel = link->rel;
    n->far = link->far.e;
    n->vc = link->far.vc;
    return spend(r, p->name, cost_relation, err);
}

static int add_test(struct query_reader *r, const struct path *p, struct query_node *parent,
                    const struct field_def *f, enum query_op op, const char *value, struct err *err)
{
    struct query_node *t = &append(r, parent, QN_TEST, (struct query_word){ NULL, 0 })->node;
    t->field = f;
    t->op = op;
    bool slow = op == QOP_LIKE || op == QOP_ILIKE || op == QOP_FTS || op == QOP_CONTAINS;
    int rc = query_read_values(r, p->name, value, t, err);
    return rc < 0 ? rc : spend(r, p->name, slow ? cost_pattern : cost_test, err);
}

static int read_op(struct query_reader *r, const struct path *p, const struct query_word *w,
                   unsigned ops, enum query_op *ret, struct err *err)
{
    struct buf b;
    *ret = QOP_EQ;
    if (!w && ops & 1u << QOP_EQ)
        return 0;
    buf_init(&b, r->a, 64, 160);
    for (unsigned i = 0; i < QOPS_MAX_; i++) {
        if (!(ops >> i & 1))
            continue;
        if (w && query_word_is(*w, query_op_name((enum query_op)i))) {
            *ret = (enum query_op)i;
            return 0;
        }
        buf_printf(&b, "%s%s", b.len ? ", " : "", query_op_name((enum query_op)i));
    }
    return err_at(err, E_invalid_parameter, p->name, "%.100s has no such operator; valid: %s",
                  p->name, b.data ? b.data : "none");
}

/* filter[speakers]=7, [in]=7,8 or [null]=true: is there a row with this id, is there any? */
static int test_relation(struct query_reader *r, const struct path *p, struct query_node *at,
                         const struct query_link *link, const struct query_word *w,
                         const char *value, struct err *err)
{
    enum query_op op;
    bool none;
    int rc = read_op(r, p, w, 1u << QOP_EQ | 1u << QOP_IN | 1u << QOP_NULL, &op, err);
    if (rc < 0)
        return rc;
    if (op == QOP_NULL) {
        if (!str_to_bool(value, &none))
            return err_at(err, E_invalid_parameter, p->name, "%.100s must be true or false.",
                          p->name);
        if (none)
            at = &append(r, at, QN_NOT, (struct query_word){ NULL, 0 })->node;
        return step(r, p, &at, link, NULL, err);
    }
    rc = step(r, p, &at, link, NULL, err);
    return rc < 0 ? rc : add_test(r, p, at, &link->far.e->fields[0], op, value, err);
}

static bool is_op(struct query_word w)
{
    for (unsigned i = 0; i < QOPS_MAX_; i++)
        if (query_word_is(w, query_op_name((enum query_op)i)))
            return true;
    return false;
}

struct walk {
    struct query_node *at;
    struct query_at here;
    size_t i; /* of the part */
    unsigned steps;
};

static int go(struct query_reader *r, const struct path *p, struct walk *w,
              const struct query_link *link, const struct query_word *shared, struct err *err)
{
    if (w->steps++ == query_steps_max)
        return err_at(err, E_invalid_parameter, p->name, "%.80s goes along more than %d relations.",
                      p->name, query_steps_max);
    w->here = link->far;
    return step(r, p, &w->at, link, shared, err);
}

/* One bracket that names a field: goes along its dots, then ends in a test (true in *ret_done) or
 * goes on behind a relation. */
static int name_part(struct query_reader *r, const struct path *p, struct walk *w,
                     const char *value, bool *ret_done, struct err *err)
{
    struct query_word rest = p->part[w->i], word = query_before_dot(rest, &rest);
    const struct query_word *next = w->i + 1 < p->n ? &p->part[w->i + 1] : NULL;
    struct query_link link;
    enum query_op op;
    int rc;
    for (; rest.s; word = query_before_dot(rest, &rest)) {
        if (!query_link(r, w->here, word, &link))
            return bad_field(r, w->here, p->name, err);
        if (link.field && link.field->type == F_REF && query_word_is(rest, "id"))
            break; /* the id is in the row itself */
        rc = go(r, p, w, &link, NULL, err);
        if (rc < 0)
            return rc;
    }
    bool linked = query_link(r, w->here, word, &link);
    if (next && linked && !rest.s && !(w->i + 2 == p->n && is_op(*next))) {
        w->i++;
        return go(r, p, w, &link, &p->part[w->i - 1], err);
    }
    *ret_done = true;
    if (next && w->i + 2 < p->n)
        return query_plain_field(w->here, word) ? bad_name(p->name, err)
                                                : bad_field(r, w->here, p->name, err);
    if (linked && link.rel)
        return test_relation(r, p, w->at, &link, next, value, err);
    const struct field_def *f = query_plain_field(w->here, word);
    unsigned ops = f ? query_ops_of(w->here.e, f) : 0;
    if (!ops)
        return bad_field(r, w->here, p->name, err);
    rc = read_op(r, p, next, ops, &op, err);
    return rc < 0 ? rc : add_test(r, p, w->at, f, op, value, err);
}

int query_read_filter(struct query_reader *r, const char *name, const char *value, struct err *err)
{
    struct path p;
    struct query *q = r->q;
    struct walk w = {
        .at = &q->filter, .here = { r->e, q->vc }
    };
    bool done = false;
    if (!split_name(name, &p))
        return bad_name(name, err);
    if (q->ntests++ == query_tests_max)
        return err_at(err, E_invalid_parameter, name, "At most %d filters can be combined.",
                      query_tests_max);
    while (!done) {
        if (w.i == p.n)
            return bad_name(name, err);
        int rc = group(r, &p, w.i, &w.at, err);
        if (rc > 0)
            w.i += (size_t)rc;
        else if (rc == 0)
            rc = name_part(r, &p, &w, value, &done, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
