#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/migrate.h"
#include "common/kit/outbox.h"
#include "common/kit/query.h"
#include "services/webhooks-out/webhooks.h"

#pragma GCC diagnostic ignored "-Woverlength-strings" /* migrations are long, and gcc takes them   \
                                                       */
#include "webhooks-out/migrations.h"

extern const struct entity_def entity_webhook_endpoint, entity_webhook_delivery,
    entity_webhook_attempt;

#define ENDPOINTS  "/api/v2/webhooks/endpoints"
#define DELIVERIES "/api/v2/webhooks/deliveries"

/* clang-format off */
static const struct field_def created_fields[] = {
    { .name = "secret", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL, .format = FMT_LINE,
      .max = secret_text_max, .example = "\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"",
      .doc = "Key of the signatures: shown here and never again." },
    { .name = NULL },
};
static const struct shape created = { .name = "WebhookEndpointCreated",
                                      .doc = "A new endpoint, with its secret.",
                                      .fields = created_fields,
                                      .extends = &entity_webhook_endpoint };

static const int list_errors[] = { 400, 0 };
static const int read_errors[] = { 400, 404, 0 };
static const int create_errors[] = { 403, 409, 415, 422, 0 };
static const int patch_errors[] = { 404, 412, 415, 422, 0 };
static const int delete_errors[] = { 404, 412, 0 };
static const int resend_errors[] = { 404, 409, 422, 0 };

const struct route webhook_routes[] = {
    { GET, ENDPOINTS, crud_list, .scope = "webhooks:read", .entity = &entity_webhook_endpoint,
      .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
      .errors = list_errors, .cost = 2, .op_id = "list_webhook_endpoints",
      .doc = "List your endpoints; with api:admin everybody's." },
    { POST, ENDPOINTS, endpoint_create, .scope = "webhooks:write",
      .entity = &entity_webhook_endpoint, .out = &created, .flags = ROUTE_IDEMPOTENT,
      .errors = create_errors, .cost = 5, .status = 201, .op_id = "create_webhook_endpoint",
      .doc = "Have a URL told about events.  The secret is shown in this answer only." },
    { GET, ENDPOINTS "/{id}", crud_get, .scope = "webhooks:read",
      .entity = &entity_webhook_endpoint, .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY,
      .errors = read_errors, .cost = 1, .op_id = "get_webhook_endpoint",
      .doc = "Read one endpoint, without its secret." },
    { PATCH, ENDPOINTS "/{id}", endpoint_patch, .scope = "webhooks:write",
      .entity = &entity_webhook_endpoint, .flags = ROUTE_MERGE | ROUTE_ETAG,
      .errors = patch_errors, .cost = 5, .op_id = "patch_webhook_endpoint",
      .doc = "Change an endpoint; status paused keeps its events, active sends them in order." },
    { DELETE, ENDPOINTS "/{id}", endpoint_delete, .scope = "webhooks:write",
      .entity = &entity_webhook_endpoint, .flags = ROUTE_NO_BODY | ROUTE_ETAG,
      .errors = delete_errors, .cost = 5, .status = 204, .op_id = "delete_webhook_endpoint",
      .doc = "Remove an endpoint and its secret; what was still to go is canceled, the log stays." },
    { GET, DELIVERIES, delivery_list, .scope = "webhooks:read", .entity = &entity_webhook_delivery,
      .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
      .errors = list_errors, .cost = 2, .op_id = "list_webhook_deliveries",
      .doc = "The delivery log, newest first." },
    { GET, DELIVERIES "/{id}", crud_get, .scope = "webhooks:read",
      .entity = &entity_webhook_delivery, .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY,
      .errors = read_errors, .cost = 1, .op_id = "get_webhook_delivery",
      .doc = "Read one delivery." },
    { GET, DELIVERIES "/{id}/attempts", delivery_attempts, .scope = "webhooks:read",
      .entity = &entity_webhook_attempt, .flags = ROUTE_LIST | ROUTE_NO_BODY,
      .errors = read_errors, .cost = 2, .op_id = "list_webhook_attempts",
      .doc = "The requests of one delivery, first to last; at most 100." },
    { POST, DELIVERIES "/{id}/resend", delivery_resend, .scope = "webhooks:write",
      .entity = &entity_webhook_delivery, .flags = ROUTE_IDEMPOTENT | ROUTE_NO_BODY,
      .errors = resend_errors, .cost = 5, .status = 202, .op_id = "resend_webhook_delivery",
      .doc = "Send a delivery again: the same webhook-id and body, signed anew." },
    { .path = NULL },
};
/* clang-format on */

/* --- the program --- */

static const struct route *const routes[] = { webhook_routes, NULL };
static const struct job_def jobs[] = {
    { "dispatch", "Sends what is due and writes down what became of it.", dispatch_job },
    { "retention", "Makes the log's weeks ahead and drops those past 30 days.", retention_job },
    { "idempotency", "Drops idempotency records past their time.", idem_job },
    { .name = NULL },
};

static int init(struct svc *svc, struct err *err)
{
    (void)err;
    svc->state = dispatch_new(svc);
    return 0;
}

static void done(struct svc *svc)
{
    dispatch_free(svc->state);
    svc->state = NULL;
}

/* The first migration also makes the tables that the kit keeps in every program. */
static const struct migration *make_migrations(struct arena *a)
{
    struct migration *m = arena_alloc(a, sizeof(migrations));
    memcpy(m, migrations, sizeof(migrations));
    m[0].sql = arena_printf(a, "%s%s%s%s", migrations[0].sql, outbox_schema_sql, inbox_schema_sql,
                            idem_schema_sql);
    migrate_append(a, m, "0003_outbox_also", outbox_also_sql);
    return m;
}

const struct svc_def *webhooks_def(void)
{
    static struct svc_def def; /* one a process; made before there are threads */
    static struct arena *arena;
    if (!arena)
        arena = arena_new();
    if (!def.name)
        def = (struct svc_def){ .name = "webhooks-out",
                                .doc = "Tells other systems what happened, signed and in order.",
                                .schema = "webhooks_out",
                                .conf = webhooks_conf_defs,
                                .conf_size = sizeof(struct webhooks_conf),
                                .routes = routes,
                                .consumers = webhook_consumers,
                                .jobs = jobs,
                                .migrations = make_migrations(arena),
                                .init = init,
                                .done = done };
    return &def;
}
