"""The rules there are: the shipped ones, the detectors' own, and a folder of the user's."""

import logging
from collections.abc import Iterable
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

logging.getLogger("sigma").setLevel(logging.ERROR)


def documents(rules_directory: str = "") -> Iterable[tuple[str, str]]:
    """Every rule document: (what to call it in an error, its text).

    Raises:
        SettingError: The user's folder cannot be read.
    """
    for kind in detectors.discover():
        yield f"detector {kind.id}", kind.rule
    for one in sorted(files("backwatch.detector").joinpath("rules").iterdir(), key=lambda found: found.name):
        if one.name.endswith(".yml"):
            yield one.name, one.read_text()
    if not rules_directory:
        return
    folder = Path(rules_directory)
    if not folder.is_dir():
        raise SettingError(f"BACKWATCH_RULES_DIR={rules_directory!r}: is not a folder")
    for path in sorted(folder.glob("*.yml")):
        if path.stat().st_size > LARGEST:
            raise SettingError(f"BACKWATCH_RULES_DIR={rules_directory!r}: {path.name} is larger than {LARGEST} bytes")
        yield path.name, path.read_text()


def load(rules_directory: str = "") -> RuleSet:
    """All rules, compiled.

    Raises:
        SettingError: A document is no rule that we can judge by, or two have one name.
    """
    vocabulary = Vocabulary.of(detectors.discover())
    found: dict[str, Rule] = {}
    try:
        for source, text in documents(rules_directory):
            rule = parse(text, source, vocabulary)
            if rule.name in found:
                raise SettingError(f"{source}: name: {rule.name!r} is {found[rule.name].source}'s already")
            found[rule.name] = rule
        return RuleSet(found.values(), vocabulary)
    except RuleError as error:
        raise SettingError(str(error)) from None


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
