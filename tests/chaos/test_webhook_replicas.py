"""Two replicas of both webhook programs, one of each killed and brought back while it works: what was asked to keep its order
does, from the sender's message to the receiver's request."""
import collections
import json
import os
import signal
import threading

import pytest
import requests

from support.programs import dev, pids
from support.stack import Client, Receiver, unique, wait_for

KEYS, EACH = 10, int(os.environ.get("CMS365_CHAOS_ORDERED", "20"))
PROGRAMS = ("webhooks-in", "webhooks-out")


@pytest.fixture(scope="module", autouse=True)
def two_replicas():
    for program in PROGRAMS:
        dev("scale", program, "2")
    yield
    for program in PROGRAMS:
        dev("scale", program, "1")


def post(client, path, body):
    """As providers do: again until it is taken."""
    def taken():
        try:
            return client.post(path, json=body).status_code in (200, 202)
        except requests.RequestException:
            return False

    wait_for(taken, 60, "a message to be taken", every=0.1)


def test_W11_I04_order_holds_over_two_replicas_of_each():
    mark, sent, seen = unique("replicas"), collections.Counter(), collections.defaultdict(list)
    sink = Receiver(lambda request: 500 if request["n"] % 11 == 5 else 200)
    with Client() as cms:
        source = cms.make("/api/v2/webhook-sources", name=mark, provider="none", verification="none", reason="test", dedupe="/id", order_by="/slug",
                          mapping={"fields": [{"to": "slug", "from": "/slug"}, {"to": "name", "from": "/name"}, {"to": "industry", "from": f"={mark}"}],
                                   "actions": [{"do": "upsert", "entity": "company", "key": "slug"}]})
        endpoint = cms.make("/api/v2/webhooks/endpoints", url=sink.url, events=["company.*"], filter={"industry": mark}, ordered=True)

        def say(key):
            with Client(key=None) as mine:
                for n in range(EACH):
                    post(mine, source["path"], {"id": f"{mark}-{key}-{n}", "slug": f"{mark}-{key}", "name": f"{n:04}"})
                    sent[key] += 1

        threads = [threading.Thread(target=say, args=(key,)) for key in range(KEYS)]
        for t in threads:
            t.start()
        for program in PROGRAMS:
            wait_for(lambda: len(sink.requests) > 5, 60, "the first to arrive")
            os.kill(pids(program)[-1], signal.SIGKILL)
        for t in threads:
            t.join(180)
        assert sum(sent.values()) == KEYS * EACH

        def all_arrived():
            return len({r["headers"]["webhook-id"] for r in list(sink.requests)}) >= KEYS * EACH

        wait_for(all_arrived, 240, "all of them to arrive", every=0.2)
        ids = set()
        for request in list(sink.requests):
            event = json.loads(request["body"])
            if request["n"] % 11 != 5 and event["id"] not in ids:  # what comes twice keeps its id
                ids.add(event["id"])
                seen[event["data"]["slug"]].append(event["data"]["name"])
        wrong = {slug: names for slug, names in seen.items() if names != sorted(names)}
        assert not wrong, f"{len(wrong)} of {KEYS} out of order: {wrong}"
        cms.delete(f"/api/v2/webhooks/endpoints/{endpoint['id']}")
        cms.delete(f"/api/v2/webhook-sources/{source['id']}")
    sink.close()
