"""What every shipped rule must say, held against whatever there is."""

import uuid
from importlib.resources import files

import pytest

from backwatch.detector import rulebook
from backwatch.detector.engine.sigma import Rule

RULES = rulebook.load().rules
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@every_rule
def test_a_rule_says_what_it_detects_what_it_cannot_see_and_what_to_do(rule: Rule) -> None:
    assert rule.description.startswith("Detects ")
    assert len(rule.blind_spots) > 20
    assert len(rule.remediation) > 40
    assert rule.falsepositives
    assert rule.references
    assert all(one.startswith("https://") for one in rule.references)
    assert any(tag.startswith("attack.t") for tag in rule.tags)


@every_rule
def test_a_rule_has_a_random_id(rule: Rule) -> None:
    assert uuid.UUID(rule.id).version == 4


def test_no_two_rules_share_an_id() -> None:
    assert len(RULES) == len({rule.id for rule in RULES})


def test_a_rule_without_code_is_called_as_its_file_is() -> None:
    found = {one.name for one in files("backwatch.detector").joinpath("rules").iterdir() if one.name.endswith(".yml")}
    assert found == {f"{rule.name}.yml" for rule in RULES if rule.source.endswith(".yml")}
