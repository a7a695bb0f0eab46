"""What incoming webhooks lead to (I-04): mail, notices, calls, conditions, retries, order."""
import json

import pytest
import standardwebhooks

from support import stack
from support.hooks import Hook
from support.hooks_in import MESSAGES, SOURCES, post_mapping, settled


@pytest.mark.parametrize("when,holds", [
    ({"at": "/n", "is": 3}, True), ({"at": "/n", "not": 3}, False), ({"at": "/n", "not": 4}, True),
    ({"at": "/n", "in": [1, 3]}, True), ({"at": "/n", "nin": [1, 3]}, False), ({"at": "/none", "nin": [1]}, True),
    ({"at": "/n", "gt": 2.5}, True), ({"at": "/n", "gt": 3}, False), ({"at": "/n", "gte": 3}, True),
    ({"at": "/n", "lt": 4}, True), ({"at": "/n", "lte": 2}, False), ({"at": "/n", "gt": "2"}, False),
    ({"at": "/t", "gt": "2026-01-01T00:00:00Z"}, True), ({"at": "/t", "lt": "2026-01-01T00:00:00Z"}, False),
    ({"at": "/s", "contains": "ell"}, True), ({"at": "/s", "starts": "ell"}, False), ({"at": "/s", "starts": "he"}, True),
    ({"at": "/l", "contains": "b"}, True), ({"at": "/l", "contains": "c"}, False), ({"at": "/none", "exists": False}, True),
    ({"at": "/none", "gt": 0}, False), ({"at": "", "is": 1}, False), ([], True),
    ([{"at": "/n", "gt": 1}, {"at": "/n", "lt": 3}], False), ([{"at": "/n", "gt": 1}, {"at": "/n", "lt": 4}], True),
])
def test_I04_conditions(cms, unsigned, when, holds):
    body = {"n": 3, "t": "2026-05-01T00:00:00Z", "s": "hello", "l": ["a", "b"]}
    tried = cms.post(f"{SOURCES}/{unsigned['id']}/dry-run", json={"body": body, "mapping": {"actions": [
        {"do": "emit", "when": when}]}}).json()["data"]
    assert tried["error"] is None and len(tried["actions"]) == holds


def commands(topic, source_id):
    """What programs were asked in this topic by messages of a source: (CloudEvents headers, payload)."""
    return [(h, p) for h, p in stack.kafka_messages(topic) if h.get("ce_actor", "").endswith(f" source:{source_id}")]


def test_I04_mail_and_notices_are_commands_of_the_described_shape(cms, anonymous, source):
    mapping = {"jq": "{to: .to, order: {id: .id}, lang: .lang, title: (\"Order \" + .id)}", "actions": [
        {"do": "mail", "template": "order_paid", "to": "/to", "language": "/lang", "data": "/order", "set": {"shop": "Tea"}},
        {"do": "mail", "template": "order_copy", "to": "=office@example.com"},
        {"do": "notify", "role": "editor", "title": "/title", "level": "warning", "url": "=https://example.com/o", "data": "/order"},
        {"do": "notify", "user": "=1", "title": "=Look", "when": {"at": "/lang", "is": "none"}}]}
    s = source("none", reason="test", mapping=mapping, dedupe="/id")
    order = stack.unique("o")
    body = {"id": order, "to": ["erika@example.com", "max@example.com"], "lang": "de"}
    tried = cms.post(f"{SOURCES}/{s['id']}/dry-run", json={"body": body}).json()["data"]
    assert tried["error"] is None
    assert [(a["action"], a["field"], a["key"]) for a in tried["actions"]] == [
        ("mail", "to", "erika@example.com"), ("mail", "to", "max@example.com"), ("mail", "to", "office@example.com"),
        ("notify", "role", "editor")]
    assert not commands("mail.commands", s["id"]), "a dry run sends nothing"
    sent = [anonymous.post(s["path"], json=body) for _ in range(3)]
    assert settled(cms, sent[0].json()["id"])["status"] == "done"
    mails = stack.wait_for(lambda: (m := commands("mail.commands", s["id"])) and len(m) >= 3 and m, 30, "the mails")
    assert sorted((p["template"], p["to"]) for _, p in mails) == [
        ("order_copy", "office@example.com"), ("order_paid", "erika@example.com"), ("order_paid", "max@example.com")]
    paid = next(p for _, p in mails if p["to"] == "max@example.com")
    assert paid["data"] == {"id": order, "shop": "Tea"} and paid["language"] == "de"
    notices = stack.wait_for(lambda: commands("notify.commands", s["id"]), 30, "the notice")
    assert [p for _, p in notices] == [{"role": "editor", "level": "warning", "title": f"Order {order}",
                                        "url": "https://example.com/o", "data": {"id": order}}]
    assert notices[0][0]["ce_type"] == "com.cms365.notify.command" and notices[0][0]["ce_actor"].startswith("user:")
    actions = cms.get(f"{MESSAGES}/{sent[0].json()['id']}/content").json()["data"]["actions"]
    assert [a["status"] for a in actions] == ["done"] * 4 and actions[0]["key"] == "to:erika@example.com"


@pytest.mark.parametrize("body,why", [
    ({"to": "no address"}, "/to"), ({"to": None}, "/to"), ({"to": []}, "recipients"), ({"to": ["a@example.com"] * 21}, "recipients"),
    ({"to": "a@example.com", "lang": "not a language"}, "/language"), ({"to": "a@example.com", "big": "x" * 70000}, "65536 bytes"),
])
def test_I04_a_mail_that_is_none_is_dead_with_its_reason(cms, anonymous, source, body, why):
    s = source("none", reason="test", mapping={"actions": [
        {"do": "mail", "template": "t", "to": "/to", "language": "/lang"}]})
    sent = anonymous.post(s["path"], json=body)
    data = settled(cms, sent.json()["id"])
    assert data["status"] == "dead" and why in data["error"], data
    assert not commands("mail.commands", s["id"])


def test_I04_only_editors_have_people_written_to(cms, key):
    user = cms.make("/api/v2/users", username=stack.unique("u"), email=stack.unique("m") + "@example.org", role="author")
    author = key(["webhooks:write"], user=user["id"])
    for action in ({"do": "mail", "template": "t", "to": "/to"}, {"do": "notify", "role": "editor", "title": "=t"}):
        answer = author.post(SOURCES, json={"name": "n", "provider": "github", "mapping": {"actions": [action]}})
        assert answer.status_code == 403 and answer.json()["errors"][0]["pointer"] == "/mapping", answer.text
    made = author.make(SOURCES, name="n", provider="github", mapping={"actions": [{"do": "emit"}]})
    answer = author.patch(f"{SOURCES}/{made['id']}", json={"mapping": {"actions": [action]}})
    assert answer.status_code == 403
    author.delete(f"{SOURCES}/{made['id']}")


def test_I04_a_call_goes_to_one_endpoint_whatever_it_listens_to(cms, anonymous, source, receiver, endpoint):
    got, other = receiver(), receiver()
    mine = endpoint(got.url, ["post.restored"])
    endpoint(other.url, ["*"])
    s = source("none", reason="test", mapping={"jq": "{order: .id}", "actions": [{"do": "call", "endpoint": mine["id"]}]})
    sent = anonymous.post(s["path"], json={"id": stack.unique("o")}).json()["id"]
    assert settled(cms, sent)["status"] == "done"
    told = stack.wait_for(lambda: [e for e in got.events() if e["data"]["id"] == sent], 30, "the call")
    assert told[0]["type"] == "webhook.message.called" and "order" in told[0]["data"]["data"]
    assert [e["type"] for e in got.events()] == ["webhook.message.called"]
    assert not [e for e in other.events() if e["type"] == "webhook.message.called"], "nobody else hears of it"


@pytest.mark.parametrize("form", ["cloudevents", "cloudevents_binary"])
def test_I04_a_call_has_the_form_of_its_endpoint(cms, anonymous, source, endpoint, form):
    allowed = {"WebHook-Allowed-Origin": "*"}
    sink = Hook(lambda request: (200, allowed if request["method"] == "OPTIONS" else {}, b""))
    try:
        mine = endpoint(sink.url, ["post.restored"], format=form, fields=["title"], filter={"title": "x"})
        s = source("none", reason="test", mapping={"jq": "{order: .id}", "actions": [{"do": "call", "endpoint": mine["id"]}]})
        sent = anonymous.post(s["path"], json={"id": stack.unique("o")}).json()["id"]
        got = stack.wait_for(sink.of, 30, "the call")[0]
        event = json.loads(got["body"])
        about = event if form == "cloudevents" else {k.removeprefix("ce-"): v for k, v in got["headers"].items() if k.startswith("ce-")}
        assert about["specversion"] == "1.0" and about["type"] == "com.cms365.webhook.message.called"
        assert about["id"] == got["headers"]["webhook-id"] and about["subject"] == f"webhook_endpoint:{mine['id']}"
        data = event["data"]["data"] if form == "cloudevents" else event["data"]
        assert data["id"] == sent and "order" in data["data"], "all that the mapping says, whatever the endpoint listens to"
        standardwebhooks.Webhook(mine["secret"]).verify(got["body"], got["headers"])
    finally:
        sink.close()


def test_I04_a_call_of_no_endpoint_waits_then_is_dead(cms, anonymous, source, receiver, endpoint, key):
    user = cms.make("/api/v2/users", username=stack.unique("u"), email=stack.unique("m") + "@example.org", role="author")
    author = key(["webhooks:write"], user=user["id"])
    got = receiver()
    theirs = endpoint(got.url, ["post.restored"])
    made = author.make(SOURCES, name="mine", provider="none", verification="none", reason="test", mapping={
        "actions": [{"do": "call", "endpoint": theirs["id"], "retry": {"max": 1, "base_ms": 20}}]})
    sent = anonymous.post(made["path"], json={"a": 1}).json()["id"]
    data = settled(author, sent)
    assert data["status"] == "dead" and f"no webhook endpoint {theirs['id']}" in data["error"], "it is somebody else's"
    actions = author.get(f"{MESSAGES}/{sent}/content").json()["data"]["actions"]
    assert actions[0]["attempts"] == 2 and actions[0]["status"] == "dead"
    assert not got.events()
    author.delete(f"{SOURCES}/{made['id']}")


def test_I04_a_replay_of_the_dead_does_what_was_not_done(cms, anonymous, source):
    slug = stack.unique("resume")
    mapping = {"fields": [{"to": "title", "from": "/title"}, {"to": "status", "from": "=draft"}, {"to": "slug", "from": "/slug"}],
               "actions": [{"do": "create", "entity": "post", "set": {"slug": slug + "-new"}},
                           {"do": "update", "entity": "post", "key": "slug", "retry": {"max": 0}}]}
    s = source("none", reason="test", mapping=mapping)
    sent = anonymous.post(s["path"], json={"slug": slug, "title": slug}).json()["id"]
    assert settled(cms, sent)["status"] == "dead"
    cms.make("/api/v2/posts", title="Before", slug=slug, status="draft")
    assert cms.post(f"{MESSAGES}/{sent}/replay").status_code == 202
    assert settled(cms, sent)["status"] == "done", "the first action was not done again: the slug is taken"
    assert cms.get("/api/v2/posts", params={"filter[title]": slug}).json()["meta"]["total"] == 2
    assert cms.post(f"{MESSAGES}/{sent}/replay").status_code == 202
    assert settled(cms, sent, "dead"), "a replay of what is done does all of it again"


def test_I04_messages_of_one_key_follow_one_another(cms, anonymous, source):
    slug = stack.unique("order")
    s = source("none", reason="test", order_by="/order", mapping={
        "fields": [{"to": "slug", "from": "/slug"}, {"to": "title", "from": "/title"}],
        "actions": [{"do": "update", "entity": "post", "key": "slug"}]})
    first = anonymous.post(s["path"], json={"order": 7, "slug": slug, "title": "First"}).json()["id"]
    assert settled(cms, first, "failed")
    others = [anonymous.post(s["path"], json={"order": 7, "slug": slug, "title": f"T{i}"}).json()["id"] for i in range(5)]
    free = cms.make("/api/v2/posts", title="Free", slug=slug + "-free", status="draft")
    passed = anonymous.post(s["path"], json={"order": 8, "slug": slug + "-free", "title": "Passes"}).json()["id"]
    assert settled(cms, passed)["status"] == "done", "another key waits for nobody"
    assert cms.get(f"/api/v2/posts/{free['id']}").json()["data"]["title"] == "Passes"
    assert {cms.get(f"{MESSAGES}/{i}").json()["data"]["status"] for i in others} == {"accepted"}
    cms.make("/api/v2/posts", title="Before", slug=slug, status="draft")
    done = [settled(cms, i) for i in [first] + others]
    assert [d["status"] for d in done] == ["done"] * 6
    assert [d["updated_at"] for d in done] == sorted(d["updated_at"] for d in done)
    assert cms.get(f"/api/v2/posts/slug:{slug}").json()["data"]["title"] == "T4"


def test_I04_the_dead_let_those_behind_them_pass(cms, anonymous, source):
    s = source("none", reason="test", order_by="source", mapping=post_mapping())
    slug = stack.unique("pass")
    bad = anonymous.post(s["path"], json={"slug": slug, "title": ""}).json()["id"]
    good = anonymous.post(s["path"], json={"slug": slug, "title": "T"}).json()["id"]
    assert settled(cms, bad)["status"] == "dead" and settled(cms, good)["status"] == "done"
