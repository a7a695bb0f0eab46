"""What is scheduled is published once, by whichever replica, and told once, also when replicas are killed at the very time."""
import datetime
import os
import signal
import threading
import time

import pytest

from support.programs import dev, pids
from support.stack import Client, kafka_messages, unique, wait_for

POSTS = "/api/v2/posts"
COUNT, AHEAD_S = 600, 6


@pytest.fixture(scope="module", autouse=True)
def two_replicas():
    dev("scale", "api", "2")
    yield
    dev("scale", "api", "1")


def schedule(client, mark):
    """COUNT posts that are due at the same moment; its time on the monotonic clock."""
    due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=AHEAD_S)
    at = time.monotonic() + AHEAD_S
    row = {"title": mark, "status": "scheduled", "published_at": due.isoformat(), "tags": [mark]}
    answer = client.patch(POSTS, json=[{"op": "create", "data": row}] * COUNT)
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json()["data"]}, at


def published(client, mark):
    rows, url = {}, f"{POSTS}?filter[tags]={mark}&filter[status]=published&fields=id,version&per_page=100"
    while url:
        page = client.get(url).json()
        rows.update({r["id"]: r["version"] for r in page["data"]})
        url = page["links"]["next"]
    return rows


def told(ids):
    """post -> ids of the events that say it was published, one a message."""
    found = {i: [] for i in ids}
    for headers, payload in kafka_messages("content.events", last=4 * COUNT):
        if headers.get("ce_type") == "com.cms365.post.published" and payload["data"]["id"] in found:
            found[payload["data"]["id"]].append(headers["ce_id"])
    return found


def test_R01_scheduled_posts_are_published_once_by_two_replicas():
    mark = unique("due")
    with Client() as client:
        ids, _ = schedule(client, mark)
        assert not published(client, mark)
        rows = wait_for(lambda: (r := published(client, mark)) and len(r) == COUNT and r, 90, "all of them", 0.2)
        assert set(rows) == ids and set(rows.values()) == {2}, "a post was changed more than once"
        events = wait_for(lambda: all((e := told(ids)).values()) and e, 60, "their events", 0.5)
    assert all(len(e) == 1 for e in events.values()), "a post was told twice"


def test_R01_and_over_kill_9():
    mark, stop = unique("due"), threading.Event()

    def kill(at):
        turn = 0
        stop.wait(max(0, at - time.monotonic()))
        while not stop.wait(0.25) and turn < 8:
            victims = sorted(pids("api"))
            if victims:
                os.kill(victims[turn % len(victims)], signal.SIGKILL)
                turn += 1

    def all_published(client):
        try:
            rows = published(client, mark)
        except (OSError, ValueError, KeyError):  # nobody is up
            return None
        return rows if len(rows) == COUNT else None

    with Client() as client:
        ids, at = schedule(client, mark)
        killer = threading.Thread(target=kill, args=(at,))
        killer.start()
        try:
            killer.join(60)
            rows = wait_for(lambda: all_published(client), 120, "all of them", 0.5)
        finally:
            stop.set()
            killer.join()
        assert set(rows) == ids and set(rows.values()) == {2}, "a post was changed more than once"
        events = wait_for(lambda: all((e := told(ids)).values()) and e, 90, "their events", 0.5)
    # A message may come again after a kill; it is the same event then.
    assert all(len(set(e)) == 1 for e in events.values()), "a post was told as two events"
