"""Secrets are shown once and are nowhere else: no log, no database, no topic, no metric, no exchange log, no error (X-06)."""
import pathlib
import re
import secrets
import subprocess

import pytest
import requests

from support import stack
from support.browser import Browser
from support.oauth import (  # noqa: F401
    CALLBACK, TOKEN, ask, authorize_url, code_for, consent, machine, person, pkce, posts_with, register, tokens_for)
from support.stack import ROOT, SETTINGS, Client, unique, wait_for

RUN_DIR, BASE = pathlib.Path(SETTINGS.get("CMS365_RUN_DIR", "/nonexistent")), int(SETTINGS.get("CMS365_PORT_BASE", "0"))


def dump():
    password = (RUN_DIR / "secrets/db_postgres").read_text().strip()
    return subprocess.run(["pg_dump", "-h", "127.0.0.1", "-p", str(BASE + 1), "-U", "postgres", "cms365"], capture_output=True, check=True,
                          env={"PATH": "/usr/bin:/bin:/usr/sbin", "PGPASSWORD": password}).stdout


def topics():
    """Every message there is: what the broker keeps is its log segments.  Whatever is compressed is read with its own tool."""
    jars = next(pathlib.Path(SETTINGS.get("CMS365_CACHE_DIR", "/var/cache/cms365")).glob("kafka-*"))
    segments = [str(p) for p in (RUN_DIR / "data/kafka").rglob("*.log") if p.stat().st_size and "__" not in p.parent.name]
    assert segments
    out = subprocess.run(["java", "-Xmx256m", "-cp", f"{jars}/*", "kafka.tools.DumpLogSegments", "--print-data-log", "--files", ",".join(segments)],
                         capture_output=True, check=True).stdout
    assert b"key.state" in out or b"auth.keys" in out
    return out


def metrics():
    found = b""
    for line in (ROOT / "deploy/programs.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            port = BASE + 110 + 20 * int(line.split()[1])
            found += requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).content
    assert b"cms365_http_requests_total" in found
    return found


def logs():
    files = [p for p in (RUN_DIR / "log").iterdir() if p.is_file()]
    assert any(p.name.startswith("auth") for p in files)
    return b"\n".join(p.read_bytes() for p in files)


def test_X06_canary_secrets_are_nowhere(cms, register, machine, person, receiver, endpoint):
    if not RUN_DIR.is_dir():
        pytest.skip("the servers' files are elsewhere")
    key = cms.make("/api/v2/auth/keys", name=unique("canary"), scopes=["posts:read"])
    wait_for(lambda: Client(key=key["key"]).get("/api/v2/posts?per_page=1").status_code == 200, 20, "the key to be known")
    client, robot = register(), machine()
    _, tokens = tokens_for(client, person)
    code = code_for(client, person)["code"]
    own = ask(robot, grant_type="client_credentials").json()["access_token"]
    hook = endpoint(receiver().url, ["post.created"])
    password = "canary-" + secrets.token_urlsafe(24)
    browser = Browser()
    browser.go(authorize_url(client, pkce()[1]))
    browser.sign_in("admin", password)
    cookies = [c.value for c in person.session.cookies if len(c.value) > 20]
    canaries = {
        "api key": key["key"].split("_", 3)[3], "client secret": client["client_secret"].split("_", 1)[1], "code": code.split("_", 1)[1],
        "refresh token": tokens["refresh_token"].split("_", 1)[1], "access token": tokens["access_token"].split(".")[2],
        "own access token": own.split(".")[2], "wrong password": password, "webhook secret": hook["secret"].removeprefix("whsec_"),
        "administrator's password": SETTINGS["CMS365_ADMIN_PASSWORD"], **{f"cookie {i}": c for i, c in enumerate(cookies)},
    }
    assert all(len(c) >= 16 for c in canaries.values()) and len(canaries) >= 10, canaries.keys()
    # All of them in places where a careless program would keep them: requests that fail, addresses, names of headers.
    for name, value in canaries.items():
        for scheme in ("Bearer ", "DPoP ", "Basic ", ""):
            requests.get(stack.URL + "/api/v2/posts", headers={"Authorization": scheme + value}, timeout=30)
        assert value not in requests.get(stack.URL + "/api/v2/posts", headers={"X-API-Key": value}, timeout=30).text, name
        requests.post(TOKEN, data={"grant_type": "refresh_token", "refresh_token": value, "client_secret": value, "client_id": "365c_1"}, timeout=30)
        requests.post(stack.URL + "/oauth/introspect", data={"token": value}, auth=("365c_1", value), timeout=30)
    assert posts_with(tokens["access_token"] + "x").status_code == 401
    marker = unique("canaries-done")
    cms.make("/api/v2/companies", name=marker)
    wait_for(lambda: marker.encode() in topics(), 60, "the last event to be on its topic", 1)
    places = {"logs": logs(), "database": dump(), "topics": topics(), "metrics": metrics()}
    exchanges = SETTINGS.get("CMS365_REQRES_LOG") or str(RUN_DIR / "tmp/exchanges.jsonl")
    once = {"api key", "client secret", "webhook secret", "code", "refresh token", "access token", "own access token"}
    found = [(name, place) for place, text in places.items() for name, value in canaries.items() if value.encode() in text]
    assert found == [], found
    if pathlib.Path(exchanges).exists():
        # It keeps answers with their bodies, for tests: what is shown once is there; what is sent to us is not.
        text = pathlib.Path(exchanges).read_bytes()
        assert [n for n, v in canaries.items() if n not in once and v.encode() in text] == []
    cms.delete(f"/api/v2/auth/keys/{key['id']}")
    assert re.search(rb"365k_[a-z]+_\d+_[A-Za-z0-9_-]{43}[0-9a-f]{8}", places["database"] + places["topics"] + places["metrics"]) is None
