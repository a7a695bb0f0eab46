/* The pages that a person signs in on: password, second factor, and setting one up. */
#include "services/auth/audit.h"
#include "services/auth/login.h"
#include "services/auth/oauth_pages.h"
#include "services/auth/password.h"
#include "services/auth/policy.h"
#include "services/auth/totp.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/qr.h"
#include "common/kit/key_use.h"

enum { ticket_life_s = 300 };
static const char ticket_context[] = "oauth.login.ticket";

/* --- pieces -------------------------------------------------------------------------------------
 */

static void begin_form(struct page *p, const char *action, const char *query, const char *csrf)
{
    page_raw(p, "<form method=\"post\" action=\"");
    page_raw(p, action);
    page_raw(p, "\">");
    page_hidden(p, "request", pages_carry(p->req, query));
    page_hidden(p, "csrf", csrf);
}

/* Chromium holds the redirects that follow a form to the page's policy too. */
static const char *form_to(struct req *req, const char *query)
{
    struct form asked;
    struct fault f = { .error = NULL };
    struct ask z = { .redirect_uri = NULL };
    struct err ignored;
    if (!form_parse(req->arena, query, strlen(query), &asked) ||
        ask_read(req, &asked, &z, &f, &ignored) || !z.redirect_uri)
        return NULL;
    return page_source_of(req->arena, z.redirect_uri);
}

static void alert(struct page *p, const struct login_wrong *wrong)
{
    if (!wrong)
        return;
    page_raw(p, "<p class=\"alert\" role=\"alert\" id=\"wrong\">");
    page_text(p, wrong->text);
    page_raw(p, "</p>");
    if (wrong->wait_s)
        res_header(p->res, "Retry-After",
                   arena_printf(p->req->arena, "%lld", (long long)wrong->wait_s));
}

static int status_of(const struct login_wrong *wrong)
{
    return !wrong ? 200 : wrong->wait_s ? 429 : 401;
}

static struct login_wrong locked(struct req *req, const char *name, int64_t wait_s)
{
    return (struct login_wrong){
        name,
        arena_printf(req->arena, "There were too many tries. Try again in %lld seconds.",
                     (long long)wait_s),
        wait_s
    };
}

int login_page(struct req *req, struct res *res, const struct ask *z, const char *query,
               const struct login_wrong *wrong)
{
    const char *csrf = csrf_token(req, res, "login");
    struct page p = page_begin(req, res, status_of(wrong), "Sign in",
                               page_source_of(req->arena, z->redirect_uri));
    page_raw(&p, "<p>to continue to <strong>");
    page_text(&p, z->client.name);
    page_raw(&p, "</strong></p>");
    alert(&p, wrong);
    begin_form(&p, "/oauth/login", query, csrf);
    page_raw(&p, "<label for=\"username\">User name or e-mail address</label>"
                 "<input type=\"text\" id=\"username\" name=\"username\" autocomplete=\"username\" "
                 "autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"254\" required");
    page_raw(&p, wrong ? " aria-describedby=\"wrong\" value=\"" : " autofocus value=\"");
    page_text(&p, wrong ? wrong->name : "");
    page_raw(&p, "\"><label for=\"password\">Password</label>"
                 "<input type=\"password\" id=\"password\" name=\"password\" "
                 "autocomplete=\"current-password\" required");
    page_raw(&p, wrong ? " aria-describedby=\"wrong\" autofocus>" : ">");
    page_raw(&p, "<button type=\"submit\">Sign in</button></form>"
                 "<p><a href=\"/oauth/forgot\">I do not know my password</a></p>");
    page_end(&p);
    return 0;
}

/* --- who has given the password -----------------------------------------------------------------
 */

/* What was given: another password, and the turn is over. */
static const char *given(struct arena *a, const struct person_known *who)
{
    char *hash = arena_alloc(a, sha256_hex_len + 1);
    sha256_hex(who->phc, strlen(who->phc), hash);
    return hash;
}

/* Between the password and the code: whose turn it is, sealed, five minutes. */
static const char *ticket_make(struct req *req, const struct person_known *who)
{
    const char *text = arena_printf(req->arena, "%lld %lld %s", (long long)(req->now_us / 1000000),
                                    (long long)who->id, given(req->arena, who));
    return crypto_seal(req->svc->keyring, req->arena, ticket_context, text, strlen(text));
}

/* E_not_found with a page as the answer: *ret->id 0. */
static int ticket_read(struct req *req, const struct form *form, struct person_known *ret,
                       struct err *err)
{
    const char *sealed = form_get(form, "ticket");
    struct err ignored;
    void *raw;
    size_t n;
    int64_t at, user;
    *ret = (struct person_known){ .id = 0 };
    if (!sealed ||
        crypto_open(req->svc->keyring, req->arena, ticket_context, sealed, &raw, &n, &ignored))
        return 0;
    char *text = raw, *blank = strchr(text, ' '), *second = blank ? strchr(blank + 1, ' ') : NULL;
    if (!second)
        return 0;
    *blank = *second = '\0';
    if (!str_to_i64(text, 1, INT64_MAX, &at) || !str_to_i64(blank + 1, 1, INT64_MAX, &user) ||
        at + ticket_life_s < req->now_us / 1000000)
        return 0;
    int rc = person_find(req->svc, req->arena, user, ret, err);
    if (rc == -E_not_found || (!rc && (!ret->active || !ret->has_password ||
                                       !str_eq(given(req->arena, ret), second + 1))))
        *ret = (struct person_known){ .id = 0 };
    return rc == -E_not_found ? 0 : rc;
}

static int too_late(struct req *req, struct res *res)
{
    return page_error(req, res, 400, "The page was open for too long.");
}

static int second_page(struct req *req, struct res *res, const char *query,
                       const struct person_known *who, const struct login_wrong *wrong)
{
    const char *csrf = csrf_token(req, res, "second");
    struct page p = page_begin(req, res, status_of(wrong), "Second step", form_to(req, query));
    alert(&p, wrong);
    begin_form(&p, "/oauth/login/second", query, csrf);
    page_hidden(&p, "ticket", ticket_make(req, who));
    page_raw(&p, "<label for=\"code\">Code from your app, or a recovery code</label>"
                 "<input type=\"text\" id=\"code\" name=\"code\" inputmode=\"text\" "
                 "autocomplete=\"one-time-code\" autocapitalize=\"none\" spellcheck=\"false\" "
                 "maxlength=\"32\" required autofocus");
    page_raw(&p, wrong ? " aria-describedby=\"wrong\">" : ">");
    page_raw(&p, "<button type=\"submit\">Go on</button></form>");
    page_end(&p);
    return 0;
}

static int enrol_page(struct req *req, struct res *res, const char *query,
                      const struct person_known *who, const struct login_wrong *wrong,
                      struct err *err)
{
    const char *csrf = csrf_token(req, res, "enrol"), *secret, *uri;
    int rc = wrong ? totp_pending(req, who, &secret, &uri, err)
                   : totp_begin(req, who, &secret, &uri, err);
    if (rc)
        return rc;
    struct page p =
        page_begin(req, res, status_of(wrong), "Set up a second step", form_to(req, query));
    page_raw(&p, "<p>Your role needs a second step: a code from an authenticator app.</p>"
                 "<ol><li>Scan this with your app");
    page_raw(&p, qr_svg(req->arena, uri, "QR code for the app"));
    page_raw(&p, "or type this key into it:<br><code class=\"where\" id=\"secret\">");
    page_text(&p, secret);
    page_raw(&p, "</code><br><a href=\"");
    page_text(&p, uri);
    page_raw(&p, "\">Open the app on this device</a></li>"
                 "<li>Type the code that it shows.</li></ol>");
    alert(&p, wrong);
    begin_form(&p, "/oauth/login/enrol", query, csrf);
    page_hidden(&p, "ticket", ticket_make(req, who));
    page_raw(&p, "<label for=\"code\">Code</label><input type=\"text\" id=\"code\" name=\"code\" "
                 "inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"32\" required");
    page_raw(&p, wrong ? " aria-describedby=\"wrong\" autofocus>" : " autofocus>");
    page_raw(&p, "<button type=\"submit\">Go on</button></form>");
    page_end(&p);
    return 0;
}

/* --- handlers -----------------------------------------------------------------------------------
 */

/* The password was right: is there more to ask? */
static int after_password(struct req *req, struct res *res, const char *query,
                          const struct login_user *user, struct err *err)
{
    struct totp_info second;
    struct person_known who;
    bool needed;
    if (!tokens_network_ok(req->svc->tokens, req->client_addr)) {
        key_use_note(req->svc->key_uses, USE_USER_DENIED, user->user_id, req->client_addr,
                     req_header(req, "User-Agent"));
        return page_error(req, res, 403, "Nobody can sign in from where you are.");
    }
    int rc = totp_look(req->svc, req->arena, user->user_id, &second, err);
    if (!rc)
        rc = policy_needs_totp(req->svc, req->arena, user->role, &needed, err);
    if (rc)
        return rc;
    if (second.state == TOTP_ON || needed) {
        rc = person_find(req->svc, req->arena, user->user_id, &who, err);
        if (rc)
            return rc;
        return second.state == TOTP_ON ? second_page(req, res, query, &who, NULL)
                                       : enrol_page(req, res, query, &who, NULL, err);
    }
    rc = session_start(req, res, user->user_id, "password", err);
    return rc ? rc : pages_back(req, res, query);
}

int oauth_login(struct req *req, struct res *res, struct err *err)
{
    struct form form, asked;
    struct fault f = { .error = NULL };
    struct ask z;
    const char *query;
    struct login_result got;
    int rc = pages_posted(req, res, "login", &form, &query, err);
    if (rc || !query)
        return rc;
    const char *name = form_get(&form, "username"), *password = form_get(&form, "password");
    const struct login_try t = { .name = name ? name : "", .password = password ? password : "" };
    rc = login_verify(req, &t, &got, err);
    if (rc)
        return rc;
    log_info("oauth.login", kv_i("user", got.verdict == LOGIN_OK ? got.user.user_id : 0),
             kv_s("address", req->client_addr));
    if (got.verdict == LOGIN_OK)
        return after_password(req, res, query, &got.user, err);
    if (!form_parse(req->arena, query, strlen(query), &asked))
        return page_error(req, res, 400, "The request cannot be read.");
    rc = ask_read(req, &asked, &z, &f, err);
    if (rc)
        return pages_refuse(req, res, &z, rc, &f);
    struct login_wrong wrong = { t.name, "The user name or the password is wrong.", 0 };
    if (got.verdict == LOGIN_LOCKED)
        wrong = locked(req, t.name, got.wait_s);
    return login_page(req, res, &z, query, &wrong);
}

int oauth_login_second(struct req *req, struct res *res, struct err *err)
{
    struct form form;
    const char *query;
    struct person_known who;
    bool ok;
    int rc = pages_posted(req, res, "second", &form, &query, err);
    if (rc || !query)
        return rc;
    rc = ticket_read(req, &form, &who, err);
    if (rc || !who.id)
        return rc ? rc : too_late(req, res);
    rc = totp_try(req, who.id, form_get(&form, "code"), &ok, err);
    if (rc == -E_rate_limited) {
        const struct login_wrong wrong = locked(req, "", err->retry_after_s);
        return second_page(req, res, query, &who, &wrong);
    }
    if (rc)
        return rc;
    const struct login_wrong wrong = { "", "The code is wrong, or was used before.", 0 };
    if (!ok)
        return second_page(req, res, query, &who, &wrong);
    rc = session_start(req, res, who.id, "second factor", err);
    return rc ? rc : pages_back(req, res, query);
}

static int codes_page(struct req *req, struct res *res, const char *query, const char *const *codes)
{
    struct page p = page_begin(req, res, 200, "Recovery codes", NULL);
    page_raw(&p, "<p>Keep these where you find them without your device. Each opens your account "
                 "once, and they are not shown again.</p><ul id=\"codes\">");
    for (size_t i = 0; i < recovery_codes_max; i++) {
        page_raw(&p, "<li><code>");
        page_text(&p, codes[i]);
        page_raw(&p, "</code></li>");
    }
    page_raw(&p, "</ul><p><a href=\"/oauth/authorize?");
    page_text(&p, query);
    page_raw(&p, "\">I have kept them: go on</a></p>");
    page_end(&p);
    return 0;
}

int oauth_login_enrol(struct req *req, struct res *res, struct err *err)
{
    struct form form;
    const char *query, *codes[recovery_codes_max];
    struct person_known who;
    bool ok;
    int rc = pages_posted(req, res, "enrol", &form, &query, err);
    if (rc || !query)
        return rc;
    rc = ticket_read(req, &form, &who, err);
    if (rc || !who.id)
        return rc ? rc : too_late(req, res);
    rc = totp_confirm(req, who.id, form_get(&form, "code"), codes, &ok, err);
    if (rc && rc != -E_rate_limited)
        return rc;
    struct login_wrong wrong = { "", "The code is wrong.", 0 };
    if (rc)
        wrong = locked(req, "", err->retry_after_s);
    if (rc || !ok) {
        rc = enrol_page(req, res, query, &who, &wrong, err);
        return rc == -E_not_found ? too_late(req, res) : rc;
    }
    rc = session_start(req, res, who.id, "second factor", err);
    return rc ? rc : codes_page(req, res, query, codes);
}

int oauth_logout(struct req *req, struct res *res, struct err *err)
{
    struct form form;
    const char *query;
    int rc = pages_posted(req, res, "logout", &form, &query, err);
    if (rc || !query)
        return rc;
    rc = session_end(req, res, err);
    return rc ? rc : pages_back(req, res, query);
}
