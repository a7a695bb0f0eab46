"""The dashboard and the alerts ask for what the programs export."""
import json
import re
import subprocess

import pytest
import requests

from support import stack

FILES = stack.ROOT / "deploy/monitoring"
LINTED = "use base unit \"seconds\" instead of \"milliseconds\""  # names that clients of /metrics know


def programs():
    rows = [line.split() for line in (stack.ROOT / "deploy/programs.txt").read_text().splitlines() if line and line[0] != "#"]
    return {name: int(stack.SETTINGS["CMS365_PORT_BASE"]) + 110 + 20 * int(number) for name, number, *_ in rows}


@pytest.fixture(scope="module")
def metrics():
    return {name: requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text for name, port in programs().items()}


def asked(text):
    return {re.sub(r"_(bucket|sum|count)$", "", m) if m.endswith("_bucket") else m for m in re.findall(r"\bcms365_[a-z_]+", text)}


def test_N07_what_is_exported_is_well_formed(metrics):
    for name, text in metrics.items():
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        faults = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and LINTED not in line]
        assert not faults, (name, faults)


def test_N07_every_metric_of_the_dashboard_and_the_alerts_is_exported(metrics):
    exported = {m for text in metrics.values() for m in re.findall(r"^# TYPE (\S+)", text, re.M)}
    for path in (FILES / "dashboard.json", FILES / "alerts.yml"):
        names = asked(path.read_text())
        assert names and names <= exported, (path.name, names - exported)
    board = json.loads((FILES / "dashboard.json").read_text())
    assert all(p["targets"] and p["description"] for p in board["panels"])


def test_N07_labels_that_are_asked_for_are_there():
    """By the table that the programs print: a misspelt label selects nothing and says nothing."""
    table = dict(re.findall(r'METRIC\(\w+,\s*\w+,\s*"(\w+)",\s*"([^"]*)"', (stack.ROOT / "proto/metrics.def").read_text()))
    texts = [t["expr"] for p in json.loads((FILES / "dashboard.json").read_text())["panels"] for t in p["targets"]]
    texts += re.findall(r"^\s+expr: (.*)$", (FILES / "alerts.yml").read_text(), re.M)
    for text in texts:
        names = asked(text)
        known = {"job", "instance", "le", *(label for n in names for label in table.get(n, "").split(","))}
        used = {w.strip() for group in re.findall(r"by \(([^)]*)\)", text) for w in group.split(",")}
        used |= set(re.findall(r"[{,](\w+)[!=]", text))
        assert used <= known, (text, used - known)


def test_N07_the_rules_and_the_scrape_configuration_are_valid():
    for what, name in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = subprocess.run(["promtool", "check", what, name], cwd=FILES, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    jobs = set(re.findall(r"job_name: ([\w-]+)", (FILES / "prometheus.yml").read_text()))
    assert jobs == set(programs())


def test_N07_every_alert_leads_to_a_place_in_the_runbook():
    heads = {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", (stack.ROOT / "docs/operations.md").read_text(), re.M)}
    links = set(re.findall(r"docs/operations.md#([\w-]+)", (FILES / "alerts.yml").read_text()))
    assert links and links <= heads, links - heads
