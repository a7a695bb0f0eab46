/* The part of clock.h that is chance: random bytes and UUIDs. */
#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>

enum { pool_bytes = 512, pooled_bytes_max = 64 };

static void from_kernel(void *out, size_t n)
{
    unsigned char *p = out;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        p += got;
        n -= (size_t)got;
    }
}

/* Every request takes a few bytes for its ids: a system call for each would be a tenth of what a
 * short read costs.  Bytes leave the pool as they are taken, so none is given twice or can be read
 * later; programs do not fork. */
void random_bytes(void *out, size_t n)
{
    static _Thread_local unsigned char pool[pool_bytes];
    static _Thread_local size_t left;

    if (n > pooled_bytes_max) {
        from_kernel(out, n);
        return;
    }
    if (n > left) {
        from_kernel(pool, sizeof(pool));
        left = sizeof(pool);
    }
    left -= n;
    memcpy(out, pool + left, n);
    explicit_bzero(pool + left, n);
}

uint64_t random_below(uint64_t n)
{
    uint64_t v, reject;

    assert(n > 0);
    reject = (0 - n) % n; /* 2^64 mod n: below it, some answers would be more likely */
    do
        random_bytes(&v, sizeof(v));
    while (v < reject);
    return v % n;
}

/*
 * 48 bits of milliseconds and, as the counter in rand_a, the 1/4096 of the millisecond (RFC 9562
 * §6.2, method 3).  Taking one more than the last when the clock has not moved on (or went back)
 * keeps the sequence strictly increasing; it may then run ahead of the clock for a while.
 */
static uint64_t next_stamp(void)
{
    static _Atomic uint64_t last;
    int64_t us = clock_us();
    uint64_t now, old;

    if (us < 0)
        us = 0;
    now = (uint64_t)(us / 1000) << 12 | (uint64_t)(us % 1000) * 4096 / 1000;
    old = atomic_load_explicit(&last, memory_order_relaxed);
    do {
        if (now <= old)
            now = old + 1;
    } while (!atomic_compare_exchange_weak(&last, &old, now));
    return now;
}

void uuid7(char out[uuid_len + 1])
{
    static const unsigned char dash_after[] = { 4, 6, 8, 10, 16 };
    unsigned char b[16];
    uint64_t stamp = next_stamp(), ms = stamp >> 12;
    size_t from = 0;

    random_bytes(b + 8, 8);
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)(ms >> (40 - 8 * i));
    b[6] = (unsigned char)(0x70 | ((stamp >> 8) & 0x0F));
    b[7] = (unsigned char)stamp;
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3F));
    for (size_t i = 0; i < ARRAY_LEN(dash_after); i++) {
        size_t n = dash_after[i] - from;

        out += hex_encode(b + from, n, out);
        from += n;
        if (from < sizeof(b))
            *out++ = '-';
    }
}

bool uuid_parse(const char *s, unsigned char out[16])
{
    static const unsigned char groups[] = { 4, 2, 2, 2, 6 };
    unsigned char b[16];
    size_t at = 0;

    if (strnlen(s, uuid_len + 1) != uuid_len)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (i > 0 && *s++ != '-')
            return false;
        if (!hex_decode(s, 2 * (size_t)groups[i], b + at))
            return false;
        s += 2 * groups[i];
        at += groups[i];
    }
    memcpy(out, b, sizeof(b));
    return true;
}

int64_t uuid7_ms(const unsigned char uuid[16])
{
    int64_t ms = 0;

    for (int i = 0; i < 6; i++)
        ms = ms << 8 | uuid[i];
    return ms;
}
