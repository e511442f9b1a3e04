"""Judges calls one by one: is the statement known at its call site, and if not, was it injected into?

Known are the statements from before a call site settled, except those that would be suspect at a settled one; and those
in quiet use there for a week, with gaps no longer than a weekend; and those that an enforced profile holds. What is
suspicious never becomes known by repetition: only an operator can accept it. A release, a call site with many different
statements, or another call site that knows the statement excuse the kinds of change that apps make, and no other.
"""

from typing import Any, Final

import numpy as np

from backwatch.collector import names
from backwatch.detector.baselines.call_site import (
    ALONE,
    COMPARED,
    FORM_BITS,
    KNOWN_HERE,
    VARIOUS,
    count_call,
    count_form,
    count_waiting,
    is_of_release,
    is_remembered,
    may_be_form,
    note_restless,
    remember,
)
from backwatch.detector.baselines.campaign import count_tables, is_under_way, note_injected
from backwatch.detector.baselines.injection import (
    effect_log_odds,
    has_input,
    input_log_odds,
    is_broken,
    is_broken_by_quote,
    probability,
)
from backwatch.detector.baselines.injection_weights import COLD as COLD_WEIGHTS
from backwatch.detector.baselines.injection_weights import KNOWN as KNOWN_WEIGHTS
from backwatch.detector.baselines.recent_places import count_recent, note_suspicious
from backwatch.detector.baselines.releases import is_young, number_of
from backwatch.detector.baselines.settled import has_settled, has_surely_settled, unseen_share
from backwatch.detector.baselines.statement_columns import StatementCalls, StatementFacts, StatementState, Work
from backwatch.detector.baselines.statement_comparison import (
    asks_more,
    comes_early,
    compare_statement,
    reads_more,
    statement_of,
)
from backwatch.detector.baselines.suspicion import ATTACK_WEIGHT, SIGN_WEIGHTS, weigh
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import FIRST
from backwatch.detector.statements.structure.changes import changes_of, sketch_tables, span_of
from backwatch.detector.statements.structure.features import ONLY_ITEMS, WORDS_ONLY, F, adds_nothing
from backwatch.detector.statements.structure.grammar import closes_too_much
from backwatch.detector.statements.structure.housekeeping import is_housekeeping
from backwatch.detector.statements.structure.known import learn_statement
from backwatch.detector.statements.structure.vocabulary import DOCUMENT

Array = Any

SUSPECT_PROBABILITY: Final = 0.35
"""Probability from which on nothing excuses a new statement, and it is not learned from."""
ATTACK_PROBABILITY: Final = 0.5
WAITS_BELOW: Final = 0.5
"""Probability below which a statement becomes known after a quiet week."""
USUAL_AFTER_CALLS: Final = 3
"""Quiet calls with known statements after which a sign is usual at a call site."""
REFUSED_LOG_ODDS: Final = 3.0
FAILED_LOG_ODDS: Final = 0.6
SUCCEEDED_LOG_ODDS: Final = -0.2
"""What it adds that the database refused the statement, that it failed otherwise, and that it did neither. A name that
does not exist is no broken syntax: so a release fails whose migration has not run. There are no open data of honest
failures from which these could be fitted."""
HARMLESS_BREAK_LOG_ODDS: Final = -1.5
"""The most where the database refused nothing but words in the place of a value, as in ``'o'brien'``: a bug."""
MIN_CAMPAIGN: Final = 3
"""Suspicious statements of the last minutes at the same place from which on it is no bug."""
CAMPAIGN_LOG_ODDS: Final = 0.8
MAX_CAMPAIGN_LOG_ODDS: Final = 2.5
MIN_CAMPAIGN_LOG_ODDS: Final = -3.0
"""Log odds from which on suspicious statements of the last minutes, at the same place within the call site's
statements, add ``CAMPAIGN_LOG_ODDS`` times the logarithm of their number."""
FORM_LOG_ODDS: Final = -1.0
"""The most of a statement that may be a form of a new call site: neither refused nor failed, no sign, no more rows."""
MAX_ROWS_LOG_ODDS: Final = 2.0
"""Far more rows than the call site ever returned add up to this."""

NO_DOUBT: Final = 0
EARLY: Final = 1
"""A statement is counted at its call site and not learned from, as in ``comes_early``."""
DOUBTFUL: Final = 2
"""A statement is neither counted nor learned from: at a settled call site it would be suspect."""
PLAIN_DOUBT: Final = 3
"""The same, but it returned no more than usual and shows no sign: it may be a form of a new call site."""
FORM: Final = 4
"""It was sent often enough while the call site was new: a form of it."""
_ADDED, _AT_SLOT, _OFF_SLOT = F["added"], F["at-slot"], F["off-slot"]
_REMOVED: Final = F["removed"]
_UNBALANCED: Final = 1 << names.SIGNS.index("unbalanced-quote")


@kernel
def _unusual_signs(signs: int, usual: Any) -> int:
    kept = 0
    for k in range(usual["seen"].shape[0]):
        if (signs >> k) & 1 and usual["seen"][k] < USUAL_AFTER_CALLS:
            kept |= 1 << k
    return kept


@kernel
def _count_signs(signs: int, usual: Any) -> None:
    for k in range(usual["seen"].shape[0]):
        if (signs >> k) & 1 and usual["seen"][k] < 255:
            usual["seen"][k] += 1


@kernel
def _more_rows_log_odds(rows: int, most: int) -> float:
    """Return what it adds that a call returned so many more rows than its call site ever did."""
    return min(MAX_ROWS_LOG_ODDS, np.log2(rows / (most + 1.0)) / 3.0)


@kernel
def _note_campaign(
    calls: StatementCalls,
    state: StatementState,
    facts: StatementFacts,
    work: Work,
    i: int,
    sure: bool,
    changes: int,
) -> None:
    """Note an injected statement at its call site, and write the facts of its campaign."""
    site = calls.site[i]
    row = state.campaigns[site]
    _, ids, roles, count = statement_of(calls, i)
    new = calls.sighting[i] == FIRST and not calls.goes_on[i]
    answer = (
        int(calls.rows[i]), int(state.sites[site]["most_rows"]), int(calls.duration_ns[i] // 1_000_000),
        bool(calls.error[i]),
    )  # fmt: skip
    tables = sketch_tables(ids, roles, work.added, count)
    time_s = int(calls.time_ns[i] // 1_000_000_000)
    note_injected(row, time_s, new, answer, changes, tables, sure)
    first_s = np.int64(row["first_s"])
    facts.stage[i] = row["stage"]
    facts.campaign[i, 0], facts.campaign[i, 1], facts.campaign[i, 2] = row["statements"], row["failed"], row["rows"]
    facts.campaign[i, 3] = count_tables(row["tables"])
    facts.campaign[i, 4] = np.int64(row["last_s"]) - first_s
    facts.first_row[i] = np.int64(row["first_row_s"]) - first_s if row["first_row_s"] > 0 else np.nan


@kernel
def _classify_refusal(calls: StatementCalls, work: Work, i: int, signs: int, compared: bool) -> tuple[bool, bool]:
    """Return whether an honest text may break the statement, and whether all that is wrong is a name's absence."""
    codes, _, _, count = statement_of(calls, i)
    without_words = work.features[_ADDED] == 0.0 or work.features[WORDS_ONLY] == ONLY_ITEMS
    words_only = work.features[WORDS_ONLY] > 0.0 and not (without_words and signs & _UNBALANCED != 0)
    at_value = work.features[_AT_SLOT] > 0.0 and work.features[_OFF_SLOT] == 0.0
    misnamed = calls.unresolved[i] == 1 and compared and not is_broken(work.signals) and not (at_value and words_only)
    if not compared:
        words_only = is_broken_by_quote(work.signals) and not closes_too_much(codes, count)
    return words_only, misnamed


@kernel
def _doubt(
    calls: StatementCalls, state: StatementState, work: Work, i: int, found: tuple[bool, bool, bool], log_odds: float
) -> int:
    """Return what speaks against learning a statement; ``log_odds`` are those at a settled call site."""
    elsewhere, compared, plain = found
    if elsewhere:
        return NO_DOUBT
    if probability(log_odds) >= SUSPECT_PROBABILITY:
        if not plain:
            return DOUBTFUL
        return PLAIN_DOUBT if asks_more(work.features) else NO_DOUBT
    return EARLY if not compared and comes_early(calls, state, work.features, i) else NO_DOUBT


@kernel
def _judge_unknown(
    calls: StatementCalls, state: StatementState, facts: StatementFacts, work: Work, i: int
) -> tuple[bool, int]:
    """Judge a new statement at its call site, and count one that may be a form of it."""
    quiet, doubt = _judge_new(calls, state, facts, work, i, facts.elsewhere[i] != 0)
    pair = calls.pair[i]
    if doubt == PLAIN_DOUBT and quiet and calls.learn[i] and pair != 0:
        doubt = FORM if count_form(state.places[calls.site[i]], state.pairs[pair]) else DOUBTFUL
    return quiet, doubt


@kernel
def _is_open(calls: StatementCalls, work: Work, i: int, refused_alone: bool) -> bool:
    """Return whether a statement shows by itself that input becomes a part of it.

    Without a statement to compare it with, an open quote and the refusal are enough: no app writes that.
    """
    codes, _, _, count = statement_of(calls, i)
    has_code = has_input(work.signals) and not calls.error[i] and count > 0 and codes[0] != DOCUMENT
    return has_code or (refused_alone and calls.signs[i] & _UNBALANCED != 0)


@kernel
def _judge_new(
    calls: StatementCalls, state: StatementState, facts: StatementFacts, work: Work, i: int, elsewhere: bool
) -> tuple[bool, int]:
    """Judge a new statement, and note it at its call site if it is suspicious.

    Returns:
        Whether it is quiet, and what speaks against learning it all the same: 0, ``EARLY`` or ``DOUBTFUL``.
    """
    site = state.sites[calls.site[i]]
    signs = _unusual_signs(calls.signs[i], state.usual[calls.site[i]]) if calls.site[i] != 0 else calls.signs[i]
    log_odds, excused, compared, slot = compare_statement(calls, state, work, i, (signs, elsewhere))
    time_s = int(calls.time_ns[i] // 1_000_000_000)
    differs = not compared or work.features[_ADDED] > 0.0 or work.features[_REMOVED] > 0.0
    refused = calls.refused[i] == 1 and differs  # a refusal of what others send, too, is no break
    broken = is_broken(work.signals)
    before = count_recent(site, slot, time_s, broken or refused) if calls.site[i] != 0 else 0
    if calls.goes_on[i] and before > 0:  # the call whose rows this one fetches was noted itself
        before -= 1
    words_only, misnamed = _classify_refusal(calls, work, i, signs, compared)
    under_way = is_under_way(state.campaigns[calls.site[i]], time_s)
    more = reads_more(calls, state, i)
    harmless = refused and words_only and before < MIN_CAMPAIGN
    if harmless:
        log_odds = min(log_odds, HARMLESS_BREAK_LOG_ODDS)
    elif refused and compared:
        log_odds += 0.0 if calls.unresolved[i] == 1 else REFUSED_LOG_ODDS
    elif refused:
        log_odds -= input_log_odds(work.signals, COLD_WEIGHTS)
    else:
        log_odds += FAILED_LOG_ODDS if calls.error[i] and compared else SUCCEEDED_LOG_ODDS
    if calls.site[i] != 0 and not harmless:
        if log_odds > MIN_CAMPAIGN_LOG_ODDS and before > 0:
            log_odds += min(MAX_CAMPAIGN_LOG_ODDS, CAMPAIGN_LOG_ODDS * np.log1p(before))
        if compared and more:
            log_odds += _more_rows_log_odds(calls.rows[i], site["most_rows"])
    plain = signs == 0 and not calls.error[i] and not has_input(work.signals) and not more
    doubt = _doubt(calls, state, work, i, (elsewhere, compared, plain), log_odds + excused)
    pair = state.pairs[calls.pair[i]]  # a statement's first sighting has none yet: row 0 is empty
    if plain and calls.site[i] != 0 and may_be_form(state.places[calls.site[i]], pair, asks_more(work.features)):
        log_odds = min(log_odds, FORM_LOG_ODDS)
    p = probability(log_odds)
    facts.injection[i] = p
    facts.injected[i] = p >= ATTACK_PROBABILITY and (
        under_way or log_odds - effect_log_odds(work.signals, KNOWN_WEIGHTS if compared else COLD_WEIGHTS) >= 0.0
    )
    is_open = _is_open(calls, work, i, refused and not compared)
    facts.broken[i] = p < ATTACK_PROBABILITY and ((harmless and not misnamed) or is_open)
    changes = changes_of(work.features, work.features[WORDS_ONLY] == 1.0)
    if compared:
        facts.changes[i] = changes
        facts.difference[i] = span_of(work.added, statement_of(calls, i)[3])
    if calls.site[i] != 0 and not calls.late[i] and p >= ATTACK_PROBABILITY:
        _note_campaign(calls, state, facts, work, i, compared or has_input(work.signals), changes)
    breaks = refused and not misnamed and (broken or compared) and calls.sighting[i] == FIRST
    suspicious = p >= ATTACK_PROBABILITY or breaks
    if calls.site[i] != 0 and not calls.late[i] and suspicious and not calls.goes_on[i]:
        note_suspicious(site, slot, time_s)
    return p < SUSPECT_PROBABILITY and weigh(signs, SIGN_WEIGHTS) < ATTACK_WEIGHT, doubt


@kernel
def _learn(calls: StatementCalls, state: StatementState, i: int) -> None:
    """Add a quiet statement to what its call site and its resource are known for."""
    codes, ids, role, count = statement_of(calls, i)
    site = state.sites[calls.site[i]]
    site["changed"] = 1
    site["function"] = calls.function[i]
    state.resources[calls.resource[i]]["changed"] = 1
    if count > 0:
        slots = int(calls.site[i]), int(calls.resource[i])
        learn_statement(state.sites, state.places, state.resources[calls.resource[i]], slots, codes, ids, role, count)


@kernel
def _is_plain(calls: StatementCalls, i: int) -> bool:
    """Return whether a new statement is of a transaction or a driver's own, and never news."""
    codes, ids, _, count = statement_of(calls, i)
    return is_housekeeping(codes, ids, count)


@kernel
def _without_site(calls: StatementCalls, state: StatementState, facts: StatementFacts, work: Work, i: int) -> None:
    """Judge a call for whose call site there is no room: new, unless another one knows it."""
    statement = calls.statement[i]
    facts.elsewhere[i] = statement != 0 and state.asked[statement]["known"] & KNOWN_HERE != 0
    facts.novel[i] = not (facts.elsewhere[i] or calls.approved[i] or _is_plain(calls, i))
    if facts.novel[i]:
        _judge_new(calls, state, facts, work, i, False)


@kernel
def _wait(calls: StatementCalls, state: StatementState, i: int, surprising: bool) -> None:
    """Count a new statement that may become known."""
    if surprising and calls.sighting[i] == FIRST:
        note_restless(state.places[calls.site[i]], calls.time_ns[i])
    if calls.pair[i] != 0:
        count_waiting(state.pairs[calls.pair[i]], calls.time_ns[i])


@kernel
def _note_failed(calls: StatementCalls, state: StatementState, i: int) -> None:
    """Note a failed statement, so that it is no news when it succeeds."""
    pair = calls.pair[i]
    if pair != 0:
        state.pairs[pair]["known"] |= KNOWN_HERE
    elif calls.sighting[i] == FIRST:
        remember(state.places[calls.site[i]], calls.fingerprint[i])


@kernel
def _count_early(calls: StatementCalls, state: StatementState, i: int) -> None:
    """Count a call whose statement is not learned from yet."""
    pair = calls.pair[i]
    remembered = state.pairs[pair]["known"] if pair != 0 else np.uint8(0)
    alone = count_call(state.places[calls.site[i]], calls.sighting[i], calls.goes_on[i], remembered & ALONE != 0)
    if pair != 0:
        state.pairs[pair]["known"] = (remembered & FORM_BITS) | (ALONE if alone else 0)


@kernel
def judge_statements(calls: StatementCalls, state: StatementState, facts: StatementFacts, work: Work) -> None:
    """Judge calls in order, and learn from the quiet ones.

    Known statements, nearly all, are judged by rows and numbers alone: a call of a function that takes all columns
    costs as much as everything else here.
    """
    places, pairs, asked, sites = state.places, state.pairs, state.asked, state.sites
    for i in range(calls.site.shape[0]):
        if calls.fingerprint[i] == 0:
            continue
        s, pair, statement, learn = calls.site[i], calls.pair[i], calls.statement[i], calls.learn[i]
        if s == 0:
            _without_site(calls, state, facts, work, i)
            continue
        place = places[s]
        surely = has_surely_settled(place["once"], place["calls"])
        remembered = pairs[pair]["known"] if pair != 0 else np.uint8(0)
        known = remembered & KNOWN_HERE != 0 or (surely and is_remembered(place, calls.fingerprint[i]))
        known = known or calls.approved[i]
        plain = not known and _is_plain(calls, i)
        known = known or plain
        facts.novel[i] = not known
        facts.elsewhere[i] = statement != 0 and asked[statement]["known"] & KNOWN_HERE != 0
        facts.unseen[i] = unseen_share(place["once"], place["calls"])
        quiet, doubt = True, NO_DOUBT
        if not known:
            quiet, doubt = _judge_unknown(calls, state, facts, work, i)
        # A suspicious statement surprises sooner.
        surprising = surely if quiet else has_settled(place["once"], place["calls"])
        facts.settled[i] = surprising
        release = state.releases[calls.resource[i]]
        number = number_of(release, calls.release[i], calls.time_ns[i], learn)
        young = is_young(release, number, calls.time_ns[i])
        facts.released[i] = is_of_release(place, number, young, learn) and quiet
        facts.various[i] = place["kinds"] >= VARIOUS and quiet and (known or adds_nothing(work.features))
        if not known and is_under_way(state.campaigns[s], int(calls.time_ns[i] // 1_000_000_000)):
            continue  # what an attack sends teaches nothing
        explained = facts.released[i] != 0 or facts.various[i] != 0 or facts.elsewhere[i] != 0
        if not learn:
            if calls.error[i] and not calls.late[i] and not known and not surprising and quiet and doubt == NO_DOUBT:
                _note_failed(calls, state, i)
            continue
        if doubt == EARLY and quiet:
            _count_early(calls, state, i)
        elif known or doubt == FORM or (quiet and doubt == NO_DOUBT and (not surprising or explained)):
            alone = count_call(place, calls.sighting[i], calls.goes_on[i], remembered & ALONE != 0)
            if not known or (pair != 0 and remembered & COMPARED == 0 and not plain):
                _learn(calls, state, i)
            if statement != 0:
                asked[statement]["known"] |= KNOWN_HERE
            if pair != 0:
                pairs[pair]["known"] = KNOWN_HERE | COMPARED | (ALONE if alone else 0)
            elif not known and calls.sighting[i] == FIRST:
                remember(place, calls.fingerprint[i])
            if calls.rows[i] > sites[s]["most_rows"]:
                sites[s]["most_rows"] = min(calls.rows[i], 0xFFFFFFFF)
                sites[s]["changed"] = 1
            if known and calls.signs[i] != 0:
                _count_signs(calls.signs[i], state.usual[s])
        elif facts.injection[i] < WAITS_BELOW and weigh(calls.signs[i], SIGN_WEIGHTS) < ATTACK_WEIGHT:
            _wait(calls, state, i, surprising)
