#ifndef WEBHOOKS_OUT_CALLED_H
#define WEBHOOKS_OUT_CALLED_H
/*
 * Calls (webhooks.commands): an action of an incoming webhook has one endpoint told, whatever that
 * listens to.  The endpoint must be the source's owner's own; the caller hears on webhooks.results
 * whether there is one, and tries again later if there is none yet.
 *
 *   {"reply":"webhook_action:7","endpoint_id":5,"owner_id":7,"data":{…},"changed":[]}
 *   {"reply":"webhook_action:7","ok":false,"again":true,"error":"…"}
 */
#include "common/kit/inbox.h"

int call_endpoint(struct msg *m, struct db_tx *tx, struct err *err);
void called(struct svc *svc, size_t n);
#endif
