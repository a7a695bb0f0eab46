"""Bad input gets the right 4xx problem, stores nothing and crashes nothing.

Each row is a request and the statuses it may have.  After all rows the counts of every table are what they
were, and every program still answers.
"""
import http.client
import json
import socket
import urllib.parse

import pytest

from support.samples import SAMPLES
from support.stack import SETTINGS, URL, Client, unique

POSTS = "/api/v2/posts"
SQL = ["'", "''", "1;drop table posts", "1' or '1'='1", "1)) or 1=1--", "$1", "\\", "1 union select 1", "'; select pg_sleep(9)--",
       "\x00", "%", "_", "{\"a\":1}", "0x41", "NaN", "1e999", "-1", "9223372036854775808", "१"]


def deep(n, opening="[", closing="]"):
    return opening * n + closing * n


def raw_json():
    """(name, body bytes, statuses)"""
    title = b'{"title":%s,"status":"draft"}'
    yield "not json", b"title=x", 400
    yield "empty body", b"", 400
    yield "only blanks", b"  \n ", 400
    yield "bare string", b'"x"', (400, 422)
    yield "bare number", b"7", (400, 422)
    yield "array", b"[]", (400, 422)
    yield "null", b"null", (400, 422)
    yield "trailing garbage", b'{"title":"x","status":"draft"} x', 400
    yield "two objects", b'{"title":"x","status":"draft"}{}', 400
    yield "comment", b'{"title":"x",/* */"status":"draft"}', 400
    yield "single quotes", b"{'title':'x'}", 400
    yield "trailing comma", b'{"title":"x","status":"draft",}', 400
    yield "unterminated", b'{"title":"x"', 400
    yield "byte order mark", b"\xef\xbb\xbf" + title % b'"x"', 400
    yield "utf-16", '{"title":"x"}'.encode("utf-16"), 400
    yield "duplicate keys", b'{"title":"a","title":"b","status":"draft"}', 400
    yield "duplicate nested keys", b'{"title":"a","status":"draft","meta":{"a":1,"a":2}}', 400
    yield "invalid utf-8", title % b'"\xff\xfe"', 400
    yield "overlong utf-8", title % b'"\xc0\xaf"', 400
    yield "utf-8 surrogate", title % b'"\xed\xa0\x80"', 400
    yield "cut utf-8", title % b'"\xe2\x82"', 400
    yield "lone surrogate", title % b'"\\ud800"', 400
    yield "reversed surrogates", title % b'"\\udc00\\ud800"', 400
    yield "NUL escape", title % b'"a\\u0000b"', 400
    yield "NUL byte", title % b'"a\x00b"', 400
    yield "control byte", title % b'"a\x01b"', 400
    yield "bad escape", title % b'"\\x41"', 400
    yield "NaN", b'{"title":"x","status":"draft","meta":{"a":NaN}}', 400
    yield "Infinity", b'{"title":"x","status":"draft","meta":{"a":Infinity}}', 400
    yield "huge integer", b'{"title":"x","status":"draft","meta":{"a":' + b"9" * 400 + b"}}", 400
    yield "huge exponent", b'{"title":"x","status":"draft","meta":{"a":1e9999}}', 400
    yield "leading zero", b'{"title":"x","status":"draft","meta":{"a":01}}', 400
    yield "plus sign", b'{"title":"x","status":"draft","meta":{"a":+1}}', 400
    yield "deep arrays", b'{"title":"x","status":"draft","meta":{"a":' + deep(40).encode() + b"}}", 400
    yield "very deep arrays", deep(100000).encode(), 400
    yield "very deep objects", b'{"a":' * 50000 + b"1" + b"}" * 50000, 400
    yield "open brackets only", b"[" * 100000, 400
    yield "many keys", json.dumps({f"k{i}": i for i in range(20000)}).encode(), 422
    yield "huge string", title % (b'"' + b"x" * 900000 + b'"'), 422
    yield "over the limit", title % (b'"' + b"x" * 1100000 + b'"'), 413
    yield "meta too large", json.dumps({"title": "x", "status": "draft", "meta": {"a": "x" * 70000}}).encode(), 422
    yield "meta an array", b'{"title":"x","status":"draft","meta":[1]}', 422
    yield "meta null ok? no", b'{"title":"x","status":"draft","meta":7}', 422


def wrong_fields():
    for name, value in [("title", 7), ("title", None), ("title", ""), ("title", {}), ("title", []), ("title", True),
                        ("title", "x" * 5000), ("status", "gone"), ("status", 1), ("status", None), ("status", ["draft"]),
                        ("slug", "Not A Slug"), ("slug", "123"), ("slug", "../x"), ("slug", "x" * 500), ("slug", "a\u0000b"),
                        ("author", "me"), ("author", -1), ("author", 0), ("author", 1.5), ("author", {"id": "1"}), ("author", {}),
                        ("author", {"id": 1, "x": 2}), ("author", 2 ** 63), ("author", 999999999), ("featured_media", 999999999),
                        ("tags", "a"), ("tags", [1]), ("tags", [None]), ("tags", [["a"]]), ("tags", ["x" * 5000]),
                        ("tags", ["a"] * 5000), ("published_at", "yesterday"), ("published_at", "2026-13-01T00:00:00Z"),
                        ("published_at", "2026-02-30T00:00:00Z"), ("published_at", 7), ("published_at", "2026-01-01"),
                        ("published_at", "10000-01-01T00:00:00Z"), ("language", "not a language"), ("content_format", "exe"),
                        ("id", 7), ("version", 7), ("created_at", "2026-01-01T00:00:00Z"), ("updated_at", "2026-01-01T00:00:00Z"),
                        ("deleted_at", None), ("nosuch", 1), ("__proto__", {}), ("constructor", 1), ("author_id", 1), ("Title", "x"),
                        ("title ", "x"), ("", 1), ("$where", "1"), ("seo_title", {"a": 1})]:
        yield f"{name}={str(value)[:20]}", {"title": "x", "status": "draft", name: value}


def queries():
    for text in SQL:
        q = urllib.parse.quote(text)
        for name in ("page", "per_page", "limit", "offset", "sort", "fields", "include", "filter[id]", "filter[published_at][gte]"):
            yield f"{POSTS}?{name}={q}", (400, 422) if name != "sort" or text != "-1" else 400
        yield f"{POSTS}/{q}", (400, 404)
    for target in ["?filter[status][nosuch]=1", "?filter=1", "?filter[]=1", "?filter[status", "?filter[status]]=x", "?filter[[status]]=x",
                   "?filter[status][eq][eq]=x", "?filter[author.password]=x", "?filter[a.b.c.d.e]=1", "?page=0", "?page=-1", "?page=1.0",
                   "?page=99999999999999999999", "?per_page=0", "?per_page=101", "?page=1&page=2", "?sort=,", "?sort=title,,id", "?sort=--title",
                   "?fields=", "?fields=,", "?fields=id,id.id", "?fields=author.email.x", "?include=author.avatar.x", "?include=password",
                   "?offset=-1&limit=5", "?limit=101", "?count=maybe", "?a=b", "?%00=1", "?filter[id][in]=", "?filter[id][between]=1",
                   "?filter[id][null]=maybe", "?" + "&".join(f"filter[id]={i}" for i in range(200)),
                   "?filter[id][in]=" + ",".join(str(i) for i in range(2000)), "?sort=" + ",".join(["title"] * 100), "?%FF=1", "?page=%FF",
                   "?access_token=x"]:
        yield POSTS + target, (400, 414, 431)
    for path in [POSTS + "/../users", POSTS + "/%2e%2e/users", POSTS + "//1", "//api/v2/posts", POSTS + "/", POSTS + "/1/", POSTS + "/1/nosuch",
                 POSTS + "/0", POSTS + "/-1", POSTS + "/+1", POSTS + "/01x", POSTS + "/1.0", POSTS + "/99999999999999999999", POSTS + "/slug:",
                 "/api/v3/posts", "/api/v2", "/api/v2/", "/api/v2/nosuch", "/API/v2/posts", "/api/v2/posts%2f1", "/api/v2/posts%00", "/.git/config",
                 "/api/v2/posts/%FF", "/api/v2/posts;a=b", "/internal/auth/keys", "/metrics", "/readyz"]:
        yield path, (400, 401, 404)
    yield POSTS + "?x=" + "a" * 9000, (400, 414, 431)
    yield POSTS + "/" + "a" * 9000, (400, 404, 414, 431)


HOSTILE_URLS = [
    "http://10.0.0.1/", "http://10.255.255.255/", "http://172.16.0.1/", "http://172.31.255.1/", "http://192.168.0.1/",
    "http://169.254.169.254/latest/meta-data", "http://169.254.1.1/", "http://100.64.0.1/", "http://100.100.100.200/", "http://192.0.0.1/",
    "http://198.18.0.1/", "http://224.0.0.1/", "http://239.1.1.1/", "http://240.0.0.1/", "http://255.255.255.255/", "http://0.0.0.0/", "http://0/",
    "http://0x0a000001/", "http://167772161/", "http://012.0.0.1/", "http://10.1/", "http://0xa9.0xfe.0xa9.0xfe/", "http://[fd00::1]/",
    "http://[fe80::1]/", "http://[fec0::1]/", "http://[ff02::1]/", "http://[::]/", "http://[::ffff:10.0.0.1]/", "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a00:1]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a00:1::]/", "http://[2002:a9fe:a9fe::]/", "http://[2001:db8::1]/",
    "http://[fd00:ec2::254]/", "file:///etc/passwd", "ftp://example.org/", "gopher://example.org/", "javascript:alert(1)", "ldap://example.org",
    "http://user:pass@example.org/", "http://user@example.org/", "//example.org/", "example.org", "", "http://", "http:///path", "http://:80/",
    "http://example.org:0/", "http://example.org:99999/", "http://exa mple.org/", "http://example.org/\r\nX: y", "http://example.org\\@10.0.0.1/",
    "http://[::1", "http://%31%30.0.0.1/", "http://①⓪.0.0.1/", "http://example.org/" + "a" * 5000, "unix:/run/x", "dict://example.org", "data:text/plain,x"]


@pytest.fixture(scope="module", autouse=True)
def nothing_is_stored():
    with Client() as client:
        def counts():
            totals = {p: client.get(f"/api/v2/{p}?per_page=1").json()["meta"]["total"] for p in SAMPLES}
            totals["endpoints"] = client.get("/api/v2/webhooks/endpoints?per_page=1").json()["meta"]["total"]
            return totals
        before = counts()
        yield
        assert counts() == before


def check(answer, statuses, name):
    statuses = statuses if isinstance(statuses, tuple) else (statuses,)
    assert answer.status_code in statuses, f"{name}: {answer.status_code} {answer.text[:300]}"
    assert answer.headers["Content-Type"].startswith("application/problem+json"), f"{name}: {answer.text[:200]}"
    body = answer.json()
    assert body["status"] == answer.status_code and body["type"] and body["title"]
    for leak in ("SELECT", "syntax error", "pg_", "libpq", ".c:"):
        assert leak in urllib.parse.unquote(str(name)) or leak not in answer.text, f"{name}: {answer.text[:300]}"


@pytest.mark.parametrize("name,body,status", [pytest.param(*row, id=row[0]) for row in raw_json()])
def test_R23_hostile_json(cms, name, body, status):
    check(cms.post(POSTS, data=body, headers={"Content-Type": "application/json"}), status, name)


@pytest.mark.parametrize("body", [pytest.param(b, id=n) for n, b in wrong_fields()])
def test_R23_wrong_fields(cms, body):
    answer = cms.post(POSTS, json=body)
    check(answer, (400, 422), str(body)[:80])


def test_R06_hostile_queries_and_paths(cms):
    rows = list(queries())
    assert len(rows) > 150
    for target, statuses in rows:
        check(get_verbatim(target, cms.headers["Authorization"]), statuses, target[:300])


def test_R06_sql_in_text_filters_matches_nothing(cms):
    for text in SQL:
        if text == "\x00":
            continue
        answer = cms.get(POSTS, params={"filter[title]": "nosuch " + text})
        assert answer.status_code == 200 and answer.json()["data"] == [], (text, answer.text)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_X05_hostile_webhook_urls(cms, url):
    answer = cms.post("/api/v2/webhooks/endpoints", json={"url": url, "events": ["post.*"]})
    check(answer, 422, url)
    assert any(e["pointer"] == "/url" for e in answer.json()["errors"]), answer.text


def test_R11_wrong_media_types(cms):
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1", "json"):
        check(cms.post(POSTS, data=b'{"title":"x","status":"draft"}', headers={"Content-Type": kind}), 415, kind)
    check(cms.get(POSTS, headers={"Accept": "image/png"}), 406, "accept")
    check(cms.get(POSTS, headers={"Accept": "application/json;q=0"}), 406, "accept q=0")


def test_R01_wrong_methods(cms):
    for method, path in (("PUT", POSTS), ("DELETE", POSTS), ("POST", POSTS + "/1"), ("TRACE", POSTS), ("BREW", POSTS), ("GET", POSTS + "/1/restore")):
        answer = cms.request(method, path)
        check(answer, (405, 400, 501), f"{method} {path}")


class Verbatim:
    """An answer to a target sent as it is; requests would fold dot segments first."""

    def __init__(self, answer):
        self.status_code, self.headers, self.text = answer.status, answer.headers, answer.read().decode(errors="replace")

    def json(self):
        return json.loads(self.text)


def get_verbatim(target, authorization):
    connection = http.client.HTTPConnection(URL.removeprefix("http://"), timeout=30)
    try:
        connection.putrequest("GET", target, skip_host=False)
        connection.putheader("Authorization", authorization)
        connection.endheaders()
        return Verbatim(connection.getresponse())
    finally:
        connection.close()


def send_raw(data, timeout=10):
    host, port = URL.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=timeout) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
            if len(answer) > 1 << 20:
                break
    return answer


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


@pytest.mark.parametrize("name,data,statuses", [
    ("no host", b"GET /api/v2/posts HTTP/1.1\r\n\r\n", (400,)),
    ("two hosts", b"GET /api/v2/posts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,)),
    ("length and chunked", b"POST /api/v2/posts HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    ("two lengths", b"POST /api/v2/posts HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", (400,)),
    ("bad length", b"POST /api/v2/posts HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", (400,)),
    ("negative length", b"POST /api/v2/posts HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", (400,)),
    ("unknown coding", b"POST /api/v2/posts HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", (400, 501)),
    ("huge header", b"GET /api/v2/posts HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70000 + b"\r\n\r\n", (400, 431)),
    ("many headers", b"GET /api/v2/posts HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: 1\r\n" % i for i in range(9000)) + b"\r\n", (400, 431)),
    ("huge target", b"GET /api/v2/posts?" + b"a" * 70000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", (400, 414)),
    ("http/9", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", (400, 505)),
    ("not http", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" * 10 + b"\r\n\r\n", (0, 400)),
    ("NUL in target", b"GET /api/v2/po\x00sts HTTP/1.1\r\nHost: a\r\n\r\n", (400,)),
    ("header fold", b"GET /api/v2/posts HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", (200, 400)),
    ("space before colon", b"GET /api/v2/posts HTTP/1.1\r\nHost : a\r\n\r\n", (400,)),
])
def test_R23_hostile_http(name, data, statuses):
    answer = send_raw(data)
    assert status_of(answer) in statuses, answer[:300]


def test_R23_the_programs_refuse_smuggling_without_the_gateway():
    """httpd's own checks, not nginx's: straight to the api's port."""
    base = int(SETTINGS.get("CMS365_PORT_BASE", "18365"))
    rows = [(b"GET /api/v2/posts HTTP/1.1\r\n\r\n", 400),
            (b"GET /api/v2/posts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"POST /api/v2/posts HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)]
    for data, status in rows:
        with socket.create_connection(("127.0.0.1", base + 100), timeout=10) as s:
            s.sendall(data)
            answer = s.recv(65536)
            assert status_of(answer) == status, answer[:300]
            while True:
                more = s.recv(65536)
                if not more:
                    break


def test_X05_headers_that_try_to_escape(cms):
    rid = cms.get(POSTS + "?per_page=1", headers={"X-Request-Id": "a b<script>"}).headers["X-Request-Id"]
    assert "<" not in rid
    for key in ("a" * 300, "ü".encode("latin-1"), '"unterminated'):
        answer = cms.post(POSTS, json={"title": "", "status": "draft"}, headers={"Idempotency-Key": key})
        assert answer.status_code in (400, 422)
    assert cms.post(POSTS, json={}, headers={"Authorization": "Basic eDp5"}).status_code == 401
    assert cms.patch(POSTS + "/999999", json=[], headers={"Content-Type": "application/merge-patch+json"}).status_code in (400, 404, 422)
    assert unique()
