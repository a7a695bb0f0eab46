#include "services/webhooks-out/sending.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/crypto_keys.h"

#include <assert.h>

static const char secret_prefix[] = "whsec_";

static struct sending *sending_new(void)
{
    struct arena *a = arena_new();
    struct sending *s = arena_alloc(a, sizeof(*s));
    s->arena = a;
    return s;
}

void sending_free(struct sending *s)
{
    if (s)
        arena_free(s->arena);
}

static void set_headers(struct sending *s, const json_t *o)
{
    const char *name;
    json_t *v, *all = json_in(s->arena, json_copy((json_t *)(uintptr_t)o));
    json_object_foreach(all, name, v)
    {
        if (s->ncustom == custom_headers_max || !json_is_string(v))
            break;
        s->custom[s->ncustom++] =
            (struct httpc_header){ arena_strdup(s->arena, name),
                                   arena_strdup(s->arena, json_string_value(v)) };
    }
}

static void set_schedule(struct sending *s, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && i < schedule_max; i++)
        s->schedule_s[s->nschedule++] = json_integer_value(json_array_get(list, i));
}

static const json_t *tree_of(struct sending *s, const struct db_rows *r, size_t i, size_t col)
{
    json_t *tree = NULL;
    struct err err;
    size_t n;
    const char *text = db_cell(r, i, col, &n);
    return db_is_null(r, i, col) || json_parse(s->arena, text, n, &tree, &err) ? NULL : tree;
}

static int64_t lesser(int64_t a, int64_t b) /* 0: no limit */
{
    if (!a || !b)
        return a + b;
    return a < b ? a : b;
}

struct sending *sending_of_row(const struct keyring *k, const struct db_rows *r, size_t i,
                               struct err *err)
{
    enum {
        ID,
        VERSION,
        ACTIVE,
        USER,
        URL,
        FORMAT,
        HEADERS,
        AUTH,
        RATE,
        MAX,
        ORDERED,
        TIMEOUT,
        EVENTS,
        WAIT,
        SCHEDULE,
        ALLOWED,
        ALLOWED_RATE,
        SINCE,
        PERCENT
    };
    struct sending *s = sending_new();
    s->id = db_get_i64(r, i, ID);
    s->version = db_get_i64(r, i, VERSION);
    s->active = db_get_bool(r, i, ACTIVE);
    s->user_id = db_get_i64(r, i, USER);
    s->url = arena_strdup(s->arena, db_str(r, i, URL));
    s->target = target_find(db_str(r, i, FORMAT));
    s->max_in_flight = db_get_i64(r, i, MAX);
    s->ordered = db_get_bool(r, i, ORDERED) || s->max_in_flight == 1;
    s->order_timeout_us = db_get_i64(r, i, TIMEOUT) * 1000000;
    s->rate = db_is_null(r, i, RATE) ? 0 : db_get_i64(r, i, RATE);
    s->allowed = !s->target || !s->target->handshake || db_get_bool(r, i, ALLOWED);
    s->failing_since_us = db_get_i64(r, i, SINCE);
    s->failure_percent = db_get_i64(r, i, PERCENT);
    if (s->target && s->target->handshake)
        s->rate = lesser(s->rate, db_get_i64(r, i, ALLOWED_RATE));
    if (!db_is_null(r, i, EVENTS) && s->target && s->target->batches) {
        s->batch_events = db_get_i64(r, i, EVENTS);
        s->batch_wait_ms = db_get_i64(r, i, WAIT);
    }
    set_headers(s, tree_of(s, r, i, HEADERS));
    set_schedule(s, tree_of(s, r, i, SCHEDULE));
    int rc = s->target ? 0 : err_set(err, E_internal, "The format is unknown.");
    if (!rc)
        rc = auth_open(k, s->arena, s->id, db_str(r, i, AUTH), &s->auth, err);
    if (!rc)
        return s;
    sending_free(s);
    return NULL;
}

struct sending *sending_of_json(const json_t *e)
{
    struct sending *s = sending_new();
    const json_t *batch = json_object_get(e, "batch");
    const char *format = json_string_value(json_object_get(e, "format"));
    s->url = arena_strdup(s->arena, json_string_value(json_object_get(e, "url")));
    s->target = target_find(format ? format : "standard");
    s->allowed = true;
    if (json_is_object(batch))
        s->batch_events = json_integer_value(json_object_get(batch, "max_events"));
    if (json_is_object(json_object_get(e, "headers")))
        set_headers(s, json_object_get(e, "headers"));
    auth_read(s->arena, json_object_get(e, "auth"), &s->auth);
    assert(s->target);
    return s;
}

void sending_add_key(struct sending *s, const char *text, const unsigned char *seed,
                     int64_t until_ms)
{
    if (s->nkeys == ARRAY_LEN(s->keys))
        return;
    struct target_key *k = &s->keys[s->nkeys];
    *k = (struct target_key){ .until_ms = until_ms };
    if (seed) {
        k->ed25519 = ed25519_key_of(s->arena, seed);
    } else {
        void *raw;
        k->text = arena_strdup(s->arena, text);
        const char *b64 = str_starts(text, secret_prefix) ? text + strlen(secret_prefix) : text;
        if (!b64_decode(s->arena, b64, &raw, &k->raw_n))
            return;
        k->raw = raw;
    }
    s->nkeys++;
}

int sending_add_secret(struct sending *s, const struct keyring *k, const char *kind,
                       const char *sealed, int64_t until_ms, struct err *err)
{
    const char *text;
    void *seed;
    size_t n;
    int rc = secret_open(k, s->arena, s->id, sealed, &text, err);
    if (rc)
        return rc;
    if (!str_eq(kind, "ed25519")) {
        sending_add_key(s, text, NULL, until_ms);
        return 0;
    }
    if (!b64_decode(s->arena, text, &seed, &n) || n != ed25519_seed_bytes)
        return err_set(err, E_internal, "The Ed25519 key is not one.");
    sending_add_key(s, NULL, seed, until_ms);
    crypto_wipe(seed, n);
    return 0;
}

static bool is_https(const char *url)
{
    return !strncasecmp(url, "https:", strlen("https:"));
}

const char *sending_barred(const struct sending *s, const struct webhooks_conf *conf)
{
    if (!conf->https_only)
        return NULL;
    if (!is_https(s->url))
        return "Endpoints need https here.";
    return s->auth.kind == AUTH_OAUTH2 && !is_https(s->auth.token_url)
               ? "Token URLs need https here."
               : NULL;
}

void sending_request(const struct sending *s, struct arena *a, const struct target_job *job,
                     const char *access_token, struct sent *ret)
{
    struct target_request tr;
    const char *authorization = auth_header(a, &s->auth, access_token);
    size_t n = 0;
    s->target->build(a, job, &tr);
    for (size_t i = 0; i < tr.nheaders; i++)
        ret->headers[n++] = (struct httpc_header){ tr.headers[i].name, tr.headers[i].value };
    for (size_t i = 0; i < s->ncustom; i++)
        ret->headers[n++] = s->custom[i];
    if (authorization)
        ret->headers[n++] = (struct httpc_header){ "Authorization", authorization };
    ret->req = (struct httpc_req){ .method = tr.method,
                                   .url = s->url,
                                   .headers = ret->headers,
                                   .nheaders = n,
                                   .body = job->body,
                                   .body_n = job->body_n,
                                   .client_cert = s->auth.certificate,
                                   .client_key = s->auth.key,
                                   .ca = s->auth.ca };
}

/* --- custom headers --- */

/* Exact names, and beginnings (with a * at the end), of what is ours or the connection's. */
static const char *const denied[] = {
    "Accept-Encoding",
    "Authorization",
    "Connection",
    "Content-*",
    "Cookie",
    "Date",
    "Expect",
    "Forwarded",
    "Host",
    "Keep-Alive",
    "Origin",
    "Proxy-*",
    "Sec-*",
    "Set-Cookie",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Via",
    "X-CMS365-*",
    "X-Forwarded-*",
    "X-Real-IP",
    "ce-*",
    "webhook-*",
    "traceparent",
    "tracestate",
    "X-Request-Id",
    "X-HTTP-Method*",
    "X-Method-Override",
};

static bool is_token(const char *s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    size_t n = 0;
    for (; s[n]; n++) {
        char c = s[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && !strchr(marks, c))
            return false;
    }
    return n > 0 && n <= 100;
}

bool header_allowed(const char *name, const char **ret_why)
{
    *ret_why = "Is not a header name of 1 to 100 characters (RFC 9110 §5.6.2).";
    if (!is_token(name))
        return false;
    *ret_why = "Is set by the platform or the connection; credentials belong into auth.";
    for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
        size_t n = strcspn(denied[i], "*");
        if (denied[i][n] ? !strncasecmp(name, denied[i], n) : str_ieq(name, denied[i]))
            return false;
    }
    return true;
}
