"""What the webhooks' benches share: the load tools, the sink, and what the stack's own processes used."""
import concurrent.futures
import contextlib
import glob
import json
import os
import pathlib
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build/rel/tests/bench"
HANDS = 8  # requests at a time when much is made or removed
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A figure that could not be taken, and why."""


def tool(name, *args):
    out = subprocess.run([str(BIN / name), *map(str, args)], capture_output=True, text=True, check=False)
    try:
        return json.loads(out.stdout)
    except ValueError:
        raise Failed(f"{name} ended with {out.returncode}: {out.stderr.strip()[-300:]}") from None


def query(stack, sql):
    """A statement as superuser, without the way through ./dev."""
    secret = (pathlib.Path(stack.run_dir) / "secrets/db_postgres").read_text().strip()
    psql = sorted(glob.glob("/usr/lib/postgresql/*/bin/psql"))[-1]
    out = subprocess.run([psql, "-XAtqc", sql, "-h", "127.0.0.1", "-p", str(stack.base + 1), "-U", "postgres", "cms365"], capture_output=True,
                         text=True, env={**os.environ, "PGPASSWORD": secret}, check=False)
    if out.returncode:
        raise Failed(out.stderr.strip()[-300:])
    return out.stdout.strip()


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s in vain for {what}")
        time.sleep(0.05)


def each(fn, items):
    """fn of each, several at a time, in order."""
    with concurrent.futures.ThreadPoolExecutor(HANDS) as pool:
        return list(pool.map(fn, items))


# --- processes ---


def _processes(stack, name):
    """(pid, title) of this stack's: of its programs by their file, of PostgreSQL's backends by their parent."""
    found, masters = [], set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            exe = os.readlink(entry / "exe").removesuffix(" (deleted)")
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if os.path.basename(exe) == "postgres" and "-D" in title and stack.run_dir in title:
            masters.add(int(entry.name))
        if os.path.basename(exe) == name and (name == "postgres" or exe.startswith(stack.run_dir + "/bin/")):
            found.append((int(entry.name), parent, title))
    return [(pid, title) for pid, parent, title in found if name != "postgres" or parent in masters or pid in masters]


def cpu_s(stack, name, role=""):
    """CPU seconds that they have used; of PostgreSQL, the backends of a role."""
    total = 0
    for pid, title in _processes(stack, name):
        with contextlib.suppress(OSError):
            if role in title:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
    return total / TICKS


def rss_mb(stack, name):
    pages = 0
    for pid, _ in _processes(stack, name):
        with contextlib.suppress(OSError):
            pages += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


# --- the sink ---


class Sink:
    """tests/bench/sink on a port of the stack, as a context."""

    def __init__(self, stack, offset=90):
        self.port = stack.base + offset
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.process = subprocess.Popen([str(BIN / "sink"), "--port", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, 10, "the sink")
        return self

    def __exit__(self, *args):
        self.process.terminate()
        self.process.wait()

    def answers(self):
        try:
            return self.stats() is not None
        except OSError:
            return False

    def stats(self):
        with urllib.request.urlopen(self.url + "/__stats", timeout=10) as answer:
            return json.loads(answer.read())

    def reset(self):
        with urllib.request.urlopen(urllib.request.Request(self.url + "/__reset", method="POST"), timeout=10) as answer:
            answer.read()
