"""The feed of changes over HTTP."""
import subprocess

from support.samples import SAMPLES
from support.stack import ROOT, unique, wait_for


def the_feed():
    """What a feed that does not come waits for: transactions that are under way hold its horizon."""
    under_way = ("select pid, application_name, state, wait_event, xact_start, clock_timestamp(), left(query, 300) from pg_stat_activity "
                 "where xact_start is not null and datname = current_database()")
    done = subprocess.run(["./dev", "psql", "-Atc", under_way], cwd=ROOT, text=True, capture_output=True)
    return "the feed; under way:\n" + done.stdout + done.stderr


def follow(cms, url, copy, plural="companies"):
    """Reads on to the end; where to go on from."""
    while True:
        answer = cms.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        for change in page["data"]:
            if change["deleted_at"]:
                copy.pop(change["id"], None)
            else:
                copy[change["id"]] = change["row"]
        assert f"<{page['links']['next']}>" in answer.headers["Link"]
        url = f"/api/v2/{plural}/changes?since={page['meta']['next_cursor']}"
        if not page["meta"]["more"]:
            return url


def test_R18_a_copy_follows(cms, anonymous):
    copy, url = {}, follow(cms, "/api/v2/companies/changes?limit=50", {})
    kept, gone, purged = (cms.make("/api/v2/companies", name=unique("c"))["id"] for _ in range(3))

    def until(holds):
        def look():
            nonlocal url
            url = follow(cms, url, copy)
            return holds()
        wait_for(look, what=the_feed)

    until(lambda: {kept, gone, purged} <= copy.keys())
    assert cms.delete(f"/api/v2/companies/{gone}").status_code == 204
    assert cms.delete(f"/api/v2/companies/{purged}?purge=true").status_code == 204
    assert cms.patch(f"/api/v2/companies/{kept}", json={"city": "Ulm"}).status_code == 200
    until(lambda: copy[kept]["city"] == "Ulm" and not {gone, purged} & copy.keys())
    assert copy[kept] == cms.get(f"/api/v2/companies/{kept}").json()["data"]
    for plural in ("posts", "pages", "users", "media", "experts", "events"):
        answer = cms.get(f"/api/v2/{plural}/changes?limit=1")
        assert answer.status_code == 200, answer.text
    assert cms.get("/api/v2/companies/changes?since=x").status_code == 400
    place = anonymous.get("/api/v2/companies/changes?limit=1").json()["meta"]["next_cursor"]
    assert cms.get("/api/v2/companies/changes", params={"since": place}).status_code == 410


def test_R18_what_is_seen_no_more_is_gone_from_a_readers_copy(cms, anonymous):
    start = anonymous.get("/api/v2/posts/changes?updated_since=2999-01-01T00:00:00Z").json()["meta"]["next_cursor"]
    assert start
    picture = cms.make("/api/v2/media", **SAMPLES["media"]())["id"]
    secret = cms.make("/api/v2/posts", **SAMPLES["posts"]())["id"]
    shown = cms.make("/api/v2/posts", **(SAMPLES["posts"]() | {"status": "published", "featured_media": picture}))["id"]
    posts, media, at = {}, {}, {}

    def until(holds):
        def look():
            for plural, copy in (("posts", posts), ("media", media)):
                at[plural] = follow(anonymous, at.get(plural, f"/api/v2/{plural}/changes?limit=100"), copy, plural)
            return holds()
        wait_for(look, what=the_feed)

    until(lambda: shown in posts and picture in media)
    assert posts[shown] == anonymous.get(f"/api/v2/posts/{shown}").json()["data"] and secret not in posts
    assert cms.patch(f"/api/v2/posts/{shown}", json={"status": "draft"}).status_code == 200
    until(lambda: shown not in posts and picture not in media)
    assert cms.patch(f"/api/v2/posts/{shown}", json={"status": "published"}).status_code == 200
    until(lambda: shown in posts and picture in media)
    assert cms.delete(f"/api/v2/posts/{shown}?purge=true").status_code == 204
    until(lambda: shown not in posts and picture not in media)
    gone = anonymous.get("/api/v2/posts/changes?deleted_since=2020-01-01T00:00:00Z&limit=100").json()["data"]
    assert all(c["row"] is None for c in gone) and secret not in [c["id"] for c in gone]
