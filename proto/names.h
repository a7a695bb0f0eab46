#ifndef PROTO_NAMES_H
#define PROTO_NAMES_H
/*
 * Names that several programs share, as one-line lists (*.def) with their doc strings: scopes,
 * roles, topics, event types, metrics, setting names.
 */
#include "common/base/base.h"

/* --- scopes -------------------------------------------------------------------------------------
 */
enum scope {
#define SCOPE(sym, name, needs_name, doc) S_##sym,
#include "proto/scopes.def"
#undef SCOPE
    S_MAX_
};
_Static_assert(S_MAX_ <= 64, "a scope set is one word");
typedef uint64_t scope_set; /* bit 1 << enum scope */
struct scope_def {
    const char *name, *doc;
    bool named_only; /* not implied by api:read / api:write (rulings.md 14) */
};
extern const struct scope_def scopes[S_MAX_];
int scope_find(const char *name);        /* enum scope or -1 */
scope_set scope_expand(scope_set given); /* adds what is implied (api:admin implies all) */
static inline bool scope_has(scope_set s, enum scope x)
{
    return s >> x & 1;
}

enum role { ROLE_NONE, ROLE_MEMBER, ROLE_AUTHOR, ROLE_EDITOR, ROLE_ADMIN };
enum role role_find(const char *name); /* ROLE_NONE if unknown */
const char *role_name(enum role r);
scope_set role_scopes(enum role r); /* the most that a user of this role may do */
scope_set sandbox_scopes(void);     /* the most that a sandbox key may do, with its own data */

/* --- topics -------------------------------------------------------------------------------------
 */
struct topic_def {
    const char *name;
    int partitions;
    int64_t retention_ms;
    bool compact;
    const char *owner, *doc; /* owner: the only producing program ("*": all) */
};
extern const struct topic_def topics[]; /* ends at .name NULL */
const struct topic_def *topic_find(const char *name);

/* --- events -------------------------------------------------------------------------------------
 */
struct event_def {
    const char *type; /* short form: "post.published" */
    const char *topic;
    const char *entity; /* whose representation `data` is, or NULL */
    const char *doc;
};
extern const struct event_def
    events[]; /* ends at .type NULL; content ones are printed from entities */
const struct event_def *event_find(const char *type);
enum { event_type_max = 64 };
#define CE_TYPE_PREFIX "com.cms365."

/* --- metrics ------------------------------------------------------------------------------------
 */
enum metric {
#define METRIC(sym, kind, name, labels, doc) M_##sym,
#include "proto/metrics.def"
#undef METRIC
    M_MAX_
};
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
struct metric_def {
    enum metric_kind kind;
    const char *name, *labels /* "route,status" or "" */, *doc;
};
extern const struct metric_def metrics[M_MAX_];

/* --- tags of the API's document -----------------------------------------------------------------
 */
struct tag_def {
    const char *name, *doc;
};
extern const struct tag_def tags[]; /* ends at .name NULL */

/* --- deprecations -------------------------------------------------------------------------------
 */
struct deprecation_def {
    const char *name;      /* "v1": last part of its page, /deprecations/v1 */
    const char *from, *to; /* prefixes of paths: what goes, and what takes its place */
    const char *title, *doc;
};
enum { deprecations_max = 8 };
extern const struct deprecation_def deprecations[]; /* ends at .name NULL */
int deprecation_find(const char *name);             /* its index, or -1 */

/* --- settings: every CMS365_ name there is, with who knows it ------------------------------------
 */
extern const char *const setting_names[]; /* NULL-ended */
struct setting_def {
    const char *name, *who /* "all", a program, or "tool" */, *doc;
};
extern const struct setting_def settings[]; /* the same names; ends at .name NULL */
#endif
