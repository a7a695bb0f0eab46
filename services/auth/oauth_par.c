/* POST /oauth/par (RFC 9126): what is to be asked of a person, sent before they are. */
#include "services/auth/oauth_ask.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include "auth/sql.h"

/* The parameters again, without what proves the client. */
static const char *kept(struct arena *a, const struct form *form, const char *jkt)
{
    static const char *const secret[] = { "client_secret", "client_assertion",
                                          "client_assertion_type" };
    struct buf b;
    buf_init(&b, a, 1024, form_bytes_max);
    for (size_t i = 0; i < form->n; i++) {
        bool drop = false;
        for (size_t k = 0; k < ARRAY_LEN(secret); k++)
            drop = drop || str_eq(form->list[i].name, secret[k]);
        if (!drop)
            buf_printf(&b, "%s%s=%s", b.len ? "&" : "", url_encode(a, form->list[i].name),
                       url_encode(a, form->list[i].value));
    }
    if (jkt && !form_get(form, "dpop_jkt"))
        buf_printf(&b, "&dpop_jkt=%s", jkt);
    return b.overflow ? NULL : b.data;
}

static int par(struct req *req, struct res *res, struct fault *f, struct err *err)
{
    struct form form;
    struct ask ask = { .redirect_uri = NULL };
    struct db_rows *r;
    unsigned char raw[32];
    char hash[65];
    const char *jkt = NULL;
    int rc = oauth_form(req, &form, f, err);
    if (!rc)
        rc = client_authenticate(req, &form, &ask.client, f, err);
    if (!rc && form_get(&form, "request_uri"))
        rc = fault_set(f, err, 400, "invalid_request", "request_uri cannot be pushed.");
    if (!rc)
        rc = ask_check(req, &form, &ask, f, err);
    if (!rc)
        rc = oauth_proven_key(req, &jkt, f, err);
    if (!rc && jkt && ask.jkt && !str_eq(jkt, ask.jkt))
        rc = fault_set(f, err, 400, "invalid_dpop_proof", "dpop_jkt is another key's.");
    if (rc)
        return rc;
    random_bytes(raw, sizeof(raw));
    const char *uri = arena_printf(req->arena, "%s%s", ask_uri_prefix,
                                   b64url_encode(req->arena, raw, sizeof(raw)));
    const char *params = kept(req->arena, &form, jkt);
    if (!params)
        return fault_set(f, err, 400, "invalid_request", "The request is too long.");
    ask_uri_hash(uri, hash);
    const struct db_val v[] = { db_text(hash), db_i64(ask.client.id), db_text(params),
                                db_i64(pushed_life_s) };
    rc = db_query(req->svc->db, req->arena, &sql_pushed_insert, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    res->status = 201;
    oauth_json(res, json_in(req->arena, json_pack("{s:s,s:i}", "request_uri", uri, "expires_in",
                                                  pushed_life_s)));
    return 0;
}

int oauth_par(struct req *req, struct res *res, struct err *err)
{
    struct fault f = { .error = NULL };
    return oauth_answer(req, res, par(req, res, &f, err), &f);
}
