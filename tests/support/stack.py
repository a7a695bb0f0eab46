"""The stack under test: where it is, how to talk to it, and a webhook receiver that remembers.

The runner (./dev test) exports CMS365_URL, CMS365_ADMIN_KEY, CMS365_RUN_DIR and CMS365_PORT_BASE of a stack
of its own.  Run by hand, the values come from .run/cms365.env of the checkout.
"""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
import uuid

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _settings():
    values = {}
    env_file = pathlib.Path(os.environ.get("CMS365_ENV_FILE", ROOT / ".run" / "cms365.env"))
    if env_file.exists():
        for line in env_file.read_text().splitlines():
            name, eq, value = line.strip().partition("=")
            if eq and not name.startswith("#"):
                values[name.removeprefix("export ")] = value.strip("'\"")
    values.update({k: v for k, v in os.environ.items() if k.startswith("CMS365_")})
    return values


SETTINGS = _settings()
URL = SETTINGS.get("CMS365_URL", "").rstrip("/")
ADMIN_KEY = SETTINGS.get("CMS365_ADMIN_KEY", "")
# Where the programs reach a receiver of ours: not on loopback if they run in containers.
RECEIVER_HOST = SETTINGS.get("CMS365_TEST_RECEIVER_HOST", "127.0.0.1")


COMPARED = {"equal": 0, "hits": 0}


class Client(requests.Session):
    """A session bound to the gateway and one key (None: anonymous)."""

    def __init__(self, key=ADMIN_KEY, base=URL):
        super().__init__()
        self.base = base
        if key:
            self.headers["Authorization"] = f"Bearer {key}"

    def request(self, method, url, **kw):
        kw.setdefault("timeout", 30)
        url = self.base + url if url.startswith("/") else url
        answer = super().request(method, url, **kw)
        if SETTINGS.get("CMS365_TEST_DIFFERENTIAL") and method in ("GET", "HEAD") and "Cache-Status" in answer.headers and not kw.get("stream"):
            self.compare(method, url, kw)
        return answer

    # CMS365_TEST_DIFFERENTIAL=1: what every test reads is asked for again until it comes from the response cache, and past the cache.
    def compare(self, method, url, kw):
        past = {**kw, "headers": {**(kw.get("headers") or {}), "Cache-Control": "no-cache"}}

        def shape(answer):
            own = ("x-request-id", "traceparent", "date", "cache-status", "connection", "server")
            headers = {k.lower(): v for k, v in answer.headers.items()}
            body = answer.content if answer.status_code < 400 else b""  # a problem has its request's id
            return answer.status_code, {k: v for k, v in headers.items() if k not in own and (k != "content-length" or body)}, body

        for _ in range(5):  # somebody may be writing
            answers = [super(Client, self).request(method, url, **k) for k in (kw, kw, past, kw)]
            COMPARED["hits"] += answers[-1].headers.get("Cache-Status", "").endswith("hit")
            if shape(answers[-1]) == shape(answers[-2]):
                COMPARED["equal"] += 1
                return
        raise AssertionError((method, url, *map(shape, answers[-2:])))

    def make(self, path, **data):
        answer = self.post(path, json=data)
        assert answer.status_code == 201, (path, answer.status_code, answer.text)
        return answer.json()["data"]


def unique(prefix="t"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def altered(text):
    """Another secret, token or signature of the same form.  The character is well before the end: what is there may be padding, bits that
    a decoder drops, or zeros that a MAC does not see."""
    i = len(text) - 6
    return text[:i] + ("1" if text[i] != "1" else "2") + text[i + 1:]


def wait_for(condition, seconds=20, what="condition", every=0.02):
    """Polls until condition() is truthy and returns it; bounded, and says what did not come (`what`, or what it returns)."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what() if callable(what) else what}")
        threading.Event().wait(every)


def psql(statement):
    """A statement as superuser; what has to be there in numbers that no client would make."""
    if "CMS365_RUN_DIR" not in SETTINGS:
        pytest.skip("the stack is not of ./dev")
    return subprocess.run(["./dev", "psql", "-Atqc", statement], cwd=ROOT, text=True, capture_output=True, check=True).stdout.strip()


def kafka_messages(topic, last=None):
    """All messages that a topic holds now, or the last of each partition: (headers, payload as JSON)."""
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    out = subprocess.run([kcat, "-b", SETTINGS["CMS365_TEST_KAFKA_BROKERS"], "-C", "-t", topic, "-o", f"-{last}" if last else "beginning", "-e", "-q",
                          "-J"], check=True, capture_output=True, timeout=30, text=True).stdout
    for line in out.rstrip("\n").split("\n"):  # not splitlines: a text may hold U+2028
        if not line:
            continue
        m = json.loads(line)
        pairs = m.get("headers") or []
        yield dict(zip(pairs[::2], pairs[1::2])), json.loads(m["payload"])


class Receiver:
    """An HTTP server that keeps every request; `plan` maps the n-th request (from 0) to
    (status, headers, delay) or is a function of the request."""

    def __init__(self, plan=None, delay=0.0, port=0):
        self.requests = []
        self.lock = threading.Lock()
        self.plan = plan or (lambda request: 200)
        self.delay = delay
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                           "body": body, "at": time.time()}
                with outer.lock:
                    request["n"] = len(outer.requests)
                    outer.requests.append(request)
                answer = outer.plan(request)
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                if outer.delay:
                    threading.Event().wait(outer.delay)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self.server = Server((RECEIVER_HOST, port), Handler)
        self.url = f"http://{RECEIVER_HOST}:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def events(self):
        with self.lock:
            return [json.loads(r["body"]) for r in self.requests]

    def of(self, event_type, entity_id):
        with self.lock:
            found = list(self.requests)
        return [r for r in found
                if (b := json.loads(r["body"]))["type"] == event_type and b["data"]["id"] == entity_id]
