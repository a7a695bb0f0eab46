#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H
/*
 * Who sits at the browser: the check of a password, and the session that follows from it.
 *
 * A session is the cookie `cms365_login` of 256 random bits, of which the database keeps the
 * SHA-256 (sessions.hash). The cookie is HttpOnly, SameSite=Lax, Path=/, and Secure when
 * CMS365_PUBLIC_URL is https (then its name begins with __Host-, RFC 6265bis §4.1.3.2).  It is good
 * under /oauth only; what the API takes is in session.h.  A session counts only while its user is
 * active, and ends CMS365_SESSION_S after its start or CMS365_SESSION_IDLE_S after its last use.
 *
 * Passwords are Argon2id (common/io/crypto.h), always computed on a worker thread; a name that
 * nobody has costs the same computation, so that neither time nor text tells who has an account.
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "proto/names.h"

struct svc;
struct req;
struct res;

enum {
    login_name_max = 254,      /* bytes */
    login_password_max = 1024, /* bytes */
    login_cookie_max = 48,
};

struct login_try {
    const char *name; /* user name or e-mail address, as typed */
    const char *password;
};
enum login_verdict {
    LOGIN_OK,
    LOGIN_REFUSED, /* whatever the reason */
    LOGIN_LOCKED,  /* too many tries by that name or from there (tries.h); not looked at */
};
struct login_user {
    int64_t user_id;
    enum role role;
    const char *username; /* in the arena */
};
struct login_result {
    enum login_verdict verdict;
    struct login_user user; /* LOGIN_OK only */
    int64_t wait_s;         /* LOGIN_LOCKED only */
};
/* The password only; whether there is a second factor is the caller's question.  Negative: the
 * database or the workers are away. */
int login_verify(struct req *req, const struct login_try *t, struct login_result *ret,
                 struct err *err) MUST_CHECK;

/* One browser's session. */
struct session {
    int64_t id, user_id;
    enum role role; /* as of now */
    const char *username;
    int64_t started_us;          /* when the password was given */
    char text[login_cookie_max]; /* of the cookie: a secret */
};
/* Makes a session and sets its cookie on the answer; `by` is for the log. */
int session_start(struct req *req, struct res *res, int64_t user_id, const char *by,
                  struct err *err) MUST_CHECK;
/* The session of the request's cookie; ret->id 0: none, over, or of a user who is not active. */
int session_find(struct req *req, struct session *ret, struct err *err) MUST_CHECK;
/* Ends the request's session, if there is one, and clears the cookie. */
int session_end(struct req *req, struct res *res, struct err *err) MUST_CHECK;

/* Forms.  A token that only a page of ours in this browser can know: bound to the session, or
 * before there is one to a cookie of its own (set on the answer if it is missing).  `purpose` keeps
 * the token of one form from being used for another.  In the arena. */
const char *csrf_token(struct req *req, struct res *res, const char *purpose);
/* Does the posted token fit, and does the browser not say (Origin, Sec-Fetch-Site) that another
 * site sent the form? */
bool csrf_ok(struct req *req, const char *purpose, const char *token);
#endif
