"""The order of detectors: each after those whose facts it reads, otherwise by id."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from backwatch.detector.detectors import Detector


def in_order(detectors: Sequence[Detector]) -> tuple[Detector, ...]:
    """Return the detectors, each after those that it reads from.

    Raises:
        ValueError: Two have one id or provide one fact, one reads a fact that none provides, or they read each other
            in a circle.
    """
    by_id = {detector.id: detector for detector in sorted(detectors, key=lambda detector: detector.id)}
    if len(by_id) != len(detectors):
        raise ValueError("two detectors have the same id")
    provider: dict[str, str] = {}
    for detector in by_id.values():
        for name in detector.provides:
            if name in provider:
                raise ValueError(f"{name} is provided by both {provider[name]} and {detector.id}")
            provider[name] = detector.id
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for detector in by_id.values():
        missing = [name for name in detector.reads if name not in provider]
        if missing:
            raise ValueError(f"{detector.id} reads {missing[0]}, which no detector provides")
        sorter.add(detector.id, *sorted(provider[name] for name in detector.reads))
    try:
        order = list(sorter.static_order())
    except CycleError as error:
        raise ValueError(f"detectors read each other in a circle: {' → '.join(error.args[1])}") from None
    return tuple(by_id[name] for name in order)
