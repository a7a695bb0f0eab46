"""A Postman collection (v2.1) of the document: a folder a tag, an example a request, the key as a variable."""
import json
import re
import uuid

from . import samples

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
NAMESPACE = uuid.UUID("6f0f6b1c-6f0a-5b8e-9a53-0b6f3f6f9c11")


def url(call):
    # Postman has variables for whole segments; a part of one is a variable of the collection.
    path = "/".join(re.sub(r"{(\w+)}", r":\1" if re.fullmatch(r"{\w+}", part) else r"{{\1}}", part)
                    for part in call.path.lstrip("/").split("/"))
    return {"raw": "{{baseUrl}}/" + path, "host": ["{{baseUrl}}"], "path": path.split("/"),
            "query": [{"key": p["name"], "value": "", "description": p.get("description", ""), "disabled": True}
                      for p in call.op.get("parameters", []) if p["in"] == "query"],
            "variable": [{"key": n, "value": v} for n, v in call.params if ":" + n in path.split("/")]}


def request(call):
    out = {"method": call.method, "header": [], "url": url(call), "description": call.op.get("description", "")}
    if call.form is not None:
        out["auth"] = {"type": "basic", "basic": [{"key": "username", "value": "{{clientId}}", "type": "string"},
                                                  {"key": "password", "value": "{{clientSecret}}", "type": "string"}]}
    if call.text is not None:
        out["header"].append({"key": "Content-Type", "value": call.media})
        out["body"] = {"mode": "raw", "raw": call.form if call.form is not None else json.dumps(call.body, indent=2, ensure_ascii=False)}
    return out


def item(call):
    good = sorted(s for s in call.op["responses"] if s < "300")
    test = "pm.test('answers %s', () => pm.expect([%s]).to.include(pm.response.code));" % (" or ".join(good), ", ".join(good))
    req = request(call)
    return {"id": str(uuid.uuid5(NAMESPACE, call.id)), "name": call.op.get("summary") or call.id, "request": req,
            "event": [{"listen": "test", "script": {"type": "text/javascript", "exec": [test]}}],
            "response": [{"name": call.op["responses"][s].get("description", s), "originalRequest": req, "code": int(s),
                          "status": s, "header": [], "body": "", "_postman_previewlanguage": "json"} for s in good[:1]]}


def collection(doc):
    folders = {t["name"]: {"name": t["name"].replace("_", " "), "description": t["description"], "item": []} for t in doc["tags"]}
    for path, verbs in doc["paths"].items():
        for method, op in verbs.items():
            if "x-codeSamples" in op and not path.startswith("/api/v1/"):
                folders[op["tags"][0]]["item"].append(item(samples.Call(method, path, op, doc["components"]["schemas"])))
    info = doc["info"]
    return {
        "info": {"_postman_id": str(uuid.uuid5(NAMESPACE, "collection")), "name": info["title"], "version": info["version"],
                 "description": info["description"], "schema": SCHEMA},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{key}}", "type": "string"}]},
        "variable": [{"key": "baseUrl", "value": "http://127.0.0.1:18365"}, {"key": "key", "value": ""},
                     {"key": "clientId", "value": ""}, {"key": "clientSecret", "value": ""}, {"key": "slug", "value": "hello-world"}],
        "item": [f for f in folders.values() if f["item"]],
    }
