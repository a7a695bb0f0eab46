#ifndef WEBHOOKS_OUT_WEBHOOKS_H
#define WEBHOOKS_OUT_WEBHOOKS_H
/*
 * The webhooks-out program: who listens to what (endpoint.c), events become deliveries (fanout.c,
 * render.c), deliveries become signed requests (dispatch*.c, providers/), and the log (delivery.c).
 */
#include "common/io/db.h"
#include "common/kit/inbox.h"
#include "common/kit/route.h"
#include "common/kit/svc.h"
#include "common/kit/vis.h"

struct webhooks_conf {
    struct svc_conf svc; /* first */
    int64_t retry_base_ms, retry_max, timeout_ms, disable_after_s;
    const char *api_url;
    bool https_only;
};
extern const struct conf_def webhooks_conf_defs[];
extern const struct route webhook_routes[];
extern const struct consumer webhook_consumers[];

/* Made once, because the first migration also has the kit's tables. */
const struct svc_def *webhooks_def(void);

/* --- secrets (secret.c): whsec_<base64 of 32 bytes>, sealed at rest --- */
enum { secret_text_max = 100 };
/* An Ed25519 pair: base64 of the seed, to be sealed and never shown, and whpk_<base64>. */
void secret_make_pair(struct arena *a, const char **ret_secret, const char **ret_public);
bool secret_ok(const char *text); /* whsec_ and base64 of 24 to 64 bytes */
void secret_make(char out[secret_text_max]);
char *secret_seal(const struct keyring *k, struct arena *a, int64_t endpoint, const char *secret);
int secret_open(const struct keyring *k, struct arena *a, int64_t endpoint, const char *sealed,
                const char **ret, struct err *err) MUST_CHECK;

/* --- patterns (pattern.c) --- */
bool pattern_known(const char *pattern); /* "*", "post.*" or a type of proto/events */
bool pattern_matches(const char *pattern, const char *type);
/* What an endpoint may have written to hear of `type`: "*", "post.*", itself, …; NULL-ended. */
enum { patterns_max = 8 };
size_t patterns_of(struct arena *a, const char *type, const char *ret[patterns_max]);

/* --- bodies (render.c) --- */
struct target;
struct filter;
struct listener { /* on whose behalf, and what is wanted */
    int64_t endpoint_id, user_id;
    enum role role;
    bool admin;
    const struct target *target;
    const struct filter *filter; /* NULL: none */
    const char *const *fields;   /* paths */
    size_t nfields;              /* 0: all */
    bool thin;
};
/* Fields, payload and format of a listener as one text: equal for those who get the same words. */
const char *listener_taste(struct arena *a, const struct listener *l);
struct happening { /* an event, taken apart */
    const struct event_def *def;
    const char *event_id, *key;
    int64_t time_us, owner_id;
    json_t *data, *changed;
};
int happening_read(const struct msg *m, struct happening *ret, struct err *err) MUST_CHECK;
/* How much of it the listener sees: two listeners with the same view see the same. */
struct view {
    enum vis_class vc;
    bool own;
};
bool happening_visible(const struct happening *h, const struct listener *l, struct view *ret);
struct seen { /* what a view shows: the ground for filters and bodies */
    json_t *data, *changed;
};
void happening_seen(struct arena *a, const struct happening *h, const struct view *v,
                    struct seen *ret);
/* 1, 0, or E_invalid: the filter cannot say. */
int happening_wanted(const struct happening *h, const struct listener *l, const struct seen *s,
                     struct err *err) MUST_CHECK;
/* NULL: too long. */
char *happening_body(struct arena *a, const struct happening *h, const struct listener *l,
                     const struct seen *s, const char *public_url);
enum { event_body_bytes_max = 8 * 1024 * 1024, event_body_bytes_warn = 20 * 1024 };

/* --- fan-out (fanout.c) --- */
int fanout(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err);
int fanout_wants(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, bool *ret,
                 struct err *err);

/* --- the dispatcher (dispatch.c) --- */
struct dispatch;
void dispatch_job(struct svc *svc);             /* job_def.fn: its thread */
struct dispatch *dispatch_new(struct svc *svc); /* for svc->state */
void dispatch_free(struct dispatch *d);         /* its thread has ended */
/* Endpoints changed.  This and what follows: any thread, cheap; nothing if it is not running. */
void dispatch_wake(struct svc *svc);
void dispatch_due(struct svc *svc, int64_t endpoint); /* the endpoint has something due */

/* --- from fan-out to dispatcher (dispatch_offer.c) --- */
struct offer { /* a row of deliveries, written in a transaction that is still open */
    const char *id, *event_id, *entity, *event, *body, *trace, *request_id;
    size_t body_n;
    int64_t endpoint_id, user_id, event_us;
    bool batched;
};
/* Whose deliveries would only wait: *ret[i] for those whose rows go to `deferred` in the
 * transaction that is open.  Before the others are offered; one consumer's thread only. */
void dispatch_defer(struct svc *svc, const int64_t *endpoint, size_t n, bool *ret);
/* From now on the dispatcher does not look for these rows; one consumer's thread only. */
void dispatch_offer(struct svc *svc, const struct offer *o, size_t n);
/* What became of the transaction: sent at once, or left to be found in the table if it is there. */
void dispatch_offered(struct svc *svc, bool committed);

/* The client for our own programs: no egress guard. */
struct httpc *svc_inner(struct svc *svc);
int dispatch_start_inner(struct svc *svc, struct err *err) MUST_CHECK; /* makes it */

/* --- what an event looks like (sample.c, event_types.c) --- */
/* Of the examples in the entity's table; `def` has an entity. */
struct happening sample_happening(struct arena *a, const struct event_def *def);
/* Of what the caller gets for the entity from the program that keeps it.  E_not_found. */
int stored_happening(struct req *req, const struct event_def *def, int64_t entity_id,
                     struct happening *ret, struct err *err) MUST_CHECK;

/* An event of ours committed. */
void events_wake(struct svc *svc);

/* --- handlers --- */
int endpoint_create(struct req *req, struct res *res, struct err *err);
int endpoint_patch(struct req *req, struct res *res, struct err *err);
int endpoint_delete(struct req *req, struct res *res, struct err *err);
int endpoint_pause(struct req *req, struct res *res, struct err *err);
int endpoint_resume(struct req *req, struct res *res, struct err *err);
int endpoint_rotate(struct req *req, struct res *res, struct err *err);
int endpoint_secrets(struct req *req, struct res *res, struct err *err);
int endpoint_revoke(struct req *req, struct res *res, struct err *err);
int endpoint_test(struct req *req, struct res *res, struct err *err);
int endpoint_preview(struct req *req, struct res *res, struct err *err);
int draft_preview(struct req *req, struct res *res, struct err *err);
int endpoint_recover(struct req *req, struct res *res, struct err *err);
int endpoint_replay(struct req *req, struct res *res, struct err *err);
int event_type_list(struct req *req, struct res *res, struct err *err);
int delivery_payload(struct req *req, struct res *res, struct err *err);
int delivery_list(struct req *req, struct res *res, struct err *err);
int delivery_resend(struct req *req, struct res *res, struct err *err);
int delivery_attempts(struct req *req, struct res *res, struct err *err);
void retention_job(struct svc *svc);
void retention_soon(void);   /* there is something to cancel; any thread */
enum { cancel_rows = 5000 }; /* deliveries that a statement cancels at most */

/* What the endpoint statements return, as a tree. */
json_t *endpoint_json(struct arena *a, const struct db_rows *r);
/* webhook.endpoint.* in the open transaction; `req` NULL: the platform's own doing. */
int endpoint_event(struct db_tx *tx, struct arena *a, const char *type, json_t *endpoint,
                   json_t *changed, const struct req *req, struct err *err) MUST_CHECK;
#endif
