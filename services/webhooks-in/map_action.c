/* The actions of a mapping: are they written rightly, and what are they to do with a result? */
#include "common/base/str.h"
#include "common/kit/shape.h"
#include "proto/command.h"
#include "services/webhooks-in/map_internal.h"
#include "services/webhooks-in/verify.h"

enum { key_max = 300, template_max = 100, planned_first = 16 };

struct asked { /* an action that applies to a result */
    struct arena *a;
    const json_t *x, *result;
    json_t *data;         /* what it says, a copy */
    struct planned about; /* what all kinds have */
    struct plan *ret;
};
struct kind {
    const char *name;
    const char *props[9]; /* beside those of all */
    int (*check)(const json_t *x, const char *at, struct err *err);
    int (*plan)(const struct asked *q, struct err *err);
};
static const char *const common_props[] = { "do", "data", "set", "when", "retry", NULL };

static const char *text(const json_t *x, const char *name)
{
    return json_string_value(json_object_get(x, name));
}

/* --- conditions ----------------------------------------------------------------------------------
 */

static bool same(const json_t *v, const json_t *want)
{
    return v ? json_equal(v, want) : json_is_null(want);
}

static bool is_in(const json_t *v, const json_t *list)
{
    for (size_t i = 0; v && i < json_array_size(list); i++)
        if (json_equal(v, json_array_get(list, i)))
            return true;
    return false;
}

/* Two numbers, or two texts (times are written so that their order is that of the texts). */
static bool order(const json_t *v, const json_t *want, int *ret)
{
    if (json_is_number(v) && json_is_number(want)) {
        double a = json_number_value(v), b = json_number_value(want);
        *ret = (a > b) - (a < b);
        return true;
    }
    if (!json_is_string(v) || !json_is_string(want))
        return false;
    *ret = strcmp(json_string_value(v), json_string_value(want));
    return true;
}

static bool op_is(const json_t *v, const json_t *want)
{
    return same(v, want);
}
static bool op_not(const json_t *v, const json_t *want)
{
    return !same(v, want);
}
static bool op_in(const json_t *v, const json_t *want)
{
    return is_in(v, want);
}
static bool op_nin(const json_t *v, const json_t *want)
{
    return !is_in(v, want);
}
static bool op_exists(const json_t *v, const json_t *want)
{
    return (v && !json_is_null(v)) == json_is_true(want);
}
static bool op_gt(const json_t *v, const json_t *want)
{
    int c;
    return order(v, want, &c) && c > 0;
}
static bool op_gte(const json_t *v, const json_t *want)
{
    int c;
    return order(v, want, &c) && c >= 0;
}
static bool op_lt(const json_t *v, const json_t *want)
{
    int c;
    return order(v, want, &c) && c < 0;
}
static bool op_lte(const json_t *v, const json_t *want)
{
    int c;
    return order(v, want, &c) && c <= 0;
}
static bool op_contains(const json_t *v, const json_t *want)
{
    if (json_is_array(v))
        return is_in(want, v);
    return json_is_string(v) && json_is_string(want) &&
           strstr(json_string_value(v), json_string_value(want));
}
static bool op_starts(const json_t *v, const json_t *want)
{
    return json_is_string(v) && json_is_string(want) &&
           str_starts(json_string_value(v), json_string_value(want));
}

enum takes { TAKES_ANY, TAKES_LIST, TAKES_BOOL, TAKES_ORDERED, TAKES_TEXT };
static const struct op {
    const char *name;
    enum takes takes;
    bool (*holds)(const json_t *v, const json_t *want);
} ops[] = {
    { "is",       TAKES_ANY,     op_is       },
    { "not",      TAKES_ANY,     op_not      },
    { "in",       TAKES_LIST,    op_in       },
    { "nin",      TAKES_LIST,    op_nin      },
    { "exists",   TAKES_BOOL,    op_exists   },
    { "gt",       TAKES_ORDERED, op_gt       },
    { "gte",      TAKES_ORDERED, op_gte      },
    { "lt",       TAKES_ORDERED, op_lt       },
    { "lte",      TAKES_ORDERED, op_lte      },
    { "contains", TAKES_ANY,     op_contains },
    { "starts",   TAKES_TEXT,    op_starts   },
};

static bool takes_ok(enum takes t, const json_t *v)
{
    switch (t) {
    case TAKES_ANY:
        return true;
    case TAKES_LIST:
        return json_is_array(v);
    case TAKES_BOOL:
        return json_is_boolean(v);
    case TAKES_ORDERED:
        return json_is_number(v) || json_is_string(v);
    case TAKES_TEXT:
        return json_is_string(v);
    }
    return false;
}

static int check_condition(const json_t *when, const char *at, struct err *err)
{
    const char *known[ARRAY_LEN(ops) + 2] = { "at" };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        known[i + 1] = ops[i].name;
    int rc = map_names(when, at, known, NULL, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        const json_t *v = json_object_get(when, ops[i].name);
        n += v != NULL;
        if (v && !takes_ok(ops[i].takes, v))
            return map_wrong(err, at, "compares with what its operator does not take.");
    }
    if (!map_pointer_ok(text(when, "at")) || n != 1)
        return map_wrong(err, at,
                         "has a when without at and one of is, not, in, nin, exists, gt, gte, lt, "
                         "lte, contains, starts.");
    return 0;
}

static int check_when(const json_t *when, const char *at, struct err *err)
{
    int rc = 0;
    if (!json_is_array(when))
        return when ? check_condition(when, at, err) : 0;
    if (json_array_size(when) > map_when_max)
        return map_wrong(err, at, "has too many conditions.");
    for (size_t i = 0; !rc && i < json_array_size(when); i++)
        rc = check_condition(json_array_get(when, i), at, err);
    return rc;
}

static bool holds(const json_t *when, const json_t *result)
{
    const json_t *v = json_at(result, text(when, "at"));
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        const json_t *want = json_object_get(when, ops[i].name);
        if (want)
            return ops[i].holds(v, want);
    }
    return false;
}

static bool applies(const json_t *when, const json_t *result)
{
    if (!json_is_array(when))
        return !when || holds(when, result);
    for (size_t i = 0; i < json_array_size(when); i++)
        if (!holds(json_array_get(when, i), result))
            return false;
    return true;
}

/* --- plans ---------------------------------------------------------------------------------------
 */

static int add(struct arena *a, struct plan *ret, const struct planned *p, struct err *err)
{
    if (ret->n == map_planned_max)
        return err_at(err, E_validation, "", "There would be more than %d actions.",
                      map_planned_max);
    if (ret->n == ret->max) {
        struct planned *more;
        ret->max = ret->max ? 2 * ret->max : planned_first;
        more = arena_alloc(a, ret->max * sizeof(*more));
        if (ret->n)
            memcpy(more, ret->actions, ret->n * sizeof(*more));
        ret->actions = more;
    }
    ret->actions[ret->n++] = *p;
    return 0;
}

static int told_ok(struct arena *a, const json_t *data, struct err *err)
{
    return strlen(json_text(a, data)) > map_told_max
               ? err_at(err, E_validation, "", "What is told to others is larger than %d KiB.",
                        map_told_max / 1024)
               : 0;
}

/* --- content -------------------------------------------------------------------------------------
 */

static const struct entity_def *content_entity(const char *name)
{
    for (const struct entity_def *const *i = entities; name && *i; i++)
        if (str_eq((*i)->name, name))
            return *i;
    return NULL;
}

static int check_content(const json_t *x, const char *at, struct err *err)
{
    const char *kind = text(x, "do"), *key = text(x, "key");
    const struct entity_def *e = content_entity(text(x, "entity"));
    if (!e)
        return map_wrong(err, at,
                         "needs entity: post, page, media, expert, company, event or user.");
    if (str_eq(kind, "publish") && e->lifecycle != LIFE_PUBLISH)
        return map_wrong(err, at, "publishes what has no publishing.");
    const struct field_def *f = key ? entity_field(e, key) : NULL;
    if (str_eq(kind, "create"))
        return key ? map_wrong(err, at, "has a key, and create takes none.") : 0;
    if (!f || !(f->type == F_ID || f->flags & FF_UNIQUE))
        return map_wrong(err, at, "needs key: id, or a field that is unique.");
    if (str_eq(kind, "upsert") && f->type == F_ID)
        return map_wrong(err, at, "cannot upsert by id, which is not yours to choose.");
    return 0;
}

static int find_key(struct arena *a, struct planned *p, json_t *data, struct err *err)
{
    const json_t *v = json_object_get(data, p->field);
    if (json_is_integer(v))
        p->key = arena_printf(a, "%lld", (long long)json_integer_value(v));
    else
        p->key = json_string_value(v);
    if (!p->key || !*p->key || strlen(p->key) > key_max)
        return err_at(err, E_validation, p->field, "The result has no %s to find the %s by.",
                      p->field, p->entity);
    if (str_eq(p->field, "id")) {
        p->key = arena_strdup(a, p->key);
        json_object_del(data, "id");
    }
    return 0;
}

static int plan_content(const struct asked *q, struct err *err)
{
    struct planned p = q->about;
    p.entity = text(q->x, "entity");
    p.field = text(q->x, "key");
    if (strlen(json_text(q->a, q->data)) > map_data_max)
        return err_at(err, E_validation, "", "The result is larger than %d KiB.",
                      map_data_max / 1024);
    int rc = p.field ? find_key(q->a, &p, q->data, err) : 0;
    if (rc)
        return rc;
    p.data = str_eq(p.kind, "delete")    ? NULL
             : str_eq(p.kind, "publish") ? json_in(q->a, json_pack("{s:s}", "status", "published"))
                                         : q->data;
    return add(q->a, q->ret, &p, err);
}

/* --- telling endpoints ---------------------------------------------------------------------------
 */

static int check_emit(const json_t *x, const char *at, struct err *err)
{
    (void)x, (void)at, (void)err;
    return 0;
}

static int plan_emit(const struct asked *q, struct err *err)
{
    struct planned p = q->about;
    p.data = q->data;
    int rc = told_ok(q->a, q->data, err);
    return rc ? rc : add(q->a, q->ret, &p, err);
}

static int check_call(const json_t *x, const char *at, struct err *err)
{
    const json_t *id = json_object_get(x, "endpoint");
    if (!json_is_integer(id) || json_integer_value(id) < 1)
        return map_wrong(err, at, "needs endpoint, the id of a webhook endpoint.");
    return 0;
}

static int plan_call(const struct asked *q, struct err *err)
{
    struct planned p = q->about;
    p.field = "endpoint";
    p.key = arena_printf(q->a, "%lld",
                         (long long)json_integer_value(json_object_get(q->x, "endpoint")));
    p.data = q->data;
    int rc = told_ok(q->a, q->data, err);
    return rc ? rc : add(q->a, q->ret, &p, err);
}

/* --- telling people ------------------------------------------------------------------------------
 */

/* "/pointer" or "=constant". */
static bool pick_ok(const json_t *spec)
{
    const char *s = json_string_value(spec);
    return s && strlen(s) <= 4096 && (*s == '=' || (*s == '/' && map_pointer_ok(s)));
}

static const json_t *pick(const struct asked *q, const char *name)
{
    const char *s = text(q->x, name);
    if (!s)
        return NULL;
    return *s == '=' ? json_in(q->a, json_string(s + 1)) : json_at(q->result, s);
}

static int check_picks(const json_t *x, const char *at, const char *const *names, struct err *err)
{
    for (; *names; names++) {
        const json_t *spec = json_object_get(x, *names);
        if (spec && !pick_ok(spec))
            return map_wrong(err, at,
                             "has a text that is neither a JSON pointer into the result nor "
                             "=constant.");
    }
    return 0;
}

/* Does the message keep to what proto/command.h says of it? */
static int keeps(struct arena *a, const char *type, const json_t *body, struct err *err)
{
    struct shape_row row;
    shape_read(a, command_find(type)->shape->fields, SHAPE_CREATE, false, body, &row);
    if (!row.faults->n)
        return told_ok(a, body, err);
    const struct err_item *first = &row.faults->items[0];
    return err_at(err, E_validation, first->pointer, "%s%s: %s", type, first->pointer, first->msg);
}

static int check_mail(const json_t *x, const char *at, struct err *err)
{
    static const char *const picks[] = { "to", "language", NULL };
    const char *name = text(x, "template");
    if (!name || !*name || strlen(name) > template_max)
        return map_wrong(err, at, "needs template, the name of a mail.");
    if (!json_object_get(x, "to"))
        return map_wrong(err, at, "needs to: a JSON pointer into the result, or =address.");
    return check_picks(x, at, picks, err);
}

static int one_mail(const struct asked *q, const json_t *to, const json_t *language,
                    struct err *err)
{
    struct planned p = q->about;
    json_t *o =
        json_in(q->a, json_pack("{s:s, s:O?, s:O*, s:O}", "template", text(q->x, "template"), "to",
                                to, "language", language, "data", q->data));
    int rc = keeps(q->a, "mail.command", o, err);
    if (rc)
        return rc;
    p.field = "to";
    p.key = json_string_value(to);
    p.data = o;
    return add(q->a, q->ret, &p, err);
}

static int plan_mail(const struct asked *q, struct err *err)
{
    const json_t *to = pick(q, "to"), *language = pick(q, "language");
    int rc = 0;
    if (!json_is_array(to))
        return one_mail(q, to, language, err);
    if (!json_array_size(to) || json_array_size(to) > map_recipients_max)
        return err_at(err, E_validation, "/to", "A mail has 1 to %d recipients.",
                      map_recipients_max);
    for (size_t i = 0; !rc && i < json_array_size(to); i++)
        rc = one_mail(q, json_array_get(to, i), language, err);
    return rc;
}

static int check_notify(const json_t *x, const char *at, struct err *err)
{
    static const char *const picks[] = { "user", "title", "text", "url", NULL };
    static const char *const roles[] = { "member", "author", "editor", "admin", NULL };
    static const char *const levels[] = { "info", "success", "warning", "error", NULL };
    const json_t *role = json_object_get(x, "role"), *level = json_object_get(x, "level");
    if (!role == !json_object_get(x, "user"))
        return map_wrong(err, at, "needs user or role, one of them.");
    if (role && !map_one_of(roles, json_string_value(role)))
        return map_wrong(err, at, "has a role other than member, author, editor, admin.");
    if (level && !map_one_of(levels, json_string_value(level)))
        return map_wrong(err, at, "has a level other than info, success, warning, error.");
    if (!json_object_get(x, "title"))
        return map_wrong(err, at, "needs title: a JSON pointer into the result, or =text.");
    return check_picks(x, at, picks, err);
}

static int plan_notify(const struct asked *q, struct err *err)
{
    struct planned p = q->about;
    const char *role = text(q->x, "role"), *level = text(q->x, "level");
    const json_t *user = pick(q, "user");
    int64_t id = json_integer_value(user);
    if (!role && !id && !str_to_i64(json_string_value(user), 1, INT64_C(1) << 53, &id))
        return err_at(err, E_validation, "/user", "The result has no user to tell.");
    json_t *o = json_in(q->a, json_pack("{s:s*, s:I, s:s, s:O?, s:O*, s:O*, s:O}", "role", role,
                                        "user", (json_int_t)id, "level", level ? level : "info",
                                        "title", pick(q, "title"), "text", pick(q, "text"), "url",
                                        pick(q, "url"), "data", q->data));
    if (role)
        json_object_del(o, "user");
    int rc = keeps(q->a, "notify.command", o, err);
    if (rc)
        return rc;
    p.field = role ? "role" : "user";
    p.key = role ? role : arena_printf(q->a, "%lld", (long long)id);
    p.data = o;
    return add(q->a, q->ret, &p, err);
}

/* --- the table -----------------------------------------------------------------------------------
 */

static const struct kind kinds[] = {
    { "create",  { "entity", "key" },                                 check_content, plan_content },
    { "update",  { "entity", "key" },                                 check_content, plan_content },
    { "upsert",  { "entity", "key" },                                 check_content, plan_content },
    { "publish", { "entity", "key" },                                 check_content, plan_content },
    { "delete",  { "entity", "key" },                                 check_content, plan_content },
    { "emit",    { NULL },                                            check_emit,    plan_emit    },
    { "call",    { "endpoint" },                                      check_call,    plan_call    },
    { "mail",    { "template", "to", "language" },                    check_mail,    plan_mail    },
    { "notify",  { "user", "role", "level", "title", "text", "url" }, check_notify,  plan_notify  },
};

static const struct kind *kind_of(const json_t *x)
{
    const char *name = text(x, "do");
    for (size_t i = 0; name && i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

bool mapping_tells_people(const json_t *mapping)
{
    const json_t *list = json_object_get(mapping, "actions");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *kind = text(json_array_get(list, i), "do");
        if (str_eq(kind, "mail") || str_eq(kind, "notify"))
            return true;
    }
    return false;
}

/* -1: not given; -2: given and wrong. */
static int64_t retry_of(const json_t *x, const char *name, int64_t min, int64_t max)
{
    const json_t *v = json_object_get(json_object_get(x, "retry"), name);
    int64_t n = json_integer_value(v);
    return !v ? -1 : !json_is_integer(v) || n < min || n > max ? -2 : n;
}

static int check_retry(const json_t *x, const char *at, struct err *err)
{
    static const char *const known[] = { "max", "base_ms", NULL };
    const json_t *retry = json_object_get(x, "retry");
    int rc = retry ? map_names(retry, at, known, NULL, err) : 0;
    if (rc)
        return rc;
    if (retry_of(x, "max", 0, map_retry_max) == -2 ||
        retry_of(x, "base_ms", 1, map_retry_ms_max) == -2)
        return map_wrong(err, at, "has a retry beyond max 0 … 100 or base_ms 1 … 3600000.");
    return 0;
}

int action_check(const json_t *x, const char *at, struct err *err)
{
    const json_t *data = json_object_get(x, "data"), *set = json_object_get(x, "set");
    if (!json_is_object(x))
        return map_wrong(err, at, "is an object.");
    const struct kind *k = kind_of(x);
    if (!k)
        return map_wrong(err, at,
                         "needs do: create, update, upsert, publish, delete, emit, call, mail or "
                         "notify.");
    int rc = map_names(x, at, common_props, k->props, err);
    if (rc)
        return rc;
    if (data && !map_pointer_ok(json_string_value(data)))
        return map_wrong(err, at, "has data that is no JSON pointer into the result.");
    if (set && !json_is_object(set))
        return map_wrong(err, at, "has a set that is no object.");
    rc = check_when(json_object_get(x, "when"), at, err);
    if (!rc)
        rc = check_retry(x, at, err);
    return rc ? rc : k->check(x, at, err);
}

int action_plan(struct arena *a, const json_t *x, const json_t *result, struct plan *ret,
                struct err *err)
{
    const char *at = text(x, "data");
    const json_t *part = json_at(result, at ? at : "");
    const struct kind *k = kind_of(x);
    if (!applies(json_object_get(x, "when"), result))
        return 0;
    if (!k) /* of a version that knew another list */
        return err_at(err, E_validation, "", "There is no such action.");
    if (!json_is_object(part))
        return err_at(err, E_validation, at ? at : "", "What the mapping gives is no object.");
    struct asked q = {
        .a = a,
        .x = x,
        .result = result,
        .data = json_in(a, json_deep_copy(part)),
        .ret = ret,
        .about = { .kind = k->name,
                  .retry_max = retry_of(x, "max", 0, map_retry_max),
                  .retry_base_ms = retry_of(x, "base_ms", 1, map_retry_ms_max) }
    };
    json_object_update(q.data, (json_t *)(uintptr_t)json_object_get(x, "set"));
    return k->plan(&q, err);
}
