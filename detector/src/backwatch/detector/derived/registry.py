"""The derived facts of a call that need no detector: computed while decoding, from texts or from numbers."""

from typing import Final

from backwatch.collector.facts.fact import Fact
from backwatch.detector.derived import numbers, text_columns

FACTS: Final[tuple[Fact, ...]] = (
    Fact(
        name="duration_ns", type="number", scope="derived", kind="timing", domain="number", unit="nanoseconds",
        meaning="Duration of the call, in nanoseconds.", label="Duration",
    ),
    Fact(
        name="error", type="flag", scope="derived", kind="errors", domain="number",
        meaning="The call failed.", label="Failed",
    ),
    Fact(
        name="late", type="flag", scope="derived", kind="timing", domain="number",
        meaning="The call arrived after its minute was closed.", label="Late",
    ),
    *text_columns.FACTS, *numbers.FACTS,
)  # fmt: skip
