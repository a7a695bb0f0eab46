"""Makes what an operation of the document needs, so that its samples can be run as they stand.

`Stage.values(method, path)` answers a value for each part of the path, fresh for every call: the parent is created by a POST
to its collection with the document's own example; what comes about otherwise has a row in OTHERS."""
import json
import re

from .stack import ROOT, ADMIN_KEY, Client, Receiver, unique, wait_for

DOCUMENT = json.loads((ROOT / "docs/api/openapi.json").read_text())
JSON = "application/json"

# Not run, and why.  Their samples are still checked for syntax.
NOT_RUN = {
    "oauth_par": "needs the redirect URI of a client of one's own",
    "oauth_revoke": "needs a token of one's own", "oauth_introspect": "needs a token of one's own",
    "receive_webhook_token": "the token is in the address that only some providers use",
    "greet_webhook": "answers the challenges of providers only",
    "get_session": "is the browser's", "end_session": "is the browser's",
    "tail_api_requests": "does not end", "patch_policy": "would shut out whoever runs it",
    **{verb + "_anomaly": "needs traffic out of the ordinary" for verb in ("get", "rate", "mute", "unmute")},
    "make_webhook_portal": "names endpoints of one's own",
    **{op: "needs a person's own password, code or link" for op in (
        "change_password", "reset_password", "begin_totp", "confirm_totp", "disable_totp", "renew_recovery_codes")},
    "get_auth_session": "is a browser's", "delete_auth_session": "is a browser's",
    **{verb + "_oauth_grant": "a person makes it, on the consent page" for verb in ("get", "patch", "delete")},
}


def operations(versions=("/api/v2/", "/")):
    for path, item in DOCUMENT["paths"].items():
        for method, op in item.items():
            if not path.startswith("/api/v1/"):
                yield method, path, op


def example_of(op):
    return op.get("requestBody", {}).get("content", {}).get(JSON, {}).get("example")


def fresh(value, salt):
    """The example with other names, so that it may be sent again and again."""
    if isinstance(value, dict):
        return {k: fresh(v, salt) if k not in ("username", "email", "slug", "name", "title") or not isinstance(v, str)
                else ("%s@example.com" % salt if k == "email" else salt if k in ("username", "slug") else "%s %s" % (v, salt))
                for k, v in value.items()}
    return [fresh(v, salt) for v in value] if isinstance(value, list) else value


class Stage:
    def __init__(self):
        self.cms = Client()
        self.receiver = None

    def close(self):
        self.cms.close()
        if self.receiver:
            self.receiver.close()

    def made(self, collection):
        op = DOCUMENT["paths"][collection]["post"]
        body = fresh(example_of(op), unique("s").replace("-", "_"))
        for key in ("slug",):
            if key in body:
                body[key] = body[key].replace("_", "-")
        return self.cms.make(collection, **body)

    # --- what comes about otherwise ---

    def delivery(self):
        if not self.receiver:
            self.receiver = Receiver()
        endpoint = self.cms.make("/api/v2/webhooks/endpoints", url=self.receiver.url, events=["company.created"])
        self.cms.make("/api/v2/companies", name=unique("s"))
        row = wait_for(lambda: next((d for d in self.cms.get("/api/v2/webhooks/deliveries", params={
            "filter[endpoint]": endpoint["id"], "filter[status]": "delivered"}).json()["data"]), None), what="a delivery")
        return row["id"]

    def source(self):
        return self.cms.make("/api/v2/webhook-sources", name=unique("s"), provider="none", verification="none", reason="test", mapping={
            "fields": [{"to": "name", "from": "/type"}], "actions": [{"do": "create", "entity": "company"}]})

    def message(self):
        source = self.source()
        answer = self.cms.post("/hooks/" + source["slug"], json={"id": unique("m"), "type": unique("t")})
        assert answer.status_code == 202, answer.text
        row = wait_for(lambda: next(iter(self.cms.get("/api/v2/webhook-messages", params={
            "filter[source]": source["id"]}).json()["data"]), None), what="a message")
        return row["id"]

    def operation(self):
        answer = self.cms.patch("/api/v2/companies", json=[{"op": "create", "data": {"name": unique("s")}}],
                                headers={"Prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"].rsplit("/", 1)[1]

    def result(self):
        answer = self.cms.get("/api/v2/companies", headers={"Prefer": "respond-async", "Accept": "text/csv"})
        assert answer.status_code == 202, answer.text
        one = answer.headers["Location"].rsplit("/", 1)[1]
        wait_for(lambda: self.cms.get("/api/v2/operations/" + one).json()["data"]["status"] in ("done", "succeeded"), what="an export")
        return one

    def revision(self, collection):
        row = self.made(collection)
        self.cms.patch("%s/%s" % (collection, row["id"]), json={"title": unique("s")})
        revs = self.cms.get("%s/%s/revisions" % (collection, row["id"])).json()["data"]
        return {"id": row["id"], "rev": revs[-1]["rev"]}

    def portal(self):
        endpoint = self.made("/api/v2/webhooks/endpoints")["id"]
        return {"id": self.cms.make("/api/v2/webhooks/portals", endpoint_ids=[endpoint])["id"]}

    def audited(self):
        return {"id": self.cms.get("/api/v2/auth/audit", params={"limit": 1}).json()["data"][0]["id"]}

    def logged(self):
        return {"id": wait_for(lambda: next(iter(self.cms.get("/api/v2/analytics/requests", params={"limit": 1}).json()["data"]), None),
                               what="a request in the log")["id"]}

    def person(self):
        return {"id": self.made("/api/v2/users")["id"]}

    def old_secret(self):
        one = "/api/v2/webhooks/endpoints/%s" % self.made("/api/v2/webhooks/endpoints")["id"]
        assert self.cms.post(one + "/rotate-secret", json={"overlap_seconds": 600}).status_code == 200
        old = next(s for s in self.cms.get(one + "/secrets").json()["data"] if s["state"] == "overlapping")
        return {"id": one.rsplit("/", 1)[1], "secret": old["id"]}

    def slugged(self, collection, method):
        return {"slug": unique("s") if method == "put" else self.made(collection)["slug"]}

    def deleted(self, collection):
        row = self.made(collection)
        self.cms.delete("%s/%s" % (collection, row["id"]))
        return {"id": row["id"]}

    OTHERS = [
        (r"(/api/v2/\w+)/slug:{slug}", lambda s, method, m: s.slugged(m[1], method)),
        (r"(/api/v2/\w+)/{id}/revisions/{rev}.*", lambda s, method, m: s.revision(m[1])),
        (r"(/api/v2/(?!auth|webhook)\w+)/{id}/restore", lambda s, method, m: s.deleted(m[1])),
        (r"/api/v2/auth/audit/{id}", lambda s, method, m: s.audited()),
        (r"/api/v2/analytics/requests/{id}", lambda s, method, m: s.logged()),
        (r"/api/v2/auth/users/{id}.*", lambda s, method, m: s.person()),
        (r"/api/v2/webhooks/portals/{id}.*", lambda s, method, m: s.portal()),
        (r"/api/v2/webhooks/endpoints/{id}/secrets/{secret}", lambda s, method, m: s.old_secret()),
        (r"/api/v2/webhooks/deliveries/{id}.*", lambda s, method, m: {"id": s.delivery()}),
        (r"/api/v2/webhook-messages/{id}.*", lambda s, method, m: {"id": s.message()}),
        (r"/api/v2/webhook-sources/{id}/(rotate-secret|previous-secret)",
         lambda s, method, m: {"id": s.made("/api/v2/webhook-sources")["id"]}),
        (r"/api/v2/operations/{id}/result", lambda s, method, m: {"id": s.result()}),
        (r"/api/v2/webhook-sources/{id}.*", lambda s, method, m: {"id": s.source()["id"]}),
        (r"/api/v2/operations/{id}.*", lambda s, method, m: {"id": s.operation()}),
        (r"/hooks/{source}", lambda s, method, m: {"source": s.source()["slug"]}),
        (r"/problems/{code}", lambda s, method, m: {"code": "not_found"}),
        (r"/deprecations/{name}", lambda s, method, m: {"name": "v1"}),
        (r"/api-docs/samples/{operation}/{language}", lambda s, method, m: {"operation": "get_post", "language": "curl"}),
    ]

    def values(self, method, path):
        """Part of the path -> value; None: nobody has said how to make it."""
        if "{" not in path:
            return {}
        for pattern, make in self.OTHERS:
            m = re.fullmatch(pattern, path)
            if m:
                return make(self, method, m)
        collection = re.match(r"([^{]*)/{id}", path)
        if collection and "post" in DOCUMENT["paths"].get(collection[1], {}):
            return {"id": self.made(collection[1])["id"]}
        return None
