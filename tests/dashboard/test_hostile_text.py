"""A store that is hostile in every field, seen through a real browser: nothing is fetched, run, linked or mistaken."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from playwright.sync_api import Dialog, Page

from backwatch.store import tables
from tests.dashboard import hostile
from tests.dashboard.screens import Dashboard, Window
from tests.services.http.receiver import Receiver, receiver

pytestmark = pytest.mark.heavy

FOREIGN = """() => [...document.querySelectorAll('[href],[src],[action],[data],[srcset],[poster]')]
  .flatMap(one => ['href', 'src', 'action', 'data', 'srcset', 'poster'].map(name => one.getAttribute(name)))
  .filter(url => url && !/^(data|blob):/.test(url) && new URL(url, location.href).origin !== location.origin)"""
"""Every address in the page of another origin."""
RUNNING = "() => document.querySelectorAll('iframe,object,embed,svg[onload],img[onerror],.katex').length"


@pytest.fixture(scope="module")
def beacon() -> Iterator[Receiver]:
    """A listener that would receive a request."""
    with receiver() as one:
        yield one


@pytest.fixture(scope="module")
def alerts(dashboard: Dashboard, beacon: Receiver) -> list[str]:
    """The hostile alerts' ids."""
    return hostile.seed(dashboard.owner, f"http://127.0.0.1:{beacon.port}")


@pytest.fixture
def dialogs(window: Window) -> list[str]:
    """Return causes of an open dialog or another window."""
    opened: list[str] = []

    def dialog(one: Dialog) -> None:
        opened.append(one.message)
        one.dismiss()

    window.page.on("dialog", dialog)
    window.page.on("popup", lambda one: opened.append(one.url))
    return opened


@pytest.fixture
def asked(window: Window) -> list[str]:
    """Return addresses outside the dashboard that the browser requested."""
    found: list[str] = []
    own = (window.url, window.url.replace("http", "ws"), "data:", "blob:")
    window.page.on("request", lambda one: None if one.url.startswith(own) else found.append(one.url))
    return found


def decisions(store: sa.Engine) -> list[tuple[str, str, str, str]]:
    table = tables.decision
    with store.connect() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.entry_id))
        return [(row.alert_id, row.kind, row.by, row.why) for row in rows]


def is_harmless(page: Page) -> bool:
    return page.evaluate(FOREIGN) == [] and page.evaluate(RUNNING) == 0


def test_every_page_shows_hostile_text_as_text_without_requests(
    window: Window, alerts: list[str], beacon: Receiver, dialogs: list[str], asked: list[str]
) -> None:
    visits = [
        ("/", "key0"), ("/alerts", "key3"),
        ("/alerts?app=%3Cscript%3E&q=%21%5Bx%5D%28http%3A%2F%2Fz%29", "No alert matches"),
        *((f"/alert?id={one}", one) for one in alerts[:2]), ("/alert?id=![x](http://127.0.0.1:1/x)", "No such alert"),
        (f"/resources?id={hostile.RESOURCE}", "Bytes a minute"),
        (f"/alerts?resource={hostile.RESOURCE}", "Only of this resource"), ("/processes", "sends heartbeats"),
        ("/rules", hostile.LONG_RULE), (f"/rule?name={hostile.RULE}", "How the attack works"),
        (f"/rule?name={hostile.LONG_RULE}", "How the attack works"),
        (f"/rule?name={quote(hostile.text(f'http://127.0.0.1:{beacon.port}', 'rule')[:200])}", "How the attack works"),
        (f"/rule?name={hostile.RULE}&system=%21%5Bx%5D%28http%3A%2F%2Fz%29", "How the attack works"),
        ("/rule?name=%21%5Bx%5D%28http%3A%2F%2F127.0.0.1%3A1%2Fx%29", "No such rule"),
    ]  # fmt: skip
    for path, words in visits:
        window.go(path, words)
        window.page.wait_for_timeout(1_000)  # the live parts are drawn once more
        assert is_harmless(window.page), path
        shown = window.page.evaluate("document.body.textContent")
        assert "\u202e" not in shown, path
        assert "\u200b" not in shown, path
    assert (beacon.connections, asked, dialogs) == (0, [], [])


def test_rule_text_is_bounded_and_shown_as_text(window: Window, alerts: list[str], beacon: Receiver) -> None:
    window.go(f"/rule?name={hostile.LONG_RULE}", "Read more")
    for part in (
        "title", "description", "how", "how else", "remediation", "list", "driver", "code", "false again", "blind",
        "field", "meaning", "technique", "attack", "fires", "silent", "instead", "reference",
    ):  # fmt: skip
        window.see(f"![x](http://127.0.0.1:{beacon.port}/{part}/md.png)")
    shown = window.page.evaluate("document.querySelector('[data-testid=stMain]').textContent")
    assert len(shown) < 80_000
    assert "\\u202e" in shown


def test_decisions_on_hostile_alerts_go_to_the_alert_that_is_shown(
    window: Window, alerts: list[str], dashboard: Dashboard, beacon: Receiver, dialogs: list[str], asked: list[str],
) -> None:  # fmt: skip
    why = hostile.text(f"http://127.0.0.1:{beacon.port}", "why")[:400].replace("\n", " ")
    window.go("/alerts", "key3")
    row = next(number for number in range(4) if window.cell(number, 0).replace("\xa0", "") == alerts[1])
    window.press_id(row)
    window.until(f"location.search.includes('{alerts[1]}')")
    window.see("Decide")
    page = window.page
    for label, state in (("Acknowledge", "acknowledged"), ("Close", "closed"), ("Mute", "muted"), ("Accept", "muted")):
        page.get_by_label("Your name").fill("Kim <b>")
        page.get_by_label("Reason", exact=True).fill(why)
        window.press(label)
        window.see(f"{label.lower()}: entered as number")
        assert page.locator(".stMarkdownBadge").nth(1).text_content() == state
    expected = [(alerts[1], kind, "Kim <b>", why) for kind in ("acknowledge", "close", "mute", "accept")]
    assert decisions(dashboard.store) == expected
    assert is_harmless(page)
    assert (beacon.connections, asked, dialogs) == (0, [], [])


def test_alert_with_a_hostile_title_still_has_its_title_on_top(window: Window, alerts: list[str]) -> None:
    window.go(f"/alert?id={alerts[0]}", "![x](")
    assert "![x](" in (window.page.locator(".st-key-heading").first.text_content() or "")


def test_policy_blocks_requests_of_injected_elements(window: Window, alerts: list[str], beacon: Receiver) -> None:
    window.go("/alerts", "key0")
    url = f"http://127.0.0.1:{beacon.port}/slipped"
    window.page.evaluate(
        """async url => {
            document.body.insertAdjacentHTML('beforeend', `<img src=${url}><iframe src=${url}></iframe>`);
            const add = (name, what) => document.head.append(Object.assign(document.createElement(name), what));
            add('script', {src: url});
            add('link', {href: url, rel: 'stylesheet'});
            add('script', {textContent: 'window.ran = true'});
            await fetch(url, {mode: 'no-cors'}).catch(() => 0);
        }""",
        url,
    )
    window.page.wait_for_timeout(500)
    assert window.page.evaluate("window.ran") is None
    assert beacon.requests == []
    assert window.complaints
    window.complaints.clear()
