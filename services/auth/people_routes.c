/* /api/v2/auth/users/{id}: what administrators do about how a person signs in.  Who the person is,
 * role and status, is api's (/api/v2/users). */
#include "services/auth/audit.h"
#include "services/auth/fields.h"
#include "services/auth/oauth.h"
#include "services/auth/password.h"
#include "services/auth/policy.h"
#include "services/auth/totp.h"
#include "services/auth/tries.h"

#include "common/base/clock.h"
#include "common/kit/outbox.h"

#include "auth/sql.h"

static int find(struct req *req, struct person_known *ret, struct err *err)
{
    int64_t id;
    int rc = req_id(req, 0, &id, err);
    return rc ? rc : person_find(req->svc, req->arena, id, ret, err);
}

static int answer(struct req *req, struct res *res, const struct person_known *who, struct err *err)
{
    struct totp_info second;
    int64_t by_name, by_mail = 0;
    bool required = false;
    char until[rfc3339_len + 1];
    int rc = totp_look(req->svc, req->arena, who->id, &second, err);
    if (!rc)
        rc = tries_locked(req->svc, req->arena, TRY_NAME, who->username, &by_name, err);
    if (!rc && who->email)
        rc = tries_locked(req->svc, req->arena, TRY_NAME, who->email, &by_mail, err);
    if (!rc)
        rc = policy_needs_totp(req->svc, req->arena, who->role, &required, err);
    if (rc)
        return rc;
    int64_t wait = by_name > by_mail ? by_name : by_mail;
    rfc3339_format(req->now_us + wait * 1000000, until);
    res_json(res, json_in(req->arena,
                          json_pack("{s:I,s:b,s:b,s:b,s:I,s:s?}", "id", (json_int_t)who->id,
                                    "has_password", who->has_password, "second_factor",
                                    second.state == TOTP_ON, "second_factor_required", required,
                                    "recovery_codes_left", (json_int_t)second.recovery_left,
                                    "locked_until", wait ? until : NULL)));
    res->cache_control = "no-store";
    return 0;
}

static int get(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    int rc = find(req, &who, err);
    return rc ? rc : answer(req, res, &who, err);
}

/* --- mails --------------------------------------------------------------------------------------
 */

struct send {
    struct req *req;
    struct password_mail mail;
    struct db_rows *ended;
};

static struct send send_of(struct req *req, const struct person_known *who,
                           enum password_purpose purpose)
{
    return (struct send){
        .req = req,
        .mail = { .svc = req->svc, .a = req->arena, .who = who, .purpose = purpose },
    };
}

/* An administrator's reset voids the password at once: it may be known to somebody. */
static int void_password(struct db_tx *tx, struct send *s, const struct auth_cause *why,
                         struct err *err)
{
    struct arena *a = s->req->arena;
    struct db_rows *r;
    const struct db_val v[] = { db_i64(s->mail.who->id), db_i64(0) };
    const struct audit entry = { .type = "password.revoked",
                                 .subject =
                                     arena_printf(a, "user:%lld", (long long)s->mail.who->id),
                                 .user_id = s->mail.who->id,
                                 .event = true };
    int rc = db_exec(tx, a, &sql_credential_drop, v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_password_tokens_use, v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_sessions_end, v, 2, &s->ended, err);
    return rc ? rc : audit_put(tx, a, &entry, why, err);
}

static int send_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct send *s = ctx;
    struct auth_cause why = auth_cause_of(s->req);
    int rc = s->mail.purpose == PASSWORD_RESET ? void_password(tx, s, &why, err) : 0;
    return rc ? rc : password_mail(tx, &s->mail, &why, err);
}

static int send_mail(struct req *req, struct send *s, struct err *err)
{
    if (!s->mail.who->active)
        return err_set(err, E_conflict, "The user is suspended.");
    if (!s->mail.who->email)
        return err_set(err, E_conflict, "The user has no e-mail address.");
    int rc = db_tx(req->svc->db, req->arena, send_tx, s, err);
    if (rc)
        return rc;
    outbox_wake(req->svc->outbox);
    if (s->ended)
        sessions_deny(req->svc, req->arena, s->ended);
    return 0;
}

static int invite(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct send s = send_of(req, &who, PASSWORD_INVITATION);
    char until[rfc3339_len + 1];
    int rc = find(req, &who, err);
    if (!rc && who.has_password)
        rc = err_set(err, E_conflict, "The user has a password already.");
    if (!rc)
        rc = send_mail(req, &s, err);
    if (rc)
        return rc;
    rfc3339_format(req->now_us + invitation_life_s * 1000000LL, until);
    res_json(res,
             json_in(req->arena, json_pack("{s:s,s:s}", "url", s.mail.url, "expires_at", until)));
    res->cache_control = "no-store";
    return 0;
}

static int reset(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct send s = send_of(req, &who, PASSWORD_RESET);
    int rc = find(req, &who, err);
    if (!rc)
        rc = send_mail(req, &s, err);
    if (!rc)
        res->status = 204;
    return rc;
}

/* --- lock-outs and second factors ---------------------------------------------------------------
 */

static int unlock(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct auth_cause why = auth_cause_of(req);
    struct arena *a = req->arena;
    int rc = find(req, &who, err);
    if (rc)
        return rc;
    const char *id = arena_printf(a, "%lld", (long long)who.id);
    const struct audit entry = { .type = "login.unlocked",
                                 .subject = arena_printf(a, "user:%s", id),
                                 .user_id = who.id,
                                 .event = true };
    rc = tries_forgive(req->svc, a, TRY_NAME, who.username, err);
    if (!rc && who.email)
        rc = tries_forgive(req->svc, a, TRY_NAME, who.email, err);
    if (!rc)
        rc = tries_forgive(req->svc, a, TRY_USER, id, err);
    if (!rc)
        rc = audit_note(req->svc, a, &entry, &why, err);
    if (!rc)
        res->status = 204;
    return rc;
}

static int drop_totp(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct auth_cause why = auth_cause_of(req);
    int rc = find(req, &who, err);
    if (!rc)
        rc = totp_disable(req->svc, req->arena, who.id, &why, err);
    if (!rc)
        res->status = 204;
    return rc;
}

/* --- routes -------------------------------------------------------------------------------------
 */

static const struct field_def access_fields[] = {
    { .name = "id",
     .type = F_ID,
     .flags = FF_NONNULL,
     .min = 1,
     .max = (INT64_C(1) << 53) - 1,
     .example = "7",
     .doc = "Number of the user." },
    BODY_BOOL("has_password", "Whether they can sign in."),
    BODY_BOOL("second_factor", "Whether a second factor is in force."),
    BODY_BOOL("second_factor_required", "Whether their role needs one (CMS365_TOTP_ROLES)."),
    BODY_INT("recovery_codes_left", 10, "10", "Recovery codes that were not used."),
    BODY_TIME("locked_until", "End of a lock-out after wrong passwords; null: there is none."),
    { .name = NULL },
};
static const struct field_def invited_fields[] = {
    BODY_TEXT("url", FF_NONNULL, 400, "https://cms.example.com/oauth/password?token=…",
              "The link that was mailed: shown here and never again."),
    BODY_TIME("expires_at", "Until when it is good."),
    { .name = NULL },
};
static const struct shape access_shape = { .name = "UserAccess",
                                           .doc = "How a person signs in.",
                                           .fields = access_fields },
                          invited_shape = { .name = "UserInvited",
                                            .doc = "The link to choose a first password with.",
                                            .fields = invited_fields };
static const int get_errors[] = { 404, 0 }, send_errors[] = { 404, 409, 0 };
#define USER "/api/v2/auth/users/{id}"
const struct route auth_people_routes[] = {
    { GET, USER, get, .scope = "api:admin", .out = &access_shape, .flags = ROUTE_NO_BODY,
     .errors = get_errors, .cost = 1, .op_id = "get_user_access",
     .doc = "How a person signs in, and whether they are locked out." },
    { POST, USER "/invite", invite, .scope = "api:admin", .out = &invited_shape,
     .flags = ROUTE_NO_BODY, .errors = send_errors, .cost = 5, .op_id = "invite_user",
     .doc = "Mail a person without a password a link to choose one; the answer shows it too." },
    { POST, USER "/reset-password", reset, .scope = "api:admin", .flags = ROUTE_NO_BODY,
     .errors = send_errors, .cost = 5, .status = 204, .op_id = "reset_user_password",
     .doc = "Void a person's password, end their sessions, and mail a link to choose another." },
    { POST, USER "/unlock", unlock, .scope = "api:admin", .flags = ROUTE_NO_BODY,
     .errors = get_errors, .cost = 2, .status = 204, .op_id = "unlock_user",
     .doc = "Take back the lock-out after wrong passwords." },
    { DELETE, USER "/totp", drop_totp, .scope = "api:admin", .flags = ROUTE_NO_BODY,
     .errors = get_errors, .cost = 2, .status = 204, .op_id = "delete_user_totp",
     .doc = "Take away the second factor of a person who lost theirs." },
    { .path = NULL },
};
