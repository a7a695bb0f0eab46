/* Browser sessions: the cookie's form, and its CSRF token. */
#include "common/kit/session.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

#include <assert.h>

enum { secret_bytes = 32, secret_chars = 43, mac_bytes = 16, mac_chars = 22 };
static const char cookie_purpose[] = "browser session";

/* --- cookies ------------------------------------------------------------------------------------
 */

static bool over_https(const char *public_url)
{
    return str_starts(public_url, "https://");
}

const char *cookie_name(struct arena *a, const char *what, const char *public_url)
{
    return arena_printf(a, "%scms365_%s", over_https(public_url) ? "__Host-" : "", what);
}

const char *cookie_find(struct arena *a, const char *header, const char *name)
{
    const char *found = NULL;
    size_t n = strlen(name);
    for (const char *p = header; p && *p;) {
        p += strspn(p, "; ,");
        size_t len = strcspn(p, ";,");
        if (len > n && p[n] == '=' && !strncmp(p, name, n)) {
            if (found)
                return NULL;
            found = arena_strndup(a, p + n + 1, len - n - 1);
        }
        p += len;
    }
    return found;
}

const char *cookie_make(struct arena *a, const char *what, const char *value,
                        const char *public_url, const char *same_site, int64_t max_age_s)
{
    bool gone = !*value;
    const char *age = gone || max_age_s
                          ? arena_printf(a, "; Max-Age=%lld", gone ? 0LL : (long long)max_age_s)
                          : "";
    return arena_printf(a, "%s=%s; Path=/; HttpOnly; SameSite=%s%s%s",
                        cookie_name(a, what, public_url), value, same_site, age,
                        over_https(public_url) ? "; Secure" : "");
}

/* --- the value ----------------------------------------------------------------------------------
 */

void signed_make(const struct keyring *k, const char *purpose, char text[session_text_max],
                 char hash_hex[65])
{
    unsigned char raw[secret_bytes], mac[sha256_bytes];
    struct arena *a = arena_new();
    const struct sha256_part part = { raw, sizeof(raw) };
    random_bytes(raw, sizeof(raw));
    keyring_sign(k, purpose, &part, 1, mac);
    int n = snprintf(text, session_text_max, "%s.%s", b64url_encode(a, raw, sizeof(raw)),
                     b64url_encode(a, mac, mac_bytes));
    assert(n == secret_chars + 1 + mac_chars);
    (void)n;
    sha256_hex(text, strlen(text), hash_hex);
    crypto_wipe(raw, sizeof(raw));
    arena_free(a);
}

bool signed_ok(const struct keyring *k, const char *purpose, const char *text)
{
    char part[secret_chars + 1];
    void *raw, *mac;
    size_t raw_n, mac_n;
    if (strnlen(text, session_text_max) != secret_chars + 1 + mac_chars ||
        text[secret_chars] != '.')
        return false;
    struct arena *a = arena_new();
    memcpy(part, text, secret_chars);
    part[secret_chars] = '\0';
    bool ok = b64url_decode(a, part, &raw, &raw_n) && raw_n == secret_bytes &&
              b64url_decode(a, text + secret_chars + 1, &mac, &mac_n) && mac_n == mac_bytes;
    const struct sha256_part whole = { ok ? raw : NULL, secret_bytes };
    ok = ok && keyring_verify(k, purpose, &whole, 1, mac, mac_n);
    arena_free(a);
    return ok;
}

void session_make(const struct keyring *k, char text[session_text_max], char hash_hex[65])
{
    signed_make(k, cookie_purpose, text, hash_hex);
}

bool session_form_ok(const struct keyring *k, const char *text)
{
    return signed_ok(k, cookie_purpose, text);
}

void session_csrf(const char *text, char ret[session_csrf_max])
{
    unsigned char mac[sha256_bytes];
    static const char label[] = "X-CMS365-CSRF";
    const struct sha256_part part = { label, sizeof(label) - 1 };
    struct arena *a = arena_new();
    hmac_sha256(text, strlen(text), &part, 1, mac);
    snprintf(ret, session_csrf_max, "%s", b64url_encode(a, mac, sizeof(mac)));
    arena_free(a);
}

bool session_csrf_ok(const char *text, const char *csrf)
{
    char want[session_csrf_max];
    session_csrf(text, want);
    return csrf && strlen(csrf) == strlen(want) && crypto_equal(csrf, want, strlen(want));
}

bool session_own_origin(const char *public_url, const char *origin)
{
    const char *host = strstr(public_url, "://") + 3;
    size_t n = (size_t)(host - public_url) + strcspn(host, "/");
    return strlen(origin) == n && !strncmp(origin, public_url, n);
}

/* --- what auth says -----------------------------------------------------------------------------
 */

char *session_state_json(struct arena *a, const struct session_state *s)
{
    return arena_printf(
        a, "{\"id\":%lld,\"user_id\":%lld,\"role\":\"%s\",\"expires_us\":%lld,\"as_of_ms\":%lld}",
        (long long)s->id, (long long)s->user_id, role_name(s->role), (long long)s->expires_us,
        (long long)s->as_of_ms);
}

int session_state_parse(struct arena *a, const char *json, size_t n, struct session_state *ret,
                        struct err *err)
{
    json_t *o;
    int rc = json_parse(a, json, n, &o, err);
    if (rc)
        return rc;
    const char *role = json_string_value(json_object_get(o, "role"));
    *ret = (struct session_state){
        .id = json_integer_value(json_object_get(o, "id")),
        .user_id = json_integer_value(json_object_get(o, "user_id")),
        .expires_us = json_integer_value(json_object_get(o, "expires_us")),
        .as_of_ms = json_integer_value(json_object_get(o, "as_of_ms")),
        .role = role_find(role),
    };
    bool ok = ret->id > 0 && ret->user_id > 0 && ret->expires_us > 0 && ret->as_of_ms > 0 &&
              ret->role != ROLE_NONE;
    return ok ? 0 : err_set(err, E_invalid, "not the state of a session");
}
