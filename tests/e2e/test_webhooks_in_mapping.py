"""The mappings of incoming webhooks (I-03): fields, jq, dry runs, versions."""
import json

import pytest

from support import stack
from support.hooks_in import MESSAGES, SOURCES, settled


def test_I03_fields_are_coerced_and_dry_run_does_nothing(cms, anonymous, source):
    mapping = {"fields": [{"to": "title", "from": "/data/name", "required": True},
                          {"to": "slug", "from": "header:x-slug"},
                          {"to": "meta/amount", "from": "/data/amount", "type": "integer"},
                          {"to": "meta/at", "from": "/data/at", "type": "time"},
                          {"to": "meta/ok", "from": "/data/ok", "type": "boolean"},
                          {"to": "excerpt", "from": "/data/none", "default": "-"},
                          {"to": "status", "from": "=draft"}],
               "actions": [{"do": "upsert", "entity": "post", "key": "slug", "when": {"at": "/meta/ok", "is": True}}]}
    s = source("none", reason="test", mapping=mapping)
    slug = stack.unique("dry")
    body = {"data": {"name": "N", "amount": "12", "at": 1700000000, "ok": "yes"}}
    tried = cms.post(f"{SOURCES}/{s['id']}/dry-run", json={"body": body, "headers": {"x-slug": slug}}).json()["data"]
    want = {"title": "N", "slug": slug, "meta": {"amount": 12, "at": "2023-11-14T22:13:20.000000Z", "ok": True},
            "excerpt": "-", "status": "draft"}
    assert tried["results"] == [want] and tried["actions"][0]["key"] == slug and tried["actions"][0]["data"] == want
    assert cms.get(f"/api/v2/posts/slug:{slug}").status_code == 404
    body["data"]["amount"] = "a lot"
    tried = cms.post(f"{SOURCES}/{s['id']}/dry-run", json={"body": body}).json()["data"]
    assert "no integer" in tried["error"] and not tried["actions"]
    body["data"]["amount"] = 12
    sent = anonymous.post(s["path"], json=body, headers={"X-Slug": slug})
    assert settled(cms, sent.json()["id"])["status"] == "done"
    assert cms.get(f"/api/v2/posts/slug:{slug}").json()["data"]["meta"]["amount"] == 12
    stored = cms.post(f"{SOURCES}/{s['id']}/dry-run", json={"message_id": sent.json()["id"], "mapping": {"jq": ".data.name"}})
    assert stored.json()["data"]["results"] == ["N"]


def test_I03_mappings_have_versions(cms, source):
    s = source("none", reason="test", mapping={"jq": "1"})
    for program in ("2", "3", "3"):
        assert cms.patch(f"{SOURCES}/{s['id']}", json={"mapping": {"jq": program}}).status_code == 200
    versions = cms.get(f"{SOURCES}/{s['id']}/mappings").json()["data"]
    assert [(v["version"], v["mapping"]["jq"]) for v in versions] == [(3, "3"), (2, "2"), (1, "1")]


def test_I03_versions_are_compared_tried_and_restored(cms, source, key):
    first = {"jq": "{title: .a}", "actions": [{"do": "emit"}]}
    second = {"fields": [{"to": "title", "from": "/b"}], "actions": [{"do": "emit", "when": {"at": "/x", "is": 1}}, {"do": "emit"}]}
    s = source("none", reason="test", mapping=first)
    path = f"{SOURCES}/{s['id']}"
    assert cms.patch(path, json={"mapping": second}).status_code == 200
    one = cms.get(f"{path}/mappings/1").json()["data"]
    assert one["mapping"] == first and "diff" not in one and one["user"]["id"] == 1
    compared = cms.get(f"{path}/mappings/1", params={"against": "present"}).json()["data"]
    assert compared["against"] == 2
    assert {(d["at"], json.dumps(d["from"]), json.dumps(d["to"])) for d in compared["diff"]} == {
        ("/jq", '"{title: .a}"', "null"), ("/fields", "null", json.dumps(second["fields"])),
        ("/actions/0/when", "null", '{"at": "/x", "is": 1}'), ("/actions/1", "null", '{"do": "emit"}')}
    assert cms.get(f"{path}/mappings/2", params={"against": 2}).json()["data"]["diff"] == []
    body = {"a": "A", "b": "B"}
    for version, title in ((1, "A"), (2, "B")):
        tried = cms.post(f"{path}/dry-run", json={"body": body, "version": version}).json()["data"]
        assert tried["results"] == [{"title": title}]
    etag = cms.get(path).headers["ETag"]
    restored = cms.post(f"{path}/mappings/1/restore", headers={"If-Match": etag})
    assert restored.status_code == 200 and restored.json()["data"]["mapping"] == first
    assert restored.json()["data"]["mapping_version"] == 3
    assert cms.post(f"{path}/mappings/2/restore", headers={"If-Match": etag}).status_code == 412
    assert [v["version"] for v in cms.get(f"{path}/mappings").json()["data"]] == [3, 2, 1]
    for wrong, status in ((f"{path}/mappings/9", 404), (f"{path}/mappings/99999999999", 404), (f"{path}/mappings/x", 404),
                          (f"{path}/mappings/1?against=9", 404), (f"{path}/mappings/1?against=x", 400)):
        assert cms.get(wrong).status_code == status, wrong
    assert cms.post(f"{path}/mappings/9/restore").status_code == 404
    assert cms.post(f"{path}/dry-run", json={"body": {}, "version": 9}).status_code == 404
    user = cms.make("/api/v2/users", username=stack.unique("u"), email=stack.unique("m") + "@example.org", role="author")
    other = key(["webhooks:write"], user=user["id"])
    assert other.get(f"{path}/mappings/1").status_code == 404 and other.post(f"{path}/mappings/1/restore").status_code == 404


@pytest.mark.parametrize("program,wrong", [
    ("def f: f; f", "stopped"), ("[limit(100000000; repeat(1))]", "stopped"), ("last(range(1e9))", "stopped"),
    ('"x" * 1e9', "stopped"), ("def f: [f]; f", "stopped"), ("repeat(.)", "more results"), ("halt", "halted"),
    ("[input, input]", "break"), ('import "a" as a; 1', "module not found"), ('include "x"; 1', "module not found"),
    ("reduce range(40) as $i (.; [.])", "nested"), (".a.b.c(", "syntax"), ("1 | .a", "Cannot index"),
])
def test_I03_hostile_programs_are_contained(cms, source, program, wrong):
    s = source("none", reason="test")
    answer = cms.post(f"{SOURCES}/{s['id']}/dry-run", json={"body": {}, "mapping": {"jq": program}}, timeout=20)
    assert answer.status_code == 200 and answer.json()["data"]["error"] is not None, answer.text
    assert wrong in answer.json()["data"]["error"]
    for harmless, gives in (("env", [{}]), ("$ENV", [{}]), ("get_search_list", [[]]), ("$__loc__.line", [1]),
                            ("[.[]?]", [[]]), ("input | keys", [["event", "headers", "id", "query", "received_at"]])):
        after = cms.post(f"{SOURCES}/{s['id']}/dry-run", json={"body": {}, "mapping": {"jq": harmless}})
        assert after.json()["data"]["results"] == gives, "the next program finds a clean process"


def test_I03_slow_programs_keep_what_they_wait_with(cms, source, anonymous):
    """Claimed together, worked on one after another: those at the end are not taken for lost meanwhile."""
    s = source("none", reason="test", mapping={"jq": "last(range(1e9))"})
    sent = []

    def state(one):
        answer = cms.get(f"/api/v2/webhook-messages/{one}")
        return answer.json()["data"] if answer.status_code == 200 else {"status": "not stored yet"}

    def send(n):
        sent.append(anonymous.post(s["path"], json={"n": n}).json()["id"])

    send(0)
    stack.wait_for(lambda: state(sent[0])["status"] == "working", 60, "the first to be worked on, while others gather")
    for n in range(1, 6):
        send(n)
    until = []

    def watch():
        seen = state(sent[-1])
        if seen["status"] == "working" and seen["next_attempt_at"] not in until:
            until.append(seen["next_attempt_at"])
        return seen["status"] == "dead"

    stack.wait_for(watch, 60, "the last to be stopped")
    assert len(until) > 1 and until == sorted(until), "it is claimed anew before its time is over"
    assert [state(one)["attempts"] for one in sent] == [1] * 6
