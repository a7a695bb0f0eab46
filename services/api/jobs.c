/* What the program does without being asked over HTTP: the first administrator, scheduled
 * publishing, operations, the folding of counts. */
#include "services/api/api.h"

#include "common/base/log.h"
#include "common/kit/crud_bulk.h"
#include "common/kit/operation.h"

#include "api/sql.h"

enum {
    due_max = 100,
    due_pause_ms = 1000,
    fold_pause_ms = 2000,
    operation_pause_ms = 200,
    purge_every = 300, /* pauses */
};
enum { revisions_max = 1000, revisions_pause_ms = 10 * 60 * 1000 };

const struct db_stmt *const *api_statements(void)
{
    return sql_all;
}

int api_bootstrap_admin(struct svc *svc, char **args, struct err *err)
{
    struct arena *a = svc->arena;
    struct db_rows *r;
    int64_t id;
    int rc = db_query(svc->db, a, &sql_first_admin, NULL, 0, &r, err);
    if (rc < 0)
        return rc;
    bool created = !db_nrows(r);
    if (created) {
        json_t *body = json_in(a, json_pack("{s:s, s:s, s:s, s:s}", "username", args[0], "email",
                                            args[1], "role", "admin", "display_name", args[0]));
        if (!body)
            return err_set(err, E_validation,
                           "The user name or e-mail address is not valid UTF-8.");
        rc = crud_apply(svc, a, api_crud("user"),
                        &(struct crud_change){ .body = body, .actor = "bootstrap" }, &id, err);
        if (rc < 0)
            return rc;
    } else {
        id = db_get_i64(r, 0, 0);
    }
    printf("{\"id\":%lld,\"created\":%s}\n", (long long)id, created ? "true" : "false");
    return 0;
}

/* Publishes a page of the rows that are due, after a place, which is moved on; false: it was the
 * last. Several replicas may find the same row: the version lets one win. */
static bool publish_page(struct svc *svc, struct arena *a, const struct crud *c, const json_t *body,
                         struct db_val after[2])
{
    struct db_rows *r;
    struct err err;
    struct db_stmt s = { .flags = DB_ONCE,
                         .sql = arena_printf(
                             a,
                             "SELECT t.id, t.version, t.published_at FROM %s t WHERE t.deleted_at "
                             "IS NULL AND t.status = 'scheduled' AND t.published_at <= now() AND "
                             "(t.published_at, t.id) > ($1::timestamptz, $2::bigint) ORDER BY "
                             "t.published_at, t.id LIMIT %d",
                             crud_entity(c)->table, due_max) };
    if (db_query(svc->db, a, &s, after, 2, &r, &err) < 0)
        return false;
    for (size_t i = 0; i < db_nrows(r) && !svc_stopping(svc); i++) {
        int64_t id = db_get_i64(r, i, 0);
        struct crud_change change = {
            .id = id, .version = db_get_i64(r, i, 1), .body = body, .actor = "schedule"
        };
        int rc = crud_apply(svc, a, c, &change, &id, &err);
        if (rc < 0 && rc != -E_conflict && rc != -E_not_found)
            log_warn("publish.failed", kv_s("entity", crud_entity(c)->name), kv_i("id", id),
                     kv_s("error", err.msg), kv_s("detail", err.detail));
        after[0] = db_text(db_str(r, i, 2));
        after[1] = db_i64(db_get_i64(r, i, 0));
    }
    return db_nrows(r) == due_max;
}

/* A round looks at each row that is due once: one that cannot be published, whatever the reason,
 * keeps none of those behind it waiting. */
void api_publish_job(struct svc *svc)
{
    struct arena *a = arena_new();
    json_t *body = json_pack("{s:s}", "status", "published");
    do {
        for (const struct entity_def *const *e = entities; *e; e++) {
            struct db_val after[2] = { db_text("-infinity"), db_i64(0) };
            if ((*e)->lifecycle != LIFE_PUBLISH)
                continue;
            while (!svc_stopping(svc) && publish_page(svc, a, api_crud((*e)->name), body, after))
                ;
            arena_reset(a);
        }
    } while (!svc_pause(svc, due_pause_ms));
    json_decref(body);
    arena_free(a);
}

void api_operations_job(struct svc *svc)
{
    const struct api_conf *conf = (const struct api_conf *)(const void *)svc->conf;
    struct arena *a = arena_new();
    unsigned idle = 0;
    while (!svc_stopping(svc)) {
        struct err err = { 0 };
        bool worked;
        int rc = crud_bulk_work(svc, api_cruds(), conf->operation_lease_ms, &worked, &err);
        if (rc >= 0 && !worked && idle++ % purge_every == 0)
            rc = operation_purge(svc, a, &err);
        if (rc < 0)
            log_warn("operation.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        arena_reset(a);
        if ((rc < 0 || !worked) && svc_pause(svc, rc < 0 ? due_pause_ms : operation_pause_ms))
            break;
    }
    arena_free(a);
}

int api_fold_counts(struct svc *svc, struct arena *a, struct err *err)
{
    struct db_rows *r;
    return db_query(svc->db, a, &sql_fold_counts, NULL, 0, &r, err);
}

void api_counts_job(struct svc *svc)
{
    struct arena *a = arena_new();
    do {
        struct err err;
        if (api_fold_counts(svc, a, &err) < 0)
            log_warn("counts.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        arena_reset(a);
    } while (!svc_pause(svc, fold_pause_ms));
    arena_free(a);
}

int api_purge_revisions(struct svc *svc, struct arena *a, int64_t days, size_t *ret_n,
                        struct err *err)
{
    struct db_rows *r;
    struct db_val v[] = { db_i64(days), db_i64(revisions_max) };
    int rc = db_query(svc->db, a, &sql_purge_revisions, v, ARRAY_LEN(v), &r, err);
    *ret_n = rc < 0 ? 0 : db_affected(r);
    return rc;
}

int api_purge_changes(struct svc *svc, struct arena *a, size_t *ret_n, struct err *err)
{
    const struct db_stmt *const all[] = { &sql_purge_moved, &sql_purge_purged };
    struct db_val v[] = { db_i64(crud_changes_keep_days), db_i64(revisions_max) };
    *ret_n = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct db_rows *r;
        int rc = db_query(svc->db, a, all[i], v, ARRAY_LEN(v), &r, err);
        if (rc < 0)
            return rc;
        *ret_n = db_affected(r) > *ret_n ? db_affected(r) : *ret_n;
    }
    return 0;
}

void api_revisions_job(struct svc *svc)
{
    const struct api_conf *conf = (const struct api_conf *)(const void *)svc->conf;
    struct arena *a = arena_new();
    while (!svc_stopping(svc)) {
        struct err err;
        size_t n, m = 0;
        if (api_purge_revisions(svc, a, conf->revision_days, &n, &err) < 0 ||
            api_purge_changes(svc, a, &m, &err) < 0)
            log_warn("revisions.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        n = m > n ? m : n;
        arena_reset(a);
        if (n < revisions_max && svc_pause(svc, revisions_pause_ms))
            break;
    }
    arena_free(a);
}
