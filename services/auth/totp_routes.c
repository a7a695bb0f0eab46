/* /api/v2/auth/totp: a person's own second factor. */
#include "services/auth/fields.h"
#include "services/auth/login.h"
#include "services/auth/password.h"
#include "services/auth/policy.h"
#include "services/auth/totp.h"

#include "common/io/qr.h"
#include "common/kit/shape.h"

static const struct field_def begin_fields[] = {
    BODY_TEXT("password", FF_REQUIRED, login_password_max, "correct horse battery",
              "Your password."),
    { .name = NULL },
};
static const struct field_def code_fields[] = {
    BODY_TEXT("code", FF_REQUIRED, totp_code_max, "123456", "What your app shows."),
    { .name = NULL },
};
static const struct field_def disable_fields[] = {
    BODY_TEXT("password", FF_REQUIRED, login_password_max, "correct horse battery",
              "Your password."),
    BODY_TEXT("code", FF_REQUIRED, totp_code_max, "123456",
              "What your app shows, or a recovery code."),
    { .name = NULL },
};
static const struct field_def info_fields[] = {
    BODY_BOOL("enabled", "Whether it is in force."),
    BODY_BOOL("required", "Whether your role needs it."),
    BODY_TIME("confirmed_at", "Since when it is in force; null: it is not."),
    BODY_INT("recovery_codes_left", 10, "10", "Recovery codes that were not used."),
    { .name = NULL },
};
static const struct field_def begun_fields[] = {
    BODY_TEXT("secret", FF_NONNULL, 64, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
              "For your app, base32: shown here and never again."),
    BODY_TEXT("uri", FF_NONNULL, 1024, "otpauth://totp/cms.example.com:erika?secret=…",
              "The same as apps read it from a QR code."),
    BODY_TEXT("qr", FF_NONNULL, qr_svg_max, "<svg …>", "That code, as an SVG picture."),
    { .name = NULL },
};
static const struct field_def codes_fields[] = {
    { .name = "recovery_codes",
     .type = F_TEXTS,
     .flags = FF_NONNULL,
     .format = FMT_LINE,
     .max = recovery_code_len,
     .items_max = recovery_codes_max,
     .example = "[\"7h2kq-9xw4m\"]",
     .doc = "Each opens the account once in place of a code: shown here and never again." },
    { .name = NULL },
};
#define SHAPE(what, title, about)                                                                  \
    static const struct shape what##_shape = { .name = (title),                                    \
                                               .doc = (about),                                     \
                                               .fields = what##_fields }
SHAPE(begin, "TotpBegin", "Proof that it is you.");
SHAPE(code, "TotpCode", "A one-time password.");
SHAPE(disable, "TotpDisable", "Proof that it is you, by both factors.");
SHAPE(info, "Totp", "Your second factor.");
SHAPE(begun, "TotpBegun", "A second factor that is not in force yet.");
SHAPE(codes, "RecoveryCodes", "What to sign in with when the device is lost.");

/* The person who asks, and the body. */
static int begin_call(struct req *req, struct res *res, struct person_known *who,
                      struct shape_row *row, struct err *err)
{
    if (!req->who.user_id || req->who.client_id)
        return err_set(err, E_forbidden, "Only a person's own session or key may do this.");
    if (row) {
        shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, false, req->body, row);
        res->faults = row->faults;
        int rc = shape_check(row, err);
        if (rc)
            return rc;
    }
    res->cache_control = "no-store";
    return person_find(req->svc, req->arena, req->who.user_id, who, err);
}

static int info(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct totp_info i;
    bool required;
    int rc = begin_call(req, res, &who, NULL, err);
    if (!rc)
        rc = totp_look(req->svc, req->arena, who.id, &i, err);
    if (!rc)
        rc = policy_needs_totp(req->svc, req->arena, who.role, &required, err);
    if (rc)
        return rc;
    res_json(res,
             json_in(req->arena, json_pack("{s:b,s:b,s:s?,s:I}", "enabled", i.state == TOTP_ON,
                                           "required", required, "confirmed_at", i.confirmed_at,
                                           "recovery_codes_left", (json_int_t)i.recovery_left)));
    return 0;
}

static int begin(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct shape_row row;
    const char *secret, *uri;
    int rc = begin_call(req, res, &who, &row, err);
    if (!rc)
        rc = password_prove(req, &who, shape_text(&row, "password"), "/password", err);
    if (!rc)
        rc = totp_begin(req, &who, &secret, &uri, err);
    if (rc)
        return rc;
    res_json(res, json_in(req->arena, json_pack("{s:s,s:s,s:s}", "secret", secret, "uri", uri, "qr",
                                                qr_svg(req->arena, uri, ""))));
    return 0;
}

static void answer_codes(struct req *req, struct res *res, const char *const *codes)
{
    json_t *list = json_array();
    for (size_t i = 0; i < recovery_codes_max; i++)
        json_array_append_new(list, json_string(codes[i]));
    res_json(res, json_in(req->arena, json_pack("{s:o}", "recovery_codes", list)));
}

static int wrong_code(struct err *err)
{
    return err_at(err, E_forbidden, "/code", "The code is wrong, or was used before.");
}

static int confirm(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct shape_row row;
    struct totp_info i;
    const char *codes[recovery_codes_max];
    bool ok;
    int rc = begin_call(req, res, &who, &row, err);
    if (!rc)
        rc = totp_look(req->svc, req->arena, who.id, &i, err);
    if (!rc && i.state != TOTP_PENDING)
        rc = err_set(err, E_conflict, "No second factor is being set up.");
    if (!rc)
        rc = totp_confirm(req, who.id, shape_text(&row, "code"), codes, &ok, err);
    if (!rc && !ok)
        rc = wrong_code(err);
    if (!rc)
        answer_codes(req, res, codes);
    return rc;
}

/* Both factors are in force and the code is right. */
static int prove(struct req *req, const struct person_known *who, const struct shape_row *row,
                 struct err *err)
{
    struct totp_info i;
    bool ok;
    int rc = totp_look(req->svc, req->arena, who->id, &i, err);
    if (!rc && i.state != TOTP_ON)
        rc = err_set(err, E_conflict, "No second factor is in force.");
    if (!rc)
        rc = totp_try(req, who->id, shape_text(row, "code"), &ok, err);
    return rc || ok ? rc : wrong_code(err);
}

static int renew(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct shape_row row;
    struct auth_cause why = auth_cause_of(req);
    const char *codes[recovery_codes_max];
    int rc = begin_call(req, res, &who, &row, err);
    if (!rc)
        rc = prove(req, &who, &row, err);
    if (!rc)
        rc = totp_new_codes(req->svc, req->arena, who.id, &why, codes, err);
    if (!rc)
        answer_codes(req, res, codes);
    return rc;
}

static int disable(struct req *req, struct res *res, struct err *err)
{
    struct person_known who;
    struct shape_row row;
    struct auth_cause why = auth_cause_of(req);
    int rc = begin_call(req, res, &who, &row, err);
    if (!rc)
        rc = password_prove(req, &who, shape_text(&row, "password"), "/password", err);
    if (!rc)
        rc = prove(req, &who, &row, err);
    if (!rc)
        rc = totp_disable(req->svc, req->arena, who.id, &why, err);
    if (!rc)
        res->status = 204;
    return rc;
}

#define TOTP "/api/v2/auth/totp"
static const int info_errors[] = { 403, 0 }, change_errors[] = { 403, 409, 415, 422, 429, 0 };
const struct route auth_totp_routes[] = {
    { GET, TOTP, info, .out = &info_shape, .flags = ROUTE_NO_BODY, .errors = info_errors, .cost = 1,
     .op_id = "get_totp", .doc = "Your second factor." },
    { POST, TOTP, begin, .in = &begin_shape, .out = &begun_shape, .errors = change_errors,
     .cost = 5, .op_id = "begin_totp",
     .doc = "Begin to set up a second factor: the secret for your app.  Not in force before it is "
             "confirmed." },
    { POST, TOTP "/confirm", confirm, .in = &code_shape, .out = &codes_shape,
     .errors = change_errors, .cost = 5, .op_id = "confirm_totp",
     .doc = "Put it in force with a first code; the answer has recovery codes, once." },
    { POST, TOTP "/recovery-codes", renew, .in = &code_shape, .out = &codes_shape,
     .errors = change_errors, .cost = 5, .op_id = "renew_recovery_codes",
     .doc = "New recovery codes; those before are void." },
    { POST, TOTP "/disable", disable, .in = &disable_shape, .errors = change_errors, .cost = 5,
     .status = 204, .op_id = "disable_totp", .doc = "Sign in without a second factor again." },
    { .path = NULL },
};
