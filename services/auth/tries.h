#ifndef AUTH_TRIES_H
#define AUTH_TRIES_H
/*
 * Lock-out (AU-11): wrong passwords, codes and client secrets are counted, and from some number on
 * each makes the next wait twice as long, up to CMS365_LOGIN_LOCK_MAX_S.
 *
 * A try is counted before it is checked and taken back if it was right, so a hundred at once are
 * counted like a hundred in turn.  Sign-ins are counted by the name as typed, whether or not
 * anybody has it, so that a lock tells nothing; and by network (an IPv4 address, an IPv6 /64).
 * What is not locked and was not tried for tries_memory times the longest lock starts anew.
 */
#include "services/auth/auth.h"

enum try_kind {
    TRY_NAME,    /* sign-in, by the name */
    TRY_NETWORK, /* sign-in, by the network */
    TRY_USER,    /* of somebody who is known: second factor, old password */
    TRY_CLIENT,  /* an OAuth client's proof, by client and network */
    TRY_MAIL,    /* mails that are asked for, by the name; never taken back */
    TRY_KINDS
};
enum { tries_memory = 2 };

/* Counts one.  *ret_wait_s > 0: locked for that long, not counted.  *ret_n: how many there were. */
int tries_take(struct svc *svc, struct arena *a, enum try_kind kind, const char *who,
               int64_t *ret_n, int64_t *ret_wait_s, struct err *err) MUST_CHECK;
/* Is it the one from which on there is a lock? */
bool tries_first_lock(enum try_kind kind, int64_t n);
/* It was right: forgets them all (a network: the last one only). */
int tries_forgive(struct svc *svc, struct arena *a, enum try_kind kind, const char *who,
                  struct err *err) MUST_CHECK;
/* Seconds until the lock is over; 0: there is none. */
int tries_locked(struct svc *svc, struct arena *a, enum try_kind kind, const char *who,
                 int64_t *ret_wait_s, struct err *err) MUST_CHECK;
/* For handlers: E_rate_limited with Retry-After. */
int tries_refuse(int64_t wait_s, struct err *err);
#endif
