"""Operation and statement of a request that ldap3 is about to send, without values."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from backwatch.collector.redaction import ldap as redact

OPERATIONS: Final[Mapping[str, str]] = {
    "bindRequest": "bind",
    "unbindRequest": "unbind",
    "searchRequest": "search",
    "compareRequest": "compare",
    "addRequest": "add",
    "modifyRequest": "modify",
    "delRequest": "delete",
    "modDNRequest": "modify_dn",
    "extendedReq": "extended",
    "abandonRequest": "abandon",
}
WITHOUT_RESPONSE: Final = frozenset(("unbind", "abandon"))
CHANGING: Final = frozenset(("add", "modify", "delete", "modify_dn"))
SCOPES: Final = ("base", "level", "subtree")
_SCOPE_NAMES: Final[Mapping[object, str]] = {
    "BASE": "base", "LEVEL": "level", "SUBTREE": "subtree", 0: "base", 1: "level", 2: "subtree",
}  # fmt: skip
CHANGES: Final = ("add", "delete", "replace", "increment")
_COMPARED: Final[Mapping[str, str]] = {
    "equalityMatch": "=", "greaterOrEqual": ">=", "lessOrEqual": "<=", "approxMatch": "~=",
}  # fmt: skip
MAX_FILTER_NODES: Final = 300
MAX_FILTER_DEPTH: Final = 40
MAX_CACHED_CHARS: Final = 1_000
MAX_NAMES: Final = 100


def describe_message(message: Any) -> tuple[str, str]:
    """Return operation and statement of an ``LDAPMessage``."""
    protocol = message["protocolOp"]
    operation = OPERATIONS.get(protocol.getName(), "?")
    statement_of = _STATEMENTS.get(operation)
    return (
        operation,
        f"{operation} {statement_of(protocol.getComponent())}".rstrip() if statement_of is not None else "",
    )


def _search(request: Any) -> str:
    attributes = redact.redact_names(str(name) for name in _first(request["attributes"]))
    scope = int(request["scope"])
    text = _filter(request["filter"], [MAX_FILTER_NODES], MAX_FILTER_DEPTH)
    shape = _known_shape(text) if len(text) <= MAX_CACHED_CHARS else redact.to_filter_shape(text)
    return _search_text(str(request["baseObject"]), SCOPES[scope] if scope < len(SCOPES) else "?", shape, attributes)


@lru_cache(maxsize=256)
def _known_shape(text: str) -> str:
    """Return the shape from a cache: this text has no values, so an app has few of them."""
    return redact.to_filter_shape(text)


def _search_text(base: str, scope: str, shape: str, attributes: str) -> str:
    return f"{redact.redact_dn(base)} {scope} {shape} {attributes}".rstrip()


def _filter(node: Any, left: list[int], depth: int) -> str:
    """Return a filter's text with ``?`` for each value: ldap3's own text has the values, even with parentheses."""
    kind = node.getName()
    left[0] -= 1
    if left[0] < 0 or depth <= 0:
        return ""
    part = node[kind]
    if kind in ("and", "or"):
        inner = "".join(_filter(node, left, depth - 1) for node in _iter_within(part, left))
        return f"({'&' if kind == 'and' else '|'}{inner})"
    if kind == "notFilter":
        return f"(!{_filter(part['innerNotFilter'], left, depth - 1)})"
    if kind == "present":
        return f"({redact.redact_name(str(part))}=*)"
    if kind == "substringFilter":
        found = {substring.getName() for substring in part["substrings"]}
        value = ("?" if "initial" in found else "") + "*" + ("?*" if "any" in found else "")
        return f"({redact.redact_name(str(part['type']))}={value}{'?' if 'final' in found else ''})"
    if kind == "extensibleMatch":
        rule, attribute = part["matchingRule"], part["type"]
        named = redact.redact_name(str(attribute)) if attribute.hasValue() else ""
        by_dn = ":dn" if part["dnAttributes"].hasValue() and bool(part["dnAttributes"]) else ""
        return f"({named}{by_dn}{':' + redact.redact_name(str(rule)) if rule.hasValue() else ''}:=?)"
    sign = _COMPARED.get(kind)
    return f"({redact.redact_name(str(part['attributeDesc']))}{sign}?)" if sign else "(?)"


def _iter_within(parts: Any, left: list[int]) -> Iterable[Any]:
    for part in parts:
        if left[0] <= 0:
            return
        yield part


def _first(parts: Any) -> list[Any]:
    return [parts[at] for at in range(min(len(parts), MAX_NAMES))]


def _compare(request: Any) -> str:
    return f"{redact.redact_dn(str(request['entry']))} ({redact.redact_name(str(request['ava']['attributeDesc']))}=?)"


def _add(request: Any) -> str:
    attributes = redact.redact_names(str(attribute["type"]) for attribute in _first(request["attributes"]))
    return f"{redact.redact_dn(str(request['entry']))} {attributes}"


def _modify(request: Any) -> str:
    changes: set[str] = set()
    for change in _first(request["changes"]):
        operation = int(change["operation"])
        attribute = redact.redact_name(str(change["modification"]["type"]))
        changes.add(f"{CHANGES[operation] if operation < len(CHANGES) else '?'}:{attribute}")
    return f"{redact.redact_dn(str(request['object']))} {','.join(sorted(changes)[: redact.MAX_NAMES])}"


def _modify_dn(request: Any) -> str:
    above = request["newSuperior"]
    target = f" {redact.redact_dn(str(above))}" if above is not None and above.hasValue() else ""
    return f"{redact.redact_dn(str(request['entry']))} {redact.redact_dn(str(request['newrdn']))}{target}"


def _extended(request: Any) -> str:
    return redact.redact_extended_operation(str(request["requestName"]))


_STATEMENTS: Final = {
    "search": _search, "compare": _compare, "add": _add, "modify": _modify, "modify_dn": _modify_dn,
    "delete": lambda request: redact.redact_dn(str(request)), "extended": _extended,
}  # fmt: skip


def describe_call(operation: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> str:
    """Return the statement of a call that ldap3 refused to send, where readable."""
    entry = _text(args, options, 0, "search_base" if operation == "search" else "dn")
    if operation != "search":
        return f"{operation} {redact.redact_dn(entry)}"
    scope = args[2] if len(args) > 2 else options.get("search_scope", "SUBTREE")
    scope_name = _SCOPE_NAMES.get(scope, "?") if isinstance(scope, (str, int)) else "?"
    shape = redact.to_filter_shape(_text(args, options, 1, "search_filter"))
    attributes = args[4] if len(args) > 4 else options.get("attributes")
    listed = attributes if isinstance(attributes, (list, tuple, set)) else [attributes] if attributes else ["1.1"]
    return f"search {_search_text(entry, scope_name, shape, redact.redact_names(list(listed)[:MAX_NAMES]))}"


def _text(args: tuple[Any, ...], options: Mapping[str, Any], at: int, name: str) -> str:
    value = args[at] if len(args) > at else options.get(name)
    return value if isinstance(value, str) else ""
