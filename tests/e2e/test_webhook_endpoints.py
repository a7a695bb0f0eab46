"""Endpoints and the delivery log as a client sees them."""
import uuid

from support.samples import SAMPLES
from support.stack import psql, unique, wait_for

ENDPOINTS = "/api/v2/webhooks/endpoints"
DELIVERIES = "/api/v2/webhooks/deliveries"


def pointers(answer):
    assert answer.status_code == 422, answer.text
    return {e["pointer"] for e in answer.json()["errors"]}


def test_X03_creating_twice_with_one_key_makes_one_endpoint_and_one_secret(cms, receiver):
    body = {"url": receiver().url, "events": ["company.*"], "description": unique("hook")}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first = cms.post(ENDPOINTS, json=body, headers=headers)
    again = cms.post(ENDPOINTS, json=body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json() and first.json()["data"]["secret"].startswith("whsec_")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.headers["Location"].endswith(f"/{first.json()['data']['id']}")
    other = cms.post(ENDPOINTS, json={**body, "description": "else"}, headers=headers)
    assert other.status_code == 422
    assert cms.delete(f"{ENDPOINTS}/{first.json()['data']['id']}").status_code == 204


def test_R03_an_endpoint_is_changed_field_by_field(cms, receiver, endpoint):
    made = endpoint(receiver().url, ["company.*"])
    one = f"{ENDPOINTS}/{made['id']}"
    read = cms.get(one)
    tag = read.headers["ETag"]
    changed = cms.patch(one, json={"description": "new", "max_in_flight": 3, "events": ["post.*", "page.created"]},
                        headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    data = changed.json()["data"]
    assert (data["description"], data["max_in_flight"], data["events"]) == ("new", 3, ["post.*", "page.created"])
    assert data["url"] == made["url"] and data["version"] == made["version"] + 1 and "secret" not in data
    assert cms.patch(one, json={"description": "late"}, headers={"If-Match": tag}).status_code == 412
    assert cms.patch(one, json={"description": None}).json()["data"]["description"] is None
    assert cms.get(one, headers={"If-None-Match": cms.get(one).headers["ETag"]}).status_code == 304


def test_R05_every_fault_is_named(cms, endpoint, receiver):
    bad = {"url": "http://10.0.0.1/", "events": ["post.exploded", "post.*"], "max_in_flight": 0, "status": "gone", "secret": "whsec_x"}
    assert pointers(cms.post(ENDPOINTS, json=bad)) >= {"/url", "/events/0", "/max_in_flight", "/status", "/secret"}
    assert pointers(cms.post(ENDPOINTS, json={})) >= {"/url", "/events"}
    assert pointers(cms.post(ENDPOINTS, json={"url": receiver().url, "events": []})) == {"/events"}
    one = f"{ENDPOINTS}/{endpoint(receiver().url, ['post.*'])['id']}"
    assert pointers(cms.patch(one, json={"url": "http://169.254.169.254/"})) == {"/url"}
    assert pointers(cms.patch(one, json={"events": ["*.*"]})) == {"/events/0"}


def test_W12_the_log_has_each_request(cms, receiver, endpoint):
    sink = receiver(lambda r: [500, 200][min(r["n"], 1)])
    made = endpoint(sink.url, ["company.created"])
    cms.make("/api/v2/companies", **SAMPLES["companies"]())

    def delivered():
        rows = cms.get(f"{DELIVERIES}?filter[endpoint]={made['id']}&filter[status]=delivered").json()["data"]
        return rows and rows[0]

    row = wait_for(delivered, 20, "the delivery")
    assert row["event"] == "company.created" and row["attempts"] == 2 and row["next_attempt_at"] is None
    tries = cms.get(f"{DELIVERIES}/{row['id']}/attempts").json()["data"]
    assert [(t["attempt"], t["outcome"], t["response_code"]) for t in tries] == [(1, "failed", 500), (2, "delivered", 200)]
    assert "500" in tries[0]["error"] and tries[1]["error"] is None
    assert cms.get(f"{DELIVERIES}?filter[event]=company.created&filter[endpoint]={made['id']}").json()["meta"]["total"] == 1
    for name in (row["event_id"], row["event_id"].removeprefix("evt_")):
        found = cms.get(f"{DELIVERIES}?filter[event_id]={name}&filter[endpoint]={made['id']}").json()["data"]
        assert [f["id"] for f in found] == [row["id"]]
    again = cms.post(f"{DELIVERIES}/{row['id']}/resend")
    assert again.status_code == 202 and again.json()["data"]["id"] == row["id"]
    wait_for(lambda: len(sink.requests) >= 3, 20, "the delivery again")
    assert len({r["headers"]["webhook-id"] for r in sink.requests}) == 1


def test_X07_what_is_not_there_is_404(cms):
    nowhere = str(uuid.uuid4())
    for path in (f"{ENDPOINTS}/999999999", f"{ENDPOINTS}/x", f"{DELIVERIES}/{nowhere}", f"{DELIVERIES}/7",
                 f"{DELIVERIES}/{nowhere}/attempts", f"{DELIVERIES}/x/attempts"):
        assert cms.get(path).status_code == 404, path
    assert cms.post(f"{DELIVERIES}/{nowhere}/resend").status_code == 404
    assert cms.patch(f"{ENDPOINTS}/999999999", json={"description": "x"}).status_code == 404
    assert cms.delete(f"{ENDPOINTS}/999999999").status_code == 404


def test_W05_W13_what_waits_for_a_deleted_endpoint_is_canceled_however_much_it_is(cms, receiver, endpoint):
    made, many = endpoint(receiver().url, ["company.created"], status="paused"), 12000
    psql(f"""insert into webhooks_out.deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, body, next_attempt_at)
        select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex({made['id']}::bigint * 1000000 + n), 19, '0'))::uuid,
        {made['id']}, 1, gen_random_uuid(), 'company.created', 'company:' || n, now(), '{{}}', now() from generate_series(1, {many}) n""")
    assert cms.delete(f"{ENDPOINTS}/{made['id']}").status_code == 204
    left = f"select count(*) from webhooks_out.deliveries where endpoint_id = {made['id']} and status <> 'canceled'"
    wait_for(lambda: psql(left) == "0", 90, "all to be canceled", every=0.5)


def test_W05_deleting_ends_what_was_still_to_go_and_keeps_the_log(cms, receiver, endpoint):
    made = endpoint(receiver().url, ["company.created"], status="paused")
    cms.make("/api/v2/companies", **SAMPLES["companies"]())

    def rows():
        return cms.get(f"{DELIVERIES}?filter[endpoint]={made['id']}").json()["data"]

    row = wait_for(rows, 20, "the delivery to be kept")[0]
    assert row["status"] == "pending"
    assert cms.delete(f"{ENDPOINTS}/{made['id']}").status_code == 204
    assert cms.get(f"{ENDPOINTS}/{made['id']}").status_code == 404
    assert rows()[0]["status"] == "canceled" and rows()[0]["next_attempt_at"] is None
    assert made["id"] not in [e["id"] for e in cms.get(f"{ENDPOINTS}?per_page=100").json()["data"]]
    assert cms.get(f"{DELIVERIES}/{row['id']}/attempts").json()["data"] == []
    assert cms.patch(f"{ENDPOINTS}/{made['id']}", json={"status": "active"}).status_code == 404
    assert cms.post(f"{DELIVERIES}/{row['id']}/resend").status_code == 409
