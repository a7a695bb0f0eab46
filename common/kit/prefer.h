#ifndef KIT_PREFER_H
#define KIT_PREFER_H
/*
 * The Prefer header (RFC 7240): names in any case, the first of each counts, what is not known is
 * ignored unless the client asks for handling=strict.
 */
#include "common/base/arena.h"

enum prefer_return { PREFER_UNSAID, PREFER_MINIMAL, PREFER_REPRESENTATION };
struct prefer {
    enum prefer_return answer; /* return= */
    bool strict;               /* handling=strict */
    bool async;                /* respond-async */
    const char *unknown;       /* the first that means nothing to us, or NULL */
};
/* `header` NULL: none was sent. */
void prefer_parse(struct arena *a, const char *header, struct prefer *ret);
#endif
