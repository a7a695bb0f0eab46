"""The REST contract over all seven entities, black box through the gateway."""
import concurrent.futures
import email.utils

import pytest

from support.samples import NASTY, SAMPLES, title_field
from support.stack import URL, Client, unique

ALL = sorted(SAMPLES)


def is_problem(answer, status, code=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body = answer.json()
    assert body["status"] == status and body["title"] and body["type"].startswith("http")
    if code:
        assert body["type"].endswith("/" + code), body
    return body


@pytest.mark.parametrize("plural", ALL)
def test_R01_create_read_change_replace_delete_restore(cms, plural):
    path, body = f"/api/v2/{plural}", SAMPLES[plural]()
    made = cms.post(path, json=body)
    assert made.status_code == 201, made.text
    row = made.json()["data"]
    one = f"{path}/{row['id']}"
    assert made.headers["Location"] in (one, URL + one)
    for name, value in body.items():
        if name.endswith("_at"):
            assert row[name].endswith("Z")
        else:
            assert row[name] == value, name

    read = cms.get(one, headers={"Accept-Encoding": "identity"})  # a write is answered without a coding
    assert read.status_code == 200 and read.json()["data"] == row
    assert made.headers["ETag"] == read.headers["ETag"]
    assert email.utils.parsedate_to_datetime(read.headers["Last-Modified"])

    title = title_field(plural)
    changed = cms.patch(one, json={title: "second"}, headers={"If-Match": read.headers["ETag"]})
    assert changed.status_code == 200, changed.text
    assert changed.json()["data"][title] == "second" and changed.json()["data"]["version"] == row["version"] + 1
    assert cms.get(one).json()["data"] == changed.json()["data"]

    stale = cms.patch(one, json={title: "third"}, headers={"If-Match": read.headers["ETag"]})
    is_problem(stale, 412, "precondition_failed")
    assert stale.headers["ETag"] == changed.headers["ETag"]

    replacement = {k: v for k, v in SAMPLES[plural]().items() if k != "meta"}
    put = cms.put(one, json=replacement)
    assert put.status_code == 200, put.text
    assert put.json()["data"]["meta"] == {}

    assert cms.delete(one).status_code == 204
    is_problem(cms.get(one), 404, "not_found")
    back = cms.post(f"{one}/restore")
    assert back.status_code == 200, back.text
    assert cms.get(one).json()["data"] == back.json()["data"]
    assert cms.delete(f"{one}?purge=true").status_code == 204
    is_problem(cms.post(f"{one}/restore"), 404)


@pytest.mark.parametrize("plural", ALL)
def test_R16_list_has_the_envelope(cms, plural):
    cms.make(f"/api/v2/{plural}", **SAMPLES[plural]())
    answer = cms.get(f"/api/v2/{plural}?per_page=1")
    body = answer.json()
    assert answer.status_code == 200 and len(body["data"]) == 1
    assert body["meta"]["page"] == 1 and body["meta"]["per_page"] == 1 and body["meta"]["total"] >= 1
    assert set(body["links"]) >= {"self", "next", "prev"} and body["links"]["prev"] is None
    assert body["links"]["self"].startswith(URL)


def test_R03_pages_and_offsets_walk_the_whole_list_once(cms):
    tag = unique("walk")
    for i in range(7):
        cms.make("/api/v2/companies", name=f"{tag} {i}", industry=tag)
    seen, url = [], f"{URL}/api/v2/companies?filter[industry]={tag}&sort=name&per_page=3"
    while url:
        page = cms.get(url).json()
        assert page["meta"]["total"] == 7
        seen += [row["name"] for row in page["data"]]
        url = page["links"]["next"]
    assert seen == [f"{tag} {i}" for i in range(7)]
    by_offset = cms.get(f"/api/v2/companies?filter[industry]={tag}&sort=-name&limit=2&offset=1").json()
    assert [r["name"] for r in by_offset["data"]] == [f"{tag} 5", f"{tag} 4"]
    assert by_offset["meta"] == {"total": 7, "limit": 2, "offset": 1}
    empty = cms.get(f"/api/v2/companies?filter[industry]={unique()}")
    assert empty.status_code == 200 and empty.json()["data"] == [] and empty.json()["meta"]["total"] == 0
    is_problem(cms.get("/api/v2/companies?page=1&limit=5"), 400)
    is_problem(cms.get("/api/v2/companies?per_page=101"), 400)


def test_R05_fields_select_and_unknown_names_are_refused(cms):
    post = cms.make("/api/v2/posts", **SAMPLES["posts"]())
    got = cms.get(f"/api/v2/posts/{post['id']}?fields=id,title").json()["data"]
    assert got == {"id": post["id"], "title": post["title"]}
    listed = cms.get("/api/v2/posts?fields=title&per_page=2").json()["data"]
    assert all("content" not in row and "title" in row for row in listed)
    problem = is_problem(cms.get("/api/v2/posts?fields=id,nosuch"), 400, "invalid_parameter")
    assert "nosuch" in problem["detail"]
    is_problem(cms.get("/api/v2/posts?nosuch=1"), 400)
    is_problem(cms.get("/api/v2/posts?filter[nosuch]=1"), 400)
    is_problem(cms.get("/api/v2/posts?sort=nosuch"), 400)


def test_R06_filters(cms):
    mark = unique("f")
    for i, count in enumerate([5, 10, 20, None]):
        cms.make("/api/v2/companies", name=f"{mark} {i}", industry=mark, employee_count=count)

    def names(query):
        answer = cms.get(f"/api/v2/companies?filter[industry]={mark}&sort=name&{query}")
        assert answer.status_code == 200, answer.text
        return [r["name"].split()[-1] for r in answer.json()["data"]]

    assert names("filter[employee_count]=10") == ["1"]
    assert names("filter[employee_count][gt]=5") == ["1", "2"]
    assert names("filter[employee_count][gte]=5&filter[employee_count][lt]=20") == ["0", "1"]
    assert names("filter[employee_count][in]=5,20") == ["0", "2"]
    assert names("filter[employee_count][null]=true") == ["3"]
    assert names(f"filter[name][ilike]={mark.upper()}%25 2") == ["2"]
    is_problem(cms.get("/api/v2/companies?filter[employee_count]=many"), 400)


def test_R08_conditional_reads(cms):
    post = cms.make("/api/v2/posts", **SAMPLES["posts"]())
    one = f"/api/v2/posts/{post['id']}"
    read = cms.get(one)
    tag, modified = read.headers["ETag"], read.headers["Last-Modified"]
    assert not tag.startswith("W/")
    same = cms.get(one, headers={"If-None-Match": tag})
    assert same.status_code == 304 and same.headers["ETag"] == tag and same.content == b""
    assert cms.get(one, headers={"If-None-Match": '"other"'}).status_code == 200
    assert cms.get(one, headers={"If-None-Match": "*"}).status_code == 304
    assert cms.get(one, headers={"If-Modified-Since": modified}).status_code == 304
    assert cms.get(one, headers={"If-None-Match": '"other"', "If-Modified-Since": modified}).status_code == 200
    assert cms.get(f"{one}?fields=id", headers={"If-None-Match": tag}).status_code == 200
    assert cms.get(one, headers={"If-Match": '"0.x"'}).status_code == 412
    head = cms.head(one)
    assert head.status_code == 200 and head.headers["ETag"] == tag and head.content == b""
    assert head.headers["Content-Length"] == read.headers["Content-Length"]


def test_R09_of_racing_writers_one_wins_a_version(cms):
    post = cms.make("/api/v2/posts", **SAMPLES["posts"]())
    one = f"/api/v2/posts/{post['id']}"
    tag = cms.get(one).headers["ETag"]

    def write(i):
        with Client() as client:
            return client.patch(one, json={"title": f"writer {i}"}, headers={"If-Match": tag}).status_code

    with concurrent.futures.ThreadPoolExecutor(25) as pool:
        results = sorted(pool.map(write, range(100)))
    assert results == [200] + [412] * 99
    assert cms.get(one).json()["data"]["version"] == post["version"] + 1


@pytest.mark.parametrize("plural", [p for p in ALL if "slug" in SAMPLES[p]()])
def test_R12_every_slug_is_an_address(cms, plural):
    body = SAMPLES[plural]()
    slug = body.pop("slug")
    path = f"/api/v2/{plural}/slug:{slug}"
    made = cms.put(path, json=body)
    assert made.status_code == 201, made.text
    assert cms.get(path).json() == cms.get(f"/api/v2/{plural}/{made.json()['data']['id']}").json()
    again = cms.put(path, json=body)
    assert again.status_code == 200 and again.json() == made.json() and again.headers["ETag"] == made.headers["ETag"]
    again = cms.put(path, json={**body, "meta": {"again": True}})
    assert again.status_code == 200 and again.json()["data"]["version"] == 2
    is_problem(cms.get(f"/api/v2/{plural}/slug:{unique('none')}"), 404)


def test_R12_many_rows_of_one_title_at_once_get_slugs_of_their_own(cms):
    title = unique("same title")

    def make(_):
        with Client() as client:
            return client.post("/api/v2/companies", json={"name": title})

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(make, range(64)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["data"]["slug"] for a in answers}) == 64


def test_R12_put_by_slug_creates_then_replaces(cms):
    slug = unique("by-slug")
    body = {"title": "one", "status": "draft"}
    first = cms.put(f"/api/v2/posts/slug:{slug}", json=body)
    assert first.status_code == 201, first.text
    second = cms.put(f"/api/v2/posts/slug:{slug}", json={**body, "title": "two"})
    assert second.status_code == 200 and second.json()["data"]["id"] == first.json()["data"]["id"]
    assert second.json()["data"]["title"] == "two"
    assert cms.put(f"/api/v2/posts/slug:{slug}", json=body, headers={"If-None-Match": "*"}).status_code == 412
    is_problem(cms.put("/api/v2/posts/999999999", json=body), 404)


def test_R17_include_one_level(cms):
    author = cms.make("/api/v2/users", **SAMPLES["users"]())
    post = cms.make("/api/v2/posts", **{**SAMPLES["posts"](), "author": author["id"]})
    assert post["author"] == {"id": author["id"]}
    got = cms.get(f"/api/v2/posts/{post['id']}?include=author").json()["data"]
    assert got["author"]["username"] == author["username"]
    back = cms.get(f"/api/v2/users/{author['id']}?include=posts").json()["data"]
    assert [p["id"] for p in back["posts"]] == [post["id"]]
    is_problem(cms.get("/api/v2/posts?include=nosuch"), 400)


def test_R17_speakers_keep_their_order(cms):
    experts = [cms.make("/api/v2/experts", **SAMPLES["experts"]())["id"] for _ in range(3)]
    event = cms.make("/api/v2/events", **{**SAMPLES["events"](), "speakers": experts[::-1]})
    assert [s["id"] for s in event["speakers"]] == experts[::-1]
    got = cms.get(f"/api/v2/events/{event['id']}?include=speakers").json()["data"]
    assert [s["id"] for s in got["speakers"]] == experts[::-1] and got["speakers"][0]["name"] == NASTY
    changed = cms.patch(f"/api/v2/events/{event['id']}", json={"speakers": experts[:1]})
    assert [s["id"] for s in changed.json()["data"]["speakers"]] == experts[:1]
    back = cms.get(f"/api/v2/experts/{experts[0]}?include=events").json()["data"]
    assert [e["id"] for e in back["events"]] == [event["id"]]


def test_X01_every_invalid_field_is_named_at_once(cms):
    answer = cms.post("/api/v2/experts", json={"name": "", "email": "no", "country": "Germany", "hourly_rate_minor": "x",
                                               "nosuch": 1, "specialties": [1], "status": "maybe"})
    problem = is_problem(answer, 422, "validation")
    pointers = {e["pointer"] for e in problem["errors"]}
    assert pointers >= {"/name", "/email", "/country", "/hourly_rate_minor", "/nosuch", "/status"}
    assert any(p.startswith("/specialties") for p in pointers)
    kind = cms.get(problem["type"])
    assert kind.status_code == 200


def test_X03_idempotency_key_makes_one_row(cms):
    body, key = SAMPLES["posts"](), unique("idem")
    headers = {"Idempotency-Key": f'"{key}"'}
    first = cms.post("/api/v2/posts", json=body, headers=headers)
    again = cms.post("/api/v2/posts", json=body, headers=headers)
    assert first.status_code == again.status_code == 201 and first.content == again.content
    assert first.headers["Location"] == again.headers["Location"]
    is_problem(cms.post("/api/v2/posts", json={**body, "title": "x"}, headers=headers), 422, "idempotency_reused")

    racing = {"Idempotency-Key": unique("race")}
    body = SAMPLES["companies"]()

    def make(_):
        with Client() as client:
            return client.post("/api/v2/companies", json=body, headers=racing)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(make, range(8)))
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.json()["data"]["id"] for a in answers if a.status_code == 201}) == 1
    assert cms.get(f"/api/v2/companies?filter[slug]={body['slug']}").json()["meta"]["total"] == 1


def test_X02_request_id_and_trace_are_kept(cms):
    rid = unique("rid")
    assert cms.get("/api/v2/posts?per_page=1", headers={"X-Request-Id": rid}).headers["X-Request-Id"] == rid
    assert cms.get("/api/v2/posts?per_page=1").headers["X-Request-Id"]


def test_R23_publishing_moves_through_its_states(cms, anonymous):
    post = cms.make("/api/v2/posts", **SAMPLES["posts"]())
    one = f"/api/v2/posts/{post['id']}"
    is_problem(anonymous.get(one), 404)
    done = cms.patch(one, json={"status": "published"}).json()["data"]
    assert done["published_at"]
    assert anonymous.get(one).status_code == 200
    future = cms.patch(one, json={"published_at": "2099-01-01T00:00:00Z"})
    assert future.status_code == 200 and anonymous.get(one).status_code == 404
    is_problem(cms.patch(one, json={"status": "scheduled", "published_at": "2001-01-01T00:00:00Z"}), 422)


def test_AU04_who_sees_and_changes_what(cms, anonymous, key):
    author = cms.make("/api/v2/users", **SAMPLES["users"]())
    mine = key(["api:read", "api:write", "users:write"], user=author["id"])
    other = cms.make("/api/v2/posts", **SAMPLES["posts"]())
    own = mine.make("/api/v2/posts", title="own draft", status="draft")
    assert own["author"] == {"id": author["id"]}
    assert mine.get(f"/api/v2/posts/{own['id']}").status_code == 200
    is_problem(mine.get(f"/api/v2/posts/{other['id']}"), 404)
    cms.patch(f"/api/v2/posts/{other['id']}", json={"status": "published"})
    is_problem(mine.patch(f"/api/v2/posts/{other['id']}", json={"title": "stolen"}), 403)
    is_problem(mine.post("/api/v2/companies", json=SAMPLES["companies"]()), 403)
    is_problem(mine.patch(f"/api/v2/users/{author['id']}", json={"role": "admin"}), 403)
    assert mine.patch(f"/api/v2/users/{author['id']}", json={"bio": "me"}).status_code == 200
    assert mine.get(f"/api/v2/users/{author['id']}").json()["data"]["email"] == author["email"]
    mine.patch(f"/api/v2/posts/{own['id']}", json={"status": "published"})
    seen = anonymous.get(f"/api/v2/users/{author['id']}").json()["data"]
    assert "email" not in seen and seen["display_name"] == NASTY
    is_problem(anonymous.post("/api/v2/posts", json={"title": "x", "status": "draft"}), 401)
    total = anonymous.get("/api/v2/posts").json()["meta"]["total"]
    assert total <= cms.get("/api/v2/posts").json()["meta"]["total"] - 1


@pytest.mark.parametrize("plural", ALL)
def test_R04_totals_are_exact_for_everybody(cms, anonymous, plural):
    for client in (cms, anonymous):
        first = client.get(f"/api/v2/{plural}?per_page=100&fields=id").json()
        seen = len(first["data"])
        url = first["links"]["next"]
        while url:
            page = client.get(url).json()
            seen += len(page["data"])
            url = page["links"]["next"]
        assert seen == client.get(f"/api/v2/{plural}?per_page=1").json()["meta"]["total"]
