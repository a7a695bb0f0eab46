"""The feed of changes over HTTP."""
from support.stack import unique, wait_for


def follow(cms, url, copy):
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
        url = f"/api/v2/companies/changes?since={page['meta']['next_cursor']}"
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
        wait_for(look, what="the feed")

    until(lambda: {kept, gone, purged} <= copy.keys())
    assert cms.delete(f"/api/v2/companies/{gone}").status_code == 204
    assert cms.delete(f"/api/v2/companies/{purged}?purge=true").status_code == 204
    assert cms.patch(f"/api/v2/companies/{kept}", json={"city": "Ulm"}).status_code == 200
    until(lambda: copy[kept]["city"] == "Ulm" and not {gone, purged} & copy.keys())
    assert copy[kept] == cms.get(f"/api/v2/companies/{kept}").json()["data"]
    for plural in ("posts", "pages", "users", "media", "experts", "events"):
        answer = cms.get(f"/api/v2/{plural}/changes?limit=1")
        assert answer.status_code == 200, answer.text
    assert anonymous.get("/api/v2/companies/changes").status_code in (401, 403)
    assert cms.get("/api/v2/companies/changes?since=x").status_code == 400
