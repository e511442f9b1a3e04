"""A live Flask app with one query helper: an attack is named, with route and path, before the first row leaves."""

import pytest

from bench import live_campaigns

pytestmark = [pytest.mark.slow, pytest.mark.heavy]


@pytest.mark.parametrize("mode", ["cold", "learnt"])
def test_attack_is_named_with_route_and_path_before_a_row_leaves(mode: str) -> None:
    [verdict] = live_campaigns.main(
        ["--apps", "flask_app", "--databases", "sqlite", "--modes", mode, "--honest", "1000"]
    ).values()
    assert verdict.is_in_time
    assert (verdict.rule, verdict.route) == ("query-attack", "/find")
    assert verdict.path.endswith("flask_app.py:find > bench/campaigns/apps/flask_app.py:rows")
    assert verdict.false_alarms == 0
    assert len(verdict.places) == 1
    if mode == "learnt":
        assert verdict.bugs == ("injectable-call-site (medium)",)
