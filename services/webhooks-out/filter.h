#ifndef WEBHOOKS_OUT_FILTER_H
#define WEBHOOKS_OUT_FILTER_H
/*
 * A condition on an event, in the words of list filters (docs/reading.md):
 *
 *   {"status":"published"}                     a field of data equals
 *   {"author.id":{"in":[7,8]},"title":{"like":"Tea*"}}   all hold; dots go into objects
 *   {"or":[{…},{…}], "and":[{…}], "not":{…}}   groups
 *   {"$.type":"post.updated","$.changed":{"contains":"status"}}   the event itself
 *
 * eq ne lt lte gt gte in nin like ilike null between contains mean what they mean there: a value
 * that is not there is null, of which only ne, nin, null and not hold; an object with an id is
 * compared by it; * and % match any run, _ one character; text that is a time on both sides is
 * compared as time.  fts needs the database and is refused.
 *
 * A comparison of things that cannot be compared (a text with lt 5) is an error of that filter at
 * that event, for its owner to see in the log, and of nobody else's.
 */
#include "common/base/json.h"

enum {
    filter_tests_max = 20,
    filter_depth_max = 10,
    filter_values_max = 100,
    filter_value_bytes_max = 1024,
    filter_path_bytes_max = 200
};
struct filter; /* in the arena */
/* E_validation, err->pointer within the tree ("/or/0/status").  NULL: an empty one, which always
 * holds.  `known` is asked for the first part of each path into data. */
int filter_parse(struct arena *a, const json_t *tree,
                 bool (*known)(void *ctx, const char *field, size_t n), void *ctx,
                 struct filter **ret, struct err *err) MUST_CHECK;
/* 1: holds, 0: does not; E_invalid: cannot be said. */
int filter_holds(const struct filter *f, const json_t *data, const char *type,
                 const json_t *changed, struct err *err) MUST_CHECK;
/* The value at a dotted path, or NULL. */
const json_t *json_at(const json_t *root, const char *path);
#endif
