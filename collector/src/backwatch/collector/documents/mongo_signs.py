"""Signs of injected operators in MongoDB commands: an operator that every value meets, where a value belongs.

``{"password": {"$ne": ""}}`` is a login without a password. Honest filters use the same operators: on dates and
numbers, with a bound that means something, on fields that decide nothing. So the field and the bound count together,
and whether one document is asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from backwatch.collector.documents.fields import (
    CREDENTIAL,
    ID,
    IDENTITY,
    OTHER,
    REFERENCE,
    WEAK_CREDENTIAL,
    classify_field,
)
from backwatch.collector.documents.javascript import signs_of_code
from backwatch.collector.documents.shown import join_signs

MAX_NODES: Final = 400
"""Conditions and stages of one command that are examined."""
MAX_DEPTH: Final = 12
MAX_WRITES: Final = 100

_FILTERS: Final = {
    "find": "filter", "count": "query", "distinct": "query", "findAndModify": "query", "findandmodify": "query",
    "mapReduce": "query", "mapreduce": "query",
}  # fmt: skip
_BATCHES: Final = {"update": "updates", "delete": "deletes"}
_TYPES: Final = frozenset((
    "$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$binary", "$uuid", "$timestamp",
    "$regularExpression", "$ref", "$id", "$db", "$minKey", "$maxKey", "$undefined", "$symbol", "$code", "$scope",
))  # fmt: skip
"""Keys of extended JSON: a document with one is a value."""
_BRANCHES: Final = frozenset(("$or", "$and", "$nor"))
_RANGES: Final = frozenset(("$gt", "$gte", "$lt", "$lte"))
_FITTING: Final = frozenset(("$eq", "$in", "$all", "$options", "$size", "$type", "$comment"))
"""Operators with which an app compares a secret, or that decide nothing alone."""
_CODE: Final = frozenset(("$where", "$function", "$accumulator"))
_ALL: Final = frozenset(
    (".*", "^.*", ".*$", "^.*$", "^", "$", ".", ".+", "^.+$", "(.*)", "^.", "[\\s\\S]*", ".{0,}", "")
)
"""Regular expressions that every text matches."""
_LOW: Final = frozenset(("", " ", "a", "A", "0", "!", "-"))
_HIGH: Final = frozenset(("~", "z", "zzz", "ÿ", "\uffff", "zz"))
_ODD: Final = ("&", "|", "!", "~", "=", "<", ">", "%", "'", '"')
"""How no field's name begins."""
HIDDEN: Final = "?"
"""A bound that an instrumentation has removed."""


def signs_of_command(command: object) -> tuple[str, ...]:
    """Return the signs of a command document.

    >>> signs_of_command({"find": "users", "filter": {"username": "admin", "password": {"$ne": ""}}})
    ('operator-for-value',)
    >>> signs_of_command({"find": "orders", "filter": {"total": {"$gt": 100}, "deleted_at": {"$ne": None}}})
    ()
    """
    if not isinstance(command, Mapping):
        return ()
    walk = _CommandWalk()
    walk.command(command)  # pyright: ignore[reportUnknownArgumentType]
    return tuple(sorted(walk.found))


def signs_of_filter(condition: object, *, single: bool = False) -> tuple[str, ...]:
    """Return the signs of one filter, or of a pipeline's stages."""
    walk = _CommandWalk()
    if isinstance(condition, Mapping):
        walk.filter(condition, single, 0)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(condition, (list, tuple)):
        walk.pipeline(condition, 0)  # pyright: ignore[reportUnknownArgumentType]
    return tuple(sorted(walk.found))


def signs_of_native(command: object, statement: str) -> str:
    """Return the signs of a command, as they are reported; most have a shape that needs no look at the values."""
    if "$" in statement or ":{?" in statement:
        return join_signs(signs_of_command(command))
    return ""


class _CommandWalk:
    """A walk through the conditions of one command."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.left = MAX_NODES

    def command(self, command: Mapping[Any, Any]) -> None:
        name = next(iter(command), None)
        if name == "explain" and isinstance(command["explain"], Mapping):
            self.command(command["explain"])
            return
        filter_key = _FILTERS.get(str(name))
        if filter_key is not None:
            single = name in ("findAndModify", "findandmodify") or command.get("limit") in (1, -1)
            if isinstance(command.get(filter_key), Mapping):
                self.filter(command[filter_key], single, 0)
        elif name == "aggregate" and isinstance(command.get("pipeline"), (list, tuple)):
            self.pipeline(command["pipeline"], 0)
        elif name in _BATCHES and isinstance(command.get(_BATCHES[str(name)]), (list, tuple)):
            for write in command[_BATCHES[str(name)]][:MAX_WRITES]:
                if isinstance(write, Mapping) and isinstance(write.get("q"), Mapping):  # pyright: ignore[reportUnknownMemberType]
                    single = write.get("limit") == 1 or (name == "update" and not write.get("multi"))  # pyright: ignore[reportUnknownMemberType]
                    self.filter(write["q"], single, 0)  # pyright: ignore[reportUnknownArgumentType]

    def filter(self, condition: Mapping[Any, Any], single: bool, depth: int) -> None:
        """Examine the conditions that hold together."""
        if depth > MAX_DEPTH:
            return
        compared = [field for field in condition if isinstance(field, str) and field[:1] != "$"]
        beside = any(classify_field(field) == IDENTITY for field in compared)
        secret = any(classify_field(field) == CREDENTIAL for field in compared)
        for field, value in condition.items():
            self.left -= 1
            if self.left < 0:
                return
            if not isinstance(field, str):
                continue
            if field[:1] == "$":
                self._operator(field, value, single, depth)
            elif "[$" in field or field.startswith(_ODD):
                self.found.add("operator-for-value")
            elif isinstance(value, Mapping):
                self._field(field, value, (single, beside, secret), depth)  # pyright: ignore[reportUnknownArgumentType]

    def _operator(self, name: str, value: Any, single: bool, depth: int) -> None:
        if name in _BRANCHES:
            self._branches(name, value, single, depth)
        elif name in _CODE:
            self._code(value)
        elif name == "$expr":
            self._expression(value, depth)
        elif name in _RANGES or name in ("$ne", "$nin", "$in", "$regex", "$exists", "$not", "$eq"):
            self.found.add("operator-for-value")  # an operator of a value, on no field

    def _branches(self, name: str, value: Any, single: bool, depth: int) -> None:
        branches = (
            [branch for branch in value if isinstance(branch, Mapping)] if isinstance(value, (list, tuple)) else []
        )  # pyright: ignore[reportUnknownVariableType]
        for branch in branches[:MAX_NODES]:  # pyright: ignore[reportUnknownVariableType]
            if not branch and name == "$or" and len(branches) > 1:
                self.found.add("tautology")
            self.filter(branch, single, depth + 1)  # pyright: ignore[reportUnknownArgumentType]
        if name == "$or" and _are_complements(branches):  # pyright: ignore[reportUnknownArgumentType]
            self.found.add("tautology")

    def _field(self, field: str, value: Mapping[Any, Any], around: tuple[bool, bool, bool], depth: int) -> None:
        single, beside, secret = around
        kind = classify_field(field)
        operators = [key for key in value if isinstance(key, str) and key[:1] == "$" and key not in _TYPES]
        if not operators:
            if value and kind == CREDENTIAL and _TYPES.isdisjoint(value):
                self.found.add("operator-for-value")
            return
        for operator in operators[:20]:
            self.left -= 1
            bound = value[operator]
            if operator in _CODE:
                self._code(bound)
            elif operator == "$not" and isinstance(bound, Mapping):
                self._field(field, bound, around, depth + 1) if depth < MAX_DEPTH else None  # pyright: ignore[reportUnknownArgumentType]
            elif operator == "$elemMatch" and isinstance(bound, Mapping):
                if str(next(iter(bound), ""))[:1] == "$":  # conditions on the member itself
                    continue
                self.filter(bound, False, depth + 1)  # pyright: ignore[reportUnknownArgumentType]
            elif operator not in _FITTING and _replaces_value(kind, operator, bound, single, beside, secret):
                self.found.add("operator-for-value")

    def _code(self, value: Any) -> None:
        code = value.get("body") if isinstance(value, Mapping) else value  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(code, str):
            self.found |= signs_of_code(code)
        elif isinstance(value, Mapping) and isinstance(value.get("$code"), str):  # pyright: ignore[reportUnknownMemberType]
            self.found |= signs_of_code(value["$code"])

    def _expression(self, value: Any, depth: int) -> None:
        """Examine an aggregation expression: constants, and code."""
        if value is True or (isinstance(value, (int, float)) and value):
            self.found.add("tautology")
        if not isinstance(value, Mapping) or depth > MAX_DEPTH:
            return
        for operator, arguments in value.items():  # pyright: ignore[reportUnknownVariableType]
            self.left -= 1
            if self.left < 0:
                return
            members = arguments if isinstance(arguments, (list, tuple)) else [arguments]  # pyright: ignore[reportUnknownVariableType]
            if operator in _CODE:
                self._code(arguments)
            elif (
                operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
                and len(members) == 2
                and _are_constants(members)
            ):  # pyright: ignore[reportUnknownArgumentType]
                self.found.add("tautology")
            for member in members[:20]:  # pyright: ignore[reportUnknownVariableType]
                if isinstance(member, Mapping):
                    self._expression(member, depth + 1)

    def pipeline(self, stages: Iterable[Any], depth: int) -> None:
        """Examine the stages that filter, and those that read another collection."""
        if depth > MAX_DEPTH:
            return
        for stage in stages:
            self.left -= 1
            if self.left < 0:
                return
            if not isinstance(stage, Mapping):
                continue
            for name, value in stage.items():  # pyright: ignore[reportUnknownVariableType]
                if name == "$match" and isinstance(value, Mapping):
                    self.filter(value, False, depth + 1)  # pyright: ignore[reportUnknownArgumentType]
                elif name in ("$lookup", "$unionWith", "$facet", "$graphLookup") and isinstance(value, Mapping):
                    self._nested(name, value, depth)  # pyright: ignore[reportUnknownArgumentType]

    def _nested(self, name: str, value: Mapping[Any, Any], depth: int) -> None:
        for key, inner in value.items():
            if (key == "pipeline" or name == "$facet") and isinstance(inner, (list, tuple)):
                self.pipeline(inner, depth + 1)  # pyright: ignore[reportUnknownArgumentType]
            elif key == "restrictSearchWithMatch" and isinstance(inner, Mapping):
                self.filter(inner, False, depth + 1)  # pyright: ignore[reportUnknownArgumentType]


def _replaces_value(kind: int, operator: str, bound: Any, single: bool, beside: bool, secret: bool) -> bool:
    """Return whether an operator stands where the app compares with a value.

    Args:
        kind: The field's class.
        single: One document is asked for, as in a login.
        beside: A field of the same filter names an account.
        secret: A field of the same filter is a secret.
    """
    trivial = is_trivial(operator, bound)
    if kind == CREDENTIAL:
        if operator == "$exists" or (operator == "$ne" and bound in (None, "")):
            return beside or single
        if operator in _RANGES:
            return trivial or bound == HIDDEN or isinstance(bound, (str, list, dict)) or beside
        return True
    if kind == WEAK_CREDENTIAL:
        return trivial and operator != "$exists" and (single or beside)
    if kind == ID:
        return trivial
    if kind == IDENTITY:
        return trivial and (secret or (single and operator in ("$gt", "$gte", "$regex", "$lt", "$lte")))
    if kind == REFERENCE:
        return trivial and single and operator != "$exists"
    return kind == OTHER and trivial and single and operator in ("$gt", "$gte") and bound == ""


def is_trivial(operator: str, bound: Any) -> bool:
    """Return whether nearly every value meets a comparison.

    >>> is_trivial("$gt", ""), is_trivial("$ne", None), is_trivial("$regex", "^.*"), is_trivial("$gte", 18)
    (True, True, True, False)
    """
    if operator == "$ne":
        return bound is None or bound in ("", 1, -1, 0) or (isinstance(bound, (list, dict)) and not bound)
    if operator in ("$gt", "$gte"):
        return (
            bound is None
            or (isinstance(bound, str) and bound in _LOW)
            or (isinstance(bound, Mapping) and ("$minKey" in bound or not bound))
        )
    if operator in ("$lt", "$lte"):
        return isinstance(bound, str) and bound in _HIGH
    if operator == "$regex":
        return isinstance(bound, str) and bound in _ALL
    if operator == "$exists":
        return bound is True or bound == 1
    return operator == "$nin" and isinstance(bound, (list, tuple)) and not bound


def _are_complements(branches: Sequence[Any]) -> bool:
    """Return whether two alternatives hold for every document: ``x = 1 or x != 1``."""
    equal: dict[str, Any] = {}
    unequal: dict[str, Any] = {}
    for branch in branches[:50]:
        if len(branch) != 1:
            continue
        field, value = next(iter(branch.items()))
        if isinstance(value, Mapping) and len(value) == 1:  # pyright: ignore[reportUnknownArgumentType]
            operator, bound = next(iter(value.items()))  # pyright: ignore[reportUnknownVariableType]
            (equal if operator == "$eq" else unequal if operator == "$ne" else {})[field] = bound
        else:
            equal[field] = value
    return any(field in equal and equal[field] == bound and bound != HIDDEN for field, bound in unequal.items())


def _are_constants(members: Sequence[Any]) -> bool:
    return all(
        not isinstance(member, (Mapping, list, tuple))
        and not (isinstance(member, str) and (member[:1] == "$" or member == HIDDEN))
        for member in members
    )
