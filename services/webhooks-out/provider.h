#ifndef WEBHOOKS_OUT_PROVIDER_H
#define WEBHOOKS_OUT_PROVIDER_H
/*
 * Targets: the forms in which a delivery can be sent.  A target is one file in providers/, one X()
 * line here and one folder tests/golden/webhooks-out/<name>/, without which the walker test fails.
 */
#include "common/kit/provider.h"

enum { target_headers_max = 12 };
struct target_job {         /* everything that the request depends on */
    const char *message_id; /* "evt_…" */
    int64_t timestamp_s;    /* of this attempt */
    const char *secret;     /* whsec_… as shown */
    const char *body;
    size_t body_n;
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
struct target {
    struct provider p; /* first */
    /* Pure; the strings live in the arena. */
    void (*build)(struct arena *a, const struct target_job *job, struct target_request *ret);
};

#define WEBHOOK_TARGETS(X) X(standard)
#define X(name)            extern const struct target target_##name;
WEBHOOK_TARGETS(X)
#undef X
extern const struct target *const targets[]; /* NULL-ended */
const struct target *target_find(const char *name);
#endif
