"""New statements at call sites whose statements are known.

Known are the statements from before a call site settled, and those in quiet use there for a week, with gaps no longer
than a weekend. A statement with the signs of an attack never becomes known by repetition: only an operator can accept
it. A statement that failed before the call site settled is known, too, or a look-up that never finds anything would
stay new forever. Novelty is reported at every call site; surprise only at a settled one. A new release of the app may
bring new
statements without signs: at each call site they become known in the first hour, or with the first calls from there. A
call site with many different statements builds them dynamically, and a further one without signs is known at once. So
is one that is known at another call site of the app.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.call_site import (
    ALONE,
    CALL_SITE,
    KNOWN_HERE,
    STATEMENT_ANYWHERE,
    STATEMENT_AT_SITE,
    VARIOUS,
    count_call,
    count_waiting,
    is_of_release,
    is_remembered,
    note_restless,
    remember,
)
from backwatch.detector.baselines.releases import RELEASES, is_young, number_of
from backwatch.detector.baselines.settled import has_settled, has_surely_settled, unseen_share
from backwatch.detector.baselines.suspicion import ATTACK_WEIGHT, SIGN_WEIGHTS, weigh
from backwatch.detector.derived.text_columns import CONTINUES
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import FIRST, KNOWN, RESOURCE, SITE, SITE_STATEMENT, STATEMENT
from backwatch.detector.state.tables import Rows, Table


@kernel
def _judge(
    fingerprint: Array, sighting: Array, goes_on: Array, time_ns: Array, signs: Array, weight: Array, site: Array,
    pair: Array, statement: Array, release: Array, resource: Array, error: Array, late: Array, learn: Array,
    places: Any, pairs: Any, asked: Any, releases: Any, novel: Array, ready: Array, share: Array, released: Array,
    various: Array, elsewhere: Array,
) -> None:  # fmt: skip
    for i in range(site.shape[0]):
        if fingerprint[i] == 0:
            continue
        if site[i] == 0:  # no room for its call site: new, unless another one knows it
            elsewhere[i] = statement[i] != 0 and asked[statement[i]]["known"] & KNOWN_HERE != 0
            novel[i] = not elsewhere[i]
            continue
        place = places[site[i]]
        weighs = weigh(signs[i], weight)
        if weighs > 0.0:  # a statement with a sign surprises sooner
            surprising = has_settled(place["once"], place["calls"])
        else:
            surprising = has_surely_settled(place["once"], place["calls"])
        ready[i] = surprising
        share[i] = unseen_share(place["once"], place["calls"])
        known = pair[i] != 0 and pairs[pair[i]]["known"] & KNOWN_HERE != 0
        known = known or (surprising and is_remembered(place, fingerprint[i]))
        novel[i] = not known
        number = number_of(releases[resource[i]], release[i], time_ns[i], learn[i])
        young = is_young(releases[resource[i]], number, time_ns[i])
        released[i] = is_of_release(place, number, young, learn[i]) and weighs == 0.0
        various[i] = place["kinds"] >= VARIOUS and weighs == 0.0
        elsewhere[i] = statement[i] != 0 and asked[statement[i]]["known"] & KNOWN_HERE != 0
        explained = released[i] != 0 or various[i] != 0 or elsewhere[i] != 0
        if not learn[i]:
            if error[i] and not late[i] and not known and not surprising and weighs == 0.0:
                if pair[i] != 0:
                    pairs[pair[i]]["known"] |= KNOWN_HERE
                elif sighting[i] == FIRST:
                    remember(place, fingerprint[i])
            continue
        if known or not ((surprising and not explained) or weighs >= ATTACK_WEIGHT):
            alone = pair[i] != 0 and pairs[pair[i]]["known"] & ALONE != 0
            alone = count_call(place, sighting[i], goes_on[i], alone)
            if statement[i] != 0:
                asked[statement[i]]["known"] |= KNOWN_HERE
            if pair[i] != 0:
                pairs[pair[i]]["known"] = KNOWN_HERE | ALONE if alone else KNOWN_HERE
            elif not known and sighting[i] == FIRST:
                remember(place, fingerprint[i])
            continue
        if weighs >= ATTACK_WEIGHT:
            continue
        if surprising and sighting[i] == FIRST:
            note_restless(place, time_ns[i])
        if pair[i] != 0:
            count_waiting(pairs[pair[i]], time_ns[i])


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
            "room for its call site: at any of the resource's).",
        ),
        derived_fact(
            "backwatch.site.settled",
            "1 where a new statement is a surprise at the call site: after 30 quiet calls if it shows a sign, "
            "else after 150.",
        ),
        derived_fact(
            "backwatch.site.unseen", "Estimated share of the call site's calls that are still unseen, in [0, 1]."
        ),
        derived_fact(
            "backwatch.site.released",
            "1 where a release of the app is young at the call site, and the statement shows no sign: it may be "
            "part of the release.",
        ),
        derived_fact(
            "backwatch.site.various",
            "1 where the call site shows eight different statements or more, and this one no sign.",
        ),
        derived_fact(
            "backwatch.query.elsewhere", "1 where the statement is known at one of the resource's call sites."
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
    )

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        novel, ready, mature, released, various, elsewhere = (np.zeros(calls.count, np.int8) for _ in range(6))
        share = np.ones(calls.count, np.float64)
        _judge(
            calls["fingerprint"], calls["site_statement.sighting"], calls[CONTINUES], calls["time_ns"], calls["signs"],
            SIGN_WEIGHTS, slot[SITE.name], slot[SITE_STATEMENT.name], slot[STATEMENT.name],
            calls[names.SERVICE_RELEASE], slot[RESOURCE.name], calls["error"], calls["late"], learn,
            tables["unusual_query_site"],
            tables["unusual_query"], tables["unusual_query_statement"], tables["unusual_query_releases"], novel, ready,
            share, released, various, elsewhere,
        )  # fmt: skip
        _mature(
            calls["fingerprint"], calls["statement.sighting"], calls[CONTINUES], slot[RESOURCE.name],
            slot[STATEMENT.name], learn, tables["unusual_query_resource"], tables["unusual_query_statement"], mature,
        )  # fmt: skip
        return {
            "backwatch.query.novel": novel, "backwatch.site.settled": ready, "backwatch.site.unseen": share,
            "backwatch.site.released": released, "backwatch.site.various": various,
            "backwatch.query.elsewhere": elsewhere, "backwatch.resource.settled": mature,
        }  # fmt: skip
