"""A key's canonical text, read from a call of its: ids are made of text, never of addresses."""

from backwatch.collector import names
from backwatch.collector.statements.families import family
from backwatch.detector.calls.fingerprint import fingerprint_id
from backwatch.detector.engine.columns import Prepared
from backwatch.detector.engine.fields import SYSTEMS
from backwatch.detector.engine.findings import Key, resource_key

LABEL = 300
"""Characters of a statement that a label shows."""


def resource_parts(prepared: Prepared, row: int) -> tuple[str, str, str, str]:
    """App, system, endpoint and namespace of the resource that this call went to."""
    decoded = prepared.decoded
    app = "/".join(
        part
        for name in (names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.ENVIRONMENT)
        if (part := decoded.text(name, row))
    )
    given = decoded.text(names.RESOURCE_NAME, row)
    if given:
        return app, "", given, ""
    system = next((text for name in SYSTEMS if (text := decoded.text(name, row))), "")
    address = decoded.text(names.SERVER_ADDRESS, row)
    port = int(prepared.columns[names.SERVER_PORT][row])
    endpoint = f"{address}:{port}" if port > 0 else address
    return app, system, endpoint, decoded.text(names.DB_NAMESPACE, row)


def place(prepared: Prepared, row: int) -> str:
    """Where the call was made: ``file:function``, or ``family:VERB tables`` where no call site is told."""
    decoded = prepared.decoded
    file, function = decoded.text(names.CODE_FILE, row), decoded.text(names.CODE_FUNCTION, row)
    if file or function:
        return f"{file}:{function}"
    return "family:" + family(prepared.canonical(row).decode("utf-8", "replace"))


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
