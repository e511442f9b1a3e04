"""The golden comparison itself: it accepts renames that are written down, and reports everything else."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.contract.golden import findings, live, outside, streams
from tests.contract.golden.judging import Finding
from tests.contract.golden.renames import Renames

RENAMES = Renames(
    rules={"slow-answer": "slow-response"}, facts={"a.share": "a.fraction"},
    values={"a.signs": {"union": "union-select"}}, documents={"entry": "scenario"},
    scenarios={"http-slow": "slow-http"},
)  # fmt: skip


def make_finding(evidence: Mapping[str, Any], rule: str = "slow-answer") -> Finding:
    key = "shop\x1fhttp\x1flocalhost:80\x1f"
    return Finding(
        app="shop", rule=rule, level="low", key=key, label="http", resource="http", time_ns=1, span="00" * 8,
        alert_id=findings.alert_id(rule, key), evidence=evidence,
    )  # fmt: skip


RECORDED = findings.to_alerts(
    [make_finding({"a.share": 0.5, "a.share.was": 1}), make_finding({"a.signs": ["union", "or"]})]
)


def test_unchanged_findings_do_not_differ() -> None:
    assert findings.differences(RECORDED, copy.deepcopy(RECORDED), Renames()) == []


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ([], "recorded, and not found now"),
        ([*RECORDED, *findings.to_alerts([make_finding({}, "new-rule")])], "found now, and not recorded"),
        (
            findings.to_alerts([make_finding({}), make_finding({}), make_finding({})]),
            "fired 2 times when recorded, 3 times now",
        ),
        ([RECORDED[0] | {"level": "high"}], 'level was "low", is "high"'),
        ([RECORDED[0] | {"alert_id": "0"}], "alert_id was"),
        ([RECORDED[0] | {"times_ns": [1, 2]}], "times_ns was [1, 1], is [1, 2]"),
        ([RECORDED[0] | {"evidence": {}}], "evidence a.share is no longer there"),
        (
            findings.to_alerts(
                [make_finding({"a.share": 0.5001, "a.share.was": 1}), make_finding({"a.signs": ["union", "or"]})]
            ),
            "evidence a.share differs in 1 of 2 firings; firing 0 had 0.5, has 0.5001",
        ),
    ],
)
def test_each_kind_of_change_is_reported(found: list[findings.Alert], line: str) -> None:
    assert line in "\n".join(findings.differences(RECORDED, found, Renames()))


def test_written_renames_are_accepted_and_no_others() -> None:
    found = findings.to_alerts([
        make_finding({"a.fraction": 0.5, "a.fraction.was": 1}, "slow-response"),
        make_finding({"a.signs": ["union-select", "or"]}, "slow-response"),
    ])  # fmt: skip
    assert findings.differences(RECORDED, found, RENAMES) == []
    assert findings.differences(RECORDED, found, Renames(rules=RENAMES.rules)) != []
    assert findings.differences(RECORDED, RECORDED, RENAMES) != []


def test_hashes_of_outside_data_survive_written_renames_only() -> None:
    before = outside.sum_up([make_finding({"a.share": 0.5, "a.signs": "union"})], Renames())
    after = [make_finding({"a.fraction": 0.5, "a.signs": "union-select"}, "slow-response")]
    assert outside.differences("x", before, outside.sum_up(after, RENAMES.reverse())) == []
    changed = [make_finding({"a.fraction": 0.6, "a.signs": "union-select"}, "slow-response")]
    assert len(outside.differences("x", before, outside.sum_up(changed, RENAMES.reverse()))) == 1


def test_renames_reach_every_attribute_of_recorded_input(tmp_path: Path) -> None:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    scope_spans = resource_spans.scope_spans.add()
    span = scope_spans.spans.add(start_time_unix_nano=5, end_time_unix_nano=7)
    for holder in (resource_spans.resource, scope_spans.scope, span):
        holder.attributes.add(key="a.share").value.string_value = "x"
        holder.attributes.add(key="a.signs").value.array_value.values.add().string_value = "union"
    file = tmp_path / "input.gz"
    streams.write(file, [streams.Block(app="shop", name="past", request=request, times_ns=[100, 200])])
    (value,) = streams.requests_of(streams.read(file)["shop"], RENAMES)
    text = str(ExportTraceServiceRequest.FromString(value))
    assert "a.share" not in text
    assert text.count('"a.fraction"') == text.count('"union-select"') == 1 + 1 + 2
    assert [
        span.end_time_unix_nano for _, _, span in streams.calls_of(ExportTraceServiceRequest.FromString(value))
    ] == [100, 200]


def document(port: int, **evidence: Any) -> dict[str, Any]:
    alert = {
        "rule": "slow-answer",
        "level": "low",
        "key": f"http localhost:{port}",
        "evidence": {"server.port": port, **evidence},
    }
    return {"entry": "http-slow", "expected": "slow-answer", "outcome": "refused by requests 2: no", "alerts": [alert]}


def test_live_outcomes_are_compared_without_values_of_one_run() -> None:
    runs = [live.outcome_of(document(port, took=took, size=5), Renames()) for port, took in ((4_001, 17), (4_002, 18))]
    recorded = [live.merge(runs)]
    assert live.differences([document(4_003, took=99, size=5)], recorded, Renames()) == []
    assert live.differences([document(4_003, took="99", size=5)], recorded, Renames()) != []
    assert live.differences([document(4_003, took=99, size=6)], recorded, Renames()) != []
    assert live.differences([document(4_003, took=99)], recorded, Renames()) != []
    assert live.differences([document(4_003, took=99, size=5) | {"outcome": "succeeded"}], recorded, Renames()) != []
    assert live.differences([document(4_003, took=99, size=5) | {"alerts": []}], recorded, Renames()) != []


def test_live_alerts_at_moved_call_sites_of_the_pack_are_equal() -> None:
    before, after = document(4_001), document(4_001)
    before["alerts"][0]["key"] = "SELECT ? @ app.py:Injected._search"
    after["alerts"][0]["key"] = "SELECT ? @ attack/src/clients/sql.py:SqlClient.execute"
    recorded = [live.merge([live.outcome_of(before, Renames())])]
    assert live.differences([after], recorded, Renames()) == []
    after["alerts"][0]["key"] = "SELECT ?, ? @ attack/src/clients/sql.py:SqlClient.execute"
    assert live.differences([after], recorded, Renames()) != []


def test_live_outcomes_survive_written_renames() -> None:
    recorded = [live.merge([live.outcome_of(document(4_001, **{"a.share": 1}), Renames())])]
    now = document(4_001, **{"a.fraction": 1})
    del now["entry"]
    now |= {"scenario": "slow-http", "expected": "slow-response"}
    now["alerts"][0]["rule"] = "slow-response"
    assert live.differences([now], recorded, RENAMES) == []


def test_table_with_two_old_names_for_one_new_name_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "renames.toml"
    table.write_text('[rules]\na = "c"\nb = "c"\n[facts]\n[values]\n[documents]\n[scenarios]\n')
    with pytest.raises(ValueError, match="two old names"):
        Renames.load(table)
