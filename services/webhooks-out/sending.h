#ifndef WEBHOOKS_OUT_SENDING_H
#define WEBHOOKS_OUT_SENDING_H
/*
 * How an endpoint is talked to: read off its row and secrets once, and then used for each request,
 * by the dispatcher, by test and by preview.  Immutable, in an arena of its own.
 */
#include "services/webhooks-out/auth.h"
#include "services/webhooks-out/provider.h"
#include "services/webhooks-out/webhooks.h"

enum {
    custom_headers_max = 20,
    schedule_max = 20,
    secrets_live_max = 10, /* of a kind, at the same time */
    request_headers_max = target_headers_max + custom_headers_max + 1,
};

struct sending {
    struct arena *arena;
    int64_t id, version, user_id;
    bool active;
    const char *url;
    const struct target *target;
    struct target_key keys[2 * secrets_live_max]; /* newest first */
    size_t nkeys;
    struct httpc_header custom[custom_headers_max];
    size_t ncustom;
    struct auth auth;
    int64_t rate; /* a minute; 0: no limit */
    int64_t max_in_flight, order_timeout_us;
    bool ordered;
    int64_t batch_events, batch_wait_ms; /* 0: none */
    int64_t schedule_s[schedule_max];
    size_t nschedule; /* 0: the platform's */
    bool allowed;     /* by the receiver, as far as its form asks for that */
    int64_t failing_since_us, failure_percent;
};
/* Row i of endpoints_sending; the secrets follow by sending_add_secret.  NULL: it cannot be opened,
 * *err says why. */
struct sending *sending_of_row(const struct keyring *k, const struct db_rows *r, size_t i,
                               struct err *err);
/* A draft: the members of an endpoint as they were checked. */
struct sending *sending_of_json(const json_t *endpoint);
int sending_add_secret(struct sending *s, const struct keyring *k, const char *kind,
                       const char *sealed, int64_t until_ms, struct err *err) MUST_CHECK;
void sending_add_key(struct sending *s, const char *text, const unsigned char *seed,
                     int64_t until_ms);
void sending_free(struct sending *s);

/* Why this installation talks to it by no request at all (CMS365_WEBHOOK_HTTPS_ONLY), or NULL. */
const char *sending_barred(const struct sending *s, const struct webhooks_conf *conf);
/* The request: all headers in order, in the arena.  `access_token`: of oauth2, or NULL. */
struct sent {
    struct httpc_header headers[request_headers_max];
    struct httpc_req req;
};
void sending_request(const struct sending *s, struct arena *a, const struct target_job *job,
                     const char *access_token, struct sent *ret);
/* May the name be among custom headers?  *ret_why says why not. */
bool header_allowed(const char *name, const char **ret_why);

/* --- what the log keeps (attempt_log.c) --- */
enum {
    log_request_headers_max = 16 * 1024,
    log_response_headers_max = 8 * 1024,
    log_body_max = 1024 /* of an answer */
};
/* "Name: value\n" lines, credentials masked, cut at a line. */
char *log_headers(struct arena *a, const struct httpc_header *h, size_t n, size_t max);
/* The lines as a JSON object into b; a name that comes again has its values joined by ", ". */
void log_headers_json(struct buf *b, struct arena *a, const char *lines);
/* Text as far as it is UTF-8 and can be stored, else NULL. */
char *log_body(struct arena *a, const char *body, size_t n);
#endif
