"""Key spaces: how calls are grouped. The engine groups; a detector never does.

Each call gets one ``int32`` slot per space; slot 0 is everything over the quota. An address is a keyed 64-bit
SipHash: keys in ids, decisions and profiles are canonical text, never addresses.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpace:
    """One way to group calls.

    Attributes:
        columns: Names of the columns whose values make the key; ``parent``'s come first.
        parent: The space whose quota ``per_parent`` bounds this one's keys; ``None`` for none.
        capacity: Slots, slot 0 included.
        per_parent: Slots that one key of the parent may take.
        sketched: A key gets its slot at its second sighting; first ones wait in a small fixed sketch, with slot 0.
        lasting: A key that was known for long keeps its slot longer than a new one; else only its last sighting counts.
    """

    name: str
    columns: tuple[str, ...]
    parent: "KeySpace | None" = None
    capacity: int
    per_parent: int = 0
    sketched: bool = False
    lasting: bool = True


RESOURCE: Final = KeySpace(name="resource", columns=("app", "system", "endpoint", "namespace"), capacity=4_096)
"""One attached backing service as one app sees it."""

APP: Final = KeySpace(name="app", columns=("app",), capacity=1_024)
"""One app, over all of its resources."""

CALLER: Final = KeySpace(
    name="caller", columns=("app", "place"), parent=APP, capacity=8_192, per_parent=2_048
)  # fmt: skip
"""A place in the app's code, over all resources that it talks to: file and function; else the route; else the app."""

SITE: Final = KeySpace(name="site", columns=("resource", "place"), parent=RESOURCE, capacity=16_384, per_parent=4_096)
"""A call site of the app: file, function and route, or call path; if none is reported, the family: verb and tables."""

SITE_REPORTED: Final = "site.reported"
"""Column: whether the call's site is known by function, file or route, and is no family of statements."""

STATEMENT: Final = KeySpace(
    name="statement",
    columns=("resource", "fingerprint"),
    parent=RESOURCE,
    capacity=65_536,
    per_parent=16_384,
    sketched=True,
)

SITE_STATEMENT: Final = KeySpace(
    name="site_statement",
    columns=("site", "fingerprint"),
    parent=SITE,
    capacity=65_536,
    per_parent=4_096,
    sketched=True,
)

SESSION: Final = KeySpace(
    name="session", columns=("resource", "facts"), parent=RESOURCE, capacity=16_384, per_parent=1_024
)

SPACES: Final = (RESOURCE, APP, CALLER, SITE, STATEMENT, SITE_STATEMENT, SESSION)

# What a sighting was, per call and sketched space (column ``<space>.sighting``).
OVERFLOW: Final = 0
FIRST: Final = 1
SECOND: Final = 2
KNOWN: Final = 3
