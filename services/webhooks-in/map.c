#include "services/webhooks-in/map.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "proto/entity.h"
#include "services/webhooks-in/verify.h"

#include <math.h>

static const char *const kinds[] = {
    "create", "update", "upsert", "publish", "delete", "emit", NULL
};
static const char *const types[] = { "text", "integer", "number", "boolean", "time", "json", NULL };

static bool one_of(const char *const *list, const char *s)
{
    for (; s && *list; list++)
        if (str_eq(*list, s))
            return true;
    return false;
}

/* --- is it a mapping? ----------------------------------------------------------------------------
 */

static int wrong(struct err *err, const char *at, const char *what)
{
    char pointer[128];
    snprintf(pointer, sizeof(pointer), "/mapping%.100s", at);
    return err_at(err, E_validation, pointer, "mapping%s %s", at, what);
}

static int check_names(const json_t *o, const char *at, const char *const *known, struct err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(o))
        return wrong(err, at, "is an object.");
    json_object_foreach((json_t *)(uintptr_t)o, key, value)
    {
        if (!one_of(known, key)) {
            char pointer[100];
            snprintf(pointer, sizeof(pointer), "%s/%.40s", at, key);
            return wrong(err, pointer, "is not known here.");
        }
    }
    return 0;
}

static bool pointer_ok(const char *s)
{
    return s && strlen(s) < 256 && (!*s || *s == '/');
}

static int check_field(const json_t *f, const char *at, struct err *err)
{
    static const char *const known[] = { "to", "from", "type", "default", "required", NULL };
    const char *to = json_string_value(json_object_get(f, "to"));
    const char *from = json_string_value(json_object_get(f, "from"));
    const json_t *type = json_object_get(f, "type");
    int rc = check_names(f, at, known, err);
    if (rc)
        return rc;
    if (!to || !*to || strlen(to) > 255)
        return wrong(err, at, "needs to, the name or JSON pointer of what is set.");
    bool ok = from &&
              (*from == '/' || *from == '=' || str_starts(from, "header:") ||
               str_starts(from, "query:") || str_eq(from, "event") || str_eq(from, "id") || !*from);
    if (!ok || strlen(from) > 4096)
        return wrong(
            err, at,
            "needs from: a JSON pointer, header:Name, query:name, event, id or =constant.");
    if (type && !one_of(types, json_string_value(type)))
        return wrong(err, at, "has a type other than text, integer, number, boolean, time, json.");
    return 0;
}

static int check_when(const json_t *when, const char *at, struct err *err)
{
    static const char *const known[] = { "at", "is", "in", "exists", NULL };
    int rc = check_names(when, at, known, err);
    if (rc)
        return rc;
    bool one = !json_object_get(when, "is") + !json_object_get(when, "in") +
                   !json_object_get(when, "exists") ==
               2;
    if (!pointer_ok(json_string_value(json_object_get(when, "at"))) || !one)
        return wrong(err, at, "has a when without at and one of is, in, exists.");
    return 0;
}

static int check_key(const char *kind, const struct entity_def *e, const char *key, const char *at,
                     struct err *err)
{
    const struct field_def *f = key ? entity_field(e, key) : NULL;
    if (str_eq(kind, "create"))
        return key ? wrong(err, at, "has a key, and create takes none.") : 0;
    if (!f || !(f->type == F_ID || f->flags & FF_UNIQUE))
        return wrong(err, at, "needs key: id, or a field that is unique.");
    if (str_eq(kind, "upsert") && f->type == F_ID)
        return wrong(err, at, "cannot upsert by id, which is not yours to choose.");
    return 0;
}

static int check_action(const json_t *x, const char *at, struct err *err)
{
    static const char *const known[] = { "do", "entity", "key", "data", "when", "set", NULL };
    const char *kind = json_string_value(json_object_get(x, "do"));
    const char *name = json_string_value(json_object_get(x, "entity"));
    const char *key = json_string_value(json_object_get(x, "key"));
    const json_t *data = json_object_get(x, "data"), *set = json_object_get(x, "set");
    int rc = check_names(x, at, known, err);
    if (rc)
        return rc;
    if (!one_of(kinds, kind))
        return wrong(err, at, "needs do: create, update, upsert, publish, delete or emit.");
    if (data && !pointer_ok(json_string_value(data)))
        return wrong(err, at, "has data that is no JSON pointer into the result.");
    if (set && !json_is_object(set))
        return wrong(err, at, "has a set that is no object.");
    if (json_object_get(x, "when"))
        rc = check_when(json_object_get(x, "when"), at, err);
    if (rc || str_eq(kind, "emit"))
        return rc;
    const struct entity_def *e = NULL;
    for (const struct entity_def *const *i = entities; name && *i; i++)
        if (str_eq((*i)->name, name))
            e = *i;
    if (!e)
        return wrong(err, at, "needs entity: post, page, media, expert, company, event or user.");
    if (str_eq(kind, "publish") && e->lifecycle != LIFE_PUBLISH)
        return wrong(err, at, "publishes what has no publishing.");
    return check_key(kind, e, key, at, err);
}

static int check_list(const json_t *list, const char *name, size_t most,
                      int (*check)(const json_t *, const char *, struct err *), struct err *err)
{
    char at[64];
    int rc = 0;
    snprintf(at, sizeof(at), "/%s", name);
    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > most)
        return wrong(err, at, "is a list, and not that long.");
    for (size_t i = 0; !rc && i < json_array_size(list); i++) {
        snprintf(at, sizeof(at), "/%s/%zu", name, i);
        rc = check(json_array_get(list, i), at, err);
    }
    return rc;
}

int mapping_check(const json_t *mapping, struct err *err)
{
    static const char *const known[] = { "jq", "fields", "actions", NULL };
    const json_t *jq = json_object_get(mapping, "jq");
    int rc = check_names(mapping, "", known, err);
    if (rc)
        return rc;
    if (jq && json_object_get(mapping, "fields"))
        return wrong(err, "", "has jq or fields, not both.");
    if (jq &&
        (!json_is_string(jq) || !json_string_length(jq) || json_string_length(jq) > 64 * 1024))
        return wrong(err, "/jq", "is a program of up to 64 KiB.");
    rc = check_list(json_object_get(mapping, "fields"), "fields", map_fields_max, check_field, err);
    if (!rc)
        rc = check_list(json_object_get(mapping, "actions"), "actions", map_actions_max,
                        check_action, err);
    return rc;
}

/* --- what a mapping sees -------------------------------------------------------------------------
 */

static json_t *form_json(struct arena *a, const char *text, size_t n)
{
    json_t *o = json_in(a, json_object());
    const char *end = text + n;
    for (const char *p = text; p < end;) {
        const char *amp = memchr(p, '&', (size_t)(end - p)), *stop = amp ? amp : end;
        const char *eq = memchr(p, '=', (size_t)(stop - p));
        char *name, *value;
        if (eq && url_decode(a, p, (size_t)(eq - p), true, &name) &&
            url_decode(a, eq + 1, (size_t)(stop - eq - 1), true, &value) &&
            !json_object_get(o, name))
            json_object_set_new(o, name, json_string(value));
        p = stop + 1;
    }
    return o;
}

json_t *message_body(struct arena *a, const struct message *m)
{
    json_t *tree;
    struct err ignored;
    if (str_starts(m->content_type, "application/x-www-form-urlencoded"))
        return form_json(a, m->body, m->body_n);
    if (m->body_n && !json_parse(a, m->body, m->body_n, &tree, &ignored))
        return tree;
    json_t *text = json_in(a, json_stringn(m->body, m->body_n));
    return text ? text : json_null(); /* bytes that are no text */
}

static json_t *around(struct arena *a, const struct message *m)
{
    json_t *headers = NULL;
    struct err ignored;
    if (!m->headers || json_parse(a, m->headers, strlen(m->headers), &headers, &ignored))
        headers = json_in(a, json_object());
    return json_in(a, json_pack("{s:O, s:O, s:s?, s:s?, s:s?}", "headers", headers, "query",
                                form_json(a, m->query, strlen(m->query)), "event", m->event, "id",
                                m->id, "received_at", m->created_at));
}

/* --- the field table -----------------------------------------------------------------------------
 */

static const json_t *field_from(struct arena *a, const char *from, const json_t *body,
                                const json_t *env)
{
    char name[256];
    if (*from == '=')
        return json_in(a, json_string(from + 1));
    if (str_starts(from, "query:"))
        return json_object_get(json_object_get(env, "query"), from + strlen("query:"));
    if (str_starts(from, "header:")) {
        snprintf(name, sizeof(name), "%s", from + strlen("header:"));
        for (char *c = name; *c; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
        return json_object_get(json_object_get(env, "headers"), name);
    }
    if (str_eq(from, "event") || str_eq(from, "id"))
        return json_object_get(env, from);
    return json_at(body, from);
}

/* A time as RFC 3339, or Unix seconds (milliseconds from 10^11 on). */
static json_t *as_time(const json_t *v)
{
    char out[rfc3339_len + 1];
    int64_t us;
    const char *s = json_string_value(v);
    if (json_is_number(v) || (s && str_to_i64(s, 0, INT64_C(1) << 50, &us))) {
        double n = json_is_number(v) ? json_number_value(v) : (double)us;
        if (!(n >= 0 && n < 1e14))
            return NULL;
        us = (int64_t)(n >= 1e11 ? n * 1e3 : n * 1e6);
    } else if (!s || !rfc3339_parse(s, &us)) {
        return NULL;
    }
    rfc3339_format(us, out);
    return json_string(out);
}

static json_t *as_number(const json_t *v, bool whole)
{
    const char *s = json_string_value(v);
    int64_t i;
    if (json_is_integer(v))
        return json_integer(json_integer_value(v));
    if (s && str_to_i64(s, INT64_MIN, INT64_MAX, &i))
        return json_integer(i);
    if (s && !whole) {
        json_t *parsed = json_loads(s, JSON_DECODE_ANY, NULL);
        if (json_is_real(parsed))
            return parsed;
        json_decref(parsed);
        return NULL;
    }
    if (!json_is_real(v))
        return json_is_boolean(v) ? json_integer(json_is_true(v)) : NULL;
    double d = json_real_value(v);
    if (!whole)
        return json_real(d);
    return fabs(d) < 9e15 && d == floor(d) ? json_integer((json_int_t)d) : NULL;
}

/* NULL: it cannot be made one. */
static json_t *coerce(struct arena *a, const json_t *v, const char *type)
{
    bool flag;
    if (!type || str_eq(type, "json"))
        return json_incref((json_t *)(uintptr_t)v);
    if (str_eq(type, "text")) {
        if (json_is_string(v))
            return json_incref((json_t *)(uintptr_t)v);
        return json_string(json_is_object(v) || json_is_array(v) || json_is_number(v) ||
                                   json_is_boolean(v)
                               ? json_text(a, v)
                               : "");
    }
    if (str_eq(type, "time"))
        return as_time(v);
    if (str_eq(type, "boolean")) {
        if (json_is_boolean(v))
            return json_boolean(json_is_true(v));
        if (json_is_integer(v) && (json_integer_value(v) | 1) == 1)
            return json_boolean(json_integer_value(v) == 1);
        return json_is_string(v) && str_to_bool(json_string_value(v), &flag) ? json_boolean(flag)
                                                                             : NULL;
    }
    return as_number(v, str_eq(type, "integer"));
}

/* "title" or "/meta/color": objects on the way are made. */
static bool put(struct arena *a, json_t *root, const char *to, json_t *value)
{
    json_t *at = root;
    char *path = arena_strdup(a, *to == '/' ? to + 1 : to);
    for (char *next; (next = strchr(path, '/')); path = next + 1) {
        *next = '\0';
        json_t *in = json_object_get(at, path);
        if (!in) {
            in = json_object();
            json_object_set_new(at, path, in);
        }
        if (!json_is_object(in)) {
            json_decref(value);
            return false;
        }
        at = in;
    }
    return json_object_set_new(at, path, value) == 0;
}

static int run_fields(struct arena *a, const json_t *fields, const json_t *body, const json_t *env,
                      json_t *ret, struct err *err)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *f = json_array_get(fields, i);
        const char *to = json_string_value(json_object_get(f, "to"));
        const char *from = json_string_value(json_object_get(f, "from"));
        const char *type = json_string_value(json_object_get(f, "type"));
        const json_t *v = field_from(a, from, body, env);
        bool there = v && !json_is_null(v);
        if (!there)
            v = json_object_get(f, "default");
        if (!v && json_is_true(json_object_get(f, "required")))
            return err_at(err, E_validation, to, "%.60s: there is nothing at %.100s.", to, from);
        if (!v)
            continue;
        json_t *out = there ? coerce(a, v, type) : json_incref((json_t *)(uintptr_t)v);
        if (!out)
            return err_at(err, E_validation, to, "%.60s: what is at %.100s is no %s.", to, from,
                          type);
        if (!put(a, ret, to, out))
            return err_at(err, E_validation, to, "%.60s lies in what is no object.", to);
    }
    return 0;
}

/* --- actions -------------------------------------------------------------------------------------
 */

static bool applies(const json_t *when, const json_t *result)
{
    if (!when)
        return true;
    const json_t *v = json_at(result, json_string_value(json_object_get(when, "at")));
    const json_t *is = json_object_get(when, "is"), *in = json_object_get(when, "in");
    if (is)
        return v ? json_equal(v, is) : json_is_null(is);
    if (!in)
        return (v && !json_is_null(v)) == json_is_true(json_object_get(when, "exists"));
    for (size_t i = 0; v && i < json_array_size(in); i++)
        if (json_equal(v, json_array_get(in, i)))
            return true;
    return false;
}

static int plan_key(struct arena *a, struct planned *p, json_t *data, struct err *err)
{
    const json_t *v = json_object_get(data, p->field);
    if (json_is_integer(v))
        p->key = arena_printf(a, "%lld", (long long)json_integer_value(v));
    else
        p->key = json_string_value(v);
    if (!p->key || !*p->key || strlen(p->key) > 300)
        return err_at(err, E_validation, p->field, "The result has no %s to find the %s by.",
                      p->field, p->entity);
    if (str_eq(p->field, "id"))
        json_object_del(data, "id");
    return 0;
}

static int plan_one(struct arena *a, const json_t *x, const json_t *result, struct planned *p,
                    struct err *err)
{
    const char *at = json_string_value(json_object_get(x, "data"));
    const json_t *part = json_at(result, at ? at : "");
    *p = (struct planned){ .kind = json_string_value(json_object_get(x, "do")),
                           .entity = json_string_value(json_object_get(x, "entity")),
                           .field = json_string_value(json_object_get(x, "key")) };
    if (!json_is_object(part))
        return err_at(err, E_validation, at ? at : "", "What the mapping gives is no object.");
    json_t *data = json_in(a, json_deep_copy(part));
    json_object_update(data, (json_t *)(uintptr_t)json_object_get(x, "set"));
    p->data = data;
    if (str_eq(p->kind, "emit")) {
        p->entity = p->field = NULL;
        return strlen(json_text(a, data)) > 60 * 1024
                   ? err_at(err, E_validation, "", "What is told to others is larger than 60 KiB.")
                   : 0;
    }
    if (strlen(json_text(a, data)) > map_data_max)
        return err_at(err, E_validation, "", "The result is larger than %d KiB.",
                      map_data_max / 1024);
    int rc = p->field ? plan_key(a, p, data, err) : 0;
    if (str_eq(p->kind, "publish"))
        p->data = json_in(a, json_pack("{s:s}", "status", "published"));
    if (str_eq(p->kind, "delete"))
        p->data = NULL;
    return rc;
}

int mapping_plan(struct arena *a, const json_t *mapping, const struct message *m, map_jq *jq,
                 void *ctx, struct plan *ret, struct err *err)
{
    const json_t *program = json_object_get(mapping, "jq");
    const json_t *fields = json_object_get(mapping, "fields");
    const json_t *actions = json_object_get(mapping, "actions");
    json_t *body = message_body(a, m), *env = around(a, m);
    int rc = 0;
    *ret = (struct plan){ .results = json_in(a, json_array()) };
    if (program) {
        rc = jq(ctx, a, json_string_value(program), body, env, &ret->results, err);
    } else if (fields) {
        json_t *out = json_in(a, json_object());
        rc = run_fields(a, fields, body, env, out, err);
        json_array_append(ret->results, out);
    } else {
        json_array_append(ret->results, body);
    }
    size_t n = json_array_size(ret->results);
    if (!rc && n > map_results_max)
        return err_at(err, E_validation, "", "The program gives more than %d results.",
                      map_results_max);
    ret->actions = arena_alloc(a, (n * json_array_size(actions) + 1) * sizeof(*ret->actions));
    for (size_t i = 0; !rc && i < n; i++)
        for (size_t k = 0; !rc && k < json_array_size(actions); k++) {
            const json_t *x = json_array_get(actions, k), *result = json_array_get(ret->results, i);
            if (applies(json_object_get(x, "when"), result))
                rc = plan_one(a, x, result, &ret->actions[ret->n++], err);
        }
    return rc;
}
