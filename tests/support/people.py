"""People who sign in: made, invited, with a password of their own; at an address that no other test shares."""
import hashlib
import hmac
import base64
import itertools
import os
import struct
import subprocess
import time

import requests

from . import stack
from .browser import Browser, Forms
from .session import SESSION, Signed

PASSWORD = "tea leaves in the morning"
AUTH = f"http://127.0.0.1:{int(stack.SETTINGS['CMS365_PORT_BASE']) + 120}" if "CMS365_PORT_BASE" in stack.SETTINGS else \
    stack.URL.rsplit(":", 1)[0] + ":" + str(int(stack.URL.rsplit(":", 1)[1]) + 120)
_hosts = itertools.count(1)


def address():
    """One of documentation's (RFC 5737, RFC 2544); auth believes its neighbour the gateway, and this is one."""
    n = next(_hosts) + (os.getpid() % 250) * 250
    return f"198.18.{n // 250 % 256}.{n % 250 + 1}"


def sql(statement):
    return subprocess.run(["./dev", "psql", "auth", "-Atc", statement], cwd=stack.ROOT, text=True, capture_output=True,
                          check=True).stdout.strip()


def new_person(cms, role="author"):
    from .samples import SAMPLES
    made = cms.make("/api/v2/users", **{**SAMPLES["users"](), "role": role})
    stack.wait_for(lambda: cms.get(f"/api/v2/auth/users/{made['id']}").status_code == 200, 60, "auth to know the user")
    return made


def invite(cms, person):
    answer = cms.post(f"/api/v2/auth/users/{person['id']}/invite")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["url"]


def accept(url, password=PASSWORD):
    browser = Browser()
    browser.go(url)
    assert "Choose a password" in browser.page.title, browser.answer.text
    browser.submit("/oauth/password", password=password)
    return browser


def with_password(cms, role="author", password=PASSWORD):
    person = new_person(cms, role)
    browser = accept(invite(cms, person), password)
    assert browser.answer.status_code == 200, browser.answer.text
    return person


def signed(person, password=PASSWORD):
    return Signed(person["username"], password)


class Door:
    """The login page, reached from an address of its own."""

    def __init__(self, at=None):
        self.http = requests.Session()
        self.http.headers["X-Forwarded-For"] = at or address()

    def attempt(self, username, password):
        start = self.http.get(AUTH + f"/oauth/session/start?return_to={SESSION}", allow_redirects=False, timeout=60)
        page = self.http.get(start.headers["Location"].replace(stack.URL, AUTH), timeout=60)
        form = next(f for f in Forms(page.text).forms if f["action"] == "/oauth/login")
        data = {**dict(form["fields"]), "username": username, "password": password}
        self.page = page
        return self.http.post(AUTH + "/oauth/login", data=data, allow_redirects=False, timeout=60)


def totp(secret, shift=0, at=None):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    step = int((at or time.time()) // 30) + shift
    mac = hmac.new(key, struct.pack(">q", step), hashlib.sha1).digest()
    k = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[k:k + 4])[0] & 0x7fffffff) % 10**6:06d}"
