"""New statements at places whose statements are known.

Known is what a place showed quietly before it settled, unless it bore signs of an attack, and what has gone on there
quietly for a week. What is new is told at every place; that it is a surprise, only at a settled one. Source of the
estimate: ``baselines/settled.py``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.settled import LEARN_AFTER_NS, MIN_CALLS, settled, unseen
from backwatch.detector.baselines.suspicion import ENOUGH, WEIGHT, weigh
from backwatch.detector.compiled import kernel
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.engine.keys import FIRST, KNOWN, RESOURCE, SECOND, SITE, SITE_STATEMENT
from backwatch.detector.engine.tables import Rows, Table

WAITING = 8
"""Statements seen just once before a place settled that it can still recognise."""
PLACE = np.dtype([
    ("calls", "<u4"), ("once", "<u4"), ("restless_since_ns", "<i8"), ("restless", "<u4"), ("next", "<u4"),
    ("waiting", "<u4", (WAITING,)),
])  # fmt: skip
PAIR = np.dtype([("first_ns", "<i8"), ("known", "u1")])


@kernel
def _restless(place: Any, time_ns: int) -> None:
    """A new quiet statement at a settled place. Where they go on for a week the place is not settled after all."""
    if place["restless"] == 0 or time_ns - place["restless_since_ns"] > 2 * LEARN_AFTER_NS:
        place["restless_since_ns"] = time_ns
        place["restless"] = 0
    place["restless"] += 1
    if place["restless"] >= MIN_CALLS and time_ns - place["restless_since_ns"] >= LEARN_AFTER_NS:
        place["calls"] = 0
        place["once"] = 0
        place["restless"] = 0


@kernel
def _count(place: Any, sighting: int) -> None:
    """A quiet call that may teach what this place shows."""
    place["calls"] = min(place["calls"] + 1, 1_000_000_000)
    if sighting == FIRST:
        place["once"] += 1
    elif sighting == SECOND and place["once"] > 0:
        place["once"] -= 1


@kernel
def _remember(place: Any, fingerprint: Any) -> None:
    """A statement's first quiet call at a place not yet settled: its second must not surprise, whenever it comes."""
    place["waiting"][place["next"] % WAITING] = np.uint32(fingerprint >> np.uint64(32)) | np.uint32(1)
    place["next"] = (place["next"] + 1) % WAITING


@kernel
def _remembers(place: Any, fingerprint: Any) -> bool:
    tag = np.uint32(fingerprint >> np.uint64(32)) | np.uint32(1)
    found = False
    for i in range(WAITING):
        found = found or place["waiting"][i] == tag
    return found


@kernel
def _wait(one: Any, time_ns: int) -> None:
    """A new statement that went by quietly: known once it has done so for a week."""
    if one["first_ns"] == 0:
        one["first_ns"] = time_ns
    elif time_ns - one["first_ns"] >= LEARN_AFTER_NS:
        one["known"] = 1


@kernel
def _judge(
    fingerprint: Array, sighting: Array, time_ns: Array, signs: Array, weight: Array, site: Array, pair: Array,
    learn: Array, places: Any, pairs: Any, novel: Array, ready: Array, share: Array,
) -> None:  # fmt: skip
    for i in range(site.shape[0]):
        if site[i] == 0 or fingerprint[i] == 0:
            continue
        place = places[site[i]]
        surprising = settled(place["once"], place["calls"])
        ready[i] = surprising
        share[i] = unseen(place["once"], place["calls"])
        known = pair[i] != 0 and pairs[pair[i]]["known"] != 0
        known = known or (surprising and _remembers(place, fingerprint[i]))
        novel[i] = not known
        if not learn[i]:
            continue
        hostile = weigh(signs[i], weight) >= ENOUGH
        if known or not (surprising or hostile):
            _count(place, sighting[i])
            if pair[i] != 0:
                pairs[pair[i]]["known"] = 1
            elif not known and sighting[i] == FIRST:
                _remember(place, fingerprint[i])
            continue
        if surprising and sighting[i] == FIRST:
            _restless(place, time_ns[i])
        if pair[i] != 0:
            _wait(pairs[pair[i]], time_ns[i])


@kernel
def _mature(fingerprint: Array, sighting: Array, resource: Array, learn: Array, places: Any, ready: Array) -> None:
    for i in range(resource.shape[0]):
        if resource[i] == 0 or fingerprint[i] == 0:
            continue
        place = places[resource[i]]
        ready[i] = settled(place["once"], place["calls"])
        if learn[i] and (not ready[i] or sighting[i] >= KNOWN):
            _count(place, sighting[i])


class UnusualQuery(Detector):
    """Tells whether a statement is new at the place that sent it, and whether that place is settled.

    Provides:
        ``backwatch.query.novel``: 1 where the statement is not known at its site (where none is told: its family).
        ``backwatch.site.settled``: 1 where a new statement is a surprise there.
        ``backwatch.site.unseen``: Estimated share of the site's calls that are still unseen, in [0, 1].
        ``backwatch.resource.settled``: 1 where the resource's statements as a whole are known well enough.
    """

    id = "unusual-query"
    provides = (
        "backwatch.query.novel", "backwatch.site.settled", "backwatch.site.unseen", "backwatch.resource.settled",
    )  # fmt: skip
    tables = (
        Table("unusual_query_site", SITE, 1, PLACE),
        Table("unusual_query", SITE_STATEMENT, 1, PAIR),
        Table("unusual_query_resource", RESOURCE, 1, PLACE),
    )
    rule = """
title: A Place Whose Queries Are Known Sent a New One
id: 9e0f6f0b-6c0c-4a3c-8f5d-0d5c5f2a7b11
name: unusual-query
status: experimental
description: >-
  Detects a statement that was never seen at a call site, or in a family of statements, whose statements are known.
references:
  - https://en.wikipedia.org/wiki/Good%E2%80%93Turing_frequency_estimation
tags: [attack.initial-access, attack.t1190, attack.collection, attack.t1213.006]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  selection:
    backwatch.query.novel: true
    backwatch.site.settled: true
  condition: selection
fields:
  - db.query.text
  - backwatch.statement
  - code.function.name
  - code.file.path
  - code.line.number
  - http.route
  - backwatch.account
falsepositives:
  - A release brought a new query; accept the alert, or let it go on quietly for a week.
  - Rare branches of the code, such as a yearly report.
level: low
backwatch:
  key: site_statement
  how:
    - >-
      An injection changes the shape of a statement, even where it leaves no known sign: the call site sends something
      that it never sent.
    - >-
      Somebody with the app's password, or a shell on its machine, asks what the app never asks.
  blind_spots: >-
    Call sites that go on inventing queries, and those with fewer than 30 quiet calls, stay silent. An attack that
    fits an existing statement (another literal in the same place) is not new.
  remediation: >-
    Look at the statement and the call site. If a release brought it, accept it. If not, find which input reaches the
    query text there, and pass it as a bound parameter.
  parameters: [bound-values]
  tests:
    - name: new at a settled place
      fires: true
      facts:
        backwatch.query.novel: 1
        backwatch.site.settled: 1
        db.query.text: 'SELECT a FROM b'
    - name: new at a young place
      fires: false
      facts:
        backwatch.query.novel: 1
        backwatch.site.settled: 0
    - name: more is known of it
      fires: false
      facts:
        backwatch.query.novel: 1
        backwatch.site.settled: 1
        db.query.text: 'COPY t TO PROGRAM ?'
"""

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        novel, ready, mature = (np.zeros(calls.count, np.int8) for _ in range(3))
        share = np.ones(calls.count, np.float64)
        _judge(
            calls["fingerprint"], calls["site_statement.sighting"], calls["time_ns"], calls["signs"], WEIGHT,
            slot[SITE.name], slot[SITE_STATEMENT.name], learn, tables["unusual_query_site"], tables["unusual_query"],
            novel, ready, share,
        )  # fmt: skip
        _mature(
            calls["fingerprint"], calls["statement.sighting"], slot[RESOURCE.name], learn,
            tables["unusual_query_resource"], mature
        )  # fmt: skip
        return {
            "backwatch.query.novel": novel, "backwatch.site.settled": ready, "backwatch.site.unseen": share,
            "backwatch.resource.settled": mature,
        }  # fmt: skip
