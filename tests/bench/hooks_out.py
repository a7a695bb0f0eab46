"""The figures of outgoing webhooks for ./dev bench webhooks: a backlog, fan-out to many endpoints, a healthy receiver beside
tar pits, and what a delivery costs while very many wait.  Each figure is a function that returns rows of the report.
"""
import contextlib
import json
import statistics
import subprocess
import time

from hooks_stack import BIN, Sink, cpu_s, each, query, rss_mb, tool, wait_for

ENDPOINTS = "/api/v2/webhooks/endpoints"
IN_FLIGHT = 64
# As fan-out writes them: one endpoint, a thousand entities, due one after the other.
INSERT = """insert into webhooks_out.deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, body, next_attempt_at)
select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint + n / 1000), 12, '0') || '7' || lpad(to_hex({endpoint}::bigint * 10000000 + n), 19, '0'))::uuid,
{endpoint}, 1, gen_random_uuid(), 'company.created', 'company:' || n % 1000, now(), repeat('x', 600), now() - interval '1 hour' + n * interval '1 ms'
from generate_series(1, {n}) n"""


@contextlib.contextmanager
def endpoints(stack, sink, n, path="/hook", **more):
    """Ids of n endpoints that are gone afterwards, with what waits for them."""
    def make(i):
        body = {"url": sink.url + path.format(i=i), "events": ["company.created"], **more}
        return stack.call("POST", ENDPOINTS, body)["data"]["id"]

    ids = each(make, range(n))
    try:
        yield ids
    finally:
        query(stack, f"update webhooks_out.endpoints set status = 'paused', version = version + 1 where id = any('{{{','.join(map(str, ids))}}}')")
        time.sleep(1)  # a round of the dispatcher: nothing is sent of what goes now
        query(stack, f"delete from webhooks_out.deliveries where endpoint_id between {min(ids)} and {max(ids)}")
        each(lambda i: stack.call("DELETE", f"{ENDPOINTS}/{i}"), ids)


def count(stack, ids, condition="true"):
    return int(query(stack, f"select count(*) from webhooks_out.deliveries where endpoint_id between {min(ids)} and {max(ids)} and {condition}"))


def delivered(stack, ids):
    return count(stack, ids, "status = 'delivered'")


def spent(stack):
    return cpu_s(stack, "webhooks-out"), cpu_s(stack, "postgres", "webhooks_out")


def backlog(stack, o):
    """Deliveries a second of events that waited, each attempt logged, and what curl alone does with the same bytes."""
    found = []
    for _ in range(o.rounds):
        with Sink(stack) as sink, endpoints(stack, sink, 20, "/hook{i}", max_in_flight=32, status="paused") as ids:
            each(lambda i: stack.call("POST", "/api/v2/companies", {"name": f"bench {i}"}), range(o.events))
            want = len(ids) * o.events
            wait_for(lambda: count(stack, ids) >= want, 120, "the fan-out")
            body = int(query(stack, f"select max(length(body)) from webhooks_out.deliveries where endpoint_id = {ids[0]}"))
            before, began = spent(stack), time.monotonic()
            query(stack, f"update webhooks_out.endpoints set status = 'active', version = version + 1 where id between {min(ids)} and {max(ids)}")
            wait_for(lambda: sink.stats()["requests"] >= want, 300, f"{want} deliveries")
            wait_for(lambda: delivered(stack, ids) >= want, 60, "the log of them")
            took, after = time.monotonic() - began, spent(stack)
            raw = tool("postloop", sink.url + "/raw", body, IN_FLIGHT, o.seconds)["rate"]
            found.append((want / took, raw, *((b - a) / want * 1e6 for a, b in zip(before, after))))
    rate, raw, mine, base = (statistics.median(f[i] for f in found) for i in range(4))
    return [f"| deliveries/s, attempts logged, a backlog of {want} | {rate:.0f} |",
            f"| raw: posts/s of the same bytes to the same sink by curl's multi interface, {IN_FLIGHT} in flight | {raw:.0f} |",
            f"| of the raw limit | {rate / max(raw, 1):.2f} |",
            f"| CPU a delivery of webhooks-out, of PostgreSQL | {mine:.0f} µs, {base:.0f} µs |"]


def fan_out(stack, o):
    """From one event to its last arrival at many endpoints."""
    n, found = o.endpoints, []
    with Sink(stack) as sink, endpoints(stack, sink, n, "/fan{i}") as ids:
        for i in range(o.rounds):
            sink.reset()
            stack.call("POST", "/api/v2/companies", {"name": "fan-out"})
            wait_for(lambda: sink.stats()["requests"] >= n, 300, f"{n} deliveries")
            found.append(sink.stats()["lag_max_us"] / 1e6)
            wait_for(lambda want=n * (i + 1): delivered(stack, ids) >= want, 60, "the log of them")
    return [f"| one event to {n} endpoints: the last arrival after | {statistics.median(found):.1f} s |"]


def put_off(stack):
    """How many rows of deliveries were put off because their receivers hang."""
    return int(query(stack, "select case when is_called then last_value else 0 end from webhooks_out.deferred_id_seq"))


def tar_pits(stack, o):
    """The p99 from event to arrival at a healthy receiver, alone and beside those that hang, in turns; that they were made and began to hang
    is over by then.  Each event is a delivery more for each of them."""
    found = {20: ([], []), 100: ([], [])}
    with Sink(stack) as sink, Sink(stack, 91) as pit, endpoints(stack, sink, 1, "/healthy"):
        def p99(rate):
            sink.reset()
            out = subprocess.run([str(BIN / "paced"), stack.gateway + "/api/v2/companies", stack.key, str(rate), str(max(o.seconds, 400 // rate))],
                                 check=True, capture_output=True, text=True).stdout
            wait_for(lambda: sink.stats()["requests"] >= json.loads(out)["sent"], 60, "the healthy receiver")
            return sink.stats()["lag_p99_us"] / 1000

        p99(100)  # connections, caches
        for _ in range(o.rounds):
            for rate, (alone, beside) in found.items():
                alone.append(p99(rate))
                with endpoints(stack, pit, o.pits, "/pit{i}?delay_ms=14000"):
                    pit.reset()
                    sink.reset()
                    each(lambda i: stack.call("POST", "/api/v2/companies", {"name": f"pit {i}"}), range(10))
                    wait_for(lambda: pit.stats()["requests"] >= o.pits and sink.stats()["requests"] >= 10, 60, "all of them to hang")
                    wait_for(lambda before=put_off(stack): stack.call("POST", "/api/v2/companies", {"name": "pit"}) and put_off(stack) > before, 60,
                             "them to be known to hang")
                    beside.append(p99(rate))
    rows = []
    for rate, lists in found.items():
        a, b = (statistics.median(one) for one in lists)
        rows.append(f"| p99 of a healthy receiver at {rate} events/s, alone and beside {o.pits} that hang | {a:.1f} ms, {b:.1f} ms ({(b / max(a, 0.001) - 1) * 100:+.0f} %) |")
    return rows


def waiting(stack, o):
    """What a delivery costs, and webhooks-out's memory, while few and many wait behind it."""
    takes, found = o.few * 9 // 10, []
    for n in (o.few, o.waiting):
        with Sink(stack) as sink, endpoints(stack, sink, 1, "/waiting", max_in_flight=32, status="paused") as ids:
            query(stack, INSERT.format(endpoint=ids[0], n=n))
            query(stack, "vacuum analyze webhooks_out.deliveries")
            query(stack, "checkpoint")
            before = sum(spent(stack))
            stack.call("PATCH", f"{ENDPOINTS}/{ids[0]}", {"status": "active"})
            wait_for(lambda: sink.stats()["requests"] >= takes, 300, f"{takes} deliveries")
            done, after, memory = sink.stats()["requests"], sum(spent(stack)), rss_mb(stack, "webhooks-out")
            found.append(((after - before) / done * 1e6, memory))
    (few_us, few_mb), (many_us, many_mb) = found
    return [f"| CPU of webhooks-out and PostgreSQL a delivery, {o.few} and {o.waiting} waiting | {few_us:.0f} µs, {many_us:.0f} µs ({many_us / few_us:.2f} ×) |",
            f"| resident memory of webhooks-out meanwhile | {few_mb:.0f} MB, {many_mb:.0f} MB |"]


FIGURES = [backlog, fan_out, tar_pits, waiting]
