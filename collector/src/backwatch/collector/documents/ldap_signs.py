"""Signs of injection in LDAP filters: brackets that close the app's filter, conditions that every entry meets."""

import re
from typing import Final

from backwatch.collector.documents.fields import CREDENTIAL, IDENTITY, classify_field

MAX_TEXT: Final = 4_096
MAX_DEPTH: Final = 30

_TOKEN: Final = re.compile(r"[()]|(?:[^()\\]|\\.)++", re.DOTALL)
_ITEM: Final = re.compile(r"\s*+([A-Za-z0-9][\w.;-]{0,80})\s*+(=|>=|<=|~=)(.*+)", re.DOTALL)

Group = list[tuple[str, str]]
"""Attribute and value of each condition directly in brackets of a group; value ``*`` for presence."""


def signs_of_filter(text: str) -> tuple[str, ...]:
    r"""Return the signs of a filter; also of its shape, which has ``?`` for values.

    >>> signs_of_filter("(&(objectClass=person)(uid=ann))"), signs_of_filter("(|(cn=*ann*)(mail=*ann*))")
    ((), ())
    >>> signs_of_filter("(&(uid=*)(uid=*))(|(uid=*)(userPassword=x))")
    ('operator-for-value', 'stacked', 'tautology')
    >>> signs_of_filter("(&(uid=admin)(&)(userPassword=x))"), signs_of_filter("(uid=a))(|(cn=*)")
    (('tautology',), ('stacked', 'unbalanced-quote'))
    """
    found: set[str] = set()
    if "\0" in text or "\\00" in text or "%00" in text:
        found.add("comment-tail")
    stack: list[tuple[str, Group]] = [("", [])]
    whole = 0
    for token in _TOKEN.finditer(text[:MAX_TEXT]):
        part = token[0]
        if part == "(":
            if len(stack) == 1:
                whole += 1
            if len(stack) > MAX_DEPTH:
                return tuple(sorted(found))
            stack.append(("item", []))
        elif part == ")":
            if len(stack) == 1:
                found.add("unbalanced-quote")
                continue
            kind, group = stack.pop()
            _judge_group(kind, group, found)
            stack[-1][1].extend(group if kind == "item" else [("", "")])
        else:
            part = part.strip()
            if part in ("&", "|", "!"):
                stack[-1] = (part, stack[-1][1])
            elif part:
                item = _ITEM.match(part)
                stack[-1][1].append((item[1], item[3].strip()) if item else ("", part))
    if len(stack) > 1 and len(text) <= MAX_TEXT:
        found.add("unbalanced-quote")
        for kind, group in stack[1:]:
            _judge_group(kind, group, found, whole=False)
    if whole > 1:
        found.add("stacked")
    return tuple(sorted(found))


def _judge_group(kind: str, group: Group, found: set[str], *, whole: bool = True) -> None:
    if kind in ("&", "|") and not group and whole:  # absolutely true or false, by RFC 4526
        found.add("tautology")
    present = [name.lower() for name, value in group if value == "*"]
    equal = [name.lower() for name, value in group if value and value != "*"]
    if kind == "|" and len(group) > 1 and ("objectclass" in present or set(present) & set(equal)):
        found.add("tautology")
    if len(set(present)) < len(present) or any(name.isdecimal() for name, _ in group):
        found.add("tautology")
    secret = any(classify_field(name) == CREDENTIAL for name, _ in group)
    for name, value in group:
        field = classify_field(name)
        if (field == CREDENTIAL and "*" in value and kind != "!") or (field == IDENTITY and value == "*" and secret):
            found.add("operator-for-value")
