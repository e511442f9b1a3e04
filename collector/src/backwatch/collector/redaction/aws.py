"""AWS: an API call as operation, resource and parameter names; expressions without values; the signing key's id."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from backwatch.collector.redaction.http import redact_segment
from backwatch.collector.statements.scan import scan_cached

MAX_NAMES: Final = 40
MAX_NAME: Final = 64
MAX_RESOURCE: Final = 128
MAX_EXPRESSION: Final = 2_000
MAX_TABLES: Final = 8

SQL: Final[Mapping[tuple[str, str], str]] = {
    ("dynamodb", "ExecuteStatement"): "Statement",
    ("s3", "SelectObjectContent"): "Expression",
    ("athena", "StartQueryExecution"): "QueryString",
    ("rds-data", "ExecuteStatement"): "sql",
    ("rds-data", "BatchExecuteStatement"): "sql",
    ("redshift-data", "ExecuteStatement"): "Sql",
    ("timestream-query", "Query"): "QueryString",
}
"""Calls whose parameter is a statement, by service and operation."""
_EXPRESSIONS: Final = (
    "KeyConditionExpression", "FilterExpression", "ConditionExpression", "UpdateExpression", "ProjectionExpression",
)  # fmt: skip
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_RESOURCE: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_NAME: Final = re.compile(r"#[A-Za-z0-9_]++")
_CREDENTIAL: Final = re.compile(r"Credential=([A-Za-z0-9_.-]{4,128})/")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{4,128}")
_METHOD: Final = re.compile(r"aws[24]-[a-z0-9-]{1,40}")
_SCHEME: Final = re.compile(r"AWS4-[A-Z0-9-]{1,40}|Bearer|Basic|Negotiate", re.IGNORECASE)


def to_statement(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    """Return the statement of an API call: operation, resource, and names of parameters.

    >>> to_statement("s3", "GetObject", {"Bucket": "photos", "Key": "ann/secret.jpg", "Range": "bytes=0-9"})
    'GetObject photos (Key,Range)'
    >>> to_statement("sns", "Publish", {"TopicArn": "arn:aws:sns:eu-west-1:1234:alarms", "Message": "secret"})
    'sns.Publish (Message,TopicArn)'
    """
    if service == "dynamodb":
        head, shown = f"{operation} {list_tables(parameters)}", _with_expressions(parameters)
    elif service == "s3":
        head, shown = f"{operation} {redact_resource(parameters.get('Bucket'))}", _names(parameters, {"Bucket"})
    elif service == "sqs":
        head, shown = f"{operation} {parse_queue(parameters)[1]}", _names(parameters, {"QueueUrl", "QueueName"})
    else:
        head, shown = f"{service}.{operation}", _names(parameters, set())
    return f"{head.rstrip()} ({','.join(shown)})"


def redact_resource(value: object) -> str:
    """Return the name of a bucket, table or access point; ``?`` if it is no such name, ``""`` if there is none.

    >>> redact_resource("photos"), redact_resource("drop table; --"), redact_resource(None)
    ('photos', '?', '')
    """
    if value is None:
        return ""
    return value[:MAX_RESOURCE] if isinstance(value, str) and _RESOURCE.fullmatch(value[:MAX_RESOURCE]) else "?"


def parse_queue(parameters: Mapping[str, Any]) -> tuple[str, str]:
    """Return account and name of an SQS queue from its URL.

    >>> parse_queue({"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"})
    ('123456789012', 'orders')
    """
    url = parameters.get("QueueUrl")
    if not isinstance(url, str):
        return "", redact_resource(parameters.get("QueueName"))
    try:
        parts = urlsplit(url[:500]).path.strip("/").split("/")
    except ValueError:
        return "", "?"
    account = parts[-2] if len(parts) > 1 and parts[-2].isdigit() else ""
    return account[:20], redact_resource(parts[-1])


def list_tables(parameters: Mapping[str, Any]) -> str:
    """Return the DynamoDB tables of a call, sorted and bounded in number.

    >>> list_tables({"RequestItems": {"users": {"Keys": []}, "orders": {"Keys": []}}})
    'orders,users'
    """
    found: set[str] = set()
    name = parameters.get("TableName")
    if name is not None:
        found.add(redact_resource(name))
    batch = parameters.get("RequestItems")
    if isinstance(batch, Mapping):
        found.update(redact_resource(name) for name in list(batch)[:100])
    for item in _items(parameters.get("TransactItems")):
        found.update(redact_resource(part.get("TableName")) for part in item.values() if isinstance(part, Mapping))
    shown = sorted(found)
    return ",".join(shown[:MAX_TABLES]) + (",…" if len(shown) > MAX_TABLES else "")


def _items(value: object) -> Iterable[Mapping[str, Any]]:
    return [item for item in value[:100] if isinstance(item, Mapping)] if isinstance(value, list) else []


def _names(parameters: Mapping[str, Any], without: set[str]) -> list[str]:
    """Return the names of parameters, sorted; a name that no API has is ``?``."""
    found = (name for name in list(parameters)[:MAX_NAMES] if name not in without)
    return sorted({str(name) if _WORD.fullmatch(str(name)) else "?" for name in found})


def _with_expressions(parameters: Mapping[str, Any]) -> list[str]:
    shown = _names(parameters, {"TableName", *_EXPRESSIONS})
    shown += _expressions(parameters)
    parts: set[str] = set()
    for item in _items(parameters.get("TransactItems")):
        for kind, part in item.items():
            if isinstance(part, Mapping):
                parts.add(" ".join([kind if _WORD.fullmatch(str(kind)) else "?", *_expressions(part)]))
    return shown + sorted(parts)[:MAX_TABLES]


def _expressions(parameters: Mapping[str, Any]) -> list[str]:
    named = parameters.get("ExpressionAttributeNames")
    known: Mapping[str, Any] = named if isinstance(named, Mapping) else {}
    found = ((name, parameters.get(name)) for name in _EXPRESSIONS)
    return [f"{name}={redact_expression(text, known)}" for name, text in found if isinstance(text, str)]


def redact_expression(text: str, named: Mapping[str, Any]) -> str:
    """Return a DynamoDB expression with its values, and parts that look like values, replaced by ``?``.

    >>> redact_expression("pk = :who AND #s IN (:a, :b)", {"#s": "status"})
    'pk = ? AND status IN(?)'
    """

    def shown(found: re.Match[str]) -> str:
        name = named.get(found[0])
        return redact_segment(name) if isinstance(name, str) else "?"

    # An expression has no literals: one that an app has put in is redacted like a literal of SQL.
    return scan_cached(_NAME.sub(shown, text[:MAX_EXPRESSION]), "other").redacted


def read_login(headers: Mapping[str, Any], url: str) -> tuple[str, str]:
    """Return the access key id and the signature method of a sent request, never the signature.

    >>> read_login({"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/eu-west-1/s3/aws4_request"}, "")
    ('AKIAEXAMPLE', 'aws4-hmac-sha256')
    >>> read_login({}, "https://photos.s3.amazonaws.com/x")
    ('', 'anonymous')
    """
    value = headers.get("Authorization")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not text:
        return _login_of_query(url)
    scheme, _, rest = text[:2000].partition(" ")
    if scheme == "AWS":
        key_id = rest.partition(":")[0].strip()
        return (key_id if _KEY_ID.fullmatch(key_id) else ""), "aws2-hmac-sha1"
    if not _SCHEME.fullmatch(scheme):
        return "", ""
    found = _CREDENTIAL.search(rest)
    return (found[1] if found else ""), scheme.lower()


def _login_of_query(url: str) -> tuple[str, str]:
    """Return the key id and the method of a signature in the query."""
    if "X-Amz-Credential=" not in url and "AWSAccessKeyId=" not in url:
        return "", "anonymous"
    try:
        query = parse_qs(urlsplit(url[:8192]).query, max_num_fields=100)
    except ValueError:
        return "", ""
    if "X-Amz-Credential" in query:
        key_id, method = query["X-Amz-Credential"][0].partition("/")[0], query.get("X-Amz-Algorithm", [""])[0].lower()
    else:
        key_id, method = query.get("AWSAccessKeyId", [""])[0], "aws2-hmac-sha1"
    return (key_id if _KEY_ID.fullmatch(key_id) else ""), (method if _METHOD.fullmatch(method) else "")
