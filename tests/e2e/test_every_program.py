"""What holds for every program and every route (spec rows X-…), walked from the printed document."""
import concurrent.futures
import json
import pathlib
import re
import urllib.parse
import xml.etree.ElementTree as ET

import pytest
import requests

from support import stack
from support.hooks_in import SOURCES, post_mapping
from support.stack import ROOT, SETTINGS, Client, unique, wait_for
from test_hostile import HOSTILE_URLS

DOCUMENT = json.loads((pathlib.Path(ROOT) / "docs/api/openapi.json").read_text())
METHODS = ("get", "put", "post", "patch", "delete")
OPERATIONS = sorted((verb.upper(), path) for path, item in DOCUMENT["paths"].items() for verb in METHODS if verb in item)
# Frozen, or worded by another specification (RFC 6749 §5.2, RFC 7009, RFC 7662, RFC 9126), or pages for people.
OTHER_ERRORS = re.compile(r"/api/v1/|/oauth/|/webhooks/portal/")


def concrete(path):
    return re.sub(r"\{\w+\}", "987654321", path)


@pytest.fixture(scope="module")
def resolved():
    """The titles and statuses behind problem types that were looked up."""
    return {}


def check_problem(answer, resolved, what):
    kind = answer.headers.get("Content-Type", "")
    assert kind.startswith(("application/problem+json", "application/problem+xml")), (what, answer.status_code, kind, answer.text[:200])
    if "xml" in kind:
        tree = ET.fromstring(answer.content)
        body = {child.tag.split("}")[1]: child.text for child in tree}
        body["status"] = int(body["status"])
    else:
        body = answer.json()
    assert body["status"] == answer.status_code and body["title"], (what, body)
    kind = body["type"]
    if kind not in resolved:
        found = requests.get(kind, timeout=30)
        assert found.status_code == 200, (what, kind)
        resolved[kind] = found.json()["data"]
    assert resolved[kind]["status"] == answer.status_code and resolved[kind]["title"] == body["title"], (what, body)


def test_X01_every_error_of_every_route_is_a_problem(cms, anonymous, resolved):
    """Without a credential, with a wrong one, with a parameter, a body, a media type and a method that do not fit, in JSON and XML."""
    seen, statuses = 0, set()
    wrongs = [(anonymous, {}), (anonymous, {"headers": {"Authorization": "Bearer nobody"}}), (anonymous, {"headers": {"Accept": "application/xml"}}),
              (cms, {"params": {"no_such_parameter": "1"}, "headers": {"Accept": "application/json, application/xml;q=0.9"}}),
              (cms, {"data": b"{", "headers": {"Content-Type": "application/json"}}), (cms, {"data": b"<x/>", "headers": {"Content-Type": "text/xml", "Accept": "text/xml"}}),
              (cms, {"headers": {"If-Match": "unquoted"}})]
    for method, path in OPERATIONS:
        if OTHER_ERRORS.match(path):
            continue
        for n, (client, wrong) in enumerate(wrongs):
            if client is cms and n > 3 and method == "GET":
                continue  # a GET takes no body: said once
            answer = client.request(method, concrete(path), allow_redirects=False, **wrong)
            if answer.status_code < 400:
                assert method == "GET" or path.startswith("/hooks/"), (method, path, wrong, answer.status_code)
                continue
            check_problem(answer, resolved, (method, path, wrong))
            statuses.add(answer.status_code)
            seen += 1
    for method in ("TRACE", "BREW", "PUT"):
        answer = cms.request(method, "/api/v2/posts")
        if answer.status_code != 405 or method == "PUT":
            check_problem(answer, resolved, method)
    assert seen > 400 and statuses >= {400, 401, 404, 415}, (seen, statuses)


def program_log(name):
    return b"\n".join(p.read_bytes() for p in (pathlib.Path(SETTINGS["CMS365_RUN_DIR"]) / "log").iterdir() if p.name.startswith(name))


def test_X02_one_trace_and_one_id_from_the_first_hop_to_the_last(anonymous, source, receiver, endpoint):
    """Another system's webhook → webhooks-in → command → api → event → webhooks-out → receiver: each log, topic and header says the same."""
    trace, parent, mark = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", unique("hop")
    rid = unique("rid")
    got = receiver()
    endpoint(got.url, ["post.created"], filter={"title": mark})
    hook = source("none", reason="test", mapping=post_mapping())
    body = {"title": mark, "slug": mark, "status": "draft"}
    taken = anonymous.post(hook["path"], json=body, headers={"traceparent": f"00-{trace}-{parent}-01", "X-Request-Id": rid})
    assert taken.status_code < 300 and taken.headers["X-Request-Id"] == rid, taken.text
    last = wait_for(lambda: got.requests and got.requests[0], 60, "the event at the receiver")
    assert last["headers"]["traceparent"].split("-")[1] == trace and last["headers"]["x-request-id"] == rid
    for topic in ("webhooks.incoming", "content.commands", "content.events"):
        mine = [h for h, _ in stack.kafka_messages(topic, last=100) if h.get("ce_traceparent", h.get("traceparent", "")).split("-")[1:2] == [trace]]
        assert mine, topic
    if pathlib.Path(SETTINGS["CMS365_RUN_DIR"]).is_dir():
        for program in ("webhooks-in", "webhooks-out"):
            wait_for(lambda program=program: rid.encode() in program_log(program), 20, f"the id in the log of {program}")


TOPICS = {"content.events", "content.results", "content.commands", "auth.events", "auth.commands", "webhooks.events", "webhooks.results", "webhooks.commands",
          "hooks.events", "mail.commands", "notify.commands"}


def test_X04_what_is_on_the_topics_is_cloudevents(cms, receiver, endpoint):
    """Binary mode of the Kafka binding 1.0: attributes as ce_ headers, the data as the value."""
    got = receiver()
    made = endpoint(got.url, ["company.*"])
    cms.make("/api/v2/companies", name=unique())
    wait_for(lambda: got.requests, 60, "a delivery")
    cms.post(f"/api/v2/webhooks/endpoints/{made['id']}/pause")
    seen, ids = {}, {}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda topic: (topic, list(stack.kafka_messages(topic, last=100))), sorted(TOPICS)))
    for topic, messages in found:
        for headers, payload in messages:
            what = (topic, headers)
            assert headers["ce_specversion"] == "1.0", what
            assert re.fullmatch(r"[0-9a-f-]{36}", headers["ce_id"]), what
            assert re.fullmatch(r"com\.cms365\.[a-z_]+(\.[a-z_]+)+", headers["ce_type"]), what
            assert urllib.parse.urlsplit(headers["ce_source"]).path and " " not in headers["ce_source"], what
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", headers["ce_time"]), what
            assert headers["content-type"].split(";")[0] == "application/json" and isinstance(payload, dict), what
            assert not [h for h in headers if h.startswith("ce_") and not re.fullmatch(r"ce_[a-z0-9]+", h)], what
            # The same id again is the same event again (at least once), whatever the topic.
            assert ids.setdefault((topic, headers["ce_id"]), headers["ce_type"]) == headers["ce_type"], what
            seen[topic] = seen.get(topic, 0) + 1
    assert seen["content.events"] > 0 and seen["webhooks.events"] > 0 and seen["auth.events"] > 0, seen


@pytest.mark.parametrize("url", [u for u in HOSTILE_URLS if u])
def test_X05_hostile_addresses_of_an_endpoints_token(cms, url):
    answer = cms.post("/api/v2/webhooks/endpoints", json={"url": "https://example.org/", "events": ["post.*"], "auth": {
        "type": "oauth2", "token_url": url, "client_id": "x", "client_secret": "y"}})
    assert answer.status_code == 422 and any(e["pointer"].startswith("/auth") for e in answer.json()["errors"]), answer.text


# What belongs to somebody, and how it is made.  A stranger of the same role and scopes finds none of it.
OWNED = ("/api/v2/webhooks/", "/api/v2/auth/keys/{id}", "/api/v2/auth/clients/{id}", "/api/v2/auth/sessions/{id}", "/api/v2/operations/{id}",
         "/api/v2/webhook-sources/{id}", "/api/v2/webhook-messages/{id}", "/api/v2/auth/grants/{id}")


def test_X07_nothing_of_anothers_is_there_for_a_stranger(cms, key, receiver):
    scopes = ["api:read", "api:write", "keys:read", "keys:write", "clients:read", "clients:write", "webhooks:read", "webhooks:write"]
    owner, stranger = (key(scopes, user=cms.make("/api/v2/users", username=unique("u").replace("-", "_"), email=f"{unique()}@example.org", role="editor")["id"])
                       for _ in range(2))
    got = receiver()
    ids = {"endpoints": owner.make("/api/v2/webhooks/endpoints", url=got.url, events=["company.*"])["id"], "keys": owner.key_id,
           "operations": owner.post("/api/v2/posts/export?filter[id]=1").json()["data"]["id"]}
    owner.make("/api/v2/companies", name=unique())
    found = wait_for(lambda: owner.get("/api/v2/webhooks/deliveries?per_page=1").json()["data"], 60, "a delivery")
    ids["deliveries"] = found[0]["id"]
    asked = 0
    for method, path in OPERATIONS:
        plural = next((p for p in ids if f"/{p}/{{id}}" in path), None)
        if not plural or not path.startswith(OWNED):
            continue
        there = str(ids[plural])
        absent = there[:-4] + "0000" if "-" in there else "987654321"
        url, other_url = (re.sub(r"\{\w+\}", "1", path.replace("{id}", i)) for i in (there, absent))
        assert owner.get(re.match(r".*/%s/[^/]+" % plural, url)[0]).status_code == 200, url
        for more in ({}, {"json": {}}) if method in ("POST", "PATCH", "PUT") else ({},):
            answer = stranger.request(method, url, **more)
            # A body that a route does not take, or lacks, may be said first: that tells nothing of the row.
            other = stranger.request(method, other_url, **more)
            assert (answer.status_code, answer.json().get("type")) == (other.status_code, other.json().get("type")), (method, url, answer.text, other.text)
            assert answer.status_code in (400, 403, 404, 422), (method, url, answer.text)
            asked += answer.status_code == 404
    assert asked >= 10, asked
    for what, listed in (("endpoints", "/api/v2/webhooks/endpoints"), ("deliveries", "/api/v2/webhooks/deliveries"), ("keys", "/api/v2/auth/keys")):
        assert ids[what] not in [r["id"] for r in stranger.get(listed).json()["data"]], listed
    owner.delete(f"/api/v2/webhooks/endpoints/{ids['endpoints']}")


def test_X06_no_listing_of_settings_shows_a_secret(cms):
    """What the programs say of themselves: settings in the log of the start, metrics, readiness, the environment of the children."""
    run = pathlib.Path(SETTINGS["CMS365_RUN_DIR"])
    if not run.is_dir():
        pytest.skip("the servers' files are elsewhere")
    values = {}
    for line in (run / "env/common.env").read_text().splitlines():
        name, _, value = line.partition("=")
        value = value.strip("'\"").replace("\\", "")
        if re.search("SECRET|TOKEN|PASSWORD", name) and len(value) >= 16:
            values[name] = value.split(":")[-1]
    assert len(values) >= 2
    base = int(SETTINGS["CMS365_PORT_BASE"])
    said = b"".join(requests.get(f"http://127.0.0.1:{base + port}{path}", timeout=20).content for port in (110, 130) for path in ("/metrics", "/readyz", "/healthz"))
    said += program_log("")
    assert [n for n, v in values.items() if v.encode() in said] == []
