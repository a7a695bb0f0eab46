#include "services/webhooks-in/webhooks_in.h"

#define AT(field) offsetof(struct hooks_conf, field)

const struct conf_def hooks_conf_defs[] = {
    { .name = "CMS365_HOOK_ACCEPT_MS",
     .type = CONF_INT,
     .fallback = "5000",
     .min = 100,
     .max = 30000,
     .offset = AT(accept_ms),
     .doc =
          "Longest wait for Kafka before a webhook is refused with 503; its sender tries again." },
    { .name = "CMS365_HOOK_RETRY_BASE_MS",
     .type = CONF_INT,
     .fallback = "2000",
     .min = 1,
     .max = 3600000,
     .offset = AT(retry_base_ms),
     .doc = "Wait before an action of a webhook is tried again; doubles with each try, an hour at "
             "most." },
    { .name = "CMS365_HOOK_RETRY_MAX",
     .type = CONF_INT,
     .fallback = "12",
     .min = 0,
     .max = 100,
     .offset = AT(retry_max),
     .doc = "Retries of an action of a webhook whose entity is not there yet, or whose program is "
             "away." },
    { .name = "CMS365_HOOK_MAPPERS",
     .type = CONF_INT,
     .fallback = "2",
     .min = 1,
     .max = 16,
     .offset = AT(mappers),
     .doc = "Processes that run jq programs, each confined and stopped when it takes too long." },
    { .name = "CMS365_HOOK_TRUSTED_URLS",
     .type = CONF_TEXT,
     .fallback = "",
     .offset = AT(trusted_urls),
     .doc = "Beginnings of URLs, separated by commas, from which certificates and objects may be "
             "fetched beside the providers' own hosts; for tests and sandboxes." },
    { 0 },
};
