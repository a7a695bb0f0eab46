/*
 * One pass over a message of api.requests, without a tree of it: a record is eighteen values, and
 * to allocate each cost more than all else that this program does with it.  Keys come in any order,
 * each once, but "v" before the rows that it explains; texts are the senders' own words (reqlog.c),
 * so an escape or a byte beyond ASCII in one is no such message.  A text that a row does not say is
 * the same pointer as in the row before, by which others see it.
 */
#include "services/analytics/record.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>

enum {
    text_max = 200,
    program_max = 40,
    row_bytes_min = 4, /* a row that is as the one before, and a comma */
};
#define number_max (INT64_C(1) << 53)

static const bool is_text[RR_MAX_] = {
    [RR_id] = true,    [RR_method] = true,  [RR_route] = true,  [RR_network] = true,
    [RR_agent] = true, [RR_country] = true, [RR_problem] = true
};

/* --- values --------------------------------------------------------------------------------------
 */

struct reader {
    char *p; /* in the copy of the message, which a NUL ends; texts are ended in place */
    int64_t version;
};

static void skip(struct reader *in)
{
    while (*in->p == ' ' || *in->p == '\n' || *in->p == '\r' || *in->p == '\t')
        in->p++;
}

static bool take(struct reader *in, char c)
{
    skip(in);
    if (*in->p != c)
        return false;
    in->p++;
    return true;
}

static bool plain(const char *s, const char *end)
{
    bool ok = true;
    for (; s < end; s++) /* no way out in between: they are nearly all good */
        ok &= *s >= 0x20 && *s < 0x7f && *s != '\\';
    return ok;
}

static bool read_text(struct reader *in, size_t max, const char **ret)
{
    if (!take(in, '"'))
        return false;
    char *begin = in->p, *end = strchr(begin, '"');
    if (!end || (size_t)(end - begin) > max || !plain(begin, end))
        return false;
    *end = '\0';
    in->p = end + 1;
    *ret = begin;
    return true;
}

/* 0 … number_max - 1, as JSON writes whole numbers (RFC 8259 section 6). */
static bool read_number(struct reader *in, int64_t *ret)
{
    skip(in);
    const char *begin = in->p;
    int64_t v = 0;
    for (; *in->p >= '0' && *in->p <= '9'; in->p++) {
        v = 10 * v + (*in->p - '0');
        if (v >= number_max)
            return false;
    }
    *ret = v;
    return in->p > begin && (*begin != '0' || in->p == begin + 1);
}

/* --- rows ----------------------------------------------------------------------------------------
 */

static bool hex_ok(const char *s)
{
    unsigned char raw[8];
    return strlen(s) == 16 && hex_decode(s, 16, raw);
}

static bool id_ok(const char *s)
{
    unsigned char raw[16];
    return !*s || uuid_parse(s, raw) || (strlen(s) == 32 && hex_decode(s, 32, raw));
}

static bool value_ok(const struct record *r, size_t i)
{
    switch ((enum request_record_field)i) {
    case RR_at:
        return r->number[i] > 0;
    case RR_status:
        return r->number[i] >= 100 && r->number[i] <= 999;
    case RR_method:
    case RR_route:
        return *r->text[i];
    case RR_network:
        return hex_ok(r->text[i]);
    case RR_id:
        return id_ok(r->text[i]);
    case RR_country:
        return strlen(r->text[i]) <= 2;
    default:
        return true;
    }
}

static bool read_value(struct reader *in, struct record *r, size_t i)
{
    bool ok = is_text[i] ? read_text(in, text_max, &r->text[i]) : read_number(in, &r->number[i]);
    return ok && value_ok(r, i);
}

/* A later sender may have more than is known here. */
static bool pass_value(struct reader *in)
{
    const char *text;
    int64_t number;
    return read_number(in, &number) || read_text(in, text_max, &text);
}

/* All of its fields, and what may come behind them. */
static bool read_whole_row(struct reader *in, struct record *r)
{
    for (size_t i = 0; i < RR_MAX_; i++)
        if ((i && !take(in, ',')) || !read_value(in, r, i))
            return false;
    while (take(in, ','))
        if (!pass_value(in))
            return false;
    return true;
}

/* Which fields it says, and these. */
static bool read_changed_row(struct reader *in, struct record *r, const struct record *before)
{
    int64_t said;
    if (!read_number(in, &said) || (!before && ~said & request_record_all))
        return false;
    if (before)
        *r = *before;
    for (; said; said &= said - 1) {
        size_t i = (size_t)__builtin_ctzll((unsigned long long)said);
        if (!take(in, ',') || !(i < RR_MAX_ ? read_value(in, r, i) : pass_value(in)))
            return false;
    }
    return true;
}

static bool read_row(struct reader *in, struct batch *b)
{
    struct record *r = &b->rows[b->n];
    return take(in, '[') &&
           (in->version == request_record_whole ? read_whole_row(in, r)
                                                : read_changed_row(in, r, b->n ? r - 1 : NULL)) &&
           take(in, ']');
}

/* `max`: rows that there is room for.  False: not an array, or one with a row that is none. */
static bool read_rows(struct reader *in, struct batch *b, size_t max)
{
    if (!take(in, '['))
        return false;
    if (take(in, ']'))
        return true;
    do {
        if (b->n == max || !read_row(in, b))
            return false;
        b->n++;
    } while (take(in, ','));
    return take(in, ']');
}

/* --- the message ---------------------------------------------------------------------------------
 */

enum { K_V, K_PROGRAM, K_RULE, K_DROPPED, K_ROWS, KEYS };
static const char *const keys[KEYS] = { "v", "program", "rule", "dropped", "rows" };

static bool known_version(int64_t v)
{
    return v == request_record_version || v == request_record_whole;
}

static bool read_members(struct reader *in, struct batch *b, size_t max)
{
    unsigned seen = 0;
    const char *name;
    if (!take(in, '{'))
        return false;
    do {
        size_t k = 0;
        if (!read_text(in, program_max, &name) || !take(in, ':'))
            return false;
        while (k < KEYS && strcmp(keys[k], name) != 0)
            k++;
        if (k == KEYS || seen & 1u << k)
            return false;
        seen |= 1u << k;
        bool ok = k == K_V         ? read_number(in, &in->version) && known_version(in->version)
                  : k == K_PROGRAM ? read_text(in, program_max, &b->program)
                  : k == K_RULE    ? read_text(in, program_max, &b->rule)
                  : k == K_DROPPED ? read_number(in, &b->dropped)
                                   : in->version && read_rows(in, b, max);
        if (!ok)
            return false;
    } while (take(in, ','));
    return take(in, '}') && seen == (1u << KEYS) - 1 && *b->program;
}

int batch_read(struct arena *a, const char *json, size_t n, struct batch *ret, struct err *err)
{
    char *copy = arena_raw(a, n + 1);
    struct reader in = { .p = copy };
    size_t max = n / row_bytes_min;
    if (max > request_batch_rows_max)
        max = request_batch_rows_max;
    memcpy(copy, json, n);
    copy[n] = '\0';
    *ret = (struct batch){ .rows = arena_raw(a, (max + 1) * sizeof *ret->rows) };
    bool ok = read_members(&in, ret, max);
    if (in.version && !known_version(in.version))
        return err_set(err, E_invalid, "The message is of another version.");
    skip(&in);
    if (!ok || in.p != copy + n)
        return err_set(err, E_invalid,
                       "The message is not a request.batch; row %zu is the last that was read.",
                       ret->n);
    assert(ret->n <= max);
    return 0;
}
