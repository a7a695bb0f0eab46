/* Everything that grows with traffic lies in partitions of time; what is too old is dropped whole.
 */
#include "common/base/log.h"
#include "services/analytics/analytics.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

enum {
    retain_every_ms = 10 * 60 * 1000,
    retain_again_ms = 2000, /* the lock of a partition was not to be had */
    facet_days = 8,
    day_sums_days = 3650,
};

static const struct kept {
    const char *table;
    int days;       /* length of a partition */
    size_t keep;    /* offset of the setting, or */
    int keep_fixed; /* so many days */
} kept[] = {
    { "request_blocks", 1, offsetof(struct analytics_conf, log_days), 0 },
    { "losses", 7, offsetof(struct analytics_conf, hour_days), 0 },
    { "facets", 1, 0, facet_days },
    { "sums_minute", 1, offsetof(struct analytics_conf, minute_days), 0 },
    { "sums_hour", 7, offsetof(struct analytics_conf, hour_days), 0 },
    { "sums_day", 28, 0, day_sums_days },
};

static int64_t days_of(const struct svc *svc, const struct kept *k)
{
    const char *conf = (const char *)svc->conf;
    return k->keep ? *(const int64_t *)(const void *)(conf + k->keep) : k->keep_fixed;
}

int retain_once(struct svc *svc, struct arena *a, struct err *err)
{
    struct db_rows *r;
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(kept) && !rc; i++) {
        const struct db_val v[] = { db_text(kept[i].table), db_i64(kept[i].days),
                                    db_i64(days_of(svc, &kept[i])) };
        rc = db_query(svc->db, a, &sql_part_ensure, v, 2, &r, err);
        if (!rc)
            rc = db_query(svc->db, a, &sql_part_expire, v, ARRAY_LEN(v), &r, err);
    }
    const struct db_val days = db_i64(analytics_conf(svc)->hour_days);
    if (!rc)
        rc = db_query(svc->db, a, &sql_anomalies_expire, &days, 1, &r, err);
    const struct db_val quarter = db_i64(90);
    return rc ? rc : db_query(svc->db, a, &sql_seen_expire, &quarter, 1, &r, err);
}

void retention_job(struct svc *svc)
{
    while (!svc_stopping(svc)) {
        struct arena *a = arena_new();
        struct err err;
        int rc = retain_once(svc, a, &err);
        if (rc && rc != -E_unavailable)
            log_error("retention.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        arena_free(a);
        svc_pause(svc, rc ? retain_again_ms : retain_every_ms);
    }
}
