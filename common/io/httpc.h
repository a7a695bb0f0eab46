#ifndef IO_HTTPC_H
#define IO_HTTPC_H
/*
 * Outgoing HTTP: one libcurl multi loop on a thread of its own, connections reused, names resolved
 * by c-ares, every address checked by the egress guard.
 *
 * Egress guard.  http and https only, no credentials in the URL, redirects not followed, no proxy.
 * Each resolved address is checked, and the address really connected to is checked again
 * (rebinding): loopback, private, link-local, CGNAT, multicast, reserved, documentation,
 * NAT64/6to4/mapped forms of those and cloud metadata addresses are refused unless a network of
 * `allow` holds them.
 */
#include "common/base/arena.h"
#include "common/base/err.h"

struct httpc;
struct httpc_conf {
    const char *egress_allow;             /* CIDR list, "" for none */
    const char *dns_servers;              /* "" : resolv.conf */
    size_t conns_max, conns_per_host_max; /* the latter 0: no limit of its own */
    const char *user_agent;
};
int httpc_new(const struct httpc_conf *conf, struct httpc **ret, struct err *err) MUST_CHECK;
void httpc_free(struct httpc *c); /* cancels what is in flight (done called with E_unavailable) */

struct httpc_header {
    const char *name, *value;
};
struct httpc_req { /* copied by httpc_send, but for the body, which must live until done */
    const char *method, *url;
    const struct httpc_header *headers;
    size_t nheaders;
    const void *body;
    size_t body_n;
    unsigned timeout_ms, connect_timeout_ms;
    size_t reply_bytes_max; /* more is cut, not an error */
    /* PEM, or NULL: the client certificate (RFC 8446 §4.4.2) with its key, and the only authorities
     * that are believed instead of the system's. */
    const char *client_cert, *client_key, *ca;
};
struct httpc_res {
    int result; /* 0, or negative: E_egress_refused, E_timeout, E_upstream (connect, TLS, protocol)
                 */
    const char *reason; /* one sentence for the delivery log, "" on success */
    int status;
    const struct httpc_header *headers;
    size_t nheaders;
    const char *body;
    size_t body_n;
    bool body_cut;
    const char *address; /* connected to */
    int64_t dns_us, connect_us, tls_us, first_byte_us,
        total_us; /* since the start; 0: not reached */
};
/* Any thread.  `done` runs on the httpc thread with a result that lives for the call only. */
int httpc_send(struct httpc *c, const struct httpc_req *req,
               void (*done)(void *ctx, const struct httpc_res *res), void *ctx,
               struct err *err) MUST_CHECK;
/* The same for a fiber (parks) or thread (blocks); the result is copied into the arena. */
int httpc_call(struct httpc *c, struct arena *a, const struct httpc_req *req, struct httpc_res *ret,
               struct err *err) MUST_CHECK;
size_t httpc_in_flight(const struct httpc *c);

/* The guard's two questions, for checking a URL before it is stored.  The first is syntax and
 * literal addresses only; it resolves nothing. */
struct egress;
int egress_new(const char *allow, struct egress **ret, struct err *err) MUST_CHECK;
void egress_free(struct egress *e);
int egress_check_url(const struct egress *e, const char *url, struct err *err) MUST_CHECK;
struct sockaddr;
bool egress_allows(const struct egress *e, const struct sockaddr *addr);
#endif
