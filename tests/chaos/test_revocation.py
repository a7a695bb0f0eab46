"""Revocations while Redis, Kafka or both are away, and when Redis forgets: refused on every replica, never lost."""
import contextlib
import os
import pathlib
import subprocess

import pytest
import requests

from support import stack
from support.stack import ROOT, SETTINGS, Client, unique, wait_for

PORT_BASE, RUN_DIR = SETTINGS["CMS365_PORT_BASE"], SETTINGS["CMS365_RUN_DIR"]
ENV = {**os.environ, "CMS365_PORT_BASE": PORT_BASE, "CMS365_RUN_DIR": RUN_DIR}
# Within a second on a quiet machine; here ten times that (rulings.md 27).
LIVE_S = 10


def dev(*argv):
    subprocess.run([ROOT / "dev", *argv], check=True, capture_output=True, text=True, env=ENV)


def supervisor(*argv):
    script = '. scripts/dev/lib.sh; stack_init; supervisor "$@"'
    subprocess.run(["bash", "-c", script, "bash", *argv], check=False, capture_output=True, text=True, env=ENV, cwd=ROOT)


@contextlib.contextmanager
def away(*servers):
    for name in servers:
        supervisor("stop", name)
    try:
        yield
    finally:
        for name in servers:
            supervisor("start", name)


def replica(program, number):
    row = next(line.split() for line in (ROOT / "deploy/programs.txt").read_text().splitlines() if line.split()[:1] == [program])
    return f"http://127.0.0.1:{int(PORT_BASE) + 100 + 20 * int(row[1]) + number}"


@pytest.fixture(scope="module", autouse=True)
def two_replicas():
    dev("scale", "api", "2")
    yield
    dev("scale", "api", "1")


# Where a credential for posts and webhooks is shown, each replica by itself.
PLACES = [("api", 0, "/api/v2/posts?per_page=1"), ("api", 1, "/api/v2/posts?per_page=1"), ("webhooks-out", 0, "/api/v2/webhooks/endpoints")]


def seen(credential):
    answers = []
    for program, number, path in PLACES:
        with Client(key=credential, base=replica(program, number)) as client:
            answers.append(client.get(path).status_code)
    return answers


@pytest.fixture
def credentials():
    """A key and an access token that all replicas know, and how each is revoked."""
    with Client() as cms:
        key = cms.make("/api/v2/auth/keys", name=unique("k"), scopes=["api:read"])
        client = cms.make("/api/v2/auth/clients", name=unique("c"), scopes=["api:read"], redirect_uris=[], role="editor",
                          grant_types=["client_credentials"])
        auth = (client["client_id"], client["client_secret"])
        token = wait_for(lambda: requests.post(stack.URL + "/oauth/token", data={"grant_type": "client_credentials"}, auth=auth, timeout=30)
                         .json().get("access_token"), 20, "a token")
        for text in (key["key"], token):
            wait_for(lambda: set(seen(text)) <= {200, 403}, 20, "the credential to be known")
        yield {
            "key": (key["key"], lambda: Client().delete(f"/api/v2/auth/keys/{key['id']}").status_code == 204),
            "token": (token, lambda: requests.post(stack.URL + "/oauth/revoke", data={"token": token}, auth=auth, timeout=30).status_code == 200),
        }
        cms.delete(f"/api/v2/auth/clients/{client['id']}")


def refused_everywhere(text):
    wait_for(lambda: seen(text) == [401, 401, 401], LIVE_S, "every replica to refuse")


@pytest.mark.parametrize("servers", [("kafka",), ("redis",), ("redis", "kafka")], ids="+".join)
@pytest.mark.parametrize("kind", ["key", "token"])
def test_AU12_revoked_while_something_is_away(credentials, servers, kind):
    text, revoke = credentials[kind]
    with away(*servers):
        assert revoke(), "a revocation is accepted"
        refused_everywhere(text)
    refused_everywhere(text)


def redis(*argv):
    return subprocess.run(["redis-cli", "-p", str(int(PORT_BASE) + 2), *argv], check=True, capture_output=True, text=True).stdout.strip()


def test_AU12_redis_that_forgets_is_filled_again(credentials):
    token, revoke = credentials["token"]
    key, revoke_key = credentials["key"]
    assert revoke() and revoke_key()
    refused_everywhere(token)
    redis("FLUSHALL")
    assert seen(token) == [401, 401, 401], "what is known still holds"
    wait_for(lambda: redis("ZCARD", "cms365:denied") != "0" and redis("ZCARD", "cms365:revoked") != "0", LIVE_S, "auth to fill Redis again")
    redis("FLUSHALL")
    dev("restart", "api")  # it has nothing but what others tell it
    assert seen(token)[:2] == [401, 401] and seen(key)[:2] == [401, 401]


def test_AU12_a_program_that_starts_without_redis_knows_what_was_revoked(credentials):
    token, revoke = credentials["token"]
    assert revoke()
    refused_everywhere(token)
    with away("redis"):
        dev("restart", "api")
        wait_for(lambda: seen(token)[:2] == [401, 401], LIVE_S, "the new process to refuse")
    refused_everywhere(token)


def test_N06_without_redis_reads_go_on_and_tokens_are_not_issued(credentials):
    with Client() as cms:
        client = cms.make("/api/v2/auth/clients", name=unique("c"), scopes=["api:read"], redirect_uris=[], role="editor",
                          grant_types=["client_credentials"])
        limited = cms.make("/api/v2/auth/keys", name=unique("k"), scopes=["posts:read"], rate_limit=60)
        auth, form = (client["client_id"], client["client_secret"]), {"grant_type": "client_credentials"}
        wait_for(lambda: set(seen(limited["key"])[:2]) == {200}, 20, "the key to be known")

        def issue():
            return requests.post(stack.URL + "/oauth/token", data=form, auth=auth, timeout=30)

        with away("redis"):
            refused = wait_for(lambda: [a] if (a := issue()).status_code == 503 else None, LIVE_S, "503")[0]
            assert "Retry-After" in refused.headers and refused.headers["Content-Type"] == "application/problem+json"
            assert cms.get("/api/v2/posts?per_page=1").status_code == 200
            made = cms.post("/api/v2/companies", json={"name": unique("without redis")})
            assert made.status_code == 201, made.text
            # A limited key goes on with each replica's part, and not beyond the limit in a minute.
            answers = [seen(limited["key"])[0] for _ in range(80)]
            assert set(answers) <= {200, 429} and answers.count(200) <= 2 * 60
        wait_for(lambda: issue().status_code == 200, 20, "tokens to be issued again")
        cms.delete(f"/api/v2/auth/clients/{client['id']}")
