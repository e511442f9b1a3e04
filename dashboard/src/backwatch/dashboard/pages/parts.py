"""What several pages show alike."""

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

import streamlit as st

from backwatch.dashboard import reads, safe, words
from backwatch.dashboard.pages import banner
from backwatch.store.connect import StoreFull, StoreUnavailable
from backwatch.store.views import AlertRow

SHORT: Final = 8
_GAP: Final = "\N{NO-BREAK SPACE}" * 24


def go(page: str, **query: str | list[str]) -> None:
    """To another page, from a press in a table; everything else that leads to another page is a link.

    A link the browser follows by itself, and ends this page's refresh before it leaves. This one goes by way of the
    server, and a refresh that is on its way meanwhile may come between: ``index.py`` keeps the history whole.
    """
    st.switch_page(st.session_state["pages"][page], query_params=query)


@contextlib.contextmanager
def store_may_be_away() -> Generator[None]:
    """Says so instead of failing; what was on the screen stays as it was, and the next refresh tries again."""
    try:
        yield
    except (StoreUnavailable, StoreFull) as error:
        st.error("The store does not answer. What is shown may be old; this page tries again by itself.")
        safe.text(error.strerror or error)


def live(show: Callable[[], None]) -> Callable[[], None]:
    """Makes a page that is drawn anew every few seconds.

    The whole page, never a part below something else. A refresh that was on its way when the page changed makes
    Streamlit's front end empty the screen; the next refresh draws it anew. Were that only a part of the page, there
    would be nothing to hang it on, and the front end would stop for good ("Bad delta path index").
    """

    @functools.wraps(show)
    def drawn() -> None:
        with store_may_be_away():
            banner.show()
            show()

    return st.fragment(drawn, run_every=reads.REFRESH_S)


def chosen(key: str) -> str:
    """The id on the button that was pressed in the table of this key; empty where none was.

    Rows move under the pointer while a table is live, so a row's number says nothing. The label travels with the click:
    it is what was on the reader's screen, whatever the server has drawn since.
    """
    label = _pressed(key)
    return label if safe.is_id(label) else ""


def chosen_rule(key: str) -> str:
    """As :func:`chosen`, of a table whose buttons are rules' names."""
    label = _pressed(key)
    return label if safe.is_rule(label) else ""


def _pressed(key: str) -> str:
    pressed: Any = st.session_state.get(f"{key}.pressed")
    return "".join(str(pressed["label"]).split()) if pressed else ""


def id_label(full_id: str) -> str:
    """A whole id of which a narrow column shows the beginning."""
    return full_id[:SHORT] + _GAP + full_id[SHORT:]


def id_column(key: str) -> Any:
    """A column of ids to press; read what was pressed with :func:`chosen`."""
    return button_column(key, 96)


def button_column(key: str, width: int) -> Any:
    """A column of buttons, so many pixels wide, that look like links."""
    return st.column_config.ButtonColumn(
        width=width, type="tertiary", alignment="left", pinned=True, key=f"{key}.pressed"
    )


def alert_table(rows: Sequence[AlertRow], key: str, *, height: int | str = "auto", states: bool = True) -> None:
    """Alerts as a table; pressing an alert's id opens it."""
    alert_id = chosen(key)
    if alert_id:
        go("alert", id=alert_id)
    now_ns = time.time_ns()
    safe.table(
        [
            {
                "alert": id_label(row.id), "level": f"● {row.level}", "rule": row.rule, "resource": row.resource,
                "about": "(the resource)" if row.key == row.resource else row.key, "times": row.count,
                "last seen": words.ago(row.last_ns, now_ns),
                **({"state": words.STATE_MARKS[row.state]} if states else {}), "app": row.app,
            }
            for row in rows
        ],
        coloured="level", key=key, height=height,
        column_config={
            "alert": id_column(key),
            "level": st.column_config.TextColumn(width=110), "rule": st.column_config.TextColumn(width=150),
            "resource": st.column_config.TextColumn(width=265), "about": st.column_config.TextColumn(width=265),
            "times": st.column_config.NumberColumn(width=70, format="localized"),
            "last seen": st.column_config.TextColumn(width=100), "state": st.column_config.TextColumn(width=125),
            "app": st.column_config.TextColumn(width=110),
        },
    )  # fmt: skip


def sides(left: int, right: int) -> Sequence[Any]:
    """Two columns of these weights; one below the other where the window is narrow (see ``index.py``)."""
    with st.container(key="sides"):
        return st.columns([left, right], gap="medium")


def nothing_yet() -> None:
    """What to do where there is nothing to show yet."""
    st.caption("No app has been watched yet. Run one under watch:")
    st.code("backwatch run -- python app.py", language=None)
