#include "proto/names.h"

#include "common/base/str.h"

/* --- deprecations --- */
const struct deprecation_def deprecations[] = {
#define DEPRECATION(n, before, after, t, d)                                                        \
    { .name = (n), .from = (before), .to = (after), .title = (t), .doc = (d) },
#include "proto/deprecations.def"
#undef DEPRECATION
    { .name = NULL },
};
_Static_assert(ARRAY_LEN(deprecations) <= deprecations_max + 1, "a table of dates has room");

int deprecation_find(const char *name)
{
    for (int i = 0; deprecations[i].name; i++)
        if (str_eq(deprecations[i].name, name))
            return i;
    return -1;
}

/* --- scopes --- */
const struct scope_def scopes[S_MAX_] = {
#define SCOPE(sym, text, needs_name, about)                                                        \
    [S_##sym] = { .name = (text), .doc = (about), .named_only = (needs_name) },
#include "proto/scopes.def"
#undef SCOPE
};

#define BIT(s)     ((scope_set)1 << (s))
#define ALL_SCOPES (~(scope_set)0 >> (64 - S_MAX_))

int scope_find(const char *name)
{
    for (int i = 0; i < S_MAX_; i++)
        if (str_eq(scopes[i].name, name))
            return i;
    return -1;
}

static bool is_write(int s)
{
    return str_ends(scopes[s].name, ":write");
}

static bool is_read(int s)
{
    return str_ends(scopes[s].name, ":read");
}

/* "posts:write" -> posts:read, by name, so that the list alone says what there is. */
static scope_set read_of(int write)
{
    size_t n = strlen(scopes[write].name) - strlen("write");
    for (int i = 0; i < S_MAX_; i++)
        if (is_read(i) && !strncmp(scopes[i].name, scopes[write].name, n) &&
            str_eq(scopes[i].name + n, "read"))
            return BIT(i);
    return 0;
}

scope_set scope_expand(scope_set given)
{
    given &= ALL_SCOPES;
    if (scope_has(given, S_api_admin))
        return ALL_SCOPES;
    if (scope_has(given, S_api_write))
        given |= BIT(S_api_read);
    for (int i = 0; i < S_MAX_; i++) {
        if (scopes[i].named_only || i == S_api_read || i == S_api_write)
            continue;
        if ((scope_has(given, S_api_write) && is_write(i)) ||
            (scope_has(given, S_api_read) && is_read(i)))
            given |= BIT(i);
    }
    for (int i = 0; i < S_MAX_; i++)
        if (scope_has(given, (enum scope)i) && is_write(i))
            given |= read_of(i);
    return given;
}

/* --- roles --- */
static const char *const role_names[] = {
    [ROLE_NONE] = "none",     [ROLE_MEMBER] = "member", [ROLE_AUTHOR] = "author",
    [ROLE_EDITOR] = "editor", [ROLE_ADMIN] = "admin",
};

enum role role_find(const char *name)
{
    for (enum role r = ROLE_MEMBER; r <= ROLE_ADMIN; r++)
        if (str_eq(role_names[r], name))
            return r;
    return ROLE_NONE;
}

const char *role_name(enum role r)
{
    return (size_t)r < ARRAY_LEN(role_names) ? role_names[r] : role_names[ROLE_NONE];
}

/*
 * Whose rows a scope reaches is decided by visibility and ownership (common/kit/vis.h); here is
 * only what a role can hold at all.  Everyone keeps a profile, keys and endpoints of his own.
 */
scope_set role_scopes(enum role r)
{
    scope_set own = BIT(S_users_write) | BIT(S_keys_read) | BIT(S_keys_write) |
                    BIT(S_clients_read) | BIT(S_clients_write) | BIT(S_grants_read) |
                    BIT(S_grants_write) | BIT(S_sessions_read) | BIT(S_sessions_write) |
                    BIT(S_audit_read) | BIT(S_webhooks_read) | BIT(S_webhooks_write) |
                    BIT(S_analytics_read) | BIT(S_analytics_write);
    scope_set author = BIT(S_api_write) | BIT(S_posts_write) | BIT(S_pages_write) |
                       BIT(S_media_write) | BIT(S_events_write);
    scope_set reads = 0;
    for (int i = 0; i < S_MAX_; i++)
        if (is_read(i) && !scopes[i].named_only)
            reads |= BIT(i);
    switch (r) {
    case ROLE_NONE:
        return 0;
    case ROLE_MEMBER:
        return reads | own;
    case ROLE_AUTHOR:
        return reads | own | author;
    case ROLE_EDITOR:
        return reads | own | author | BIT(S_experts_write) | BIT(S_companies_write);
    case ROLE_ADMIN:
        return ALL_SCOPES;
    }
    return 0;
}

/* Content, and nothing that is about people's credentials or leads outside. */
scope_set sandbox_scopes(void)
{
    return BIT(S_api_read) | BIT(S_api_write) | BIT(S_posts_read) | BIT(S_posts_write) |
           BIT(S_pages_read) | BIT(S_pages_write) | BIT(S_media_read) | BIT(S_media_write) |
           BIT(S_experts_read) | BIT(S_experts_write) | BIT(S_companies_read) |
           BIT(S_companies_write) | BIT(S_events_read) | BIT(S_events_write) | BIT(S_users_read);
}

/* --- topics --- */
const struct topic_def topics[] = {
#define TOPIC(text, parts, hours, compacted, who, about)                                           \
    { .name = (text),                                                                              \
      .partitions = (parts),                                                                       \
      .retention_ms = (hours) < 0 ? -1 : (hours) * INT64_C(3600000),                               \
      .compact = (compacted),                                                                      \
      .owner = (who),                                                                              \
      .doc = (about) },
#include "proto/topics.def"
#undef TOPIC
    { 0 },
};

const struct topic_def *topic_find(const char *name)
{
    for (const struct topic_def *t = topics; t->name; t++)
        if (str_eq(t->name, name))
            return t;
    return NULL;
}

/* --- events --- */
/* clang-format off */
#define EV(sym, what, about) \
    { #sym "." what, "content.events", #sym, "The " #sym " was " about "." },
#define LIFE_EVENTS_NONE(sym) \
    EV(sym, "created", "made") EV(sym, "updated", "changed") \
    EV(sym, "deleted", "deleted") EV(sym, "restored", "restored after deletion")
#define LIFE_EVENTS_ACTIVE(sym) LIFE_EVENTS_NONE(sym)
#define LIFE_EVENTS_PUBLISH(sym) LIFE_EVENTS_NONE(sym) \
    EV(sym, "published", "published") EV(sym, "unpublished", "taken back from readers") \
    EV(sym, "scheduled", "given a date to appear at")
/* clang-format on */

const struct event_def events[] = {
#define ENTITY(sym, life) LIFE_EVENTS_##life(sym)
#include "proto/entities.def"
#undef ENTITY
#define EVENT(text, where, what, about)                                                            \
    { .type = (text), .topic = (where), .entity = (what), .doc = (about) },
#include "proto/events.def"
#undef EVENT
    { 0 },
};

const struct event_def *event_find(const char *type)
{
    for (const struct event_def *e = events; e->type; e++)
        if (str_eq(e->type, type))
            return e;
    return NULL;
}

/* --- metrics --- */
const struct metric_def metrics[M_MAX_] = {
#define METRIC(sym, what, text, by, about)                                                         \
    [M_##sym] = { .kind = METRIC_##what, .name = (text), .labels = (by), .doc = (about) },
#include "proto/metrics.def"
#undef METRIC
};

/* --- settings --- */
const struct setting_def settings[] = {
#define SETTING(text, by, about) { .name = (text), .who = (by), .doc = (about) },
#include "proto/settings.def"
#undef SETTING
    { 0 },
};
const char *const setting_names[] = {
#define SETTING(text, by, about) (text),
#include "proto/settings.def"
#undef SETTING
    NULL
};

const struct tag_def tags[] = {
#define TAG(name, doc) { name, doc },
#include "proto/tags.def"
#undef TAG
    { 0 },
};
