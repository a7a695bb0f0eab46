#include "services/analytics/record.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/str.h"

enum { text_max = 200, program_max = 40 };
#define number_max (INT64_C(1) << 53)

const char *const consumer_kinds[] = { "anonymous", "key", "client", "session", NULL };

static const bool is_text[RR_MAX_] = {
    [RR_id] = true,    [RR_method] = true,  [RR_route] = true,  [RR_network] = true,
    [RR_agent] = true, [RR_country] = true, [RR_problem] = true
};

static bool word_ok(const char *s, size_t max)
{
    size_t n = 0;
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || ++n > max)
            return false;
    }
    return true;
}

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

static bool row_ok(const struct record *r)
{
    return r->number[RR_at] > 0 && r->number[RR_status] >= 100 && r->number[RR_status] <= 999 &&
           *r->text[RR_method] && *r->text[RR_route] && hex_ok(r->text[RR_network]) &&
           id_ok(r->text[RR_id]) && strlen(r->text[RR_country]) <= 2;
}

static bool read_row(const json_t *in, struct record *out)
{
    if (json_array_size(in) < RR_MAX_) /* a later version may have more behind these */
        return false;
    for (size_t i = 0; i < RR_MAX_; i++) {
        const json_t *v = json_array_get(in, i);
        out->text[i] = "";
        out->number[i] = 0;
        if (is_text[i]) {
            out->text[i] = json_string_value(v);
            if (!out->text[i] || !word_ok(out->text[i], text_max))
                return false;
        } else {
            out->number[i] = json_is_integer(v) ? json_integer_value(v) : -1;
            if (out->number[i] < 0 || out->number[i] >= number_max)
                return false;
        }
    }
    return row_ok(out);
}

int batch_read(struct arena *a, const char *json, size_t n, struct batch *ret, struct err *err)
{
    json_t *tree;
    int rc = json_parse(a, json, n, &tree, err);
    if (rc)
        return rc;
    const json_t *rows = json_object_get(tree, "rows");
    *ret = (struct batch){ .program = json_string_value(json_object_get(tree, "program")),
                           .rule = json_string_value(json_object_get(tree, "rule")),
                           .dropped = json_integer_value(json_object_get(tree, "dropped")),
                           .n = json_array_size(rows) };
    if (json_integer_value(json_object_get(tree, "v")) != request_record_version)
        return err_set(err, E_invalid, "The message is of another version.");
    if (!ret->program || !*ret->program || !word_ok(ret->program, program_max) || !ret->rule ||
        !word_ok(ret->rule, program_max) || ret->dropped < 0 || !json_is_array(rows) ||
        ret->n > request_batch_rows_max)
        return err_set(err, E_invalid, "The message is not a request.batch.");
    ret->rows = arena_raw(a, (ret->n + 1) * sizeof *ret->rows);
    for (size_t i = 0; i < ret->n; i++) {
        if (!read_row(json_array_get(rows, i), &ret->rows[i]))
            return err_set(err, E_invalid, "Row %zu of the message is not a request.", i);
    }
    return 0;
}

enum consumer_kind record_consumer(const struct record *r, int64_t *ret_number)
{
    *ret_number = r->number[RR_key] ? r->number[RR_key] : r->number[RR_client];
    return r->number[RR_key]       ? BY_KEY
           : r->number[RR_client]  ? BY_CLIENT
           : r->number[RR_session] ? BY_SESSION
                                   : BY_ANONYMOUS;
}

/* The names of the log (proto/api_request.c), so that a client reads both in one way. */
static const struct {
    enum request_record_field from;
    const char *name;
    enum { NUMBER, TEXT, REF } form;
} shown[] = {
    { RR_method,    "method",     TEXT   },
    { RR_route,     "route",      TEXT   },
    { RR_status,    "status",     NUMBER },
    { RR_total_us,  "total_us",   NUMBER },
    { RR_queue_us,  "queue_us",   NUMBER },
    { RR_db_us,     "db_us",      NUMBER },
    { RR_bytes_in,  "bytes_in",   NUMBER },
    { RR_bytes_out, "bytes_out",  NUMBER },
    { RR_key,       "key",        REF    },
    { RR_client,    "client",     REF    },
    { RR_user,      "user",       REF    },
    { RR_network,   "network",    TEXT   },
    { RR_agent,     "agent",      TEXT   },
    { RR_country,   "country",    TEXT   },
    { RR_problem,   "problem",    TEXT   },
    { RR_id,        "request_id", TEXT   },
};

static void put_text(struct buf *b, const char *s)
{
    if (*s)
        buf_put_json_string(b, s, strlen(s));
    else
        buf_puts(b, "null");
}

void record_json(struct buf *b, const struct batch *m, const struct record *r)
{
    char at[rfc3339_len + 1];
    int64_t ignored;
    rfc3339_format(r->number[RR_at], at);
    buf_printf(b, "{\"at\":\"%s\",\"program\":", at);
    put_text(b, m->program);
    buf_printf(b, ",\"consumer\":\"%s\"", consumer_kinds[record_consumer(r, &ignored)]);
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        int64_t v = r->number[shown[i].from];
        buf_printf(b, ",\"%s\":", shown[i].name);
        if (shown[i].form == TEXT)
            put_text(b, r->text[shown[i].from]);
        else if (shown[i].form == REF && v)
            buf_printf(b, "{\"id\":%lld}", (long long)v);
        else if (shown[i].form == REF)
            buf_puts(b, "null");
        else
            buf_put_i64(b, v);
    }
    buf_putc(b, '}');
}
