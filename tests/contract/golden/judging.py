"""Access to the detector: the one file here that depends on names of its code."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.ingest.sources import UnreadablePiece, read
from backwatch.detector.runtime.replay import Replay


class Finding(NamedTuple):
    """A rule that fired once, in the terms of this folder.

    Attributes:
        key: The canonical text of the finding's subject.
        label: The same for the operator.
        span: Hexadecimal id of the call; empty where no call made the finding.
    """

    app: str
    rule: str
    level: str
    key: str
    label: str
    resource: str
    alert_id: str
    time_ns: int
    span: str
    evidence: Mapping[str, Any]


def build_engine() -> Engine:
    """Return an engine for several streams. It keeps hundreds of megabytes about long ones: use one per recording."""
    return make_engine(EngineConfig(judge_loopback=True))


def judge(engine: Engine, requests: Iterable[bytes], counts: dict[str, int] | None = None) -> Iterator[Finding]:
    """Return the findings of one stream of ``ExportTraceServiceRequest`` values, by the shipped rules.

    Args:
        engine: The result of :func:`build_engine`.
        counts: Filled at the end: how many spans were read, how many calls were judged, and how many of them late.

    Raises:
        ValueError: A request could not be read, or a detector failed.
    """
    replay = Replay(engine)
    for found in replay.judge(requests):
        yield Finding(
            app=found.key.app, rule=found.rule.name, level=found.rule.level, key=found.key.text, label=found.key.label,
            resource=found.key.resource, alert_id=found.alert_id, time_ns=found.time_ns, span=found.span_id,
            evidence=found.evidence,
        )  # fmt: skip
    if replay.counts.unreadable or replay.counts.faults:
        raise ValueError(f"not everything was judged: {replay.counts}")
    if counts is not None:
        counts |= {"spans": replay.counts.spans, "calls": replay.counts.calls, "late": replay.counts.late}


def read_requests(files: Sequence[Path]) -> Iterator[bytes]:
    """Return the requests of recorded OTLP files, as ``backwatch replay`` reads them.

    Raises:
        ValueError: A piece could not be read.
    """
    for item in read([str(file) for file in files]):
        if isinstance(item, UnreadablePiece):
            raise ValueError(f"{item.origin}: {item.reason}")  # noqa: TRY004  the file is wrong
        yield item.request
