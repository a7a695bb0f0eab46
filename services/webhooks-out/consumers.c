#include "services/webhooks-out/webhooks.h"

static const char *const topics_followed[] = { "content.events", "auth.events", "webhooks.events",
                                               NULL };

static void committed(struct svc *svc, size_t n)
{
    (void)n;
    dispatch_wake(svc, false);
}

const struct consumer webhook_consumers[] = {
    { .name = "webhooks-out.fanout",
     .topics = topics_followed,
     .topic = "content.events",
     .mode = INBOX_EFFECT,
     .batch_max = 500,
     .batch_ms = 2,
     .fn = fanout,
     .committed = committed,
     .doc = "Makes a delivery for each endpoint that listens to the event." },
    { 0 },
};
