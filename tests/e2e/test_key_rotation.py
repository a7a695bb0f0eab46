"""Keys that are replaced while programs still use them, and what is told before one ends."""
import datetime

import pytest

from support import stack
from support.people import sql

POSTS = "/api/v2/posts?per_page=1"
EVERYWHERE = [POSTS, "/api/v2/webhooks/endpoints", "/api/v2/webhook-sources"]


def rotate(cms, key_id, seconds=None, **kw):
    answer = cms.post(f"/api/v2/auth/keys/{key_id}/rotate", json={} if seconds is None else {"overlap_seconds": seconds}, **kw)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()["data"]


def test_AU02_both_keys_work_in_the_overlap_and_the_old_one_ends_early(cms, key):
    old = key(["api:read"])
    stack.wait_for(lambda: old.get(POSTS).status_code == 200, 30, "the key to work")
    data = rotate(cms, old.key_id, 600)
    assert data["previous_expires_at"] and data["rotated_at"] and data["key"] != old.key_text
    new = stack.Client(key=data["key"])
    for path in EVERYWHERE:
        stack.wait_for(lambda: new.get(path).status_code == 200, 30, "the new key to work")
        assert old.get(path).status_code == 200, path
    one = f"/api/v2/auth/keys/{old.key_id}"
    assert data["key"] not in cms.get(one).text and cms.get(one).json()["data"]["previous_expires_at"] == data["previous_expires_at"]
    assert cms.delete(one + "/previous-key").status_code == 204
    assert cms.delete(one + "/previous-key").status_code == 204, "again"
    for path in EVERYWHERE:
        stack.wait_for(lambda: old.get(path).status_code == 401, 30, "the old key to end")
        assert new.get(path).status_code == 200
    assert cms.get(one).json()["data"]["previous_expires_at"] is None


def test_AU02_without_overlap_the_old_key_is_refused_at_once(cms, key):
    old = key(["api:read"])
    stack.wait_for(lambda: old.get(POSTS).status_code == 200, 30, "the key to work")
    new = stack.Client(key=rotate(cms, old.key_id)["key"])
    for path in EVERYWHERE:
        stack.wait_for(lambda: old.get(path).status_code == 401, 30, "the old key to end")
        stack.wait_for(lambda: new.get(path).status_code == 200, 30, "the new key to work")


def test_AU02_an_overlap_ends_by_the_clock(cms, key):
    old = key(["api:read"])
    stack.wait_for(lambda: old.get(POSTS).status_code == 200, 30, "the key to work")
    new = stack.Client(key=rotate(cms, old.key_id, 2)["key"])
    stack.wait_for(lambda: old.get(POSTS).status_code == 401, 30, "the old key to end")
    assert new.get(POSTS).status_code == 200


def test_AU02_the_key_before_works_all_the_while(cms, key):
    old = key(["api:read"])
    stack.wait_for(lambda: old.get(POSTS).status_code == 200, 30, "the key to work")
    for _ in range(8):
        new = stack.Client(key=rotate(cms, old.key_id, 600)["key"])
        new.key_id = old.key_id
        assert new.get(POSTS).status_code == 200, "the new one works at once"
        assert old.get(POSTS).status_code == 200
        old = new


def test_AU02_a_third_key_ends_the_first(cms, key):
    first = key(["api:read"])
    stack.wait_for(lambda: first.get(POSTS).status_code == 200, 30, "the key to work")
    second = stack.Client(key=rotate(cms, first.key_id, 600)["key"])
    third = stack.Client(key=rotate(cms, first.key_id, 600)["key"])
    stack.wait_for(lambda: first.get(POSTS).status_code == 401, 30, "the first to end")
    stack.wait_for(lambda: third.get(POSTS).status_code == 200, 30, "the third to work")
    assert second.get(POSTS).status_code == 200


@pytest.mark.parametrize("body", [{"overlap_seconds": -1}, {"overlap_seconds": 30 * 86400 + 1}, {"overlap_seconds": "x"}, {"other": 1}])
def test_AU02_what_cannot_be_is_refused(cms, key, body):
    client = key(["api:read"])
    stack.wait_for(lambda: client.get(POSTS).status_code == 200, 30, "the key to work")
    assert cms.post(f"/api/v2/auth/keys/{client.key_id}/rotate", json=body).status_code == 422
    assert client.get(POSTS).status_code == 200


def test_AU02_a_lost_answer_is_given_again(cms, key):
    client = key(["api:read"])
    headers = {"Idempotency-Key": stack.unique("rotate")}
    one = rotate(cms, client.key_id, 600, headers=headers)
    again = rotate(cms, client.key_id, 600, headers=headers)
    assert one["key"] == again["key"]
    assert one["key"].split("_")[-1] not in sql("select i::text from auth.idempotency i order by created_at desc limit 50")


def test_AU04_rotating_gives_nobody_more_than_they_have(cms, key):
    strong = key(["api:read", "api:write", "keys:write"])
    weak = key(["keys:read", "keys:write", "posts:read"])
    stack.wait_for(lambda: weak.get(POSTS).status_code == 200, 30, "the key to work")
    for path in ("rotate", "previous-key"):
        answer = weak.request("POST" if path == "rotate" else "DELETE", f"/api/v2/auth/keys/{strong.key_id}/{path}",
                              json={} if path == "rotate" else None)
        assert answer.status_code == 403 and "insufficient_scope" in answer.json()["type"], answer.text
    itself = stack.Client(key=rotate(weak, weak.key_id)["key"])
    stack.wait_for(lambda: itself.get(POSTS).status_code == 200, 30, "its successor to work")
    cms.delete(f"/api/v2/auth/keys/{strong.key_id}")
    assert cms.post(f"/api/v2/auth/keys/{strong.key_id}/rotate", json={}).status_code == 409
    assert cms.post("/api/v2/auth/keys/999999999/rotate", json={}).status_code == 404


def test_AU13_what_becomes_of_a_key_is_in_the_log(cms, key):
    client = key(["api:read"])
    client.headers["User-Agent"] = "lamp/1.0"
    assert stack.wait_for(lambda: client.get(POSTS).status_code == 200, 30, "the key to work")
    rotate(cms, client.key_id, 600)
    cms.delete(f"/api/v2/auth/keys/{client.key_id}")

    def seen():
        rows = cms.get("/api/v2/auth/audit", params={"filter[subject]": f"key:{client.key_id}", "per_page": 50}).json()["data"]
        return {r["type"]: r for r in rows} if {r["type"] for r in rows} >= {"key.created", "key.used", "key.rotated", "key.revoked"} else None

    rows = stack.wait_for(seen, 60, "the entries")
    assert rows["key.used"]["address"] == "127.0.0.1" and rows["key.used"]["agent"] == "lamp/1.0"
    assert rows["key.created"]["data"]["scopes"] == ["api:read"] and rows["key.created"]["user"]
    assert rows["key.revoked"]["actor"].startswith("user:") and rows["key.revoked"]["request_id"]


def test_AU13_a_key_from_a_wrong_network_is_in_the_log(cms, key):
    client = key(["api:read"], allowed_networks=["192.0.2.0/24"])
    one = f"/api/v2/auth/keys/{client.key_id}"
    assert client.get(POSTS).status_code == 401

    def seen():
        rows = cms.get("/api/v2/auth/audit", params={"filter[subject]": f"key:{client.key_id}", "filter[type]": "key.denied"}).json()["data"]
        return rows and rows[0]

    entry = stack.wait_for(seen, 60, "the entry")
    assert entry["address"] == "127.0.0.1" and entry["user"]
    assert cms.get(one).json()["data"]["last_used_at"] is None, "it was not used"


def test_AU02_the_end_is_told_of_once_a_step(cms):
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=40)
    made = cms.make("/api/v2/auth/keys", name=stack.unique("ends"), scopes=["api:read"], expires_at=ends.isoformat())

    def told():
        rows = cms.get("/api/v2/auth/audit", params={"filter[subject]": f"key:{made['id']}", "filter[type]": "key.expiring"}).json()["data"]
        return len(rows)

    assert told() == 0
    for n, left in ((1, "20 days"), (2, "5 days"), (3, "20 hours")):
        sql(f"update auth.api_keys set expires_at = now() + interval '{left}' where id = {made['id']}")
        stack.wait_for(lambda: told() == n, 60, f"warning {n}")
    near = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=5)
    assert cms.patch(f"/api/v2/auth/keys/{made['id']}", json={"expires_at": near.isoformat()}).status_code == 200
    assert sql(f"select warned_days from auth.api_keys where id = {made['id']}") == "7"
    cms.delete(f"/api/v2/auth/keys/{made['id']}")
