"""A browser without JavaScript: follows redirects to a stop, keeps cookies, fills in forms."""
import html.parser
import urllib.parse

import requests

from . import stack


class Forms(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.forms, self.text, self.title = [], [], ""
        self._tag = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self._tag = tag
        if tag == "form":
            self.forms.append({"action": a.get("action", ""), "method": a.get("method", "get"), "fields": [], "names": []})
        elif tag == "input" and self.forms and "name" in a:
            form = self.forms[-1]
            form["names"].append(a["name"])
            if a.get("type") != "checkbox" or "checked" in a:
                form["fields"].append((a["name"], a.get("value", "")))

    def handle_data(self, data):
        if self._tag == "title":
            self.title += data
        self.text.append(data)

    def handle_endtag(self, tag):
        self._tag = None


class Browser:
    def __init__(self, base=None):
        self.base = base or stack.URL
        self.session = requests.Session()
        self.answer = self.page = None

    def go(self, url, method="GET", **kw):
        """Follows redirects within the site; returns where it leads outside, or None with a page."""
        url = urllib.parse.urljoin(self.base, url)
        for _ in range(8):
            self.answer = self.session.request(method, url, allow_redirects=False, timeout=30, **kw)
            where = self.answer.headers.get("Location")
            if self.answer.status_code // 100 != 3:
                self.page = Forms(self.answer.text)
                return None
            assert self.answer.status_code == 303, "a form must not be sent on"
            url = urllib.parse.urljoin(url, where)
            if not url.startswith(self.base + "/"):
                return url
            method, kw = "GET", {}
        raise AssertionError("redirects without end")

    def submit(self, action, **fields):
        """Sends the form of that action with these fields filled in (None: left out; a list: each)."""
        form = next(f for f in self.page.forms if f["action"] == action)
        data = [(n, v) for n, v in form["fields"] if n not in fields]
        for name, value in fields.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    data.append((name, one))
        return self.go(action, "POST", data=data)

    def sign_in(self, username="admin", password=None):
        return self.submit("/oauth/login", username=username,
                           password=password or stack.SETTINGS["CMS365_ADMIN_PASSWORD"])


def query_of(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
