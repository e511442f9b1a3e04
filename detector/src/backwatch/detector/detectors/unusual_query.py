"""New statements at call sites whose statements are known, and whether they were injected into.

Novelty is reported at every call site; surprise only at a settled one. A new release of the app may bring new
statements: at each call site they become known in the first hour, or with the first calls from there. A call site with
many different statements builds them dynamically: filters, lists and orders, and nothing that adds a query, a table or
a function. Neither excuses what looks injected. Statements of transactions and drivers are never new.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.approval import STATEMENT_APPROVAL, find_approved
from backwatch.detector.baselines.call_site import (
    ALONE,
    CALL_SITE,
    COMPARED,
    KNOWN_HERE,
    STATEMENT_ANYWHERE,
    STATEMENT_AT_SITE,
    count_call,
)
from backwatch.detector.baselines.campaign import CAMPAIGN, STAGES
from backwatch.detector.baselines.releases import RELEASES
from backwatch.detector.baselines.settled import has_settled
from backwatch.detector.baselines.statement_columns import (
    CAMPAIGN_FACTS,
    StatementCalls,
    StatementFacts,
    StatementState,
    new_work,
)
from backwatch.detector.baselines.statement_judgement import judge_statements
from backwatch.detector.derived.numbers import NAME_UNRESOLVED, STATEMENT_REFUSED
from backwatch.detector.derived.text_columns import CONTINUES
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import KNOWN, RESOURCE, SITE, SITE_REPORTED, SITE_STATEMENT, STATEMENT
from backwatch.detector.state.tables import Rows, Table
from backwatch.detector.statements.structure.changes import CHANGES
from backwatch.detector.statements.structure.known import RESOURCE_STRUCTURE, SITE_STRUCTURE

MAX_COMPARED_CALLS: Final = 2_048
"""Calls whose new statements are held as tokens at a time: four megabytes if all are new."""
USUAL_SIGNS: Final = np.dtype([("seen", "u1", (len(names.SIGNS),))])


_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)


@kernel
def _find_unknown(fingerprint: Array, pair: Array, pairs: Any, unknown: Array) -> int:
    """Write the rows of calls whose statement is not known at its call site, or not compared; return their number."""
    count = 0
    both = KNOWN_HERE | COMPARED
    for i in range(fingerprint.shape[0]):
        if fingerprint[i] != 0 and (pair[i] == 0 or pairs[pair[i]]["known"] & both != both):
            unknown[count] = i
            count += 1
    return count


def _function_hashes(calls: Calls, part: slice) -> NDArray[np.uint32]:
    """Return a hash of the app's function that each call was made from; 0: not reported."""
    function, file = calls[names.CODE_FUNCTION][part], calls[names.CODE_FILE][part]
    return np.where(function != 0, (function ^ file * _ODD) >> _HALF, 0).astype(np.uint32)


@kernel
def _mature(
    fingerprint: Array, sighting: Array, goes_on: Array, resource: Array, statement: Array, learn: Array, places: Any,
    asked: Any, ready: Array,
) -> None:  # fmt: skip
    for i in range(resource.shape[0]):
        if resource[i] == 0 or fingerprint[i] == 0:
            continue
        place = places[resource[i]]
        ready[i] = has_settled(place["once"], place["calls"])
        if learn[i] and (not ready[i] or sighting[i] >= KNOWN):
            s = statement[i]
            alone = count_call(place, sighting[i], goes_on[i], s != 0 and asked[s]["known"] & ALONE != 0)
            if s != 0:
                known = asked[s]["known"] & KNOWN_HERE
                asked[s]["known"] = known | ALONE if alone else known


class UnusualQuery(Detector):
    """Compares a statement with those known at its call site, and estimates whether that call site is settled."""

    id = "unusual-query"
    derives = (
        derived_fact(
            "backwatch.query.novel",
            "1 where the statement is not known at its call site (without a call site: in its family; without "
            "room for its call site: at any of the resource's); never for transactions and a driver's own statements.",
        ),
        derived_fact(
            "backwatch.site.settled",
            "1 where a new statement is a surprise at the call site: after 30 quiet calls if it looks injected, "
            "else after 150.",
        ),
        derived_fact(
            "backwatch.site.unseen", "Estimated share of the call site's calls that are still unseen, in [0, 1]."
        ),
        derived_fact(
            "backwatch.site.released",
            "1 where a release of the app is young at the call site, and the statement does not look injected: it "
            "may be part of the release.",
        ),
        derived_fact(
            "backwatch.site.various",
            "1 where the call site shows eight different statements or more, and this one does not look injected and "
            "adds no query, table or function.",
        ),
        derived_fact(
            "backwatch.query.elsewhere", "1 where the statement is known at one of the resource's call sites."
        ),
        derived_fact(
            "backwatch.query.injection",
            "Probability that the statement was injected into, in [0, 1]; 0 where it is known at its call site.",
        ),
        derived_fact(
            "backwatch.query.injected",
            "1 where that is probable, and not by the statement's effect alone.",
        ),
        derived_fact(
            "backwatch.query.broken",
            "1 where input reached a new statement's text and it is probably no attack: the database refused it, and "
            "only words stand where a value belongs; or it ran, with code that came in with the request.",
        ),
        derived_fact(
            "backwatch.query.change",
            "What changed from the nearest known statement to this new one.",
            bits=CHANGES,
        ),
        derived_fact("backwatch.query.difference", "The statement, with what is new in it between « and »."),
        derived_fact(
            "backwatch.campaign.stage",
            "How far injected statements came at the call site: 1 probed; 2 injectable, the answers depend on what was "
            "injected; 3 read out, rows left.",
            values=STAGES,
        ),
        derived_fact("backwatch.campaign.statements", "Different injected statements of the campaign until this call."),
        derived_fact("backwatch.campaign.failed", "Injected calls of the campaign that failed, until this call."),
        derived_fact(
            "backwatch.campaign.rows",
            "Rows that injected statements of the campaign returned, beyond those of the call site's own, until this "
            "call.",
        ),
        derived_fact("backwatch.campaign.tables", "Estimated number of tables that injected text named; 64: at least."),
        derived_fact(
            "backwatch.campaign.seconds", "Seconds from the campaign's first injected statement until this call."
        ),
        derived_fact(
            "backwatch.campaign.seconds_to_first_row",
            "Seconds from the campaign's first injected statement until its first row; absent until then.",
        ),
        derived_fact(
            "backwatch.resource.settled", "1 where the resource's statements as a whole are known well enough."
        ),
    )
    tables = (
        Table("unusual_query_site", SITE, 1, CALL_SITE),
        Table("unusual_query", SITE_STATEMENT, 1, STATEMENT_AT_SITE),
        Table("unusual_query_resource", RESOURCE, 1, CALL_SITE),
        Table("unusual_query_releases", RESOURCE, 1, RELEASES),
        Table("unusual_query_statement", STATEMENT, 1, STATEMENT_ANYWHERE),
        Table("query_attack", SITE, 3, USUAL_SIGNS),
        Table("unusual_query_structure", SITE, 1, SITE_STRUCTURE),
        Table("unusual_query_vocabulary", RESOURCE, 1, RESOURCE_STRUCTURE),
        Table("unusual_query_campaign", SITE, 1, CAMPAIGN),
    )

    def __init__(self) -> None:
        super().__init__()
        self._work = new_work()

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        count = calls.count
        novel, ready, mature, released, various, elsewhere, injected, broken = (
            np.zeros(count, np.int8) for _ in range(8)
        )
        campaign = np.zeros((count, len(CAMPAIGN_FACTS)), np.int64)
        facts = StatementFacts(
            novel, ready, np.ones(count), released, various, elsewhere, np.zeros(count), injected, broken,
            np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count, np.int8), campaign,
            np.full(count, np.nan),
        )  # fmt: skip
        state = StatementState(
            tables["unusual_query_site"], tables["unusual_query"], tables["unusual_query_statement"],
            tables["unusual_query_releases"], tables["query_attack"], tables["unusual_query_structure"],
            tables["unusual_query_vocabulary"], tables["unusual_query_campaign"],
        )  # fmt: skip
        for start in range(0, count, MAX_COMPARED_CALLS):
            self._judge(calls, slot, state, facts, learn, slice(start, min(start + MAX_COMPARED_CALLS, count)))
        _mature(
            calls["fingerprint"], calls["statement.sighting"], calls[CONTINUES], slot[RESOURCE.name],
            slot[STATEMENT.name], learn, tables["unusual_query_resource"], tables["unusual_query_statement"], mature,
        )  # fmt: skip
        return {
            "backwatch.query.novel": novel, "backwatch.site.settled": ready, "backwatch.site.unseen": facts.unseen,
            "backwatch.site.released": released, "backwatch.site.various": various,
            "backwatch.query.elsewhere": elsewhere, "backwatch.resource.settled": mature,
            "backwatch.query.injection": facts.injection, "backwatch.query.injected": injected,
            "backwatch.query.broken": broken, "backwatch.query.change": facts.changes,
            "backwatch.query.difference": facts.difference, "backwatch.campaign.stage": facts.stage,
            "backwatch.campaign.seconds_to_first_row": facts.first_row,
            **{f"backwatch.campaign.{name}": campaign[:, at] for at, name in enumerate(CAMPAIGN_FACTS)},
        }  # fmt: skip

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:
        """Convert the usual signs of an older state, which knows fewer signs."""
        if table.dtype != USUAL_SIGNS or from_version not in (1, 2):
            return super().migrate(table, rows, from_version)
        converted = np.zeros(len(rows), table.dtype)
        converted["seen"][:, : rows["seen"].shape[1]] = rows["seen"]
        return converted

    def _judge(
        self,
        calls: Calls,
        slot: Mapping[str, NDArray[np.int32]],
        state: StatementState,
        facts: StatementFacts,
        learn: NDArray[np.bool_],
        part: slice,
    ) -> None:
        """Judge some of the calls."""
        approved = find_approved(calls, STATEMENT_APPROVAL)
        fingerprint, pair = calls["fingerprint"][part], slot[SITE_STATEMENT.name][part]
        rows = np.empty(fingerprint.shape[0], np.int64)
        unknown = rows[: _find_unknown(fingerprint, pair, state.pairs, rows)]
        found = calls.tokens_of(unknown + part.start)
        reported = calls[SITE_REPORTED][part]
        judged = StatementCalls(
            fingerprint, calls["site_statement.sighting"][part], calls[CONTINUES][part], calls["time_ns"][part],
            calls["signs"][part], slot[SITE.name][part], pair, slot[STATEMENT.name][part], slot[RESOURCE.name][part],
            calls[names.SERVICE_RELEASE][part], reported, _function_hashes(calls, part), calls["error"][part],
            calls[STATEMENT_REFUSED][part], calls[NAME_UNRESOLVED][part], calls[names.ROWS_RETURNED][part],
            calls["duration_ns"][part], calls["late"][part], learn[part], approved[part],
            (found.of_call[part], found.codes, found.ids, found.roles, found.count),
        )  # fmt: skip
        judge_statements(judged, state, StatementFacts(*(fact[part] for fact in facts)), self._work)
