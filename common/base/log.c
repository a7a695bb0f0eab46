#include "common/base/log.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/loop.h"

#include <assert.h>
#include <stdatomic.h>
#include <unistd.h>

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static _Atomic int min_level = LOG_INFO;
static char program_name[64] = "cms365";

/* A line being made.  Pieces go in whole or not at all, so that a cut line is still JSON. */
struct line {
    size_t len;
    bool full;
    char text[log_line_bytes_max];
};
enum { tail_bytes = sizeof("\",\"cut\":true}\n") };

void log_init(const char *program, enum log_level level)
{
    (void)snprintf(program_name, sizeof(program_name), "%s", program);
    atomic_store(&min_level, (int)level);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&min_level, memory_order_relaxed);
}

bool log_level_parse(const char *s, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(s, level_names[i]) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool put(struct line *l, const char *s, size_t n)
{
    if (l->full || n > sizeof(l->text) - tail_bytes - l->len) {
        l->full = true;
        return false;
    }
    memcpy(l->text + l->len, s, n);
    l->len += n;
    return true;
}

static size_t utf8_span(const unsigned char *s)
{
    size_t want = *s < 0x80 ? 1 : *s < 0xC2 ? 0 : *s < 0xE0 ? 2 : *s < 0xF0 ? 3 : *s < 0xF5 ? 4 : 0;

    for (size_t i = 1; i < want; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return want;
}

/* How many bytes at the front go in as they are: most lines are nothing else. */
static size_t plain_span(const char *s)
{
    size_t n = 0;

    while ((unsigned char)s[n] >= 0x20 && (unsigned char)s[n] < 0x7F && s[n] != '"' && s[n] != '\\')
        n++;
    return n;
}

/* Values come from anywhere: what is not UTF-8 is shown as '?'. */
static bool put_special(struct line *l, const char *s, size_t *ret_n)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*s;
    size_t n = utf8_span((const unsigned char *)s);

    *ret_n = n ? n : 1;
    if (c == '"' || c == '\\')
        return put(l, (const char[]){ '\\', (char)c }, 2);
    if (c == '\n')
        return put(l, "\\n", 2);
    if (c < 0x20 || c == 0x7F)
        return put(l, (const char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
    return n == 0 ? put(l, "?", 1) : put(l, s, n);
}

static void put_string(struct line *l, const char *s)
{
    bool ok = put(l, "\"", 1);

    while (ok && *s) {
        size_t n = plain_span(s), room = sizeof(l->text) - tail_bytes - l->len;

        if (n > room) { /* as much as fits */
            (void)put(l, s, room);
            l->full = true;
            break;
        }
        ok = n ? put(l, s, n) : put_special(l, s, &n);
        s += n;
    }
    if (!put(l, "\"", 1))
        l->text[l->len++] = '"'; /* tail_bytes leaves room */
}

static void put_number(struct line *l, int64_t v)
{
    char digits[24], *p = digits + sizeof(digits);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        *--p = '-';
    (void)put(l, p, (size_t)(digits + sizeof(digits) - p));
}

static void put_key(struct line *l, const char *key)
{
    (void)put(l, ",", 1);
    put_string(l, key);
    (void)put(l, ":", 1);
}

/* A pair that does not fit is dropped whole if it is the key that does not, else cut in the value.
 */
static void put_pair(struct line *l, const struct kv *kv)
{
    if (l->full)
        return;
    if (strlen(kv->key) * 6 + 32 > sizeof(l->text) - tail_bytes - l->len) {
        l->full = true;
        return;
    }
    put_key(l, kv->key);
    if (kv->str)
        put_string(l, kv->str);
    else
        put_number(l, kv->num);
}

/* What a loop's thread has logged in this round.  One write for all of it: a call a line is felt
 * in a short request. */
static _Thread_local struct {
    struct deferred flush;
    size_t len;
    char text[4 * log_line_bytes_max];
} pending;

static void write_out(const char *text, size_t n)
{
    /* Whole lines in one call: those of several threads do not mix.  A full disk must not stop us.
     */
    ssize_t ignored = write(STDERR_FILENO, text, n);

    (void)ignored;
}

void log_flush(void)
{
    if (pending.flush.armed)
        loop_defer_clear(loop_self(), &pending.flush);
    if (pending.len > 0)
        write_out(pending.text, pending.len);
    pending.len = 0;
}

static void on_flush(struct deferred *d)
{
    (void)d;
    log_flush();
}

static void write_line(const struct line *l, enum log_level level)
{
    struct loop *loop = loop_self();

    if (!loop || level > LOG_INFO) {
        log_flush();
        write_out(l->text, l->len);
        return;
    }
    if (l->len > sizeof(pending.text) - pending.len)
        log_flush();
    memcpy(pending.text + pending.len, l->text, l->len);
    pending.len += l->len;
    pending.flush.fn = on_flush;
    loop_defer(loop, &pending.flush);
}

void log_write(enum log_level level, const char *event, const struct kv *kv, size_t n)
{
    /* Of the thread: nothing parks here, and on the stack the compiler would clear all of it. */
    static _Thread_local struct line l;
    const struct log_context *ctx;
    char ts[rfc3339_len + 1];

    if (level < log_level())
        return;
    assert((size_t)level < ARRAY_LEN(level_names));
    l.len = 0;
    l.full = false;
    rfc3339_format(clock_us(), ts);
    (void)put(&l, "{\"ts\":\"", 7);
    (void)put(&l, ts, rfc3339_len);
    (void)put(&l, "\"", 1);
    put_pair(&l, &(struct kv){ .key = "level", .str = level_names[level] });
    put_pair(&l, &(struct kv){ .key = "program", .str = program_name });
    put_pair(&l, &(struct kv){ .key = "event", .str = event });
    ctx = log_context();
    if (ctx && *ctx->request_id)
        put_pair(&l, &(struct kv){ .key = "request_id", .str = ctx->request_id });
    if (ctx && *ctx->trace_id)
        put_pair(&l, &(struct kv){ .key = "trace_id", .str = ctx->trace_id });
    for (size_t i = 0; i < n; i++)
        put_pair(&l, &kv[i]);
    if (l.full) {
        memcpy(l.text + l.len, ",\"cut\":true", 11);
        l.len += 11;
    }
    memcpy(l.text + l.len, "}\n", 2);
    l.len += 2;
    write_line(&l, level);
}

void log_context_set(const struct log_context *ctx)
{
    union {
        const void *in;
        void *out;
    } p = { .in = ctx };

    fiber_local_set(p.out);
}

const struct log_context *log_context(void)
{
    return fiber_local();
}
