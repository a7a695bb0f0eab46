"""What people do in the admin, from the click to what the API says afterwards."""
import hashlib
import hmac
import json
import re

import pytest
from playwright.sync_api import expect

from support import stack
from support.load import hammer
from support.people import PASSWORD, Door, totp, with_password
from support.window import Window


def heading(page, text):
    return page.get_by_role("heading", level=1, name=text)


def test_AU05_signing_in_leads_to_the_page_that_was_asked_for(fresh):
    page = fresh.go("/content/posts?status=draft")
    expect(heading(page, "Welcome to 365CMS")).to_be_visible()
    page.get_by_role("button", name="Sign in").click()
    fresh.sign_in()
    page.wait_for_url("**/admin/content/posts?status=draft")
    expect(heading(page, "Posts")).to_be_visible()
    # The session is a cookie that no script can read.
    assert not page.evaluate("document.cookie")
    assert page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)") == "{}{}"
    page.get_by_role("button", name="Sign out").click()
    expect(heading(page, "You are signed out")).to_be_visible()
    fresh.go("/content/posts")
    expect(heading(page, "Welcome to 365CMS")).to_be_visible()


def test_AU05_a_session_that_ends_loses_nothing_that_was_typed(fresh, cms):
    page = fresh.go("/content/posts/new")
    page.get_by_role("button", name="Sign in").click()
    fresh.sign_in()
    expect(heading(page, "New post")).to_be_visible()
    title = stack.unique("half-filled")
    page.get_by_label("Title", exact=True).fill(title)
    page.evaluate("""async () => {
        const { data } = await (await fetch('/api/v2/auth/session')).json();
        await fetch('/oauth/session/end', { method: 'POST', headers: { 'X-CMS365-CSRF': data.csrf } });
    }""")
    page.get_by_role("button", name="Save as draft").click()
    dialog = page.get_by_role("dialog", name="Your session has ended")
    with page.expect_popup() as popup:
        dialog.get_by_role("button", name="Sign in again").click()
    fresh.sign_in(popup.value)
    expect(heading(page, title)).to_be_visible()
    expect(dialog).to_be_hidden()
    found = cms.get("/api/v2/posts", params={"filter[title]": title}).json()["data"]
    assert [p["status"] for p in found] == ["draft"]


def test_AU01_a_key_is_made_used_and_revoked(admin):
    page = admin.go("/access/keys")
    page.get_by_role("link", name="New key").first.click()
    name = stack.unique("Website")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("checkbox", name="posts:read").check()
    page.get_by_role("button", name="Create").click()
    secret = page.locator("code[data-secret]").inner_text()
    with stack.Client(key=secret) as client:
        assert client.get("/api/v2/posts?limit=1").status_code == 200
        page.get_by_role("link", name="I have kept it").click()
        expect(heading(page, name)).to_be_visible()
        assert secret not in page.content()
        page.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("This key is not accepted any more.")).to_be_visible()
        stack.wait_for(lambda: client.get("/api/v2/posts?limit=1").status_code == 401, what="the key is refused")


def test_a_post_is_written_published_and_taken_back(admin, cms):
    page = admin.go("/content/posts/new")
    title = stack.unique("Tea")
    # Nothing is sent that is not there: the server's words stand at the field.
    page.get_by_label("Excerpt").fill("x")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.get_by_label("Title", exact=True)).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Title", exact=True).fill(title)
    page.get_by_label(re.compile("^Content")).fill("<p>Green.</p>")
    tags = page.get_by_label("Keywords")
    tags.fill("tea")
    tags.press("Enter")
    page.get_by_role("button", name="Save as draft").click()
    expect(heading(page, title)).to_be_visible()
    page.get_by_label("Excerpt").fill("Short.")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator(".badge", has_text="Published")).to_be_visible()
    post = cms.get("/api/v2/posts", params={"filter[title]": title}).json()["data"][0]
    assert (post["status"], post["excerpt"], post["tags"]) == ("published", "Short.", ["tea"])
    page.get_by_role("button", name="Unpublish").click()
    expect(page.locator(".badge", has_text="Draft")).to_be_visible()
    # The history tells, compares and restores.
    page.get_by_role("link", name="History").click()
    expect(page.locator("[data-diff=status]")).to_contain_text("Published")
    page.get_by_role("button", name="Restore").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.locator(".badge", has_text="Published")).to_be_visible()
    # Deleted, and back from the trash.
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/admin/content/posts")
    assert cms.get(f"/api/v2/posts/{post['id']}").status_code == 404
    page.get_by_role("link", name="Trash").click()
    # By its title: nobody knows numbers.
    page.get_by_role("row", name=re.compile(re.escape(title))).get_by_role("button", name="Restore").click()
    expect(heading(page, title)).to_be_visible()
    assert cms.get(f"/api/v2/posts/{post['id']}").json()["data"]["title"] == title


def test_two_people_save_and_neither_loses(admin, cms):
    post = cms.make("/api/v2/posts", title=stack.unique("Both"), excerpt="first", status="draft")
    path = f"/api/v2/posts/{post['id']}"
    page = admin.go(f"/content/posts/{post['id']}")
    page.get_by_label("Excerpt").fill("mine")
    page.get_by_label("Language").fill("de")
    cms.patch(path, json={"excerpt": "theirs", "seo_title": "Only theirs"})
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog", name="Somebody else has saved in the meantime")
    expect(dialog).to_contain_text("Title for search engines")
    for text in ("first", "mine", "theirs"):
        expect(dialog.get_by_text(text, exact=True)).to_be_visible()
    assert cms.get(path).json()["data"]["excerpt"] == "theirs"
    expect(dialog.get_by_role("button", name="1 choice left")).to_be_disabled()
    dialog.get_by_role("radio", name="Yours").check()
    dialog.get_by_role("button", name="Merge into the form").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Everything is saved.")).to_be_visible()
    now = cms.get(path).json()["data"]
    assert (now["excerpt"], now["language"], now["seo_title"]) == ("mine", "de", "Only theirs")


def test_many_rows_are_changed_at_once(admin, cms):
    word = stack.unique("many")
    ids = [cms.make("/api/v2/posts", title=f"{word} {n}", status="draft")["id"] for n in range(3)]
    page = admin.go("/content/posts")
    page.get_by_role("searchbox", name="Search").fill(word)
    expect(page.get_by_text("3 entries")).to_be_visible()
    page.get_by_role("checkbox", name="Choose all on this page").check()
    page.get_by_role("button", name="Set to: Published").click()
    expect(page.locator(".badge", has_text="Published")).to_have_count(3)
    assert {cms.get(f"/api/v2/posts/{i}").json()["data"]["status"] for i in ids} == {"published"}


def test_W01_an_endpoint_is_made_and_its_deliveries_are_told(admin, cms, receiver):
    got = receiver()
    page = admin.go("/webhooks/endpoints/new")
    page.get_by_label("Address", exact=True).fill(got.url)
    page.get_by_text("Posts", exact=True).last.click()
    page.get_by_role("checkbox", name="post.*").check()
    page.get_by_role("button", name="Create").click()
    secret = page.locator("code[data-secret]").inner_text()
    page.get_by_role("link", name="I have kept it").click()
    expect(heading(page, got.url)).to_be_visible()
    try:
        post = cms.make("/api/v2/posts", title=stack.unique("Hook"), status="draft")
        sent = stack.wait_for(lambda: got.of("post.created", post["id"]), what="the delivery")[0]
        mac = hmac.new(secret.encode(), sent["body"], hashlib.sha256).hexdigest()
        assert sent["headers"]["x-cms365-signature"] == f"sha256={mac}"
        page.get_by_role("main").get_by_role("link", name="Log").click()
        row = page.get_by_role("row", name=re.compile(rf"post:{post['id']}\b"))
        expect(row.get_by_text("Delivered")).to_be_visible()
        row.get_by_role("link", name="post.created").click()
        expect(page.locator("[data-attempt='1']")).to_contain_text("200")
        page.get_by_role("button", name="Send again").click()
        stack.wait_for(lambda: len(got.of("post.created", post["id"])) > 1, what="the delivery sent again")
    finally:
        for e in cms.get("/api/v2/webhooks/endpoints", params={"filter[url]": got.url}).json()["data"]:
            cms.delete(f"/api/v2/webhooks/endpoints/{e['id']}")


def test_I03_a_mapping_is_written_on_a_real_sample(admin, cms):
    word = stack.unique("order")
    source = cms.make("/api/v2/webhook-sources", name=word, provider="github")
    url = f"/api/v2/webhook-sources/{source['id']}"

    def send(n):
        body = json.dumps({"no": f"{word}-{n}", "about": {"name": f"Order {n}"}}).encode()
        mac = hmac.new(source["secret"].encode(), body, hashlib.sha256).hexdigest()
        answer = cms.post(source["path"], data=body, headers={"Content-Type": "application/json", "X-GitHub-Event": "order", "X-GitHub-Delivery": f"{word}-{n}", "X-Hub-Signature-256": f"sha256={mac}"})
        assert answer.status_code == 202, answer.text

    try:
        send(1)
        stack.wait_for(lambda: cms.get("/api/v2/webhook-messages", params={"filter[source]": source["id"]}).json()["data"], what="the stored message")
        page = admin.go(f"/webhooks/sources/{source['id']}/mapping")
        trial = page.locator("[data-trial=ok]")
        first = page.get_by_role("group", name="Row 1")
        first.get_by_label("From").fill("/about/name")
        expect(trial).to_contain_text('"title": "Order 1"')
        page.get_by_role("button", name="Add a row").click()
        second = page.get_by_role("group", name="Row 2")
        second.get_by_label("From").fill("/no")
        second.get_by_label("To", exact=True).fill("slug")
        page.get_by_role("button", name="Add a row").click()
        third = page.get_by_role("group", name="Row 3")
        third.get_by_label("From").fill("=published")
        third.get_by_label("To", exact=True).fill("status")
        page.get_by_role("button", name="upsert").click()
        expect(trial).to_contain_text("Create or change")
        expect(trial).to_contain_text(f"{word}-1")
        assert not cms.get("/api/v2/posts", params={"filter[slug]": f"{word}-2"}).json()["data"]
        page.get_by_role("button", name="Save the mapping").click()
        expect(page.get_by_text("Everything is saved.")).to_be_visible()
        send(2)
        post = stack.wait_for(lambda: cms.get("/api/v2/posts", params={"filter[slug]": f"{word}-2"}).json()["data"], what="the post made of the message")[0]
        assert (post["title"], post["status"]) == ("Order 2", "published")
        page.get_by_role("link", name="Message log").last.click()
        expect(page.locator("table .badge", has_text="Done")).to_be_visible()
    finally:
        cms.delete(url)


def test_a_person_is_invited_and_suspended(admin, cms):
    name = stack.unique("kim")
    page = admin.go("/users/invite")
    page.get_by_label("User name").fill(name)
    page.get_by_label("E-mail").fill(f"{name}@example.com")
    page.get_by_label("Role").select_option("editor")
    page.get_by_role("button", name="Invite").click()
    expect(heading(page, name)).to_be_visible()
    page.get_by_role("button", name="Suspend").click()
    page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("This person is suspended and cannot sign in.")).to_be_visible()
    person = cms.get("/api/v2/users", params={"filter[username]": name}).json()["data"][0]
    assert (person["role"], person["status"]) == ("editor", "suspended")


def test_the_keyboard_is_enough(admin, cms):
    post = cms.make("/api/v2/posts", title=stack.unique("Keys"), status="draft")
    page = admin.go(f"/content/posts/{post['id']}")
    expect(heading(page, post["title"])).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        at = page.evaluate("""() => {
            const e = document.activeElement;
            const box = e.getBoundingClientRect();
            return { name: e.labels?.[0]?.innerText ?? e.innerText, shown: box.width > 0 && box.bottom > 0 && box.top < innerHeight, ring: getComputedStyle(e).outlineStyle };
        }""")
        assert at["shown"], at
        seen.append(at["name"].strip())
        if seen[-1].startswith("Title"):
            break
    assert seen[-1].startswith("Title"), seen
    page.keyboard.type("!")
    expect(page.get_by_text("There are unsaved changes.")).to_be_visible()
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Everything is saved.")).to_be_visible()
    assert "!" in cms.get(f"/api/v2/posts/{post['id']}").json()["data"]["title"]
    # A dialog holds the focus, Escape closes it, and the focus is where it was.
    button = page.get_by_role("button", name="Delete")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()


def test_a_program_that_is_away_is_told_in_words(admin):
    page = admin.page
    page.route("**/api/v2/posts?*", lambda r: r.fulfill(status=503, content_type="application/problem+json", body='{"type":"x/unavailable","title":"t","status":503,"detail":"d"}'))
    admin.go("/content/posts")
    expect(page.get_by_role("alert")).to_contain_text("does not answer right now")
    page.unroute("**/api/v2/posts?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("table", name="Posts")).to_be_visible()


# --- signing in

@pytest.fixture
def somebody(cms, chromium):
    """An author with a password, and a window of theirs that is signed in."""
    person = with_password(cms)
    window = Window(chromium)
    window.go("/security")
    window.page.get_by_role("button", name="Sign in").click()
    window.sign_in(username=person["username"], password=PASSWORD)
    expect(heading(window.page, "Password and sign-in")).to_be_visible()
    yield person, window
    window.check()
    window.context.close()


def test_AU11_sign_in_with_a_second_factor_then_make_a_key_and_use_it(somebody, fresh):
    person, window = somebody
    page = window.page
    page.get_by_role("button", name="Set up a second factor").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Password", exact=True).fill("not it")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_label("Password", exact=True)).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Go on").click()
    # The picture is one: it was made by the server, and the page may show it.
    picture = dialog.get_by_role("img", name="QR code for the authenticator app")
    expect(picture).to_be_visible()
    assert picture.evaluate("(e) => e.complete && e.naturalWidth > 100")
    secret = dialog.locator("code[data-secret]").inner_text()
    dialog.get_by_label("Code from the app").fill(totp(secret))
    dialog.get_by_role("button", name="Go on").click()
    codes = dialog.locator("[data-codes] code")
    expect(codes).to_have_count(10)
    first = codes.first.inner_text()
    dialog.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_text("On", exact=True)).to_be_visible()
    # Another browser: the password alone opens nothing, the code does.
    other = fresh.go("/access/keys/new")
    other.get_by_role("button", name="Sign in").click()
    fresh.sign_in(username=person["username"], password=PASSWORD)
    expect(heading(other, "Second step")).to_be_visible()
    other.get_by_label(re.compile("Code from your app")).fill(totp(secret, 1))
    other.get_by_role("button", name="Go on").click()
    expect(heading(other, "New key")).to_be_visible()
    other.get_by_label("Name", exact=True).fill(stack.unique("Mine"))
    other.get_by_role("checkbox", name="posts:read").check()
    other.get_by_role("button", name="Create").click()
    key = other.locator("code[data-secret]").inner_text()
    with stack.Client(key=key) as client:
        assert client.get("/api/v2/posts?limit=1").status_code == 200
        assert client.get("/api/v2/auth/keys").status_code == 403
    # Both browsers are told; the other one is signed out from here.
    page.reload()
    browsers = page.get_by_role("table", name="Sessions")
    expect(browsers.get_by_role("row")).to_have_count(3)
    expect(browsers.locator(".badge", has_text="This one")).to_have_count(1)
    page.get_by_role("button", name="Sign out everywhere else").click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out there").click()
    expect(browsers.get_by_role("row")).to_have_count(2)
    fresh.go("/access/keys")
    expect(heading(other, "Welcome to 365CMS")).to_be_visible()
    # New recovery codes void the old; with one of them it is ended.
    page.get_by_role("button", name="New recovery codes").click()
    dialog.get_by_label("Code from the app").fill(first)
    dialog.get_by_role("button", name="Go on").click()
    expect(codes).to_have_count(10)
    fresh_code = codes.first.inner_text()
    assert fresh_code != first
    dialog.get_by_role("button", name="I have kept it").click()
    page.get_by_role("button", name="Sign in without it again").click()
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    dialog.get_by_label(re.compile("Code from the app")).fill(fresh_code)
    dialog.get_by_role("button", name="Sign in without it again").click()
    expect(page.get_by_text("Off", exact=True)).to_be_visible()


def test_AU11_a_person_changes_their_password(somebody, fresh):
    person, window = somebody
    page, better = window.page, "another evening with tea"
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password").fill("short")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_label("New password")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("New password").fill(better)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("The password was changed.")).to_be_visible()
    expect(page.get_by_label("New password")).to_have_value("")
    other = fresh.go("/")
    other.get_by_role("button", name="Sign in").click()
    fresh.sign_in(username=person["username"], password=PASSWORD)
    expect(other.get_by_role("alert")).to_contain_text("wrong")
    fresh.sign_in(username=person["username"], password=better)
    other.wait_for_url("**/admin/")


# --- what is told and limited

def test_AU13_the_audit_log_says_in_words_who_did_what(admin, cms):
    key = cms.make("/api/v2/auth/keys", name=stack.unique("Watched"), scopes=["posts:read"])
    cms.delete(f"/api/v2/auth/keys/{key['id']}")
    page = admin.go("/operations/audit")
    page.get_by_label("What", exact=True).select_option("key")
    entry = page.locator("[data-type='key.revoked']", has=page.get_by_role("link", name=key["name"], exact=True))
    expect(entry).to_contain_text("API key revoked")
    expect(entry.get_by_role("link", name="admin").first).to_be_visible()
    entry.get_by_text("More").click()
    expect(entry.get_by_role("definition").filter(has_text=f"key:{key['id']}").first).to_be_visible()
    entry.get_by_role("link", name=key["name"], exact=True).click()
    expect(heading(page, key["name"])).to_be_visible()
    stack.wait_for(lambda: Door().attempt(stack.unique("nobody"), "wrong password").status_code == 401, 20, "a wrong try")
    admin.go("/operations/audit?kind=refused")
    expect(page.locator("[data-type='login.failed']").first).to_contain_text("Wrong password")
    expect(page.locator("[data-type='key.revoked']")).to_have_count(0)


def test_N04_a_quota_is_used_up_and_the_page_says_whose(admin, cms):
    name = stack.unique("Small")
    page = admin.go("/access/keys/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("checkbox", name="posts:read").check()
    page.get_by_label(re.compile("^Units a month")).fill("40")
    page.get_by_role("button", name="Create").click()
    secret = page.locator("code[data-secret]").inner_text()
    counts = hammer(60, "/api/v2/posts/999999999", secret)
    assert counts[429] > 0, counts
    stack.wait_for(lambda: [r for r in cms.get("/api/v2/auth/quotas").json()["data"] if r["name"] == name and r["used"] == 40], 30, "the use to be told")
    admin.go(f"/operations/quotas?q={name}")
    row = page.get_by_role("row", name=re.compile(name))
    expect(row.get_by_role("meter", name=name)).to_have_attribute("aria-valuetext", "40 of 40")
    expect(row).to_contain_text("used up")
    row.get_by_role("link", name=name).click()
    page.get_by_label(re.compile("^Units a month")).fill("80")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Everything is saved.")).to_be_visible()
    with stack.Client(key=secret) as client:
        stack.wait_for(lambda: client.get("/api/v2/posts/999999999").status_code == 404, 20, "the raised quota")


def test_AU03_the_policy_refuses_to_shut_its_maker_out(admin, cms):
    page = admin.go("/access/policy")
    networks = page.get_by_label("Networks", exact=True)
    networks.fill("192.0.2.0/24")
    networks.press("Enter")
    page.get_by_role("button", name="Save").click()
    expect(networks).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text(re.compile("You would shut yourself out"))).to_be_visible()
    assert cms.get("/api/v2/auth/policy").json()["data"]["allowed_networks"] == []
    networks.fill("127.0.0.0/8")
    networks.press("Enter")
    try:
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Everything is saved.")).to_be_visible()
        assert cms.get("/api/v2/auth/policy").json()["data"]["allowed_networks"] == ["192.0.2.0/24", "127.0.0.0/8"]
    finally:
        cms.patch("/api/v2/auth/policy", json={"allowed_networks": [], "totp_roles": []})


# --- webhooks

def test_W02_a_webhook_is_previewed_tested_turned_and_sent_again(admin, cms, receiver):
    got = receiver()
    post = cms.make("/api/v2/posts", title=stack.unique("Shown"), status="draft")
    page = admin.go("/webhooks/endpoints/new")
    page.get_by_label("Address", exact=True).fill(got.url)
    page.get_by_text("Posts", exact=True).last.click()
    page.get_by_role("checkbox", name="post.*").check()
    # What it will get, before it is saved.
    page.get_by_role("button", name="Preview the request").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Show").click()
    expect(dialog.get_by_role("region", name="Body")).to_contain_text('"type": "post.')
    expect(dialog.get_by_role("region", name="Header fields")).to_contain_text("webhook-id")
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Create").click()
    first = page.locator("code[data-secret]").inner_text()
    page.get_by_role("link", name="I have kept it").click()
    expect(heading(page, got.url)).to_be_visible()
    try:
        page.get_by_role("button", name="Preview and test").click()
        dialog.get_by_role("button", name="Send a test").click()
        expect(dialog.get_by_text("The endpoint took it.")).to_be_visible()
        dialog.get_by_role("button", name="Close").click()
        # Another secret; both hold for the overlap, so a receiver that knows either is content.
        page.get_by_role("button", name="New secret").click()
        dialog.get_by_role("button", name="New secret").click()
        second = dialog.locator("code[data-secret]").inner_text()
        assert second != first
        dialog.get_by_role("button", name="I have kept it").click()
        cms.patch(f"/api/v2/posts/{post['id']}", json={"title": stack.unique("Turned")})
        sent = stack.wait_for(lambda: got.of("post.updated", post["id"]), 30, "the delivery")[0]
        said = {hmac.new(s.encode(), sent["body"], hashlib.sha256).hexdigest() for s in (first, second)}
        assert {p.split("=", 1)[1] for p in re.split(r"[, ]+", sent["headers"]["x-cms365-signature"])} & said
        # What was missed since yesterday is counted first, then sent again.
        page.get_by_role("button", name="Send what was missed").click()
        dialog.get_by_role("button", name="Count first").click()
        expect(dialog.get_by_text(re.compile("That is [0-9]+ entr"))).to_be_visible()
        dialog.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".badge", has_text="Paused")).to_be_visible()
    finally:
        for e in cms.get("/api/v2/webhooks/endpoints", params={"filter[url]": got.url}).json()["data"]:
            cms.delete(f"/api/v2/webhooks/endpoints/{e['id']}")
