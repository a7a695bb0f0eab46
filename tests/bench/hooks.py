"""The webhooks' figures of ./dev bench webhooks: incoming and outgoing, each beside its raw limit taken in the same round.

Incoming: tests/bench/hookload sends signed messages, each with a body of its own, straight at the program's port; a 202
means that Kafka holds it (acks=all).  The raw limit produces messages of the same size to a topic of the same shape
(tests/bench/produce).  Outgoing: hooks_out.py.  A figure that cannot be taken says why, the others are taken all the same, and
the report is written only if it is whole.
"""
import contextlib
import pathlib
import statistics
import sys
import time
import traceback

import hooks_out
from hooks_stack import ROOT, Failed, cpu_s, query, tool, wait_for

SECRET = "bench-secret-of-the-source"
CONNECTIONS, PACED_CONNECTIONS, IN_FLIGHT, PACED_RATE = 64, 128, 64, 2500


@contextlib.contextmanager
def source(stack):
    made = stack.call("POST", "/api/v2/webhook-sources", {
        "name": "Bench", "provider": "github", "secret": SECRET, "retention_days": 7,
        "mapping": {"fields": [{"to": "id", "from": "/id"}], "actions": [{"do": "emit", "when": {"at": "/id", "is": "never"}}]}})["data"]
    try:
        yield made["path"]
    finally:
        stack.call("DELETE", f"/api/v2/webhook-sources/{made['id']}")


def load(stack, path, *args):
    got = tool("hookload", stack.base + 160, path, SECRET, *args)
    if got["failed"]:
        raise Failed(f"{got['failed']} of {got['sent']} messages were not taken")
    return got


def worked_on(stack):
    return int(query(stack, "select count(*) from webhooks_in.messages where source_id = (select max(id) from webhooks_in.sources)"
                            " and status not in ('accepted', 'working')"))


def settle(stack, taken):
    """Until all that was ever taken is stored and worked on: also what the consumer, just started, has not read yet."""
    wait_for(lambda: worked_on(stack) >= taken, 300, "what was taken to be worked on")


def throughput(stack, o):
    """As fast as they are acknowledged, beside Kafka alone; then how fast what is stored is worked on."""
    found, worked = [], []
    with source(stack) as path:
        taken = load(stack, path, 8, 1)["taken"]
        settle(stack, taken)
        size = int(query(stack, "select avg(length(body) + length(headers::text) + 400)::int from webhooks_in.messages where source_id = (select max(id) from webhooks_in.sources)"))
        for _ in range(o.rounds):
            before = cpu_s(stack, "webhooks-in"), cpu_s(stack, "postgres", "webhooks_in")
            got = load(stack, path, CONNECTIONS, o.seconds)
            taken += got["taken"]
            left, began = taken - worked_on(stack), time.monotonic()
            settle(stack, taken)
            worked.append(left / max(time.monotonic() - began, 0.1))
            used = [b - a for a, b in zip(before, (cpu_s(stack, "webhooks-in"), cpu_s(stack, "postgres", "webhooks_in")))]
            raw = tool("produce", f"127.0.0.1:{stack.base + 3}", "bench.produce", size, IN_FLIGHT, o.seconds)["rate"]
            found.append((got["rate"], raw, *(u / max(got["taken"], 1) * 1e6 for u in used)))
    rate, raw, mine, base = (statistics.median(f[i] for f in found) for i in range(4))
    return [f"| verified messages/s acknowledged durably, {CONNECTIONS} connections | {rate:.0f} |",
            f"| raw: messages/s of {size} bytes that Kafka acknowledges, {IN_FLIGHT} in flight | {raw:.0f} |",
            f"| of the raw limit | {rate / max(raw, 1):.2f} |",
            f"| CPU a message of webhooks-in, of PostgreSQL, all its work | {mine:.0f} µs, {base:.0f} µs |",
            f"| messages worked on a second, of those left when the load ended | {statistics.median(worked):.0f} |"]


def paced(stack, o):
    """Latency at half the rate that is asked for, counted from when each message was due."""
    found = []
    with source(stack) as path:
        taken = load(stack, path, 8, 1)["taken"]
        settle(stack, taken)
        for _ in range(o.rounds):
            got = load(stack, path, PACED_CONNECTIONS, o.seconds, PACED_RATE)
            taken += got["taken"]
            found.append((got["p50_us"] / 1000, got["p99_us"] / 1000, got["taken"] / max(got["sent"], 1)))
            settle(stack, taken)
    p50, p99 = (statistics.median(f[i] for f in found) for i in range(2))
    return [f"| at {PACED_RATE}/s from {PACED_CONNECTIONS} connections: p50, p99 until acknowledged | {p50:.1f} ms, {p99:.1f} ms |"]


SECTIONS = [("incoming", [throughput, paced]), ("outgoing", hooks_out.FIGURES)]


def main(stack, o):
    lines = ["# Webhooks benchmark", "", f"Printed by `./dev bench webhooks`: medians of {o.rounds} round(s) of {o.seconds} s; 2 cores shared by load, programs,",
             "database and Kafka. Each raw limit is taken in the same round as what stands beside it; compare the ratios."]
    failed = False
    for title, figures in SECTIONS:
        lines += ["", f"| {title} | |", "|---|---:|"]
        for figure in figures:
            if o.only and figure.__name__ not in o.only.split(","):
                continue
            print(f"  {title}: {figure.__name__}", file=sys.stderr)
            try:
                lines += figure(stack, o)
            except Exception as why:  # the other figures are worth having
                failed = True
                lines.append(f"| {figure.__name__} | not taken: {why} |")
                if not isinstance(why, Failed):
                    traceback.print_exc()
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if failed:
        sys.exit("bench: not all figures were taken")
    if not o.only:
        (pathlib.Path(ROOT) / "docs/reference/benchmark-webhooks.md").write_text(text)
