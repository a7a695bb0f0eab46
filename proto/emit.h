#ifndef PROTO_EMIT_H
#define PROTO_EMIT_H
/*
 * Printers over the tables.  `--contract` of a program puts what these give into its part of the
 * contract; scripts/contract merges the parts into docs/api and docs/reference.
 *
 * Schema names: entity "api_key" is ApiKey as read, ApiKeyInput as created or replaced, ApiKeyPatch
 * as merged; an event "post.published" is PostPublishedEvent; a shape has its own name; errors are
 * Problem.
 */
#include "proto/entity.h"

#include <jansson.h>

enum { schema_name_max = 96 };
/* "api_key" or "webhook.endpoint.created" -> "ApiKey", "WebhookEndpointCreated". */
void emit_schema_name(const char *name, const char *suffix, char out[schema_name_max]);

/* JSON Schema 2020-12 of all entities, resources, problems and events, by name.  New reference. */
json_t *emit_schemas(void);
/* Adds a shape that a route takes (`input`) or answers. */
void emit_shape(json_t *schemas, const struct shape *s, bool input);
/* OpenAPI `webhooks`: one a deliverable event.  New reference. */
json_t *emit_webhooks(void);
/* OpenAPI `components.securitySchemes`.  New reference. */
json_t *emit_security(void);

/* docs/reference/<name>.md and docs/api/types.d.ts */
void emit_md_entities(FILE *out);
void emit_md_errors(FILE *out);
void emit_md_events(FILE *out);
void emit_md_scopes(FILE *out);
void emit_md_topics(FILE *out);
void emit_md_commands(FILE *out);
void emit_md_metrics(FILE *out);
void emit_ts(FILE *out);

/* The JSON-LD 1.1 context of all entities, for an installation at `base`.  New reference. */
json_t *emit_jsonld(const char *base);
/* The schema of application/xml answers (XML Schema 1.0), docs/api/v2.xsd. */
void emit_xsd(FILE *out);

/* All of the above:
 * {"schemas":…,"webhooks":…,"security":…,"files":{"docs/reference/errors.md":"…"},
 * "settings":[{"name","who","doc"}]}.  New reference. */
json_t *emit_all(void);
#endif
