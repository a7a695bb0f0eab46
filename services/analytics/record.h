#ifndef ANALYTICS_RECORD_H
#define ANALYTICS_RECORD_H
/* The messages of api.requests, read (proto/request_record.h).  Nothing in them is believed. */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "proto/request_record.h"

struct record {
    union { /* a field is the one or the other (request_record.def) */
        int64_t number[RR_MAX_];
        const char *text[RR_MAX_]; /* in the arena of the message, bounded, printable */
    };
};
_Static_assert(sizeof(const char *) == sizeof(int64_t), "a field is in the same place as either");
struct batch {
    const char *program, *rule;
    int64_t dropped;
    struct record *rows;
    size_t n;
};
/* E_invalid, with what is wrong, for what is no such message: it is dead-lettered. */
int batch_read(struct arena *a, const char *json, size_t n, struct batch *ret,
               struct err *err) MUST_CHECK;
/* {"at":"…","id":…}: a row as the live log shows it. */
struct buf;
void record_json(struct buf *b, const struct batch *m, const struct record *r);

/* Who sent it. */
enum consumer_kind { BY_ANONYMOUS, BY_KEY, BY_CLIENT, BY_SESSION, CONSUMER_KINDS_MAX_ };
extern const char *const consumer_kinds[]; /* names, NULL-ended */
enum consumer_kind record_consumer(const struct record *r, int64_t *ret_number);
#endif
