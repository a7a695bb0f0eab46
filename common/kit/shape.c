#include "common/kit/shape.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>
#include <math.h>

struct reader {
    struct arena *a;
    enum shape_mode mode;
    bool admin;
    struct shape_row *row;
};

#define FAULT_AT(r, ptr, code, ...) err_list_add((r)->row->faults, ptr, code, __VA_ARGS__)

static const char *type_words(const struct field_def *f)
{
    switch (f->type) {
    case F_ID:
    case F_INT:
        return "a whole number";
    case F_BOOL:
        return "true or false";
    case F_JSON:
        return f->format == FMT_LIST ? "an array" : "an object";
    case F_TEXTS:
        return "an array of strings";
    case F_REF:
        return "an id or an object with one";
    case F_REFS:
        return "an array of ids or of objects with one";
    case F_TIME:
        return "an RFC 3339 time such as 2026-02-19T08:00:00Z";
    case F_UUID:
    case F_TEXT:
    case F_ENUM:
        return "a string";
    }
    return "";
}

static bool type_fault(struct reader *r, const char *ptr, const struct field_def *f)
{
    FAULT_AT(r, ptr, "type", "Must be %s.", type_words(f));
    return false;
}

/* Length and format of one text; empty is like any other text, but a required one may not be. */
static bool text_ok(struct reader *r, const char *ptr, const struct field_def *f, const char *s,
                    size_t n)
{
    size_t len = str_utf8_len(s, n);
    const char *why;
    if (memchr(s, '\0', n)) {
        FAULT_AT(r, ptr, "format", "Must not hold a NUL character.");
        return false;
    }
    int64_t min = f->min > 0 ? f->min : (f->flags & FF_REQUIRED) ? 1 : 0;
    if ((int64_t)len < min) {
        FAULT_AT(r, ptr, "min_length", "Must be at least %lld character%s long.", (long long)min,
                 min == 1 ? "" : "s");
        return false;
    }
    if (f->max && (int64_t)len > f->max) {
        FAULT_AT(r, ptr, "max_length", "Must be at most %lld characters long.", (long long)f->max);
        return false;
    }
    if (!shape_format_ok(f->format, s, &why)) {
        FAULT_AT(r, ptr, "format", "Must be %s.", why);
        return false;
    }
    return true;
}

static bool read_text(struct reader *r, const char *ptr, const struct field_def *f, const json_t *v,
                      struct db_val *ret)
{
    if (!json_is_string(v))
        return type_fault(r, ptr, f);
    const char *s = json_string_value(v);
    if (!text_ok(r, ptr, f, s, json_string_length(v)))
        return false;
    *ret = db_text(s);
    return true;
}

static bool read_enum(struct reader *r, const char *ptr, const struct field_def *f, const json_t *v,
                      struct db_val *ret)
{
    if (!json_is_string(v))
        return type_fault(r, ptr, f);
    struct buf b;
    buf_init(&b, r->a, 64, 256);
    for (const char *const *c = f->choices; *c; c++) {
        if (str_eq(*c, json_string_value(v))) {
            *ret = db_text(*c);
            return true;
        }
        buf_printf(&b, "%s%s", b.len ? ", " : "", *c);
    }
    FAULT_AT(r, ptr, "choice", "Must be one of: %s.", b.data);
    return false;
}

/* 7, or 7.0, which JSON Schema calls an integer too. */
static bool whole(const json_t *v, int64_t *ret)
{
    double d = json_is_real(v) ? json_real_value(v) : 0.5;
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return true;
    }
    if (!(d >= -0x1p53 && d <= 0x1p53) || d != (double)(int64_t)d)
        return false;
    *ret = (int64_t)d;
    return true;
}

static bool read_int(struct reader *r, const char *ptr, const struct field_def *f, const json_t *v,
                     struct db_val *ret)
{
    int64_t i;
    if (!whole(v, &i))
        return type_fault(r, ptr, f);
    bool bounded = f->min || f->max;
    int64_t min = bounded ? f->min : -((INT64_C(1) << 53) - 1);
    int64_t max = bounded && f->max ? f->max : (INT64_C(1) << 53) - 1;
    if (i < min) {
        FAULT_AT(r, ptr, "min", "Must be at least %lld.", (long long)min);
        return false;
    }
    if (i > max) {
        FAULT_AT(r, ptr, "max", "Must be at most %lld.", (long long)max);
        return false;
    }
    *ret = db_i64(i);
    return true;
}

static bool read_time(struct reader *r, const char *ptr, const struct field_def *f, const json_t *v,
                      struct db_val *ret)
{
    int64_t us;
    if (!json_is_string(v))
        return type_fault(r, ptr, f);
    if (!rfc3339_parse(json_string_value(v), &us)) {
        FAULT_AT(r, ptr, "format", "Must be %s.", type_words(f));
        return false;
    }
    char *text = arena_alloc(r->a, rfc3339_len + 1);
    rfc3339_format(us, text);
    *ret = db_text(text);
    return true;
}

/* Numbers that some reader would not keep, in free JSON (RFC 7493 §2.2).  *ret_more: bytes that the
 * database writes more than we do, which knows no exponents: 1e-300 is 302 digits there. */
static bool number_ok(struct reader *r, const char *ptr, const json_t *v, size_t *ret_more)
{
    double d = json_number_value(v);
    bool whole = json_is_integer(v);
    if (whole ? json_integer_value(v) > JSON_WHOLE_MAX || json_integer_value(v) < -JSON_WHOLE_MAX
              : fabs(d) > (double)JSON_WHOLE_MAX) {
        FAULT_AT(r, ptr, "range", "Must be from %lld to %lld; send it as a string.",
                 -(long long)JSON_WHOLE_MAX, (long long)JSON_WHOLE_MAX);
        return false;
    }
    if (!whole && d != 0.0 && fabs(d) < 1.0)
        *ret_more += (size_t)-floor(log10(fabs(d)));
    return true;
}

/* Numbers and depth of free JSON.  What is around it in answers, events and bulks has to be read
 * again within json_depth_max. */
static bool tree_ok(struct reader *r, const char *ptr, const json_t *v, int depth, size_t *ret_more)
{
    const char *key;
    json_t *item, *members = (json_t *)(uintptr_t)v; /* iterated, not changed */
    bool ok = true;
    if (json_is_number(v))
        return number_ok(r, ptr, v, ret_more);
    if (depth > shape_json_depth_max) {
        FAULT_AT(r, ptr, "depth", "Must be at most %d levels deep.", shape_json_depth_max);
        return false;
    }
    json_object_foreach(members, key, item)
    {
        if (json_is_number(item) || json_object_size(item) || json_array_size(item))
            ok &= tree_ok(r, json_pointer_add(r->a, ptr, key), item, depth + 1, ret_more);
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        item = json_array_get(v, i);
        if (json_is_number(item) || json_object_size(item) || json_array_size(item))
            ok &= tree_ok(r, arena_printf(r->a, "%s/%zu", ptr, i), item, depth + 1, ret_more);
    }
    return ok;
}

static bool read_json(struct reader *r, const char *ptr, const struct field_def *f, const json_t *v,
                      struct db_val *ret)
{
    size_t more = 0;
    if (f->format == FMT_LIST ? !json_is_array(v) : !json_is_object(v))
        return type_fault(r, ptr, f);
    char *text = json_text(r->a, v);
    size_t len = strlen(text);
    if (f->max && len > (size_t)f->max) { /* before anything is said of its parts */
        FAULT_AT(r, ptr, "max_length", "Must be at most %lld bytes of JSON.", (long long)f->max);
        return false;
    }
    if (!tree_ok(r, ptr, v, 1, &more))
        return false;
    if (f->max && len + more > (size_t)f->max) {
        FAULT_AT(r, ptr, "max_length", "Must be at most %lld bytes of JSON, without exponents.",
                 (long long)f->max);
        return false;
    }
    *ret = db_text(text);
    return true;
}

static bool read_texts(struct reader *r, const char *ptr, const struct field_def *f,
                       const json_t *v, struct db_val *ret)
{
    if (!json_is_array(v))
        return type_fault(r, ptr, f);
    size_t n = json_array_size(v);
    if (f->items_max && n > f->items_max) {
        FAULT_AT(r, ptr, "too_many", "Must hold at most %u items.", f->items_max);
        return false;
    }
    const char **list = arena_alloc(r->a, (n + 1) * sizeof(*list));
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(v, i);
        const char *at = arena_printf(r->a, "%s/%zu", ptr, i);
        if (!json_is_string(item)) {
            FAULT_AT(r, at, "type", "Must be a string.");
            ok = false;
            continue;
        }
        list[i] = json_string_value(item);
        ok &= text_ok(r, at, f, list[i], json_string_length(item));
        for (size_t k = 0; ok && k < i; k++)
            if (str_eq(list[k], list[i])) {
                FAULT_AT(r, at, "duplicate", "Is there twice.");
                ok = false;
            }
    }
    if (ok)
        *ret = db_texts(list, n);
    return ok;
}

/* 7 or {"id":7}, and nothing beside it. */
static bool ref_id(const json_t *v, int64_t *ret)
{
    if (json_is_object(v) && json_object_size(v) == 1)
        v = json_object_get(v, "id");
    return whole(v, ret) && *ret >= 1 && *ret <= (INT64_C(1) << 53) - 1;
}

static bool read_ref(struct reader *r, const char *ptr, const struct field_def *f, const json_t *v,
                     struct db_val *ret)
{
    int64_t id;
    if (!json_is_number(v) && !json_is_object(v))
        return type_fault(r, ptr, f);
    if (!ref_id(v, &id)) {
        FAULT_AT(r, ptr, "reference", "Must be the id of one of the %s.",
                 entity_find(f->ref)->plural);
        return false;
    }
    *ret = db_i64(id);
    return true;
}

static bool read_refs(struct reader *r, const char *ptr, const struct field_def *f, const json_t *v,
                      struct db_val *ret)
{
    if (!json_is_array(v))
        return type_fault(r, ptr, f);
    size_t n = json_array_size(v), max = f->items_max ? f->items_max : shape_refs_max;
    if (n > max) {
        FAULT_AT(r, ptr, "too_many", "Must hold at most %zu items.", max);
        return false;
    }
    int64_t *ids = arena_alloc(r->a, (n + 1) * sizeof(*ids));
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        const char *at = arena_printf(r->a, "%s/%zu", ptr, i);
        if (!ref_id(json_array_get(v, i), &ids[i])) {
            FAULT_AT(r, at, "reference", "Must be the id of one of the %s.",
                     entity_find(f->ref)->plural);
            ok = false;
            continue;
        }
        for (size_t k = 0; k < i; k++)
            if (ids[k] == ids[i]) {
                FAULT_AT(r, at, "duplicate", "Is there twice.");
                ok = false;
                break;
            }
    }
    if (ok)
        *ret = db_i64s(ids, n);
    return ok;
}

static bool read_value(struct reader *r, const char *ptr, const struct field_def *f,
                       const json_t *v, struct db_val *ret)
{
    switch (f->type) {
    case F_ID:
    case F_INT:
        return read_int(r, ptr, f, v, ret);
    case F_BOOL:
        if (!json_is_boolean(v))
            return type_fault(r, ptr, f);
        *ret = db_bool(json_is_true(v));
        return true;
    case F_TIME:
        return read_time(r, ptr, f, v, ret);
    case F_JSON:
        return read_json(r, ptr, f, v, ret);
    case F_UUID: {
        unsigned char raw[16];
        if (!json_is_string(v) || !uuid_parse(json_string_value(v), raw))
            return type_fault(r, ptr, f);
        *ret = db_text(json_string_value(v));
        return true;
    }
    case F_TEXT:
        return read_text(r, ptr, f, v, ret);
    case F_ENUM:
        return read_enum(r, ptr, f, v, ret);
    case F_TEXTS:
        return read_texts(r, ptr, f, v, ret);
    case F_REF:
        return read_ref(r, ptr, f, v, ret);
    case F_REFS:
        return read_refs(r, ptr, f, v, ret);
    }
    return false;
}

static void set_default(struct reader *r, size_t i)
{
    const struct field_def *f = &r->row->fields[i];
    struct db_val *v = &r->row->val[i];
    if (f->type == F_REFS)
        *v = db_i64s(NULL, 0);
    if (!f->fallback)
        return;
    json_t *tree = json_in(r->a, json_loads(f->fallback, JSON_DECODE_ANY, NULL));
    assert(tree);
    if (json_is_null(tree))
        return;
    bool ok = read_value(r, f->name, f, tree, v);
    assert(ok);
    (void)ok;
}

static bool may_write(struct reader *r, const struct field_def *f, const char *ptr)
{
    if (f->flags & (FF_READONLY | FF_HIDDEN))
        FAULT_AT(r, ptr, "readonly", "Is set by the platform.");
    else if ((f->flags & FF_ADMIN) && !r->admin)
        FAULT_AT(r, ptr, "not_allowed", "Is written with api:admin only.");
    else if ((f->flags & FF_CREATE) && r->mode != SHAPE_CREATE)
        FAULT_AT(r, ptr, "readonly", "Cannot be changed after creation.");
    else
        return true;
    return false;
}

static void read_member(struct reader *r, const char *key, const json_t *v)
{
    struct shape_row *row = r->row;
    const char *ptr = json_pointer_add(r->a, "", key);
    size_t i = 0;
    while (i < row->n && !str_eq(row->fields[i].name, key))
        i++;
    const struct field_def *f = &row->fields[i];
    if (i == row->n || (f->flags & FF_HIDDEN)) {
        FAULT_AT(r, ptr, "unknown", "Is not a field of this resource.");
        return;
    }
    if (!may_write(r, f, ptr))
        return;
    row->given |= UINT64_C(1) << i;
    if (!json_is_null(v)) {
        read_value(r, ptr, f, v, &row->val[i]);
        return;
    }
    bool never = f->flags & FF_NONNULL && !f->fallback && r->mode == SHAPE_PATCH;
    if (f->flags & FF_REQUIRED || never)
        FAULT_AT(r, ptr, "required", "Must not be null.");
    else
        set_default(r, i);
}

void shape_read(struct arena *a, const struct field_def *fields, enum shape_mode mode, bool admin,
                const json_t *body, struct shape_row *ret)
{
    struct reader r = { .a = a, .mode = mode, .admin = admin, .row = ret };
    *ret = (struct shape_row){ .fields = fields };
    while (fields[ret->n].name)
        ret->n++;
    assert(ret->n <= shape_fields_max);
    ret->val = arena_alloc(a, (ret->n + 1) * sizeof(*ret->val));
    ret->faults = arena_alloc(a, sizeof(*ret->faults));
    ret->faults->arena = a;
    if (!json_is_object(body)) {
        FAULT_AT(&r, "", "type", "Must be a JSON object.");
        return;
    }
    const char *key;
    json_t *v;
    json_t *members = json_in(a, json_copy((json_t *)(uintptr_t)body)); /* iterated, not changed */
    json_object_foreach(members, key, v) read_member(&r, key, v);
    if (mode == SHAPE_PATCH)
        return;
    for (size_t i = 0; i < ret->n; i++) {
        const struct field_def *f = &fields[i];
        if (ret->given >> i & 1 || f->flags & (FF_READONLY | FF_HIDDEN))
            continue;
        if (mode == SHAPE_REPLACE && f->flags & FF_CREATE)
            continue;
        if ((f->flags & FF_ADMIN) && !admin && mode == SHAPE_REPLACE)
            continue;
        if (f->flags & FF_REQUIRED && !f->fallback)
            FAULT_AT(&r, json_pointer_add(a, "", f->name), "required", "Is required.");
        else
            set_default(&r, i);
    }
}

int shape_check(const struct shape_row *row, struct err *err)
{
    const struct err_list *l = row->faults;
    if (!l->n)
        return 0;
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->items[i].code, "not_allowed"))
            return err_at(err, E_forbidden, l->items[i].pointer, "%s: %s", l->items[i].pointer,
                          l->items[i].msg);
    if (l->n == 1)
        return err_at(err, E_validation, l->items[0].pointer, "%s: %s", l->items[0].pointer,
                      l->items[0].msg);
    return err_set(err, E_validation, "%zu fields are not valid.", l->n + l->dropped);
}

void shape_fault(const struct shape_row *row, const char *field, const char *code, const char *msg)
{
    err_list_add(row->faults, json_pointer_add(row->faults->arena, "", field), code, "%s", msg);
}

static size_t position(const struct shape_row *row, const char *field)
{
    size_t i = 0;
    while (i < row->n && !str_eq(row->fields[i].name, field))
        i++;
    assert(i < row->n);
    return i;
}

bool shape_given(const struct shape_row *row, const char *field)
{
    return row->given >> position(row, field) & 1;
}

const struct db_val *shape_val(const struct shape_row *row, const char *field)
{
    return &row->val[position(row, field)];
}

const char *shape_text(const struct shape_row *row, const char *field)
{
    const struct db_val *v = shape_val(row, field);
    return v->type == DBV_TEXT ? v->text : NULL;
}

int64_t shape_i64(const struct shape_row *row, const char *field)
{
    const struct db_val *v = shape_val(row, field);
    return v->type == DBV_I64 || v->type == DBV_BOOL ? v->i64 : 0;
}

void shape_set(struct shape_row *row, const char *field, struct db_val v)
{
    size_t i = position(row, field);
    row->val[i] = v;
    row->given |= UINT64_C(1) << i;
}

const struct field_def *shape_fields(struct arena *a, const struct shape *s)
{
    size_t n = 0, base = 0;
    while (s->fields && s->fields[n].name)
        n++;
    if (s->extends)
        base = entity_nfields(s->extends);
    struct field_def *all = arena_alloc(a, (base + n + 1) * sizeof(*all));
    if (base)
        memcpy(all, s->extends->fields, base * sizeof(*all));
    if (n)
        memcpy(all + base, s->fields, n * sizeof(*all));
    return all;
}
