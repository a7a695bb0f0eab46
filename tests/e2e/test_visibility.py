"""Who sees what: every reader, every entity, every state, by every way that leads to a row (rulings of visibility)."""
import json

import pytest

from support.samples import SAMPLES
from support.stack import Client, unique, wait_for
from test_bulk import bulk

PUBLISHED, ACTIVE = ("posts", "pages", "events"), ("experts", "companies")
FUTURE = "2099-01-01T00:00:00Z"
STATES = {"draft": {"status": "draft"}, "scheduled": {"status": "scheduled", "published_at": FUTURE},
          "due": {"status": "published"}, "future": {"status": "published", "published_at": FUTURE},
          "archived": {"status": "archived"}, "deleted": {"status": "published"}, "purged": {"status": "published"}}
READERS = ("anonymous", "member", "author", "editor", "admin", "author_write", "member_write", "root")


class World:
    def __init__(self, root, key):
        self.rows, self.people, self.clients = [], {}, {"anonymous": Client(key=None), "root": root}
        for role in ("member", "author", "other", "editor", "admin"):
            real = {"other": "author"}.get(role, role)
            self.people[role] = root.make("/api/v2/users", **(SAMPLES["users"]() | {"role": real}))["id"]
            self.clients[role] = key(["api:read"], user=self.people[role])
            if role + "_write" in READERS:
                self.clients[role + "_write"] = key(["api:write"], user=self.people[role])
        for plural in PUBLISHED:
            for state, fields in STATES.items():
                for owner in ("author", "other"):
                    self.add(root, plural, state, SAMPLES[plural]() | {"author": self.people[owner]} | fields, self.people[owner])
        for plural in ACTIVE:
            for state in ("active", "inactive", "deleted", "purged"):
                status = "inactive" if state == "inactive" else "active"
                self.add(root, plural, state, SAMPLES[plural]() | {"status": status}, None)
        self.media(root)
        self.users(root)

    def add(self, root, plural, state, body, owner, seen=None):
        row = root.make(f"/api/v2/{plural}", **body)
        at = f"/api/v2/{plural}/{row['id']}"
        if plural in PUBLISHED:
            assert root.patch(at, json={"meta": {"n": 1}}).status_code == 200  # so that there is a revision
        if state in ("deleted", "purged"):
            assert root.delete(at + ("?purge=true" if state == "purged" else "")).status_code == 204
        self.rows.append({"plural": plural, "id": row["id"], "state": state, "owner": owner, "slug": row.get("slug"), "seen": seen})
        return row

    def media(self, root):
        for state, seen in (("unused", ()), ("in a draft", ("author",)), ("in a post", None), ("with an inactive", ())):
            body = SAMPLES["media"]()
            row = self.add(root, "media", state, body, None, seen)
            if state == "in a draft":
                root.make("/api/v2/posts", **(SAMPLES["posts"]() | {"author": self.people["author"], "featured_media": row["id"]}))
            elif state == "in a post":
                root.make("/api/v2/posts", **(SAMPLES["posts"]() | {"status": "published", "featured_media": row["id"]}))
            elif state == "with an inactive":
                root.make("/api/v2/companies", **(SAMPLES["companies"]() | {"status": "inactive", "logo": row["id"]}))

    def users(self, root):
        for state, seen in (("silent", ()), ("drafts only", ()), ("published", None), ("suspended", ())):
            row = self.add(root, "users", state, SAMPLES["users"](), None, seen)
            if state != "silent":
                status = "draft" if state == "drafts only" else "published"
                root.make("/api/v2/posts", **(SAMPLES["posts"]() | {"author": row["id"], "status": status}))
            if state == "suspended":
                assert root.patch(f"/api/v2/users/{row['id']}", json={"status": "suspended"}).status_code == 200

    def sees(self, reader, row):
        """The rule, said a second time and otherwise than in the code."""
        role = reader.removesuffix("_write")
        if row["state"] in ("deleted", "purged"):
            return False
        if role in ("editor", "admin", "root"):
            return True
        if row["plural"] in PUBLISHED:
            return row["state"] == "due" or (role in ("author", "other") and row["owner"] == self.people[role])
        if row["plural"] in ACTIVE:
            return row["state"] == "active"
        return row["seen"] is None or role in row["seen"]

    def drafts(self, reader, row):
        """Who sees drafts of the row sees its revisions."""
        role = reader.removesuffix("_write")
        own = role in ("author", "other") and row["owner"] == self.people[role]
        return row["state"] not in ("deleted", "purged") and (role in ("editor", "admin", "root") or own)


@pytest.fixture(scope="module")
def world():
    made = []
    with Client() as root:
        def key(scopes, user):
            def attempt():
                answer = root.post("/api/v2/auth/keys", json={"name": unique("key"), "scopes": scopes, "user": user})
                return answer if answer.status_code == 201 else None
            data = wait_for(attempt, 30, "auth to know the user").json()["data"]
            made.append(data["id"])
            return Client(key=data["key"])

        yield World(root, key)
        for key_id in made:
            root.delete(f"/api/v2/auth/keys/{key_id}")


def by_plural(world, reader):
    """plural -> (ids that the reader sees, ids that he does not)."""
    plurals = {}
    for row in world.rows:
        seen, hidden = plurals.setdefault(row["plural"], (set(), set()))
        (seen if world.sees(reader, row) else hidden).add(row["id"])
    return plurals


def shape(answer, ids):
    """What a refusal says, without what names the request."""
    body = json.dumps({k: v for k, v in answer.json().items() if k not in ("request_id", "instance")}) if answer.content else "{}"
    for i in sorted(filter(None, map(str, ids)), key=len, reverse=True):
        body = body.replace(i, "#")
    return answer.status_code, body


@pytest.mark.parametrize("reader", READERS)
def test_R04_R18_AU04_X07_a_row_is_there_or_not_by_every_way(world, reader):
    client, nobody = world.clients[reader], 987654321
    for row in world.rows:
        at, sees = f"/api/v2/{row['plural']}/{row['id']}", world.sees(reader, row)
        for path in (at, at.replace("/v2/", "/v1/"), f"/api/v2/{row['plural']}/slug:{row['slug']}"):
            if "slug:None" in path:
                continue
            answer = client.get(path)
            assert answer.status_code == (200 if sees else 404), (reader, row, path, answer.text)
            if not sees:  # not a word differs from what never was
                never = client.get(path.replace(str(row["id"]), str(nobody)) if "slug:" not in path else
                                   path.replace(row["slug"], "never-" + row["slug"]))
                names = [row["slug"] or "", "never-" + (row["slug"] or "")]
                assert shape(answer, [row["id"], nobody, *names]) == shape(never, [row["id"], nobody, *names][::-1]), (row, path)
        for accept in ("application/xml", "application/ld+json"):
            assert client.get(at, headers={"Accept": accept}).status_code == (200 if sees else 404), (reader, row)
        if row["plural"] in PUBLISHED and reader != "anonymous":
            for path in (f"{at}/revisions", f"{at}/revisions/1"):
                answer = client.get(path)
                assert answer.status_code == (200 if world.drafts(reader, row) else 404), (reader, row, path, answer.text)


@pytest.mark.parametrize("reader", READERS)
def test_R04_R06_R18_lists_counts_filters_and_feeds_leak_nothing(world, reader):
    client = world.clients[reader]
    for plural, (seen, hidden) in by_plural(world, reader).items():
        ids = ",".join(map(str, seen | hidden))
        path = f"/api/v2/{plural}"
        only = f"filter[id][in]={ids}"
        for version in ("v2", "v1"):
            answer = client.get(f"/api/{version}/{plural}?{only}&per_page=100")
            assert answer.status_code == 200, answer.text
            assert {r["id"] for r in answer.json()["data"]} == seen, (reader, plural)
            assert answer.json()["meta"]["total"] == len(seen), (reader, plural)
        for query in (f"{only}&sort=-id&limit=1", f"{only}&filter[or][0][id][gt]=0&filter[or][1][id][null]=true&limit=1"):
            assert client.get(f"{path}?{query}").json()["meta"]["total"] == len(seen), (reader, plural, query)
        walk, url = set(), f"{path}?{only}&limit=2&cursor="
        while url:
            page = client.get(url).json()
            walk |= {r["id"] for r in page["data"]}
            url = page["links"]["next"]
        assert walk == seen, (reader, plural)
        csv = client.get(f"{path}?{only}&fields=id&per_page=100", headers={"Accept": "text/csv"}).text
        assert {int(line) for line in csv.split("\r\n")[1:] if line} == seen
        feed, url = set(), f"{path}/changes?limit=100"
        gone = set()
        while url:
            page = client.get(url).json()
            feed |= {c["id"] for c in page["data"] if c["row"]}
            gone |= {c["id"] for c in page["data"] if not c["row"]}
            url = page["links"]["next"] if page["meta"]["more"] else None
        assert not feed & hidden, (reader, plural, feed & hidden)
        secret = {r["id"] for r in world.rows if r["plural"] == plural and not world.sees(reader, r) and r["state"] not in ("deleted", "purged", "suspended")}  # those were seen
        assert not gone & secret, (reader, plural, gone & secret)


@pytest.mark.parametrize("reader", READERS)
def test_R17_R06_nothing_is_seen_or_asked_through_a_relation(world, reader):
    client, root = world.clients[reader], world.clients["root"]
    seen, hidden = by_plural(world, reader)["posts"]
    people, strangers = by_plural(world, reader)["users"]
    media, unseen = by_plural(world, reader)["media"]
    for user in people | strangers:
        posts = root.get(f"/api/v2/posts?filter[author]={user}&fields=id").json()["data"]
        for post in posts:
            answer = client.get(f"/api/v2/posts/{post['id']}?include=author")
            if answer.status_code == 200:
                author = answer.json()["data"]["author"]
                assert (set(author) == {"id"}) == (user not in people), (reader, author)
        count = client.get(f"/api/v2/posts?filter[author.role]=author&filter[author.id]={user}")
        if reader in ("anonymous",):
            assert count.status_code == 400  # the role of people is not his to ask about
        probe = client.get(f"/api/v2/users?filter[posts][status]=draft&filter[id]={user}")
        if probe.status_code == 200 and reader in ("anonymous", "member", "author", "other"):
            assert probe.json()["meta"]["total"] == 0, (reader, user)
    for picture in unseen:
        for plural, name in (("posts", "featured_media"), ("companies", "logo")):
            rows = client.get(f"/api/v2/{plural}?filter[{name}.id]={picture}&include={name}").json()["data"]
            assert all(set(r[name]) == {"id"} for r in rows), (reader, picture)
            assert client.get(f"/api/v2/{plural}?filter[{name}.filename][contains]=file&filter[{name}.id]={picture}").json()["meta"]["total"] == 0
    for user in people:
        got = client.get(f"/api/v2/users/{user}?include=posts").json()["data"].get("posts", [])
        mine = {r["id"] for r in world.rows if r["plural"] == "posts" and world.sees(reader, r)}
        assert not {p["id"] for p in got} & hidden and {p["id"] for p in got} & seen <= mine


@pytest.mark.parametrize("reader", [r for r in READERS if r != "root"])
def test_AU04_X07_what_is_not_seen_cannot_be_changed_nor_probed(world, reader):
    """A write to a hidden row says what a write to nothing says; to a row that is seen, that it is not allowed."""
    client, nobody = world.clients[reader], 987654321
    writes = reader.endswith("_write")
    for row in world.rows:
        if world.sees(reader, row):
            continue
        at, never = f"/api/v2/{row['plural']}/{row['id']}", f"/api/v2/{row['plural']}/{nobody}"
        for method, tail in (("PATCH", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/restore")):
            if tail and row["state"] == "deleted":
                continue  # its owner may take a deletion back
            body = {"meta": {}} if method == "PATCH" else SAMPLES[row["plural"]]() if method == "PUT" else None
            answers = [client.request(method, p + tail, json=body) for p in (at, never)]
            one, other = (shape(a, [row["id"], nobody]) for a in answers)
            assert one == other and one[0] >= 400, (reader, row, method, one, other)
        if writes:
            result = bulk(client, row["plural"], [{"op": "update", "id": i, "data": {}} for i in (row["id"], nobody)], query={"atomic": "false"})
            statuses = {r["status"] for r in result.json()["data"]} if result.status_code < 400 else {result.status_code}
            assert len(statuses) == 1 and statuses <= {403, 404}, (reader, row, result.text)
            none = bulk(client, row["plural"], {"filter": {"id": row["id"]}, "patch": {"meta": {}}}, query={"dry_run": "true"})
            assert none.status_code in (403,) or none.json()["data"] == [], (reader, row, none.text)


def test_AU04_X07_ones_own_row_refers_only_to_what_one_sees(cms, key):
    """A picture is seen by who sees a row with it: an author's own draft must not be the way to everybody's pictures, nor tell
    what is there but hidden from what is not."""
    me = cms.make("/api/v2/users", **SAMPLES["users"]())["id"]
    author = key(["api:read", "api:write", "users:write"], user=me)
    hidden = cms.make("/api/v2/media", filename="secret.png", mime_type="image/png")["id"]
    shown, other = (cms.make("/api/v2/media", filename="a.png", mime_type="image/png")["id"] for _ in range(2))
    cms.make("/api/v2/posts", title="x", status="published", featured_media=shown)
    own = author.make("/api/v2/media", filename="own.png", mime_type="image/png")["id"]
    page = cms.make("/api/v2/pages", title="draft", status="draft")["id"]
    away = cms.make("/api/v2/experts", name="x", status="inactive")["id"]
    there = cms.make("/api/v2/experts", name="x", status="active")["id"]
    event = SAMPLES["events"]() | {"status": "draft"}
    rows = [("/api/v2/posts", {"title": "x", "status": "draft"}, "featured_media", (hidden, 999999999), (shown, own)),
            ("/api/v2/pages", {"title": "x", "status": "draft"}, "parent", (page, 999999999), ()),
            ("/api/v2/events", event, "speakers", ([there, away], [999999999]), ([there],)),
            ("/api/v2/events", event, "image", (other,), (own,))]
    for path, body, field, refused, taken in rows:
        made = author.make(path, **(body | ({"slug": unique()} if "slug" in body else {})))
        for value in refused:
            fresh = body | ({"slug": unique()} if "slug" in body else {}) | {field: value}
            for answer in (author.post(path, json=fresh), author.patch(f"{path}/{made['id']}", json={field: value}), author.put(f"{path}/{made['id']}", json=fresh),
                           author.patch(path, json=[{"op": "create", "data": fresh}]), author.patch(path, json={"ids": [made["id"]], "patch": {field: value}})):
                assert answer.status_code == 422, (path, field, value, answer.text)
                assert any(f"/{field}" in e["pointer"] for e in answer.json()["errors"]), answer.text
        for value in taken:
            answer = author.patch(f"{path}/{made['id']}", json={field: value})
            assert answer.status_code == 200, (path, field, value, answer.text)
        if field == "featured_media":  # what an editor put there stays, and may be sent back
            assert cms.patch(f"{path}/{made['id']}", json={field: hidden}).status_code == 200
            assert author.patch(f"{path}/{made['id']}", json={field: hidden, "title": "y"}).status_code == 200
    assert author.get(f"/api/v2/media/{own}").status_code == 200
    assert author.patch(f"/api/v2/users/{me}", json={"avatar": hidden}).status_code == 200, "it is seen by the draft that the editor gave it to"
    assert author.patch(f"/api/v2/users/{me}", json={"avatar": other}).status_code == 422
    assert author.get(f"/api/v2/media/{other}").status_code == 404
