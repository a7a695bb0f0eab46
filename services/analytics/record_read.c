/*
 * One pass over a message of api.requests, without a tree of it: a record is eighteen values, and
 * to allocate each cost more than all else that this program does with it.  Keys come in any order,
 * each once; texts are the senders' own words (reqlog.c), so an escape or a byte beyond ASCII in
 * one is no such message.  Most texts are those of the row before: they are compared, not read, and
 * are the same pointer, by which others see it.
 */
#include "services/analytics/record.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>

enum {
    text_max = 200,
    program_max = 40,
    row_bytes_min = 2 * RR_MAX_, /* a character and what parts it from the next */
};
#define number_max (INT64_C(1) << 53)

static const bool is_text[RR_MAX_] = {
    [RR_id] = true,    [RR_method] = true,  [RR_route] = true,  [RR_network] = true,
    [RR_agent] = true, [RR_country] = true, [RR_problem] = true
};

/* --- values --------------------------------------------------------------------------------------
 */

struct reader {
    char *p, *end; /* the copy of the message, which a NUL ends; texts are ended in place */
    const char *before[RR_MAX_]; /* texts of the row before; at first none, of no length */
    size_t before_n[RR_MAX_];
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

static bool read_text(struct reader *in, size_t max, const char **ret)
{
    if (!take(in, '"'))
        return false;
    char *begin = in->p;
    while (*in->p >= 0x20 && *in->p < 0x7f && *in->p != '"' && *in->p != '\\')
        in->p++;
    if (*in->p != '"' || (size_t)(in->p - begin) > max)
        return false;
    *in->p++ = '\0';
    *ret = begin;
    return true;
}

static bool read_field(struct reader *in, size_t i, const char **ret)
{
    size_t n = in->before_n[i];
    if (n && (size_t)(in->end - in->p) > n + 1 && in->p[0] == '"' && in->p[n + 1] == '"' &&
        memcmp(in->p + 1, in->before[i], n) == 0) {
        in->p += n + 2;
        *ret = in->before[i];
        return true;
    }
    if (!read_text(in, text_max, ret))
        return false;
    in->before[i] = *ret;
    in->before_n[i] = (size_t)(in->p - 1 - *ret);
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

static bool row_ok(const struct record *r, const char *network_before)
{
    return r->number[RR_at] > 0 && r->number[RR_status] >= 100 && r->number[RR_status] <= 999 &&
           *r->text[RR_method] && *r->text[RR_route] &&
           (r->text[RR_network] == network_before || hex_ok(r->text[RR_network])) &&
           id_ok(r->text[RR_id]) && strlen(r->text[RR_country]) <= 2;
}

static bool read_row(struct reader *in, struct record *out)
{
    const char *network_before = in->before[RR_network];
    if (!take(in, '['))
        return false;
    for (size_t i = 0; i < RR_MAX_; i++) {
        out->text[i] = "";
        out->number[i] = 0;
        if (i && !take(in, ','))
            return false;
        if (is_text[i] ? !read_field(in, i, &out->text[i]) : !read_number(in, &out->number[i]))
            return false;
    }
    while (take(in, ',')) { /* a later sender may have more behind these */
        const char *text;
        int64_t number;
        if (!read_number(in, &number) && !read_text(in, text_max, &text))
            return false;
    }
    return take(in, ']') && row_ok(out, network_before);
}

/* `max`: rows that there is room for.  False: not an array, or one with a row that is none. */
static bool read_rows(struct reader *in, struct batch *b, size_t max)
{
    if (!take(in, '['))
        return false;
    if (take(in, ']'))
        return true;
    do {
        if (b->n == max || !read_row(in, &b->rows[b->n]))
            return false;
        b->n++;
    } while (take(in, ','));
    return take(in, ']');
}

/* --- the message ---------------------------------------------------------------------------------
 */

enum { K_V, K_PROGRAM, K_RULE, K_DROPPED, K_ROWS, KEYS };
static const char *const keys[KEYS] = { "v", "program", "rule", "dropped", "rows" };

static bool read_members(struct reader *in, struct batch *b, size_t max, int64_t *ret_version)
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
        bool ok = k == K_V         ? read_number(in, ret_version)
                  : k == K_PROGRAM ? read_text(in, program_max, &b->program)
                  : k == K_RULE    ? read_text(in, program_max, &b->rule)
                  : k == K_DROPPED ? read_number(in, &b->dropped)
                                   : read_rows(in, b, max);
        if (!ok)
            return false;
    } while (take(in, ','));
    return take(in, '}') && seen == (1u << KEYS) - 1 && *b->program;
}

int batch_read(struct arena *a, const char *json, size_t n, struct batch *ret, struct err *err)
{
    char *copy = arena_raw(a, n + 1);
    struct reader in = { .p = copy, .end = copy + n };
    int64_t version = 0;
    size_t max = n / row_bytes_min;
    if (max > request_batch_rows_max)
        max = request_batch_rows_max;
    memcpy(copy, json, n);
    copy[n] = '\0';
    *ret = (struct batch){ .rows = arena_raw(a, (max + 1) * sizeof *ret->rows) };
    bool ok = read_members(&in, ret, max, &version);
    if (version && version != request_record_version)
        return err_set(err, E_invalid, "The message is of another version.");
    skip(&in);
    if (!ok || in.p != copy + n)
        return err_set(err, E_invalid,
                       "The message is not a request.batch; row %zu is the last that was read.",
                       ret->n);
    assert(ret->n <= max);
    return 0;
}
