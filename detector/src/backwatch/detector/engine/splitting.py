"""Splitting a shard by app, when its partition's apps spread over more partitions.

The partition count only ever grows to a multiple of itself: then each app stays in its partition or moves to one that
is new, and a new shard has exactly one parent. The new shard starts from a copy of its parent's state, without the
other apps. The parent keeps what it has learnt of the apps that left: collectors learn of new partitions minutes later,
and judge-worthy calls that still arrive here in between are then held against a baseline.
"""

from collections.abc import Callable, Collection

import numpy as np

from backwatch.detector.columns.key_texts import is_verbatim
from backwatch.detector.engine.lateness import LATENESS
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.windows import WINDOWS
from backwatch.detector.state.keys import RESOURCE


def keep_apps(shard: Shard, belongs: Callable[[str], bool], alerts: Collection[bytes]) -> None:
    """Reduce a copy of the parent to the new shard: only these apps and their open findings.

    Windows that are open, and losses and firings that wait for the next boundary, stay with the parent, which closes
    them: both shards would count them otherwise.

    What is known of the other apps as a whole, and of places in their code over all resources, idles in the new shard
    until it makes room: it is bounded, and no call of theirs comes.

    What is learnt of an app whose name keys escape or shorten goes into every new shard: producers choose the partition
    by the name as it was given, which the keys no longer have.

    Args:
        shard: A copy of the parent; changed in place.
        belongs: Whether an app belongs to the new shard.
        alerts: Ids, 32 bytes each, of the alerts whose open findings the new shard takes over.
    """
    space = shard.spaces[RESOURCE.name]
    used = np.flatnonzero(space.keys).astype(np.int32)
    apps = {slot: shard.resources[slot][0] for slot in used.tolist()}
    others = np.array([slot for slot, app in apps.items() if is_verbatim(app) and not belongs(app)], np.int32)
    shard.reclaim(RESOURCE.name, others)
    for table in (WINDOWS, LATENESS):
        rows = space.tables[table.name]
        rows[:] = np.zeros(1, rows.dtype)
    shard.scalars.unreported.clear()
    shard.scalars.uncounted = 0
    shard.open.retain(lambda alert: alert in alerts)
    shard.processes.adopt(belongs)
    shard.processes.retain(lambda alert: bytes.fromhex(alert) in alerts)


def release_apps(shard: Shard, stays: Callable[[str], bool], alerts: Collection[bytes]) -> None:
    """Release the apps that moved to new shards, so that only one shard clears their alerts and misses their processes.

    Args:
        shard: The parent; changed in place.
        stays: Whether an app belongs to it as before.
        alerts: Ids, 32 bytes each, of the alerts whose open findings the new shards take over.
    """
    shard.open.retain(lambda alert: alert not in alerts)
    shard.processes.release(stays)
    shard.processes.retain(lambda alert: bytes.fromhex(alert) not in alerts)
