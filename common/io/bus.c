#include "common/io/bus_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/resolve.h"
#include "common/base/str.h"

#include <assert.h>
#include <netinet/in.h>

static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
    (void)rk;
    log_debug("bus.log", kv_i("syslog_level", level), kv_s("facility", fac), kv_s("text", buf));
}

static void on_error(rd_kafka_t *rk, int e, const char *reason, void *opaque)
{
    (void)rk, (void)opaque;
    log_debug("bus.error", kv_s("error", rd_kafka_err2name((rd_kafka_resp_err_t)e)),
              kv_s("text", reason));
}

/* librdkafka's own way to an address blocks its threads for as long as the name server is silent,
 * and whoever closes a handle waits for them.  Without a host it frees what it was given. */
static int on_resolve(const char *host, const char *service, const struct addrinfo *hints,
                      struct addrinfo **list, void *opaque)
{
    struct found {
        struct addrinfo info[resolve_addresses_max];
        struct addresses addresses;
    } *f;
    int64_t port = 0;
    size_t n = 0;
    (void)opaque;
    if (!host) {
        free(*list); /* its first member: the whole */
        return 0;
    }
    if (service && !str_to_i64(service, 0, 65535, &port))
        return EAI_SERVICE;
    f = calloc(1, sizeof *f);
    if (!f)
        abort();
    int rc = resolve(host, &f->addresses);
    for (size_t i = 0; !rc && i < f->addresses.n; i++) {
        struct sockaddr_storage *at = &f->addresses.at[i];
        bool v4 = at->ss_family == AF_INET;
        if (hints && hints->ai_family != AF_UNSPEC && hints->ai_family != at->ss_family)
            continue;
        *(v4 ? &((struct sockaddr_in *)at)->sin_port : &((struct sockaddr_in6 *)at)->sin6_port) =
            htons((uint16_t)port);
        f->info[n] = (struct addrinfo){ .ai_family = at->ss_family,
                                        .ai_socktype = SOCK_STREAM,
                                        .ai_protocol = IPPROTO_TCP,
                                        .ai_addrlen = v4 ? sizeof(struct sockaddr_in)
                                                         : sizeof(struct sockaddr_in6),
                                        .ai_addr = (struct sockaddr *)at };
        if (n)
            f->info[n - 1].ai_next = &f->info[n];
        n++;
    }
    if (!n) {
        free(f);
        return rc ? rc : EAI_NONAME;
    }
    *list = f->info;
    return 0;
}

static const struct bus_setting common_settings[] = {
    { "socket.keepalive.enable",            "true"  },
    { "socket.nagle.disable",               "true"  },
    { "socket.timeout.ms",                  "10000" },
    { "socket.connection.setup.timeout.ms", "5000"  },
    { "reconnect.backoff.ms",               "50"    },
    { "reconnect.backoff.max.ms",           "1000"  },
    { "topic.metadata.refresh.interval.ms", "30000" },
    { "log.connection.close",               "false" },
    { NULL,                                 NULL    },
};

static int apply(rd_kafka_conf_t *conf, const struct bus_setting *s, struct err *err)
{
    for (; s->name; s++) {
        char reason[256];
        if (rd_kafka_conf_set(conf, s->name, s->value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
            return err_set(err, E_config, "Kafka setting %s: %s", s->name, reason);
    }
    return 0;
}

rd_kafka_conf_t *bus_conf(const char *brokers, const struct bus_setting *extra, struct err *err)
{
    char max[24];
    snprintf(max, sizeof(max), "%d", bus_message_bytes_max + bus_overhead_bytes_max);
    const struct bus_setting own[] = {
        { "bootstrap.servers", brokers },
        { "message.max.bytes", max     },
        { NULL,                NULL    },
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_resolve_cb(conf, on_resolve);
    if (apply(conf, common_settings, err) || apply(conf, own, err) || apply(conf, extra, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

int bus_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret, struct err *err)
{
    char reason[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, E_config, "Kafka: %s", reason);
    }
    *ret = rk;
    return 0;
}

enum err_code bus_code(rd_kafka_resp_err_t e)
{
    switch (e) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return E_too_large;
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return E_invalid;
    default:
        /* An unknown topic is among these: a broker that restarts may not know it for a moment, and
         * waiting loses nothing. */
        return E_unavailable;
    }
}

int bus_fail(struct err *err, rd_kafka_resp_err_t e, const char *doing)
{
    enum err_code code = bus_code(e);
    err_set(err, code,
            code == E_unavailable ? "The message bus is not available."
                                  : "The message bus refused the message.");
    if (code == E_unavailable)
        err->retry_after_s = 1;
    return err_detail(err, "%s: %s", doing, rd_kafka_err2str(e));
}

const char *bus_header(const struct bus_msg *m, const char *name)
{
    for (size_t i = 0; i < m->nheaders; i++)
        if (str_ieq(m->headers[i].name, name))
            return m->headers[i].value;
    return NULL;
}

void bus_copy(struct arena *a, const rd_kafka_message_t *in, struct bus_msg *out)
{
    *out = (struct bus_msg){ .partition = in->partition, .offset = in->offset, .len = in->len };
    out->topic = arena_strdup(a, rd_kafka_topic_name(in->rkt));
    if (in->key)
        out->key = arena_strndup(a, in->key, in->key_len);
    if (in->payload) {
        char *p = arena_raw(a, in->len + 1);
        memcpy(p, in->payload, in->len);
        p[in->len] = '\0';
        out->payload = p;
    }
    rd_kafka_timestamp_type_t type;
    out->time_ms = rd_kafka_message_timestamp(in, &type);
    rd_kafka_headers_t *hdrs;
    if (rd_kafka_message_headers(in, &hdrs))
        return;
    const char *name;
    const void *value;
    size_t n;
    for (size_t i = 0; out->nheaders < bus_headers_max; i++) {
        if (rd_kafka_header_get_all(hdrs, i, &name, &value, &n))
            return;
        struct bus_header *h = &out->headers[out->nheaders++];
        h->name = arena_strdup(a, name);
        h->value = value ? arena_strndup(a, value, n) : "";
    }
}

/* --- topics -------------------------------------------------------------------------------------
 */

enum { admin_timeout_ms = 20000, metadata_timeout_ms = 10000 };

static int admin_wait(rd_kafka_queue_t *q, rd_kafka_event_t **ret, struct err *err)
{
    rd_kafka_event_t *ev = rd_kafka_queue_poll(q, admin_timeout_ms + 5000);
    if (!ev)
        return bus_fail(err, RD_KAFKA_RESP_ERR__TIMED_OUT, "admin request");
    rd_kafka_resp_err_t e = rd_kafka_event_error(ev);
    if (e) {
        bus_fail(err, e, "admin request");
        rd_kafka_event_destroy(ev);
        return -(int)err->code;
    }
    *ret = ev;
    return 0;
}

struct admin {
    rd_kafka_t *rk;
    rd_kafka_queue_t *q;
    rd_kafka_AdminOptions_t *opt;
};

enum { topic_settings = 5, segment_ms_max = 60 * 60 * 1000 };

static void topic_values(const struct bus_topic *t, struct bus_setting out[topic_settings],
                         char ms[24], char max[24])
{
    snprintf(ms, 24, "%lld", (long long)t->retention_ms);
    snprintf(max, 24, "%d", bus_message_bytes_max + bus_overhead_bytes_max);
    out[0] = (struct bus_setting){ "cleanup.policy", t->compact ? "compact" : "delete" };
    out[1] = (struct bus_setting){ "retention.ms", ms };
    out[2] = (struct bus_setting){ "max.message.bytes", max };
    out[3] = (struct bus_setting){ NULL, NULL };
    /* What is kept for an hour must not lie in a segment that is written to for a week. */
    if (t->retention_ms > 0 && t->retention_ms <= segment_ms_max)
        out[3] = (struct bus_setting){ "segment.ms", ms };
    out[4] = (struct bus_setting){ NULL, NULL };
}

static int topic_result(rd_kafka_resp_err_t e, rd_kafka_resp_err_t fine, const char *name,
                        const char *why, struct err *err)
{
    if (!e || e == fine)
        return 0;
    bus_fail(err, e, name);
    return err_detail(err, "topic %s: %s", name, why ? why : rd_kafka_err2str(e));
}

static int create_topics(struct admin *ad, const struct bus_topic *t, size_t n, int replication,
                         struct err *err)
{
    rd_kafka_NewTopic_t **list = calloc(n, sizeof(*list));
    char text[256], ms[24], max[24];
    struct bus_setting set[topic_settings];
    for (size_t i = 0; i < n; i++) {
        list[i] =
            rd_kafka_NewTopic_new(t[i].name, t[i].partitions, replication, text, sizeof(text));
        assert(list[i]);
        topic_values(&t[i], set, ms, max);
        for (size_t k = 0; set[k].name; k++)
            rd_kafka_NewTopic_set_config(list[i], set[k].name, set[k].value);
    }
    rd_kafka_CreateTopics(ad->rk, list, n, ad->opt, ad->q);
    rd_kafka_NewTopic_destroy_array(list, n);
    free(list);
    rd_kafka_event_t *ev;
    int r = admin_wait(ad->q, &ev, err);
    if (r)
        return r;
    size_t cnt;
    const rd_kafka_topic_result_t **res =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), &cnt);
    for (size_t i = 0; i < cnt && !r; i++)
        r = topic_result(rd_kafka_topic_result_error(res[i]),
                         RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, rd_kafka_topic_result_name(res[i]),
                         rd_kafka_topic_result_error_string(res[i]), err);
    rd_kafka_event_destroy(ev);
    return r;
}

static int raise_partitions(struct admin *ad, const struct bus_topic *t, struct err *err)
{
    char text[256];
    rd_kafka_NewPartitions_t *np =
        rd_kafka_NewPartitions_new(t->name, (size_t)t->partitions, text, sizeof(text));
    if (!np)
        return err_set(err, E_config, "Topic %s: %s", t->name, text);
    rd_kafka_CreatePartitions(ad->rk, &np, 1, ad->opt, ad->q);
    rd_kafka_NewPartitions_destroy(np);
    rd_kafka_event_t *ev;
    int r = admin_wait(ad->q, &ev, err);
    if (r)
        return r;
    size_t cnt;
    const rd_kafka_topic_result_t **res =
        rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(ev), &cnt);
    if (cnt)
        r = topic_result(rd_kafka_topic_result_error(res[0]), RD_KAFKA_RESP_ERR_NO_ERROR, t->name,
                         rd_kafka_topic_result_error_string(res[0]), err);
    rd_kafka_event_destroy(ev);
    return r;
}

/* Partition counts by one metadata request: those created a moment ago may be missing, and are
 * right. */
static int check_partitions(struct admin *ad, const struct bus_topic *t, size_t n, struct err *err)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t e = rd_kafka_metadata(ad->rk, 1, NULL, &md, metadata_timeout_ms);
    if (e)
        return bus_fail(err, e, "metadata");
    int r = 0;
    for (int i = 0; i < md->topic_cnt && !r; i++)
        for (size_t k = 0; k < n && !r; k++)
            if (!md->topics[i].err && str_eq(md->topics[i].topic, t[k].name) &&
                md->topics[i].partition_cnt > 0 && md->topics[i].partition_cnt < t[k].partitions)
                r = raise_partitions(ad, &t[k], err);
    rd_kafka_metadata_destroy(md);
    return r;
}

static const char *config_value(const rd_kafka_ConfigResource_t *res, const char *name)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **e = rd_kafka_ConfigResource_configs(res, &n);
    for (size_t i = 0; i < n; i++)
        if (str_eq(rd_kafka_ConfigEntry_name(e[i]), name))
            return rd_kafka_ConfigEntry_value(e[i]);
    return NULL;
}

/* AlterConfigs replaces all topic-level settings, so it is sent only for topics that differ, and
 * carries everything we set. */
static int alter_config(struct admin *ad, const struct bus_topic *t, struct err *err)
{
    struct bus_setting set[topic_settings];
    char ms[24], max[24];
    topic_values(t, set, ms, max);
    rd_kafka_ConfigResource_t *res = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, t->name);
    for (size_t k = 0; set[k].name; k++)
        rd_kafka_ConfigResource_set_config(res, set[k].name, set[k].value);
    rd_kafka_AlterConfigs(ad->rk, &res, 1, ad->opt, ad->q);
    rd_kafka_ConfigResource_destroy(res);
    rd_kafka_event_t *ev;
    int r = admin_wait(ad->q, &ev, err);
    if (r)
        return r;
    size_t cnt;
    const rd_kafka_ConfigResource_t **got =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(ev), &cnt);
    if (cnt)
        r = topic_result(rd_kafka_ConfigResource_error(got[0]), RD_KAFKA_RESP_ERR_NO_ERROR, t->name,
                         rd_kafka_ConfigResource_error_string(got[0]), err);
    rd_kafka_event_destroy(ev);
    return r;
}

static bool config_differs(const rd_kafka_ConfigResource_t *res, const struct bus_topic *t)
{
    struct bus_setting set[topic_settings];
    char ms[24], max[24];
    topic_values(t, set, ms, max);
    for (size_t k = 0; set[k].name; k++)
        if (!str_eq(config_value(res, set[k].name), set[k].value))
            return true;
    return false;
}

static int check_configs(struct admin *ad, const struct bus_topic *t, size_t n, struct err *err)
{
    rd_kafka_ConfigResource_t **ask = calloc(n, sizeof(*ask));
    for (size_t i = 0; i < n; i++)
        ask[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, t[i].name);
    rd_kafka_DescribeConfigs(ad->rk, ask, n, ad->opt, ad->q);
    rd_kafka_ConfigResource_destroy_array(ask, n);
    free(ask);
    rd_kafka_event_t *ev;
    int r = admin_wait(ad->q, &ev, err);
    if (r)
        return r;
    size_t cnt;
    const rd_kafka_ConfigResource_t **got =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(ev), &cnt);
    for (size_t i = 0; i < cnt && !r; i++)
        for (size_t k = 0; k < n && !r; k++)
            if (!rd_kafka_ConfigResource_error(got[i]) &&
                str_eq(rd_kafka_ConfigResource_name(got[i]), t[k].name) &&
                config_differs(got[i], &t[k]))
                r = alter_config(ad, &t[k], err);
    rd_kafka_event_destroy(ev);
    return r;
}

int bus_topics_apply(const char *brokers, const struct bus_topic *t, size_t n, int replication,
                     struct err *err)
{
    if (!n)
        return 0;
    static const struct bus_setting none[] = {
        { NULL, NULL }
    };
    rd_kafka_conf_t *conf = bus_conf(brokers, none, err);
    if (!conf)
        return -(int)err->code;
    struct admin ad = { .rk = NULL };
    int r = bus_handle(RD_KAFKA_PRODUCER, conf, &ad.rk, err);
    if (r)
        return r;
    char text[128];
    ad.q = rd_kafka_queue_new(ad.rk);
    ad.opt = rd_kafka_AdminOptions_new(ad.rk, RD_KAFKA_ADMIN_OP_ANY);
    if (rd_kafka_AdminOptions_set_request_timeout(ad.opt, admin_timeout_ms, text, sizeof(text)))
        r = err_set(err, E_internal, "%s", text);
    if (!r)
        r = create_topics(&ad, t, n, replication, err);
    if (!r)
        r = check_partitions(&ad, t, n, err);
    if (!r)
        r = check_configs(&ad, t, n, err);
    rd_kafka_AdminOptions_destroy(ad.opt);
    rd_kafka_queue_destroy(ad.q);
    rd_kafka_destroy(ad.rk);
    return r;
}

int bus_ping(const char *brokers, unsigned timeout_ms, struct err *err)
{
    static const struct bus_setting none[] = {
        { NULL, NULL }
    };
    rd_kafka_conf_t *conf = bus_conf(brokers, none, err);
    if (!conf)
        return -(int)err->code;
    rd_kafka_t *rk;
    int r = bus_handle(RD_KAFKA_PRODUCER, conf, &rk, err);
    if (r)
        return r;
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t e = rd_kafka_metadata(rk, 0, NULL, &md, (int)timeout_ms);
    if (e)
        r = bus_fail(err, e, "metadata");
    else
        rd_kafka_metadata_destroy(md);
    rd_kafka_destroy(rk);
    return r;
}
