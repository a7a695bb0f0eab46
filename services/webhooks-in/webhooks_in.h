#ifndef WEBHOOKS_IN_WEBHOOKS_IN_H
#define WEBHOOKS_IN_WEBHOOKS_IN_H
/*
 * The webhooks-in program: systems outside tell us of what happens there.  A request is verified
 * (receive.c, verify*.c, providers.c) and acknowledged when Kafka has it; the consumer stores it
 * (store.c); a job maps it (map.c, mapper.c) and has its actions done by the api (process.c).
 */
#include "common/io/db.h"
#include "common/kit/inbox.h"
#include "common/kit/route.h"
#include "common/kit/svc.h"
#include "services/webhooks-in/map.h"
#include "services/webhooks-in/verify.h"

struct shape_row;
struct bus_sender;
struct mappers;

enum { hook_body_bytes_max = 2 * 1024 * 1024, source_lock_class = 36531, source_keep_ms = 200 };

struct hooks_conf {
    struct svc_conf svc; /* first */
    int64_t accept_ms, retry_base_ms, retry_max, mappers;
    const char *trusted_urls;
};
extern const struct conf_def hooks_conf_defs[];
extern const struct route hook_routes[];
extern const struct consumer hook_consumers[];

struct hooks { /* svc->state */
    struct bus_sender *sender;
    struct fetcher *fetcher;
    struct mappers *mappers;
    struct source_cache *sources;
};
static inline struct hooks *hooks_of(const struct svc *svc)
{
    return svc->state;
}
static inline const struct hooks_conf *hooks_conf_of(const struct svc *svc)
{
    return (const struct hooks_conf *)(const void *)svc->conf;
}
const struct svc_def *hooks_def(void);
const struct db_stmt *const *hooks_statements(void); /* all named ones, NULL-ended */

/* --- secrets (source.c), sealed at rest --- */
char *secret_seal(const struct keyring *k, struct arena *a, int64_t source, const char *secret);
int secret_open(const struct keyring *k, struct arena *a, int64_t source, const char *sealed,
                const char **ret, struct err *err) MUST_CHECK;

/* --- sources as requests see them (source_cache.c): any thread --- */
enum source_text {
    SOURCE_PROVIDER,
    SOURCE_SETTINGS,
    SOURCE_SECRET,   /* opened */
    SOURCE_PREVIOUS, /* opened; NULL: there is none, or its time is over */
    SOURCE_NETWORKS, /* "a,b" */
    SOURCE_DEDUPE,
    SOURCE_ORDER_BY,
    SOURCE_TEXTS_
};
enum source_num { SOURCE_ID, SOURCE_USER, SOURCE_RATE, SOURCE_RETENTION, SOURCE_NUMS_ };
struct source_view {
    const char *text[SOURCE_TEXTS_]; /* in the arena */
    int64_t num[SOURCE_NUMS_];
};
struct source_cache;
struct source_cache *source_cache_new(void);
void source_cache_free(struct source_cache *c);
/* *ret_change goes to the put that follows a miss. */
bool source_cache_get(struct source_cache *c, struct arena *a, const char *slug,
                      struct source_view *ret, uint64_t *ret_change);
void source_cache_put(struct source_cache *c, const char *slug, const struct source_view *v,
                      uint64_t change);
void source_cache_drop(struct source_cache *c); /* a source was changed */

/* --- what providers' messages refer to (fetch.c) --- */
struct fetcher;
struct fetcher *fetcher_new(struct httpc *http, const char *trusted_urls);
void fetcher_free(struct fetcher *f);
/* Only below the providers' own hosts and the trusted URLs, else E_egress_refused.  An answer of
 * 200 is kept for keep_s (0: not at all).  E_unavailable: nobody answered. */
int fetcher_get(void *fetcher, struct arena *a, const char *url, const char *bearer,
                unsigned keep_s, struct fetched *ret, struct err *err) MUST_CHECK;
/* The same for a URL that a source's owner wrote: https, or below a trusted URL. */
int fetcher_get_any(void *fetcher, struct arena *a, const char *url, const char *bearer,
                    unsigned keep_s, struct fetched *ret, struct err *err) MUST_CHECK;

/* --- handlers --- */
int hook_receive(struct req *req, struct res *res, struct err *err); /* POST and GET */
int hook_options(struct req *req, struct res *res, struct err *err);
int source_create(struct req *req, struct res *res, struct err *err);
int source_patch(struct req *req, struct res *res, struct err *err);
int source_delete(struct req *req, struct res *res, struct err *err);
int source_rotate(struct req *req, struct res *res, struct err *err);
int source_mappings(struct req *req, struct res *res, struct err *err);
int mapping_get(struct req *req, struct res *res, struct err *err);
int mapping_restore(struct req *req, struct res *res, struct err *err);
int source_dry_run(struct req *req, struct res *res, struct err *err);
int source_replay(struct req *req, struct res *res, struct err *err);
int message_content(struct req *req, struct res *res, struct err *err);
int message_replay(struct req *req, struct res *res, struct err *err);

/* --- mappings and their versions (mapping.c) --- */
/* The source of the path, if the caller may see it, by sql_source_mapping. */
int source_mine(struct req *req, int64_t *ret_id, struct db_rows **ret, struct err *err) MUST_CHECK;
/* In the arena.  E_not_found: the source never had it. */
int mapping_version_read(struct req *req, int64_t source, int64_t version, const json_t **ret,
                         struct err *err) MUST_CHECK;

/* --- messages --- */
int messages_store(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err);
void messages_stored(struct svc *svc, size_t n);
void process_job(struct svc *svc);
void partitions_job(struct svc *svc);
int action_result(struct msg *m, struct db_tx *tx, struct err *err);
void process_wake(struct svc *svc);
/* The calling thread has work that nobody waits for: those that answer senders go first. */
void background_thread(void);

/* webhook.source.* in the open transaction. */
int source_event(struct db_tx *tx, const struct req *req, const char *type, int64_t id,
                 const json_t *changed, struct err *err) MUST_CHECK;
int source_read(struct db_tx *tx, struct arena *a, int64_t id, json_t **ret,
                struct err *err) MUST_CHECK;
#endif
