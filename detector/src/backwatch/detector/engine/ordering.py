"""In which order detectors compute their facts: each after those whose facts it reads, otherwise by id."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from backwatch.detector.detectors import Detector


def in_order(detectors: Sequence[Detector]) -> tuple[Detector, ...]:
    """The detectors, each after what it reads.

    Raises:
        ValueError: Two have one id or provide one fact, one reads what nobody provides, or they read each other in a
        circle.
    """
    by_id = {one.id: one for one in sorted(detectors, key=lambda one: one.id)}
    if len(by_id) != len(detectors):
        raise ValueError("two detectors have the same id")
    provider: dict[str, str] = {}
    for one in by_id.values():
        for name in one.provides:
            if name in provider:
                raise ValueError(f"{name} is provided by both {provider[name]} and {one.id}")
            provider[name] = one.id
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for one in by_id.values():
        missing = [name for name in one.reads if name not in provider]
        if missing:
            raise ValueError(f"{one.id} reads {missing[0]}, which no detector provides")
        sorter.add(one.id, *sorted(provider[name] for name in one.reads))
    try:
        order = list(sorter.static_order())
    except CycleError as error:
        raise ValueError(f"detectors read each other in a circle: {' → '.join(error.args[1])}") from None
    return tuple(by_id[one] for one in order)
