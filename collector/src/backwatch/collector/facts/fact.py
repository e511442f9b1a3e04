"""The type of a registered fact."""

from dataclasses import dataclass
from typing import Literal

Type = Literal["text", "words", "number", "flag"]
"""``words``: a comma-separated list, of which a rule matches any one."""
Scope = Literal["app", "session", "call", "exception", "span", "derived", "window", "loss", "process"]
"""Where a fact is reported.

``app``: in the OTLP resource alone. ``session``: in the scope or the span, and the span wins. ``call``: in the span
alone. ``exception``: in the span, or in its exception event. ``span``: a field of the span itself. ``derived``:
nowhere; the detector computes it for each call. ``window``, ``loss``, ``process``: in what rules over windows, losses
and processes read.
"""
Domain = Literal["session", "statement", "resource", "content", "number"]
"""The dictionary in which the detector looks a fact up: once per distinct session, statement, resource or content.
Numbers of the fifth are compared call by call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact about an app, a resource, a session, a call, a window or a process.

    Attributes:
        name: Attribute name of the span contract, or the field that rules read.
        type: Type of its value.
        scope: Where it is reported.
        kind: The group of facts that it belongs to: a column of the drivers' table where ``facts.KINDS`` lists it.
        meaning: One sentence for ``backwatch rules fields``, ``backwatch rules explain`` and the documents.
        label: Short display name.
        unit: Unit of a number; empty where the number identifies something (a port, a line).
        domain: Where rules look it up; ``None``: rules cannot read it.
        older: Older and similar attribute names, best first. Each yields to the names before it.
        example: A typical value.
        order: Position in evidence, ascending. Facts at 0 stand in the middle, by name, with what detectors compute.
        identity: It shows which server responded. Accepting an alert records its value.
        profile: Key under which a profile announces its values; empty: profiles cannot.
        values: Names of a number's values 1, 2, …, which evidence shows instead of them.
        bits: Names of a number's bits, the lowest first, which evidence shows instead of it, joined by commas.
    """

    name: str
    type: Type
    scope: Scope
    kind: str
    meaning: str
    label: str
    unit: str = ""
    domain: Domain | None = None
    older: tuple[str, ...] = ()
    example: str | int | bool | None = None
    order: int = 0
    identity: bool = False
    profile: str = ""
    values: tuple[str, ...] = ()
    bits: tuple[str, ...] = ()


def make_label(name: str) -> str:
    """Make the label of a derived fact from its name.

    >>> make_label("backwatch.errors.streak")
    'Errors streak'
    """
    return name.removeprefix("backwatch.").replace(".", " ").replace("_", " ").capitalize()


def derived_fact(
    name: str, meaning: str, *, scope: Scope = "derived", values: tuple[str, ...] = (), bits: tuple[str, ...] = ()
) -> Fact:
    """Return a number that a detector computes for each call, or with the scope ``window`` for each window."""
    return Fact(
        name=name, type="number", scope=scope, kind="derived", domain="number", label=make_label(name),
        meaning=meaning, values=values, bits=bits,
    )  # fmt: skip
