"""Traffic as the programs tell of it, replayed into api.requests, and the analytics program's own tables."""
import json
import shutil
import subprocess
import time
import uuid

from support import stack

BASE = "/api/v2/analytics"


def sql(statement):
    return subprocess.run(["./dev", "psql", "analytics", "-Atc", statement], cwd=stack.ROOT, text=True, capture_output=True,
                          check=True).stdout.strip()


def row(at, key=0, user=0, method="GET", route="/api/v2/posts", status=200, total_us=1000, network="00000000000000aa", agent="curl",
        country="", request_id="", problem=""):
    """A record, in the order of proto/request_record.def."""
    return [int(at * 1_000_000), request_id, method, route, status, 0, 100, total_us, 10, 20, key, 0, user, 0, network, agent, country, problem]


def replay(rows, program="api", dropped=0):
    """Sends the rows as a program of the version before would: whole rows, 500 a message."""
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    for first in range(0, max(len(rows), 1), 500):
        message = {"v": 1, "program": program, "dropped": dropped if first == 0 else 0, "rule": "buffer_full", "rows": rows[first:first + 500]}
        headers = {"ce_specversion": "1.0", "ce_id": str(uuid.uuid4()), "ce_type": "com.cms365.request.batch", "ce_source": f"/cms365/{program}",
                   "ce_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "content-type": "application/json"}
        args = [f"-H{k}={v}" for k, v in headers.items()]
        subprocess.run([kcat, "-b", stack.SETTINGS["CMS365_TEST_KAFKA_BROKERS"], "-P", "-t", "api.requests", *args], check=True, timeout=30,
                       text=True, input=json.dumps(message, separators=(",", ":")))


def usual_rate(number, requests):
    """As if the key had had so many requests in every five minutes for weeks."""
    sql(f"""insert into baselines (dim, ref, signal, slot, mean, dev, weight) select 2, id, 'rate', slot, {requests}, {requests} / 10.0, 48
            from consumers, generate_series(0, 167) slot where kind = 'key' and number = {number}
            on conflict (dim, ref, signal, slot) do update set mean = excluded.mean, dev = excluded.dev, weight = 48""")


def detector_from(at):
    sql(f"update detector set done_until = to_timestamp({int(at)})")
