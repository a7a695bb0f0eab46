"""The developer's command, on the stack under test: ./dev up again, scale, restart, and what it says when it cannot."""
import json
import os
import socket
import subprocess
import threading

import pytest
import requests

from support.stack import ROOT, SETTINGS, URL, Client, psql, unique, wait_for


def dev(*args, timeout=120, **env):
    # CMS365_ variables of the test run are not settings of the stack.
    base = {k: v for k, v in os.environ.items() if not k.startswith("CMS365_")}
    for name in ("CMS365_RUN_DIR", "CMS365_PORT_BASE"):
        if name in SETTINGS:
            base[name] = SETTINGS[name]
    return subprocess.run([str(ROOT / "dev"), *args], env={**base, **env}, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, check=False)


@pytest.fixture
def replicas():
    """Scales a program for a test and back to one afterwards."""
    scaled = []

    def scale(name, count):
        scaled.append(name)
        answer = dev("scale", name, str(count))
        assert answer.returncode == 0, answer.stderr

    yield scale
    for name in set(scaled):
        dev("scale", name, "1")


class Load(threading.Thread):
    """Sends one request after the other on a kept connection and keeps every answer that is not what it should be."""

    def __init__(self, method, path, want, stop, key):
        super().__init__(daemon=True)
        self.method, self.path, self.want, self.stop, self.key = method, path, want, stop, key
        self.good, self.bad = 0, []

    def run(self):
        with Client(key=self.key) as client:
            while not self.stop.is_set():
                try:
                    body = {"name": unique("rolling")} if self.method == "POST" else None
                    answer = client.request(self.method, self.path, json=body)
                    if answer.status_code == self.want:
                        self.good += 1
                    else:
                        self.bad.append((answer.status_code, answer.text[:200]))
                except requests.RequestException as e:
                    self.bad.append(repr(e)[:200])


def test_X09_rolling_restart_and_scaling_fail_no_request(replicas, cms):
    replicas("api", 2)
    stop = threading.Event()
    load = [Load("GET", "/api/v2/posts?per_page=1", 200, stop, None) for _ in range(4)]
    load += [Load("POST", "/api/v2/companies", 201, stop, cms.headers["Authorization"].split()[1]) for _ in range(4)]
    for thread in load:
        thread.start()
    try:
        for command in (("restart", "api"), ("scale", "api", "3"), ("scale", "api", "1"), ("scale", "api", "2")):
            done = dev(*command)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
    finally:
        stop.set()
        for thread in load:
            thread.join(40)
    bad = [b for thread in load for b in thread.bad]
    good = sum(thread.good for thread in load)
    assert not bad, f"{len(bad)} of {good + len(bad)} requests failed: {bad[:3]}"
    assert good > 200


def test_X09_a_restart_of_the_others_fails_no_request_and_delivers_each_event_once(replicas, cms, source, receiver, endpoint):
    """What is in flight is finished, what was consumed is stored: nothing is refused, lost or sent again."""
    names = ("auth", "webhooks-in", "webhooks-out")
    for name in names:
        replicas(name, 2)
    mark, stop = unique("rolling"), threading.Event()
    slow = receiver(delay=0.05)
    endpoint(slow.url, ["company.created"], filter={"industry": mark})
    hook = source("none", reason="test", mapping={"actions": [{"do": "emit"}]})
    key = cms.headers["Authorization"].split()[1]
    load = [Load("GET", "/api/v2/auth/keys?per_page=1", 200, stop, key), Load("GET", "/api/v2/webhooks/endpoints?per_page=1", 200, stop, key),
            Load("POST", hook["path"], 202, stop, None), Load("GET", f"/api/v2/webhook-sources/{hook['id']}", 200, stop, key)]
    for thread in load:
        thread.start()
    made = set()
    try:
        for name in names:
            made |= {cms.make("/api/v2/companies", name=unique(), industry=mark)["id"] for _ in range(20)}
            done = dev("restart", name)
            assert done.returncode == 0, (name, done.stdout, done.stderr)
    finally:
        stop.set()
        for thread in load:
            thread.join(40)
    bad = [b for thread in load for b in thread.bad]
    assert not bad, f"{len(bad)} requests failed: {bad[:3]}"
    assert all(thread.good > 10 for thread in load)
    wait_for(lambda: len(slow.requests) >= len(made), 60, "the deliveries")
    assert sorted(json.loads(r["body"])["data"]["id"] for r in slow.requests) == sorted(made)
    assert len({r["headers"]["webhook-id"] for r in slow.requests}) == len(made)


def test_status_tells_every_process_ready():
    done = dev("status")
    assert done.returncode == 0, done.stdout
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    for name in ("postgres", "redis", "kafka", "gateway", "api-0", "auth-0", "webhooks-out-0"):
        assert " ready " in lines[name], lines


def test_psql_takes_the_programs_own_role():
    done = dev("psql", "webhooks-out", "-Atc", "select current_user, current_schema")
    assert done.stdout.strip() == "cms365_webhooks_out_owner|webhooks_out", done.stderr


def test_long_texts_are_kept_in_a_form_that_reads_fast(cms):
    made = cms.make("/api/v2/posts", title=unique("Prose"), status="draft", content=" ".join(f"word{i}" for i in range(1000)))
    assert psql(f"select pg_column_compression(content) from content.posts where id = {made['id']}") == "lz4"


@pytest.mark.parametrize("args, says", [
    (("scale", "api", "11"), "1 to 10 replicas"),
    (("scale", "nothing", "2"), "no program 'nothing'"),
    (("restart", "nothing"), "no program 'nothing'"),
    (("frobnicate",), "no command 'frobnicate'"),
    (("test", "frobnicate"), "no test 'frobnicate'"),
])
def test_a_wrong_argument_gets_one_sentence(args, says):
    done = dev(*args)
    assert done.returncode != 0
    assert says in done.stderr.splitlines()[0]


def test_up_on_a_busy_port_says_which(tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        if port > 64000:
            pytest.skip("the system gave a port too near the end")
        run_dir = f"{SETTINGS['CMS365_RUN_DIR']}-busy"
        done = dev("up", CMS365_PORT_BASE=str(port - 1), CMS365_RUN_DIR=run_dir)
        dev("down", "--wipe", "--yes", CMS365_RUN_DIR=run_dir)
        subprocess.run(["rm", "-rf", run_dir], check=True)
    assert done.returncode == 1
    assert f"port {port}, which PostgreSQL needs, is in use" in done.stderr.splitlines()[-1]


def test_a_killed_server_comes_back():
    """The supervisor restarts what dies; the gateway answers a clean 503 meanwhile."""
    before = dev("status").stdout
    pid = next(int(word) for line in before.splitlines() if line.startswith("auth-0") for word in line.split() if word.isdigit())
    os.kill(pid, 9)
    answer = requests.get(URL + "/api/v2/auth/keys", timeout=10)
    if answer.status_code == 503:
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert int(answer.headers["Retry-After"]) >= 1
    wait_for(lambda: dev("status").returncode == 0, 30, "auth-0 to be ready again", every=0.2)
