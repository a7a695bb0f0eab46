"""Rate limits and quotas of keys, as a client sees them (docs/limits.md)."""
import re

from support.load import hammer
from support.samples import SAMPLES
from support.stack import Client, wait_for

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
