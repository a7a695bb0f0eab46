"""What holds for everybody's credentials (docs/auth.md): the organisation's networks, and who needs a second factor.

The networks that are set here always hold where the tests themselves are, so that nothing else is shut out meanwhile."""
import re

import pytest
import requests

from support import stack
from support.browser import Browser
from support.oauth import ask, bearer, machine, register  # noqa: F401
from support.people import AUTH, PASSWORD, Door, signed, totp, with_password
from support.session import SESSION
from support.stack import wait_for

POLICY = "/api/v2/auth/policy"
API = f"http://127.0.0.1:{int(stack.SETTINGS['CMS365_PORT_BASE']) + 100}"
HERE, THERE, ELSEWHERE = ["127.0.0.0/8", "198.18.0.0/15", "192.0.2.0/24", "2001:db8::/32"], "192.0.2.7", "203.0.113.9"


@pytest.fixture
def policy(cms):
    def put(**change):
        answer = cms.patch(POLICY, json=change)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    yield put
    assert cms.patch(POLICY, json={"allowed_networks": [], "totp_roles": []}).status_code == 200


def from_(address, headers, base=API):
    return requests.get(base + "/api/v2/posts?per_page=1", headers={**headers, "X-Forwarded-For": address}, timeout=30).status_code


def test_AU03_the_organisations_networks_hold_for_every_credential(cms, key, machine, policy):
    here, person = key(["posts:read"]), with_password(cms)
    narrow = key(["posts:read"], allowed_networks=["203.0.113.0/24", "192.0.2.0/24"])
    client = machine()
    token = ask(client, grant_type="client_credentials").json()["access_token"]
    browser = signed(person)
    cookie = {"Cookie": "; ".join(f"{c.name}={c.value}" for c in browser.browser.session.cookies)}
    wait_for(lambda: from_(ELSEWHERE, bearer(here.key_text)) == from_(ELSEWHERE, bearer(narrow.key_text)) == 200, 20, "the keys to be known")
    assert from_(ELSEWHERE, bearer(token)) == from_(ELSEWHERE, cookie) == 200
    policy(allowed_networks=HERE)
    for credential in (bearer(here.key_text), bearer(narrow.key_text), bearer(token), cookie):
        wait_for(lambda: from_(ELSEWHERE, credential) == 401, 20, "the networks to hold")
        assert from_(THERE, credential) == 200
    assert from_("2001:db8::7", bearer(here.key_text)) == from_("2001:db8::7", bearer(token)) == from_("2001:db8::7", cookie) == 200
    assert cms.get("/api/v2/posts?per_page=1").status_code == 200
    # Nobody gets a new one there either; the answer is of the kind that it always is.
    wait_for(lambda: requests.get(AUTH + "/api/v2/auth/keys", headers={**bearer(here.key_text), "X-Forwarded-For": ELSEWHERE}, timeout=30).status_code == 401,
             20, "auth to know them")
    refused = requests.post(AUTH + "/oauth/token", data={"grant_type": "client_credentials"}, headers={"X-Forwarded-For": ELSEWHERE},
                            auth=(client["client_id"], client["client_secret"]), timeout=30)
    assert refused.status_code == 401 and refused.json()["error"] == "invalid_client"
    door = Door(ELSEWHERE).attempt(person["username"], PASSWORD)
    assert door.status_code == 403 and "where you are" in door.text and "cms365_login" not in door.headers.get("Set-Cookie", "").split("Max-Age=0")[0]
    assert Door(ELSEWHERE).attempt(person["username"], "wrong").status_code == 401, "the password is asked first: others learn nothing"
    # Anonymous readers are nobody's credential.
    assert from_(ELSEWHERE, {}) == 200

    def told(subject, kind):
        return cms.get("/api/v2/auth/audit", params={"filter[subject]": subject, "filter[type]": kind}).json()["data"]

    for subject, kind in ((f"key:{here.key_id}", "key.denied"), (f"client:{client['id']}", "client.denied"), (f"user:{person['id']}", "session.denied")):
        [entry] = wait_for(lambda: told(subject, kind), 30, f"{kind} in the log")
        assert entry["address"] == ELSEWHERE
    policy(allowed_networks=[])
    for credential in (bearer(here.key_text), cookie):
        wait_for(lambda: from_(ELSEWHERE, credential) == 200, 20, "the networks to be gone")


def test_AU03_nobody_shuts_themselves_out(cms, policy):
    was = cms.get(POLICY)
    for networks, code in ((["192.0.2.0/24"], "shut_out"), (["::/0"], "shut_out"), (["127.0.0.1/33"], "format"), (["127.0.0.1, ::/0"], "format"), ([""], "format")):
        answer = cms.patch(POLICY, json={"allowed_networks": networks})
        assert answer.status_code == 422 and code in {e["code"] for e in answer.json()["errors"]}, (networks, answer.text)
    assert cms.patch(POLICY, json={"totp_roles": ["king"]}).status_code == 422
    assert cms.get(POLICY).json() == was.json()
    assert cms.patch(POLICY, json={"totp_roles": []}, headers={"If-Match": '"999999.policy"'}).status_code == 412
    assert cms.patch(POLICY, json={"totp_roles": []}, headers={"If-Match": was.headers["ETag"]}).status_code == 200


def test_AU04_the_policy_is_for_who_was_given_it(cms, key, policy):
    reader, admin_less = key(["settings:read"]), key(["api:write", "keys:write"])
    wait_for(lambda: reader.get(POLICY).status_code == 200, 20, "the key to be known")
    assert reader.patch(POLICY, json={"totp_roles": []}).status_code == 403
    assert admin_less.get(POLICY).status_code == 403
    editor = with_password(cms, role="author")
    theirs = key(["settings:read", "settings:write"], user=editor["id"])
    wait_for(lambda: theirs.get(POLICY).status_code == 403, 20, "a role that has no settings")
    policy(totp_roles=["member"])
    wait_for(lambda: "member" in reader.get(POLICY).json()["data"]["totp_roles"], 5, "the change")
    [entry] = cms.get("/api/v2/auth/audit", params={"filter[type]": "policy.changed", "sort": "-created_at", "limit": 1}).json()["data"]
    assert entry["data"]["totp_roles"] == ["member"]


def test_AU11_a_role_is_asked_for_a_second_factor_from_now_on(cms, policy):
    person = with_password(cms, role="member")
    assert Door().attempt(person["username"], PASSWORD).status_code == 303
    policy(totp_roles=["member"])
    assert cms.get(f"/api/v2/auth/users/{person['id']}").json()["data"]["second_factor_required"] is True
    browser = Browser()
    browser.go(f"/oauth/session/start?return_to={SESSION}")
    browser.sign_in(person["username"], PASSWORD)
    assert "Set up a second step" in browser.page.title and "cms365_login" not in browser.session.cookies
    # The code is there to be scanned, without script, picture or style from anywhere.
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in browser.answer.text and 'aria-label="QR code' in browser.answer.text
    secret = re.search(r'id="secret">([A-Z2-7]+)<', browser.answer.text).group(1)
    browser.submit("/oauth/login/enrol", code=totp(secret))
    assert "Recovery codes" in browser.page.title
    policy(totp_roles=[])
    assert cms.get(f"/api/v2/auth/users/{person['id']}").json()["data"]["second_factor_required"] is False


def test_AU11_a_password_that_was_changed_ends_the_sign_in_that_it_began(cms, policy):
    """Whoever has an old password and stands at the second step, or sets one up, does not get in with it."""
    policy(totp_roles=["member"])
    person = with_password(cms, role="member")
    thief = Browser()
    thief.go(f"/oauth/session/start?return_to={SESSION}")
    thief.sign_in(person["username"], PASSWORD)
    secret = re.search(r'id="secret">([A-Z2-7]+)<', thief.answer.text).group(1)
    assert cms.post(f"/api/v2/auth/users/{person['id']}/reset-password").status_code in (200, 202, 204)
    thief.submit("/oauth/login/enrol", code=totp(secret))
    assert thief.answer.status_code == 400 and "cms365_login" not in thief.session.cookies, thief.answer.text
