"""The facts in a directory's response, and the cause of an error of ldap3."""

from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.ldap3.requests import CHANGING
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction import ldap as redact
from backwatch.collector.runtime.record import Facts

REFERRAL: Final = 10
TERMINATED: Final = "LDAPSessionTerminatedByServerError"
"""Error of a request without a response; ldap3 raises it later, or never."""
_NO_ERROR: Final = frozenset((0, 5, 6, REFERRAL, 14))
_FINAL: Final = frozenset(("bindResponse", "extendedResp"))

Result = dict[str, Any]


def result_of(response: Any) -> tuple[list[Any], Result | None]:
    """Return the messages of a response, and its result, which is the last but one."""
    messages: list[Any] = response if isinstance(response, list) else []
    result = messages[-2] if len(messages) > 1 and isinstance(messages[-2], dict) else None
    return messages, result


def is_final(result: Result | None) -> bool:
    """Return whether the result ends a bind or a request for TLS. The library sends others, too."""
    return result is not None and result.get("type") in _FINAL


def row_counts(operation: str, messages: list[Any], result: Result | None) -> tuple[int, int]:
    """Return the entries returned, and the entries changed."""
    if result is None:
        return -1, -1
    if operation == "search":
        return sum(1 for part in messages if isinstance(part, dict) and part.get("type") == "searchResEntry"), -1
    return -1, 1 if operation in CHANGING and result.get("result") == 0 else -1


def outcome(result: dict[str, Any] | None) -> tuple[str | None, Facts]:
    """Return the server's error, and as facts its number and the target of a referral."""
    code = result.get("result") if result is not None else None
    if result is None or not isinstance(code, int) or code == 0:
        return None, ()
    facts: list[tuple[str, Any]] = [(names.STATUS_CODE, str(code))]
    referrals = result.get("referrals") if code == REFERRAL else None
    target = next(filter(None, map(redact.redact_referral, (referrals or [])[:20])), "")
    if target:
        facts.append((names.REDIRECT_TARGET, target))
    return None if code in _NO_ERROR else words(result.get("description"), 60) or str(code), tuple(facts)


def cause_of(error: BaseException) -> BaseException:
    """Return the TLS library's error, or ldap3's own about a certificate's name; else the error itself."""
    found = root_error(error)
    below: BaseException | None = error
    for _ in range(5):
        if below is None or type(found).__module__ == "ssl":
            break
        if type(below).__name__ == "LDAPCertificateError":
            return below
        below = below.__context__
    return found
