#ifndef API_API_H
#define API_API_H
/* The api program: the seven content entities over HTTP.  What it serves is made from their tables.
 */
#include "common/kit/crud.h"
#include "common/kit/inbox.h"
#include "common/kit/svc.h"

struct api_conf {
    struct svc_conf svc;
    const char *require_if_match; /* plurals, separated by commas */
    int64_t revision_days;
    int64_t operation_lease_ms;
    int64_t response_cache_bytes;
    const char *sandbox_database_url;
    int64_t sandboxes_max;
};

/* Made once, before svc_main, because routes and prepared statements are part of the definition. */
const struct svc_def *api_def(void);
/* The parts of it, for tests. */
struct api {
    struct svc_def def;
    struct crud *cruds[16]; /* NULL-ended, in the order of entities[] */
};
const struct api *api_make(struct arena *a);
const struct crud *api_crud(const char *entity);
struct crud *const *api_cruds(void); /* all of them, NULL-ended */

struct sandboxes *api_sandboxes_new(const struct svc *svc, const struct api_conf *conf);

const struct db_stmt *const *api_statements(void); /* of sql/, NULL-ended */

/* Names of `list` must be entities of this program; changes of these need If-Match. */
int api_require_if_match(const struct api *api, const char *list, struct err *err) MUST_CHECK;
int api_bootstrap_admin(struct svc *svc, char **args, struct err *err);
void api_publish_job(struct svc *svc);    /* what is scheduled and due */
void api_operations_job(struct svc *svc); /* bulks that were accepted, one after the other */
int api_fold_counts(struct svc *svc, struct arena *a, struct err *err) MUST_CHECK;
/* A batch of former states older than this; how many went. */
int api_purge_revisions(struct svc *svc, struct arena *a, int64_t days, size_t *ret_n,
                        struct err *err) MUST_CHECK;
/* A batch of what went longer ago than the feed of changes tells. */
int api_purge_changes(struct svc *svc, struct arena *a, size_t *ret_n, struct err *err) MUST_CHECK;
void api_revisions_job(struct svc *svc);
extern const struct route document_routes[];  /* the API's own documents (documents.c) */
extern const struct route inner_routes[];     /* for other programs (inner.c) */
extern const struct consumer api_consumers[]; /* content.commands (command.c) */
void api_counts_job(struct svc *svc);         /* the shards of counts into one row each */
#endif
