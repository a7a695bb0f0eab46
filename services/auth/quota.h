#ifndef AUTH_QUOTA_H
#define AUTH_QUOTA_H
/*
 * Limits of keys and clients: who may set them, and what of a month's quota was used.  The counting
 * is done by common/kit/limit.h in every program; auth keeps the sums (quota_use), so that a Redis
 * that lost its data costs a minute at most, and says once a month and quota that 80 % and that all
 * is used.
 */
#include "common/kit/inbox.h"
#include "common/kit/route.h"

struct shape_row;
/* `key.quota` of auth.commands. */
int quota_on_use(struct msg *m, struct db_tx *tx, struct err *err) MUST_CHECK;
/* Adds a fault if the caller may not set what the body says. */
struct quota_had {
    int64_t standard;    /* the platform's rate for those without their own */
    int64_t rate, quota; /* that the key or client has; 0: none */
};
void quota_check(const struct req *req, struct shape_row *row, const struct quota_had *had);

extern const struct route auth_quota_routes[];
#endif
