#include "services/analytics/analytics.h"

#define AT(field) offsetof(struct analytics_conf, field)

const struct conf_def analytics_conf_defs[] = {
    { .name = "CMS365_ANALYTICS_LOG_DAYS",
     .type = CONF_INT,
     .fallback = "30",
     .min = 1,
     .max = 3650,
     .offset = AT(log_days),
     .doc = "Days that single requests are kept; a partition a day is dropped." },
    { .name = "CMS365_ANALYTICS_MINUTE_DAYS",
     .type = CONF_INT,
     .fallback = "8",
     .min = 2,
     .max = 3650,
     .offset = AT(minute_days),
     .doc = "Days that sums of a minute are kept." },
    { .name = "CMS365_ANALYTICS_HOUR_DAYS",
     .type = CONF_INT,
     .fallback = "400",
     .min = 8,
     .max = 3650,
     .offset = AT(hour_days),
     .doc = "Days that sums of an hour are kept; those of a day stay ten years." },
    { .name = "CMS365_ANALYTICS_ROLL_MS",
     .type = CONF_INT,
     .fallback = "2000",
     .min = 50,
     .max = 60000,
     .offset = AT(roll_ms),
     .doc =
          "How often new requests are added to the sums; answers have them at once all the same." },
    { .name = "CMS365_ANOMALY_MIN_REQUESTS",
     .type = CONF_INT,
     .fallback = "50",
     .min = 5,
     .max = 1000000,
     .offset = AT(anomaly_min),
     .doc = "Requests in five minutes below which nothing is called unusual." },
    { .name = "CMS365_ANOMALY_MAIL_TO",
     .type = CONF_TEXT,
     .fallback = "",
     .offset = AT(anomaly_mail_to),
     .doc =
          "Who gets mail about what is unusual, and about its end: addresses, with commas; empty: "
          "nobody." },
    { 0 },
};

const struct analytics_conf *analytics_conf(const struct svc *svc)
{
    return (const struct analytics_conf *)(const void *)svc->conf;
}
