"""The browser session of our own pages: sign-in by the code flow, a cookie on every program, and what other sites cannot do."""
import urllib.parse

import pytest
import requests

from support import stack
from support.browser import Browser, query_of
from support.session import ORIGIN, SESSION, Signed

EVERYWHERE = ["/api/v2/posts?per_page=1", "/api/v2/auth/keys", "/api/v2/webhooks/endpoints", "/api/v2/webhook-sources"]


@pytest.fixture(scope="module")
def signed():
    return Signed()


def cookie_of(answer, name):
    return next(c for c in answer.raw.headers.getlist("Set-Cookie") if c.startswith(name + "="))


def test_AU05_sign_in_ends_in_a_cookie_for_every_program():
    browser = Browser()
    browser.go("/oauth/session/start?return_to=/api/v2/auth/session")
    assert "Sign in" in browser.page.title
    flow = browser.session.cookies["cms365_flow"]
    browser.sign_in()
    who = browser.answer.json()["data"]
    assert who["user"]["username"] == "admin" and who["user"]["role"] == "admin" and who["user"]["display_name"]
    assert "api:admin" in who["scopes"] and "users:write" in who["scopes"] and who["csrf"] and who["expires_at"]
    assert browser.answer.headers["Cache-Control"] == "no-store"
    cookies = {c.name: c for c in browser.session.cookies}
    assert "cms365_flow" not in cookies and flow
    own = cookies["cms365_session"]
    assert own.path == "/" and own.has_nonstandard_attr("HttpOnly") and own.get_nonstandard_attr("SameSite") == "Strict"
    for path in EVERYWHERE:
        assert browser.session.get(stack.URL + path, timeout=30).status_code == 200, path


def test_AU05_who_is_signed_in_already_is_not_asked_again(signed):
    signed.browser.go(f"/oauth/session/start?return_to={SESSION}")
    assert signed.browser.answer.status_code == 200 and signed.browser.answer.json()["data"]["user"]["username"] == "admin"
    signed.look()


def test_AU12_signing_out_ends_it_on_every_program():
    signed = Signed()
    cookie = {"Cookie": "cms365_session=" + signed.browser.session.cookies["cms365_session"]}
    login = {"Cookie": "cms365_login=" + signed.browser.session.cookies["cms365_login"]}
    for path in EVERYWHERE:
        assert requests.get(stack.URL + path, headers=cookie, timeout=30).status_code == 200
    answer = signed.end()
    assert answer.status_code == 204
    assert "Max-Age=0" in cookie_of(answer, "cms365_session") and "Max-Age=0" in cookie_of(answer, "cms365_login")
    for path in EVERYWHERE:
        stack.wait_for(lambda: requests.get(stack.URL + path, headers=cookie, timeout=30).status_code == 401, 10, f"401 on {path}")
    taken_back = requests.get(stack.URL + SESSION, headers=cookie, timeout=30)
    assert taken_back.status_code == 401 and "Max-Age=0" in cookie_of(taken_back, "cms365_session")
    again = requests.get(stack.URL + "/oauth/session/start", headers=login, allow_redirects=False, timeout=30)
    page = requests.get(again.headers["Location"], headers=login, timeout=30)
    assert "Sign in" in page.text, "the login of /oauth has ended with it"


# --- what another site can make a browser send


WRITES = {
    "the cookie alone": {"Origin": None, "X-CMS365-CSRF": None},
    "no token": {"X-CMS365-CSRF": None},
    "no origin": {"Origin": None},
    "a token of another session": {"X-CMS365-CSRF": "x" * 43},
    "an empty token": {"X-CMS365-CSRF": ""},
    "another site": {"Origin": "https://evil.example"},
    "an origin that begins like ours": {"Origin": ORIGIN + ".evil.example"},
    "another port": {"Origin": ORIGIN + "1"},
    "https instead": {"Origin": ORIGIN.replace("http://", "https://")},
    "a sandboxed frame": {"Origin": "null"},
    "a page of another site": {"Sec-Fetch-Site": "cross-site"},
    "a page of a neighbour": {"Sec-Fetch-Site": "same-site"},
    "a typed address": {"Sec-Fetch-Site": "none"},
}


@pytest.mark.parametrize("headers", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("method,path", [("POST", "/api/v2/posts"), ("PATCH", "/api/v2/users/1"), ("DELETE", "/api/v2/posts/1"),
                                         ("POST", "/api/v2/auth/keys"), ("POST", "/api/v2/webhooks/endpoints"),
                                         ("POST", "/oauth/session/end")])
def test_AU05_other_sites_cannot_change_anything(signed, method, path, headers):
    answer = signed.call(method, path, headers=headers, json={"title": "x"} if method != "DELETE" else None)
    assert answer.status_code == 403 and answer.json()["type"].endswith("/forbidden"), answer.text
    assert signed.call("GET", SESSION).status_code == 200


READS = [({"Origin": "https://evil.example"}, 401), ({"Origin": "null"}, 401), ({"Sec-Fetch-Site": "cross-site"}, 401),
         ({"Sec-Fetch-Site": "same-site"}, 401), ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Sec-Fetch-Site": "none"}, 200),
         ({"Origin": ORIGIN}, 200), ({}, 200)]


@pytest.mark.parametrize("headers,status", READS)
def test_AU05_other_sites_read_nothing_with_the_cookie(signed, headers, status):
    answer = signed.raw("GET", "/api/v2/auth/keys", headers)
    assert answer.status_code == status
    assert "Access-Control-Allow-Credentials" not in answer.headers
    public = signed.raw("GET", "/api/v2/posts?per_page=1", headers)
    assert public.status_code == 200, "what anybody may read needs no cookie"


def test_AU05_our_own_pages_change_what_the_role_may(signed):
    made = signed.call("POST", "/api/v2/posts", json={"title": stack.unique("by a page"), "status": "draft"})
    assert made.status_code == 201, made.text
    path = f"/api/v2/posts/{made.json()['data']['id']}"
    assert made.json()["data"]["author"]["id"] == signed.who["user"]["id"]
    assert signed.call("PATCH", path, json={"title": "another"}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert signed.call("DELETE", path).status_code == 204


def test_AU05_a_credential_that_is_said_wins_over_the_cookie(signed, key):
    reader = key(["posts:read"])
    text = reader.headers["Authorization"]
    stack.wait_for(lambda: reader.get("/api/v2/posts?per_page=1").status_code == 200, 5, "the key to work")
    assert signed.raw("GET", "/api/v2/auth/keys", {"Authorization": text}).status_code == 403
    assert signed.raw("POST", "/api/v2/posts", {"Authorization": text}, json={"title": "x"}).status_code == 403


def test_AU05_cookies_of_nobody_are_refused(signed):
    real = signed.browser.session.cookies["cms365_session"]
    secret, mac = real.split(".")
    for text in ("", "x", "x" * 66, f"{secret}.{mac[::-1]}", f"{secret[::-1]}.{mac}", real[:-1], real + "x", secret, f"{secret}.", "%00" * 22):
        answer = requests.get(stack.URL + "/api/v2/auth/keys", headers={"Cookie": f"cms365_session={text}"}, timeout=30)
        assert answer.status_code == 401, text
    twice = requests.get(stack.URL + "/api/v2/auth/keys", headers={"Cookie": f"cms365_session={real}; cms365_session={real}"}, timeout=30)
    assert twice.status_code == 401
    assert requests.get(stack.URL + "/api/v2/auth/keys", headers={"Authorization": f"Bearer {real}"}, timeout=30).status_code == 401
    other = {"Cookie": f"cms365_session={signed.browser.session.cookies['cms365_login']}"}
    assert requests.get(stack.URL + "/api/v2/auth/keys", headers=other, timeout=30).status_code == 401


# --- the flow


def test_AU05_return_to_stays_on_this_site():
    for path in ("https://evil.example/", "//evil.example/", "/\\evil.example", "evil", "/x\r\nSet-Cookie:%20a=b", "/" + "x" * 2000,
                 "javascript:alert(1)", "/%0d%0a\\"):
        answer = requests.get(stack.URL + "/oauth/session/start", params={"return_to": path}, allow_redirects=False, timeout=30)
        assert answer.status_code == 400, path
    for path in ("/admin/", "/admin/posts?x=1&y=%2F#top", None):
        answer = requests.get(stack.URL + "/oauth/session/start", params={"return_to": path}, allow_redirects=False, timeout=30)
        assert answer.status_code == 303 and answer.headers["Location"].startswith(stack.URL + "/oauth/authorize?")


def landing(browser):
    """The address that /oauth/authorize sends the browser to, not yet followed."""
    s = browser.session
    start = s.get(stack.URL + f"/oauth/session/start?return_to={SESSION}", allow_redirects=False, timeout=30)
    answer = s.get(start.headers["Location"], allow_redirects=False, timeout=30)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def get(session, url):
    return session.get(url, allow_redirects=False, timeout=30)


def test_AU05_a_sign_in_lands_in_the_browser_that_started_it(signed):
    url = landing(signed.browser)
    stranger = get(requests.Session(), url)
    assert stranger.status_code == 400 and "Set-Cookie" not in stranger.headers
    other = Browser()
    get(other.session, stack.URL + "/oauth/session/start")
    assert get(other.session, url).status_code == 400, "another browser's flow"
    for name, value in (("state", "x" * 43), ("iss", "https://evil.example"), ("code", "365b_" + "x" * 43), ("code", None), ("iss", None)):
        query = {**query_of(url), name: value}
        bad = url.split("?")[0] + "?" + urllib.parse.urlencode({k: v for k, v in query.items() if v is not None})
        copy = Browser()
        copy.session.cookies.update(signed.browser.session.cookies)
        assert get(copy.session, bad).status_code in (400, 403), (name, value)
    assert get(signed.browser.session, url).status_code == 303
    signed.look()


def test_AU05_a_code_that_comes_twice_ends_the_session():
    victim = Signed()
    url = landing(victim.browser)
    flow = victim.browser.session.cookies["cms365_flow"]
    assert get(victim.browser.session, url).status_code == 303
    victim.look()
    thief = requests.Session()
    thief.cookies["cms365_flow"] = flow
    assert get(thief, url).status_code == 400 and "cms365_session" not in thief.cookies
    stack.wait_for(lambda: victim.raw("GET", "/api/v2/auth/keys").status_code == 401, 10, "the session to end")


def test_AU05_the_built_in_client_gets_no_token(signed, metadata):
    url = landing(signed.browser)
    for more in ({}, {"redirect_uri": stack.URL + "/oauth/session"}):
        answer = requests.post(metadata["token_endpoint"], timeout=30, data={
            "grant_type": "authorization_code", "client_id": "cms365-admin", "code": query_of(url)["code"], "code_verifier": "x" * 43, **more})
        assert answer.status_code == 401 and answer.json()["error"] == "invalid_client"
    query = {"response_type": "code", "client_id": "cms365-admin", "code_challenge": "x" * 43, "code_challenge_method": "S256"}
    for redirect in ("https://evil.example/", "http://127.0.0.1:1/oauth/session", stack.URL + "/oauth/session/", stack.URL + "/"):
        answer = requests.get(stack.URL + "/oauth/authorize", params={**query, "redirect_uri": redirect}, allow_redirects=False, timeout=30)
        assert answer.status_code == 400 and "Location" not in answer.headers


def test_X06_no_cookie_is_stored_in_the_clear(signed):
    import subprocess
    dump = subprocess.run(["./dev", "psql", "auth", "-Atc", "select s::text from auth.sessions s"], cwd=stack.ROOT, text=True,
                          capture_output=True, check=True).stdout
    for name in ("cms365_session", "cms365_login"):
        value = signed.browser.session.cookies[name]
        assert value not in dump and value.split(".")[0] not in dump


from support.oauth import metadata  # noqa: E402, F401
