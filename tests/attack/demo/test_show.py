"""The demo's terminal output: text is sanitized, fits the width, and is coloured only on a terminal."""

import io

import pytest
from rich.console import Console

from backwatch.attack.demo.attacks import Attack
from backwatch.attack.demo.show import Show
from backwatch.store.queries import AlertRow

ATTACK = Attack(
    title="MySQL asks for a file of the client's in answer to a SELECT", rule="local-file-request", system="mysql",
    begin=lambda: None, end=lambda: None,
)  # fmt: skip


def alert(resource: str = "mysql localhost:40717/shop") -> AlertRow:
    return AlertRow(
        id="a", rule="local-file-request", title="", level="critical", state="open", resource_id="r", app="shop",
        resource=resource, key="", episode=1, count=1, first_ns=1, last_ns=1, opened_ns=1, cleared_ns=None,
        muted_until_ns=0, evidence={},
    )  # fmt: skip


def shown(width: int, *, terminal: bool, resource: str = "mysql localhost:40717/shop") -> str:
    out = io.StringIO()
    show = Show(Console(file=out, width=width, force_terminal=terminal, color_system="standard" if terminal else None))
    show.print_caught(ATTACK, alert(resource), 0.9)
    show.print_missed(ATTACK)
    show.print_false_alert(alert(resource))
    show.print_late_alert(alert(resource))
    show.table()
    show.end("1 attacks caught", good=True)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 150])
def test_output_fits_the_width_without_truncation(width: int) -> None:
    text = shown(width, terminal=False)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("local-file-request") == 6
    assert "…" not in text
    assert ("localhost:40717/shop" in text.partition(" level ")[2]) == (width >= 120)


def test_colours_appear_only_on_a_terminal() -> None:
    assert "\x1b" not in shown(100, terminal=False)
    assert "\x1b[" in shown(100, terminal=True)


def test_hostile_name_is_shown_as_text() -> None:
    text = shown(150, terminal=False, resource="mysql [red]x[/red]\x1b]0;owned\x07:1")
    assert "[red]x[/red]" in text
    assert "\x1b" not in text
    assert "\x07" not in text
