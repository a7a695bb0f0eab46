#ifndef KIT_REPR_INTERNAL_H
#define KIT_REPR_INTERNAL_H
/* Shared by the repr*.c files only. */
#include "common/kit/repr.h"

/* The envelope, or its absence (envelope=false). */
struct repr_parts {
    bool enveloped, list;
    struct js data; /* object or array */
};
struct repr_parts repr_parts(struct js json);
/* The field or relation of a key, either or both NULL. */
struct repr_key {
    const struct field_def *field;
    const struct relation_def *relation;
    const struct entity_def *far; /* whose rows the value holds, or NULL */
};
struct repr_key repr_key(const struct entity_def *e, struct js key);

void repr_jsonld(const struct repr_source *src, struct buf *out);
void repr_xml(const struct repr_source *src, struct buf *out);
void repr_csv(const struct repr_source *src, struct buf *out);
#endif
