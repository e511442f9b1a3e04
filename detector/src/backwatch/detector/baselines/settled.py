"""Estimate whether enough was seen for a new kind to be a surprise.

After *n* observations the share of those still unseen is about the number of kinds seen exactly once ÷ *n* (I. J.
Good, "The population frequencies of species and the estimation of population parameters", Biometrika 40, 1953, after
A. M. Turing). A call site that keeps showing new kinds never settles, so that its next new one is no surprise.
"""

from typing import Final

from backwatch.detector.kernels.compiled import kernel

MIN_CALLS: Final = 30
MAX_UNSEEN: Final = 0.02
_DAY_NS: Final = 86_400 * 1_000_000_000
LEARN_AFTER_NS: Final = 7 * _DAY_NS
"""Quiet time after which a new kind at a settled call site is known: an attack must last a week, its alert open."""
MAX_DAYS_SKIPPED: Final = 2
"""Days in a row that a recurring kind may skip: a weekend. Two sightings a week apart are not a week; four may be."""


@kernel
def day_of(time_ns: int) -> int:
    """Return the day (UTC), in two bytes.

    >>> day_of(1_790_000_000_000_000_000)
    20717
    """
    return (time_ns // _DAY_NS) & 0xFFFF


@kernel
def has_lapsed(last_day: int, time_ns: int) -> bool:
    """Return whether a kind last seen on ``last_day`` has lapsed, so that its week restarts.

    >>> [has_lapsed(20_717, 86_400 * 1_000_000_000 * day) for day in (20_716, 20_717, 20_720, 20_721)]
    [False, False, False, True]
    """
    return day_of(time_ns) - last_day > MAX_DAYS_SKIPPED + 1


@kernel
def unseen_share(once: int, calls: int) -> float:
    """Estimate the share of calls still unseen, in [0, 1].

    >>> unseen_share(3, 60), unseen_share(0, 0)
    (0.05, 1.0)
    """
    return min(1.0, once / calls) if calls > 0 else 1.0


@kernel
def has_surely_settled(once: int, calls: int) -> bool:
    """Return whether the next new kind is a surprise, at the upper bound of the unseen share.

    A kind not seen in *n* calls may still be 3 ÷ *n* of them, with 95 % confidence (J. A. Hanley and A. Lippman-Hand,
    "If nothing goes wrong, is everything all right?", JAMA 249, 1983): a branch taken once in forty calls is missing
    from the first thirty more often than not.

    >>> has_surely_settled(0, 149), has_surely_settled(0, 150), has_surely_settled(1, 150), has_surely_settled(1, 200)
    (False, True, False, True)
    """
    return calls >= MIN_CALLS and once + 3 <= MAX_UNSEEN * calls


@kernel
def has_settled(once: int, calls: int) -> bool:
    """Return whether the next new kind is a surprise.

    >>> has_settled(0, 29), has_settled(0, 30), has_settled(1, 30), has_settled(1, 50)
    (False, True, False, True)
    """
    return calls >= MIN_CALLS and unseen_share(once, calls) <= MAX_UNSEEN
