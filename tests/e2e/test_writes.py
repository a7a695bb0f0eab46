"""Conditional writes, patch types, upserts, idempotency and preferences over HTTP."""
import re
import concurrent.futures

import pytest

from support.samples import SAMPLES, title_field
from support.stack import Client, unique
from test_rest import ALL, is_problem

JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def etag(answer):
    """Without what tells one coding of the representation from another."""
    return answer.headers["ETag"].replace("-gzip", "").replace("-zstd", "").replace("-br", "")


def make(cms, plural="posts", **more):
    return cms.make(f"/api/v2/{plural}", **(SAMPLES[plural]() | more))


@pytest.mark.parametrize("plural", ALL)
def test_R11_json_patch_changes_what_it_names(cms, plural):
    row = make(cms, plural, meta={"a": {"b": 1}, "list": [1, 2, 3]})
    one, title = f"/api/v2/{plural}/{row['id']}", title_field(plural)
    answer = cms.patch(one, headers=JSON_PATCH, json=[
        {"op": "test", "path": f"/{title}", "value": row[title]},
        {"op": "test", "path": "/version", "value": row["version"]},
        {"op": "replace", "path": f"/{title}", "value": "patched"},
        {"op": "remove", "path": "/meta/a"},
        {"op": "add", "path": "/meta/list/-", "value": 4},
        {"op": "copy", "from": "/meta/list/0", "path": "/meta/first"}])
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert data[title] == "patched" and data["meta"] == {"list": [1, 2, 3, 4], "first": 1}
    assert data["version"] == row["version"] + 1
    assert cms.get(one).json()["data"] == data
    assert etag(cms.get(one)) == etag(answer)


def test_R11_json_patch_is_whole_or_nothing(cms):
    row = make(cms)
    one = f"/api/v2/posts/{row['id']}"

    def refused(patch, status, code, pointer):
        problem = is_problem(cms.patch(one, headers=JSON_PATCH, json=patch), status, code)
        assert [e["pointer"] for e in problem.get("errors", [])] == ([] if pointer is None else [pointer]), problem
        assert cms.get(one).json()["data"] == row

    set_title = {"op": "replace", "path": "/title", "value": "x"}
    refused([set_title, {"op": "test", "path": "/status", "value": "archived"}], 409, "conflict", "/1/value")
    refused([set_title, {"op": "remove", "path": "/nosuch"}], 409, "conflict", "/1/path")
    refused([set_title, {"op": "merge", "path": "/title"}], 400, "invalid", "/1/op")
    refused([{"op": "remove", "path": "title"}], 400, "invalid", "/0/path")
    refused({"op": "remove", "path": "/title"}, 400, "invalid", None)
    refused([{"op": "remove", "path": "/title"}], 422, "validation", "/title")
    refused([{"op": "replace", "path": "/version", "value": 7}], 422, "validation", "/version")
    refused([{"op": "add", "path": "/nosuch", "value": 1}], 422, "validation", "/nosuch")
    refused([{"op": "replace", "path": "", "value": [1]}], 422, "validation", "")
    refused([{"op": "copy", "from": "", "path": "/meta/x"}] * 1000, 413, "too_large", "/14")
    refused([set_title] * 1001, 413, "too_large", None)
    only_tests = cms.patch(one, headers=JSON_PATCH, json=[{"op": "test", "path": "/title", "value": row["title"]}])
    assert only_tests.status_code == 200 and only_tests.json()["data"] == row


def test_R11_accept_patch_and_415(cms):
    row = make(cms)
    one = f"/api/v2/posts/{row['id']}"
    types = "application/merge-patch+json, application/json-patch+json, application/json"
    for sent in ("text/plain", "application/xml", "application/json-patch+json; charset=latin1"):
        answer = cms.patch(one, data="[]", headers={"Content-Type": sent})
        is_problem(answer, 415, "unsupported_media_type")
        assert answer.headers["Accept-Patch"] == types
    assert cms.options(one).headers["Accept-Patch"] == types
    assert "Accept-Patch" not in cms.options("/problems/conflict").headers
    is_problem(cms.put(one, data="[]", headers=JSON_PATCH), 415)
    assert cms.patch(one, data='{"title":"m"}', headers={"Content-Type": "application/merge-patch+json"}).ok
    assert cms.patch(one, data="[]", headers={"Content-Type": "Application/JSON-Patch+JSON ; charset=UTF-8"}).ok


def test_R11_a_json_patch_meets_its_precondition_first(cms):
    row = make(cms)
    one = f"/api/v2/posts/{row['id']}"
    patch = [{"op": "test", "path": "/title", "value": "something else"}]
    stale = cms.patch(one, json=patch, headers=JSON_PATCH | {"If-Match": '"999.0"'})
    is_problem(stale, 412, "precondition_failed")
    assert etag(stale) == etag(cms.get(one))
    is_problem(cms.patch("/api/v2/posts/999999999", json=patch, headers=JSON_PATCH), 404)


@pytest.mark.parametrize("method", ["patch", "json-patch", "put", "delete", "restore"])
def test_R09_every_write_takes_if_match(cms, method):
    row = make(cms)
    one = f"/api/v2/posts/{row['id']}"

    def write(tag):
        headers = {"If-Match": tag}
        if method == "patch":
            return cms.patch(one, json={"title": "t"}, headers=headers)
        if method == "json-patch":
            return cms.patch(one, json=[{"op": "add", "path": "/title", "value": "t"}], headers=JSON_PATCH | headers)
        if method == "put":
            return cms.put(one, json=SAMPLES["posts"](), headers=headers)
        if method == "delete":
            return cms.delete(one, headers=headers)
        return cms.post(one + "/restore", headers=headers)

    now = etag(cms.get(one))
    if method == "restore":
        cms.delete(one)
        now = f'"{row["version"] + 1}.x"'
    is_problem(write(now.strip('"')), 400, "invalid")
    for tag in ('"12345.67"', '"no-version"', "W/" + now):
        answer = write(tag)
        is_problem(answer, 412, "precondition_failed")
        assert etag(answer).split(".")[0] == now.split(".")[0]
    assert write(f'"1234.5", {now}').status_code in (200, 204)


def test_R09_one_of_100_racing_writers_wins_each_version(cms):
    row = make(cms)
    one = f"/api/v2/posts/{row['id']}"
    tag = etag(cms.get(one))

    def write(i):
        kinds = [({"title": f"racer {i}"}, {}),
                 ([{"op": "replace", "path": "/title", "value": f"racer {i}"}], JSON_PATCH)]
        body, headers = kinds[i % 2]
        return Client().patch(one, json=body, headers=headers | {"If-Match": tag}).status_code

    with concurrent.futures.ThreadPoolExecutor(25) as pool:
        statuses = list(pool.map(write, range(100)))
    assert sorted(set(statuses)) == [200, 412] and statuses.count(200) == 1
    assert cms.get(one).json()["data"]["version"] == row["version"] + 1


def test_R12_racing_upserts_make_one_row(cms):
    slug = unique("once")

    def put(i):
        return Client().put(f"/api/v2/companies/slug:{slug}", json={"name": f"n{i}"},
                            headers={"If-None-Match": "*"}).status_code

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(put, range(40)))
    assert statuses.count(201) == 1 and statuses.count(412) == 39, statuses


def test_X03_a_key_also_has_one_effect_on_restore_and_upsert(cms):
    row = make(cms)
    one = f"/api/v2/posts/{row['id']}"
    cms.delete(one)
    key = {"Idempotency-Key": unique("key")}
    first = cms.post(one + "/restore", headers=key)
    assert first.status_code == 200, first.text
    cms.delete(one)
    again = cms.post(one + "/restore", headers=key)
    assert again.status_code == 200 and again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    is_problem(cms.get(one), 404)
    is_problem(cms.post(f"/api/v2/posts/{row['id'] + 1}/restore", headers=key), 422, "idempotency_reused")

    slug, key = unique("up"), {"Idempotency-Key": unique("key")}
    made = cms.put(f"/api/v2/companies/slug:{slug}", json={"name": "n"}, headers=key)
    assert made.status_code == 201
    again = cms.put(f"/api/v2/companies/slug:{slug}", json={"name": "n"}, headers=key)
    assert again.status_code == 201 and again.json() == made.json()
    assert again.headers["Location"] == made.headers["Location"]


def test_R20_prefer_return_and_handling(cms):
    minimal, full = {"Prefer": "return=minimal"}, {"Prefer": "return=representation"}
    made = cms.post("/api/v2/posts", json=SAMPLES["posts"](), headers=minimal)
    assert made.status_code == 201 and not made.content and made.headers["Preference-Applied"] == "return=minimal"
    one = made.headers["Location"]
    read = cms.get(one)
    assert etag(made) == etag(read)
    for change in (lambda h: cms.patch(one, json={"title": unique()}, headers=h),
                   lambda h: cms.put(one, json=SAMPLES["posts"](), headers=h),
                   lambda h: cms.patch(one, json=[{"op": "add", "path": "/title", "value": unique()}],
                                       headers=JSON_PATCH | h)):
        answer = change(minimal)
        assert answer.status_code == 204 and not answer.content, answer.text
        assert etag(answer) == etag(cms.get(one))
        answer = change(full)
        assert answer.status_code == 200 and answer.headers["Preference-Applied"] == "return=representation"
        assert answer.json()["data"] == cms.get(one).json()["data"]
    key = {"Idempotency-Key": unique("key")}
    body = SAMPLES["posts"]()
    assert not cms.post("/api/v2/posts", json=body, headers=key | minimal).content
    again = cms.post("/api/v2/posts", json=body, headers=key | minimal)
    assert again.status_code == 201 and not again.content and again.headers["Idempotent-Replayed"] == "true"
    before = cms.get(one).json()
    problem = is_problem(cms.patch(one, json={"title": "x"}, headers={"Prefer": "handling=strict, bogus=1"}), 400)
    assert "bogus" in problem["detail"] and cms.get(one).json() == before
    assert cms.patch(one, json={"title": "y"}, headers={"Prefer": "handling=lenient, bogus=1"}).status_code == 200


def test_R17_no_page_is_below_itself(cms):
    """Directly, by a ring of three, and by two who close it at once."""
    a, b, c = (cms.make("/api/v2/pages", title="p", status="draft")["id"] for _ in range(3))

    def below(page, parent):
        return cms.patch(f"/api/v2/pages/{page}", json={"parent": parent})
    is_problem(below(a, a), 422)
    assert below(b, a).status_code == below(c, b).status_code == 200
    refused = below(a, c)
    is_problem(refused, 422)
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/parent"]
    bulk = cms.patch("/api/v2/pages?atomic=false", json=[{"op": "update", "id": a, "data": {"parent": b}}, {"op": "update", "id": b, "data": {"parent": None}}])
    assert [r["status"] for r in bulk.json()["data"]] == [422, 200]
    for _ in range(10):
        one, two = (cms.make("/api/v2/pages", title="p", status="draft")["id"] for _ in range(2))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = [f.result().status_code for f in (pool.submit(below, one, two), pool.submit(below, two, one))]
        assert sorted(answers) in ([200, 422], [422, 422]), answers  # whose statement ended a deadlock runs again
        assert not (cms.get(f"/api/v2/pages/{one}").json()["data"]["parent"] and cms.get(f"/api/v2/pages/{two}").json()["data"]["parent"])


def test_R12_an_upsert_tells_no_id_of_a_row_that_is_not_seen(cms, key):
    author, other = (key(["api:read", "api:write"], user=cms.make("/api/v2/users", **SAMPLES["users"]())["id"]) for _ in range(2))
    hidden = author.make("/api/v2/posts", title="x", slug=unique("hidden"), status="draft")
    body = {"title": "y", "slug": hidden["slug"], "status": "draft"}
    for answer in (other.put(f"/api/v2/posts/slug:{hidden['slug']}", json=body), other.patch("/api/v2/posts", json=[{"op": "upsert", "data": body}])):
        is_problem(answer, 404)
        said = answer.text.replace(answer.json()["request_id"], "").replace(hidden["slug"], "")  # made of random digits
        assert not re.search(rf"(?<!\d){hidden['id']}(?!\d)", said), answer.text
