#ifndef BASE_JSON_H
#define BASE_JSON_H
/*
 * JSON for request bodies, configuration and cold paths (jansson is the vocabulary; hot responses
 * are written with buf_put_json_string).  Parsing is I-JSON strict (RFC 7493): UTF-8 without BOM,
 * no duplicate keys, no NUL, no lone surrogates, nesting at most json_depth_max, integers within 64
 * bits; a number outside is refused, not rounded.
 */
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#include <jansson.h>

enum {
    json_depth_max = 32,
    json_digits_max = 17, /* of a number with a fraction: more than a double holds */
};
#define JSON_WHOLE_MAX ((INT64_C(1) << 53) - 1) /* what every reader keeps (RFC 7493 §2.2) */

/* The tree belongs to the arena.  E_invalid_json with line and column in the message, and the place
 * as a JSON pointer. */
int json_parse(struct arena *a, const char *text, size_t n, json_t **ret,
               struct err *err) MUST_CHECK;
/* E_invalid_json if a number of a text that json_parse took has more digits than it was read with
 * (RFC 7493 §2.2): it is refused, not rounded. */
int json_exact(struct arena *a, const char *text, size_t n, struct err *err) MUST_CHECK;
/* JSON pointer of what is being read at byte `at` of a text, which need not be JSON. */
char *json_place(struct arena *a, const char *text, size_t at);
/* Hands an owned tree to the arena (arena_defer json_decref) and returns it. */
json_t *json_in(struct arena *a, json_t *owned);
void json_write(struct buf *b, const json_t *v); /* compact, key order kept */
char *json_text(struct arena *a, const json_t *v);
/* RFC 7396; returns a new reference, inputs unchanged. */
json_t *json_merge_patch(const json_t *target, const json_t *patch);
/* RFC 6901 pointer of `key` below `base` in the arena: "/meta" + "a/b" -> "/meta/a~1b". */
char *json_pointer_add(struct arena *a, const char *base, const char *key);
#endif
