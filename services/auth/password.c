/* Setting passwords: by the person, by a token from a mail, by invitation. */
#include "services/auth/password.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/outbox.h"
#include "common/kit/session.h"
#include "services/auth/audit.h"
#include "services/auth/login.h"
#include "services/auth/oauth.h"
#include "services/auth/tries.h"

#include "auth/sql.h"

static const char token_purpose[] = "password token";

/* --- people -------------------------------------------------------------------------------------
 */

static struct person_known person_of(const struct db_rows *r)
{
    return (struct person_known){ .id = db_get_i64(r, 0, 0),
                                  .role = role_find(db_str(r, 0, 1)),
                                  .active = db_get_bool(r, 0, 2),
                                  .username = db_str(r, 0, 3),
                                  .email = db_str(r, 0, 4),
                                  .display_name = db_str(r, 0, 5),
                                  .phc = db_str(r, 0, 6),
                                  .has_password = !db_is_null(r, 0, 6) };
}

int person_find(struct svc *svc, struct arena *a, int64_t id, struct person_known *ret,
                struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(id);
    int rc = db_query(svc->db, a, &sql_person_known, &v, 1, &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no user %lld.", (long long)id);
    *ret = person_of(r);
    return 0;
}

/* --- setting ------------------------------------------------------------------------------------
 */

struct hash {
    struct arena *a;
    const char *password;
    char *phc;
};

static void hash(void *ctx)
{
    struct hash *h = ctx;
    h->phc = password_hash(h->a, h->password);
}

struct put {
    struct svc *svc;
    struct arena *a;
    const struct password_set *s;
    const struct auth_cause *why;
    const char *phc;
    struct db_rows *ended;
};

static int put_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct put *p = ctx;
    const struct password_set *s = p->s;
    struct db_rows *r;
    int rc = 0;
    const struct db_val token = db_text(s->token_hash), user = db_i64(s->who->id);
    const struct db_val credential[] = { user, db_text(p->phc) },
                        sessions[] = { user, db_i64(s->keep) };
    if (s->token_hash) {
        rc = db_exec(tx, p->a, &sql_password_token_use, &token, 1, &r, err);
        if (!rc && !db_affected(r))
            rc = err_set(err, E_conflict, "This link was used before, or is over.");
    }
    if (!rc)
        rc = db_exec(tx, p->a, &sql_credential_put, credential, 2, &r, err);
    if (!rc)
        rc = db_exec(tx, p->a, &sql_password_tokens_use, &user, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, p->a, &sql_sessions_end, sessions, 2, &p->ended, err);
    const struct audit entry = { .type = s->type,
                                 .subject = arena_printf(p->a, "user:%lld", (long long)s->who->id),
                                 .user_id = s->who->id,
                                 .event = true };
    return rc ? rc : audit_put(tx, p->a, &entry, p->why, err);
}

void sessions_deny(struct svc *svc, struct arena *a, const struct db_rows *rows)
{
    size_t n = db_nrows(rows);
    int64_t *ids = arena_alloc(a, (n + 1) * sizeof(*ids));
    struct err err = { 0 };
    for (size_t i = 0; i < n; i++)
        ids[i] = db_get_i64(rows, i, 0);
    /* Programs that cannot read Redis either ask for sessions twice a second. */
    if (auth_deny_all(svc, a, "session", ids, n, &err))
        log_warn("auth.sessions_end_late", kv_i("sessions", (int64_t)n), kv_s("why", err.msg));
}

int password_put(struct svc *svc, struct arena *a, const struct password_set *s,
                 const struct auth_cause *why, struct err *err)
{
    const char *const names[] = { s->who->username, s->who->email ? s->who->email : "",
                                  s->who->display_name, NULL };
    const char *fault = password_fault(s->password, auth_conf_of(svc)->password_min, names);
    if (fault)
        return err_at(err, E_validation, "/password", "%s", fault);
    struct hash h = { .a = a, .password = s->password };
    int rc = worker_run(svc->workers, hash, &h, err);
    struct put p = { .svc = svc, .a = a, .s = s, .why = why, .phc = h.phc };
    if (!rc)
        rc = db_tx(svc->db, a, put_tx, &p, err);
    if (rc)
        return rc;
    outbox_wake(svc->outbox);
    sessions_deny(svc, a, p.ended);
    rc = tries_forgive(svc, a, TRY_NAME, s->who->username, err);
    if (!rc && s->who->email)
        rc = tries_forgive(svc, a, TRY_NAME, s->who->email, err);
    return rc;
}

/* --- proving ------------------------------------------------------------------------------------
 */

struct compare {
    const char *phc, *password;
    bool same;
};

static void compare(void *ctx)
{
    struct compare *c = ctx;
    c->same = password_matches(c->phc, c->password);
}

int password_prove(struct req *req, const struct person_known *who, const char *password,
                   const char *pointer, struct err *err)
{
    struct svc *svc = req->svc;
    struct arena *a = req->arena;
    struct auth_cause why = auth_cause_of(req);
    const char *id = arena_printf(a, "%lld", (long long)who->id);
    struct compare c = { .phc = who->phc, .password = password };
    int64_t n, wait;
    int rc = tries_take(svc, a, TRY_USER, id, &n, &wait, err);
    if (!rc && wait)
        rc = tries_refuse(wait, err);
    if (!rc && who->phc && password && strlen(password) <= login_password_max)
        rc = worker_run(svc->workers, compare, &c, err);
    if (rc)
        return rc;
    if (c.same)
        return tries_forgive(svc, a, TRY_USER, id, err);
    const struct audit entry = { .type = "password.refused",
                                 .subject = arena_printf(a, "user:%s", id),
                                 .user_id = who->id };
    rc = audit_note(svc, a, &entry, &why, err);
    return rc ? rc : err_at(err, E_forbidden, pointer, "The password is wrong.");
}

/* --- tokens and mail ----------------------------------------------------------------------------
 */

static const struct {
    const char *name, *template, *type;
    int64_t life_s;
} purposes[] = {
    [PASSWORD_INVITATION] = { "invitation", "invitation",     "user.invited",             invitation_life_s },
    [PASSWORD_RESET] = { "reset",      "password_reset", "password.reset_requested", reset_life_s      },
};

static int put_mail(struct db_tx *tx, const struct password_mail *m, const struct auth_cause *why,
                    struct err *err)
{
    char until[rfc3339_len + 1];
    rfc3339_format(clock_us() + purposes[m->purpose].life_s * 1000000, until);
    json_t *o = json_pack(
        "{s:s,s:s,s:{s:s,s:s,s:s,s:s},s:{s:s}}", "template", purposes[m->purpose].template, "to",
        m->who->email, "data", "username", m->who->username, "display_name", m->who->display_name,
        "expires_at", until, "site", m->svc->conf->public_url, "sealed", "url",
        crypto_seal(m->svc->keyring, m->a, "mail.commands", m->url, strlen(m->url)));
    const struct outbox_event e = {
        .type = "mail.send",
        .key = arena_printf(m->a, "user:%lld", (long long)m->who->id),
        .payload = json_text(m->a, json_in(m->a, o)),
        .traceparent = why->traceparent,
        .request_id = why->request_id,
        .actor = why->actor,
    };
    return outbox_put(tx, m->a, &e, NULL, err);
}

int password_mail(struct db_tx *tx, struct password_mail *m, const struct auth_cause *why,
                  struct err *err)
{
    char token[password_token_max], hash_hex[sha256_hex_len + 1];
    struct db_rows *r;
    signed_make(m->svc->keyring, token_purpose, token, hash_hex);
    const struct db_val v[] = { db_text(hash_hex), db_i64(m->who->id),
                                db_text(purposes[m->purpose].name),
                                db_i64(purposes[m->purpose].life_s) };
    m->url = arena_printf(m->a, "%s/oauth/password?token=%s", m->svc->conf->public_url, token);
    int rc = db_exec(tx, m->a, &sql_password_token_insert, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = put_mail(tx, m, why, err);
    const struct audit entry = { .type = purposes[m->purpose].type,
                                 .subject = arena_printf(m->a, "user:%lld", (long long)m->who->id),
                                 .user_id = m->who->id,
                                 .event = true };
    return rc ? rc : audit_put(tx, m->a, &entry, why, err);
}

int password_token_find(struct svc *svc, struct arena *a, const char *token,
                        struct person_known *ret, char ret_hash[65], struct err *err)
{
    struct db_rows *r;
    *ret = (struct person_known){ .id = 0 };
    if (!token || !signed_ok(svc->keyring, token_purpose, token))
        return 0;
    sha256_hex(token, strlen(token), ret_hash);
    const struct db_val v = db_text(ret_hash);
    int rc = db_query(svc->db, a, &sql_person_by_token, &v, 1, &r, err);
    if (!rc && db_nrows(r))
        *ret = person_of(r);
    return rc;
}

/* --- asking for a mail --------------------------------------------------------------------------
 */

enum { ask_pause_ms = 100 };

int password_ask(struct req *req, const char *name, struct err *err)
{
    struct auth_cause why = auth_cause_of(req);
    struct db_rows *r;
    int64_t n, wait;
    const char *network = audit_network(req->arena, req->client_addr);
    int rc = tries_take(req->svc, req->arena, TRY_NETWORK, network, &n, &wait, err);
    if (!rc && !wait)
        rc = tries_take(req->svc, req->arena, TRY_MAIL, name, &n, &wait, err);
    if (!rc && wait)
        rc = tries_refuse(wait, err);
    if (rc)
        return rc;
    const struct db_val v[] = { db_text(name), db_text(why.address), db_text(why.agent),
                                db_text(req->request_id) };
    return db_query(req->svc->db, req->arena, &sql_password_ask_insert, v, ARRAY_LEN(v), &r, err);
}

struct ask {
    struct svc *svc;
    struct arena *a;
    bool any;
};

static int ask_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct ask *k = ctx;
    struct db_rows *r, *p;
    int rc = db_exec(tx, k->a, &sql_password_ask_take, NULL, 0, &r, err);
    k->any = !rc && db_nrows(r);
    if (!k->any)
        return rc;
    const struct auth_cause why = { .actor = "anonymous",
                                    .request_id = db_str(r, 0, 3),
                                    .address = db_str(r, 0, 1),
                                    .agent = db_str(r, 0, 2) };
    const struct db_val name = db_text(db_str(r, 0, 0));
    rc = db_exec(tx, k->a, &sql_person_by_name, &name, 1, &p, err);
    if (rc || !db_nrows(p))
        return rc;
    const struct person_known who = person_of(p);
    struct password_mail m = { .svc = k->svc,
                               .a = k->a,
                               .who = &who,
                               .purpose = who.has_password ? PASSWORD_RESET : PASSWORD_INVITATION };
    return who.email ? password_mail(tx, &m, &why, err) : 0;
}

void password_job(struct svc *svc)
{
    struct ask k = { .svc = svc, .a = arena_new() };
    while (!svc_stopping(svc)) {
        struct err err = { 0 };
        int rc = db_tx(svc->db, k.a, ask_tx, &k, &err);
        if (rc)
            log_debug("auth.password_ask", kv_s("why", err.msg), kv_s("detail", err.detail));
        else if (k.any)
            outbox_wake(svc->outbox);
        arena_reset(k.a);
        if ((rc || !k.any) && svc_pause(svc, ask_pause_ms))
            break;
    }
    arena_free(k.a);
}
