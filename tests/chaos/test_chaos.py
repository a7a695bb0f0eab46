"""Writes go on while everything is killed in turn; nothing acknowledged is lost.

16 clients write with Idempotency-Key.  Meanwhile programs, Kafka, Redis and PostgreSQL are killed (-9) one after
another; the supervisor brings them back.  Afterwards every acknowledged write is in the database, its event
reached the receiver at least once, duplicates carry the same webhook-id, and the order per entity held: at an endpoint
with one request at a time, and at one with several that keeps order.  A third endpoint was paused and skipped all of it;
recover sends it exactly what it missed.
CMS365_CHAOS_WRITES (default 10000; CI takes 1500) is the number of writes.
"""
import collections
import itertools
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

import requests

from support.stack import ROOT, SETTINGS, Client, unique, wait_for

WRITES = int(os.environ.get("CMS365_CHAOS_WRITES", "10000"))
CLIENTS = 16
KILL_EVERY_S = 2.5
RECOVERS_S = 60
DEADLINE_S = 600
SINK = pathlib.Path(os.environ.get("CMS365_SINK", ROOT / "build/rel/tests/bench/sink"))


def processes(run_dir):
    """pid -> kind, for what runs out of this stack's own run directory and nothing else."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            exe = os.readlink(entry / "exe")
        except OSError:
            continue
        line = " ".join(argv)
        name = os.path.basename(exe)
        if run_dir not in line and run_dir not in exe:
            continue
        if name in ("api", "auth", "webhooks-out"):
            found[int(entry.name)] = name
        elif name.startswith("redis-"):  # Debian's redis-server is a link to redis-check-rdb
            found[int(entry.name)] = "redis"
        elif name == "java":
            found[int(entry.name)] = "kafka"
        elif name == "postgres" and "-D" in argv:
            found[int(entry.name)] = "postgres"
    return found


class Writer(threading.Thread):
    """Creates companies and changes them, until its share is written and everything was killed once; keeps what was
    acknowledged: id -> last version."""

    def __init__(self, number, writes, mark, deadline, all_killed):
        super().__init__(daemon=True)
        self.number, self.writes, self.mark, self.deadline, self.all_killed = number, writes, mark, deadline, all_killed
        self.acknowledged, self.bad, self.retries, self.taken = {}, [], 0, 0
        self.pace = random.Random(number)

    def send(self, client, method, path, body):
        headers = {"Idempotency-Key": unique("chaos")} if method == "POST" else {}
        while time.monotonic() < self.deadline:
            try:
                answer = client.request(method, path, json=body, headers=headers)
            except requests.RequestException:
                # The gateway itself is never killed: it must answer.
                self.bad.append(("no answer", method, path))
                return None
            if answer.status_code in (200, 201):
                return answer
            if answer.status_code == 503 and "Retry-After" in answer.headers and \
                    answer.headers["Content-Type"].startswith("application/problem+json"):
                self.retries += 1
                threading.Event().wait(0.1 + self.pace.random() * 0.3)
                continue
            if answer.status_code == 409 and "idempotency_in_flight" in answer.text:
                threading.Event().wait(0.2)
                continue
            self.bad.append((answer.status_code, method, path, answer.text[:300]))
            return None
        self.bad.append(("deadline", method, path))
        return None

    def run(self):
        with Client() as client:
            mine = []
            for i in itertools.count():
                if i >= self.writes:
                    if self.all_killed.is_set():
                        break
                    threading.Event().wait(0.1)  # enough written: keep a little going until the killing is done
                if not mine or i % 3 == 0:
                    answer = self.send(client, "POST", "/api/v2/companies", {"name": f"{self.mark} {self.number}-{i}", "industry": self.mark})
                    if answer is not None:
                        mine.append(answer.json()["data"]["id"])
                else:
                    answer = self.send(client, "PATCH", f"/api/v2/companies/{mine[-1]}", {"description": f"change {i}"})
                if answer is not None:
                    self.taken += 1
                    row = answer.json()["data"]
                    self.acknowledged[row["id"]] = max(row["version"], self.acknowledged.get(row["id"], 0))


ORDER = ["webhooks-out", "api", "kafka", "auth", "postgres", "redis", "api", "webhooks-out"]


def killer(run_dir, stop, all_killed, log, taken):
    step = 0
    while not stop.wait(KILL_EVERY_S):
        # Something must have been written in between: a database that is killed while it recovers never gets anywhere.
        before, end = taken(), time.monotonic() + RECOVERS_S
        while taken() == before and time.monotonic() < end and not stop.wait(0.1):
            pass
        kind = ORDER[step % len(ORDER)]
        step += 1
        victims = [pid for pid, name in processes(run_dir).items() if name == kind]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        log.append((kind, len(victims)))
        if {k for k, n in log if n} == set(ORDER):
            all_killed.set()


def deliveries(path):
    rows = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue  # the last line may be being written
    return rows


def ordered_once(rows, log, path):
    """What arrived at a path: nothing missing, one id an event, no entity's versions out of order."""
    seen, last, versions = {}, collections.defaultdict(int), collections.defaultdict(set)
    for d in deliveries(log):
        if d["path"] != path:
            continue
        body = json.loads(d["body"])
        company, version = body["data"]["id"], body["data"]["version"]
        event = (company, version, body["type"])
        assert seen.setdefault(event, d["webhook_id"]) == d["webhook_id"], f"{path}: two ids for {event}"
        if version not in versions[company]:
            assert version > last[company], f"{path}: order of company {company}"
            last[company] = version
        versions[company].add(version)
    gaps = [k for k, v in rows.items() if versions[k] != set(range(1, v + 1))]
    assert not gaps, f"{path}: {len(gaps)} entities lack a version at the receiver: {gaps[:5]}"
    return set(seen.values())


def arrived(rows, log, path):
    latest = collections.defaultdict(int)
    for d in deliveries(log):
        if d["path"] == path:
            data = json.loads(d["body"])["data"]
            latest[data["id"]] = max(latest[data["id"]], data["version"])
    return all(latest[k] >= v for k, v in rows.items())


def recovered(client, endpoint, log, path):
    """What a paused endpoint that skips gets by recover: as many as were skipped."""
    one = f"/api/v2/webhooks/endpoints/{endpoint['id']}"
    missed = client.post(f"{one}/resume").json()["data"]["missed"]
    told = client.post(f"{one}/recover", json={"since": "2020-01-01T00:00:00Z"}, timeout=120)
    assert told.status_code == 202, told.text
    answer = told.json()["data"]
    assert missed["skipped"] == answer["matched"] == answer["sent"], (missed, answer)

    def ids():
        return {d["webhook_id"] for d in deliveries(log) if d["path"] == path}
    wait_for(lambda: len(ids()) >= answer["sent"], 300, "what was recovered", every=1.0)
    return ids()


def test_W18_X04_W07_nothing_acknowledged_is_lost(tmp_path):
    run_dir = SETTINGS["CMS365_RUN_DIR"]
    with socket.socket() as probe:  # a port of our own: a receiver left over from elsewhere must not share it
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "sink.log"
    sink = subprocess.Popen([str(SINK), "--port", str(port), "--log", str(log)], stdout=subprocess.DEVNULL)
    mark, kills, stop, all_killed = unique("chaos"), [], threading.Event(), threading.Event()
    try:
        with Client() as client:
            paths = {"/one": {"max_in_flight": 1}, "/ordered": {"ordered": True}, "/skipped": {"status": "paused", "while_paused": "skip"}}
            endpoints = {path: client.make("/api/v2/webhooks/endpoints", url=f"http://127.0.0.1:{port}{path}", events=["company.*"],
                                           filter={"industry": mark}, **more) for path, more in paths.items()}
        deadline = time.monotonic() + DEADLINE_S
        writers = [Writer(n, WRITES // CLIENTS, mark, deadline, all_killed) for n in range(CLIENTS)]
        chaos = threading.Thread(target=killer, args=(run_dir, stop, all_killed, kills, lambda: sum(w.taken for w in writers)), daemon=True)
        for w in writers:
            w.start()
        chaos.start()
        for w in writers:
            w.join(DEADLINE_S)
        stop.set()
        chaos.join()
        assert all_killed.is_set(), f"too little was killed: {kills}"

        bad = [b for w in writers for b in w.bad]
        assert not bad, f"{len(bad)} answers were neither success nor a clean 503: {bad[:5]}"
        acknowledged = {k: v for w in writers for k, v in w.acknowledged.items()}
        assert sum(len(w.acknowledged) for w in writers) == len(acknowledged)

        with Client() as client:
            def ready():
                try:
                    return client.get("/api/v2/companies?per_page=1").status_code == 200
                except requests.RequestException:
                    return False
            wait_for(ready, 60, "the api after the last kill", every=0.2)
            rows = {}
            url = f"/api/v2/companies?filter[industry]={mark}&fields=id,version&per_page=100&sort=id"
            while url:
                page = client.get(url).json()
                rows.update({r["id"]: r["version"] for r in page["data"]})
                url = page["links"]["next"]
            missing = [k for k in acknowledged if k not in rows or rows[k] < acknowledged[k]]
            assert not missing, f"{len(missing)} acknowledged writes are not in the database: {missing[:5]}"

            for path in ("/one", "/ordered"):
                wait_for(lambda path=path: arrived(rows, log, path), 300, f"all events at {path}", every=1.0)
            ids = ordered_once(rows, log, "/one")
            assert ordered_once(rows, log, "/ordered") == ids
            assert recovered(client, endpoints["/skipped"], log, "/skipped") == ids
            for endpoint in endpoints.values():
                client.delete(f"/api/v2/webhooks/endpoints/{endpoint['id']}")

        print(json.dumps({"writes": sum(rows.values()), "kills": kills, "client_retries": sum(w.retries for w in writers)}))
    finally:
        stop.set()
        sink.terminate()
        sink.wait(10)
