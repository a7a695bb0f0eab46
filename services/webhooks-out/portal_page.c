/* The pages of the portal: HTML without script, in English and German, for any width and light. */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/page.h"
#include "services/webhooks-out/portal.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { page_rows = 25, recover_days = 7, overlap_s = 24 * 3600, value_max = 20000 };

static const char portal_style[] =
    "main{max-width:64rem}table{border-collapse:collapse;width:100%}caption{text-align:left;font-"
    "weight:600;padding:.5rem 0}"
    "th,td{text-align:left;padding:.375rem .75rem .375rem 0;border-bottom:1px solid "
    "#5c5f66;vertical-align:top;overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid "
    "#5c5f66;border-radius:.25rem;padding:.75rem}"
    "nav ul{list-style:none;padding:0;display:flex;gap:1rem;flex-wrap:wrap}nav "
    "[aria-current]{font-weight:600}"
    "a{color:#0b57d0}.scroll{overflow-x:auto}.note{border-left:.25rem solid #0b57d0;padding:.5rem "
    "1rem}"
    "@media(prefers-color-scheme:dark){a{color:#a8c7fa}}";

/* --- words --- */

enum word {
    W_TITLE,
    W_ENDPOINTS,
    W_EVENTS,
    W_FOR,
    W_UNTIL,
    W_URL,
    W_STATUS,
    W_HEARS,
    W_LOG,
    W_EVENT,
    W_TIME,
    W_ATTEMPTS,
    W_CODE,
    W_OLDER,
    W_ALL,
    W_NONE,
    W_DELIVERY,
    W_PAYLOAD,
    W_ATTEMPT,
    W_OUTCOME,
    W_LATENCY,
    W_ERROR,
    W_ANSWER,
    W_RESEND,
    W_RECOVER,
    W_RECOVER_DOC,
    W_RECOVERED,
    W_ROTATE,
    W_ROTATE_DOC,
    W_ROTATE_SURE,
    W_NEW_SECRET,
    W_NEW_SECRET_DOC,
    W_GONE,
    W_GONE_DOC,
    W_FAILED,
    W_BACK,
    W_TYPE,
    W_MEANING,
    W_HEADERS,
    W_DESCRIPTION,
    W_MAX_
};
/* clang-format off */
static const char *const words[W_MAX_][2] = {
    [W_TITLE] = { "Webhooks", "Webhooks" },
    [W_ENDPOINTS] = { "Endpoints", "Endpunkte" },
    [W_EVENTS] = { "Event types", "Ereignisarten" },
    [W_FOR] = { "Made for", "Ausgestellt für" },
    [W_UNTIL] = { "Works until", "Gültig bis" },
    [W_URL] = { "Address", "Adresse" },
    [W_STATUS] = { "Status", "Status" },
    [W_HEARS] = { "Listens to", "Hört auf" },
    [W_LOG] = { "Deliveries", "Zustellungen" },
    [W_EVENT] = { "Event", "Ereignis" },
    [W_TIME] = { "Time", "Zeit" },
    [W_ATTEMPTS] = { "Attempts", "Versuche" },
    [W_CODE] = { "Answer", "Antwort" },
    [W_OLDER] = { "Older ones", "Ältere" },
    [W_ALL] = { "all", "alle" },
    [W_NONE] = { "There are none.", "Es gibt keine." },
    [W_DELIVERY] = { "Delivery", "Zustellung" },
    [W_PAYLOAD] = { "Body, as it is signed", "Inhalt, wie er signiert ist" },
    [W_ATTEMPT] = { "Attempt", "Versuch" },
    [W_OUTCOME] = { "Outcome", "Ergebnis" },
    [W_LATENCY] = { "Took", "Dauer" },
    [W_ERROR] = { "Error", "Fehler" },
    [W_ANSWER] = { "What was answered", "Was geantwortet wurde" },
    [W_RESEND] = { "Send again", "Noch einmal senden" },
    [W_RECOVER] = { "Send again what was missed", "Verpasstes noch einmal senden" },
    [W_RECOVER_DOC] = { "What was given up or skipped in the last seven days goes again, oldest first, under the same webhook-id.",
                        "Was in den letzten sieben Tagen aufgegeben oder übersprungen wurde, geht noch einmal, das Älteste zuerst, unter derselben webhook-id." },
    [W_RECOVERED] = { "On their way again:", "Wieder unterwegs:" },
    [W_ROTATE] = { "Replace the signing secret", "Signaturgeheimnis ersetzen" },
    [W_ROTATE_DOC] = { "Both secrets sign for 24 hours, so that nothing is refused while you change yours.",
                       "24 Stunden lang wird mit beiden signiert, damit beim Umstellen nichts abgelehnt wird." },
    [W_ROTATE_SURE] = { "I will put the new secret into the receiver.", "Ich trage das neue Geheimnis beim Empfänger ein." },
    [W_NEW_SECRET] = { "The new secret", "Das neue Geheimnis" },
    [W_NEW_SECRET_DOC] = { "It is shown this once. Copy it now.", "Es wird nur dieses eine Mal gezeigt. Bitte jetzt kopieren." },
    [W_GONE] = { "This link does not work", "Dieser Link funktioniert nicht" },
    [W_GONE_DOC] = { "It has expired, was withdrawn, or does not show this. Ask whoever gave it to you for another.",
                     "Er ist abgelaufen, wurde zurückgezogen oder zeigt dies nicht. Bitten Sie um einen neuen." },
    [W_FAILED] = { "That did not work", "Das ging nicht" },
    [W_BACK] = { "Back", "Zurück" },
    [W_TYPE] = { "Type", "Art" },
    [W_MEANING] = { "Meaning", "Bedeutung" },
    [W_HEADERS] = { "Header fields", "Kopfzeilen" },
    [W_DESCRIPTION] = { "Description", "Beschreibung" },
};
/* clang-format on */

/* A foreign route's query is left alone; what is asked here is plain: words, numbers, ids. */
static const char *asked_for(const struct req *req, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = req->raw_query; *p; p += *p == '&') {
        size_t len = strcspn(p, "&");
        if (len > n && !strncmp(p, name, n) && p[n] == '=')
            return arena_strndup(req->arena, p + n + 1, len - n - 1);
        p += len;
    }
    return NULL;
}

static int language(const struct req *req)
{
    const char *asked = asked_for(req, "lang"), *says = req_header(req, "Accept-Language");
    if (asked)
        return str_eq(asked, "de");
    for (; says && *says; says += strcspn(says, ","), says += *says == ',') {
        says += strspn(says, " ");
        if (!strncmp(says, "de", 2))
            return 1;
        if (!strncmp(says, "en", 2))
            return 0;
    }
    return 0;
}

/* --- a page --- */

struct view_page {
    struct page p;
    struct req *req;
    const struct portal *portal;
    const char *query; /* "?lang=de", or "" */
    int lang;
};

static const char *say(const struct view_page *v, enum word w)
{
    return words[w][v->lang];
}

static const char *path_of(const struct view_page *v, const char *rest)
{
    return arena_printf(v->req->arena, "/webhooks/portal/%s%s", v->portal->token, rest);
}

static void put(struct view_page *v, const char *before, const char *text, const char *after)
{
    page_raw(&v->p, before);
    page_text(&v->p, text ? text : "");
    page_raw(&v->p, after);
}

static void link_to(struct view_page *v, const char *rest, const char *text, bool here)
{
    put(v, "<a href=\"", path_of(v, rest), "");
    put(v, "", strchr(rest, '?') && *v->query ? "" : v->query,
        here ? "\" aria-current=\"page\">" : "\">");
    put(v, "", text, "</a>");
}

static void begin_page(struct view_page *v, struct req *req, struct res *res,
                       const struct portal *p, enum word title, int status)
{
    *v = (struct view_page){ .req = req, .portal = p, .lang = language(req) };
    v->query = !asked_for(req, "lang") ? "" : v->lang ? "?lang=de" : "?lang=en";
    const struct page_look look = { .title = words[title][v->lang],
                                    .lang = v->lang ? "de" : "en",
                                    .style = portal_style,
                                    .status = status };
    v->p = page_begin_as(req, res, &look);
    if (!p)
        return;
    put(v, "<nav aria-label=\"", say(v, W_TITLE), "\"><ul><li>");
    link_to(v, "", say(v, W_ENDPOINTS), title == W_ENDPOINTS);
    page_raw(&v->p, "</li><li>");
    link_to(v, "/events", say(v, W_EVENTS), title == W_EVENTS);
    page_raw(&v->p, "</li></ul></nav>");
}

static int refuse(struct req *req, struct res *res, enum word title, const char *why, int status)
{
    struct view_page v;
    begin_page(&v, req, res, NULL, title, status);
    put(&v, "<p class=\"alert\" role=\"alert\">", why ? why : say(&v, W_GONE_DOC), "</p>");
    page_end(&v.p);
    return 0;
}

/* People see a page; what only time mends stays a problem with Retry-After. */
static int failed(struct req *req, struct res *res, int rc, const struct err *err)
{
    if (rc == -E_unavailable || rc == -E_timeout || rc == -E_internal)
        return rc;
    if (rc == -E_not_found)
        return refuse(req, res, W_GONE, NULL, 404);
    return refuse(req, res, W_FAILED, err->msg, err_http(err->code));
}

static int open_endpoint(struct req *req, struct portal *p, const char **ret_id, int64_t *ret,
                         struct err *err)
{
    int rc = portal_open(req, p, err);
    if (!rc)
        rc = req_id(req, 1, ret, err);
    if (!rc && !portal_has(p, *ret))
        rc = err_set(err, E_not_found, "There is nothing at this path.");
    *ret_id = rc ? NULL : arena_printf(req->arena, "%lld", (long long)*ret);
    return rc;
}

static void button(struct view_page *v, const char *rest, enum word doc, enum word name, bool sure)
{
    put(v, "<form method=\"post\" action=\"", path_of(v, rest), "");
    put(v, "", v->query, "\">");
    if (doc != W_MAX_)
        put(v, "<p>", say(v, doc), "</p>");
    if (sure)
        put(v, "<label><input type=\"checkbox\" name=\"sure\" value=\"1\" required> ",
            say(v, W_ROTATE_SURE), "</label>");
    put(v, "<button>", say(v, name), "</button></form>");
}

static void head_row(struct view_page *v, enum word caption, const enum word *columns, size_t n)
{
    put(v, "<div class=\"scroll\"><table><caption>", say(v, caption), "</caption><thead><tr>");
    for (size_t i = 0; i < n; i++)
        put(v, "<th scope=\"col\">", say(v, columns[i]), "</th>");
    page_raw(&v->p, "</tr></thead><tbody>");
}

static void end_table(struct view_page *v, size_t rows)
{
    page_raw(&v->p, "</tbody></table></div>");
    if (!rows)
        put(v, "<p>", say(v, W_NONE), "</p>");
}

/* --- endpoints --- */

static int shown(struct req *req, const struct portal *p, const int64_t *ids, size_t n,
                 struct db_rows **ret, struct err *err)
{
    const struct db_val v[] = { db_i64s(ids, n), db_i64(p->user_id) };
    return db_query(req->svc->db, req->arena, &sql_portal_shows, v, ARRAY_LEN(v), ret, err);
}

int portal_home(struct req *req, struct res *res, struct err *err)
{
    static const enum word columns[] = { W_URL, W_STATUS, W_DESCRIPTION, W_HEARS };
    struct portal p;
    struct view_page v;
    struct db_rows *r;
    int rc = portal_open(req, &p, err);
    if (!rc)
        rc = shown(req, &p, p.endpoints, p.n, &r, err);
    if (rc)
        return failed(req, res, rc, err);
    begin_page(&v, req, res, &p, W_ENDPOINTS, 200);
    if (p.label)
        put(&v, "<p>", arena_printf(req->arena, "%s: %s", say(&v, W_FOR), p.label), "</p>");
    put(&v, "<p>", arena_printf(req->arena, "%s: %s", say(&v, W_UNTIL), p.expires_at), "</p>");
    head_row(&v, W_ENDPOINTS, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < db_nrows(r); i++) {
        page_raw(&v.p, "<tr><th scope=\"row\">");
        link_to(&v, arena_printf(req->arena, "/endpoints/%s", db_str(r, i, 0)), db_str(r, i, 1),
                false);
        for (size_t c = 2; c < 5; c++)
            put(&v, c == 2 ? "</th><td>" : "</td><td>", db_str(r, i, c), "");
        page_raw(&v.p, "</td></tr>");
    }
    end_table(&v, db_nrows(r));
    page_end(&v.p);
    return 0;
}

static const char *status_asked(const struct req *req)
{
    static const char *const known[] = { "pending", "failed",   "delivered",
                                         "dead",    "canceled", "skipped" };
    const char *asked = asked_for(req, "status");
    for (size_t i = 0; asked && i < ARRAY_LEN(known); i++)
        if (str_eq(asked, known[i]))
            return known[i];
    return NULL;
}

static void put_filters(struct view_page *v, const char *id, const char *status)
{
    static const char *const offered[] = { "delivered", "failed", "dead" };
    put(v, "<nav aria-label=\"", say(v, W_STATUS), "\"><ul><li>");
    link_to(v, arena_printf(v->req->arena, "/endpoints/%s", id), say(v, W_ALL), !status);
    for (size_t i = 0; i < ARRAY_LEN(offered); i++) {
        page_raw(&v->p, "</li><li>");
        link_to(v,
                arena_printf(v->req->arena, "/endpoints/%s?status=%s%s%s", id, offered[i],
                             *v->query ? "&" : "", *v->query ? v->query + 1 : ""),
                offered[i], str_eq(status, offered[i]));
    }
    page_raw(&v->p, "</li></ul></nav>");
}

static void put_log(struct view_page *v, const char *id, const char *status,
                    const struct db_rows *r)
{
    static const enum word columns[] = { W_TIME, W_EVENT, W_STATUS, W_ATTEMPTS, W_CODE, W_ERROR };
    size_t n = db_nrows(r);
    head_row(v, W_LOG, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < n && i < page_rows; i++) {
        page_raw(&v->p, "<tr><th scope=\"row\">");
        link_to(v, arena_printf(v->req->arena, "/deliveries/%s", db_str(r, i, 0)), db_str(r, i, 5),
                false);
        put(v, "</th><td>", db_str(r, i, 1), "</td>");
        for (size_t c = 2; c < 5; c++)
            put(v, "<td>", db_str(r, i, c), "</td>");
        put(v, "<td>", db_str(r, i, 6), "</td></tr>");
    }
    end_table(v, n);
    if (n > page_rows)
        link_to(v,
                arena_printf(v->req->arena, "/endpoints/%s?after=%s%s%s%s%s", id,
                             db_str(r, page_rows - 1, 0), status ? "&status=" : "",
                             status ? status : "", *v->query ? "&" : "",
                             *v->query ? v->query + 1 : ""),
                say(v, W_OLDER), false);
}

int portal_endpoint(struct req *req, struct res *res, struct err *err)
{
    struct portal p;
    struct view_page v;
    struct db_rows *e, *r;
    int64_t number;
    unsigned char raw[16];
    const char *id, *status = status_asked(req), *after = asked_for(req, "after");
    int rc = open_endpoint(req, &p, &id, &number, err);
    if (!rc)
        rc = shown(req, &p, &number, 1, &e, err);
    if (!rc && !db_nrows(e))
        rc = -E_not_found;
    const struct db_val log[] = { db_i64(rc ? 0 : number), db_text(status),
                                  db_text(after && uuid_parse(after, raw) ? after : NULL) };
    if (!rc)
        rc = db_query(req->svc->db, req->arena, &sql_portal_deliveries, log, ARRAY_LEN(log), &r,
                      err);
    if (rc)
        return failed(req, res, rc, err);
    begin_page(&v, req, res, &p, W_LOG, 200);
    put(&v, "<p class=\"where\">", db_str(e, 0, 1), "</p>");
    put(&v, "<p>", arena_printf(req->arena, "%s: %s", say(&v, W_STATUS), db_str(e, 0, 2)), "</p>");
    put(&v, "<p>", arena_printf(req->arena, "%s: %s", say(&v, W_HEARS), db_str(e, 0, 4)), "</p>");
    put_filters(&v, id, status);
    put_log(&v, id, status, r);
    if (p.can_resend)
        button(&v, arena_printf(req->arena, "/endpoints/%s/recover", id), W_RECOVER_DOC, W_RECOVER,
               false);
    if (p.can_rotate)
        button(&v, arena_printf(req->arena, "/endpoints/%s/rotate", id), W_ROTATE_DOC, W_ROTATE,
               true);
    page_end(&v.p);
    return 0;
}

/* --- a delivery --- */

static int find_delivery(struct req *req, struct portal *p, struct db_rows **ret, struct err *err)
{
    unsigned char raw[16];
    int rc = portal_open(req, p, err);
    if (rc)
        return rc;
    if (!uuid_parse(req->params[1], raw))
        return err_set(err, E_not_found, "There is nothing at this path.");
    const struct db_val v[] = { db_text(req->params[1]), db_i64s(p->endpoints, p->n),
                                db_i64(p->user_id) };
    rc = db_query(req->svc->db, req->arena, &sql_portal_delivery, v, ARRAY_LEN(v), ret, err);
    return !rc && !db_nrows(*ret) ? err_set(err, E_not_found, "There is nothing at this path.")
                                  : rc;
}

static const char *member(struct view_page *v, const json_t *o, const char *name)
{
    const json_t *x = json_object_get(o, name);
    if (!x || json_is_null(x))
        return "–";
    const char *text = json_is_string(x) ? json_string_value(x) : json_text(v->req->arena, x);
    return strlen(text) > value_max ? arena_printf(v->req->arena, "%.*s …", value_max, text) : text;
}

static void put_attempts(struct view_page *v, const json_t *list)
{
    static const enum word columns[] = { W_ATTEMPT, W_TIME, W_OUTCOME, W_CODE, W_LATENCY, W_ERROR };
    static const char *const members[] = { "created_at", "outcome", "response_code" };
    head_row(v, W_ATTEMPTS, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *a = json_array_get(list, i);
        put(v, "<tr><th scope=\"row\">", member(v, a, "attempt"), "</th>");
        for (size_t k = 0; k < ARRAY_LEN(members); k++)
            put(v, "<td>", member(v, a, members[k]), "</td>");
        put(v, "<td>", member(v, a, "latency_ms"), " ms</td>");
        put(v, "<td>", member(v, a, "error"), "</td></tr>");
    }
    end_table(v, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *a = json_array_get(list, i);
        put(v, "<details><summary>",
            arena_printf(v->req->arena, "%s %s: %s", say(v, W_ATTEMPT), member(v, a, "attempt"),
                         say(v, W_ANSWER)),
            "</summary>");
        put(v, "<p>", say(v, W_HEADERS), "</p><pre>");
        put(v, "", member(v, a, "response_headers"), "</pre><pre>");
        put(v, "", member(v, a, "response_body"), "</pre></details>");
    }
}

int portal_delivery(struct req *req, struct res *res, struct err *err)
{
    struct portal p;
    struct view_page v;
    struct db_rows *r;
    const json_t *attempts = NULL;
    int rc = find_delivery(req, &p, &r, err);
    if (!rc)
        rc = portal_call(req, &p, "list_webhook_attempts", req->params[1], NULL, &attempts, err);
    if (rc)
        return failed(req, res, rc, err);
    begin_page(&v, req, res, &p, W_DELIVERY, 200);
    link_to(&v, arena_printf(req->arena, "/endpoints/%s", db_str(r, 0, 1)), say(&v, W_BACK), false);
    put(&v, "<dl><dt>webhook-id</dt><dd><code>", db_str(r, 0, 5), "</code></dd>");
    const struct {
        enum word name;
        size_t column;
    } of[] = {
        { W_EVENT,  2 },
        { W_STATUS, 3 },
        { W_TIME,   6 },
        { W_ERROR,  8 }
    };
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        put(&v, "<dt>", say(&v, of[i].name), "</dt>");
        put(&v, "<dd>", db_str(r, 0, of[i].column), "</dd>");
    }
    put(&v, "</dl><h2>", say(&v, W_PAYLOAD), "</h2><pre>");
    put(&v, "", db_str(r, 0, 7), "</pre>");
    put_attempts(&v, attempts);
    if (p.can_resend)
        button(&v, arena_printf(req->arena, "/deliveries/%s/resend", db_str(r, 0, 0)), W_MAX_,
               W_RESEND, false);
    page_end(&v.p);
    return 0;
}

/* --- what changes something --- */

static int not_allowed(struct err *err)
{
    return err_set(err, E_forbidden, "This link does not let you do that.");
}

int portal_resend(struct req *req, struct res *res, struct err *err)
{
    struct portal p;
    struct db_rows *r;
    const json_t *ignored;
    int rc = find_delivery(req, &p, &r, err);
    if (!rc && !p.can_resend)
        rc = not_allowed(err);
    if (!rc)
        rc = portal_call(req, &p, "resend_webhook_delivery", req->params[1], NULL, &ignored, err);
    if (!rc)
        rc = portal_did(req, &p,
                        arena_printf(req->arena, "delivery %s: sent again", req->params[1]), err);
    if (rc)
        return failed(req, res, rc, err);
    const char *lang = asked_for(req, "lang");
    return page_see_other(res, arena_printf(req->arena, "/webhooks/portal/%s/deliveries/%s%s",
                                            p.token, req->params[1],
                                            !lang                ? ""
                                            : str_eq(lang, "de") ? "?lang=de"
                                                                 : "?lang=en"));
}

static void done_page(struct view_page *v, const char *id, const char *what)
{
    put(v, "<p class=\"note\" role=\"status\">", what, "</p>");
    link_to(v, arena_printf(v->req->arena, "/endpoints/%s", id), say(v, W_BACK), false);
    page_end(&v->p);
}

int portal_recover(struct req *req, struct res *res, struct err *err)
{
    struct portal p;
    struct view_page v;
    int64_t number;
    const char *id;
    const json_t *answer;
    char since[rfc3339_len + 1];
    rfc3339_format(req->now_us - (int64_t)recover_days * 24 * 3600 * 1000000, since);
    int rc = open_endpoint(req, &p, &id, &number, err);
    if (!rc && !p.can_resend)
        rc = not_allowed(err);
    if (!rc)
        rc = portal_call(req, &p, "recover_webhook_deliveries", id,
                         json_in(req->arena, json_pack("{s:s}", "since", since)), &answer, err);
    if (!rc)
        rc = portal_did(req, &p, arena_printf(req->arena, "endpoint %s: recovered", id), err);
    if (rc)
        return failed(req, res, rc, err);
    begin_page(&v, req, res, &p, W_RECOVER, 200);
    done_page(&v, id,
              arena_printf(req->arena, "%s %s", say(&v, W_RECOVERED), member(&v, answer, "sent")));
    return 0;
}

int portal_rotate(struct req *req, struct res *res, struct err *err)
{
    struct portal p;
    struct view_page v;
    int64_t number;
    const char *id;
    const json_t *answer;
    bool sure =
        req->raw_body_n == strlen("sure=1") && !memcmp(req->raw_body, "sure=1", req->raw_body_n);
    int rc = open_endpoint(req, &p, &id, &number, err);
    if (!rc && (!p.can_rotate || !sure))
        rc = not_allowed(err);
    if (!rc)
        rc = portal_call(req, &p, "rotate_webhook_endpoint_secret", id,
                         json_in(req->arena, json_pack("{s:i}", "overlap_seconds", (int)overlap_s)),
                         &answer, err);
    if (!rc)
        rc = portal_did(req, &p, arena_printf(req->arena, "endpoint %s: secret replaced", id), err);
    if (rc)
        return failed(req, res, rc, err);
    begin_page(&v, req, res, &p, W_NEW_SECRET, 200);
    put(&v, "<pre>", member(&v, answer, "secret"), "</pre>");
    done_page(&v, id, say(&v, W_NEW_SECRET_DOC));
    return 0;
}

/* --- event types --- */

int portal_events(struct req *req, struct res *res, struct err *err)
{
    static const enum word columns[] = { W_TYPE, W_MEANING };
    struct portal p;
    struct view_page v;
    size_t n = 0;
    int rc = portal_open(req, &p, err);
    if (rc)
        return failed(req, res, rc, err);
    begin_page(&v, req, res, &p, W_EVENTS, 200);
    head_row(&v, W_EVENTS, columns, ARRAY_LEN(columns));
    for (const struct event_def *e = events; e->type; e++) {
        if (!e->entity)
            continue;
        put(&v, "<tr><th scope=\"row\"><code>", e->type, "</code></th>");
        put(&v, "<td lang=\"en\">", e->doc, "</td></tr>");
        n++;
    }
    end_table(&v, n);
    page_end(&v.p);
    return 0;
}
