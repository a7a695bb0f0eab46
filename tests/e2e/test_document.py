"""D-01, D-03, D-06, D-08: the document that is served, and what others say of it."""
import copy
import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ET

import yaml

from support import stack
from support.calls import DOCUMENT

sys.path.insert(0, str(pathlib.Path(stack.ROOT) / "scripts"))
from document import changes  # noqa: E402

MODULES = pathlib.Path(os.environ.get("CMS365_NODE_MODULES", stack.ROOT / "tests/e2e/node/node_modules"))
FILE = str(stack.ROOT / "docs/api/openapi.json")


def tool(argv, **kw):
    return subprocess.run(["node", *argv], capture_output=True, text=True, timeout=240, cwd=stack.ROOT / "tests/e2e/node",
                          env={**os.environ, "REDOCLY_TELEMETRY": "off", "NODE_PATH": str(MODULES)}, **kw)


def test_D01_the_served_document_is_the_printed_one(anonymous):
    got = anonymous.get("/openapi.json")
    assert got.headers["Content-Type"] == "application/json" and got.json() == DOCUMENT
    assert anonymous.get("/openapi.json", headers={"If-None-Match": got.headers["ETag"]}).status_code == 304
    text = anonymous.get("/openapi.yaml")
    assert text.headers["Content-Type"] == "application/yaml"
    assert yaml.load(text.content, yaml.CSafeLoader) == DOCUMENT


def test_D01_redocly_finds_no_error():
    done = tool([str(MODULES / ".bin/redocly"), "lint", FILE, "--config", "redocly.yaml", "--format", "json"])
    found = json.loads(done.stdout)
    assert found["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, [p["message"] for p in found["problems"]][:10]


def test_D01_spectral_finds_no_error():
    done = tool([str(MODULES / ".bin/spectral"), "lint", FILE, "--ruleset", "spectral.yaml", "-f", "json", "-q"])
    assert json.loads(done.stdout or "[]") == [], done.stdout[:1500] + done.stderr[:500]


def test_D03_swagger_parser_resolves_it():
    done = tool(["swagger.cjs", FILE])
    assert done.returncode == 0 and done.stdout.strip() == "ok", done.stdout + done.stderr


def test_D03_webhooks_and_security_are_described(cms):
    assert set(DOCUMENT["components"]["securitySchemes"]) >= {"bearer", "apiKey", "oauth2"}
    flows = DOCUMENT["components"]["securitySchemes"]["oauth2"]["flows"]
    assert set(flows) == {"authorizationCode", "clientCredentials"}
    assert "post.published" in DOCUMENT["webhooks"] and len(DOCUMENT["webhooks"]) > 40
    for item in DOCUMENT["webhooks"].values():
        assert item["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    ids = [op["operationId"] for item in DOCUMENT["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))
    for path, item in DOCUMENT["paths"].items():
        for op in item.values():
            for status, answer in op["responses"].items():
                if status >= "400" and not path.startswith(("/api/v1/", "/oauth/")):
                    assert "application/problem+json" in answer["content"], (path, status)


def test_D08_a_caller_sees_what_it_may_call(cms, key, anonymous):
    reader = key(["posts:read"])
    mine = reader.get("/openapi.json", params={"for": "me"})
    paths = mine.json()["paths"]
    assert "get" in paths["/api/v2/posts"] and "post" not in paths["/api/v2/posts"]
    assert "/api/v2/webhooks/endpoints" not in paths and "/api/v2/auth/keys" not in paths
    for item in paths.values():
        for op in item.values():
            assert op["x-scope"] in (None, "posts:read"), op["operationId"]
    assert "private" in mine.headers["Cache-Control"]
    assert cms.get("/openapi.json", params={"for": "me"}).json()["paths"] == DOCUMENT["paths"]
    nobody = anonymous.get("/openapi.json", params={"for": "me"}).json()["paths"]
    assert all(op["x-scope"] is None for item in nobody.values() for op in item.values())
    yaml_paths = yaml.load(reader.get("/openapi.yaml", params={"for": "me"}).content, yaml.CSafeLoader)["paths"]
    assert yaml_paths == paths
    assert anonymous.get("/openapi.json", params={"for": "you"}).status_code == 400


def test_D06_the_catalog_leads_to_everything(anonymous):
    got = anonymous.get("/.well-known/api-catalog")
    assert got.headers["Content-Type"] == "application/linkset+json"
    (entry,) = got.json()["linkset"]
    assert entry["anchor"] == stack.URL + "/api/v2"
    for link in entry["service-desc"] + [d for d in entry["service-doc"] if "/api-docs/" in d["href"] and "/admin/" not in d["href"]]:
        answer = anonymous.get(link["href"], headers={"Accept": link["type"]})
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(link["type"]), link


def test_D06_the_changelog_is_a_page_a_document_and_a_feed(anonymous):
    page = anonymous.get("/api-docs/changelog", headers={"Accept": "text/html"})
    assert page.status_code == 200 and "Changes of the 365CMS API" in page.text
    log = anonymous.get("/api-docs/changelog.json").json()
    feed = ET.fromstring(anonymous.get("/api-docs/changelog.atom").content)
    assert feed.tag == "{http://www.w3.org/2005/Atom}feed"
    dated = [r["version"] for r in log["releases"] if r["date"]]
    assert [e.find("{http://www.w3.org/2005/Atom}title").text.split()[0] for e in feed.iter("{http://www.w3.org/2005/Atom}entry")] == dated
    assert dated, "no release is kept: scripts/document/release"


BREAKING = {  # what is done to the document -> is it breaking, what the changelog says
    "an operation goes": (lambda d: d["paths"]["/api/v2/posts"].pop("post"), True, "POST /api/v2/posts is gone"),
    "an operation comes": (lambda d: d["paths"].update({"/api/v2/new": copy.deepcopy(d["paths"]["/api/v2/posts"])}), False, "is new"),
    "a parameter goes": (lambda d: d["paths"]["/api/v2/posts"]["get"]["parameters"].pop(), True, "no longer takes"),
    "a parameter is required": (lambda d: d["paths"]["/api/v2/posts"]["get"]["parameters"][0].update(required=True), True, "requires"),
    "an optional parameter comes": (lambda d: d["paths"]["/api/v2/posts"]["get"]["parameters"].append(
        {"name": "zz", "in": "query", "required": False, "schema": {"type": "string"}}), False, "takes query zz"),
    "an answered field goes": (lambda d: d["components"]["schemas"]["Post"]["properties"].pop("excerpt"), True, "no longer answers the field"),
    "an answered field comes": (lambda d: d["components"]["schemas"]["Post"]["properties"].update(zz={"type": "string"}), False, "answers the field"),
    "an answered field may be null": (lambda d: d["components"]["schemas"]["Post"]["properties"]["title"].update(
        type=["string", "null"]), True, "was string"),
    "a taken field is required": (lambda d: d["components"]["schemas"]["PostInput"].update(required=["title", "excerpt"]), True, "requires the field"),
    "a choice goes": (lambda d: d["components"]["schemas"]["PostInput"]["properties"]["status"]["enum"].remove("archived"), True, "no longer takes archived"),
    "a choice comes": (lambda d: d["components"]["schemas"]["PostInput"]["properties"]["status"]["enum"].append("zz"), False, "takes zz"),
    "another scope is asked": (lambda d: d["paths"]["/api/v2/posts"]["post"].update({"x-scope": "api:admin"}), True, "asks for the scope"),
    "a status goes": (lambda d: d["paths"]["/api/v2/posts"]["post"]["responses"].pop("201"), True, "no longer answers 201"),
    "a webhook goes": (lambda d: d["webhooks"].pop("post.published"), True, "webhook post.published is gone"),
}


def test_D06_breaking_changes_are_told_from_others():
    base = changes.surface(DOCUMENT)
    assert changes.compare(base, changes.surface(DOCUMENT)) == []
    for what, (change, breaking, text) in BREAKING.items():
        doc = copy.deepcopy(DOCUMENT)
        change(doc)
        found = changes.compare(base, changes.surface(doc))
        assert any(text in changes.line(c) for c in found), (what, found)
        assert any(c["breaking"] for c in found) == breaking, (what, found)
        release = {**base, "date": "2026-01-01"}
        assert bool(changes.unannounced([release], doc)) == breaking, what
        major, minor, _ = base["version"].split(".")
        doc["info"]["version"] = f"{major}.{int(minor) + 1}.0"
        assert bool(changes.unannounced([release], doc)) == (breaking and major != "0"), what


def test_D06_steps_of_versions():
    for old, new, may_break in [("0.1.0", "0.1.1", False), ("0.1.0", "0.2.0", True), ("1.0.0", "1.1.0", False), ("1.4.0", "2.0.0", True),
                                ("0.9.0", "1.0.0", True), ("2.0.0", "1.0.0", False)]:
        assert changes.is_step(old, new) == may_break, (old, new)
