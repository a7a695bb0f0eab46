#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
/*
 * Time and randomness: the only place that asks the system for either.  Tests may set the wall
 * clock (clock_set_ms) to make schedules exact; the monotonic clock is never faked.
 */
#include "common/base/arena.h"

int64_t clock_ms(void);             /* wall clock, Unix milliseconds */
int64_t clock_us(void);             /* wall clock, Unix microseconds */
int64_t clock_mono_us(void);        /* monotonic microseconds, for durations and deadlines */
int64_t clock_cpu_us(void);         /* CPU time of this thread */
void clock_set_ms(int64_t unix_ms); /* 0: the real one again; tests only */

enum { rfc3339_len = 27, http_date_len = 29, uuid_len = 36 };
void rfc3339_format(int64_t unix_us, char out[rfc3339_len + 1]); /* 2026-02-19T08:00:00.000000Z */
/* RFC 3339 with offset and up to 9 decimals (truncated to micro); false if not one. */
bool rfc3339_parse(const char *s, int64_t *ret_unix_us);
void http_date_format(int64_t unix_s,
                      char out[http_date_len + 1]);       /* RFC 9110 §5.6.7 IMF-fixdate */
bool http_date_parse(const char *s, int64_t *ret_unix_s); /* the three forms of §5.6.7 */

void random_bytes(void *out, size_t n); /* getrandom(2); aborts if the kernel has none */
uint64_t random_below(uint64_t n);      /* uniform in [0, n) */
/* UUIDv7 (RFC 9562 §5.7), strictly increasing within this process. */
void uuid7(char out[uuid_len + 1]);
bool uuid_parse(const char *s, unsigned char out[16]); /* any version, lower or upper case */
int64_t uuid7_ms(const unsigned char uuid[16]);        /* its Unix milliseconds */
#endif
