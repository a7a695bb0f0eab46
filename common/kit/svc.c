#include "common/kit/svc_internal.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/io/httpc.h"
#include "common/kit/migrate.h"
#include "proto/names.h"

#include <malloc.h>
#include <signal.h>

enum { health_timeout_ms = 2500 };

extern char **environ;

static int help(const struct svc_def *def)
{
    printf("%s %s - %s\n\nUsage: %s [VERB]\nWithout a verb it serves until SIGTERM.\n\nVerbs:\n",
           def->name, CMS365_VERSION, def->doc ? def->doc : "", def->name);
    static const char *const rows[][2] = {
        { "--help",         "This text."                                         },
        { "--version",      "Name and version."                                  },
        { "--check-config", "Read the settings, say what is wrong with them."    },
        { "--migrate",      "Bring the database schema up to date."              },
        { "--topics",       "Make or adjust the Kafka topics."                   },
        { "--contract",     "Print this program's part of the OpenAPI document." },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        printf("  %-44s %s\n", rows[i][0], rows[i][1]);
    for (const struct svc_verb *v = def->verbs; v && v->name; v++) {
        char text[80];
        snprintf(text, sizeof text, "%s %s", v->name, v->args ? v->args : "");
        printf("  %-44s %s\n", text, v->doc);
    }
    printf("\nSettings (environment; NAME_FILE names a file with a secret's value):\n");
    svc_conf_help(def, stdout);
    return 0;
}

/* --- verbs ---------------------------------------------------------------------------------------
 */

static int do_migrate(struct svc *svc, struct err *err)
{
    struct db_conf conf = { .conninfo = svc->conf->migrate_database_url,
                            .application = svc->def->name,
                            .connect_timeout_ms = 10000 };
    struct db_session *s;
    int applied = 0;
    if (!svc->def->schema) {
        printf("{\"program\":\"%s\",\"applied\":0}\n", svc->def->name);
        return 0;
    }
    if (!*conf.conninfo)
        return err_set(err, E_config, "CMS365_MIGRATE_DATABASE_URL is not set");
    int rc = db_session_open(&conf, &s, err);
    if (rc)
        return rc;
    rc = migrate_run(s, svc->def->migrations, &applied, err);
    db_session_close(s);
    if (!rc)
        printf("{\"program\":\"%s\",\"applied\":%d}\n", svc->def->name, applied);
    return rc;
}

static int do_topics(struct svc *svc, struct err *err)
{
    size_t n = 0;
    while (topics[n].name)
        n++;
    struct bus_topic *list = arena_alloc(svc->arena, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = (struct bus_topic){ .name = topics[i].name,
                                      .partitions = topics[i].partitions,
                                      .retention_ms = topics[i].retention_ms,
                                      .compact = topics[i].compact };
    int rc =
        bus_topics_apply(svc->conf->kafka_brokers, list, n, (int)svc->conf->kafka_replication, err);
    if (!rc)
        printf("{\"topics\":%zu}\n", n);
    return rc;
}

static int do_check(struct svc *svc, struct err *err)
{
    int rc = svc_conf_check(svc, err);
    if (!rc)
        rc = svc_open(svc, err);
    svc_close(svc);
    if (!rc)
        printf("{\"program\":\"%s\",\"config\":\"ok\"}\n", svc->def->name);
    return rc;
}

/* For a container's health check, which has no curl: asks the running program's /healthz. */
static int do_health(struct svc *svc, struct err *err)
{
    const struct httpc_conf conf = { .egress_allow = "0.0.0.0/0,::/0",
                                     .dns_servers = "",
                                     .conns_max = 1,
                                     .conns_per_host_max = 1,
                                     .user_agent = "365CMS-health" };
    const char *listen = svc->conf->ops_listen, *port = strrchr(listen, ':');
    /* A listener on every address answers on loopback. */
    const char *host = str_starts(listen, "0.0.0.0:") ? "127.0.0.1"
                       : str_starts(listen, "[::]:")  ? "[::1]"
                                                      : NULL;
    const struct httpc_req req = {
        .method = "GET",
        .url = arena_printf(svc->arena, "http://%s%s/healthz", host ? host : listen,
                            host && port ? port : ""),
        .timeout_ms = health_timeout_ms,
        .connect_timeout_ms = health_timeout_ms,
        .reply_bytes_max = 4096,
    };
    struct httpc *client;
    struct httpc_res res;
    int rc = httpc_new(&conf, &client, err);
    if (rc)
        return rc;
    rc = httpc_call(client, svc->arena, &req, &res, err);
    httpc_free(client);
    if (rc || res.result < 0 || res.status != 200)
        return err_set(err, E_unavailable, "%s does not answer that it is alive", req.url);
    printf("{\"program\":\"%s\",\"health\":\"ok\"}\n", svc->def->name);
    return 0;
}

static int do_own(struct svc *svc, const struct svc_verb *v, char **args, struct err *err)
{
    int rc = svc_conf_check(svc, err);
    if (!rc)
        rc = svc_open(svc, err);
    if (!rc)
        rc = v->fn(svc, args, err);
    svc_close(svc);
    return rc;
}

static const struct svc_verb *find_verb(const struct svc_def *def, const char *name)
{
    for (const struct svc_verb *v = def->verbs; v && v->name; v++) {
        if (!strcmp(v->name, name))
            return v;
    }
    return NULL;
}

static int usage(const struct svc_def *def, const char *verb)
{
    fprintf(stderr, "%s: bad usage of %s; see --help\n", def->name, verb);
    return 2;
}

static int prepare(struct svc *svc, struct err *err)
{
    return svc->def->prepare ? svc->def->prepare(svc, err) : 0;
}

/* Every path but --help and --version; the conf is loaded for all of them but --contract, which
 * must print the same whatever the environment. */
static int run(struct svc *svc, int argc, char **argv, struct err *err)
{
    static char *const no_environment[] = { NULL };
    const char *verb = argc > 1 ? argv[1] : NULL;
    const struct svc_verb *own = verb ? find_verb(svc->def, verb) : NULL;
    bool contract = str_eq(verb, "--contract");
    int rc = svc_conf_load(svc, contract ? no_environment : environ, err);
    enum log_level level = LOG_INFO;
    if (rc)
        return rc;
    log_level_parse(svc->conf->log_level, &level);
    log_init(svc->def->name, level);
    if (str_eq(verb, "--migrate"))
        return do_migrate(svc, err);
    if (str_eq(verb, "--topics"))
        return do_topics(svc, err);
    if (str_eq(verb, "--health"))
        return do_health(svc, err);
    rc = prepare(svc, err);
    if (rc)
        return rc;
    if (contract)
        return contract_print(svc, stdout, err);
    if (str_eq(verb, "--check-config"))
        return do_check(svc, err);
    if (own)
        return do_own(svc, own, argv + 2, err);
    rc = svc_conf_check(svc, err);
    return rc ? rc : svc_serve(svc, err);
}

static bool known_verb(const struct svc_def *def, int argc, char **argv)
{
    static const char *const common[] = { "--migrate", "--topics", "--check-config", "--contract",
                                          "--health" };
    if (argc < 2)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(common); i++) {
        if (!strcmp(argv[1], common[i]))
            return argc == 2;
    }
    const struct svc_verb *own = find_verb(def, argv[1]);
    return own && argc == 2 + own->nargs;
}

enum { large_block_bytes = 128 * 1024 };

int svc_main(const struct svc_def *def, int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    struct svc_private priv = { .pub_mu = PTHREAD_MUTEX_INITIALIZER };
    struct err err = { 0 };
    if (!strcmp(verb, "--help"))
        return help(def);
    if (!strcmp(verb, "--version")) {
        printf("%s %s\n", def->name, CMS365_VERSION);
        return 0;
    }
    if (!known_verb(def, argc, argv))
        return usage(def, verb);
    mallopt(M_ARENA_MAX, 3); /* an arena a thread would keep each thread's peak; of one all wait */
    /* What is large goes back to the kernel when it is freed.  Said once, this stays: by itself the
     * limit rises to the largest block ever freed (19 MB of a password's hash), and what is below
     * it is cut out of the arenas, which keep it.  Of those, what is free at the end is left for
     * the next batch, up to a few megabytes (svc_serve returns it when there is none): to fault it
     * in again was a quarter of what analytics did. */
    mallopt(M_MMAP_THRESHOLD, large_block_bytes);
    mallopt(M_TRIM_THRESHOLD, large_block_bytes * 32);
    signal(SIGPIPE, SIG_IGN);
    halt_init(&priv.halt);
    struct svc svc = {
        .def = def, .arena = arena_new(), .routes = def->routes, .fast = def->fast, .priv = &priv
    };
    log_init(def->name, LOG_INFO);
    int rc = run(&svc, argc, argv, &err);
    if (rc)
        fprintf(stderr, "%s: %s%s%s\n", def->name, err.msg[0] ? err.msg : err_title(err.code),
                err.detail[0] ? ": " : "", err.detail);
    arena_free(svc.arena);
    fflush(stdout);
    return rc ? 1 : 0;
}
