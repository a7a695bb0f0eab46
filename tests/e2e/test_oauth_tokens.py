"""What tokens are worth: forged, revoked, narrowed, pushed and bound; and a strict client over all of it."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import time
import urllib.parse

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from support import stack
from support.browser import Browser, query_of
from support.oauth import (  # noqa: F401
    AUTHORIZE, CALLBACK, TOKEN, ask, authorize_url, bearer, claims_of, code_for, consent, machine, metadata,
    person, pkce, posts_with, refused, register)


NODE = pathlib.Path(__file__).resolve().parent / "node"


def node_and_modules():
    node = shutil.which("node") or pytest.skip("node is not here")
    modules = os.environ.get("CMS365_NODE_MODULES", str(NODE / "node_modules"))
    if not pathlib.Path(modules).is_dir():
        pytest.skip("the npm packages are not installed (./dev test does)")
    return node, {**os.environ, "NODE_PATH": modules}


@pytest.mark.parametrize("script", ["oauth.cjs", "openid.cjs"])
def test_AU05_stock_clients_run_all_of_it(register, machine, person, script):
    """oauth4webapi and openid-client, unmodified: code with PKCE, PAR, DPoP, refresh, introspection, revocation, the client's own
    tokens with all ways of proving who it is."""
    node, env = node_and_modules()
    key = ECKey.generate_key("P-256")
    keyed = machine(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.as_dict(private=False)]})
    conf = {"issuer": stack.URL, "callback": CALLBACK, "secret": register(), "public": register(type="public"),
            "machine": machine(), "keyed": keyed, "key": key.as_dict(private=True)}
    with subprocess.Popen([node, str(NODE / script), json.dumps(conf)], env=env, text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        said = []
        for line in run.stdout:
            said.append(line.strip())
            if line.startswith("http"):
                run.stdin.write(consent(person, line.strip()) + "\n")
                run.stdin.flush()
        wrong = run.stderr.read()
    assert said[-1:] == ["done"], wrong


@pytest.mark.parametrize("callback", [CALLBACK, "http://127.0.0.1:9/native"])
def test_AU14_a_real_browser_goes_through_the_consent_page(register, callback):
    """Chromium obeys form-action for the redirect too: the page must name the client's address, or nobody arrives."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or pytest.skip("chromium is not here (./dev test installs it)")
    node, env = node_and_modules()
    client = register(redirect_uris=[callback])
    verifier, challenge = pkce()
    conf = {"chromium": chromium, "url": authorize_url(client, challenge, redirect_uri=callback), "callback": callback,
            "username": "admin", "password": stack.SETTINGS["CMS365_ADMIN_PASSWORD"]}
    run = subprocess.run([node, str(NODE / "consent.cjs"), json.dumps(conf)], env=env, text=True, capture_output=True, timeout=120)
    back = run.stdout.strip()
    assert back.startswith(callback + "?"), (back, run.stderr)
    said = query_of(back)
    assert said["iss"] == stack.URL and said["state"] == "s-1"
    token = ask(client, grant_type="authorization_code", code=said["code"], code_verifier=verifier, redirect_uri=callback)
    assert token.status_code == 200 and posts_with(token.json()).status_code == 200, token.text


# --- access tokens


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_AU08_token_verifies_by_the_published_keys(machine, metadata, alg):
    token = ask(machine(signing_alg=alg), grant_type="client_credentials").json()
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())
    read = jwt.decode(token["access_token"], keys, algorithms=[alg])
    assert read.header["typ"] == "at+jwt" and read.header["alg"] == alg
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= read.claims.keys()
    assert posts_with(token).status_code == 200


def test_AU08_forged_tokens_are_refused(machine, metadata):
    token = ask(machine(signing_alg="RS256"), grant_type="client_credentials").json()
    head, body, mac = token["access_token"].split(".")
    keys = requests.get(metadata["jwks_uri"], timeout=10).json()["keys"]
    rsa = next(k for k in keys if k["kty"] == "RSA")
    pem = RSAKey.import_key(rsa).as_pem(private=False)
    mine = ECKey.generate_key("P-256")
    claims = {**claims_of(token), "scope": "api:admin", "roles": ["admin"]}
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).decode().rstrip("=")
    header = {"typ": "at+jwt", "kid": rsa["kid"]}
    signed = lambda h, key: jwt.encode({**header, **h}, claims, key)
    confused = part({**header, "alg": "HS256"}) + "." + part(claims)
    forged = [
        part({**header, "alg": "none"}) + "." + part(claims) + ".",
        part({**header, "alg": "none"}) + "." + part(claims) + "." + mac,
        confused + "." + base64.urlsafe_b64encode(hmac.new(pem, confused.encode(), "sha256").digest()).decode().rstrip("="),
        head + "." + part(claims) + "." + mac,
        head + "." + body + "." + mac[:-4] + "AAAA",
        head + "." + body,
        signed({"alg": "ES256"}, mine),
        signed({"alg": "ES256", "kid": mine.thumbprint(), "jwk": mine.as_dict(private=False)}, mine),
        signed({"alg": "ES256", "kid": "../../../dev/null"}, mine),
        signed({"alg": "ES256", "kid": "' or 1=1 --"}, mine),
        signed({"alg": "ES256", "jku": "http://127.0.0.1:1/jwks"}, mine),
        signed({"alg": "ES256", "x5u": "http://127.0.0.1:1/x"}, mine),
        "..", "a.b.c", token["access_token"] + ".", "." + token["access_token"],
    ]
    for text in forged:
        answer = posts_with(text)
        assert answer.status_code == 401, text
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert posts_with(token).status_code == 200


def test_AU08_no_token_in_the_url(machine):
    token = ask(machine(), grant_type="client_credentials").json()["access_token"]
    answer = requests.get(stack.URL + "/api/v2/posts?access_token=" + token, timeout=30)
    assert answer.status_code == 400 and token not in answer.text


def test_AU12_revocation_is_live_within_a_second(cms, machine):
    client = machine()
    one, two = (ask(client, grant_type="client_credentials").json() for _ in range(2))
    auth = (client["client_id"], client["client_secret"])
    programs = ["/api/v2/posts", "/api/v2/webhooks/endpoints"]

    def gone(token):
        answers = [requests.get(stack.URL + p, headers=bearer(token), timeout=30).status_code for p in programs]
        return answers[0] == 401 and answers[1] in (401, 403)

    assert requests.post(stack.URL + "/oauth/revoke", data={"token": one["access_token"]}, auth=auth, timeout=30).status_code == 200
    stack.wait_for(lambda: gone(one), 1.5, "the revoked token to be refused")
    assert posts_with(two).status_code == 200
    assert cms.delete(f"/api/v2/auth/clients/{client['id']}").status_code == 204
    stack.wait_for(lambda: posts_with(two).status_code == 401, 1.5, "the revoked client's token to be refused")


def test_AU09_introspection_tells_others_nothing(machine):
    client, other, trusted = machine(), machine(), machine(role="admin")
    token = ask(client, grant_type="client_credentials").json()["access_token"]
    look = lambda c, text: requests.post(stack.URL + "/oauth/introspect", data={"token": text}, timeout=30,
                                         auth=(c["client_id"], c["client_secret"]) if c else None)
    assert look(client, token).json()["active"] and look(trusted, token).json()["active"]
    for caller, text in ((other, token), (client, stack.altered(token)), (client, "365r_unknown"), (client, "x.y.z")):
        assert look(caller, text).json() == {"active": False}
    refused(look(None, token), "invalid_client", 401)
    unknown = requests.post(stack.URL + "/oauth/revoke", data={"token": "unknown"}, timeout=30,
                            auth=(client["client_id"], client["client_secret"]))
    assert unknown.status_code == 200
    foreign = requests.post(stack.URL + "/oauth/revoke", data={"token": token}, timeout=30,
                            auth=(other["client_id"], other["client_secret"]))
    assert foreign.status_code == 200 and look(client, token).json()["active"], "another's token is not ended"


def test_AU10_resource_narrows_the_audience(machine):
    client = machine(scopes=["posts:read", "media:read"])
    refused(ask(client, grant_type="client_credentials", resource="https://other.example"), "invalid_target")
    refused(ask(client, grant_type="client_credentials", resource=stack.URL + ".evil.example"), "invalid_target")
    token = ask(client, grant_type="client_credentials", resource=[stack.URL + "/api/v2/posts"]).json()
    assert claims_of(token)["aud"] == stack.URL + "/api/v2/posts"
    assert posts_with(token).status_code == 200
    assert requests.get(stack.URL + "/api/v2/media", headers=bearer(token), timeout=30).status_code == 401


# --- pushed requests


def test_AU10_pushed_requests_are_good_once_and_for_one_client(register, person):
    client, other = register(require_pushed_requests=True), register()
    verifier, challenge = pkce()
    params = {"response_type": "code", "redirect_uri": CALLBACK, "state": "s-2", "code_challenge": challenge,
              "code_challenge_method": "S256", "scope": "posts:read"}

    def push(c, **more):
        return requests.post(stack.URL + "/oauth/par", data={**params, **more}, timeout=30, auth=(c["client_id"], c["client_secret"]))

    pushed = push(client)
    assert pushed.status_code == 201 and pushed.json()["expires_in"] >= 60
    uri = pushed.json()["request_uri"]
    refused(push(client, redirect_uri="https://evil.example/"), "invalid_request")
    refused(push(client, code_challenge_method="plain"), "invalid_request")
    refused(push(client, request_uri=uri), "invalid_request")
    refused(requests.post(stack.URL + "/oauth/par", data=params, timeout=30), "invalid_client", 401)
    plain = Browser().go(authorize_url(client, challenge))
    assert query_of(plain)["error"] == "invalid_request", "this client must push"
    at = lambda c, u: AUTHORIZE + "?" + urllib.parse.urlencode({"client_id": c["client_id"], "request_uri": u})
    for c, u in ((other, uri), (client, uri + "x")):
        stranger = Browser()
        assert stranger.go(at(c, u)) is None and stranger.answer.status_code == 400
    back = consent(person, at(client, uri))
    assert query_of(back)["state"] == "s-2"
    token = ask(client, grant_type="authorization_code", code=query_of(back)["code"], code_verifier=verifier, redirect_uri=CALLBACK)
    assert token.status_code == 200
    assert person.go(at(client, uri)) is None and person.answer.status_code == 400, "good once"


# --- DPoP


class Dpop:
    def __init__(self):
        self.key = ECKey.generate_key("P-256")

    def proof(self, method, url, token=None, header=None, key=None, **more):
        claims = {"jti": secrets.token_hex(8), "htm": method, "htu": url, "iat": int(time.time()), **more}
        if token and "ath" not in more:
            claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False), **(header or {})}
        return jwt.encode(head, {k: v for k, v in claims.items() if v is not None}, key or self.key)


def test_AU10_dpop_binds_tokens_to_their_key(register, machine, person, metadata):
    assert "ES256" in metadata["dpop_signing_alg_values_supported"]
    url, me, thief = stack.URL + "/api/v2/posts", Dpop(), Dpop()
    client = machine(dpop_bound=True)
    auth = (client["client_id"], client["client_secret"])
    data = {"grant_type": "client_credentials"}
    refused(ask(client, **data), "invalid_dpop_proof")
    once = me.proof("POST", TOKEN)
    answer = requests.post(TOKEN, data=data, auth=auth, headers={"DPoP": once}, timeout=30)
    assert answer.status_code == 200 and answer.json()["token_type"] == "DPoP", answer.text
    refused(requests.post(TOKEN, data=data, auth=auth, headers={"DPoP": once}, timeout=30), "invalid_dpop_proof")
    for bad in (me.proof("GET", TOKEN), me.proof("POST", TOKEN + "/x"), me.proof("POST", TOKEN, iat=int(time.time()) - 300),
                me.proof("POST", TOKEN, iat=int(time.time()) + 300), me.proof("POST", TOKEN, jti=None),
                me.proof("POST", TOKEN, header={"typ": "JWT"}), me.proof("POST", TOKEN, key=thief.key),
                me.proof("POST", TOKEN, header={"jwk": me.key.as_dict(private=True)}), "x.y.z"):
        refused(requests.post(TOKEN, data=data, auth=auth, headers={"DPoP": bad}, timeout=30), "invalid_dpop_proof")
    token = answer.json()["access_token"]
    assert claims_of(answer.json())["cnf"]["jkt"] == me.key.thumbprint()

    def get(proof=None, scheme="DPoP"):
        headers = {"Authorization": f"{scheme} {token}", **({"DPoP": proof} if proof else {})}
        return requests.get(url, headers=headers, timeout=30)

    good = me.proof("GET", url, token)
    assert get(good).status_code == 200
    refusals = [get(good), get(), get(scheme="Bearer"), get(me.proof("GET", url, token), scheme="Bearer"),
                get(thief.proof("GET", url, token)), get(me.proof("POST", url, token)), get(me.proof("GET", url)),
                get(me.proof("GET", url, token, ath="x")), get(me.proof("GET", url + "/1", token))]
    assert [r.status_code for r in refusals] == [401] * len(refusals)
    assert refusals[0].headers["WWW-Authenticate"].startswith("DPoP ") and "algs=" in refusals[0].headers["WWW-Authenticate"]
    plain = ask(machine(), grant_type="client_credentials").json()["access_token"]
    wrong = requests.get(url, headers={"Authorization": "DPoP " + plain, "DPoP": me.proof("GET", url, plain)}, timeout=30)
    assert wrong.status_code == 401, "a token that is not bound is not sent as one"


def test_AU10_dpop_binds_codes_and_a_public_clients_refresh_tokens(register, person):
    client, me, thief = register(type="public"), Dpop(), Dpop()
    data = {**code_for(client, person, dpop_jkt=me.key.thumbprint()), "client_id": client["client_id"]}

    def send(who, **form):
        return requests.post(TOKEN, data=form, timeout=30, headers={"DPoP": who.proof("POST", TOKEN)} if who else {})

    refused(send(None, **data), "invalid_grant")
    refused(send(thief, **data), "invalid_grant")
    token = send(me, **data).json()
    again = {"grant_type": "refresh_token", "client_id": client["client_id"], "refresh_token": token["refresh_token"]}
    refused(send(None, **again), "invalid_grant")
    refused(send(thief, **again), "invalid_grant")
    assert send(me, **again).json()["token_type"] == "DPoP"


def test_X06_canary_secrets_are_in_no_answer(cms, machine):
    client = machine()
    for path in ("/api/v2/auth/clients", f"/api/v2/auth/clients/{client['id']}"):
        assert client["client_secret"] not in cms.get(path).text and "hash" not in cms.get(path).text
