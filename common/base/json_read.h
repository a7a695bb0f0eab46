#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H
/*
 * json.c's own: a text as jansson's values (RFC 8259).  jansson's reader takes a character at a
 * time through two calls, ten times what a body's long texts cost here (ADR 24).
 */
#include "common/base/json.h"

/* text is UTF-8 without NUL.  A tree that is the caller's; NULL: why and where it went wrong,
 * json_error_stack_overflow for a nesting beyond json_depth_max.  Strings with escapes are put
 * together in the arena. */
json_t *json_read(struct arena *a, const char *text, size_t n, enum json_error_code *ret_why,
                  size_t *ret_at) MUST_CHECK;
/* The first byte of [p, end) that ends a run of plain characters of a string: a quote, a backslash
 * or a control character; end if there is none. */
const char *json_plain_end(const char *p, const char *end);
#endif
