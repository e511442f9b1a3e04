"""What an app asks of a directory: names of attributes and the shape of filters and DNs, never a value.

Pure functions, linear in the length of the text, which is bounded first.
"""

import re
from collections.abc import Iterable
from typing import Final

MAX_TEXT: Final = 4_096
MAX_PARTS: Final = 30
MAX_NAMES: Final = 20
MAX_DEPTH: Final = 30
MAX_ITEMS: Final = 200

_NAME: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9-]{0,59}(?:;[A-Za-z][A-Za-z0-9-]{0,30})?|[0-9]{1,4}(?:\.[0-9]{1,10}){1,19}"
)
_OID: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,10}){1,19}")
_PART: Final = re.compile(r'(?:[^,;+\\"]|\\.|"(?:[^"\\]|\\.)*+"?+|\\$)++|[,;+]', re.DOTALL)
_TOKEN: Final = re.compile(r"[()]|[^()]++")
_ITEM: Final = re.compile(
    r"\s*+([^\s=:~<>]{1,100}+)?+(:dn)?+(?::([^\s=:~<>]{1,100}+))?+\s*+(:=|~=|>=|<=|=)(.*+)", re.DOTALL
)


def redact_name(text: object) -> str:
    """The name of an attribute, by RFC 4512 or as a number; ``?`` for what cannot be one.

    >>> [redact_name(one) for one in ("uid", "1.2.840.113556.1.4.2", "jpegPhoto;binary", "*", "ann@example.net")]
    ['uid', '1.2.840.113556.1.4.2', 'jpegPhoto;binary', '*', '?']
    """
    told = text[:120] if isinstance(text, str) else ""
    return told if told in ("*", "+") or _NAME.fullmatch(told) else "?"


def redact_names(texts: Iterable[object]) -> str:
    """Name of attributes in alphabetical order, each once.

    >>> redact_names(["mail", "cn", "cn"]), redact_names([])
    ('cn,mail', '')
    """
    told = sorted({redact_name(one) for one in texts})
    return ",".join(told[:MAX_NAMES] + (["…"] if len(told) > MAX_NAMES else []))


def redact_dn(text: str) -> str:
    r"""The shape of a distinguished name: which attributes it is made of.

    >>> redact_dn("uid=ann,ou=people,dc=shop,dc=example"), redact_dn("cn=Ann\, Lee+uid=7, o=x"), redact_dn("")
    ('uid=?,ou=?,dc=?,dc=?', 'cn=?+uid=?,o=?', '""')
    >>> redact_dn("ann@example.net"), redact_dn("<GUID=b4ac1f>"), redact_dn('cn="a,b=c",dc=x')
    ('?', '?', 'cn=?,dc=?')
    """
    if not text.strip():
        return '""'
    told: list[str] = []
    for found in _PART.finditer(text[:MAX_TEXT]):
        part = found[0]
        if part in (",", ";", "+"):
            told.append("+" if part == "+" else ",")
            continue
        kind, sign, _ = part.partition("=")
        kind = redact_name(kind.strip())
        told.append(f"{kind}=?" if sign and kind != "?" else "?")
        if len(told) >= 2 * MAX_PARTS:
            break
    return "".join(told) + ("…" if len(told) >= 2 * MAX_PARTS or len(text) > MAX_TEXT else "")


def to_filter_shape(text: str) -> str:
    r"""The shape of a filter (RFC 4515): attributes, comparisons and how they are combined; alike ones once.

    What is not well-formed keeps the shape that it has: that is how a value which was not escaped shows itself.

    >>> to_filter_shape("(&(objectClass=person)(uid=ann))"), to_filter_shape("(cn=An*n*)"), to_filter_shape("(mail=*)")
    ('(&(objectClass=?)(uid=?))', '(cn=?*?*)', '(mail=*)')
    >>> to_filter_shape("(&(uid=*)(uid=*))(|(uid=*)(userPassword=x))")
    '(&(uid=*)…)(|(uid=*)(userPassword=?))'
    >>> to_filter_shape(r"(cn=\28secret\29)"), to_filter_shape("(|(uid=a)(uid=b)(uid=c))"), to_filter_shape("(!(a>=3)")
    ('(cn=?)', '(|(uid=?)…)', '(!(a>=?)')
    >>> to_filter_shape("(userAccountControl:1.2.840.113556.1.4.803:=2)"), to_filter_shape("hunter2")
    ('(userAccountControl:1.2.840.113556.1.4.803:=?)', '?')
    """
    told: list[str] = []
    open_at: list[int] = []
    cut = len(text) > MAX_TEXT
    if cut:
        text = text[: text.rfind(")", 0, MAX_TEXT) + 1]
    for found in _TOKEN.finditer(text):
        part = found[0]
        if part == "(":
            if len(open_at) >= MAX_DEPTH or len(told) >= MAX_ITEMS * 3:
                told.append("…")
                break
            open_at.append(len(told))
            told.append("(")
        elif part == ")":
            told.append(")")
            if open_at:
                at = open_at.pop()
                whole = "".join(told[at:])
                del told[at:]
                _once(told, whole)
        elif (part := part.strip()) != "":
            told.append(part if part in ("&", "|", "!") else _item(part))
    return "".join(told) + ("…" if cut and told[-1:] != ["…"] else "")


def _once(told: list[str], whole: str) -> None:
    """Add a part, unless it is like the one before it."""
    if told and told[-1] == whole:
        told.append("…")
    elif len(told) < 2 or told[-1] != "…" or told[-2] != whole:
        told.append(whole)


def _item(text: str) -> str:
    found = _ITEM.fullmatch(text)
    if found is None:
        return "?"
    kind, by_dn, rule, sign, value = found.groups()
    left = (redact_name(kind) if kind else "") + (by_dn or "")
    if rule:
        left += ":" + (rule if _OID.fullmatch(rule) else redact_name(rule))
    return left + sign + (_value(value.strip()) if sign == "=" else "?")


def _value(value: str) -> str:
    """Of a value only where its stars are: presence, or part of a text."""
    if value == "*":
        return "*"
    if "*" not in value:
        return "?"
    first, *between, last = value.split("*")
    return ("?" if first else "") + "*" + ("?*" if any(between) else "") + ("?" if last else "")


def redact_extended_operation(oid: object) -> str:
    """The name of an extended operation, a number.

    >>> redact_extended_operation("1.3.6.1.4.1.4203.1.11.3"), redact_extended_operation("hunter2")
    ('1.3.6.1.4.1.4203.1.11.3', '?')
    """
    return oid if isinstance(oid, str) and _OID.fullmatch(oid) else "?"


_REFERRAL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}+)://([^/?#\s]{1,255}+)")
_PORTS: Final = {"ldap": ":389", "ldaps": ":636"}


def redact_referral(uri: object) -> str:
    """Where a referral leads: host and port, with the scheme where it is another than a directory's.

    >>> redact_referral("ldap://ann:secret@other.example/ou=people,dc=x??sub?(uid=ann)"), redact_referral("ldaps://[::1]:6360")
    ('other.example:389', '[::1]:6360')
    >>> redact_referral("http://169.254.169.254/latest"), redact_referral("ldap:///dc=x"), redact_referral(None)
    ('http://169.254.169.254', '', '')
    """
    found = _REFERRAL.match(uri[:MAX_TEXT]) if isinstance(uri, str) else None
    if found is None:
        return ""
    scheme, host = found[1].lower(), found[2].rpartition("@")[2]
    if not host.isprintable():
        return "?"
    port = _PORTS.get(scheme)
    if port is None:
        return f"{scheme}://{host}"
    return host if host.rpartition("]")[2].count(":") else host + port
