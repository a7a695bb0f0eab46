"""What changed in the API between two documents, and whether a client of the older one would notice (breaking).

docs/api/releases/VERSION.json is the surface of the document at that release: operations, and for each its parameters,
the fields that it takes and those that it answers.  `scripts/document/release` keeps one; scripts/contract prints the
changelog from them all and from the present document, and refuses a breaking change that comes without a version step
(semantic versioning; before 1.0.0 the minor number is the step)."""
import html
import json
import pathlib

from . import example

JSON = "application/json"


# --- the surface ---------------------------------------------------------------------------------

def fields(schema, schemas, writes, prefix="", seen=(), depth=0):
    """JSON Pointer -> [type, required, choices]."""
    out = {}
    name = example.name_of(schema)
    if name:
        if name in seen or depth > 6:
            return out
        return fields(schemas[name], schemas, writes, prefix, seen + (name,), depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(key, []):
            out.update(fields(part, schemas, writes, prefix, seen, depth + 1))
    if "items" in schema:
        out.update(fields(schema["items"], schemas, writes, prefix + "/*", seen, depth + 1))
    for n, s in schema.get("properties", {}).items():
        at = schemas[example.name_of(s)] if example.name_of(s) else s
        kind = at.get("type", "any")
        out[prefix + "/" + n] = ["|".join(kind) if isinstance(kind, list) else kind, n in schema.get("required", []),
                                 [str(c) for c in at.get("enum", [])]]
        out.update(fields(s, schemas, writes, prefix + "/" + n, seen, depth + 1))
    return out


def surface(doc):
    schemas, ops = doc["components"]["schemas"], {}
    for path, item in doc["paths"].items():
        for method, op in item.items():
            takes = op.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
            good = {s: r for s, r in op["responses"].items() if s < "300"}
            answers = next((r["content"][JSON]["schema"] for r in good.values() if JSON in r.get("content", {})), None)
            ops["%s %s" % (method.upper(), path)] = {
                "summary": op.get("summary", ""), "deprecated": op.get("deprecated", False), "scope": op.get("x-scope"),
                "parameters": {"%s %s" % (p["in"], p["name"]): p.get("required", False) for p in op.get("parameters", [])},
                "takes": fields(takes, schemas, True) if takes else {},
                "answers": fields(answers, schemas, False) if answers else {},
                "statuses": sorted(good),
            }
    return {"version": doc["info"]["version"], "operations": ops, "webhooks": sorted(doc.get("webhooks", {}))}


# --- the comparison ------------------------------------------------------------------------------

def of_parameters(old, new):
    for name in sorted(set(old) | set(new)):
        if name not in new:
            yield True, "no longer takes %s" % name
        elif name not in old:
            yield new[name], "takes %s%s" % (name, ", required" if new[name] else "")
        elif new[name] and not old[name]:
            yield True, "requires %s" % name


def of_taken(old, new):
    for at in sorted(set(old) | set(new)):
        if at not in new:
            yield True, "no longer takes the field %s" % at
        elif at not in old:
            yield new[at][1], "takes the field %s%s" % (at, ", required" if new[at][1] else "")
        else:
            (kind, required, choices), (kind2, required2, choices2) = old[at], new[at]
            if kind != kind2:
                yield not set(kind.split("|")) <= set(kind2.split("|")), "the field %s is %s, was %s" % (at, kind2, kind)
            if required2 and not required:
                yield True, "requires the field %s" % at
            if set(choices) - set(choices2) and choices2:
                yield True, "the field %s no longer takes %s" % (at, ", ".join(sorted(set(choices) - set(choices2))))
            elif set(choices2) - set(choices) and choices:
                yield False, "the field %s takes %s" % (at, ", ".join(sorted(set(choices2) - set(choices))))


def of_answered(old, new):
    for at in sorted(set(old) | set(new)):
        if at not in new:
            yield True, "no longer answers the field %s" % at
        elif at not in old:
            yield False, "answers the field %s" % at
        elif old[at][0] != new[at][0]:
            yield not set(new[at][0].split("|")) <= set(old[at][0].split("|")), \
                "the answered field %s is %s, was %s" % (at, new[at][0], old[at][0])


def of_operation(old, new):
    yield from of_parameters(old["parameters"], new["parameters"])
    yield from of_taken(old["takes"], new["takes"])
    yield from of_answered(old["answers"], new["answers"])
    for status in sorted(set(old["statuses"]) - set(new["statuses"])):
        yield True, "no longer answers %s" % status
    for status in sorted(set(new["statuses"]) - set(old["statuses"])):
        yield False, "may answer %s" % status
    if old["scope"] != new["scope"]:
        yield new["scope"] is not None, "asks for the scope %s, was %s" % (new["scope"], old["scope"])
    if new["deprecated"] and not old["deprecated"]:
        yield False, "is deprecated"


def compare(old, new):
    """[{"operation", "change", "breaking"}], in the order of the paths."""
    out = []
    before, after = old["operations"], new["operations"]
    for name in sorted(set(before) | set(after), key=lambda n: (n.split(" ")[1], n)):
        if name not in after:
            out.append({"operation": name, "change": "is gone", "breaking": not before[name]["deprecated"]})
        elif name not in before:
            out.append({"operation": name, "change": "is new: " + after[name]["summary"], "breaking": False})
        else:
            out += [{"operation": name, "change": text, "breaking": bool(breaking)}
                    for breaking, text in of_operation(before[name], after[name])]
    for event in sorted(set(old["webhooks"]) - set(new["webhooks"])):
        out.append({"operation": "webhook " + event, "change": "is gone", "breaking": True})
    for event in sorted(set(new["webhooks"]) - set(old["webhooks"])):
        out.append({"operation": "webhook " + event, "change": "is new", "breaking": False})
    return out


def number(version):
    return tuple(int(n) for n in version.split("."))


def is_step(old, new):
    """May `new` break clients of `old`?"""
    a, b = number(old), number(new)
    return b[0] > a[0] or (a[0] == 0 and b[0] == 0 and b[1] > a[1])


# --- the changelog -------------------------------------------------------------------------------

def releases(folder):
    kept = [json.loads(p.read_text()) for p in pathlib.Path(folder).glob("*.json")]
    return sorted(kept, key=lambda r: number(r["version"]))


def changelog(kept, doc):
    """Newest first: {"version", "date", "changes"}.  What is not released yet has no date."""
    now, out, before = surface(doc), [], None
    for release in kept:
        out.append({"version": release["version"], "date": release["date"],
                    "changes": compare(before, release) if before else
                    [{"operation": "", "change": "The first release: %d operations, %d webhooks."
                      % (len(release["operations"]), len(release["webhooks"])), "breaking": False}]})
        before = release
    changes = compare(before, now) if before else []
    if changes:
        out.append({"version": now["version"] + (" (unreleased)" if now["version"] == before["version"] else ""), "date": None,
                    "changes": changes})
    return out[::-1]


def unannounced(kept, doc):
    """Breaking changes since the last release that come without a version step."""
    if not kept or is_step(kept[-1]["version"], doc["info"]["version"]):
        return []
    return [c for c in compare(kept[-1], surface(doc)) if c["breaking"]]


def line(c):
    return ("%s %s" % (c["operation"], c["change"])).strip()


def as_json(log):
    return json.dumps({"releases": log}, indent=1, ensure_ascii=False) + "\n"


def as_html(log):
    out = ["<!doctype html>", '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
           "<title>Changes of the 365CMS API</title>",
           '<link rel="alternate" type="application/atom+xml" href="/api-docs/changelog.atom">',
           "<h1>Changes of the 365CMS API</h1>"]
    for r in log:
        out.append("<h2>%s%s</h2><ul>" % (html.escape(r["version"]), ", " + r["date"] if r["date"] else ""))
        out += ["<li>%s%s</li>" % ("<strong>Breaking:</strong> " if c["breaking"] else "", html.escape(line(c))) for c in r["changes"]]
        out.append("</ul>")
    return "\n".join(out) + "\n</html>\n"


def as_atom(log):
    dated = [r for r in log if r["date"]]
    updated = dated[0]["date"] if dated else "2026-02-19"
    out = ['<?xml version="1.0" encoding="utf-8"?>', '<feed xmlns="http://www.w3.org/2005/Atom">',
           "<title>Changes of the 365CMS API</title>", "<id>urn:365cms:api:changelog</id>", "<updated>%sT00:00:00Z</updated>" % updated,
           "<author><name>365CMS</name></author>", '<link rel="self" href="/api-docs/changelog.atom"/>',
           '<link rel="alternate" type="text/html" href="/api-docs/changelog"/>']
    for r in dated:
        breaking = any(c["breaking"] for c in r["changes"])
        text = "<ul>%s</ul>" % "".join("<li>%s%s</li>" % ("Breaking: " if c["breaking"] else "", html.escape(line(c))) for c in r["changes"])
        out.append("<entry><title>%s%s</title><id>urn:365cms:api:%s</id><updated>%sT00:00:00Z</updated>"
                   '<link href="/api-docs/changelog"/><content type="html">%s</content></entry>'
                   % (html.escape(r["version"]), " (breaking)" if breaking else "", r["version"], r["date"], html.escape(text)))
    return "\n".join(out) + "\n</feed>\n"
