"""The page of each verdict, and what changed on an alert: was, is, and one click that accepts it."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.detector import detectors
from backwatch.detector.rules import rulebook
from backwatch.store import rules_meta, tables
from backwatch.store.commit import AlertRound, Occurrence, RaisedAlert, ResourceActivity
from tests.dashboard.screens import Dashboard, Window, serve
from tests.services.commits import alert_id, make_raised

pytestmark = pytest.mark.heavy

S = 10**9
OLD, NEW, THIRD = (hashlib.sha256(text).hexdigest() for text in (b"old", b"new", b"third"))
CERTIFICATE: dict[str, Any] = {
    "db.system.name": "postgresql", "tls.server.hash.sha256": NEW, "tls.server.hash.sha256.was": OLD,
    "tls.server.issuer": "CN=Another CA", "tls.server.issuer.was": "CN=Our CA", "backwatch.certificate.new": 1,
    "backwatch.orphan.was": "without its fact",
}  # fmt: skip
PARTS = (
    "What it means", "How the attack works", "What to do", "Driver by driver, for", "False positives",
    "What this rule cannot see", "Evidence to look at", "ATT&CK technique", "As of ATT&CK v18.1",
)  # fmt: skip


def make_alert(rule: str, key: str, evidence: dict[str, Any], **more: Any) -> RaisedAlert:
    now_ns = time.time_ns()
    found = Occurrence(time_ns=now_ns, trace_id="a" * 32, span_id="b" * 16, evidence=evidence)
    return make_raised(key, rule=rule, at_ns=now_ns, occurrences=[found], **more)


@pytest.fixture(scope="module")
def filled(dashboard: Dashboard) -> Dashboard:
    """All shipped rules as the detector publishes them, alerts of two, and one of a removed rule."""
    rules_meta.write_rules(dashboard.store, [rulebook.rule_metadata(one) for one in rulebook.load().rules])
    two = make_alert("certificate-changed", "two", CERTIFICATE)
    first = replace(two.occurrences[0], evidence={**CERTIFICATE, "tls.server.hash.sha256": THIRD})
    two = replace(two, count=2, occurrences=[first, *two.occurrences])
    rows = [
        make_alert("certificate-changed", "db", CERTIFICATE), make_alert("certificate-changed", "other", CERTIFICATE),
        make_alert("query-attack", "search", {"db.system.name": "postgresql", "backwatch.query.novel": 1}),
        make_alert("was-once-a-rule", "x", {"tls.established": True}), two,
    ]  # fmt: skip
    now_ns = time.time_ns()
    seen = ResourceActivity(
        resource_id="0" * 64, app="shop", system="redis", endpoint="cache:6379", namespace="0", first_ns=now_ns,
        last_ns=now_ns, calls=1, errors=0, facts={},
    )  # fmt: skip
    dashboard.owner.commit(AlertRound(raised=rows), seen=[seen], now_ns=now_ns)
    return dashboard


@pytest.fixture(scope="module")
def empty() -> Iterator[Dashboard]:
    """A dashboard over a store that no detector has written yet."""
    with serve(BACKWATCH_DASHBOARD_REFRESH_S="1") as one:
        yield one


def decisions(store: sa.Engine, of_alert: str) -> list[tuple[str, str, int]]:
    table = tables.decision
    with store.connect() as connection:
        rows = connection.execute(sa.select(table).where(table.c.alert_id == of_alert).order_by(table.c.entry_id))
        return [(row.kind, row.by, row.until_ns) for row in rows]


def main_text(window: Window) -> str:
    return window.page.evaluate("document.querySelector('[data-testid=stMain]').innerText")


def test_the_list_is_gravest_first_and_can_be_searched(window: Window, filled: Dashboard) -> None:
    window.go("/rules", "hostile-payload")
    assert window.cell(0, 1) == "● critical"
    window.go("/rules?text=a+server+CERTIFICATE+that", "certificate-changed")
    assert (window.cell(0, 0), window.cell(0, 2)) == ("certificate-changed", "3")
    assert "hostile-payload" not in window.page.evaluate("document.body.textContent")
    window.go("/rules?levels=critical&text=server+certificate+that", "No rule matches these filters")
    window.go("/rules?text=no+rule+has+this", "No rule matches these filters")


def test_rule_in_the_list_opens_its_page_and_links_back(window: Window, filled: Dashboard) -> None:
    window.go("/rules?text=certificate-changed", "certificate-changed")
    window.press_id(0)
    window.until("location.pathname === '/rule' && location.search.includes('name=certificate-changed')")
    window.see("How the attack works")
    window.page.go_back()
    window.until("location.pathname === '/rules'")
    window.see("Put your own rules into a folder")
    window.unsee("How the attack works")


def test_a_page_has_all_its_parts(window: Window, filled: Dashboard) -> None:
    [rule] = [one for one in rulebook.load().rules if one.name == "certificate-changed"]
    window.go("/rule?name=certificate-changed", "Read more")
    for words in (*PARTS, rule.title, rule.description, *rule.how, rule.remediation, rule.blind_spots, "T1557"):
        window.see(words)


def test_drivers_are_those_of_the_services_in_use_until_another_is_chosen(window: Window, filled: Dashboard) -> None:
    window.go("/rule?name=certificate-changed", "redis.Redis(host, ssl=True")
    window.unsee('sslmode="verify-full"')
    window.go("/rule?name=certificate-changed&system=postgresql", 'psycopg.connect(url, sslmode="verify-full"')
    window.unsee("redis.Redis(")
    window.choose("Driver by driver, for", "every service")
    window.see("redis.Redis(host, ssl=True")
    window.see("ftplib.FTP_TLS(")


def test_open_alerts_are_one_click_away(window: Window, filled: Dashboard) -> None:
    window.go("/rule?name=query-attack", "Open alerts: 1")
    window.page.get_by_role("link", name="Open alerts: 1").click()
    window.until("location.pathname === '/alerts' && location.search.includes('q=query-attack')")
    window.see("search")
    window.unsee("certificate-changed")


def test_alert_links_its_rules_page_and_back(window: Window, filled: Dashboard) -> None:
    one = alert_id("query-attack", "search")
    window.go(f"/alert?id={one}", 'cursor.execute("SELECT … WHERE id = %s", (wanted,))')
    window.page.get_by_role("link", name="All about this rule").click()
    window.until("location.pathname === '/rule' && location.search.includes('name=query-attack')")
    window.see("How the attack works")
    assert "system=postgresql" in window.page.url
    window.page.go_back()
    window.see("Decide")
    window.see(one)


def test_removed_rule_shows_a_notice(window: Window, filled: Dashboard) -> None:
    window.go("/rule?name=was-once-a-rule", "No such rule")
    window.go(f"/alert?id={alert_id('was-once-a-rule', 'x')}", "This rule is no longer known")
    assert window.page.get_by_role("link", name="All about this rule").count() == 0


def test_rule_list_without_a_detector_shows_a_notice(browser: Any, empty: Dashboard) -> None:
    page = browser.new_page()
    window = Window(page, empty.url)
    window.go("/rule?name=query-attack", "No such rule")
    window.go("/rules", "The detector has not published its rules yet")
    page.close()


def test_change_shows_once_on_top_with_its_previous_value(window: Window, filled: Dashboard) -> None:
    window.go(f"/alert?id={alert_id('certificate-changed', 'db')}", "Evidence of the newest occurrence")
    assert [window.cell(row, 0) for row in range(2)] == ["Certificate SHA-256", "Certificate issuer"]
    assert [window.cell(0, column).replace(" ", "") for column in (1, 2)] == [OLD, NEW]
    assert [window.cell(1, column) for column in (1, 2)] == ["CN=Our CA", "CN=Another CA"]
    shown = window.page.evaluate("document.body.textContent")
    assert "tls.server.issuer" not in shown
    assert "Certificate new" in shown
    assert "backwatch.certificate.new" in shown
    assert "backwatch.orphan.was" in shown  # a previous value without a current one is evidence as any other


def test_other_values_of_the_episode_are_shown(window: Window, filled: Dashboard) -> None:
    window.go(f"/alert?id={alert_id('certificate-changed', 'two')}", "This episode showed other values as well.")
    assert [window.cell(0, column, 1).replace(" ", "") for column in (0, 1)] == ["CertificateSHA-256", THIRD]
    window.go(f"/alert?id={alert_id('certificate-changed', 'db')}", "Evidence of the newest occurrence")
    assert "This episode showed other values" not in main_text(window)


def test_one_click_accepts_a_change_for_good(window: Window, filled: Dashboard) -> None:
    one = alert_id("certificate-changed", "db")
    page = window.page
    window.go(f"/alert?id={one}", "Accept the new value")
    page.get_by_label("Your name").fill("Kim")
    window.press("Accept the new value")
    window.see("accept: entered as number")
    assert decisions(filled.store, one) == [("accept", "Kim", 0)]
    window.see("Revoke acceptance")
    # The name is asked for once: the next change needs only one click.
    page.get_by_role("link", name="← Alerts").click()
    window.see("Rule, resource or text")
    other = alert_id("certificate-changed", "other")
    row = next(number for number in range(5) if window.cell(number, 0).replace("\xa0", "") == other)
    window.press_id(row)
    window.until(f"location.search.includes('{other}')")
    window.press("Accept the new value")
    window.see("accept: entered as number")
    assert decisions(filled.store, other) == [("accept", "Kim", 0)]


def test_where_nothing_changed_acceptance_has_its_end(window: Window, filled: Dashboard) -> None:
    one = alert_id("query-attack", "search")
    window.go(f"/alert?id={one}", "Mute or accept for")
    assert window.page.get_by_role("button", name="Accept the new value").count() == 0
    window.page.get_by_label("Your name").fill("Kim")
    window.press("Accept")
    window.see("accept: entered as number")
    [(kind, by, until_ns)] = decisions(filled.store, one)
    assert (kind, by) == ("accept", "Kim")
    assert abs(until_ns - time.time_ns() - 7 * 86_400 * S) < 600 * S


def test_page_knows_alerts_whose_value_is_accepted(window: Window, filled: Dashboard) -> None:
    of_values = {one.name for one in rulebook.load().rules if rulebook.rule_metadata(one)["accepts"]}
    assert of_values == {one.id for one in detectors.discover() if one.accepts}
    words = "Accept: treat this value as expected"
    forms = {"messaging.system": "kafka", "backwatch.message.forms": "json"}
    filled.owner.commit(
        AlertRound(raised=[make_alert("unusual-message", "orders", forms)]), seen=[], now_ns=time.time_ns()
    )
    window.go(f"/alert?id={alert_id('unusual-message', 'orders')}", words)
    window.go(f"/alert?id={alert_id('query-attack', 'search')}", "Accept: treat this as expected.")
    window.unsee(words)
