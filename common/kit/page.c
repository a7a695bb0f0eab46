#include "common/kit/page.h"

#include "common/base/str.h"
#include "common/io/crypto.h"

static const char style[] =
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;margin:0;padding:2rem "
    "1rem;color:#1b1b1f;background:#fff}"
    "main{max-width:28rem;margin:0 auto}"
    "h1{font-size:1.5rem;line-height:1.25}"
    "label{display:block;margin:1rem 0 .25rem}"
    "input[type=text],input[type=password]{box-sizing:border-box;width:100%;font:inherit;padding:."
    "5rem;"
    "border:1px solid #5c5f66;border-radius:.25rem;background:inherit;color:inherit}"
    "fieldset{border:1px solid #5c5f66;border-radius:.25rem;margin:1rem 0;padding:.5rem 1rem}"
    "fieldset label{margin:.5rem 0}"
    "button{font:inherit;padding:.5rem 1rem;margin:1rem .5rem 0 0;border-radius:.25rem;"
    "border:1px solid #0b57d0;background:#0b57d0;color:#fff}"
    "button.quiet{background:transparent;color:inherit;border-color:#5c5f66}"
    "button:focus-visible,input:focus-visible,a:focus-visible{outline:3px solid #f2a900;"
    "outline-offset:2px}"
    ".alert{border-left:.25rem solid #b3261e;padding:.5rem 1rem}"
    ".where{overflow-wrap:anywhere}"
    "svg{display:block;max-width:100%;height:auto;margin:.5rem 0}"
    "@media(prefers-color-scheme:dark){body{color:#e6e6ea;background:#141417}}";

static const char *policy(struct arena *a, const char *sheet, const char *form_to)
{
    unsigned char digest[sha256_bytes];
    sha256(sheet, strlen(sheet), digest);
    return arena_printf(a,
                        "default-src 'none'; style-src 'sha256-%s'; form-action 'self'%s%s; "
                        "frame-ancestors 'none'; base-uri 'none'",
                        b64_encode(a, digest, sizeof(digest)), form_to ? " " : "",
                        form_to ? form_to : "");
}

void page_raw(struct page *p, const char *html)
{
    buf_puts(&p->res->body, html);
}

void page_text(struct page *p, const char *text)
{
    static const struct {
        char c;
        const char *as;
    } rows[] = {
        { '&',  "&amp;"  },
        { '<',  "&lt;"   },
        { '>',  "&gt;"   },
        { '"',  "&quot;" },
        { '\'', "&#39;"  },
    };
    for (; *text; text++) {
        const char *as = NULL;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            as = rows[i].c == *text ? rows[i].as : as;
        if (as)
            buf_puts(&p->res->body, as);
        else
            buf_putc(&p->res->body, *text);
    }
}

void page_hidden(struct page *p, const char *name, const char *value)
{
    page_raw(p, "<input type=\"hidden\" name=\"");
    page_text(p, name);
    page_raw(p, "\" value=\"");
    page_text(p, value);
    page_raw(p, "\">");
}

static struct page begin(struct req *req, struct res *res, const struct page_look *look,
                         const char *form_to, const char *referrer)
{
    struct page p = { .req = req, .res = res };
    const char *sheet = arena_printf(req->arena, "%s%s", style, look->style);
    buf_reset(&res->body);
    res->status = look->status;
    res->content_type = "text/html; charset=utf-8";
    res->cache_control = "no-store";
    res_header(res, "Content-Security-Policy", policy(req->arena, sheet, form_to));
    res_header(res, "X-Frame-Options", "DENY");
    res_header(res, "Referrer-Policy", referrer);
    page_raw(&p, "<!doctype html><html lang=\"");
    page_text(&p, look->lang);
    page_raw(&p, "\"><head><meta charset=\"utf-8\">"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>");
    page_text(&p, look->title);
    page_raw(&p, " – 365CMS</title><style>");
    page_raw(&p, sheet);
    page_raw(&p, "</style></head><body><main><h1>");
    page_text(&p, look->title);
    page_raw(&p, "</h1>");
    return p;
}

struct page page_begin(struct req *req, struct res *res, int status, const char *title,
                       const char *form_to)
{
    const struct page_look look = { .title = title, .lang = "en", .style = "", .status = status };
    /* Not no-referrer: with that, browsers say "Origin: null" of the form, which csrf_ok refuses
     * (Fetch, "append a request `Origin` header"). */
    return begin(req, res, &look, form_to, "same-origin");
}

struct page page_begin_as(struct req *req, struct res *res, const struct page_look *look)
{
    return begin(req, res, look, NULL, "no-referrer"); /* its address may be a capability */
}

void page_end(struct page *p)
{
    page_raw(p, "</main></body></html>\n");
}

const char *page_source_of(struct arena *a, const char *uri)
{
    size_t scheme = strcspn(uri, ":");
    if (strncmp(uri + scheme, "://", 3) != 0 || !str_starts(uri, "http"))
        return arena_strndup(a, uri, scheme + 1);
    return arena_strndup(a, uri, scheme + 3 + strcspn(uri + scheme + 3, "/?#"));
}

int page_see_other(struct res *res, const char *location)
{
    buf_reset(&res->body);
    res->status = 303;
    res->location = location;
    res->cache_control = "no-store";
    res_header(res, "Referrer-Policy", "no-referrer");
    return 0;
}

int page_error(struct req *req, struct res *res, int status, const char *why)
{
    struct page p = page_begin(req, res, status, "This does not work", NULL);
    page_raw(&p, "<p class=\"alert\" role=\"alert\">");
    page_text(&p, why);
    page_raw(&p, "</p><p>Go back to the application and try again from there.</p>");
    page_end(&p);
    return 0;
}
