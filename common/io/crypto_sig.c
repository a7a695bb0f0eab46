#include "common/io/crypto_sig.h"

#include "common/base/str.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static const struct {
    const char *name;
    const EVP_MD *(*md)(void);
} macs[] = {
    [MAC_SHA1] = { "sha1",   EVP_sha1   },
    [MAC_SHA256] = { "sha256", EVP_sha256 },
    [MAC_SHA384] = { "sha384", EVP_sha384 },
    [MAC_SHA512] = { "sha512", EVP_sha512 },
};

enum mac_alg mac_find(const char *name)
{
    for (size_t i = MAC_SHA1; i < ARRAY_LEN(macs); i++)
        if (str_ieq(macs[i].name, name))
            return (enum mac_alg)i;
    return MAC_NONE;
}

static void must(int ok)
{
    if (ok != 1)
        abort(); /* out of memory, or OpenSSL without the algorithm */
}

size_t mac_of(enum mac_alg alg, const struct sha256_part *key, const struct sha256_part *parts,
              size_t n, unsigned char out[mac_bytes_max])
{
    size_t len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, key->data, key->n);
    must(ctx && k && alg != MAC_NONE);
    must(EVP_DigestSignInit(ctx, NULL, macs[alg].md(), NULL, k));
    for (size_t i = 0; i < n; i++)
        must(EVP_DigestSignUpdate(ctx, parts[i].data, parts[i].n));
    len = mac_bytes_max;
    must(EVP_DigestSignFinal(ctx, out, &len));
    EVP_PKEY_free(k);
    EVP_MD_CTX_free(ctx);
    return len;
}

/* --- public keys ---------------------------------------------------------------------------------
 */

struct pubkey {
    EVP_PKEY *k;
};

static void free_key(void *k)
{
    EVP_PKEY_free(k);
}

static EVP_PKEY *from_cert(BIO *in, int64_t now_s, bool *ret_old)
{
    EVP_PKEY *k = NULL;
    time_t now = (time_t)now_s;
    X509 *cert = PEM_read_bio_X509(in, NULL, NULL, NULL);
    if (!cert)
        return NULL;
    *ret_old = X509_cmp_time(X509_get0_notBefore(cert), &now) >= 0 ||
               X509_cmp_time(X509_get0_notAfter(cert), &now) <= 0;
    if (!*ret_old)
        k = X509_get_pubkey(cert);
    X509_free(cert);
    return k;
}

static EVP_PKEY *from_pem(const struct sha256_part *in, int64_t now_s, bool *ret_old)
{
    BIO *bio = BIO_new_mem_buf(in->data, (int)in->n);
    EVP_PKEY *k = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    if (!k && bio) {
        (void)BIO_reset(bio);
        k = from_cert(bio, now_s, ret_old);
    }
    BIO_free(bio);
    return k;
}

int pubkey_parse(struct arena *a, enum pubkey_form form, const struct sha256_part *in,
                 int64_t now_s, struct pubkey **ret, struct err *err)
{
    EVP_PKEY *k = NULL;
    bool old = false;
    const unsigned char *p = in->data;
    if (form == PUBKEY_ED25519 && in->n == 32)
        k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, in->data, in->n);
    else if (form == PUBKEY_DER && in->n < 64 * 1024)
        k = d2i_PUBKEY(NULL, &p, (long)in->n);
    else if (form == PUBKEY_PEM && in->n < 64 * 1024)
        k = from_pem(in, now_s, &old);
    if (!k)
        return err_set(err, E_invalid,
                       old ? "The certificate is not valid at this time."
                           : "That is not a public key.");
    arena_defer(a, free_key, k);
    *ret = arena_alloc(a, sizeof(**ret));
    (*ret)->k = k;
    return 0;
}

static bool kind_fits(const EVP_PKEY *k, enum sig_alg alg)
{
    switch (alg) {
    case SIG_ED25519:
        return EVP_PKEY_get_base_id(k) == EVP_PKEY_ED25519;
    case SIG_ECDSA_SHA256:
        return EVP_PKEY_get_base_id(k) == EVP_PKEY_EC && EVP_PKEY_get_bits(k) == 256;
    case SIG_RSA_SHA1:
    case SIG_RSA_SHA256:
        return EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA && EVP_PKEY_get_bits(k) >= 2048;
    }
    return false;
}

bool pubkey_verify(const struct pubkey *k, struct arena *a, enum sig_alg alg,
                   const struct sha256_part *parts, size_t n, const struct sha256_part *sig)
{
    const EVP_MD *md = alg == SIG_ED25519 ? NULL : alg == SIG_RSA_SHA1 ? EVP_sha1() : EVP_sha256();
    size_t total = 0;
    if (!kind_fits(k->k, alg))
        return false;
    for (size_t i = 0; i < n; i++)
        total += parts[i].n;
    unsigned char *all = arena_raw(a, total + 1), *at = all;
    for (size_t i = 0; i < n; i++) { /* Ed25519 takes its input whole */
        if (parts[i].n)
            memcpy(at, parts[i].data, parts[i].n);
        at += parts[i].n;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx != NULL);
    bool ok = EVP_DigestVerifyInit(ctx, NULL, md, NULL, k->k) == 1 &&
              EVP_DigestVerify(ctx, sig->data, sig->n, all, total) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}
