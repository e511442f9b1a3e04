"""The fields that rules may read, with their meanings, for ``backwatch rules fields`` and the documents."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from backwatch.collector import facts
from backwatch.detector.derived import registry
from backwatch.detector.detectors import Detector
from backwatch.detector.rules.fields import Vocabulary

_MEANINGS: Final[Mapping[tuple[str, str], str]] = {
    (over, fact.name): fact.meaning
    for over, found in {
        "call": (*facts.REPORTED, *registry.FACTS), "window": facts.WINDOW, "loss": facts.LOSS,
        "process": facts.PROCESS,
    }.items()
    for fact in found
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMeaning:
    """A field as ``backwatch rules fields`` lists it.

    Attributes:
        over: Rules that read it are over: call, window, due, loss, process.
        kind: text, words, number or flag.
        detector: The detector that derives it; empty: no detector does.
    """

    field: str
    over: str
    kind: str
    detector: str
    meaning: str


def list_fields(kinds: Iterable[type[Detector]]) -> Iterator[FieldMeaning]:
    """Yield every field, sorted by what rules over it are over, then by name."""
    found = list(kinds)
    derived = {fact.name: (kind.id, fact.meaning) for kind in found for fact in kind.derives}
    for over, fields in Vocabulary.of(found).by_over.items():
        for name, field in sorted(fields.items()):
            detector, meaning = derived.get(name, ("", _MEANINGS.get((over, name), "")))
            yield FieldMeaning(field=name, over=over, kind=field.kind, detector=detector, meaning=meaning)
