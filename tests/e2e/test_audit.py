"""The audit log: who reads what, and a chain that anybody can compute."""
import hashlib
import json
import pathlib
import subprocess

import pytest

from support import stack
from support.people import sql, with_password, signed
from support.session import Signed

COLUMNS = """to_char(a.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def test_AU13_the_chain_is_what_the_documentation_says(cms):
    stack.wait_for(lambda: sql("select count(*) from auth.audit a where not exists (select from auth.audit_chain c where c.audit_id = a.id)") == "0",
                   60, "all entries to be chained")
    rows = json.loads(sql(
        f"select json_agg(r order by r.seq) from (select c.seq, c.prev_hash, c.hash, a.id::text, {COLUMNS} as at, a.type, a.actor, "
        "a.user_id::text, a.subject, a.address, a.agent, a.request_id, a.data::text from auth.audit_chain c "
        "join auth.audit a on a.id = c.audit_id order by c.seq limit 200) r"))
    before = "0" * 64
    for n, row in enumerate(rows, 1):
        assert row["seq"] == n and row["prev_hash"] == before
        whole = before.encode()
        for name in ("id", "at", "type", "actor", "user_id", "subject", "address", "agent", "request_id", "data"):
            text = row[name]
            whole += b"-," if text is None else f"{len(text.encode())}:".encode() + text.encode() + b","
        before = hashlib.sha256(whole).hexdigest()
        assert row["hash"] == before, row


def verify():
    env = pathlib.Path(stack.SETTINGS["CMS365_RUN_DIR"]) / "env"
    command = 'set -a; . "$0/common.env"; . "$0/auth.env"; exec "$1" --verify-audit'
    return subprocess.run(["bash", "-c", command, env, stack.ROOT / "build/rel/bin/auth"], text=True, capture_output=True, timeout=60)


def test_AU13_the_command_walks_the_chain():
    if "CMS365_RUN_DIR" not in stack.SETTINGS:
        pytest.skip("the stack is not of ./dev")
    done = verify()
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True and report["rows"] >= 1 and report["rows"] == report["last_seq"]


def test_AU13_only_who_may_reads_and_people_read_their_own(cms, anonymous, key):
    person = with_password(cms)
    session = signed(person)
    own = session.call("GET", "/api/v2/auth/audit?per_page=100").json()["data"]
    assert own and all(e["user"]["id"] == person["id"] for e in own)
    foreign = cms.get("/api/v2/auth/audit?filter[type]=key.created&per_page=1").json()["data"][0]
    if foreign["user"]["id"] != person["id"]:
        assert session.call("GET", f"/api/v2/auth/audit/{foreign['id']}").status_code == 404
    assert anonymous.get("/api/v2/auth/audit").status_code == 401
    reader = key(["api:read"])
    stack.wait_for(lambda: reader.get("/api/v2/posts?per_page=1").status_code == 200, 30, "the key to work")
    assert reader.get("/api/v2/auth/audit").status_code == 403, "api:read is not audit:read"
    auditor = key(["audit:read"])
    stack.wait_for(lambda: auditor.get("/api/v2/auth/audit").status_code == 200, 30, "the key to work")
    seen = auditor.get("/api/v2/auth/audit", params={"filter[user]": person["id"]}).json()["data"]
    assert seen, "an administrator's auditor sees everybody's"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert cms.request(method, f"/api/v2/auth/audit/{foreign['id']}", json={} if method != "DELETE" else None).status_code == 405


def test_AU13_pages_and_filters(cms):
    first = cms.get("/api/v2/auth/audit?per_page=2").json()
    assert len(first["data"]) == 2 and first["data"][0]["id"] > first["data"][1]["id"]
    assert cms.get("/api/v2/auth/audit?filter[nonsense]=1").status_code == 400
    admin = Signed()
    logins = cms.get("/api/v2/auth/audit", params={"filter[type]": "login.succeeded", "filter[user]": admin.who["user"]["id"]}).json()["data"]
    assert logins[0]["subject"] == f"session:{admin.who['id']}" and logins[0]["address"] == "127.0.0.1"


def test_AU13_the_role_that_serves_only_adds(cms):
    grants = sql("select string_agg(distinct privilege_type, ',' order by privilege_type) from information_schema.role_table_grants "
                 "where table_schema = 'auth' and table_name in ('audit', 'audit_chain') and grantee = 'cms365_auth'")
    assert grants == "INSERT,SELECT"
