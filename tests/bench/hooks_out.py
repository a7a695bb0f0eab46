"""More figures of outgoing webhooks for ./dev bench webhooks: fan-out to many endpoints, a healthy receiver beside tar pits,
and what a delivery costs while a million wait.  Each returns a row of the report.
"""
import json
import subprocess
import time
import urllib.request

ENDPOINTS = "/api/v2/webhooks/endpoints"
INSERT = """insert into webhooks_out.deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, body, next_attempt_at)
select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint + n / 1000), 12, '0') || '7' || lpad(to_hex({endpoint}::bigint * 10000000 + n), 19, '0'))::uuid,
{endpoint}, 1, gen_random_uuid(), 'company.created', 'company:' || n % 1000, now(), repeat('x', 600), now() - interval '1 hour' + n * interval '1 ms'
from generate_series(1, {n}) n"""


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("bench: waited in vain")
        time.sleep(0.02)


def make(stack, port, path, **more):
    body = {"url": f"http://127.0.0.1:{port}{path}", "events": ["company.created"], **more}
    return stack.call("POST", ENDPOINTS, body)["data"]["id"]


def forget(stack, ids):
    for i in ids:
        stack.call("DELETE", f"{ENDPOINTS}/{i}")


def delivered(stack, ids):
    return int(stack.psql("select count(*) from webhooks_out.deliveries where status = 'delivered' and endpoint_id between %d and %d" % (min(ids), max(ids))))


def fan_out(stack, sink, n):
    """Seconds from one event to its last delivery at n endpoints."""
    port = stack.base + 90
    server = sink(port)
    ids = [make(stack, port, f"/fan{i}") for i in range(n)]
    try:
        began = time.monotonic()
        stack.call("POST", "/api/v2/companies", {"name": "fan-out"})
        wait_for(lambda: delivered(stack, ids) >= n, 120)
        return time.monotonic() - began
    finally:
        server.terminate()
        server.wait()
        forget(stack, ids)


def stats(port, reset=False):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/__{'reset' if reset else 'stats'}", method="POST" if reset else "GET")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"{}")


def tar_pits(stack, sink, paced, pits, seconds):
    """(p99 of a healthy receiver alone, beside `pits` that hang), in ms from the event to the arrival."""
    port, pit_port = stack.base + 90, stack.base + 91
    servers, ids, found = [sink(port), sink(pit_port)], [make(stack, port, "/healthy")], []
    try:
        for _ in range(2):
            stats(port, reset=True)
            sent = json.loads(subprocess.run([str(paced), stack.gateway + "/api/v2/companies", stack.key, "100", str(seconds)],
                                             check=True, capture_output=True, text=True).stdout)["sent"]
            wait_for(lambda sent=sent: stats(port)["requests"] >= sent, 60)
            found.append(stats(port)["lag_p99_us"] / 1000)
            ids += [make(stack, pit_port, f"/pit{i}?delay_ms=14000") for i in range(pits if len(found) == 1 else 0)]
        return found
    finally:
        for s in servers:
            s.terminate()
            s.wait()
        forget(stack, ids)


def rss_mb(name):
    out = subprocess.run(["ps", "-C", name, "-o", "rss="], capture_output=True, text=True).stdout.split()
    return sum(map(int, out)) / 1024


def waiting(stack, sink, cpu_s, waits, takes):
    """(CPU µs a delivery of webhooks-out and PostgreSQL, MB resident) while `waits` deliveries wait and `takes` of them go."""
    port = stack.base + 90
    server = sink(port)
    one = make(stack, port, "/waiting", max_in_flight=32, status="paused")

    def spent():
        return cpu_s(stack, "webhooks-out") + cpu_s(stack, "postgres", "webhooks_out")
    try:
        stack.psql(INSERT.format(endpoint=one, n=waits))
        stack.psql("analyze webhooks_out.deliveries")
        before = spent()
        stack.call("PATCH", f"{ENDPOINTS}/{one}", {"status": "active"})
        wait_for(lambda: stats(port)["requests"] >= takes, 300)
        done, memory = stats(port)["requests"], rss_mb("webhooks-out")
        stack.call("PATCH", f"{ENDPOINTS}/{one}", {"status": "paused"})
        return (spent() - before) / done * 1e6, memory
    finally:
        server.terminate()
        server.wait()
        forget(stack, [one])


def rows(stack, sink, paced, cpu_s, endpoints=10000, pits=50, many=1000000, few=20000):
    seconds = fan_out(stack, sink, endpoints)
    alone, beside = tar_pits(stack, sink, paced, pits, 10)
    short, short_mb = waiting(stack, sink, cpu_s, few, few * 9 // 10)
    long, long_mb = waiting(stack, sink, cpu_s, many, few * 9 // 10)
    return [f"| one event to {endpoints} endpoints, the last delivery after | {seconds:.1f} s |",
            f"| p99 of a healthy receiver, alone and beside {pits} that hang | {alone:.1f} ms, {beside:.1f} ms |",
            f"| CPU of webhooks-out and PostgreSQL a delivery, {few} and {many} waiting | {short:.0f} µs, {long:.0f} µs |",
            f"| resident memory of webhooks-out meanwhile | {short_mb:.0f} MB, {long_mb:.0f} MB |"]
