#define _GNU_SOURCE /* gettid */
/*
 * From stored messages to changes: the mapping says what to do, each action is a command to the
 * api, one after the other, and its result comes back on content.results.  A command leaves in the
 * transaction that notes it as sent, and the api records its id with its effect: once per message.
 */
#include "services/webhooks-in/webhooks_in.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/outbox.h"
#include "services/webhooks-in/mapper.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-in/sql.h"

enum {
    claim_max = 50, /* as messages_claim has it */
    retry_look_ms = 250,
    gather_ms = 10,
    together_ms = 200,
    keep_ms = 5000, /* of the twenty seconds that a message is claimed for */
    idle_ms = 500,
    look_ms = 10,
    later_s = 10,
    hour_ms = 3600000,
    error_max = 480
};

/* A message's key and claim in the rows of messages_claim. */
enum { ROW_ID = 0, ROW_RUN = 2, ROW_ATTEMPTS = 3, ROW_AT = 11, ROW_DAYS = 19 };
struct work { /* a claimed message */
    struct svc *svc;
    struct arena *a;
    const char *id, *at, *trace, *request, *scopes; /* id, at, days: its key */
    int64_t days, source, user, run, attempts, mapping_version;
    struct plan plan;
    int rc; /* of the plan */
    struct err err;
};
#define KEY_OF(w) db_text((w)->id), db_i64((w)->days), db_text((w)->at)

void background_thread(void)
{
    static _Thread_local bool done;
    enum { nice_by = 10 };
    if (!done && setpriority(PRIO_PROCESS, (id_t)gettid(), nice_by))
        log_debug("hook.background", kv_s("error", "the thread's priority stays"));
    done = true;
}

/* A condition would do; polling a flag keeps the committing threads free of any lock. */
static atomic_bool woken;

void process_wake(struct svc *svc)
{
    (void)svc;
    atomic_store(&woken, true);
}

static void wake_relay(struct svc *svc)
{
    if (svc->outbox)
        outbox_wake(svc->outbox);
}

/* --- events and commands -------------------------------------------------------------------------
 */

/* The message as others see it, with what it says to them. */
static int message_text(struct db_tx *tx, const struct work *w, const char *data, const char **ret,
                        const char **ret_owner, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { KEY_OF(w), db_text(data) };
    int rc = db_exec(tx, w->a, &sql_message_json, v, ARRAY_LEN(v), &r, err);
    *ret = rc || !db_nrows(r) ? NULL : db_str(r, 0, 0);
    *ret_owner = *ret ? db_str(r, 0, 1) : NULL;
    return rc;
}

static int tell_dead(struct db_tx *tx, const struct work *w, struct err *err)
{
    const char *text, *owner;
    int rc = message_text(tx, w, NULL, &text, &owner, err);
    if (rc || !text)
        return rc;
    const struct outbox_event e = {
        .type = "webhook.message.dead",
        .key = arena_printf(w->a, "webhook_message:%s", w->id),
        .payload = arena_printf(w->a, "{\"data\":%s,\"changed\":[],\"owner_id\":%s}", text, owner),
        .traceparent = w->trace,
        .request_id = w->request,
    };
    return outbox_put(tx, w->a, &e, NULL, err);
}

/* Everything that the api needs to do it by the rights of the source's owner. */
static char *content_command(struct work *w, const struct planned *p)
{
    json_t *list;
    struct err ignored;
    if (json_parse(w->a, w->scopes, strlen(w->scopes), &list, &ignored))
        list = json_in(w->a, json_array());
    json_t *o = json_in(w->a, json_pack("{s:s, s:s?, s:s?, s:s?, s:O?, s:I, s:O, s:I}", "op",
                                        p->kind, "entity", p->entity, "field", p->field, "key",
                                        p->key, "data", p->data, "user_id", (json_int_t)w->user,
                                        "scopes", list, "source_id", (json_int_t)w->source));
    return json_text(w->a, o);
}

struct sending { /* an action as it is stored */
    const char *id, *command, *entity, *key, *kind;
};

/* {"reply","command"}: the api answers on content.results. */
static int send_content(struct db_tx *tx, const struct work *w, const struct sending *s,
                        struct outbox_event *e, struct err *err)
{
    (void)tx, (void)err;
    e->key = arena_printf(w->a, "%s:%s", s->entity, s->key ? s->key : w->id);
    e->payload =
        arena_printf(w->a, "{\"reply\":\"webhook_action:%s\",\"command\":%s}", s->id, s->command);
    return 0;
}

static int send_emit(struct db_tx *tx, const struct work *w, const struct sending *s,
                     struct outbox_event *e, struct err *err)
{
    const struct db_val v[] = { KEY_OF(w), db_text(s->command) };
    const char *text, *owner;
    struct db_rows *r;
    int rc = db_exec(tx, w->a, &sql_message_data, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = message_text(tx, w, s->command, &text, &owner, err);
    if (rc || !text)
        return rc;
    e->key = arena_printf(w->a, "webhook_message:%s", w->id);
    e->payload = arena_printf(w->a, "{\"data\":%s,\"changed\":[],\"owner_id\":%s}", text, owner);
    return 0;
}

/* The same to one endpoint; webhooks-out answers on webhooks.results whether there is one. */
static int send_call(struct db_tx *tx, const struct work *w, const struct sending *s,
                     struct outbox_event *e, struct err *err)
{
    const char *text, *owner, *endpoint = strchr(s->key, ':') + 1;
    int rc = message_text(tx, w, s->command, &text, &owner, err);
    if (rc || !text)
        return rc;
    e->key = arena_printf(w->a, "webhook_endpoint:%s", endpoint);
    e->payload = arena_printf(w->a,
                              "{\"reply\":\"webhook_action:%s\",\"endpoint_id\":%s,\"data\":%s,"
                              "\"changed\":[],\"owner_id\":%s}",
                              s->id, endpoint, text, owner);
    return 0;
}

/* Mail and notices: the command is the payload (proto/command.h). */
static int send_command(struct db_tx *tx, const struct work *w, const struct sending *s,
                        struct outbox_event *e, struct err *err)
{
    (void)tx, (void)err;
    e->key = arena_printf(w->a, "%s:%.280s", s->kind, s->key);
    e->payload = s->command;
    return 0;
}

static const struct way { /* how each kind of action leaves */
    const char *kind, *type;
    bool answered; /* else it is done when it has left */
    int (*send)(struct db_tx *tx, const struct work *w, const struct sending *s,
                struct outbox_event *e, struct err *err);
} ways[] = {
    { "create",  "content.command",        true,  send_content },
    { "update",  "content.command",        true,  send_content },
    { "upsert",  "content.command",        true,  send_content },
    { "publish", "content.command",        true,  send_content },
    { "delete",  "content.command",        true,  send_content },
    { "call",    "webhook.message.called", true,  send_call    },
    { "emit",    "webhook.message.mapped", false, send_emit    },
    { "mail",    "mail.command",           false, send_command },
    { "notify",  "notify.command",         false, send_command },
};

static int send_one(struct db_tx *tx, const struct work *w, const struct way *way,
                    const struct sending *s, struct err *err)
{
    struct outbox_event e = {
        .type = way->type,
        .traceparent = w->trace,
        .request_id = w->request,
        .actor =
            arena_printf(w->a, "user:%lld source:%lld", (long long)w->user, (long long)w->source),
    };
    struct db_rows *r;
    int64_t id;
    int rc = way->send(tx, w, s, &e, err);
    if (!rc && e.payload)
        rc = outbox_put(tx, w->a, &e, NULL, err);
    if (rc || way->answered || !str_to_i64(s->id, 1, INT64_MAX, &id))
        return rc;
    const struct db_val done[] = { db_i64(id), db_null() };
    return db_exec(tx, w->a, &sql_action_done, done, ARRAY_LEN(done), &r, err);
}

/* Sends what waits up to the first whose answer has to be waited for; *ret_none: nothing is left.
 */
static int send_next(struct db_tx *tx, const struct work *w, bool *ret_none, struct err *err)
{
    const struct db_val v[] = { KEY_OF(w), db_i64(w->run) };
    for (;;) {
        struct db_rows *r;
        int rc = db_exec(tx, w->a, &sql_action_next, v, ARRAY_LEN(v), &r, err);
        *ret_none = !rc && !db_nrows(r);
        if (rc || *ret_none)
            return rc;
        const struct sending s = { db_str(r, 0, 0), db_str(r, 0, 2), db_str(r, 0, 3),
                                   db_str(r, 0, 4), db_str(r, 0, 5) };
        const struct way *way = ways;
        while (!str_eq(way->kind, s.kind))
            if (++way == ways + ARRAY_LEN(ways))
                return err_set(err, E_internal, "an action of no kind");
        rc = send_one(tx, w, way, &s, err);
        if (rc || way->answered)
            return rc;
    }
}

/* --- one message ---------------------------------------------------------------------------------
 */

static int add_actions(struct db_tx *tx, struct work *w, struct err *err)
{
    struct db_rows *r;
    int rc = 0;
    for (size_t i = 0; i < w->plan.n && !rc; i++) {
        const struct planned *p = &w->plan.actions[i];
        const char *key = p->key ? arena_printf(w->a, "%s:%s", p->field, p->key) : NULL;
        const struct db_val v[] = {
            KEY_OF(w),
            db_i64((int64_t)i + 1),
            db_text(p->kind),
            db_text(p->entity),
            db_text(key),
            db_text(p->entity ? content_command(w, p) : json_text(w->a, p->data)),
            db_i64(p->retry_max),
            db_i64(p->retry_base_ms),
        };
        rc = db_exec(tx, w->a, &sql_action_add, v, ARRAY_LEN(v), &r, err);
    }
    return rc;
}

/* The state of a message whose run goes on or has ended. */
static int set_state(struct db_tx *tx, const struct work *w, const char *status, const char *error,
                     const char *wait_s, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { KEY_OF(w), db_i64(w->run), db_text(status), db_text(error),
                                db_text(wait_s) };
    return db_exec(tx, w->a, &sql_message_state, v, ARRAY_LEN(v), &r, err);
}

struct claimed {
    struct arena *a;
    struct work *w;
    size_t n;
};

/* A statement for all of them; the rows of those that are still ours. */
static int say(struct db_tx *tx, const struct claimed *c, struct db_rows **ret, struct err *err)
{
    enum { ID, AT, STATUS, ERROR, RESULTS, TEXTS };
    enum { DAYS, RUN, ATTEMPTS, VERSION, LATER, NUMBERS };
    const char **text[TEXTS];
    int64_t *num[NUMBERS];
    for (size_t k = 0; k < TEXTS; k++)
        text[k] = arena_alloc(c->a, c->n * sizeof(**text));
    for (size_t k = 0; k < NUMBERS; k++)
        num[k] = arena_alloc(c->a, c->n * sizeof(**num));
    for (size_t i = 0; i < c->n; i++) {
        const struct work *w = &c->w[i];
        bool later = w->rc == -E_unavailable;
        const char *error = w->rc ? arena_printf(c->a, "%.*s", error_max, w->err.msg) : NULL;
        const char *of[TEXTS] = { w->id, w->at,
                                  later       ? "accepted"
                                  : w->rc     ? "dead"
                                  : w->plan.n ? "working"
                                              : "ignored",
                                  error,
                                  !w->rc && w->plan.results ? json_text(c->a, w->plan.results)
                                                            : NULL };
        const int64_t numbers[NUMBERS] = { w->days, w->run, w->attempts, w->mapping_version,
                                           later ? later_s : -1 };
        for (size_t k = 0; k < TEXTS; k++)
            text[k][i] = of[k];
        for (size_t k = 0; k < NUMBERS; k++)
            num[k][i] = numbers[k];
    }
    const struct db_val v[] = {
        db_texts(text[ID], c->n),    db_i64s(num[DAYS], c->n),      db_texts(text[AT], c->n),
        db_i64s(num[RUN], c->n),     db_i64s(num[ATTEMPTS], c->n),  db_texts(text[STATUS], c->n),
        db_texts(text[ERROR], c->n), db_texts(text[RESULTS], c->n), db_i64s(num[VERSION], c->n),
        db_i64s(num[LATER], c->n),
    };
    return db_exec(tx, c->a, &sql_messages_mapped, v, ARRAY_LEN(v), ret, err);
}

/* What follows from it. */
static int act(struct db_tx *tx, struct work *w, struct err *err)
{
    bool none;
    if (w->rc == -E_unavailable)
        return 0;
    if (w->rc)
        return tell_dead(tx, w, err);
    if (!w->plan.n)
        return 0;
    int rc = add_actions(tx, w, err);
    if (!rc)
        rc = send_next(tx, w, &none, err);
    return rc || !none ? rc : set_state(tx, w, "done", NULL, "0", err);
}

static bool has_row(const struct db_rows *r, const char *id)
{
    for (size_t i = 0; i < db_nrows(r); i++)
        if (str_eq(db_str(r, i, 0), id))
            return true;
    return false;
}

static int settle_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct claimed *c = ctx;
    struct db_rows *ours;
    int rc = say(tx, c, &ours, err);
    for (size_t i = 0; i < c->n && !rc; i++)
        if (has_row(ours, c->w[i].id))
            rc = act(tx, &c->w[i], err);
    return rc;
}

static void plan(struct work *w, const struct db_rows *r, size_t i)
{
    json_t *mapping;
    struct message m = { .body = db_str(r, i, 9),
                         .content_type = db_str(r, i, 6),
                         .headers = db_str(r, i, 8),
                         .query = db_str(r, i, 7),
                         .event = db_str(r, i, 4),
                         .id = db_str(r, i, 5),
                         .created_at = db_str(r, i, 11) };
    void *raw = NULL;
    m.body_n = strlen(m.body);
    if (db_get_bool(r, i, 10) && b64_decode(w->a, m.body, &raw, &m.body_n))
        m.body = raw;
    const char *text = db_str(r, i, 12);
    if (!db_get_bool(r, i, 18))
        w->rc = err_set(&w->err, E_gone, "The source was deleted.");
    else if (json_parse(w->a, text, strlen(text), &mapping, &w->err))
        w->rc = -(int)w->err.code;
    else
        w->rc = mapping_plan(w->a, mapping, &m, mappers_run, hooks_of(w->svc)->mappers, &w->plan,
                             &w->err);
}

static void begin(struct work *w, struct svc *svc, const struct db_rows *r, size_t i)
{
    *w = (struct work){ .svc = svc,
                        .a = arena_new(),
                        .id = db_str(r, i, ROW_ID),
                        .at = db_str(r, i, ROW_AT),
                        .days = db_get_i64(r, i, ROW_DAYS),
                        .source = db_get_i64(r, i, 1),
                        .run = db_get_i64(r, i, ROW_RUN),
                        .attempts = db_get_i64(r, i, ROW_ATTEMPTS),
                        .mapping_version = db_get_i64(r, i, 13),
                        .user = db_get_i64(r, i, 14),
                        .scopes = db_str(r, i, 15) ? db_str(r, i, 15) : "[]",
                        .trace = db_str(r, i, 16),
                        .request = db_str(r, i, 17) };
    plan(w, r, i);
}

/* One transaction for all that were claimed together; if it cannot be, each by itself, so that one
 * does not hold the others up.  What could not be written is taken again when its time is over.
 */
static void settle(struct svc *svc, struct claimed *c)
{
    struct err all = { 0 };
    int rc = db_tx(svc->db, c->a, settle_tx, c, &all);
    for (size_t i = 0; i < c->n; i++) {
        struct work *w = &c->w[i];
        struct claimed one = { .a = w->a, .w = w, .n = 1 };
        struct err err = all;
        int own = !rc || c->n == 1 ? rc : db_tx(svc->db, w->a, settle_tx, &one, &err);
        log_info("hook.message", kv_s("id", w->id), kv_i("source", w->source),
                 kv_i("actions", (int64_t)w->plan.n),
                 kv_s("error", own     ? err.msg
                               : w->rc ? w->err.msg
                                       : ""),
                 kv_s("detail", own ? err.detail : ""));
    }
}

/* Those from `first` on are not through yet.  Who cannot say so may find some of them taken. */
static void keep(struct svc *svc, const struct db_rows *r, size_t first)
{
    struct arena *a = arena_new();
    struct db_rows *ignored;
    struct err err;
    const char *id[claim_max], *at[claim_max];
    int64_t days[claim_max], run[claim_max], attempts[claim_max];
    size_t n = 0;
    for (size_t i = first; i < db_nrows(r); i++, n++) {
        id[n] = db_str(r, i, ROW_ID);
        at[n] = db_str(r, i, ROW_AT);
        days[n] = db_get_i64(r, i, ROW_DAYS);
        run[n] = db_get_i64(r, i, ROW_RUN);
        attempts[n] = db_get_i64(r, i, ROW_ATTEMPTS);
    }
    const struct db_val v[] = { db_texts(id, n), db_i64s(days, n), db_texts(at, n), db_i64s(run, n),
                                db_i64s(attempts, n) };
    if (db_query(svc->db, a, &sql_messages_keep, v, ARRAY_LEN(v), &ignored, &err))
        log_debug("hook.not_kept", kv_s("error", err.msg));
    arena_free(a);
}

static size_t process_due(struct svc *svc)
{
    struct arena *a = arena_new();
    struct work works[claim_max];
    struct claimed c = { .w = works };
    struct db_rows *r;
    struct err err;
    int64_t kept_us = clock_mono_us();
    int rc = db_query(svc->db, a, &sql_messages_claim, NULL, 0, &r, &err);
    if (rc && rc != -E_unavailable)
        log_error("hook.claim_failed", kv_s("error", err.msg), kv_s("detail", err.detail));
    size_t n = rc ? 0 : db_nrows(r);
    for (size_t i = 0; i < n;) { /* slow programs do not hold up what is planned already */
        int64_t until_us = clock_mono_us() + together_ms * 1000;
        c.a = arena_new();
        for (c.n = 0; i < n && (!c.n || clock_mono_us() < until_us); i++) {
            if (clock_mono_us() - kept_us > keep_ms * 1000) {
                keep(svc, r, i - c.n);
                kept_us = clock_mono_us();
            }
            begin(&works[c.n++], svc, r, i);
        }
        settle(svc, &c);
        wake_relay(svc);
        for (size_t k = 0; k < c.n; k++)
            arena_free(works[k].a);
        arena_free(c.a);
    }
    arena_free(a);
    return n;
}

/* --- actions that wait ---------------------------------------------------------------------------
 */

static int retry_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    enum { ID, RUN, SOURCE, USER, TRACE, REQUEST, DAYS, AT };
    struct work *out = ctx;
    struct db_rows *due;
    int rc = db_exec(tx, out->a, &sql_actions_due, NULL, 0, &due, err);
    out->attempts = rc ? 0 : (int64_t)db_nrows(due);
    for (size_t i = 0; !rc && i < db_nrows(due); i++) {
        bool none;
        const struct work w = { .a = out->a,
                                .id = db_str(due, i, ID),
                                .at = db_str(due, i, AT),
                                .days = db_get_i64(due, i, DAYS),
                                .run = db_get_i64(due, i, RUN),
                                .source = db_get_i64(due, i, SOURCE),
                                .user = db_get_i64(due, i, USER),
                                .trace = db_str(due, i, TRACE),
                                .request = db_str(due, i, REQUEST) };
        rc = send_next(tx, &w, &none, err);
        if (!rc)
            rc = set_state(tx, &w, "working", NULL, "0", err);
    }
    return rc;
}

static size_t retry_due(struct svc *svc)
{
    struct work w = { .a = arena_new() };
    struct err err = { 0 };
    int rc = db_tx(svc->db, w.a, retry_tx, &w, &err);
    if (rc && rc != -E_unavailable)
        log_error("hook.retry_failed", kv_s("error", err.msg), kv_s("detail", err.detail));
    size_t n = rc ? 0 : (size_t)w.attempts;
    if (n)
        wake_relay(svc);
    arena_free(w.a);
    return n;
}

/* Whoever waits for an acknowledgement needs the processors more than what is stored: while little
 * is due at a time a claim waits for more, and costs its statement once for all of it. */
void process_job(struct svc *svc)
{
    int64_t next_us = 0, retry_us = 0;
    background_thread();
    while (!svc_stopping(svc)) {
        bool told = atomic_exchange(&woken, false);
        int64_t now = clock_mono_us();
        if (!told && now < next_us && now < retry_us) {
            svc_pause(svc, look_ms);
            continue;
        }
        bool full = false;
        if (told || now >= next_us) {
            full = process_due(svc) == claim_max;
            next_us = full ? 0 : clock_mono_us() + idle_ms * 1000;
        }
        if (now >= retry_us && !retry_due(svc))
            retry_us = clock_mono_us() + retry_look_ms * 1000;
        if (!full)
            svc_pause(svc, gather_ms);
    }
}

/* --- results -------------------------------------------------------------------------------------
 */

struct result {
    int64_t action, entity_id, retry_max, retry_base_ms;
    bool ok, again;
    const char *error;
};

static int read_result(struct msg *m, struct result *ret, struct err *err)
{
    static const char prefix[] = "webhook_action:";
    json_t *o;
    int rc = json_parse(m->arena, m->payload ? m->payload : "", m->len, &o, err);
    if (rc)
        return rc;
    const char *reply = json_string_value(json_object_get(o, "reply"));
    *ret = (struct result){ .ok = json_is_true(json_object_get(o, "ok")),
                            .again = json_is_true(json_object_get(o, "again")),
                            .entity_id = json_integer_value(json_object_get(o, "id")),
                            .error = json_string_value(json_object_get(o, "error")) };
    if (!reply || !str_starts(reply, prefix))
        return 0; /* somebody else's */
    return str_to_i64(reply + sizeof(prefix) - 1, 1, INT64_MAX, &ret->action)
               ? 0
               : err_set(err, E_invalid, "not a result: reply");
}

static double wait_s(int64_t ms, int64_t attempts)
{
    for (int64_t i = 1; i < attempts && ms < hour_ms; i++)
        ms *= 2;
    ms = ms > hour_ms ? hour_ms : ms;
    return (double)(ms - ms / 5 + (int64_t)random_below((uint64_t)(2 * (ms / 5) + 1))) / 1000;
}

static int on_failure(struct msg *m, struct db_tx *tx, const struct result *res, struct work *w,
                      struct err *err)
{
    struct arena *a = m->arena;
    struct db_rows *r;
    const char *why = arena_printf(a, "%.*s", error_max, res->error ? res->error : "It failed.");
    const struct hooks_conf *conf = hooks_conf_of(m->svc);
    int64_t most = res->retry_max < 0 ? conf->retry_max : res->retry_max;
    int64_t base_ms = res->retry_base_ms < 0 ? conf->retry_base_ms : res->retry_base_ms;
    bool again = res->again && w->attempts <= most;
    const char *wait = arena_printf(a, "%.3f", wait_s(base_ms, w->attempts));
    const struct db_val later[] = { db_i64(res->action), db_text(why), db_text(wait) };
    const struct db_val dead[] = { KEY_OF(w), db_i64(w->run), db_i64(res->action), db_text(why) };
    int rc = again ? db_exec(tx, a, &sql_action_later, later, ARRAY_LEN(later), &r, err)
                   : db_exec(tx, a, &sql_action_dead, dead, ARRAY_LEN(dead), &r, err);
    if (!rc)
        rc = set_state(tx, w, again ? "failed" : "dead", why, wait, err);
    return rc || again ? rc : tell_dead(tx, w, err);
}

int action_result(struct msg *m, struct db_tx *tx, struct err *err)
{
    enum {
        ID,
        RUN,
        ATTEMPTS,
        RUN_NOW,
        TRACE,
        REQUEST,
        RETRY_MAX,
        RETRY_BASE,
        SOURCE,
        USER,
        DAYS,
        AT
    };
    struct arena *a = m->arena;
    struct result res;
    struct db_rows *r;
    bool none;
    int rc = read_result(m, &res, err);
    if (rc || !res.action)
        return rc;
    const struct db_val id = db_i64(res.action);
    rc = db_exec(tx, a, &sql_action_sent, &id, 1, &r, err);
    if (rc || !db_nrows(r) || db_get_i64(r, 0, RUN) != db_get_i64(r, 0, RUN_NOW))
        return rc; /* of a run that is over */
    struct work w = { .svc = m->svc,
                      .a = a,
                      .id = db_str(r, 0, ID),
                      .at = db_str(r, 0, AT),
                      .days = db_get_i64(r, 0, DAYS),
                      .run = db_get_i64(r, 0, RUN),
                      .attempts = db_get_i64(r, 0, ATTEMPTS),
                      .trace = db_str(r, 0, TRACE),
                      .request = db_str(r, 0, REQUEST),
                      .source = db_get_i64(r, 0, SOURCE),
                      .user = db_get_i64(r, 0, USER) };
    res.retry_max = db_get_i64(r, 0, RETRY_MAX);
    res.retry_base_ms = db_get_i64(r, 0, RETRY_BASE);
    if (!res.ok)
        return on_failure(m, tx, &res, &w, err);
    const struct db_val done[] = { id, db_i64(res.entity_id) };
    rc = db_exec(tx, a, &sql_action_done, done, ARRAY_LEN(done), &r, err);
    if (!rc)
        rc = send_next(tx, &w, &none, err);
    return rc ? rc : set_state(tx, &w, none ? "done" : "working", NULL, "0", err);
}
