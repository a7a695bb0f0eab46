#include "services/webhooks-out/handshake.h"

#include "common/base/str.h"

static const char *origin_of(const char *public_url)
{
    const char *at = strstr(public_url, "://");
    return at ? at + 3 : public_url;
}

static const char *header_of(const struct httpc_res *res, const char *name)
{
    for (size_t i = 0; i < res->nheaders; i++)
        if (str_ieq(res->headers[i].name, name))
            return res->headers[i].value;
    return NULL;
}

void handshake_request(struct arena *a, const struct sending *s, const char *public_url,
                       const char *access_token, struct httpc_header *headers,
                       struct httpc_req *ret)
{
    const char *authorization = auth_header(a, &s->auth, access_token);
    size_t n = 0;
    headers[n++] = (struct httpc_header){ "WebHook-Request-Origin", origin_of(public_url) };
    if (s->rate)
        headers[n++] = (struct httpc_header){ "WebHook-Request-Rate",
                                              arena_printf(a, "%lld", (long long)s->rate) };
    if (authorization)
        headers[n++] = (struct httpc_header){ "Authorization", authorization };
    *ret = (struct httpc_req){ .method = "OPTIONS",
                               .url = s->url,
                               .headers = headers,
                               .nheaders = n,
                               .client_cert = s->auth.certificate,
                               .client_key = s->auth.key,
                               .ca = s->auth.ca };
}

int handshake_answer(const struct httpc_res *res, const char *public_url, int64_t *ret_rate,
                     struct err *err)
{
    const char *us = origin_of(public_url), *origin = header_of(res, "WebHook-Allowed-Origin");
    const char *rate = header_of(res, "WebHook-Allowed-Rate");
    if (res->result)
        return err_set(err, E_upstream, "The receiver could not be asked whether we may send: %s",
                       res->reason);
    if (res->status < 200 || res->status > 299 || !origin ||
        (!str_eq(origin, "*") && !str_ieq(origin, us)))
        return err_set(err, E_upstream,
                       "The receiver does not allow deliveries from %.100s: it answered OPTIONS "
                       "with %d and %s.",
                       us, res->status,
                       origin ? "allows another origin" : "no WebHook-Allowed-Origin");
    if (!rate || str_eq(rate, "*") || !str_to_i64(rate, 1, 1000000, ret_rate))
        *ret_rate = 0;
    return 0;
}
