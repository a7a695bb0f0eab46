#ifndef BASE_STR_H
#define BASE_STR_H
/* Strings: strict parsing, UTF-8, encodings.  Everything answers true only on a full match. */
#include "common/base/arena.h"

bool str_eq(const char *a, const char *b);  /* either may be NULL; two NULLs are equal */
bool str_ieq(const char *a, const char *b); /* ASCII only */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret); /* decimal, no spaces */
bool str_to_u64(const char *s, uint64_t max, uint64_t *ret);
bool str_to_bool(const char *s, bool *ret);   /* true false 1 0 yes no on off */
bool str_utf8_ok(const char *s, size_t n);    /* valid UTF-8: no surrogates, no overlong, no NUL */
size_t str_utf8_len(const char *s, size_t n); /* code points of valid UTF-8 */
/* Lower-case ASCII slug of a title ("Über uns!" -> "ueber-uns"), at most max bytes; "" if nothing
 * is left.  Never all digits: such a one gets the prefix "n-". */
char *str_slug(struct arena *a, const char *title, size_t max_bytes);

size_t hex_encode(const void *in, size_t n, char *out); /* writes 2n + 1; returns 2n */
bool hex_decode(const char *in, size_t n, void *out);
/* base64 (RFC 4648 §4, padded) and base64url (§5, not padded).  Encode writes the NUL too. */
char *b64_encode(struct arena *a, const void *in, size_t n);
char *b64url_encode(struct arena *a, const void *in, size_t n);
bool b64_decode(struct arena *a, const char *in, void **ret, size_t *ret_n);
bool b64url_decode(struct arena *a, const char *in, void **ret, size_t *ret_n);
uint32_t crc32_of(const void *in, size_t n); /* CRC-32/ISO-HDLC, as zlib's */

/* Percent-decodes in the arena; false on a bad escape, NUL or invalid UTF-8. `plus` = as space. */
bool url_decode(struct arena *a, const char *in, size_t n, bool plus, char **ret);
char *url_encode(struct arena *a, const char *in); /* all but RFC 3986 unreserved */
#endif
