/* What Kafka holds becomes rows: the message log, and the queue of what is to be done. */
#include "services/webhooks-in/webhooks_in.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-in/sql.h"

enum { partitions_every_ms = 600000, partitions_again_ms = 5000 };

struct rows {
    const char **id, **key, **at, **meta, **body, **trace, **request;
    int64_t *source, *user;
    size_t n;
};

static void rows_init(struct rows *r, struct arena *a, size_t n)
{
    const char ***const texts[] = { &r->id,   &r->key,   &r->at,     &r->meta,
                                    &r->body, &r->trace, &r->request };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_alloc(a, n * sizeof(**texts[i]));
    r->source = arena_alloc(a, n * sizeof(*r->source));
    r->user = arena_alloc(a, n * sizeof(*r->user));
    r->n = 0;
}

static int read_one(const struct msg *m, struct rows *r, struct err *err)
{
    json_t *root;
    int rc = json_parse(m->arena, m->payload ? m->payload : "", m->len, &root, err);
    if (rc)
        return rc;
    size_t i = r->n;
    unsigned char raw[16];
    r->id[i] = json_string_value(json_object_get(root, "id"));
    r->key[i] = json_string_value(json_object_get(root, "key"));
    r->at[i] = json_string_value(json_object_get(root, "at"));
    r->body[i] = json_string_value(json_object_get(root, "body"));
    r->source[i] = json_integer_value(json_object_get(root, "source"));
    r->user[i] = json_integer_value(json_object_get(root, "user"));
    r->trace[i] = m->traceparent;
    r->request[i] = m->request_id;
    if (!r->id[i] || !uuid_parse(r->id[i], raw) || !r->key[i] || !r->at[i] || !r->body[i] ||
        r->source[i] <= 0)
        return err_set(err, E_invalid, "not a message: id, key, at, body or source");
    json_t *meta = json_in(m->arena, json_copy(root)); /* shares the values; the body goes alone */
    json_object_del(meta, "body");
    r->meta[i] = json_text(m->arena, meta);
    r->n++;
    return 0;
}

int messages_store(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err)
{
    struct arena *a = m[0]->arena;
    struct rows r;
    struct db_rows *none;
    (void)svc;
    background_thread();
    rows_init(&r, a, n);
    for (size_t i = 0; i < n; i++) {
        int rc = read_one(m[i], &r, err);
        if (rc)
            return rc; /* replayed one by one; the one at fault goes to the .dlq */
    }
    const struct db_val lock[] = { db_i64(source_lock_class), db_i64s(r.source, r.n) };
    int rc = db_exec(tx, a, &sql_messages_lock, lock, ARRAY_LEN(lock), &none, err);
    const struct db_val v[] = {
        db_texts(r.id, r.n),   db_i64s(r.source, r.n), db_i64s(r.user, r.n),
        db_texts(r.key, r.n),  db_texts(r.at, r.n),    db_texts(r.meta, r.n),
        db_texts(r.body, r.n), db_texts(r.trace, r.n), db_texts(r.request, r.n),
    };
    return rc ? rc : db_exec(tx, a, &sql_messages_add, v, ARRAY_LEN(v), &none, err);
}

void messages_stored(struct svc *svc, size_t n)
{
    (void)n;
    process_wake(svc);
}

void partitions_job(struct svc *svc)
{
    unsigned wait_ms;
    do {
        struct arena *a = arena_new();
        struct db_rows *r;
        struct err err;
        int rc = db_query(svc->db, a, &sql_partitions_keep, NULL, 0, &r, &err);
        if (rc && rc != -E_unavailable)
            log_error("partitions.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        wait_ms = rc ? partitions_again_ms : partitions_every_ms;
        arena_free(a);
    } while (!svc_pause(svc, wait_ms));
}
