/*
 * POST /hooks/{source}: judged on the raw bytes, then given to Kafka, and only what Kafka holds is
 * acknowledged.  What becomes of it is nobody's concern here.
 */
#include "services/webhooks-in/webhooks_in.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/bus_sender.h"
#include "common/io/cache.h"
#include "common/io/httpd.h"
#include "common/kit/metrics.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-in/sql.h"

enum {
    text_payload_max = 3500 * 1024, /* of a JSON string; what is longer travels as base64 */
    payload_max = 4 * 1024 * 1024,
    headers_json_max = 128 * 1024,
    rate_window_s = 60,
    token_keep_s = 7200,
};

struct inbound {
    struct req *req;
    struct res *res;
    const struct provider_def *provider;
    struct source_view view;
    int64_t source;
    const char *key, *order; /* what the message is known by, and what it waits with or NULL */
    struct hook hook;
    struct hook_key keys;
};

static const char *get_header(const void *ctx, const char *name)
{
    return req_header(ctx, name);
}

/* --- the source ----------------------------------------------------------------------------------
 */

static int open_secret(struct inbound *in, enum source_text which, const char *sealed,
                       struct err *err)
{
    return sealed ? secret_open(in->req->svc->keyring, in->req->arena, in->view.num[SOURCE_ID],
                                sealed, &in->view.text[which], err)
                  : 0;
}

static int read_source(struct inbound *in, struct err *err)
{
    struct req *req = in->req;
    struct arena *a = req->arena;
    struct source_view *v = &in->view;
    struct db_rows *r;
    const char **nets;
    const struct db_val slug = db_text(req->params[0]);
    int rc = db_query(req->svc->db, a, &sql_source_find, &slug, 1, &r, err);
    if (rc || !db_nrows(r))
        return rc;
    v->num[SOURCE_ID] = db_get_i64(r, 0, 0);
    v->num[SOURCE_USER] = db_get_i64(r, 0, 1);
    v->text[SOURCE_PROVIDER] = db_str(r, 0, 2);
    v->text[SOURCE_SETTINGS] = db_str(r, 0, 4);
    size_t n = db_get_texts(a, r, 0, 8, &nets);
    v->text[SOURCE_NETWORKS] = "";
    for (size_t i = 0; i < n; i++)
        v->text[SOURCE_NETWORKS] =
            i ? arena_printf(a, "%s,%s", v->text[SOURCE_NETWORKS], nets[i]) : nets[i];
    v->text[SOURCE_DEDUPE] = db_str(r, 0, 9);
    v->num[SOURCE_RATE] = db_get_i64(r, 0, 10);
    v->num[SOURCE_RETENTION] = db_get_i64(r, 0, 11);
    v->text[SOURCE_ORDER_BY] = db_str(r, 0, 12);
    rc = open_secret(in, SOURCE_SECRET, db_str(r, 0, 5), err);
    return rc ? rc
              : open_secret(in, SOURCE_PREVIOUS, db_get_bool(r, 0, 7) ? db_str(r, 0, 6) : NULL,
                            err);
}

static int find(struct inbound *in, struct err *err)
{
    struct source_cache *cache = hooks_of(in->req->svc)->sources;
    const char *slug = in->req->params[0];
    uint64_t change;
    if (!source_cache_get(cache, in->req->arena, slug, &in->view, &change)) {
        int rc = read_source(in, err);
        if (rc)
            return rc;
        if (in->view.num[SOURCE_ID])
            source_cache_put(cache, slug, &in->view, change);
    }
    in->source = in->view.num[SOURCE_ID];
    in->provider = in->source ? provider_find(in->view.text[SOURCE_PROVIDER]) : NULL;
    if (!in->provider)
        return err_set(err, E_not_found, "There is nothing at this path.");
    for (enum source_text i = SOURCE_SECRET; i <= SOURCE_PREVIOUS; i++)
        if (in->view.text[i])
            in->keys.secrets[in->keys.n++] = in->view.text[i];
    return 0;
}

/* The source's own limit, in windows of a minute.  Without Redis there is none: losing messages
 * would be worse. */
static int limit(const struct inbound *in, struct err *err)
{
    static const struct cache_script count = {
        "hook_rate", "local n = redis.call('INCR', KEYS[1]) "
                     "if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end return n"
    };
    struct arena *a = in->req->arena;
    struct cache_reply reply;
    struct err ignored;
    if (!in->view.num[SOURCE_RATE])
        return 0;
    int64_t now_s = in->req->now_us / 1000000;
    const char *key = arena_printf(a, "cms365:hook:rate:%lld:%lld", (long long)in->source,
                                   (long long)(now_s / rate_window_s));
    const char *life = "120";
    if (cache_eval(in->req->svc->cache, a, &count, &key, 1, &life, 1, &reply, &ignored) ||
        reply.i64 <= in->view.num[SOURCE_RATE])
        return 0;
    err_set(err, E_rate_limited, "The source takes %lld messages a minute.",
            (long long)in->view.num[SOURCE_RATE]);
    err->retry_after_s = (unsigned)(rate_window_s - now_s % rate_window_s);
    return -E_rate_limited;
}

static void make_hook(struct inbound *in)
{
    struct req *req = in->req;
    const char *query = req->raw_query;
    in->hook = (struct hook){
        .a = req->arena,
        .method = method_name(req->method),
        .url = arena_printf(req->arena, "%s%s%s%s", req->svc->conf->public_url, req->path,
                            *query ? "?" : "", query),
        .query = query,
        .token = req->params[1],
        .content_type = req->content_type,
        .body = req->raw_body_n ? req->raw_body : "",
        .n = req->raw_body_n,
        .now_s = req->now_us / 1000000,
        .header = get_header,
        .header_ctx = req,
        .fetch = fetcher_get,
        .fetch_any = fetcher_get_any,
        .fetch_ctx = hooks_of(req->svc)->fetcher,
    };
}

/* --- verifying -----------------------------------------------------------------------------------
 */

struct check_job {
    struct inbound *in;
    struct err err;
    int rc;
};

static void check(void *p)
{
    struct check_job *j = p;
    j->rc = provider_check(j->in->provider, &j->in->hook, &j->in->keys, &j->err);
}

/* Mailgun signs a token, not the body: a token comes with one body, whoever sends it again. */
static int once(const struct inbound *in, struct err *err)
{
    static const struct cache_script claim = {
        "hook_token", "redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) "
                      "return redis.call('GET', KEYS[1])"
    };
    struct arena *a = in->req->arena;
    struct hook *h = (struct hook *)(uintptr_t)&in->hook;
    char digest[sha256_hex_len + 1], token[sha256_hex_len + 1];
    const char *args[] = { digest, arena_printf(a, "%d", token_keep_s) };
    struct cache_reply reply;
    if (!str_eq(in->provider->name, "mailgun"))
        return 0;
    const char *text = hook_at(h, "/signature/token");
    sha256_hex(text, strlen(text), token);
    sha256_hex(h->body, h->n, digest);
    const char *key = arena_printf(a, "cms365:hook:token:%lld:%s", (long long)in->source, token);
    int rc = cache_eval(in->req->svc->cache, a, &claim, &key, 1, args, 2, &reply, err);
    if (rc)
        return err_set(err, E_unavailable, "The message cannot be verified now.");
    return str_eq(reply.text, digest) ? 0 : hook_refuse(err, "the token was used for another body");
}

static int verify(struct inbound *in, struct err *err)
{
    struct check_job j = { .in = in };
    int rc = provider_prepare(in->provider, &in->hook, &in->keys, err);
    if (rc)
        return rc;
    if (in->provider->heavy) {
        rc = worker_run(in->req->svc->workers, check, &j, err);
        if (rc)
            return rc;
    } else {
        check(&j);
    }
    if (j.rc) {
        *err = j.err;
        return j.rc;
    }
    return once(in, err);
}

/* --- handshakes ----------------------------------------------------------------------------------
 */

static int reply(struct inbound *in, const struct hook_reply *r, struct err *err)
{
    struct fetched got;
    if (r->fetch) { /* SNS: the subscription is confirmed by asking for a URL of theirs */
        int rc = fetcher_get(hooks_of(in->req->svc)->fetcher, in->req->arena, r->fetch, NULL, 0,
                             &got, err);
        if (rc == -E_egress_refused || (!rc && got.status >= 300))
            return hook_refuse(err, "the subscription cannot be confirmed");
        if (rc)
            return rc;
    }
    in->res->status = r->status;
    if (r->content_type)
        in->res->content_type = r->content_type;
    if (r->body)
        buf_puts(&in->res->body, r->body);
    return 0;
}

/* CloudEvents' HTTP webhooks §4: who may send is said by the source's settings; by default anybody
 * who can sign. */
static bool origin_allowed(const json_t *own, const char *origin)
{
    const json_t *list = json_object_get(own, "allowed_origins");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_ieq(json_string_value(json_array_get(list, i)), origin))
            return true;
    return !list;
}

int hook_options(struct req *req, struct res *res, struct err *err)
{
    struct inbound in = { .req = req, .res = res };
    const char *origin = req_header(req, "WebHook-Request-Origin");
    int rc = find(&in, err);
    if (rc)
        return rc;
    json_t *own;
    rc = json_parse(req->arena, in.view.text[SOURCE_SETTINGS],
                    strlen(in.view.text[SOURCE_SETTINGS]), &own, err);
    if (rc)
        return rc;
    res->status = 204;
    res_header(res, "Allow", "GET, HEAD, POST, OPTIONS");
    if (!origin || !origin_allowed(own, origin))
        return 0;
    res_header(res, "WebHook-Allowed-Origin", arena_printf(req->arena, "%.200s", origin));
    if (in.view.num[SOURCE_RATE] || req_header(req, "WebHook-Request-Rate"))
        res_header(res, "WebHook-Allowed-Rate",
                   in.view.num[SOURCE_RATE]
                       ? arena_printf(req->arena, "%lld", (long long)in.view.num[SOURCE_RATE])
                       : "*");
    return 0;
}

/* --- taking --------------------------------------------------------------------------------------
 */

static void identify(struct inbound *in)
{
    struct hook *h = &in->hook;
    char digest[sha256_hex_len + 1];
    const char *id =
        hook_at(h, in->view.text[SOURCE_DEDUPE] ? in->view.text[SOURCE_DEDUPE] : in->provider->id);
    if (!id && str_eq(in->provider->name, "standard-webhooks") && !in->view.text[SOURCE_DEDUPE])
        id = hook_header(h, "svix-id");
    if (id && *id && strlen(id) <= hook_id_max && str_utf8_ok(id, strlen(id))) {
        in->key = id;
        return;
    }
    sha256_hex(id && *id ? id : h->body, id && *id ? strlen(id) : h->n, digest);
    in->key = arena_printf(h->a, "sha256:%s", digest);
}

/* Messages without the key wait for nobody. */
static void put_in_order(struct inbound *in)
{
    struct hook *h = &in->hook;
    char digest[sha256_hex_len + 1];
    const char *key = str_eq(in->view.text[SOURCE_ORDER_BY], "source")
                          ? "source"
                          : hook_at(h, in->view.text[SOURCE_ORDER_BY]);
    if (key && (strlen(key) > hook_id_max || !str_utf8_ok(key, strlen(key)))) {
        sha256_hex(key, strlen(key), digest);
        key = arena_printf(h->a, "sha256:%s", digest);
    }
    in->order = key;
}

static bool is_secret(const char *name)
{
    static const char *const words[] = { "authorization", "cookie", "token",   "secret",
                                         "api-key",       "apikey", "password" };
    char low[128];
    snprintf(low, sizeof(low), "%s", name);
    for (char *c = low; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(low, words[i]))
            return true;
    return false;
}

/* Lower-case names; what may be a credential is a mask. */
static json_t *headers_json(const struct req *req)
{
    const struct http_header *list;
    size_t n = http_headers(req->http, &list), bytes = 0;
    json_t *o = json_in(req->arena, json_object());
    for (size_t i = 0; i < n; i++) {
        char *name = arena_strdup(req->arena, list[i].name);
        for (char *c = name; *c; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
        const char *value = is_secret(name) ? "***" : http_header(req->http, name);
        bytes += strlen(name) + strlen(value);
        if (bytes > headers_json_max || !str_utf8_ok(value, strlen(value)))
            value = "(not kept)";
        if (str_utf8_ok(name, strlen(name)))
            json_object_set_new(o, name, json_string(value));
    }
    return o;
}

static void put(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    if (text && str_utf8_ok(text, strlen(text)))
        buf_put_json_string(b, text, strlen(text));
    else
        buf_puts(b, "null");
}

static void put_body(struct buf *b, struct arena *a, const struct hook *h)
{
    struct buf text;
    buf_init(&text, a, h->n + h->n / 8 + 64, text_payload_max);
    bool plain = str_utf8_ok(h->body, h->n);
    if (plain)
        buf_put_json_string(&text, h->body, h->n);
    plain = plain && !text.overflow;
    buf_printf(b, ",\"base64\":%s,\"body\":", plain ? "false" : "true");
    if (plain)
        buf_put(b, text.data, text.len);
    else
        buf_printf(b, "\"%s\"", b64_encode(a, h->body, h->n));
    buf_putc(b, '}');
}

/* A query may hold a capability's token: what looks like one is not kept. */
static const char *query_kept(struct arena *a, const char *query)
{
    struct buf b;
    buf_init(&b, a, 256, 16 * 1024);
    while (*query) {
        size_t n = strcspn(query, "&"), name = strcspn(query, "=&");
        char *key = arena_strndup(a, query, name);
        if (b.len)
            buf_putc(&b, '&');
        if (is_secret(key) || strstr(key, "signature") || str_ieq(key, "key"))
            buf_printf(&b, "%s=***", key);
        else
            buf_put(&b, query, n);
        query += n + (query[n] == '&');
    }
    return b.data ? b.data : "";
}

static char *payload(struct inbound *in, const char *id, size_t *ret_n)
{
    const struct req *req = in->req;
    struct hook *h = &in->hook;
    struct buf b;
    char at[rfc3339_len + 1];
    rfc3339_format(req->now_us, at);
    buf_init(&b, req->arena, h->n + 4096, payload_max);
    buf_printf(&b, "{\"id\":\"%s\",\"source\":%lld,\"user\":%lld,\"retention_days\":%lld", id,
               (long long)in->source, (long long)in->view.num[SOURCE_USER],
               (long long)in->view.num[SOURCE_RETENTION]);
    buf_printf(&b, ",\"size\":%zu,\"at\":\"%s\"", h->n, at);
    put(&b, "provider", in->provider->name);
    const char *event = hook_at(h, in->provider->event);
    put(&b, "event", event && strlen(event) <= 255 ? event : NULL);
    put(&b, "key", in->key);
    put(&b, "order", in->order);
    put(&b, "method", h->method);
    put(&b, "content_type", strlen(h->content_type) <= 255 ? h->content_type : "");
    put(&b, "address", req->client_addr);
    put(&b, "query", query_kept(req->arena, h->query));
    buf_puts(&b, ",\"headers\":");
    json_write(&b, headers_json(req));
    put_body(&b, req->arena, h);
    *ret_n = b.len;
    return b.overflow ? NULL : b.data;
}

static int produce(struct inbound *in, const char *id, struct err *err)
{
    const struct req *req = in->req;
    char at[rfc3339_len + 1];
    size_t n;
    rfc3339_format(req->now_us, at);
    const char *text = payload(in, id, &n);
    if (!text)
        return err_set(err, E_too_large, "The message is too large to be kept.");
    const char *key = arena_printf(req->arena, "webhook_source:%lld", (long long)in->source);
    struct bus_msg m = { .topic = "webhooks.incoming",
                         .key = key,
                         .payload = text,
                         .len = n,
                         .headers = {
                             { "ce_specversion", "1.0" },
                             { "ce_id", id },
                             { "ce_type", CE_TYPE_PREFIX "webhook.message.received" },
                             { "ce_source", "/cms365/webhooks-in" },
                             { "ce_time", at },
                             { "ce_subject", key },
                             { "ce_partitionkey", key },
                             { "content-type", "application/json" },
                         },
                         .nheaders = 8 };
    if (req->traceparent)
        m.headers[m.nheaders++] = (struct bus_header){ "traceparent", req->traceparent };
    if (req->request_id)
        m.headers[m.nheaders++] = (struct bus_header){ "x-request-id", req->request_id };
    return bus_send(hooks_of(req->svc)->sender, &m, (unsigned)hooks_conf_of(req->svc)->accept_ms,
                    err);
}

static int take(struct inbound *in, struct err *err)
{
    struct req *req = in->req;
    struct db_rows *r;
    char id[uuid_len + 1];
    identify(in);
    put_in_order(in);
    const struct db_val v[] = { db_i64(in->source), db_text(in->key) };
    int rc = db_query(req->svc->db, req->arena, &sql_message_seen, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    bool seen = db_nrows(r) > 0;
    if (!seen) {
        uuid7(id);
        rc = produce(in, id, err);
    }
    if (rc)
        return rc;
    in->res->status = seen ? 200 : 202;
    if (!in->provider->bare)
        buf_printf(&in->res->body, "{\"status\":\"%s\",\"id\":\"%s\"}",
                   seen ? "duplicate" : "accepted", seen ? db_str(r, 0, 0) : id);
    return 0;
}

static int judge(struct inbound *in, struct err *err)
{
    struct hook_reply greeting;
    int rc = find(in, err);
    if (rc)
        return rc;
    if (*in->view.text[SOURCE_NETWORKS] &&
        !key_networks_hold(in->view.text[SOURCE_NETWORKS], in->req->client_addr))
        return hook_refuse(err, "it comes from another network");
    make_hook(in);
    json_t *own;
    rc = json_parse(in->req->arena, in->view.text[SOURCE_SETTINGS],
                    strlen(in->view.text[SOURCE_SETTINGS]), &own, err);
    if (rc)
        return rc;
    in->keys.settings = own;
    if (in->provider->handshake && in->provider->handshake(&in->hook, &in->keys, &greeting))
        return reply(in, &greeting, err);
    if (in->req->method != POST)
        return in->provider->handshake ? hook_refuse(err, "the handshake is not right")
                                       : err_set(err, E_method_not_allowed, "The path takes POST.");
    rc = limit(in, err);
    if (!rc)
        rc = verify(in, err);
    if (rc)
        return rc;
    if (in->provider->challenge && in->provider->challenge(&in->hook, &greeting))
        return reply(in, &greeting, err);
    return take(in, err);
}

int hook_receive(struct req *req, struct res *res, struct err *err)
{
    struct inbound in = { .req = req, .res = res };
    res->cache_control = "no-store";
    int rc = judge(&in, err);
    const char *name = in.provider ? in.provider->name : "unknown";
    const char *outcome = rc == -E_unauthorized ? "refused" : rc ? "failed" : "taken";
    metric_add(metric_cell(M_hook_requests, (const char *const[]){ name, outcome }, 2), 1);
    if (rc == -E_unauthorized)
        log_info("hook.refused", kv_i("source", in.source), kv_s("provider", name),
                 kv_s("why", err->detail), kv_s("address", req->client_addr));
    return rc;
}
