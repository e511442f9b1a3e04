"""Facts about the kinds of sensitive data in a call, never the data."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact

FACTS: Final = (
    Fact(
        name=names.DATA_RECEIVED, type="words", scope="call", kind="data", domain="content", order=22,
        label="Data received",
        meaning="Kinds of sensitive data that calls of the statement receive: words of a fixed list.",
        example="email,card",
    ),
    Fact(
        name=names.DATA_SENT, type="words", scope="call", kind="data", domain="content", order=24,
        label="Data sent", meaning="Kinds of sensitive data that calls of the statement send: words of a fixed list.",
        example="iban",
    ),
)  # fmt: skip
