"""From where a credential is accepted, and whose word that is: the gateway's, and nobody else's (AU-03)."""
import pytest
import requests

from support.oauth import ask, bearer, machine, register  # noqa: F401
from support.stack import ROOT, SETTINGS, URL, wait_for

BASE = int(SETTINGS["CMS365_PORT_BASE"])
HERE = {"v4": "127.0.0.1/32", "wide": "127.0.0.0/8", "one": "127.0.0.1"}
ELSEWHERE = ["192.0.2.0/24", "2001:db8::/32", "::1/128", "128.0.0.0/1"]


def api():
    row = next(line.split() for line in (ROOT / "deploy/programs.txt").read_text().splitlines() if line.split()[:1] == ["api"])
    return f"http://127.0.0.1:{BASE + 100 + 20 * int(row[1])}"


def known(client):
    wait_for(lambda: client.get("/problems/rate_limited").status_code == 200, 20, "the key to be known")


@pytest.mark.parametrize("networks", [[HERE["v4"]], [HERE["wide"]], [HERE["one"]], ELSEWHERE + [HERE["v4"]], []])
def test_AU03_a_key_is_accepted_from_its_networks(key, networks):
    client = key(["posts:read"], allowed_networks=networks)
    known(client)
    assert client.get("/api/v2/posts?per_page=1").status_code == 200


@pytest.mark.parametrize("network", ELSEWHERE)
def test_AU03_and_from_nowhere_else(cms, key, network):
    client = key(["posts:read"], allowed_networks=[HERE["v4"]])
    known(client)
    assert cms.patch(f"/api/v2/auth/keys/{client.key_id}", json={"allowed_networks": [network]}).status_code == 200
    wait_for(lambda: client.get("/api/v2/posts?per_page=1").status_code == 401, 20, "the new networks")
    assert client.get("/api/v2/auth/keys").status_code == 401


FORGED = [{"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "192.0.2.7, 127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1, 192.0.2.7"},
          {"Forwarded": "for=192.0.2.7"}, {"Forwarded": 'for="[2001:db8::7]"'}, {"X-Real-IP": "192.0.2.7"}, {"X-Client-IP": "192.0.2.7"},
          {"True-Client-IP": "192.0.2.7"}, {"CF-Connecting-IP": "192.0.2.7"}, {"X-Forwarded-For": "::ffff:192.0.2.7"},
          {"X-Forwarded-For": "192.0.2.7", "X-Real-IP": "192.0.2.7", "Forwarded": "for=192.0.2.7"}]


@pytest.mark.parametrize("headers", FORGED, ids=str)
def test_AU03_what_a_client_says_of_itself_changes_nothing(key, headers):
    """Through the gateway, which says itself who calls."""
    here, there = key(["posts:read"], allowed_networks=["127.0.0.1/32"]), key(["posts:read"], allowed_networks=["192.0.2.0/24", "2001:db8::/32"])
    known(here)
    assert here.get("/api/v2/posts?per_page=1", headers=headers).status_code == 200
    wait_for(lambda: there.get("/api/v2/posts?per_page=1").status_code == 401, 20, "the key to be refused")
    assert there.get("/api/v2/posts?per_page=1", headers=headers).status_code == 401


# What a program makes of the list that a trusted proxy hands it (tests run on a trusted address: they are one): the
# right-most that is no proxy.  A list that cannot be read ends where it can be.
@pytest.mark.parametrize("given,accepted", [
    ("192.0.2.7", True), ("192.0.2.7, 127.0.0.1", True), ("203.0.113.1, 192.0.2.7", True), ("192.0.2.7, 203.0.113.1", False),
    ("::ffff:192.0.2.7", True), ("2001:db8::7", True), ("192.0.2.7,", False), ("192.0.2.7, garbage", False), ("garbage", False), ("", False),
    ("192.0.2.7:80", False), ("[2001:db8::7]", False), ("192.0.2.7 203.0.113.1", False), ("192.0.2.7;203.0.113.1", False), ("0xC0000207", False),
    ("192.0.2.07", False), ("3221225991", False), ("192.0.2", False), (", ".join(["192.0.2.7"] + ["127.0.0.1"] * 300), True),
    ("192.0.2.7, 203.0.113.1, 127.0.0.1", False)])
def test_AU03_the_right_most_hop_that_is_no_proxy(key, given, accepted):
    there = key(["posts:read"], allowed_networks=["192.0.2.0/24", "2001:db8::/32"])
    url, headers = api() + "/api/v2/posts?per_page=1", bearer(there.key_text)
    wait_for(lambda: requests.get(url, headers={**headers, "X-Forwarded-For": "192.0.2.7"}, timeout=30).status_code == 200, 20, "the key to be known")
    answer = requests.get(url, headers={**headers, "X-Forwarded-For": given}, timeout=30)
    assert answer.status_code == (200 if accepted else 401)


@pytest.mark.parametrize("wrong", ["", "x", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/-1", "192.0.2.0/24,::/0", "0/0", "192.0.2/24",
                                   "fe80::1%eth0", "example.com"])
def test_AU03_what_is_no_network_is_not_taken(cms, wrong):
    for path, more in (("/api/v2/auth/keys", {}), ("/api/v2/auth/clients", {"redirect_uris": ["https://app.example.com/cb"]})):
        answer = cms.post(path, json={"name": "n", "scopes": ["posts:read"], "allowed_networks": [wrong], **more})
        assert answer.status_code == 422 and "/allowed_networks/0" in answer.text, (path, wrong, answer.text)


def test_AU03_a_clients_own_tokens_are_held_to_its_networks(cms, machine):
    client = machine(allowed_networks=[HERE["v4"], "192.0.2.0/24"])
    token = ask(client, grant_type="client_credentials").json()["access_token"]
    assert requests.get(URL + "/api/v2/posts?per_page=1", headers=bearer(token), timeout=30).status_code == 200
    away = requests.get(api() + "/api/v2/posts?per_page=1", headers={**bearer(token), "X-Forwarded-For": "203.0.113.9"}, timeout=30)
    assert away.status_code == 401
    assert cms.patch(f"/api/v2/auth/clients/{client['id']}", json={"allowed_networks": ["2001:db8::/32"]}).status_code == 200
    refused = wait_for(lambda: [a] if (a := ask(client, grant_type="client_credentials")).status_code == 401 else None, 10, "the new networks")[0]
    assert refused.json()["error"] == "invalid_client"
