"""Rules on facts of a resource judge each call by its own facts."""

from pathlib import Path

import pytest

from backwatch.collector import names
from tests.detector.rules.rule_texts import rule
from tests.detector.rules.test_correlations import call, engine, findings

KAFKA = {names.DB_SYSTEM: "", names.MESSAGING_SYSTEM: "kafka", names.SERVER_ADDRESS: "queue.example"}


@pytest.mark.parametrize("topics", [("orders", "payments"), ("payments", "orders", "payments")])
def test_rule_on_a_topic_judges_each_calls_topic(tmp_path: Path, topics: tuple[str, ...]) -> None:
    loaded_engine = engine(tmp_path, rule(detection={"s": {names.MESSAGING_DESTINATION: "payments"}, "condition": "s"}))
    calls = [call(at, KAFKA, **{names.MESSAGING_DESTINATION: topic}) for at, topic in enumerate(topics)]
    assert len(findings(loaded_engine, calls, ["own-rule"])) == topics.count("payments")


def test_named_resource_is_compared_with_each_calls_address(tmp_path: Path) -> None:
    loaded_engine = engine(
        tmp_path, rule(detection={"s": {f"{names.SERVER_ADDRESS}|cidr": "10.0.0.0/8"}, "condition": "s"})
    )
    calls = [
        call(at, {**KAFKA, names.RESOURCE_NAME: "the queue", names.SERVER_ADDRESS: address})
        for at, address in enumerate(("192.0.2.7", "10.1.2.3", "192.0.2.8"))
    ]
    assert [found.time_ns for found in findings(loaded_engine, calls, ["own-rule"])] == [calls[1].end_ns]
