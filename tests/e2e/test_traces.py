"""What an OpenTelemetry collector is sent, read with OpenTelemetry's own messages."""
import base64
import json
import os
import secrets

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from support import stack

COLLECTOR_PORT = int(os.environ["CMS365_PORT_BASE"]) + 94  # CMS365_OTLP_URL of scripts/dev/test
ENDPOINT = "cms365.webhook.endpoint_id"


@pytest.fixture(scope="module")
def collector():  # one for all: the programs keep their connections to it
    answers = stack.Receiver(port=COLLECTOR_PORT)
    yield answers
    answers.close()


def read(body):
    """OTLP's JSON writes ids in hex, where that of Protocol Buffers has base64."""
    def ids(o):
        for one in o if isinstance(o, list) else o.values() if isinstance(o, dict) else ():
            ids(one)
        for name in ("traceId", "spanId", "parentSpanId"):
            if isinstance(o, dict) and name in o:
                o[name] = base64.b64encode(bytes.fromhex(o[name])).decode()

    tree = json.loads(body)
    ids(tree)
    return json_format.ParseDict(tree, ExportTraceServiceRequest())  # refuses fields that are none


def value_of(pair):
    return getattr(pair.value, pair.value.WhichOneof("value"))


def spans_of(collector, trace):
    with collector.lock:
        bodies = [r["body"] for r in collector.requests]
    found = []
    for body in bodies:
        for resource in read(body).resource_spans:
            about = {a.key: value_of(a) for a in resource.resource.attributes}
            assert about["service.namespace"] == "cms365" and about["service.instance.id"] and about["service.version"]
            found += [(about["service.name"], span, {a.key: value_of(a) for a in span.attributes})
                      for scope in resource.scope_spans for span in scope.spans if span.trace_id.hex() == trace]
    return found


def test_N07_a_trace_follows_a_request_to_the_delivery(cms, collector, receiver, endpoint):
    there = receiver()
    own = endpoint(there.url, ["post.published"])["id"]
    author = cms.make("/api/v2/users", username=stack.unique("u"), email=stack.unique("m") + "@example.org", role="author")
    silent, trace, caller = secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(8)
    title = stack.unique("Canary")
    for which, flags in ((silent, "00"), (trace, "01")):
        made = cms.post("/api/v2/posts", json={"title": title, "author": author["id"], "status": "published"},
                        headers={"traceparent": f"00-{which}-{caller}-{flags}"})
        assert made.status_code == 201, made.text
    stack.wait_for(lambda: len(there.of("post.published", made.json()["data"]["id"])) >= 1, 30, "the delivery")
    parts = {("api", Span.SPAN_KIND_SERVER), ("webhooks-out", Span.SPAN_KIND_CONSUMER), ("webhooks-out", Span.SPAN_KIND_CLIENT)}

    def good():
        """Other endpoints may hear of it too."""
        return [f for f in spans_of(collector, trace) if f[1].status.code == Status.STATUS_CODE_UNSET and f[2].get(ENDPOINT, own) == own]

    stack.wait_for(lambda: parts <= {(service, s.kind) for service, s, _ in good()}, 60, "the spans of all three")
    found = good()
    (server, span, said), = [f for f in found if f[1].kind == Span.SPAN_KIND_SERVER]
    assert server == "api" and span.name == "POST /api/v2/posts" and span.parent_span_id.hex() == caller
    assert said["http.route"] == "/api/v2/posts" and said["http.request.method"] == "POST" and said["http.response.status_code"] == 201
    assert 0 < said["cms365.db_us"] * 1000 <= span.end_time_unix_nano - span.start_time_unix_nano
    for kind, name in ((Span.SPAN_KIND_CONSUMER, "process "), (Span.SPAN_KIND_CLIENT, "deliver webhook")):
        service, below, about = next(f for f in found if f[1].kind == kind and f[0] == "webhooks-out")
        assert below.name.startswith(name) and below.parent_span_id == span.span_id and below.span_id != span.span_id
        assert below.start_time_unix_nano >= span.start_time_unix_nano
    assert about["http.response.status_code"] == 200 and about["cms365.event"] == "post.published"
    assert not spans_of(collector, silent), "whoever calls has said that this one is not sampled"
    with collector.lock:
        everything = b"".join(r["body"] for r in collector.requests).decode()
    for private in (title, author["email"], author["username"], stack.ADMIN_KEY):
        assert private not in everything


def test_N07_what_fails_is_said_in_its_span(cms, collector, receiver, endpoint):
    there = receiver(plan=lambda request: 500)
    own = endpoint(there.url, ["company.created"])["id"]
    trace = secrets.token_hex(16)
    made = cms.post("/api/v2/companies", json={"name": stack.unique("C")}, headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"})
    assert made.status_code == 201, made.text

    def failed():
        return [(s, a) for _, s, a in spans_of(collector, trace) if a.get(ENDPOINT) == own and s.status.code == Status.STATUS_CODE_ERROR]

    span, about = stack.wait_for(failed, 60, "the failed attempt")[0]
    assert about["error.type"] == "500" and about["http.response.status_code"] == 500 and about["http.request.resend_count"] == 0
