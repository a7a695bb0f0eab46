"""All rows that match, as files: Prefer: respond-async on a list, or POST …/export."""
import csv
import io
import json
import os
import signal

import lxml.etree
import pytest
import requests

from support.samples import SAMPLES
from support.stack import URL, unique, wait_for
from test_bulk import bulk
from test_operations import finished, pids_of_api
from test_rest import is_problem

ASYNC = {"Prefer": "respond-async"}
FORMS = ("application/json", "application/x-ndjson", "text/csv", "application/xml")


def export(client, plural, query="", accept="application/json"):
    answer = client.get(f"/api/v2/{plural}{query}", headers=ASYNC | {"Accept": accept})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Preference-Applied"] == "respond-async" and answer.headers["Cache-Control"] == "no-store"
    data = answer.json()["data"]
    assert answer.headers["Location"] == f"{URL}/api/v2/operations/{data['id']}"
    assert data["kind"] == "export" and data["resource"] == plural and data["progress"] == {"done": 0, "total": None}
    return answer.headers["Location"]


def done(client, location):
    data = finished(client, location, 90)
    assert data["status"] == "succeeded" and data["http_status"] == 200, data
    assert data["progress"]["done"] == data["result"]["rows"]
    return data["result"]


def ids_of(text, form):
    if form == "application/json":
        return [row["id"] for row in json.loads(text)["data"]]
    if form == "application/x-ndjson":
        return [json.loads(line)["id"] for line in text.splitlines()]
    if form == "text/csv":
        return [int(row["id"]) for row in csv.DictReader(io.StringIO(text, newline=""))]
    return [int(e.text) for e in lxml.etree.fromstring(text.encode()).findall("./data/*/id")]


def walked(client, plural, query):
    url, ids = f"{URL}/api/v2/{plural}?limit=100&fields=id&cursor=&{query}", []
    while url:
        page = client.get(url).json()
        ids += [row["id"] for row in page["data"]]
        url = page["links"]["next"]
    return ids


@pytest.mark.parametrize("form", FORMS)
def test_R20_an_export_has_what_the_list_has(cms, form):
    mark = unique("x")
    assert bulk(cms, "companies", [{"op": "create", "data": SAMPLES["companies"]() | {"industry": mark}} for _ in range(230)]).status_code == 200
    result = done(cms, export(cms, "companies", f"?filter[industry]={mark}&sort=-name", form))
    assert result["media_type"] == form and result["rows"] == 230 and len(result["parts"]) == 1
    answer = cms.get(result["parts"][0])
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(form)
    assert "attachment" in answer.headers["Content-Disposition"] and "Link" not in answer.headers
    assert ids_of(answer.text, form) == walked(cms, "companies", f"filter[industry]={mark}&sort=-name")
    if form == "application/json":
        one = answer.json()["data"][7]
        assert one == cms.get(f"/api/v2/companies/{one['id']}").json()["data"]
    if form == "application/xml":
        schema = lxml.etree.XMLSchema(lxml.etree.fromstring(cms.get("/schemas/v2.xsd").content))
        schema.assertValid(lxml.etree.fromstring(answer.content))
    again = cms.get(result["parts"][0], headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    none = done(cms, export(cms, "companies", f"?filter[industry]={unique()}", form))
    assert none["rows"] == 0 and ids_of(cms.get(none["parts"][0]).text, form) == []


def test_R20_what_cannot_be_exported_is_said_at_once(cms, anonymous):
    for query in ("?page=1", "?limit=5", "?cursor=", "?count=none", "?nosuch=1", "?filter[nosuch]=1", "?fields=nosuch"):
        is_problem(cms.get(f"/api/v2/posts{query}", headers=ASYNC), 400)
    is_problem(cms.get("/api/v2/posts?include=author", headers=ASYNC | {"Accept": "text/csv"}), 400)
    is_problem(cms.get("/api/v2/posts", headers=ASYNC | {"Accept": "application/ld+json"}), 406)
    assert anonymous.get("/api/v2/posts", headers=ASYNC).status_code == 200  # a preference is no demand
    is_problem(anonymous.post("/api/v2/posts/export"), 401)
    assert cms.get("/api/v1/posts", headers=ASYNC).status_code == 200
    assert cms.head("/api/v2/posts", headers=ASYNC).status_code == 200
    posted = cms.post("/api/v2/posts/export?filter[id]=1", headers={"Idempotency-Key": unique()})
    assert posted.status_code == 202 and done(cms, posted.headers["Location"])["rows"] in (0, 1)


def test_R20_an_export_is_of_what_its_owner_sees_and_his_alone(cms, anonymous, key):
    author = cms.make("/api/v2/users", **SAMPLES["users"]())
    own = cms.make("/api/v2/posts", **(SAMPLES["posts"]() | {"author": author["id"]}))["id"]
    secret = cms.make("/api/v2/posts", **SAMPLES["posts"]())["id"]
    client, stranger = key(["api:read"], user=author["id"]), key(["posts:read"])
    location = export(client, "posts", "?sort=id")
    result = done(client, location)
    ids = ids_of(client.get(result["parts"][0]).text, "application/json")
    assert own in ids and secret not in ids and ids == walked(client, "posts", "sort=id")
    people = done(client, export(client, "users", "?fields=id,email", "application/x-ndjson"))
    seen = [json.loads(line) for line in client.get(people["parts"][0]).text.splitlines()]
    assert [row["id"] for row in seen if "email" in row] == [author["id"]]
    for other in (cms, stranger):
        is_problem(other.get(location), 404)
        is_problem(other.get(result["parts"][0]), 404)
        is_problem(other.delete(location), 404)
    is_problem(anonymous.get(result["parts"][0]), 401)
    is_problem(client.get(result["parts"][0].replace("part=1", "part=2")), 404)
    assert client.delete(location).status_code == 204  # forgotten
    is_problem(client.get(location), 404)
    is_problem(client.get(result["parts"][0]), 404)


def test_R20_operations_can_be_cancelled(cms):
    places = [export(cms, "companies") for _ in range(6)]
    assert cms.delete(places[-1]).status_code == 204
    last = cms.get(places[-1])
    if last.status_code == 200:  # it was not done yet, so it is not done
        assert last.json()["data"]["status"] == "cancelled" and "Retry-After" not in last.headers
    else:
        is_problem(last, 404)
    is_problem(cms.get(places[-1] + "/result"), 404)
    for place in places[:-1]:
        done(cms, place)
    is_problem(cms.delete("/api/v2/operations/" + "0" * 36), 404)


def test_R20_a_large_export_comes_in_parts(cms):
    mark = unique("part")
    for _ in range(3):
        ops = [{"op": "create", "data": {"title": mark, "status": "draft", "language": "en", "content": "x" * 170_000, "tags": [mark]}}
               for _ in range(40)]
        assert bulk(cms, "posts", ops).status_code == 200
    result = done(cms, export(cms, "posts", f"?filter[tags][contains]={mark}&sort=id", "application/x-ndjson"))
    assert result["rows"] == 120 and len(result["parts"]) == 2
    ids, url = [], result["parts"][0]
    while url:
        answer = cms.get(url)
        ids += ids_of(answer.text, "application/x-ndjson")
        url = requests.utils.parse_header_links(answer.headers["Link"])[0]["url"] if "Link" in answer.headers else None
    assert ids == walked(cms, "posts", f"filter[tags][contains]={mark}&sort=id") and len(ids) == 120
    assert bulk(cms, "posts", {"ids": ids, "patch": {"content": None}}).status_code == 200


def test_R20_an_export_survives_kill_9_and_has_each_row_once(cms):
    mark = unique("xkill")
    for k in range(3):
        assert bulk(cms, "companies", [{"op": "create", "data": {"name": f"{mark} {k}-{i}", "industry": mark}} for i in range(1000)]).status_code == 200
    places = [export(cms, "companies", f"?filter[industry]={mark}&sort=id") for _ in range(4)]
    wait_for(lambda: any(cms.get(p).json()["data"]["progress"]["done"] for p in places), 20, "a start", every=0.002)
    for pid in pids_of_api():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: cms.get(places[0]).status_code == 200, 30, "the api to be back")
    expected = walked(cms, "companies", f"filter[industry]={mark}&sort=id")
    for place in places:
        assert ids_of(cms.get(done(cms, place)["parts"][0]).text, "application/json") == expected
