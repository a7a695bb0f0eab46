/* What the program does without being asked over HTTP: the first administrator's key, expiry. */
#include "services/auth/auth.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/outbox.h"
#include "services/auth/oauth.h"

#include "auth/sql.h"

enum {
    expire_max = 100,
    expire_pause_ms = 2000,
    forget_every_s = 3600,
};

struct first {
    struct arena *a;
    const char *env;
    int64_t user_id;
    const char *phc;
    bool created;
    char text[key_text_max];
};

static int first_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct first *f = ctx;
    static const char *const all[] = { "api:admin" };
    const struct auth_cause why = { .actor = "bootstrap" };
    struct db_rows *r;
    int64_t id;
    const struct db_val user[] = { db_i64(f->user_id), db_text(f->phc) };
    f->created = false;
    int rc = db_exec(tx, f->a, &sql_person_bootstrap, user, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, f->a, &sql_person_lock, user, 1, &r, err); /* one bootstrap at a time */
    if (!rc)
        rc = db_exec(tx, f->a, &sql_credential_bootstrap, user, 2, &r, err);
    if (!rc)
        rc = db_exec(tx, f->a, &sql_key_bootstrap, user, 1, &r, err);
    if (rc || db_nrows(r))
        return rc;
    f->created = true;
    const struct auth_new_key k = {
        .env = f->env, .name = "bootstrap", .user_id = f->user_id, .scopes = db_texts(all, 1)
    };
    return auth_make_key(tx, f->a, &k, &why, &id, f->text, err);
}

/* The relay of the running program (or of the next one to start) takes the events from here. */
int auth_bootstrap_admin(struct svc *svc, char **args, struct err *err)
{
    const struct auth_conf *conf = container_of(svc->conf, struct auth_conf, svc);
    struct first f = { .a = svc->arena, .env = svc->conf->env };
    if (!str_to_i64(args[0], 1, INT64_MAX, &f.user_id))
        return err_set(err, E_invalid, "USERID is the number that api --bootstrap-admin printed");
    if (!*conf->admin_password)
        return err_set(err, E_config, "CMS365_ADMIN_PASSWORD is not set");
    f.phc = password_hash(f.a, conf->admin_password);
    int rc = db_tx(svc->db, f.a, first_tx, &f, err);
    if (rc)
        return rc;
    if (f.created)
        printf("{\"key\":\"%s\",\"created\":true}\n", f.text);
    else
        printf("{\"key\":null,\"created\":false}\n");
    crypto_wipe(f.text, sizeof(f.text));
    return 0;
}

/* --- expiry -------------------------------------------------------------------------------------
 */

struct expire {
    struct arena *a;
    size_t n;
};

/* Expired keys are refused by the clock; this only says so in the row and to whoever listens. */
static int expire_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct expire *e = ctx;
    const struct auth_cause why = { .actor = "schedule" };
    const struct db_val max = db_i64(expire_max);
    struct db_rows *r;
    int rc = db_exec(tx, e->a, &sql_key_expire, &max, 1, &r, err);
    e->n = rc ? 0 : db_nrows(r);
    for (size_t i = 0; i < e->n && !rc; i++)
        rc = auth_publish_event(tx, e->a, db_get_i64(r, i, 0), "key.expired", "[\"status\"]", &why,
                                err);
    return rc;
}

static void forget(struct svc *svc, struct arena *a)
{
    struct err ignored;
    auth_denials_forget(svc, a);
    oauth_forget(svc, a);
    struct db_rows *r;
    static const struct db_stmt *const all[] = { &sql_session_forget, &sql_session_code_forget,
                                                 &sql_tries_forget, &sql_password_token_forget,
                                                 &sql_audit_seen_forget };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (db_query(svc->db, a, all[i], NULL, 0, &r, &ignored))
            log_debug("auth.forget", kv_s("why", ignored.detail));
}

void auth_expire_job(struct svc *svc)
{
    struct expire e = { .a = arena_new() };
    int64_t next_forget = 0;
    while (!svc_stopping(svc)) {
        struct err err = { 0 };
        int rc = db_tx(svc->db, e.a, expire_tx, &e, &err);
        if (rc)
            log_debug("auth.expire", kv_s("why", err.msg), kv_s("detail", err.detail));
        else if (e.n)
            outbox_wake(svc->outbox);
        if (clock_mono_us() >= next_forget) {
            forget(svc, e.a);
            next_forget = clock_mono_us() + forget_every_s * 1000000ll;
        }
        arena_reset(e.a);
        if ((rc || e.n < expire_max) && svc_pause(svc, expire_pause_ms))
            break;
    }
    arena_free(e.a);
}
