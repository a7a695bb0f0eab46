/* Signatures with the sender's own key. */
#include "services/webhooks-in/verify.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto_jose.h"

enum { cert_keep_s = 3600, keys_keep_s = 300, jwks_max = 32, sig_bytes_max = 4096 };

static struct sha256_part part(const char *s)
{
    return (struct sha256_part){ s, strlen(s) };
}

static struct sha256_part body_of(const struct hook *h)
{
    return (struct sha256_part){ h->body ? h->body : "", h->n };
}

static bool from_b64(struct arena *a, const char *text, struct sha256_part *ret)
{
    void *raw;
    if (!text || strlen(text) > sig_bytes_max || !b64_decode(a, text, &raw, &ret->n))
        return false;
    ret->data = raw;
    return ret->n > 0;
}

static bool from_hex(struct arena *a, const char *text, struct sha256_part *ret)
{
    size_t n = text ? strlen(text) : 0;
    unsigned char *raw = arena_alloc(a, n / 2 + 1);
    if (!n || n % 2 || n > sig_bytes_max || !hex_decode(text, n, raw))
        return false;
    *ret = (struct sha256_part){ raw, n / 2 };
    return true;
}

/* --- SendGrid: ECDSA over timestamp and body; the secret is the public key ---
 * https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
 */

enum { sendgrid_tolerance_s = 3600 };

int check_sendgrid(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *stamp = hook_header(h, "X-Twilio-Email-Event-Webhook-Timestamp");
    struct sha256_part sig, der;
    struct pubkey *pub;
    struct err ignored;
    if (!from_b64(h->a, hook_header(h, "X-Twilio-Email-Event-Webhook-Signature"), &sig))
        return hook_refuse(err, "the signature is missing or cannot be read");
    if (!hook_fresh(h, k, stamp, false, sendgrid_tolerance_s))
        return hook_refuse(err, "the timestamp is missing or too far from now");
    const struct sha256_part parts[] = { part(stamp), body_of(h) };
    for (size_t i = 0; i < k->n; i++)
        if (from_b64(h->a, k->secrets[i], &der) &&
            !pubkey_parse(h->a, PUBKEY_DER, &der, h->now_s, &pub, &ignored) &&
            pubkey_verify(pub, h->a, SIG_ECDSA_SHA256, parts, 2, &sig))
            return 0;
    return hook_refuse(err, "the signature is another one");
}

/* --- Discord: Ed25519 over timestamp and body; the secret is the public key in hex ---
 * https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint */

enum { discord_tolerance_s = 300 };

int check_discord(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *stamp = hook_header(h, "X-Signature-Timestamp");
    struct sha256_part sig, raw;
    struct pubkey *pub;
    struct err ignored;
    if (!from_hex(h->a, hook_header(h, "X-Signature-Ed25519"), &sig))
        return hook_refuse(err, "X-Signature-Ed25519 is missing or cannot be read");
    if (!hook_fresh(h, k, stamp, false, discord_tolerance_s))
        return hook_refuse(err, "the timestamp is missing or too far from now");
    const struct sha256_part parts[] = { part(stamp), body_of(h) };
    for (size_t i = 0; i < k->n; i++)
        if (from_hex(h->a, k->secrets[i], &raw) &&
            !pubkey_parse(h->a, PUBKEY_ED25519, &raw, h->now_s, &pub, &ignored) &&
            pubkey_verify(pub, h->a, SIG_ED25519, parts, 2, &sig))
            return 0;
    return hook_refuse(err, "the signature is another one");
}

/* --- certificates that the sender names --- */

static int get_cert(struct hook *h, const char *url, struct err *err)
{
    struct fetched got;
    int rc = h->fetch(h->fetch_ctx, h->a, url, NULL, cert_keep_s, &got, err);
    if (rc == -E_egress_refused || (!rc && got.status != 200))
        return hook_refuse(err, "the certificate is not at a host of the provider's, or not there");
    if (rc)
        return rc;
    h->prepared = got.body;
    h->prepared_n = got.n;
    return 0;
}

static int cert_right(struct hook *h, enum sig_alg alg, const struct sha256_part *text,
                      const struct sha256_part *sig, struct err *err)
{
    const struct sha256_part pem = { h->prepared, h->prepared_n };
    struct pubkey *pub;
    struct err ignored;
    if (!h->prepared || pubkey_parse(h->a, PUBKEY_PEM, &pem, h->now_s, &pub, &ignored))
        return hook_refuse(err, "the certificate cannot be read or is not valid now");
    return pubkey_verify(pub, h->a, alg, text, 1, sig)
               ? 0
               : hook_refuse(err, "the signature is another one");
}

/* --- SES, by SNS: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
 */

enum { sns_tolerance_s = 3600 };

int prepare_ses(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *url = hook_at(h, "/SigningCertURL");
    (void)k;
    return url ? get_cert(h, url, err) : hook_refuse(err, "SigningCertURL is missing");
}

static bool sns_text(struct hook *h, const char *type, struct buf *b)
{
    static const char *const note[] = { "Message",  "MessageId", "Subject", "Timestamp",
                                        "TopicArn", "Type",      NULL };
    static const char *const other[] = { "Message", "MessageId", "SubscribeURL", "Timestamp",
                                         "Token",   "TopicArn",  "Type",         NULL };
    const char *const *names = str_eq(type, "Notification") ? note : other;
    if (names == other && !str_eq(type, "SubscriptionConfirmation") &&
        !str_eq(type, "UnsubscribeConfirmation"))
        return false;
    for (; *names; names++) {
        const char *v = json_string_value(json_object_get(hook_json(h), *names));
        if (v)
            buf_printf(b, "%s\n%s\n", *names, v);
        else if (!str_eq(*names, "Subject"))
            return false;
    }
    return !b->overflow;
}

int check_ses(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *type = hook_at(h, "/Type"), *version = hook_at(h, "/SignatureVersion");
    const char *at = hook_at(h, "/Timestamp");
    struct sha256_part sig;
    struct buf b;
    int64_t us;
    buf_init(&b, h->a, 4096, 4 * 1024 * 1024);
    if (!from_b64(h->a, hook_at(h, "/Signature"), &sig) || !type || !version)
        return hook_refuse(err, "Signature, SignatureVersion or Type is missing");
    if (!text_equal(hook_at(h, "/TopicArn"), setting(k, "topic_arn")))
        return hook_refuse(err, "it is of another topic");
    if (!at || !rfc3339_parse(at, &us) || !hook_time_near(h, k, us / 1000000, sns_tolerance_s))
        return hook_refuse(err, "Timestamp is missing or too far from now");
    if (!sns_text(h, type, &b))
        return hook_refuse(err, "what was signed is not all there");
    enum sig_alg alg = str_eq(version, "2") ? SIG_RSA_SHA256 : SIG_RSA_SHA1;
    if (alg == SIG_RSA_SHA1 && !str_eq(version, "1"))
        return hook_refuse(err, "SignatureVersion is unknown");
    const struct sha256_part text = { b.data, b.len };
    return cert_right(h, alg, &text, &sig, err);
}

/* --- PayPal: https://developer.paypal.com/api/rest/webhooks/rest/#link-messagesignature ---
 * A message is sent again for three days with the time of its first transmission. */

enum { paypal_tolerance_s = 4 * 24 * 3600 };

int prepare_paypal(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *url = hook_header(h, "PayPal-Cert-Url");
    (void)k;
    return url ? get_cert(h, url, err) : hook_refuse(err, "PayPal-Cert-Url is missing");
}

int check_paypal(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *id = hook_header(h, "PayPal-Transmission-Id");
    const char *at = hook_header(h, "PayPal-Transmission-Time");
    const char *alg = hook_header(h, "PayPal-Auth-Algo"), *webhook = setting(k, "webhook_id");
    struct sha256_part sig;
    int64_t us;
    if (!id || !at || !webhook || !str_eq(alg, "SHA256withRSA"))
        return hook_refuse(err, "a PayPal header is missing, or the algorithm is another one");
    if (!from_b64(h->a, hook_header(h, "PayPal-Transmission-Sig"), &sig))
        return hook_refuse(err, "PayPal-Transmission-Sig is missing or cannot be read");
    if (!rfc3339_parse(at, &us) || !hook_time_near(h, k, us / 1000000, paypal_tolerance_s))
        return hook_refuse(err, "PayPal-Transmission-Time is too far from now");
    const struct sha256_part body = body_of(h);
    const struct sha256_part text =
        part(arena_printf(h->a, "%s|%s|%s|%u", id, at, webhook, crc32_of(body.data, body.n)));
    return cert_right(h, SIG_RSA_SHA256, &text, &sig, err);
}

/* --- JWT (RFC 7519), by a shared secret or the sender's key set --- */

enum { jwt_leeway_s = 60 };

int prepare_jwt(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *url = setting(k, "jwks_url");
    struct fetched got;
    if (!url)
        return 0;
    int rc = h->fetch_any(h->fetch_ctx, h->a, url, NULL, keys_keep_s, &got, err);
    if (rc == -E_egress_refused || (!rc && got.status != 200))
        return hook_refuse(err, "the key set is not to be had");
    if (rc)
        return rc;
    h->prepared = got.body;
    h->prepared_n = got.n;
    return 0;
}

static const char *jwt_text(struct hook *h, const struct hook_key *k)
{
    const char *name = setting(k, "header");
    const char *text = hook_header(h, name ? name : "Authorization");
    if (text && str_starts(text, "Bearer "))
        text += strlen("Bearer ");
    return text && strlen(text) < jws_bytes_max ? text : NULL;
}

static bool hs256_right(struct hook *h, const struct hook_key *k, const char *text)
{
    const char *dot = strrchr(text, '.');
    unsigned char mac[mac_bytes_max];
    bool ok = false;
    void *sig;
    size_t n;
    if (!dot || !b64url_decode(h->a, dot + 1, &sig, &n))
        return false;
    const struct sha256_part signed_text = { text, (size_t)(dot - text) };
    for (size_t i = 0; i < k->n; i++) {
        const struct sha256_part key = part(k->secrets[i]);
        size_t len = mac_of(MAC_SHA256, &key, &signed_text, 1, mac);
        ok |= n == len && crypto_equal(sig, mac, len);
    }
    return ok;
}

static bool one_key_right(struct hook *h, const json_t *jwk, const char *kid, const char *text)
{
    const char *own = json_string_value(json_object_get(jwk, "kid"));
    struct jose_key *key;
    struct err ignored;
    if (kid && own && !str_eq(kid, own))
        return false;
    const char *jwk_text = json_text(h->a, jwk);
    if (jose_key_parse(jwk_text, strlen(jwk_text), JOSE_PUBLIC, &key, &ignored))
        return false;
    bool ok = jws_verify(key, h->a, text);
    jose_key_free(key);
    return ok;
}

/* `set`: a JWK Set (RFC 7517 §5) or a single key. */
static bool key_right(struct hook *h, const char *set, size_t n, const char *kid, const char *text)
{
    json_t *tree;
    struct err ignored;
    if (!set || json_parse(h->a, set, n, &tree, &ignored))
        return false;
    const json_t *keys = json_object_get(tree, "keys");
    if (!json_is_array(keys))
        return one_key_right(h, tree, kid, text);
    for (size_t i = 0; i < json_array_size(keys) && i < jwks_max; i++)
        if (one_key_right(h, json_array_get(keys, i), kid, text))
            return true;
    return false;
}

static bool names_us(const json_t *aud, const char *want)
{
    for (size_t i = 0; i < json_array_size(aud); i++)
        if (str_eq(json_string_value(json_array_get(aud, i)), want))
            return true;
    return str_eq(json_string_value(aud), want);
}

static const char *claims_wrong(struct hook *h, const struct hook_key *k, const json_t *claims)
{
    const char *iss = setting(k, "issuer"), *aud = setting(k, "audience");
    const char *digest = setting(k, "body_claim");
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    if (!json_is_number(exp) || json_number_value(exp) + jwt_leeway_s <= (double)h->now_s)
        return "the token has no exp, or it is over";
    if (json_is_number(nbf) && json_number_value(nbf) - jwt_leeway_s > (double)h->now_s)
        return "the token is not valid yet";
    if (iss && !str_eq(json_string_value(json_object_get(claims, "iss")), iss))
        return "the token is of another issuer";
    if (aud && !names_us(json_object_get(claims, "aud"), aud))
        return "the token is for somebody else";
    if (digest) {
        char hex[sha256_hex_len + 1];
        sha256_hex(h->body ? h->body : "", h->n, hex);
        if (!text_equal(json_string_value(json_object_get(claims, digest)), hex))
            return "the token is of another body";
    }
    return NULL;
}

int check_jwt(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *text = jwt_text(h, k), *alg = setting(k, "algorithm");
    struct jws jws;
    struct err ignored;
    bool ok = false;
    if (!text || jws_decode(h->a, text, &jws, &ignored))
        return hook_refuse(err, "there is no token, or it cannot be read");
    if (json_object_get(jws.header, "crit"))
        return hook_refuse(err, "the token asks for what is not known here");
    if (!alg)
        alg = "HS256";
    if (!str_eq(jws.alg, alg)) /* the source says which, never the token */
        return hook_refuse(err, "the token's algorithm is another one");
    if (str_eq(alg, "HS256"))
        ok = hs256_right(h, k, text);
    else if (h->prepared)
        ok = key_right(h, h->prepared, h->prepared_n, jws.kid, text);
    for (size_t i = 0; !ok && !h->prepared && !str_eq(alg, "HS256") && i < k->n; i++)
        ok = key_right(h, k->secrets[i], strlen(k->secrets[i]), jws.kid, text);
    if (!ok)
        return hook_refuse(err, "the token's signature is another one");
    const char *why = claims_wrong(h, k, jws.payload);
    return why ? hook_refuse(err, why) : 0;
}
