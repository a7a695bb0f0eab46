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
 *                "when":{"at":"/state","is":"paid"}, "set":{"status":"draft"},
 *                "retry":{"max":3,"base_ms":500}},
 *               {"do":"mail", "template":"order_paid", "to":"/email", "data":"/order"},
 *               {"do":"notify", "role":"editor", "title":"/title"},
 *               {"do":"call", "endpoint":5}, {"do":"emit"}]
 * Each value that jq puts out is a result, and the actions are asked of each.  `data` is a JSON
 * pointer into it, `set` is laid over what is there; where a mail or notice takes a text, it is a
 * pointer or "=constant".  `when` is a condition, or a list of which all must hold.
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/json.h"

enum {
    map_results_max = 100,
    map_actions_max = 20,
    map_fields_max = 200,
    map_planned_max = 2000, /* of one message */
    map_when_max = 10,
    map_recipients_max = 20,  /* of one mail action; each has a mail of its own */
    map_told_max = 60 * 1024, /* of what emit, call, mail and notify say */
    map_retry_max = 100,
    map_retry_ms_max = 3600000,
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
struct planned {      /* an action that applies */
    const char *kind; /* create update upsert publish delete emit call mail notify */
    const char *entity, *field, *key; /* what it is about; entity NULL: nothing of the api's */
    const json_t *data;               /* an object; NULL: delete */
    int64_t retry_max, retry_base_ms; /* -1: as the settings say */
};
struct plan {
    json_t *results; /* an array */
    struct planned *actions;
    size_t n, max;
};

/* Does the mapping write to people (mail, notify)?  That takes an editor. */
bool mapping_tells_people(const json_t *mapping);
/* What is wrong with a mapping, in words for its author, or 0.  E_validation with pointer. */
int mapping_check(const json_t *mapping, struct err *err) MUST_CHECK;
/* E_validation: the message does not fit the mapping, or the program failed; E_unavailable. */
int mapping_plan(struct arena *a, const json_t *mapping, const struct message *m, map_jq *jq,
                 void *ctx, struct plan *ret, struct err *err) MUST_CHECK;
/* The body as JSON: parsed, a form as an object, else its text. */
json_t *message_body(struct arena *a, const struct message *m);
#endif
