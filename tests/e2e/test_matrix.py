"""Every route × every credential: the right 401, 403 or 404, and the right WWW-Authenticate.

The table is the printed OpenAPI document, which comes from the route tables of all programs; nothing is listed by hand
but what belongs to somebody.  A whole case is one test, which collects its faults.
"""
import concurrent.futures
import json
import re

import pytest

from support.samples import SAMPLES
from support.stack import ROOT, URL, Client, unique, wait_for

DOCUMENT = json.loads((ROOT / "docs/api/openapi.json").read_text())
# Other systems' words, or a browser's: no credential of ours is read there.
FOREIGN = re.compile(r"/(oauth|hooks|\.well-known|admin|webhooks/portal)(/|$)")
NOBODYS = "999999999"
# What only a browser's session has; a key is a 401 there, whatever its scopes.
BROWSERS = {"/api/v2/auth/session"}


def routes():
    for path, item in DOCUMENT["paths"].items():
        for verb, operation in item.items():
            if verb in ("get", "post", "put", "patch", "delete") and not FOREIGN.match(path):
                yield verb.upper(), path, operation.get("x-scope"), {} in operation["security"]


ROUTES = list(routes())
assert len(ROUTES) > 100


def at(path):
    return re.sub(r"\{(\w+)\}", lambda m: "1" if m[1] == "n" else NOBODYS, path)


def faults_of(check, rows):
    """check(row) returns what is wrong, or None."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [fault for fault in pool.map(check, rows) if fault]


def call(client, verb, path):
    return client.request(verb, at(path), allow_redirects=False)


def challenge(answer):
    found = answer.headers.get("WWW-Authenticate", "")
    return found.split(" ")[0], dict(re.findall(r'(\w+)="([^"]*)"', found))


def is_refused(answer, credential):
    """A 401 as RFC 6750 §3 and RFC 9728 §5.1 want it."""
    scheme, said = challenge(answer)
    wanted = {"realm": "365CMS", "resource_metadata": URL + "/.well-known/oauth-protected-resource"}
    if credential:
        wanted["error"] = "invalid_token"
    return answer.status_code == 401 and scheme == "Bearer" and said == wanted


def refuses(client, credential, rows):
    def check(row):
        verb, path, _, public = row
        if public and not credential:
            return None
        answer = call(client, verb, path)
        return None if is_refused(answer, credential) else (verb, path, answer.status_code, answer.headers.get("WWW-Authenticate"))
    return faults_of(check, rows)


def test_AU04_nobody_without_a_credential():
    with Client(key=None) as nobody:
        assert refuses(nobody, False, ROUTES) == []


@pytest.mark.parametrize("text", ["garbage", "365k_test_1_x", "a.b.c"])
def test_AU04_nobody_with_garbage(text):
    with Client(key=text) as client:
        assert refuses(client, True, ROUTES) == []


def test_AU04_nobody_with_a_key_that_is_over_revoked_or_elsewhere(cms, key):
    import datetime
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)).isoformat()
    over = key(["api:admin"], expires_at=soon)
    revoked = key(["api:admin"])
    elsewhere = key(["api:admin"], allowed_networks=["192.0.2.0/24", "2001:db8::/32"])
    assert cms.delete(f"/api/v2/auth/keys/{revoked.key_id}").status_code == 204
    for client in (over, revoked, elsewhere):
        wait_for(lambda: client.get("/api/v2/auth/keys").status_code == 401, 20, "the key to be refused")
        wait_for(lambda: client.get("/api/v2/posts").status_code == 401, 20, "the key to be refused")
        wait_for(lambda: client.get("/api/v2/webhooks/endpoints").status_code == 401, 20, "the key to be refused")
        wait_for(lambda: client.get("/api/v2/webhook-sources").status_code == 401, 20, "the key to be refused")
        assert refuses(client, True, ROUTES) == []


def test_AU04_every_scope_opens_its_routes_and_no_others(key):
    """Both ways: a key with one scope is let in where that scope is named or implied, and told which is missing elsewhere."""
    implied = {"api:read": lambda s: s.endswith(":read") and s.split(":")[0] not in NAMED,
               "api:write": lambda s: s.split(":")[0] not in NAMED and s not in ("users:write", "api:admin"),
               "api:admin": lambda s: True}
    wrong = []
    for scope in sorted({scope for _, _, scope, _ in ROUTES if scope} | {"api:read", "api:write"}):
        client = key([scope])
        wait_for(lambda: client.get("/api/v2/operations/1").status_code != 401, 20, "the key to be known")
        wait_for(lambda: client.get("/api/v2/auth/keys").status_code != 401, 20, "the key to be known")
        wait_for(lambda: client.get("/api/v2/webhooks/endpoints").status_code != 401, 20, "the key to be known")
        wait_for(lambda: client.get("/api/v2/webhook-sources").status_code != 401, 20, "the key to be known")

        def check(row):
            verb, path, wanted, _ = row
            opens = wanted in (None, scope) or implied.get(scope, lambda s: False)(wanted) or \
                wanted == scope.replace(":write", ":read")
            answer = call(client, verb, path)
            kind, said = challenge(answer)
            missing = answer.status_code == 403 and said.get("error") == "insufficient_scope"
            if answer.status_code == 401 or answer.status_code >= 500 or missing == opens:
                return scope, verb, path, wanted, answer.status_code
            if missing and (kind != "Bearer" or said.get("scope") != wanted or
                            'insufficient_scope"' not in answer.text):
                return scope, verb, path, "said wrongly", answer.headers["WWW-Authenticate"]
            return None

        wrong += faults_of(check, [row for row in ROUTES if row[1] not in BROWSERS])
    assert wrong == []


NAMED = {"keys", "clients", "grants", "audit", "settings", "payments", "sessions", "analytics"}


@pytest.fixture
def stranger(cms, key):
    user = cms.make("/api/v2/users", **{**SAMPLES["users"](), "role": "editor"})
    scopes = ["api:write", "keys:read", "keys:write", "clients:read", "clients:write", "grants:read", "grants:write"]
    client = key(scopes, user=user["id"])
    wait_for(lambda: client.get("/api/v2/webhooks/endpoints").status_code == 200, 20, "the key to be known")
    wait_for(lambda: client.get("/api/v2/webhook-sources").status_code in (200, 403), 20, "the key to be known")
    return client


def test_X07_what_is_somebody_elses_is_not_there(cms, stranger, key, receiver, endpoint):
    """Every route with an id below what belongs to a person answers 404, as for an id that nobody has."""
    owned = {
        "/api/v2/auth/keys/{id}": key(["posts:read"]).key_id,
        "/api/v2/auth/clients/{id}": cms.make("/api/v2/auth/clients", name=unique("c"), scopes=["posts:read"],
                                              redirect_uris=["https://app.example.com/cb"])["id"],
        "/api/v2/webhooks/endpoints/{id}": endpoint(receiver().url, ["post.created"])["id"],
        "/api/v2/webhook-sources/{id}": cms.make("/api/v2/webhook-sources", name=unique("s").replace("-", ""), provider="none",
                                                 verification="none", reason="a test")["id"],
    }
    wrong, seen = [], set()
    for verb, path, _, _ in ROUTES:
        for prefix, number in owned.items():
            if path != prefix and not path.startswith(prefix + "/"):
                continue
            seen.add(prefix)
            there = re.sub(r"\{(\w+)\}", lambda m: NOBODYS, path.replace("{id}", str(number), 1))
            body = {} if verb in ("POST", "PUT", "PATCH") else None
            mine, nobodys = (stranger.request(verb, p, json=body) for p in (there, at(path)))
            # Alike in all but the number: the stranger learns nothing.
            if mine.status_code != nobodys.status_code or mine.status_code not in (400, 404, 415, 422):
                wrong.append((verb, path, mine.status_code, nobodys.status_code, mine.text[:120]))
            if verb == "GET" and mine.status_code != 404:
                wrong.append((verb, path, mine.status_code))
    assert seen == set(owned) and wrong == []
    for prefix, number in owned.items():
        assert cms.get(prefix.replace("{id}", str(number))).status_code == 200, "nothing was done to it"
