"""Folding: beyond a number of open alerts of one rule, further keys share one alert.

A flood of new statements, call sites or resources must not become as many alerts. Each rule may have so many open
alerts at one call site, at one resource, of one app and in one shard. A key beyond that joins the *fold*: one alert of
the rule for the scope that is full. Which one a firing joins depends on the order of calls alone, never on batches.

Resources known for an hour and newer ones have folds of their own above the resource: an app that invents resources
fills only the scopes of new ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.runtime.bounds import Bound
from backwatch.detector.columns.key_texts import Key, place
from backwatch.detector.columns.prepared import Prepared
from backwatch.detector.engine.open_findings import OpenFindings
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix
from backwatch.detector.rules.correlation_state import APP
from backwatch.detector.rules.sigma import Rule
from backwatch.detector.state.keys import SITE_REPORTED

Array = NDArray[Any]

SCOPES: Final = ("call site", "resource", "app", "all apps")
"""Scopes of a fold, the smallest first."""
SITE, RESOURCE, APPLICATION, EVERYTHING = range(4)
FOLD_SCOPE: Final = "backwatch.fold.scope"
FOLD_KEYS: Final = "backwatch.fold.keys"
"""Evidence of a folded alert: what its keys have in common, and about how many different ones it stands for."""
MAX_OPEN: Final = (20, 60, 240, 960)
MAX_OPEN_CRITICAL: Final = (40, 120, 480, 1_920)
"""Open alerts of one rule per scope before further keys fold, of rules below critical and of critical ones."""
NEW_SHARE: Final = 2
"""New resources may have one in so many of an app's and a shard's open alerts: more than one resource can fill."""
KNOWN_AFTER_NS: Final = 3_600 * 10**9
BOUNDS: Final = (
    Bound(
        "open alerts of one rule at a call site, resource, app, shard", MAX_OPEN, "alerts",
        "further keys join one folded alert of the scope", "`backwatch.fold.keys` in the folded alert",
    ),
    Bound(
        "open alerts of one critical rule at a call site, resource, app, shard", MAX_OPEN_CRITICAL, "alerts",
        "further keys join one folded alert of the scope", "`backwatch.fold.keys` in the folded alert",
    ),
)  # fmt: skip
_STATEMENT_KEYS: Final = ("statement", "site_statement")
_BELOW_RESOURCE: Final = (*_STATEMENT_KEYS, "site")


@kernel
def _scope_keys(
    site: Array,
    has_site: Array,
    resource: Array,
    app: Array,
    known: Array,
    rule: np.uint64,
    finest: int,
    out: Array,
) -> None:
    for i in range(resource.shape[0]):
        group = np.uint64(2) if known[i] else np.uint64(1)
        if finest <= 0 and has_site[i]:
            out[0, i] = mix(mix(site[i], np.uint64(0xF01D)), rule)
        if finest <= 1:
            out[1, i] = mix(mix(resource[i], np.uint64(0xF02D)), rule)
        owner = np.uint64(0xF03D)
        for part in range(app.shape[0]):
            owner = mix(owner, app[part, i])
        out[2, i] = mix(mix(owner, group), rule)
        out[3, i] = mix(mix(np.uint64(0xF04D), group), rule)


def scope_keys(
    rule: Rule,
    rule_hash: int,
    prepared: Prepared,
    at: NDArray[np.int64],
    columns: Mapping[str, Array],
    rows: NDArray[np.int32],
    known: NDArray[np.bool_],
) -> NDArray[np.uint64]:
    """Return the key of the fold that each call would join in each scope: uint64 [scopes, rows]; 0: no such scope.

    Args:
        at: Rows of ``prepared``.
        columns, rows: The run's columns, and the same calls' places in them.
        known: Whether the call's resource is known for long.
    """
    out = np.zeros((len(SCOPES), rows.shape[0]), np.uint64)
    finest = SITE if rule.key in _STATEMENT_KEYS else RESOURCE if rule.key in _BELOW_RESOURCE else APPLICATION
    has_site = columns[SITE_REPORTED][rows] != 0
    app = np.stack([columns[name][rows] for name in APP])
    _scope_keys(
        prepared.address["site"][at], has_site, prepared.address["resource"][at], app, known, np.uint64(rule_hash),
        finest, out,
    )  # fmt: skip
    return out


def window_scope_keys(rule_hash: int, app_address: int, *, known: bool) -> NDArray[np.uint64]:
    """Return the scope keys of a window, which has no call: its app's and the shard's."""
    out = np.zeros((len(SCOPES), 1), np.uint64)
    none, app = np.zeros(1, np.uint64), np.array([[app_address]], np.uint64)
    _scope_keys(none, np.zeros(1, np.bool_), none, app, np.array([known]), np.uint64(rule_hash), APPLICATION, out)
    return out


def scope_to_open(found: OpenFindings, scopes: Sequence[int], rule: Rule, *, known: bool, crowded: bool) -> int:
    """Return the largest scope that is full, in which a new key folds; -1: the key gets its own alert."""
    if crowded:
        return EVERYTHING
    limits = MAX_OPEN_CRITICAL if rule.level == "critical" else MAX_OPEN
    for scope in range(EVERYTHING, -1, -1):
        limit = limits[scope] if known or scope <= RESOURCE else max(1, limits[scope] // NEW_SHARE)
        if scopes[scope] and found.count_under(scopes[scope]) >= limit:
            return scope
    return -1


def call_fold_key(scope: int, prepared: Prepared, row: int, resource: Key, *, known: bool) -> Key:
    """Return the key of the fold that this call joins in this scope."""
    return fold_key(scope, resource, place(prepared, row) if scope == SITE else "", known=known)


def fold_key(scope: int, resource: Key, where: str, *, known: bool) -> Key:
    """Return the key of a fold."""
    age = "known" if known else "new"
    if scope <= RESOURCE:
        text = "\x1f".join(("\x1efold", SCOPES[scope], resource.text, where))
        label = f"many keys @ {where}" if scope == SITE else f"many keys of {resource.resource}"
        return Key(
            text=text, app=resource.app, resource=resource.resource, label=label, resource_id=resource.resource_id
        )
    app = resource.app if scope == APPLICATION else ""
    text = "\x1f".join(("\x1efold", SCOPES[scope], age, app))
    label = f"many keys of {age} resources"
    return Key(text=text, app=app, resource=f"{age} resources", label=label, resource_id="")
