"""Learns from calls what an app does: its statements, destinations, sessions and volume."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.destinations.host import LOOPBACK
from backwatch.collector.statements.families import derive_family
from backwatch.detector.baselines.approval import find_housekeeping
from backwatch.detector.baselines.suspicion import SIGN_WEIGHTS
from backwatch.detector.columns.key_texts import ROUTE_PREFIX, caller, resource_key, resource_parts
from backwatch.detector.columns.prepared import Columns, Prepared, sign_mask
from backwatch.detector.decoding.decoder import decode
from backwatch.detector.derived.text_columns import DESTINATION_CLASS, NAMED_CLASS
from backwatch.detector.profile.comparing import merge_resources
from backwatch.detector.profile.document import (
    MAX_DESTINATIONS,
    MAX_ITEMS,
    MAX_STATEMENTS,
    MAX_TEXT_CHARACTERS,
    DestinationEntry,
    Profile,
    ResourceEntry,
    StatementEntry,
    VolumeEntry,
)

RECORDS_PER_BATCH: Final = 256
"""Records that are decoded at once."""
MAX_SIGN_WEIGHT: Final = 2.0
"""Weight of one injection sign beyond which a statement is broken or an attack: it is not learnt."""
SUMMED_MINUTES: Final = 16
"""Minutes of a resource that are summed at once, because spans do not come in order."""
MAX_SEEN: Final = 1 << 17
"""Hashes of calls that were learnt from. A full set is cleared: learning again changes nothing."""
CATALOGUES: Final = ("pg_", "sqlite_", "information_schema.", "mysql.", "sys.")
MINUTE_NS: Final = 60_000_000_000
_LEFT_OUT_SIGNS: Final = sum(1 << at for at, weight in enumerate(SIGN_WEIGHTS.tolist()) if weight > MAX_SIGN_WEIGHT)
_SUMS: Final = (names.ROWS_RETURNED, names.BYTES_SENT, names.BYTES_RECEIVED)


class Learner:
    """Collects what calls show, in bounded memory. The result depends on the calls alone, not on their pieces.

    Args:
        app: The app to learn of, as alerts show it; empty: all calls are taken for one app's.
        skips: Returns whether a call site is no part of the app, such as a test's own.
        loopback: Whether to learn destinations on this machine.

    Attributes:
        looked_injected: Call site and statement of each that was not learnt because it looks injected.
        left_out: Statements and destinations for which there was no room.
        unreadable: Values that are no spans.
        apps: Names of the apps whose calls were read.
    """

    def __init__(self, *, app: str = "", skips: Callable[[str], bool] = lambda _: False, loopback: bool = True) -> None:
        self._columns = Columns(bytes(16))
        self._app = app
        self._skips, self._loopback = skips, loopback
        self._seen: set[int] = set()
        self._statements: dict[tuple[str, str], str] = {}
        self._destinations: set[tuple[str, str]] = set()
        self._resources: dict[str, ResourceEntry] = {}
        self._volume: dict[str, VolumeEntry] = {}
        self._minutes: dict[str, dict[int, list[int]]] = {}
        self.looked_injected: set[tuple[str, str]] = set()
        self.left_out = 0
        self.unreadable = 0
        self.apps: set[str] = set()

    def add(self, values: Iterable[bytes]) -> None:
        """Learn from these ``ExportTraceServiceRequest`` values: native spans, or what the router has redacted."""
        remaining = iter(values)
        while batch := list(islice(remaining, RECORDS_PER_BATCH)):
            decoded = decode(batch, np.zeros(len(batch), np.int64))
            self.unreadable += len(decoded.malformed)
            if decoded.count:
                self._learn(self._columns.prepare(decoded))

    def profile(self, app: str) -> Profile:
        """Return what was learnt so far, as this app's profile."""
        for resource in list(self._minutes):
            self._close_minutes(resource, 0)
        statements = (
            StatementEntry(site=site, statement=text, example=example)
            for (site, text), example in self._statements.items()
        )
        return Profile(
            app=app,
            resources=tuple(sorted(self._resources.values())[:MAX_ITEMS]),
            volume=tuple(sorted(self._volume.values())[:MAX_ITEMS]),
            destinations=tuple(
                DestinationEntry(site=site, destination=destination) for site, destination in sorted(self._destinations)
            ),
            statements=tuple(sorted(statements)),
        )

    def _learn(self, prepared: Prepared) -> None:
        columns, address = prepared.columns, prepared.address
        port, mine = columns[names.SERVER_PORT], self._find_mine(prepared)
        is_statement = mine & (columns["fingerprint"] != 0) & (columns[names.DB_SYSTEM] != 0)
        for row in self._find_new(address["caller"] ^ columns["fingerprint"] * np.uint64(3), is_statement, 1):
            self._learn_statement(prepared, row)
        place = columns[names.SERVER_ADDRESS] * np.uint64(5) ^ columns[names.RESOURCE_NAME] ^ port.astype(np.uint64)
        for row in self._find_new(address["caller"] ^ place * np.uint64(7), mine & (port > 0), 2):
            self._learn_destination(prepared, row)
        for row in self._find_new(address["session"], mine, 3):
            self._learn_session(prepared, row)
        self._sum_minutes(prepared, mine)

    def _find_mine(self, prepared: Prepared) -> NDArray[np.bool_]:
        """Return which calls are of the app, and note the names of all apps."""
        _, first, of = np.unique(prepared.address["app"], return_index=True, return_inverse=True)
        apps = [resource_parts(prepared, row)[0] for row in first.tolist()]
        self.apps.update(app for app in apps if app)
        return np.array([not self._app or app == self._app for app in apps])[of]

    def _find_new(self, keys: NDArray[np.uint64], wanted: NDArray[np.bool_], kind: int) -> list[int]:
        """Return the first row of each key that was not seen before."""
        if len(self._seen) > MAX_SEEN:
            self._seen.clear()
        rows = np.flatnonzero(wanted)
        _, first = np.unique(keys[rows], return_index=True)
        fresh: list[int] = []
        for row in rows[np.sort(first)].tolist():
            key = int(keys[row]) << 2 | kind
            if key not in self._seen:
                self._seen.add(key)
                fresh.append(row)
        return fresh

    def _learn_statement(self, prepared: Prepared, row: int) -> None:
        rows = np.array([row])
        if find_housekeeping(prepared.tokens(rows), rows)[0]:
            return
        try:
            statement = prepared.canonical(row).decode()
        except UnicodeDecodeError:
            self.left_out += 1
            return
        site = "" if is_of_connection(statement) else self._site(prepared, row)
        if site is None:
            return
        if int(prepared.columns["signs"][row]) & _LEFT_OUT_SIGNS:
            self.looked_injected.add((site, statement))
        elif len(self._statements) >= MAX_STATEMENTS and (site, statement) not in self._statements:
            self.left_out += 1
        else:
            given = prepared.decoded.text(names.QUERY_TEXT, row) or statement
            example = " ".join(given.split())[:MAX_TEXT_CHARACTERS]
            self._statements[site, statement] = "" if example == statement else example

    def _learn_destination(self, prepared: Prepared, row: int) -> None:
        columns, site = prepared.columns, self._site(prepared, row)
        on_this_machine = LOOPBACK in (int(columns[DESTINATION_CLASS][row]), int(columns[NAMED_CLASS][row]))
        if site is None or (on_this_machine and not self._loopback):
            return
        destination = describe_destination(prepared, row)
        full = len(self._destinations) >= MAX_DESTINATIONS and (site, destination) not in self._destinations
        if full or not destination.isprintable() or len(destination) > MAX_TEXT_CHARACTERS:
            self.left_out += 1
        else:
            self._destinations.add((site, destination))

    def _site(self, prepared: Prepared, row: int) -> str | None:
        """Return the call site; ``None`` where it is none of the app's, or cannot stand in a document."""
        site = describe_site(prepared, row)
        if site and (not site.isprintable() or site != site.strip() or len(site) > MAX_TEXT_CHARACTERS):
            self.left_out += 1
            return None
        return None if self._skips(site) else site

    def _learn_session(self, prepared: Prepared, row: int) -> None:
        name = resource_key(resource_parts(prepared, row)).resource
        if len(self._resources) < MAX_ITEMS or name in self._resources:
            fresh = describe_session(name, prepared.decoded.session_facts(row))
            known = self._resources.get(name)
            self._resources[name] = merge_resources(known, fresh) if known else fresh

    def _sum_minutes(self, prepared: Prepared, mine: NDArray[np.bool_]) -> None:
        columns = prepared.columns
        minute = prepared.decoded.end_ns // MINUTE_NS
        both = prepared.address["resource"] * np.uint64(31) ^ minute.astype(np.uint64)
        _, first, of = np.unique(both, return_index=True, return_inverse=True)
        sums = np.zeros((1 + len(_SUMS), first.shape[0]), np.int64)
        np.add.at(sums[0], of, 1)
        for at, name in enumerate(_SUMS, 1):
            np.add.at(sums[at], of, np.maximum(columns[name], 0))
        for at, row in enumerate(first.tolist()):
            if not mine[row]:
                continue
            resource = resource_key(resource_parts(prepared, row)).resource
            if resource not in self._minutes and len(self._minutes) >= MAX_ITEMS:
                continue
            minutes = self._minutes.setdefault(resource, {})
            before = minutes.get(int(minute[row]), [0] * sums.shape[0])
            minutes[int(minute[row])] = [was + more for was, more in zip(before, sums[:, at].tolist(), strict=True)]
            self._close_minutes(resource, SUMMED_MINUTES)

    def _close_minutes(self, resource: str, kept: int) -> None:
        """Take the oldest minutes into the most of the resource, until so many are left."""
        minutes = self._minutes[resource]
        while len(minutes) > kept:
            calls, rows, sent, received = minutes.pop(min(minutes))
            known = self._volume.get(resource, VolumeEntry(resource=resource))
            self._volume[resource] = VolumeEntry(
                resource=resource, calls=max(known.calls, round_up(calls)),
                rows_returned=max(known.rows_returned, round_up(rows)),
                bytes_sent=max(known.bytes_sent, round_up(sent)),
                bytes_received=max(known.bytes_received, round_up(received)),
            )  # fmt: skip


def looks_injected(signs: str) -> bool:
    """Return whether one of these signs is of a statement that is broken or an attack; they are separated by commas.

    >>> looks_injected("tautology,odd-spacing"), looks_injected("stacked"), looks_injected("")
    (True, False, False)
    """
    return bool(sign_mask(signs) & _LEFT_OUT_SIGNS)


def is_of_connection(statement: str) -> bool:
    """Return whether a statement asks about the connection or a catalogue, and touches no table of the app.

    A driver, a pool or an object-relational mapper sends it when it connects, from the call site that comes first.

    >>> [is_of_connection(text) for text in ("PRAGMA ENCODING", "SELECT OID FROM PG_TYPE", "SELECT A FROM B")]
    [True, True, False]
    """
    verb, _, tables = derive_family(statement).partition(" ")
    if verb in ("PRAGMA", "SHOW", "SET"):
        return True
    return verb == "SELECT" and all(table.startswith(CATALOGUES) for table in tables.split(",") if table)


def describe_site(prepared: Prepared, row: int) -> str:
    """Return the place in the app's code that made a call, as a profile names it; empty if none is reported."""
    decoded = prepared.decoded
    if decoded.raw(names.CODE_FILE, row) or decoded.raw(names.CODE_FUNCTION, row):
        return caller(prepared, row)
    route = caller(prepared, row)
    return f"{ROUTE_PREFIX}{route}" if route else ""


def describe_destination(prepared: Prepared, row: int) -> str:
    """Return where a call goes, as a profile names it: the resource's own name, else host and port."""
    decoded = prepared.decoded
    given = decoded.text(names.RESOURCE_NAME, row)
    return given or f"{decoded.text(names.SERVER_ADDRESS, row)}:{int(prepared.columns[names.SERVER_PORT][row])}"


def describe_session(resource: str, facts: Any) -> ResourceEntry:
    """Return what a session's facts show of its resource."""

    def texts(name: str) -> tuple[str, ...]:
        text = str(facts.get(name, "")).strip()
        return (text,) if text and text.isprintable() and len(text) <= MAX_TEXT_CHARACTERS else ()

    established, verified = facts.get(names.TLS_ESTABLISHED), facts.get(names.TLS_VERIFIED)
    tls = "" if established is None else "none" if not established else "encrypted"
    if tls == "encrypted" and verified in ("chain", "full"):
        tls = str(verified)
    return ResourceEntry(
        resource=resource, tls=tls, tls_versions=texts(names.TLS_VERSION),
        certificates=tuple(text.lower() for text in texts(names.CERT_SHA256)),
        issuers=texts(names.CERT_ISSUER), accounts=texts(names.ACCOUNT),
    )  # fmt: skip


def round_up(number: int) -> int:
    """Return a number rounded up to two digits, so that a profile changes only with what matters.

    >>> round_up(0), round_up(99), round_up(101), round_up(12_345)
    (0, 99, 110, 13000)
    """
    step = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step
