"""Requirements of every shipped rule."""

import uuid
from pathlib import Path

import pytest

from backwatch.detector import detectors
from backwatch.detector.rules import rulebook
from backwatch.detector.rules import trials as rules_trials
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.rules.sigma import Rule

SHIPPED = Path(rulebook.__file__).parent / "shipped"
RULE_SET = rulebook.load()
RULES = RULE_SET.rules
VOCABULARY = Vocabulary.of(detectors.discover())
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@every_rule
def test_rule_has_description_blind_spots_and_remediation(rule: Rule) -> None:
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
    without_code = {path.name for path in SHIPPED.rglob("*.yml")}
    with_code = {f"{kind.id.replace('-', '_')}.yml" for kind in detectors.discover()}
    assert {rule.source for rule in RULES} == without_code | with_code
    assert {rule.name for rule in RULES} == {source[:-4].replace("_", "-") for source in without_code | with_code}


@every_rule
def test_a_rule_has_an_example_that_fires_and_one_that_does_not(rule: Rule) -> None:
    assert {one.fires for one in rule.tests} == {True, False}
    assert len(rule.tests) == len({one.name for one in rule.tests})


@every_rule
def test_the_examples_of_a_rule_come_as_they_say(rule: Rule) -> None:
    wrong = [
        (one.example.name, one.instead)
        for one in rules_trials.run_examples(RULE_SET, VOCABULARY, [rule])
        if not one.right
    ]
    assert wrong == []


@every_rule
def test_a_rule_takes_the_place_of_rules_that_there_are(rule: Rule) -> None:
    assert set(rule.instead_of) <= {one.name for one in RULES}


def test_there_are_at_least_forty_rules() -> None:
    assert len(RULES) >= 40
