"""What the OAuth tests share: clients, a person at a browser, and requests by hand."""
import base64
import hashlib
import json
import secrets
import urllib.parse

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session

from . import stack
from .browser import Browser, query_of

TOKEN, AUTHORIZE = stack.URL + "/oauth/token", stack.URL + "/oauth/authorize"
CALLBACK = "https://app.example.com/callback"


@pytest.fixture(scope="module")
def metadata():
    return requests.get(stack.URL + "/.well-known/oauth-authorization-server", timeout=10).json()


@pytest.fixture
def register(cms):
    """Registers clients that are revoked after the test."""
    made = []

    def make(**more):
        body = {"name": stack.unique("client"), "scopes": ["posts:read", "posts:write"], "redirect_uris": [CALLBACK], **more}
        answer = cms.post("/api/v2/auth/clients", json=body)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["data"])
        return made[-1]

    yield make
    for client in made:
        cms.delete(f"/api/v2/auth/clients/{client['id']}")


@pytest.fixture
def machine(register):
    return lambda **more: register(**{"grant_types": ["client_credentials"], "redirect_uris": [], "role": "editor", **more})


@pytest.fixture(scope="module")
def person():
    """The administrator's browser, signed in once."""
    browser = Browser()
    with stack.Client() as cms:
        client = cms.make("/api/v2/auth/clients", name=stack.unique("door"), scopes=["posts:read"], redirect_uris=[CALLBACK])
        browser.go(authorize_url(client, pkce()[1]))
        assert "Sign in" in browser.page.title
        browser.sign_in()
        assert "Allow access?" in browser.page.title, browser.answer.text
        cms.delete(f"/api/v2/auth/clients/{client['id']}")
    return browser


def pkce():
    verifier = secrets.token_urlsafe(48)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def authorize_url(client, challenge, **more):
    query = {"response_type": "code", "client_id": client["client_id"], "redirect_uri": CALLBACK, "state": "s-1",
             "code_challenge": challenge, "code_challenge_method": "S256", **more}
    return AUTHORIZE + "?" + urllib.parse.urlencode({k: v for k, v in query.items() if v is not None}, doseq=True)


def consent(browser, url, **fields):
    back = browser.go(url)
    return back or browser.submit("/oauth/authorize", decision="allow", **fields)


def session_of(client, method="client_secret_basic", **more):
    return OAuth2Session(client["client_id"], client.get("client_secret"), token_endpoint_auth_method=method,
                         code_challenge_method="S256", redirect_uri=CALLBACK, **more)


def tokens_for(client, browser, scope=None, **more):
    """Authlib's own authorization code flow with PKCE."""
    oauth = session_of(client, "none" if client["type"] == "public" else "client_secret_basic", scope=scope)
    verifier = secrets.token_urlsafe(48)
    url, state = oauth.create_authorization_url(AUTHORIZE, code_verifier=verifier, **more)
    back = consent(browser, url)
    assert query_of(back)["state"] == state and query_of(back)["iss"] == stack.URL
    return oauth, oauth.fetch_token(TOKEN, authorization_response=back, code_verifier=verifier)


def ask(client, auth=True, **data):
    return requests.post(TOKEN, data=data, timeout=30,
                         auth=(client["client_id"], client["client_secret"]) if auth else None)


def refused(answer, error, status=400):
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer


def bearer(token):
    return {"Authorization": "Bearer " + (token if isinstance(token, str) else token["access_token"])}


def posts_with(token, **kw):
    return requests.get(stack.URL + "/api/v2/posts?per_page=1", headers=bearer(token), timeout=30, **kw)


def code_for(client, person, **more):
    verifier, challenge = pkce()
    back = consent(person, authorize_url(client, challenge, **more))
    return {"grant_type": "authorization_code", "code": query_of(back)["code"], "code_verifier": verifier,
            "redirect_uri": CALLBACK}


def claims_of(token):
    return json.loads(base64.urlsafe_b64decode(token["access_token"].split(".")[1] + "=="))
