"""The facts of AMQP sessions: the broker's properties, its reasons for errors, and the login."""

import re
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Facts

FACTS: Final = names.OVER_TLS | {
    names.MESSAGING_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
    names.STATEMENT, names.MESSAGING_DESTINATION, names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID,
    names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED,
    names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.NOTICES, names.PAYLOAD_FORMAT,
    names.PAYLOAD_CONTAINERS,
    names.PAYLOAD_GLOBALS, names.REDELIVERED,
}  # fmt: skip
"""Facts that every AMQP client can report."""
_REASON: Final = re.compile(r"[A-Z][A-Z_]{2,40}")
_AUTH_METHODS: Final = {"PLAIN": "clear-password", "AMQPLAIN": "clear-password", "RABBIT-CR-DEMO": "rabbit-cr-demo"}


def server_facts(properties: object) -> dict[str, Any]:
    """Return version and cluster, which the broker announces before the login, as arguments of ``Session``."""
    if not isinstance(properties, dict):
        return {}
    plain = {words(key, 40): value for key, value in list(properties.items())[:50]}
    product, version = words(plain.get("product"), 60), words(plain.get("version"), 60)
    return {
        "server_version": f"{product} {version}".strip(),
        "server_id": words(plain.get("cluster_name"), 120),
    }


def login_facts(mechanism: object, response: object, *, with_account: bool) -> dict[str, Any]:
    """Return the login as arguments of ``Session``; the secret is not read.

    Args:
        response: Of the mechanism PLAIN: authorization identity, account and secret.
        with_account: Read the account from the response.
    """
    word = words(mechanism, 30).upper()
    facts: dict[str, Any] = {"auth_method": _AUTH_METHODS.get(word, word.lower())}
    if with_account and word == "PLAIN" and isinstance(response, (bytes, str)):
        parts = response.split(b"\0" if isinstance(response, bytes) else "\0")  # type: ignore[arg-type]
        facts["account"] = words(parts[1]) if len(parts) == 3 else ""
    return facts


def close_reason(code: object, text: object) -> tuple[str, Facts]:
    """Return the broker's error word and its number. The rest of the text echoes names and values."""
    found = _REASON.match(words(text, 60))
    number = str(code) if isinstance(code, int) and 0 < code < 1000 else ""
    return (found[0] if found else number or "closed"), ((names.STATUS_CODE, number),) if number else ()


def error_facts(error: object) -> Facts:
    """Return the broker's number in an error of the driver."""
    for name in ("reply_code", "code"):
        code = getattr(error, name, None)
        if isinstance(code, int) and 0 < code < 1000:
            return ((names.STATUS_CODE, str(code)),)
    return ()
