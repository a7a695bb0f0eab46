import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support import stack  # noqa: E402
from support.hooks_in import SOURCES  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def running_stack():
    assert stack.URL and stack.ADMIN_KEY, "no stack: run ./dev up first, or ./dev test, which starts its own"
    yield
    if stack.COMPARED["equal"]:
        print(f"\n{stack.COMPARED['equal']} reads were as fresh ones, {stack.COMPARED['hits']} from the response cache")


@pytest.fixture
def cms():
    with stack.Client() as client:
        yield client


@pytest.fixture
def anonymous():
    with stack.Client(key=None) as client:
        yield client


@pytest.fixture
def receiver():
    made = []

    def make(plan=None, delay=0.0):
        made.append(stack.Receiver(plan, delay))
        return made[-1]

    yield make
    for r in made:
        r.close()


@pytest.fixture
def endpoint(cms):
    """Makes webhook endpoints that are gone after the test."""
    made = []

    def make(url, events, **more):
        answer = cms.post("/api/v2/webhooks/endpoints", json={"url": url, "events": events, **more})
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["data"]["id"])
        return answer.json()["data"]

    yield make
    for endpoint_id in made:
        cms.delete(f"/api/v2/webhooks/endpoints/{endpoint_id}")


@pytest.fixture
def key(cms):
    """Makes API keys that are revoked after the test: key(scopes, user=…) -> client."""
    made = []

    def make(scopes, **more):
        def attempt():
            # auth hears of a new user from Kafka; until then it does not know them.
            found = cms.post("/api/v2/auth/keys", json={"name": stack.unique("key"), "scopes": scopes, **more})
            return found if found.status_code != 422 or "user" not in more else None

        answer = stack.wait_for(attempt, 20, "auth to know the user")
        assert answer.status_code == 201, answer.text
        data = answer.json()["data"]
        made.append(data["id"])
        client = stack.Client(key=data["key"])
        client.key_id, client.key_text = data["id"], data["key"]
        return client

    yield make
    for key_id in made:
        cms.delete(f"/api/v2/auth/keys/{key_id}")


@pytest.fixture
def source(cms):
    """Makes sources that are gone after the test; `secret` is what was given or generated."""
    made = []

    def make(provider, secret=None, **more):
        slug = stack.unique("hook")
        body = {"name": "Test", "slug": slug, "provider": provider, **more}
        if secret:
            body["secret"] = secret
        if provider == "none":
            body.setdefault("verification", "none")
        answer = cms.post(SOURCES, json=body)
        assert answer.status_code == 201, answer.text
        data = answer.json()["data"]
        made.append(data["id"])
        data["secret"] = data["secret"] or secret
        return data

    yield make
    for source_id in made:
        cms.delete(f"{SOURCES}/{source_id}")


@pytest.fixture(scope="module")
def unsigned():
    """One source for all that only tries mappings."""
    with stack.Client() as client:
        made = client.make(SOURCES, name="Trial", provider="none", verification="none", reason="test")
        yield made
        client.delete(f"{SOURCES}/{made['id']}")
