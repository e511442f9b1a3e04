"""Nodes that a service names for the first time."""

from typing import Any

from backwatch.collector import names
from tests.detector.stories import DAY, SAFE, CallFacts, at, list_fired


def report_nodes(at_s: float, nodes: str, **facts: Any) -> CallFacts:
    return at(at_s, SAFE, "CLUSTER SLOTS", **{names.TOPOLOGY: nodes}, **facts)


def known(count: int = 40, nodes: str = "10.0.0.1:6379,10.0.0.2:6379,10.0.0.3:6379") -> list[CallFacts]:
    return [report_nodes(i * 600, nodes) for i in range(count)]


def test_new_node_raises_an_alert() -> None:
    rogue = "10.0.0.1:6379,10.0.0.2:6379,203.0.113.9:6379"
    assert list_fired(known(), [report_nodes(DAY, rogue)]) == [{"topology-changed"}]


def test_missing_or_respelt_node_is_not_new() -> None:
    assert list_fired(known(), [report_nodes(DAY, "10.0.0.3:6379, 10.0.0.1:6379")]) == [set()]


def test_no_alert_before_the_nodes_are_known() -> None:
    assert list_fired(known(5), [report_nodes(DAY, "203.0.113.9:6379")]) == [set()]


def test_cluster_with_ever_changing_nodes_raises_nothing() -> None:
    changing = [report_nodes(i * 600, f"10.0.{i}.1:6379,10.0.{i}.2:6379") for i in range(100)]
    assert list_fired(changing, [report_nodes(DAY, "203.0.113.9:6379")]) == [set()]


def test_truncated_node_list_adds_no_node() -> None:
    assert list_fired(known(), [report_nodes(DAY, "10.0.0.1:6379,…")]) == [set()]


def test_attack_calls_do_not_make_a_node_known() -> None:
    bombed = [
        report_nodes(DAY + i * 3_600, "203.0.113.9:1", backwatch__payload__globals="os.system") for i in range(400)
    ]
    assert "topology-changed" in list_fired(known(), bombed, [report_nodes(30 * DAY, "203.0.113.9:1")])[0]


def test_more_nodes_than_remembered_never_settle() -> None:
    many = ",".join(f"10.0.0.{i}:9092" for i in range(200))
    assert list_fired(known(nodes=many), [report_nodes(DAY, "203.0.113.9:9092")]) == [set()]
