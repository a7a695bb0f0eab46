#include "services/webhooks-in/map.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "services/webhooks-in/map_internal.h"
#include "services/webhooks-in/verify.h"

#include <math.h>

static const char *const types[] = { "text", "integer", "number", "boolean", "time", "json", NULL };

bool map_one_of(const char *const *list, const char *s)
{
    for (; s && *list; list++)
        if (str_eq(*list, s))
            return true;
    return false;
}

/* --- is it a mapping? ----------------------------------------------------------------------------
 */

int map_wrong(struct err *err, const char *at, const char *what)
{
    char pointer[128];
    snprintf(pointer, sizeof(pointer), "/mapping%.100s", at);
    return err_at(err, E_validation, pointer, "mapping%s %s", at, what);
}

int map_names(const json_t *o, const char *at, const char *const *known, const char *const *more,
              struct err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(o))
        return map_wrong(err, at, "is an object.");
    json_object_foreach((json_t *)(uintptr_t)o, key, value)
    {
        if (!map_one_of(known, key) && !(more && map_one_of(more, key))) {
            char pointer[100];
            snprintf(pointer, sizeof(pointer), "%s/%.40s", at, key);
            return map_wrong(err, pointer, "is not known here.");
        }
    }
    return 0;
}

bool map_pointer_ok(const char *s)
{
    return s && strlen(s) < 256 && (!*s || *s == '/');
}

static int check_field(const json_t *f, const char *at, struct err *err)
{
    static const char *const known[] = { "to", "from", "type", "default", "required", NULL };
    const char *to = json_string_value(json_object_get(f, "to"));
    const char *from = json_string_value(json_object_get(f, "from"));
    const json_t *type = json_object_get(f, "type");
    int rc = map_names(f, at, known, NULL, err);
    if (rc)
        return rc;
    if (!to || !*to || strlen(to) > 255)
        return map_wrong(err, at, "needs to, the name or JSON pointer of what is set.");
    bool ok = from &&
              (*from == '/' || *from == '=' || str_starts(from, "header:") ||
               str_starts(from, "query:") || str_eq(from, "event") || str_eq(from, "id") || !*from);
    if (!ok || strlen(from) > 4096)
        return map_wrong(
            err, at,
            "needs from: a JSON pointer, header:Name, query:name, event, id or =constant.");
    if (type && !map_one_of(types, json_string_value(type)))
        return map_wrong(err, at,
                         "has a type other than text, integer, number, boolean, time, json.");
    return 0;
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
        return map_wrong(err, at, "is a list, and not that long.");
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
    int rc = map_names(mapping, "", known, NULL, err);
    if (rc)
        return rc;
    if (jq && json_object_get(mapping, "fields"))
        return map_wrong(err, "", "has jq or fields, not both.");
    if (jq &&
        (!json_is_string(jq) || !json_string_length(jq) || json_string_length(jq) > 64 * 1024))
        return map_wrong(err, "/jq", "is a program of up to 64 KiB.");
    rc = check_list(json_object_get(mapping, "fields"), "fields", map_fields_max, check_field, err);
    if (!rc)
        rc = check_list(json_object_get(mapping, "actions"), "actions", map_actions_max,
                        action_check, err);
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
    for (size_t i = 0; !rc && i < n; i++)
        for (size_t k = 0; !rc && k < json_array_size(actions); k++)
            rc = action_plan(a, json_array_get(actions, k), json_array_get(ret->results, i), ret,
                             err);
    return rc;
}
