"""Every shipped rule has a page generated from it, with everything that an operator needs."""

import re

import pytest

from backwatch.detector import parameters
from backwatch.detector.rules import explanation, rulebook, techniques
from backwatch.detector.rules.sigma import Rule

RULES = rulebook.load().rules
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
PARTS = (
    "What it means", "How it is done to you", "Evidence to look at", "What to do", "False positives", "Blind spots",
    f"ATT&CK {techniques.VERSION}",
)  # fmt: skip
MENDED_BY_A_DRIVER = {
    "plaintext-session", "unverified-session", "tls-stripped", "weak-tls", "tls-lowered", "password-in-clear",
    "auth-downgraded",
    "certificate-changed", "certificate-expired", "certificate-not-yet-valid", "peer-changed", "server-changed",
    "local-file-request", "redirected", "metadata-address", "topology-changed", "decompression-bomb", "slow-response",
    "error-storm", "hostile-payload", "query-attack", "unusual-query", "server-notice-flood", "login-failures",
}  # fmt: skip
"""Rules about something that a parameter of the driver mends."""
OF_SERVERS_AND_TOOLS = {"statement_timeout", "max_execution_time", "client_min_messages", "sql_notes", "check_hostname",
                        "reject_on_worker_lost"}  # fmt: skip


@every_rule
def test_page_has_all_parts_and_one_version_of_attack(rule: Rule) -> None:
    text = explanation.render_page(explanation.explain_rule(rule))
    for title in PARTS:
        assert f"\n{title}\n  " in text, title
    assert text.count(techniques.VERSION) == 1
    prose = [line for line in text.splitlines() if not line.startswith(explanation.CODE)]
    assert max(map(len, prose)) <= 120


@every_rule
def test_attack_description_is_in_sentences(rule: Rule) -> None:
    assert rule.how
    for one in rule.how:
        assert len(one) >= 60
        assert one[0].isupper() or one.startswith("'")
        assert one.endswith(".")


@every_rule
def test_every_field_to_check_has_a_meaning(rule: Rule) -> None:
    parts = explanation.explain_rule(rule)["evidence"]
    assert len(parts) >= 2
    assert [one["field"] for one in parts if not one["meaning"]] == []
    assert len(parts) == len({one["field"] for one in parts})


@every_rule
def test_technique_exists_in_the_pages_attack_version(rule: Rule) -> None:
    parts = techniques.techniques(rule.tags)
    assert parts
    assert [one["id"] for one in parts if not one["name"]] == []


@every_rule
def test_remediation_is_listed_per_driver(rule: Rule) -> None:
    assert set(rule.parameters) <= set(parameters.discover())
    if rule.name in MENDED_BY_A_DRIVER:
        assert explanation.explain_rule(rule)["parameters"]


@every_rule
def test_parameter_in_prose_exists_in_some_driver(rule: Rule) -> None:
    code = " ".join(line.code for one in parameters.discover().values() for line in one.lines)
    named = set(re.findall(r"\b([A-Za-z]\w+)=(?=[\w\"(])", rule.remediation))
    assert {one for one in named if not re.search(rf"\b{one}\b", code)} - OF_SERVERS_AND_TOOLS == set()


def test_every_list_of_parameters_is_named_by_a_rule() -> None:
    assert set(parameters.discover()) == {one for rule in RULES for one in rule.parameters}


def test_the_rules_of_the_list_are_rules() -> None:
    assert {rule.name for rule in RULES} >= MENDED_BY_A_DRIVER


def test_later_technique_name_is_shown_once_beside_the_older() -> None:
    [technique] = techniques.techniques(["attack.t1562.010", "attack.t1689"])
    assert (technique["id"], technique["later"]) == ("T1562.010", "T1689")
    [rule] = [one for one in RULES if one.name == "tls-stripped"]
    assert "(v19 calls it T1689)" in explanation.render_page(explanation.explain_rule(rule)).replace("\n    ", " ")
