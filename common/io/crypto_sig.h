#ifndef IO_CRYPTO_SIG_H
#define IO_CRYPTO_SIG_H
/*
 * Checking signatures that others made: HMAC with the hashes of RFC 2104's usual company, and
 * public keys (Ed25519 RFC 8032, ECDSA P-256 and RSA PKCS #1 v1.5 RFC 8017).  RSA and ECDSA need
 * more stack than a fiber has: through worker_run.
 */
#include "common/io/crypto.h"

enum mac_alg { MAC_NONE, MAC_SHA1, MAC_SHA256, MAC_SHA384, MAC_SHA512 };
enum { mac_bytes_max = 64 };
enum mac_alg mac_find(const char *name); /* "sha256"; MAC_NONE if unknown */
/* The plain hash of the parts in order; returns its length. */
size_t digest_of(enum mac_alg alg, const struct sha256_part *parts, size_t n,
                 unsigned char out[mac_bytes_max]);
/* HMAC over the parts in order; returns its length. */
size_t mac_of(enum mac_alg alg, const struct sha256_part *key, const struct sha256_part *parts,
              size_t n, unsigned char out[mac_bytes_max]);

enum sig_alg {
    SIG_ED25519,
    SIG_ECDSA_SHA256,      /* DER */
    SIG_ECDSA_P256_SHA256, /* r and s, 32 bytes each (RFC 9421 §3.3.4) */
    SIG_RSA_SHA1,
    SIG_RSA_SHA256,
    SIG_RSA_PSS_SHA512, /* MGF1 with SHA-512 (RFC 9421 §3.3.1); a salt of any length, as they differ
                         */
};
enum pubkey_form {
    PUBKEY_ED25519, /* 32 raw bytes */
    PUBKEY_DER,     /* SubjectPublicKeyInfo */
    PUBKEY_PEM,     /* the same, or an X.509 certificate that is valid at now_s */
};
struct pubkey; /* in the arena given */
/* E_invalid: not a key, or a certificate that is not valid now. */
int pubkey_parse(struct arena *a, enum pubkey_form form, const struct sha256_part *in,
                 int64_t now_s, struct pubkey **ret, struct err *err) MUST_CHECK;
/* False too when the key is of another kind than the algorithm. */
bool pubkey_verify(const struct pubkey *k, struct arena *a, enum sig_alg alg,
                   const struct sha256_part *parts, size_t n, const struct sha256_part *sig);
#endif
