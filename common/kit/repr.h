#ifndef KIT_REPR_H
#define KIT_REPR_H
/*
 * The representations of an entity besides JSON: JSON-LD 1.1, XML 1.0, CSV (RFC 4180) for lists.
 *
 * Handlers make JSON text; another representation is made of that text afterwards, by the entity
 * table, when the request's Accept prefers it.  So a JSON answer costs nothing for the others, and
 * what is hidden from a reader is hidden in all of them.  None is lossy: every value of the JSON
 * can be had back (docs/representations.md says how).
 *
 *   JSON-LD  the same envelope; each entity gets @id and @type, references too; what schema.org
 *            keeps in a node of its own (an address) is one.  Context: /contexts/v2.jsonld.
 *   XML      <response><data><post>… or <list><data><post>…<meta>…<links>…, an element a member in
 *            any order, null as xsi:nil, free JSON as XPath 3.1's json-to-xml has it.  Schema:
 *            /schemas/v2.xsd.  Text with characters that XML has not is a JSON string's inside,
 *            marked escaped="true" (XPath 3.1 §17.5).
 *   CSV      a header row, a column a leaf ("author.id"); lists and free JSON as JSON text; null is
 *            an empty field, empty text is "".  Text that a spreadsheet could take for a formula
 *            (and text that begins with an apostrophe) gets an apostrophe in front.
 */
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/kit/repr_text.h"
#include "common/kit/route.h"
#include "common/kit/vis.h"
#include "proto/entity.h"

enum repr { REPR_JSON, REPR_JSONLD, REPR_XML, REPR_TEXT_XML, REPR_CSV, REPR_MAX_ };
struct repr_type {
    const char *type;         /* what Accept is held against */
    const char *content_type; /* what is sent */
    const char *tag;          /* end of the entity tag, "" for JSON */
};
extern const struct repr_type repr_types[REPR_MAX_];

struct repr_source {
    const struct entity_def *entity;
    const char *base;   /* CMS365_PUBLIC_URL */
    const char *fields; /* fields= as sent, or NULL: all; CSV's columns of an empty page */
    /* CSV: whether the reader may see the field at all; a column is there on every page then. */
    bool (*shown)(const struct field_def *f, const void *ctx);
    const void *ctx;
    struct js json; /* {"data":…}, or the bare entity or array */
};
/* For `shown`: what a reader of this class may see. */
struct repr_reader {
    const struct entity_def *e;
    enum vis_class vc;
};
bool repr_shown(const struct field_def *f, const void *ctx);
/* E_internal: the result is larger than out may be. */
int repr_write(enum repr r, const struct repr_source *src, struct buf *out,
               struct err *err) MUST_CHECK;
/* A problem (RFC 9457) as application/problem+xml, by its appendix B. */
void repr_problem_xml(struct js problem, struct buf *out);

extern const struct route repr_routes[]; /* /contexts/v2.jsonld and /schemas/v2.xsd */
#endif
