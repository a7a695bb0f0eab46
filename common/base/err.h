#ifndef BASE_ERR_H
#define BASE_ERR_H
/*
 * The one way a function says no.
 *
 * A function that can fail takes `struct err *err` last and returns 0 or the negative code that it
 * also stored there.  On success it leaves *err alone.  `msg` may be shown to the client, so it
 * never holds a secret, SQL or a path; what operators need on top goes into `detail`, which is
 * logged and never sent.  Several faults of one input are kept in an err_list (problem+json
 * `errors`), each with its JSON pointer.
 */
#include "common/base/base.h"

enum err_code {
    E_OK,
#define ERR(sym, http, retry, title) E_##sym,
#include "common/base/errors.def"
#undef ERR
    E_MAX_
};

struct err {
    enum err_code code;
    unsigned retry_after_s; /* > 0: sent as Retry-After */
    char pointer[128];      /* JSON pointer (body) or parameter name at fault, or "" */
    char msg[512];          /* for the client: room for a list of what would be valid */
    char detail[256];       /* for the log only */
};

/* Sets code and message (truncating), clears the rest; returns -code. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
/* The same, with the place at fault. */
int err_at(struct err *err, enum err_code code, const char *pointer, const char *fmt, ...)
    PRINTF(4, 5);
/* Adds what only the log may see; returns -err->code. */
int err_detail(struct err *err, const char *fmt, ...) PRINTF(2, 3);

const char *err_name(enum err_code code);  /* "not_found"; the stable name in the problem type */
const char *err_title(enum err_code code); /* one short sentence, the problem's title */
int err_http(enum err_code code);
bool err_retryable(enum err_code code);

/* Faults of one input, all reported at once.  Kept in the caller's arena. */
enum { err_list_max = 100 };
struct arena;
struct err_item {
    const char *pointer, *code, *msg; /* "/title", "required", "Title is required." */
};
struct err_list {
    struct arena *arena;
    size_t n;
    struct err_item items[err_list_max]; /* more are counted, not kept */
    size_t dropped;
};
void err_list_add(struct err_list *l, const char *pointer, const char *code, const char *fmt, ...)
    PRINTF(4, 5);
#endif
