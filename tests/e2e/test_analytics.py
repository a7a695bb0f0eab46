"""The request log, its numbers and what is unusual, from outside."""
import json
import time
import uuid

import pytest
import requests

from support import stack
from support.analytics import BASE, detector_from, replay, row, sql, usual_rate
from support.people import new_person
from support.stack import wait_for


def logged(cms, seconds=30, **filters):
    query = "&".join(f"filter[{k}]={v}" for k, v in filters.items())
    return wait_for(lambda: cms.get(f"{BASE}/requests?limit=50&{query}").json()["data"], seconds, f"the log to have {filters}", 0.2)


def test_N01_every_program_tells_of_every_request(cms, key):
    own = key(["api:read", "keys:read", "analytics:read"])
    ids = {}
    for program, path, route in (("api", "/api/v2/posts?per_page=1", "/api/v2/posts"), ("auth", "/api/v2/auth/keys?limit=1", "/api/v2/auth/keys"),
                                 ("webhooks-out", "/api/v2/webhooks/endpoints?limit=1", "/api/v2/webhooks/endpoints"),
                                 ("webhooks-in", "/api/v2/webhook-sources?limit=1", "/api/v2/webhook-sources"),
                                 ("analytics", BASE + "/overview?window=1h", BASE + "/overview")):
        answer = own.get(path)
        assert answer.status_code == 200, answer.text
        ids[program] = (answer.headers["X-Request-Id"], route)
    for program, (request_id, route) in ids.items():
        found, = logged(cms, request_id=request_id)
        assert (found["program"], found["route"], found["method"], found["status"]) == (program, route, "GET", 200)
        assert found["consumer"] == "key" and found["key"] == {"id": own.key_id} and found["agent"] == "python-requests"
        assert 0 <= found["queue_us"] <= found["total_us"] and 0 <= found["db_us"] <= found["total_us"] and found["bytes_out"] > 0
        assert cms.get(f"{BASE}/requests/{found['id']}").json()["data"]["request_id"] == request_id
    nothing = own.get("/api/v2/nothing-here/7")
    found, = logged(cms, request_id=nothing.headers["X-Request-Id"])
    assert (found["route"], found["status"], found["problem"]) == ("unmatched", 404, "not_found")


def test_N01_personal_data_is_never_stored(cms, key):
    """A canary in every place that a client can write to is in no record and not in the program's tables."""
    canary = "erika.mustermann." + uuid.uuid4().hex
    own = key(["api:admin"])
    before = own.get("/api/v2/posts?per_page=1").headers["X-Request-Id"]
    marks = {"User-Agent": f"{canary}/1.0", "Referer": f"https://{canary}.example/", "X-Forwarded-For": "203.0.113.77", "Cookie": f"a={canary}",
             "X-Request-Id": canary[:60], "traceparent": "00-" + uuid.uuid4().hex + "-00f067aa0ba902b7-01"}
    own.get(f"/api/v2/posts?filter[title]={canary}", headers=marks)
    own.get(f"/api/v2/{canary}/{canary}?email={canary}@example.com", headers=marks)
    own.post("/api/v2/posts", json={"title": canary, "slug": canary.replace(".", "-"), "nonsense": canary}, headers=marks)
    own.get(f"/api/v2/posts/slug:{canary.replace('.', '-')}", headers=marks)
    requests.get(f"{stack.URL}/hooks/{canary}", timeout=10)
    after = own.get("/api/v2/posts?per_page=1").headers["X-Request-Id"]
    logged(cms, request_id=before), logged(cms, request_id=after)
    mark = canary.split(".")[-1]
    stored = sql("select count(*) from requests where key_id = %d" % own.key_id)
    assert int(stored) >= 5
    for table in ("requests", "routes", "consumers", "facets", "fresh", "seen", "losses", "anomalies"):
        assert sql(f"select count(*) from {table} t where t::text like '%{mark}%' or t::text like '%203.0.113.77%'") == "0", table
    for headers, payload in stack.kafka_messages("api.requests"):
        text = json.dumps(payload)
        assert mark not in text and "203.0.113.77" not in text and "127.0.0.1" not in text


def test_N03_numbers_over_time_by_route_and_by_key(cms, key):
    own = key(["api:read", "analytics:read"])
    for n in range(12):
        own.get("/api/v2/posts?per_page=1" if n % 3 else "/api/v2/posts/999999999")
    last = own.get("/api/v2/pages?per_page=1")
    logged(cms, request_id=last.headers["X-Request-Id"])
    overview = cms.get(f"{BASE}/overview?window=1h&key={own.key_id}").json()["data"]
    assert (overview["requests"], overview["client_errors"], overview["server_errors"]) == (13, 4, 0)
    assert overview["error_ppm"] == 4 * 1_000_000 // 13 and overview["p50_us"] <= overview["p95_us"] <= overview["p99_us"]
    points = cms.get(f"{BASE}/series?window=15m&step=1m&key={own.key_id}").json()["data"]["points"]
    assert 15 <= len(points) <= 17 and sum(p["requests"] for p in points) == 13
    routes = cms.get(f"{BASE}/routes?window=1h&key={own.key_id}&sort=requests").json()
    assert [(r["route"], r["requests"]) for r in routes["data"]] == [("/api/v2/posts", 8), ("/api/v2/posts/{id}", 4), ("/api/v2/pages", 1)]
    assert routes["meta"]["total"] == 3
    failing = cms.get(f"{BASE}/routes?window=1h&key={own.key_id}&sort=error_rate&limit=1").json()["data"]
    assert failing[0]["route"] == "/api/v2/posts/{id}" and failing[0]["error_ppm"] == 1_000_000
    consumers = cms.get(f"{BASE}/consumers?window=1h&key={own.key_id}").json()["data"]
    assert len(consumers) == 1 and consumers[0]["key"] == {"id": own.key_id} and consumers[0]["requests"] == 13
    log = cms.get(f"{BASE}/requests?filter[key]={own.key_id}&limit=50").json()
    assert len(log["data"]) == 13 and all(r["key"] == {"id": own.key_id} for r in log["data"])
    person, = {r["user"]["id"] for r in log["data"]}
    other = cms.get(f"{BASE}/requests?filter[key]={own.key_id}&filter[user]={person + 1}&limit=50").json()
    assert other["data"] == [] and cms.get(f"{BASE}/requests?filter[key]=999999999").json()["data"] == []


def test_X07_an_owner_sees_own_traffic_only(cms, key):
    ann, bob = new_person(cms), new_person(cms)
    hers, his = key(["api:read", "analytics:read"], user=ann["id"]), key(["api:read", "analytics:read"], user=bob["id"])
    request_id = hers.get("/api/v2/posts?per_page=1").headers["X-Request-Id"]
    his.get("/api/v2/pages?per_page=1")
    found, = logged(cms, request_id=request_id)
    assert hers.get(f"{BASE}/requests/{found['id']}").status_code == 200
    assert his.get(f"{BASE}/requests/{found['id']}").status_code == 404
    assert his.get(f"{BASE}/requests?filter[request_id]={request_id}").json()["data"] == []
    assert all(r["user"] == {"id": bob["id"]} for r in his.get(f"{BASE}/requests?limit=50").json()["data"])
    assert his.get(f"{BASE}/overview?window=1h&key={hers.key_id}").json()["data"]["requests"] == 0
    assert {c["user"]["id"] for c in hers.get(f"{BASE}/consumers?window=1h").json()["data"]} == {ann["id"]}
    nothing = key(["api:read"], user=ann["id"])
    assert nothing.get(f"{BASE}/overview").status_code == 403


@pytest.mark.parametrize("path", ["overview?window=7", "overview?since=yesterday", "series?window=30d&step=1m", "routes?sort=color", "consumers?limit=0",
                                  "requests?count=exact", "requests?filter[path]=/", "tail?min_status=1", "anomalies?filter[signal]=odd"])
def test_N03_a_question_that_makes_no_sense_is_refused(cms, path):
    answer = cms.get(f"{BASE}/{path}")
    assert answer.status_code == 400 and answer.json()["errors"][0]["pointer"]


def events(response):
    name = data = None
    for line in response.iter_lines(decode_unicode=True):
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            data = json.loads(line[6:])
        elif not line and name:
            yield name, data
            name = None


def test_N01_the_live_log_shows_what_fits_and_is_ones_own(cms, key):
    ann = new_person(cms)
    hers, other = key(["api:read", "analytics:read"], user=ann["id"]), key(["api:read"])
    with hers.get(f"{BASE}/tail?min_status=404", stream=True, headers={"Accept": "text/event-stream"}, timeout=60) as answer:
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/event-stream"
        stream = events(answer)
        assert next(stream) == ("ready", {})
        hers.get("/api/v2/posts?per_page=1")
        other.get("/api/v2/posts/999999999")
        wanted = hers.get("/api/v2/posts/999999999").headers["X-Request-Id"]
        name, data = next(stream)
        assert name == "request" and data["request_id"] == wanted and data["status"] == 404 and data["user"] == {"id": ann["id"]}


def test_N01_who_does_not_ask_for_a_stream_gets_an_end(cms):
    assert "event: ready" in cms.get(f"{BASE}/tail", timeout=60).text


def test_N01_readers_of_the_live_log_are_bounded(cms):
    opened = []
    try:
        for _ in range(80):  # 32 a replica
            answer = cms.get(f"{BASE}/tail", stream=True, timeout=30, headers={"Accept": "text/event-stream"})
            opened.append(answer)
            if answer.status_code != 200:
                break
        assert opened[-1].status_code == 503 and opened[-1].headers["Retry-After"]
    finally:
        for answer in opened:
            answer.close()
    # A connection that was closed is noticed by the next word that cannot be sent.
    wait_for(lambda: cms.get(f"{BASE}/tail", stream=True, timeout=30, headers={"Accept": "text/event-stream"}).status_code == 200, 60, "room for another", 1)


def test_N05_replayed_traffic_raises_an_anomaly_that_webhooks_carry(cms, key, endpoint, receiver):
    own = key(["posts:read"])
    end = int(time.time() - 90) // 300 * 300
    far = receiver()
    endpoint(far.url + "/alarm", ["anomaly.*"])
    replay([row(end - 1200 + i % 60, key=own.key_id, user=1) for i in range(60)])
    wait_for(lambda: sql(f"select count(*) from consumers where kind = 'key' and number = {own.key_id} and user_id = 1") == "1", 30, "the key to be known", 0.3)
    usual_rate(own.key_id, 60)
    replay([row(end - 600 + 300 * half + i % 290, key=own.key_id, user=1) for half in (0, 1) for i in range(840)])
    wait_for(lambda: int(sql(f"select count(*) from requests where key_id = {own.key_id} and user_id = 1")) >= 1740, 30, "the traffic to be stored", 0.3)
    detector_from(end - 600)
    found = wait_for(lambda: cms.get(f"{BASE}/anomalies?filter[key]={own.key_id}&filter[signal]=rate_high").json()["data"], 60, "the anomaly", 0.5)[0]
    assert found["explanation"].startswith(f"API key {own.key_id}: 14 × its usual ") and "usually 60" in found["explanation"]
    assert (found["observed"], found["usual"], found["unit"], found["factor_percent"]) == (840, 60, "requests", 1400)
    told = wait_for(lambda: [e for e in far.events() if e["type"] == "anomaly.detected" and e["data"]["id"] == found["id"]], 30, "the webhook")[0]
    assert told["data"]["explanation"] == found["explanation"]

    path = f"{BASE}/anomalies/{found['id']}"
    assert cms.get(path).json()["data"]["feedback"] is None
    assert cms.post(path + "/mute", json={"minutes": 0}).status_code == 422
    assert cms.post(path + "/mute", data="minutes=5", headers={"Content-Type": "text/plain"}).status_code == 415
    assert cms.post(path + "/mute", json={"minutes": 5}, headers={"If-Match": '"99.x"'}).status_code == 412
    muted = cms.post(path + "/mute", json={"minutes": 5})
    assert muted.status_code == 200 and muted.json()["data"]["muted_until"] > found["started_at"]
    assert cms.post(path + "/unmute").json()["data"]["muted_until"] is None
    assert cms.post(path + "/unmute", headers={"If-Match": '"99.x"'}).status_code == 412
    assert cms.post(path + "/feedback", json={"verdict": "splendid"}).status_code == 422
    assert cms.post(path + "/feedback", json={"verdict": "useful"}, headers={"If-Match": '"99.x"'}).status_code == 412
    assert cms.post(path + "/feedback", data="x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert cms.post(path + "/feedback", json={"verdict": "false_alarm"}).json()["data"]["feedback"] == "false_alarm"
    assert cms.post(f"{BASE}/anomalies/999999999/mute", json={}).status_code == 404


def test_N01_what_was_dropped_is_told(cms):
    before = cms.get(f"{BASE}/overview?window=1h").json()["data"]["not_recorded"]
    replay([], dropped=7)
    wait_for(lambda: cms.get(f"{BASE}/overview?window=1h").json()["data"]["not_recorded"] == before + 7, 30, "the loss to be counted", 0.3)
