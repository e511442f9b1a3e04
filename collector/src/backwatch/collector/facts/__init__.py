"""The registry of facts: each fact once, as data.

Columns, rule fields, the order of evidence, documents and profiles derive from it. To add a fact, add one entry to the
file of its kind and the code that reports it. Standard library only, for the app loads it.

Entries keep their order: it is the order of the columns, from which the detector computes keys.
"""

from collections.abc import Iterable
from typing import Final

from backwatch.collector import names
from backwatch.collector.facts import app, exposure, loss, process, request, resource, response, session, volume, window
from backwatch.collector.facts.fact import Fact, make_label

REPORTED: Final[tuple[Fact, ...]] = (
    *app.FACTS, *resource.FACTS, *request.FACTS, *session.FACTS, *volume.FACTS, *response.FACTS,
    *exposure.FACTS,
)  # fmt: skip
"""Facts that collectors and third-party instrumentations report with a call."""
WINDOW: Final[tuple[Fact, ...]] = window.FACTS
LOSS: Final[tuple[Fact, ...]] = loss.FACTS
PROCESS: Final[tuple[Fact, ...]] = process.FACTS

BY_NAME: Final = {fact.name: fact for fact in REPORTED}
APP: Final = (names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.ENVIRONMENT)
"""The facts that identify an app, in the order of its full name."""
IDENTITY: Final = tuple(fact.name for fact in REPORTED if fact.identity)
"""Facts that show which server responded."""
PROFILED: Final = {fact.profile: fact.name for fact in REPORTED if fact.profile}
"""Keys of a profile to the facts whose values they announce."""
IDENTIFIERS: Final = frozenset(fact.name for fact in REPORTED if fact.type == "number" and not fact.unit)
"""Numbers that identify something and count nothing: a port, a line."""
KINDS: Final = (
    "address", "TLS", "asked for", "verified", "certificate", "peer", "account", "login", "version", "identity",
    "statement", "bytes", "rows", "errors", "leads to", "content", "notices",
)  # fmt: skip
"""Kinds of facts that probes report: the columns of the drivers' table."""


_LABELS: Final = {fact.name: fact.label for fact in (*WINDOW, *LOSS, *PROCESS, *REPORTED)}


def label_of(name: str) -> str:
    """Return the display label of a fact; a name that is no fact's is its own label.

    >>> label_of("network.peer.address"), label_of("backwatch.errors.streak"), label_of("shop.cart")
    ('Peer address', 'Errors streak', 'shop.cart')
    """
    return _LABELS.get(name) or (make_label(name) if name.startswith("backwatch.") else name)


def in_reading_order(facts: Iterable[str]) -> list[str]:
    """Sort names of facts for reading: the request first, then derived facts, volume, caller, session, resource, app.

    >>> in_reading_order(["tls.established", "backwatch.rows.score", "db.query.text"])
    ['db.query.text', 'backwatch.rows.score', 'tls.established']
    """
    return sorted(facts, key=lambda name: (BY_NAME[name].order if name in BY_NAME else 0, name))
