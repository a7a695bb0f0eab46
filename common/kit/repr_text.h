#ifndef KIT_REPR_TEXT_H
#define KIT_REPR_TEXT_H
/*
 * JSON text read in place, for answers that another representation is made of.
 *
 * A value is a slice of the text: no tree, no copy, and a number keeps its digits (a decimal of
 * PostgreSQL's may have more than a double).  The text is our own and well formed; of anything else
 * these functions find less, but never read past the slice.
 */
#include "common/base/buf.h"

struct js {
    const char *s;
    size_t n;
};
enum js_kind { JS_NONE, JS_OBJECT, JS_ARRAY, JS_STRING, JS_NUMBER, JS_TRUE, JS_FALSE, JS_NULL };

struct js js_of(const char *text, size_t n); /* the first value in the text; JS_NONE if none */
enum js_kind js_kind(struct js v);
/* Members one by one: *at begins as the object or array, and is used up.  `ret_key` is the text
 * between the quotes, as it stands. */
bool js_member(struct js *at, struct js *ret_key, struct js *ret_value);
bool js_item(struct js *at, struct js *ret);
struct js js_get(struct js object, const char *key); /* JS_NONE if it has none */
bool js_is(struct js key, const char *name);

/* What is between the quotes of a string. */
struct js js_inner(struct js string);
/* The characters that the inside of a string stands for, appended; `scratch` is overwritten and
 * needed only if there are escapes. */
struct js js_decoded(struct js inner, struct buf *scratch);
#endif
