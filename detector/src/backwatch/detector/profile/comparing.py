"""Compares and merges profiles entry by entry."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from backwatch.collector.destinations.host import PUBLIC, classify_host
from backwatch.detector.profile.document import (
    SECTIONS,
    TLS_LEVELS,
    Entry,
    Profile,
    ResourceEntry,
    StatementEntry,
    VolumeEntry,
    identify,
    plain_entry,
)

_NO_DIFFERENCE: Final = ("example", "by", "reason")
"""Fields that may differ between entries that allow the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry that one of two profiles holds, or that they hold in another way.

    Attributes:
        section: Name of the section.
        before, after: The entry in each; ``None`` where it is missing. Never both.
    """

    section: str
    before: Entry | None
    after: Entry | None


def find_differences(before: Profile, after: Profile) -> Iterator[Difference]:
    """Yield the differences by section and entry. Examples, authors and reasons do not count."""
    for section in SECTIONS:
        olds, news = _by_identity(before, section), _by_identity(after, section)
        for key in sorted(olds.keys() | news.keys()):
            old, new = olds.get(key), news.get(key)
            if old is None or new is None or _allowance(old) != _allowance(new):
                yield Difference(section, old, new)


def find_excess(held: Profile, seen: Profile, today: str) -> Iterator[Difference]:
    """Yield what was seen beyond a profile: statements, destinations, and new or weaker values of other sections."""
    missing = find_not_held(seen, held, today)
    for section in ("destinations", "statements"):
        for entry in getattr(missing, section):
            yield Difference(section, None, entry)
    for section in ("resources", "volume"):
        known = _by_identity(held, section)
        for key, entry in _by_identity(seen, section).items():
            before = known.get(key)
            if known and (before is None or _MERGES[section](before, entry) != before):
                yield Difference(section, before, entry)


def find_not_held(seen: Profile, held: Profile, today: str) -> Profile:
    """Return the statements and destinations of ``seen`` that ``held`` does not hold on this day.

    Destinations count if ``held`` has some: at its places, and elsewhere those on public hosts that it holds nowhere.
    """
    excused = {(entry.site, entry.statement, entry.destination) for entry in held.exceptions if entry.until >= today}
    statements = {identify("statements", entry) for entry in held.statements}
    destinations = {identify("destinations", entry) for entry in held.destinations}
    places = {entry.site for entry in held.destinations}
    anywhere = {entry.destination for entry in held.destinations}
    return Profile(
        app=seen.app,
        statements=tuple(
            entry
            for entry in seen.statements
            if not statements & {(entry.site, entry.statement), ("", entry.statement)}
            and not excused & {(entry.site, entry.statement, ""), ("", entry.statement, "")}
        ),
        destinations=tuple(
            entry
            for entry in (seen.destinations if places else ())
            if (entry.site in places or (entry.destination not in anywhere and _is_public(entry.destination)))
            and not destinations & {(entry.site, entry.destination), ("", entry.destination)}
            and not excused & {(entry.site, "", entry.destination), ("", "", entry.destination)}
        ),
    )


def _is_public(destination: str) -> bool:
    return classify_host(destination.rpartition(":")[0] or destination) == PUBLIC


def merge(known: Profile, seen: Profile) -> Profile:
    """Return a profile with the entries of both. What stands in ``known`` keeps its example, author and reason."""
    sections: dict[str, Any] = {}
    for section in SECTIONS:
        entries = _by_identity(known, section)
        for key, entry in _by_identity(seen, section).items():
            before = entries.get(key)
            entries[key] = entry if before is None else _MERGES.get(section, _keep)(before, entry)
        sections[section] = tuple(sorted(cast("Any", entries.values())))
    return replace(known, announced=known.announced or seen.announced, **sections)


def merge_resources(known: ResourceEntry, seen: ResourceEntry) -> ResourceEntry:
    """Return the sessions of both: the lower level of TLS, and all values."""
    levels = [level for level in (known.tls, seen.tls) if level]

    def both(name: str) -> tuple[str, ...]:
        return tuple(sorted({*getattr(known, name), *getattr(seen, name)}))

    return ResourceEntry(
        resource=known.resource, tls=min(levels, key=TLS_LEVELS.index, default=""),
        tls_versions=both("tls_versions"), certificates=both("certificates"), issuers=both("issuers"),
        accounts=both("accounts"),
    )  # fmt: skip


def _merge_volume(known: VolumeEntry, seen: VolumeEntry) -> VolumeEntry:
    return VolumeEntry(
        resource=known.resource, calls=max(known.calls, seen.calls),
        rows_returned=max(known.rows_returned, seen.rows_returned),
        bytes_sent=max(known.bytes_sent, seen.bytes_sent),
        bytes_received=max(known.bytes_received, seen.bytes_received),
    )  # fmt: skip


def _merge_statements(known: StatementEntry, seen: StatementEntry) -> StatementEntry:
    return known if known.example or known.reason else replace(known, example=seen.example)


def _keep(known: Entry, _seen: Entry) -> Entry:
    return known


_MERGES: Final[dict[str, Callable[[Any, Any], Entry]]] = {
    "resources": merge_resources, "volume": _merge_volume, "statements": _merge_statements,
}  # fmt: skip


def _by_identity(profile: Profile, section: str) -> dict[tuple[str, ...], Entry]:
    return {identify(section, entry): entry for entry in getattr(profile, section)}


def _allowance(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in plain_entry(entry).items() if name not in _NO_DIFFERENCE}
