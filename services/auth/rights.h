#ifndef AUTH_RIGHTS_H
#define AUTH_RIGHTS_H
/*
 * What whoever makes or changes a credential must have themselves (rulings.md 14): no credential
 * makes, or gets at, one with more than it has.  And the fields that keys and clients share.
 */
#include "common/kit/idem.h"
#include "common/kit/shape.h"
#include "services/auth/auth.h"

/* Has the caller all that these scopes give, as far as its role knows them?  E_insufficient_scope;
 * `what`: "key", "client". */
int rights_hold(const struct principal *who, scope_set named, const char *what,
                struct err *err) MUST_CHECK;
/* Are the body's scopes within the caller's, and what the credential `had`?  E_insufficient_scope.
 */
int rights_give(const struct req *req, scope_set had, struct err *err) MUST_CHECK;

/* A fault at /user unless it is somebody who is active. */
int rights_owner(struct db_tx *tx, struct arena *a, struct shape_row *row, int64_t user,
                 struct err *err) MUST_CHECK;

/* An effect whose answer has a secret, done once (common/kit/idem.h). */
int effect_once(struct req *req, struct res *res,
                int (*effect)(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err),
                void *ctx, struct err *err) MUST_CHECK;

int body_object(const struct req *req, struct err *err) MUST_CHECK; /* E_invalid_json */
/* An array of the body that shape_read has checked; NULL: there is none. */
const json_t *body_list(const struct req *req, const char *name);
void body_fault(const struct req *req, struct shape_row *row, const char *field, size_t i,
                const char *code, const char *why);
/* Faults of `scopes` (names that are none, or no name) and of `allowed_networks`. */
void body_scopes(const struct req *req, struct shape_row *row);
void body_networks(const struct req *req, struct shape_row *row);
#endif
