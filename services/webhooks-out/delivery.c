/* The log's attempts, sending again, and forgetting what is old.  Lists are crud's. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/rowjson.h"
#include "services/webhooks-out/sending.h"

#include <stdatomic.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { keep_days = 30, drop_rows = 2000, drop_pause_ms = 60000, look_ms = 1000 };

static int missing(const struct req *req, struct err *err)
{
    return err_set(err, E_not_found, "There is no webhook_delivery %.60s.", req->params[0]);
}

static bool id_ok(const struct req *req)
{
    unsigned char raw[16];
    return uuid_parse(req->params[0], raw);
}

/* An event goes by the name that receivers see, evt_…; the UUID alone, which events carry
 * elsewhere, is taken too, also in a list of them. */
static const char *event_names(struct arena *a, const char *value)
{
    struct buf b;
    unsigned char raw[16];
    buf_init(&b, a, 64, 2 * strlen(value) + 64);
    for (const char *at = value;; at++) {
        size_t n = strcspn(at, ",");
        char *one = arena_strndup(a, at, n);
        buf_printf(&b, "%s%s", uuid_parse(one, raw) ? "evt_" : "", one);
        at += n;
        if (!*at)
            break;
        buf_putc(&b, ',');
    }
    return b.overflow ? value : b.data;
}

int delivery_list(struct req *req, struct res *res, struct err *err)
{
    struct query_arg *args = arena_alloc(req->arena, (req->nargs + 1) * sizeof(*args));
    for (size_t i = 0; i < req->nargs; i++) {
        args[i] = req->args[i];
        if (str_starts(args[i].name, "filter[event_id]"))
            args[i].value = event_names(req->arena, args[i].value);
    }
    req->args = args;
    return crud_list(req, res, err);
}

static const struct column {
    const char *name;
    enum { NUMBER, TEXT, TIME, HEADERS } form;
} columns[] = {
    { "id",               NUMBER  },
    { "attempt",          NUMBER  },
    { "outcome",          TEXT    },
    { "response_code",    NUMBER  },
    { "trigger",          TEXT    },
    { "latency_ms",       NUMBER  },
    { "dns_ms",           NUMBER  },
    { "connect_ms",       NUMBER  },
    { "tls_ms",           NUMBER  },
    { "first_byte_ms",    NUMBER  },
    { "address",          TEXT    },
    { "url",              TEXT    },
    { "request_headers",  HEADERS },
    { "response_headers", HEADERS },
    { "error",            TEXT    },
    { "response_body",    TEXT    },
    { "created_at",       TIME    },
};

static void put_attempt(struct arena *a, struct buf *b, const struct db_rows *r, size_t i)
{
    for (size_t c = 0; c < ARRAY_LEN(columns); c++) {
        size_t n;
        const char *cell = db_cell(r, i, c, &n);
        buf_printf(b, "%c\"%s\":", c ? ',' : '{', columns[c].name);
        if (db_is_null(r, i, c))
            buf_puts(b, "null");
        else if (columns[c].form == TIME)
            rowjson_put_time(b, cell, n);
        else if (columns[c].form == TEXT)
            buf_put_json_string(b, cell, n);
        else if (columns[c].form == HEADERS)
            log_headers_json(b, a, cell);
        else
            buf_put(b, cell, n);
    }
    buf_putc(b, '}');
}

static int find(struct req *req, struct db_rows **ret, struct err *err)
{
    const struct db_val v[] = { db_text(req->params[0]), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    if (!id_ok(req))
        return missing(req, err);
    int rc = db_query(req->svc->db, req->arena, &sql_delivery_there, v, ARRAY_LEN(v), ret, err);
    return !rc && !db_nrows(*ret) ? missing(req, err) : rc;
}

int delivery_attempts(struct req *req, struct res *res, struct err *err)
{
    const struct db_val v[] = { db_text(req->params[0]), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    struct db_rows *r;
    int rc = find(req, &r, err);
    if (!rc)
        rc = db_query(req->svc->db, req->arena, &sql_delivery_attempts, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    struct buf *b = &res->body;
    buf_puts(b, "{\"data\":[");
    for (size_t i = 0; i < db_nrows(r); i++) {
        if (i)
            buf_putc(b, ',');
        put_attempt(req->arena, b, r, i);
    }
    buf_printf(b,
               "],\"meta\":{\"total\":%zu,\"page\":1,\"per_page\":100},"
               "\"links\":{\"self\":\"%s%s\",\"next\":null,\"prev\":null}}",
               db_nrows(r), req->svc->conf->public_url, req->path);
    return 0;
}

int delivery_payload(struct req *req, struct res *res, struct err *err)
{
    struct db_rows *r;
    size_t n;
    int rc = find(req, &r, err);
    if (rc)
        return rc;
    buf_printf(&res->body,
               "{\"data\":{\"webhook_id\":\"evt_%s\",\"event\":\"%s\",\"body\":", db_str(r, 0, 0),
               db_str(r, 0, 1));
    const char *body = db_cell(r, 0, 2, &n);
    buf_put_json_string(&res->body, body, n);
    buf_puts(&res->body, "}}");
    return 0;
}

/* --- resend --- */

struct again {
    struct req *req;
    int64_t endpoint;
};

static int again(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct again *g = ctx;
    struct req *req = g->req;
    struct arena *a = req->arena;
    const struct db_val v[] = { db_text(req->params[0]), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    struct db_rows *r;
    int rc = db_exec(tx, a, &sql_delivery_lock, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return missing(req, err);
    if (db_is_null(r, 0, 2))
        return err_set(err, E_conflict, "Its endpoint was deleted.");
    rc = db_exec(tx, a, &sql_delivery_again, v, 1, &r, err);
    if (rc)
        return rc;
    g->endpoint = db_get_i64(r, 0, 0);
    ret->status = 202;
    return 0;
}

int delivery_resend(struct req *req, struct res *res, struct err *err)
{
    struct again g = { .req = req };
    const struct idem_work work = { again, &g, IDEM_BARE };
    bool fresh;
    if (!id_ok(req))
        return missing(req, err);
    int rc = idem_run(req, res, &work, &fresh, err);
    if (rc)
        return rc;
    if (fresh)
        dispatch_due(req->svc, g.endpoint);
    rc = crud_answer(req, res, entity_find("webhook_delivery"), req->params[0], err);
    res->etag = NULL;
    res->status = 202;
    return rc;
}

/* --- retention --- */

static int retain(struct svc *svc, struct arena *a, bool *ret_more, struct err *err)
{
    const struct db_val v[] = { db_i64(keep_days), db_i64(drop_rows) };
    struct db_rows *r;
    int rc = db_query(svc->db, a, &sql_deliveries_weeks, NULL, 0, &r, err);
    if (!rc)
        rc = db_query(svc->db, a, &sql_deliveries_expire, v, 1, &r, err);
    if (!rc)
        rc = db_query(svc->db, a, &sql_secrets_wipe, NULL, 0, &r, err);
    if (!rc)
        rc = db_query(svc->db, a, &sql_deliveries_orphaned, NULL, 0, &r, err);
    *ret_more = !rc && db_affected(r) == cancel_rows;
    if (!rc)
        rc = db_query(svc->db, a, &sql_deliveries_drop, v, ARRAY_LEN(v), &r, err);
    *ret_more |= !rc && db_affected(r) == drop_rows;
    return rc;
}

static atomic_bool asked;

void retention_soon(void)
{
    atomic_store(&asked, true);
}

static void wait_for_more(struct svc *svc)
{
    for (unsigned ms = 0; ms < drop_pause_ms && !atomic_exchange(&asked, false); ms += look_ms)
        if (svc_pause(svc, look_ms))
            return;
}

void retention_job(struct svc *svc)
{
    while (!svc_stopping(svc)) {
        struct arena *a = arena_new();
        struct err err;
        bool more;
        int rc = retain(svc, a, &more, &err);
        if (rc && rc != -E_unavailable)
            log_error("retention.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        arena_free(a);
        if (!more)
            wait_for_more(svc);
    }
}
