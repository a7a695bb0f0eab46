"""What is done to an endpoint: pause and resume, test, preview, recover, replay; and what events look like."""
import json
import socket

import jsonschema
import pytest
import requests
import standardwebhooks

from support.oauth import TOKEN, machine, register  # noqa: F401
from support.samples import SAMPLES
from support.stack import Client, unique, wait_for
from test_oauth_tokens import Dpop

ENDPOINTS = "/api/v2/webhooks/endpoints"
DELIVERIES = "/api/v2/webhooks/deliveries"
TYPES = "/api/v2/webhooks/event-types"
LONG_AGO = "2020-01-01T00:00:00Z"


def change(cms, **more):
    return cms.make("/api/v2/companies", **{**SAMPLES["companies"](), **more})


def rows(cms, made, **filters):
    query = "".join(f"&filter[{k}]={v}" for k, v in filters.items())
    return cms.get(f"{DELIVERIES}?per_page=100&filter[endpoint]={made['id']}{query}").json()["data"]


def mine(mark):
    """Only what this test does: tests share the stack."""
    return {"filter": {"industry": mark}}


def test_W05_W07_recover_gives_exactly_what_was_missed(cms, receiver, endpoint):
    state, mark = {"status": 500}, unique("recover")
    sink = receiver(lambda r: state["status"])
    made = endpoint(sink.url, ["company.created"], retry_schedule=[0], while_paused="skip", **mine(mark))
    one = f"{ENDPOINTS}/{made['id']}"
    dead = {change(cms, industry=mark)["id"] for _ in range(3)}
    wait_for(lambda: len(rows(cms, made, status="dead")) == 3, 30, "three dead deliveries")
    state["status"] = 200
    taken = change(cms, industry=mark)["id"]
    wait_for(lambda: rows(cms, made, status="delivered"), 30, "one that is delivered")
    cms.post(f"{one}/pause")
    skipped = {change(cms, industry=mark)["id"] for _ in range(2)}
    wait_for(lambda: len(rows(cms, made, status="skipped")) == 2, 30, "two that are skipped")
    missed = cms.post(f"{one}/resume").json()["data"]["missed"]
    assert (missed["held"], missed["skipped"], missed["dead"]) == (0, 2, 3)
    counted = cms.post(f"{one}/recover", json={"since": LONG_AGO, "dry_run": True})
    assert counted.status_code == 202 and counted.json()["data"] == {"matched": 5, "sent": 0, "remaining": 5, "dry_run": True}
    before = len(sink.requests)
    assert cms.post(missed["recover"].replace(cms.base, ""), json={"since": LONG_AGO}).json()["data"] == {
        "matched": 5, "sent": 5, "remaining": 0, "dry_run": False}
    wait_for(lambda: len(rows(cms, made, status="delivered")) == 6, 30, "all to be delivered")
    again = [json.loads(r["body"])["data"]["id"] for r in sink.requests[before:]]
    assert sorted(again) == sorted(dead | skipped) and taken not in again
    assert len({r["headers"]["webhook-id"] for r in sink.requests}) == 6, "what is sent again keeps its id"
    assert {r["trigger"] for r in rows(cms, made)} == {"event", "recover"}
    assert cms.post(f"{one}/recover", json={"since": LONG_AGO}).json()["data"]["matched"] == 0
    assert cms.post(f"{one}/recover", json={}).status_code == 422


def test_W07_recover_since_a_time_gives_exactly_what_was_missed_since(cms, receiver, endpoint):
    state, mark = {"status": 500}, unique("since")
    sink = receiver(lambda r: state["status"])
    made = endpoint(sink.url, ["company.created"], retry_schedule=[0], **mine(mark))
    one = f"{ENDPOINTS}/{made['id']}"
    ids = []
    for n in range(1, 6):
        ids.append(change(cms, industry=mark)["id"])
        wait_for(lambda n=n: len(rows(cms, made, status="dead")) == n, 30, f"{n} dead deliveries")
    when = {r["entity"]: r["created_at"] for r in rows(cms, made, status="dead")}
    times = [when[f"company:{i}"] for i in ids]
    state["status"] = 200

    def recovered(**body):
        counted = cms.post(f"{one}/recover", json={**body, "dry_run": True}).json()["data"]
        before, sent = len(sink.requests), cms.post(f"{one}/recover", json=body).json()["data"]
        assert counted["matched"] == sent["matched"] == sent["sent"] and not counted["sent"]
        wait_for(lambda: len(sink.requests) == before + sent["sent"], 30, "what was missed")
        wait_for(lambda: not rows(cms, made, status="pending"), 30, "it to be written down")
        return sorted(json.loads(r["body"])["data"]["id"] for r in sink.requests[before:])

    assert recovered(since=times[4]) == [ids[4]], "that very moment is among them"
    assert recovered(since=times[1], until=times[3]) == ids[1:3], "the end is not"
    assert recovered(since=times[2]) == [ids[3]], "what came through is not sent again"
    assert recovered(since=LONG_AGO) == [ids[0]] and recovered(since=LONG_AGO) == []


def test_W07_replay_by_filter(cms, receiver, endpoint):
    mark = unique("replay")
    sink = receiver()
    made = endpoint(sink.url, ["company.*"], **mine(mark))
    one = f"{ENDPOINTS}/{made['id']}"
    first, second = change(cms, industry=mark), change(cms, industry=mark)
    cms.patch(f"/api/v2/companies/{first['id']}", json={"city": "Linz"})
    wait_for(lambda: len(rows(cms, made, status="delivered")) == 3, 30, "three deliveries")

    def replay(**filters):
        return cms.post(f"{one}/replay", json={"filter": filters, "dry_run": True}).json()["data"]["matched"]

    assert replay() == 3 and replay(event="company.created") == 2 and replay(event="company.*") == 3
    assert replay(entity=f"company:{second['id']}") == 1 and replay(status=["dead", "skipped"]) == 0 and replay(since="2100-01-01T00:00:00Z") == 0
    before = len(sink.requests)
    assert cms.post(f"{one}/replay", json={"filter": {"event": "company.updated"}}).json()["data"]["sent"] == 1
    wait_for(lambda: len(sink.requests) == before + 1, 30, "the replay")
    assert json.loads(sink.requests[-1]["body"])["type"] == "company.updated"
    for wrong in ({"status": "pending"}, {"event": "no.such"}, {"colour": "red"}, {"since": "yesterday"}):
        assert cms.post(f"{one}/replay", json={"filter": wrong}).status_code == 422, wrong
    assert cms.post(f"{one}/replay", json={}).status_code == 422


def test_W09_a_test_answers_with_the_attempt(cms, receiver, endpoint):
    sink = receiver(lambda r: 418)
    made = endpoint(sink.url, ["post.published", "company.*"], status="paused")
    one = f"{ENDPOINTS}/{made['id']}"
    got = cms.post(f"{one}/test", json={}).json()["data"]
    assert got["made"] and got["outcome"] == "failed" and got["response_code"] == 418 and got["latency_ms"] >= 0
    assert got["event"] == "post.published" and sink.requests[0]["headers"]["x-cms365-test"] == "true"
    standardwebhooks.Webhook(made["secret"]).verify(sink.requests[0]["body"], sink.requests[0]["headers"])
    logged = cms.get(f"{DELIVERIES}/{got['delivery_id']}").json()["data"]
    assert logged["trigger"] == "test" and logged["response_code"] == 418 and logged["status"] == "dead"
    assert [a["trigger"] for a in cms.get(f"{DELIVERIES}/{got['delivery_id']}/attempts").json()["data"]] == ["test"]
    company = change(cms)
    cms.post(f"{one}/test", json={"event": "company.updated", "entity_id": company["id"]})
    assert json.loads(sink.requests[1]["body"])["data"] == cms.get(f"/api/v2/companies/{company['id']}").json()["data"]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    cms.patch(one, json={"url": f"http://127.0.0.1:{port}/"})
    refused = cms.post(f"{one}/test", json={}).json()["data"]
    assert refused["outcome"] == "failed" and refused["response_code"] is None and "connection" in refused["error"]
    assert cms.post(f"{one}/test", json={"event": "no.such"}).status_code == 422
    assert cms.post(f"{one}/test", json={"event": "company.updated", "entity_id": 999999999}).status_code == 404


@pytest.mark.parametrize("shape", [{}, {"payload": "thin"}, {"fields": ["name", "country"]}, {"format": "cloudevents"}])
def test_W09_what_is_previewed_is_what_is_sent(cms, receiver, endpoint, shape):
    mark = unique("preview")
    sink = receiver()
    more = {**shape, **mine(mark)}
    if "format" in shape:
        more["format"] = "standard"  # a receiver that allows CloudEvents is another test's matter
    made = endpoint(sink.url, ["company.created"], **more)
    company = change(cms, industry=mark)
    sent = wait_for(lambda: sink.requests, 20, "the delivery")[0]
    asked = {"event": "company.created", "entity_id": company["id"]}
    shown = cms.post(f"{ENDPOINTS}/{made['id']}/preview", json=asked).json()["data"]
    draft = cms.post("/api/v2/webhooks/preview", json={**asked, "endpoint": {"url": sink.url, "events": ["company.*"], **shape, **mine(mark)}})
    assert draft.status_code == 200, draft.text
    draft = draft.json()["data"]
    assert shown["matches"] and draft["matches"] and shown["method"] == "POST" and shown["url"] == sink.url

    def same(preview):
        event, real = json.loads(preview["body"]), json.loads(sent["body"])
        return preview["body"].replace(event["id"], real["id"]).replace(event["timestamp"], real["timestamp"]).encode() == sent["body"]

    assert same(shown) and ("format" in shape or same(draft))
    assert {k.lower() for k in shown["headers"]} <= set(sent["headers"])
    standardwebhooks.Webhook(made["secret"]).verify(shown["body"].encode(), {k.lower(): v for k, v in shown["headers"].items()})
    standardwebhooks.Webhook(draft["secret"]).verify(draft["body"].encode(), {k.lower(): v for k, v in draft["headers"].items()})
    if "format" in shape:
        assert json.loads(draft["body"])["specversion"] == "1.0"
    no = cms.post(f"{ENDPOINTS}/{made['id']}/preview", json={"event": "company.deleted"}).json()["data"]
    assert not no["matches"] and "does not listen" in no["reason"]
    other = cms.post(f"{ENDPOINTS}/{made['id']}/preview", json={"event": "company.created"}).json()["data"]
    assert not other["matches"] and "filter" in other["reason"]
    bad = cms.post("/api/v2/webhooks/preview", json={"endpoint": {"url": sink.url, "events": ["company.*"], "filter": {"nam": 1}}})
    assert bad.status_code == 422 and [e["pointer"] for e in bad.json()["errors"]] == ["/endpoint/filter/nam"]


def test_W09_a_preview_shows_what_its_reader_may_read_whatever_their_credential_is(cms, receiver, key, machine):
    """Also with a token that is bound to its sender's key: it could not be passed on."""
    draft = cms.make("/api/v2/posts", **SAMPLES["posts"]())
    asked = {"event": "post.created", "entity_id": draft["id"], "endpoint": {"url": receiver().url, "events": ["post.*"]}}
    path = "/api/v2/webhooks/preview"
    client, me = machine(dpop_bound=True, scopes=["posts:read", "webhooks:read", "webhooks:write"]), Dpop()
    token = requests.post(TOKEN, data={"grant_type": "client_credentials"}, auth=(client["client_id"], client["client_secret"]),
                          headers={"DPoP": me.proof("POST", TOKEN)}, timeout=30).json()["access_token"]

    def preview(body):
        url = cms.base + path
        return requests.post(url, json=body, timeout=30, headers={"Authorization": f"DPoP {token}", "DPoP": me.proof("POST", url, token)})

    shown = preview(asked)
    assert shown.status_code == 200, shown.text
    assert json.loads(shown.json()["data"]["body"])["data"]["title"] == draft["title"]
    assert preview({**asked, "entity_id": 999999999}).status_code == 404
    user = cms.make("/api/v2/users", **SAMPLES["users"]())
    for scopes in (["webhooks:write", "posts:read"], ["webhooks:write"]):
        answer = key(scopes, user=user["id"]).post(path, json=asked)
        assert answer.status_code == 404, "somebody else's draft; and no scope to read any"


def test_W09_every_event_has_a_schema_that_its_example_and_deliveries_satisfy(cms, receiver, endpoint):
    answer = cms.get(TYPES)
    types = {t["type"]: t for t in answer.json()["data"]}
    assert answer.json()["meta"]["total"] == len(types) >= 40
    assert {"post.published", "webhook.endpoint.disabled", "webhook.endpoint.failing", "user.created"} <= set(types)
    for t in types.values():
        jsonschema.Draft202012Validator.check_schema(t["schema"])
        jsonschema.validate(t["example"], t["schema"])
        assert t["example"]["type"] == t["type"] and t["description"] and t["version"] == 1
    sink = receiver()
    endpoint(sink.url, ["*"])
    change(cms)
    cms.make("/api/v2/posts", **SAMPLES["posts"]())
    wait_for(lambda: len({e["type"] for e in sink.events()} & {"company.created", "post.created"}) == 2, 20, "deliveries")
    for event in sink.events():
        jsonschema.validate(event, types[event["type"]]["schema"])


def test_W06_pausing_twice_is_no_harm_and_keeps_the_version(cms, receiver, endpoint):
    one = f"{ENDPOINTS}/{endpoint(receiver().url, ['post.*'])['id']}"
    first = cms.post(f"{one}/pause").json()["data"]
    assert cms.post(f"{one}/pause").json()["data"]["version"] == first["version"]
    assert cms.post(f"{one}/resume").json()["data"]["status"] == "active"
    assert cms.post(f"{one}/pause", headers={"If-Match": '"1.x"'}).status_code == 412


def test_W12_the_payload_of_a_delivery_is_shown(cms, receiver, endpoint):
    mark = unique("payload")
    sink = receiver()
    made = endpoint(sink.url, ["company.created"], **mine(mark))
    change(cms, industry=mark)
    row = wait_for(lambda: rows(cms, made, status="delivered"), 20, "the delivery")[0]
    shown = cms.get(f"{DELIVERIES}/{row['id']}/payload").json()["data"]
    assert shown["body"].encode() == sink.requests[0]["body"] and shown["webhook_id"] == sink.requests[0]["headers"]["webhook-id"]
    for query in (f"filter[entity]={row['entity']}", f"filter[event_id]={row['event_id']}", "filter[status]=delivered", "filter[created_at][gte]=2026-01-01T00:00:00Z"):
        assert row["id"] in [r["id"] for r in cms.get(f"{DELIVERIES}?{query}&filter[endpoint]={made['id']}").json()["data"]], query


def test_X07_another_owner_finds_nothing(cms, receiver, endpoint, key):
    mark = unique("owner")
    sink = receiver()
    made = endpoint(sink.url, ["company.created"], **mine(mark))
    change(cms, industry=mark)
    row = wait_for(lambda: rows(cms, made, status="delivered"), 20, "the delivery")[0]
    other = key(["api:read", "api:write"], user=cms.make("/api/v2/users", **SAMPLES["users"]())["id"])
    one = f"{ENDPOINTS}/{made['id']}"
    calls = [("GET", one, None), ("PATCH", one, {"description": "x"}), ("DELETE", one, None), ("POST", f"{one}/pause", None),
             ("POST", f"{one}/resume", None), ("POST", f"{one}/rotate-secret", {}), ("GET", f"{one}/secrets", None),
             ("DELETE", f"{one}/secrets/1", None), ("POST", f"{one}/test", {}), ("POST", f"{one}/preview", {}),
             ("POST", f"{one}/recover", {"since": LONG_AGO}), ("POST", f"{one}/replay", {"filter": {}}),
             ("GET", f"{DELIVERIES}/{row['id']}", None), ("GET", f"{DELIVERIES}/{row['id']}/attempts", None),
             ("GET", f"{DELIVERIES}/{row['id']}/payload", None), ("POST", f"{DELIVERIES}/{row['id']}/resend", None)]
    for method, path, body in calls:
        assert other.request(method, path, json=body).status_code == 404, (method, path)
    assert other.get(f"{DELIVERIES}?filter[endpoint]={made['id']}").json()["data"] == []
    with Client(key=None) as nobody:
        for method, path, body in calls:
            assert nobody.request(method, path, json=body).status_code == 401, (method, path)
    assert len(sink.requests) == 1
