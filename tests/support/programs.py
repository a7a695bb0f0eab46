"""The programs of the stack under test: ./dev and their processes."""
import os
import pathlib
import subprocess

from .stack import ROOT, SETTINGS

PORT_BASE, RUN_DIR = int(SETTINGS["CMS365_PORT_BASE"]), SETTINGS["CMS365_RUN_DIR"]


def dev(*argv):
    env = {**os.environ, "CMS365_PORT_BASE": str(PORT_BASE), "CMS365_RUN_DIR": RUN_DIR}
    subprocess.run([ROOT / "dev", *argv], check=True, capture_output=True, text=True, env=env)


def pids(kind):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                exe, line = os.readlink(entry / "exe"), (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if exe == f"{RUN_DIR}/bin/{kind}" or (kind == "redis" and "redis" in exe and RUN_DIR in line):
                found.append(int(entry.name))
    return found
