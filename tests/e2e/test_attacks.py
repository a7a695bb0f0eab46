"""Attacks of RFC 8725, 9700 and 9449 that test_oauth.py and test_oauth_tokens.py do not try.  What only a token with a right
signature can try (exp, nbf, aud, iss, typ) is in tests/unit/common/kit/token_jwt_test.c."""
import base64
import json
import secrets
import time

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey

from support import stack
from support.browser import Browser, query_of
from support.oauth import (  # noqa: F401
    AUTHORIZE, CALLBACK, TOKEN, ask, authorize_url, bearer, claims_of, code_for, consent, machine, metadata,
    person, pkce, posts_with, refused, register, tokens_for)


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_AU08_no_other_token_is_an_access_token(register, person, machine):
    """RFC 8725 §3.11, RFC 9068 §4: each kind of token is good for its own place."""
    client = register()
    _, tokens = tokens_for(client, person)
    key = ECKey.generate_key("P-256")
    prover = machine(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.as_dict(private=False)]})
    now = int(time.time())
    assertion = jwt.encode({"alg": "ES256", "kid": key.thumbprint()},
                           {"iss": prover["client_id"], "sub": prover["client_id"], "aud": stack.URL, "jti": secrets.token_hex(8),
                            "iat": now, "exp": now + 60}, key)
    proof = jwt.encode({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)},
                       {"jti": secrets.token_hex(8), "htm": "GET", "htu": stack.URL + "/api/v2/posts", "iat": now}, key)
    code = code_for(client, person)["code"]
    for text in (tokens["refresh_token"], code, assertion, proof, client["client_secret"], client["client_id"]):
        assert posts_with(text).status_code == 401
    access = tokens["access_token"]
    refused(ask(client, grant_type="refresh_token", refresh_token=access), "invalid_grant")
    refused(ask(client, grant_type="authorization_code", code=access, code_verifier="x" * 43, redirect_uri=CALLBACK), "invalid_grant")
    refused(ask(prover, auth=False, grant_type="client_credentials", client_assertion=access,
                client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), "invalid_client", 401)


@pytest.mark.parametrize("header", [
    {"alg": "none"}, {"alg": "None"}, {"alg": "NONE"}, {"alg": "nOnE"}, {"alg": ""}, {"alg": None}, {"alg": 1}, {"alg": ["ES256"]}, {},
    {"alg": "HS256"}, {"alg": "HS512"}, {"alg": "PS256"}, {"alg": "ES384"}, {"alg": "ES256K"}, {"alg": "EdDSA"}, {"alg": "RSA-OAEP"},
    {"alg": "dir", "enc": "A256GCM"}, {"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"zip": "DEF"}, {"typ": "JWT"},
    {"typ": None}, {"kid": None}, {"kid": 7}, {"kid": ""}, {"kid": "x" * 5000}, {"kid": "../../etc/passwd"}, {"kid": "k'--"},
    {"jku": "http://127.0.0.1:1/"}, {"x5u": "http://127.0.0.1:1/"}, {"x5c": ["MIIB"]}, {"jwk": {"kty": "oct", "k": "AAAA"}}])
def test_AU08_a_changed_header_is_refused(machine, header):
    """The signature is the token's own: whoever trusts the header before it falls for one of these."""
    token = ask(machine(), grant_type="client_credentials").json()["access_token"]
    head, body, mac = token.split(".")
    was = json.loads(base64.urlsafe_b64decode(head + "=="))
    changed = {**was, **header} if header else {k: v for k, v in was.items() if k != "alg"}
    for text in (part(changed) + "." + body + "." + mac, part(changed) + "." + body + "."):
        assert posts_with(text).status_code == 401


def test_AU08_keys_are_fetched_from_nowhere(machine, receiver):
    """jku, x5u and jwk in a header name keys of the attacker's: nobody looks there."""
    sink, key = receiver(), ECKey.generate_key("P-256")
    claims = claims_of(ask(machine(), grant_type="client_credentials").json())
    for header in ({"jku": sink.url}, {"x5u": sink.url}, {"jwk": key.as_dict(private=False)}, {"kid": sink.url}):
        text = jwt.encode({"typ": "at+jwt", "alg": "ES256", "kid": key.thumbprint(), **header}, claims, key)
        assert posts_with(text).status_code == 401
    assert sink.requests == []


def test_AU05_nothing_secret_is_taken_from_an_address(register, person):
    """RFC 9700 §4.3: neither the API nor the token endpoint reads credentials from the query or the body's form."""
    client = register()
    _, tokens = tokens_for(client, person)
    data = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert requests.get(TOKEN, params=data, timeout=30).status_code == 405
    basic = (client["client_id"], client["client_secret"])
    assert requests.post(TOKEN, params=data, auth=basic, timeout=30).status_code == 400
    for name in ("access_token", "token", "api_key"):
        answer = requests.post(stack.URL + "/api/v2/posts", data={name: tokens["access_token"]}, timeout=30)
        assert answer.status_code == 401
        answer = requests.get(stack.URL + "/api/v2/auth/keys", params={name: tokens["access_token"]}, timeout=30)
        assert answer.status_code in (400, 401) and tokens["access_token"] not in answer.text
    assert ask(client, **data).status_code == 200


def test_AU05_a_code_without_its_verifier_is_worth_nothing(register, person):
    """PKCE downgrade (RFC 9700 §2.1.1): no verifier, another's, the challenge itself, plain."""
    client = register()
    data = code_for(client, person)
    _, challenge = pkce()
    for verifier in (None, "", challenge, "a" * 43, "a" * 128):
        form = {**data, "code_verifier": verifier}
        answer = ask(client, **{k: v for k, v in form.items() if v is not None})
        assert answer.status_code == 400 and answer.json()["error"] in ("invalid_grant", "invalid_request"), answer.text
    assert ask(client, **data).status_code == 200


def test_AU05_a_mixed_up_client_gets_nothing(register, person):
    """A code of one client at another's hands, with either's secret, and a public client that claims to be a confidential one."""
    mine, theirs, public = register(), register(), register(type="public")
    data = code_for(mine, person)
    refused(ask(theirs, **data), "invalid_grant")
    refused(ask(theirs, **{**data, "client_id": mine["client_id"]}), "invalid_request")
    refused(ask(mine, auth=False, **{**data, "client_id": mine["client_id"]}), "invalid_client", 401)
    refused(ask(mine, auth=False, **{**data, "client_id": mine["client_id"], "client_secret": theirs["client_secret"]}), "invalid_client", 401)
    refused(ask(public, auth=False, **{**data, "client_id": public["client_id"]}), "invalid_grant")
    _, tokens = tokens_for(mine, person)
    refused(ask(theirs, grant_type="refresh_token", refresh_token=tokens["refresh_token"]), "invalid_grant")
    assert posts_with(tokens).status_code == 200, "a stranger's try ends nothing"


def test_AU09_a_stranger_ends_and_learns_nothing(register, person):
    """RFC 7009 §2.1, RFC 7662 §2.2."""
    mine, theirs = register(), register()
    _, tokens = tokens_for(mine, person)
    auth = (theirs["client_id"], theirs["client_secret"])
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert requests.post(stack.URL + "/oauth/revoke", data={"token": token}, auth=auth, timeout=30).status_code == 200
        assert requests.post(stack.URL + "/oauth/introspect", data={"token": token}, auth=auth, timeout=30).json() == {"active": False}
        for nobody in (None, (theirs["client_id"], "wrong"), ("365c_999999", "x")):
            for path in ("/oauth/introspect", "/oauth/revoke"):
                answer = requests.post(stack.URL + path, data={"token": token}, auth=nobody, timeout=30)
                assert answer.status_code == 401 and answer.json()["error"] == "invalid_client", (path, answer.text)
    assert posts_with(tokens).status_code == 200
    assert ask(mine, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).status_code == 200


def test_AU05_iss_and_state_come_back_and_the_code_only_by_redirect(register, person):
    """RFC 9207, RFC 9700 §4.4 and §4.12: 303, iss, the state as sent, no-store and no-referrer."""
    client = register()
    state = "a b&c=d#e%20\"<>"
    back = consent(person, authorize_url(client, pkce()[1], state=state))
    said = query_of(back)
    assert said["iss"] == stack.URL and said["state"] == state and set(said) == {"code", "iss", "state"}
    assert person.answer.status_code == 303 and person.answer.headers["Cache-Control"] == "no-store"
    assert person.answer.headers["Referrer-Policy"] == "no-referrer"
    without = query_of(consent(person, authorize_url(client, pkce()[1], state=None)))
    assert "state" not in without and "code" in without


@pytest.mark.parametrize("where", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/%2f/evil.example",
                                   "/admin/../../evil", "\thttps://evil.example", "/admin\r\nX: y", "evil.example"])
def test_AU14_nobody_is_sent_elsewhere_after_signing_in(where):
    answer = requests.get(stack.URL + "/oauth/session/start", params={"return_to": where}, allow_redirects=False, timeout=30)
    assert answer.status_code in (303, 400), answer.text
    if answer.status_code == 303:  # to our own page, which forgets what it does not like
        assert answer.headers["Location"].startswith((stack.URL + "/oauth/authorize", "/oauth/authorize"))
        assert "evil" not in answer.headers["Location"]


def test_AU14_parameters_are_not_polluted(register, person):
    """A parameter that is there twice is not two truths (RFC 6749 §3.1)."""
    client = register()
    for name, value in (("redirect_uri", "https://evil.example/"), ("client_id", "365c_1"), ("code_challenge", pkce()[1]), ("state", "2")):
        browser = Browser()
        back = browser.go(authorize_url(client, pkce()[1]) + f"&{name}=" + value)
        assert not (back or "").startswith("https://evil") and "code=" not in (back or "")
    data = list(code_for(client, person).items())
    answer = requests.post(TOKEN, data=data + [("code", "365a_x")], auth=(client["client_id"], client["client_secret"]), timeout=30)
    refused(answer, "invalid_request")
