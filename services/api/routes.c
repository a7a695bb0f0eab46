#include "services/api/api.h"

#include "common/base/str.h"
#include "common/kit/crud_export.h"
#include "common/kit/idem.h"
#include "common/kit/migrate.h"
#include "common/kit/operation.h"
#include "common/kit/outbox.h"
#include "common/kit/rcache.h"
#include "common/kit/repr.h"
#include "common/kit/sandbox.h"

#pragma GCC diagnostic ignored "-Woverlength-strings" /* migrations are long, and gcc takes them   \
                                                       */
#include "api/migrations.h"

#include <assert.h>

enum { entities_max = 15, api_tables_max = 6 /* of routes, an entity */ };

static const struct api *the_api(void);

static const struct svc_verb verbs[] = {
    { "--bootstrap-admin", "USERNAME EMAIL",
     "make the first administrator if there is none; prints {\"id\":…,\"created\":…}", 2,
     api_bootstrap_admin },
    { 0 },
};
static const struct conf_def conf_defs[] = {
    { .name = "CMS365_REQUIRE_IF_MATCH",
     .type = CONF_TEXT,
     .fallback = "",
     .max = 256,
     .offset = offsetof(struct api_conf, require_if_match),
     .doc = "Entities whose changes and deletions must carry If-Match (428 otherwise), by plural, "
             "separated by commas: posts,pages." },
    { .name = "CMS365_REVISION_DAYS",
     .type = CONF_INT,
     .fallback = "365",
     .min = 1,
     .max = 36500,
     .offset = offsetof(struct api_conf, revision_days),
     .doc = "Days that former states of posts, pages and events are kept." },
    { .name = "CMS365_OPERATION_LEASE_MS",
     .type = CONF_INT,
     .fallback = "30000",
     .min = 1000,
     .max = 600000,
     .offset = offsetof(struct api_conf, operation_lease_ms),
     .doc = "How long a replica has an accepted operation to itself; another one takes it over "
             "after that." },
    { .name = "CMS365_RESPONSE_CACHE_BYTES",
     .type = CONF_INT,
     .fallback = "8388608",
     .min = 0,
     .max = 1 << 30,
     .offset = offsetof(struct api_conf, response_cache_bytes),
     .doc = "Memory of the response cache, all of it; 0: no answers are kept." },
    { .name = "CMS365_SANDBOX_DATABASE_URL",
     .type = CONF_TEXT,
     .fallback = "",
     .secret = true,
     .offset = offsetof(struct api_conf, sandbox_database_url),
     .doc = "PostgreSQL, a database of its own for the data of sandbox keys, with the role that "
             "owns it; empty: sandbox keys are refused." },
    { .name = "CMS365_SANDBOXES_MAX",
     .type = CONF_INT,
     .fallback = "50",
     .min = 1,
     .max = 10000,
     .offset = offsetof(struct api_conf, sandboxes_max),
     .doc = "Sandboxes at a time, of all replicas together." },
    { 0 },
};

int api_require_if_match(const struct api *api, const char *list, struct err *err)
{
    for (const char *p = list; *(p += strspn(p, ", ")); p += strcspn(p, ", ")) {
        size_t n = strcspn(p, ", ");
        struct crud *const *c = api->cruds;
        while (*c &&
               (strlen(crud_entity(*c)->plural) != n || memcmp(crud_entity(*c)->plural, p, n) != 0))
            c++;
        if (!*c)
            return err_set(err, E_config, "CMS365_REQUIRE_IF_MATCH: there are no %.*s.", (int)n, p);
        crud_require_cond(*c, true);
    }
    return 0;
}

static int prepare(struct svc *svc, struct err *err)
{
    const struct api_conf *conf = (const struct api_conf *)(const void *)svc->conf;
    (void)err;
    if (conf->response_cache_bytes)
        svc->invalidations = "content.invalidations";
    return 0;
}

static int init(struct svc *svc, struct err *err)
{
    const struct api_conf *conf = (const struct api_conf *)(const void *)svc->conf;
    int rc = api_require_if_match(the_api(), conf->require_if_match, err);
    if (!rc && conf->response_cache_bytes)
        rc = rcache_new((size_t)conf->response_cache_bytes, &svc->rcache, err);
    if (!rc && *conf->sandbox_database_url) {
        svc->sandboxes = api_sandboxes_new(svc, conf);
        svc->sandbox_enter = sandbox_enter;
    }
    return rc;
}

static void done(struct svc *svc)
{
    sandboxes_free(svc->sandboxes);
    svc->sandboxes = NULL;
    rcache_free(svc->rcache);
    svc->rcache = NULL;
}

static const struct job_def jobs[] = {
    { "publish", "Publishes what is scheduled and due.", api_publish_job },
    { "operations", "Works off bulks and exports that were accepted (Prefer: respond-async).",
     api_operations_job },
    { "operations2", "The same: two at a time a replica, one of each owner.", api_operations_job },
    { "revisions", "Drops former states past their time.", api_revisions_job },
    { "counts", "Folds the shards of the totals.", api_counts_job },
    { "cache-follow", "Hears of changes of other replicas (response cache).", rcache_follow_job },
    { "cache-due", "Knows what becomes visible next (response cache).", rcache_due_job },
    { "sandboxes", "Drops the data of sandbox keys that are over.", sandbox_job },
    { "idempotency", "Drops idempotency records past their time.", idem_job },
    { 0 },
};

/* The first migration also makes the tables that the kit keeps in every program. */
static const struct migration *make_migrations(struct arena *a)
{
    size_t n = ARRAY_LEN(migrations);
    struct migration *m = arena_alloc(a, n * sizeof(*m));
    memcpy(m, migrations, sizeof(migrations));
    m[0].sql = arena_printf(a, "%s%s%s%s", migrations[0].sql, outbox_schema_sql, idem_schema_sql,
                            crud_counts_schema_sql);
    migrate_append(a, m, "0003_commands", inbox_schema_sql);
    migrate_append(a, m, "0007_outbox_also", outbox_also_sql);
    return m;
}

const struct api *api_make(struct arena *a)
{
    struct api *api = arena_alloc(a, sizeof(*api));
    size_t n = 0, nfast = 0, nroutes = 0;
    while (entities[n])
        n++;
    assert(n <= entities_max);
    const struct route **routes = arena_alloc(a, (n * api_tables_max + 6) * sizeof(*routes));
    const struct db_stmt **fast = arena_alloc(a, (n * crud_fast_max + 1) * sizeof(*fast));
    for (size_t i = 0; i < n; i++) {
        bool revisions = entities[i]->lifecycle == LIFE_PUBLISH;
        unsigned flags = CRUD_COUNTS | CRUD_CHANGES | (revisions ? CRUD_REVISIONS : 0u);
        api->cruds[i] = crud_new(a, entities[i], flags, NULL);
        const struct route *rows = crud_routes(a, api->cruds[i]);
        routes[nroutes++] = rows;
        for (const struct route_version *v = &route_versions[1]; v->number; v++)
            routes[nroutes++] = route_version_rows(a, v, rows);
        routes[nroutes++] = crud_change_routes(a, api->cruds[i]);
        if (revisions)
            routes[nroutes++] = crud_revision_routes(a, api->cruds[i]);
        nfast += crud_fast(api->cruds[i], fast + nfast, crud_fast_max);
    }
    routes[nroutes++] = repr_routes;
    routes[nroutes++] = export_routes;
    routes[nroutes++] = document_routes;
    routes[nroutes++] = inner_routes;
    routes[nroutes] = operation_routes;
    crud_link(api->cruds);
    api->def = (struct svc_def){
        .name = "api",
        .doc = "Content over HTTP: posts, pages, users, media, experts, companies, events.",
        .schema = "content",
        .conf = conf_defs,
        .conf_size = sizeof(struct api_conf),
        .init = init,
        .done = done,
        .prepare = prepare,
        .routes = routes,
        .jobs = jobs,
        .consumers = api_consumers,
        .verbs = verbs,
        .migrations = make_migrations(a),
        .fast = fast,
    };
    return api;
}

static const struct api *the_api(void)
{
    static const struct api *api; /* one a process; set before there are threads */
    if (!api)
        api = api_make(arena_new());
    return api;
}

const struct svc_def *api_def(void)
{
    return &the_api()->def;
}

struct crud *const *api_cruds(void)
{
    return the_api()->cruds;
}

const struct crud *api_crud(const char *entity)
{
    for (struct crud *const *c = the_api()->cruds; *c; c++)
        if (crud_entity(*c) == entity_find(entity))
            return *c;
    assert(!"an entity of this program");
    return NULL;
}
