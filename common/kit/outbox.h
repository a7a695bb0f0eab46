#ifndef KIT_OUTBOX_H
#define KIT_OUTBOX_H
/*
 * Events leave by the database: a row in the program's `outbox` table commits with the change it
 * tells of, and one relay a program (advisory lock on a session of its own) produces the rows in id
 * order and deletes each after its delivery report.  At least once, in order per key (rulings.md 1
 * and 7): a writer takes the lock of the row that the key names before it inserts the event, so ids
 * of one key commit in their order.
 *
 * Table (each program's first migration, also_… a later one):
 *   outbox(id bigint generated always as identity primary key, event_id uuid not null, type text
 * not null, topic text not null, key text not null, payload text not null, trace text, request_id
 * text, actor text, created_at timestamptz not null default now(), also_types text[], also_ids
 * uuid[]) outbox_dead(… the same, reason text, dead_at timestamptz).  One change may be several
 * events (created and published): they share a row and its payload, `also_types` with the event
 * ids `also_ids` follow `type` in their order, a message each.  CloudEvents 1.0 binary mode:
 * ce_specversion, ce_id = event_id, ce_type = com.cms365.<type>, ce_source = /cms365/<program>,
 * ce_time, ce_subject = key, ce_partitionkey = key, content-type application/json, traceparent,
 * x-request-id, ce_actor.
 */
#include "common/base/err.h"
#include "common/base/json.h"
#include "proto/names.h"

struct svc;
struct db_tx;
struct outbox;
struct db_conf;

/* What the relay needs of its program; outbox_start takes it from svc. */
struct outbox_conf {
    const char *program, *brokers;
    const struct db_conf *db; /* borrowed while the relay runs */
    int64_t drain_ms;
    const char *invalidations; /* topic of common/kit/outbox_beat.h, or NULL */
};
int outbox_open(const struct outbox_conf *conf, struct outbox **ret, struct err *err) MUST_CHECK;
int outbox_start(struct svc *svc, struct outbox **ret,
                 struct err *err) MUST_CHECK; /* the relay's thread */
void outbox_stop(struct outbox *o); /* sends what it can for drain time, then lets go of the lock */
void outbox_wake(
    struct outbox *o); /* a writer of this process committed; any thread, cheap; NULL is fine */
bool outbox_is_owner(const struct outbox *o);

struct outbox_event {
    const char *type;                     /* short form, must be in proto/events */
    const char *key;                      /* "post:7" */
    const char *payload;                  /* JSON text */
    const char *traceparent, *request_id; /* or NULL */
    const char *actor;                    /* "user:7 key:3", or NULL */
};
/* The open transaction is the proof.  ret_event_id may be NULL. */
int outbox_put(struct db_tx *tx, struct arena *a, const struct outbox_event *e, char *ret_event_id,
               struct err *err) MUST_CHECK;
extern const char outbox_schema_sql[]; /* create table …; for first migrations */
extern const char outbox_also_sql[];   /* alter table … add also_…; for a later one */
#endif
