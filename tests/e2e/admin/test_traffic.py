"""Traffic, the request log and anomalies, as an operator meets them."""
import re
import time

from playwright.sync_api import expect

from support import stack
from support.analytics import BASE, detector_from, replay, row, sql, usual_rate
from support.window import Window


def heading(page, text):
    return page.get_by_role("heading", level=1, name=text)


def test_N03_a_slow_request_is_found(admin, cms):
    route = f"/api/v2/{stack.unique('report')}"
    now = time.time() - 120
    replay([row(now + i % 60, route=route, total_us=3000) for i in range(900)] + [row(now + i, route=route, total_us=1_830_000, status=503, problem="timeout") for i in range(60)])
    stack.wait_for(lambda: cms.get(f"{BASE}/overview?window=1h&route={route}").json()["data"]["requests"] == 960, 60, "the traffic", 0.3)
    page = admin.go("/operations/traffic?window=1h")
    expect(heading(page, "Traffic")).to_be_visible()
    page.get_by_label("Sorted by").select_option("p95")
    link = page.get_by_role("link", name=f"GET {route}")
    line = page.get_by_role("row").filter(has=link)
    expect(line).to_contain_text(re.compile(r"1\.8\d s"))  # a quantile within 1 %
    expect(line).to_contain_text("6.25 %")
    # The charts are drawn, and say in words what they show.
    expect(page.get_by_role("img", name="Requests over time")).to_be_visible()
    expect(page.locator(".chart canvas")).to_have_count(2)
    link.click()
    expect(heading(page, "Request log")).to_be_visible()
    page.get_by_label("Took").select_option("1000")
    rows = page.get_by_role("table", name="Request log").get_by_role("row").filter(has_text=route)
    expect(rows).to_have_count(25)
    expect(rows.first).to_contain_text("503")
    expect(rows.first).to_contain_text("timeout")
    expect(rows.first).to_contain_text("1.83 s")
    assert "slower=1000" in page.url and "route=" in page.url


def test_N01_the_log_is_followed_live(admin, key):
    page = admin.go("/operations/requests?status=400")
    page.get_by_role("button", name="Follow live").click()
    expect(page.locator("[data-live=ready]")).to_be_visible()
    own = key(["posts:read"])
    own.get("/api/v2/posts?per_page=1")
    own.get("/api/v2/posts/999999998")
    table = page.get_by_role("table", name="Live")
    expect(table.get_by_role("row").filter(has_text="/api/v2/posts/{id}").filter(has_text="404").first).to_be_visible()
    expect(table.get_by_role("row").filter(has_text="200")).to_have_count(0)
    page.get_by_role("button", name="Stop following").click()
    expect(page.get_by_role("table", name="Request log")).to_be_visible()


def test_N05_an_anomaly_raised_by_replayed_traffic_is_seen_and_answered(admin, chromium, signed_in, cms, key):
    own = key(["posts:read"])
    end = int(time.time() - 90) // 300 * 300
    replay([row(end - 1200 + i % 60, key=own.key_id, user=1) for i in range(60)])
    stack.wait_for(lambda: sql(f"select count(*) from consumers where kind = 'key' and number = {own.key_id} and user_id = 1") == "1", 60, "the key to be known", 0.3)
    usual_rate(own.key_id, 60)
    replay([row(end - 600 + 300 * half + i % 290, key=own.key_id, user=1) for half in (0, 1) for i in range(840)])
    stack.wait_for(lambda: int(sql(f"select count(*) from requests where key_id = {own.key_id} and user_id = 1")) >= 1740, 60, "the traffic to be stored", 0.3)
    detector_from(end - 600)
    stack.wait_for(lambda: cms.get(f"{BASE}/anomalies?filter[key]={own.key_id}").json()["data"], 60, "the anomaly", 0.5)
    page = admin.go("/")
    page.get_by_role("link", name="open right now").click()
    expect(heading(page, "Anomalies")).to_be_visible()
    line = page.get_by_role("row").filter(has_text=f"API key {own.key_id}: 14 × its usual").first
    expect(line).to_contain_text("840 requests in 5 minutes, usually 60")
    line.get_by_role("button", name="Mute for a day").click()
    expect(line.get_by_role("button", name="Unmute")).to_be_visible()
    line.get_by_role("button", name="False alarm").click()
    expect(line.get_by_role("button", name="False alarm")).to_have_attribute("aria-pressed", "true")
    said, = cms.get(f"{BASE}/anomalies?filter[key]={own.key_id}&filter[signal]=rate_high").json()["data"]
    assert said["muted_until"] and said["feedback"] == "false_alarm"
    german = Window(chromium, signed_in, locale="de-DE")
    german.go("/operations/anomalies")
    expect(german.page.get_by_role("row").filter(has_text=f"API-Schlüssel {own.key_id}: das 14-Fache des Üblichen (840, sonst 60").first).to_be_visible()
    german.check()
    german.context.close()
