"""One detector per file, with its rule beside it. A new one is two new files and nothing else: this folder is walked.

A detector's code computes facts; the verdict stands in its rule, the YAML file of the same stem. No level and no text
in code, no grouping, no keys, no I/O, no wall clock, no randomness.
"""

import importlib
import pkgutil
from abc import ABC
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.facts.fact import Fact
from backwatch.detector.baselines.known_values import EXPECTED
from backwatch.detector.state.tables import Rows, Table
from backwatch.detector.statements.structure.batch import Tokens

Array = NDArray[Any]
EXPECTED_SUFFIX: Final = ".expected"
"""Suffix of a column that holds operators' expectations of another column's values."""
MOVED_AS_DECLARED: Final = "backwatch.resource.moved.declared"
"""Fact of ``resource-moved``: an attached resource moved to a declared host, and its server was verified in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """A run of calls as columns, in stream order.

    Attributes:
        count: Number of calls.
        columns: Name to array of length ``count``. Always there (see ``decoding/schema.py`` for the whole list):
            ``time_ns`` (int64, event time), ``duration_ns`` (int64), ``error`` (bool), ``late`` (bool), ``signs``
            (uint32, bit i is
            ``names.SIGNS[i]``), ``fingerprint`` (uint64), ``trace`` (uint64, hash of the
            trace id, 0: absent), each text fact by its contract name (uint64 keyed hash, 0:
            absent), each
            number (int64, -1: absent), each bool (int8, -1: absent, else 0 or 1), ``site.reported`` (bool: the call
            site is no family), ``statement.sighting`` and
            ``site_statement.sighting`` (int8, see ``engine/keys.py``).
        tokens_of: Returns the tokens of some calls' statements, by their rows: about two microseconds for each distinct
            statement.
    """

    count: int
    columns: Mapping[str, Array]
    tokens_of: Callable[[NDArray[np.int64]], Tokens]

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def get_expected(self, name: str) -> NDArray[np.int8]:
        """Return operators' expectations of a column's value at the call's resource (``baselines/known_values.py``)."""
        expected = self.columns.get(name + EXPECTED_SUFFIX)
        return np.zeros(self.count, np.int8) if expected is None else expected

    def get_expected_identity(self, name: str) -> NDArray[np.int8]:
        """Return the same for a fact about the server's identity, which a declared move changes, too."""
        return np.maximum(self.get_expected(name), self[MOVED_AS_DECLARED] * np.int8(EXPECTED))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedWindows:
    """Windows that just closed, one row per resource with at least one call in it, in slot order.

    Attributes:
        slot: int32, RESOURCE slots.
        end_ns: int64, where the window ended.
        columns: int64 sums over the window's calls that were not late: ``calls``, ``errors``, ``suspects``,
            ``bytes_sent``,
            ``bytes_received``, ``rows_returned``, ``rows_affected``, ``duration_ns``, ``new_statements``; unknown
            counts as 0.
        models: Fitted models by detector id, as they stand at this point of the stream.
    """

    slot: NDArray[np.int32]
    end_ns: NDArray[np.int64]
    columns: Mapping[str, Array]
    models: Mapping[str, Mapping[str, Array]]

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]


class Detector(ABC):
    """Computes facts, call by call in order, or over closed windows.

    Results must not depend on how the stream was cut into batches: kernels are sequential (Numba), sums are integers.

    Attributes:
        id: The rule's name, the file's name with hyphens; decisions and alert ids refer to it.
        reads: Columns that ``facts`` needs which another detector provides.
        derives: The facts that it computes: for each call, or with the scope ``window`` for each closed window.
        provides: Names of the facts that ``facts`` returns, from ``derives``.
        window_provides: Names of the facts that ``window`` returns, from ``derives``.
        tables: Its state.
        knows: Columns whose values operators can announce or accept, each with the set (see
            ``baselines/known_values.py``) in which they are then known.
        accepts: Text facts of the evidence whose values an acceptance of its alert records: it holds for these values
            and no others. Empty: it silences the rule for its key.
        shows: Its facts that the page of a resource shows, of the resource's newest call.
        identity_changes: Its facts that are not 0 where a call shows a new identity of its resource. Such a call does
            not update the resource's previous values.
    """

    id: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()
    derives: ClassVar[tuple[Fact, ...]] = ()
    provides: ClassVar[tuple[str, ...]] = ()
    window_provides: ClassVar[tuple[str, ...]] = ()
    tables: ClassVar[tuple[Table, ...]] = ()
    knows: ClassVar[tuple[tuple[str, str], ...]] = ()
    accepts: ClassVar[tuple[str, ...]] = ()
    shows: ClassVar[tuple[str, ...]] = ()
    identity_changes: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Set ``provides`` and ``window_provides`` from ``derives``."""
        super().__init_subclass__()
        if "derives" in vars(cls):
            cls.provides = tuple(fact.name for fact in cls.derives if fact.scope == "derived")
            cls.window_provides = tuple(fact.name for fact in cls.derives if fact.scope == "window")

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of each call, in order.

        Args:
            calls: The columns; never changed.
            slot: Slot of each call per key space. Slot 0 is shared by everything over the quota: learn nothing there,
                and report nothing.
            tables: This detector's tables by name; rows are changed in place.
            learn: The calls to learn from: not suspect, no error, not late.


        Returns:
            One array of length ``calls.count`` per name in ``provides``.
        """
        return {}

    def window(self, closed: ClosedWindows, tables: Mapping[str, Rows]) -> dict[str, Array]:
        """Compute the facts of closed windows: one array of ``len(closed.slot)`` per name in ``window_provides``."""
        return {}

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:
        """Convert rows of an older version of a table.

        Raises:
            NotImplementedError: The default: this detector alone starts to learn again.
        """
        raise NotImplementedError


def discover() -> Iterator[type[Detector]]:
    """Yield every detector of this folder, in the order of file names."""
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Detector) and value.__module__ == module.__name__:
                yield value
