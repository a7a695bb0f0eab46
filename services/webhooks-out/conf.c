#include "services/webhooks-out/webhooks.h"

#define AT(field) offsetof(struct webhooks_conf, field)

const struct conf_def webhooks_conf_defs[] = {
    { .name = "CMS365_WEBHOOK_RETRY_BASE_MS",
     .type = CONF_INT,
     .fallback = "5000",
     .min = 1,
     .max = 3600000,
     .offset = AT(retry_base_ms),
     .doc = "Wait before a delivery's first retry; doubles with each further one, ±20 %." },
    { .name = "CMS365_WEBHOOK_RETRY_MAX",
     .type = CONF_INT,
     .fallback = "5",
     .min = 0,
     .max = 20,
     .offset = AT(retry_max),
     .doc = "Retries after a delivery's first attempt." },
    { .name = "CMS365_WEBHOOK_TIMEOUT_MS",
     .type = CONF_INT,
     .fallback = "15000",
     .min = 100,
     .max = 120000,
     .offset = AT(timeout_ms),
     .doc = "Longest time of one delivery attempt." },
    { 0 },
};
