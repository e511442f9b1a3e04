"""The state that is shown: derived from what the engine and what people wrote, and written by neither."""

import sqlalchemy as sa

from backwatch.store import tables


def state_at(now_ns: int) -> "sa.Case[str]":
    """open, acknowledged, closed or muted, as SQL.

    A mute comes first, so that what is withheld can always be found. An acknowledgement or a closing holds for its own
    episode; an alert that the engine has cleared is closed in any case.
    """
    alert = tables.alert
    return sa.case(
        (alert.c.muted_until_ns > now_ns, "muted"),
        (~alert.c.raised | (alert.c.closed_episode >= alert.c.episode), "closed"),
        (alert.c.acknowledged_episode >= alert.c.episode, "acknowledged"),
        else_="open",
    )
