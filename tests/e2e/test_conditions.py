"""Conditional requests in the order of RFC 9110 §13.2.2, HEAD of every route, and ranges that do not apply."""
import email.utils
import itertools
import json
import pathlib
import re

import pytest

from support.samples import SAMPLES
from support.stack import ROOT, unique

DOCUMENT = json.loads((pathlib.Path(ROOT) / "docs/api/openapi.json").read_text())
PLAIN = {"Accept-Encoding": "identity"}
MATCH, MISS, ABSENT = "match", "miss", "absent"


def headers_of(if_match, if_unmodified, if_none_match, if_modified, etag, modified):
    """match: what the header names is the present representation, or its date."""
    then = "Sat, 01 Jan 2000 00:00:00 GMT"
    rows = (("If-Match", if_match, etag, '"0.none"'), ("If-Unmodified-Since", if_unmodified, modified, then),
            ("If-None-Match", if_none_match, etag, '"0.none"'), ("If-Modified-Since", if_modified, modified, then))
    return {name: here if how == MATCH else other for name, how, here, other in rows if how != ABSENT}


def expected(method, ok, if_match, if_unmodified, if_none_match, if_modified):
    read = method in ("GET", "HEAD")
    if if_match == MISS:  # step 1
        return 412
    if if_match == ABSENT and if_unmodified == MISS:  # step 2
        return 412
    if if_none_match == MATCH:  # step 3
        return 304 if read else 412
    if if_none_match == ABSENT and read and if_modified == MATCH:  # step 4
        return 304
    return ok


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "PUT", "DELETE"])
def test_R08_conditions_hold_in_the_order_of_the_rfc(cms, method):
    path = f"/api/v2/companies/{cms.make('/api/v2/companies', name=unique())['id']}"
    ok = {"GET": 200, "HEAD": 200, "PATCH": 200, "PUT": 200, "DELETE": 204}[method]
    body = {"PATCH": {"city": "x"}, "PUT": {"name": unique()}}.get(method)
    now = cms.get(path, headers=PLAIN)
    for case in itertools.product((MATCH, MISS, ABSENT), repeat=4):
        etag, modified = now.headers["ETag"], now.headers["Last-Modified"]
        answer = cms.request(method, path, json=body, headers=PLAIN | headers_of(*case, etag, modified))
        want = expected(method, ok, *case)
        assert answer.status_code == want, (method, case, answer.status_code, want, answer.text)
        if want in (304, 412):
            assert answer.headers["ETag"] == etag, case  # also what to repeat with
        if want == 304:
            assert not answer.content and {"Cache-Control", "Vary", "Date"} <= set(answer.headers)
        if method == "DELETE" and want == ok:
            assert cms.post(f"{path}/restore").status_code == 200
        if method not in ("GET", "HEAD") and want == ok:
            now = cms.get(path, headers=PLAIN)
        elif method not in ("GET", "HEAD"):
            assert cms.get(path, headers=PLAIN).headers["ETag"] == etag, "a refused write changed something"


@pytest.mark.parametrize("header, value, read, write", [
    ("If-Match", "*", 200, 200), ("If-None-Match", "*", 304, 412), ("If-Match", 'W/{}', 412, 412), ("If-None-Match", 'W/{}', 304, 412),
    ("If-Match", '"0.a", {}', 200, 200), ("If-None-Match", '"0.a", {}', 304, 412), ("If-Match", "7", 400, 412), ("If-None-Match", "7", 200, 400),
    ("If-Modified-Since", "yesterday", 200, 200), ("If-Unmodified-Since", "yesterday", 200, 200), ("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT", 304, 200),
    ("If-Unmodified-Since", "Sunday, 01-Jan-34 00:00:00 GMT", 200, 200), ("If-Range", "{}", 200, 200),
])
def test_R08_every_spelling_of_a_condition(cms, header, value, read, write):
    path = f"/api/v2/companies/{cms.make('/api/v2/companies', name=unique())['id']}"
    etag = cms.get(path, headers=PLAIN).headers["ETag"]
    for method, want in (("GET", read), ("PATCH", write)):
        answer = cms.request(method, path, json={"city": "x"} if method == "PATCH" else None,
                             headers=PLAIN | {header: value.format(etag)})
        assert answer.status_code == want, (method, answer.status_code, answer.text)


@pytest.fixture(scope="module")
def samples():
    from support.stack import Client
    with Client() as client:
        made = {}
        for plural, sample in SAMPLES.items():
            path = f"/api/v2/{plural}"
            row = client.make(path, **sample())
            client.patch(f"{path}/{row['id']}", json={"meta": {"a": 1}})
            made[plural] = row
        operation = client.post("/api/v2/posts/export?filter[id]=1").json()["data"]["id"]
        yield made, operation


def concrete(path, made, operation):
    plural = next((p for p in made if re.match(rf"/api/v\d/{p}(/|$)", path)), None)
    if plural:
        path = path.replace("{id}", str(made[plural]["id"])).replace("{slug}", str(made[plural].get("slug", "x"))).replace("{rev}", "1")
    path = path.replace("/operations/{id}", f"/operations/{operation}").replace("/problems/{code}", "/problems/conflict")
    return re.sub(r"\{\w+\}", "7", path)


@pytest.mark.parametrize("path", sorted(p for p, item in DOCUMENT["paths"].items() if "get" in item))
def test_R21_head_has_the_headers_of_get(cms, samples, path):
    url = concrete(path, *samples)
    changing = {"date", "x-request-id", "set-cookie", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset", "cache-status", "age",
                "connection", "keep-alive", "location"} | ({"link", "content-length"} if path.endswith("/changes") else set())  # says how late it is
    for more in ({}, PLAIN, {"Accept": "application/xml"}):
        def ask(method):
            answer = cms.request(method, url, headers=more, allow_redirects=False)
            return answer, {k.lower(): v for k, v in answer.headers.items() if k.lower() not in changing}

        get, told = ask("GET")
        head, same = ask("HEAD")
        assert head.status_code == get.status_code and not head.content, url
        if get.headers.get("Content-Type", "").startswith("application/problem") or "_/" in url or path.startswith("/oauth"):
            told.pop("content-length", None), same.pop("content-length", None)  # the request id is in the body
        assert same == told, url


def test_R21_ranges_do_not_apply_to_json(cms, samples):
    for path in ("/api/v2/posts", "/api/v2/posts/{id}", "/api/v2/media/{id}", "/api/v1/posts", "/schemas/v2.xsd"):
        url = concrete(path, *samples)
        whole = cms.get(url, headers=PLAIN)
        for more in ({"Range": "bytes=0-3"}, {"Range": "bytes=999999-"}, {"Range": "lines=1"}, {"Range": "bytes=0-3", "If-Range": whole.headers["ETag"]}):
            answer = cms.get(url, headers=PLAIN | more)
            assert answer.status_code == 200 and answer.content == whole.content, (url, more)
            assert "Content-Range" not in answer.headers and answer.headers.get("Accept-Ranges", "none") == "none"


def test_R08_a_row_says_its_language_and_another_is_another_tag(cms):
    path = f"/api/v2/posts/{cms.make('/api/v2/posts', **(SAMPLES['posts']() | {'language': 'de-CH'}))['id']}"
    german = cms.get(path, headers={"Accept-Language": "en"})
    assert german.headers["Content-Language"] == "de-CH" and "Accept-Language" not in german.headers["Vary"]
    assert cms.get(path, headers={"Accept": "application/xml"}).headers["Content-Language"] == "de-CH"
    assert cms.patch(path, json={"language": "fr"}).status_code == 200
    french = cms.get(path)
    assert french.headers["Content-Language"] == "fr" and french.headers["ETag"] != german.headers["ETag"]
    assert cms.patch(path, json={"language": None}).status_code == 200
    assert "Content-Language" not in cms.get(path).headers
