#ifndef IO_CRYPTO_H
#define IO_CRYPTO_H
/* OpenSSL, and libargon2: hashes, MACs, sealing of secrets at rest, password hashing. */
#include "common/base/arena.h"
#include "common/base/err.h"

enum { sha256_bytes = 32, sha256_hex_len = 64, seal_key_bytes = 32, seal_keys_max = 8 };

void sha256(const void *in, size_t n, unsigned char out[sha256_bytes]);
void sha256_hex(const void *in, size_t n, char out[sha256_hex_len + 1]);
struct sha256_part {
    const void *data;
    size_t n;
};
/* HMAC-SHA256 over the parts in order, without joining them first. */
void hmac_sha256(const void *key, size_t key_n, const struct sha256_part *parts, size_t n,
                 unsigned char out[sha256_bytes]);
/* For one-time passwords (RFC 4226), nothing else. */
enum { sha1_bytes = 20 };
void hmac_sha1(const void *key, size_t key_n, const void *in, size_t n,
               unsigned char out[sha1_bytes]);
bool crypto_equal(const void *a, const void *b, size_t n); /* constant time */
void crypto_wipe(void *p, size_t n);

/* Sealing: AES-256-GCM, "<kid>.<base64url(nonce ‖ ciphertext ‖ tag)>"; `context` (table, column,
 * id) is authenticated, so a sealed value cannot be moved to another row.  The first key seals, all
 * open. */
struct keyring;
int keyring_parse(const char *spec, struct keyring **ret,
                  struct err *err) MUST_CHECK; /* "kid:base64,…" */
void keyring_free(struct keyring *k);
char *crypto_seal(const struct keyring *k, struct arena *a, const char *context, const void *in,
                  size_t n);
int crypto_open(const struct keyring *k, struct arena *a, const char *context, const char *sealed,
                void **ret, size_t *ret_n, struct err *err) MUST_CHECK;

/* HMAC-SHA256 under a key derived from the ring's for one purpose, so that no two uses can be taken
 * for each other.  The first key signs; a MAC of any key in the ring is valid, cut to at least 16
 * bytes. */
void keyring_sign(const struct keyring *k, const char *purpose, const struct sha256_part *parts,
                  size_t n, unsigned char out[sha256_bytes]);
bool keyring_verify(const struct keyring *k, const char *purpose, const struct sha256_part *parts,
                    size_t n, const void *mac, size_t mac_n);

/* Argon2id, 19 MiB, t=2, p=1 (OWASP), as a PHC string.  About 20 ms of a core and more stack than a
 * fiber has: call through worker_run. */
char *password_hash(struct arena *a, const char *password);
bool password_matches(const char *phc, const char *password);
/* Was it made with other parameters than password_hash has now? */
bool password_stale(const char *phc);
#endif
