"""The README's alerts are real: each comes from the named attack, with the evidence shown."""

import io
import re

import pytest
from rich.console import Console

from backwatch.attack.report import Report
from backwatch.attack.runner import open_pack
from backwatch.attack.scenarios import discover
from tests.services.process import ROOT

README = (ROOT / "README.md").read_text()
SHOWN: dict[str, str] = dict(re.findall(r"^```alert ([\w-]+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
CHANGING = re.compile(r"localhost:\d+|127\.0\.0\.\d:\d+|\b[0-9A-F]{16}…")
"""Ports and digests, which differ at each run."""


def lines(text: str) -> list[str]:
    """Return the lines without changing parts; runs of blanks are one."""
    return [" ".join(CHANGING.sub("#", line).split()) for line in text.splitlines()]


def test_readme_shows_seven_alerts() -> None:
    assert len(SHOWN) == 7


@pytest.mark.heavy
def test_readme_alerts_match_raised_alerts() -> None:
    kinds = {kind.name(): kind for kind in discover() if kind.name() in SHOWN}
    with open_pack(list(kinds.values()), lambda _: None) as pack:
        for name, kind in kinds.items():
            output = io.StringIO()
            Report(Console(file=output, width=200)).alerts(pack.run(kind))
            raised = lines(output.getvalue())
            assert [line for line in lines(SHOWN[name]) if line not in raised] == [], name
