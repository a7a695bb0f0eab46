#ifndef WEBHOOKS_OUT_PROVIDER_H
#define WEBHOOKS_OUT_PROVIDER_H
/*
 * Targets: the forms in which a delivery can be sent.  A target is one file in providers/, one X()
 * line here and one folder tests/golden/webhooks-out/<name>/, without which the walker test fails.
 */
#include "common/kit/provider.h"

#include <jansson.h>

struct ed25519_key;

enum { target_headers_max = 16 };
struct target_key {                    /* what signs, newest first */
    const char *text;                  /* whsec_… as shown, or NULL: */
    const struct ed25519_key *ed25519; /* v1a */
    const unsigned char *raw;          /* the decoded secret */
    size_t raw_n;
    int64_t until_ms; /* 0: for good */
};
struct target_job {         /* everything that the request depends on */
    const char *message_id; /* "evt_…" */
    int64_t timestamp_s;    /* of this attempt */
    const struct target_key *keys;
    size_t nkeys;
    const char *body;
    size_t body_n;
    const char *type, *subject; /* "post.published", "post:7" */
    const char *source;         /* of the events: the public URL */
    int64_t event_us;
    bool batch, test;
    const char *traceparent, *request_id; /* or NULL */
};
struct target_header {
    const char *name, *value;
};
struct target_request {
    const char *method;
    struct target_header headers[target_headers_max];
    size_t nheaders;
};
/* What an event's body is made of. */
struct target_event {
    const char *message_id, *type, *subject, *source, *time;
    json_t *data, *changed;
    const char *link; /* thin: where to read the rest; else NULL */
};
struct target {
    struct provider p; /* first */
    bool handshake;    /* the receiver must allow us first (CloudEvents HTTP webhooks §4) */
    bool batches;      /* several events in one request: */
    const char *batch_open, *batch_close; /* around the bodies, which commas part */
    /* Pure; the strings live in the arena. */
    void (*build)(struct arena *a, const struct target_job *job, struct target_request *ret);
    json_t *(*body)(const struct target_event *e); /* new reference */
};

#define WEBHOOK_TARGETS(X) X(standard) X(cloudevents) X(cloudevents_binary)
#define X(name)            extern const struct target target_##name;
WEBHOOK_TARGETS(X)
#undef X
extern const struct target *const targets[]; /* NULL-ended */
const struct target *target_find(const char *name);

/* For targets: webhook-id, webhook-timestamp, webhook-signature (every live key), the GitHub-style
 * header, trace and test mark. */
void target_sign(struct arena *a, const struct target_job *job, struct target_request *ret);
void target_add(struct target_request *ret, const char *name, const char *value);
extern const struct status_row target_status[];
#endif
