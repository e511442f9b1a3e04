"""Converts OTLP/JSON to ``ExportTraceServiceRequest`` bytes, with ids in hex and 64-bit numbers as strings.

Names may be in camel or snake case.

What is no text, number or flag (arrays, lists of pairs) becomes its JSON text. A document that is no trace request is
refused with one line; within one, a field of the wrong type is taken for absent rather than lose its span.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from backwatch.detector.ingest import otlp_writer

MAX_TEXT: Final = 65_536
"""Characters of one text that are kept."""
_KINDS: Final = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_STATUSES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_RESOURCE_SPANS: Final = ("resourceSpans", "resource_spans")
_SCOPE_SPANS: Final = (
    "scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans",
)  # fmt: skip
_SCOPE: Final = ("scope", "instrumentationLibrary", "instrumentation_library")
_EXCEPTION_TYPE: Final = "exception.type"

Object = Mapping[str, Any]


class NotATrace(ValueError):
    """A JSON document that is no OTLP trace request."""


def parse(text: str | bytes) -> Any:
    """Parse a JSON document; raise one kind of error for everything that Python's parser refuses.

    Raises:
        ValueError: One line.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None


def to_protobuf(document: Any) -> bytes:
    """Return a parsed OTLP/JSON trace request as protobuf bytes; an empty object is an empty request.

    Raises:
        NotATrace: One line.
    """
    if not isinstance(document, dict):
        raise NotATrace("is no OTLP document: not an object")
    found = cast("Object", document)
    if found and not any(name in found for name in _RESOURCE_SPANS):
        raise NotATrace("is no OTLP trace document: it has no resourceSpans")
    try:
        return otlp_writer.request(_resource_spans(item) for item in _objects(found, *_RESOURCE_SPANS))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _get(found: Object, *names: str) -> Any:
    for name in names:
        if name in found:
            return found[name]
    return None


def _objects(found: Object, *names: str) -> Iterator[Object]:
    listed = _get(found, *names)
    if listed is None:
        return
    if not isinstance(listed, list):
        raise NotATrace(f"{names[0]} is not a list")
    for item in cast("list[Any]", listed):
        if not isinstance(item, dict):
            raise NotATrace(f"{names[0]} holds something that is no object")
        yield cast("Object", item)


def _object(found: Object, *names: str) -> Object:
    item = _get(found, *names)
    return cast("Object", item) if isinstance(item, dict) else {}


def _resource_spans(found: Object) -> bytes:
    resource = otlp_writer.resource(_attributes(_object(found, "resource")))
    return otlp_writer.resource_spans(resource, [_scope_spans(item) for item in _objects(found, *_SCOPE_SPANS)])


def _scope_spans(found: Object) -> bytes:
    scope_object = _object(found, *_SCOPE)
    scope = otlp_writer.scope(
        _text(scope_object.get("name")), _text(scope_object.get("version")), _attributes(scope_object)
    )
    return otlp_writer.scope_spans(scope, [_span(item) for item in _objects(found, "spans")])


def _span(found: Object) -> bytes:
    attributes = list(_attributes(found))
    attributes += [
        pair for event in _objects(found, "events") for pair in _attributes(event) if pair[0] == _EXCEPTION_TYPE
    ]
    return otlp_writer.span(
        trace_id=_identity(_get(found, "traceId", "trace_id"), 16),
        span_id=_identity(_get(found, "spanId", "span_id"), 8),
        parent_id=_identity(_get(found, "parentSpanId", "parent_span_id"), 8),
        name=_text(found.get("name")),
        kind=_number(_KINDS.get(str(found.get("kind")), found.get("kind"))),
        start_ns=_number(_get(found, "startTimeUnixNano", "start_time_unix_nano")),
        end_ns=_number(_get(found, "endTimeUnixNano", "end_time_unix_nano")),
        attributes=attributes,
        status=_status(_object(found, "status")),
    )


def _status(found: Object) -> int:
    code = found.get("code")
    return _number(_STATUSES.get(str(code), code))


def _text(value: Any) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _number(value: Any) -> int:
    """A number as JSON or as text; 0 where it is none."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if abs(value) < 1 << 64 else 0
    if isinstance(value, str) and len(value) <= 24 and value.lstrip("-").isascii() and value.lstrip("-").isdigit():
        return int(value)
    return 0


def _identity(value: Any, size: int) -> bytes:
    """Return the bytes of an id: hex, left-padded if short, or base64 as in protobuf's own JSON; else none."""
    if not isinstance(value, str) or not value or len(value) > 2 * size:
        return b""
    try:
        return bytes.fromhex(value.rjust(2 * size, "0"))
    except ValueError:
        pass
    try:
        found = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if len(found) == size else b""


def _attributes(found: Object) -> Iterator[tuple[str, otlp_writer.Value]]:
    for pair in _objects(found, "attributes"):
        key = _text(pair.get("key"))
        value = _value(_object(pair, "value"))
        if key and value is not None:
            yield key, value


def _value(found: Object) -> otlp_writer.Value | None:
    text = _get(found, "stringValue", "string_value")
    if isinstance(text, str):
        return text[:MAX_TEXT]
    flag = _get(found, "boolValue", "bool_value")
    if isinstance(flag, bool):
        return flag
    whole = _get(found, "intValue", "int_value")
    if whole is not None:
        return _number(whole)
    broken = _get(found, "doubleValue", "double_value")
    if isinstance(broken, (int, float)):
        return float(broken)
    nested = _plain(found)
    return None if nested is None else json.dumps(nested, ensure_ascii=False)[:MAX_TEXT]


def _plain(found: Object) -> Any:
    """An AnyValue as plain JSON; ``None`` where it holds nothing."""
    for names in (("stringValue", "string_value"), ("boolValue", "bool_value"), ("doubleValue", "double_value")):
        value = _get(found, *names)
        if value is not None:
            return value
    whole = _get(found, "intValue", "int_value")
    if whole is not None:
        return _number(whole)
    listed = _get(found, "arrayValue", "array_value")
    if isinstance(listed, dict):
        return [_plain(item) for item in _objects(cast("Object", listed), "values")]
    pairs = _get(found, "kvlistValue", "kvlist_value")
    if isinstance(pairs, dict):
        return {
            _text(item.get("key")): _plain(_object(item, "value")) for item in _objects(cast("Object", pairs), "values")
        }
    return _get(found, "bytesValue", "bytes_value")
