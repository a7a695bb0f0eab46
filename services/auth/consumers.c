/* Follows user.* events (a user's role and status decide what his keys may do), and keeps what the
 * programs say of the keys' use. */
#include "services/auth/auth.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/outbox.h"
#include "services/auth/audit.h"
#include "services/auth/oauth.h"
#include "services/auth/quota.h"

#include "auth/sql.h"

struct person {
    int64_t id, version;
    const char *role, *status, *username, *email, *display_name;
};

static int read_person(struct msg *m, struct person *ret, struct err *err)
{
    json_t *root;
    int rc = json_parse(m->arena, m->payload ? m->payload : "", m->len, &root, err);
    if (rc)
        return rc;
    const json_t *data = json_object_get(root, "data");
    const json_t *id = json_object_get(data, "id"), *version = json_object_get(data, "version");
    *ret =
        (struct person){ .id = json_integer_value(id),
                         .version = json_integer_value(version),
                         .role = json_string_value(json_object_get(data, "role")),
                         .status = json_string_value(json_object_get(data, "status")),
                         .username = json_string_value(json_object_get(data, "username")),
                         .email = json_string_value(json_object_get(data, "email")),
                         .display_name = json_string_value(json_object_get(data, "display_name")) };
    if (str_eq(m->type, "user.deleted") || json_is_string(json_object_get(data, "deleted_at")))
        ret->status = "deleted";
    bool known = str_eq(ret->status, "active") || str_eq(ret->status, "suspended") ||
                 str_eq(ret->status, "deleted");
    if (ret->id <= 0 || ret->version <= 0 || role_find(ret->role) == ROLE_NONE || !known)
        return err_set(err, E_invalid, "not a user: id, version, role or status");
    return 0;
}

static int revoke_all(struct msg *m, struct db_tx *tx, int64_t user, const struct auth_cause *why,
                      struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(user);
    int rc = db_exec(tx, m->arena, &sql_key_revoke_user, &v, 1, &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        int64_t key = db_get_i64(r, i, 0);
        rc = auth_publish_state(tx, m->arena, key, why, NULL, err);
        if (!rc)
            rc = auth_publish_event(tx, m->arena, key, "key.revoked", "[\"status\",\"revoked_at\"]",
                                    why, err);
    }
    return rc;
}

static int publish_all(struct msg *m, struct db_tx *tx, int64_t user, const struct auth_cause *why,
                       struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(user);
    int rc = db_exec(tx, m->arena, &sql_key_of_user, &v, 1, &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++)
        rc = auth_publish_state(tx, m->arena, db_get_i64(r, i, 0), why, NULL, err);
    return rc;
}

/* `old`: role and status as they were. */
static int note_change(struct db_tx *tx, struct msg *m, const struct person *p,
                       const struct db_rows *old, const struct auth_cause *why, struct err *err)
{
    json_t *o = json_pack("{s:[s,s],s:[s,s]}", "role", db_str(old, 0, 0), p->role, "status",
                          db_str(old, 0, 1), p->status);
    const struct audit entry = { .type = "user.changed",
                                 .subject = arena_printf(m->arena, "user:%lld", (long long)p->id),
                                 .user_id = p->id,
                                 .data = json_text(m->arena, json_in(m->arena, o)) };
    return audit_put(tx, m->arena, &entry, why, err);
}

/* Who no longer gets a person's mail hears of it, at the address of before: it may be the person.
 */
static int tell_of_move(struct db_tx *tx, struct msg *m, const struct person *p, const char *from,
                        const struct auth_cause *why, struct err *err)
{
    const char *user = arena_printf(m->arena, "user:%lld", (long long)p->id);
    json_t *o = json_pack("{s:s,s:s,s:{s:s?,s:s?,s:s}}", "template", "email_changed", "to", from,
                          "data", "username", p->username, "display_name", p->display_name, "site",
                          m->svc->conf->public_url);
    const struct outbox_event e = { .type = "mail.send",
                                    .key = user,
                                    .payload = json_text(m->arena, json_in(m->arena, o)),
                                    .traceparent = why->traceparent,
                                    .request_id = why->request_id,
                                    .actor = why->actor };
    const struct audit entry = { .type = "user.email_changed", .subject = user, .user_id = p->id };
    int rc = audit_put(tx, m->arena, &entry, why, err);
    return rc ? rc : outbox_put(tx, m->arena, &e, NULL, err);
}

static int on_user(struct msg *m, struct db_tx *tx, struct err *err)
{
    struct person p;
    struct db_rows *r;
    struct auth_cause why = { .actor = m->actor,
                              .request_id = m->request_id,
                              .traceparent = m->traceparent };
    int rc = read_person(m, &p, err);
    if (rc)
        return rc;
    const struct db_val id = db_i64(p.id);
    rc = db_exec(tx, m->arena, &sql_person_lock, &id, 1, &r, err);
    if (rc)
        return rc;
    bool known = db_nrows(r) == 1;
    bool changed =
        known && (!str_eq(db_str(r, 0, 0), p.role) || !str_eq(db_str(r, 0, 1), p.status));
    if (known && db_get_i64(r, 0, 2) > p.version)
        return 0; /* an older event than what is known */
    const struct db_val v[] = { id,
                                db_text(p.role),
                                db_text(p.status),
                                db_i64(p.version),
                                db_text(p.username),
                                db_text(p.email),
                                db_text(p.display_name) };
    const struct db_rows *old = r;
    const char *mail = known ? db_str(old, 0, 3) : NULL;
    rc = db_exec(tx, m->arena, &sql_person_put, v, ARRAY_LEN(v), &r, err);
    if (!rc && mail && p.email && !str_ieq(mail, p.email))
        rc = tell_of_move(tx, m, &p, mail, &why, err);
    if (rc || !changed)
        return rc;
    rc = note_change(tx, m, &p, old, &why, err);
    if (!rc && !str_eq(p.status, "active")) { /* who is let in again signs in again */
        const struct db_val ended[] = { id, db_i64(0) };
        rc = db_exec(tx, m->arena, &sql_sessions_end, ended, 2, &r, err);
    }
    if (rc)
        return rc;
    rc = str_eq(p.status, "deleted") ? revoke_all(m, tx, p.id, &why, err)
                                     : publish_all(m, tx, p.id, &why, err);
    if (rc)
        return rc;
    /* Access tokens carry the role of their time: the next ones have the new. */
    struct err unheard = { 0 };
    if (auth_deny_now(m->svc, m->arena, "tokens", p.id, &unheard))
        log_debug("auth.tokens_end_by_time_only", kv_i("user", p.id), kv_s("why", unheard.detail));
    if (str_eq(p.status, "active"))
        return 0;
    /* Redis is the faster of two ways: if it is away, the states still travel by Kafka.  Before the
     * commit, because a rolled back suspension comes again with the same message. */
    struct err ignored = { 0 };
    if (auth_deny_now(m->svc, m->arena, "user", p.id, &ignored))
        log_debug("auth.revocation_by_kafka_only", kv_i("user", p.id), kv_s("why", ignored.detail));
    return 0;
}

static void on_commit(struct svc *svc, size_t n)
{
    (void)n;
    if (svc->outbox)
        outbox_wake(svc->outbox);
}

/* --- uses ---------------------------------------------------------------------------------------
 */

enum { uses_max = 1000, denied_networks_max = 32 /* an hour and credential */ };

struct uses {
    int64_t key[uses_max]; /* that was used; 0: somebody was refused */
    const char *subject[uses_max], *denied[uses_max], *at[uses_max], *address[uses_max],
        *agent[uses_max];
};

/* Whose use it is: "key:7". */
static const char *subject_of(struct arena *a, const json_t *one, bool denied)
{
    static const char *const kinds[] = { "key", "client", "user" };
    for (size_t i = 0; i < (denied ? ARRAY_LEN(kinds) : 1); i++) {
        int64_t id = json_integer_value(json_object_get(one, arena_printf(a, "%s_id", kinds[i])));
        if (id > 0)
            return arena_printf(a, "%s:%lld", kinds[i], (long long)id);
    }
    return NULL;
}

static int read_uses(struct msg *m, struct uses *u, size_t *ret_n, struct err *err)
{
    json_t *root;
    int rc = json_parse(m->arena, m->payload ? m->payload : "", m->len, &root, err);
    if (rc)
        return rc;
    const json_t *list = json_object_get(root, "uses");
    size_t n = json_array_size(list);
    if (!n || n > uses_max)
        return err_set(err, E_invalid, "not 1 to %d uses", uses_max);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        bool denied = json_is_true(json_object_get(one, "denied"));
        int64_t us;
        u->key[i] = denied ? 0 : json_integer_value(json_object_get(one, "key_id"));
        u->subject[i] = subject_of(m->arena, one, denied);
        u->denied[i] = denied ? "t" : "f";
        u->at[i] = json_string_value(json_object_get(one, "at"));
        u->address[i] = json_string_value(json_object_get(one, "address"));
        u->agent[i] = json_string_value(json_object_get(one, "agent"));
        if (!u->subject[i] || !u->at[i] || !rfc3339_parse(u->at[i], &us) || !u->address[i] ||
            !u->agent[i])
            return err_set(err, E_invalid, "not a use: whose, at, address or agent");
    }
    *ret_n = n;
    return 0;
}

/* "key.denied"; of a person it is the session. */
static const char *entry_type(struct arena *a, const char *subject, bool denied)
{
    const char *kind = arena_strndup(a, subject, strcspn(subject, ":"));
    return arena_printf(a, "%s.%s", str_eq(kind, "user") ? "session" : kind,
                        denied ? "denied" : "used");
}

/* The first use of a key from a network in an hour is an entry of the log (rulings.md 11), and so
 * is a refusal; of these there are denied_networks_max at most, lest somebody fills the log. */
static int note_uses(struct msg *m, struct db_tx *tx, const struct uses *u, size_t n,
                     struct err *err)
{
    struct arena *a = m->arena;
    const char **network = arena_alloc(a, n * sizeof(*network));
    struct db_rows *r;
    for (size_t i = 0; i < n; i++)
        network[i] = audit_network(a, u->address[i]);
    const struct db_val v[] = { db_texts(u->subject, n), db_texts(network, n), db_texts(u->at, n),
                                db_texts(u->denied, n), db_i64(denied_networks_max) };
    int rc = db_exec(tx, a, &sql_audit_seen_put, v, ARRAY_LEN(v), &r, err);
    for (size_t row = 0; !rc && row < db_nrows(r); row++) {
        size_t i = 0;
        bool denied = db_get_bool(r, row, 2);
        while (i + 1 < n &&
               (!str_eq(u->subject[i], db_str(r, row, 0)) ||
                !str_eq(network[i], db_str(r, row, 1)) || str_eq(u->denied[i], "t") != denied))
            i++;
        const struct auth_cause why = { .actor = u->subject[i],
                                        .address = u->address[i],
                                        .agent = *u->agent[i] ? u->agent[i] : NULL };
        const struct audit entry = { .type = entry_type(a, u->subject[i], denied),
                                     .subject = u->subject[i],
                                     .user_id = db_get_i64(r, row, 3),
                                     .event = denied,
                                     .data = audit_data(a, "at", u->at[i]) };
        rc = audit_put(tx, a, &entry, &why, err);
    }
    return rc;
}

static int on_uses(struct msg *m, struct db_tx *tx, struct err *err)
{
    struct uses *u = arena_alloc(m->arena, sizeof(*u));
    struct db_rows *r;
    size_t n;
    int rc = read_uses(m, u, &n, err);
    if (rc)
        return rc;
    const struct db_val v[] = { db_i64s(u->key, n), db_texts(u->at, n), db_texts(u->address, n),
                                db_texts(u->agent, n) };
    rc = db_exec(tx, m->arena, &sql_key_used, v, ARRAY_LEN(v), &r, err);
    return rc ? rc : note_uses(m, tx, u, n, err);
}

const struct consumer auth_consumers[] = {
    { .name = "auth.people",
     .topic = "content.events",
     .types = "user.",
     .mode = INBOX_EFFECT,
     .batch_max = 200,
     .fn = on_user,
     .committed = on_commit,
     .doc = "A changed role or status re-publishes that user's keys; deletion revokes them." },
    { .name = "auth.uses",
     .topic = "auth.commands",
     .types = "key.used",
     .mode = INBOX_EFFECT,
     .batch_max = 50,
     .fn = on_uses,
     .committed = on_commit,
     .doc = "Keeps when, where and with what each key was last used." },
    { .name = "auth.quotas",
     .topic = "auth.commands",
     .types = "key.quota",
     .mode = INBOX_EFFECT,
     .batch_max = 50,
     .fn = quota_on_use,
     .committed = on_commit,
     .doc = "Keeps what keys used of their month; tells of 80 and 100 %." },
    { .name = "auth.sources",
     .topic = "hooks.events",
     .types = "webhook.source.",
     .mode = INBOX_EFFECT,
     .batch_max = 50,
     .fn = audit_source,
     .doc = "Writes into the audit log who made, changed or removed a webhook source." },
    { .name = NULL },
};
