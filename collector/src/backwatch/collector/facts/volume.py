"""Facts about volume: bytes and rows of a call."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact

FACTS: Final = (
    Fact(
        name=names.BYTES_SENT, type="number", scope="call", kind="bytes", domain="number", order=40, unit="bytes",
        older=("http.request.body.size", "http.request_content_length"),
        label="Bytes sent", meaning="Bytes that the call sent.", example=312,
    ),
    Fact(
        name=names.BYTES_RECEIVED, type="number", scope="call", kind="bytes", domain="number", order=30, unit="bytes",
        older=("http.response.body.size", "http.response_content_length"),
        label="Bytes received", meaning="Bytes that the call received.", example=48_211,
    ),
    Fact(
        name=names.BYTES_ESTIMATED, type="flag", scope="call", kind="bytes", domain="number", order=50,
        label="Bytes estimated", meaning="The byte counts are an estimate.", example=False,
    ),
    Fact(
        name=names.ROWS_RETURNED, type="number", scope="call", kind="rows", domain="number", order=10, unit="rows",
        label="Rows returned", meaning="Rows, documents or messages that the call returned.", example=20,
    ),
    Fact(
        name=names.ROWS_AFFECTED, type="number", scope="call", kind="rows", domain="number", order=20, unit="rows",
        label="Rows affected", meaning="Rows that the call changed; for mail, its recipients.", example=1,
    ),
)  # fmt: skip
