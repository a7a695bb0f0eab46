"""Former states of rows over HTTP."""
from support.stack import unique


def test_R18_revisions_are_listed_compared_and_restored(cms, anonymous):
    for entity, more in (("posts", {}), ("pages", {}), ("events", {"starts_at": "2030-01-01T10:00:00Z"})):
        made = cms.make(f"/api/v2/{entity}", title=unique("one"), status="draft", **more)
        one = f"/api/v2/{entity}/{made['id']}"
        assert cms.get(f"{one}/revisions").json()["data"] == []
        assert cms.patch(one, json={"title": "Two"}).status_code == 200
        listed = cms.get(f"{one}/revisions")
        assert listed.json()["meta"]["total"] == 1 and listed.json()["data"][0]["changed"] == ["title"]
        read = cms.get(f"{one}/revisions/1", params={"against": "present"}).json()["data"]
        assert read["state"] == made
        assert read["diff"] == {"title": {"from": made["title"], "to": "Two"}}
        tag = listed.headers["ETag"]
        assert cms.get(f"{one}/revisions", headers={"If-None-Match": tag}).status_code == 304
        stale = cms.post(f"{one}/revisions/1/restore", headers={"If-Match": '"1.x"'})
        assert stale.status_code == 412
        back = cms.post(f"{one}/revisions/1/restore", headers={"If-Match": '"2.x"', "Idempotency-Key": unique("k")})
        assert back.status_code == 200 and back.json()["data"]["title"] == made["title"]
        assert back.json()["data"]["version"] == 3
        assert anonymous.get(f"{one}/revisions").status_code in (401, 404)
        assert cms.get(f"{one}/revisions/99").status_code == 404


def test_R18_others_have_no_revisions(cms):
    assert cms.get("/api/v2/companies/1/revisions").status_code == 404
