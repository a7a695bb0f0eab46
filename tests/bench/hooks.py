"""The webhooks' figures of ./dev bench webhooks: incoming and outgoing, each beside its raw limit taken in the same round.

Incoming: tests/bench/hookload sends signed messages, each with a body of its own, straight at the program's port; a 202
means that Kafka holds it (acks=all).  The raw limit produces messages of the same size to a topic of the same shape
(tests/bench/produce).  Outgoing: a backlog of one event an endpoint is let go; the raw limit posts the same bytes to the
same sink by curl's multi interface without any database (tests/bench/postloop).
"""
import json
import pathlib
import re
import statistics
import subprocess
import time

import hooks_out

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build/rel/tests/bench"
SECRET = "bench-secret-of-the-source"
CONNECTIONS, PACED_CONNECTIONS, IN_FLIGHT = 64, 128, 64


def tool(name, *args):
    out = subprocess.run([str(BIN / name), *map(str, args)], capture_output=True, text=True)
    return json.loads(out.stdout)


def cpu_s(stack, name, schema="webhooks_in"):
    """CPU seconds that the program's processes have used."""
    total = 0.0
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            exe = (entry / "exe").resolve()
        except OSError:
            continue
        ours = str(exe).startswith(stack.run_dir + "/bin/") and exe.name == name
        if name == "postgres":
            ours = exe.name == "postgres" and (f"{stack.run_dir}".encode() in b" ".join(argv) or schema.encode() in argv[0])
        if ours:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / 100
    return total


def waiting(stack):
    return int(stack.psql("select count(*) from webhooks_in.messages where status in ('accepted', 'working')"))


def incoming(stack, rounds, seconds):
    port = stack.base + 160
    made = stack.call("POST", "/api/v2/webhook-sources", {
        "name": "Bench", "provider": "github", "secret": SECRET, "retention_days": 7,
        "mapping": {"fields": [{"to": "id", "from": "/id"}], "actions": [{"do": "emit", "when": {"at": "/id", "is": "never"}}]}})["data"]
    path, found = made["path"], {"rate": [], "raw": [], "cpu": [], "p50": [], "p99": [], "paced": []}
    tool("hookload", port, path, SECRET, 8, 1)
    size = int(stack.psql("select coalesce(avg(length(body) + length(headers::text) + 400), 1100)::int from webhooks_in.messages"))
    for _ in range(rounds):
        before = cpu_s(stack, "webhooks-in")
        got = tool("hookload", port, path, SECRET, CONNECTIONS, seconds)
        found["cpu"].append((cpu_s(stack, "webhooks-in") - before) / max(got["taken"], 1) * 1e6)
        found["rate"].append(got["rate"])
        found["raw"].append(tool("produce", f"127.0.0.1:{stack.base + 3}", "bench.produce", size, IN_FLIGHT, seconds)["rate"])
    half = max(int(statistics.median(found["rate"]) / 2), 100)
    for rate in sorted({min(half, 2500), half}):
        got = tool("hookload", port, path, SECRET, PACED_CONNECTIONS, seconds, rate)
        found["paced"].append((rate, got["p50_us"] / 1000, got["p99_us"] / 1000))
    began, left = time.monotonic(), waiting(stack)
    while waiting(stack) and time.monotonic() - began < 60:
        time.sleep(0.5)
    spent, still = time.monotonic() - began, waiting(stack)
    stack.call("DELETE", f"/api/v2/webhook-sources/{made['id']}")
    return {"rate": statistics.median(found["rate"]), "raw": statistics.median(found["raw"]), "bytes": size,
            "cpu_us": statistics.median(found["cpu"]), "paced": found["paced"], "processed": (left - still) / max(spent, 0.5)}


def outgoing(stack, sink, endpoints, events):
    port = stack.base + 90
    ends = [stack.call("POST", "/api/v2/webhooks/endpoints", {
        "url": f"http://127.0.0.1:{port}/hook{i}", "events": ["company.created"], "max_in_flight": 32,
        "status": "paused"})["data"]["id"] for i in range(endpoints)]
    for i in range(events):
        stack.call("POST", "/api/v2/companies", {"name": f"bench {i}"})
    ids = ",".join(map(str, ends))
    want = endpoints * events
    while int(stack.psql(f"select count(*) from webhooks_out.deliveries where endpoint_id in ({ids})")) < want:
        time.sleep(0.1)
    body = stack.psql(f"select max(length(body)) from webhooks_out.deliveries where endpoint_id in ({ids})")
    server = sink(port)
    try:
        began = time.monotonic()
        for i in ends:
            stack.call("PATCH", f"/api/v2/webhooks/endpoints/{i}", {"status": "active"})
        done = f"select count(*) from webhooks_out.deliveries where endpoint_id in ({ids}) and status = 'delivered'"
        while int(stack.psql(done)) < want and time.monotonic() - began < 120:
            time.sleep(0.05)
        rate = want / (time.monotonic() - began)
        raw = tool("postloop", f"http://127.0.0.1:{port}/raw", int(body), 64, 5)["rate"]
    finally:
        server.terminate()
        server.wait()
        for i in ends:
            stack.call("DELETE", f"/api/v2/webhooks/endpoints/{i}")
    return {"rate": rate, "raw": raw, "n": want}


def report(into, out, more):
    lines = ["# Webhooks benchmark", "", "Printed by `./dev bench webhooks`; 2 cores shared by load, programs, database and Kafka.", "",
             "| incoming | |", "|---|---:|",
             f"| verified messages/s acknowledged durably, {CONNECTIONS} connections | {into['rate']:.0f} |",
             f"| raw: messages/s of {into['bytes']} bytes that Kafka acknowledges, {IN_FLIGHT} in flight | {into['raw']:.0f} |",
             f"| of the raw limit | {into['rate'] / max(into['raw'], 1):.2f} |",
             f"| CPU of webhooks-in a message, all its work | {into['cpu_us']:.0f} µs |"]
    for rate, p50, p99 in into["paced"]:
        lines.append(f"| at {rate}/s: p50, p99 | {p50:.1f} ms, {p99:.1f} ms |")
    lines += [f"| stored messages worked on a second, after the load | {into['processed']:.0f} |", "",
              "| outgoing | |", "|---|---:|", f"| deliveries/s, attempts logged, backlog of {out['n']} | {out['rate']:.0f} |",
              f"| raw: posts/s of the same bytes to the same sink | {out['raw']:.0f} |",
              f"| of the raw limit | {out['rate'] / max(out['raw'], 1):.2f} |"] + more
    return "\n".join(lines) + "\n"


def main(stack, rounds, seconds, sink):
    into = incoming(stack, rounds, seconds)
    out = outgoing(stack, sink, 20, 500)
    more = hooks_out.rows(stack, sink, BIN / "paced", cpu_s)
    text = report(into, out, more)
    (ROOT / "docs/reference/benchmark-webhooks.md").write_text(text)
    print(re.sub(r"\n+$", "", text))
