#include "services/analytics/record.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/str.h"

const char *const consumer_kinds[] = { "anonymous", "key", "client", "session", NULL };

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
