#ifndef KIT_KEY_USE_H
#define KIT_KEY_USE_H
/*
 * When, from where and with what API keys are used, and who was refused because of where they are:
 * keys, clients, and people in their browsers, whose credential was right but is not accepted
 * there.  A request costs a look-up in memory; the first use of a key in each interval
 * (CMS365_KEY_USE_MS, a minute) is noted, and once an interval what was noted goes to the outbox as
 * `key.used` events on auth.commands, some hundred keys each:
 *
 *   {"uses":[{"key_id":7,"at":"2026-02-19T08:00:00.000000Z","address":"192.0.2.1","agent":"x/1"}]}
 *
 * A refusal is an item with `"denied":true`, and with `client_id` or `user_id` for those.
 *
 * A stopping program flushes after its last request.  One that is killed loses what was noted since
 * the last flush; while its database is away the notes wait in memory.  No use is ever refused for
 * want of room here: keys beyond key_uses_max in one flush are not noted until the next.
 *
 * Threads: note from any; collect, settle and flush from one.
 */
#include "common/base/arena.h"
#include "common/base/err.h"

enum { key_uses_max = 3072, key_use_address_max = 46, key_use_agent_max = 200 };

struct svc;
struct key_uses;
enum use_kind { USE_KEY, USE_KEY_DENIED, USE_CLIENT_DENIED, USE_USER_DENIED };
struct key_use {
    enum use_kind kind;
    int64_t id, at_ms;
    const char *address, *agent; /* valid UTF-8 without control characters; "" if unknown */
};

struct key_uses *key_uses_new(int64_t every_ms);
void key_uses_free(struct key_uses *u);
/* `u` NULL or id 0: nothing.  `address` and `agent` may be NULL; the agent is cut.  A refusal is
 * noted in the same way: once an interval and credential, however often it is tried. */
void key_use_note(struct key_uses *u, enum use_kind kind, int64_t id, const char *address,
                  const char *agent);
/* What was noted and not settled, at most max, copied into the arena. */
size_t key_uses_collect(struct key_uses *u, struct arena *a, size_t max, struct key_use **ret);
/* These are safe now; what was noted anew meanwhile stays. */
void key_uses_settle(struct key_uses *u, const struct key_use *list, size_t n);
/* Is it time to flush although the interval is not over? */
bool key_uses_crowded(struct key_uses *u);
/* The event's payload. */
char *key_uses_json(struct arena *a, const struct key_use *list, size_t n);

/* Puts all that is noted into the program's outbox. */
int key_uses_flush(struct svc *svc, struct arena *a, struct err *err) MUST_CHECK;
void key_uses_job(struct svc *svc); /* job_def.fn */
#endif
