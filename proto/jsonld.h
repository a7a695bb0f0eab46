#ifndef PROTO_JSONLD_H
#define PROTO_JSONLD_H
/*
 * How the entity tables read as linked data (JSON-LD 1.1): which property of schema.org a field is,
 * the context that says so (emit_jsonld in emit.h), and what the writer (common/kit/repr_jsonld.c)
 * has to know to fit it.
 *
 * A node of an entity has two types, the class of schema.org and ours ("Article", "Post"); the
 * second carries the terms.  Where both have one name (Event) there is one.
 */
#include "proto/emit.h"
#include "proto/entity.h"

struct jsonld_row {
    const char *entity; /* NULL: all */
    const char *field;  /* or relation */
    const char *iri;    /* absolute; "^…": the reverse property */
    const char *in;     /* key of the node it moves to, or NULL */
};
struct jsonld_node {
    const char *key, *type, *iri;
};
const struct jsonld_row *jsonld_find(const struct entity_def *e, const char *name);
const struct jsonld_node *jsonld_nodes(void);                             /* ends at .key NULL */
void jsonld_class(const struct entity_def *e, char out[schema_name_max]); /* "Post" */
/* Rows that name no field or node, a line each into `out`; how many. */
size_t jsonld_check(FILE *out);
#endif
