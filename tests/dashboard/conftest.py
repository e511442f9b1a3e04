"""A store, the real dashboard over it, and a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Response, sync_playwright

from tests.dashboard.screens import FLAGS, Dashboard, Window, serve


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium, headless."""
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield one
        one.close()


@pytest.fixture(scope="module")
def dashboard() -> Iterator[Dashboard]:
    """A dashboard that draws anew every second; its store is shared by the file's tests."""
    hosts = "dash.example,127.0.0.1,proxy.example:8443,[fd00::1]:8443"
    with serve(BACKWATCH_DASHBOARD_REFRESH_S="1", BACKWATCH_DASHBOARD_ALLOWED_HOSTS=hosts) as one:
        yield one


@pytest.fixture
def window(browser: Browser, dashboard: Dashboard) -> Iterator[Window]:
    """A new page; an error in its console fails the test."""
    page = browser.new_page(viewport={"width": 1400, "height": 1600})
    one = Window(page, dashboard.url)

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            one.complaints.append(f"{message.text} {message.location}")

    def answered(answer: Response) -> None:
        if answer.status >= 400:
            one.complaints.append(f"{answer.status} {answer.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: one.complaints.append(str(error)))
    page.on("response", answered)
    yield one
    page.close()
    assert one.complaints == []
