"""Sandbox keys: what they read and write is a copy of their own, whatever the way in, and goes with them."""
import json

import psycopg
import pytest

from support import stack

KEYS = "/api/v2/auth/sandbox-keys"
POSTS = "/api/v2/posts"
READS = ["", "/slug:{slug}", "/{id}", "/{id}/revisions"]


def sandbox(client):
    """A client with a new sandbox key of the person behind `client`."""
    made = client.post(KEYS)
    assert made.status_code == 201, made.text
    data = made.json()["data"]
    box = stack.Client(key=data["key"])
    box.key_id = data["id"]
    return box


@pytest.fixture
def box(cms):
    with sandbox(cms) as client:
        yield client
        cms.delete(f"/api/v2/auth/keys/{client.key_id}")


def boxes():
    """The schemas in the sandboxes' database."""
    url = stack.SETTINGS["CMS365_TEST_ADMIN_DATABASE_URL"].rsplit("/", 1)[0] + "/cms365_sandbox"
    with psycopg.connect(url, autocommit=True) as db:
        return {row[0] for row in db.execute("select nspname from pg_namespace where nspname like 'box\\_%'")}


def test_D07_a_sandbox_has_a_few_rows_and_the_person(cms, box):
    posts = box.get(POSTS, params={"sort": "id"}).json()
    assert posts["meta"]["total"] == len(posts["data"]) == 3
    me = cms.get(f"/api/v2/auth/keys/{box.key_id}").json()["data"]
    assert me["sandbox"] is True and me["prefix"].startswith("365k_sandbox_") and me["expires_at"]
    assert {p["author"]["id"] for p in posts["data"]} == {me["user"]["id"]}
    for plural in ("pages", "experts", "companies", "events"):
        assert box.get(f"/api/v2/{plural}").json()["meta"]["total"] == 1, plural
    assert box.get("/api/v2/experts/1", params={"include": "company"}).json()["data"]["company"]["name"] == "Muster GmbH"


def test_D07_nobody_sees_what_is_written_in_a_sandbox(cms, box, anonymous, receiver, endpoint, key):
    hook = receiver()
    endpoint(hook.url, ["post.*"])
    word = stack.unique("secret")
    made = box.make(POSTS, title=word, slug=word, status="published", content=f"<p>{word}</p>", tags=[word])
    box.patch(f"{POSTS}/{made['id']}", json={"excerpt": word})
    assert box.get(f"{POSTS}/slug:{word}").json()["data"]["id"] == made["id"]
    other = key(["posts:read"])
    for reader in (cms, anonymous, other):
        for query in ({"filter[title]": word}, {"filter[tags][contains]": word}, {"filter[content][fts]": word}):
            found = reader.get(POSTS, params=query).json()
            assert found["data"] == [] and found["meta"]["total"] == 0, query
        assert reader.get(f"{POSTS}/slug:{word}").status_code == 404
        assert word not in reader.get(f"{POSTS}/changes", params={"limit": 100, "updated_since": made["updated_at"]}).text
        assert word not in reader.get(f"/api/v1/posts?filter[title]={word}").json()["data"]
    # An event outside, later than those of the sandbox: theirs would have come before it.
    title = stack.unique("outside")
    outside = cms.make(POSTS, title=title, status="published")
    stack.wait_for(lambda: hook.of("post.published", outside["id"]), what="the delivery of the other post")
    assert not [e for e in hook.events() if word in json.dumps(e)]
    assert not [m for _, m in stack.kafka_messages("content.events") if word in json.dumps(m)]
    assert box.get(POSTS, params={"filter[title]": title}).json()["meta"]["total"] == 0


def test_D07_the_other_way_round_a_sandbox_sees_nothing_of_outside(cms, box):
    outside = cms.make(POSTS, title=stack.unique("real"), slug=stack.unique("real"), status="published")
    cms.get(f"{POSTS}/{outside['id']}")  # it may be kept in memory
    for path in READS:
        url = POSTS + path.format(**outside)
        answer = box.get(url)
        assert outside["title"] not in answer.text, url
        assert "Cache-Status" not in answer.headers
    # The same address means another row: neither tags nor lengths nor totals of one are the other's.
    first = box.get(f"{POSTS}/1", headers={"Accept-Encoding": "gzip"})
    assert first.json()["data"]["title"] == "Hello, sandbox"
    total = box.get(POSTS, params={"filter[status]": "published", "filter[tags][contains]": "tea"}).json()["meta"]["total"]
    assert total == 1
    assert cms.patch(f"{POSTS}/{outside['id']}", json={"title": "still mine"}).status_code == 200
    assert box.delete(f"{POSTS}/1").status_code == 204
    assert cms.get(f"{POSTS}/{outside['id']}").status_code == 200


def test_D07_two_sandboxes_are_two(cms, box):
    user = cms.make("/api/v2/users", username=stack.unique("m"), email=f"{stack.unique('m')}@example.com", role="member")
    made = stack.wait_for(lambda: (r := cms.post("/api/v2/auth/keys", json={"name": "m", "scopes": ["keys:write"], "user": user["id"]})).status_code == 201 and r,
                          what="auth to know the person")
    with stack.Client(key=made.json()["data"]["key"]) as member, sandbox(member) as second:
        word = stack.unique("mine")
        # A member edits in a sandbox; the same slug is free in each.
        assert second.post(POSTS, json={"title": word, "slug": word, "status": "draft"}).status_code == 201
        assert box.post(POSTS, json={"title": word, "slug": word, "status": "draft"}).status_code == 201
        assert box.get(POSTS).json()["meta"]["total"] == 4
        cms.delete(f"/api/v2/auth/keys/{second.key_id}")


def test_D07_a_sandbox_key_opens_content_only(cms, box):
    assert box.get("/api/v2/webhooks/endpoints").status_code == 403
    assert box.get("/api/v2/auth/keys").status_code == 403
    assert box.post(KEYS).status_code == 403
    assert box.post("/api/v2/users", json={"username": "x", "email": "x@example.com"}).status_code == 403
    for path in ("/api/v2/auth/session", "/api/v2/auth/totp", "/api/v2/auth/sessions"):
        assert box.get(path).status_code in (401, 403), path
    assert box.put("/api/v2/auth/password", json={"current": "x", "new": "y"}).status_code in (401, 403)
    later = box.patch(POSTS, json=[{"op": "create", "data": {"title": "later", "status": "draft"}}], headers={"Prefer": "respond-async"})
    assert later.status_code == 403 and "respond-async" in later.json()["detail"]
    assert box.post(f"{POSTS}/export").status_code == 403
    for change in (cms.patch(f"/api/v2/auth/keys/{box.key_id}", json={"expires_at": None}),
                   cms.patch(f"/api/v2/auth/keys/{box.key_id}", json={"rate_limit": 1000000}),
                   cms.post(f"/api/v2/auth/keys/{box.key_id}/rotate", json={"overlap_seconds": 0})):
        assert change.status_code == 409, change.text


def test_D07_a_full_sandbox_takes_no_more_and_gives_room_again(box):
    rows = [{"op": "create", "data": {"title": f"Row {i}", "status": "draft"}} for i in range(200)]
    assert box.patch(POSTS, json=rows).status_code == 200
    full = box.post(POSTS, json={"title": "one too many", "status": "draft"})
    assert full.status_code == 403 and "full" in full.json()["detail"]
    first = box.get(POSTS, params={"per_page": 20, "fields": "id"}).json()["data"]
    for row in first:
        assert box.delete(f"{POSTS}/{row['id']}").status_code == 204
    assert box.post(POSTS, json={"title": "again", "status": "draft"}).status_code == 201


def test_D07_the_data_goes_with_the_key_and_a_new_key_ends_the_one_before(cms):
    with sandbox(cms) as old:
        assert old.get(POSTS).status_code == 200
        assert f"box_{old.key_id}" in boxes()
        with sandbox(cms) as new:
            stack.wait_for(lambda: old.get(POSTS).status_code == 401, what="the former key is refused")
            assert new.get(POSTS).json()["meta"]["total"] == 3
            stack.wait_for(lambda: f"box_{old.key_id}" not in boxes(), 60, "the former sandbox is dropped")
            cms.delete(f"/api/v2/auth/keys/{new.key_id}")


def test_D07_the_role_of_sandboxes_cannot_enter_the_platforms_database():
    url = stack.SETTINGS["CMS365_TEST_ADMIN_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as db:
        assert db.execute("select has_database_privilege('cms365_sandbox', 'cms365', 'CONNECT')").fetchone()[0] is False
        assert db.execute("select rolsuper or rolcreatedb or rolcreaterole from pg_roles where rolname = 'cms365_sandbox'").fetchone()[0] is False
