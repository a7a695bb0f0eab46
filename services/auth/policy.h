#ifndef AUTH_POLICY_H
#define AUTH_POLICY_H
/*
 * What holds for everybody, changed while it runs (/api/v2/auth/policy): from where credentials are
 * accepted at all, and which roles need a second factor beside those of CMS365_TOTP_ROLES.
 *
 * The networks travel on auth.keys and bind keys, access tokens and browser sessions in every
 * program (common/kit/token.h), and here also sign-ins and the token endpoint.  A list that would
 * shut out whoever sets it is refused; `auth --clear-networks` is for who got out all the same.
 */
#include "services/auth/auth.h"

/* Does the role need a second factor, by the setting or the policy? */
int policy_needs_totp(struct svc *svc, struct arena *a, enum role role, bool *ret,
                      struct err *err) MUST_CHECK;
int policy_clear_networks(struct svc *svc, char **args, struct err *err); /* svc_verb.fn */

extern const struct route auth_policy_routes[];
#endif
