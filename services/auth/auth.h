#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H
/*
 * The auth program: API keys, and what is known of the people they belong to.
 *
 * Each change of a key puts two events into its transaction's outbox: key.state, the whole state
 * for every program's table (topic auth.keys, compacted), and key.created/updated/revoked/expired
 * (auth.events).
 */
#include "common/io/db.h"
#include "common/kit/inbox.h"
#include "common/kit/route.h"
#include "common/kit/svc.h"

struct auth_conf {
    struct svc_conf svc;
    const char *admin_password;
    int64_t signing_key_days, refresh_grace_s;
    int64_t session_s, session_idle_s, login_lock_max_s, password_min;
    const char *totp_roles;
};
/* What the running program keeps in memory (svc->state). */
struct signers;
struct auth_state {
    struct signers *signers;
};
static inline const struct auth_conf *auth_conf_of(const struct svc *svc)
{
    return container_of(svc->conf, struct auth_conf, svc);
}
extern const struct conf_def auth_conf_defs[];

int auth_init(struct svc *svc, struct err *err) MUST_CHECK;
void auth_done(struct svc *svc);
const struct svc_def *auth_def(void);
const struct migration *auth_migrations(struct arena *a);

extern const struct route auth_key_routes[], auth_rotation_routes[], auth_sandbox_routes[],
    auth_internal_routes[], auth_denial_routes[];
extern const struct consumer auth_consumers[];

/* Key events.  `actor` and the ids may be NULL; ret_event_id (of the state) too. */
struct auth_cause {
    const char *actor, *request_id, *traceparent;
    const char *address, *agent; /* of the client, for the audit log */
};
struct auth_cause auth_cause_of(const struct req *req);
int auth_publish_state(struct db_tx *tx, struct arena *a, int64_t key, const struct auth_cause *why,
                       char *ret_event_id, struct err *err) MUST_CHECK;
/* `changed`: a JSON array of field names. */
int auth_publish_event(struct db_tx *tx, struct arena *a, int64_t key, const char *type,
                       const char *changed, const struct auth_cause *why,
                       struct err *err) MUST_CHECK;
/* The line of auth.keys for row `i` of sql key_state or key_states. */
char *auth_state_json(struct arena *a, const struct db_rows *r, size_t i);

/* A new key in the transaction: row, state, event.  `text` is the key itself, shown once. */
struct auth_new_key {
    const char *env, *name, *device;
    bool sandbox;
    int64_t user_id;
    struct db_val scopes, expires_at, networks, rate_limit, quota_monthly;
};
int auth_make_key(struct db_tx *tx, struct arena *a, const struct auth_new_key *k,
                  const struct auth_cause *why, int64_t *ret_id, char *ret_text,
                  struct err *err) MUST_CHECK;

/* Refuses "key:7" and "user:7" from now on, and access tokens and sessions made until now:
 * "family:7", "client:7", "tokens:<user>", "jti:<number>", "session:7".  Live on every replica
 * within a second; done when the table or Redis has it (denial.c). */
int auth_deny_now(struct svc *svc, struct arena *a, const char *kind, int64_t id,
                  struct err *err) MUST_CHECK;
int auth_deny_all(struct svc *svc, struct arena *a, const char *kind, const int64_t *ids, size_t n,
                  struct err *err) MUST_CHECK;
void auth_denials_forget(struct svc *svc, struct arena *a); /* what every program has since long */
void auth_refill_job(struct svc *svc);                      /* job_def.fn */

int auth_bootstrap_admin(struct svc *svc, char **args, struct err *err);
void auth_expire_job(struct svc *svc);
/* Tells of keys that end in 30, 7 or 1 days, each step once; *ret_n: of how many. */
int auth_warn_some(struct svc *svc, struct arena *a, size_t *ret_n, struct err *err) MUST_CHECK;
void auth_warn_job(struct svc *svc);

/* Handlers of key.c. */
int auth_key_create(struct req *req, struct res *res, struct err *err);
int auth_key_patch(struct req *req, struct res *res, struct err *err);
int auth_key_delete(struct req *req, struct res *res, struct err *err);
int auth_key_revoke(struct req *req, struct res *res, struct err *err);
/* {"data":{…as GET…,"key":"365k_…"}}: the only answer that a key's text is in. */
int key_shown(struct db_tx *tx, struct arena *a, int64_t id, const char *text,
              const char **ret_body, struct err *err) MUST_CHECK;
#endif
