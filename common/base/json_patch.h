#ifndef BASE_JSON_PATCH_H
#define BASE_JSON_PATCH_H
/*
 * JSON Patch (RFC 6902) over JSON Pointer (RFC 6901).  A patch is applied whole or not at all: the
 * document given stays as it is.  Members that the RFC does not name are ignored (§4), numbers are
 * equal by value (§4.6).
 *
 * What a patch makes of a document is bounded: at most json_patch_ops_max operations, and what they
 * add and copy is at most json_patch_bytes_max together, nested at most json_depth_max deep, so
 * that a short patch that copies a document into itself stays cheap.
 *
 * Errors, with the pointer to the operation in the patch: E_invalid (malformed, RFC 5789 §2.2),
 * E_conflict (a test that fails, a place that is not there), E_too_large.
 */
#include "common/base/json.h"

enum { json_patch_ops_max = 1000, json_patch_bytes_max = 4 * 1024 * 1024 };

/* The value at the pointer, borrowed; NULL: there is none, or it is no pointer. */
const json_t *json_pointer_get(const json_t *doc, const char *pointer);
bool json_pointer_ok(const char *pointer);

/* *ret belongs to the arena. */
int json_patch(struct arena *a, const json_t *doc, const json_t *patch, json_t **ret,
               struct err *err) MUST_CHECK;

/* Equal by value: objects in any order, 1 and 1.0 the same. */
bool json_same(const json_t *a, const json_t *b);
#endif
