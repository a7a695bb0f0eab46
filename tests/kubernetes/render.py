"""Renders a kustomize base as kustomize does, for the little of it that deploy/kubernetes uses.

`resources` that are files, and `configMapGenerator` with `files` (its name gets kustomize's hash, and what
refers to it follows).  Anything else in a kustomization.yaml is refused rather than ignored.
"""
import hashlib
import json
import pathlib

import yaml

KNOWN = {"apiVersion", "kind", "resources", "configMapGenerator"}


class RenderError(Exception):
    pass


class Loader(yaml.SafeLoader):
    """YAML that says each key once."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise RenderError(f"{key.start_mark}: {key.value} is there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def name_hash(data):
    """kustomize's suffix of a generated ConfigMap: SHA-256 of its JSON, in letters that spell nothing."""
    text = json.dumps({"data": data, "kind": "ConfigMap", "name": ""}, sort_keys=True, ensure_ascii=False,
                      separators=(",", ":"))
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    short = hashlib.sha256(text.encode()).hexdigest()[:10]
    return short.translate(str.maketrans("013ae", "ghkmt"))


def config_map(base, row):
    if set(row) != {"name", "files"}:
        raise RenderError(f"configMapGenerator: {sorted(row)} is not name and files")
    data = {}
    for item in row["files"]:
        path = base / item
        if path.name in data:
            raise RenderError(f"{path.name} is there twice in the ConfigMap {row['name']}")
        data[path.name] = path.read_text()
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": f"{row['name']}-{name_hash(data)}"}, "data": data}


def rename(node, old, new):
    """Volumes and environments that name the generated ConfigMap."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("configMap", "configMapRef", "configMapKeyRef") and value.get("name") == old:
                value["name"] = new
            else:
                rename(value, old, new)
    elif isinstance(node, list):
        for value in node:
            rename(value, old, new)


def render(base):
    """The documents, in the order of the resources."""
    base = pathlib.Path(base)
    top = yaml.load((base / "kustomization.yaml").read_text(), Loader)
    if set(top) - KNOWN:
        raise RenderError(f"kustomization.yaml: {sorted(set(top) - KNOWN)} is not rendered here; extend render.py")
    docs = []
    for item in top["resources"]:
        # Anchors make parts of a document shared; a copy by JSON makes each its own.
        docs += [json.loads(json.dumps(d)) for d in yaml.load_all((base / item).read_text(), Loader) if d]
    for row in top.get("configMapGenerator", []):
        made = config_map(base, row)
        for doc in docs:
            rename(doc, row["name"], made["metadata"]["name"])
        docs.append(made)
    return docs
