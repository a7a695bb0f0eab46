#ifndef KIT_PAGE_H
#define KIT_PAGE_H
/*
 * The few pages that people see: HTML made here, no script, one style.  Everything that came from
 * somebody is escaped by page_text.  Each answer forbids framing, other sites' content, and forms
 * that go anywhere but here and to `form_to` (Chromium holds the redirect after a form to that
 * too).
 */
#include "common/kit/route.h"

struct page {
    struct req *req;
    struct res *res;
};
/* Status, headers, and the page down to its heading.  `form_to`: a CSP source such as
 * "https://app.example.com", or NULL. */
struct page page_begin(struct req *req, struct res *res, int status, const char *title,
                       const char *form_to);
/* The same with a language and a style sheet added to the one of all. */
struct page_look {
    const char *title, *lang, *style; /* style: "" if none */
    int status;
};
struct page page_begin_as(struct req *req, struct res *res, const struct page_look *look);
void page_end(struct page *p);
/* A whole page that says what went wrong. */
int page_error(struct req *req, struct res *res, int status, const char *why);
/* 303; never 307: a form with a password must not be sent on (RFC 9700 §4.12). */
int page_see_other(struct res *res, const char *location);
void page_raw(struct page *p, const char *html);  /* ours, as it is */
void page_text(struct page *p, const char *text); /* anybody's, escaped; also in attributes */
void page_hidden(struct page *p, const char *name, const char *value);
/* The source for form_to that a redirect URI is under. */
const char *page_source_of(struct arena *a, const char *uri);
#endif
