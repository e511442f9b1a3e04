"""The written table of renames, applied to the recordings."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

TABLE = Path(__file__).with_name("renames.toml")
SECTIONS = ("rules", "facts", "values", "documents", "scenarios")
SUFFIX = ".was"
"""Evidence of what a fact was before is named after the fact."""


def _names() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Renames:
    """Old names and their new ones. Names that are not listed stay.

    >>> renames = Renames(rules={"slow-answer": "slow-response"}, facts={"a.b": "a.c"})
    >>> renames.rule("slow-answer"), renames.rule("queue-purged"), renames.fact("a.b.was")
    ('slow-response', 'queue-purged', 'a.c.was')
    """

    rules: Mapping[str, str] = field(default_factory=_names)
    facts: Mapping[str, str] = field(default_factory=_names)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    documents: Mapping[str, str] = field(default_factory=_names)
    scenarios: Mapping[str, str] = field(default_factory=_names)

    @classmethod
    def load(cls, path: Path = TABLE) -> Self:
        """Read the table.

        Raises:
            ValueError: It has an unknown section, or two old names become one.
        """
        table = tomllib.loads(path.read_text())
        if unknown := table.keys() - set(SECTIONS):
            raise ValueError(f"{path.name}: unknown section {min(unknown)!r}")
        for section in (*(table[name] for name in SECTIONS if name != "values"), *table["values"].values()):
            if len(set(section.values())) < len(section):
                raise ValueError(f"{path.name}: two old names have the same new name")
        return cls(**table)

    def rule(self, old: str) -> str:
        """Return the present id of a rule."""
        return self.rules.get(old, old)

    def fact(self, old: str) -> str:
        """Return the present name of an attribute or of a piece of evidence."""
        if old in self.facts or not old.endswith(SUFFIX):
            return self.facts.get(old, old)
        return self.fact(old.removesuffix(SUFFIX)) + SUFFIX

    def value(self, fact: str, old: Any) -> Any:
        """Return the present form of a value of a fact, which is given by its old name.

        >>> Renames(values={"signs": {"union": "union-select"}}).value("signs", ["union", "or"])
        ['union-select', 'or']
        """
        if isinstance(old, list):
            return [self.value(fact, one) for one in old]  # pyright: ignore[reportUnknownVariableType]
        words = self.values.get(fact.removesuffix(SUFFIX), {})
        return words.get(old, old) if isinstance(old, str) else old

    def reverse(self) -> "Renames":
        """Return the reverse table, for recordings of hashes only."""
        back = {name: {new: old for old, new in getattr(self, name).items()} for name in SECTIONS if name != "values"}
        values = {self.fact(fact): {new: old for old, new in words.items()} for fact, words in self.values.items()}
        return Renames(values=values, **back)
