"""Whether enough has been seen for something new to be a surprise.

After *n* observations the share of those still unseen is about the number of kinds seen exactly once ÷ *n* (I. J.
Good, "The population frequencies of species and the estimation of population parameters", Biometrika 40, 1953, after
A. M. Turing). A place that goes on inventing kinds never settles, so its next new one surprises nobody.
"""

from typing import Final

from backwatch.detector.kernels.compiled import kernel

MIN_CALLS: Final = 30
MOST_UNSEEN: Final = 0.02
_DAY_NS: Final = 86_400 * 1_000_000_000
LEARN_AFTER_NS: Final = 7 * _DAY_NS
"""How long a new thing at a settled place must go on quietly before it is known: an attack must last a week, with its
alert open."""
MOST_DAYS_LEFT_OUT: Final = 2
"""In a row, by a thing that goes on: a weekend. Two touches a week apart are no week of it; four are the fewest."""


@kernel
def day_of(time_ns: int) -> int:
    """The day (UTC) as two bytes hold it.

    >>> day_of(1_790_000_000_000_000_000)
    20717
    """
    return (time_ns // _DAY_NS) & 0xFFFF


@kernel
def broke_off(last_day: int, time_ns: int) -> bool:
    """Whether what was last seen on ``last_day`` did not go on until now, so that its week begins anew.

    >>> [broke_off(20_717, 86_400 * 1_000_000_000 * day) for day in (20_716, 20_717, 20_720, 20_721)]
    [False, False, False, True]
    """
    return day_of(time_ns) - last_day > MOST_DAYS_LEFT_OUT + 1


@kernel
def unseen(once: int, calls: int) -> float:
    """Estimated share of calls still unseen, in [0, 1].

    >>> unseen(3, 60), unseen(0, 0)
    (0.05, 1.0)
    """
    return min(1.0, once / calls) if calls > 0 else 1.0


@kernel
def surely_settled(once: int, calls: int) -> bool:
    """Whether the next new kind is a surprise even by what so many calls may have left unseen.

    What was not seen in *n* calls may still be 3 ÷ *n* of them, with 95 % confidence (J. A. Hanley and A. Lippman-Hand,
    "If nothing goes wrong, is everything all right?", JAMA 249, 1983): a branch taken once in forty calls is missing
    from the first thirty more often than not.

    >>> surely_settled(0, 149), surely_settled(0, 150), surely_settled(1, 150), surely_settled(1, 200)
    (False, True, False, True)
    """
    return calls >= MIN_CALLS and once + 3 <= MOST_UNSEEN * calls


@kernel
def settled(once: int, calls: int) -> bool:
    """Whether the next new kind is a surprise.

    >>> settled(0, 29), settled(0, 30), settled(1, 30), settled(1, 50)
    (False, True, False, True)
    """
    return calls >= MIN_CALLS and unseen(once, calls) <= MOST_UNSEEN
