"""I-01: what was acknowledged with 202 is there and acts once, whoever is killed meanwhile."""
import os
import pathlib
import signal
import threading
import time

import requests

from support.stack import SETTINGS, Client, unique, wait_for

MESSAGES = int(os.environ.get("CMS365_CHAOS_HOOKS", "600"))
SENDERS = 6
VICTIMS = ("webhooks-in", "kafka", "api", "webhooks-in", "postgres")


def pids(run_dir, victim):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                exe = os.readlink(entry / "exe")
            except OSError:
                continue
            name = {"java": "kafka"}.get(os.path.basename(exe), os.path.basename(exe))
            ours = run_dir in " ".join(argv) or run_dir in exe
            if ours and name == victim and (name != "postgres" or "-D" in argv):
                found.append(int(entry.name))
    return found


def test_I01_what_is_acknowledged_survives_kill_9():
    run_dir = SETTINGS["CMS365_RUN_DIR"]
    cms, mark, taken, odd, lock = Client(), unique("kill"), {}, [], threading.Lock()
    source = cms.make("/api/v2/webhook-sources", name=mark, provider="none", verification="none", reason="test", dedupe="/id", mapping={
        "fields": [{"to": "name", "from": "/id"}, {"to": "industry", "from": f"={mark}"}],
        "actions": [{"do": "create", "entity": "company"}]})
    stop = threading.Event()

    def sender(number):
        with Client(key=None) as client:
            for i in range(MESSAGES // SENDERS):
                name, until = f"{mark}-{number}-{i}", time.monotonic() + 120
                while time.monotonic() < until:  # as providers do: again until it is taken
                    try:
                        answer = client.post(source["path"], json={"id": name})
                    except requests.RequestException:
                        continue
                    if answer.status_code in (200, 202):
                        with lock:
                            taken[name] = answer.json()["id"]
                        break
                    if answer.status_code != 503 or "Retry-After" not in answer.headers:
                        odd.append((answer.status_code, answer.text[:200]))
                    stop.wait(0.2)

    threads = [threading.Thread(target=sender, args=(n,)) for n in range(SENDERS)]
    for t in threads:
        t.start()
    for victim in VICTIMS:
        stop.wait(1.5)
        for pid in pids(run_dir, victim):
            os.kill(pid, signal.SIGKILL)
    for t in threads:
        t.join(180)
    assert not odd and len(taken) == MESSAGES // SENDERS * SENDERS

    def count(path, **filters):
        answer = cms.get(path, params={f"filter[{k}]": v for k, v in filters.items()})
        return answer.json()["meta"]["total"] if answer.status_code == 200 else None

    # What a killed replica had claimed is claimed again after twenty seconds.
    wait_for(lambda: count("/api/v2/webhook-messages", source=source["id"], status="done") == len(taken), 110,
             f"{len(taken)} messages to be done")
    assert count("/api/v2/webhook-messages", source=source["id"]) == len(taken), "each once in the log"
    assert count("/api/v2/companies", industry=mark) == len(taken), "each acted once"
    cms.delete(f"/api/v2/webhook-sources/{source['id']}")
