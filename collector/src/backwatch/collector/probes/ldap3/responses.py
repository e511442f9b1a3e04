"""What an answer of a directory means, and what lies below an error of ldap3."""

from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts
from backwatch.collector.probes.ldap3.requests import CHANGING
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction import ldap as redact

REFERRAL: Final = 10
TERMINATED: Final = "LDAPSessionTerminatedByServerError"
"""Of a request that the server never answered; ldap3 raises it later, or never."""
_NO_ERROR: Final = frozenset((0, 5, 6, REFERRAL, 14))
_FINAL: Final = frozenset(("bindResponse", "extendedResp"))

Result = dict[str, Any]


def result_of(answer: Any) -> tuple[list[Any], Result | None]:
    """The messages of an answer, and the result, which is the last but one of them."""
    messages: list[Any] = answer if isinstance(answer, list) else []
    result = messages[-2] if len(messages) > 1 and isinstance(messages[-2], dict) else None
    return messages, result


def is_final(result: Result | None) -> bool:
    """Whether it answers a bind or a request for TLS, not what the library asks beside it."""
    return result is not None and result.get("type") in _FINAL


def rows_of(operation: str, messages: list[Any], result: Result | None) -> tuple[int, int]:
    """Entries that came back, and entries that were changed."""
    if result is None:
        return -1, -1
    if operation == "search":
        return sum(1 for one in messages if isinstance(one, dict) and one.get("type") == "searchResEntry"), -1
    return -1, 1 if operation in CHANGING and result.get("result") == 0 else -1


def outcome(result: dict[str, Any] | None) -> tuple[str | None, Facts]:
    """The server's word for what went wrong, its number, and where it wants to be asked instead."""
    code = result.get("result") if result is not None else None
    if result is None or not isinstance(code, int) or code == 0:
        return None, ()
    facts: list[tuple[str, Any]] = [(names.STATUS_CODE, str(code))]
    referrals = result.get("referrals") if code == REFERRAL else None
    target = next(filter(None, map(redact.redact_referral, (referrals or [])[:20])), "")
    if target:
        facts.append((names.REDIRECT_TARGET, target))
    return None if code in _NO_ERROR else words(result.get("description"), 60) or str(code), tuple(facts)


def cause(error: BaseException) -> BaseException:
    """What the TLS library said, or what ldap3 found wrong with the certificate's name; else the error itself."""
    found = root_error(error)
    below: BaseException | None = error
    for _ in range(5):
        if below is None or type(found).__module__ == "ssl":
            break
        if type(below).__name__ == "LDAPCertificateError":
            return below
        below = below.__context__
    return found
