"""N-01, N-02: each record of the request log counts once, whoever is killed while it is stored and added up by two replicas."""
import os
import signal
import subprocess
import threading
import time

from support import stack
from support.analytics import BASE, replay, row, sql
from support.stack import SETTINGS, Client, unique, wait_for

from test_webhooks_in import pids

RECORDS = int(os.environ.get("CMS365_CHAOS_RECORDS", "20000"))
PARTS = 4


def scale(n):
    subprocess.run(["./dev", "scale", "analytics", str(n)], cwd=stack.ROOT, check=True, capture_output=True, timeout=180)


def test_N01_N02_records_count_once_though_replicas_are_killed():
    route, cms, run_dir = f"/api/v2/{unique('chaos')}", Client(), SETTINGS["CMS365_RUN_DIR"]
    at = time.time() - 60

    def stored():
        return int(sql(f"select count(*) from requests q join routes r on r.id = q.route where r.template = '{route}'"))

    def send(part):
        for first in range(part * RECORDS // PARTS, (part + 1) * RECORDS // PARTS, 500):
            replay([row(at + i % 50, route=route, key=7, total_us=1000 + i % 100, status=500 if i % 10 == 0 else 200) for i in range(first, first + 500)])

    scale(2)
    sender = None
    try:
        wait_for(lambda: len(pids(run_dir, "analytics")) == 2, 60, "two replicas")
        killed = 0
        for part in range(PARTS):  # each is sent to living replicas, which are killed with some of it stored
            wait_for(lambda: pids(run_dir, "analytics"), 60, "a replica")
            before = stored()
            sender = threading.Thread(target=send, args=(part,))
            sender.start()
            wait_for(lambda: stored() > before, 120, "some of it to be stored", 0.02)
            for pid in pids(run_dir, "analytics")[:2 if part % 2 else 1]:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            sender.join(180)
            assert not sender.is_alive()
        assert killed >= PARTS
        wait_for(lambda: stored() >= RECORDS, 180, "all to be stored", 0.3)

        def numbers():
            answer = cms.get(f"{BASE}/overview?window=1h&route={route}")
            return answer.json()["data"] if answer.status_code == 200 else None
        wait_for(lambda: (numbers() or {}).get("requests", 0) >= RECORDS, 60, "the numbers", 0.3)
        # What was stored twice would come now: offsets are committed every second, and everything has been read.
        wait_for(lambda: sql("select count(*) from fresh") == "0", 60, "the sums to be made", 0.3)
        found = numbers()
        assert stored() == RECORDS
        assert (found["requests"], found["server_errors"]) == (RECORDS, RECORDS // 10)
        assert 990 <= found["p50_us"] <= 1060 and found["max_us"] == 1099
    finally:
        if sender:
            sender.join(180)
        scale(1)
