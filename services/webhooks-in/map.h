#ifndef WEBHOOKS_IN_MAP_H
#define WEBHOOKS_IN_MAP_H
/*
 * From a message to what is to be done.  Pure: the jq program is run by whoever the caller names.
 *
 *   {"jq": "…"}                       `.` is the body, `input` is what is around it; or
 *   {"fields": [{"to":"/title", "from":"/data/name", "type":"text", "default":"…",
 *                "required":true}]}   from: a JSON pointer into the body, header:Name, query:name,
 *                                     event, id or "=constant"; neither: the body itself
 *   "actions": [{"do":"upsert", "entity":"post", "key":"slug", "data":"/post",
 *                "when":{"at":"/state","is":"paid"}, "set":{"status":"draft"}}]
 * Each value that jq puts out is a result, and the actions are asked of each.
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/json.h"

enum {
    map_results_max = 100,
    map_actions_max = 20,
    map_fields_max = 200,
    map_data_max = 900 * 1024
};

struct message { /* what a mapping sees */
    const char *body, *content_type, *headers /* JSON object */, *query;
    const char *event, *id, *created_at;
    size_t body_n;
};
/* Runs a jq program over `input`; *ret is a JSON array of what it put out. */
typedef int map_jq(void *ctx, struct arena *a, const char *program, const json_t *input,
                   const json_t *around, json_t **ret, struct err *err);
struct planned {                      /* an action that applies */
    const char *kind;                 /* create update upsert publish delete emit */
    const char *entity, *field, *key; /* key NULL: create, emit */
    const json_t *data;               /* an object; NULL: delete */
};
struct plan {
    json_t *results; /* an array */
    struct planned *actions;
    size_t n;
};

/* What is wrong with a mapping, in words for its author, or 0.  E_validation with pointer. */
int mapping_check(const json_t *mapping, struct err *err) MUST_CHECK;
/* E_validation: the message does not fit the mapping, or the program failed; E_unavailable. */
int mapping_plan(struct arena *a, const json_t *mapping, const struct message *m, map_jq *jq,
                 void *ctx, struct plan *ret, struct err *err) MUST_CHECK;
/* The body as JSON: parsed, a form as an object, else its text. */
json_t *message_body(struct arena *a, const struct message *m);
#endif
