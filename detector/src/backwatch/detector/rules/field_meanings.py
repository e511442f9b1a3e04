"""What each field means that a rule may read: told ones stand in a table here, others in their detector's docstring."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from backwatch.collector import facts
from backwatch.detector.derived import registry
from backwatch.detector.detectors import Detector
from backwatch.detector.rules.fields import Vocabulary

_REPORTED: Final[Mapping[tuple[str, str], str]] = {
    (over, fact.name): fact.meaning
    for over, found in {
        "call": (*facts.REPORTED, *registry.FACTS), "window": facts.WINDOW, "loss": facts.LOSS,
        "process": facts.PROCESS,
    }.items()
    for fact in found
}  # fmt: skip
_NAMES: Final = re.compile(r"(?:^|(?<=[.;\n]) *)((?:``[\w.<>]+``(?:, )?)+):\s", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMeaning:
    """A field as ``backwatch rules fields`` tells it.

    Attributes:
        over: What rules that read it are over: call, window, due, loss, process.
        kind: text, words, number or flag.
        detector: Which one provides it; empty: it is told.
    """

    field: str
    over: str
    kind: str
    detector: str
    meaning: str


def provided(kind: type[Detector]) -> dict[str, str]:
    """Pattern of a field's name to its meaning, as the detector's docstring says it under ``Provides``."""
    _, _, told = (inspect.getdoc(kind) or "").partition("Provides:\n")
    told = inspect.cleandoc(told)
    found: dict[str, str] = {}
    parts = _NAMES.split(told)
    for listed, text in zip(parts[1::2], parts[2::2], strict=True):
        for name in re.findall(r"``([\w.<>]+)``", listed):
            found[re.sub(r"<\w+>", "[a-z_]+", name)] = " ".join(text.split()).replace("``", "")
    return found


def list_fields(kinds: Iterable[type[Detector]]) -> Iterator[FieldMeaning]:
    """Yield every field, sorted by what rules over it are over, then by name."""
    found = list(kinds)
    by_detector = {kind.id: provided(kind) for kind in found}
    owner = {name: kind.id for kind in found for name in (*kind.provides, *kind.window_provides)}
    for over, fields in Vocabulary.of(found).by_over.items():
        for name, field in sorted(fields.items()):
            detector = owner.get(name, "")
            derived = by_detector.get(detector, {})
            meaning = next((text for pattern, text in derived.items() if re.fullmatch(pattern, name)), "")
            yield FieldMeaning(
                field=name, over=over, kind=field.kind, detector=detector,
                meaning=meaning or _REPORTED.get((over, name), ""),
            )  # fmt: skip
