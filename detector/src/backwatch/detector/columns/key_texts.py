"""Canonical texts of keys, read from calls. Ids are made of these texts, never of addresses."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backwatch.collector import names
from backwatch.collector.statements.families import derive_family
from backwatch.detector.columns.prepared import Prepared
from backwatch.detector.statements.fingerprint import fingerprint_id

MAX_LABEL_CHARACTERS = 300
"""Characters of a statement that a label shows."""
MAX_PART_CHARACTERS: Final = 300
"""Characters of one part of a key: these texts stay in state, and in every alert."""
ROUTE_PREFIX: Final = "route:"
"""Begins a call site that is known by its route alone."""
_SHORTENED: Final = re.compile(r".{300}…[0-9a-f]{32}(?:/|$)", re.DOTALL)
_ESCAPED: Final = str.maketrans({"\x1b": "\x1b[", "\x1e": "\x1b^", "\x1f": "\x1b_"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The subject of a finding.

    Attributes:
        text: The key's canonical text.
        app, resource, label: For people: the app, the resource, and what within it.
        resource_id: SHA-256 of the resource's key text; empty for what concerns Backwatch itself.
    """

    text: str
    app: str
    resource: str
    label: str
    resource_id: str


def alert_id(rule: str, key: str) -> str:
    """Return the id of the alert that a rule raises for a key's canonical text."""
    return hashlib.sha256(f"{rule}\x1e{key}".encode()).hexdigest()


def part(text: str) -> str:
    r"""Return a name as part of a key: separators are escaped, and a long name ends in its hash.

    >>> part("db.internal"), part("a\x1fb"), len(part("x" * 65_536))
    ('db.internal', 'a\x1b_b', 333)
    """
    escaped = text.translate(_ESCAPED)
    if len(escaped) <= MAX_PART_CHARACTERS:
        return escaped
    return f"{escaped[:MAX_PART_CHARACTERS]}…{hashlib.blake2b(escaped.encode(), digest_size=16).hexdigest()}"


def is_verbatim(key_text: str) -> bool:
    r"""Return whether a key text holds the names as they were given, neither escaped nor shortened.

    >>> is_verbatim("shop/web"), is_verbatim(part("a\x1fb")), is_verbatim("shop/" + part("x" * 400))
    (True, False, False)
    """
    return "\x1b" not in key_text and _SHORTENED.search(key_text) is None


def resource_parts(prepared: Prepared, row: int) -> tuple[str, str, str, str]:
    """Return app, system, endpoint and namespace of the resource of this call."""
    decoded = prepared.decoded
    app = "/".join(
        part(text)
        for name in (names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.ENVIRONMENT)
        if (text := decoded.text(name, row))
    )
    given = decoded.text(names.RESOURCE_NAME, row)
    if given:
        return app, "", part(given), ""
    system = next((text for name in names.SYSTEMS if (text := decoded.text(name, row))), "")
    address = part(decoded.text(names.SERVER_ADDRESS, row))
    port = int(prepared.columns[names.SERVER_PORT][row])
    endpoint = f"{address}:{port}" if port > 0 else address
    return app, part(system), endpoint, part(decoded.text(names.DB_NAMESPACE, row))


def resource_key(parts: Sequence[str]) -> Key:
    """Return the key of a resource from its parts: app, system, endpoint, namespace."""
    text = "\x1f".join(parts)
    app, system, endpoint, namespace = parts
    name = f"{system} {endpoint}" + (f"/{namespace}" if namespace else "")
    return Key(
        text=text,
        app=app,
        resource=name.strip(),
        label=name.strip(),
        resource_id=hashlib.sha256(text.encode()).hexdigest(),
    )


def place(prepared: Prepared, row: int) -> str:
    """Return the call site: ``file:function (route)``, or ``family:VERB tables`` if none is reported.

    The call path stands for the route where there is none. A route alone is a call of a framework's own code.
    """
    decoded = prepared.decoded
    file, function = decoded.text(names.CODE_FILE, row), decoded.text(names.CODE_FUNCTION, row)
    route = decoded.text(names.HTTP_ROUTE, row)
    if file or function:
        around = route or decoded.text(names.CALL_PATH, row)
        return f"{part(file)}:{part(function)}" + (f" ({part(around)})" if around else "")
    if route:
        return f"{ROUTE_PREFIX}{part(route)}"
    return "family:" + part(derive_family(prepared.canonical(row).decode("utf-8", "replace")))


def caller(prepared: Prepared, row: int) -> str:
    """Return the place in the app's code, over all resources: ``file:function``, else the route, else nothing."""
    decoded = prepared.decoded
    file, function = decoded.text(names.CODE_FILE, row), decoded.text(names.CODE_FUNCTION, row)
    return f"{part(file)}:{part(function)}" if file or function else part(decoded.text(names.HTTP_ROUTE, row))


def _caller_key(app: str, where: str) -> Key:
    """Return the key of an app, or of a place in its code, over all of its resources."""
    text = f"\x1ecaller\x1f{app}\x1f{where}"
    return Key(text=text, app=app, resource="", label=where or app, resource_id="")


def key_of(space: str, prepared: Prepared, row: int) -> Key:
    """Return the key of this call in a key space."""
    parts_of_resource = resource_parts(prepared, row)
    if space == "app":
        return _caller_key(parts_of_resource[0], "")
    if space == "caller":
        return _caller_key(parts_of_resource[0], caller(prepared, row))
    resource = resource_key(parts_of_resource)
    if space in ("resource", "session"):
        return resource
    parts = [resource.text]
    label: list[str] = []
    if space in ("site", "site_statement"):
        where = place(prepared, row)
        parts.append(where)
        label.append(where)
    if space in ("statement", "site_statement"):
        canonical = prepared.canonical(row)
        parts.append(fingerprint_id(canonical))
        label.insert(0, canonical[:MAX_LABEL_CHARACTERS].decode("utf-8", "replace"))
    return Key(
        text="\x1f".join(parts), app=resource.app, resource=resource.resource, label=" @ ".join(label),
        resource_id=resource.resource_id,
    )  # fmt: skip
