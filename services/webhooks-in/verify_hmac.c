/* Signatures with a shared secret. */
#include "services/webhooks-in/verify.h"

#include "common/base/buf.h"
#include "common/base/str.h"

enum { parts_max = 12, form_max = 1000, sigs_max = 16, signature_bytes_max = 4096 };

static struct sha256_part part(const char *s)
{
    return (struct sha256_part){ s, strlen(s) };
}

/* The secret as the provider's HMAC takes it. */
bool hook_secret_bytes(const struct hook *h, const struct hook_key *k, size_t i,
                       struct sha256_part *ret)
{
    const char *how = setting(k, "secret_encoding"), *text = k->secrets[i];
    void *raw;
    *ret = part(text);
    if (str_eq(how, "base64")) {
        if (!b64_decode(h->a, text, &raw, &ret->n))
            return false;
        ret->data = raw;
    } else if (str_eq(how, "hex")) {
        size_t n = strlen(text);
        raw = arena_alloc(h->a, n / 2 + 1);
        if (n % 2 || !hex_decode(text, n, raw))
            return false;
        *ret = (struct sha256_part){ raw, n / 2 };
    }
    return ret->n > 0;
}

struct given { /* a signature as it was sent, decoded */
    const void *data;
    size_t n;
};

static bool decode(struct arena *a, const char *text, size_t len, bool base64, struct given *ret)
{
    void *raw;
    if (len > signature_bytes_max)
        return false;
    char *copy = arena_strndup(a, text, len);
    if (base64) {
        if (!b64_decode(a, copy, &raw, &ret->n))
            return false;
    } else {
        raw = arena_alloc(a, len / 2 + 1);
        if (!len || len % 2 || !hex_decode(copy, len, raw))
            return false;
        ret->n = len / 2;
    }
    ret->data = raw;
    return true;
}

/* Is one of them right, by one of the secrets?  All are tried, so that the time says nothing. */
static bool any_right(const struct hook *h, const struct hook_key *k, enum mac_alg alg,
                      const struct sha256_part *parts, size_t nparts, const struct given *given,
                      size_t n)
{
    bool ok = false;
    for (size_t i = 0; i < k->n; i++) {
        unsigned char mac[mac_bytes_max];
        struct sha256_part key;
        if (!hook_secret_bytes(h, k, i, &key))
            continue;
        size_t len = mac_of(alg, &key, parts, nparts, mac);
        for (size_t g = 0; g < n; g++)
            ok |= given[g].n == len && crypto_equal(given[g].data, mac, len);
    }
    return ok;
}

/* --- rows ----------------------------------------------------------------------------------------
 */

struct pieces {
    struct sha256_part parts[parts_max];
    size_t n;
};

/* "{timestamp}.{body}" -> its parts; false: a value is missing, or the template makes no sense. */
static bool fill(const struct hook *h, const char *text, const char *stamp, const char *id,
                 struct pieces *ret)
{
    ret->n = 0;
    while (*text && ret->n < parts_max) {
        size_t plain = strcspn(text, "{");
        if (plain) {
            ret->parts[ret->n++] = (struct sha256_part){ text, plain };
            text += plain;
            continue;
        }
        size_t n = strcspn(text, "}");
        const struct {
            const char *name;
            struct sha256_part value;
        } of[] = {
            { "{body",      { h->body ? h->body : "", h->n }     },
            { "{timestamp", { stamp, stamp ? strlen(stamp) : 0 } },
            { "{id",        { id, id ? strlen(id) : 0 }          },
            { "{method",    { h->method, strlen(h->method) }     },
            { "{url",       { h->url, strlen(h->url) }           },
        };
        size_t i = 0;
        while (i < ARRAY_LEN(of) && (strlen(of[i].name) != n || strncmp(of[i].name, text, n) != 0))
            i++;
        if (i == ARRAY_LEN(of) || text[n] != '}' || !of[i].value.data)
            return false;
        ret->parts[ret->n++] = of[i].value;
        text += n + 1;
    }
    return !*text && ret->n;
}

/* "t=1614556800,v1=aa,v1=bb" */
static size_t read_listed(const struct hook *h, const char *text, const char **ret_time,
                          struct given *ret)
{
    size_t n = 0;
    *ret_time = NULL;
    while (*text) {
        text += strspn(text, " ");
        size_t len = strcspn(text, ",");
        if (len > 2 && !strncmp(text, "t=", 2)) {
            if (*ret_time)
                return 0; /* two times: which one was signed? */
            *ret_time = arena_strndup(h->a, text + 2, len - 2);
        } else if (len > 3 && !strncmp(text, "v1=", 3) && n < sigs_max) {
            n += decode(h->a, text + 3, len - 3, false, &ret[n]);
        }
        text += len;
        text += *text == ',';
    }
    return n;
}

int mac_check(struct hook *h, const struct hook_key *k, const struct mac_row *row, struct err *err)
{
    struct given given[sigs_max];
    struct pieces p;
    size_t n;
    const char *sig = hook_header(h, row->header), *stamp = NULL;
    const char *id = row->id_header ? hook_header(h, row->id_header) : NULL;
    if (!sig)
        return hook_refuse(err, "the signature's header is missing");
    if (row->listed) {
        n = read_listed(h, sig, &stamp, given);
    } else {
        size_t skip = row->prefix ? strlen(row->prefix) : 0;
        if (skip && strncmp(sig, row->prefix, skip) != 0)
            return hook_refuse(err, "the signature does not begin as it must");
        n = decode(h->a, sig + skip, strlen(sig + skip), row->base64, &given[0]);
        stamp = row->time_header ? hook_header(h, row->time_header) : NULL;
    }
    if (!n)
        return hook_refuse(err, "the signature cannot be read");
    if ((row->listed || row->time_header) &&
        !hook_fresh(h, k, stamp, row->time_ms, row->tolerance_s))
        return hook_refuse(err, "the timestamp is missing or too far from now");
    if (!fill(h, row->signed_text, stamp, id, &p))
        return hook_refuse(err, "what was signed is not all there");
    if (!any_right(h, k, row->alg, p.parts, p.n, given, n))
        return hook_refuse(err, "the signature is another one");
    return 0;
}

/* --- hmac: the row is in the source's settings --- */

static int bad(struct err *err, const char *name, const char *what)
{
    char at[128];
    snprintf(at, sizeof(at), "/settings/%s", name);
    return err_at(err, E_validation, at, "settings.%s %s", name, what);
}

int hmac_settings(const json_t *s, struct mac_row *ret, struct err *err)
{
    const struct hook_key k = { .settings = s };
    const char *alg = setting(&k, "algorithm"), *encoding = setting(&k, "encoding");
    const char *how = setting(&k, "secret_encoding");
    *ret = (struct mac_row){ .header = setting(&k, "header"),
                             .prefix = setting(&k, "prefix"),
                             .signed_text = setting(&k, "signed"),
                             .alg = alg ? mac_find(alg) : MAC_SHA256,
                             .base64 = str_eq(encoding, "base64"),
                             .time_header = setting(&k, "timestamp_header"),
                             .tolerance_s = 300,
                             .id_header = setting(&k, "id_header") };
    if (!ret->signed_text)
        ret->signed_text = ret->time_header ? "{timestamp}.{body}" : "{body}";
    if (!ret->header || !*ret->header)
        return bad(err, "header", "names the header that holds the signature.");
    if (ret->alg == MAC_NONE)
        return bad(err, "algorithm", "is sha1, sha256, sha384 or sha512.");
    if (encoding && !ret->base64 && !str_eq(encoding, "hex"))
        return bad(err, "encoding", "is hex or base64.");
    if (how && !str_eq(how, "raw") && !str_eq(how, "hex") && !str_eq(how, "base64"))
        return bad(err, "secret_encoding", "is raw, hex or base64.");
    if (!strstr(ret->signed_text, "{body}"))
        return bad(err, "signed", "must contain {body}, or anybody could change it.");
    if (strstr(ret->signed_text, "{timestamp}") && !ret->time_header)
        return bad(err, "timestamp_header", "is needed, as {timestamp} is signed.");
    if (strstr(ret->signed_text, "{id}") && !ret->id_header)
        return bad(err, "id_header", "is needed, as {id} is signed.");
    struct pieces p;
    const struct hook probe = { .method = "POST", .url = "", .body = "" };
    if (!fill(&probe, ret->signed_text, "", "", &p))
        return bad(err, "signed", "knows {body}, {timestamp}, {id}, {method} and {url}.");
    return 0;
}

int check_hmac(struct hook *h, const struct hook_key *k, struct err *err)
{
    struct mac_row row;
    if (hmac_settings(k->settings, &row, err))
        return hook_refuse(err, "the source's settings are not valid");
    return mac_check(h, k, &row, err);
}

/* --- Standard Webhooks: https://www.standardwebhooks.com --- */

enum { standard_tolerance_s = 300 };

static const char *either(const struct hook *h, const char *one, const char *other)
{
    const char *s = hook_header(h, one);
    return s ? s : hook_header(h, other);
}

static bool ed25519_right(const struct hook *h, const char *secret, const struct sha256_part *parts,
                          size_t n, const struct given *sig)
{
    void *raw;
    struct sha256_part key;
    struct pubkey *pub;
    struct err ignored;
    if (!str_starts(secret, "whpk_") || !b64_decode(h->a, secret + 5, &raw, &key.n))
        return false;
    key.data = raw;
    const struct sha256_part s = { sig->data, sig->n };
    return !pubkey_parse(h->a, PUBKEY_ED25519, &key, h->now_s, &pub, &ignored) &&
           pubkey_verify(pub, h->a, SIG_ED25519, parts, n, &s);
}

static bool standard_right(const struct hook *h, const char *secret,
                           const struct sha256_part *parts, size_t n, const struct given *sig)
{
    unsigned char mac[mac_bytes_max];
    struct sha256_part key;
    void *raw;
    const char *text = str_starts(secret, "whsec_") ? secret + 6 : secret;
    if (str_starts(secret, "whpk_") || !b64_decode(h->a, text, &raw, &key.n) || !key.n)
        return false;
    key.data = raw;
    size_t len = mac_of(MAC_SHA256, &key, parts, n, mac);
    return sig->n == len && crypto_equal(sig->data, mac, len);
}

int check_standard(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *id = either(h, "webhook-id", "svix-id");
    const char *stamp = either(h, "webhook-timestamp", "svix-timestamp");
    const char *sigs = either(h, "webhook-signature", "svix-signature");
    bool ok = false;
    if (!id || !*id || !sigs)
        return hook_refuse(err, "webhook-id or webhook-signature is missing");
    if (!hook_fresh(h, k, stamp, false, standard_tolerance_s))
        return hook_refuse(err, "webhook-timestamp is missing or too far from now");
    const struct sha256_part parts[] = {
        part(id), part("."), part(stamp), part("."), { h->body ? h->body : "", h->n }
    };
    size_t seen = 0;
    for (const char *s = sigs; *s && seen < sigs_max; seen++) {
        size_t len = strcspn(s, " ");
        struct given sig;
        bool mac = len > 3 && !strncmp(s, "v1,", 3), key = len > 4 && !strncmp(s, "v1a,", 4);
        size_t skip = key ? 4 : 3;
        if ((mac || key) && decode(h->a, s + skip, len - skip, true, &sig))
            for (size_t i = 0; i < k->n; i++)
                ok |= mac ? standard_right(h, k->secrets[i], parts, ARRAY_LEN(parts), &sig)
                          : ed25519_right(h, k->secrets[i], parts, ARRAY_LEN(parts), &sig);
        s += len;
        s += strspn(s, " ");
    }
    return ok ? 0 : hook_refuse(err, "no signature is right");
}

/* --- Twilio: HMAC-SHA1 of the URL and the sorted form ---
 * https://www.twilio.com/docs/usage/security */

struct pair {
    const char *name, *value;
};

static int by_name(const void *x, const void *y)
{
    const struct pair *a = x, *b = y;
    int c = strcmp(a->name, b->name);
    return c ? c : strcmp(a->value, b->value);
}

static bool form_pairs(const struct hook *h, struct pair *ret, size_t *ret_n)
{
    const char *end = h->body + h->n;
    size_t n = 0;
    for (const char *p = h->body; p < end;) {
        const char *amp = memchr(p, '&', (size_t)(end - p)), *stop = amp ? amp : end;
        const char *eq = memchr(p, '=', (size_t)(stop - p));
        char *name, *value;
        if (stop > p) {
            const char *name_end = eq ? eq : stop;
            if (n == form_max || !url_decode(h->a, p, (size_t)(name_end - p), true, &name) ||
                !url_decode(h->a, eq ? eq + 1 : stop, eq ? (size_t)(stop - eq - 1) : 0, true,
                            &value))
                return false;
            ret[n++] = (struct pair){ name, value };
        }
        p = stop + 1;
    }
    *ret_n = n;
    return true;
}

static bool twilio_text(struct hook *h, struct buf *b)
{
    char digest[sha256_hex_len + 1];
    buf_puts(b, h->url);
    const char *want = form_get(h->a, h->query, strlen(h->query), "bodySHA256");
    if (want) { /* anything but a form */
        sha256_hex(h->body, h->n, digest);
        return text_equal(want, digest);
    }
    if (!str_starts(h->content_type, "application/x-www-form-urlencoded"))
        return h->n == 0; /* a body that nothing vouches for */
    size_t n;
    struct pair *pairs = arena_alloc(h->a, form_max * sizeof(*pairs));
    if (!form_pairs(h, pairs, &n))
        return false;
    qsort(pairs, n, sizeof(*pairs), by_name);
    for (size_t i = 0; i < n; i++) {
        if (i && !by_name(&pairs[i], &pairs[i - 1]))
            continue;
        buf_puts(b, pairs[i].name);
        buf_puts(b, pairs[i].value);
    }
    return !b->overflow;
}

int check_twilio(struct hook *h, const struct hook_key *k, struct err *err)
{
    struct buf b;
    struct given sig;
    const char *header = hook_header(h, "X-Twilio-Signature");
    buf_init(&b, h->a, 512, 4 * 1024 * 1024);
    if (!header || !decode(h->a, header, strlen(header), true, &sig))
        return hook_refuse(err, "X-Twilio-Signature is missing or cannot be read");
    if (!twilio_text(h, &b))
        return hook_refuse(err, "the body is not what was signed");
    const struct sha256_part text = { b.data, b.len };
    return any_right(h, k, MAC_SHA1, &text, 1, &sig, 1)
               ? 0
               : hook_refuse(err, "the signature is another one");
}

/* --- HubSpot v3: method, URI, body, timestamp ---
 * https://developers.hubspot.com/docs/api/webhooks/validating-requests */

enum { hubspot_tolerance_s = 300 };

/* HubSpot signs the URI with these escapes undone. */
static const char *hubspot_uri(struct arena *a, const char *url)
{
    static const char plain[] = ":/?@!$'()*,;";
    char *out = arena_alloc(a, strlen(url) + 1), *at = out;
    for (const char *p = url; *p; p++) {
        unsigned char c;
        if (*p == '%' && p[1] && p[2] && hex_decode(p + 1, 2, &c) && c && strchr(plain, c)) {
            *at++ = (char)c;
            p += 2;
        } else {
            *at++ = *p;
        }
    }
    return out;
}

int check_hubspot(struct hook *h, const struct hook_key *k, struct err *err)
{
    struct given sig;
    const char *header = hook_header(h, "X-HubSpot-Signature-v3");
    const char *stamp = hook_header(h, "X-HubSpot-Request-Timestamp");
    if (!header || !decode(h->a, header, strlen(header), true, &sig))
        return hook_refuse(err, "X-HubSpot-Signature-v3 is missing or cannot be read");
    if (!hook_fresh(h, k, stamp, true, hubspot_tolerance_s))
        return hook_refuse(err, "the timestamp is missing or too far from now");
    const struct sha256_part parts[] = {
        part(h->method),
        part(hubspot_uri(h->a, h->url)),
        { h->body ? h->body : "", h->n },
        part(stamp)
    };
    return any_right(h, k, MAC_SHA256, parts, ARRAY_LEN(parts), &sig, 1)
               ? 0
               : hook_refuse(err, "the signature is another one");
}

/* --- Mailgun: the signature is in the body, and covers timestamp and token only; that a token
 * comes with one body only is looked after in receive.c.
 * https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks */

enum { mailgun_tolerance_s = 3600 };

int check_mailgun(struct hook *h, const struct hook_key *k, struct err *err)
{
    struct given sig;
    const char *stamp = hook_at(h, "/signature/timestamp"), *token = hook_at(h, "/signature/token");
    const char *text = hook_at(h, "/signature/signature");
    if (!token || !*token || !text || !decode(h->a, text, strlen(text), false, &sig))
        return hook_refuse(err, "signature.token or signature.signature is missing");
    if (!hook_fresh(h, k, stamp, false, mailgun_tolerance_s))
        return hook_refuse(err, "the timestamp is missing or too far from now");
    const struct sha256_part parts[] = { part(stamp), part(token) };
    return any_right(h, k, MAC_SHA256, parts, ARRAY_LEN(parts), &sig, 1)
               ? 0
               : hook_refuse(err, "the signature is another one");
}
