"""Elements that several pages share."""

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
    """Go to a different page after a press in a table; everything else uses links.

    The browser follows a link by itself and ends this page's refresh first. This function needs the server, and a
    refresh that is on its way may come between: ``index.py`` keeps the history whole.
    """
    st.switch_page(st.session_state["pages"][page], query_params=query)


def choose_app(width: int, on_change: Callable[[], None] | None = None) -> str:
    """Draw the choice of an app, and return it; empty for all."""
    options = ["", *reads.apps()]
    return st.selectbox(
        "App", options, key="app", format_func=_app_name, bind="query-params", on_change=on_change, width=width
    ) or ""  # fmt: skip


def _app_name(app: str) -> str:
    return safe.line(app) or "all"


@contextlib.contextmanager
def report_store_errors() -> Generator[None]:
    """Show an error of the store; the rest of the screen stays, and the next refresh retries."""
    try:
        yield
    except (StoreUnavailable, StoreFull) as error:
        st.error("The store does not reply. What is shown may be old; this page retries by itself.")
        safe.text(error.strerror or error)


def live(show: Callable[[], None]) -> Callable[[], None]:
    """Make a page that is drawn again every few seconds.

    Always the whole page, never a part of it. If a refresh is on its way when the page changes, Streamlit's front end
    empties the screen, and the next refresh draws it again. A part of a page would have no parent element then, and
    the front end would stop for good ("Bad delta path index").
    """

    @functools.wraps(show)
    def drawn() -> None:
        with report_store_errors():
            banner.show()
            show()

    return st.fragment(drawn, run_every=reads.REFRESH_S)


def get_chosen_id(key: str) -> str:
    """Return the id on the button that was pressed in the table of this key; empty if none was.

    Rows move under the pointer while a table is live, so a row's number is useless. The label travels with the click:
    it is the one on the reader's screen, even if the server has drawn different rows since.
    """
    label = _get_pressed(key)
    return label if safe.is_id(label) else ""


def chosen_rule(key: str) -> str:
    """Return the name on the pressed button, in a table with names of rules."""
    label = _get_pressed(key)
    return label if safe.is_rule(label) else ""


def _get_pressed(key: str) -> str:
    pressed: Any = st.session_state.get(f"{key}.pressed")
    return "".join(str(pressed["label"]).split()) if pressed else ""


def id_label(full_id: str) -> str:
    """Return a label with a whole id whose beginning fits a narrow column."""
    return full_id[:SHORT] + _GAP + full_id[SHORT:]


def id_column(key: str) -> Any:
    """Return a column of id buttons; :func:`chosen` reads the pressed one."""
    return button_column(key, 96)


def button_column(key: str, width: int) -> Any:
    """Return a column of buttons that look like links, with a width in pixels."""
    return st.column_config.ButtonColumn(
        width=width, type="tertiary", alignment="left", pinned=True, key=f"{key}.pressed"
    )


def alert_table(rows: Sequence[AlertRow], key: str, *, height: int | str = "auto", states: bool = True) -> None:
    """Draw alerts as a table; pressing an alert's id opens it."""
    alert_id = get_chosen_id(key)
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
    """Return two columns of these weights, stacked in a narrow window (see ``index.py``)."""
    with st.container(key="sides"):
        return st.columns([left, right], gap="medium")


def show_first_step() -> None:
    """Draw the first step for a store without data."""
    st.caption("No app has been watched yet. Run one:")
    st.code("backwatch run -- python app.py", language=None)
