"""What a test suite does, learnt while it runs; recorded in a profile, or compared with one."""

import fnmatch
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from backwatch.detector.profile.comparing import find_not_held, merge
from backwatch.detector.profile.document import LARGEST, MAX_DESTINATIONS, MAX_STATEMENTS, Profile, read_plain
from backwatch.detector.profile.reading import NotAProfile, parse
from backwatch.detector.profile.writing import serialize
from backwatch.detector.testing.recording import Recording

FOLD_BYTES: Final = 16 << 20
"""Bytes of calls after which a suite's profile is learnt from them, and they are dropped."""
TEST_FOLDERS: Final = frozenset(("tests", "test"))
MAX_SHOWN: Final = 100
"""Statements and destinations that a report lists."""


class UnusableProfile(Exception):
    """The file holds no profile, or the app's does not fit into one; one line."""


def read_profile(path: Path) -> Profile | None:
    """Return the profile of a file; ``None`` if there is no such file.

    Raises:
        UnusableProfile: It cannot be read.
    """
    try:
        with path.open("rb") as opened:
            return parse(opened.read(LARGEST + 1).decode())
    except FileNotFoundError:
        return None
    except NotAProfile as error:
        line, what = error.faults[0]
        raise UnusableProfile(f"{path}:{line}: {what}") from None
    except (OSError, ValueError) as error:
        raise UnusableProfile(f"{path}: cannot be read as a profile ({type(error).__name__})") from None


def is_test_code(site: str, patterns: Sequence[str]) -> bool:
    """Return whether a call site is in a test file, by pytest's own patterns, or below a folder of tests.

    >>> [is_test_code(site, ["test_*.py"]) for site in ("shop/tests/a.py:f", "test_a.py:f", "shop/views.py:f", "")]
    [True, True, False, False]
    """
    path = PurePosixPath(site.partition(":")[0].replace("\\", "/"))
    names = (*patterns, "conftest.py")
    return bool(TEST_FOLDERS & set(path.parts[:-1])) or any(fnmatch.fnmatch(path.name, name) for name in names)


class Suite:
    """Collects the calls of one process of a suite, and those that other processes of it report.

    Args:
        patterns: Names of test files, whose own statements are not the app's.

    Attributes:
        incomplete: A process of the suite ended without a report.
        injected: Call site and statement of what looks injected; a profile never learns it by itself.
        lost: Calls that the collector's queue dropped, and entries for which there was no room.
    """

    def __init__(self, recording: Recording, patterns: Sequence[str]) -> None:
        self._recording = recording
        self._patterns = patterns
        self._learner: Any = None
        self._seen = Profile(app="")
        self.incomplete = False
        self.injected: set[tuple[str, str]] = set()
        self.lost = 0

    def on_test_end(self) -> None:
        """Learn from the calls so far once they take much memory."""
        if sum(map(len, self._recording.values)) > FOLD_BYTES:
            self._fold()

    def to_report(self) -> str:
        """Return what was seen, for the process that merges the reports."""
        seen = self.finish()
        return json.dumps({"seen": seen.plain(), "injected": sorted(self.injected), "lost": self.lost})

    def add_report(self, text: str) -> None:
        """Add what another process has seen."""
        report: Mapping[str, Any] = json.loads(text)
        self._seen = merge(self._seen, read_plain(report["seen"]))
        self.injected |= {(str(site), str(statement)) for site, statement in report["injected"]}
        self.lost += int(report["lost"])

    def finish(self) -> Profile:
        """Return the statements and destinations of the suite."""
        self._recording.flush()
        self._fold()
        if self._learner is not None:
            learnt = self._learner.profile("")
            self._seen = merge(self._seen, replace(learnt, resources=(), volume=()))
            self.injected |= self._learner.looked_injected
            self.lost += self._learner.left_out
            self._learner = None
        self.lost += self._recording.count_dropped()
        return self._seen

    def _fold(self) -> None:
        values = self._recording.values
        count = len(values)
        if count:
            if self._learner is None:
                from backwatch.detector.profile.learning import Learner

                self._learner = Learner(skips=lambda site: is_test_code(site, self._patterns), loopback=False)
            self._learner.add(values[:count])
            del values[:count]


def name_app(configured: str, root: Path) -> str:
    """Return the app's name for a new profile: as configured, or as the collector takes it, else the folder's."""
    environment = os.environ
    return configured or environment.get("OTEL_SERVICE_NAME") or environment.get("BACKWATCH_APP") or root.name or "app"


def record(seen: Profile, path: Path, app: str) -> tuple[Profile, Profile]:
    """Add what was seen to the profile in a file, which is created if missing; return what is new, and the whole.

    Raises:
        UnusableProfile: The file is no profile, or the whole does not fit into one.
    """
    known = read_profile(path) or Profile(app=app)
    new = find_new(seen, known)
    whole = merge(known, seen)
    text = serialize(whole)
    if (
        len(text.encode()) > LARGEST
        or len(whole.statements) > MAX_STATEMENTS
        or len(whole.destinations) > MAX_DESTINATIONS
    ):
        raise UnusableProfile(f"{path}: the app does more than a profile can hold; nothing was written")
    if whole != known or not path.exists():
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        beside.write_text(text, "utf-8")
        beside.replace(path)
    return new, whole


def find_new(seen: Profile, known: Profile) -> Profile:
    """Return the statements and destinations that the profile does not hold yet."""
    held = {(entry.site, entry.statement) for entry in known.statements}
    hosts = {(entry.site, entry.destination) for entry in known.destinations}
    return Profile(
        app=known.app,
        statements=tuple(entry for entry in seen.statements if (entry.site, entry.statement) not in held),
        destinations=tuple(entry for entry in seen.destinations if (entry.site, entry.destination) not in hosts),
    )


def check(seen: Profile, held: Profile) -> Profile:
    """Return what the profile does not hold today."""
    return find_not_held(seen, held, datetime.now(UTC).date().isoformat())


def describe(entries: Profile, escape: Callable[[str], str]) -> list[str]:
    """Return lines that name each statement and destination with its call site."""
    lines: list[str] = []
    for statement in entries.statements:
        shown = statement.example or statement.statement
        lines += [f"{escape(statement.site) or 'at any call site'}", f"    {escape(shown)}"]
    for destination in entries.destinations:
        lines += [
            f"{escape(destination.site) or 'at any call site'}",
            f"    calls {escape(destination.destination)}",
        ]
    if len(lines) > 2 * MAX_SHOWN:
        lines = [*lines[: 2 * MAX_SHOWN], f"and {len(lines) // 2 - MAX_SHOWN} more"]
    return lines
