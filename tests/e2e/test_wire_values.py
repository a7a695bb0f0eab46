"""Numbers, times and text as they go over the wire (R-23): what every reader keeps is answered as it was sent, and what
some reader would not keep is refused with its place, never rounded."""
import json
import re

import pytest

from support.samples import SAMPLES
from support.stack import Client, unique, wait_for

POSTS = "/api/v2/posts"
JSON = {"Content-Type": "application/json"}
MOST = 2 ** 53 - 1
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


def draft(meta):
    """A post with this JSON text as its meta."""
    return ('{"title":"numbers","status":"draft","meta":%s}' % meta).encode()


def pointers(answer):
    return {e["pointer"] for e in answer.json().get("errors", [])}


# What is sent as meta, and what comes back; the same text if there is one only.
KEPT = ["{}", '{"a":%d,"b":-%d}' % (MOST, MOST), '{"a":0,"b":-1}', '{"a":0.1,"b":-2.5,"c":12345678.90123456}', '{"a":0.30000000000000004}',
        '{"a":"9007199254740993","b":"12.30","c":"1e400"}', ('{"a":1e2}', '{"a":100.0}'), ('{"a":1.50}', '{"a":1.5}'),
        ('{"a":6.626e-34}', '{"a":0.%s6626}' % ("0" * 33)), '{"a":{"b":[[1,2.5,{"c":-3}]]}}', ('{"a":1e15}', '{"a":1000000000000000}'),
        r'{"a":"\\u0000","b":"\\ud800"}', ('{"a":4503599627370495.5}', '{"a":4503599627370495.5}')]


@pytest.mark.parametrize("sent, back", [(k, k) if isinstance(k, str) else k for k in KEPT])
def test_R23_numbers_come_back_as_they_were_sent(cms, sent, back):
    made = cms.post(POSTS, data=draft(sent), headers=JSON)
    assert made.status_code == 201, made.text
    path = f"{POSTS}/{made.json()['data']['id']}"
    for answer in (made, cms.get(path), cms.get(f"{path}?fields=meta"), cms.get(f"{POSTS}?filter[id]={made.json()['data']['id']}&fields=meta")):
        compact = re.sub(r'("(?:[^"\\]|\\.)*")|\s', lambda m: m.group(1) or "", answer.text)
        assert f'"meta":{back}' in compact, answer.text
    patched = cms.patch(path, data=json.dumps([{"op": "add", "path": "/meta/new", "value": 1}]), headers={"Content-Type": "application/json-patch+json"})
    assert patched.status_code == 200, patched.text  # what is there can be read again by ourselves
    restored = cms.get(f"{path}/revisions")
    assert restored.status_code == 200
    assert json.loads(back)["a"] == patched.json()["data"]["meta"]["a"] if back != "{}" else True


# meta, status, pointer
REFUSED = [('{"a":%d}' % (MOST + 1), 422, "/meta/a"), ('{"a":-%d}' % (MOST + 1), 422, "/meta/a"), ('{"a":[0,{"b/c":9223372036854775807}]}', 422, "/meta/a/1/b~1c"),
           ('{"a":1e16}', 422, "/meta/a"), ('{"a":6.022e23}', 422, "/meta/a"), ('{"a":-1.7976931348623157e308}', 422, "/meta/a"),
           ('{"a":9223372036854775808}', 400, "/meta/a"), ('{"a":1e400}', 400, "/meta/a"), ('{"a":3.141592653589793238462643383279}', 400, "/meta/a"),
           ('{"x":1,"a":[1,0.1234567890123456789]}', 400, "/meta/a/1"), ('{"a":{"b":1,"b":2}}', 400, "/meta/a/b"), (r'{"a":"\u0000"}', 400, "/meta/a"),
           (r'{"a":["x","\ud800"]}', 400, "/meta/a/1"), (r'{"a":"\udc00\ud800"}', 400, "/meta/a"), ('{"a":%s1%s}' % ("[" * 40, "]" * 40), 400, None),
           ('{"a":NaN}', 400, "/meta/a"), ('{"a":01}', 400, "/meta/a"), ('{"a":[%s]}' % ",".join(["1e-300"] * 5000), 422, "/meta"),
           ('{"a":"%s"}' % ("x" * 70000), 422, "/meta"), ("{%s1}" % ('"a":{' * 24 + '"b":') + "}" * 24, 422, "/meta" + "/a" * 24)]


@pytest.mark.parametrize("meta, status, pointer", REFUSED, ids=[r[0][:40] for r in REFUSED])
def test_R23_what_would_be_rounded_is_refused_with_its_place(cms, meta, status, pointer):
    for method, path in (("POST", POSTS), ("PATCH", f"{POSTS}/{cms.make(POSTS, title='x', status='draft')['id']}")):
        answer = cms.request(method, path, data=draft(meta), headers=JSON)
        assert answer.status_code == status and answer.headers["Content-Type"].startswith("application/problem+json"), answer.text
        if pointer:
            assert pointer in pointers(answer), answer.text
        else:
            assert any(p.startswith("/meta/a/0/0") for p in pointers(answer)), answer.text


# A body as bytes, and where it ceases to be JSON.
BROKEN = [(b'{"title":"x","title":"y"}', "/title"), (b'{"title":"\xff"}', "/title"), (b'{"tags":["a","\xed\xa0\x80"]}', "/tags/1"),
          (b'{"tags":["a",{"b":"c" "d"}]}', "/tags/1/b"), (b'{"title":"a\x01"}', "/title"), (b'{"title":"a\x00"}', "/title"),
          (b'{"title":"x","meta":{"a":tru}}', "/meta/a"), (b'{"title":"x","meta":{"a":1', "/meta/a"), (b'{"a~/b":+1}', "/a~0~1b")]


@pytest.mark.parametrize("body, pointer", BROKEN)
def test_R23_broken_text_says_where(cms, body, pointer):
    answer = cms.post(POSTS, data=body, headers=JSON)
    assert answer.status_code == 400 and pointers(answer) == {pointer}, answer.text
    if not body.endswith(b"}"):
        return
    items = cms.patch(POSTS, data=b'[{"op":"create","data":%s}]' % body, headers=JSON)
    assert items.status_code == 400 and pointers(items) == {"/0/data" + pointer}, items.text


# What is sent as published_at of a draft, and what comes back; None: refused.
TIMES = [("2027-03-01T09:00:00Z", "2027-03-01T09:00:00.000000Z"), ("2027-03-01T09:00:00.5+01:00", "2027-03-01T08:00:00.500000Z"),
         ("2027-03-01t09:00:00z", "2027-03-01T09:00:00.000000Z"), ("2027-12-31T23:30:00-01:00", "2028-01-01T00:30:00.000000Z"),
         ("2028-02-29T00:00:00.123456789Z", "2028-02-29T00:00:00.123456Z"), ("2027-03-01T09:00:00-00:00", "2027-03-01T09:00:00.000000Z"),
         ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"), ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
         ("9999-12-31T23:59:59-00:01", None), ("0001-01-01T00:00:00+00:01", None), ("0000-01-01T00:00:00Z", None), ("2027-03-01", None),
         ("2027-03-01T09:00:00", None), ("2027-03-01 09:00:00Z", None), ("2027-03-01T24:00:00Z", None), ("2027-03-01T09:00:60Z", None),
         ("2027-02-29T00:00:00Z", None), ("2027-3-1T9:00:00Z", None), ("2027-03-01T09:00Z", None), ("2027-03-01T09:00:00+0100", None),
         ("+12027-03-01T09:00:00Z", None), ("2027-03-01T09:00:00.Z", None), ("now", None), ("infinity", None), ("", None)]


@pytest.mark.parametrize("sent, back", TIMES)
def test_R23_times_are_rfc_3339_and_come_back_in_utc(cms, sent, back):
    answer = cms.post(POSTS, json={"title": "times", "status": "draft", "published_at": sent})
    if back is None:
        assert answer.status_code == 422 and pointers(answer) == {"/published_at"}, answer.text
        assert cms.get(POSTS, params={"filter[published_at]": sent}).status_code == 400
        return
    assert answer.status_code == 201, answer.text
    row = answer.json()["data"]
    assert row["published_at"] == back
    found = cms.get(POSTS, params={"filter[published_at]": sent, "filter[id]": row["id"]}).json()["data"]
    assert [r["published_at"] for r in found] == [back]


def scalars(value, name=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from scalars(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from scalars(item, name)
    else:
        yield name, value


def test_R23_every_time_and_number_of_every_list(cms):
    """All entities, with what belongs to them, as the administrator sees them."""
    paths = [f"/api/v2/{plural}?per_page=100" for plural in SAMPLES] + ["/api/v2/posts/changes", "/api/v2/webhooks/endpoints", "/api/v2/webhooks/deliveries",
             "/api/v2/auth/keys", "/api/v2/auth/audit", "/api/v2/webhook-sources", "/api/v2/webhook-messages", "/api/v1/posts"]
    for plural, sample in SAMPLES.items():
        cms.make(f"/api/v2/{plural}", **sample())
    seen = 0
    for path in paths:
        answer = cms.get(path)
        assert answer.status_code == 200, (path, answer.text)
        for name, value in scalars(answer.json()):
            if name.endswith("_at") and value is not None:
                assert UTC.fullmatch(value), (path, name, value)
                seen += 1
            if isinstance(value, int):
                assert abs(value) <= MOST, (path, name, value)
    assert seen > 50


def test_R23_an_event_holds_what_the_answer_held(cms, receiver):
    """The consumers of events read what the API took: numbers at their limits do not make poison of a message."""
    got = receiver()
    endpoint = cms.make("/api/v2/webhooks/endpoints", url=got.url, events=["post.created"])
    meta = '{"a":%d,"b":0.1,"c":[1e-15,-2.5],"d":"9007199254740993","e":%s}' % (MOST, '{"a":' * 22 + "[]" + "}" * 22)
    title = unique("numbers")
    made = cms.post(POSTS, data=('{"title":"%s","status":"draft","meta":%s}' % (title, meta)).encode(), headers=JSON)
    assert made.status_code == 201, made.text

    def arrived():
        return next((json.loads(r["body"]) for r in list(got.requests) if title.encode() in r["body"]), None)
    event = wait_for(arrived, 60, "the event")
    assert event["data"]["meta"] == json.loads(meta) and UTC.fullmatch(event["timestamp"])
    cms.delete(f"/api/v2/webhooks/endpoints/{endpoint['id']}")


@pytest.mark.parametrize("query", ["filter[title]=%FF", "filter[title]=%ED%A0%80", "filter[title]=%00", "filter[title][like]=a%00*", "fields=%C0%AF", "cursor=%FF",
                                   "filter[title]=%F4%90%80%80", "filter[%FF]=1", "sort=%E2%82"])
def test_R23_a_query_is_utf8_too(query):
    with Client() as client:
        answer = client.get(f"{POSTS}?{query}")
    assert answer.status_code == 400 and answer.json()["status"] == 400, answer.text
