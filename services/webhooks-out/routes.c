#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/migrate.h"
#include "common/kit/outbox.h"
#include "common/kit/query.h"
#include "services/webhooks-out/portal.h"
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

#define ANSWERED FF_READONLY | FF_NONNULL
#define FIELD_NUMBER(n, ex, what)                                                                  \
    { .name = n, .type = F_INT, .flags = ANSWERED, .max = INT32_MAX, .example = ex, .doc = what }
#define FIELD_TIMING(n, what)                                                                      \
    { .name = n, .type = F_INT, .flags = FF_READONLY, .max = INT32_MAX, .example = "12", .doc = what }
#define FIELD_DRY_RUN                                                                              \
    { .name = "dry_run", .type = F_BOOL, .flags = FF_NONNULL, .fallback = "false",                 \
      .example = "true", .doc = "Only count them." }

static const struct field_def resumed_fields[] = {
    { .name = "missed", .type = F_JSON, .flags = ANSWERED, .max = 4096,
      .example = "{\"held\":12,\"skipped\":0,\"dead\":3,\"recover\":\"https://cms.example.com/api/v2/webhooks/endpoints/7/recover\"}",
      .doc = "How many are on their way (held), were left out while it was not active (skipped) or "
             "given up (dead), and where the latter two are recovered." },
    { .name = NULL },
};
static const struct shape resumed = { .name = "WebhookEndpointState",
                                      .doc = "An endpoint, and what it missed.",
                                      .fields = resumed_fields,
                                      .extends = &entity_webhook_endpoint };
static const char *const secret_kinds[] = { "hmac", "ed25519", NULL };
static const char *const secret_states[] = { "current", "overlapping", "expired", "revoked", NULL };
static const struct field_def rotate_fields[] = {
    { .name = "overlap_seconds", .type = F_INT, .flags = FF_NONNULL, .min = 0, .max = 604800,
      .fallback = "86400", .example = "86400",
      .doc = "How long both secrets sign; 0 revokes the one before at once." },
    { .name = "kind", .type = F_ENUM, .flags = FF_NONNULL, .choices = secret_kinds,
      .fallback = "\"hmac\"", .example = "\"hmac\"", .doc = "The shared secret, or the Ed25519 pair." },
    { .name = "secret", .type = F_TEXT, .format = FMT_LINE, .max = secret_text_max,
      .example = "\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"",
      .doc = "The new secret; generated if absent." },
    { .name = NULL },
};
static const struct shape rotate = { .name = "WebhookEndpointRotate",
                                     .doc = "Another secret for an endpoint.",
                                     .fields = rotate_fields };
static const struct field_def rotated_fields[] = {
    { .name = "secret", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = secret_text_max,
      .example = "\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"",
      .doc = "The new secret: shown here and never again; of a pair only public_key is shown." },
    { .name = NULL },
};
static const struct shape rotated = { .name = "WebhookEndpointRotated",
                                      .doc = "An endpoint with its new secret.",
                                      .fields = rotated_fields,
                                      .extends = &entity_webhook_endpoint };
static const struct field_def secret_fields[] = {
    { .name = "id", .type = F_ID, .flags = ANSWERED, .min = 1, .max = INT64_MAX, .example = "7",
      .doc = "Number of the secret." },
    { .name = "kind", .type = F_ENUM, .flags = ANSWERED, .choices = secret_kinds,
      .example = "\"hmac\"", .doc = "The shared secret, or the Ed25519 pair." },
    { .name = "state", .type = F_ENUM, .flags = ANSWERED, .choices = secret_states,
      .example = "\"overlapping\"", .doc = "Current and overlapping ones sign." },
    { .name = "public_key", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 100,
      .example = "\"whpk_w5mL7kYh0yF4mQZr2vT1bq8Jm1w3nN5k2r8d0sTzXvY=\"", .doc = "Of an Ed25519 pair." },
    { .name = "created_at", .type = F_TIME, .flags = ANSWERED,
      .example = "\"2026-02-19T08:00:00.000000Z\"", .doc = "Since when it signs." },
    { .name = "expires_at", .type = F_TIME, .flags = FF_READONLY,
      .example = "\"2026-02-20T08:00:00.000000Z\"", .doc = "Until when; null: the current one." },
    { .name = NULL },
};
static const struct shape secret = { .name = "WebhookSecret",
                                     .doc = "A secret that an endpoint has or had, without the secret.",
                                     .fields = secret_fields };
#define FIELDS_OF_EVENT                                                                            \
    { .name = "event", .type = F_TEXT, .format = FMT_LINE, .max = event_type_max,                  \
      .example = "\"post.published\"", .doc = "Type; absent: the first that it listens to." },      \
    { .name = "entity_id", .type = F_ID, .min = 1, .max = (INT64_C(1) << 53) - 1, .example = "7",  \
      .doc = "A stored entity that you may read; absent: a sample." }
static const struct field_def which_fields[] = { FIELDS_OF_EVENT, { .name = NULL } };
static const struct shape which = { .name = "WebhookEventChoice",
                                    .doc = "Which event, of a stored entity or a sample.",
                                    .fields = which_fields };
static const struct field_def draft_fields[] = {
    { .name = "endpoint", .type = F_JSON, .flags = FF_REQUIRED, .max = 128 * 1024,
      .example = "{\"url\":\"https://example.com/hooks\",\"events\":[\"post.*\"]}",
      .doc = "As it would be created." },
    FIELDS_OF_EVENT,
    { .name = NULL },
};
static const struct shape draft = { .name = "WebhookPreviewDraft",
                                    .doc = "An endpoint that is not saved yet, and which event.",
                                    .fields = draft_fields };
static const struct field_def preview_fields[] = {
    { .name = "method", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LINE, .max = 10,
      .example = "\"POST\"", .doc = "HTTP method." },
    { .name = "url", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LINE, .max = 2048,
      .example = "\"https://example.com/hooks\"", .doc = "Where it would go." },
    { .name = "headers", .type = F_JSON, .flags = ANSWERED, .max = 16384,
      .example = "{\"webhook-id\":\"evt_0195f3c2-6f00-7abc-8def-0123456789ab\"}",
      .doc = "All that we would send, with credentials masked." },
    { .name = "body", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LONG, .max = 8 * 1024 * 1024,
      .example = "\"{}\"", .doc = "The bytes." },
    { .name = "matches", .type = F_BOOL, .flags = ANSWERED, .example = "true",
      .doc = "Would it be sent, by the endpoint's events, its owner's rights and its filter?" },
    { .name = "reason", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 500,
      .example = "\"The filter does not hold.\"", .doc = "Why not." },
    { .name = "secret", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = secret_text_max,
      .example = "\"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"",
      .doc = "Of drafts: what signed it, for trying a receiver." },
    { .name = NULL },
};
static const struct shape preview = { .name = "WebhookPreview",
                                      .doc = "A delivery that is not made.",
                                      .fields = preview_fields };
static const char *const test_outcomes[] = { "delivered", "failed", NULL };
static const struct field_def test_fields[] = {
    { .name = "delivery_id", .type = F_UUID, .flags = ANSWERED,
      .example = "\"0195f3c2-6f00-7abc-8def-0123456789ab\"", .doc = "Where the log has it." },
    { .name = "event", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LINE, .max = event_type_max,
      .example = "\"post.published\"", .doc = "Type of the event that was sent." },
    { .name = "made", .type = F_BOOL, .flags = ANSWERED, .example = "true",
      .doc = "Was the request made?  If not, error says why." },
    { .name = "outcome", .type = F_ENUM, .flags = ANSWERED, .choices = test_outcomes,
      .example = "\"delivered\"", .doc = "How it ended." },
    { .name = "response_code", .type = F_INT, .flags = FF_READONLY, .min = 100, .max = 999,
      .example = "200", .doc = "HTTP status of the answer; null: there was none." },
    FIELD_TIMING("latency_ms", "Time it took."),
    FIELD_TIMING("dns_ms", "Until the host name was known."),
    FIELD_TIMING("connect_ms", "Until the connection stood."),
    FIELD_TIMING("tls_ms", "Until TLS was agreed on."),
    FIELD_TIMING("first_byte_ms", "Until the answer's first byte."),
    { .name = "error", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 600,
      .example = "\"The connection could not be made.\"", .doc = "Why it failed." },
    { .name = "response_body", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LONG, .max = 4096,
      .example = "\"ok\"", .doc = "Start of the answer's body." },
    { .name = NULL },
};
static const struct shape tested = { .name = "WebhookTest", .doc = "A request made to try an endpoint.",
                                     .fields = test_fields };
static const struct field_def recover_fields[] = {
    { .name = "since", .type = F_TIME, .flags = FF_REQUIRED,
      .example = "\"2026-02-19T08:00:00.000000Z\"", .doc = "What came at this time or later." },
    { .name = "until", .type = F_TIME, .example = "\"2026-02-20T08:00:00.000000Z\"",
      .doc = "What came before this time." },
    FIELD_DRY_RUN,
    { .name = NULL },
};
static const struct shape recover = { .name = "WebhookRecover",
                                      .doc = "Send what was missed: given up, or skipped while it was not active.",
                                      .fields = recover_fields };
static const struct field_def replay_fields[] = {
    { .name = "filter", .type = F_JSON, .flags = FF_REQUIRED, .max = 4096,
      .example = "{\"event\":\"post.*\",\"status\":[\"delivered\"],\"since\":\"2026-02-19T08:00:00Z\"}",
      .doc = "Which: status (delivered, dead, skipped), event (a type or post.*), entity (post:7), since, "
             "until." },
    FIELD_DRY_RUN,
    { .name = NULL },
};
static const struct shape replay = { .name = "WebhookReplay",
                                     .doc = "Send again what a filter finds.",
                                     .fields = replay_fields };
static const struct field_def replayed_fields[] = {
    FIELD_NUMBER("matched", "12", "How many there are."),
    FIELD_NUMBER("sent", "12", "How many are on their way now, the oldest."),
    FIELD_NUMBER("remaining", "0", "How many are left: ask again for these."),
    { .name = "dry_run", .type = F_BOOL, .flags = ANSWERED, .example = "false",
      .doc = "Were they only counted?" },
    { .name = NULL },
};
static const struct shape replayed = { .name = "WebhookReplayed", .doc = "What goes again.",
                                       .fields = replayed_fields };
static const struct field_def type_fields[] = {
    { .name = "type", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LINE, .max = event_type_max,
      .example = "\"post.published\"", .doc = "What endpoints listen to." },
    FIELD_NUMBER("version", "1", "Of the schema; a field that is added does not change it."),
    { .name = "entity", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LINE, .max = 40,
      .example = "\"post\"", .doc = "What it is about." },
    { .name = "description", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LINE, .max = 500,
      .example = "\"A post was published.\"", .doc = "When it happens." },
    { .name = "schema", .type = F_JSON, .flags = ANSWERED, .max = 1024 * 1024,
      .example = "{\"type\":\"object\"}", .doc = "JSON Schema 2020-12 of the body, whole in itself." },
    { .name = "example", .type = F_JSON, .flags = ANSWERED, .max = 1024 * 1024,
      .example = "{\"type\":\"post.published\"}", .doc = "A body, in the standard form." },
    { .name = NULL },
};
static const struct shape event_type = { .name = "WebhookEventType", .doc = "An event that endpoints can hear of.",
                                         .fields = type_fields };
static const struct field_def payload_fields[] = {
    { .name = "webhook_id", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LINE, .max = 40,
      .example = "\"evt_0195f3c2-6f00-7abc-8def-0123456789ab\"", .doc = "The webhook-id of every attempt." },
    { .name = "event", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LINE, .max = event_type_max,
      .example = "\"post.published\"", .doc = "Type of the event." },
    { .name = "body", .type = F_TEXT, .flags = ANSWERED, .format = FMT_LONG, .max = 8 * 1024 * 1024,
      .example = "\"{}\"", .doc = "The bytes that every attempt sends." },
    { .name = NULL },
};
static const struct shape payload = { .name = "WebhookPayload", .doc = "The body of a delivery.",
                                      .fields = payload_fields };

static const int list_errors[] = { 400, 0 };
static const int read_errors[] = { 400, 404, 0 };
static const int create_errors[] = { 403, 409, 415, 422, 0 };
static const int patch_errors[] = { 404, 412, 415, 422, 0 };
static const int delete_errors[] = { 404, 412, 0 };
static const int state_errors[] = { 404, 412, 0 };
static const int rotate_errors[] = { 404, 409, 412, 415, 422, 0 };
static const int revoke_errors[] = { 404, 409, 412, 0 };
static const int try_errors[] = { 404, 413, 415, 422, 0 };
static const int replay_errors[] = { 404, 409, 412, 415, 422, 0 };
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
    { POST, ENDPOINTS "/{id}/pause", endpoint_pause, .scope = "webhooks:write", .out = &resumed,
      .flags = ROUTE_NO_BODY, .errors = state_errors, .cost = 5, .op_id = "pause_webhook_endpoint",
      .doc = "Send nothing until it is resumed; events are held or skipped as while_paused says." },
    { POST, ENDPOINTS "/{id}/resume", endpoint_resume, .scope = "webhooks:write", .out = &resumed,
      .flags = ROUTE_NO_BODY, .errors = state_errors, .cost = 5, .op_id = "resume_webhook_endpoint",
      .doc = "Send again, also after the platform disabled it: what was held goes in order, what was missed is counted." },
    { POST, ENDPOINTS "/{id}/rotate-secret", endpoint_rotate, .scope = "webhooks:write", .in = &rotate,
      .out = &rotated, .flags = ROUTE_IDEMPOTENT, .errors = rotate_errors, .cost = 5,
      .op_id = "rotate_webhook_endpoint_secret",
      .doc = "Another secret; both sign for overlap_seconds.  It is shown in this answer only." },
    { GET, ENDPOINTS "/{id}/secrets", endpoint_secrets, .scope = "webhooks:read", .out = &secret,
      .flags = ROUTE_LIST | ROUTE_NO_BODY, .errors = read_errors, .cost = 2, .op_id = "list_webhook_secrets",
      .doc = "Which secrets it has and had, newest first; at most 100." },
    { DELETE, ENDPOINTS "/{id}/secrets/{secret}", endpoint_revoke, .scope = "webhooks:write",
      .flags = ROUTE_NO_BODY, .errors = revoke_errors, .cost = 5, .status = 204, .op_id = "revoke_webhook_secret",
      .doc = "End the overlap of a secret that was rotated away." },
    { POST, ENDPOINTS "/{id}/test", endpoint_test, .scope = "webhooks:write", .in = &which, .out = &tested,
      .errors = try_errors, .cost = 10, .op_id = "test_webhook_endpoint",
      .doc = "Send one event now, once, and answer with what came of it." },
    { POST, ENDPOINTS "/{id}/preview", endpoint_preview, .scope = "webhooks:read", .in = &which,
      .out = &preview, .errors = try_errors, .cost = 5, .op_id = "preview_webhook_endpoint",
      .doc = "The bytes and headers that would be sent for an event." },
    { POST, "/api/v2/webhooks/preview", draft_preview, .scope = "webhooks:read", .in = &draft,
      .out = &preview, .errors = try_errors, .cost = 5, .op_id = "preview_webhook_draft",
      .doc = "The same for an endpoint that is not saved yet." },
    { POST, ENDPOINTS "/{id}/recover", endpoint_recover, .scope = "webhooks:write", .in = &recover,
      .out = &replayed, .flags = ROUTE_IDEMPOTENT, .errors = replay_errors, .cost = 10, .status = 202,
      .op_id = "recover_webhook_deliveries", .doc = "Send all that was missed since a time, oldest first; at most 50000 a call." },
    { POST, ENDPOINTS "/{id}/replay", endpoint_replay, .scope = "webhooks:write", .in = &replay,
      .out = &replayed, .flags = ROUTE_IDEMPOTENT, .errors = replay_errors, .cost = 10, .status = 202,
      .op_id = "replay_webhook_deliveries", .doc = "Send what a filter finds again; at most 50000." },
    { GET, "/api/v2/webhooks/event-types", event_type_list, .scope = "webhooks:read", .out = &event_type,
      .flags = ROUTE_LIST | ROUTE_NO_BODY, .cost = 5, .op_id = "list_webhook_event_types",
      .doc = "Every event there is, with its JSON Schema and an example." },
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
    { GET, DELIVERIES "/{id}/payload", delivery_payload, .scope = "webhooks:read", .out = &payload,
      .flags = ROUTE_NO_BODY, .errors = read_errors, .cost = 2, .op_id = "get_webhook_payload",
      .doc = "The body that was or will be sent." },
    { POST, DELIVERIES "/{id}/resend", delivery_resend, .scope = "webhooks:write",
      .entity = &entity_webhook_delivery, .flags = ROUTE_IDEMPOTENT | ROUTE_NO_BODY,
      .errors = resend_errors, .cost = 5, .status = 202, .op_id = "resend_webhook_delivery",
      .doc = "Send a delivery again: the same webhook-id and body, signed anew." },
    { .path = NULL },
};
/* clang-format on */

/* --- the program --- */

static const struct route *const routes[] = { webhook_routes, portal_routes, NULL };
static const struct job_def jobs[] = {
    { "dispatch", "Sends what is due and writes down what became of it.", dispatch_job },
    { "retention", "Makes the log's weeks ahead and drops those past 30 days.", retention_job },
    { "idempotency", "Drops idempotency records past their time.", idem_job },
    { .name = NULL },
};

static int init(struct svc *svc, struct err *err)
{
    svc->state = dispatch_new(svc);
    return dispatch_start_inner(svc, err);
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
