"""Facts about a loss: records, calls or findings that were dropped."""

from typing import Final

from backwatch.collector.facts.fact import Fact

LOSS_KIND: Final = "backwatch.loss.kind"
LOSS_COUNT: Final = "backwatch.loss.count"

FACTS: Final = (
    Fact(
        name=LOSS_KIND, type="text", scope="loss", kind="loss", domain="content",
        label="Kind of loss", meaning="Kind of the loss: dropped.queue, gap, quarantine, overflow.site, late …",
        example="dropped.queue",
    ),
    Fact(
        name=LOSS_COUNT, type="number", scope="loss", kind="loss", domain="number", unit="items",
        label="Lost", meaning="Number of lost records, calls, findings or deliveries; the kind shows which.",
        example=12,
    ),
)  # fmt: skip
