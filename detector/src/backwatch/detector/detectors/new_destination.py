"""Destinations that are new at a place of the app's code: internal targets, new hosts, and data that leaves to them.

A place that talks to ever new hosts (webhooks, per-tenant names) never settles: novelty counts for nothing there, but
an internal target still does, and so does an upload far beyond what the app sends to any other host.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.destinations.host import CLUSTER_LOCAL, INTERNAL, LOOPBACK, METADATA, PUBLIC
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.approval import DESTINATION_APPROVAL, find_approved
from backwatch.detector.baselines.known_values import (
    KNOWN_VALUES,
    NEW,
    find_value,
    is_settled,
    known_values_dtype,
    observe,
)
from backwatch.detector.baselines.releases import RELEASES, is_young, number_of
from backwatch.detector.baselines.settled import LEARN_AFTER_NS, has_surely_settled
from backwatch.detector.derived.numbers import PROVEN
from backwatch.detector.derived.text_columns import (
    DESTINATION_CLASS,
    DESTINATION_KEY,
    HAS_MAIL_DOMAINS,
    MAIL_DOMAINS,
    NAMED_CLASS,
)
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import APP, CALLER, RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
MAX_DESTINATIONS: Final = 16
"""Destinations of one place; more are a fan-out, which never settles."""
MIN_PUBLIC_HOSTS: Final = 5
"""Public destinations after which a place without an internal one takes its hosts from outside."""
MAX_INSIDE_HOSTS: Final = 2
"""Internal destinations of one class of a place at which a further one is a surprise; more are how it works."""
MIN_APP_CALLS: Final = 150
MIN_MINUTE_BYTES: Final = 16 << 20
MIN_DAY_BYTES: Final = 64 << 20
"""Bytes sent to a new public host in a minute, and in a day, that are data leaving: if no other host gets so much."""
TIMES_USUAL: Final = 4
"""How many times the largest amount that any known host got."""
REBOUND: Final = 7
"""Kind of a public name whose peer is internal: one more than the classes of hosts, in their bits."""
KIND_BITS: Final = np.uint64(15)
PORTS: Final = np.uint64(0x9E3779B97F4A7C15)
MINUTE_NS: Final = 60 * 1_000_000_000
DAY_NS: Final = 86_400 * 1_000_000_000
_SENT: Final = np.dtype([
    ("first_ns", "<i8"), ("minute", "<u4"), ("day", "<u4"), ("minute_sent", "<u8"), ("day_sent", "<u8"), ("new", "u1"),
])  # fmt: skip
_USUAL: Final = np.dtype([("since_ns", "<i8"), ("calls", "<u4"), ("minute_sent", "<u8"), ("day_sent", "<u8")])
_ORIGIN: Final = np.dtype([("release", "<u2"), ("seen", "u1")])


@kernel
def _name_destinations(named: Array, found: Array, key: Array, port: Array, value: Array, public: Array) -> None:
    """Write the value of each call's destination, its kind in the last bits, and whether it counts as public."""
    for i in range(key.shape[0]):
        name, kind = np.int64(named[i]), np.int64(found[i])
        if kind < METADATA:
            if name > PUBLIC:
                kind = name  # the peer may be a proxy
            elif name == PUBLIC and kind > PUBLIC:
                kind = np.int64(REBOUND)
        public[i] = kind == PUBLIC or kind == REBOUND
        if key[i] != 0 and kind != METADATA:
            other = np.uint64(0) if port[i] == -1 or port[i] == 80 or port[i] == 443 else np.uint64(port[i])
            value[i] = (key[i] ^ other * PORTS) & ~KIND_BITS | np.uint64(kind)


@kernel
def _count_members(row: Any, kind: int, counts: Array) -> None:
    """Count the known destinations of a place: those with public names, all internal ones, those of this kind."""
    counts[:] = 0
    for m in range(row["member"].shape[0]):
        if row["member"][m] != 0 and row["known"][m] != 0:
            other = int(row["member"][m] & KIND_BITS)
            counts[0] += other == PUBLIC or other == REBOUND  # behind a proxy every peer is internal
            counts[1] += other != PUBLIC and other != REBOUND
            counts[2] += other == kind


@kernel
def _judge_places(
    value: Array, time_ns: Array, caller: Array, excused: Array, proven: Array, learn: Array, callers: Any, new: Array,
    inside: Array,
) -> None:  # fmt: skip
    counts = np.zeros(3, np.int64)
    for i in range(value.shape[0]):
        c = caller[i]
        if c == 0 or value[i] == 0:
            continue
        row, learns = callers[c], learn[i]
        at = find_value(row, value[i])
        if at < 0 or row["known"][at] == 0:
            kind = int(value[i] & KIND_BITS)
            settled = is_settled(row, time_ns[i], SETTLES_AFTER_NS)
            _count_members(row, kind, counts)
            public = kind == PUBLIC or (kind == REBOUND and counts[2] > 0)  # a proxy, or names of its own
            taken = counts[0] >= MIN_PUBLIC_HOSTS and counts[1] == 0
            if public:
                surely = settled and has_surely_settled(row["once"], row["calls"])
                new[i] = surely and not excused[i]
            elif kind == REBOUND:
                inside[i] = not proven[i] and (taken or (settled and counts[0] > 0))
            elif kind != METADATA:
                of_release = excused[i] and (kind == INTERNAL or kind == CLUSTER_LOCAL)
                # Another port of the machine itself is no surprise where one is known: a redirect may lead there.
                most = 0 if kind == LOOPBACK else MAX_INSIDE_HOSTS
                inside[i] = taken or (settled and counts[2] <= most and not of_release)
            learns = learns and (settled or inside[i] == 0)
        observe(callers, c, value[i], time_ns[i], SETTLES_AFTER_NS, learns, 0)


@kernel
def _judge_mail(domains: Array, time_ns: int, c: int, learn: bool, callers: Any) -> bool:
    """Return whether a message goes to a domain to which its place in the code never sent one."""
    row, new = callers[c], False
    surely = is_settled(row, time_ns, SETTLES_AFTER_NS) and has_surely_settled(row["once"], row["calls"])
    for at in range(domains.shape[0]):
        found = observe(callers, c, domains[at], time_ns, SETTLES_AFTER_NS, learn, 0)
        new = new or (surely and found == NEW)
    return new


@kernel
def _note_releases(
    release: Array, time_ns: Array, app: Array, caller: Array, learn: Array, releases: Any, origins: Any,
    excused: Array, came_with: Array,
) -> None:  # fmt: skip
    """Write whether a release is young, and whether the place came with it."""
    for i in range(release.shape[0]):
        a, c = app[i], caller[i]
        if a == 0 or c == 0:
            continue
        number = number_of(releases[a], release[i], time_ns[i], learn[i])
        if origins[c]["seen"] == 0 and learn[i]:
            origins[c]["seen"] = 1
            origins[c]["release"] = number
        excused[i] = number > 1 and is_young(releases[a], number, time_ns[i])
        came_with[i] = excused[i] or (number > 1 and origins[c]["seen"] != 0 and origins[c]["release"] == number)


@kernel
def _sum_sent(
    public: Array, sent: Array, time_ns: Array, app: Array, resource: Array, came_with: Array, late: Array,
    learn: Array, apps: Any, hosts: Any, out: tuple[Array, Array, Array],
) -> None:  # fmt: skip
    leaving, usual, new_host = out
    for i in range(sent.shape[0]):
        a, r = app[i], resource[i]
        if a == 0 or r == 0 or late[i]:
            continue
        mine, host, now = apps[a], hosts[r], time_ns[i]
        if mine["since_ns"] == 0:
            mine["since_ns"] = now
        if learn[i]:
            mine["calls"] = min(mine["calls"] + 1, 1_000_000_000)
        if host["first_ns"] == 0:
            host["first_ns"] = now
            settled = mine["calls"] >= MIN_APP_CALLS and now - mine["since_ns"] >= SETTLES_AFTER_NS
            host["new"] = settled and not came_with[i]
        new_host[i] = public[i] and host["new"] != 0 and now - host["first_ns"] < LEARN_AFTER_NS
        if not public[i] or sent[i] <= 0:
            continue
        minute, day = np.uint32(now // MINUTE_NS), np.uint32(now // DAY_NS)
        if host["minute"] != minute:
            host["minute"] = minute
            host["minute_sent"] = 0
        if host["day"] != day:
            host["day"] = day
            host["day_sent"] = 0
        host["minute_sent"] += np.uint64(sent[i])
        host["day_sent"] += np.uint64(sent[i])
        in_minute, in_day = np.int64(host["minute_sent"]), np.int64(host["day_sent"])
        if new_host[i]:
            at_most_minute = max(MIN_MINUTE_BYTES, TIMES_USUAL * np.int64(mine["minute_sent"]))
            at_most_day = max(MIN_DAY_BYTES, TIMES_USUAL * np.int64(mine["day_sent"]))
            if in_minute >= at_most_minute or in_day >= at_most_day:
                leaving[i] = in_day
                usual[i] = mine["day_sent"]
        elif learn[i]:
            mine["minute_sent"] = np.uint64(max(np.int64(mine["minute_sent"]), in_minute))
            mine["day_sent"] = np.uint64(max(np.int64(mine["day_sent"]), in_day))


class NewDestination(Detector):
    """Compares a call's destination with those to which its place in the code, and its app, talked before."""

    id = "new-destination"
    derives = (
        derived_fact(
            "backwatch.destination.new",
            "1 where the call goes to a public host or port, or a message to a mail domain, to which its place in the "
            "code never talked, where its destinations are known and no release is young.",
        ),
        derived_fact(
            "backwatch.destination.inside",
            "1 where the call goes to an internal, loopback, link-local or cluster-local host from a place in the code "
            "that never talked to such a host, or to few and known ones; also by the peer of a public name.",
        ),
        derived_fact(
            "backwatch.destination.sent",
            "Bytes sent today to a public host that is new to the app, where that is far more than any other public "
            "host gets; 0: it is not.",
        ),
        derived_fact(
            "backwatch.destination.sent.usual",
            "The most bytes that any known public host got from the app on a day; 0 where backwatch.destination.sent "
            "is 0.",
        ),
        derived_fact(
            "backwatch.destination.host.new",
            "1 where the call goes to a public host that is new to the app: for a week, if the app was known for an "
            "hour before and the place in the code did not come with a young release.",
        ),
    )
    tables = (
        Table("new_destination", CALLER, 1, known_values_dtype(MAX_DESTINATIONS)),
        Table("new_destination_mail", CALLER, 1, KNOWN_VALUES),
        Table("new_destination_origin", CALLER, 1, _ORIGIN),
        Table("new_destination_app", APP, 1, _USUAL),
        Table("new_destination_releases", APP, 1, RELEASES),
        Table("new_destination_host", RESOURCE, 1, _SENT),
    )

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        count = calls.count
        new, inside, excused, came_with, new_host = (np.zeros(count, np.int8) for _ in range(5))
        leaving, usual = np.zeros(count, np.int64), np.zeros(count, np.int64)
        app, caller = slot[APP.name], slot[CALLER.name]
        value, public = np.zeros(count, np.uint64), np.zeros(count, np.bool_)
        _name_destinations(
            calls[NAMED_CLASS], calls[DESTINATION_CLASS], calls[DESTINATION_KEY], calls[names.SERVER_PORT], value,
            public,
        )  # fmt: skip
        _note_releases(
            calls[names.SERVICE_RELEASE], calls["time_ns"], app, caller, learn, tables["new_destination_releases"],
            tables["new_destination_origin"], excused, came_with,
        )  # fmt: skip
        _judge_places(
            value, calls["time_ns"], caller, excused, calls[PROVEN] == 1, learn, tables["new_destination"], new, inside
        )
        for i in np.flatnonzero(calls[HAS_MAIL_DOMAINS]).tolist():
            if caller[i] and _judge_mail(
                calls[MAIL_DOMAINS][i], int(calls["time_ns"][i]), int(caller[i]), bool(learn[i]),
                tables["new_destination_mail"],
            ):  # fmt: skip
                new[i] = not excused[i]
        approved = find_approved(calls, DESTINATION_APPROVAL)
        new[approved] = inside[approved] = 0
        _sum_sent(
            public, calls[names.BYTES_SENT], calls["time_ns"], app, slot[RESOURCE.name], came_with, calls["late"],
            learn, tables["new_destination_app"], tables["new_destination_host"], (leaving, usual, new_host),
        )  # fmt: skip
        return {
            "backwatch.destination.new": new, "backwatch.destination.inside": inside,
            "backwatch.destination.sent": leaving, "backwatch.destination.sent.usual": usual,
            "backwatch.destination.host.new": new_host,
        }  # fmt: skip
