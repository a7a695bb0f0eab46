#ifndef WEBHOOKS_OUT_HANDSHAKE_H
#define WEBHOOKS_OUT_HANDSHAKE_H
/*
 * The abuse protection of CloudEvents HTTP webhooks (§4): before the first delivery the receiver is
 * asked by OPTIONS whether we may send, and how much a minute.
 */
#include "services/webhooks-out/sending.h"

enum { handshake_headers_max = 3 };
/* `headers` has handshake_headers_max places; `access_token`: of oauth2, or NULL. */
void handshake_request(struct arena *a, const struct sending *s, const char *public_url,
                       const char *access_token, struct httpc_header *headers,
                       struct httpc_req *ret);
/* *ret_rate: a minute, 0: any.  E_upstream with a sentence for the log. */
int handshake_answer(const struct httpc_res *res, const char *public_url, int64_t *ret_rate,
                     struct err *err) MUST_CHECK;
#endif
