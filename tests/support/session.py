"""A browser that is signed in with the cookie of our own pages, and calls the API as their scripts do."""
from . import stack
from .browser import Browser

ORIGIN = stack.URL
SESSION = "/api/v2/auth/session"


class Signed:
    """`who` is the answer of /api/v2/auth/session."""

    def __init__(self, username="admin", password=None, **fields):
        self.browser = Browser()
        self.browser.go(f"/oauth/session/start?return_to={SESSION}")
        assert "Sign in" in self.browser.page.title, self.browser.answer.text
        self.browser.sign_in(username, password)
        self.look()

    def look(self):
        answer = self.call("GET", SESSION)
        assert answer.status_code == 200, answer.text
        self.who = answer.json()["data"]

    def call(self, method, path, headers=None, **kw):
        own = {} if method in ("GET", "HEAD") else {"Origin": ORIGIN, "X-CMS365-CSRF": self.who["csrf"]}
        own.update(headers or {})
        return self.raw(method, path, {k: v for k, v in own.items() if v is not None}, **kw)

    def raw(self, method, path, headers=None, **kw):
        return self.browser.session.request(method, stack.URL + path, headers=headers, timeout=30, **kw)

    def end(self):
        return self.call("POST", "/oauth/session/end")
