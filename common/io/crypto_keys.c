#include "common/io/crypto_keys.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

struct ed25519_key {
    EVP_PKEY *pkey;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

void ed25519_make(unsigned char seed[ed25519_seed_bytes], unsigned char pub[ed25519_public_bytes])
{
    size_t seed_n = ed25519_seed_bytes, pub_n = ed25519_public_bytes;
    EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    must(k != NULL);
    must(EVP_PKEY_get_raw_private_key(k, seed, &seed_n) == 1 && seed_n == ed25519_seed_bytes);
    must(EVP_PKEY_get_raw_public_key(k, pub, &pub_n) == 1 && pub_n == ed25519_public_bytes);
    EVP_PKEY_free(k);
}

static void key_done(void *ptr)
{
    EVP_PKEY_free(ptr);
}

struct ed25519_key *ed25519_key_of(struct arena *a, const unsigned char seed[ed25519_seed_bytes])
{
    struct ed25519_key *k = arena_alloc(a, sizeof(*k));
    k->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ed25519_seed_bytes);
    must(k->pkey != NULL);
    arena_defer(a, key_done, k->pkey);
    return k;
}

/* Ed25519 has no streaming form: the message is joined first. */
void ed25519_sign(const struct ed25519_key *k, const struct sha256_part *parts, size_t n,
                  unsigned char sig[ed25519_sig_bytes])
{
    size_t total = 0, at = 0, sig_n = ed25519_sig_bytes;
    for (size_t i = 0; i < n; i++)
        total += parts[i].n;
    unsigned char *all = malloc(total + 1);
    must(all != NULL);
    for (size_t i = 0; i < n; i++) {
        memcpy(all + at, parts[i].data, parts[i].n);
        at += parts[i].n;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1);
    must(EVP_DigestSign(ctx, sig, &sig_n, all, total) == 1 && sig_n == ed25519_sig_bytes);
    EVP_MD_CTX_free(ctx);
    free(all);
}

static X509 *first_certificate(const char *pem, size_t *ret_n)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    X509 *first = NULL, *x;
    must(in != NULL);
    *ret_n = 0;
    while ((x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
        (*ret_n)++;
        if (first)
            X509_free(x);
        else
            first = x;
    }
    ERR_clear_error();
    BIO_free(in);
    return first;
}

static int no_password(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)ctx;
    return -1; /* an encrypted key is refused, not asked for */
}

int pem_pair_check(const char *certificate, const char *key, struct err *err)
{
    size_t n;
    int rc = 0;
    X509 *x = first_certificate(certificate, &n);
    if (!x)
        return err_set(err, E_invalid, "The certificate is not PEM.");
    BIO *in = key ? BIO_new_mem_buf(key, -1) : NULL;
    EVP_PKEY *k = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    if (key && !k)
        rc = err_set(err, E_invalid, "The key is not a PEM private key without a password.");
    else if (key && X509_check_private_key(x, k) != 1)
        rc = err_set(err, E_invalid, "The key does not belong to the certificate.");
    ERR_clear_error();
    EVP_PKEY_free(k);
    BIO_free(in);
    X509_free(x);
    return rc;
}
