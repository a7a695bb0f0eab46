"""OAuth 2 as a third-party developer meets it: Authlib as the client, a browser without JavaScript as the person."""
import concurrent.futures
import secrets
import time

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from support import stack
from support.browser import Browser, query_of
from support.oauth import (  # noqa: F401
    AUTHORIZE, CALLBACK, TOKEN, ask, authorize_url, bearer, code_for, consent, machine, metadata, person, pkce,
    posts_with, refused, register, session_of, tokens_for)


# --- documents


def test_AU09_metadata_says_what_the_server_does(metadata):
    assert metadata["issuer"] == stack.URL
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["response_types_supported"] == ["code"]
    assert "password" not in metadata["grant_types_supported"] and "implicit" not in metadata["grant_types_supported"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    resource = requests.get(stack.URL + "/.well-known/oauth-protected-resource", timeout=10).json()
    assert resource["resource"] == stack.URL and metadata["issuer"] in resource["authorization_servers"]
    keys = requests.get(metadata["jwks_uri"], timeout=10).json()["keys"]
    assert {k["alg"] for k in keys} == {"ES256", "RS256"}
    assert not any(k.keys() & {"d", "p", "q", "dp", "dq", "qi", "k"} for k in keys)


# --- clients


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_AU06_client_credentials_by_a_stock_client(machine, method):
    client = machine(token_endpoint_auth_method=method)
    oauth = session_of(client, method)
    token = oauth.fetch_token(TOKEN, grant_type="client_credentials", scope="posts:write")
    assert token["scope"] == "posts:write" and token["expires_in"] == 600 and "refresh_token" not in token
    made = oauth.post(stack.URL + "/api/v2/posts", json={"title": stack.unique("by a client"), "status": "draft"})
    assert made.status_code == 201, made.text
    assert made.json()["data"]["author"] is None, "a client owns nothing"
    denied = oauth.get(stack.URL + "/api/v2/auth/keys")
    assert denied.status_code == 403 and 'error="insufficient_scope"' in denied.headers["WWW-Authenticate"]


@pytest.mark.parametrize("alg,make", [("ES256", lambda: ECKey.generate_key("P-256")),
                                      ("RS256", lambda: RSAKey.generate_key(2048))])
def test_AU06_private_key_jwt_once_each(machine, alg, make):
    private = make()
    client = machine(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [private.as_dict(private=False)]})
    assert client["client_secret"] is None
    oauth = OAuth2Session(client["client_id"], private, token_endpoint_auth_method=PrivateKeyJWT(TOKEN, alg=alg))
    assert posts_with(oauth.fetch_token(TOKEN, grant_type="client_credentials")).status_code == 200

    def assertion(signer=private, **more):
        claims = {"iss": client["client_id"], "sub": client["client_id"], "aud": stack.URL, "jti": secrets.token_hex(8),
                  "exp": int(time.time()) + 60, **more}
        text = jwt.encode({"alg": alg}, {k: v for k, v in claims.items() if v is not None}, signer)
        return {"grant_type": "client_credentials", "client_assertion": text,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}

    once = assertion()
    assert requests.post(TOKEN, data=once, timeout=30).status_code == 200
    refused(requests.post(TOKEN, data=once, timeout=30), "invalid_client", 401)
    for bad in (assertion(make()), assertion(aud="https://evil.example"), assertion(iss="365c_1"), assertion(jti=None),
                assertion(exp=int(time.time()) - 60), assertion(exp=int(time.time()) + 86400)):
        refused(requests.post(TOKEN, data=bad, timeout=30), "invalid_client", 401)


def test_AU06_two_secrets_live_while_one_is_rotated(cms, machine):
    client = machine()
    path = f"/api/v2/auth/clients/{client['id']}"
    fresh = cms.post(path + "/rotate", json={"overlap_seconds": 600}).json()["data"]
    assert fresh["previous_expires_at"]
    for one in (client, fresh):
        assert ask(one, grant_type="client_credentials").status_code == 200
    assert cms.delete(path + "/previous-secret").status_code == 204
    refused(ask(client, grant_type="client_credentials"), "invalid_client", 401)
    assert ask(fresh, grant_type="client_credentials").status_code == 200
    renamed = cms.patch(path, json={"name": "another name"})
    assert renamed.status_code == 200 and renamed.json()["data"]["name"] == "another name"
    last = cms.post(path + "/rotate", json={"overlap_seconds": 0}).json()["data"]
    refused(ask(fresh, grant_type="client_credentials"), "invalid_client", 401)
    assert ask(last, grant_type="client_credentials").status_code == 200
    assert client["client_secret"] not in cms.get(path).text


def test_AU06_wrong_proofs_are_refused_alike(machine):
    client = machine()
    wrong = [{"auth": (client["client_id"], "wrong")}, {"auth": ("365c_999999", "wrong")}, {"auth": ("nobody", "")},
             {"data": {"client_id": client["client_id"]}}]
    texts = set()
    for kw in wrong:
        data = {"grant_type": "client_credentials", **kw.pop("data", {})}
        answer = refused(requests.post(TOKEN, data=data, timeout=30, **kw), "invalid_client", 401)
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        texts.add(answer.text)
    assert len(texts) == 1
    both = requests.post(TOKEN, auth=(client["client_id"], client["client_secret"]), timeout=30,
                         data={"grant_type": "client_credentials", "client_secret": client["client_secret"]})
    refused(both, "invalid_request")


def test_AU06_token_requests_are_read_strictly(machine):
    client = machine()
    refused(ask(client), "invalid_request")
    refused(ask(client, grant_type="password", username="admin", password="x"), "unsupported_grant_type")
    refused(ask(client, grant_type="authorization_code", code="x", code_verifier="y" * 43), "unauthorized_client")
    refused(ask(client, grant_type="client_credentials", scope="users:write"), "invalid_scope")
    refused(ask(client, grant_type="client_credentials", scope="nonsense"), "invalid_scope")
    twice = requests.post(TOKEN, data=[("grant_type", "client_credentials")] * 2, timeout=30,
                          auth=(client["client_id"], client["client_secret"]))
    refused(twice, "invalid_request")
    as_json = requests.post(TOKEN, json={"grant_type": "client_credentials"}, timeout=30)
    refused(as_json, "invalid_request")


def test_AU04_a_client_is_never_more_than_its_owner(cms, key, machine):
    writer = key(["clients:write", "clients:read", "posts:read"])
    body = {"name": "x", "scopes": ["posts:write"], "redirect_uris": [CALLBACK]}
    assert writer.post("/api/v2/auth/clients", json=body).status_code == 403
    user = cms.make("/api/v2/users", username=stack.unique("u").replace("-", "_"), email=stack.unique("m") + "@example.org",
                    role="member")
    member = key(["clients:write", "posts:read"], user=user["id"])
    body = {"name": "x", "scopes": ["posts:read"], "grant_types": ["client_credentials"], "role": "editor"}
    assert member.post("/api/v2/auth/clients", json=body).status_code == 403
    mine = member.post("/api/v2/auth/clients", json={**body, "role": "member"})
    assert mine.status_code == 201
    assert writer.get(f"/api/v2/auth/clients/{mine.json()['data']['id']}").status_code == 404, "another owner's"
    weak = machine(scopes=["api:admin"], role="author")
    token = ask(weak, grant_type="client_credentials").json()
    assert "api:admin" not in token["scope"].split() and "posts:write" in token["scope"].split()
    assert requests.post(stack.URL + "/api/v2/companies", json={"name": "x"}, headers=bearer(token), timeout=30).status_code == 403


@pytest.mark.parametrize("bad,where", [
    ({"redirect_uris": ["http://app.example.com/cb"]}, "/redirect_uris/0"),
    ({"redirect_uris": ["https://app.example.com/cb#x"]}, "/redirect_uris/0"),
    ({"redirect_uris": ["javascript:alert(1)"]}, "/redirect_uris/0"),
    ({"redirect_uris": ["https://*.example.com/cb"]}, "/redirect_uris/0"),
    ({"redirect_uris": ["https://user@evil.example/cb"]}, "/redirect_uris/0"),
    ({"redirect_uris": []}, "/redirect_uris"),
    ({"grant_types": ["implicit"]}, "/grant_types/0"),
    ({"grant_types": ["client_credentials"]}, "/role"),
    ({"type": "public", "grant_types": ["client_credentials"], "role": "member"}, "/grant_types/0"),
    ({"type": "public", "token_endpoint_auth_method": "client_secret_post"}, "/token_endpoint_auth_method"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "/jwks"),
    ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "/jwks"),
    ({"signing_alg": "HS256"}, "/signing_alg"),
    ({"scopes": ["nonsense"]}, "/scopes/0"),
    ({"allowed_networks": ["everywhere"]}, "/allowed_networks/0"),
])
def test_AU05_bad_registrations_name_their_fault(cms, bad, where):
    body = {"name": "x", "scopes": ["posts:read"], "redirect_uris": [CALLBACK], **bad}
    answer = cms.post("/api/v2/auth/clients", json=body)
    assert answer.status_code == 422 and where in [e["pointer"] for e in answer.json()["errors"]], answer.text


def test_AU03_client_is_held_to_its_networks(machine):
    refused(ask(machine(allowed_networks=["192.0.2.0/24"]), grant_type="client_credentials"), "invalid_client", 401)
    assert ask(machine(allowed_networks=["127.0.0.0/8", "::1/128"]), grant_type="client_credentials").status_code == 200


# --- authorization code


def test_AU05_code_with_pkce_by_a_stock_client(cms, register, person):
    client = register()
    oauth, token = tokens_for(client, person, scope="posts:read posts:write")
    made = oauth.post(stack.URL + "/api/v2/posts", json={"title": stack.unique("for a person"), "status": "draft"})
    assert made.status_code == 201 and made.json()["data"]["author"]["id"] == 1
    again = oauth.refresh_token(TOKEN, token["refresh_token"])
    assert again["refresh_token"] != token["refresh_token"] and posts_with(again).status_code == 200
    described = oauth.introspect_token(stack.URL + "/oauth/introspect", token=again["access_token"]).json()
    assert described["active"] and described["sub"] == "1" and described["client_id"] == client["client_id"]
    assert oauth.revoke_token(stack.URL + "/oauth/revoke", token=again["refresh_token"]).status_code == 200
    stack.wait_for(lambda: posts_with(again).status_code == 401, 5, "the access token to end with its refresh token")
    grants = cms.get(f"/api/v2/auth/grants?filter[client]={client['id']}").json()["data"]
    assert [sorted(g["scopes"]) for g in grants] == [["posts:read", "posts:write"]]


def test_AU05_public_client_needs_no_secret_but_the_verifier(register, person):
    client = register(type="public", redirect_uris=["http://127.0.0.1/callback", "com.example.app:/callback"])
    assert client["client_secret"] is None
    verifier, challenge = pkce()
    for redirect in ("http://127.0.0.1:49152/callback", "com.example.app:/callback"):
        back = consent(person, authorize_url(client, challenge, redirect_uri=redirect))
        assert back.startswith(redirect)
        data = {"grant_type": "authorization_code", "client_id": client["client_id"], "code": query_of(back)["code"],
                "redirect_uri": redirect}
        refused(requests.post(TOKEN, data={**data, "code_verifier": "x" * 43}, timeout=30), "invalid_grant")
        refused(requests.post(TOKEN, data=data, timeout=30), "invalid_request")
        assert requests.post(TOKEN, data={**data, "code_verifier": verifier}, timeout=30).status_code == 200


def test_AU05_a_code_is_good_once_and_its_reuse_ends_what_it_gave(register, person):
    client = register()
    data = code_for(client, person)
    token = ask(client, **data).json()
    assert posts_with(token).status_code == 200
    refused(ask(client, **data), "invalid_grant")
    stack.wait_for(lambda: posts_with(token).status_code == 401, 5, "the token of a replayed code to end")
    refused(ask(client, grant_type="refresh_token", refresh_token=token["refresh_token"]), "invalid_grant")


def test_AU05_a_code_belongs_to_its_client_redirect_and_verifier(register, person):
    client, other = register(), register()
    data = code_for(client, person)
    refused(ask(other, **data), "invalid_grant")
    refused(ask(client, **{**data, "redirect_uri": CALLBACK + "/"}), "invalid_grant")
    refused(ask(client, **{k: v for k, v in data.items() if k != "redirect_uri"}), "invalid_grant")
    refused(ask(client, **{**data, "code_verifier": data["code_verifier"][:-1] + "~"}), "invalid_grant")
    refused(ask(client, **{**data, "code_verifier": "short"}), "invalid_grant")
    assert ask(client, **data).status_code == 200


@pytest.mark.parametrize("uri", [CALLBACK + "/", CALLBACK + "?x=1", CALLBACK.upper(), "https://app.example.com.evil.example/callback",
                                 "https://evil.example/", "//evil.example", "https://app.example.com/callback/../x",
                                 "http://app.example.com/callback", "https://app.example.com:444/callback", "javascript:alert(1)"])
def test_AU05_nobody_is_sent_to_another_address(register, uri):
    browser = Browser()
    assert browser.go(authorize_url(register(), pkce()[1], redirect_uri=uri)) is None
    assert browser.answer.status_code == 400 and "Location" not in browser.answer.headers
    assert uri not in browser.answer.text


@pytest.mark.parametrize("change,error", [
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code token"}, "unsupported_response_type"),
    ({"response_type": None}, "invalid_request"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"request": "eyJ"}, "request_not_supported"),
    ({"scope": "users:write"}, "invalid_scope"),
    ({"scope": "posts:read nonsense"}, "invalid_scope"),
    ({"scope": ["posts:read", "posts:write"]}, "invalid_request"),
    ({"resource": "https://other.example/"}, "invalid_target"),
    ({"resource": stack.URL + "/api#x"}, "invalid_target"),
])
def test_AU05_faults_go_back_with_state_and_iss(register, change, error):
    back = Browser().go(authorize_url(register(), pkce()[1], **change))
    assert back and back.startswith(CALLBACK + "?")
    said = query_of(back)
    assert (said["error"], said["state"], said["iss"]) == (error, "s-1", stack.URL) and "code" not in said


def test_AU05_redirect_uri_may_be_left_out_if_there_is_one(register, person):
    client = register()
    data = code_for(client, person, redirect_uri=None)
    del data["redirect_uri"]
    assert ask(client, **data).status_code == 200


# --- login and consent


def test_AU14_pages_defend_themselves_and_work_without_script(register):
    browser = Browser()
    browser.go(authorize_url(register(name="<script>alert(1)</script>"), pkce()[1], state="\"><script>"))
    policy = browser.answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert "form-action 'self' https://app.example.com;" in policy and "script" not in policy and "unsafe" not in policy
    assert browser.answer.headers["X-Frame-Options"] == "DENY" and browser.answer.headers["Cache-Control"] == "no-store"
    # With no-referrer a browser would say "Origin: null" of the form.
    assert browser.answer.headers["Referrer-Policy"] == "same-origin"
    assert "<script" not in browser.answer.text and "&lt;script&gt;" in browser.answer.text
    assert all(c.has_nonstandard_attr("HttpOnly") and c.get_nonstandard_attr("SameSite") == "Lax" for c in browser.session.cookies)
    for name in ("username", "password"):
        assert f'for="{name}"' in browser.answer.text and f'id="{name}"' in browser.answer.text
    assert '<html lang="en">' in browser.answer.text


def test_AU11_login_says_the_same_whatever_was_wrong(register):
    browser, texts, times = Browser(), set(), []
    browser.go(authorize_url(register(), pkce()[1]))
    for name in ("admin", stack.unique("nobody"), "' or 1=1 --"):
        begin = time.monotonic()
        browser.sign_in(name, "wrong password")
        times.append(time.monotonic() - begin)
        assert browser.answer.status_code == 401
        texts.add(" ".join(browser.page.text))
        assert "cms365_login" not in browser.session.cookies
    assert len(texts) == 1
    assert min(times) > 0.005, "a name that nobody has costs a password check too"


def test_AU14_forms_of_other_sites_are_refused(register, person):
    client = register()
    url = authorize_url(client, pkce()[1])
    person.go(url)
    fields = dict(next(f for f in person.page.forms if f["action"] == "/oauth/authorize")["fields"])
    good = {**fields, "decision": "allow"}

    def post(data, **headers):
        return person.session.post(AUTHORIZE, data=data, headers=headers, allow_redirects=False, timeout=30)

    login = Browser()
    login.go(url)
    foreign = dict(login.page.forms[0]["fields"])["csrf"]
    for data, headers in [({**good, "csrf": ""}, {}), ({**good, "csrf": foreign}, {}), (good, {"Origin": "https://evil.example"}),
                          (good, {"Origin": "null"}), (good, {"Sec-Fetch-Site": "cross-site"})]:
        answer = post(data, **headers)
        assert answer.status_code == 403 and "Location" not in answer.headers
    tampered = post({**good, "request": stack.altered(good["request"])})
    assert tampered.status_code == 400 and "Location" not in tampered.headers
    assert requests.post(AUTHORIZE, data=good, timeout=30, allow_redirects=False).status_code == 403, "no cookie"
    assert "code=" in post(good, Origin=stack.URL).headers["Location"]


def test_AU14_consent_is_narrowed_listed_and_revoked(cms, register, person):
    client = register(scopes=["posts:read", "posts:write", "media:read"])
    verifier, challenge = pkce()
    url = authorize_url(client, challenge)
    person.go(url)
    assert person.submit("/oauth/authorize", decision="deny").startswith(CALLBACK + "?error=access_denied")
    person.go(url)
    assert "error=access_denied" in person.submit("/oauth/authorize", decision="allow", grant=[])
    person.go(url)
    back = person.submit("/oauth/authorize", decision="allow", grant=["posts:read", "posts:write", "api:admin"])
    token = ask(client, grant_type="authorization_code", code=query_of(back)["code"], code_verifier=verifier,
                redirect_uri=CALLBACK).json()
    assert token["scope"] == "posts:read posts:write"
    (grant,) = cms.get(f"/api/v2/auth/grants?filter[client]={client['id']}").json()["data"]
    assert grant["client_name"] == client["name"] and grant["user"] == {"id": 1}
    path = f"/api/v2/auth/grants/{grant['id']}"
    assert cms.patch(path, json={"scopes": ["posts:read", "users:write"]}).status_code == 422, "narrowed, never widened"
    assert cms.patch(path, json={"scopes": ["posts:read"]}).json()["data"]["scopes"] == ["posts:read"]
    stack.wait_for(lambda: posts_with(token).status_code == 401, 5, "tokens with the wider consent to end")
    token = ask(client, grant_type="refresh_token", refresh_token=token["refresh_token"]).json()
    assert token["scope"] == "posts:read"
    assert cms.delete(path).status_code == 204
    stack.wait_for(lambda: posts_with(token).status_code == 401, 5, "the tokens of a revoked consent to end")
    refused(ask(client, grant_type="refresh_token", refresh_token=token["refresh_token"]), "invalid_grant")
    assert cms.get(path).json()["data"]["status"] == "revoked"


def test_AU14_known_consent_is_not_asked_for_again_but_for_public_clients(register, person):
    client, public = register(), register(type="public")
    for one, asked in ((client, False), (public, True)):
        consent(person, authorize_url(one, pkce()[1], scope="posts:read"))
        back = person.go(authorize_url(one, pkce()[1], scope="posts:read"))
        assert (back is None) == asked
    assert person.go(authorize_url(client, pkce()[1], scope="posts:write")) is None, "more than before is asked for"


def test_AU14_signing_out_ends_the_session(register):
    browser = Browser()
    browser.go(authorize_url(register(), pkce()[1]))
    browser.sign_in()
    cookie = browser.session.cookies["cms365_login"]
    browser.submit("/oauth/logout")
    assert "Sign in" in browser.page.title
    browser.session.cookies.set("cms365_login", cookie)
    browser.go(authorize_url(register(), pkce()[1]))
    assert "Sign in" in browser.page.title


# --- refresh


def test_AU07_fifty_refreshes_at_once_have_one_successor(register, person):
    client = register()
    token = ask(client, **code_for(client, person)).json()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: ask(client, grant_type="refresh_token", refresh_token=token["refresh_token"]), range(50)))
    assert {a.status_code for a in answers} == {200}, [a.text for a in answers if a.status_code != 200][:3]
    successors = {a.json()["refresh_token"] for a in answers}
    assert len(successors) == 1 and token["refresh_token"] not in successors
    assert ask(client, grant_type="refresh_token", refresh_token=successors.pop()).status_code == 200


def test_AU07_reuse_after_the_grace_window_ends_the_family_and_is_told(register, person, receiver, endpoint):
    sink = receiver()
    endpoint(sink.url, ["grant.reused"])
    client = register()
    token = ask(client, **code_for(client, person)).json()
    refresh = lambda t: ask(client, grant_type="refresh_token", refresh_token=t["refresh_token"])
    fresh = refresh(token).json()
    # CMS365_REFRESH_GRACE_S; until it is over the same successor comes again.
    (last,) = stack.wait_for(lambda: [r for r in [refresh(token)] if r.status_code != 200], 60, "the grace window to end", 0.3)
    refused(last, "invalid_grant")
    refused(refresh(fresh), "invalid_grant")
    stack.wait_for(lambda: posts_with(fresh).status_code == 401, 5, "the family's access tokens to end")
    event = stack.wait_for(lambda: next((e for e in sink.events() if e["data"]["client"]["id"] == client["id"]), None), 20, "the event")
    assert event["type"] == "grant.reused"


def test_AU04_a_client_follows_the_role_of_its_owner(cms, key, machine):
    name = stack.unique("u").replace("-", "_")
    user = cms.make("/api/v2/users", username=name, email=name + "@example.org", role="editor")
    owner = key(["clients:write", "api:write"], user=user["id"])
    made = owner.post("/api/v2/auth/clients", json={"name": name, "scopes": ["companies:write"], "role": "editor",
                                                    "grant_types": ["client_credentials"]})
    assert made.status_code == 201, made.text
    client = made.json()["data"]
    assert ask(client, grant_type="client_credentials").json()["scope"] == "companies:write"
    assert cms.patch(f"/api/v2/users/{user['id']}", json={"role": "member"}).status_code == 200
    weaker = lambda: ask(client, grant_type="client_credentials")
    stack.wait_for(lambda: "companies:write" not in weaker().json().get("scope", ""), 10, "the client to be no more than its owner")
    assert cms.patch(f"/api/v2/users/{user['id']}", json={"status": "suspended"}).status_code == 200
    stack.wait_for(lambda: weaker().status_code == 401, 10, "nobody to answer for the client")


def test_AU07_refresh_narrows_and_never_widens(register, person):
    client = register()
    token = ask(client, **code_for(client, person, scope="posts:read")).json()
    less = lambda **more: ask(client, grant_type="refresh_token", refresh_token=token["refresh_token"], **more)
    refused(less(scope="posts:write"), "invalid_scope")
    refused(less(resource="https://other.example/"), "invalid_target")
    token = less(scope="posts:read", resource=stack.URL + "/api/v2/posts").json()
    assert posts_with(token).status_code == 200
    elsewhere = requests.get(stack.URL + "/api/v2/media", headers=bearer(token), timeout=30)
    assert elsewhere.status_code == 401, "the token is for posts only"
    refused(ask(register(), grant_type="refresh_token", refresh_token=token["refresh_token"]), "invalid_grant")
