"""How an endpoint is talked to: forms, credentials, certificates, signatures, and receivers that mean harm."""
import base64
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import uuid

import pytest
import standardwebhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from support.hooks import Authority, Hook, token_endpoint
from support.samples import SAMPLES
from support.stack import SETTINGS, unique, wait_for

ENDPOINTS = "/api/v2/webhooks/endpoints"
DELIVERIES = "/api/v2/webhooks/deliveries"
HERE = pathlib.Path(__file__).parent


@pytest.fixture
def hook():
    made = []

    def make(*args, **kw):
        made.append(args[0] if args and isinstance(args[0], Hook) else Hook(*args, **kw))
        return made[-1]

    yield make
    for h in made:
        h.close()


def change(cms):
    return cms.make("/api/v2/companies", **SAMPLES["companies"]())


def arrived(sink, n=1, seconds=30):
    return wait_for(lambda: len(sink.of()) >= n and sink.of(), seconds, f"{n} requests")


def pointers(answer):
    assert answer.status_code == 422, answer.text
    return {e["pointer"] for e in answer.json()["errors"]}


def test_W08_filter_fields_and_thin(cms, hook, endpoint):
    wanted, thin, mark = hook(), hook(), unique("industry")
    endpoint(wanted.url, ["company.*"], filter={"industry": mark, "or": [{"country": "AT"}, {"employee_count": {"gt": 1000}}]},
             fields=["name", "country"])
    endpoint(thin.url, ["company.updated"], payload="thin", filter={"industry": mark, "$.changed": {"contains": "name"}})
    company = cms.make("/api/v2/companies", name="a", country="AT", industry=mark)
    cms.make("/api/v2/companies", name="b", country="DE", industry=mark, employee_count=7)
    cms.make("/api/v2/companies", name="c", country="DE", industry=mark, employee_count=7000)
    cms.patch(f"/api/v2/companies/{company['id']}", json={"city": "Graz"})
    cms.patch(f"/api/v2/companies/{company['id']}", json={"name": "d"})
    got = [json.loads(r["body"]) for r in arrived(wanted, 4)]
    assert {json.dumps(e["data"], sort_keys=True) for e in got} >= {
        json.dumps({"country": "AT", "id": company["id"], "name": "a"}), json.dumps({"country": "DE", "id": got_id(got, "c"), "name": "c"})}
    assert "b" not in {e["data"]["name"] for e in got}
    event = json.loads(arrived(thin)[0]["body"])
    assert event["data"] == {"id": company["id"]} and event["changed"] == ["name"]
    assert cms.get(event["link"]).json()["data"]["name"] == "d"
    assert len(thin.of()) == 1


def got_id(events, name):
    return next(e["data"]["id"] for e in events if e["data"]["name"] == name)


def test_W08_what_is_wrong_with_an_endpoint_is_named(cms, hook, endpoint):
    base = {"url": hook().url, "events": ["company.*"]}

    def faults(**more):
        return pointers(cms.post(ENDPOINTS, json={**base, **more}))

    assert faults(filter={"nam": "x"}) == {"/filter/nam"}
    assert faults(filter={"name": {"fts": "x"}}) == {"/filter/name/fts"}
    assert faults(filter={"or": [{"name": {"in": []}}]}) == {"/filter/or/0/name/in"}
    assert faults(fields=["name", "colour"]) == {"/fields/1"}
    assert faults(headers={"Authorization": "x"}) == {"/headers/Authorization"}
    assert faults(headers={"X-A": "a\r\nb"}) == {"/headers/X-A"}
    assert faults(headers={"webhook-id": "x", "Host": "y", "X-Ok": "z"}) == {"/headers/webhook-id", "/headers/Host"}
    assert faults(batch={"max_events": 0, "max_wait_ms": -1, "x": 1}) == {"/batch/max_events", "/batch/max_wait_ms", "/batch/x"}
    assert faults(format="cloudevents_binary", batch={"max_events": 2, "max_wait_ms": 10}) == {"/batch"}
    assert faults(retry_schedule=[]) == {"/retry_schedule"}
    assert faults(retry_schedule=[5, -1, "x"]) == {"/retry_schedule/1", "/retry_schedule/2"}
    assert faults(auth={"type": "digest"}) == {"/auth/type"}
    assert faults(auth={"type": "basic", "username": "u"}) == {"/auth/password"}
    assert faults(auth={"type": "bearer", "token": "t", "password": "p"}) == {"/auth/password"}
    assert faults(auth={"type": "oauth2", "token_url": "http://169.254.169.254/", "client_id": "a", "client_secret": "b"}) == {"/auth/token_url"}
    assert faults(auth={"type": "mtls", "certificate": "x", "key": "y"}) == {"/auth/type"}
    assert faults(status="disabled") == {"/status"}
    one = f"{ENDPOINTS}/{endpoint(**base)['id']}"
    assert pointers(cms.patch(one, json={"filter": {"title": "x"}})) == {"/filter/title"}
    assert cms.patch(one, json={"events": ["post.*"], "filter": {"title": "x"}}).status_code == 200
    assert pointers(cms.patch(one, json={"events": ["company.*"]})) == {"/filter/title"}


def test_X06_credentials_are_sealed_masked_and_never_shown(cms, hook, endpoint):
    canary = unique("canary")
    sink = hook()
    made = endpoint(sink.url, ["company.created"], auth={"type": "basic", "username": "u", "password": canary}, headers={"X-Tenant": "t"})
    assert made["auth"] == {"type": "basic", "username": "u"}
    change(cms)
    got = arrived(sink)[0]
    assert got["headers"]["authorization"] == "Basic " + base64.b64encode(f"u:{canary}".encode()).decode()
    assert got["headers"]["x-tenant"] == "t"

    def attempts():
        rows = cms.get(f"{DELIVERIES}?filter[endpoint]={made['id']}&filter[status]=delivered").json()["data"]
        return rows and cms.get(f"{DELIVERIES}/{rows[0]['id']}/attempts").json()["data"]

    attempt = wait_for(attempts, 20, "the log")[0]
    assert attempt["request_headers"]["Authorization"] == "Basic ***" and attempt["request_headers"]["X-Tenant"] == "t"
    assert attempt["trigger"] == "first" and attempt["url"] == sink.url and attempt["address"] == "127.0.0.1"
    for path in (f"{ENDPOINTS}/{made['id']}", f"{DELIVERIES}?filter[endpoint]={made['id']}"):
        assert canary not in cms.get(path).text
    changed = cms.patch(f"{ENDPOINTS}/{made['id']}", json={"auth": {"type": "bearer", "token": canary}})
    assert changed.status_code == 200 and changed.json()["data"]["auth"] == {"type": "bearer"} and canary not in changed.text
    change(cms)
    assert arrived(sink, 2)[1]["headers"]["authorization"] == f"Bearer {canary}"


def test_W16_oauth_tokens_are_fetched_once_and_again_when_refused(cms, hook, endpoint):
    tokens = hook(token_endpoint())
    sink = hook(lambda r: (401 if r["headers"].get("authorization") == "Bearer token-0-s3cret" and r["n"] >= 3 else 200, {}, b""))
    endpoint(sink.url, ["company.created"], max_in_flight=1, auth={"type": "oauth2", "token_url": tokens.url, "client_id": "cms", "client_secret": "a b&c",
                                                  "scope": "hooks"})
    for _ in range(3):
        change(cms)
    assert {r["headers"]["authorization"] for r in arrived(sink, 3)} == {"Bearer token-0-s3cret"}
    assert len(tokens.of()) == 1
    asked = tokens.of()[0]
    assert asked["body"] == b"grant_type=client_credentials&scope=hooks"
    assert base64.b64decode(asked["headers"]["authorization"].split()[1]) == b"cms:a%20b%26c"
    change(cms)
    assert arrived(sink, 5)[4]["headers"]["authorization"] == "Bearer token-1-s3cret"


def test_W16_no_token_is_a_failed_attempt_that_says_so(cms, hook, endpoint):
    tokens, sink = hook(lambda r: (503, {}, b"")), hook()
    made = endpoint(sink.url, ["company.created"], auth={"type": "oauth2", "token_url": tokens.url, "client_id": "c", "client_secret": "s",
                                                          "client_auth": "post"})
    change(cms)

    def failed():
        return [r for r in cms.get(f"{DELIVERIES}?filter[endpoint]={made['id']}").json()["data"] if r["attempts"] >= 1]

    assert "token URL answered 503" in wait_for(failed, 20, "a failed attempt")[0]["last_error"]
    assert not sink.of() and b"client_id=c&client_secret=s" in tokens.of()[0]["body"]


def test_W16_client_certificates(cms, hook, endpoint, tmp_path):
    authority, stranger = Authority(), Authority()
    sink = hook(context=authority.server_context(tmp_path, True))
    certificate, key = authority.issue("cms")
    auth = {"type": "mtls", "certificate": certificate, "key": key, "ca": authority.pem()}
    made = endpoint(sink.url, ["company.created"], auth=auth)
    assert "key" not in made["auth"] and made["auth"]["certificate"] == certificate
    change(cms)
    peer = arrived(sink)[0]["peer"]
    assert (("commonName", "cms"),) in peer["subject"]
    other = stranger.issue("stranger")
    bad = cms.post(ENDPOINTS, json={"url": sink.url, "events": ["company.*"], "auth": {**auth, "key": other[1]}})
    assert pointers(bad) == {"/auth/certificate"}
    for wrong in ({**auth, "certificate": other[0], "key": other[1]}, {"type": "none"}, {**auth, "ca": stranger.pem()}):
        cms.patch(f"{ENDPOINTS}/{made['id']}", json={"auth": wrong})
        tested = cms.post(f"{ENDPOINTS}/{made['id']}/test", json={}).json()["data"]
        assert tested["outcome"] == "failed" and tested["response_code"] is None and tested["error"], tested
    assert len(sink.of()) == 1


@pytest.mark.parametrize("form", ["cloudevents", "cloudevents_binary"])
def test_W15_cloudevents_after_a_handshake(cms, hook, endpoint, form):
    state = {"allowed": {}}
    sink = hook(lambda r: (200, state["allowed"] if r["method"] == "OPTIONS" else {}, b""))
    made = endpoint(sink.url, ["company.created"], format=form, rate_limit=6000)
    company = change(cms)
    asked = wait_for(lambda: sink.of("OPTIONS"), 20, "the handshake")[0]
    origin = asked["headers"]["webhook-request-origin"]
    assert origin == SETTINGS["CMS365_URL"].split("://")[1] and asked["headers"]["webhook-request-rate"] == "6000"
    wait_for(lambda: len(sink.of("OPTIONS")) >= 2, 20, "another question")
    assert not sink.of(), "nothing is delivered without permission"
    state["allowed"] = {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "600"}
    got = arrived(sink)[0]
    if form == "cloudevents":
        event = json.loads(got["body"])
        assert got["headers"]["content-type"].startswith("application/cloudevents+json")
        assert event["specversion"] == "1.0" and event["type"] == "com.cms365.company.created" and event["subject"] == f"company:{company['id']}"
        assert event["id"] == got["headers"]["webhook-id"] and event["data"]["data"]["id"] == company["id"]
    else:
        assert got["headers"]["ce-type"] == "com.cms365.company.created" and got["headers"]["ce-id"] == got["headers"]["webhook-id"]
        assert json.loads(got["body"])["data"]["id"] == company["id"] and got["headers"]["ce-specversion"] == "1.0"
    standardwebhooks.Webhook(made["secret"]).verify(got["body"], got["headers"])


def verified_by_npm(samples, tmp_path):
    node = shutil.which("node") or pytest.skip("node is not here")
    modules = os.environ.get("CMS365_NODE_MODULES", str(HERE / "node" / "node_modules"))
    if not pathlib.Path(modules).is_dir():
        pytest.skip("the npm verifiers are not installed (./dev test does)")
    for secret, request in samples:
        sample = tmp_path / "sample.json"
        sample.write_text(json.dumps({"secret": secret, "headers": request["headers"], "body": request["body"].decode()}))
        run = subprocess.run([node, str(HERE / "node" / "verify.cjs"), str(sample)], capture_output=True, text=True,
                             env={**os.environ, "NODE_PATH": modules}, check=False)
        assert run.returncode == 0 and run.stdout.split() == ["standardwebhooks", "svix"], run.stdout + run.stderr


def test_W01_W02_W10_official_verifiers_take_all_that_is_sent(cms, hook, endpoint, tmp_path):
    """Attempts, retries, both secrets of a rotation, batches, and v1a by its public key."""
    sink, batches = hook(lambda r: (500 if r["n"] == 0 else 200, {}, b"")), hook()
    made = endpoint(sink.url, ["company.created"], ed25519=True)
    grouped = endpoint(batches.url, ["company.created"], batch={"max_events": 3, "max_wait_ms": 200})
    one = f"{ENDPOINTS}/{made['id']}"
    change(cms)
    samples = [(made["secret"], r) for r in arrived(sink, 2)]
    assert samples[0][1]["headers"]["webhook-id"] == samples[1][1]["headers"]["webhook-id"]
    rotated = cms.post(f"{one}/rotate-secret", json={"overlap_seconds": 3600}).json()["data"]["secret"]

    def with_both():
        change(cms)
        return [r for r in sink.of() if r["headers"]["webhook-signature"].count("v1,") == 2]

    both = wait_for(with_both, 20, "two signatures", every=0.3)[0]
    samples += [(made["secret"], both), (rotated, both)]
    carried = arrived(batches)[0]
    assert json.loads(carried["body"])["batch"]
    samples.append((grouped["secret"], carried))
    for secret, request in samples:
        standardwebhooks.Webhook(secret).verify(request["body"], request["headers"])
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(grouped["secret"]).verify(both["body"], both["headers"])
    verified_by_npm(samples, tmp_path)
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(made["public_key"].removeprefix("whpk_")))
    v1a = [s for s in both["headers"]["webhook-signature"].split() if s.startswith("v1a,")]
    signed = f"{both['headers']['webhook-id']}.{both['headers']['webhook-timestamp']}.".encode() + both["body"]
    public.verify(base64.b64decode(v1a[0][4:]), signed)


def v1a_by(public_key, request):
    """How many of the request's v1a signatures are by this whpk_."""
    key, found = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_"))), 0
    signed = f"{request['headers']['webhook-id']}.{request['headers']['webhook-timestamp']}.".encode() + request["body"]
    for signature in request["headers"]["webhook-signature"].split():
        if signature.startswith("v1a,"):
            try:
                key.verify(base64.b64decode(signature[4:]), signed)
                found += 1
            except InvalidSignature:
                pass
    return found


def test_W01_W02_v1a_signs_every_attempt_and_both_pairs_while_they_rotate(cms, hook, endpoint, tmp_path):
    """The published verifiers know v1 only: they must take what has v1a beside it; Ed25519 is judged by another library."""
    sink = hook(lambda r: (500 if r["n"] < 2 else 200, {}, b""))
    made = endpoint(sink.url, ["company.created"], ed25519=True, retry_schedule=[1, 0])
    one, old = f"{ENDPOINTS}/{made['id']}", made["public_key"]
    change(cms)
    attempts = arrived(sink, 3)[:3]
    assert len({r["headers"]["webhook-id"] for r in attempts}) == 1 and len({r["headers"]["webhook-timestamp"] for r in attempts}) >= 2
    assert [v1a_by(old, r) for r in attempts] == [1, 1, 1]
    assert v1a_by(old, {**attempts[0], "body": attempts[0]["body"] + b" "}) == 0
    assert v1a_by(old, {**attempts[0], "headers": attempts[1]["headers"]}) or attempts[0]["body"] == attempts[1]["body"]
    new = cms.post(f"{one}/rotate-secret", json={"kind": "ed25519", "overlap_seconds": 3600}).json()["data"]["public_key"]
    assert new != old

    def sent(signatures):
        def look():
            change(cms)
            return [r for r in sink.of() if r["headers"]["webhook-signature"].count("v1a,") == signatures and v1a_by(new, r) == 1]
        return wait_for(look, 20, f"{signatures} v1a signatures", every=0.3)[-1]

    both = sent(2)
    assert v1a_by(old, both) == 1
    for secret, request in [(made["secret"], r) for r in [*attempts, both]]:
        standardwebhooks.Webhook(secret).verify(request["body"], request["headers"])
    verified_by_npm([(made["secret"], attempts[-1]), (made["secret"], both)], tmp_path)
    before = next(s for s in cms.get(f"{one}/secrets").json()["data"] if s["kind"] == "ed25519" and s["state"] == "overlapping")
    assert cms.delete(f"{one}/secrets/{before['id']}").status_code == 204
    assert v1a_by(old, sent(1)) == 0


def test_W02_secrets_overlap_are_revoked_and_remembered(cms, hook, endpoint):
    sink = hook()
    made = endpoint(sink.url, ["company.created"])
    one = f"{ENDPOINTS}/{made['id']}"
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = cms.post(f"{one}/rotate-secret", json={"overlap_seconds": 604800}, headers=key)
    assert first.status_code == 200 and first.json() == cms.post(f"{one}/rotate-secret", json={"overlap_seconds": 604800}, headers=key).json()
    assert pointers(cms.post(f"{one}/rotate-secret", json={"overlap_seconds": 604801})) == {"/overlap_seconds"}
    assert pointers(cms.post(f"{one}/rotate-secret", json={"secret": "whsec_x"})) == {"/secret"}
    history = cms.get(f"{one}/secrets").json()["data"]
    assert [s["state"] for s in history] == ["current", "overlapping"] and "whsec" not in json.dumps(history)
    assert cms.delete(f"{one}/secrets/{history[0]['id']}").status_code == 409
    assert cms.delete(f"{one}/secrets/{history[1]['id']}").status_code == 204
    assert [s["state"] for s in cms.get(f"{one}/secrets").json()["data"]] == ["current", "revoked"]
    assert cms.delete(f"{one}/secrets/999999999").status_code == 404

    def only_new():
        change(cms)
        return [r for r in sink.of() if r["headers"]["webhook-signature"].count("v1,") == 1
                and accepted(first.json()["data"]["secret"], r)]

    got = wait_for(only_new, 20, "one signature", every=0.3)[-1]
    assert not accepted(made["secret"], got)
    own = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert cms.post(f"{one}/rotate-secret", json={"overlap_seconds": 0, "secret": own}).json()["data"]["secret"] == own
    pair = cms.post(f"{one}/rotate-secret", json={"kind": "ed25519"}).json()["data"]
    assert pair["public_key"].startswith("whpk_") and "secret" not in pair


def accepted(secret, request):
    try:
        standardwebhooks.Webhook(secret).verify(request["body"], request["headers"])
        return True
    except standardwebhooks.WebhookVerificationError:
        return False


class Hostile:
    """A TCP server that answers each connection by a function."""

    def __init__(self, talk):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/hook"
        self.talk, self.served = talk, 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.served += 1
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        try:
            connection.recv(65536)
            self.talk(connection)
        except OSError:
            pass
        finally:
            connection.close()


def endless_headers(c):
    c.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(4096):
        c.sendall(b"X-F: " + b"f" * 1000 + b"\r\n")


def endless_body(c):
    c.sendall(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4096):
        c.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def megabyte_header(c):
    c.sendall(b"HTTP/1.1 200 OK\r\nX-Big: " + b"b" * 1000000 + b"\r\nContent-Length: 0\r\n\r\n")


def bomb(c):
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + b"\x1f\x8b\x08" + b"\0" * 17)


def private_redirect(c):
    c.sendall(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n")


def not_http(c):
    c.sendall(b"\x16\x03\x01 SSH-2.0-OpenSSH\r\n")


def drip(c):
    for _ in range(3000):
        c.sendall(b"H")
        threading.Event().wait(0.01)


HOSTILE = {"endless headers": (endless_headers, "headers"), "endless body": (endless_body, "500"), "a header of a megabyte": (megabyte_header, ""),
           "redirect to a private address": (private_redirect, "307"), "no HTTP": (not_http, ""), "drip": (drip, "")}


def test_W14_hostile_receivers_are_bounded_logged_and_harmless_to_others(cms, hook, endpoint):
    good, servers = hook(), {name: Hostile(talk) for name, (talk, _) in HOSTILE.items()}
    servers["bomb"] = Hostile(bomb)
    plain = hook()
    made = {name: endpoint(s.url, ["company.created"], retry_schedule=[3600]) for name, s in servers.items()}
    made["invalid TLS"] = endpoint(plain.url.replace("http:", "https:"), ["company.created"], retry_schedule=[3600])
    endpoint(good.url, ["company.created"])
    ids = [change(cms)["id"] for _ in range(3)]
    wait_for(lambda: {json.loads(r["body"])["data"]["id"] for r in good.of()} >= set(ids), 20, "the good receiver")

    def row(name):
        rows = cms.get(f"{DELIVERIES}?filter[endpoint]={made[name]['id']}&sort=created_at").json()["data"]
        return [r for r in rows if r["attempts"]]

    for name in made:
        first = wait_for(lambda name=name: row(name), 60, f"the log of: {name}")[0]
        if name == "bomb":
            assert first["status"] == "delivered"
            continue
        assert first["status"] == "failed" and HOSTILE.get(name, (0, ""))[1] in first["last_error"], (name, first)
        attempt = cms.get(f"{DELIVERIES}/{first['id']}/attempts").json()["data"][0]
        assert len(json.dumps(attempt)) < 40000
