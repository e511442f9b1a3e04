"""Compares a new statement with those of its call site, and estimates how probable an injection is.

A young call site does not know yet what belongs to it, so an attacker who comes first could teach it. What would be
suspect at a settled call site is not learned from at a young one, and is judged again whenever it returns.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.call_site import VARIOUS
from backwatch.detector.baselines.campaign import returns_more
from backwatch.detector.baselines.document_weights import sign_log_odds
from backwatch.detector.baselines.injection import compose, effect_log_odds, score
from backwatch.detector.baselines.injection_weights import COLD as COLD_WEIGHTS
from backwatch.detector.baselines.injection_weights import COLD_BIAS, KNOWN_BIAS
from backwatch.detector.baselines.injection_weights import KNOWN as KNOWN_WEIGHTS
from backwatch.detector.baselines.settled import MAX_UNSEEN, unseen_share
from backwatch.detector.baselines.statement_columns import StatementCalls, StatementState, Work
from backwatch.detector.baselines.suspicion import ATTACK_WEIGHT, SIGN_WEIGHTS, weigh
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.catalogue import reads_catalogue_alone
from backwatch.detector.statements.structure.difference import describe
from backwatch.detector.statements.structure.features import SLOT, F
from backwatch.detector.statements.structure.grammar import check_grammar, is_query
from backwatch.detector.statements.structure.known import NOTHING, find_home, is_alike, nearest
from backwatch.detector.statements.structure.operators import operator_log_odds
from backwatch.detector.statements.structure.vocabulary import DOCUMENT

MIN_COMPARED_CALLS: Final = 4
MIN_COMPARED_FORMS_CALLS: Final = 10
"""Calls of a call site or family after which new statements are compared with its own: those that return more rows than
usual, and others, which may be forms of its own."""
VARYING_LOG_ODDS: Final = -1.0
"""What it adds where the statements of a call site vary and this one does not differ at the place of a value."""
MIN_JOINED_CALLS: Final = 10
"""Calls of a call site after which it may learn a statement of several queries or alternatives, if it knows none that
is alike: the statement without what was injected may still come."""
_JOINING: Final = np.array([F[name] for name in ("set-operation", "sub-select", "stacked", "or-added")], np.int64)
_READS: Final = ("set-operation", "stacked", "write-added", "new-table-resource")
_READING: Final = np.array([F[name] for name in _READS], np.int64)
"""Features of what search forms do not add, however many statements they build."""
_QUERYING: Final = np.array([F[name] for name in (*_READS, "sub-select")], np.int64)
"""Features of a difference that asks for something else. Filters and orders of a young call site are its own forms."""
_AT_SLOT: Final = F["at-slot"]


@kernel
def _has_any(features: Any, some: Any) -> bool:
    """Return whether a difference has one of some features."""
    found = False
    for k in range(some.shape[0]):
        found = found or features[some[k]] > 0.0
    return found


@kernel
def reads_more(calls: StatementCalls, state: StatementState, i: int) -> bool:
    """Return whether a call returned far more rows than its call site ever did."""
    most = int(state.sites[calls.site[i]]["most_rows"]) if calls.site[i] != 0 else 0
    return returns_more(int(calls.rows[i]), most)


@kernel
def asks_more(features: Any) -> bool:
    """Return whether a difference has a query, a statement or a table of its own."""
    return _has_any(features, _QUERYING)


@kernel
def statement_of(calls: StatementCalls, i: int) -> tuple[Any, Any, Any, int]:
    """Return codes, ids, roles and number of a call's tokens; 0 tokens where it is no SQL."""
    of_call, codes, ids, roles, count = calls.tokens
    at = of_call[i]
    if at < 0:
        return codes[:0].reshape(-1), ids[:0].reshape(-1), roles[:0].reshape(-1), 0
    return codes[at], ids[at], roles[at], int(count[at])


@kernel
def _home(calls: StatementCalls, state: StatementState, statement: tuple[Any, Any, Any, int], i: int) -> int:
    """Return the call site whose statements this one is compared with.

    It is the call's own, or one that knows such a beginning. Where call sites are reported, that is only another one of
    the same function, on another route or from another caller, as long as this one has hardly been seen.
    """
    site, resource = calls.site[i], calls.resource[i]
    knows = site != 0 and state.sites[site]["exemplars"] > 0
    is_seen = knows and state.places[site]["calls"] >= MIN_COMPARED_FORMS_CALLS
    if is_seen and (calls.reported[i] or state.places[site]["kinds"] < VARIOUS):
        return int(site)
    codes, ids, role, count = statement
    found = find_home(state.resources[resource], state.sites, int(resource), codes, ids, role, count)
    if calls.reported[i]:
        is_same = found != 0 and calls.function[i] != 0 and state.sites[found]["function"] == calls.function[i]
        return found if is_same else int(site) if knows else 0
    if not knows:
        return found
    if found == 0 or found == site:
        return int(site)
    own = nearest(state.sites[site], codes, count)[2]
    return found if nearest(state.sites[found], codes, count)[2] > own else int(site)


@kernel
def _describe_document(
    state: StatementState,
    work: Work,
    statement: tuple[Any, Any, Any, int],
    found: tuple[int, int, int, float],
    facts: tuple[int, bool],
) -> tuple[float, float, bool, int]:
    """Return the same as :func:`compare_statement`, for a statement that is no SQL: by its signs and its operators."""
    codes, _, _, count = statement
    home, offset, size, fit = found
    work.features[:] = 0.0
    work.added[:] = 0
    work.kinds[:] = 0.0
    compose(work.features, work.kinds, facts[0], 1.0, facts[1], work.signals)
    log_odds = sign_log_odds(facts[0])
    place = state.places[home]
    alike = is_alike(fit, size)
    if home == 0 or size == 0 or not alike or place["calls"] < MIN_COMPARED_FORMS_CALLS:
        return log_odds, 0.0, False, 0
    more, slot = operator_log_odds(state.sites[home]["arena"][offset : offset + size], codes, count)
    unseen = unseen_share(place["once"] + 1, place["calls"] + 1)
    excused = 0.0
    if more > 0.0 and unseen > MAX_UNSEEN:
        excused = min(more, np.log(unseen / MAX_UNSEEN))
    return log_odds + more - excused, excused, True, slot


@kernel
def compare_statement(
    calls: StatementCalls, state: StatementState, work: Work, i: int, facts: tuple[int, bool]
) -> tuple[float, float, bool, int]:
    """Return log odds that a new statement was injected into, and what it was compared with.

    Returns:
        The log odds, what was taken from them because too little is known, whether it was compared with a known
        statement, and where it differs from that.
    """
    statement = statement_of(calls, i)
    codes, ids, roles, count = statement
    home = _home(calls, state, statement, i) if count > 0 else 0
    offset, size, fit = 0, 0, 0.0
    if home != 0:
        offset, size, fit = nearest(state.sites[home], codes, count)
    if count == 0 or codes[0] == DOCUMENT:
        return _describe_document(state, work, statement, (home, offset, size, fit), facts)
    site = state.sites[home]
    known = site["arena"][offset : offset + size] if size > 0 else NOTHING
    marks = work.added, work.removed
    filters = site["known"], state.resources[calls.resource[i]]
    describe(known, statement, marks, filters, work.features)
    check_grammar(codes, count, work.kinds)
    place = state.places[home]
    signs, elsewhere = facts
    unseen = unseen_share(place["once"] + 1, place["calls"] + 1) if home != 0 else 1.0
    compose(work.features, work.kinds, signs, unseen, elsewhere, work.signals)
    # Injected text leaves most of the statement as it is. One that shares little with any is another statement.
    alike = size > 0 and is_alike(fit, size) and is_query(codes[0])
    cold = score(work.signals, COLD_WEIGHTS, COLD_BIAS, 1.0)
    names = state.resources[calls.resource[i]]["names"]
    if reads_catalogue_alone(codes, ids, roles, count, calls.signs[i], names):  # a tool's own query asks the catalogue
        return cold - effect_log_odds(work.signals, COLD_WEIGHTS), 0.0, False, 0
    if not alike:
        return cold, 0.0, False, 0
    settled = score(work.signals, KNOWN_WEIGHTS, KNOWN_BIAS, 10.0)
    takes_more = calls.reported[i] and reads_more(calls, state, i)
    if place["calls"] < (MIN_COMPARED_CALLS if takes_more else MIN_COMPARED_FORMS_CALLS):
        return cold, max(0.0, settled - cold), False, 0
    log_odds = settled
    if unseen > MAX_UNSEEN:  # as likely as honest news are
        log_odds -= np.log(unseen / MAX_UNSEEN)
        if work.features[_AT_SLOT] == 0.0:
            log_odds += VARYING_LOG_ODDS
    if unseen > MAX_UNSEEN or weigh(signs, SIGN_WEIGHTS) >= ATTACK_WEIGHT:
        log_odds = max(log_odds, cold)
    learns = place["kinds"] >= VARIOUS and not _has_any(work.features, _READING)
    excused = 0.0 if learns else max(0.0, settled - log_odds)
    return log_odds, excused, True, int(work.features[SLOT])


@kernel
def comes_early(calls: StatementCalls, state: StatementState, features: Any, i: int) -> bool:
    """Return whether a statement that was not compared joins queries or conditions, at a young call site."""
    young = calls.reported[i] and state.places[calls.site[i]]["calls"] < MIN_JOINED_CALLS
    return bool(young and _has_any(features, _JOINING))
