"""What must hold of the rendered manifests and no schema sees: one function a rule, each yields what is wrong."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = []
# Its section Kubernetes names what the operator creates; `<program>` and `<program_>` (with _ for -) stand for each one.
DOCS = ROOT / "docs" / "operations.md"


def rule(fn):
    RULES.append(fn)
    return fn


class World:
    """The rendered documents, and what they are checked against."""

    def __init__(self, docs):
        self.docs = docs
        rows = [line.split() for line in (ROOT / "deploy/programs.txt").read_text().splitlines()]
        self.programs = [r[0] for r in rows if r and not r[0].startswith("#")]
        text = (ROOT / "proto/settings.def").read_text()
        self.settings = dict(re.findall(r'^SETTING\("(CMS365_\w+)",\s*"([\w-]+)"', text, re.M))
        text = (ROOT / "docs/reference/config.md").read_text()
        self.defaults = dict(re.findall(r"^\| `(CMS365_\w+)` \|[^|]*\|[^|]*\| `([^`]*)` \|", text, re.M))
        self.secret_settings = set(re.findall(r"^\| `(CMS365_\w+)` \|[^|]*\| text, secret", text, re.M))
        section = re.search(r"^## Kubernetes$(.*?)(?=^## )", DOCS.read_text(), re.M | re.S)
        self.documented = set(re.findall(r"`([^`\s]+)`", section.group(1))) if section else set()

    def of(self, kind):
        return [d for d in self.docs if d["kind"] == kind]

    def get(self, kind, name):
        return next((d for d in self.of(kind) if d["metadata"]["name"] == name), None)

    def pods(self):
        """(kind/name, pod's labels, pod's spec) of all that runs."""
        for d in self.of("Deployment") + self.of("Job"):
            t = d["spec"]["template"]
            yield f"{d['kind']}/{d['metadata']['name']}", t["metadata"].get("labels", {}), t["spec"]

    def ours(self):
        """(name, program, spec, container) of each container that runs one of our programs."""
        for where, _, spec in self.pods():
            for c in containers(spec):
                # The gateway's image is ours too, but runs nginx.
                if c["image"].split(":")[0].startswith("cms365/") and c["image"].split(":")[0] != "cms365/gateway":
                    yield f"{where}/{c['name']}", c["image"].split(":")[0].removeprefix("cms365/"), spec, c

    def environment(self, container):
        """Names and values as the container gets them."""
        values = {}
        for source in container.get("envFrom", []):
            made = self.get("ConfigMap", source.get("configMapRef", {}).get("name"))
            values.update((made or {}).get("data", {}))
        values.update({v["name"]: v.get("value") for v in container.get("env", [])})
        return values


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def volume(spec, name):
    return next((v for v in spec.get("volumes", []) if v["name"] == name), None)


def files_of(world, spec, container):
    """Path in the container -> (source, name, key) of each file that a Secret or ConfigMap gives it."""
    files = {}
    for m in container.get("volumeMounts", []):
        v = volume(spec, m["name"]) or {}
        if "secret" in v:
            for item in v["secret"].get("items", []):
                files[f"{m['mountPath']}/{item['path']}"] = ("secret", v["secret"]["secretName"], item["key"])
        elif "configMap" in v:
            made = world.get("ConfigMap", v["configMap"]["name"])
            for key in (made or {}).get("data", {}):
                files[f"{m['mountPath']}/{key}"] = ("configMap", v["configMap"]["name"], key)
    return files


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def names(program):
    return program.replace("-", "_")


# --- what must be there --------------------------------------------------------------------------

@rule
def programs_are_complete(w):
    for program in w.programs:
        for kind in ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
            if not w.get(kind, program):
                yield f"{program} has no {kind}"
    for where, program, _, _ in w.ours():
        if program not in w.programs:
            yield f"{where} runs {program}, which deploy/programs.txt does not have"
    for kind in {d["kind"] for d in w.docs}:
        found = [d["metadata"]["name"] for d in w.of(kind)]
        for name in {n for n in found if found.count(n) > 1}:
            yield f"{kind} {name} is there twice"


@rule
def schema_and_topics_are_prepared(w):
    for program in w.programs:
        d = w.get("Deployment", program)
        init = d["spec"]["template"]["spec"].get("initContainers", []) if d else []
        made = [c for c in init if c.get("args") == ["--migrate"] and c["image"].split(":")[0] == f"cms365/{program}"]
        if len(made) != 1:
            yield f"{program} is not migrated before it starts"
        elif "CMS365_MIGRATE_DATABASE_URL_FILE" not in w.environment(made[0]):
            yield f"{program} is migrated without CMS365_MIGRATE_DATABASE_URL"
    if not any(c.get("args") == ["--topics"] for j in w.of("Job") for c in j["spec"]["template"]["spec"]["containers"]):
        yield "no Job applies the topics"
    for j in w.of("Job"):
        if j["spec"]["template"]["spec"].get("restartPolicy") not in ("OnFailure", "Never"):
            yield f"Job {j['metadata']['name']} would run for ever"


@rule
def probes_ask_the_ops_port(w):
    for program in w.programs:
        d = w.get("Deployment", program)
        for c in d["spec"]["template"]["spec"]["containers"] if d else []:
            for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
                if c.get(probe, {}).get("httpGet") != {"path": path, "port": "ops"}:
                    yield f"{program}: {probe} is not {path} on the ops port"


# --- who finds whom ------------------------------------------------------------------------------

@rule
def selectors_match_one_workload(w):
    def chosen(want):
        return [where for where, labels, _ in w.pods() if want and want.items() <= labels.items()]

    for d in w.of("Deployment"):
        name = d["metadata"]["name"]
        if chosen(d["spec"]["selector"].get("matchLabels")) != [f"Deployment/{name}"]:
            yield f"Deployment {name}: its selector does not choose its own pods and no others"
        for t in d["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            if t.get("labelSelector") != d["spec"]["selector"]:
                yield f"Deployment {name}: spread over other pods than its own"
    for kind in ("Service", "PodDisruptionBudget"):
        for d in w.of(kind):
            name, s = d["metadata"]["name"], d["spec"].get("selector", {})
            if chosen(s if kind == "Service" else s.get("matchLabels")) != [f"Deployment/{name}"]:
                yield f"{kind} {name}: its selector does not choose the pods of Deployment {name} only"


@rule
def ports_lead_to_listeners(w):
    for where, program, spec, c in w.ours():
        if where.split("/")[-1] != program:
            continue
        env = w.environment(c)
        ports = {p["name"]: p["containerPort"] for p in c.get("ports", [])}
        want = {"http": port_of(env["CMS365_LISTEN"]), "ops": port_of(env["CMS365_OPS_LISTEN"])}
        if ports != want:
            yield f"{where}: ports {ports} are not where it listens, {want}"
    for s in w.of("Service"):
        d = w.get("Deployment", s["metadata"]["name"])
        has = {p["name"] for c in d["spec"]["template"]["spec"]["containers"] for p in c["ports"]} if d else set()
        for p in s["spec"]["ports"]:
            if p.get("targetPort") not in has:
                yield f"Service {s['metadata']['name']}: no container has the port {p.get('targetPort')}"


@rule
def autoscalers_have_something_to_scale(w):
    for h in w.of("HorizontalPodAutoscaler"):
        name, s = h["metadata"]["name"], h["spec"]
        d = w.get("Deployment", name)
        if s["scaleTargetRef"] != {"apiVersion": "apps/v1", "kind": "Deployment", "name": name} or not d:
            yield f"HorizontalPodAutoscaler {name} does not scale Deployment {name}"
        elif "replicas" in d["spec"]:
            yield f"Deployment {name} fixes its replicas, so every apply would undo the autoscaler"
        elif any("cpu" not in c.get("resources", {}).get("requests", {})
                 for c in d["spec"]["template"]["spec"]["containers"]):
            yield f"Deployment {name}: utilisation of a CPU that is not requested"
        if not 2 <= s.get("minReplicas", 1) <= s["maxReplicas"]:
            yield f"HorizontalPodAutoscaler {name}: fewer than two replicas cannot be replaced without a failed request"


@rule
def urls_name_services(w):
    for m in w.of("ConfigMap"):
        url = m["data"].get("CMS365_AUTH_INTERNAL_URL")
        if not url:
            continue
        host, _, port = url.removeprefix("http://").partition(":")
        s = w.get("Service", host)
        if host != "auth" or not s or port not in [str(p["port"]) for p in s["spec"]["ports"] if p["name"] == "ops"]:
            yield f"CMS365_AUTH_INTERNAL_URL: {url} is not the ops port of a Service of auth"


@rule
def gateway_knows_all_programs(w):
    d = w.get("Deployment", "gateway")
    c = d["spec"]["template"]["spec"]["containers"][0]
    spec = d["spec"]["template"]["spec"]
    files = {path: w.get("ConfigMap", src[1])["data"][src[2]] for path, src in files_of(w, spec, c).items()}
    text = "\n".join(files.values())
    folder = {p.rsplit("/", 1)[0] for p in files}
    for name in re.findall(r"^\s*include\s+([^\s;]+);", text, re.M):
        if not any(name in (path, path.removeprefix(f"{f}/")) for path in files for f in folder):
            yield f"the gateway has no {name}"
    started = re.search(r"-c (\S+)", " ".join(c["command"]))
    if not started or started.group(1) not in files:
        yield "the gateway's command names a file that it does not have"
    upstreams = dict(re.findall(r"^upstream\s+([\w-]+)\s*{[^}]*?\bserver\s+([^\s;]+)", text, re.M))
    for program in w.programs:
        host, _, port = upstreams.get(program, "").partition(":")
        s = w.get("Service", host)
        if not s or host != program or port not in [str(p["port"]) for p in s["spec"]["ports"] if p["name"] == "http"]:
            yield f"the gateway's upstream {program} is not the http port of its Service"


# --- settings and secrets ------------------------------------------------------------------------

def setting_of(name):
    return name.removesuffix("_FILE")


@rule
def settings_exist(w):
    for where, program, _, c in w.ours():
        for name in w.environment(c):
            who = w.settings.get(setting_of(name))
            if who is None:
                yield f"{where}: no program knows {name}"
            elif who not in ("all", program):
                yield f"{where}: {name} is for {who}"
            elif name.endswith("_FILE") and setting_of(name) not in w.secret_settings:
                yield f"{where}: {setting_of(name)} is no secret and cannot come from a file"


@rule
def secrets_come_from_files(w):
    for m in w.of("ConfigMap"):
        for name, value in m["data"].items():
            # A Redis without a password in its URL is no secret.
            if name in w.secret_settings and not (name == "CMS365_REDIS_URL" and "@" not in value):
                yield f"ConfigMap {m['metadata']['name']} holds the secret {name}"
    for where, _, _, c in w.ours():
        for name in w.secret_settings & {v["name"] for v in c.get("env", [])}:
            yield f"{where}: {name} is in the process's environment"


@rule
def needed_settings_are_there(w):
    needed = {"CMS365_ENV", "CMS365_PUBLIC_URL", "CMS365_LISTEN", "CMS365_OPS_LISTEN", "CMS365_DATABASE_URL",
              "CMS365_REDIS_URL", "CMS365_KAFKA_BROKERS", "CMS365_SECRET_KEYS", "CMS365_INTERNAL_TOKEN",
              "CMS365_AUTH_INTERNAL_URL", "CMS365_TRUSTED_PROXIES"}
    for where, _, spec, c in w.ours():
        env = w.environment(c)
        for name in sorted(needed - {setting_of(n) for n in env}):
            yield f"{where}: {name} is not set"
        files = files_of(w, spec, c)
        for name, path in env.items():
            if name.endswith("_FILE") and path not in files:
                yield f"{where}: {name} names {path}, which is not mounted"


@rule
def references_are_defined(w):
    keys = {"secret_keys", "internal_token"} | {f"{names(p)}_{k}" for p in w.programs
                                                for k in ("database_url", "migrate_url")}
    for where, _, spec in w.pods():
        for v in spec.get("volumes", []):
            if "configMap" in v and not w.get("ConfigMap", v["configMap"]["name"]):
                yield f"{where}: there is no ConfigMap {v['configMap']['name']}"
            if "secret" in v:
                yield from secret_faults(w, where, v["secret"], keys)
        for c in containers(spec):
            for m in c.get("volumeMounts", []):
                if not volume(spec, m["name"]):
                    yield f"{where}/{c['name']}: there is no volume {m['name']}"
            for source in c.get("envFrom", []):
                name = source.get("configMapRef", {}).get("name")
                if not w.get("ConfigMap", name):
                    yield f"{where}/{c['name']}: there is no ConfigMap {name}"


def secret_faults(w, where, secret, keys):
    program = secret["secretName"].removeprefix("cms365-")
    if program not in w.programs or "cms365-<program>" not in w.documented:
        yield f"{where}: operations.md does not say that the operator makes {secret['secretName']}"
    if not secret.get("items"):
        yield f"{where}: {secret['secretName']} is mounted whole, whatever it may hold"
    for item in secret.get("items", []):
        said = item["key"].replace(names(program), "<program_>", 1)
        if item["key"] not in keys or said not in w.documented:
            yield f"{where}: operations.md does not name the key {item['key']} of {secret['secretName']}"


@rule
def serving_programs_cannot_migrate(w):
    for program in w.programs:
        d = w.get("Deployment", program)
        for c in d["spec"]["template"]["spec"]["containers"] if d else []:
            held = [key for _, _, key in files_of(w, d["spec"]["template"]["spec"], c).values()]
            if any(key.endswith("_migrate_url") for key in held):
                yield f"{program} serves with the schema owner's password in reach"


@rule
def secret_files_are_readable(w):
    for where, _, spec in w.pods():
        s = spec.get("securityContext", {})
        for v in spec.get("volumes", []):
            mode = v.get("secret", {}).get("defaultMode", 0o444)
            if mode & 0o007 and "secret" in v:
                yield f"{where}: the secret files of {v['name']} are readable by everybody"
            elif "secret" in v and not (mode & 0o040 and s.get("fsGroup") == s.get("runAsGroup") is not None):
                yield f"{where}: user {s.get('runAsUser')} cannot read the secret files of {v['name']}"


# --- what a pod may do ---------------------------------------------------------------------------

@rule
def pods_are_restricted(w):
    for where, _, spec in w.pods():
        pod = spec.get("securityContext", {})
        for flag in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(flag):
                yield f"{where}: {flag}"
        if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{where}: seccompProfile is not RuntimeDefault"
        if spec.get("enableServiceLinks") is not False:
            yield f"{where}: service links would be unknown settings"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{where}: holds a token of the cluster that it does not need"
        for v in spec.get("volumes", []):
            if not set(v) & {"secret", "configMap", "emptyDir"}:
                yield f"{where}: the volume {v['name']} is neither secret, configMap nor emptyDir"
        for c in containers(spec):
            yield from container_faults(f"{where}/{c['name']}", pod, c.get("securityContext", {}))


def container_faults(where, pod, own):
    both = {**pod, **own}
    if both.get("runAsNonRoot") is not True or not both.get("runAsUser") or not both.get("runAsGroup"):
        yield f"{where}: may run as root"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield f"{where}: may gain privileges"
    if own.get("readOnlyRootFilesystem") is not True:
        yield f"{where}: its root file system is writable"
    if own.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{where}: capabilities are not all dropped"
    if both.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield f"{where}: seccompProfile is not RuntimeDefault"


def amount(text):
    """A quantity in its base unit."""
    n, unit = re.fullmatch(r"([0-9.]+)(m|Ki|Mi|Gi)?", str(text)).groups()
    return float(n) * {None: 1, "m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]


@rule
def resources_are_set(w):
    for where, _, spec in w.pods():
        for c in containers(spec):
            r = c.get("resources", {})
            for what in ("cpu", "memory", "ephemeral-storage"):
                low, high = r.get("requests", {}).get(what), r.get("limits", {}).get(what)
                if low is None or high is None:
                    yield f"{where}/{c['name']}: {what} has no request or no limit"
                elif amount(low) > amount(high):
                    yield f"{where}/{c['name']}: requests more {what} than its limit"


@rule
def stopping_has_time(w):
    for program in w.programs:
        d = w.get("Deployment", program)
        if not d:
            continue
        spec = d["spec"]["template"]["spec"]
        env = {**w.defaults, **w.environment(spec["containers"][0])}
        needed = (int(env["CMS365_DRAIN_GRACE_MS"]) + int(env["CMS365_DRAIN_MS"])) / 1000
        if spec.get("terminationGracePeriodSeconds", 30) < needed + 5:
            yield f"{program} is killed before it has drained: {needed} s and the rest of its work"
        if d["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxUnavailable") != 0:
            yield f"{program}: an update takes replicas away before there are new ones"
