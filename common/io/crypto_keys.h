#ifndef IO_CRYPTO_KEYS_H
#define IO_CRYPTO_KEYS_H
/*
 * Keys that are ours: Ed25519 pairs (RFC 8032) that sign, and X.509 client certificates (RFC 5280)
 * with their keys, checked before they are stored.  Any thread; about 30 µs a signature.  RSA and
 * certificates need more stack than a fiber has: through worker_run.
 */
#include "common/io/crypto.h"

enum { ed25519_seed_bytes = 32, ed25519_public_bytes = 32, ed25519_sig_bytes = 64 };

void ed25519_make(unsigned char seed[ed25519_seed_bytes], unsigned char pub[ed25519_public_bytes]);
/* The key made ready, in the arena. */
struct ed25519_key;
struct ed25519_key *ed25519_key_of(struct arena *a, const unsigned char seed[ed25519_seed_bytes]);
/* Over the parts in order. */
void ed25519_sign(const struct ed25519_key *k, const struct sha256_part *parts, size_t n,
                  unsigned char sig[ed25519_sig_bytes]);

/* A PEM certificate (and its chain) and the private key that belongs to it; E_invalid says which is
 * wrong.  `key` NULL: certificates alone, at least one. */
int pem_pair_check(const char *certificate, const char *key, struct err *err) MUST_CHECK;
#endif
