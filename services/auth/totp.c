/* The second factor: codes, and what is kept of them. */
#include "services/auth/totp.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/outbox.h"
#include "services/auth/audit.h"
#include "services/auth/password.h"
#include "services/auth/tries.h"

#include "auth/sql.h"

#include <assert.h>
#include <ctype.h>

/* --- codes --------------------------------------------------------------------------------------
 */

void totp_code(const void *secret, size_t n, int64_t step, unsigned digits, char ret[totp_text_max])
{
    static const uint32_t powers[] = { 1000000, 10000000, 100000000 };
    unsigned char counter[8], mac[sha1_bytes];
    assert(digits >= 6 && digits <= 8);
    for (size_t i = 0; i < sizeof(counter); i++)
        counter[i] = (unsigned char)((uint64_t)step >> (56 - 8 * i));
    hmac_sha1(secret, n, counter, sizeof(counter), mac);
    size_t at = mac[sha1_bytes - 1] & 15; /* RFC 4226 §5.3: dynamic truncation */
    uint32_t value = (uint32_t)(mac[at] & 127) << 24 | (uint32_t)mac[at + 1] << 16 |
                     (uint32_t)mac[at + 2] << 8 | mac[at + 3];
    snprintf(ret, totp_text_max, "%0*u", (int)digits, value % powers[digits - 6]);
}

char *totp_base32(struct arena *a, const void *in, size_t n)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const unsigned char *p = in;
    char *out = arena_alloc(a, n * 8 / 5 + 2);
    size_t k = 0;
    unsigned bits = 0, have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 5; have -= 5)
            out[k++] = alphabet[bits >> (have - 5) & 31];
    }
    if (have)
        out[k++] = alphabet[bits << (5 - have) & 31];
    out[k] = '\0';
    return out;
}

/* What was typed, without blanks and signs, in lower case; o is 0, i and l are 1. */
static char *typed(struct arena *a, const char *code)
{
    char *out = arena_alloc(a, totp_code_max + 1);
    size_t n = 0;
    for (; *code && n < totp_code_max; code++)
        if (isalnum((unsigned char)*code)) {
            char c = (char)tolower((unsigned char)*code);
            out[n++] = (char)(c == 'o' ? '0' : c == 'i' || c == 'l' ? '1' : c);
        }
    return out;
}

/* The step that the code is of, later than `last`; 0: none. */
static int64_t step_of(const void *secret, size_t n, const char *code, int64_t last)
{
    int64_t now = clock_ms() / 1000 / totp_step_s, found = 0;
    if (strlen(code) != totp_digits)
        return 0;
    for (int64_t s = now - totp_drift_steps; s <= now + totp_drift_steps; s++) {
        char want[totp_text_max];
        totp_code(secret, n, s, totp_digits, want);
        if (crypto_equal(want, code, totp_digits) && s > last)
            found = s;
    }
    return found;
}

/* --- the secret ---------------------------------------------------------------------------------
 */

static const char *context(struct arena *a, int64_t user)
{
    return arena_printf(a, "totp.secret:%lld", (long long)user);
}

int totp_look(struct svc *svc, struct arena *a, int64_t user, struct totp_info *ret,
              struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(user);
    *ret = (struct totp_info){ .state = TOTP_NONE };
    int rc = db_query(svc->db, a, &sql_totp_info, &v, 1, &r, err);
    if (rc || !db_nrows(r))
        return rc;
    ret->state = db_get_bool(r, 0, 0) ? TOTP_ON : TOTP_PENDING;
    ret->confirmed_at = db_str(r, 0, 1);
    ret->recovery_left = db_get_i64(r, 0, 2);
    return 0;
}

/* The key URI format that apps read. */
static const char *uri_of(struct svc *svc, struct arena *a, const char *account, const char *secret)
{
    const char *host = strstr(svc->conf->public_url, "://") + 3;
    const char *site = url_encode(a, arena_strndup(a, host, strcspn(host, "/")));
    return arena_printf(a,
                        "otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&"
                        "period=%d",
                        site, url_encode(a, account), secret, site, totp_digits, totp_step_s);
}

int totp_begin(struct req *req, const struct person_known *who, const char **ret_secret,
               const char **ret_uri, struct err *err)
{
    struct svc *svc = req->svc;
    struct arena *a = req->arena;
    int64_t user = who->id;
    unsigned char raw[totp_secret_bytes];
    struct db_rows *r;
    random_bytes(raw, sizeof(raw));
    const struct db_val v[] = { db_i64(user), db_text(crypto_seal(svc->keyring, a, context(a, user),
                                                                  raw, sizeof(raw))) };
    int rc = db_query(svc->db, a, &sql_totp_put, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_conflict, "A second factor is in force; disable it first.");
    *ret_secret = totp_base32(a, raw, sizeof(raw));
    *ret_uri = uri_of(svc, a, who->username, *ret_secret);
    crypto_wipe(raw, sizeof(raw));
    return 0;
}

/* --- tries --------------------------------------------------------------------------------------
 */

struct attempt {
    struct svc *svc;
    struct arena *a;
    int64_t user;
    const char *code;
    const struct auth_cause *why;
    bool confirm; /* puts the pending one in force */
    bool ok, found;
    void *secret;
    size_t secret_n;
    const char **codes;
};

static int note(struct db_tx *tx, const struct attempt *t, const char *type, bool event,
                struct err *err)
{
    const struct audit entry = { .type = type,
                                 .subject = arena_printf(t->a, "user:%lld", (long long)t->user),
                                 .user_id = t->user,
                                 .event = event };
    return audit_put(tx, t->a, &entry, t->why, err);
}

static const char *recovery_purpose(struct arena *a, int64_t user)
{
    return arena_printf(a, "recovery code:%lld", (long long)user);
}

static int put_codes(struct db_tx *tx, struct attempt *t, struct err *err)
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* 32, none alike */
    const char *hashes[recovery_codes_max];
    struct db_rows *r;
    const struct db_val user = db_i64(t->user);
    int rc = db_exec(tx, t->a, &sql_recovery_drop, &user, 1, &r, err);
    for (size_t i = 0; i < recovery_codes_max; i++) {
        unsigned char raw[recovery_code_len];
        char plain[recovery_code_len], *text = arena_alloc(t->a, recovery_code_len + 1);
        char *hash = arena_alloc(t->a, sha256_hex_len + 1);
        random_bytes(raw, sizeof(raw));
        for (size_t k = 0, n = 0; k < recovery_code_len; k++) {
            text[k] = k == recovery_code_len / 2 ? '-' : alphabet[raw[k] & 31];
            if (text[k] != '-')
                plain[n++] = text[k];
        }
        const struct sha256_part part = { plain, recovery_code_len - 1 };
        unsigned char mac[sha256_bytes];
        keyring_sign(t->svc->keyring, recovery_purpose(t->a, t->user), &part, 1, mac);
        hex_encode(mac, sizeof(mac), hash);
        t->codes[i] = text;
        hashes[i] = hash;
    }
    const struct db_val v[] = { user, db_texts(hashes, recovery_codes_max) };
    return rc ? rc : db_exec(tx, t->a, &sql_recovery_insert, v, ARRAY_LEN(v), &r, err);
}

static int use_recovery(struct db_tx *tx, struct attempt *t, struct err *err)
{
    struct db_rows *r;
    const struct db_val user = db_i64(t->user);
    const struct sha256_part part = { t->code, strlen(t->code) };
    char plain[sha256_hex_len + 1]; /* of codes of before there was a MAC */
    const char *found = NULL;
    if (part.n != recovery_code_len - 1)
        return 0;
    sha256_hex(t->code, part.n, plain);
    int rc = db_exec(tx, t->a, &sql_recovery_left, &user, 1, &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        unsigned char mac[sha256_bytes];
        bool right = hex_decode(db_str(r, i, 0), sha256_hex_len, mac) &&
                     keyring_verify(t->svc->keyring, recovery_purpose(t->a, t->user), &part, 1, mac,
                                    sizeof(mac));
        if (right || crypto_equal(db_str(r, i, 0), plain, sha256_hex_len))
            found = db_str(r, i, 0);
    }
    if (rc || !found)
        return rc;
    const struct db_val v[] = { user, db_text(found) };
    rc = db_exec(tx, t->a, &sql_recovery_use, v, ARRAY_LEN(v), &r, err);
    t->ok = !rc && db_affected(r);
    return rc || !t->ok ? rc : note(tx, t, "totp.recovery_used", true, err);
}

static int attempt_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct attempt *t = ctx;
    struct db_rows *r;
    const struct db_val user = db_i64(t->user);
    t->ok = false;
    int rc = db_exec(tx, t->a, &sql_totp_get, &user, 1, &r, err);
    t->found = !rc && db_nrows(r) && db_get_bool(r, 0, 2) != t->confirm;
    if (rc || !t->found)
        return rc;
    rc = crypto_open(t->svc->keyring, t->a, context(t->a, t->user), db_str(r, 0, 0), &t->secret,
                     &t->secret_n, err);
    if (rc)
        return rc;
    int64_t step = step_of(t->secret, t->secret_n, t->code, db_get_i64(r, 0, 1));
    const struct db_val v[] = { user, db_i64(step) };
    t->ok = step != 0;
    if (!t->ok)
        return t->confirm ? 0 : use_recovery(tx, t, err);
    rc = db_exec(tx, t->a, &sql_totp_step, v, ARRAY_LEN(v), &r, err);
    if (rc || !t->confirm)
        return rc;
    rc = put_codes(tx, t, err);
    return rc ? rc : note(tx, t, "totp.enabled", true, err);
}

static int attempt(struct attempt *t, struct err *err)
{
    const char *id = arena_printf(t->a, "%lld", (long long)t->user);
    int64_t n, wait;
    int rc = tries_take(t->svc, t->a, TRY_USER, id, &n, &wait, err);
    if (!rc && wait)
        rc = tries_refuse(wait, err);
    if (!rc)
        rc = db_tx(t->svc->db, t->a, attempt_tx, t, err);
    if (rc)
        return rc;
    if (t->ok) {
        outbox_wake(t->svc->outbox);
        return tries_forgive(t->svc, t->a, TRY_USER, id, err);
    }
    const struct audit entry = { .type = "totp.refused",
                                 .subject = arena_printf(t->a, "user:%s", id),
                                 .user_id = t->user };
    return audit_note(t->svc, t->a, &entry, t->why, err);
}

/* Who has given the password already is who acts, also before there is a session. */
static struct auth_cause cause_of(const struct req *req, int64_t user)
{
    struct auth_cause why = auth_cause_of(req);
    if (!req->who.user_id)
        why.actor = arena_printf(req->arena, "user:%lld", (long long)user);
    return why;
}

int totp_try(struct req *req, int64_t user, const char *code, bool *ret_ok, struct err *err)
{
    struct auth_cause why = cause_of(req, user);
    struct attempt t = { .svc = req->svc,
                         .a = req->arena,
                         .user = user,
                         .code = typed(req->arena, code ? code : ""),
                         .why = &why };
    int rc = attempt(&t, err);
    *ret_ok = t.ok;
    return rc;
}

int totp_confirm(struct req *req, int64_t user, const char *code, const char **ret_codes,
                 bool *ret_ok, struct err *err)
{
    struct auth_cause why = cause_of(req, user);
    struct attempt t = { .svc = req->svc,
                         .a = req->arena,
                         .user = user,
                         .code = typed(req->arena, code ? code : ""),
                         .why = &why,
                         .confirm = true,
                         .codes = ret_codes };
    int rc = attempt(&t, err);
    *ret_ok = t.ok;
    return rc;
}

static int pending_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct attempt *t = ctx;
    struct db_rows *r;
    const struct db_val user = db_i64(t->user);
    int rc = db_exec(tx, t->a, &sql_totp_get, &user, 1, &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r) || db_get_bool(r, 0, 2))
        return err_set(err, E_not_found, "No second factor is being set up.");
    return crypto_open(t->svc->keyring, t->a, context(t->a, t->user), db_str(r, 0, 0), &t->secret,
                       &t->secret_n, err);
}

int totp_pending(struct req *req, const struct person_known *who, const char **ret_secret,
                 const char **ret_uri, struct err *err)
{
    struct svc *svc = req->svc;
    struct arena *a = req->arena;
    int64_t user = who->id;
    struct attempt t = { .svc = svc, .a = a, .user = user };
    int rc = db_tx(svc->db, a, pending_tx, &t, err);
    if (rc)
        return rc;
    *ret_secret = totp_base32(a, t.secret, t.secret_n);
    *ret_uri = uri_of(svc, a, who->username, *ret_secret);
    return 0;
}

/* --- changes ------------------------------------------------------------------------------------
 */

static int codes_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct attempt *t = ctx;
    int rc = put_codes(tx, t, err);
    return rc ? rc : note(tx, t, "totp.recovery_renewed", true, err);
}

int totp_new_codes(struct svc *svc, struct arena *a, int64_t user, const struct auth_cause *why,
                   const char **ret_codes, struct err *err)
{
    struct attempt t = { .svc = svc, .a = a, .user = user, .why = why, .codes = ret_codes };
    int rc = db_tx(svc->db, a, codes_tx, &t, err);
    if (!rc)
        outbox_wake(svc->outbox);
    return rc;
}

static int disable_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct attempt *t = ctx;
    struct db_rows *r;
    const struct db_val user = db_i64(t->user);
    int rc = db_exec(tx, t->a, &sql_totp_drop, &user, 1, &r, err);
    t->found = !rc && db_affected(r);
    if (!rc)
        rc = db_exec(tx, t->a, &sql_recovery_drop, &user, 1, &r, err);
    return rc || !t->found ? rc : note(tx, t, "totp.disabled", true, err);
}

int totp_disable(struct svc *svc, struct arena *a, int64_t user, const struct auth_cause *why,
                 struct err *err)
{
    struct attempt t = { .svc = svc, .a = a, .user = user, .why = why };
    int rc = db_tx(svc->db, a, disable_tx, &t, err);
    if (!rc)
        outbox_wake(svc->outbox);
    return rc;
}
