/*
 * Answers without a body whose header is kept: clients that ask again and again whether something
 * has changed get the same 304 but for its X-Request-Id, and libmicrohttpd copies each field of a
 * response anew, with three allocations.  So a loop keeps the last few, by the length they tell
 * of, and makes anew only what differs.
 *
 * One response then serves several connections, one after the other: libmicrohttpd writes its
 * header out before it returns from the call in which the request is complete, and nothing of it
 * is read later, for there is no body.  An answer that comes in another way is none of these.
 */
#include "common/io/httpd_internal.h"

/* Each name and value as they were last, with a NUL behind each. */
static bool put(struct httpd_kept *k, size_t *n, const char *s)
{
    size_t len = strlen(s) + 1;
    if (len > sizeof k->text - *n)
        return false;
    memcpy(k->text + *n, s, len);
    *n += len;
    return true;
}

/* False: it is of other fields, or another length. */
static bool renew(struct httpd_kept *k, const struct http_res *res)
{
    char *at = k->text;
    if (!k->response || k->body_n != res->body_n || k->nheaders != res->nheaders)
        return false;
    for (size_t i = 0; i < res->nheaders; i++) {
        const char *name = res->headers[i].name, *value = res->headers[i].value;
        if (strcmp(at, name) != 0)
            return false;
        at += strlen(at) + 1;
        size_t n = strlen(at);
        if (strcmp(at, value) != 0) {
            if (strlen(value) != n || MHD_del_response_header(k->response, name, at) != MHD_YES ||
                MHD_add_response_header(k->response, name, value) != MHD_YES)
                return false;
            memcpy(at, value, n);
        }
        at += n + 1;
    }
    return true;
}

static void forget(struct httpd_kept *k)
{
    if (k->response)
        MHD_destroy_response(k->response);
    k->response = NULL;
}

struct MHD_Response *httpd_kept(struct httpd_conn *c, const struct http_res *res)
{
    struct httpd_kept *k = &c->l->kept[res->body_n % httpd_kept_max];
    size_t n = 0;
    if (res->status != 304 || !res->body_n || res->stream)
        return NULL;
    if (renew(k, res))
        return k->response;
    forget(k);
    k->body_n = res->body_n;
    k->nheaders = res->nheaders;
    for (size_t i = 0; i < res->nheaders; i++)
        if (!put(k, &n, res->headers[i].name) || !put(k, &n, res->headers[i].value))
            return NULL;
    k->response = httpd_response(c, res);
    return k->response;
}

void httpd_kept_free(struct httpd_loop *l)
{
    for (size_t i = 0; i < httpd_kept_max; i++)
        forget(&l->kept[i]);
}
