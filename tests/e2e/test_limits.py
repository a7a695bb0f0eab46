"""Rate limits and quotas of keys, as a client sees them (docs/limits.md)."""
import re

import pytest
import requests

from support.load import hammer
from support.oauth import ask, bearer, machine, register  # noqa: F401
from support.samples import SAMPLES
from support.stack import ROOT, URL, Client, wait_for

ONE = "/api/v2/auth/keys/"


def fields(answer, name="RateLimit"):
    """{"key": {"r": 7, "t": 20}} of `"key";r=7;t=20, …`."""
    found = {}
    for item in answer.headers[name].split(", "):
        policy, *pairs = item.split(";")
        found[policy.strip('"')] = {k: int(v) for k, v in (pair.split("=") for pair in pairs)}
    return found


def ready(client):
    wait_for(lambda: client.get("/api/v2/posts?per_page=1").status_code == 200, 10, "the key to work")


def status(client, wanted):
    """The answer, in a list because a requests.Response is false from 400 on."""
    answer = client.get("/api/v2/posts/999999999")
    return [answer] if answer.status_code == wanted else None


def test_N04_every_answer_says_what_is_left(key):
    client = key(["posts:read"], rate_limit=500, quota_monthly=10000)
    ready(client)
    answer = client.get("/api/v2/posts?per_page=1")
    policy, left = fields(answer, "RateLimit-Policy"), fields(answer)
    assert policy["key"] == {"q": 500, "w": 60}
    assert policy["month"]["q"] == 10000 and 28 * 86400 <= policy["month"]["w"] <= 31 * 86400
    assert 0 < left["key"]["r"] < 500 and 1 <= left["key"]["t"] <= 60 and left["month"]["r"] < 10000
    assert answer.headers["X-RateLimit-Limit"] == "500"
    assert answer.headers["X-RateLimit-Remaining"] == str(left["key"]["r"])
    assert int(answer.headers["X-RateLimit-Reset"]) > 1_700_000_000
    # A list is two units, a problem is limited like any answer.
    again = client.get("/api/v2/posts?per_page=1")
    assert fields(again)["month"]["r"] <= left["month"]["r"] - 2
    assert "RateLimit" in client.get("/api/v2/posts/999999999").headers


def test_N04_keys_without_a_limit_are_told_nothing(key):
    client = key(["posts:read"])
    ready(client)
    assert "RateLimit" not in client.get("/api/v2/posts?per_page=1").headers


def test_N04_a_rate_refuses_and_says_until_when(key):
    client = key(["posts:read"], rate_limit=20)
    ready(client)
    # Two minutes' worth: whichever minute it is, one of them is used up.
    [refused] = wait_for(lambda: status(client, 429), 20, "429", every=0)
    problem = refused.json()
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert problem["type"].endswith("/problems/rate_limited") and problem["violated-policies"] == ["key"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert fields(refused)["key"]["t"] <= int(refused.headers["Retry-After"])
    assert client.get(problem["type"]).status_code == 200


def test_N04_exactly_the_quota_is_let_through(cms, key):
    client = key(["posts:read"], quota_monthly=300)
    wait_for(lambda: status(client, 404), 10, "the key to work")
    counts = hammer(2000, "/api/v2/posts/999999999", client.key_text)
    assert counts == {404: 299, 429: 1701}, counts
    refused = client.get("/api/v2/posts/999999999")
    assert refused.json()["type"].endswith("/problems/quota_exceeded")
    assert refused.json()["violated-policies"] == ["month"]
    assert int(refused.headers["Retry-After"]) > 0
    # Raised, it goes on at once; the month's use stays.
    assert cms.patch(ONE + str(client.key_id), json={"quota_monthly": 400}).status_code == 200
    [more] = wait_for(lambda: status(client, 404), 10, "the new quota")
    assert fields(more)["month"]["r"] <= 99


def test_N06_warnings_come_once_each(cms, key, receiver, endpoint):
    sink = receiver()
    endpoint(sink.url, ["key.quota_warning", "key.quota_exceeded"])
    client = key(["posts:read"], quota_monthly=100)
    wait_for(lambda: status(client, 404), 10, "the key to work")

    def told(kind):
        return len(sink.of(kind, client.key_id))

    hammer(84, "/api/v2/posts/999999999", client.key_text, connections=4)
    wait_for(lambda: told("key.quota_warning") == 1, 30, "the warning")
    assert told("key.quota_exceeded") == 0
    assert hammer(200, "/api/v2/posts/999999999", client.key_text)[404] == 15
    wait_for(lambda: told("key.quota_exceeded") == 1, 30, "the end of the quota")
    # Another quota, another warning; what was said is not said again.
    assert cms.patch(ONE + str(client.key_id), json={"quota_monthly": 120}).status_code == 200
    wait_for(lambda: status(client, 404), 10, "the new quota")
    hammer(50, "/api/v2/posts/999999999", client.key_text)
    wait_for(lambda: told("key.quota_exceeded") == 2, 30, "the end of the second quota")
    assert told("key.quota_warning") == 2


def test_AU01_only_administrators_raise_a_limit(cms, key):
    user = cms.make("/api/v2/users", **SAMPLES["users"]())
    theirs = key(["keys:read", "keys:write", "posts:read"], user=user["id"], rate_limit=1000, quota_monthly=5000)
    ready(theirs)
    one = ONE + str(theirs.key_id)
    for change, where in (({"rate_limit": 1001}, "/rate_limit"), ({"rate_limit": None}, "/rate_limit"),
                          ({"quota_monthly": 5001}, "/quota_monthly"), ({"quota_monthly": None}, "/quota_monthly")):
        refused = theirs.patch(one, json=change)
        assert refused.status_code in (403, 422) and where in refused.text, (change, refused.text)
    lowered = theirs.patch(one, json={"rate_limit": 900, "quota_monthly": 4000})
    assert lowered.status_code == 200 and lowered.json()["data"]["rate_limit"] == 900, lowered.text
    wait_for(lambda: fields(theirs.get(one), "RateLimit-Policy")["key"]["q"] == 900, 10, "the lowered limit")
    assert cms.patch(one, json={"rate_limit": None, "quota_monthly": None}).status_code == 200
    for wrong in ({"rate_limit": 0}, {"rate_limit": -1}, {"quota_monthly": "many"}, {"rate_limit": 10**12}):
        assert cms.patch(one, json=wrong).status_code == 422


def test_N04_an_anonymous_reader_is_not_the_key(key):
    client = key(["posts:read"], quota_monthly=1)
    wait_for(lambda: client.get("/api/v2/posts/999999999").status_code in (404, 429), 10, "the key to work")
    wait_for(lambda: status(client, 429), 10, "the end of the quota")
    with Client(key=None) as nobody:
        assert nobody.get("/api/v2/posts?per_page=1").status_code == 200
    assert re.match(r'"month";r=0;t=\d+$', client.get("/api/v2/posts/1").headers["RateLimit"])


# --- clients


def get_as(token, path="/api/v2/posts/999999999"):
    return requests.get(URL + path, headers=bearer(token), timeout=30)


def test_AU06_a_clients_own_rate_holds_for_all_its_tokens(machine):
    client = machine(rate_limit=20)
    tokens = [ask(client, grant_type="client_credentials").json()["access_token"] for _ in range(3)]
    policy = fields(get_as(tokens[0]), "RateLimit-Policy")
    assert policy == {"client": {"q": 20, "w": 60}}
    turn = iter(range(10**6))
    # Two minutes' worth, whichever token is shown: one of them is used up.
    [refused] = wait_for(lambda: [a] if (a := get_as(tokens[next(turn) % 3])).status_code == 429 else None, 20, "429", every=0)
    assert refused.json()["violated-policies"] == ["client"] and 1 <= int(refused.headers["Retry-After"]) <= 60


def test_AU06_exactly_the_clients_quota_is_let_through_and_told(cms, machine, receiver, endpoint):
    client, sink = machine(quota_monthly=100), receiver()
    endpoint(sink.url, ["client.quota_warning", "client.quota_exceeded"])
    tokens = [ask(client, grant_type="client_credentials").json()["access_token"] for _ in range(2)]
    counts = [hammer(200, "/api/v2/posts/999999999", token) for token in tokens]
    assert sum(c.get(404, 0) for c in counts) == 100, counts
    assert get_as(tokens[0]).json()["type"].endswith("/problems/quota_exceeded")
    wait_for(lambda: sink.of("client.quota_warning", client["id"]) and sink.of("client.quota_exceeded", client["id"]), 30, "both events")
    # What is used stands in the list, the nearest to its end first.
    def shown():
        rows = cms.get("/api/v2/auth/quotas").json()["data"]
        return [(i, r) for i, r in enumerate(rows) if r["holder"] == "client" and r["id"] == client["id"] and r["used"] == 100]
    [(_, row)] = wait_for(shown, 30, "the use to be shown")
    assert row["quota_monthly"] == 100 and row["name"] == client["name"] and row["resets_at"].endswith("-01T00:00:00.000000Z")
    # A new quota takes hold with the next token; those of before end with the change.
    assert cms.patch(f"/api/v2/auth/clients/{client['id']}", json={"quota_monthly": 200}).status_code == 200
    wait_for(lambda: get_as(tokens[0]).status_code == 401, 20, "the old tokens to end")
    more = ask(client, grant_type="client_credentials").json()["access_token"]
    assert fields(get_as(more))["client-month"]["r"] <= 100


def test_AU06_only_administrators_raise_a_clients_limit(cms, key):
    user = cms.make("/api/v2/users", **SAMPLES["users"]())
    theirs = key(["clients:read", "clients:write", "posts:read", "keys:read"], user=user["id"])
    wait_for(lambda: theirs.get("/api/v2/auth/clients").status_code == 200, 20, "the key to work")
    made = theirs.post("/api/v2/auth/clients", json={"name": "c", "scopes": ["posts:read"], "redirect_uris": ["https://app.example.com/cb"], "rate_limit": 500, "quota_monthly": 900})
    assert made.status_code == 201 and (made.json()["data"]["rate_limit"], made.json()["data"]["quota_monthly"]) == (500, 900), made.text
    one = f"/api/v2/auth/clients/{made.json()['data']['id']}"
    for change in ({"rate_limit": 501}, {"quota_monthly": 901}, {"quota_monthly": None}, {"rate_limit": 0}, {"quota_monthly": "x"}):
        assert theirs.patch(one, json=change).status_code in (403, 422), change
    assert theirs.patch(one, json={"rate_limit": 400}).json()["data"]["rate_limit"] == 400
    assert cms.patch(one, json={"rate_limit": None, "quota_monthly": None}).status_code == 200
    # The list shows one's own only.
    assert {row["user"]["id"] for row in theirs.get("/api/v2/auth/quotas").json()["data"]} == {user["id"]}
    cms.delete(one)


# --- classes


CLASSES = dict(re.findall(r"^\| `(\w+ [^`]+)` \|.*\| (\w+) \|$", (ROOT / "docs/reference/routes.md").read_text(), re.M))


@pytest.mark.parametrize("route", ["POST /oauth/login", "POST /oauth/login/second", "POST /oauth/login/enrol", "POST /oauth/forgot", "POST /oauth/password",
                                   "POST /api/v2/auth/password/forgot", "POST /api/v2/auth/password/reset"])
def test_AU11_what_takes_a_password_a_code_or_a_link_is_of_the_narrow_class(route):
    assert CLASSES[route] == "login"


def test_AU11_what_keeps_something_for_strangers_is_counted():
    """A public client needs no secret to push a request, which is stored."""
    assert CLASSES["POST /oauth/par"] == CLASSES["POST /oauth/token"] == "token"


def test_N04_documents_do_not_eat_the_anonymous_limit():
    docs = {r: c for r, c in CLASSES.items() if re.match(r"GET /(openapi\.|api-docs/|schemas/|contexts/|\.well-known/|problems/)", r)}
    assert len(docs) > 10 and set(docs.values()) <= {"docs", "none"}, docs
