"""Conditional requests in the order of RFC 9110 §13.2.2, HEAD of every route, and ranges that do not apply."""
import email.utils
import http.client
import itertools
import json
import pathlib
import re

import pytest

from support.samples import SAMPLES
from support.stack import ADMIN_KEY, ROOT, SETTINGS, unique

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
    ("If-Match", '"0.a", {}', 200, 200), ("If-None-Match", '"0.a", {}', 304, 412), ("If-Match", '"0.a" , ,{},', 200, 200), ("If-None-Match", ',,{}', 304, 412),
    ("If-Match", 'W/"0.a", {}', 200, 200), ("If-Match", '"0.a", W/{}', 412, 412), ("If-Match", '""', 412, 412), ("If-None-Match", '"", "a"', 200, 200),
    ("If-Match", ",", 412, 412), ("If-None-Match", ",", 200, 200), ("If-Match", '"ü"', 412, 412),
    ("If-Modified-Since", "yesterday", 200, 200), ("If-Unmodified-Since", "yesterday", 200, 200), ("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT", 304, 200),
    ("If-Unmodified-Since", "Sunday, 01-Jan-34 00:00:00 GMT", 200, 200), ("If-Range", "{}", 200, 200),
])
def test_R08_every_spelling_of_a_condition(cms, header, value, read, write):
    path = f"/api/v2/companies/{cms.make('/api/v2/companies', name=unique())['id']}"
    etag = cms.get(path, headers=PLAIN).headers["ETag"]
    for method, want in (("GET", read), ("PATCH", write)):
        answer = cms.request(method, path, json={"city": "x"} if method == "PATCH" else None,
                             headers=PLAIN | {header: value.format(etag).encode()})
        assert answer.status_code == want, (method, answer.status_code, answer.text)


MALFORMED = ["7", '"7', '7"', "'7'", '"a" "b"', '"a b"', '"a\tb"', 'w/"7"', "W/7", "W/", 'W "7"', '*, "7"', '"7", *', "**", '"7";q=1', '"7"x', "null", '"7", 8', "7.a, {}"]


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", MALFORMED)
def test_R08_a_condition_that_cannot_be_read_is_refused_everywhere(cms, header, value):
    row = cms.make("/api/v2/companies", name=unique())
    path = f"/api/v2/companies/{row['id']}"
    etag = cms.get(path, headers=PLAIN).headers["ETag"]
    for method, where, body in (("GET", path, None), ("HEAD", path, None), ("GET", "/api/v2/companies", None), ("GET", "/api/v2/companies/999999999", None),
                                ("PATCH", path, {"city": "x"}), ("PUT", path, {"name": unique()}), ("DELETE", path, None), ("POST", f"{path}/restore", None),
                                ("PATCH", "/api/v2/companies", [{"op": "delete", "id": row["id"]}]), ("GET", path, None)):
        answer = cms.request(method, where, json=body, headers={header: value.format(etag)})
        assert answer.status_code == 400, (method, where, answer.status_code)
        if method != "HEAD":
            problem = answer.json()
            assert problem["type"].endswith("/problems/invalid") and [e["pointer"] for e in problem["errors"]] == [header], problem
    assert cms.get(path, headers=PLAIN).headers["ETag"] == etag


def lines(method, path, headers):
    """Several lines of a field, which the gateway does not let through: straight to the program."""
    connection = http.client.HTTPConnection("127.0.0.1", int(SETTINGS["CMS365_PORT_BASE"]) + 100, timeout=30)
    try:
        connection.putrequest(method, path)
        for name, value in [("Authorization", f"Bearer {ADMIN_KEY}"), *headers]:
            connection.putheader(name, value)
        body = b'{"city":"x"}' if method == "PATCH" else b""
        if body:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.mark.parametrize("header, values, read, write", [
    ("If-Match", ['"0.a"', "{}"], 200, 200), ("If-Match", ['"0.a"', 'W/{}'], 412, 412), ("If-Match", ["*", "{}"], 400, 400), ("If-Match", ['"0.a"', "7"], 400, 400),
    ("If-None-Match", ['"0.a"', "W/{}"], 304, 412), ("If-None-Match", ['"0.a"', '"0.b"'], 200, 200), ("If-None-Match", ["{}", "*"], 400, 400),
    ("If-Match", [",".join(f'"0.{i}"' for i in range(20)), "{}"], 200, 200), ("If-Match", [",".join(f'"0.{i}"' for i in range(20))] * 2 + ["{}"], 200, 400)])
def test_R08_lines_of_a_condition_are_one_list(cms, header, values, read, write):
    path = f"/api/v2/companies/{cms.make('/api/v2/companies', name=unique())['id']}"
    etag = cms.get(path, headers=PLAIN).headers["ETag"]
    sent = [("Accept-Encoding", "identity")] + [(header, v.format(etag)) for v in values]
    assert lines("GET", path, sent) == lines("HEAD", path, sent) == read
    assert lines("PATCH", path, sent) == write


def test_R08_a_collection_has_no_condition(cms):
    path = "/api/v2/companies"
    row = cms.make(path, name=unique())
    etag = cms.get(f"{path}/{row['id']}", headers=PLAIN).headers["ETag"]
    now = email.utils.formatdate(usegmt=True)
    for header, value, want in (("If-Match", etag, 400), ("If-None-Match", "*", 400), ("If-None-Match", etag, 400), ("If-Unmodified-Since", now, 400),
                                ("If-Match", "*", 200), ("If-Unmodified-Since", "yesterday", 200), ("If-Modified-Since", now, 200)):
        bulk = cms.patch(path, json=[{"op": "update", "id": row["id"], "data": {"city": "x"}}], headers={header: value})
        made = cms.post(path, json={"name": unique()}, headers={header: value})
        assert bulk.status_code == want and made.status_code == (201 if want == 200 else want), (header, value, bulk.text, made.text)


@pytest.mark.parametrize("tag, status", [('{}', 200), ('"0.a", {}', 200), ("*", 200), ('W/{}', 412), ('"0.a"', 412), ('""', 412), ("7", 422), ('"7', 422), ('{} {}', 422),
                                         ('*, {}', 422), (7, 422), (None, 422), ("", 412), (", ".join(f'"{i}.a"' for i in range(40)), 422)])
def test_R10_every_spelling_of_a_condition_in_a_bulk(cms, tag, status):
    path = "/api/v2/companies"
    row = cms.make(path, name=unique())
    etag = cms.get(f"{path}/{row['id']}", headers=PLAIN).headers["ETag"]
    tag = tag.replace("{}", etag) if isinstance(tag, str) else tag
    answer = cms.patch(f"{path}?atomic=false", json=[{"op": "update", "id": row["id"], "if_match": tag, "data": {"city": "x"}}])
    assert answer.json()["data"][0]["status"] == status, answer.text


def test_R12_if_none_match_of_an_upsert(cms):
    slug = unique()
    path = f"/api/v2/companies/slug:{slug}"
    assert cms.put(path, json={"name": "x"}, headers={"If-Match": "*"}).status_code == 412
    assert cms.put(path, json={"name": "x"}, headers={"If-None-Match": '"0.a"'}).status_code == 201
    etag = cms.get(path, headers=PLAIN).headers["ETag"]
    for header, value, want in (("If-None-Match", "*", 412), ("If-None-Match", etag, 412), ("If-None-Match", f"W/{etag}", 412), ("If-Match", '"0.a"', 412),
                                ("If-None-Match", '"0.a"', 200)):
        assert cms.put(path, json={"name": "y"}, headers={header: value}).status_code == want, (header, value)


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
                "connection", "keep-alive", "location", "transfer-encoding"} | ({"link", "content-length"} if path.endswith("/changes") else set())  # says how late it is
    for more in ({}, PLAIN, {"Accept": "application/xml"}):
        def ask(method):
            answer = cms.request(method, url, headers=more, allow_redirects=False)
            return answer, {k.lower(): v for k, v in answer.headers.items() if k.lower() not in changing}

        for _ in range(5):  # statistics and logs may have grown between the two by what others ask, and by these
            get, told = ask("GET")
            head, same = ask("HEAD")
            assert head.status_code == get.status_code and not head.content, url
            if get.headers.get("Content-Type", "").startswith("application/problem") or "_/" in url or path.startswith("/oauth"):
                told.pop("content-length", None), same.pop("content-length", None)  # the request id is in the body
            if same == told:
                break
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
