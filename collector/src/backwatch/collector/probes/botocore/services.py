"""What is known of single AWS services: their name in the contract, and what an answer of theirs holds."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.redaction import aws
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER, AttributeValue

Facts = tuple[tuple[str, AttributeValue], ...]

MAX_LOOKED_AT: Final = 16
SYSTEMS: Final[Mapping[str, str]] = {"s3": "s3", "sqs": "aws_sqs", "dynamodb": "aws.dynamodb"}
"""By botocore's own word for the service; all others are ``aws-api``, with that word for a namespace."""
_LISTS: Final = ("Contents", "Versions", "Buckets", "Items", "Messages", "QueueUrls", "TableNames", "Uploads", "Parts")
_SENDS: Final = frozenset({"SendMessage", "SendMessageBatch"})
_WRITTEN: Final = frozenset({"PutItem", "UpdateItem", "PutObject", "CopyObject", "SendMessage"})


def namespace(service: str, parameters: Mapping[str, Any], region: str) -> str:
    """What of the endpoint this call is about: the bucket, the queue's owner, the region of the tables."""
    if service == "s3":
        return aws.resource(parameters.get("Bucket"))
    if service == "sqs":
        return aws.queue(parameters)[0]
    return region if service == "dynamodb" else service


def kind(service: str, operation: str) -> int:
    """Whether messages are sent or taken."""
    if service != "sqs":
        return CLIENT
    return PRODUCER if operation in _SENDS else CONSUMER if operation == "ReceiveMessage" else CLIENT


def destination(service: str, parameters: Mapping[str, Any]) -> Facts:
    """The queue."""
    name = aws.queue(parameters)[1] if service == "sqs" else ""
    return ((names.MESSAGING_DESTINATION, name),) if name else ()


def rows(service: str, operation: str, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[int, int]:
    """Objects, items or messages returned, and written; -1 where the answer does not say."""
    if service not in SYSTEMS:
        return -1, -1
    returned = next((len(answer[name]) for name in _LISTS if isinstance(answer.get(name), list)), -1)
    if operation == "GetItem":
        returned = 1 if answer.get("Item") else 0
    elif returned < 0 and operation in ("ListObjects", "ListObjectsV2", "ReceiveMessage", "ListQueues"):
        returned = 0
    tables = answer.get("Responses")
    if isinstance(tables, Mapping):
        returned = sum(len(one) for one in tables.values())
    elif isinstance(tables, list) and operation == "TransactGetItems":
        returned = sum(1 for one in tables if one.get("Item"))
    return returned, _written(operation, parameters, answer)


def _written(operation: str, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> int:
    if operation in _WRITTEN:
        return 1
    for name in ("Successful", "Deleted"):
        if isinstance(answer.get(name), list):
            return len(answer[name])
    if operation == "BatchWriteItem":
        left = answer.get("UnprocessedItems") or {}
        return _count(parameters.get("RequestItems")) - _count(left)
    return -1


def _count(tables: object) -> int:
    return sum(len(one) for one in tables.values()) if isinstance(tables, Mapping) else 0


def payload(service: str, answer: Mapping[str, Any]) -> Facts:
    """The format of what came back: messages' bodies, items' binary values."""
    if service == "sqs":
        messages = answer.get("Messages")
        return (
            detect_formats([one.get("Body") for one in messages[:MAX_LOOKED_AT]]) if isinstance(messages, list) else ()
        )
    if service == "dynamodb":
        items = answer.get("Items") or [answer.get("Item")]
        return detect_formats(_binaries(items)) if isinstance(items, list) else ()
    return ()


def _binaries(items: Sequence[object]) -> list[object]:
    found: list[object] = []
    for item in items[:MAX_LOOKED_AT]:
        if isinstance(item, Mapping):
            values = (value for value in islice(item.values(), 100) if isinstance(value, Mapping))
            found += [value["B"] for value in values if "B" in value]
    return found[: 4 * MAX_LOOKED_AT]


def redirected(answer: Mapping[str, Any], carried: str) -> str:
    """Where S3 sends the client: its ``Location``, else the endpoint that its error names."""
    if carried:
        return carried
    error = answer.get("Error")
    endpoint = error.get("Endpoint") if isinstance(error, Mapping) else None
    return aws.resource(endpoint) if isinstance(endpoint, str) else ""
