"""Limits over three replicas while they, and Redis, are killed."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest
import requests

from support.load import hammer
from support.programs import PORT_BASE, RUN_DIR, dev, pids
from support.samples import SAMPLES
from support.stack import Client, unique, wait_for

NOWHERE = "/api/v2/posts/999999999"


@pytest.fixture(scope="module", autouse=True)
def three_replicas():
    dev("scale", "api", "3")
    yield
    dev("scale", "api", "1")


def knows(direct):
    """Is the replica there, and does it know the key?  The page is never limited, so asking takes nothing of what is counted."""
    try:
        return direct.get("/problems/rate_limited").status_code == 200
    except requests.ConnectionError:
        return False  # a test before this one killed it; the supervisor brings it back


@pytest.fixture
def limited():
    with Client() as cms:
        def make(**limits):
            key = cms.make("/api/v2/auth/keys", name=unique("limited"), scopes=["posts:read"], **limits)
            for number in range(3):
                with Client(key=key["key"], base=f"http://127.0.0.1:{PORT_BASE + 100 + number}") as direct:
                    wait_for(lambda: knows(direct), 20, "the key to be known")
            return key["key"]
        yield make


def redis_age_s():
    told = subprocess.run(["redis-cli", "-p", str(PORT_BASE + 2), "info", "server"], check=True, capture_output=True, text=True).stdout
    return int(re.search(r"uptime_in_seconds:(\d+)", told)[1])


def minute():
    return int(time.time()) // 60


def fresh_minute(key):
    """Waits for a minute of Redis' that has just begun.  One in which Redis itself did will not do: each replica has its part of it only."""
    with Client(key=key) as client:
        while True:
            left = dict((k, (int(r), int(t))) for k, r, t in
                        re.findall(r'"(\w+)";r=(\d+);t=(\d+)', client.get(NOWHERE).headers["RateLimit"]))["key"]
            if left[1] > 40 and redis_age_s() > 61 - left[1]:
                return
            wait_for(lambda: int(re.search(r"t=(\d+)", client.get(NOWHERE).headers["RateLimit"])[1]) > left[1], 70, "the next minute", 0.2)


def test_N04_ten_thousand_calls_over_three_replicas(limited):
    key = limited(rate_limit=1000)
    other = limited(rate_limit=1000)
    fresh_minute(other)  # the same minute for both
    counts = hammer(10000, NOWHERE, key)
    assert counts == {404: 1000, 429: 9000}, counts


def test_N04_a_killed_replica_never_lets_more_through(limited):
    key, killed = limited(quota_monthly=3000), threading.Event()

    def kill():
        for pid in pids("api")[:1]:
            os.kill(pid, signal.SIGKILL)
        killed.set()

    threading.Timer(0.5, kill).start()
    counts = hammer(9000, NOWHERE, key)
    assert killed.wait(30)
    # The gateway asks another replica when one is gone; what the dead one had taken ahead is lost.
    assert 3000 - 3 * 32 <= counts[404] <= 3000, counts
    assert set(counts) <= {404, 429, 503, 0}, counts


def test_N06_redis_is_killed_midway(limited):
    key, other = limited(rate_limit=1000), limited(rate_limit=1000)
    fresh_minute(other)
    first = minute()
    begun = hammer(300, NOWHERE, key)
    assert begun == {404: 300}, begun
    for pid in pids("redis"):
        os.kill(pid, signal.SIGKILL)  # the supervisor brings it back
    counts = hammer(9700, NOWHERE, key)
    assert set(counts) <= {404, 429}, counts
    minutes = 1 + minute() - first  # while Redis is away a request may wait for it, and all of them for long
    assert 300 + counts[404] <= 1000 * minutes, f"never more than the limit in each of {minutes} minutes"
    with Client() as cms:
        assert cms.get("/api/v2/posts?per_page=1").status_code == 200, "reads go on"
        assert cms.post("/api/v2/companies", json=SAMPLES["companies"]()).status_code == 201
