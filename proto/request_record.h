#ifndef PROTO_REQUEST_RECORD_H
#define PROTO_REQUEST_RECORD_H
/*
 * The message of api.requests: an event request.batch whose payload is
 *   {"v":2,"program":"api","dropped":0,"rule":"buffer_full","rows":[[said,…],…]}
 * with a row a request.  `said` is a number whose bit i (1 << i) stands for the field i of
 * request_record.def; the values of these fields follow in their order, the others are as in the
 * row before.  The first row says all.  `dropped` is how many requests of that program's replica
 * had no place under `rule` since the message before.
 *
 * In version 1 a row is all fields in their order, without `said`.  Both are read.
 */
#include "common/base/base.h"

enum { request_record_version = 2, request_record_whole = 1, request_batch_rows_max = 800 };
enum request_record_field {
#define RECORD_FIELD(sym, doc) RR_##sym,
#include "proto/request_record.def"
#undef RECORD_FIELD
    RR_MAX_
};
enum { request_record_all = (1 << RR_MAX_) - 1 };
struct request_record_def {
    const char *name, *doc;
};
extern const struct request_record_def request_record_fields[RR_MAX_];

/* What is done with records for which there is no room: the names of the rules. */
#define REQUEST_RULE_BUFFER_FULL "buffer_full"

/* The families that a User-Agent may be of; what fits none is "other", no header "none". */
const char *agent_family(const char *user_agent);
#endif
