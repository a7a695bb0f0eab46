#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H
/*
 * SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF, 2012): a keyed hash of short
 * texts that costs tens of nanoseconds, where a MAC of a library costs a microsecond to set up.
 * For pseudonyms and tables; signatures are crypto.h's.
 */
#include "common/base/base.h"

uint64_t siphash(const unsigned char key[16], const void *data, size_t n);
#endif
