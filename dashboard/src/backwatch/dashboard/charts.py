"""Charts, with times in UTC on a 24 h clock, independent of the browser's locale."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import altair as alt
import pandas as pd
import streamlit as st

from backwatch.dashboard import palette, words
from backwatch.store.commit import Rollup

MINUTE_NS: Final = 60 * 10**9
HOUR_NS: Final = 60 * MINUTE_NS
CLOCK: Final = "utcFormat(datum.value, utchours(datum.value) == 0 && utcminutes(datum.value) == 0 ? '%d %b' : '%H:%M')"
HEIGHT: Final = 250


def openings(found: Sequence[tuple[int, str, int]], last: int, hours: int) -> None:
    """Draw opened alerts by hour and level, (start, level, count), up to the hour that begins at ``last``."""
    if not found:
        st.caption("No alert was opened in the last two days.")
        return
    order = {level: place for place, level in enumerate(reversed(words.LEVELS))}
    frame = pd.DataFrame(
        [
            (_time(start), words.format_moment(start)[:16], words.level(level), order.get(level, 0), count)
            for start, level, count in found
        ],
        columns=["hour", "from (UTC)", "level", "order", "alerts"],
    )
    edges = [_time(edge).isoformat() for edge in (last - (hours - 1) * HOUR_NS, last + HOUR_NS)]
    ticks = [
        _tick(hour)
        for hour in range(last - (hours - 1) * HOUR_NS, last + 2 * HOUR_NS, HOUR_NS)
        if not hour % (6 * HOUR_NS)
    ]
    colours = palette.levels()
    chart = (
        alt.Chart(frame)
        .mark_bar(binSpacing=2, cornerRadius=1)
        .encode(
            x=alt.X(
                "utcyearmonthdatehours(hour):T",
                title=None,
                scale=alt.Scale(domain=edges),
                axis=alt.Axis(labelExpr=CLOCK, values=ticks),
            ),
            y=alt.Y("alerts:Q", title=None, stack=True, axis=alt.Axis(tickMinStep=1, format="d")),
            order="order:Q",
            color=alt.Color(
                "level:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None
            ),
            tooltip=["from (UTC):N", "level:N", "alerts:Q"],
        )
        .properties(height=HEIGHT)
    )
    st.altair_chart(chart, width="stretch")


def volume(windows: Sequence[Rollup]) -> None:
    """Draw bytes received and sent by minute."""
    frame = pd.DataFrame(
        [
            (_time(end_ns), words.format_moment(end_ns)[:16], way, count)
            for end_ns, received, sent in minutes(windows)
            for way, count in (("received", received), ("sent", sent))
        ],
        columns=["time", "minute (UTC)", "way", "bytes"],
    )
    chart = (
        alt.Chart(frame)
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("time:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(labelExpr=CLOCK, tickCount=8)),
            y=alt.Y("bytes:Q", title=None, axis=alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=6)),
            color=alt.Color(
                "way:N",
                scale=alt.Scale(domain=["received", "sent"], range=palette.directions()),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["minute (UTC):N", "way:N", alt.Tooltip("bytes:Q", format=",")],
        )
        .properties(height=HEIGHT + 50)
    )
    st.altair_chart(chart, width="stretch")


def minutes(windows: Sequence[Rollup]) -> list[tuple[int, int, int]]:
    """Return (end, bytes received, bytes sent) of each minute.

    Minutes without calls are not stored: a gap begins and ends with zeros, so that no line crosses it.
    """
    found: list[tuple[int, int, int]] = []
    for window in windows:
        if found and window.end_ns - found[-1][0] > MINUTE_NS:
            found.append((found[-1][0] + MINUTE_NS, 0, 0))
            if window.end_ns - found[-1][0] > MINUTE_NS:
                found.append((window.end_ns - MINUTE_NS, 0, 0))
        found.append((window.end_ns, window.bytes_received, window.bytes_sent))
    return found


def _tick(time_ns: int) -> alt.DateTime:
    at = _time(time_ns)
    return alt.DateTime(year=at.year, month=at.month, date=at.day, hours=at.hour, utc=True)


def _time(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // 10**9, UTC)
