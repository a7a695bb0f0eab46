"""A browser window with the admin in it."""
import os

from . import stack

PATIENCE_MS = int(os.environ.get("CMS365_TEST_PATIENCE_MS", 60_000))  # on a machine that does other things too
WATCH = "window.violations = []; addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI));"


class Window:
    """One browser context with a page in it."""

    def __init__(self, chromium, state=None, context=None, **options):
        self.context = context or chromium.new_context(base_url=stack.URL, storage_state=state, locale=options.pop("locale", "en-GB"),
                                            timezone_id="Europe/Berlin", viewport=options.pop("viewport", {"width": 1280, "height": 2000}),
                                            permissions=["clipboard-write"], **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(WATCH)
        self.faults = []
        self.context.on("weberror", lambda e: self.faults.append(str(e.error)))
        self.page = self.context.new_page()

    def go(self, path):
        self.page.goto(f"/admin{path}")
        return self.page

    def visit(self, path):
        """As a link does it, without loading the admin anew."""
        self.page.evaluate("""(to) => {
            history.pushState({}, '', to);
            dispatchEvent(new PopStateEvent('popstate'));
            return new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
        }""", f"/admin{path}")
        return self.page

    def sign_in(self, page=None, username="admin", password=None):
        page = page or self.page
        page.locator("input[name=username]").fill(username)
        page.locator("input[name=password]").fill(password or stack.SETTINGS["CMS365_ADMIN_PASSWORD"])
        page.locator("form[action='/oauth/login'] button").first.click()

    def check(self):
        violations = self.page.evaluate("window.violations")
        assert not violations and not self.faults, (violations, self.faults)
