#include "services/webhooks-out/called.h"
#include "services/webhooks-out/webhooks.h"

static const char *const topics_followed[] = { "content.events",   "auth.events",
                                               "webhooks.events",  "hooks.events",
                                               "analytics.events", NULL };

static void committed(struct svc *svc, size_t n)
{
    (void)n;
    dispatch_offered(svc, true);
}

static void failed(struct svc *svc)
{
    dispatch_offered(svc, false);
}

const struct consumer webhook_consumers[] = {
    { .name = "webhooks-out.fanout",
     .topics = topics_followed,
     .topic = "content.events",
     .mode = INBOX_EFFECT,
     .batch_max = 200,
     .wants = fanout_wants,
     .fn_batch = fanout,
     .committed = committed,
     .failed = failed,
     .doc = "Makes a delivery for each endpoint that listens to the event." },
    { .name = "webhooks-out.calls",
     .topic = "webhooks.commands",
     .mode = INBOX_EFFECT,
     .batch_max = 100,
     .fn = call_endpoint,
     .committed = called,
     .doc = "Makes a delivery for the one endpoint that is called." },
    { 0 },
};
