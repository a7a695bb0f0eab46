/* The chain over the audit log: made in batches by one replica, verified by anybody. */
#include "services/auth/audit.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

#include "auth/sql.h"

enum {
    cells = 10, /* the columns that are hashed come first in the statements */
    walk_rows = 1000,
    head_every_us = 60 * 1000 * 1000,
    all_every = 1000, /* batches between looks far behind */
};
static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

static void link_hash(struct arena *a, const char *prev, const struct db_rows *r, size_t row,
                      char ret[sha256_hex_len + 1])
{
    struct buf b;
    buf_init(&b, a, 512, 1024 * 1024);
    buf_puts(&b, prev);
    for (size_t c = 0; c < cells; c++) {
        size_t n;
        const char *text = db_cell(r, row, c, &n);
        if (db_is_null(r, row, c)) {
            buf_puts(&b, "-,");
            continue;
        }
        buf_printf(&b, "%zu:", n);
        buf_put(&b, text, n);
        buf_putc(&b, ',');
    }
    sha256_hex(b.data, b.len, ret);
}

/* --- chaining -----------------------------------------------------------------------------------
 */

struct chain {
    struct arena *a;
    bool all;
    size_t n;
    int64_t seq;
    char hash[sha256_hex_len + 1];
};

static int chain_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct chain *c = ctx;
    struct db_rows *r;
    c->n = 0;
    c->seq = 0;
    snprintf(c->hash, sizeof(c->hash), "%s", zeros);
    int rc = db_exec(tx, c->a, &sql_audit_lock, NULL, 0, &r, err);
    if (rc || !db_get_bool(r, 0, 0))
        return rc;
    rc = db_exec(tx, c->a, &sql_audit_last, NULL, 0, &r, err);
    if (rc)
        return rc;
    if (db_nrows(r)) {
        c->seq = db_get_i64(r, 0, 0);
        snprintf(c->hash, sizeof(c->hash), "%s", db_str(r, 0, 1));
    }
    const struct db_val limits[] = { db_i64(c->all ? INT64_MAX / 2 : audit_late_ids_max),
                                     db_i64(audit_batch_max) };
    rc = db_exec(tx, c->a, &sql_audit_unchained, limits, ARRAY_LEN(limits), &r, err);
    size_t n = rc ? 0 : db_nrows(r);
    if (!n)
        return rc;
    int64_t *seq = arena_alloc(c->a, n * sizeof(*seq)), *id = arena_alloc(c->a, n * sizeof(*id));
    const char **prev = arena_alloc(c->a, n * sizeof(*prev)),
               **hash = arena_alloc(c->a, n * sizeof(*hash));
    for (size_t i = 0; i < n; i++) {
        seq[i] = ++c->seq;
        id[i] = db_get_i64(r, i, 0);
        prev[i] = arena_strdup(c->a, c->hash);
        link_hash(c->a, prev[i], r, i, c->hash);
        hash[i] = arena_strdup(c->a, c->hash);
    }
    const struct db_val v[] = { db_i64s(seq, n), db_i64s(id, n), db_texts(prev, n),
                                db_texts(hash, n) };
    rc = db_exec(tx, c->a, &sql_audit_chain_insert, v, ARRAY_LEN(v), &r, err);
    c->n = rc ? 0 : n;
    return rc;
}

static int chain_some(struct svc *svc, struct chain *c, struct err *err)
{
    return db_tx(svc->db, c->a, chain_tx, c, err);
}

int audit_chain_some(struct svc *svc, struct arena *a, bool all, size_t *ret_n, struct err *err)
{
    struct chain c = { .a = a, .all = all };
    int rc = chain_some(svc, &c, err);
    *ret_n = c.n;
    return rc;
}

void audit_job(struct svc *svc)
{
    struct arena *a = arena_new();
    int64_t next_head = 0;
    for (unsigned turn = 0; !svc_stopping(svc); turn++) {
        struct err err = { 0 };
        struct chain c = { .a = a, .all = turn % all_every == 0 };
        int rc = chain_some(svc, &c, &err);
        if (rc)
            log_debug("audit.chain", kv_s("why", err.msg), kv_s("detail", err.detail));
        if (!rc && c.n && clock_mono_us() >= next_head) {
            log_info("audit.head", kv_i("seq", c.seq), kv_s("hash", c.hash));
            next_head = clock_mono_us() + head_every_us;
        }
        arena_reset(a);
        if (c.n < audit_batch_max && svc_pause(svc, audit_pause_ms))
            break;
    }
    arena_free(a);
}

/* --- verifying ----------------------------------------------------------------------------------
 */

enum { C_ID, C_SEQ = cells, C_AUDIT_ID, C_PREV, C_HASH, C_AT };

struct walk {
    struct audit_report *report;
    int64_t newest_s; /* of the entries so far */
};

/* What is wrong with the link; NULL: it fits. */
static const char *fault_of(struct arena *a, const struct walk *w, const struct db_rows *r,
                            size_t i, bool first)
{
    char hash[sha256_hex_len + 1];
    const struct audit_report *p = w->report;
    int64_t seq = db_get_i64(r, i, C_SEQ);
    if (first ? seq == 1 && !str_eq(db_str(r, i, C_PREV), zeros) : seq != p->last_seq + 1)
        return first ? "the chain's beginning was changed" : "links before this one are missing";
    if (!first && !str_eq(db_str(r, i, C_PREV), p->hash))
        return "the link does not follow from the one before";
    if (db_is_null(r, i, C_ID))
        return "the entry was deleted";
    link_hash(a, db_str(r, i, C_PREV), r, i, hash);
    if (!str_eq(hash, db_str(r, i, C_HASH)))
        return "the entry was changed";
    if (db_get_i64(r, i, C_AT) < w->newest_s - audit_backdated_s)
        return "the entry was inserted later than it says";
    return NULL;
}

static void walk_page(struct arena *a, struct walk *w, const struct db_rows *r)
{
    struct audit_report *p = w->report;
    for (size_t i = 0; i < db_nrows(r) && !p->broken; i++) {
        p->broken = fault_of(a, w, r, i, !p->rows);
        if (p->broken) {
            p->seq = db_get_i64(r, i, C_SEQ);
            p->audit_id = db_get_i64(r, i, C_AUDIT_ID);
            return;
        }
        p->rows++;
        p->last_seq = db_get_i64(r, i, C_SEQ);
        snprintf(p->hash, sizeof(p->hash), "%s", db_str(r, i, C_HASH));
        if (db_get_i64(r, i, C_AT) > w->newest_s)
            w->newest_s = db_get_i64(r, i, C_AT);
    }
}

int audit_verify(struct svc *svc, struct arena *a, struct audit_report *ret, struct err *err)
{
    struct walk w = { .report = ret };
    struct arena *page = arena_new();
    struct db_rows *r;
    size_t n = walk_rows;
    int rc = 0;
    *ret = (struct audit_report){ .rows = 0 };
    while (!rc && n == walk_rows && !ret->broken) {
        const struct db_val v[] = { db_i64(ret->last_seq), db_i64(walk_rows) };
        rc = db_query(svc->db, page, &sql_audit_walk, v, ARRAY_LEN(v), &r, err);
        n = rc ? 0 : db_nrows(r);
        if (n)
            walk_page(page, &w, r);
        arena_reset(page);
    }
    arena_free(page);
    const struct db_val since = db_i64(w.newest_s - audit_backdated_s);
    if (!rc)
        rc = db_query(svc->db, a, &sql_audit_rest, &since, 1, &r, err);
    if (rc)
        return rc;
    ret->unchained = db_get_i64(r, 0, 0);
    if (!ret->broken && !db_is_null(r, 0, 1)) {
        ret->broken = "the entry is not in the chain, though later ones are";
        ret->audit_id = db_get_i64(r, 0, 1);
    }
    return 0;
}

int audit_verify_verb(struct svc *svc, char **args, struct err *err)
{
    struct audit_report p;
    (void)args;
    int rc = audit_verify(svc, svc->arena, &p, err);
    if (rc)
        return rc;
    if (!p.broken) {
        printf("{\"ok\":true,\"rows\":%lld,\"last_seq\":%lld,\"hash\":\"%s\",\"unchained\":%lld}\n",
               (long long)p.rows, (long long)p.last_seq, p.hash, (long long)p.unchained);
        return 0;
    }
    printf("{\"ok\":false,\"rows\":%lld,\"last_seq\":%lld,\"hash\":\"%s\",\"unchained\":%lld,"
           "\"broken\":{\"seq\":%lld,\"audit_id\":%lld,\"why\":\"%s\"}}\n",
           (long long)p.rows, (long long)p.last_seq, p.hash, (long long)p.unchained,
           (long long)p.seq, (long long)p.audit_id, p.broken);
    fflush(stdout);
    return err_set(err, E_conflict, "the audit log was tampered with at entry %lld: %s",
                   (long long)p.audit_id, p.broken);
}
