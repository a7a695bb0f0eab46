#include "common/io/crypto_sig.h"

#include "common/base/str.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
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

size_t digest_of(enum mac_alg alg, const struct sha256_part *parts, size_t n,
                 unsigned char out[mac_bytes_max])
{
    unsigned len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && alg != MAC_NONE);
    must(EVP_DigestInit_ex(ctx, macs[alg].md(), NULL));
    for (size_t i = 0; i < n; i++)
        must(EVP_DigestUpdate(ctx, parts[i].data, parts[i].n));
    must(EVP_DigestFinal_ex(ctx, out, &len));
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

static const struct sig_kind {
    int type, bits_min, bits_max;
    const EVP_MD *(*md)(void);
    bool raw; /* r and s as they are, not DER */
    bool pss; /* else PKCS #1 v1.5, if it is RSA */
} sigs[] = {
    [SIG_ED25519] = { EVP_PKEY_ED25519, 253,  256,   NULL,       false, false },
    [SIG_ECDSA_SHA256] = { EVP_PKEY_EC,      256,  256,   EVP_sha256, false, false },
    [SIG_ECDSA_P256_SHA256] = { EVP_PKEY_EC,      256,  256,   EVP_sha256, true,  false },
    [SIG_RSA_SHA1] = { EVP_PKEY_RSA,     2048, 16384, EVP_sha1,   false, false },
    [SIG_RSA_SHA256] = { EVP_PKEY_RSA,     2048, 16384, EVP_sha256, false, false },
    [SIG_RSA_PSS_SHA512] = { EVP_PKEY_RSA,     2048, 16384, EVP_sha512, false, true  },
};

/* r and s as OpenSSL takes them; false: they are not 32 bytes each. */
static bool raw_to_der(struct arena *a, const struct sha256_part *sig, struct sha256_part *ret)
{
    const unsigned char *p = sig->data;
    unsigned char *der = NULL;
    if (sig->n != 64)
        return false;
    ECDSA_SIG *s = ECDSA_SIG_new();
    must(s && ECDSA_SIG_set0(s, BN_bin2bn(p, 32, NULL), BN_bin2bn(p + 32, 32, NULL)));
    int n = i2d_ECDSA_SIG(s, &der);
    ECDSA_SIG_free(s);
    must(n > 0);
    unsigned char *copy = arena_alloc(a, (size_t)n);
    memcpy(copy, der, (size_t)n);
    *ret = (struct sha256_part){ copy, (size_t)n };
    OPENSSL_free(der);
    return true;
}

static bool verify_all(EVP_PKEY *k, const struct sig_kind *kind, const struct sha256_part *text,
                       const struct sha256_part *sig)
{
    EVP_PKEY_CTX *how = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx != NULL);
    bool ok = EVP_DigestVerifyInit(ctx, &how, kind->md ? kind->md() : NULL, NULL, k) == 1;
    if (ok && kind->pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_AUTO) == 1;
    ok = ok && EVP_DigestVerify(ctx, sig->data, sig->n, text->data, text->n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

bool pubkey_verify(const struct pubkey *k, struct arena *a, enum sig_alg alg,
                   const struct sha256_part *parts, size_t n, const struct sha256_part *sig)
{
    const struct sig_kind *kind = &sigs[alg];
    struct sha256_part der = *sig;
    size_t total = 0;
    int bits = EVP_PKEY_get_bits(k->k);
    if (EVP_PKEY_get_base_id(k->k) != kind->type || bits < kind->bits_min ||
        bits > kind->bits_max || (kind->raw && !raw_to_der(a, sig, &der)))
        return false;
    for (size_t i = 0; i < n; i++)
        total += parts[i].n;
    unsigned char *all = arena_raw(a, total + 1), *at = all;
    for (size_t i = 0; i < n; i++) { /* Ed25519 takes its input whole */
        if (parts[i].n)
            memcpy(at, parts[i].data, parts[i].n);
        at += parts[i].n;
    }
    const struct sha256_part text = { all, total };
    return verify_all(k->k, kind, &text, &der);
}
