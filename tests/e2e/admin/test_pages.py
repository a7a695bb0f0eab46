"""All pages: accessible in both themes, whole at 360 pixels, in two languages, and light."""
import json
import os
import pathlib
import re

import pytest
import requests
from playwright.sync_api import expect

from support import stack
from support.window import Window

ROOT = pathlib.Path(__file__).resolve().parents[3]
SRC = ROOT / "services/admin/src"
MODULES = pathlib.Path(os.environ.get("CMS365_NODE_MODULES", ROOT / "tests/e2e/node/node_modules"))
FIRST_LOAD_BYTES_MAX = 250_000
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def rows():
    """(id, path) of each page."""
    return re.findall(r"^  row\('([\w-]+)', '([^']+)'", (SRC / "pages/table.ts").read_text(), re.M)


@pytest.fixture(scope="module")
def things():
    """One of each that a page shows, by the parameter's place in the path."""
    with stack.Client() as cms:
        post = cms.make("/api/v2/posts", title=stack.unique("Page"), status="draft", content="<p>Text</p>", tags=["a", "b"])
        cms.patch(f"/api/v2/posts/{post['id']}", json={"title": "Another"})
        gone = cms.make("/api/v2/posts", title=stack.unique("Gone"), status="draft")
        cms.delete(f"/api/v2/posts/{gone['id']}")
        user = cms.make("/api/v2/users", username=stack.unique("p"), email=f"{stack.unique('p')}@example.com", role="author")
        key = cms.make("/api/v2/auth/keys", name=stack.unique("k"), scopes=["posts:read"])
        client = cms.make("/api/v2/auth/clients", name=stack.unique("c"), scopes=["posts:read"], redirect_uris=["https://example.com/cb"])
        endpoint = cms.make("/api/v2/webhooks/endpoints", url="http://127.0.0.1:9/none", events=["post.*"])
        cms.patch(f"/api/v2/posts/{post['id']}", json={"title": "Told"})
        source = cms.make("/api/v2/webhook-sources", name=stack.unique("s"), provider="none", verification="none", reason="a test", mapping={"jq": ".", "actions": [{"do": "emit"}]})
        assert cms.post(source["path"], json={"a": 1}).status_code == 202
        delivery = stack.wait_for(lambda: cms.get("/api/v2/webhooks/deliveries", params={"filter[endpoint]": endpoint["id"]}).json()["data"], what="a delivery")[0]
        message = stack.wait_for(lambda: cms.get("/api/v2/webhook-messages", params={"filter[source]": source["id"]}).json()["data"], what="a message")[0]
        yield {"/content/:entity": f"/content/posts/{post['id']}", "/users/:id": f"/users/{user['id']}", "/access/keys/:id": f"/access/keys/{key['id']}",
               "/access/clients/:id": f"/access/clients/{client['id']}", "/webhooks/endpoints/:id": f"/webhooks/endpoints/{endpoint['id']}",
               "/webhooks/deliveries/:id": f"/webhooks/deliveries/{delivery['id']}", "/webhooks/sources/:id": f"/webhooks/sources/{source['id']}",
               "/webhooks/messages/:id": f"/webhooks/messages/{message['id']}"}
        cms.delete(f"/api/v2/webhooks/endpoints/{endpoint['id']}")
        cms.delete(f"/api/v2/webhook-sources/{source['id']}")


def address(path, things):
    for pattern, real in things.items():
        if pattern != "/content/:entity" and path.startswith(pattern):
            return real + path[len(pattern):]
    if path.startswith("/content/:entity/:id"):
        return things["/content/:entity"] + path.removeprefix("/content/:entity/:id")
    return path.replace(":entity", "posts")


def settle(page):
    """Until nothing is being loaded any more."""
    expect(page.locator("h1").first).to_be_visible()
    expect(page.locator("main .bone"), f"{page.url} is still loading").to_have_count(0)


def axe(page, only=None):
    options = {"runOnly": {"type": "rule", "values": only} if only else {"type": "tag", "values": AXE_TAGS}, "resultTypes": ["violations"]}
    # What is inside Swagger UI is its authors'.
    found = page.evaluate("(o) => axe.run({ exclude: ['.swagger'] }, o).then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.target.join(' ') + ' ' + n.failureSummary)]))", options)
    return [f"{name}: {nodes[:3]}" for name, nodes in found]


def themed(page, scheme):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it is painted


def test_axe_finds_nothing_on_any_page_in_either_theme(admin, things):
    source = (MODULES / "axe-core/axe.min.js").read_text()
    page, faults = admin.page, []
    page.set_viewport_size({"width": 1280, "height": 4000})
    admin.go("/")
    page.evaluate(source)
    for name, path in rows():
        if name == "signed-in":
            continue  # closes itself
        themed(page, "light")
        admin.visit(address(path, things))
        settle(page)
        faults += [f"{name}, light: {f}" for f in axe(page)]
        themed(page, "dark")
        faults += [f"{name}, dark: {f}" for f in axe(page, ["color-contrast"])]
        admin.check()
    assert not faults, "\n".join(faults)


# What sticks out, the innermost of it.
WIDE = """() => [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.firstElementChild)
    .slice(0, 3).map((e) => `${e.parentElement.outerHTML.slice(0, 120)} … ${e.outerHTML.slice(0, 120)}`).join(' | ')"""


def test_every_page_fits_360_pixels_in_german(chromium, signed_in, things):
    window, faults = Window(chromium, signed_in, locale="de-DE", viewport={"width": 360, "height": 800}), []
    page = window.go("/")
    for name, path in rows():
        if name == "signed-in":
            continue
        window.visit(address(path, things))
        settle(page)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            faults.append(f"{name} is wider than the screen: " + page.evaluate(WIDE))
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_role("button", name="Menü").click()
    page.get_by_role("link", name="Beiträge").click()
    expect(page.get_by_role("heading", level=1, name="Beiträge")).to_be_visible()
    window.check()
    window.context.close()
    assert not faults, "\n".join(faults)


# --- what is served -------------------------------------------------------------------------------

def served(path, coding):
    return requests.get(stack.URL + path, headers={"Accept-Encoding": coding}, timeout=30, stream=True)


def test_first_load_and_dashboard_are_small():
    chunks = served("/admin/chunks.json", "identity").json()
    total = {}
    for coding in ("br", "gzip"):
        total[coding] = 0
        for name in {*chunks["first"], *chunks["pages"]["dashboard"]}:
            answer = served(f"/admin/{name}", coding)
            assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, coding), name
            total[coding] += len(answer.raw.read(decode_content=False))
    assert max(total.values()) <= FIRST_LOAD_BYTES_MAX, total


@pytest.mark.parametrize("accept, coding", [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("br;q=0", None), ("deflate", None), ("brotli", None)])
def test_the_coding_is_one_that_the_client_takes(accept, coding):
    assert served("/admin/", accept).headers.get("Content-Encoding") == coding


def test_the_policy_is_strict_and_names_with_a_hash_are_kept():
    page = served("/admin/some/page", "identity")
    policy = dict(p.strip().split(" ", 1) for p in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert page.headers["Cache-Control"] == "no-cache" and page.headers["X-Content-Type-Options"] == "nosniff"
    assert "<style" not in page.text and not re.search(r"<script(?![^>]* src=)|\son\w+=|style=|https?://", page.text)
    for name in re.findall(r"/admin/assets/[\w.-]+", page.text):
        asset = served(name, "br")
        assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable", name
        assert asset.headers["Content-Security-Policy"] == page.headers["Content-Security-Policy"]
    missing = served("/admin/assets/none.js", "br")
    assert missing.status_code == 404 and missing.headers["Content-Type"] == "application/problem+json"
    assert served("/admin", "identity").history[0].status_code == 308


# --- what is written ------------------------------------------------------------------------------

def table(language):
    text = (SRC / f"i18n/{language}.ts").read_text()
    return dict(re.findall(r"^  '([^']+)': '([^']*)',$", text, re.M))


def test_both_languages_have_every_text():
    en, de = table("en"), table("de")
    assert len(en) > 300 and en.keys() == de.keys()
    for key in en:
        assert en[key].strip() and de[key].strip(), key
        assert set(re.findall(r"\{(\w+)\}", en[key])) == set(re.findall(r"\{(\w+)\}", de[key])), key
    code = "\n".join(p.read_text() for p in SRC.rglob("*.ts*"))
    unknown = {k for k in re.findall(r"\bt\('([\w.-]+)'", code)} - en.keys()
    assert not unknown, unknown


def test_every_field_of_a_form_has_a_name_and_a_hint_in_german():
    doc = json.loads((ROOT / "docs/api/openapi.json").read_text())["components"]["schemas"]
    en, hints = table("en"), (SRC / "i18n/hints-de.ts").read_text()
    plural = {"ApiKey": "api_keys", "OauthClient": "oauth_clients", "WebhookEndpoint": "webhook_endpoints", "WebhookSource": "webhook_sources"}
    for entity in ("User", "Post", "Page", "Media", "Expert", "Company", "Event", *plural):
        for name, field in doc[entity]["properties"].items():
            assert f"field.{name}" in en or f"field.{plural.get(entity)}.{name}" in en, f"{entity}.{name} has no label in i18n/en.ts"
        for name, field in doc[f"{entity}Input"]["properties"].items():
            text = field["description"]
            assert len(text) < 30 or text in hints or text.replace("'", "\\'") in hints, f"{entity}.{name} has no German hint: {text}"


def test_every_page_is_in_the_table():
    listed = set(re.findall(r"import\('\./([\w-]+)'\)", (SRC / "pages/table.ts").read_text()))
    there = {p.stem for p in (SRC / "pages").glob("*.tsx")}
    assert listed == there, listed ^ there
    en = table("en")
    for label in re.findall(r"label: '([\w.-]+)'", (SRC / "pages/table.ts").read_text()):
        assert label in en, label


def test_I01_the_providers_are_those_that_are_verified():
    c = set(re.findall(r'\{ \.name = "([\w-]+)"', (ROOT / "services/webhooks-in/providers.c").read_text()))
    ts = set(re.findall(r"\bp\('([\w-]+)'", (SRC / "lib/providers.ts").read_text()))
    assert c == ts, c ^ ts
