#ifndef WEBHOOKS_IN_MAP_INTERNAL_H
#define WEBHOOKS_IN_MAP_INTERNAL_H
/* Between map.c (what a mapping is, and its results) and map_action.c (what is done with them). */
#include "services/webhooks-in/map.h"

/* E_validation at /mapping<at>. */
int map_wrong(struct err *err, const char *at, const char *what);
/* An object of no other names than those of the two lists (NULL-ended; `more` may be NULL). */
int map_names(const json_t *o, const char *at, const char *const *known, const char *const *more,
              struct err *err) MUST_CHECK;
bool map_one_of(const char *const *list, const char *s);
bool map_pointer_ok(const char *s);

int action_check(const json_t *x, const char *at, struct err *err) MUST_CHECK;
/* Adds what the action is to do with the result: nothing if its condition does not hold, several
 * for a mail to several. */
int action_plan(struct arena *a, const json_t *x, const json_t *result, struct plan *ret,
                struct err *err) MUST_CHECK;
#endif
