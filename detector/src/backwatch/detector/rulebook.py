"""The rules there are: the shipped ones, the detectors' own, and a folder of the user's."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from backwatch.collector.settings import SettingError
from backwatch.detector import detectors
from backwatch.detector.engine.fields import Vocabulary
from backwatch.detector.engine.rules import RuleSet
from backwatch.detector.engine.sigma import Rule, RuleError, parse
from backwatch.detector.engine.step import Engine, EngineConfig

LARGEST = 64 * 1024
"""Bytes of a rule document that are read."""

logger = logging.getLogger("backwatch")
logging.getLogger("sigma").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A document that is no rule we can judge by.

    Attributes:
        file: Its path, or what else it is called.
        line: From 1, as near as can be told.
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Rules that were read.

    Attributes:
        rules: The shipped ones and those of the user's that are right.
        own: Names of the user's.
        faults: The user's documents that are not right.
    """

    rules: RuleSet
    own: frozenset[str]
    faults: tuple[Fault, ...]


def vocabulary() -> Vocabulary:
    """The fields there are, for every detector there is."""
    return Vocabulary.of(detectors.discover())


def documents() -> Iterable[tuple[str, str]]:
    """Every shipped rule document: (what to call it in an error, its text)."""
    for kind in detectors.discover():
        yield f"detector {kind.id}", kind.rule
    for one in sorted(files("backwatch.detector").joinpath("rules").iterdir(), key=lambda found: found.name):
        if one.name.endswith(".yml"):
            yield one.name, one.read_text()


def read(rules_directory: str = "", setting: str = "BACKWATCH_RULES_DIR") -> Loaded:
    """The shipped rules, and those of a folder; a bad one of the folder's is told and stops nothing else.

    Raises:
        SettingError: The folder is none, or a shipped rule is not right.
    """
    known = vocabulary()
    found: dict[str, Rule] = {}
    try:
        for source, text in documents():
            _add(parse(text, source, known), found, known)
    except RuleError as error:
        raise SettingError(str(error)) from None
    shipped, faults = frozenset(found), list[Fault]()
    for path in _own_documents(rules_directory, setting):
        text = ""
        try:
            text = _text(path)
            _add(parse(text, path.name, known), found, known)
        except RuleError as error:
            line = line_of(text, error.where, error.problem)
            faults.append(Fault(file=str(path), line=line, reason=f"{error.where}: {error.problem}"))
    try:
        rules = RuleSet(found.values(), known)
    except RuleError as error:  # rules that take each other's place: none of the user's can be told to be the bad one
        rules = RuleSet((found[name] for name in shipped), known)
        faults.append(Fault(file=rules_directory, line=1, reason=str(error)))
        found = {name: found[name] for name in shipped}
    return Loaded(rules=rules, own=frozenset(found) - shipped, faults=tuple(faults))


def load(rules_directory: str = "") -> RuleSet:
    """All rules, compiled; each of the user's that is bad is logged on one line and left out.

    Raises:
        SettingError: The user's folder is none, or a shipped rule is not right.
    """
    loaded = read(rules_directory)
    for fault in loaded.faults:
        logger.warning("rule left out: %s", fault)
    return loaded.rules


def _add(rule: Rule, found: dict[str, Rule], known: Vocabulary) -> None:
    if rule.name in found:
        raise RuleError(rule.source, "name", f"{rule.name!r} is {found[rule.name].source}'s already")
    RuleSet([rule], known)  # what only compiling tells is this rule's fault too
    found[rule.name] = rule


def _own_documents(rules_directory: str, setting: str) -> list[Path]:
    if not rules_directory:
        return []
    folder = Path(rules_directory)
    if not folder.is_dir():
        raise SettingError(f"{setting}={rules_directory!r}: is not a folder")
    return sorted(one for one in folder.iterdir() if one.suffix in (".yml", ".yaml"))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise RuleError(path.name, "document", f"cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise RuleError(path.name, "document", f"is larger than {LARGEST} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise RuleError(path.name, "document", "is not UTF-8 text") from None


def line_of(text: str, where: str, problem: str = "") -> int:
    """The line, from 1, that a fault of this field stands on; where YAML itself could not be read, the one it names.

    >>> line_of("title: T\\nbackwatch:\\n  key: host\\n", "backwatch.key")
    3
    """
    named = re.search(r"line (\d+)", problem) if where == "document" else None
    if named:
        return int(named[1])
    lines = text.splitlines()
    for word in (where, where.rpartition(".")[2], where.partition(".")[2], where.partition(".")[0]):
        key = word.partition("[")[0]
        for number, line in enumerate(lines, 1):
            if key and re.match(rf"[\s-]*['\"]?{re.escape(key)}['\"]?(?:\||\s*:)", line):
                return number
    return 1


def make_engine(config: EngineConfig, rules_directory: str = "") -> Engine:
    """An engine with every detector and rule there is."""
    return Engine(config, [kind() for kind in detectors.discover()], load(rules_directory))


def metadata(rule: Rule) -> dict[str, Any]:
    """What dashboard and notify need to know of a rule."""
    return {
        "name": rule.name, "title": rule.title, "level": rule.level, "tags": list(rule.tags),
        "description": rule.description, "blind_spots": rule.blind_spots, "remediation": rule.remediation,
        "falsepositives": list(rule.falsepositives), "references": list(rule.references),
    }  # fmt: skip
