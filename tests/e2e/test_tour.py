"""README's tour, run as it stands: the blocks marked sh, in one shell, against the stack under test."""
import os
import re
import socket
import subprocess

from support.stack import RECEIVER_HOST, ROOT, SETTINGS


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_X04_the_tour_of_the_readme_works():
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(blocks) >= 5, "the tour has lost its blocks"
    script = "set -eu\n" + "\n".join(blocks)
    # The stack under test keeps its environment file beside its data; a reader's is in the checkout.
    script = script.replace(". .run/cms365.env", f". '{SETTINGS.get('CMS365_ENV_FILE', '.run/cms365.env')}'")
    if RECEIVER_HOST != "127.0.0.1":  # a stack in containers: it is up, and the sink is on this side of their network
        script = script.replace("./dev up\n", "").replace("127.0.0.1", RECEIVER_HOST)
    run = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
                         env={**os.environ, "SINK_PORT": str(free_port())})
    out = run.stdout
    assert run.returncode == 0, out[-3000:] + run.stderr[-3000:]
    assert '"name":"Muster GmbH"' in out, "the expert is shown with the company included"
    assert '"secret":"whsec_' in out
    for header in ("webhook-id: evt_", "webhook-signature: v1,", "x-cms365-signature: sha256="):
        assert header in out.lower(), header
    assert '"type":"post.published"' in out and '"status":"delivered"' in out
    assert out.strip().splitlines()[-1] == "401", "the revoked key is refused"
