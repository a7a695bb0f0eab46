#ifndef KIT_IDEM_H
#define KIT_IDEM_H
/*
 * Idempotency-Key.  The record lives in the program's own `idempotency` table and is written
 * in the effect's own transaction, so there is an effect exactly if there is a record.
 *
 *   fresh            the effect runs, status, Location and body are recorded
 *   same request     the recorded answer again, with Idempotent-Replayed: true
 *   other request    422 idempotency_reused (method, path and body are fingerprinted)
 *   still running    409 idempotency_in_flight
 * Records are kept idem_keep_hours at least.  A key belongs to its user (or key, if the credential
 * has no user). IDEM_SEALED: the stored body is sealed with the program's keyring (bodies that show
 * a secret once), and only the credential that asked has it again.
 */
#include "common/kit/route.h"

struct db_tx;
enum { idem_keep_hours = 24, idem_key_bytes_max = 255, idem_owner_max = 48 };
/* "user:7", "client:3", "key:9": whose a key or an operation is. */
void idem_owner(const struct principal *who, char ret[idem_owner_max]);
enum idem_flag {
    IDEM_SEALED = 1 << 0,
    IDEM_BARE = 1 << 1, /* idem_run: nothing is said twice; who asks again is told what is now */
};

struct idem {                           /* of one request */
    bool used;                          /* the request has a key */
    char owner[idem_owner_max];         /* "user:7" */
    char key_hash[65], fingerprint[65]; /* SHA-256, hex */
    int64_t lock;                       /* of the key, for the advisory lock */
    unsigned flags;
};
/* Reads the key of the request (nothing is touched if it has none). */
void idem_init(struct idem *i, const struct req *req, unsigned flags);

/* First statement of the effect's transaction: takes the key's lock.  E_idempotency_in_flight;
 * *ret_seen: there is a record, the effect must not run: leave the transaction and call
 * idem_replay. */
int idem_claim(struct db_tx *tx, struct arena *a, const struct idem *i, bool *ret_seen,
               struct err *err) MUST_CHECK;
/* Last statement of it.  `body` is the whole response body. */
int idem_record(struct db_tx *tx, const struct req *req, const struct idem *i, int status,
                const char *location, const char *body, struct err *err) MUST_CHECK;
/* Answers from the record: fills res; E_idempotency_reused; E_idempotency_in_flight if there is
 * none (yet). */
int idem_replay(struct req *req, const struct idem *i, struct res *res, struct err *err) MUST_CHECK;

/* All of it, for a request with one effect: claim, effect, record and answer. */
struct idem_made { /* what the effect is answered with, in the arena; location may be NULL */
    int status;
    const char *location, *body;
};
struct idem_work {
    int (*effect)(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err);
    void *ctx;
    unsigned flags;
};
/* *ret_fresh: the effect was made by this request; else it was made before and res has the recorded
 * answer (IDEM_BARE: only the mark that it is a replay).  IDEM_SEALED answers are not cached. */
int idem_run(struct req *req, struct res *res, const struct idem_work *w, bool *ret_fresh,
             struct err *err) MUST_CHECK;
void idem_job(struct svc *svc); /* job_def.fn: drops what is past its time */

extern const char idem_schema_sql[];
#endif
