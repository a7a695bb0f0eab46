/* GET of certificates, key sets and objects that messages refer to. */
#include "services/webhooks-in/webhooks_in.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/httpc.h"

#include <assert.h>
#include <pthread.h>

enum { kept_max = 64, timeout_ms = 5000, connect_ms = 3000 };

struct kept {
    char *url, *body;
    size_t n;
    int64_t until_us; /* monotonic */
};
struct fetcher {
    struct httpc *http;
    char *trusted;
    pthread_mutex_t mu;
    struct kept kept[kept_max];
    size_t next; /* the one to go when all are taken */
};

struct fetcher *fetcher_new(struct httpc *http, const char *trusted_urls)
{
    struct fetcher *f = calloc(1, sizeof(*f));
    assert(f);
    f->http = http;
    f->trusted = strdup(trusted_urls);
    assert(f->trusted);
    pthread_mutex_init(&f->mu, NULL);
    return f;
}

void fetcher_free(struct fetcher *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < kept_max; i++) {
        free(f->kept[i].url);
        free(f->kept[i].body);
    }
    pthread_mutex_destroy(&f->mu);
    free(f->trusted);
    free(f);
}

/* --- what may be asked ---------------------------------------------------------------------------
 */

/* https://sns.eu-central-1.amazonaws.com/…, also .com.cn */
static bool is_sns(const char *url)
{
    static const char start[] = "https://sns.";
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    if (!str_starts(url, start))
        return false;
    url += sizeof(start) - 1;
    size_t n = strspn(url, letters);
    return n > 0 &&
           (str_starts(url + n, ".amazonaws.com/") || str_starts(url + n, ".amazonaws.com.cn/"));
}

static bool is_trusted(const struct fetcher *f, const char *url)
{
    for (const char *p = f->trusted; *p;) {
        size_t n = strcspn(p, ",");
        if (n && strncmp(p, url, n) == 0)
            return true;
        p += n;
        p += *p == ',';
    }
    return false;
}

static bool is_known(const struct fetcher *f, const char *url)
{
    static const char *const hosts[] = {
        "https://api.paypal.com/",    "https://api.sandbox.paypal.com/",
        "https://api-m.paypal.com/",  "https://api-m.sandbox.paypal.com/",
        "https://api.mollie.com/v2/",
    };
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (str_starts(url, hosts[i]))
            return true;
    return is_sns(url) || is_trusted(f, url);
}

/* --- what is kept --------------------------------------------------------------------------------
 */

static bool look_up(struct fetcher *f, struct arena *a, const char *url, struct fetched *ret)
{
    bool found = false;
    pthread_mutex_lock(&f->mu);
    for (size_t i = 0; i < kept_max && !found; i++) {
        const struct kept *k = &f->kept[i];
        found = k->url && str_eq(k->url, url) && k->until_us > clock_mono_us();
        if (found)
            *ret = (struct fetched){ 200, arena_strndup(a, k->body, k->n), k->n };
    }
    pthread_mutex_unlock(&f->mu);
    return found;
}

static void keep(struct fetcher *f, const char *url, const struct httpc_res *res, unsigned keep_s)
{
    pthread_mutex_lock(&f->mu);
    size_t at = f->next;
    for (size_t i = 0; i < kept_max; i++)
        if (f->kept[i].url && str_eq(f->kept[i].url, url))
            at = i;
    struct kept *k = &f->kept[at];
    if (at == f->next)
        f->next = (f->next + 1) % kept_max;
    free(k->url);
    free(k->body);
    *k = (struct kept){ .url = strdup(url),
                        .body = malloc(res->body_n + 1),
                        .n = res->body_n,
                        .until_us = clock_mono_us() + (int64_t)keep_s * 1000000 };
    assert(k->url && k->body);
    memcpy(k->body, res->body, res->body_n);
    k->body[res->body_n] = '\0';
    pthread_mutex_unlock(&f->mu);
}

static int ask(struct fetcher *f, struct arena *a, const char *url, const char *bearer,
               struct httpc_res *ret, struct err *err)
{
    const struct httpc_header headers[] = {
        { "Accept", "*/*" },
        { "Authorization", bearer ? arena_printf(a, "Bearer %s", bearer) : "" },
    };
    const struct httpc_req req = { .method = "GET",
                                   .url = url,
                                   .headers = headers,
                                   .nheaders = bearer ? 2 : 1,
                                   .timeout_ms = timeout_ms,
                                   .connect_timeout_ms = connect_ms,
                                   .reply_bytes_max = hook_fetch_bytes_max };
    int rc = httpc_call(f->http, a, &req, ret, err);
    if (rc)
        return rc;
    if (ret->result == -E_egress_refused)
        return err_set(err, E_egress_refused, "The URL points to an address that is not allowed.");
    if (ret->result || ret->body_cut || ret->status >= 500) {
        err_set(err, E_unavailable, "What the message refers to cannot be fetched now.");
        err->retry_after_s = 5;
        return err_detail(err, "GET %.100s: %s", url, ret->result ? ret->reason : "bad answer");
    }
    return 0;
}

static int get(struct fetcher *f, struct arena *a, const char *url, const char *bearer,
               unsigned keep_s, struct fetched *ret, struct err *err)
{
    struct httpc_res res;
    if (keep_s && look_up(f, a, url, ret))
        return 0;
    int rc = ask(f, a, url, bearer, &res, err);
    if (rc)
        return rc;
    *ret = (struct fetched){ res.status, res.body ? res.body : "", res.body ? res.body_n : 0 };
    if (keep_s && res.status == 200 && res.body)
        keep(f, url, &res, keep_s);
    return 0;
}

int fetcher_get(void *fetcher, struct arena *a, const char *url, const char *bearer,
                unsigned keep_s, struct fetched *ret, struct err *err)
{
    if (!is_known(fetcher, url))
        return err_set(err, E_egress_refused, "The URL is not one of the provider's.");
    return get(fetcher, a, url, bearer, keep_s, ret, err);
}

int fetcher_get_any(void *fetcher, struct arena *a, const char *url, const char *bearer,
                    unsigned keep_s, struct fetched *ret, struct err *err)
{
    if (!str_starts(url, "https://") && !is_trusted(fetcher, url))
        return err_set(err, E_egress_refused, "The URL is not https.");
    return get(fetcher, a, url, bearer, keep_s, ret, err);
}
