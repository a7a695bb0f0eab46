"""What a resource says about itself: OPTIONS, …/schema, and the pages behind problem types and gateway errors."""
import json
import pathlib
import re

import jsonschema
import pytest

from support.samples import SAMPLES
from support.stack import ROOT, URL

DOCUMENT = json.loads((pathlib.Path(ROOT) / "docs/api/openapi.json").read_text())
SCHEMAS = sorted(p for p in DOCUMENT["paths"] if p.endswith("/schema"))
LISTS = [p.removesuffix("/schema") for p in SCHEMAS]


def local(schema):
    return json.loads(json.dumps(schema).replace("#/components/schemas/", "#/$defs/"))


@pytest.mark.parametrize("path", LISTS)
def test_R19_the_schema_is_what_the_document_says(anonymous, path):
    answer = anonymous.get(f"{path}/schema")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/schema+json"
    schema = answer.json()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{URL}{path}/schema" and schema["$schema"] == DOCUMENT["jsonSchemaDialect"]
    for name, part in schema["$defs"].items():
        if name in DOCUMENT["components"]["schemas"]:  # what no operation takes is not in the document
            assert part == local(DOCUMENT["components"]["schemas"][name]), name
    listed = DOCUMENT["paths"][path]["get"]
    item = listed["responses"]["200"]["content"]["application/json"]["schema"]
    item = item.get("anyOf", [item])[0]["properties"]["data"]["items"]
    assert local(item) == {"$ref": schema["$ref"]}
    assert schema["x-query"] == listed["x-query"] and schema["x-body-bytes-max"] > 0
    again = anonymous.get(f"{path}/schema", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("plural", sorted(SAMPLES))
def test_R19_the_schema_is_kept(cms, plural):
    """All that it lists is taken, what it leaves out is refused, and its limits are where they are."""
    path = f"/api/v2/{plural}"
    schema = cms.get(f"{path}/schema").json()
    query, limits, fields = schema["x-query"], schema["x-query"]["limits"], schema["$defs"][schema["$ref"].split("/")[-1]]["properties"]
    row = cms.make(path, **SAMPLES[plural]())
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(row)
    value = {"integer": "1", "string": "x", "boolean": "true", "array": "x"}

    def sample(name, op):
        kind = fields[name].get("type", "object")
        kind = kind[0] if isinstance(kind, list) else kind
        one = fields[name]["enum"][0] if "enum" in fields[name] else "2026-01-01T00:00:00Z" if fields[name].get("format") == "date-time" else \
            "1" if "anyOf" in fields[name] or "$ref" in fields[name] or "$ref" in fields[name].get("items", {}) else value.get(kind, "1")
        return "true" if op == "null" else f"{one},{one}" if op == "between" else one

    for name, ops in query["filter"].items():
        for op in ops:
            answer = cms.get(path, params={f"filter[{name}][{op}]": sample(name, op), "count": "none", "limit": 1})
            assert answer.status_code == 200, (name, op, answer.text)
        assert cms.get(path, params={f"filter[{name}][nosuch]": "1"}).status_code == 400
    for name in fields:
        if name not in query["filter"] and name not in query["include"]:
            assert cms.get(path, params={f"filter[{name}]": "1"}).status_code == 400, name
        assert cms.get(path, params={"sort": f"-{name}", "limit": 1}).status_code == (200 if name in query["sort"] else 400), name
    for name in query["include"]:
        assert cms.get(path, params={"include": name, "limit": 1}).status_code == 200, name
    for query_string in (f"per_page={limits['per_page_max']}", f"limit=1&offset={limits['offset_max']}"):
        assert cms.get(f"{path}?{query_string}").status_code == 200
    for query_string in (f"per_page={limits['per_page_max'] + 1}", f"limit=1&offset={limits['offset_max'] + 1}",
                         "filter[id][in]=" + ",".join(["1"] * (limits["filter_values_max"] + 1)),
                         "&".join(f"filter[and][{i}][id]=1" for i in range(limits["filter_group_max"] + 1))):
        assert cms.get(f"{path}?{query_string}").status_code == 400, query_string
    assert len(cms.get(path).json()["data"]) <= limits["per_page_default"]
    cms.delete(f"{path}/{row['id']}?purge=true")


@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"]))
def test_R19_options_tell_what_the_document_says(anonymous, path):
    item = DOCUMENT["paths"][path]
    verbs = {v.upper() for v in item} | {"OPTIONS"} | ({"HEAD"} if "get" in item else set())
    answer = anonymous.options(re.sub(r"\{\w+\}", "7", path))
    if "options" in item:  # a route that answers itself (RFC 8484 handshakes and the like)
        return
    assert answer.status_code == 204 and not answer.content
    assert set(answer.headers["Allow"].split(", ")) == verbs
    for verb, header in (("patch", "Accept-Patch"), ("post", "Accept-Post")):
        taken = set(item.get(verb, {}).get("requestBody", {}).get("content", {}))
        if path.startswith("/api/v"):
            told = answer.headers.get(header)
            assert {t for t in (told or "").split(", ") if t} == taken, (header, told, taken)
    collection = next((p for p in LISTS if path == p or path.startswith(p + "/{")), None)
    if collection and path in (collection, collection + "/{id}"):
        assert f"<{URL}{collection}/schema>; rel=\"describedby\"" in answer.headers["Link"]


@pytest.mark.parametrize("code", DOCUMENT["components"]["schemas"]["Problem"]["x-codes"])
def test_X01_problem_types_resolve(anonymous, code):
    for accept, kind in (("text/html", "text/html"), ("application/json", "application/json"), (None, "application/json")):
        answer = anonymous.get(f"/problems/{code}", headers={"Accept": accept})
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(kind)
    data = anonymous.get(f"/problems/{code}").json()["data"]
    assert data["code"] == code and len(data["doc"]) > 20 and data["doc"] in anonymous.get(
        f"/problems/{code}", headers={"Accept": "text/html"}).text


@pytest.mark.parametrize("verb, path, body, status, code", [
    ("POST", "/api/v2/posts", b"0" * 9_500_000, 413, "too_large"),
    ("TRACE", "/api/v2/posts", None, 405, "method_not_allowed"),
    ("GET", "/api/v2/posts?" + "x" * 17_000, None, 414, "uri_too_long"),
])
def test_X01_the_gateways_own_errors_are_problems_in_either_form(anonymous, verb, path, body, status, code):
    for accept, kind in ((None, "json"), ("application/json, application/xml;q=0.5", "json"), ("text/html,*/*;q=0.1", "json"),
                         ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
                         ("application/problem+xml", "xml"), ("application/xml, */*;q=0.1", "xml"), ("text/html, text/xml", "xml")):
        if status == 414 and kind == "xml":
            continue  # refused before the headers are read
        answer = anonymous.request(verb, path, data=body, headers={"Accept": accept})
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"].startswith("application/problem+" + kind), (accept, answer.headers)
        assert re.fullmatch("[A-Za-z0-9._:-]{1,128}", answer.headers["X-Request-Id"])
        if kind == "json":
            problem = answer.json()
            assert problem["status"] == status and problem["type"] == f"{URL}/problems/{code}" and problem["title"]
            assert problem["title"] == anonymous.get(problem["type"]).json()["data"]["title"]
        else:
            assert f"<status>{status}</status>" in answer.text and f"/problems/{code}</type>" in answer.text
    old = anonymous.request(verb, path.replace("/v2/", "/v1/"), data=body)
    if status != 414:
        assert old.status_code == status and set(old.json()["error"]) == {"code", "message"}
