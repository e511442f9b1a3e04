"""A live Flask app with one query helper: attacks are named, with route and path, before the first row leaves."""

import pytest

from bench import live_campaigns
from bench.live_campaigns import Verdict

pytestmark = [pytest.mark.slow, pytest.mark.heavy]
ATTACKS = ("sqlmap", "boolean", "order", "union", "stacked", "stored")
FIND = "bench/campaigns/apps/flask_app.py:find"
ROWS = "bench/campaigns/apps/flask_app.py:rows"


def _run(mode: str) -> dict[str, Verdict]:
    options = ["--apps", "flask_app", "--databases", "sqlite", "--modes", mode, "--attacks", ",".join(ATTACKS)]
    return {key[-1]: verdict for key, verdict in live_campaigns.main([*options, "--honest", "700"]).items()}


def _assert_named(verdicts: dict[str, Verdict]) -> None:
    late = {name for name, verdict in verdicts.items() if not verdict.is_in_time}
    assert late == set()
    assert verdicts["sqlmap"].named < verdicts["sqlmap"].first_row
    assert {(verdict.route, verdict.path) for name, verdict in verdicts.items() if name in ("sqlmap", "union")} == {
        ("/find", f"{FIND} > {ROWS}")
    }
    assert (verdicts["order"].route, verdicts["stored"].route) == ("/sorted", "/neighbours")


def test_attacks_on_a_learnt_app_are_one_alert_that_becomes_critical() -> None:
    verdicts = _run("learnt")
    _assert_named(verdicts)
    assert {name for name, verdict in verdicts.items() if verdict.worst != "critical"} <= {"stacked"}
    assert {name: verdict.alerts for name, verdict in verdicts.items() if len(verdict.alerts) != 1} == {}
    assert {verdict.bugs for verdict in verdicts.values()} == {("injectable-call-site (medium)",)}
    assert {verdict.false_alarms for verdict in verdicts.values()} == {()}


def test_attacks_on_an_unknown_app_are_named_before_a_row_leaves() -> None:
    verdicts = _run("cold")
    _assert_named(verdicts)
    assert {name for name in ("sqlmap", "boolean", "order", "union") if verdicts[name].worst != "critical"} == set()
