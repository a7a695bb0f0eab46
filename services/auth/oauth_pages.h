#ifndef AUTH_OAUTH_PAGES_H
#define AUTH_OAUTH_PAGES_H
/*
 * What the pages on the way through /oauth/authorize share.  Each form carries, sealed, the query
 * that brought the person there, and a token against cross-site posts (services/auth/login.h).
 */
#include "common/kit/page.h"
#include "services/auth/oauth_ask.h"

/* The query, sealed for a hidden field `request`; good for ten minutes. */
const char *pages_carry(struct req *req, const char *query);
/* A posted form of ours: the query that it carries, or an answer that says why not (*ret NULL). */
int pages_posted(struct req *req, struct res *res, const char *purpose, struct form *form,
                 const char **ret, struct err *err) MUST_CHECK;
int pages_back(struct req *req, struct res *res, const char *query); /* 303 to /oauth/authorize */
/* What a handler ends with when ask_read failed: to the client if it is known, else a page. */
int pages_refuse(struct req *req, struct res *res, const struct ask *z, int rc,
                 const struct fault *f);

/* oauth_login.c.  `wrong` says what to say about the last try; NULL: it is the first. */
struct login_wrong {
    const char *name, *text;
    int64_t wait_s; /* > 0: 429 with Retry-After */
};
int login_page(struct req *req, struct res *res, const struct ask *z, const char *query,
               const struct login_wrong *wrong);
#endif
