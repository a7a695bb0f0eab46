#ifndef AUTH_AUDIT_H
#define AUTH_AUDIT_H
/*
 * The audit log (rulings.md 11): who did what to keys, clients, consents, passwords, second factors
 * and sessions, and who signed in or failed to.
 *
 * Webhook sources are here too, by what their program tells of them: each is a way in from outside.
 *
 * audit_put inserts a row inside the transaction of what it tells of, so there is no effect without
 * its row and no row without its effect.  The program's role can neither change nor delete rows.
 * One chainer (advisory lock; any replica) adds a row of audit_chain for each within a second:
 *
 *   hash = SHA-256(prev_hash in hex, then each of
 *          id created_at type actor user_id subject address agent request_id data
 *          as "<bytes>:<text>,"; null as "-,")
 *
 * created_at is UTC with microseconds ("2026-02-19T08:00:00.000000Z"), data the text of the jsonb.
 * The first prev_hash is 64 zeros.  `auth --verify-audit` walks the chain: a row that was changed,
 * deleted, inserted later or put elsewhere does not fit.  Whoever can rewrite rows can rewrite the
 * chain as well: the log line audit.head, once a minute, is what to compare with.
 */
#include "services/auth/auth.h"

enum {
    audit_batch_max = 500,
    audit_pause_ms = 300,
    audit_late_ids_max = 10000, /* ids that may commit after a greater one was chained */
    audit_backdated_s = 300,    /* an entry that much older than one chained before is foreign */
    audit_agent_max = 200,
};

struct audit {
    const char *type;    /* "login.failed"; in events.def if `event` */
    const char *subject; /* "key:7", "user:7" */
    int64_t user_id;     /* whom it concerns; 0: nobody that is known */
    const char *data;    /* JSON object or NULL */
    bool event;          /* tell it on auth.events too */
};
int audit_put(struct db_tx *tx, struct arena *a, const struct audit *x,
              const struct auth_cause *why, struct err *err) MUST_CHECK;
/* The same in a transaction of its own, for what changes nothing else. */
int audit_note(struct svc *svc, struct arena *a, const struct audit *x,
               const struct auth_cause *why, struct err *err) MUST_CHECK;
/* The entry of an event about a stored row: `row` has its representation and its owner. */
struct outbox_event;
int audit_row(struct db_tx *tx, struct arena *a, const struct outbox_event *e,
              const struct db_rows *row, const char *changed, const struct auth_cause *why,
              struct err *err) MUST_CHECK;
/* consumer.fn of webhook.source.*: an entry of each (source_audit.c). */
int audit_source(struct msg *m, struct db_tx *tx, struct err *err);
/* {"reason":"…"}: for data. */
char *audit_data(struct arena *a, const char *name, const char *value);
/* The network that addresses are counted by: IPv4 as it is, IPv6 its /64; "" if it is no address.
 */
const char *audit_network(struct arena *a, const char *address);

/* One batch; *ret_n: how many rows were chained.  `all`: also those far behind. */
int audit_chain_some(struct svc *svc, struct arena *a, bool all, size_t *ret_n,
                     struct err *err) MUST_CHECK;
void audit_job(struct svc *svc);
/* Prints one line of JSON; E_conflict if the chain is broken. */
int audit_verify_verb(struct svc *svc, char **args, struct err *err);

struct audit_report {
    int64_t rows, last_seq, unchained;
    char hash[65];         /* of the last */
    const char *broken;    /* NULL: it holds */
    int64_t seq, audit_id; /* where */
};
int audit_verify(struct svc *svc, struct arena *a, struct audit_report *ret,
                 struct err *err) MUST_CHECK;

extern const struct route auth_audit_routes[];
#endif
