#ifndef PROTO_REQUEST_RECORD_H
#define PROTO_REQUEST_RECORD_H
/*
 * The message of api.requests: an event request.batch whose payload is
 *   {"v":1,"program":"api","dropped":0,"rule":"buffer_full","rows":[[…],…]}
 * with a row a request, its columns in the order of request_record.def.  `dropped` is how many
 * requests of that program's replica had no place under `rule` since the message before.
 */
#include "common/base/base.h"

enum { request_record_version = 1, request_batch_rows_max = 500 };
enum request_record_field {
#define RECORD_FIELD(sym, doc) RR_##sym,
#include "proto/request_record.def"
#undef RECORD_FIELD
    RR_MAX_
};
struct request_record_def {
    const char *name, *doc;
};
extern const struct request_record_def request_record_fields[RR_MAX_];

/* What is done with records for which there is no room: the names of the rules. */
#define REQUEST_RULE_BUFFER_FULL "buffer_full"

/* The families that a User-Agent may be of; what fits none is "other", no header "none". */
const char *agent_family(const char *user_agent);
#endif
