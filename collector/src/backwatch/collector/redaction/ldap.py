"""LDAP: names of attributes and the shape of filters and DNs, never a value.

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
    """Return the name of an attribute, by RFC 4512 or as a number; ``?`` for anything else.

    >>> [redact_name(text) for text in ("uid", "1.2.840.113556.1.4.2", "jpegPhoto;binary", "*", "ann@example.net")]
    ['uid', '1.2.840.113556.1.4.2', 'jpegPhoto;binary', '*', '?']
    """
    name = text[:120] if isinstance(text, str) else ""
    return name if name in ("*", "+") or _NAME.fullmatch(name) else "?"


def redact_names(texts: Iterable[object]) -> str:
    """Return the names of attributes in alphabetical order, each once.

    >>> redact_names(["mail", "cn", "cn"]), redact_names([])
    ('cn,mail', '')
    """
    names = sorted({redact_name(text) for text in texts})
    return ",".join(names[:MAX_NAMES] + (["…"] if len(names) > MAX_NAMES else []))


def redact_dn(text: str) -> str:
    r"""Return the shape of a distinguished name: the attributes that it consists of.

    >>> redact_dn("uid=ann,ou=people,dc=shop,dc=example"), redact_dn("cn=Ann\, Lee+uid=7, o=x"), redact_dn("")
    ('uid=?,ou=?,dc=?,dc=?', 'cn=?+uid=?,o=?', '""')
    >>> redact_dn("ann@example.net"), redact_dn("<GUID=b4ac1f>"), redact_dn('cn="a,b=c",dc=x')
    ('?', '?', 'cn=?,dc=?')
    """
    if not text.strip():
        return '""'
    parts: list[str] = []
    for found in _PART.finditer(text[:MAX_TEXT]):
        part = found[0]
        if part in (",", ";", "+"):
            parts.append("+" if part == "+" else ",")
            continue
        kind, sign, _ = part.partition("=")
        kind = redact_name(kind.strip())
        parts.append(f"{kind}=?" if sign and kind != "?" else "?")
        if len(parts) >= 2 * MAX_PARTS:
            break
    return "".join(parts) + ("…" if len(parts) >= 2 * MAX_PARTS or len(text) > MAX_TEXT else "")


def to_filter_shape(text: str) -> str:
    r"""Return the shape of a filter (RFC 4515): attributes, comparisons and operators; equal parts once.

    A malformed filter keeps its own shape: this is how an unescaped value becomes visible.

    >>> to_filter_shape("(&(objectClass=person)(uid=ann))"), to_filter_shape("(cn=An*n*)"), to_filter_shape("(mail=*)")
    ('(&(objectClass=?)(uid=?))', '(cn=?*?*)', '(mail=*)')
    >>> to_filter_shape("(&(uid=*)(uid=*))(|(uid=*)(userPassword=x))")
    '(&(uid=*)…)(|(uid=*)(userPassword=?))'
    >>> to_filter_shape(r"(cn=\28secret\29)"), to_filter_shape("(|(uid=a)(uid=b)(uid=c))"), to_filter_shape("(!(a>=3)")
    ('(cn=?)', '(|(uid=?)…)', '(!(a>=?)')
    >>> to_filter_shape("(userAccountControl:1.2.840.113556.1.4.803:=2)"), to_filter_shape("hunter2")
    ('(userAccountControl:1.2.840.113556.1.4.803:=?)', '?')
    """
    parts: list[str] = []
    open_at: list[int] = []
    cut = len(text) > MAX_TEXT
    if cut:
        text = text[: text.rfind(")", 0, MAX_TEXT) + 1]
    for found in _TOKEN.finditer(text):
        part = found[0]
        if part == "(":
            if len(open_at) >= MAX_DEPTH or len(parts) >= MAX_ITEMS * 3:
                parts.append("…")
                break
            open_at.append(len(parts))
            parts.append("(")
        elif part == ")":
            parts.append(")")
            if open_at:
                at = open_at.pop()
                whole = "".join(parts[at:])
                del parts[at:]
                _once(parts, whole)
        elif (part := part.strip()) != "":
            parts.append(part if part in ("&", "|", "!") else _item(part))
    return "".join(parts) + ("…" if cut and parts[-1:] != ["…"] else "")


def _once(parts: list[str], whole: str) -> None:
    """Add a part, unless it equals the one before it."""
    if parts and parts[-1] == whole:
        parts.append("…")
    elif len(parts) < 2 or parts[-1] != "…" or parts[-2] != whole:
        parts.append(whole)


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
    """Return the positions of a value's stars only: presence, or part of a text."""
    if value == "*":
        return "*"
    if "*" not in value:
        return "?"
    first, *between, last = value.split("*")
    return ("?" if first else "") + "*" + ("?*" if any(between) else "") + ("?" if last else "")


def redact_extended_operation(oid: object) -> str:
    """Return the name of an extended operation, a number.

    >>> redact_extended_operation("1.3.6.1.4.1.4203.1.11.3"), redact_extended_operation("hunter2")
    ('1.3.6.1.4.1.4203.1.11.3', '?')
    """
    return oid if isinstance(oid, str) and _OID.fullmatch(oid) else "?"


_REFERRAL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}+)://([^/?#\s]{1,255}+)")
_PORTS: Final = {"ldap": ":389", "ldaps": ":636"}


def redact_referral(uri: object) -> str:
    """Return a referral's target: host and port, and the scheme if it is not LDAP.

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
