"""A key's canonical text, read from a call of its: ids are made of text, never of addresses."""

import hashlib
import re
from typing import Final

from backwatch.collector import names
from backwatch.collector.statements.families import derive_family
from backwatch.detector.engine.columns import Prepared
from backwatch.detector.engine.findings import Key, resource_key
from backwatch.detector.statements.fingerprint import fingerprint_id

LABEL = 300
"""Characters of a statement that a label shows."""
PART: Final = 300
"""Characters of one part of a key: these texts stay in state, and in every alert."""
_SHORTENED: Final = re.compile(r".{300}…[0-9a-f]{32}(?:/|$)", re.DOTALL)
_ESCAPED: Final = str.maketrans({"\x1b": "\x1b[", "\x1e": "\x1b^", "\x1f": "\x1b_"})


def part(text: str) -> str:
    r"""A name as part of a key: none can hold what divides keys, and a long one ends in its hash.

    >>> part("db.internal"), part("a\x1fb"), len(part("x" * 65_536))
    ('db.internal', 'a\x1b_b', 333)
    """
    escaped = text.translate(_ESCAPED)
    if len(escaped) <= PART:
        return escaped
    return f"{escaped[:PART]}…{hashlib.blake2b(escaped.encode(), digest_size=16).hexdigest()}"


def is_verbatim(key_text: str) -> bool:
    r"""Return whether a text of keys holds the names as they were given, neither escaped nor shortened.

    >>> is_verbatim("shop/web"), is_verbatim(part("a\x1fb")), is_verbatim("shop/" + part("x" * 400))
    (True, False, False)
    """
    return "\x1b" not in key_text and _SHORTENED.search(key_text) is None


def resource_parts(prepared: Prepared, row: int) -> tuple[str, str, str, str]:
    """App, system, endpoint and namespace of the resource that this call went to."""
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


def place(prepared: Prepared, row: int) -> str:
    """Where the call was made: ``file:function``, or ``family:VERB tables`` where no call site is told."""
    decoded = prepared.decoded
    file, function = decoded.text(names.CODE_FILE, row), decoded.text(names.CODE_FUNCTION, row)
    if file or function:
        return f"{part(file)}:{part(function)}"
    return "family:" + part(derive_family(prepared.canonical(row).decode("utf-8", "replace")))


def key_of(space: str, prepared: Prepared, row: int) -> Key:
    """The key of this call in a key space."""
    resource = resource_key(resource_parts(prepared, row))
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
        label.insert(0, canonical[:LABEL].decode("utf-8", "replace"))
    return Key(
        text="\x1f".join(parts), app=resource.app, resource=resource.resource, label=" @ ".join(label),
        resource_id=resource.resource_id,
    )  # fmt: skip
