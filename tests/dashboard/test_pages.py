"""The pages in a real browser: live and linkable, and a click opens the clicked alert."""

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from backwatch.store.commit import AlertRound, RaisedAlert, ResourceActivity, Rollup
from tests.dashboard.screens import Dashboard, Held, Window, serve
from tests.services.commits import alert_id, make_raised

pytestmark = pytest.mark.heavy

S = 10**9
RESOURCE = hashlib.sha256(b"r").hexdigest()
LOW_ATTACKS = (
    "location.pathname === '/alerts' && location.search.includes('level=low') && location.search.includes('q=attack')"
)
OTHER = hashlib.sha256(b"other").hexdigest()
WITHOUT_FACTS = hashlib.sha256(b"unseen").hexdigest()


def make_alert(key: str, *, ago_s: float = 0, **more: Any) -> RaisedAlert:
    return make_raised(key, at_ns=time.time_ns() - int(ago_s * S), **more)


@pytest.fixture(scope="module")
def filled(dashboard: Dashboard) -> Dashboard:
    """Two resources with their own alerts and an hour of volume, and one with calls only."""
    now_ns = time.time_ns()
    rows = [
        make_alert("first", ago_s=500, level="critical"),
        make_alert("second", ago_s=600, level="low", rule="query-attack"),
        make_alert("third", ago_s=700, level="low", app="billing", resource="redis cache:6379/0", resource_id=OTHER),
    ]  # fmt: skip
    seen = [
        ResourceActivity(resource_id=one, app=app, system=system, endpoint=endpoint, namespace="0",
                         first_ns=now_ns - 900 * S, last_ns=now_ns, calls=1_234, errors=0, facts=facts)
        for one, app, system, endpoint, facts in (
            (RESOURCE, "shop", "postgresql", "db:5432", {"tls.established": True, "backwatch.account": "shop_app"}),
            (OTHER, "billing", "redis", "cache:6379", {"tls.established": True, "backwatch.account": "biller"}),
            (WITHOUT_FACTS, "billing", "smtp", "mail:25", {}),
        )
    ]  # fmt: skip
    zero = dict.fromkeys(("errors", "suspects", "rows_returned", "rows_affected", "duration_ns", "new_statements"), 0)
    rollups = [
        Rollup(resource_id=RESOURCE, end_ns=(now_ns // (60 * S) - minute) * 60 * S, calls=9, bytes_sent=500,
               bytes_received=9_000, **zero)
        for minute in range(60)
    ]  # fmt: skip
    dashboard.owner.commit(AlertRound(raised=rows), seen=seen, rollups=rollups, now_ns=now_ns)
    return dashboard


@pytest.fixture(scope="module")
def fresh() -> Iterator[Dashboard]:
    """A dashboard without any earlier visit, over an empty store."""
    with serve(BACKWATCH_DASHBOARD_REFRESH_S="1") as one:
        yield one


def test_alert_link_works_as_a_servers_first_request(browser: Browser, fresh: Dashboard) -> None:
    page = browser.new_page()
    window = Window(page, fresh.url)
    window.go("/alert?id=" + "0" * 64, "No such alert")
    for path, words in (
        ("/", "backwatch run --"),
        ("/alerts", "There is no alert"),
        ("/resources", "backwatch run --"),
        ("/processes", "No process has sent a heartbeat yet"),
    ):
        window.go(path, words)
    page.close()


def test_a_new_alert_shows_without_a_reload(window: Window, filled: Dashboard) -> None:
    window.go("/alerts", "first")
    window.page.evaluate("window.still = true")
    filled.owner.commit(make_alert("shows up by itself", rule="volume-spike"))
    window.see("shows up by itself")
    assert window.page.evaluate("window.still") is True


def test_filters_in_the_url_survive_reload_and_back_link(window: Window, filled: Dashboard) -> None:
    page = window.page
    window.go("/alerts", "second")
    page.get_by_role("button", name="critical").or_(page.get_by_text("critical", exact=True)).first.click()
    window.unsee("query-attack")
    window.until("location.search.includes('level=critical')")
    window.go("/alerts?level=low&q=attack", "second")
    assert window.cell(0, 2) == "query-attack"
    window.unsee("plaintext")
    page.reload()
    window.see("second")
    assert "third" not in page.evaluate("document.body.textContent")

    window.press_id(0)
    window.until(f"location.pathname === '/alert' && location.search.includes('{alert_id('query-attack', 'second')}')")
    window.see("Decide")
    page.go_back()
    window.until(LOW_ATTACKS)
    window.see("Rule, resource or text")
    window.unsee("Decide")
    window.see("second")
    assert "third" not in page.evaluate("document.body.textContent")

    page.go_forward()
    window.see("Decide")
    page.get_by_role("link", name="← Alerts").click()
    window.until(LOW_ATTACKS)
    window.see("Rule, resource or text")
    window.unsee("Decide")
    window.see("second")
    assert "third" not in page.evaluate("document.body.textContent")


def test_resource_without_facts_shows_no_empty_table(window: Window, filled: Dashboard) -> None:
    window.go(f"/resources?id={WITHOUT_FACTS}", "No facts of its session were reported.")
    window.until("document.querySelectorAll('[data-testid=stDataFrame]').length === 2")


def test_a_level_on_the_overview_leads_to_its_open_alerts(window: Window, filled: Dashboard) -> None:
    window.go("/", "Open alerts")
    window.page.get_by_role("link", name="critical").click()
    window.until("location.pathname === '/alerts' && location.search.includes('level=critical')")
    window.see("first")
    window.unsee("second")


def test_a_resource_shows_its_session_and_volume_and_leads_to_its_alerts(window: Window, filled: Dashboard) -> None:
    page = window.page
    window.go("/resources", "shop_app")
    row = next(number for number in range(3) if window.cell(number, 0).replace("\xa0", "") == RESOURCE)
    window.press_id(row)
    window.until(f"location.search.includes('{RESOURCE}')")
    window.see("Newest session")
    page.locator("[data-testid=stVegaLiteChart]").wait_for()
    page.reload()
    window.see("Newest session")
    page.get_by_role("link", name="Its alerts").click()
    window.until(f"location.pathname === '/alerts' && location.search.includes('{RESOURCE}')")
    window.see("second")
    assert "third" not in page.evaluate("document.body.textContent")
    page.get_by_text("closed", exact=True).click()
    window.until(f"location.search.includes('state=closed') && location.search.includes('{RESOURCE}')")
    page.get_by_text("closed", exact=True).click()
    page.get_by_role("button", name="Show all resources").click()
    window.see("third")
    page.go_back()
    window.until(f"location.pathname === '/alerts' && location.search.includes('{RESOURCE}')")
    window.unsee("third")


def test_the_way_back_leads_from_an_alert_to_the_overview(window: Window, filled: Dashboard) -> None:
    window.go("/", "first")
    window.press_id(0, table=1)
    window.see("Decide")
    window.page.go_back()
    window.see("Open alerts")
    window.until("['/', '/overview'].includes(location.pathname)")


def where(window: Window) -> str:
    """Return the shown address once it no longer changes."""
    found, times = "", 0
    while times < 6:
        window.page.wait_for_timeout(500)
        now = window.page.url.removeprefix(window.url)
        found, times = now, times + 1 if now == found else 0
    return found


def test_back_link_leads_to_the_same_alert(window: Window, filled: Dashboard) -> None:
    page = window.page
    one, two = (alert_id("query-attack", f"left {key}") for key in ("one", "two"))
    filled.owner.commit(*(make_alert(f"left {key}", rule="query-attack", ago_s=-9) for key in ("one", "two")))
    window.go("/alerts?level=high", "left one")
    window.press_id(next(number for number in range(9) if window.cell(number, 0).replace("\xa0", "") == one))
    window.until(f"location.pathname === '/alert' && location.search.includes('{one}')")
    window.see("Decide")
    page.get_by_role("link", name="← Alerts").click()
    window.until("location.pathname === '/alerts' && location.search.includes('level=high')")
    window.see("Rule, resource or text")
    window.see("left two")
    window.press_id(next(number for number in range(9) if window.cell(number, 0).replace("\xa0", "") == two))
    window.until(f"location.pathname === '/alert' && location.search.includes('{two}')")
    window.see("Decide")
    visited: list[str] = []
    while not visited or not visited[-1].startswith("/alert?"):
        assert len(visited) < 8, visited
        page.go_back()
        visited.append(where(window))
        assert visited[-1] != "/alert"
    assert one in visited[-1]
    window.see("Decide")
    window.see(one)
    assert two not in page.evaluate("document.body.textContent")
    window.go("/alert", "No such alert")


def test_list_position_in_the_url_survives_reload_and_back_link(window: Window, filled: Dashboard) -> None:
    page = window.page
    keys = [f"place {number:03d}" for number in range(130)]
    filled.owner.commit(
        AlertRound(raised=[make_alert(key, rule="bulk-read", ago_s=9_000 + at) for at, key in enumerate(keys)])
    )
    window.go("/alerts?q=place", keys[0])
    page.get_by_role("button", name="Older →").click()
    window.until("location.search.includes('after=')")
    window.see(keys[100])
    page.reload()
    window.see(keys[100])
    window.press_id(0)
    window.see("Decide")
    page.get_by_role("link", name="← Alerts").click()
    window.until("location.pathname === '/alerts' && location.search.includes('q=place')")
    window.until("location.search.includes('after=')")
    window.see(keys[101])
    page.get_by_role("button", name="Newest").click()
    window.see(keys[0])
    window.until("!location.search.includes('after=') && location.search.includes('q=place')")


@pytest.mark.parametrize("page_path", ["/", "/alerts"])
def test_clicked_alert_opens_even_if_rows_have_moved(window: Window, filled: Dashboard, page_path: str) -> None:
    held, page = Held(), window.page
    page.route_web_socket("**/_stcore/stream", held)
    table = 1 if page_path == "/" else 0
    name = page_path.strip("/") or "overview"
    pressed, newer = f"pressed on {name}", f"newer on {name}"
    filled.owner.commit(make_alert(pressed, level="critical"))
    window.go(page_path, pressed)
    window.until("document.querySelectorAll('[data-testid=stDataFrame] canvas').length > 0")
    shown = window.cell(0, 0, table).replace("\xa0", "")
    assert shown == alert_id("unusual-query", pressed)

    held.holding = True
    filled.owner.commit(make_alert(newer, level="critical"))
    _until(window, lambda: any(newer.encode() in one for one in held.kept if isinstance(one, bytes)))
    # The server has drawn the newer alert in the first row. The reader still sees the older one there, and clicks it.
    assert window.cell(0, 0, table).replace("\xa0", "") == shown
    window.press_id(0, table)
    page.wait_for_timeout(300)
    held.release()
    window.until("location.pathname === '/alert'")
    window.until(f"location.search.includes('{shown}')")
    window.see(pressed)


def test_late_refresh_after_a_page_change_breaks_nothing(window: Window, filled: Dashboard) -> None:
    held, page = Held(), window.page
    page.route_web_socket("**/_stcore/stream", held)
    window.go("/alerts?level=low", "second")
    page.wait_for_timeout(2_500)
    refresh = held.sent[-1]
    window.press_id(0)
    for _ in range(12):
        held.send(refresh)
        page.wait_for_timeout(50)
    window.until("location.pathname === '/alert'")
    page.wait_for_timeout(3_000)
    window.see("Decide")
    page.go_back()
    window.until("location.pathname === '/alerts' && location.search.includes('level=low')")
    window.see("Rule, resource or text")
    window.unsee("Decide")


def test_back_during_a_refresh_keeps_forward_history(window: Window, filled: Dashboard) -> None:
    held, page = Held(), window.page
    page.route_web_socket("**/_stcore/stream", held)
    window.go("/alerts?level=low&q=attack", "second")
    window.press_id(0)
    window.until("location.pathname === '/alert'")
    window.see("Decide")
    held.holding = True
    _until(window, lambda: bool(held.kept))  # a refresh of the alert that the browser has not received yet
    page.go_back()
    page.wait_for_timeout(300)
    held.release()
    window.until(LOW_ATTACKS)
    window.see("Rule, resource or text")
    window.unsee("Decide")
    page.wait_for_timeout(2_500)  # and the refreshes that follow
    page.go_forward()
    window.until(f"location.pathname === '/alert' && location.search.includes('{alert_id('query-attack', 'second')}')")
    window.see("Decide")
    page.reload()
    window.see("Decide")
    page.go_back()
    window.until(LOW_ATTACKS)
    window.see("Rule, resource or text")
    assert "third" not in page.evaluate("document.body.textContent")


def _until(window: Window, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        window.page.wait_for_timeout(100)


def test_decision_needs_a_name_and_shows_at_once(window: Window, filled: Dashboard) -> None:
    page = window.page
    window.go(f"/alert?id={alert_id('query-attack', 'second')}", "Decide")
    page.get_by_label("Reason", exact=True).fill("not confirmed")
    window.press("Acknowledge")
    window.see("Enter your name first")
    assert page.locator(".stMarkdownBadge").nth(1).text_content() == "open"
    page.get_by_label("Your name").fill("Kim")
    window.press("Acknowledge")
    window.see("acknowledge: entered as number")
    assert page.locator(".stMarkdownBadge").nth(1).text_content() == "acknowledged"
    page.get_by_role("button", name="Acknowledge", exact=True, disabled=True).wait_for()
    window.see("not confirmed")  # typed text was kept through the refusal
    window.press("Reopen")
    window.see("reopen: entered as number")
    assert page.locator(".stMarkdownBadge").nth(1).text_content() == "open"


@pytest.mark.parametrize(("scheme", "background"), [("dark", "rgb(16, 22, 29)"), ("light", "rgb(255, 255, 255)")])
def test_theme_follows_the_readers_system(browser: Browser, filled: Dashboard, scheme: str, background: str) -> None:
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    window = Window(page, filled.url)
    window.go("/alerts", "first")
    assert page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor") == background
    assert page.title() == "Backwatch"
    page.close()
