"""PATCH on a collection: many changes in one transaction."""
import concurrent.futures
import json

import pytest
from support.samples import SAMPLES, title_field
from support.stack import URL, Client, unique
from test_rest import ALL, is_problem


@pytest.fixture
def people(cms, key):
    """A client of each role that writes."""
    users = {role: cms.make("/api/v2/users", **(SAMPLES["users"]() | {"role": role})) for role in ("author", "member")}
    return {role: key(["api:read", "api:write"], user=user["id"]) for role, user in users.items()}


def tag_of(answer):
    return answer.headers["ETag"].replace("-gzip", "").replace("-zstd", "").replace("-br", "")


def total(cms, plural):
    return cms.get(f"/api/v2/{plural}?per_page=1").json()["meta"]["total"]


def bulk(cms, plural, body, **kw):
    query = "&".join(f"{k}={v}" for k, v in kw.pop("query", {}).items())
    return cms.patch(f"/api/v2/{plural}?{query}", json=body, **kw)


@pytest.mark.parametrize("plural", ALL)
def test_R10_every_operation_on_every_entity(cms, plural):
    title = title_field(plural)
    kept, gone, back = (cms.make(f"/api/v2/{plural}", **SAMPLES[plural]()) for _ in range(3))
    cms.delete(f"/api/v2/{plural}/{back['id']}")
    before = total(cms, plural)
    answer = bulk(cms, plural, [
        {"op": "create", "data": SAMPLES[plural]()},
        {"op": "update", "id": kept["id"], "if_match": tag_of(cms.get(f"/api/v2/{plural}/{kept['id']}")),
         "data": {title: "bulk"}},
        {"op": "delete", "id": gone["id"]},
        {"op": "restore", "id": back["id"]}])
    assert answer.status_code == 200, answer.text
    results = answer.json()["data"]
    assert [r["index"] for r in results] == [0, 1, 2, 3]
    assert [r["status"] for r in results] == [201, 200, 204, 200]
    assert answer.json()["meta"] == {"succeeded": 4, "failed": 0}
    for result in (results[0], results[1], results[3]):
        read = cms.get(f"/api/v2/{plural}/{result['id']}")
        assert read.status_code == 200 and tag_of(read) == result["etag"]
    assert cms.get(f"/api/v2/{plural}/{kept['id']}").json()["data"][title] == "bulk"
    is_problem(cms.get(f"/api/v2/{plural}/{gone['id']}"), 404)
    assert total(cms, plural) == before + 1  # one made, one gone, one back


def test_R10_an_atomic_bulk_that_fails_changes_nothing(cms):
    row, other = (cms.make("/api/v2/posts", **SAMPLES["posts"]()) for _ in range(2))
    one = f"/api/v2/posts/{row['id']}"
    before, posts = cms.get(one).json(), total(cms, "posts")
    good = [{"op": "create", "data": SAMPLES["posts"]()}, {"op": "update", "id": row["id"], "data": {"title": "x"}}]
    cases = [
        ({"op": "update", "id": other["id"], "if_match": '"99.x"', "data": {"title": "y"}}, 412, "/2"),
        ({"op": "update", "id": 999999999, "data": {"title": "y"}}, 404, "/2"),
        ({"op": "update", "id": other["id"], "data": {"title": ""}}, 422, "/2/data/title"),
        ({"op": "create", "data": {"title": "y", "status": "draft", "nosuch": 1}}, 422, "/2/data/nosuch"),
        ({"op": "create", "data": {"title": "y", "status": "draft", "slug": other["slug"]}}, 409, "/2/data/slug"),
        ({"op": "create", "data": {"title": "y", "status": "draft", "author": 999999999}}, 422, "/2/data/author"),
        ({"op": "delete", "id": row["id"] + 10**9}, 404, "/2"),
        ({"op": "restore", "id": other["id"]}, 409, "/2"),
        ({"op": "merge", "id": other["id"]}, 422, "/2/op"),
        ({"op": "update", "data": {"title": "y"}}, 422, "/2/id"),
        ({"op": "update", "id": "7", "data": {}}, 422, "/2/id"),
        ({"op": "update", "id": other["id"]}, 422, "/2/data"),
        ({"op": "update", "id": other["id"], "data": 7}, 422, "/2/data"),
        ({"op": "delete", "id": other["id"], "data": {}}, 422, "/2/data"),
        ({"op": "create", "id": 7, "data": SAMPLES["posts"]()}, 422, "/2/id"),
        ({"op": "create", "if_match": "*", "data": SAMPLES["posts"]()}, 422, "/2/if_match"),
        ({"op": "update", "id": other["id"], "if_match": 3, "data": {}}, 422, "/2/if_match"),
        ({"op": "update", "id": other["id"], "if_match": "3", "data": {}}, 422, "/2/if_match"),
        ({"op": "upsert", "data": {"title": "t", "status": "draft"}}, 422, "/2/data/slug"),
        ({"op": "upsert", "if_none_match": "*", "data": {"title": "t", "status": "draft", "slug": other["slug"]}}, 412, "/2"),
        ({"op": "delete", "id": other["id"], "why": "x"}, 422, "/2/why"),
        (7, 422, "/2"),
        (None, 422, "/2"),
    ]
    for bad, status, pointer in cases:
        answer = bulk(cms, "posts", [*good, bad])
        problem = is_problem(answer, status)
        assert problem["errors"][0]["pointer"] == pointer, (bad, problem)
        assert "peration 2" in problem["detail"] or problem["errors"], problem
        if status == 412 and "id" in bad:
            assert answer.headers["ETag"] == tag_of(cms.get(f"/api/v2/posts/{other['id']}"))
        assert cms.get(one).json() == before and total(cms, "posts") == posts, bad


def test_R10_what_fails_is_left_out_if_not_atomic(cms):
    row, taken = (cms.make("/api/v2/posts", **SAMPLES["posts"]()) for _ in range(2))
    title = unique("Same title")
    answer = bulk(cms, "posts", [
        {"op": "create", "data": {"title": title, "status": "draft"}},
        {"op": "create", "data": {"title": title, "status": "draft"}},
        {"op": "create", "data": {"title": "x", "status": "draft", "slug": taken["slug"]}},
        {"op": "update", "id": row["id"], "if_match": '"77.x"', "data": {"title": "no"}},
        {"op": "create", "data": {"title": "x", "status": "nosuch"}},
        {"op": "update", "id": row["id"], "data": {"title": "yes"}},
        {"op": "update", "id": 999999999, "data": {"title": "no"}}], query={"atomic": "false"})
    assert answer.status_code == 207, answer.text
    results = answer.json()["data"]
    assert [r["status"] for r in results] == [201, 201, 409, 412, 422, 200, 404]
    assert answer.json()["meta"] == {"succeeded": 3, "failed": 4}
    for result in results:
        if result["status"] >= 400:
            problem = result["problem"]
            assert problem["status"] == result["status"] and problem["type"].startswith(URL + "/problems/")
            assert problem["errors"][0]["pointer"].startswith(f"/{result['index']}")
    assert results[3]["etag"].startswith(f'"{row["version"]}.')
    slugs = [cms.get(f"/api/v2/posts/{r['id']}").json()["data"]["slug"] for r in results[:2]]
    assert slugs[1] == slugs[0] + "-2"
    assert cms.get(f"/api/v2/posts/{row['id']}").json()["data"]["title"] == "yes"


def test_R10_titles_that_make_one_slug_find_their_numbers(cms):
    title = unique("Twin")
    answer = bulk(cms, "posts", [{"op": "create", "data": {"title": title, "status": "draft"}}] * 5,
                  headers={"Prefer": "return=representation"})
    assert answer.status_code == 200 and answer.headers["Preference-Applied"] == "return=representation"
    slugs = [r["data"]["slug"] for r in answer.json()["data"]]
    assert slugs == [slugs[0]] + [f"{slugs[0]}-{n}" for n in range(2, 6)]
    for result in answer.json()["data"]:
        assert cms.get(f"/api/v2/posts/{result['id']}").json()["data"] == result["data"]


def test_R10_one_patch_for_ids_and_for_a_filter(cms):
    mark = unique("ind")
    rows = [cms.make("/api/v2/companies", name=f"{mark} {i}", industry=mark, employee_count=i) for i in range(6)]
    ids = [r["id"] for r in rows]
    answer = bulk(cms, "companies", {"ids": ids[:3], "patch": {"city": "A", "meta": {"k": 1}}})
    assert answer.status_code == 200 and [r["id"] for r in answer.json()["data"]] == ids[:3]

    def cities():
        found = cms.get(f"/api/v2/companies?filter[industry]={mark}&sort=id&fields=city").json()["data"]
        return [r["city"] for r in found]

    assert cities() == ["A", "A", "A", None, None, None]
    by = {"industry": mark, "employee_count": {"gte": 2}, "id": {"in": ids[:5]}}
    answer = bulk(cms, "companies", {"filter": by, "patch": {"city": "B"}, "max_affected": 3})
    assert answer.status_code == 200 and [r["id"] for r in answer.json()["data"]] == ids[2:5], answer.text
    assert cities() == ["A", "A", "B", "B", "B", None]
    problem = is_problem(bulk(cms, "companies", {"filter": {"industry": mark}, "patch": {"city": "C"}, "max_affected": 5}), 409)
    assert problem["errors"][0]["pointer"] == "/max_affected"
    is_problem(bulk(cms, "companies", {"ids": ids, "patch": {"city": "C"}, "max_affected": 5}), 409)
    none = bulk(cms, "companies", {"filter": {"industry": unique()}, "patch": {"city": "C"}})
    assert none.status_code == 200 and none.json() == {"data": [], "meta": {"succeeded": 0, "failed": 0}}
    for body, status in [
            ({"ids": [ids[0], ids[0]], "patch": {}}, 422), ({"ids": [ids[0]]}, 422), ({"patch": {}}, 422),
            ({"ids": [], "filter": {}, "patch": {}}, 422), ({"ids": [1], "patch": {}, "x": 1}, 422),
            ({"ids": 7, "patch": {}}, 422), ({"ids": [1], "patch": []}, 422), ({"ids": ["1"], "patch": {}}, 422),
            ({"filter": [], "patch": {}}, 422), ({"filter": {"nosuch": 1}, "patch": {}}, 400),
            ({"filter": {"name": {"bogus": 1}}, "patch": {}}, 400), ({"filter": {"name": None}, "patch": {}}, 400),
            ({"filter": {"name": {"in": ["a,b"]}}, "patch": {}}, 400),
            ({"filter": {"name": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}}, "patch": {}}, 400),
            ({"filter": {"industry": mark}, "patch": {"nosuch": 1}}, 422),
            ({"ids": ids, "patch": {}, "max_affected": "5"}, 422)]:
        is_problem(bulk(cms, "companies", body), status)
    assert cities() == ["A", "A", "B", "B", "B", None]


def test_R09_a_patch_that_cannot_be_is_refused_though_it_meets_no_row(cms):
    for whom in ({"ids": []}, {"filter": {"industry": unique("nobody")}, "max_affected": 9}):
        for query in ({}, {"atomic": "false"}, {"dry_run": "true"}):
            problem = is_problem(bulk(cms, "companies", whom | {"patch": {"nonsense": 1, "country": "Germany"}}, query=query), 422)
            assert {e["pointer"] for e in problem["errors"]} == {"/patch/nonsense", "/patch/country"}
        assert bulk(cms, "companies", whom | {"patch": {"city": "C"}}).json() == {"data": [], "meta": {"succeeded": 0, "failed": 0}}



def test_R10_limits(cms):
    one = {"op": "update", "id": 1, "data": {}}
    is_problem(bulk(cms, "posts", [one] * 1001), 413, "too_large")
    is_problem(bulk(cms, "posts", {"ids": list(range(1, 1002)), "patch": {}}), 413, "too_large")
    assert bulk(cms, "posts", []).json() == {"data": [], "meta": {"succeeded": 0, "failed": 0}}
    is_problem(bulk(cms, "posts", [], query={"atomic": "maybe"}), 400, "invalid_parameter")
    is_problem(bulk(cms, "posts", [], query={"nosuch": "1"}), 400, "invalid_parameter")
    is_problem(cms.patch("/api/v2/posts", data="[]", headers={"Content-Type": "application/json-patch+json"}), 415)
    is_problem(cms.patch("/api/v2/posts", data="[" * 100, headers={"Content-Type": "application/json"}), 400)
    is_problem(cms.patch("/api/v2/posts", data="", headers={"Content-Type": "application/json"}), 400)
    is_problem(cms.patch("/api/v2/posts", data='"x"', headers={"Content-Type": "application/json"}), 400)
    big = json.dumps([{"op": "create", "data": {"title": "x", "content": "y" * (8 << 20)}}])
    assert cms.patch("/api/v2/posts", data=big, headers={"Content-Type": "application/json"}).status_code == 413
    is_problem(bulk(cms, "posts", [], headers={"Prefer": "handling=strict, bogus"}), 400)


def test_R10_a_thousand_in_one(cms):
    before = total(cms, "companies")
    mark = unique("many")
    made = bulk(cms, "companies", [{"op": "create", "data": {"name": f"{mark} {i}", "industry": mark}} for i in range(1000)])
    assert made.status_code == 200 and made.json()["meta"] == {"succeeded": 1000, "failed": 0}
    assert total(cms, "companies") == before + 1000
    changed = bulk(cms, "companies", {"filter": {"industry": mark}, "patch": {"city": "X"}})
    assert changed.json()["meta"]["succeeded"] == 1000
    cms.make("/api/v2/companies", name=mark, industry=mark)
    is_problem(bulk(cms, "companies", {"filter": {"industry": mark}, "patch": {"city": "Y"}}), 413, "too_large")
    gone = bulk(cms, "companies", [{"op": "delete", "id": r["id"]} for r in made.json()["data"]])
    assert gone.status_code == 200 and total(cms, "companies") == before + 1


def test_R10_dry_run_does_it_all_and_takes_it_back(cms):
    row = cms.make("/api/v2/posts", **SAMPLES["posts"]())
    before, posts = cms.get(f"/api/v2/posts/{row['id']}").json(), total(cms, "posts")
    ops = [{"op": "create", "data": SAMPLES["posts"]()}, {"op": "update", "id": row["id"], "data": {"title": "dry"}}]
    key = {"Idempotency-Key": unique("key")}
    dry = bulk(cms, "posts", ops, query={"dry_run": "true"}, headers=key)
    assert dry.status_code == 200, dry.text
    assert [r["status"] for r in dry.json()["data"]] == [201, 200]
    assert dry.json()["meta"] == {"succeeded": 2, "failed": 0, "dry_run": True}
    assert "id" not in dry.json()["data"][0]
    assert cms.get(f"/api/v2/posts/{row['id']}").json() == before and total(cms, "posts") == posts
    mixed = bulk(cms, "posts", [*ops, {"op": "delete", "id": 999999999}], query={"dry_run": "true", "atomic": "false"})
    assert mixed.status_code == 207 and total(cms, "posts") == posts
    is_problem(bulk(cms, "posts", [*ops, {"op": "delete", "id": 999999999}], query={"dry_run": "true"}), 404)
    done = bulk(cms, "posts", ops, headers=key)  # the dry run has not used the key up
    assert done.status_code == 200 and total(cms, "posts") == posts + 1


def test_R12_bulk_upsert_by_natural_key(cms):
    slug, name = unique("co"), unique("name")
    up = [{"op": "upsert", "data": {"slug": slug, "name": name, "city": "A"}}]
    assert bulk(cms, "companies", up).json()["data"][0]["status"] == 201
    again = bulk(cms, "companies", [{"op": "upsert", "data": {"slug": slug, "name": name}}])
    assert again.json()["data"][0]["status"] == 200
    row = cms.get(f"/api/v2/companies/slug:{slug}").json()["data"]
    assert row["city"] is None and row["version"] == 2  # as PUT: what is left out takes its default
    user = unique("U").replace("-", "")
    person = {"username": user, "email": f"{user}@example.org", "role": "author"}
    assert bulk(cms, "users", [{"op": "upsert", "data": person}]).json()["data"][0]["status"] == 201
    assert bulk(cms, "users", [{"op": "upsert", "data": person | {"bio": "b"}}]).json()["data"][0]["status"] == 200
    is_problem(bulk(cms, "media", [{"op": "upsert", "data": SAMPLES["media"]()}]), 422)


def test_R12_racing_bulk_upserts_make_one_row(cms):
    slug = unique("once")
    ops = [{"op": "upsert", "if_none_match": "*", "data": {"slug": slug, "name": "n"}}]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: bulk(Client(), "companies", ops, query={"atomic": "false"}), range(24)))
    statuses = [a.json()["data"][0]["status"] for a in answers]
    assert statuses.count(201) == 1 and statuses.count(412) == 23, statuses


def test_X03_a_bulk_with_a_key_has_one_effect(cms):
    key = {"Idempotency-Key": unique("key")}
    ops = [{"op": "create", "data": {"title": unique(), "status": "draft"}}, {"op": "delete", "id": 999999999}]
    posts = total(cms, "posts")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: bulk(Client(), "posts", ops, query={"atomic": "false"}, headers=key), range(16)))
    assert {a.status_code for a in answers} <= {207, 409}
    first = next(a for a in answers if a.status_code == 207)
    assert total(cms, "posts") == posts + 1
    again = bulk(cms, "posts", ops, query={"atomic": "false"}, headers=key)
    assert again.status_code == 207 and again.json() == first.json() and again.headers["Idempotent-Replayed"] == "true"
    is_problem(bulk(cms, "posts", ops[:1], query={"atomic": "false"}, headers=key), 422, "idempotency_reused")


def test_R10_rights_are_those_of_single_writes(cms, people):
    mine = people["author"].make("/api/v2/posts", **SAMPLES["posts"]())
    other = cms.make("/api/v2/posts", **(SAMPLES["posts"]() | {"status": "published"}))
    hidden = cms.make("/api/v2/posts", **SAMPLES["posts"]())
    ops = [{"op": "update", "id": i, "data": {"title": "t"}} for i in (mine["id"], other["id"], hidden["id"])]
    answer = bulk(people["author"], "posts", ops, query={"atomic": "false"})
    assert [r["status"] for r in answer.json()["data"]] == [200, 403, 404]
    found = bulk(people["author"], "posts", {"filter": {"status": "draft"}, "patch": {"title": "f"}})
    assert found.status_code == 200 and hidden["id"] not in [r["id"] for r in found.json()["data"]]
    assert mine["id"] in [r["id"] for r in found.json()["data"]]
    is_problem(bulk(people["member"], "posts", ops), 403)
    is_problem(bulk(Client(key=None), "posts", ops), 401)
