"""The manifests without a cluster: rendered, held against Kubernetes' own schemas, then against rules.py.

Each rule stands here with at least one way to break it: a rule that lets its breakage pass is a failed test.
"""
import copy
import pathlib
import subprocess

import kubernetes_validate
import pytest

import render
import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The oldest that has all the kinds, and one of today.
VERSIONS = ("1.25", "1.35")
DOCS = render.render(ROOT / "deploy/kubernetes/base")


def faults(fn, docs):
    return list(fn(rules.World(docs)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("doc", DOCS, ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")
def test_document_fits_the_schema(doc, version):
    kubernetes_validate.validate(doc, version, strict=True)


def test_schema_refuses_an_unknown_field():
    doc = copy.deepcopy(DOCS[0])
    doc["metdata"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(doc, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda r: r.__name__)
def test_rule_holds(rule):
    assert faults(rule, DOCS) == []


# --- ways to break each rule ---------------------------------------------------------------------

class Editor:
    """A copy of the rendered documents with the paths that the breakages need."""

    def __init__(self):
        self.docs = copy.deepcopy(DOCS)

    def get(self, kind, name):
        return next(d for d in self.docs if d["kind"] == kind and d["metadata"]["name"].split("-", 1)[0] == name)

    def drop(self, kind, name):
        self.docs.remove(self.get(kind, name))

    def pod(self, name, kind="Deployment"):
        return self.get(kind, name)["spec"]["template"]["spec"]

    def container(self, name, kind="Deployment"):
        return self.pod(name, kind)["containers"][0]

    def init(self, name):
        return self.pod(name)["initContainers"][0]

    def data(self, name="cms365"):
        return self.get("ConfigMap", name)["data"]

    def volume(self, name, volume, kind="Deployment"):
        return next(v for v in self.pod(name, kind)["volumes"] if v["name"] == volume)


def twice(e):
    e.docs.append(copy.deepcopy(e.get("Service", "api")))


def unknown_program(e):
    e.container("api")["image"] = "cms365/apl"


def serving_with_migrate(e):
    e.container("api")["volumeMounts"].append({"name": "migrate", "mountPath": "/run/secrets/x"})


def set_env(e, name, value, program="api"):
    e.container(program)["env"].append({"name": name, "value": value})


def whole_secret(e):
    del e.volume("api", "secrets")["secret"]["items"]


def other_key(e):
    e.volume("auth", "secrets")["secret"]["items"][0]["key"] = "secrets_keys"


BREAKS = {
    "programs_are_complete": [
        *[(lambda e, k=kind: e.drop(k, "auth")) for kind in
          ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")],
        twice, unknown_program,
    ],
    "schema_and_topics_are_prepared": [
        lambda e: e.pod("api").pop("initContainers"),
        lambda e: e.init("api").update(args=["--help"]),
        lambda e: e.init("api").update(env=[]),
        lambda e: e.drop("Job", "topics"),
        lambda e: e.container("topics", "Job").update(args=["--migrate"]),
        lambda e: e.pod("topics", "Job").update(restartPolicy="Always"),
    ],
    "probes_ask_the_ops_port": [
        lambda e: e.container("api").pop("readinessProbe"),
        lambda e: e.container("webhooks").pop("livenessProbe"),
        lambda e: e.container("auth")["readinessProbe"]["httpGet"].update(path="/healthz"),
        lambda e: e.container("auth")["livenessProbe"]["httpGet"].update(port="http"),
    ],
    "selectors_match_one_workload": [
        lambda e: e.get("Service", "api")["spec"]["selector"].update({"app.kubernetes.io/name": "auth"}),
        lambda e: e.get("Service", "api")["spec"].update(selector={"app.kubernetes.io/part-of": "cms365"}),
        lambda e: e.get("Deployment", "api")["spec"]["selector"]["matchLabels"].update(x="y"),
        lambda e: e.get("PodDisruptionBudget", "auth")["spec"]["selector"]["matchLabels"].clear(),
        lambda e: e.pod("api")["topologySpreadConstraints"][0].update(labelSelector={}),
    ],
    "ports_lead_to_listeners": [
        lambda e: e.container("api")["ports"][1].update(containerPort=9091),
        lambda e: e.data().update(CMS365_LISTEN="0.0.0.0:8081"),
        lambda e: e.get("Service", "gateway")["spec"]["ports"][0].update(targetPort="htp"),
    ],
    "autoscalers_have_something_to_scale": [
        lambda e: e.get("HorizontalPodAutoscaler", "api")["spec"]["scaleTargetRef"].update(name="auth"),
        lambda e: e.get("HorizontalPodAutoscaler", "api")["spec"].update(minReplicas=1),
        lambda e: e.get("Deployment", "api")["spec"].update(replicas=3),
        lambda e: e.container("api")["resources"]["requests"].pop("cpu"),
    ],
    "urls_name_services": [
        lambda e: e.data().update(CMS365_AUTH_INTERNAL_URL="http://auth:8080"),
        lambda e: e.data().update(CMS365_AUTH_INTERNAL_URL="http://api:9090"),
    ],
    "gateway_knows_all_programs": [
        lambda e: e.data("gateway").pop("routes.conf"),
        lambda e: e.data("gateway").update({"main.conf": "include /tmp/gateway/resolver.conf;\n"}),
        lambda e: e.data("gateway").update({"upstreams.conf": "upstream api { server api:8080; }"}),
        lambda e: e.get("Service", "auth")["spec"]["ports"][0].update(port=80),
        lambda e: e.container("gateway").update(command=["nginx", "-c", "/etc/nginx/nginx.conf"]),
    ],
    "settings_exist": [
        lambda e: e.data().update(CMS365_LISTNE="0.0.0.0:8080"),
        lambda e: set_env(e, "CMS365_WEBHOOK_RETRY_MAX", "5"),
        lambda e: set_env(e, "CMS365_PORT_BASE", "1"),
        lambda e: e.data().update(CMS365_ENV_FILE="/run/secrets/cms365/env"),
    ],
    "secrets_come_from_files": [
        lambda e: e.data().update(CMS365_INTERNAL_TOKEN="x"),
        lambda e: e.data().update(CMS365_REDIS_URL="redis://:x@redis:6379/0"),
        lambda e: set_env(e, "CMS365_DATABASE_URL", "postgresql://"),
    ],
    "needed_settings_are_there": [
        lambda e: e.data().pop("CMS365_KAFKA_BROKERS"),
        lambda e: e.container("api").update(env=[]),
        lambda e: e.container("topics", "Job").update(volumeMounts=[]),
        lambda e: e.container("auth")["env"][0].update(value="/run/secrets/cms365/api_database_url"),
    ],
    "references_are_defined": [
        lambda e: e.container("api")["envFrom"][0]["configMapRef"].update(name="cms366"),
        lambda e: e.volume("gateway", "conf")["configMap"].update(name="gateway"),
        lambda e: e.volume("api", "secrets")["secret"].update(secretName="cms365-apl"),
        lambda e: e.container("api")["volumeMounts"][0].update(name="secret"),
        whole_secret, other_key,
    ],
    "serving_programs_cannot_migrate": [serving_with_migrate],
    "secret_files_are_readable": [
        lambda e: e.pod("topics", "Job")["securityContext"].pop("fsGroup"),
        lambda e: e.volume("api", "secrets")["secret"].update(defaultMode=0o400),
        lambda e: e.volume("api", "secrets")["secret"].update(defaultMode=0o444),
    ],
    "pods_are_restricted": [
        lambda e: e.pod("api").update(hostNetwork=True),
        lambda e: e.pod("gateway")["securityContext"].pop("seccompProfile"),
        lambda e: e.pod("auth").pop("enableServiceLinks"),
        lambda e: e.pod("auth").pop("automountServiceAccountToken"),
        lambda e: e.pod("auth")["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
        lambda e: e.container("api")["securityContext"].update(runAsNonRoot=False),
        lambda e: e.pod("gateway")["securityContext"].pop("runAsUser"),
        lambda e: e.init("api")["securityContext"].pop("allowPrivilegeEscalation"),
        lambda e: e.container("gateway")["securityContext"].update(readOnlyRootFilesystem=False),
        lambda e: e.container("topics", "Job")["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        lambda e: e.container("api")["securityContext"].update(seccompProfile={"type": "Unconfined"}),
    ],
    "resources_are_set": [
        lambda e: e.container("gateway").pop("resources"),
        lambda e: e.init("api")["resources"]["limits"].pop("memory"),
        lambda e: e.container("api")["resources"]["requests"].update(memory="1Gi"),
    ],
    "stopping_has_time": [
        lambda e: e.pod("api").pop("terminationGracePeriodSeconds") and e.data().update(CMS365_DRAIN_MS="60000"),
        lambda e: e.pod("api").update(terminationGracePeriodSeconds=10),
        lambda e: e.get("Deployment", "auth")["spec"].pop("strategy"),
    ],
}
CASES = [pytest.param(name, change, id=f"{name}-{i}") for name, rows in BREAKS.items() for i, change in enumerate(rows)]


def test_every_rule_has_a_breakage():
    assert set(BREAKS) == {r.__name__ for r in rules.RULES}


@pytest.mark.parametrize("name, change", CASES)
def test_rule_sees_its_breakage(name, change):
    e = Editor()
    change(e)
    assert e.docs != DOCS
    assert faults(getattr(rules, name), e.docs)


# --- the renderer ---------------------------------------------------------------------------------

def base(tmp_path, kustomization, **files):
    (tmp_path / "kustomization.yaml").write_text(kustomization)
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_renderer_names_as_kustomize_does(tmp_path):
    # What kustomize 5.7.1 makes of a file "a" with these letters.
    (tmp_path / "a").write_text("1 < 2 & ü\n")
    made = render.render(base(tmp_path, "resources: []\nconfigMapGenerator: [{name: m, files: [a]}]\n"))
    assert [d["metadata"]["name"] for d in made] == ["m-g7m55mt5d5"]


@pytest.mark.parametrize("kustomization, resource", [
    ("resources: [a.yaml]\npatches: []\n", "kind: A\n"),
    ("resources: [a.yaml]\n", "kind: A\nkind: B\n"),
    ("resources: []\nconfigMapGenerator: [{name: m, literals: [a=b]}]\n", ""),
])
def test_renderer_refuses_what_it_does_not_know(tmp_path, kustomization, resource):
    with pytest.raises(render.RenderError):
        render.render(base(tmp_path, kustomization, a=resource))


# --- the image -------------------------------------------------------------------------------------

def hadolint(path):
    return subprocess.run(["hadolint", "--no-color", path], capture_output=True, text=True, check=False)


def test_dockerfile_is_clean():
    done = hadolint(ROOT / "deploy/docker/Dockerfile")
    assert done.returncode == 0, done.stdout


def test_build_stage_has_all_that_make_needs(tmp_path):
    """`make -n` in what the stage copies, out of what .dockerignore lets through."""
    stage = (ROOT / "deploy/docker/Dockerfile").read_text().split("\nRUN make", 1)[0]
    for line in stage.splitlines():
        if line.startswith("COPY "):
            source, to = line.split()[1:]
            assert f"!{source}" in (ROOT / ".dockerignore").read_text().split() or source.split("/")[0] in ("common", "proto", "services", "Makefile")
            to = tmp_path / (source if to == "./" else to)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.symlink_to(ROOT / source)
    done = subprocess.run(["make", "-n"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_dockerfile_check_sees_a_fault(tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text((ROOT / "deploy/docker/Dockerfile").read_text() + "\nRUN cd /tmp && sudo true\n")
    done = hadolint(path)
    assert done.returncode and "DL3004" in done.stdout
