#include "common/kit/svc_internal.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/limit.h"
#include "proto/names.h"

#define TEXT(field, env, def, text)                                                                \
    { .name = env,                                                                                 \
      .type = CONF_TEXT,                                                                           \
      .fallback = def,                                                                             \
      .offset = offsetof(struct svc_conf, field),                                                  \
      .doc = text }
#define SECRET(field, env, text)                                                                   \
    { .name = env,                                                                                 \
      .type = CONF_TEXT,                                                                           \
      .fallback = "",                                                                              \
      .secret = true,                                                                              \
      .offset = offsetof(struct svc_conf, field),                                                  \
      .doc = text }
#define NUMBER(field, env, def, lo, hi, text)                                                      \
    { .name = env,                                                                                 \
      .type = CONF_INT,                                                                            \
      .fallback = def,                                                                             \
      .min = lo,                                                                                   \
      .max = hi,                                                                                   \
      .offset = offsetof(struct svc_conf, field),                                                  \
      .doc = text }

const struct conf_def svc_conf_defs[] = {
    TEXT(env, "CMS365_ENV", "dev", "Stage: dev, test or live; part of each API key."),
    TEXT(public_url, "CMS365_PUBLIC_URL", "http://127.0.0.1:18365",
         "Where the world finds the platform; links and Location begin with it."),
    TEXT(listen, "CMS365_LISTEN", "0.0.0.0:8080", "Address and port of the public listener."),
    TEXT(ops_listen, "CMS365_OPS_LISTEN", "0.0.0.0:9090",
         "Address and port of /healthz, /readyz, /metrics and routes between programs."),
    NUMBER(loops, "CMS365_LOOPS", "0", 0, 32, "Event loops; 0: one a core."),
    SECRET(database_url, "CMS365_DATABASE_URL", "PostgreSQL, with the role that serves."),
    SECRET(migrate_database_url, "CMS365_MIGRATE_DATABASE_URL",
           "PostgreSQL, with the role that owns the schema; for --migrate only."),
    NUMBER(db_conns, "CMS365_DB_CONNS", "12", 1, 500,
           "Database connections for writes and long reads, all loops together."),
    SECRET(redis_url, "CMS365_REDIS_URL", "Redis: revocations and rate limits."),
    TEXT(kafka_brokers, "CMS365_KAFKA_BROKERS", "127.0.0.1:9092", "Kafka, host:port list."),
    NUMBER(kafka_replication, "CMS365_KAFKA_REPLICATION", "1", 1, 9,
           "Replication factor of topics that --topics makes."),
    SECRET(secret_keys, "CMS365_SECRET_KEYS",
           "kid:base64 of 32 bytes, several by comma; the first seals secrets, all open them."),
    SECRET(internal_token, "CMS365_INTERNAL_TOKEN", "What programs show to each other."),
    TEXT(auth_internal_url, "CMS365_AUTH_INTERNAL_URL", "", "The ops listener of auth."),
    NUMBER(key_use_ms, "CMS365_KEY_USE_MS", "60000", 100, 3600000,
           "How often a program tells auth which API keys were used, and how exact the time is."),
    NUMBER(rate_key, "CMS365_RATE_KEY", "12000", 0, limit_rate_max,
           "Units a minute of an API key without a rate_limit of its own; 0: unlimited."),
    NUMBER(rate_client, "CMS365_RATE_CLIENT", "24000", 0, limit_rate_max,
           "Units a minute of all tokens of an OAuth client without a rate_limit of its own; 0: "
           "unlimited."),
    NUMBER(rate_user, "CMS365_RATE_USER", "24000", 0, limit_rate_max,
           "Units a minute of all keys and tokens of a person; 0: unlimited."),
    NUMBER(rate_network, "CMS365_RATE_NETWORK", "1200", 0, limit_rate_max,
           "Units a minute of requests without a credential, an IPv4 address or IPv6 /64; 0: "
           "unlimited."),
    NUMBER(rate_token, "CMS365_RATE_TOKEN", "600", 0, limit_rate_max,
           "Units a minute at the token endpoint, an IPv4 address or IPv6 /64; 0: unlimited."),
    NUMBER(
        rate_login, "CMS365_RATE_LOGIN", "100", 0, limit_rate_max,
        "Units a minute at the forms that take passwords, codes and mailed links, an IPv4 address "
        "or IPv6 /64; 0: unlimited."),
    NUMBER(rate_docs, "CMS365_RATE_DOCS", "6000", 0, limit_rate_max,
           "Units a minute of the API's documents, an IPv4 address or IPv6 /64; 0: unlimited."),
    TEXT(egress_allow, "CMS365_EGRESS_ALLOW", "",
         "Networks (CIDR) that user-supplied URLs may reach though they are not public."),
    TEXT(dns_servers, "CMS365_DNS_SERVERS", "", "Name servers; empty: the system's."),
    TEXT(trusted_proxies, "CMS365_TRUSTED_PROXIES", "",
         "Networks (CIDR) of proxies whose X-Forwarded-For is believed."),
    { .name = "CMS365_REQUEST_LOG",
       .type = CONF_BOOL,
       .fallback = "true",
       .offset = offsetof(struct svc_conf, request_log),
       .doc = "Tell analytics of each request; it holds no path, query, body or address." },
    { .name = "CMS365_LOG_READS",
       .type = CONF_BOOL,
       .fallback = "false",
       .offset = offsetof(struct svc_conf, log_reads),
       .doc = "A log line also for each read that went well; else only the gateway's access log and "
             "the request log have those." },
    TEXT(
        otlp_url, "CMS365_OTLP_URL", "",
        "OpenTelemetry collector (OTLP/HTTP) that spans are sent to, without /v1/traces; empty: no "
        "traces."),
    SECRET(otlp_headers, "CMS365_OTLP_HEADERS",
           "Headers for it, name=value by comma; empty: none."),
    NUMBER(otlp_sample_ppm, "CMS365_OTLP_SAMPLE_PPM", "1000000", 0, 1000000,
           "How many of a million traces are sent, the same ones in all programs."),
    TEXT(country_header, "CMS365_COUNTRY_HEADER", "",
         "Header in which one of CMS365_TRUSTED_PROXIES says the client's country, ISO 3166-1 "
         "alpha-2; empty: it is not known."),
    { .name = "CMS365_PUBLIC_READ",
       .type = CONF_BOOL,
       .fallback = "true",
       .offset = offsetof(struct svc_conf, public_read),
       .doc = "Whether published content is readable without a credential." },
    NUMBER(body_bytes_max, "CMS365_BODY_BYTES_MAX", "1048576", 1024, 67108864,
           "Largest request body of an ordinary route, bytes."),
    NUMBER(drain_grace_ms, "CMS365_DRAIN_GRACE_MS", "500", 0, 60000,
           "On stop: not ready for this long before the listener closes."),
    NUMBER(drain_ms, "CMS365_DRAIN_MS", "10000", 0, 600000,
           "On stop: how long requests in flight may take."),
    TEXT(
        deprecations, "CMS365_DEPRECATIONS", "v1=2026-02-19/2027-12-31",
        "What is deprecated: name=since/sunset by comma, dates (UTC) as in RFC 3339; every name of "
        "proto/deprecations.def."),
    TEXT(log_level, "CMS365_LOG_LEVEL", "info", "debug, info, warn or error."),
    TEXT(reqres_log, "CMS365_REQRES_LOG", "",
         "File for every exchange with its bodies, for tests only; empty: off."),
    { .name = NULL },
};

static int check_values(struct svc_conf *c, struct err *err)
{
    enum log_level level;
    size_t n = strlen(c->public_url);
    if (!str_eq(c->env, "dev") && !str_eq(c->env, "test") && !str_eq(c->env, "live"))
        return err_set(err, E_config, "CMS365_ENV is dev, test or live");
    if (!str_starts(c->public_url, "http://") && !str_starts(c->public_url, "https://"))
        return err_set(err, E_config, "CMS365_PUBLIC_URL is an http or https URL");
    if (c->public_url[n - 1] == '/' || strpbrk(c->public_url, "?#\"\\ "))
        return err_set(err, E_config, "CMS365_PUBLIC_URL has no query and no / at its end");
    if (!log_level_parse(c->log_level, &level))
        return err_set(err, E_config, "CMS365_LOG_LEVEL is debug, info, warn or error");
    return 0;
}

int svc_conf_load(struct svc *svc, char *const *environ_, struct err *err)
{
    const struct conf_def *const tables[] = { svc_conf_defs, svc->def->conf, NULL };
    size_t size = svc->def->conf_size;
    svc->conf = arena_alloc(svc->arena, size > sizeof *svc->conf ? size : sizeof *svc->conf);
    int rc = conf_load(svc->arena, tables, setting_names, environ_, svc->conf, err);
    return rc ? rc : check_values(svc->conf, err);
}

int svc_conf_check(struct svc *svc, struct err *err)
{
    const struct svc_conf *c = svc->conf;
    const struct {
        const char *name, *value;
        bool needed;
    } rows[] = {
        { "CMS365_DATABASE_URL",   c->database_url,   svc->def->schema },
        { "CMS365_REDIS_URL",      c->redis_url,      true             },
        { "CMS365_SECRET_KEYS",    c->secret_keys,    true             },
        { "CMS365_INTERNAL_TOKEN", c->internal_token, true             },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].needed && !*rows[i].value)
            return err_set(err, E_config, "%s is not set", rows[i].name);
    }
    return 0;
}

void svc_conf_help(const struct svc_def *def, FILE *out)
{
    conf_help(out, (const struct conf_def *const[]){ svc_conf_defs, def->conf, NULL });
}
