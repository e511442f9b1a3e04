"""A decision holds for the values on the screen, in a real browser where that matters."""

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.dashboard import reads
from backwatch.store import entries, rules_meta, tables
from backwatch.store.commit import Occurrence, RaisedAlert
from backwatch.store.connect import open_store
from backwatch.store.decisions import decide
from backwatch.store.transactions import reading
from tests.dashboard.screens import Dashboard, Held, Window
from tests.dashboard.scripts import forget, open_page, press, rows, store, texts
from tests.services.commits import Owner, alert_id, make_cleared, make_raised
from tests.services.faults.disk import small_disk

__all__ = ("store",)

pytestmark = pytest.mark.heavy

ID = alert_id("unusual-query", "k")
GOOD, EVIL, OLD = (hashlib.sha256(text).hexdigest() for text in (b"good", b"evil", b"old"))
RULES: list[dict[str, Any]] = [
    {"name": "certificate-changed", "title": "Certificate changed", "level": "high", "accepts": [names.CERT_SHA256]},
    {"name": "topology-changed", "title": "Nodes changed", "level": "medium", "accepts": [names.TOPOLOGY]},
    {"name": "redirected", "title": "Redirected", "level": "high", "accepts": [names.REDIRECT_TARGET]},
]


def make_alert(rule: str, evidence: dict[str, Any], key: str = "k") -> RaisedAlert:
    now_ns = time.time_ns()
    found = Occurrence(time_ns=now_ns, trace_id="a" * 32, span_id="b" * 16, evidence=evidence)
    return make_raised(key, rule=rule, at_ns=now_ns, occurrences=[found])


def certificate(sha256: str, key: str) -> RaisedAlert:
    return make_alert("certificate-changed", {names.CERT_SHA256: sha256, f"{names.CERT_SHA256}.was": OLD}, key)


def list_entered(engine: sa.Engine, of_alert: str = ID) -> list[str]:
    """Return the entered decisions, oldest first."""
    table = tables.decision
    query = sa.select(table.c.kind).where(table.c.alert_id == of_alert).order_by(table.c.entry_id)
    with reading(engine) as connection:
        return list(connection.scalars(query))


def list_accepted(engine: sa.Engine) -> list[dict[str, str]]:
    """Return the accepted values."""
    with reading(engine) as connection:
        return [one.body["values"] for one in entries.after(connection, 0) if one.body.get("kind") == "accept"]


def test_decision_on_an_outdated_page_is_refused(window: Window, dashboard: Dashboard) -> None:
    held, page = Held(), window.page
    page.route_web_socket("**/_stcore/stream", held)
    rules_meta.write_rules(dashboard.store, RULES)
    one = alert_id("certificate-changed", "older")
    dashboard.owner.commit(certificate(GOOD, "older"), now_ns=time.time_ns())
    window.go(f"/alert?id={one}", "Accept the new value")
    page.get_by_label("Your name").fill("Kim")
    assert window.cell(0, 2).replace(" ", "") == GOOD

    held.holding = True
    dashboard.owner.commit(certificate(EVIL, "older"), now_ns=time.time_ns())
    deadline = time.monotonic() + 30
    while not any(EVIL[:8].encode() in one for one in held.kept if isinstance(one, bytes)):
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)
    # The server has drawn the newer certificate; the reader sees the older one, and accepts it.
    assert window.cell(0, 2).replace(" ", "") == GOOD
    window.press("Accept the new value")
    page.wait_for_timeout(500)
    held.release()
    window.see("Nothing was entered: the alert has changed, check it again.")
    assert list_entered(dashboard.store, one) == []

    # After another look, the decision is accepted.
    window.press("Accept the new value")
    window.see("accept: entered as number")
    assert list_accepted(dashboard.store) == [{names.CERT_SHA256: EVIL}]


def test_a_button_that_was_drawn_before_the_evidence_changed_decides_nothing(store: sa.Engine) -> None:
    rules_meta.write_rules(store, RULES)
    owner, one = Owner(store), alert_id("certificate-changed", "k")
    owner.commit(certificate(GOOD, "k"))
    script = open_page("alert", id=one)
    script.text_input(key="decide.by").set_value("ann")
    [older] = [button for button in script.button if button.label == "Accept the new value"]
    owner.commit(certificate(EVIL, "k"))
    forget()
    script.run()
    assert EVIL in rows(script, "what", "was", "is")[0]["is"].replace(" ", "")
    older.click().run()
    assert "Nothing was entered: the alert has changed, check it again." in texts(script)
    assert list_entered(store, one) == []
    press(script, "Accept the new value")
    assert list_accepted(store) == [{names.CERT_SHA256: EVIL}]


@pytest.mark.parametrize("word", ["Accept", "Mute"])
def test_double_click_enters_one_decision_and_never_its_opposite(
    window: Window, dashboard: Dashboard, word: str
) -> None:
    page, key = window.page, f"twice {word}"
    one = alert_id("query-attack", key)
    dashboard.owner.commit(make_alert("query-attack", {"n": 1}, key), now_ns=time.time_ns())
    window.go(f"/alert?id={one}", "Decide")
    page.get_by_label("Your name").fill("Kim")
    place = page.get_by_role("button", name=word, exact=True).bounding_box()
    assert place is not None
    for _ in range(2):
        for _ in range(3):
            page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        window.see(f"{word.lower()}: entered as number")
        page.wait_for_timeout(1_500)
    assert list_entered(dashboard.store, one) == [word.lower()]


def test_each_button_has_its_place_in_every_state(store: sa.Engine) -> None:
    Owner(store).commit(make_raised())
    places: set[tuple[str, ...]] = set()
    for kind in ("acknowledge", "mute", "accept", "close"):
        script = open_page("alert", id=ID)
        places.add(tuple(one.label for one in script.button))
        decide(store, ID, kind, by="ann", now_ns=time.time_ns())
        forget()
    assert places == {("Acknowledge", "Close", "Mute", "Accept", "Reopen", "Unmute", "Revoke acceptance")}


def test_closing_does_not_reach_an_episode_that_was_not_seen(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(make_raised())
    script = open_page("alert", id=ID)
    owner.commit(make_cleared(), make_raised(at_ns=3_000))
    script.text_input(key="decide.by").set_value("ann")
    press(script, "Close")
    assert "Nothing was entered: the alert has changed, check it again." in texts(script)
    assert list_entered(store) == []
    # The page now shows the current values, and the decision is accepted.
    assert [one.value for one in script.metric if one.label == "Episode"] == ["2"]
    press(script, "Close")
    assert list_entered(store) == ["close"]


def test_closing_does_not_reach_evidence_that_was_not_seen(store: sa.Engine) -> None:
    rules_meta.write_rules(store, RULES)
    owner, one = Owner(store), alert_id("certificate-changed", "k")
    owner.commit(certificate(GOOD, "k"))
    script = open_page("alert", id=one)
    owner.commit(certificate(EVIL, "k"))  # and nothing was drawn since
    script.text_input(key="decide.by").set_value("ann")
    press(script, "Close")
    assert "Nothing was entered: the alert has changed, check it again." in texts(script)
    assert EVIL in rows(script, "what", "was", "is")[0]["is"].replace(" ", "")
    assert list_entered(store, one) == []


def test_second_decision_on_the_same_page_is_refused(store: sa.Engine) -> None:
    Owner(store).commit(make_raised())
    ann, bob = open_page("alert", id=ID), open_page("alert", id=ID)
    for script in (ann, bob):
        script.text_input(key="decide.by").set_value("ann" if script is ann else "bob")
    press(ann, "Mute")
    [close] = [one for one in bob.button if one.label == "Close"]
    close.click().run()
    assert "Nothing was entered: the alert has changed, check it again." in texts(bob)
    assert [one["by"] for one in rows(bob, "time, UTC", "decision")] == ["ann"]
    assert list_entered(store) == ["mute"]


def test_decision_without_room_in_the_store_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk") as disk:
        url = f"sqlite:///{disk.folder / 'store.db'}"
        monkeypatch.setenv("BACKWATCH_STORE_URL", url)
        engine = open_store(url)
        forget()
        Owner(engine).commit(make_raised())
        script = open_page("alert", id=ID)
        disk.fill()
        script.text_input(key="decide.by").set_value("ann")
        press(script, "Close")
        assert "Nothing was entered: BACKWATCH_STORE_URL=" in texts(script)
        assert "the disk is full" in texts(script)
        assert list(script.exception) == []
        assert script.subheader[0].value == "What was seen"
        disk.free()
        press(script, "Close")
        assert list_entered(engine) == ["close"]
        engine.dispose()
        reads._store().dispose()
        forget()


def test_only_new_members_of_a_known_list_are_marked_new(store: sa.Engine) -> None:
    rules_meta.write_rules(store, RULES)
    evidence = {names.TOPOLOGY: "c:1, B:1,a:1", f"{names.TOPOLOGY}.was": "a:1,b:1,old:1"}
    Owner(store).commit(make_alert("topology-changed", evidence))
    script = open_page("alert", id=alert_id("topology-changed", "k"))
    shown = [(one["is it new"], one["Topology"]) for one in rows(script, "is it new", "Topology")]
    assert shown == [("new", "c:1"), ("was there", "B:1"), ("was there", "a:1"), ("gone", "old:1")]


def test_every_new_node_stands_on_a_row_of_its_own(store: sa.Engine) -> None:
    rules_meta.write_rules(store, RULES)
    nodes = [f"redis-{number:02d}.cluster.internal:6379" for number in range(13)]
    now = ",".join([*nodes, "zz-one.evil.example:6379", "zz-two.evil.example:6379"])
    was = ",".join(nodes)[:189] + "…"
    Owner(store).commit(make_alert("topology-changed", {names.TOPOLOGY: now, f"{names.TOPOLOGY}.was": was}))
    script = open_page("alert", id=alert_id("topology-changed", "k"))
    shown = [(one["is it new"], one["Topology"]) for one in rows(script, "is it new", "Topology")]
    assert shown == [
        *(("may be new", one) for one in (*nodes[6:], "zz-one.evil.example:6379", "zz-two.evil.example:6379")),
        *(("was there", one) for one in nodes[:6]),
        ("was, cut", was.split(",")[-1]),
    ]
    assert "Only the beginning of the old list is kept" in texts(script)
    script.text_input(key="decide.by").set_value("ann")
    press(script, "Accept the new value")
    assert list_accepted(store) == [{names.TOPOLOGY: now}]


def test_long_escaped_version_is_shown_in_full_below(store: sa.Engine) -> None:
    rules_meta.write_rules(store, [{**RULES[0], "accepts": [names.SERVER_VERSION]}])
    version = "8.0.36" + 60 * "\U000e0100" + " evil"
    new_facts = {names.SERVER_VERSION: version, f"{names.SERVER_VERSION}.was": "8.0.36"}
    Owner(store).commit(make_alert("certificate-changed", new_facts))
    script = open_page("alert", id=alert_id("certificate-changed", "k"))
    assert any(one.value.endswith(60 * r"\U000e0100" + " evil") for one in script.code)


def test_list_member_with_a_line_break_is_one_member(store: sa.Engine) -> None:
    rules_meta.write_rules(store, RULES)
    nodes = f"a:1,{'b' * 90}\nc:1"
    Owner(store).commit(make_alert("topology-changed", {names.TOPOLOGY: nodes}))
    script = open_page("alert", id=alert_id("topology-changed", "k"))
    assert [one.value.split("\n") for one in script.code] == [["Topology", "a:1", f"{'b' * 90}⏎c:1"]]


def test_shortened_value_cannot_be_accepted(store: sa.Engine) -> None:
    rules_meta.write_rules(store, RULES)
    target = "https://elsewhere.example/" + 400 * "\U0001f600"
    new_facts = {names.REDIRECT_TARGET: target, names.STATEMENT: 511 * "\U0001f600"}
    Owner(store).commit(make_alert("redirected", new_facts))
    script = open_page("alert", id=alert_id("redirected", "k"))
    [accept] = [one for one in script.button if one.label == "Accept"]
    assert accept.disabled
    assert "too long to be shown as a whole" in texts(script)


@pytest.mark.parametrize(("length", "may"), [(511, True), (512, False)])
def test_value_not_shown_in_full_cannot_be_accepted(store: sa.Engine, length: int, may: bool) -> None:
    rules_meta.write_rules(store, RULES)
    target = "https://elsewhere.example/" + "x" * (length - 30) + "tail"
    Owner(store).commit(make_alert("redirected", {names.REDIRECT_TARGET: target}))
    script = open_page("alert", id=alert_id("redirected", "k"))
    assert any(one.value.endswith(target) for one in script.code)
    assert target in [row["value"] for row in rows(script, "fact", "value")]
    [accept] = [one for one in script.button if one.label == "Accept"]
    assert accept.disabled is not may
    assert ("too long to be shown as a whole" in texts(script)) is not may
