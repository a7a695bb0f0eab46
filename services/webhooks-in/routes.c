#include "common/base/str.h"
#include "common/io/bus_sender.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/migrate.h"
#include "common/kit/outbox.h"
#include "common/kit/query.h"
#include "services/webhooks-in/mapper.h"
#include "services/webhooks-in/webhooks_in.h"

#pragma GCC diagnostic ignored "-Woverlength-strings" /* migrations are long, and gcc takes them   \
                                                       */
#include "webhooks-in/migrations.h"
#include "webhooks-in/sql.h"

extern const struct entity_def entity_webhook_source, entity_webhook_message;

#define SOURCES  "/api/v2/webhook-sources"
#define MESSAGES "/api/v2/webhook-messages"

/* clang-format off */
static const struct field_def created_fields[] = {
    { .name = "secret", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 8192,
      .example = "\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"",
      .doc = "What to give the provider, if it was generated: shown here and never again." },
    { .name = "url", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL, .format = FMT_LINE, .max = 2048,
      .example = "\"https://cms.example.com/hooks/shop\"", .doc = "Where the provider posts to." },
    { .name = NULL },
};
static const struct shape created = { .name = "WebhookSourceCreated",
                                      .doc = "A source with its address and new secret.",
                                      .fields = created_fields, .extends = &entity_webhook_source };
static const struct field_def rotate_fields[] = {
    { .name = "secret", .type = F_TEXT, .format = FMT_LINE, .max = 8192,
      .example = "\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"",
      .doc = "The new secret; generated if absent, where the provider lets us choose." },
    { .name = "overlap_seconds", .type = F_INT, .flags = FF_NONNULL, .min = 0, .max = 604800,
      .fallback = "86400", .example = "86400", .doc = "How long the secret before is taken too." },
    { .name = NULL },
};
static const struct shape rotate = { .name = "WebhookSourceRotate", .doc = "A new secret for a source.",
                                     .fields = rotate_fields };
static const char *const replay_states[] = { "dead", "ignored", "done", "failed", NULL };
static const struct field_def replay_fields[] = {
    { .name = "status", .type = F_ENUM, .flags = FF_NONNULL, .choices = replay_states,
      .fallback = "\"dead\"", .example = "\"dead\"", .doc = "Which messages." },
    { .name = "since", .type = F_TIME, .example = "\"2026-02-19T08:00:00.000000Z\"",
      .doc = "Those that came at this time or later." },
    { .name = "until", .type = F_TIME, .example = "\"2026-02-20T08:00:00.000000Z\"",
      .doc = "Those that came before this time." },
    { .name = "dry_run", .type = F_BOOL, .flags = FF_NONNULL, .fallback = "false", .example = "true",
      .doc = "Only count them." },
    { .name = NULL },
};
static const struct shape replay = { .name = "WebhookSourceReplay",
                                     .doc = "Which messages are worked on once more.",
                                     .fields = replay_fields };
static const struct field_def replayed_fields[] = {
    { .name = "matched", .type = F_INT, .flags = FF_NONNULL | FF_READONLY, .max = INT32_MAX,
      .example = "12", .doc = "How many there are." },
    { .name = "dry_run", .type = F_BOOL, .flags = FF_NONNULL | FF_READONLY, .example = "true",
      .doc = "Were they only counted?" },
    { .name = NULL },
};
static const struct shape replayed = { .name = "WebhookSourceReplayed", .doc = "A replay of many.",
                                       .fields = replayed_fields };
static const struct field_def trial_fields[] = {
    { .name = "message_id", .type = F_UUID, .example = "\"0195f3c2-6f00-7abc-8def-0123456789ab\"",
      .doc = "A stored message of this source as the sample." },
    { .name = "body", .type = F_JSON, .max = 1024 * 1024, .example = "{\"title\":\"Hello\"}",
      .doc = "Or a sample of your own." },
    { .name = "headers", .type = F_JSON, .max = 64 * 1024, .example = "{\"x-event\":\"paid\"}",
      .doc = "Header fields of that sample, lower-case names." },
    { .name = "content_type", .type = F_TEXT, .format = FMT_LINE, .max = 255,
      .example = "\"application/json\"", .doc = "Media type of that sample." },
    { .name = "mapping", .type = F_JSON, .max = 128 * 1024, .example = "{\"jq\":\"{title}\"}",
      .doc = "A mapping to try; absent: the source's." },
    { .name = "version", .type = F_INT, .min = 1, .max = INT32_MAX, .example = "3",
      .doc = "Or a version that the source's mapping had." },
    { .name = NULL },
};
static const struct shape trial = { .name = "WebhookSourceTrial", .doc = "A sample for a mapping.",
                                    .fields = trial_fields };
static const struct field_def tried_fields[] = {
    { .name = "results", .type = F_JSON, .flags = FF_NONNULL | FF_READONLY, .format = FMT_LIST,
      .max = 1024 * 1024, .example = "[{\"title\":\"Hello\"}]", .doc = "What the mapping made of it." },
    { .name = "actions", .type = F_JSON, .flags = FF_NONNULL | FF_READONLY, .format = FMT_LIST,
      .max = 1024 * 1024, .example = "[{\"action\":\"create\",\"entity\":\"post\"}]", .doc = "The actions it would take." },
    { .name = "error", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 500,
      .example = "\"jq: Cannot iterate over null (null)\"", .doc = "Why there is no result." },
    { .name = NULL },
};
static const struct shape tried = { .name = "WebhookSourceTried",
                                    .doc = "What a mapping gives (results), and the actions that it would take.",
                                    .fields = tried_fields };
static const struct field_def content_fields[] = {
    { .name = "id", .type = F_UUID, .flags = FF_NONNULL | FF_READONLY,
      .example = "\"0195f3c2-6f00-7abc-8def-0123456789ab\"", .doc = "Identifier of the message." },
    { .name = "query", .type = F_TEXT, .flags = FF_NONNULL | FF_READONLY, .format = FMT_LINE, .max = 8192,
      .example = "\"\"", .doc = "Query of the request, credentials masked." },
    { .name = "headers", .type = F_JSON, .flags = FF_NONNULL | FF_READONLY, .max = 128 * 1024,
      .example = "{\"content-type\":\"application/json\"}", .doc = "Header fields, credentials masked." },
    { .name = "body", .type = F_TEXT, .flags = FF_NONNULL | FF_READONLY, .format = FMT_LONG,
      .max = 3 * 1024 * 1024, .example = "\"{}\"", .doc = "The body as it came." },
    { .name = "body_encoding", .type = F_TEXT, .flags = FF_NONNULL | FF_READONLY, .format = FMT_LINE,
      .max = 10, .example = "\"text\"", .doc = "text, or base64 if it is none." },
    { .name = "results", .type = F_JSON, .flags = FF_NONNULL | FF_READONLY, .format = FMT_LIST,
      .max = 1024 * 1024, .example = "[{\"title\":\"Hello\"}]", .doc = "What the mapping made of it." },
    { .name = "actions", .type = F_JSON, .flags = FF_NONNULL | FF_READONLY, .format = FMT_LIST,
      .max = 1024 * 1024, .example = "[{\"action\":\"create\",\"entity\":\"post\"}]", .doc = "The actions it led to, and how far they are." },
    { .name = NULL },
};
static const struct shape content = { .name = "WebhookMessageContent",
                                      .doc = "A message as it came, the mapping's results, and its actions.",
                                      .fields = content_fields };
static const struct field_def version_fields[] = {
    { .name = "version", .type = F_INT, .flags = FF_NONNULL | FF_READONLY, .min = 1, .max = INT32_MAX,
      .example = "3", .doc = "Number of the version." },
    { .name = "mapping", .type = F_JSON, .flags = FF_NONNULL | FF_READONLY, .max = 128 * 1024,
      .example = "{\"jq\":\"{title}\"}", .doc = "The mapping then." },
    { .name = "user", .type = F_REF, .flags = FF_READONLY, .ref = "user", .example = "{\"id\":7}",
      .doc = "Who wrote it." },
    { .name = "created_at", .type = F_TIME, .flags = FF_NONNULL | FF_READONLY,
      .example = "\"2026-02-19T08:00:00.000000Z\"", .doc = "Since when." },
    { .name = NULL },
};
static const struct shape mapping_version = { .name = "WebhookMappingVersion",
                                              .doc = "A mapping that a source has or had.",
                                              .fields = version_fields };
static const struct field_def seen_fields[] = {
    { .name = "version", .type = F_INT, .flags = FF_NONNULL | FF_READONLY, .min = 1, .max = INT32_MAX,
      .example = "3", .doc = "Number of the version." },
    { .name = "mapping", .type = F_JSON, .flags = FF_NONNULL | FF_READONLY, .max = 128 * 1024,
      .example = "{\"jq\":\"{title}\"}", .doc = "The mapping then." },
    { .name = "user", .type = F_REF, .flags = FF_READONLY, .ref = "user", .example = "{\"id\":7}",
      .doc = "Who wrote it." },
    { .name = "created_at", .type = F_TIME, .flags = FF_NONNULL | FF_READONLY,
      .example = "\"2026-02-19T08:00:00.000000Z\"", .doc = "Since when." },
    { .name = "against", .type = F_INT, .flags = FF_READONLY, .min = 1, .max = INT32_MAX,
      .example = "2", .doc = "The version that it is compared with; with against=." },
    { .name = "diff", .type = F_JSON, .flags = FF_READONLY, .format = FMT_LIST, .max = 256 * 1024,
      .example = "[{\"at\":\"/jq\",\"from\":\"{title}\",\"to\":\"{name}\"}]",
      .doc = "What differs, from this version to the other: JSON pointer, value here, value there (null: nothing)." },
    { .name = NULL },
};
static const struct shape mapping_seen = { .name = "WebhookMappingSeen",
                                           .doc = "One version of a mapping, and what differs in another.",
                                           .fields = seen_fields };
static const struct param_def seen_params[] = {
    { "against", "string", 0, 20, "Another version, or present: adds what differs from this one to it." },
    { 0 },
};
static const struct field_def taken_fields[] = {
    { .name = "status", .type = F_TEXT, .flags = FF_NONNULL | FF_READONLY, .format = FMT_LINE, .max = 20,
      .example = "\"accepted\"", .doc = "accepted, or duplicate: it was here before." },
    { .name = "id", .type = F_UUID, .flags = FF_NONNULL | FF_READONLY,
      .example = "\"0195f3c2-6f00-7abc-8def-0123456789ab\"", .doc = "Identifier of the message." },
    { .name = NULL },
};
static const struct shape taken = { .name = "WebhookTaken", .doc = "A message was taken.",
                                    .fields = taken_fields };

static const int list_errors[] = { 400, 0 };
static const int read_errors[] = { 400, 404, 0 };
static const int create_errors[] = { 403, 409, 415, 422, 0 };
static const int patch_errors[] = { 404, 412, 415, 422, 0 };
static const int delete_errors[] = { 404, 412, 0 };
static const int rotate_errors[] = { 404, 409, 412, 415, 422, 0 };
static const int act_errors[] = { 404, 409, 415, 422, 0 };
static const int hook_errors[] = { 401, 404, 405, 413, 429, 0 };
static const int greet_errors[] = { 401, 404, 405, 0 };

#define HOOK ROUTE_PUBLIC | ROUTE_RAW_BODY | ROUTE_FOREIGN
const struct route hook_routes[] = {
    { POST, "/hooks/{source}", hook_receive, .out = &taken, .flags = HOOK, .errors = hook_errors,
      .body_max = hook_body_bytes_max, .takes = "*/*", .produces = "*", .cost = 1, .status = 202,
      .op_id = "receive_webhook",
      .doc = "Take a message of a source: verified as its provider signs, acknowledged once it is kept." },
    { POST, "/hooks/{source}/{token}", hook_receive, .out = &taken, .flags = HOOK, .errors = hook_errors,
      .body_max = hook_body_bytes_max, .takes = "*/*", .produces = "*", .cost = 1, .status = 202,
      .op_id = "receive_webhook_token", .doc = "The same for senders whose secret is in the address." },
    { GET, "/hooks/{source}", hook_receive, .flags = ROUTE_PUBLIC | ROUTE_FOREIGN, .errors = greet_errors,
      .produces = "*", .cost = 1, .op_id = "greet_webhook",
      .doc = "The handshake of providers that ask by GET before they send." },
    { OPTIONS, "/hooks/{source}", hook_options, .flags = ROUTE_PUBLIC | ROUTE_FOREIGN, .errors = read_errors,
      .produces = "*", .cost = 1, .status = 204, .op_id = "ask_webhook",
      .doc = "The handshake of CloudEvents senders: WebHook-Request-Origin." },
    { GET, SOURCES, crud_list, .scope = "webhooks:read", .entity = &entity_webhook_source,
      .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
      .errors = list_errors, .cost = 2, .op_id = "list_webhook_sources",
      .doc = "List your sources; with api:admin everybody's." },
    { POST, SOURCES, source_create, .scope = "webhooks:write", .entity = &entity_webhook_source,
      .out = &created, .flags = ROUTE_IDEMPOTENT, .errors = create_errors, .cost = 5, .status = 201,
      .op_id = "create_webhook_source",
      .doc = "Let a system outside send messages.  A secret that is generated is shown in this answer only." },
    { GET, SOURCES "/{id}", crud_get, .scope = "webhooks:read", .entity = &entity_webhook_source,
      .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = read_errors, .cost = 1,
      .op_id = "get_webhook_source", .doc = "Read one source, without its secret." },
    { PATCH, SOURCES "/{id}", source_patch, .scope = "webhooks:write", .entity = &entity_webhook_source,
      .flags = ROUTE_MERGE | ROUTE_ETAG, .errors = patch_errors, .cost = 5, .op_id = "patch_webhook_source",
      .doc = "Change a source; status paused holds its messages, active works on them." },
    { DELETE, SOURCES "/{id}", source_delete, .scope = "webhooks:write", .entity = &entity_webhook_source,
      .flags = ROUTE_NO_BODY | ROUTE_ETAG, .errors = delete_errors, .cost = 5, .status = 204,
      .op_id = "delete_webhook_source", .doc = "Remove a source and its secrets; the log stays." },
    { POST, SOURCES "/{id}/rotate-secret", source_rotate, .scope = "webhooks:write", .in = &rotate,
      .out = &created, .flags = ROUTE_IDEMPOTENT, .errors = rotate_errors, .cost = 5,
      .op_id = "rotate_webhook_source_secret",
      .doc = "Another secret; the one before is taken too for overlap_seconds." },
    { GET, SOURCES "/{id}/mappings", source_mappings, .scope = "webhooks:read", .out = &mapping_version,
      .flags = ROUTE_LIST | ROUTE_NO_BODY, .errors = read_errors, .cost = 2, .op_id = "list_webhook_mappings",
      .doc = "The versions of a source's mapping, newest first; at most 100." },
    { GET, SOURCES "/{id}/mappings/{version}", mapping_get, .scope = "webhooks:read", .out = &mapping_seen,
      .query = seen_params, .flags = ROUTE_NO_BODY, .errors = read_errors, .cost = 2, .op_id = "get_webhook_mapping",
      .doc = "One version of a source's mapping; with against=, what differs in another." },
    { POST, SOURCES "/{id}/mappings/{version}/restore", mapping_restore, .scope = "webhooks:write",
      .entity = &entity_webhook_source, .flags = ROUTE_NO_BODY | ROUTE_ETAG, .errors = patch_errors, .cost = 5,
      .op_id = "restore_webhook_mapping", .doc = "Make a version the source's mapping again, as a new version." },
    { POST, SOURCES "/{id}/dry-run", source_dry_run, .scope = "webhooks:write", .in = &trial, .out = &tried,
      .errors = act_errors, .cost = 5, .op_id = "try_webhook_mapping",
      .doc = "What a mapping makes of a sample, and the actions that would be taken; nothing is done." },
    { POST, SOURCES "/{id}/replay", source_replay, .scope = "webhooks:write", .in = &replay, .out = &replayed,
      .flags = ROUTE_IDEMPOTENT, .errors = act_errors, .cost = 5, .status = 202,
      .op_id = "replay_webhook_messages", .doc = "Work on messages of a source once more, by its mapping as it is now." },
    { GET, MESSAGES, crud_list, .scope = "webhooks:read", .entity = &entity_webhook_message,
      .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
      .errors = list_errors, .cost = 2, .op_id = "list_webhook_messages", .doc = "The message log, newest first." },
    { GET, MESSAGES "/{id}", crud_get, .scope = "webhooks:read", .entity = &entity_webhook_message,
      .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = read_errors, .cost = 1,
      .op_id = "get_webhook_message", .doc = "Read one message's state." },
    { GET, MESSAGES "/{id}/content", message_content, .scope = "webhooks:read", .out = &content,
      .flags = ROUTE_NO_BODY, .errors = read_errors, .cost = 2, .op_id = "get_webhook_message_content",
      .doc = "The message as it came, what the mapping made of it, and its actions." },
    { POST, MESSAGES "/{id}/replay", message_replay, .scope = "webhooks:write", .entity = &entity_webhook_message,
      .flags = ROUTE_IDEMPOTENT | ROUTE_NO_BODY, .errors = act_errors, .cost = 5, .status = 202,
      .op_id = "replay_webhook_message", .doc = "Work on a message once more, by its source's mapping as it is now." },
    { .path = NULL },
};
/* clang-format on */

static const char *const result_topics[] = { "content.results", "webhooks.results", NULL };
const struct consumer hook_consumers[] = {
    { .name = "webhooks-in.messages",
     .topic = "webhooks.incoming",
     .mode = INBOX_BULK,
     .batch_max = 500,
     .fn_batch = messages_store,
     .committed = messages_stored,
     .doc = "Stores messages that were acknowledged." },
    { .name = "webhooks-in.results",
     .topics = result_topics,
     .topic = "content.results",
     .mode = INBOX_EFFECT,
     .batch_max = 200,
     .fn = action_result,
     .committed = messages_stored,
     .doc = "Notes what became of actions, and sends the next." },
    { 0 },
};

/* --- the program --- */

static const struct route *const routes[] = { hook_routes, NULL };
static const struct db_stmt *const fast[] = { &sql_source_find, &sql_message_seen, NULL };
static const struct job_def jobs[] = {
    { "process", "Maps messages that are due, and has their actions done.", process_job },
    { "partitions", "Makes the message log's partitions, and drops those past their time.",
     partitions_job },
    { "idempotency", "Drops idempotency records past their time.", idem_job },
    { .name = NULL },
};

static int init(struct svc *svc, struct err *err)
{
    struct hooks *h = arena_alloc(svc->arena, sizeof(*h));
    svc->state = h;
    h->sources = source_cache_new();
    h->mappers = mappers_new((size_t)hooks_conf_of(svc)->mappers);
    h->fetcher = fetcher_new(svc->httpc, hooks_conf_of(svc)->trusted_urls);
    return bus_sender_new(svc->conf->kafka_brokers, "webhooks-in", &h->sender, err);
}

static void done(struct svc *svc)
{
    struct hooks *h = svc->state;
    if (!h)
        return;
    bus_sender_free(h->sender);
    fetcher_free(h->fetcher);
    mappers_free(h->mappers);
    source_cache_free(h->sources);
    svc->state = NULL;
}

/* The first migration also makes the tables that the kit keeps in every program. */
static const struct migration *make_migrations(struct arena *a)
{
    struct migration *m = arena_alloc(a, sizeof(migrations));
    memcpy(m, migrations, sizeof(migrations));
    m[0].sql = arena_printf(a, "%s%s%s%s", migrations[0].sql, outbox_schema_sql, inbox_schema_sql,
                            idem_schema_sql);
    migrate_append(a, m, "0002_outbox_also", outbox_also_sql);
    return m;
}

const struct svc_def *hooks_def(void)
{
    static struct svc_def def; /* one a process; made before there are threads */
    static struct arena *arena;
    if (!arena)
        arena = arena_new();
    if (!def.name)
        def = (struct svc_def){ .name = "webhooks-in",
                                .doc = "Lets systems outside act on the CMS, verified and once.",
                                .schema = "webhooks_in",
                                .conf = hooks_conf_defs,
                                .conf_size = sizeof(struct hooks_conf),
                                .routes = routes,
                                .consumers = hook_consumers,
                                .jobs = jobs,
                                .migrations = make_migrations(arena),
                                .fast = fast,
                                .init = init,
                                .done = done };
    return &def;
}
