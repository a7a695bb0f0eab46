/*
 * HTTP Message Signatures (RFC 9421) over a Content-Digest (RFC 9530): the source's settings say
 * which algorithm, never the message.  Taken are signatures that cover content-digest (or anybody
 * could change the body) and say when they were created.  Component parameters other than that of
 * @query-param (sf, bs, key, req, tr) are refused.
 */
#include "services/webhooks-in/verify.h"

#include "common/base/buf.h"
#include "common/base/str.h"

enum {
    input_bytes_max = 8 * 1024,
    labels_max = 4,
    components_max = 40,
    sig_bytes_max = 4096,
    base_bytes_max = 64 * 1024,
    signature_tolerance_s = 300,
};

static const struct alg {
    const char *name;
    bool mac;
    enum sig_alg sig;
} algs[] = {
    { "hmac-sha256",       true,  SIG_ED25519           }, /* the key is shared */
    { "ed25519",           false, SIG_ED25519           },
    { "ecdsa-p256-sha256", false, SIG_ECDSA_P256_SHA256 },
    { "rsa-pss-sha512",    false, SIG_RSA_PSS_SHA512    },
    { "rsa-v1_5-sha256",   false, SIG_RSA_SHA256        },
};

struct component {
    const char *raw, *name, *param; /* as it stands in the list; param: of @query-param */
};
struct input { /* a member of Signature-Input */
    const char *label, *params /* "(…);created=…" */, *keyid, *alg, *tag;
    int64_t created, expires; /* 0: not given */
    struct component of[components_max];
    size_t n;
};

static const struct alg *alg_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(algs); i++)
        if (str_eq(algs[i].name, name))
            return &algs[i];
    return NULL;
}

int signature_settings(const json_t *settings, struct err *err)
{
    const json_t *list = json_object_get(settings, "components");
    if (!alg_find(json_string_value(json_object_get(settings, "algorithm"))))
        return err_at(err, E_validation, "/settings/algorithm",
                      "settings.algorithm is hmac-sha256, ed25519, ecdsa-p256-sha256, "
                      "rsa-pss-sha512 or rsa-v1_5-sha256.");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            list = json_false();
    if (list && (!json_is_array(list) || json_array_size(list) > components_max))
        return err_at(err, E_validation, "/settings/components",
                      "settings.components is a list of names that a signature must cover.");
    return 0;
}

/* --- structured fields (RFC 8941), as far as they go here ----------------------------------------
 */

/* Members of a dictionary are split at commas outside of quotes. */
static size_t member_len(const char *p)
{
    const char *start = p;
    bool quoted = false;
    for (; *p && (quoted || *p != ','); p++) {
        if (quoted && *p == '\\' && p[1])
            p++;
        else if (*p == '"')
            quoted = !quoted;
    }
    return (size_t)(p - start);
}

/* The member with the label; NULL: there is none, or there are two. */
static char *member(struct arena *a, const char *dict, const char *label)
{
    char *found = NULL;
    size_t n = strlen(label);
    while (*dict) {
        dict += strspn(dict, " \t,");
        size_t len = member_len(dict);
        if (len > n && !strncmp(dict, label, n) && dict[n] == '=') {
            if (found)
                return NULL;
            found = arena_strndup(a, dict + n + 1, len - n - 1);
        }
        dict += len;
    }
    return found;
}

/* "…" at *p, without escapes (nothing that is named here has any). */
static const char *quoted(struct arena *a, const char **p)
{
    if (**p != '"')
        return NULL;
    size_t n = strcspn(*p + 1, "\"\\");
    if ((*p)[1 + n] != '"')
        return NULL;
    const char *s = arena_strndup(a, *p + 1, n);
    *p += n + 2;
    return s;
}

/* ";name=value" at *p; a value without quotes is left as it is. */
static bool param(struct arena *a, const char **p, const char **ret_name, const char **ret_value)
{
    static const char name_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789_-.*";
    if (**p != ';')
        return false;
    *p += 1 + strspn(*p + 1, " ");
    size_t n = strspn(*p, name_chars);
    *ret_name = arena_strndup(a, *p, n);
    *ret_value = NULL;
    *p += n;
    if (!n || **p != '=')
        return n > 0;
    ++*p;
    if (**p == '"')
        return (*ret_value = quoted(a, p)) != NULL;
    n = strcspn(*p, "; )");
    *ret_value = arena_strndup(a, *p, n);
    *p += n;
    return n > 0;
}

static bool read_component(struct arena *a, const char **p, struct component *ret)
{
    const char *start = *p, *name, *value;
    ret->name = quoted(a, p);
    ret->param = NULL;
    if (!ret->name)
        return false;
    while (**p == ';') {
        if (!param(a, p, &name, &value) || !str_eq(name, "name") || ret->param ||
            !str_eq(ret->name, "@query-param") || !value)
            return false;
        ret->param = value;
    }
    ret->raw = arena_strndup(a, start, (size_t)(*p - start));
    return true;
}

static bool read_input(struct arena *a, const char *text, struct input *ret)
{
    const char *p = text, *name, *value;
    ret->params = text;
    if (*p++ != '(')
        return false;
    for (p += strspn(p, " "); *p != ')'; p += strspn(p, " "))
        if (ret->n == components_max || !read_component(a, &p, &ret->of[ret->n++]))
            return false;
    p++;
    while (*p) {
        if (!param(a, &p, &name, &value))
            return false;
        if (str_eq(name, "created") && !str_to_i64(value, 1, INT64_C(1) << 40, &ret->created))
            return false;
        if (str_eq(name, "expires") && !str_to_i64(value, 1, INT64_C(1) << 40, &ret->expires))
            return false;
        ret->keyid = str_eq(name, "keyid") ? value : ret->keyid;
        ret->alg = str_eq(name, "alg") ? value : ret->alg;
        ret->tag = str_eq(name, "tag") ? value : ret->tag;
    }
    return true;
}

/* ":base64:" */
static bool read_bytes(struct arena *a, const char *text, struct sha256_part *ret)
{
    size_t n = text ? strlen(text) : 0;
    void *raw;
    if (n < 3 || n > sig_bytes_max || text[0] != ':' || text[n - 1] != ':' ||
        !b64_decode(a, arena_strndup(a, text + 1, n - 2), &raw, &ret->n))
        return false;
    ret->data = raw;
    return ret->n > 0;
}

/* --- what was signed -----------------------------------------------------------------------------
 */

/* https://cms.example.com:443/hooks/a?b -> its pieces (RFC 9421 §2.2); NULL: it has none such. */
static const char *of_url(const struct hook *h, const char *name)
{
    const char *rest = strstr(h->url, "://"), *path = rest ? strchr(rest + 3, '/') : NULL;
    if (!path)
        return NULL;
    const char *scheme = arena_strndup(h->a, h->url, (size_t)(rest - h->url));
    char *host = arena_strndup(h->a, rest + 3, (size_t)(path - rest - 3));
    for (char *c = host; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    const char *own = str_eq(scheme, "https") ? ":443" : ":80";
    size_t n = strlen(host), k = strlen(own);
    if (n > k && str_eq(host + n - k, own))
        host[n - k] = '\0';
    if (str_eq(name, "@scheme"))
        return scheme;
    if (str_eq(name, "@authority"))
        return host;
    if (str_eq(name, "@path"))
        return arena_strndup(h->a, path, strcspn(path, "?"));
    if (str_eq(name, "@query"))
        return arena_printf(h->a, "?%s", h->query);
    return str_eq(name, "@request-target") ? path : NULL;
}

static const char *value_of(const struct hook *h, const struct component *c)
{
    if (*c->name != '@')
        return hook_header(h, c->name);
    if (str_eq(c->name, "@method"))
        return h->method;
    if (str_eq(c->name, "@target-uri"))
        return h->url;
    if (str_eq(c->name, "@query-param"))
        return c->param ? form_get(h->a, h->query, strlen(h->query), c->param) : NULL;
    return of_url(h, c->name);
}

static bool signature_base(const struct hook *h, const struct input *in, struct buf *b)
{
    for (size_t i = 0; i < in->n; i++) {
        const char *v = value_of(h, &in->of[i]);
        for (size_t k = 0; k < i; k++)
            if (str_eq(in->of[k].raw, in->of[i].raw))
                return false;
        if (!v)
            return false;
        v += strspn(v, " \t");
        size_t n = strlen(v);
        while (n && (v[n - 1] == ' ' || v[n - 1] == '\t'))
            n--;
        buf_printf(b, "%s: ", in->of[i].raw);
        buf_put(b, v, n);
        buf_putc(b, '\n');
    }
    buf_printf(b, "\"@signature-params\": %s", in->params);
    return !b->overflow;
}

static bool covers(const struct input *in, const char *name)
{
    for (size_t i = 0; i < in->n; i++)
        if (str_eq(in->of[i].name, name))
            return true;
    return false;
}

/* Every digest that is known must be the body's, and one must be known. */
static bool digest_right(const struct hook *h)
{
    static const struct {
        const char *name;
        enum mac_alg alg;
    } known[] = {
        { "sha-256", MAC_SHA256 },
        { "sha-512", MAC_SHA512 }
    };
    const char *header = hook_header(h, "Content-Digest");
    const struct sha256_part body = { h->body ? h->body : "", h->n };
    bool any = false;
    for (size_t i = 0; header && i < ARRAY_LEN(known); i++) {
        unsigned char digest[mac_bytes_max];
        struct sha256_part given;
        const char *text = member(h->a, header, known[i].name);
        if (!text)
            continue;
        size_t n = digest_of(known[i].alg, &body, 1, digest);
        if (!read_bytes(h->a, text, &given) || given.n != n || !crypto_equal(given.data, digest, n))
            return false;
        any = true;
    }
    return any;
}

/* --- the check -----------------------------------------------------------------------------------
 */

static bool key_right(const struct hook *h, const struct hook_key *k, size_t i,
                      const struct alg *alg, const struct sha256_part *text,
                      const struct sha256_part *sig)
{
    struct sha256_part key;
    struct pubkey *pub;
    struct err ignored;
    void *raw;
    if (alg->mac) {
        unsigned char mac[mac_bytes_max];
        if (!hook_secret_bytes(h, k, i, &key))
            return false;
        size_t n = mac_of(MAC_SHA256, &key, text, 1, mac);
        return n == sig->n && crypto_equal(mac, sig->data, n);
    }
    if (!b64_decode(h->a, k->secrets[i], &raw, &key.n))
        return false;
    key.data = raw;
    enum pubkey_form form = alg->sig == SIG_ED25519 && key.n == 32 ? PUBKEY_ED25519 : PUBKEY_DER;
    return !pubkey_parse(h->a, form, &key, h->now_s, &pub, &ignored) &&
           pubkey_verify(pub, h->a, alg->sig, text, 1, sig);
}

static const char *input_wrong(const struct hook *h, const struct hook_key *k,
                               const struct alg *alg, const struct input *in)
{
    const json_t *must = json_object_get(k->settings, "components");
    const char *keyid = setting(k, "keyid"), *tag = setting(k, "tag");
    if (!in->created || !hook_time_near(h, k, in->created, signature_tolerance_s))
        return "created is missing or too far from now";
    if (in->expires && in->expires <= h->now_s)
        return "the signature has expired";
    if (in->alg && !str_eq(in->alg, alg->name))
        return "the algorithm is another one";
    if ((keyid && !str_eq(in->keyid, keyid)) || (tag && !str_eq(in->tag, tag)))
        return "keyid or tag is another one";
    if (!covers(in, "content-digest"))
        return "the signature does not cover content-digest";
    for (size_t i = 0; i < json_array_size(must); i++)
        if (!covers(in, json_string_value(json_array_get(must, i))))
            return "the signature does not cover what it must";
    return NULL;
}

static const char *label_wrong(struct hook *h, const struct hook_key *k, const struct alg *alg,
                               const char *label)
{
    struct input in = { .label = label };
    struct sha256_part sig;
    struct buf b;
    const char *text = member(h->a, hook_header(h, "Signature-Input"), label);
    if (!text || !read_input(h->a, text, &in))
        return "Signature-Input cannot be read";
    if (!read_bytes(h->a, member(h->a, hook_header(h, "Signature"), label), &sig))
        return "Signature has no such member";
    const char *why = input_wrong(h, k, alg, &in);
    if (why)
        return why;
    buf_init(&b, h->a, 1024, base_bytes_max);
    if (!signature_base(h, &in, &b))
        return "what was signed is not all there";
    const struct sha256_part base = { b.data, b.len };
    bool ok = false;
    for (size_t i = 0; i < k->n; i++)
        ok |= key_right(h, k, i, alg, &base, &sig);
    return ok ? NULL : "the signature is another one";
}

/* Several parties may sign: one of the first few members must be right. */
int check_signature(struct hook *h, const struct hook_key *k, struct err *err)
{
    const struct alg *alg = alg_find(setting(k, "algorithm"));
    const char *inputs = hook_header(h, "Signature-Input"), *why = "there is no signature";
    if (!alg)
        return hook_refuse(err, "the source's settings are not valid");
    if (!inputs || !hook_header(h, "Signature") || strlen(inputs) > input_bytes_max)
        return hook_refuse(err, "Signature-Input or Signature is missing or too long");
    if (!digest_right(h))
        return hook_refuse(err, "Content-Digest is missing or of another body");
    for (size_t i = 0; *inputs && i < labels_max; i++) {
        inputs += strspn(inputs, " \t,");
        const char *label = arena_strndup(h->a, inputs, strcspn(inputs, "=,"));
        why = label_wrong(h, k, alg, label);
        if (!why)
            return 0;
        inputs += member_len(inputs);
    }
    return hook_refuse(err, why);
}
