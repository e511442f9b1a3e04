"""Log entries: the numbered causes of change. Nothing else changes a shard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecords:
    """Values read from the stream, in offset order.

    Attributes:
        values: Bare ``ExportTraceServiceRequest`` bytes.
        appended_ns: int64 per value: first append time.
        backfill: bool per value: past calls, judged on their own time.
        offsets: int64 per value; in replay the ordinal.
    """

    values: Sequence[bytes]
    appended_ns: NDArray[np.int64]
    backfill: NDArray[np.bool_]
    offsets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tick:
    """The log's end was reached: time goes on without calls."""

    watermark_ns: int


@dataclass(frozen=True, slots=True)
class Loss:
    """Something was dropped, skipped or could not be read.

    Attributes:
        kind: ``gap``, ``quarantine``, ``dropped.queue`` …
        app: Whose; empty: the stream's own.
        counted: Who met it has put it into the store's counters already.
    """

    kind: str
    count: int
    time_ns: int
    app: str = ""
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of an operator or a release about one alert.

    Attributes:
        kind: Only ``accept`` and ``revoke`` change what the engine raises; the others are the store's business.
        until_ns: When an acceptance ends; 0: never.
        rule: The alert's rule.
        resource_id: The alert's resource.
        values: Of an acceptance: the identity facts of the alert's evidence, by contract name. ``None``: entered
            before acceptances held for values; such a one silences the rule for its key.
        closes: Of an acceptance: whether it covers all that the alert's episode showed, which ends with it.
    """

    id: int
    kind: str
    alert_id: str
    until_ns: int = 0
    rule: str = ""
    resource_id: str = ""
    values: Mapping[str, str] | None = None
    closes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """What an enforced profile holds.

    Attributes:
        statements: Call site (empty: any), canonical text of a statement, and event time from which it is not approved;
            0: never. All are judged once one is approved for good.
        destinations: Call site (empty: any), ``host:port`` or a resource's own name, and the same time.
    """

    statements: Sequence[tuple[str, str, int]] = ()
    destinations: Sequence[tuple[str, str, int]] = ()


@dataclass(frozen=True, slots=True)
class ProfileVersion:
    """A profile was entered for an app; it takes the place of the one before.

    Attributes:
        app: The app, as alerts show it.
        announced: What is announced: resource, as alerts show it, to contract name to values, as evidence shows them;
            a peer may also be a network, a version also a plain number.
        approved: What is enforced for the app from now on; ``None``: as before.
    """

    app: str
    sha256: str
    announced: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict[str, Mapping[str, Sequence[str]]])
    approved: Approved | None = None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model fitted off the path, as plain arrays."""

    detector: str
    sha256: str
    arrays: Mapping[str, NDArray[Any]]


LogEntry = StreamRecords | Tick | Loss | Decision | ProfileVersion | ModelVersion
