/* Who sends, and how each proves it: one row a provider. */
#include "services/webhooks-in/verify.h"

#include "common/base/str.h"

enum { challenge_bytes_max = 1024, basic_bytes_max = 1024 };

/* --- secrets that are only shown --- */

static int shown(const struct hook_key *k, const char *got, struct err *err)
{
    bool ok = false;
    for (size_t i = 0; i < k->n; i++)
        ok |= text_equal(got, k->secrets[i]);
    return ok ? 0 : hook_refuse(err, got ? "the token is another one" : "the token is missing");
}

static int check_gitlab(struct hook *h, const struct hook_key *k, struct err *err)
{
    return shown(k, hook_header(h, "X-Gitlab-Token"), err);
}

static int check_telegram(struct hook *h, const struct hook_key *k, struct err *err)
{
    return shown(k, hook_header(h, "X-Telegram-Bot-Api-Secret-Token"), err);
}

static int check_google(struct hook *h, const struct hook_key *k, struct err *err)
{
    if (!hook_header(h, "X-Goog-Channel-ID"))
        return hook_refuse(err, "X-Goog-Channel-ID is missing");
    return shown(k, hook_header(h, "X-Goog-Channel-Token"), err);
}

/* RFC 7617.  The secret is "user:password". */
static int check_basic(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *auth = hook_header(h, "Authorization");
    void *raw;
    size_t n;
    if (!auth || strlen(auth) > basic_bytes_max || !str_starts(auth, "Basic ") ||
        !b64_decode(h->a, auth + strlen("Basic "), &raw, &n) || memchr(raw, 0, n))
        return hook_refuse(err, "Authorization is missing or not Basic");
    return shown(k, arena_strndup(h->a, raw, n), err);
}

/* Brevo sends what one types in: a bearer token, or user and password. */
static int check_brevo(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *auth = hook_header(h, "Authorization");
    if (auth && str_starts(auth, "Bearer "))
        return shown(k, auth + strlen("Bearer "), err);
    return check_basic(h, k, err);
}

/* In the path (checked before this), or in the header that the settings name. */
static int check_token(struct hook *h, const struct hook_key *k, struct err *err)
{
    const char *name = setting(k, "header");
    return shown(k, name ? hook_header(h, name) : h->token, err);
}

static int check_microsoft(struct hook *h, const struct hook_key *k, struct err *err)
{
    const json_t *list = json_object_get(hook_json(h), "value");
    if (!json_is_array(list) || !json_array_size(list))
        return hook_refuse(err, "there is no notification in it");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_object_get(json_array_get(list, i), "clientState");
        if (shown(k, json_string_value(one), err))
            return hook_refuse(err, "clientState is missing or another one");
    }
    return 0;
}

static int check_none(struct hook *h, const struct hook_key *k, struct err *err)
{
    (void)h, (void)k, (void)err;
    return 0;
}

/* --- Mollie: the classic webhook only names a payment.  What it is comes from Mollie itself, so a
 * forged message can do no more than have a real payment looked at again.
 * https://docs.mollie.com/reference/webhooks */

static const struct mac_row mollie_row = {
    .header = "X-Mollie-Signature", .prefix = "sha256=", .signed_text = "{body}", .alg = MAC_SHA256
};

static const char *mollie_collection(const char *id)
{
    static const struct {
        const char *prefix, *path;
    } of[] = {
        { "tr_",  "payments"      },
        { "ord_", "orders"        },
        { "pl_",  "payment-links" },
        { "sub_", "subscriptions" },
        { "re_",  "refunds"       },
        { "stl_", "settlements"   }
    };
    for (size_t i = 0; i < ARRAY_LEN(of); i++)
        if (str_starts(id, of[i].prefix) &&
            strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
                strlen(id) &&
            strlen(id) < 64)
            return of[i].path;
    return NULL;
}

static int prepare_mollie(struct hook *h, const struct hook_key *k, struct err *err)
{
    struct fetched got;
    if (hook_header(h, mollie_row.header))
        return 0; /* the new kind: signed */
    const char *id = form_get(h->a, h->body ? h->body : "", h->n, "id");
    const char *base = setting(k, "api_url"), *path = id ? mollie_collection(id) : NULL;
    if (!path || !k->n)
        return hook_refuse(err, "there is no id of Mollie's in it");
    const char *url =
        arena_printf(h->a, "%s/v2/%s/%s", base ? base : "https://api.mollie.com", path, id);
    int rc = -E_unauthorized;
    for (size_t i = 0; i < k->n && rc == -E_unauthorized; i++) {
        rc = h->fetch(h->fetch_ctx, h->a, url, k->secrets[i], 0, &got, err);
        if (!rc && (got.status == 401 || got.status == 403))
            rc = hook_refuse(err, "Mollie does not take the key");
    }
    if (rc == -E_egress_refused)
        return hook_refuse(err, "api_url is not Mollie's");
    if (rc)
        return rc;
    if (got.status == 404 || got.status == 410)
        return hook_refuse(err, "Mollie does not know the id");
    if (got.status != 200)
        return err_set(err, E_unavailable, "Mollie did not answer as it should.");
    h->prepared = got.body;
    h->prepared_n = got.n;
    return 0;
}

static int check_mollie(struct hook *h, const struct hook_key *k, struct err *err)
{
    if (!h->prepared)
        return mac_check(h, k, &mollie_row, err);
    h->body = h->prepared; /* from here on the message is what Mollie says */
    h->n = h->prepared_n;
    h->content_type = "application/json";
    h->json_tried = false;
    h->json = NULL;
    return hook_json(h) ? 0 : hook_refuse(err, "what Mollie answered cannot be read");
}

/* --- handshakes (I-08) --- */

static bool text_reply(struct hook_reply *ret, const char *text)
{
    if (!text || !*text || strlen(text) > challenge_bytes_max)
        return false;
    *ret = (struct hook_reply){ .status = 200, .content_type = "text/plain", .body = text };
    return true;
}

/* https://learn.microsoft.com/graph/change-notifications-delivery-webhooks */
static bool greet_microsoft(struct hook *h, const struct hook_key *k, struct hook_reply *ret)
{
    (void)k;
    return text_reply(ret, form_get(h->a, h->query, strlen(h->query), "validationToken"));
}

/* https://developers.facebook.com/docs/graph-api/webhooks/getting-started */
static bool greet_meta(struct hook *h, const struct hook_key *k, struct hook_reply *ret)
{
    size_t n = strlen(h->query);
    const char *mode = form_get(h->a, h->query, n, "hub.mode");
    const char *token = form_get(h->a, h->query, n, "hub.verify_token");
    if (!str_eq(h->method, "GET") || !str_eq(mode, "subscribe") ||
        !text_equal(token, setting(k, "verify_token")))
        return false;
    return text_reply(ret, form_get(h->a, h->query, n, "hub.challenge"));
}

/* The challenge-response check of X: https://docs.x.com/x-api/webhooks/quickstart */
static bool greet_x(struct hook *h, const struct hook_key *k, struct hook_reply *ret)
{
    const char *token = form_get(h->a, h->query, strlen(h->query), "crc_token");
    unsigned char mac[mac_bytes_max];
    if (!str_eq(h->method, "GET") || !token || !*token || strlen(token) > challenge_bytes_max ||
        !k->n)
        return false;
    const struct sha256_part key = { k->secrets[0], strlen(k->secrets[0]) };
    const struct sha256_part text = { token, strlen(token) };
    size_t n = mac_of(MAC_SHA256, &key, &text, 1, mac);
    *ret = (struct hook_reply){ .status = 200,
                                .body = arena_printf(h->a, "{\"response_token\":\"sha256=%s\"}",
                                                     b64_encode(h->a, mac, n)) };
    return true;
}

/* https://api.slack.com/events/url_verification */
static bool answer_slack(struct hook *h, struct hook_reply *ret)
{
    const char *text = hook_at(h, "/challenge");
    if (!str_eq(hook_at(h, "/type"), "url_verification") || !text ||
        strlen(text) > challenge_bytes_max)
        return false;
    json_t *body = json_in(h->a, json_pack("{s:s}", "challenge", text));
    *ret = (struct hook_reply){ .status = 200, .body = json_text(h->a, body) };
    return true;
}

/* https://discord.com/developers/docs/events/webhook-events#preparing-for-events */
static bool answer_discord(struct hook *h, struct hook_reply *ret)
{
    const json_t *type = hook_json(h) ? json_object_get(h->json, "type") : NULL;
    bool event = hook_json(h) && json_object_get(h->json, "application_id") &&
                 json_object_get(h->json, "version") && !json_object_get(h->json, "token");
    if (!json_is_integer(type))
        return false;
    if (event && json_integer_value(type) == 0) {
        *ret = (struct hook_reply){ .status = 204 };
        return true;
    }
    if (event || json_integer_value(type) != 1)
        return false;
    *ret = (struct hook_reply){ .status = 200, .body = "{\"type\":1}" };
    return true;
}

static bool answer_ses(struct hook *h, struct hook_reply *ret)
{
    const char *type = hook_at(h, "/Type");
    if (str_eq(type, "Notification"))
        return false;
    *ret = (struct hook_reply){ .status = 200 };
    if (str_eq(type, "SubscriptionConfirmation"))
        ret->fetch = hook_at(h, "/SubscribeURL");
    return true;
}

static bool answer_google(struct hook *h, struct hook_reply *ret)
{
    if (!str_eq(hook_header(h, "X-Goog-Resource-State"), "sync"))
        return false;
    *ret = (struct hook_reply){ .status = 200 };
    return true;
}

/* --- the table --- */

#define MAC(...)                                                                                   \
    &(const struct mac_row)                                                                        \
    {                                                                                              \
        .alg = MAC_SHA256, __VA_ARGS__                                                             \
    }

/* clang-format off */
const struct provider_def providers[] = {
    /* https://docs.stripe.com/webhooks/signature */
    { .name = "stripe", .doc = "Stripe-Signature.", .secret = SECRET_THEIRS, .id = "/id", .event = "/type",
      .mac = MAC(.header = "Stripe-Signature", .signed_text = "{timestamp}.{body}", .listed = true, .tolerance_s = 300) },
    { .name = "paypal", .doc = "Certificate of PayPal's; settings.webhook_id.", .secret = SECRET_NONE,
      .prepare = prepare_paypal, .check = check_paypal, .heavy = true, .id = "/id", .event = "/event_type", .needs = { "webhook_id" } },
    { .name = "mollie", .doc = "The object is fetched from Mollie with the API key; or X-Mollie-Signature.",
      .secret = SECRET_THEIRS, .prepare = prepare_mollie, .check = check_mollie, .event = "/resource" },
    /* https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries */
    { .name = "github", .doc = "X-Hub-Signature-256.", .secret = SECRET_OURS, .id = "header:X-GitHub-Delivery", .event = "header:X-GitHub-Event",
      .mac = MAC(.header = "X-Hub-Signature-256", .prefix = "sha256=", .signed_text = "{body}") },
    /* https://docs.gitlab.com/user/project/integrations/webhooks/ */
    { .name = "gitlab", .doc = "X-Gitlab-Token.", .secret = SECRET_OURS, .check = check_gitlab, .id = "header:Idempotency-Key", .event = "header:X-Gitlab-Event" },
    /* https://shopify.dev/docs/apps/build/webhooks/subscribe/https */
    { .name = "shopify", .doc = "X-Shopify-Hmac-SHA256.", .secret = SECRET_THEIRS, .id = "header:X-Shopify-Webhook-Id", .event = "header:X-Shopify-Topic",
      .mac = MAC(.header = "X-Shopify-Hmac-SHA256", .signed_text = "{body}", .base64 = true) },
    /* https://api.slack.com/authentication/verifying-requests-from-slack */
    { .name = "slack", .doc = "X-Slack-Signature.", .secret = SECRET_THEIRS, .id = "/event_id", .event = "/event/type", .challenge = answer_slack,
      .mac = MAC(.header = "X-Slack-Signature", .prefix = "v0=", .signed_text = "v0:{timestamp}:{body}",
                 .time_header = "X-Slack-Request-Timestamp", .tolerance_s = 300) },
    { .name = "twilio", .doc = "X-Twilio-Signature over address and form.", .secret = SECRET_THEIRS, .check = check_twilio,
      .id = "header:I-Twilio-Idempotency-Token", .bare = true },
    { .name = "mailgun", .doc = "The signature in the body.", .secret = SECRET_THEIRS, .check = check_mailgun, .id = "/event-data/id", .event = "/event-data/event" },
    { .name = "sendgrid", .doc = "Signed event webhook; the secret is the public key.", .secret = SECRET_THEIRS, .check = check_sendgrid, .heavy = true, .event = "/0/event" },
    { .name = "ses", .doc = "Amazon SNS; settings.topic_arn.", .secret = SECRET_NONE, .prepare = prepare_ses, .check = check_ses, .heavy = true,
      .challenge = answer_ses, .id = "/MessageId", .event = "/Type", .needs = { "topic_arn" } },
    /* https://postmarkapp.com/developer/webhooks/webhooks-overview#protecting-your-webhook */
    { .name = "postmark", .doc = "Basic authentication; the secret is user:password.", .secret = SECRET_OURS, .check = check_basic, .event = "/RecordType" },
    { .name = "brevo", .doc = "Bearer token, or user:password.", .secret = SECRET_OURS, .check = check_brevo, .event = "/event" },
    { .name = "hubspot", .doc = "X-HubSpot-Signature-v3.", .secret = SECRET_THEIRS, .check = check_hubspot, .event = "/0/subscriptionType" },
    /* https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures */
    { .name = "calendly", .doc = "Calendly-Webhook-Signature.", .secret = SECRET_OURS, .event = "/event",
      .mac = MAC(.header = "Calendly-Webhook-Signature", .signed_text = "{timestamp}.{body}", .listed = true, .tolerance_s = 300) },
    /* https://cal.com/docs/developing/guides/automation/webhooks */
    { .name = "calcom", .doc = "X-Cal-Signature-256.", .secret = SECRET_OURS, .event = "/triggerEvent",
      .mac = MAC(.header = "X-Cal-Signature-256", .signed_text = "{body}") },
    /* https://core.telegram.org/bots/api#setwebhook */
    { .name = "telegram", .doc = "X-Telegram-Bot-Api-Secret-Token.", .secret = SECRET_OURS, .check = check_telegram, .id = "/update_id" },
    { .name = "discord", .doc = "Ed25519; the secret is the application's public key.", .secret = SECRET_THEIRS, .check = check_discord,
      .challenge = answer_discord, .id = "/id", .event = "/event/type" },
    /* https://developers.google.com/workspace/calendar/api/guides/push */
    { .name = "google", .doc = "X-Goog-Channel-Token; messages without body.", .secret = SECRET_OURS, .check = check_google,
      .challenge = answer_google, .id = "header:X-Goog-Channel-ID header:X-Goog-Message-Number", .event = "header:X-Goog-Resource-State", .bare = true },
    { .name = "microsoft", .doc = "Microsoft Graph: clientState.", .secret = SECRET_OURS, .check = check_microsoft,
      .handshake = greet_microsoft, .event = "/value/0/changeType", .bare = true },
    { .name = "meta", .doc = "X-Hub-Signature-256; settings.verify_token for the handshake.", .secret = SECRET_THEIRS, .handshake = greet_meta,
      .event = "/object", .needs = { "verify_token" },
      .mac = MAC(.header = "X-Hub-Signature-256", .prefix = "sha256=", .signed_text = "{body}") },
    /* https://docs.x.com/x-api/webhooks/introduction */
    { .name = "x", .doc = "x-twitter-webhooks-signature; the secret is the app's consumer secret.", .secret = SECRET_THEIRS,
      .handshake = greet_x, .mac = MAC(.header = "x-twitter-webhooks-signature", .prefix = "sha256=", .signed_text = "{body}", .base64 = true) },
    { .name = "standard-webhooks", .doc = "Standard Webhooks: webhook-signature (or svix-signature).", .secret = SECRET_OURS, .check = check_standard,
      .id = "header:webhook-id", .event = "/type" },
    { .name = "hmac", .doc = "HMAC of what the settings say.", .secret = SECRET_OURS, .check = check_hmac },
    { .name = "http-signature", .doc = "RFC 9421: Signature-Input, Signature and Content-Digest; settings algorithm, keyid, tag, components.",
      .secret = SECRET_THEIRS, .check = check_signature, .heavy = true, .needs = { "algorithm" } },
    { .name = "jwt", .doc = "A JSON Web Token; settings issuer, audience, algorithm, jwks_url, body_claim.", .secret = SECRET_OURS,
      .prepare = prepare_jwt, .check = check_jwt, .heavy = true },
    { .name = "basic", .doc = "Basic authentication; the secret is user:password.", .secret = SECRET_OURS, .check = check_basic },
    { .name = "token", .doc = "A token in the address, or in the header of settings.header.", .secret = SECRET_OURS, .check = check_token },
    { .name = "none", .doc = "Nothing is verified; needs a reason.", .secret = SECRET_NONE, .check = check_none },
    { .name = NULL },
};
/* clang-format on */

const struct provider_def *provider_find(const char *name)
{
    for (const struct provider_def *p = providers; p->name; p++)
        if (str_eq(p->name, name))
            return p;
    return NULL;
}
