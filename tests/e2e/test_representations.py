"""R-08, R-13, R-14, R-15, R-21 (HEAD), R-24: every form of every entity, judged by other people's programs
(pyld, lxml, csv, zlib, zstandard)."""
import csv
import gzip
import io
import itertools
import json
import pathlib
import sys

import lxml.etree
import pytest
import requests
import zstandard
from pyld import jsonld

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support import stack  # noqa: E402
from support.samples import SAMPLES  # noqa: E402

PLURALS = sorted(SAMPLES)
SINGULAR = {"users": "user", "posts": "post", "pages": "page", "media": "media", "experts": "expert",
            "companies": "company", "events": "event"}
JSON, LD, XML, TEXT_XML, CSV = FORMS = ["application/json", "application/ld+json", "application/xml", "text/xml", "text/csv"]
SCHEMA, CMS = "https://schema.org/", stack.URL + "/contexts/v2.jsonld#"
FN = "{http://www.w3.org/2005/xpath-functions}"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
RELATIONS = {"users": "avatar,posts", "posts": "author,featured_media", "pages": "author,parent,children",
             "media": "uploaded_by", "experts": "company,user,photo,events", "companies": "logo,experts,events",
             "events": "organizer,image,speakers,author"}
ODD = {"title": "<a href=\"x\">&amp;</a> ]]> 'q' Ünï😀", "long": "=1+1\r\n\tcell \\ \"\u2028\ufffe\uffff end"}
META = {"a b": [1, 1.5, -3, True, False, None, "x<&>\"'"], "<&\"\n\t": {"": {}}, "\u0001\\": "\u0002", "big": 9007199254740991, "bigger": "9007199254740993"}


@pytest.fixture(scope="module")
def cms():
    with stack.Client() as client:
        yield client


@pytest.fixture(scope="module")
def rows(cms):
    """One of each, full of what breaks careless encoders, and all that it refers to."""
    made = {}

    def make(plural, **more):
        body = SAMPLES[plural]()
        body.update(more)
        made[plural] = cms.make(f"/api/v2/{plural}", **body)
        return made[plural]

    user = make("users", bio=ODD["long"], meta=META)
    media = make("media", title=ODD["title"], caption=ODD["long"], meta=META, uploaded_by=user["id"])
    company = make("companies", description=ODD["long"], street="Hauptstraße 1 <&>", city="Wien", postal_code="1010",
                   logo=media["id"], website="https://example.org/?a=1&b=2", meta=META)
    expert = make("experts", bio=ODD["long"], title=ODD["title"], company=company["id"], user=user["id"], photo=media["id"],
                  city="Wien", meta=META)
    make("posts", status="published", title=ODD["title"], content=ODD["long"] * 40, excerpt="", author=user["id"],
         featured_media=media["id"], tags=[ODD["title"][:90], "", "=x"][:1] + ["=x"], meta=META)
    parent = cms.make("/api/v2/pages", **SAMPLES["pages"](), )
    make("pages", status="published", content=ODD["long"], parent=parent["id"], author=user["id"], menu_order=-7, meta=META)
    make("events", status="published", description=ODD["long"], venue_name=ODD["title"], address="Gasse 1\n1010 Wien",
         organizer=company["id"], image=media["id"], speakers=[expert["id"]], author=user["id"], meta=META,
         online_url="https://example.org/live", price_minor=1250, currency="EUR")
    return made


@pytest.fixture(scope="module")
def schema(cms):
    answer = cms.get("/schemas/v2.xsd")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/xml")
    return lxml.etree.XMLSchema(lxml.etree.fromstring(answer.content))


@pytest.fixture(scope="module")
def entities(cms):
    """Types of the fields, from the printed document: what an integer is and what is a reference."""
    with open(stack.ROOT / "docs/api/openapi.json", encoding="utf-8") as f:
        return json.load(f)["components"]["schemas"]


def get(client, path, accept=None, **headers):
    if accept:
        headers["Accept"] = accept
    return client.get(path, headers=headers)


def one(rows, plural):
    return f"/api/v2/{plural}/{rows[plural]['id']}"


def listed(rows, plural):
    return f"/api/v2/{plural}?filter[id]={rows[plural]['id']}"


# --- R-13 ---------------------------------------------------------------------------------------

NEGOTIATED = [
    # Accept, the type of one, the type of a list (RFC 9110 §12.5.1); None: 406
    (None, JSON, JSON), ("", JSON, JSON), ("*/*", JSON, JSON), ("application/*", JSON, JSON),
    ("text/*", TEXT_XML, TEXT_XML), ("application/json", JSON, JSON), ("application/ld+json", LD, LD),
    ("application/xml", XML, XML), ("text/xml", TEXT_XML, TEXT_XML), ("text/csv", None, CSV), ("TEXT/XML", TEXT_XML, TEXT_XML),
    ("text/html", None, None), ("image/*", None, None), ("text/html, */*;q=0.1", JSON, JSON),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", XML, XML),
    ("text/csv, application/xml;q=0.5", XML, CSV), ("application/xml;q=0.2, application/ld+json;q=0.3", LD, LD),
    ("application/xml;q=0.3, application/json;q=0.3", JSON, JSON), ("*/*, application/json;q=0", LD, LD),
    ("application/json;q=0", None, None), ("*/*;q=0", None, None), ("application/*;q=0, */*", TEXT_XML, TEXT_XML),
    ("*/*;q=0.5, application/*;q=0.7, application/json;q=0.1", LD, LD),
    ("application/json;version=2", JSON, JSON), ("application/xml;version=2;q=0.5, application/json;q=0.4", XML, XML),
    ("application/json;version=9", None, None), ("application/json;version=9, text/xml;q=0.1", TEXT_XML, TEXT_XML),
    ("application/json;charset=utf-8", JSON, JSON), ("application/json;charset=utf-16", None, None),
    ("application/json;q=1.5", None, None), ("application/json;q=x, text/xml;q=0.1", TEXT_XML, TEXT_XML),
]


@pytest.mark.parametrize("accept,single,many", NEGOTIATED)
def test_R13_the_preferred_form_is_sent(cms, rows, accept, single, many):
    for path, want in ((one(rows, "posts"), single), (listed(rows, "posts"), many)):
        answer = cms.get(path, headers={"Accept": accept})
        assert answer.status_code == (200 if want else 406), (path, answer.text[:300])
        vary = [v.strip() for v in answer.headers["Vary"].split(",")]
        assert "Accept" in vary and "Accept-Encoding" in vary
        if want:
            assert answer.headers["Content-Type"].split(";")[0] == want


@pytest.mark.parametrize("plural", PLURALS)
@pytest.mark.parametrize("form", FORMS)
def test_R13_all_seven_have_all_forms(cms, rows, plural, form):
    assert get(cms, listed(rows, plural), form).status_code == 200
    answer = get(cms, one(rows, plural), form)
    assert answer.status_code == (406 if form == CSV else 200)
    if form == CSV:
        assert answer.json()["available"] == FORMS[:-1]


def test_R13_writes_are_answered_in_the_form_asked_for(cms, rows, schema):
    path = one(rows, "pages")
    answer = cms.patch(path, json={"menu_order": 8}, headers={"Accept": XML})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/xml; charset=utf-8"
    tree = lxml.etree.fromstring(answer.content)
    assert schema.validate(tree), schema.error_log
    assert tree.findtext("data/page/menu_order") == "8"
    assert answer.headers["ETag"] == get(cms, path, XML).headers["ETag"] != get(cms, path).headers["ETag"]
    # any form's tag says which version was meant
    assert cms.patch(path, json={"menu_order": 9}, headers={"If-Match": answer.headers["ETag"]}).status_code == 200
    stale = cms.patch(path, json={"menu_order": 9}, headers={"If-Match": answer.headers["ETag"], "Accept": XML})
    assert stale.status_code == 412 and stale.headers["ETag"] == get(cms, path, XML).headers["ETag"]
    made = cms.post("/api/v2/pages", json=SAMPLES["pages"](), headers={"Accept": LD})
    assert made.status_code == 201 and made.json()["data"]["@id"] == made.headers["Location"]
    # what cannot be answered is not done
    slug = stack.unique("never")
    assert cms.post("/api/v2/pages", json={**SAMPLES["pages"](), "slug": slug},
                    headers={"Accept": "image/png"}).status_code == 406
    assert cms.get(f"/api/v2/pages/slug:{slug}").status_code == 404


@pytest.mark.parametrize("accept,kind", [(None, "json"), ("application/problem+json, */*;q=0.1", "json"),
                                         ("application/problem+xml, */*;q=0.1", "xml"),
                                         ("application/xml", "xml"), ("text/xml;q=0.5, application/json;q=0.4", "xml"),
                                         ("application/xml;q=0.5, application/json", "json"), ("application/ld+json", "json"),
                                         ("image/png", "json"), ("application/xml;version=2", "xml")])
def test_R13_problems_come_as_json_or_xml(cms, accept, kind):
    answer = cms.get("/api/v2/posts/999999999999", headers={"Accept": accept})
    if accept == "image/png":
        assert answer.status_code == 406
    else:
        assert answer.status_code == 404
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+" + kind
    if kind == "json":
        problem = answer.json()
        assert problem["status"] == answer.status_code
        return
    tree = lxml.etree.fromstring(answer.content)
    ns = "{urn:ietf:rfc:7807}"
    assert tree.tag == ns + "problem" and tree.findtext(ns + "status") == "404"
    assert tree.findtext(ns + "type").endswith("/problems/not_found")
    bad = cms.post("/api/v2/posts", json={"title": "", "nonsense": 1}, headers={"Accept": accept})
    tree = lxml.etree.fromstring(bad.content)
    assert bad.status_code == 422 and "/nonsense" in [e.text for e in tree.iterfind(f"{ns}errors/{ns}i/{ns}pointer")]


def test_R13_hostile_accept_headers(cms, rows):
    path = one(rows, "posts")
    for accept in ("a" * 30000, ",".join(["application/json;q=0.001"] * 1000), ";;;;,,,,====", "\"" * 1000, "*/*;q=\"" + "\\" * 999,
                   "application/json" + ";a=b" * 5000, "/", "*/", "/*", "application/json;q=0.5;q=0", "application/\xff"):
        for name in ("Accept", "Accept-Encoding"):
            answer = cms.get(path, headers={name: accept.encode("latin-1")})
            assert answer.status_code in (200, 406, 431), (name, accept[:40])


@pytest.mark.parametrize("verb,path,taken", [("POST", "/api/v2/posts", "Accept-Post"), ("PATCH", "/api/v2/posts/1", "Accept-Patch"),
                                             ("PUT", "/api/v2/posts/1", "Accept")])
@pytest.mark.parametrize("kind", ["application/xml", "text/csv", "application/ld+json", "application/x-www-form-urlencoded",
                                  "text/plain", "", "application/json;charset=utf-16", "json"])
def test_R13_bodies_in_other_types_are_415(cms, verb, path, taken, kind):
    answer = cms.request(verb, path, data=b"<post/>", headers={"Content-Type": kind})
    assert answer.status_code == 415, answer.text
    assert "application/json" in answer.headers[taken] and "application/json" in answer.headers["Accept"]


def test_R13_a_coded_body_is_415_and_says_so(cms):
    answer = cms.post("/api/v2/posts", data=gzip.compress(b"{}"),
                      headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert answer.status_code == 415 and answer.headers["Accept-Encoding"] == "identity"


# --- R-14 ---------------------------------------------------------------------------------------

def expand(cms, document):
    """By pyld; the only thing that it may fetch is our context."""
    def loader(url, options):
        assert url == stack.URL + "/contexts/v2.jsonld", url
        answer = cms.get("/contexts/v2.jsonld")
        assert answer.headers["Content-Type"] == "application/ld+json"
        return {"contentType": answer.headers["Content-Type"], "contextUrl": None, "documentUrl": url, "document": answer.json()}

    options = {"documentLoader": loader, "processingMode": "json-ld-1.1"}
    quads = jsonld.to_rdf(document, options)["@default"]
    triples = {(q["subject"]["value"], q["predicate"]["value"], q["object"]["value"]) for q in quads}
    return jsonld.expand(document, options), triples


RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
TYPES = {"users": "Person", "posts": "Article", "pages": "WebPage", "media": "ImageObject", "experts": "Person",
         "companies": "Organization", "events": "Event"}
EXPECTED = {  # member -> property, of what every entity is to have
    "users": {"display_name": "name", "username": "alternateName", "bio": "description", "website": "url"},
    "posts": {"title": "headline", "content": "articleBody", "published_at": "datePublished", "author": "author",
              "featured_media": "image", "updated_at": "dateModified"},
    "pages": {"title": "name", "content": "text", "parent": "isPartOf", "author": "author"},
    "media": {"title": "name", "mime_type": "encodingFormat", "sha256": "sha256", "caption": "caption"},
    "experts": {"name": "name", "title": "jobTitle", "company": "worksFor", "photo": "image", "email": "email"},
    "companies": {"name": "name", "description": "description", "logo": "logo", "website": "url", "founded_year": "foundingDate"},
    "events": {"title": "name", "starts_at": "startDate", "ends_at": "endDate", "organizer": "organizer", "image": "image",
               "online_url": "url", "capacity": "maximumAttendeeCapacity"},
}
PATHS = {"author": "users", "featured_media": "media", "parent": "pages", "company": "companies", "photo": "media",
         "logo": "media", "organizer": "companies", "image": "media"}


@pytest.mark.parametrize("plural", PLURALS)
def test_R14_expands_to_the_triples_of_schema_org(cms, rows, plural):
    plain = get(cms, one(rows, plural)).json()["data"]
    document = get(cms, one(rows, plural), LD).json()
    me = stack.URL + one(rows, plural)
    expanded, triples = expand(cms, document)
    assert len(expanded) == 1 and expanded[0]["@id"] == me
    assert (me, RDF_TYPE, SCHEMA + TYPES[plural]) in triples
    assert (me, SCHEMA + "identifier", str(plain["id"])) in triples
    for member, prop in EXPECTED[plural].items():
        value = plain[member]
        if isinstance(value, dict):
            value = f"{stack.URL}/api/v2/{PATHS[member]}/{value['id']}"
        assert (me, SCHEMA + prop, str(value)) in triples, (member, prop)
    # nothing is lost: each member that has a value leads somewhere
    node, moved = expanded[0], {"venue_name", "address", "street", "postal_code", "city", "country"}
    for member, value in plain.items():
        if value in (None, []) or member in moved:
            continue
        iri = CMS + member
        assert iri in node or any(member in row for row in (EXPECTED[plural],)) or len(
            [k for k in node if k.startswith(SCHEMA)]) > 3, member
    free = node[CMS + "meta"][0]
    assert free["@type"] == "@json" and free["@value"] == plain["meta"]


def test_R14_addresses_and_places_are_nodes(cms, rows):
    def only(values):
        assert len(values) == 1
        return values[0]

    company = expand(cms, get(cms, one(rows, "companies"), LD).json())[0][0]
    address = only(company[SCHEMA + "address"])
    assert address["@type"] == [SCHEMA + "PostalAddress"]
    assert only(address[SCHEMA + "streetAddress"])["@value"] == "Hauptstraße 1 <&>"
    assert only(address[SCHEMA + "addressCountry"])["@value"] == "AT"
    event = expand(cms, get(cms, one(rows, "events"), LD).json())[0][0]
    place = only(event[SCHEMA + "location"])
    assert place["@type"] == [SCHEMA + "Place"]
    assert only(place[SCHEMA + "name"])["@value"] == ODD["title"]
    assert only(place[SCHEMA + "address"])["@value"] == "Gasse 1\n1010 Wien"
    assert [p["@id"] for p in event[SCHEMA + "performer"]] == [f"{stack.URL}/api/v2/experts/{rows['experts']['id']}"]


def test_R14_includes_and_reverse_relations(cms, rows):
    user, post = stack.URL + one(rows, "users"), stack.URL + one(rows, "posts")
    document = get(cms, one(rows, "users") + "?include=posts,avatar", LD).json()
    _, triples = expand(cms, document)
    assert (post, SCHEMA + "author", user) in triples and (post, RDF_TYPE, SCHEMA + "Article") in triples
    assert (post, SCHEMA + "headline", rows["posts"]["title"]) in triples
    document = get(cms, one(rows, "posts") + "?include=author", LD).json()
    _, triples = expand(cms, document)
    assert (post, SCHEMA + "author", user) in triples and (user, SCHEMA + "name", rows["users"]["display_name"]) in triples
    assert (user, RDF_TYPE, CMS + "User") in triples


@pytest.mark.parametrize("plural", PLURALS)
def test_R14_lists_are_nodes_and_keep_their_envelope(cms, rows, plural):
    plain, document = get(cms, listed(rows, plural)).json(), get(cms, listed(rows, plural), LD).json()
    assert document["meta"] == plain["meta"] and document["links"] == plain["links"]
    expanded, triples = expand(cms, document)
    assert [n["@id"] for n in expanded] == [f"{stack.URL}/api/v2/{plural}/{r['id']}" for r in plain["data"]]
    assert not [t for t in triples if t[1].endswith(("#links", "#data"))]


# --- R-15 ---------------------------------------------------------------------------------------

def text_of(element):
    text = element.text or ""
    return json.loads(f'"{text}"') if element.get("escaped") == "true" else text


def free_json(element):
    """xml-to-json() of XPath 3.1."""
    kind = element.tag.removeprefix(FN)
    if kind == "map":
        return {json.loads(f'"{e.get("key")}"') if e.get("escaped-key") == "true" else e.get("key"): free_json(e) for e in element}
    if kind == "array":
        return [free_json(e) for e in element]
    if kind == "null":
        return None
    return text_of(element) if kind == "string" else json.loads(element.text)


def model(element, name, schemas):
    """An entity's element back to what JSON says, by the types of the document."""
    found = {}
    for e in element:
        of = schemas[name]["properties"][e.tag]
        of = next((s for s in of.get("anyOf", []) if "$ref" in s), of)
        kinds = of.get("type", [])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if e.get(NIL) == "true":
            found[e.tag] = None
        elif "$ref" in of:
            found[e.tag] = model(e, of["$ref"].rpartition("/")[2], schemas)
        elif "array" in kinds:
            items = of["items"]
            found[e.tag] = [model(i, items["$ref"].rpartition("/")[2], schemas) if "$ref" in items else text_of(i) for i in e]
        elif "object" in kinds:
            found[e.tag] = free_json(e[0])
        elif "integer" in kinds:
            found[e.tag] = int(e.text)
        elif "boolean" in kinds:
            found[e.tag] = e.text == "true"
        else:
            found[e.tag] = text_of(e)
    return found


@pytest.mark.parametrize("plural", PLURALS)
@pytest.mark.parametrize("query", ["", "?fields=id,created_at", "?include=ALL"])
def test_R15_one_validates_and_comes_back_the_same(cms, rows, schema, entities, plural, query):
    path = one(rows, plural) + query.replace("ALL", RELATIONS[plural])
    plain, answer = get(cms, path), get(cms, path, XML)
    assert plain.status_code == answer.status_code == 200, plain.text
    tree = lxml.etree.fromstring(answer.content)
    assert schema.validate(tree), schema.error_log
    entity = tree.find(f"data/{SINGULAR[plural]}")
    assert model(entity, SINGULAR[plural].capitalize(), entities) == plain.json()["data"]
    assert get(cms, path, TEXT_XML).content == answer.content


@pytest.mark.parametrize("plural", PLURALS)
def test_R15_lists_validate_and_come_back_the_same(cms, rows, schema, entities, plural):
    def said(value):
        return value if value is None else json.dumps(value) if isinstance(value, bool) else str(value)

    for query in ("?per_page=3", "?limit=2&offset=1&count=none", "?cursor=&limit=1", "?count=estimated", f"?limit=2&include={RELATIONS[plural]}", f"?filter[id]={rows[plural]['id']}", "?filter[id]=999999999"):
        plain, answer = get(cms, f"/api/v2/{plural}{query}").json(), get(cms, f"/api/v2/{plural}{query}", XML)
        tree = lxml.etree.fromstring(answer.content)
        assert schema.validate(tree), schema.error_log
        assert [model(e, SINGULAR[plural].capitalize(), entities) for e in tree.find("data")] == plain["data"]
        for part in ("meta", "links"):
            back = {e.tag: None if e.get(NIL) else e.text for e in tree.find(part)}
            assert back == {k: said(v) for k, v in plain[part].items()}
    bare, plain = (get(cms, f"/api/v2/{plural}?envelope=false&limit=2", form) for form in (XML, JSON))
    tree = lxml.etree.fromstring(bare.content)
    assert schema.validate(tree) and tree.tag == "items"
    assert [model(e, SINGULAR[plural].capitalize(), entities) for e in tree] == plain.json()
    tree = lxml.etree.fromstring(get(cms, one(rows, plural) + "?envelope=false", XML).content)
    assert schema.validate(tree) and tree.tag == SINGULAR[plural]


def test_R15_the_schema_refuses_what_is_wrong(cms, rows, schema):
    good = get(cms, one(rows, "posts"), XML).text
    for bad in (good.replace("<status>published</status>", "<status>nonsense</status>"), good.replace("<id>", "<id>x", 1),
                good.replace("</post>", "<extra/></post>"), good.replace("<response", "<answer").replace("</response", "</answer")):
        assert bad != good and not schema.validate(lxml.etree.fromstring(bad.encode()))


# --- CSV ----------------------------------------------------------------------------------------

def cells(text):
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("plural", PLURALS)
def test_R13_csv_has_a_header_and_all_values(cms, rows, plural):
    answer = get(cms, listed(rows, plural), CSV)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    header, *lines = cells(answer.content.decode())
    row, = get(cms, listed(rows, plural)).json()["data"]
    assert len(lines) == 1
    found = dict(zip(header, lines[0], strict=True))
    for name, value in row.items():
        if isinstance(value, dict) and "id" in value and name != "meta":
            assert found[f"{name}.id"] == str(value["id"])
        elif value is None:
            assert found.get(name, found.get(f"{name}.id")) == ""
        elif isinstance(value, (dict, list)):
            assert json.loads(found[name]) == value
        elif isinstance(value, str):
            assert found[name].removeprefix("'") == value if value[:1] in tuple("=+-@\t\r\n'") else found[name] == value
        else:
            assert found[name] == json.dumps(value)
    # the same columns on a page without rows
    assert cells(get(cms, f"/api/v2/{plural}?filter[id]=999999999", CSV).content.decode()) == [header]


def test_R13_csv_is_no_formula_and_respects_fields(cms, rows):
    for value in ("=HYPERLINK(\"x\")", "+1", "-1", "@SUM(1)", "'=1"):
        made = cms.make("/api/v2/pages", **{**SAMPLES["pages"](), "title": value})
        answer = get(cms, f"/api/v2/pages?filter[id]={made['id']}&fields=title,menu_order", CSV)
        assert cells(answer.text) == [["title", "menu_order"], ["'" + value, str(made["menu_order"])]]
    answer = get(cms, listed(rows, "posts") + "&fields=id,author&include=author", CSV)
    header, line = cells(answer.text)
    assert {"id", "author.id", "author.username"} <= set(header) and "title" not in header
    assert dict(zip(header, line))["author.username"] == rows["users"]["username"]
    plain, answer = get(cms, "/api/v2/posts?limit=1"), get(cms, "/api/v2/posts?limit=1", CSV)
    assert answer.headers["Link"] == plain.headers["Link"]
    assert answer.headers["X-Total-Count"] == str(plain.json()["meta"]["total"])


# --- R-08 ---------------------------------------------------------------------------------------

def test_R08_a_tag_each_form_fields_and_coding(cms, rows):
    seen = {}
    for form, query, coding in itertools.product(FORMS, ("", "&fields=id,content,author", "&include=author"), ("identity", "gzip", "zstd")):
        answer = cms.get(listed(rows, "posts") + query, headers={"Accept": form, "Accept-Encoding": coding})
        assert answer.status_code == 200 and answer.headers.get("Content-Encoding", "identity") == coding
        tag = answer.headers["ETag"]
        assert tag.startswith('"') and seen.setdefault(tag, (form, query, coding)) == (form, query, coding)
        again = cms.get(listed(rows, "posts") + query,
                        headers={"Accept": form, "Accept-Encoding": coding, "If-None-Match": tag})
        assert again.status_code == 304 and not again.content
        for name in ("ETag", "Vary", "Cache-Control"):
            assert again.headers[name] == answer.headers[name]
        # another's tag is no match
        for other in list(seen)[:-1][-3:]:
            answer = cms.get(listed(rows, "posts") + query, headers={"Accept": form, "Accept-Encoding": coding, "If-None-Match": other})
            assert answer.status_code == 200
    assert len(seen) == 45


def preconditions(tag, date):
    """RFC 9110 §13.2.2 said again: what the header fields hold -> status of a GET and of a PATCH."""
    older = "Tue, 14 Nov 2000 22:13:20 GMT"
    match = {None: None, "hit": tag, "miss": '"0.nothing"', "any": "*"}
    since = {None: None, "hit": date, "miss": older}
    for im, inm, ius, ims in itertools.product(match, match, since, since):
        headers = {"If-Match": match[im], "If-None-Match": match[inm], "If-Unmodified-Since": since[ius],
                   "If-Modified-Since": since[ims]}
        failed = im == "miss" or (im is None and ius == "miss")
        same = inm in ("hit", "any") if inm else ims == "hit"
        read = 412 if failed else 304 if same else 200
        write = 412 if failed or inm in ("hit", "any") else 200
        yield {k: v for k, v in headers.items() if v}, read, write


@pytest.mark.parametrize("form", [JSON, XML])
def test_R08_the_order_of_preconditions(cms, rows, form):
    path = one(rows, "companies")
    answer = get(cms, path, form)
    for headers, read, _ in preconditions(answer.headers["ETag"], answer.headers["Last-Modified"]):
        for verb in ("GET", "HEAD"):
            got = cms.request(verb, path, headers={**headers, "Accept": form})
            assert got.status_code == read, (verb, headers)
            if read == 412:
                assert got.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize("verb", ["PATCH", "PUT", "DELETE"])
def test_R08_the_order_of_preconditions_of_writes(cms, verb):
    path = f"/api/v2/companies/{cms.make('/api/v2/companies', **SAMPLES['companies']())['id']}"
    row, now = cms.get(path).json()["data"], cms.get(path).headers
    body = {"name": row["name"]} if verb == "PATCH" else {k: row[k] for k in SAMPLES["companies"]()}
    for n in range(len(list(preconditions("", "")))):
        headers, _, want = list(preconditions(now["ETag"], now["Last-Modified"]))[n]
        got = cms.request(verb, path, headers=headers, **({} if verb == "DELETE" else {"json": body}))
        assert got.status_code == (204 if verb == "DELETE" and want == 200 else want), headers
        if verb == "DELETE" and want == 200:
            assert cms.post(path + "/restore").status_code == 200
        was, now = now, cms.get(path).headers
        if want == 412:
            assert now["ETag"] == was["ETag"] and got.headers["ETag"].split(".")[0] == was["ETag"].split(".")[0]


def test_R08_preconditions_of_what_is_not_there(cms):
    for headers, _, _ in itertools.islice(preconditions('"1.x"', "Tue, 14 Nov 2000 22:13:20 GMT"), 0, None, 7):
        for verb in ("GET", "HEAD", "PATCH", "PUT", "DELETE"):
            body = {"json": {"title": "x", "status": "draft"}} if verb in ("PATCH", "PUT") else {}
            got = cms.request(verb, "/api/v2/posts/999999999999", headers=headers, **body)
            assert got.status_code in (404, 412), (verb, headers)
            if verb in ("GET", "HEAD"):
                assert got.status_code == 404, (verb, headers)


# --- R-21, HEAD ---------------------------------------------------------------------------------

@pytest.mark.parametrize("plural", PLURALS)
def test_R21_head_is_get_without_its_body(cms, rows, plural):
    for path, form, coding in itertools.product((one(rows, plural), listed(rows, plural), "/api/v2/%s/999999999" % plural),
                                                FORMS, ("identity", "gzip")):
        both = [cms.request(verb, path, headers={"Accept": form, "Accept-Encoding": coding, "X-Request-Id": "same"})
                for verb in ("GET", "HEAD")]
        seen = [{k: v for k, v in a.headers.items() if k not in ("Date", "Cache-Status")} for a in both]
        assert both[0].status_code == both[1].status_code and seen[0] == seen[1], (path, form, coding)
        assert both[0].content and not both[1].content


# --- R-24 ---------------------------------------------------------------------------------------

def raw(path, **headers):
    """The bytes as sent: requests would decode them."""
    with requests.get(stack.URL + path, headers={"Authorization": f"Bearer {stack.ADMIN_KEY}", **headers}, stream=True, timeout=30) as r:
        return r.status_code, r.headers, r.raw.read(decode_content=False)


@pytest.mark.parametrize("form", FORMS)
def test_R24_codings_hold_the_same_bytes(rows, form):
    path = listed(rows, "posts")
    status, headers, plain = raw(path, Accept=form, **{"Accept-Encoding": "identity"})
    assert status == 200 and "Content-Encoding" not in headers and len(plain) > 1024
    tags = {headers["ETag"]}
    for coding, decode in (("gzip", gzip.decompress), ("zstd", lambda b: zstandard.ZstdDecompressor().decompress(b)),
                           ("x-gzip", gzip.decompress)):
        status, headers, body = raw(path, Accept=form, **{"Accept-Encoding": coding})
        assert status == 200 and headers["Content-Encoding"] == coding.removeprefix("x-")
        assert decode(body) == plain and len(body) < len(plain) and int(headers["Content-Length"]) == len(body)
        tags.add(headers["ETag"])
    assert len(tags) == 3


@pytest.mark.parametrize("accept,coding,status", [
    ("gzip, deflate, br", "gzip", 200), ("gzip, deflate, br, zstd", "zstd", 200), ("zstd;q=0.1, gzip;q=0.2", "gzip", 200),
    ("*", "zstd", 200), ("*, zstd;q=0", "gzip", 200), ("gzip;q=0", None, 200), ("br", None, 200), ("identity", None, 200),
    ("gzip;q=0.5, identity", None, 200), ("", None, 200), ("identity;q=0, gzip", "gzip", 200), ("identity;q=0", None, 406),
    ("*;q=0", None, 406), ("br, *;q=0", None, 406)])
def test_R24_the_preferred_coding_is_used(rows, accept, coding, status):
    got, headers, _ = raw(listed(rows, "posts"), **{"Accept-Encoding": accept})
    assert got == status and headers.get("Content-Encoding") == coding


def test_R24_a_write_is_answered_with_the_tag_of_the_plain_form(cms, rows):
    # a 412 cannot know how long the answer would be, and both have to tell the same tag
    path = one(rows, "posts")
    changed = cms.patch(path, json={"excerpt": "x"}, headers={"Accept-Encoding": "gzip"})
    assert changed.status_code == 200 and len(changed.content) > 1024 and "Content-Encoding" not in changed.headers
    stale = cms.patch(path, json={"excerpt": "y"}, headers={"Accept-Encoding": "gzip", "If-Match": '"1.x"'})
    assert stale.status_code == 412 and stale.headers["ETag"] == changed.headers["ETag"]


def test_R24_small_answers_are_left_alone(rows):
    path = one(rows, "posts") + "?fields=id,slug"
    got, headers, body = raw(path, **{"Accept-Encoding": "gzip, zstd"})
    assert got == 200 and "Content-Encoding" not in headers and len(body) < 1024
    got, headers, body = raw(path, **{"Accept-Encoding": "gzip, identity;q=0"})
    assert headers["Content-Encoding"] == "gzip" and b'"data"' in gzip.decompress(body)
