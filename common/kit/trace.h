#ifndef KIT_TRACE_H
#define KIT_TRACE_H
/*
 * Spans for an OpenTelemetry collector: OTLP/HTTP with JSON (OpenTelemetry Protocol 1.x, POST
 * <url>/v1/traces), sent in batches by a thread of its own.  A trace is W3C Trace Context's: what
 * a client sends as `traceparent` is followed through the request, its events and what comes of
 * them (webhook deliveries), in whatever program.
 *
 * Nothing waits for it and nothing fails by it.  Memory is bounded: trace_chunk_bytes gather while
 * as many are under way.  A span for which there is no place is dropped; what the collector does
 * not take in trace_tries goes too: both are counted in cms365_trace_spans_total.  As in the
 * request log there is no path, query, header, body, name or address in a span.
 */
#include "common/base/base.h"
#include "common/base/err.h"

struct traces;
enum {
    trace_chunk_bytes = 256 * 1024, /* some 400 spans */
    trace_every_ms = 1000,
    trace_tries = 4, /* the first second, then after two, four */
    trace_timeout_ms = 5000,
    trace_attrs_max = 12,
};
struct trace_conf {
    const char *url;     /* of the collector, without /v1/traces; "": no traces */
    const char *headers; /* "name=value,name=value" for it, as OTEL_EXPORTER_OTLP_HEADERS */
    int64_t sample_ppm;  /* how many of a million traces */
    const char *program, *instance;
};
/* E_config for a URL or headers that are none.  *ret is NULL, and no error, if conf->url is "". */
int trace_start(const struct trace_conf *conf, struct traces **ret, struct err *err) MUST_CHECK;
/* Tries once to send what waits.  NULL: fine. */
void trace_stop(struct traces *t);

enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3, SPAN_CONSUMER = 5 }; /* OTLP's numbers */
struct span_attr {
    const char *key, *text; /* OpenTelemetry's names; text NULL: the number */
    int64_t number;
};
struct span {
    const char *traceparent; /* 00-<trace>-<span>-<flags>; NULL or another form: no span */
    /* NULL: a new span below the one of traceparent.  Else traceparent names this span, and this
     * is the one above it: 16 hex digits, or "" for none. */
    const char *parent;
    enum span_kind kind;
    const char *name, *error; /* error: error.type, NULL: it went well */
    int64_t begin_us, end_us; /* Unix */
    const struct span_attr *attrs;
    size_t nattrs;
};
/* Is it worth making a span?  Traces that the caller does not sample are left out, and of the
 * others a share, by the trace's id, so that all programs take the same.  t NULL: no. */
bool trace_wants(const struct traces *t, const char *traceparent);
/* Any thread.  Nothing if trace_wants says no. */
void trace_put(struct traces *t, const struct span *s);
#endif
