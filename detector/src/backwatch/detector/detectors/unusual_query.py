"""New statements at places whose statements are known.

Known is what a place showed before it settled, and what has gone on there quietly for a week, leaving out no more than
a weekend. What bears signs enough for an attack never becomes known, however often it comes: only people can accept it.
What failed before a place settled is known as well, or a look-up that never finds anything would be new for ever. What
is new is told at every place; that it is a surprise, only at a settled one. A new release of the app may bring new
statements without signs: at each place they become known in its first hour, or with the first calls from there. A place
that shows many different statements puts them together as it runs, and one more without signs is known from then on. So
is one that is known at another place of the app.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.place import (
    ALONE,
    ASKED,
    KNOWN_HERE,
    PAIR,
    PLACE,
    VARIOUS,
    count,
    is_of_release,
    note_restless,
    remember,
    remembers,
    wait,
)
from backwatch.detector.baselines.releases import RELEASES, is_young, number_of
from backwatch.detector.baselines.settled import settled, surely_settled, unseen
from backwatch.detector.baselines.suspicion import ENOUGH, WEIGHT, weigh
from backwatch.detector.derived.text_columns import GOES_ON
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
        if site[i] == 0:  # no room to know its place: new, unless another one is known for it
            elsewhere[i] = statement[i] != 0 and asked[statement[i]]["known"] & KNOWN_HERE != 0
            novel[i] = not elsewhere[i]
            continue
        place = places[site[i]]
        weighs = weigh(signs[i], weight)
        if weighs > 0.0:  # what bears a sign is looked at sooner
            surprising = settled(place["once"], place["calls"])
        else:
            surprising = surely_settled(place["once"], place["calls"])
        ready[i] = surprising
        share[i] = unseen(place["once"], place["calls"])
        known = pair[i] != 0 and pairs[pair[i]]["known"] & KNOWN_HERE != 0
        known = known or (surprising and remembers(place, fingerprint[i]))
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
        if known or not ((surprising and not explained) or weighs >= ENOUGH):
            alone = pair[i] != 0 and pairs[pair[i]]["known"] & ALONE != 0
            alone = count(place, sighting[i], goes_on[i], alone)
            if statement[i] != 0:
                asked[statement[i]]["known"] |= KNOWN_HERE
            if pair[i] != 0:
                pairs[pair[i]]["known"] = KNOWN_HERE | ALONE if alone else KNOWN_HERE
            elif not known and sighting[i] == FIRST:
                remember(place, fingerprint[i])
            continue
        if weighs >= ENOUGH:
            continue
        if surprising and sighting[i] == FIRST:
            note_restless(place, time_ns[i])
        if pair[i] != 0:
            wait(pairs[pair[i]], time_ns[i])


@kernel
def _mature(
    fingerprint: Array, sighting: Array, goes_on: Array, resource: Array, statement: Array, learn: Array, places: Any,
    asked: Any, ready: Array,
) -> None:  # fmt: skip
    for i in range(resource.shape[0]):
        if resource[i] == 0 or fingerprint[i] == 0:
            continue
        place = places[resource[i]]
        ready[i] = settled(place["once"], place["calls"])
        if learn[i] and (not ready[i] or sighting[i] >= KNOWN):
            s = statement[i]
            alone = count(place, sighting[i], goes_on[i], s != 0 and asked[s]["known"] & ALONE != 0)
            if s != 0:
                known = asked[s]["known"] & KNOWN_HERE
                asked[s]["known"] = known | ALONE if alone else known


class UnusualQuery(Detector):
    """Tells whether a statement is new at the place that sent it, and whether that place is settled.

    Provides:
        ``backwatch.query.novel``: 1 where the statement is not known at its site (where none is told: its family;
            where there is no room for its site, at none of the resource's).
        ``backwatch.site.settled``: 1 where a new statement is a surprise there: after 30 quiet calls if it bears a
            sign, else after 150.
        ``backwatch.site.unseen``: Estimated share of the site's calls that are still unseen, in [0, 1].
        ``backwatch.site.released``: 1 where a release of the app is young at the site, and the statement shows no
            sign: it may have brought it.
        ``backwatch.site.various``: 1 where the site shows eight different statements or more, and this one no sign.
        ``backwatch.query.elsewhere``: 1 where the statement is known at one of the resource's sites.
        ``backwatch.resource.settled``: 1 where the resource's statements as a whole are known well enough.
    """

    id = "unusual-query"
    provides = (
        "backwatch.query.novel", "backwatch.site.settled", "backwatch.site.unseen", "backwatch.site.released",
        "backwatch.site.various", "backwatch.query.elsewhere", "backwatch.resource.settled",
    )  # fmt: skip
    tables = (
        Table("unusual_query_site", SITE, 1, PLACE),
        Table("unusual_query", SITE_STATEMENT, 1, PAIR),
        Table("unusual_query_resource", RESOURCE, 1, PLACE),
        Table("unusual_query_releases", RESOURCE, 1, RELEASES),
        Table("unusual_query_statement", STATEMENT, 1, ASKED),
    )

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        novel, ready, mature, released, various, elsewhere = (np.zeros(calls.count, np.int8) for _ in range(6))
        share = np.ones(calls.count, np.float64)
        _judge(
            calls["fingerprint"], calls["site_statement.sighting"], calls[GOES_ON], calls["time_ns"], calls["signs"],
            WEIGHT, slot[SITE.name], slot[SITE_STATEMENT.name], slot[STATEMENT.name], calls[names.SERVICE_RELEASE],
            slot[RESOURCE.name], calls["error"], calls["late"], learn, tables["unusual_query_site"],
            tables["unusual_query"], tables["unusual_query_statement"], tables["unusual_query_releases"], novel, ready,
            share, released, various, elsewhere,
        )  # fmt: skip
        _mature(
            calls["fingerprint"], calls["statement.sighting"], calls[GOES_ON], slot[RESOURCE.name],
            slot[STATEMENT.name], learn, tables["unusual_query_resource"], tables["unusual_query_statement"], mature,
        )  # fmt: skip
        return {
            "backwatch.query.novel": novel, "backwatch.site.settled": ready, "backwatch.site.unseen": share,
            "backwatch.site.released": released, "backwatch.site.various": various,
            "backwatch.query.elsewhere": elsewhere, "backwatch.resource.settled": mature,
        }  # fmt: skip
