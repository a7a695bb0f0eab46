"""Chromium, and a person who is signed in.  What the pages do wrong on the way (scripts that fail, violations of the
content security policy) fails the test that walked there."""
import os

import pytest
from playwright.sync_api import expect, sync_playwright

from support.window import PATIENCE_MS, Window

CHROMIUM = os.environ.get("CMS365_CHROMIUM", "/usr/bin/chromium")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in(chromium):
    """What the browser keeps of somebody who is signed in."""
    window = Window(chromium)
    window.go("/")
    window.page.get_by_role("button", name="Sign in").click()
    window.sign_in()
    window.page.wait_for_url("**/admin/")
    state = window.context.storage_state()
    window.context.close()
    return state


@pytest.fixture
def fresh(chromium):
    """Nobody is signed in."""
    window = Window(chromium)
    yield window
    window.check()
    window.context.close()


@pytest.fixture
def admin(chromium, signed_in):
    window = Window(chromium, signed_in)
    yield window
    window.check()
    window.context.close()
