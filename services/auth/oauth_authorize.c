/* /oauth/authorize, and the pages on the way: who are you, and do you let this client act for you?
 */
#include "common/kit/page.h"
#include "services/auth/login.h"
#include "services/auth/oauth_ask.h"
#include "services/auth/oauth_pages.h"
#include "services/auth/session.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

#include "auth/sql.h"

enum { carried_life_s = 600 };
static const char carried_context[] = "oauth.authorize";

/* --- answers ------------------------------------------------------------------------------------
 */

/* Back to the client with name=value pairs, state and iss (RFC 9207). */
static int send_back(struct req *req, struct res *res, const struct ask *z, const char *pairs)
{
    struct arena *a = req->arena;
    const char *join = !strchr(z->redirect_uri, '?') ? "?" : "&";
    const char *state = z->state ? arena_printf(a, "&state=%s", url_encode(a, z->state)) : "";
    return page_see_other(res, arena_printf(a, "%s%s%s%s&iss=%s", z->redirect_uri, join, pairs,
                                            state, url_encode(a, req->svc->conf->public_url)));
}

int pages_refuse(struct req *req, struct res *res, const struct ask *z, int rc,
                 const struct fault *f)
{
    if (rc != -E_invalid || !f->error)
        return rc;
    if (!z->redirect_uri)
        return page_error(req, res, f->status, f->text);
    return send_back(req, res, z,
                     arena_printf(req->arena, "error=%s&error_description=%s", f->error,
                                  url_encode(req->arena, f->text)));
}

/* --- what the forms carry -----------------------------------------------------------------------
 */

/* The query that brought the person here, sealed, so that nobody makes one up. */
const char *pages_carry(struct req *req, const char *query)
{
    const char *text =
        arena_printf(req->arena, "%lld %s", (long long)(req->now_us / 1000000), query);
    return crypto_seal(req->svc->keyring, req->arena, carried_context, text, strlen(text));
}

static const char *carried(struct req *req, const struct form *form)
{
    const char *sealed = form_get(form, "request");
    struct err err;
    void *raw;
    size_t n;
    int64_t at;
    if (!sealed ||
        crypto_open(req->svc->keyring, req->arena, carried_context, sealed, &raw, &n, &err))
        return NULL;
    char *text = raw, *blank = strchr(text, ' ');
    if (!blank)
        return NULL;
    *blank = '\0';
    if (!str_to_i64(text, 1, INT64_MAX, &at) || at + carried_life_s < req->now_us / 1000000)
        return NULL;
    return blank + 1;
}

int pages_back(struct req *req, struct res *res, const char *query)
{
    return page_see_other(
        res, arena_printf(req->arena, "%s/oauth/authorize?%s", req->svc->conf->public_url, query));
}

/* A posted form of ours: what it carries, or an answer that says why not (*ret NULL). */
int pages_posted(struct req *req, struct res *res, const char *purpose, struct form *form,
                 const char **ret, struct err *err)
{
    struct fault f = { .error = NULL };
    *ret = NULL;
    int rc = oauth_form(req, form, &f, err);
    if (rc == -E_invalid)
        return page_error(req, res, f.status, f.text);
    const char *token = form_get(form, "csrf");
    if (rc || !token || !csrf_ok(req, purpose, token))
        return rc ? rc : page_error(req, res, 403, "The form did not come from this site's page.");
    *ret = carried(req, form);
    return *ret ? 0 : page_error(req, res, 400, "The page was open for too long.");
}

/* --- consent ------------------------------------------------------------------------------------
 */

static void scope_boxes(struct page *p, scope_set names)
{
    page_raw(p, "<fieldset><legend>It asks to</legend>");
    for (int s = 0; s < S_MAX_; s++) {
        if (!scope_has(names, (enum scope)s))
            continue;
        page_raw(p, "<label><input type=\"checkbox\" name=\"grant\" checked value=\"");
        page_text(p, scopes[s].name);
        page_raw(p, "\"> ");
        page_text(p, scopes[s].doc);
        page_raw(p, " <small>(");
        page_text(p, scopes[s].name);
        page_raw(p, ")</small></label>");
    }
    page_raw(p, "</fieldset>");
}

static int consent_page(struct req *req, struct res *res, const struct ask *z,
                        const struct session *s, const char *query)
{
    const char *csrf = csrf_token(req, res, "consent"), *leave = csrf_token(req, res, "logout");
    const char *sealed = pages_carry(req, query);
    struct page p =
        page_begin(req, res, 200, "Allow access?", page_source_of(req->arena, z->redirect_uri));
    page_raw(&p, "<p><strong>");
    page_text(&p, z->client.name);
    page_raw(&p, "</strong> wants to act for you, <strong>");
    page_text(&p, s->username);
    page_raw(&p, "</strong>.</p>");
    if (*z->client.website) {
        page_raw(&p,
                 "<p class=\"where\">It is described at <a rel=\"noopener noreferrer\" href=\"");
        page_text(&p, z->client.website);
        page_raw(&p, "\">");
        page_text(&p, z->client.website);
        page_raw(&p, "</a>.</p>");
    }
    page_raw(&p, "<form method=\"post\" action=\"/oauth/authorize\">");
    page_hidden(&p, "request", sealed);
    page_hidden(&p, "csrf", csrf);
    scope_boxes(&p, scopes_for(z->scopes, s->role));
    page_raw(&p, "<p class=\"where\">You go on to ");
    page_text(&p, page_source_of(req->arena, z->redirect_uri));
    page_raw(&p, ". You can take this back at any time.</p>"
                 "<button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>"
                 "<button type=\"submit\" name=\"decision\" value=\"deny\" class=\"quiet\">Deny"
                 "</button></form><form method=\"post\" action=\"/oauth/logout\">");
    page_hidden(&p, "request", sealed);
    page_hidden(&p, "csrf", leave);
    page_raw(&p,
             "<button type=\"submit\" class=\"quiet\">Sign in as somebody else</button></form>");
    page_end(&p);
    return 0;
}

static int grant(struct req *req, struct res *res, const struct ask *z, int64_t user_id,
                 scope_set names, struct err *err)
{
    const char *code;
    const struct authorization given = { .client = &z->client,
                                         .user_id = user_id,
                                         .scopes = names,
                                         .resources = z->resources,
                                         .redirect_uri = z->redirect_uri,
                                         .redirect_given = z->redirect_given,
                                         .challenge = z->challenge,
                                         .jkt = z->jkt,
                                         .pushed_hash = z->pushed_hash };
    int rc = oauth_make_code(req, &given, &code, err);
    if (rc == -E_conflict)
        return page_error(req, res, 400, "This request was answered before.");
    return rc ? rc : send_back(req, res, z, arena_printf(req->arena, "code=%s", code));
}

/* Was all of it consented to before, by a client that nobody can pose as?  RFC 8252 §8.6 wants
 * people asked each time for the others. */
static int known_consent(struct req *req, const struct ask *z, const struct session *s, bool *ret,
                         struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_i64(s->user_id), db_i64(z->client.id) };
    *ret = false;
    if (z->client.public)
        return 0;
    int rc = db_query(req->svc->db, req->arena, &sql_grant_find, v, ARRAY_LEN(v), &r, err);
    if (!rc && db_nrows(r))
        *ret = !(scopes_for(z->scopes, s->role) & ~scopes_of(req->arena, r, 0, 1));
    return rc;
}

/* Our own pages act with all that the person may, and need nobody's consent. */
static int own_code(struct req *req, struct res *res, const struct ask *z, const struct session *s,
                    struct err *err)
{
    const char *code;
    int rc = session_code_make(req, s->id, z->challenge, &code, err);
    return rc ? rc : send_back(req, res, z, arena_printf(req->arena, "code=%s", code));
}

int oauth_authorize(struct req *req, struct res *res, struct err *err)
{
    struct form form;
    struct fault f = { .error = NULL };
    struct ask z = { .redirect_uri = NULL };
    struct session s;
    bool known;
    if (!form_parse(req->arena, req->raw_query, strlen(req->raw_query), &form))
        return page_error(req, res, 400, "The request cannot be read.");
    int rc = ask_read(req, &form, &z, &f, err);
    if (rc)
        return pages_refuse(req, res, &z, rc, &f);
    rc = session_find(req, &s, err);
    if (rc)
        return rc;
    if (!s.id)
        return login_page(req, res, &z, req->raw_query, NULL);
    if (z.client.first_party)
        return own_code(req, res, &z, &s, err);
    scope_set names = scopes_for(z.scopes, s.role);
    if (!names)
        return send_back(req, res, &z, "error=access_denied");
    rc = known_consent(req, &z, &s, &known, err);
    if (rc)
        return rc;
    return known ? grant(req, res, &z, s.user_id, names, err)
                 : consent_page(req, res, &z, &s, req->raw_query);
}

static scope_set chosen(const struct form *form)
{
    scope_set set = 0;
    for (size_t i = 0; i < form->n; i++) {
        int s = str_eq(form->list[i].name, "grant") ? scope_find(form->list[i].value) : -1;
        set |= s >= 0 ? (scope_set)1 << s : 0;
    }
    return set;
}

int oauth_decide(struct req *req, struct res *res, struct err *err)
{
    struct form form, asked;
    struct fault f = { .error = NULL };
    struct ask z = { .redirect_uri = NULL };
    struct session s;
    const char *query;
    int rc = pages_posted(req, res, "consent", &form, &query, err);
    if (rc || !query)
        return rc;
    if (!form_parse(req->arena, query, strlen(query), &asked))
        return page_error(req, res, 400, "The request cannot be read.");
    rc = ask_read(req, &asked, &z, &f, err);
    if (rc)
        return pages_refuse(req, res, &z, rc, &f);
    rc = session_find(req, &s, err);
    if (rc)
        return rc;
    if (!s.id || z.client.first_party)
        return pages_back(req, res, query);
    scope_set names = chosen(&form) & scopes_for(z.scopes, s.role);
    if (!str_eq(form_get(&form, "decision"), "allow") || !names)
        return send_back(req, res, &z, "error=access_denied");
    return grant(req, res, &z, s.user_id, names, err);
}
