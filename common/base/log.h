#ifndef BASE_LOG_H
#define BASE_LOG_H
/*
 * One JSON object a line on stderr: {"ts":…,"level":…,"program":…,"event":…, context, pairs}.
 * The event name is static.  Context (request id, trace id) is set for the running fiber or thread
 * and added to each line.  common/ and domain code never log above debug: the unit of work does,
 * once (route, inbox, provider, svc).  Lines are cut at log_line_bytes_max and written whole: at
 * once, except that those of a loop's thread up to info leave together when its round ends.  What
 * kills the process loses that round's lines.
 */
#include "common/base/base.h"

enum { log_line_bytes_max = 8 * 1024 };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct kv {
    const char *key;
    const char *str; /* NULL: use num */
    int64_t num;
};
static inline struct kv kv_s(const char *key, const char *str)
{
    return (struct kv){ .key = key, .str = str ? str : "" };
}
static inline struct kv kv_i(const char *key, int64_t num)
{
    return (struct kv){ .key = key, .num = num };
}
/* For anything that may be a credential: shows that there is one, never what it is. */
static inline struct kv kv_secret(const char *key, const char *str)
{
    return (struct kv){ .key = key, .str = str && *str ? "***" : "" };
}

void log_init(const char *program, enum log_level level);
enum log_level log_level(void);
bool log_level_parse(const char *s, enum log_level *ret);
void log_write(enum log_level level, const char *event, const struct kv *kv, size_t n);
void log_flush(void); /* what this thread has not written yet */

struct log_context {
    char request_id[64];
    char trace_id[33];
};
/* The context of the running fiber (or thread outside one); NULL clears.  Borrowed, not copied. */
void log_context_set(const struct log_context *ctx);
const struct log_context *log_context(void);

#define LOG_AT_(level, event, ...)                                                                 \
    log_write(level, event, (const struct kv[]){ __VA_ARGS__ },                                    \
              sizeof((const struct kv[]){ __VA_ARGS__ }) / sizeof(struct kv))
#define log_debug(event, ...) LOG_AT_(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...)  LOG_AT_(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_AT_(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT_(LOG_ERROR, event, __VA_ARGS__)
#endif
