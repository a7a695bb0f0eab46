/* What was noted goes to auth, by the outbox. */
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/io/db.h"
#include "common/kit/key_use.h"
#include "common/kit/outbox.h"
#include "common/kit/svc.h"

enum { event_uses_max = 500, look_every_ms = 1000 };

char *key_uses_json(struct arena *a, const struct key_use *list, size_t n)
{
    static const char *const names[] = { [USE_KEY] = "key_id",
                                         [USE_KEY_DENIED] = "key_id",
                                         [USE_CLIENT_DENIED] = "client_id",
                                         [USE_USER_DENIED] = "user_id" };
    json_t *uses = json_array();
    for (size_t i = 0; i < n; i++) {
        char at[rfc3339_len + 1];
        rfc3339_format(list[i].at_ms * 1000, at);
        json_t *use = json_pack("{s:I, s:s, s:s, s:s}", names[list[i].kind], (json_int_t)list[i].id,
                                "at", at, "address", list[i].address, "agent", list[i].agent);
        if (list[i].kind != USE_KEY)
            json_object_set_new(use, "denied", json_true());
        json_array_append_new(uses, use);
    }
    return json_text(a, json_in(a, json_pack("{s:o}", "uses", uses)));
}

struct flush {
    struct svc *svc;
    struct arena *a;
    const struct key_use *list;
    size_t n;
};

static int flush_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct flush *f = ctx;
    const struct outbox_event e = { .type = "key.used",
                                    .key = arena_printf(f->a, "program:%s", f->svc->def->name),
                                    .payload = key_uses_json(f->a, f->list, f->n),
                                    .actor = f->svc->def->name };
    return outbox_put(tx, f->a, &e, NULL, err);
}

int key_uses_flush(struct svc *svc, struct arena *a, struct err *err)
{
    for (;;) {
        struct key_use *list;
        size_t n = key_uses_collect(svc->key_uses, a, event_uses_max, &list);
        if (!n)
            return 0;
        int rc = db_tx(svc->db, a, flush_tx, &(struct flush){ svc, a, list, n }, err);
        if (rc)
            return rc;
        key_uses_settle(svc->key_uses, list, n);
        outbox_wake(svc->outbox);
    }
}

/* Started before the listeners and joined after they have closed: its last flush sees all. */
void key_uses_job(struct svc *svc)
{
    struct arena *a = arena_new();
    int64_t every_us = svc->conf->key_use_ms * 1000, next = clock_mono_us() + every_us;
    unsigned pause =
        (unsigned)(svc->conf->key_use_ms < look_every_ms ? svc->conf->key_use_ms : look_every_ms);
    for (bool stopping = false; !stopping;) {
        struct err err = { 0 };
        stopping = svc_pause(svc, pause);
        if (!stopping && clock_mono_us() < next && !key_uses_crowded(svc->key_uses))
            continue;
        next = clock_mono_us() + every_us;
        if (!key_uses_flush(svc, a, &err))
            ;
        else if (stopping)
            log_warn("keys.uses_lost", kv_s("why", err.msg), kv_s("detail", err.detail));
        else
            log_debug("keys.uses_wait", kv_s("why", err.msg), kv_s("detail", err.detail));
        arena_reset(a);
    }
    arena_free(a);
}
