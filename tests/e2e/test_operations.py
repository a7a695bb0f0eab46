"""Prefer: respond-async: accepted now, done once, whatever dies meanwhile."""
import os
import signal

from support.samples import SAMPLES
from support.stack import URL, Client, unique, wait_for
from test_bulk import bulk, total
from test_dev import dev
from test_rest import is_problem

ASYNC = {"Prefer": "respond-async"}


def finished(client, location, seconds=60):
    def look():
        answer = client.get(location)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert ("Retry-After" in answer.headers) == (data["http_status"] is None)
        return data if data["status"] in ("succeeded", "failed") else None

    return wait_for(look, seconds, "the operation to end")


def test_R20_a_bulk_is_accepted_and_its_result_read(cms):
    row, mark = cms.make("/api/v2/companies", name=unique()), unique("async")
    ops = [{"op": "create", "data": {"name": mark, "industry": mark}},
           {"op": "update", "id": row["id"], "data": {"city": "later"}},
           {"op": "delete", "id": 999999999}]
    answer = bulk(cms, "companies", ops, query={"atomic": "false"}, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Preference-Applied"] == "respond-async"
    location = answer.headers["Location"]
    data = answer.json()["data"]
    assert location == f"{URL}/api/v2/operations/{data['id']}" and data["status"] == "queued"
    done = finished(cms, location)
    assert done["status"] == "succeeded" and done["http_status"] == 207 and done["resource"] == "companies"
    assert [r["status"] for r in done["result"]["data"]] == [201, 200, 404]
    assert done["result"]["meta"] == {"succeeded": 2, "failed": 1}
    assert done["created_at"] <= done["started_at"] <= done["finished_at"] < done["expires_at"]
    assert cms.get(f"/api/v2/companies/{row['id']}").json()["data"]["city"] == "later"
    full = bulk(cms, "companies", {"filter": {"industry": mark}, "patch": {"city": "f"}},
                headers={"Prefer": "respond-async, return=representation"})
    result = finished(cms, full.headers["Location"])["result"]
    assert [r["data"]["city"] for r in result["data"]] == ["f"]


def test_R20_what_fails_is_told_as_a_problem(cms):
    posts = total(cms, "posts")
    ops = [{"op": "create", "data": SAMPLES["posts"]()}, {"op": "update", "id": 999999999, "data": {}}]
    done = finished(cms, bulk(cms, "posts", ops, headers=ASYNC).headers["Location"])
    assert done["status"] == "failed" and done["http_status"] == 404
    assert done["result"]["type"].endswith("/problems/not_found")
    assert done["result"]["errors"][0]["pointer"] == "/1"
    assert total(cms, "posts") == posts
    is_problem(bulk(cms, "posts", [{"op": "delete", "id": 1}] * 1001, headers=ASYNC), 413)
    is_problem(bulk(cms, "posts", {"ids": [1]}, headers=ASYNC), 422)
    dry = bulk(cms, "posts", [], headers=ASYNC, query={"dry_run": "true"})
    assert dry.status_code == 200 and "Preference-Applied" not in dry.headers


def test_R20_operations_are_their_owners(cms, anonymous, key):
    location = bulk(cms, "posts", [], headers=ASYNC).headers["Location"]
    finished(cms, location)
    user = cms.make("/api/v2/users", **(SAMPLES["users"]() | {"role": "editor"}))
    other = key(["api:read", "api:write"], user=user["id"])
    is_problem(other.get(location), 404)
    is_problem(anonymous.get(location), 401)
    theirs = bulk(other, "posts", [{"op": "create", "data": SAMPLES["posts"]()}], headers=ASYNC).headers["Location"]
    made = finished(other, theirs)["result"]["data"][0]
    assert cms.get(f"/api/v2/posts/{made['id']}").json()["data"]["author"] == {"id": user["id"]}
    is_problem(cms.get(theirs), 404)
    is_problem(cms.get("/api/v2/operations/" + "0" * 36), 404)
    is_problem(cms.get("/api/v2/operations/7"), 404)


def test_X03_an_accepted_bulk_with_a_key_is_accepted_once(cms):
    key, mark = {"Idempotency-Key": unique("key")}, unique("async")
    ops = [{"op": "create", "data": {"name": mark, "industry": mark}}]
    first = bulk(cms, "companies", ops, headers=ASYNC | key)
    again = bulk(cms, "companies", ops, headers=ASYNC | key)
    assert again.status_code == 202 and again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    finished(cms, first.headers["Location"])
    assert len(cms.get(f"/api/v2/companies?filter[industry]={mark}").json()["data"]) == 1


def pids_of_api():
    lines = [line.split() for line in dev("status").stdout.splitlines() if line.startswith("api-")]
    return [next(int(word) for word in words if word.isdigit()) for words in lines]


def test_R20_survives_kill_9_and_is_done_once(cms):
    marks = [unique("kill") for _ in range(4)]
    places = []
    for mark in marks:
        ops = [{"op": "create", "data": {"name": f"{mark} {i}", "industry": mark}} for i in range(1000)]
        places.append(bulk(cms, "companies", ops, headers=ASYNC).headers["Location"])
    # In the middle: one is being done.
    wait_for(lambda: any(cms.get(p).json()["data"]["status"] != "queued" for p in places), 20, "a start", every=0.002)
    for pid in pids_of_api():
        os.kill(pid, signal.SIGKILL)

    def alive():
        answer = cms.get(places[0])
        return answer.status_code == 200

    wait_for(alive, 30, "the api to be back")
    for mark, place in zip(marks, places):
        done = finished(cms, place, 90)
        assert done["status"] == "succeeded" and done["result"]["meta"] == {"succeeded": 1000, "failed": 0}
        found = cms.get(f"/api/v2/companies?filter[industry]={mark}&per_page=1").json()
        assert found["meta"]["total"] == 1000
