"""Every page shows on top that the detector is dead, beside any content."""

import dataclasses
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from backwatch.store.progress import PartitionProgress, write_progress
from tests.dashboard.screens import Dashboard, Window, serve
from tests.services.commits import alert_id, make_raised

SECOND = 10**9
ROW = PartitionProgress(
    consumer_group="backwatch-detector", topic="backwatch_calls", partition_id=0, next_offset=9, end_offset=9,
    advanced_ns=0, updated_ns=0, member="host:1",
)  # fmt: skip
PATHS = ("/", "/alerts", "/resources", "/rules", "/rule?name=x", f"/alert?id={alert_id('unusual-query', 'k')}")
SILENT = "The detector has not reported since "


def report(dashboard: Dashboard, silent_s: float = 0, **more: object) -> None:
    now_ns = time.time_ns() - int(silent_s * SECOND)
    row = dataclasses.replace(ROW, **{"advanced_ns": now_ns, "updated_ns": now_ns, **more})  # type: ignore[arg-type]
    write_progress(dashboard.store, [row])


@pytest.fixture(scope="module")
def watched() -> Iterator[Dashboard]:
    """A dashboard with many open alerts."""
    with serve(BACKWATCH_DASHBOARD_REFRESH_S="1") as one:
        one.owner.commit(*(make_raised(key, at_ns=10**18) for key in ("k", "l", "m")), now_ns=time.time_ns())
        yield one


@pytest.fixture
def page(browser: Browser, watched: Dashboard) -> Iterator[Window]:
    found = browser.new_page(viewport={"width": 1400, "height": 900})
    yield Window(found, watched.url)
    found.close()


@pytest.mark.parametrize("path", PATHS)
def test_every_page_shows_a_dead_detector_on_top(page: Window, watched: Dashboard, path: str) -> None:
    report(watched, silent_s=240)
    page.go(path, SILENT)
    page.see(" UTC (4 min). New alerts cannot appear.")
    top = page.page.locator(".st-key-banner").bounding_box()
    assert top is not None
    assert top["y"] < 150
    colour = "getComputedStyle(document.querySelector('.st-key-banner [data-testid=stText] *') "
    colour += "?? document.querySelector('.st-key-banner [data-testid=stText]')).color"
    assert page.page.evaluate(colour) == "rgb(255, 255, 255)"  # in either theme, on red


def test_the_banner_goes_once_the_detector_reports_and_comes_by_itself(page: Window, watched: Dashboard) -> None:
    report(watched)
    page.go("/", "Open alerts, gravest first")
    page.unsee(SILENT)
    report(watched, silent_s=61)
    page.see(SILENT)
    report(watched)
    page.unsee(SILENT)


def test_a_stalled_partition_is_shown_with_its_reason_as_text(page: Window, watched: Dashboard) -> None:
    report(watched)
    long_ago_ns = time.time_ns() - 90 * SECOND
    hostile = "![x](http://evil.example/x.png) <img src=x> **codec**"
    report(watched, partition_id=5, end_offset=29, advanced_ns=long_ago_ns, reason=hostile)
    page.go("/", "Partition 5 of backwatch_calls has not advanced since ")
    page.see(f"Reason: {hostile}")
    page.see("5, advanced 1 min ago")
    assert page.page.locator(".st-key-banner img").count() == 0
    report(watched, partition_id=5, next_offset=29, end_offset=29)
