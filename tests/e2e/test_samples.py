"""D-05: every sample of the document is a program that runs; D-04: so does the collection."""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess

import pytest

from support import calls, stack

LANGUAGES = {  # label -> (file, how it is run, how its syntax is checked)
    "curl": ("s.sh", ["bash", "-e"], ["bash", "-n"]),
    "javascript": ("s.mjs", ["node"], ["node", "--check"]),
    "python": ("s.py", ["python"], ["python", "-c", "import ast,sys; ast.parse(open(sys.argv[1]).read())"]),
    "php": ("s.php", ["php"], ["php", "-l"]),
}
OPERATIONS = [(m, p, op) for m, p, op in calls.operations() if "x-codeSamples" in op]


def source_of(op, label):
    return next(s["source"] for s in op["x-codeSamples"] if s["label"] == label)


def filled(source, label, values, salt):
    """The sample with other values at its top, and other names in its body."""
    for name, value in values.items():
        left = {"curl": rf"^{name.upper()}=.*$", "javascript": rf"^const {name} = .*$", "python": rf"^{name} = .*$",
                "php": rf"^\${name} = .*$"}[label]
        right = {"curl": f"{name.upper()}={value}", "javascript": f'const {name} = "{value}";', "python": f"{name} = '{value}'",
                 "php": f"${name} = '{value}';"}[label]
        source, n = re.subn(left, right.replace("\\", "\\\\"), source, count=1, flags=re.M)
        assert n == 1, (name, source)
    return source.replace("erika@example.com", salt + "@example.com").replace("'erika'", f"'{salt}'").replace('"erika"', f'"{salt}"')


@pytest.fixture(scope="module")
def stage():
    made = calls.Stage()
    yield made
    made.close()


def client_of(cms):
    made = cms.make("/api/v2/auth/clients", name=stack.unique("s"), type="confidential", grant_types=["client_credentials"], role="editor",
                    scopes=["posts:read"])
    return made


def environment(cms, want_client):
    env = {**os.environ, "CMS365_URL": stack.URL, "CMS365_KEY": stack.ADMIN_KEY}
    if want_client:
        made = client_of(cms)
        env.update(CMS365_CLIENT_ID=made["client_id"], CMS365_CLIENT_SECRET=made["client_secret"])
    return env


def test_D05_every_operation_has_a_sample_in_each_language():
    for method, path, op in calls.operations():
        pages = any("text/html" in r.get("content", {}) for r in op["responses"].values())
        good = [s for s in op["responses"] if s < "300"]
        if good and not pages:
            assert [s["label"] for s in op["x-codeSamples"]] == list(LANGUAGES), path


@pytest.mark.parametrize("label", LANGUAGES)
def test_D05_samples_run(label, stage, tmp_path):
    name, run, check = LANGUAGES[label]
    assert shutil.which(run[0]), f"{run[0]} is missing"
    jobs = []
    for method, path, op in OPERATIONS:
        executed = op["operationId"] not in calls.NOT_RUN
        values = stage.values(method, path) if executed else {}
        assert values is not None, f"{method} {path}: tests/support/calls.py does not know how to make what it needs"
        file = tmp_path / f"{op['operationId']}-{name}"
        file.write_text(filled(source_of(op, label), label, values, stack.unique("e").replace("-", "_")))
        jobs.append((op, [*(run if executed else check), str(file)], "CMS365_CLIENT_ID" in file.read_text()))
    assert len(jobs) > 100

    def one(job):
        op, argv, want_client = job
        done = subprocess.run(argv, env=environment(stage.cms, want_client), capture_output=True, text=True, timeout=60)
        return None if done.returncode == 0 else f"{op['operationId']}: {done.stdout[-300:]}{done.stderr[-500:]}"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        failed = [f for f in pool.map(one, jobs) if f]
    assert not failed, "\n".join(failed)


def test_D05_samples_are_served(cms, anonymous):
    got = anonymous.get("/api-docs/samples/create_post/php")
    assert got.status_code == 200 and got.headers["Content-Type"].startswith("text/plain")
    assert got.text == source_of(calls.DOCUMENT["paths"]["/api/v2/posts"]["post"], "php")
    for path in ("/api-docs/samples/no_such/curl", "/api-docs/samples/create_post/cobol", "/api-docs/samples/oauth_authorize/curl"):
        assert anonymous.get(path).status_code == 404, path


def test_D04_newman_runs_the_collection(cms, stage, tmp_path):
    served = cms.get("/api-docs/postman.json").json()
    assert served == json.loads((stack.ROOT / "docs/api/postman.json").read_text())
    assert served["info"]["schema"].endswith("/v2.1.0/collection.json")
    by_address = {(op["operationId"]): (m, p) for m, p, op in OPERATIONS}
    names = {}
    for method, path, op in OPERATIONS:
        names[(method.upper(), path)] = op["operationId"]
    client, kept = client_of(cms), 0
    for folder in served["item"]:
        runnable = []
        for item in folder["item"]:
            url = item["request"]["url"]
            path = "/" + re.sub(r"(^|/):(\w+)", r"\1{\2}", "/".join(url["path"])).replace("{{", "{").replace("}}", "}")
            op_id = names[(item["request"]["method"], path)]
            if op_id in calls.NOT_RUN:
                continue
            values = stage.values(*by_address[op_id])
            for variable in url["variable"]:
                variable["value"] = str(values.get(variable["key"], variable["value"]))
            for name, value in values.items():
                url["raw"] = url["raw"].replace("{{%s}}" % name, str(value))
                url["path"] = [part.replace("{{%s}}" % name, str(value)) for part in url["path"]]
            body = item["request"].get("body")
            if body:
                salt = stack.unique("e").replace("-", "_")
                body["raw"] = body["raw"].replace("erika@example.com", salt + "@example.com").replace('"erika"', f'"{salt}"')
            runnable.append(item)
        folder["item"] = runnable
        kept += len(runnable)
    assert kept > 100
    file = tmp_path / "collection.json"
    file.write_text(json.dumps(served))
    variables = {"baseUrl": stack.URL, "key": stack.ADMIN_KEY, "clientId": client["client_id"], "clientSecret": client["client_secret"]}
    argv = ["node", os.path.join(os.environ["CMS365_NODE_MODULES"], ".bin/newman"), "run", str(file), "--reporters", "json",
            "--reporter-json-export", str(tmp_path / "out.json"), "--timeout-request", "30000"]
    for name, value in variables.items():
        argv += ["--env-var", f"{name}={value}"]
    subprocess.run(argv, capture_output=True, timeout=300, check=False)
    run = json.loads((tmp_path / "out.json").read_text())["run"]
    failures = [f"{f['source']['name']}: {f['error']['message']}" for f in run["failures"]]
    assert not failures, "\n".join(failures)
    assert run["stats"]["assertions"]["total"] == kept
