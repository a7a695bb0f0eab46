#include "common/io/crypto.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <argon2.h>
#include <assert.h>
#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
    hmac_block_bytes = 64,
    gcm_nonce_bytes = 12,
    gcm_tag_bytes = 16,
    kid_bytes_max = 16,
    argon2_memory_kib = 19 * 1024,
    argon2_passes = 2,
    argon2_salt_bytes = 16,
    argon2_hash_bytes = 32,
    argon2_phc_bytes_max = 160,
};

/* OpenSSL fails here only when it has no memory or was built without the algorithm. */
static void must(int ok)
{
    if (ok != 1)
        abort();
}

static void *must_have(void *p)
{
    if (!p)
        abort();
    return p;
}

static EVP_MD *sha256_md;
static pthread_key_t sha256_key;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void free_ctx(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void fetch_sha256(void)
{
    sha256_md = must_have(EVP_MD_fetch(NULL, "SHA256", NULL));
    if (pthread_key_create(&sha256_key, free_ctx))
        abort();
}

static EVP_MD_CTX *sha256_ctx(void)
{
    static _Thread_local EVP_MD_CTX *ctx;
    if (!ctx) {
        (void)pthread_once(&sha256_once, fetch_sha256);
        ctx = must_have(EVP_MD_CTX_new());
        if (pthread_setspecific(sha256_key, ctx))
            abort();
    }
    return ctx;
}

/* The algorithm is fetched once, for EVP_sha256() is looked up by its name at each use, and a
 * context made once a thread: each costs more than the hash of a key. */
void sha256(const void *in, size_t n, unsigned char out[sha256_bytes])
{
    EVP_MD_CTX *ctx = sha256_ctx();
    must(EVP_DigestInit_ex2(ctx, sha256_md, NULL));
    must(EVP_DigestUpdate(ctx, in, n));
    must(EVP_DigestFinal_ex(ctx, out, NULL));
}

void sha256_hex(const void *in, size_t n, char out[sha256_hex_len + 1])
{
    unsigned char digest[sha256_bytes];
    sha256(in, n, digest);
    hex_encode(digest, sizeof(digest), out);
}

static void hmac_pass(EVP_MD_CTX *ctx, const unsigned char key[hmac_block_bytes], unsigned char pad)
{
    unsigned char block[hmac_block_bytes];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = key[i] ^ pad;
    must(EVP_DigestInit_ex(ctx, EVP_sha256(), NULL));
    must(EVP_DigestUpdate(ctx, block, sizeof(block)));
    OPENSSL_cleanse(block, sizeof(block));
}

/* RFC 2104 spelled out: EVP_MAC fetches its algorithm by name on each use, which costs more than
 * the MAC of a small message, and HMAC() wants the parts joined. */
void hmac_sha256(const void *key, size_t key_n, const struct sha256_part *parts, size_t n,
                 unsigned char out[sha256_bytes])
{
    unsigned char k[hmac_block_bytes] = { 0 }, inner[sha256_bytes];
    if (key_n > sizeof(k))
        sha256(key, key_n, k);
    else if (key_n)
        memcpy(k, key, key_n);

    EVP_MD_CTX *ctx = must_have(EVP_MD_CTX_new());
    hmac_pass(ctx, k, 0x36);
    for (size_t i = 0; i < n; i++)
        must(EVP_DigestUpdate(ctx, parts[i].data, parts[i].n));
    must(EVP_DigestFinal_ex(ctx, inner, NULL));
    hmac_pass(ctx, k, 0x5c);
    must(EVP_DigestUpdate(ctx, inner, sizeof(inner)));
    must(EVP_DigestFinal_ex(ctx, out, NULL));
    EVP_MD_CTX_free(ctx);
    OPENSSL_cleanse(k, sizeof(k));
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void crypto_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

void hmac_sha1(const void *key, size_t key_n, const void *in, size_t n,
               unsigned char out[sha1_bytes])
{
    unsigned len = sha1_bytes;
    must(key_n <= INT32_MAX && HMAC(EVP_sha1(), key, (int)key_n, in, n, out, &len) != NULL);
}

/* --- sealing -----------------------------------------------------------------------------------
 */

struct keyring {
    size_t n;
    struct seal_key {
        char kid[kid_bytes_max + 1];
        unsigned char key[seal_key_bytes];
    } keys[seal_keys_max];
};

static bool kid_ok(const char *s, size_t n)
{
    if (n == 0 || n > kid_bytes_max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(s[i] >= 'a' && s[i] <= 'z') && !(s[i] >= 'A' && s[i] <= 'Z') &&
            !(s[i] >= '0' && s[i] <= '9') && s[i] != '-' && s[i] != '_')
            return false;
    return true;
}

static const struct seal_key *keyring_find(const struct keyring *k, const char *kid, size_t n)
{
    for (size_t i = 0; i < k->n; i++)
        if (strlen(k->keys[i].kid) == n && memcmp(k->keys[i].kid, kid, n) == 0)
            return &k->keys[i];
    return NULL;
}

static int keyring_add(struct keyring *k, struct arena *a, const char *s, size_t n, struct err *err)
{
    const char *colon = memchr(s, ':', n);
    size_t kid_n = colon ? (size_t)(colon - s) : 0;
    if (!colon || !kid_ok(s, kid_n))
        return err_set(err, E_config,
                       "Each sealing key is kid:base64, the kid up to %d letters, digits, - or _.",
                       kid_bytes_max);
    if (k->n == seal_keys_max)
        return err_set(err, E_config, "There are more than %d sealing keys.", seal_keys_max);
    if (keyring_find(k, s, kid_n))
        return err_set(err, E_config, "Two sealing keys are named %.*s.", (int)kid_n, s);
    void *raw;
    size_t raw_n;
    if (!b64_decode(a, colon + 1, &raw, &raw_n) || raw_n != seal_key_bytes)
        return err_set(err, E_config, "Sealing key %.*s is not %d bytes in base64.", (int)kid_n, s,
                       seal_key_bytes);
    struct seal_key *key = &k->keys[k->n++];
    memcpy(key->kid, s, kid_n);
    memcpy(key->key, raw, seal_key_bytes);
    crypto_wipe(raw, raw_n);
    return 0;
}

int keyring_parse(const char *spec, struct keyring **ret, struct err *err)
{
    struct keyring *k = must_have(calloc(1, sizeof(*k)));
    struct arena *a = arena_new();
    int rc = 0;
    for (const char *s = spec; rc == 0 && *s;) {
        size_t n = strcspn(s, ",");
        char *one = arena_strndup(a, s, n);
        rc = keyring_add(k, a, one, n, err);
        crypto_wipe(one, n);
        s += n;
        if (*s == ',' && *++s == '\0' && rc == 0)
            rc = err_set(err, E_config, "The list of sealing keys ends with a comma.");
    }
    if (rc == 0 && k->n == 0)
        rc = err_set(err, E_config, "There is no sealing key.");
    arena_free(a);
    if (rc < 0) {
        keyring_free(k);
        return rc;
    }
    *ret = k;
    return 0;
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    crypto_wipe(k, sizeof(*k));
    free(k);
}

char *crypto_seal(const struct keyring *k, struct arena *a, const char *context, const void *in,
                  size_t n)
{
    assert(k->n > 0 && n < INT32_MAX);
    const struct seal_key *key = &k->keys[0];
    size_t total = gcm_nonce_bytes + n + gcm_tag_bytes;
    unsigned char *out = arena_raw(a, total);
    random_bytes(out, gcm_nonce_bytes);

    int len;
    EVP_CIPHER_CTX *ctx = must_have(EVP_CIPHER_CTX_new());
    must(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, out));
    must(EVP_EncryptUpdate(ctx, NULL, &len, (const unsigned char *)context, (int)strlen(context)));
    if (n > 0)
        must(EVP_EncryptUpdate(ctx, out + gcm_nonce_bytes, &len, in, (int)n));
    must(EVP_EncryptFinal_ex(ctx, out + gcm_nonce_bytes + n, &len));
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, gcm_tag_bytes, out + gcm_nonce_bytes + n));
    EVP_CIPHER_CTX_free(ctx);
    return arena_printf(a, "%s.%s", key->kid, b64url_encode(a, out, total));
}

static bool gcm_open(const struct seal_key *key, const char *context, unsigned char *sealed,
                     size_t n, unsigned char *out)
{
    int len;
    unsigned char *text = sealed + gcm_nonce_bytes;
    EVP_CIPHER_CTX *ctx = must_have(EVP_CIPHER_CTX_new());
    must(EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, sealed));
    must(EVP_DecryptUpdate(ctx, NULL, &len, (const unsigned char *)context, (int)strlen(context)));
    if (n > 0)
        must(EVP_DecryptUpdate(ctx, out, &len, text, (int)n));
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, gcm_tag_bytes, text + n));
    bool ok = EVP_DecryptFinal_ex(ctx, out + n, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

int crypto_open(const struct keyring *k, struct arena *a, const char *context, const char *sealed,
                void **ret, size_t *ret_n, struct err *err)
{
    const char *dot = strchr(sealed, '.');
    const struct seal_key *key = dot ? keyring_find(k, sealed, (size_t)(dot - sealed)) : NULL;
    if (!key) {
        err_set(err, E_config, "A stored secret cannot be read.");
        return err_detail(err, "%s: sealed under a key that is not configured", context);
    }
    void *raw;
    size_t raw_n;
    if (b64url_decode(a, dot + 1, &raw, &raw_n) && raw_n >= gcm_nonce_bytes + gcm_tag_bytes) {
        size_t n = raw_n - gcm_nonce_bytes - gcm_tag_bytes;
        char *out = arena_raw(a, n + 1);
        if (gcm_open(key, context, raw, n, (unsigned char *)out)) {
            out[n] = '\0'; /* most secrets are text */
            *ret = out;
            *ret_n = n;
            return 0;
        }
        crypto_wipe(out, n);
    }
    err_set(err, E_internal, "A stored secret cannot be read.");
    return err_detail(err, "%s: the sealed value is damaged or belongs elsewhere", context);
}

static void sign_with(const struct seal_key *key, const char *purpose,
                      const struct sha256_part *parts, size_t n, unsigned char out[sha256_bytes])
{
    unsigned char derived[sha256_bytes];
    const struct sha256_part label[] = {
        { "365cms mac:", 11              },
        { purpose,       strlen(purpose) }
    };
    hmac_sha256(key->key, sizeof(key->key), label, ARRAY_LEN(label), derived);
    hmac_sha256(derived, sizeof(derived), parts, n, out);
    crypto_wipe(derived, sizeof(derived));
}

void keyring_sign(const struct keyring *k, const char *purpose, const struct sha256_part *parts,
                  size_t n, unsigned char out[sha256_bytes])
{
    assert(k->n > 0);
    sign_with(&k->keys[0], purpose, parts, n, out);
}

bool keyring_verify(const struct keyring *k, const char *purpose, const struct sha256_part *parts,
                    size_t n, const void *mac, size_t mac_n)
{
    unsigned char want[sha256_bytes];
    assert(mac_n >= 16 && mac_n <= sizeof(want));
    for (size_t i = 0; i < k->n; i++) {
        sign_with(&k->keys[i], purpose, parts, n, want);
        if (crypto_equal(want, mac, mac_n))
            return true;
    }
    return false;
}

/* --- passwords ---------------------------------------------------------------------------------
 */

char *password_hash(struct arena *a, const char *password)
{
    unsigned char salt[argon2_salt_bytes];
    random_bytes(salt, sizeof(salt));
    char *phc = arena_alloc(a, argon2_phc_bytes_max);
    int rc =
        argon2id_hash_encoded(argon2_passes, argon2_memory_kib, 1, password, strlen(password), salt,
                              sizeof(salt), argon2_hash_bytes, phc, argon2_phc_bytes_max);
    if (rc != ARGON2_OK)
        abort(); /* out of memory; the parameters are constants */
    return phc;
}

bool password_stale(const char *phc)
{
    char now[64];
    snprintf(now, sizeof(now), "$argon2id$v=19$m=%d,t=%d,p=1$", argon2_memory_kib, argon2_passes);
    return strncmp(phc, now, strlen(now)) != 0;
}

bool password_matches(const char *phc, const char *password)
{
    return argon2id_verify(phc, password, strlen(password)) == ARGON2_OK;
}
