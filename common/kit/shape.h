#ifndef KIT_SHAPE_H
#define KIT_SHAPE_H
/*
 * A JSON body against a field table: decoded, validated and typed in one walk that collects every
 * fault (err_list; codes required, type, max_length, min, max, format, choice, unknown, readonly,
 * not_allowed, reference, too_many, duplicate), each with its JSON pointer.  The result is one
 * database value per field of the table, by position.
 *
 * CREATE and REPLACE: what the body leaves out takes the table's default (`fallback`, else null)
 * and a missing FF_REQUIRED field is a fault.  PATCH (RFC 7396): only what is there is set, null
 * deletes it (the default again for FF_NONNULL); FF_CREATE fields are refused as readonly.  F_JSON
 * in a PATCH is replaced as a whole only if the caller has no use for the merge; `merge` says which
 * fields hold a merge patch. References: 7, {"id":7} or null.  Times are kept as RFC 3339 UTC with
 * microseconds.
 */
#include "common/base/json.h"
#include "common/io/db.h"
#include "proto/entity.h"

enum {
    shape_fields_max = 62,
    shape_refs_max = 100,
    shape_json_depth_max = 24 /* levels of free JSON */
};
enum shape_mode { SHAPE_CREATE, SHAPE_REPLACE, SHAPE_PATCH };

struct shape_row {
    const struct field_def *fields; /* ends at .name NULL */
    size_t n;
    uint64_t given;          /* bit i: the body has fields[i] */
    struct db_val *val;      /* one a field; F_REFS: bigint[] (DBV_I64S); F_JSON: JSON text */
    struct err_list *faults; /* never NULL; more may be added before shape_check */
};

/* Reads `body` (an object, else a fault at ""); never fails on bad input, it collects. */
void shape_read(struct arena *a, const struct field_def *fields, enum shape_mode mode, bool admin,
                const json_t *body, struct shape_row *ret);
/* E_validation if there is any fault; E_forbidden if one is not_allowed. */
int shape_check(const struct shape_row *row, struct err *err) MUST_CHECK;
bool shape_zone_ok(const char *s); /* an IANA time zone (shape_zones.c) */
void shape_fault(const struct shape_row *row, const char *field, const char *code, const char *msg);

/* Borrowed look-ups by wire name; the field must be in the table. */
bool shape_given(const struct shape_row *row, const char *field);
const struct db_val *shape_val(const struct shape_row *row, const char *field);
const char *shape_text(const struct shape_row *row, const char *field);    /* NULL: null */
int64_t shape_i64(const struct shape_row *row, const char *field);         /* 0: null */
void shape_set(struct shape_row *row, const char *field, struct db_val v); /* also marks it given */

/* True if the text has the format; *ret_why (may be NULL) says in words what it should be. */
bool shape_format_ok(enum text_format f, const char *s, const char **ret_why);
/* Table of the shape and of what it extends, in the arena. */
const struct field_def *shape_fields(struct arena *a, const struct shape *s);
#endif
