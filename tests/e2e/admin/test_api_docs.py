"""The API's documentation in the browser: reading, trying, taking along."""
import json
import os
import subprocess
import sys

from playwright.sync_api import expect

from support import stack


def open_operation(page, tag, operation):
    page.locator(f"h3.opblock-tag[data-tag={tag}]").click()
    block = page.locator(f"#operations-{tag}-{operation}")
    block.locator(".opblock-summary-control").first.click()
    return block


def run_sample(language, text, directory, key):
    """The exit status and output of a program that the browser wrote."""
    name, command = {"cURL": ("s.sh", ["bash"]), "JavaScript": ("s.mjs", ["node"]), "Python": ("s.py", [sys.executable]), "PHP": ("s.php", ["php"])}[language]
    path = directory / name
    path.write_text(text)
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "CMS365_URL": stack.URL, "CMS365_KEY": key})
    assert done.returncode == 0, (language, text, done.stderr)
    return done.stdout


def test_D07_from_nothing_to_the_first_call_inside_the_browser(admin, cms, tmp_path):
    asked = []
    admin.page.on("request", lambda r: asked.append((r.method, r.url, r.headers)))
    page = admin.go("/")
    page.get_by_role("link", name="API documentation").click()
    page.get_by_role("radio", name="A sandbox key").check()
    page.get_by_role("button", name="Take a sandbox key").click()
    key = page.locator("code[data-secret]").inner_text()
    assert key.startswith("365k_sandbox_")
    block = open_operation(page, "posts", "create_post")
    title = stack.unique("'Tea' & \"cake\" $HOME \\n ü")
    block.locator("textarea.body-param__text").fill(json.dumps({"title": title, "status": "draft"}))
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table .response .response-col_status").first).to_contain_text("201")
    assert cms.get("/api/v2/posts", params={"filter[title]": title}).json()["data"] == []
    with stack.Client(key=key) as box:
        for n, language in enumerate(("cURL", "JavaScript", "Python", "PHP"), 2):
            # Swagger UI's tabs over what was sent: the same call as a program, which does the same.
            block.locator(".request-snippets .btn").filter(has=page.get_by_text(language, exact=True)).click()
            text = block.locator(".request-snippets pre").inner_text()
            assert key not in text and "CMS365_KEY" in text
            assert json.loads(run_sample(language, text, tmp_path, key))["data"]["title"] == title
            assert box.get("/api/v2/posts", params={"filter[title]": title}).json()["meta"]["total"] == n, language
    # As oneself: a write carries the form token, and is really there.
    page.get_by_role("radio", name="Myself").check()
    block.get_by_role("button", name="Execute").click()
    found = stack.wait_for(lambda: cms.get("/api/v2/posts", params={"filter[title]": title}).json()["data"], what="the post outside")
    cms.delete(f"/api/v2/posts/{found[0]['id']}")
    own = [h for m, u, h in asked if m == "POST" and u.endswith("/api/v2/posts")]
    assert "authorization" in own[0] and "x-cms365-csrf" not in own[0]
    assert "authorization" not in own[-1] and own[-1]["x-cms365-csrf"]
    assert {u for _, u, _ in asked if not u.startswith((stack.URL, "data:", "blob:"))} == set()
