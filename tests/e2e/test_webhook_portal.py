"""The portal for receivers' engineers (W-17): what a link shows, what it does, and that it is nobody else's."""
import base64
import hashlib
import html
import re

import pytest

from support import stack

ENDPOINTS, PORTALS = "/api/v2/webhooks/endpoints", "/api/v2/webhooks/portals"


@pytest.fixture
def told(cms, receiver, endpoint):
    """Endpoints that have had a delivery: the first gets 200, the second is refused."""
    got = [receiver(), receiver(lambda r: 500)]
    made = [endpoint(g.url, ["company.created"], description=f"End <{i}>") for i, g in enumerate(got)]
    company = cms.make("/api/v2/companies", name=stack.unique("portal"))
    for g in got:
        stack.wait_for(lambda: [e for e in g.events() if e["data"]["id"] == company["id"]], 30, "the delivery")
    return got, made, company


def portal(cms, made, **more):
    answer = cms.post(f"{ENDPOINTS}/{made['id']}/portal", json=more)
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    return data, data["url"].removeprefix(stack.URL)


def deliveries(page):
    return re.findall(r"/deliveries/([0-9a-f-]{36})", page.text)


def test_W17_a_link_shows_its_endpoints_log_and_payloads(cms, anonymous, told):
    _, made, company = told
    data, path = portal(cms, made[0], label="Shop <team>")
    assert data["endpoint_ids"] == [made[0]["id"]] and data["can_resend"] and not data["can_rotate"]
    home = anonymous.get(path)
    assert home.status_code == 200 and home.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Shop &lt;team&gt;" in home.text and "End &lt;0&gt;" in home.text and "End &lt;1&gt;" not in home.text
    csp = home.headers["Content-Security-Policy"]
    sheet = re.search(r"<style>(.*?)</style>", home.text, re.S).group(1)
    assert "default-src 'none'" in csp and base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode() in csp
    assert home.headers["Referrer-Policy"] == "no-referrer" and home.headers["Cache-Control"] == "no-store"
    assert "<script" not in home.text and 'lang="en"' in home.text and "prefers-color-scheme" in sheet
    log = anonymous.get(f"{path}/endpoints/{made[0]['id']}")
    found = deliveries(log)
    assert found and "company.created" in log.text
    assert not deliveries(anonymous.get(f"{path}/endpoints/{made[0]['id']}?lang=de&status=dead"))
    assert not deliveries(anonymous.get(f"{path}/endpoints/{made[0]['id']}", params={"after": found[-1]}))
    assert deliveries(anonymous.get(f"{path}/endpoints/{made[0]['id']}?after='x"))
    one = anonymous.get(f"{path}/deliveries/{found[0]}")
    assert company["name"] in html.unescape(one.text) and "webhook-id" in one.text
    types = anonymous.get(f"{path}/events")
    assert "post.published" in types.text and "content.command" not in types.text
    german = anonymous.get(path, headers={"Accept-Language": "de-DE,de;q=0.9,en;q=0.5"})
    assert 'lang="de"' in german.text and "Endpunkte" in german.text
    assert "Endpoints" in anonymous.get(path, params={"lang": "en"}, headers={"Accept-Language": "de"}).text


def test_W17_a_link_is_for_its_endpoints_only(cms, anonymous, told):
    _, made, _ = told
    _, path = portal(cms, made[0], can_rotate=True)
    _, other = portal(cms, made[1])
    theirs = stack.wait_for(lambda: deliveries(anonymous.get(f"{other}/endpoints/{made[1]['id']}")), 20, "their delivery")[0]
    before = cms.get(f"{ENDPOINTS}/{made[1]['id']}").json()["data"]["version"]
    for method, rest, form in (("GET", f"/endpoints/{made[1]['id']}", None), ("GET", f"/deliveries/{theirs}", None),
                               ("POST", f"/deliveries/{theirs}/resend", ""), ("POST", f"/endpoints/{made[1]['id']}/rotate", "sure=1"),
                               ("POST", f"/endpoints/{made[1]['id']}/recover", ""), ("GET", "/endpoints/999999", None),
                               ("GET", "/deliveries/x", None), ("GET", "/endpoints/x", None)):
        answer = anonymous.request(method, path + rest, data=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status_code == 404 and "End &lt;1&gt;" not in answer.text, (rest, answer.status_code)
    assert cms.get(f"{ENDPOINTS}/{made[1]['id']}").json()["data"]["version"] == before
    for wrong in ("/webhooks/portal/x", stack.altered(path), "/webhooks/portal/" + "a" * 500):
        assert anonymous.get(wrong).status_code == 404


def test_W17_what_a_link_may_do(cms, anonymous, told):
    got, made, _ = told
    data, path = portal(cms, made[0], can_rotate=True)
    here = f"{path}/endpoints/{made[0]['id']}"
    found = deliveries(anonymous.get(here))[0]
    n = len(got[0].requests)
    again = stack.wait_for(lambda: (a := anonymous.post(f"{path}/deliveries/{found}/resend", allow_redirects=False)).status_code == 303
                           and a, 20, "the delivery to be at rest")
    assert again.headers["Location"].endswith(found)
    stack.wait_for(lambda: len(got[0].requests) > n, 30, "the delivery to come again")
    assert len({r["headers"]["webhook-id"] for r in got[0].requests}) == 1
    assert anonymous.post(f"{here}/rotate").status_code == 403, "not without saying so"
    rotated = anonymous.post(f"{here}/rotate", data="sure=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", html.unescape(rotated.text))
    assert rotated.status_code == 200 and secret and secret.group(0) not in anonymous.get(here).text
    recovered = anonymous.post(f"{here}/recover")
    assert recovered.status_code == 200 and "On their way again" in recovered.text
    shown = cms.get(f"{PORTALS}/{data['id']}").json()["data"]
    assert shown["last_action"] == f"endpoint {made[0]['id']}: recovered" and shown["last_used_at"]

    _, quiet = portal(cms, made[0], can_resend=False)
    assert anonymous.post(f"{quiet}/deliveries/{found}/resend").status_code == 403
    assert anonymous.post(f"{quiet}/endpoints/{made[0]['id']}/rotate", data="sure=1").status_code == 403
    assert "<form" not in anonymous.get(f"{quiet}/endpoints/{made[0]['id']}").text


def test_W17_links_end_and_belong_to_their_owner(cms, anonymous, told, key, endpoint, receiver):
    _, made, _ = told
    data, path = portal(cms, made[0], expires_in_seconds=3600)
    assert anonymous.get(path).status_code == 200
    listed = cms.get(PORTALS).json()["data"]
    assert data["id"] in [p["id"] for p in listed] and "url" not in listed[0] and path.rsplit("/", 1)[1] not in str(listed)
    user = cms.make("/api/v2/users", username=stack.unique("u"), email=stack.unique("m") + "@example.org", role="author")
    other = key(["webhooks:write"], user=user["id"])
    assert other.get(f"{PORTALS}/{data['id']}").status_code == 404 and other.delete(f"{PORTALS}/{data['id']}").status_code == 404
    assert other.post(f"{ENDPOINTS}/{made[0]['id']}/portal", json={}).status_code == 404
    assert other.post(PORTALS, json={"endpoint_ids": [made[0]["id"]]}).status_code == 404
    both = cms.post(PORTALS, json={"endpoint_ids": [m["id"] for m in made]}).json()["data"]
    page = anonymous.get(both["url"].removeprefix(stack.URL))
    assert "End &lt;0&gt;" in page.text and "End &lt;1&gt;" in page.text
    heard = receiver()
    endpoint(heard.url, ["webhook.portal.revoked"])
    assert cms.delete(f"{PORTALS}/{data['id']}").status_code == 204
    gone = anonymous.get(path)
    assert gone.status_code == 404 and "does not work" in gone.text
    stack.wait_for(lambda: [e for e in heard.events() if e["data"]["id"] == data["id"]], 30, "the event of it")
    cms.delete(f"{ENDPOINTS}/{made[1]['id']}")
    assert "End &lt;1&gt;" not in anonymous.get(both["url"].removeprefix(stack.URL)).text
    for body, pointer in (({"endpoint_ids": []}, "/endpoint_ids"), ({"endpoint_ids": [1], "expires_in_seconds": 1}, "/expires_in_seconds"),
                          ({"endpoint_ids": [1], "expires_in_seconds": 10**9}, "/expires_in_seconds")):
        answer = cms.post(PORTALS, json=body)
        assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == pointer
