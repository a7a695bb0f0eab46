#include "common/kit/token_internal.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/siphash.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

#include <arpa/inet.h>
#include <assert.h>

enum { secret_chars = 43, crc_chars = 8 };
static const char prefix[] = "365k_";

/* --- text ---------------------------------------------------------------------------------------
 */

void key_make(const char *env, int64_t id, char text[key_text_max], unsigned char hash[32])
{
    unsigned char secret[key_secret_bytes];
    assert(id > 0 && strlen(env) <= 16);
    random_bytes(secret, sizeof(secret));
    struct arena *a = arena_new();
    char *coded = b64url_encode(a, secret, sizeof(secret));
    assert(strlen(coded) == secret_chars);
    int n = snprintf(text, key_text_max, "%s%s_%lld_%s", prefix, env, (long long)id, coded);
    assert(n > 0 && n + crc_chars < key_text_max);
    snprintf(text + n, key_text_max - (size_t)n, "%08x", crc32_of(text, (size_t)n));
    sha256(text, strlen(text), hash);
    crypto_wipe(secret, sizeof(secret));
    crypto_wipe(coded, secret_chars);
    arena_free(a);
}

static bool secret_ok(const char *s)
{
    for (size_t i = 0; i < secret_chars; i++) {
        bool ok = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
                  (s[i] >= '0' && s[i] <= '9') || s[i] == '-' || s[i] == '_';
        if (!ok)
            return false;
    }
    return true;
}

static bool key_read(const char *text, size_t n, int64_t *ret_id, unsigned char ret_hash[32])
{
    if (!str_starts(text, prefix))
        return false;
    const char *env = text + strlen(prefix);
    size_t env_n = strspn(env, "abcdefghijklmnopqrstuvwxyz0123456789");
    if (env_n == 0 || env[env_n] != '_')
        return false;
    const char *id = env + env_n + 1;
    size_t id_n = strspn(id, "0123456789");
    char digits[20];
    if (id_n == 0 || id_n >= sizeof(digits) || id[id_n] != '_' || id[0] == '0')
        return false;
    memcpy(digits, id, id_n);
    digits[id_n] = '\0';
    const char *secret = id + id_n + 1;
    if (strlen(secret) != secret_chars + crc_chars || !secret_ok(secret))
        return false;
    int64_t value;
    char crc[crc_chars + 1];
    uint32_t sum = crc32_of(text, n - crc_chars);
    hex_encode((const unsigned char[]){ (unsigned char)(sum >> 24), (unsigned char)(sum >> 16),
                                        (unsigned char)(sum >> 8), (unsigned char)sum },
               4, crc);
    if (memcmp(crc, text + n - crc_chars, crc_chars) != 0 ||
        !str_to_i64(digits, 1, INT64_MAX, &value))
        return false;
    *ret_id = value;
    sha256(text, n, ret_hash);
    return true;
}

/* What a thread read last, by keyed hashes of the texts: 128 bits under a key that nobody else
 * knows stand for the text, so that none is kept in memory, nor tells how long a comparison takes
 * what it is compared with. */
enum { recent_keys = 64 };
struct recent {
    uint64_t mark[2];
    int64_t id; /* 0: none */
    unsigned char hash[32];
};

static struct recent *recent_of(const char *text, size_t n, uint64_t ret_mark[2])
{
    static _Thread_local struct recent seen[recent_keys];
    static _Thread_local unsigned char secret[2][16];
    static _Thread_local bool ready;
    if (!ready)
        random_bytes(secret, sizeof(secret));
    ready = true;
    for (size_t i = 0; i < 2; i++)
        ret_mark[i] = siphash(secret[i], text, n);
    return &seen[ret_mark[0] % recent_keys];
}

bool key_parse(const char *text, int64_t *ret_id, unsigned char ret_hash[32])
{
    uint64_t mark[2];
    size_t n = strnlen(text, key_text_max);
    if (n >= key_text_max)
        return false;
    struct recent *r = recent_of(text, n, mark);
    if (r->id && r->mark[0] == mark[0] && r->mark[1] == mark[1]) {
        *ret_id = r->id;
        memcpy(ret_hash, r->hash, sizeof(r->hash));
        return true;
    }
    if (!key_read(text, n, ret_id, ret_hash))
        return false;
    *r = (struct recent){
        .mark = { mark[0], mark[1] },
          .id = *ret_id
    };
    memcpy(r->hash, ret_hash, sizeof(r->hash));
    return true;
}

/* --- state --------------------------------------------------------------------------------------
 */

char *key_state_json(struct arena *a, const struct key_state *k)
{
    char hash[sha256_hex_len + 1];
    hex_encode(k->hash, sizeof(k->hash), hash);
    struct buf b;
    buf_init(&b, a, 512, 64 * 1024);
    buf_printf(&b, "{\"id\":%lld,\"user_id\":%lld,\"hash\":\"%s\",\"role\":\"%s\",\"name\":",
               (long long)k->id, (long long)k->user_id, hash,
               k->role == ROLE_NONE ? "none" : role_name(k->role));
    const char *name = k->name ? k->name : "";
    const char *networks = k->allowed_networks ? k->allowed_networks : "";
    buf_put_json_string(&b, name, strlen(name));
    buf_puts(&b, ",\"scopes\":[");
    bool any = false;
    for (int i = 0; i < S_MAX_; i++) {
        if (!scope_has(k->granted, (enum scope)i))
            continue;
        buf_printf(&b, "%s\"%s\"", any ? "," : "", scopes[i].name);
        any = true;
    }
    buf_printf(&b, "],\"expires_us\":%lld,\"changed_us\":%lld,\"revoked\":%s,\"allowed_networks\":",
               (long long)k->expires_us, (long long)k->changed_us, k->revoked ? "true" : "false");
    buf_put_json_string(&b, networks, strlen(networks));
    buf_printf(&b, ",\"rate_limit\":%lld,\"quota_monthly\":%lld", (long long)k->rate_limit,
               (long long)k->quota_monthly);
    if (k->sandbox)
        buf_puts(&b, ",\"sandbox\":true");
    if (k->previous_until_us) {
        hex_encode(k->previous, sizeof(k->previous), hash);
        buf_printf(&b, ",\"previous_hash\":\"%s\",\"previous_until_us\":%lld", hash,
                   (long long)k->previous_until_us);
    }
    buf_putc(&b, '}');
    assert(!b.overflow);
    return b.data;
}

static int no_state(struct err *err, const char *what)
{
    return err_set(err, E_invalid, "not the state of a key: %s", what);
}

int key_state_parse(struct arena *a, const char *json, size_t n, struct key_state *ret,
                    struct err *err)
{
    json_t *o;
    struct key_state k = { .id = 0 };
    int rc = json_parse(a, json, n, &o, err);
    if (rc)
        return rc;
    const json_t *id = json_object_get(o, "id"), *user = json_object_get(o, "user_id");
    const json_t *expires = json_object_get(o, "expires_us");
    const json_t *changed = json_object_get(o, "changed_us");
    const json_t *list = json_object_get(o, "scopes"), *revoked = json_object_get(o, "revoked");
    const char *hash = json_string_value(json_object_get(o, "hash"));
    const char *role = json_string_value(json_object_get(o, "role"));
    const char *name = json_string_value(json_object_get(o, "name"));
    const char *networks = json_string_value(json_object_get(o, "allowed_networks"));
    if (!json_is_integer(id) || json_integer_value(id) <= 0 || !json_is_integer(user))
        return no_state(err, "id");
    if (!hash || strlen(hash) != sha256_hex_len || !hex_decode(hash, sha256_hex_len, k.hash))
        return no_state(err, "hash");
    /* What a key is limited by must be there: absent is not the same as unlimited. */
    if (!json_is_integer(expires) || !json_is_boolean(revoked) || !json_is_array(list) || !role ||
        !networks)
        return no_state(err, "limits");
    const char *previous = json_string_value(json_object_get(o, "previous_hash"));
    k.previous_until_us = json_integer_value(json_object_get(o, "previous_until_us"));
    if (!previous || strlen(previous) != sha256_hex_len ||
        !hex_decode(previous, sha256_hex_len, k.previous))
        k.previous_until_us = 0;
    k.id = json_integer_value(id);
    k.user_id = json_integer_value(user);
    k.expires_us = json_integer_value(expires);
    k.changed_us = json_integer_value(changed);
    k.revoked = json_is_true(revoked);
    k.sandbox = json_is_true(json_object_get(o, "sandbox"));
    k.role = role_find(role);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        int scope = text ? scope_find(text) : -1;
        if (scope >= 0) /* a newer program may know more scopes than this one */
            k.granted |= (scope_set)1 << scope;
    }
    k.name = name ? name : "";
    k.allowed_networks = networks;
    /* States of before there were such limits have none. */
    k.rate_limit = json_integer_value(json_object_get(o, "rate_limit"));
    k.quota_monthly = json_integer_value(json_object_get(o, "quota_monthly"));
    if (k.rate_limit < 0 || k.quota_monthly < 0)
        return no_state(err, "limits");
    *ret = k;
    return 0;
}

/* --- networks -----------------------------------------------------------------------------------
 */

static bool address_parse(const char *text, unsigned char out[16], bool *ret_v4)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (inet_pton(AF_INET, text, out + 12) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        *ret_v4 = true;
        return true;
    }
    *ret_v4 = false;
    return inet_pton(AF_INET6, text, out) == 1;
}

static bool network_parse(const char *item, size_t n, struct network *ret)
{
    char text[64];
    bool v4;
    if (n == 0 || n >= sizeof(text))
        return false;
    memcpy(text, item, n);
    text[n] = '\0';
    char *slash = strchr(text, '/');
    if (slash)
        *slash = '\0';
    if (!address_parse(text, ret->addr, &v4))
        return false;
    int64_t bits = v4 ? 32 : 128;
    if (slash && !str_to_i64(slash + 1, 0, bits, &bits))
        return false;
    ret->bits = (unsigned)bits + (v4 ? 96 : 0);
    return true;
}

bool networks_parse(const char *text, struct networks **ret)
{
    struct networks *l = NULL;
    size_t n = 0;
    for (const char *p = text; *p;) {
        p += strspn(p, " ");
        size_t len = strcspn(p, ",");
        size_t trimmed = len;
        while (trimmed > 0 && p[trimmed - 1] == ' ')
            trimmed--;
        struct network net;
        if (n == networks_max || !network_parse(p, trimmed, &net)) {
            free(l);
            return false;
        }
        l = realloc(l, sizeof(*l) + (n + 1) * sizeof(net));
        assert(l);
        l->list[n++] = net;
        l->n = n;
        p += len;
        p += *p == ',';
    }
    *ret = l;
    return true;
}

/* An IPv6 network as wide as ::/0 has no IPv4 address in it: who allows all of the one has not said
 * a word of the other. */
static bool holds(const struct network *net, const unsigned char addr[16])
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (net->bits < 96 && !memcmp(addr, mapped, sizeof(mapped)))
        return false;
    unsigned bytes = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->addr, addr, bytes) != 0)
        return false;
    if (rest == 0)
        return true;
    unsigned mask = 0xffu << (8 - rest) & 0xffu;
    return ((net->addr[bytes] ^ addr[bytes]) & mask) == 0;
}

bool networks_hold(const struct networks *l, const char *addr)
{
    unsigned char a[16];
    bool v4;
    if (!addr || !address_parse(addr, a, &v4))
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (holds(&l->list[i], a))
            return true;
    return false;
}

bool key_networks_ok(const char *text)
{
    struct networks *l = NULL;
    bool ok = networks_parse(text, &l);
    free(l);
    return ok;
}

bool key_networks_hold(const char *text, const char *addr)
{
    struct networks *list = NULL;
    if (!networks_parse(text, &list))
        return false;
    bool ok = !list || networks_hold(list, addr);
    free(list);
    return ok;
}
