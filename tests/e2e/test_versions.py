"""Versions of the API: the frozen first one, which of them a request is for, and what is deprecated."""
import datetime
import email.utils
import json
import pathlib
import re

import pytest

from support.samples import SAMPLES, title_field
from support.stack import ROOT, URL, Client, unique

ALL = sorted(SAMPLES)
PAGE = f"{URL}/deprecations/v1"
DOCUMENT = json.loads((pathlib.Path(ROOT) / "docs/api/openapi.json").read_text())


def is_plain_error(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message"}, body
    assert body["error"]["code"] == code and body["error"]["message"]
    says_goodbye(answer)
    return body["error"]["message"]


def links_of(answer):
    return {rel: url for url, rel in re.findall(r'<([^>]*)>; rel="([^"]*)"', answer.headers.get("Link", ""))}


def says_goodbye(answer):
    """RFC 9745 (a Date of structured fields), RFC 8594 (an HTTP-date, not before it), RFC 8288 links."""
    since = re.fullmatch(r"@(\d+)", answer.headers["Deprecation"])
    sunset = email.utils.parsedate_to_datetime(answer.headers["Sunset"])
    assert datetime.datetime.fromtimestamp(int(since[1]), datetime.UTC) == datetime.datetime(2026, 2, 19, tzinfo=datetime.UTC)
    assert sunset == datetime.datetime(2027, 12, 31, tzinfo=datetime.UTC)
    links = links_of(answer)
    assert links["deprecation"] == links["sunset"] == PAGE
    return links


@pytest.mark.parametrize("plural", ALL)
def test_R01_v1_has_the_same_rows_and_paths(cms, plural):
    path = f"/api/v1/{plural}"
    made = cms.post(path, json=SAMPLES[plural]())
    assert made.status_code == 201, made.text
    row = made.json()["data"]
    one = f"{path}/{row['id']}"
    assert made.headers["Location"] == URL + one and set(made.json()) == {"data"}
    assert cms.get(one).json() == cms.get(f"/api/v2/{plural}/{row['id']}").json() == {"data": row}
    title = title_field(plural)
    changed = cms.patch(one, json={title: "second"}, headers={"Prefer": "return=minimal"})
    assert changed.status_code == 200 and changed.json()["data"][title] == "second"  # v1 knows no preferences
    put = cms.put(one, json=SAMPLES[plural]() | {title: "third"})
    assert put.status_code == 200, put.text
    if "slug" in put.json()["data"]:
        slug = put.json()["data"]["slug"]
        assert cms.get(f"{path}/slug:{slug}").json() == put.json()
        again = cms.put(f"{path}/slug:{slug}", json=SAMPLES[plural]() | {"slug": slug})
        assert again.status_code == 200, again.text
    assert cms.delete(one).status_code == 204
    is_plain_error(cms.get(one), 404, "not_found")
    back = cms.post(f"{one}/restore")
    assert back.status_code == 200 and cms.get(one).json() == back.json()
    assert cms.delete(f"{one}?purge=true").status_code == 204
    for answer in (made, changed, put, back):
        says_goodbye(answer)


@pytest.mark.parametrize("plural", ALL)
def test_R01_v1_pages_by_page_and_per_page_only(cms, plural):
    for _ in range(2):
        cms.make(f"/api/v1/{plural}", **SAMPLES[plural]())
    answer = cms.get(f"/api/v1/{plural}?per_page=1&page=2&fields=id")
    body = answer.json()
    assert answer.status_code == 200 and set(body) == {"data", "meta", "links"}
    assert set(body["meta"]) == {"total", "page", "per_page"} and len(body["data"]) == 1
    assert set(body["links"]) == {"self", "next", "prev", "first", "last"}
    for name, url in body["links"].items():
        assert url is None or url.startswith(f"{URL}/api/v1/{plural}?"), (name, url)
    told = says_goodbye(answer)
    assert told["prev"] == body["links"]["prev"] and told["successor-version"] == f"{URL}/api/v2/{plural}"
    assert cms.get(told["prev"]).status_code == 200
    for query in ("limit=1", "offset=1", "cursor=", "count=none", "envelope=false", "updated_since=2026-01-01T00:00:00Z"):
        is_plain_error(cms.get(f"/api/v1/{plural}?{query}"), 400, "invalid_parameter")
    for kind in ("application/xml", "application/ld+json", "text/csv", "application/problem+xml"):
        is_plain_error(cms.get(f"/api/v1/{plural}", headers={"Accept": kind}), 406, "not_acceptable")


def test_R01_v1_says_errors_plainly(cms, anonymous, key):
    post = cms.make("/api/v1/posts", **SAMPLES["posts"]())
    one, reader = f"/api/v1/posts/{post['id']}", key(["posts:read"])
    assert "title" in is_plain_error(cms.post("/api/v1/posts", json={}), 422, "validation")
    is_plain_error(cms.post("/api/v1/posts", data="{", headers={"Content-Type": "application/json"}), 400, "invalid_json")
    is_plain_error(cms.post("/api/v1/posts", data="x", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    patch = {"Content-Type": "application/json-patch+json"}
    is_plain_error(cms.patch(one, data="[]", headers=patch), 415, "unsupported_media_type")
    is_plain_error(anonymous.post("/api/v1/posts", json={}), 401, "unauthorized")
    is_plain_error(reader.delete(one), 403, "insufficient_scope")
    is_plain_error(cms.patch("/api/v1/posts", json=[]), 405, "method_not_allowed")  # bulks came with version 2
    is_plain_error(cms.patch(one, json={}, headers={"If-Match": '"99.x"'}), 412, "precondition_failed")
    is_plain_error(cms.post("/api/v1/posts", data=b'{"content":"' + b"x" * 2_000_000 + b'"}',
                            headers={"Content-Type": "application/json"}), 413, "too_large")
    is_plain_error(cms.get("/api/v1/nothing"), 404, "not_found")
    is_plain_error(cms.get(f"{one}/revisions"), 404, "not_found")
    assert cms.options(one).headers["Accept-Patch"] == "application/merge-patch+json, application/json"
    says_goodbye(cms.options(one))
    head = cms.head(one, headers={"Accept-Encoding": "identity"})
    assert head.status_code == 200 and says_goodbye(head)["successor-version"] == f"{URL}/api/v2/posts/{post['id']}"


def test_R01_the_media_type_chooses_the_version(cms, anonymous):
    post = cms.make("/api/v2/posts", **(SAMPLES["posts"]() | {"status": "published"}))
    for client in (cms, anonymous):
        for version, accept in ((2, None), (2, "application/json"), (2, "application/json;version=2"), (1, "application/json;version=1"),
                                (1, 'application/json; version="1"'), (1, "application/json;version=2;q=0.5, application/json;version=1"),
                                (2, "text/html, */*;q=0.8"), (1, "*/*;version=1")):
            answer = client.get(f"/api/posts/{post['id']}", headers={"Accept": accept})
            assert answer.status_code == 200, (accept, answer.text)
            where = f"/api/v{version}/posts/{post['id']}"
            assert answer.headers["Content-Location"] == URL + where and "Accept" in answer.headers["Vary"]
            assert ("Deprecation" in answer.headers) == (version == 1)
            assert answer.json() == client.get(where).json()
    listed = {v: cms.get("/api/posts?per_page=1", headers={"Accept": f"application/json;version={v}"}) for v in (1, 2)}
    for version, answer in listed.items():
        assert answer.headers["Content-Location"] == f"{URL}/api/v{version}/posts?per_page=1"
        assert answer.json()["links"]["self"].startswith(f"{URL}/api/v{version}/posts?")
    assert listed[1].headers["ETag"] != listed[2].headers["ETag"]
    made = cms.post("/api/posts", json=SAMPLES["posts"](), headers={"Accept": "application/json;version=1"})
    assert made.status_code == 201 and made.headers["Location"].startswith(f"{URL}/api/v1/posts/")
    is_plain_error(cms.post("/api/posts", json={}, headers={"Accept": "application/json;version=1"}), 422, "validation")


def test_R01_an_unknown_version_is_a_problem(cms):
    def is_problem(answer, status):
        assert answer.status_code == status and answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status and "Deprecation" not in answer.headers

    for path in ("/api/v3/posts", "/api/v0/posts", "/api/v22/posts", "/api/v2x/posts", "/api/nothing"):
        is_problem(cms.get(path), 404)
    for version in ("3", "0", "x", "1.0", "99999999999"):
        is_problem(cms.get("/api/posts", headers={"Accept": f"application/json;version={version}"}), 406)
        is_problem(cms.get("/api/v2/posts", headers={"Accept": f"application/json;version={version}"}), 406)
    is_problem(cms.get("/api/v2/posts", headers={"Accept": "application/json;version=1"}), 406)
    is_plain_error(cms.get("/api/v1/posts", headers={"Accept": "application/json;version=2"}), 406, "not_acceptable")
    count = cms.get("/api/v2/companies?per_page=1").json()["meta"]["total"]
    is_problem(cms.post("/api/companies", json={"name": unique()}, headers={"Accept": "application/json;version=3"}), 406)
    assert cms.get("/api/v2/companies?per_page=1").json()["meta"]["total"] == count


def test_R22_the_deprecation_link_leads_to_a_page(cms, anonymous):
    link = links_of(anonymous.get("/api/v1/posts"))["deprecation"]
    page = anonymous.get(link, headers={"Accept": "text/html"})
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "2027-12-31" in page.text and "/api/v2" in page.text
    data = anonymous.get(link, headers={"Accept": "application/json"}).json()["data"]
    assert data["deprecated_at"] == "2026-02-19T00:00:00.000000Z" and data["sunset_at"] == "2027-12-31T00:00:00.000000Z"
    assert anonymous.get("/deprecations/v2").status_code == 404
    assert anonymous.get(link, headers={"Accept": "image/png"}).status_code == 406
    assert "Deprecation" not in cms.get("/api/v2/posts").headers
    successor = links_of(anonymous.get("/api/v1/posts"))["successor-version"]
    assert anonymous.get(successor).status_code == 200


def test_R22_the_document_marks_what_is_deprecated():
    for path, item in DOCUMENT["paths"].items():
        for verb, op in item.items():
            old = path.startswith("/api/v1/")
            assert op.get("deprecated", False) == old, (verb, path)
            for status, answer in op["responses"].items():
                if status.startswith("2"):
                    assert ("Sunset" in answer.get("headers", {})) == old, (verb, path, status)
