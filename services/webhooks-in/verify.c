/* What the verifiers share. */
#include "services/webhooks-in/verify.h"

#include "common/base/str.h"

enum { pointer_depth_max = 16 };

int hook_refuse(struct err *err, const char *why)
{
    err_set(err, E_unauthorized, "The message could not be verified.");
    return err_detail(err, "%s", why);
}

const char *hook_header(const struct hook *h, const char *name)
{
    return h->header(h->header_ctx, name);
}

const json_t *hook_json(struct hook *h)
{
    struct err ignored;
    json_t *tree;
    if (!h->json_tried && h->n && !json_parse(h->a, h->body, h->n, &tree, &ignored))
        h->json = tree;
    h->json_tried = true;
    return h->json;
}

static const json_t *step(const json_t *at, const char *key)
{
    int64_t i;
    if (json_is_object(at))
        return json_object_get(at, key);
    if (json_is_array(at) && (*key != '0' || !key[1]) && str_to_i64(key, 0, INT32_MAX, &i))
        return json_array_get(at, (size_t)i);
    return NULL;
}

const json_t *json_at(const json_t *root, const char *pointer)
{
    char key[256];
    const json_t *at = root;
    for (int depth = 0; at && *pointer; depth++) {
        size_t n = 0;
        if (*pointer != '/' || depth == pointer_depth_max)
            return NULL;
        for (pointer++; *pointer && *pointer != '/'; pointer++) {
            char c = *pointer;
            if (c == '~') {
                c = *++pointer == '0' ? '~' : '/';
                if (*pointer != '0' && *pointer != '1')
                    return NULL;
            }
            if (n == sizeof(key) - 1)
                return NULL;
            key[n++] = c;
        }
        key[n] = '\0';
        at = step(at, key);
    }
    return at;
}

static const char *one_at(struct hook *h, const char *where)
{
    static const char header[] = "header:";
    if (str_starts(where, header))
        return hook_header(h, where + sizeof(header) - 1);
    const json_t *v = hook_json(h) ? json_at(h->json, where) : NULL;
    if (json_is_integer(v))
        return arena_printf(h->a, "%lld", (long long)json_integer_value(v));
    return json_string_value(v);
}

const char *hook_at(struct hook *h, const char *where)
{
    const char *all = NULL;
    while (where && *where) {
        size_t n = strcspn(where, " ");
        const char *text = one_at(h, arena_strndup(h->a, where, n));
        if (!text)
            return NULL;
        all = all ? arena_printf(h->a, "%s:%s", all, text) : text;
        where += n + strspn(where + n, " ");
    }
    return all;
}

const char *form_get(struct arena *a, const char *text, size_t n, const char *name)
{
    const char *end = text + n;
    for (const char *p = text; p < end;) {
        const char *amp = memchr(p, '&', (size_t)(end - p)), *stop = amp ? amp : end;
        const char *eq = memchr(p, '=', (size_t)(stop - p));
        char *key, *value;
        if (eq && url_decode(a, p, (size_t)(eq - p), true, &key) && str_eq(key, name))
            return url_decode(a, eq + 1, (size_t)(stop - eq - 1), true, &value) ? value : NULL;
        p = stop + 1;
    }
    return NULL;
}

bool text_equal(const char *a, const char *b)
{
    unsigned char x[sha256_bytes], y[sha256_bytes];
    if (!a || !b || !*a || !*b)
        return false;
    sha256(a, strlen(a), x); /* equal lengths, so that the time says nothing */
    sha256(b, strlen(b), y);
    return crypto_equal(x, y, sizeof(x));
}

const char *setting(const struct hook_key *k, const char *name)
{
    return json_string_value(json_object_get(k->settings, name));
}

bool hook_time_near(const struct hook *h, const struct hook_key *k, int64_t unix_s,
                    unsigned tolerance_s)
{
    const json_t *own = json_object_get(k->settings, "tolerance_s");
    int64_t most = json_is_integer(own) ? json_integer_value(own) : (int64_t)tolerance_s;
    int64_t off = unix_s > h->now_s ? unix_s - h->now_s : h->now_s - unix_s;
    return off <= most;
}

bool hook_fresh(const struct hook *h, const struct hook_key *k, const char *text, bool ms,
                unsigned tolerance_s)
{
    int64_t t;
    if (!text || !str_to_i64(text, 0, INT64_C(1) << 50, &t))
        return false;
    return hook_time_near(h, k, ms ? t / 1000 : t, tolerance_s);
}

int provider_prepare(const struct provider_def *p, struct hook *h, const struct hook_key *k,
                     struct err *err)
{
    return p->prepare ? p->prepare(h, k, err) : 0;
}

int provider_check(const struct provider_def *p, struct hook *h, const struct hook_key *k,
                   struct err *err)
{
    if (!k->n && p->secret != SECRET_NONE)
        return hook_refuse(err, "the source has no secret");
    if (p->mac)
        return mac_check(h, k, p->mac, err);
    return p->check ? p->check(h, k, err) : 0;
}

static int wrong(struct err *err, const char *name, const char *what)
{
    char at[128];
    snprintf(at, sizeof(at), "/settings/%s", name);
    return err_at(err, E_validation, at, "settings.%s %s", name, what);
}

int provider_settings_ok(const struct provider_def *p, const json_t *settings, struct err *err)
{
    const json_t *tolerance = json_object_get(settings, "tolerance_s");
    const json_t *origins = json_object_get(settings, "allowed_origins");
    struct mac_row row;
    for (size_t i = 0; i < json_array_size(origins); i++)
        if (!json_is_string(json_array_get(origins, i)))
            return wrong(err, "allowed_origins", "is a list of names.");
    if (origins && !json_is_array(origins))
        return wrong(err, "allowed_origins", "is a list of names.");
    for (size_t i = 0; i < ARRAY_LEN(p->needs) && p->needs[i]; i++)
        if (!json_string_value(json_object_get(settings, p->needs[i])))
            return wrong(err, p->needs[i], "is needed, a text.");
    if (tolerance && (!json_is_integer(tolerance) || json_integer_value(tolerance) < 30 ||
                      json_integer_value(tolerance) > 259200))
        return wrong(err, "tolerance_s", "is a number of seconds from 30 to 259200.");
    if (str_eq(p->name, "http-signature"))
        return signature_settings(settings, err);
    return str_eq(p->name, "hmac") ? hmac_settings(settings, &row, err) : 0;
}
