/* Passwords over HTTP, and the pages for who has none or lost it. */
#include "common/kit/limit.h"
#include "common/kit/page.h"
#include "services/auth/audit.h"
#include "services/auth/fields.h"
#include "services/auth/login.h"
#include "services/auth/oauth.h"
#include "services/auth/password.h"

#include "common/base/str.h"
#include "common/kit/shape.h"

/* --- bodies -------------------------------------------------------------------------------------
 */

static const struct field_def change_fields[] = {
    BODY_TEXT("old_password", FF_REQUIRED, login_password_max, "correct horse battery",
              "The present one."),
    BODY_TEXT("new_password", FF_REQUIRED, login_password_max, "a longer and better one",
              "The next one."),
    { .name = NULL },
};
static const struct field_def forgot_fields[] = {
    BODY_TEXT("username", FF_REQUIRED, login_name_max, "erika@example.com",
              "User name or e-mail address."),
    { .name = NULL },
};
static const struct field_def reset_fields[] = {
    BODY_TEXT("token", FF_REQUIRED, password_token_max, "Zm9v…", "From the link in the mail."),
    BODY_TEXT("password", FF_REQUIRED, login_password_max, "a longer and better one",
              "The new password."),
    { .name = NULL },
};
static const struct shape change_body = { .name = "PasswordChange",
                                          .doc = "The present password and the next.",
                                          .fields = change_fields },
                          forgot_body = { .name = "PasswordForgotten",
                                          .doc = "Who does not know their password.",
                                          .fields = forgot_fields },
                          reset_body = { .name = "PasswordReset",
                                         .doc = "A link's token, and the password to set.",
                                         .fields = reset_fields };

static int read_body(struct req *req, struct res *res, struct shape_row *row, struct err *err)
{
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, false, req->body, row);
    res->faults = row->faults;
    return shape_check(row, err);
}

/* --- the API ------------------------------------------------------------------------------------
 */

/* A client acts for a person, but is not that person. */
static int need_person(const struct req *req, struct err *err)
{
    return req->who.user_id && !req->who.client_id
               ? 0
               : err_set(err, E_forbidden, "Only a person's own session or key may do this.");
}

static int change(struct req *req, struct res *res, struct err *err)
{
    struct shape_row row;
    struct person_known who;
    struct auth_cause why = auth_cause_of(req);
    int rc = need_person(req, err);
    if (!rc)
        rc = read_body(req, res, &row, err);
    if (!rc)
        rc = person_find(req->svc, req->arena, req->who.user_id, &who, err);
    if (!rc)
        rc = password_prove(req, &who, shape_text(&row, "old_password"), "/old_password", err);
    const struct password_set s = { .who = &who,
                                    .password = rc ? "" : shape_text(&row, "new_password"),
                                    .type = "password.changed",
                                    .keep = req->who.session_id };
    if (!rc)
        rc = password_put(req->svc, req->arena, &s, &why, err);
    if (rc == -E_validation && str_eq(err->pointer, "/password"))
        snprintf(err->pointer, sizeof(err->pointer), "/new_password");
    if (!rc)
        res->status = 204;
    return rc;
}

static int forgot(struct req *req, struct res *res, struct err *err)
{
    struct shape_row row;
    int rc = read_body(req, res, &row, err);
    if (!rc)
        rc = password_ask(req, shape_text(&row, "username"), err);
    if (!rc)
        res->status = 204;
    return rc;
}

static int set_by_token(struct req *req, const char *token, const char *password, bool *ret_known,
                        struct err *err)
{
    char hash[65];
    struct person_known who;
    struct auth_cause why = auth_cause_of(req);
    int rc = password_token_find(req->svc, req->arena, token, &who, hash, err);
    *ret_known = !rc && who.id;
    if (!*ret_known)
        return rc;
    why.actor = arena_printf(req->arena, "user:%lld", (long long)who.id);
    const struct password_set s = {
        .who = &who, .password = password, .type = "password.reset", .token_hash = hash
    };
    return password_put(req->svc, req->arena, &s, &why, err);
}

static int reset(struct req *req, struct res *res, struct err *err)
{
    struct shape_row row;
    bool known;
    int rc = read_body(req, res, &row, err);
    if (!rc)
        rc =
            set_by_token(req, shape_text(&row, "token"), shape_text(&row, "password"), &known, err);
    if (!rc && !known)
        rc = err_at(err, E_validation, "/token", "The link was used before, or is over.");
    if (!rc)
        res->status = 204;
    return rc;
}

/* --- pages --------------------------------------------------------------------------------------
 */

static int forgot_page(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    const char *csrf = csrf_token(req, res, "forgot");
    struct page p = page_begin(req, res, 200, "Choose another password", NULL);
    page_raw(&p, "<p>You will get a mail with a link.</p>"
                 "<form method=\"post\" action=\"/oauth/forgot\">");
    page_hidden(&p, "csrf", csrf);
    page_raw(&p, "<label for=\"username\">User name or e-mail address</label>"
                 "<input type=\"text\" id=\"username\" name=\"username\" autocomplete=\"username\" "
                 "autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"254\" required "
                 "autofocus><button type=\"submit\">Send the mail</button></form>");
    page_end(&p);
    return 0;
}

static int message_page(struct req *req, struct res *res, int status, const char *title,
                        const char *text)
{
    struct page p = page_begin(req, res, status, title, NULL);
    page_raw(&p, status < 400 ? "<p role=\"status\">" : "<p class=\"alert\" role=\"alert\">");
    page_text(&p, text);
    page_raw(&p, "</p>");
    page_end(&p);
    return 0;
}

/* A form of these pages, or an answer that says why not (*ret_ours false). */
static int posted(struct req *req, struct res *res, const char *purpose, struct form *form,
                  bool *ret_ours, struct err *err)
{
    struct fault f = { .error = NULL };
    *ret_ours = false;
    int rc = oauth_form(req, form, &f, err);
    if (rc == -E_invalid)
        return page_error(req, res, f.status, f.text);
    const char *token = form_get(form, "csrf");
    *ret_ours = !rc && token && csrf_ok(req, purpose, token);
    return rc || *ret_ours
               ? rc
               : page_error(req, res, 403, "The form did not come from this site's page.");
}

static int too_many(struct req *req, struct res *res, const struct err *err)
{
    int rc = message_page(req, res, 429, "Not now",
                          "There were too many tries. Wait a while before the next one.");
    res_header(res, "Retry-After", arena_printf(req->arena, "%u", err->retry_after_s));
    return rc;
}

static int forgot_posted(struct req *req, struct res *res, struct err *err)
{
    struct form form;
    bool ours;
    int rc = posted(req, res, "forgot", &form, &ours, err);
    if (rc || !ours)
        return rc;
    const char *name = form_get(&form, "username");
    if (!name || strlen(name) > login_name_max || !str_utf8_ok(name, strlen(name)))
        return page_error(req, res, 400, "A user name or an e-mail address is needed.");
    rc = password_ask(req, name, err);
    if (rc)
        return rc == -E_rate_limited ? too_many(req, res, err) : rc;
    return message_page(req, res, 200, "Look at your mail",
                        "If there is an account with that name or address, a link is on its way. "
                        "It is good for an hour.");
}

static int choose_page(struct req *req, struct res *res, const char *token, const char *fault,
                       struct err *err)
{
    char hash[65];
    struct person_known who;
    int rc = password_token_find(req->svc, req->arena, token, &who, hash, err);
    if (rc)
        return rc;
    if (!who.id)
        return message_page(req, res, 400, "This does not work",
                            "The link was used before, or is over. Ask for another one.");
    const char *csrf = csrf_token(req, res, "password");
    struct page p = page_begin(req, res, fault ? 422 : 200, "Choose a password", NULL);
    page_raw(&p, "<p>for <strong>");
    page_text(&p, who.username);
    page_raw(&p, "</strong></p>");
    if (fault) {
        page_raw(&p, "<p class=\"alert\" role=\"alert\" id=\"wrong\">");
        page_text(&p, fault);
        page_raw(&p, "</p>");
    }
    page_raw(&p, "<form method=\"post\" action=\"/oauth/password\">");
    page_hidden(&p, "csrf", csrf);
    page_hidden(&p, "token", token);
    /* Password managers learn from this to whom it belongs. */
    page_raw(&p,
             "<input type=\"text\" name=\"username\" autocomplete=\"username\" hidden value=\"");
    page_text(&p, who.username);
    page_raw(&p, "\"><label for=\"new\">New password</label>"
                 "<input type=\"password\" id=\"new\" name=\"password\" "
                 "autocomplete=\"new-password\" aria-describedby=\"rule");
    page_raw(&p, fault ? " wrong\" required autofocus>" : "\" required autofocus>");
    page_text(&p, "");
    buf_printf(&res->body,
               "<p id=\"rule\"><small>At least %lld characters; a few words are fine."
               "</small></p><button type=\"submit\">Set the password</button></form>",
               (long long)auth_conf_of(req->svc)->password_min);
    page_end(&p);
    return 0;
}

static int choose(struct req *req, struct res *res, struct err *err)
{
    struct form query;
    if (!form_parse(req->arena, req->raw_query, strlen(req->raw_query), &query))
        return page_error(req, res, 400, "The request cannot be read.");
    return choose_page(req, res, form_get(&query, "token"), NULL, err);
}

static int chosen(struct req *req, struct res *res, struct err *err)
{
    struct form form;
    bool ours, known;
    int rc = posted(req, res, "password", &form, &ours, err);
    if (rc || !ours)
        return rc;
    const char *token = form_get(&form, "token"), *password = form_get(&form, "password");
    rc = set_by_token(req, token, password ? password : "", &known, err);
    if (rc == -E_validation)
        return choose_page(req, res, token, arena_strdup(req->arena, err->msg), err);
    if (rc == -E_conflict || (!rc && !known))
        return message_page(req, res, 400, "This does not work",
                            "The link was used before, or is over. Ask for another one.");
    if (rc)
        return rc;
    struct page p = page_begin(req, res, 200, "Your password is set", NULL);
    page_raw(&p, "<p role=\"status\">You are signed out everywhere.</p>"
                 "<p><a href=\"/oauth/session/start\">Sign in</a></p>");
    page_end(&p);
    return 0;
}

/* --- routes -------------------------------------------------------------------------------------
 */

static const int change_errors[] = { 403, 415, 422, 429, 0 },
                 forgot_errors[] = { 415, 422, 429, 0 }, reset_errors[] = { 409, 415, 422, 0 },
                 page_errors[] = { 400, 0 }, form_errors[] = { 400, 403, 422, 429, 0 };
enum {
    pages = ROUTE_PUBLIC | ROUTE_FOREIGN | ROUTE_NO_BODY,
    forms = ROUTE_PUBLIC | ROUTE_FOREIGN | ROUTE_RAW_BODY
};
const struct route auth_password_routes[] = {
    { PUT, "/api/v2/auth/password", change, .in = &change_body, .errors = change_errors, .cost = 5,
     .status = 204, .op_id = "change_password",
     .doc = "Change your password; your other sessions end." },
    { POST, "/api/v2/auth/password/forgot", forgot, .flags = ROUTE_PUBLIC, .limit = LIMIT_LOGIN,
     .in = &forgot_body, .errors = forgot_errors, .cost = 5, .status = 204,
     .op_id = "forgot_password",
     .doc =
          "Have a link mailed to choose another password with.  The answer is the same whoever is "
          "meant." },
    { POST, "/api/v2/auth/password/reset", reset, .flags = ROUTE_PUBLIC, .limit = LIMIT_LOGIN,
     .in = &reset_body, .errors = reset_errors, .cost = 5, .status = 204,
     .op_id = "reset_password",
     .doc = "Choose a password by the token of such a link; all sessions end." },
    { GET, "/oauth/forgot", forgot_page, .flags = pages, .produces = "text/html",
     .errors = page_errors, .cost = 1, .op_id = "oauth_forgot",
     .doc = "The page for who does not know their password." },
    { POST, "/oauth/forgot", forgot_posted, .flags = forms, .limit = LIMIT_LOGIN,
     .produces = "text/html", .errors = form_errors, .body_max = form_bytes_max, .cost = 5,
     .op_id = "oauth_forgot_posted", .doc = "What that page sends." },
    { GET, "/oauth/password", choose, .flags = pages, .produces = "text/html",
     .errors = page_errors, .cost = 1, .op_id = "oauth_password",
     .doc = "The page that a mailed link leads to." },
    { POST, "/oauth/password", chosen, .flags = forms, .limit = LIMIT_LOGIN,
     .produces = "text/html", .errors = form_errors, .body_max = form_bytes_max, .cost = 5,
     .op_id = "oauth_password_posted", .doc = "What that page sends: the new password." },
    { .path = NULL },
};
