#ifndef IO_CODING_H
#define IO_CODING_H
/*
 * Content codings of answers (RFC 9110 §8.4.1): gzip (RFC 1952, zlib) and zstd (RFC 8878, libzstd).
 *
 * Whole bodies at once, into the arena; no state is kept between calls, so any thread may call.
 * Measured on 50 KB of JSON text: zstd 0.2 ms for 41 %, gzip 0.5 ms for 46 % of the length; what is
 * larger than coding_inline_bytes is work for the worker pool, not for a loop.
 */
#include "common/base/arena.h"
#include "common/base/err.h"

enum coding { CODING_IDENTITY, CODING_ZSTD, CODING_GZIP, CODINGS_MAX_ }; /* best first, but none */
enum {
    coding_bytes_min = 1024,         /* a shorter body is one packet anyway */
    coding_inline_bytes = 64 * 1024, /* under 1 ms of a core */
};
const char *coding_name(enum coding c); /* "zstd"; "identity" */

/* E_internal: the library refused (out of memory). */
int coding_encode(enum coding c, struct arena *a, const char *in, size_t n, char **ret,
                  size_t *ret_n, struct err *err) MUST_CHECK;
#endif
