"""Knowledge of single AWS services: their contract name, and the facts in their responses."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.redaction import aws
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER, Facts

MAX_INSPECTED_ITEMS: Final = 16
SYSTEMS: Final[Mapping[str, str]] = {"s3": "s3", "sqs": "aws_sqs", "dynamodb": "aws.dynamodb"}
"""By botocore's name of the service; all others are ``aws-api``, with that name as namespace."""
_LISTS: Final = ("Contents", "Versions", "Buckets", "Items", "Messages", "QueueUrls", "TableNames", "Uploads", "Parts")
_SENDS: Final = frozenset({"SendMessage", "SendMessageBatch"})
_WRITTEN: Final = frozenset({"PutItem", "UpdateItem", "PutObject", "CopyObject", "SendMessage"})


def namespace_of(service: str, parameters: Mapping[str, Any], region: str) -> str:
    """Return the part of the endpoint that a call uses: the bucket, the queue's owner, the region of the tables."""
    if service == "s3":
        return aws.redact_resource(parameters.get("Bucket"))
    if service == "sqs":
        return aws.parse_queue(parameters)[0]
    return region if service == "dynamodb" else service


def span_kind(service: str, operation: str) -> int:
    """Return the span kind: producer or consumer for messages, else client."""
    if service != "sqs":
        return CLIENT
    return PRODUCER if operation in _SENDS else CONSUMER if operation == "ReceiveMessage" else CLIENT


def destination(service: str, parameters: Mapping[str, Any]) -> Facts:
    """Return the queue."""
    name = aws.parse_queue(parameters)[1] if service == "sqs" else ""
    return ((names.MESSAGING_DESTINATION, name),) if name else ()


def row_counts(
    service: str, operation: str, parameters: Mapping[str, Any], response: Mapping[str, Any]
) -> tuple[int, int]:
    """Return the objects, items or messages returned, and written; -1 where the response does not say."""
    if service not in SYSTEMS:
        return -1, -1
    returned = next((len(response[name]) for name in _LISTS if isinstance(response.get(name), list)), -1)
    if operation == "GetItem":
        returned = 1 if response.get("Item") else 0
    elif returned < 0 and operation in ("ListObjects", "ListObjectsV2", "ReceiveMessage", "ListQueues"):
        returned = 0
    tables = response.get("Responses")
    if isinstance(tables, Mapping):
        returned = sum(len(items) for items in tables.values())
    elif isinstance(tables, list) and operation == "TransactGetItems":
        returned = sum(1 for item in tables if item.get("Item"))
    return returned, _count_written(operation, parameters, response)


def _count_written(operation: str, parameters: Mapping[str, Any], response: Mapping[str, Any]) -> int:
    if operation in _WRITTEN:
        return 1
    for name in ("Successful", "Deleted"):
        if isinstance(response.get(name), list):
            return len(response[name])
    if operation == "BatchWriteItem":
        left = response.get("UnprocessedItems") or {}
        return _count(parameters.get("RequestItems")) - _count(left)
    return -1


def _count(tables: object) -> int:
    return sum(len(items) for items in tables.values()) if isinstance(tables, Mapping) else 0


def payload_format(service: str, response: Mapping[str, Any]) -> Facts:
    """Return the format of message bodies, or of items' binary values."""
    if service == "sqs":
        messages = response.get("Messages")
        return (
            detect_formats([message.get("Body") for message in messages[:MAX_INSPECTED_ITEMS]])
            if isinstance(messages, list)
            else ()
        )
    if service == "dynamodb":
        items = response.get("Items") or [response.get("Item")]
        return detect_formats(_binaries(items)) if isinstance(items, list) else ()
    return ()


def _binaries(items: Sequence[object]) -> list[object]:
    found: list[object] = []
    for item in items[:MAX_INSPECTED_ITEMS]:
        if isinstance(item, Mapping):
            values = (value for value in islice(item.values(), 100) if isinstance(value, Mapping))
            found += [value["B"] for value in values if "B" in value]
    return found[: 4 * MAX_INSPECTED_ITEMS]


def redirect_target(response: Mapping[str, Any], location: str) -> str:
    """Return the target of an S3 redirect: its ``Location``, else the endpoint that its error names."""
    if location:
        return location
    error = response.get("Error")
    endpoint = error.get("Endpoint") if isinstance(error, Mapping) else None
    return aws.redact_resource(endpoint) if isinstance(endpoint, str) else ""
