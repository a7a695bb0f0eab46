"""What the run may not do, and what no schema can say.

Kept: the run's own credential and person, and the administrator's, so that it does not end itself.  Names of fields, relations and
filters come from x-query, where the document has them in full; combinations that exclude each other are not sent."""
import json
import os
import random
import re

import schemathesis

NOBODY = 9007199254740000
KEYS = {int(i) for i in os.environ.get("CMS365_TEST_KEEP_KEYS", "").split()}
USERS = {int(i) for i in os.environ.get("CMS365_TEST_KEEP_USERS", "").split()}
KEPT = {"/auth/keys": KEYS, "/users": USERS}
with open(os.environ["CMS365_TEST_DOCUMENT"], encoding="utf-8") as file:
    LISTS = {path: item["get"]["x-query"] for path, item in json.load(file)["paths"].items() if "x-query" in item.get("get", {})}
PAGING = (("page", "per_page"), ("limit", "offset"), ("cursor",))


def is_kept(kept, value):
    return str(value).strip() in {str(i) for i in kept}


def spare(case):
    """Those that must stay are exchanged for one that is not there."""
    kept = next((ids for part, ids in KEPT.items() if part in case.path), None)
    if kept is None or case.method.upper() in ("GET", "HEAD", "OPTIONS"):
        return
    params, body = case.path_parameters, case.body
    if params and is_kept(kept, params.get("id")):
        params["id"] = NOBODY
    if isinstance(body, dict) and isinstance(body.get("filter"), dict):
        body["filter"] = {"username": "nobody"}
    if isinstance(body, dict) and isinstance(body.get("ids"), list):
        body["ids"] = [i for i in body["ids"] if not is_kept(kept, i)]
    if isinstance(body, list):
        case.body = [o for o in body if not (isinstance(o, dict) and is_kept(kept, o.get("id")))]


def is_positive(case):
    return case.meta is None or not case.meta.generation.mode.is_negative


def known_of(path):
    """What the list that the path belongs to may be asked."""
    return LISTS.get(re.sub(r"(/(export|changes|slug:[^/]*|\{.*))+$", "", path.replace("/api/v1/", "/api/v2/")))


def choose(query, known, draw):
    """Names that there are, in place of random ones of the right form."""
    names = {"fields": sorted({*known["filter"], "id"}), "sort": known["sort"], "include": known["include"]}
    for name, list_ in names.items():
        if isinstance(query.get(name), str):
            query.pop(name)
            if list_:
                query[name] = draw.choice(list_)
    for name in [n for n in query if n.startswith("filter")]:
        query.pop(name)


def agree(query):
    """One way of paging; one place to begin at; no cursor that nobody gave; a window said in one way, in steps of its own."""
    query.pop("cursor", None)
    query.pop("since", None)
    query.pop("step", None)
    query.pop("until", None)
    if "updated_since" in query:
        query.pop("deleted_since", None)
    if isinstance(query.get("page"), int):
        query["page"] = min(query["page"], 10000)
    if any(n in query for n in PAGING[0]):
        for name in PAGING[1]:
            query.pop(name, None)


def kept_by_all(value):
    """Free JSON without the numbers that some reader would round (R-23): they are refused, and no schema of it can say so."""
    if isinstance(value, dict):
        return {k: kept_by_all(v) for k, v in value.items()}
    if isinstance(value, list):
        return [kept_by_all(v) for v in value]
    large = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) > 2 ** 53 - 1
    return 7 if large else value


@schemathesis.hook
def before_call(context, case, kwargs):
    spare(case)
    known = known_of(case.path)
    query = case.query
    if not is_positive(case):
        return
    if case.method.upper() in ("POST", "PATCH") and "{" not in case.path and case.headers:
        case.headers.pop("If-Match", None)  # of a collection there is no version
    if isinstance(case.body, (dict, list)):
        case.body = kept_by_all(case.body)
    if isinstance(case.body, dict) and isinstance(case.body.get("filter"), dict) and "users" not in case.path:
        case.body["filter"] = {"id": {"lt": 9}}  # names of filters are in x-query too
    if not query:
        return
    agree(query)
    if known:
        if "updated_at" not in known["filter"]:
            query.pop("updated_since", None)
        choose(query, known, random.Random(repr(sorted(map(str, query)))))
