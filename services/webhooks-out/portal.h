#ifndef WEBHOOKS_OUT_PORTAL_H
#define WEBHOOKS_OUT_PORTAL_H
/*
 * The portal (W-17): a link that shows a receiver's own engineer some endpoints, their log and
 * payloads, and lets deliveries be sent again and the secret be replaced, for a while.
 *
 * The link holds a token of 256 random bits; the database has its SHA-256.  Whoever has it acts as
 * the endpoints' owner, but on these endpoints only, and through these pages only: what it is for
 * is looked up before anything else, and everything else is 404.  A token in the path is nothing
 * that another site can make a browser send, so its forms need no other token; no-referrer and
 * no-store keep it from leaking.  portal.c: making, revoking, finding; portal_page.c: the pages.
 */
#include "services/webhooks-out/webhooks.h"

enum {
    portal_endpoints_max = 100,
    portal_token_bytes = 32,
    portal_life_min_s = 60,
    portal_life_max_s = 7 * 24 * 3600,
};
struct portal { /* of a request */
    int64_t id, user_id, endpoints[portal_endpoints_max];
    size_t n;
    bool can_resend, can_rotate;
    const char *label, *token, *expires_at;
};
extern const struct route portal_routes[];

/* E_not_found for whatever does not work. */
int portal_open(struct req *req, struct portal *ret, struct err *err) MUST_CHECK;
bool portal_has(const struct portal *p, int64_t endpoint);
/* Calls a handler of the API as the owner; what it answered as a tree (NULL: nothing). */
int portal_call(struct req *req, const struct portal *p, const char *op_id, const char *id,
                const json_t *body, const json_t **ret, struct err *err);
/* Notes what was done, and tells of it. */
int portal_did(struct req *req, const struct portal *p, const char *what,
               struct err *err) MUST_CHECK;

int portal_make(struct req *req, struct res *res, struct err *err);
int portal_make_one(struct req *req, struct res *res, struct err *err);
int portal_revoke(struct req *req, struct res *res, struct err *err);
int portal_home(struct req *req, struct res *res, struct err *err);
int portal_endpoint(struct req *req, struct res *res, struct err *err);
int portal_delivery(struct req *req, struct res *res, struct err *err);
int portal_resend(struct req *req, struct res *res, struct err *err);
int portal_recover(struct req *req, struct res *res, struct err *err);
int portal_rotate(struct req *req, struct res *res, struct err *err);
int portal_events(struct req *req, struct res *res, struct err *err);
#endif
