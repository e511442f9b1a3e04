"""The dashboard's script, run without a browser over the test's own store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import backwatch.dashboard.pages
from backwatch.dashboard import reads
from backwatch.store.connect import open_store

SCRIPT = str(Path(backwatch.dashboard.pages.__file__).with_name("app.py"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """Set the store that the script reads; no cached result remains."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("BACKWATCH_STORE_URL", url)
    engine = open_store(url)
    forget()
    yield engine
    forget()
    engine.dispose()


def forget() -> None:
    """Make the next read query the store."""
    reads._store.cache_clear()  # pyright: ignore[reportAttributeAccessIssue]
    reads._query.clear()


def open_page(page: str, **query: str) -> AppTest:
    """Open a page by its address."""
    script = AppTest.from_file(SCRIPT, default_timeout=120)
    script._page_hash = calc_hash(page)
    for name, value in query.items():
        script.query_params[name] = value
    return script.run()


def press(script: AppTest, label: str) -> None:
    """Click an enabled button."""
    [button] = [one for one in script.button if one.label == label]
    assert not button.disabled
    button.click().run()


def rows(script: AppTest, *heads: str) -> list[dict[str, Any]]:
    """Return the rows of the table with these heads, in this order, and perhaps more."""
    [table] = [one.value for one in script.dataframe if tuple(one.value.columns)[: len(heads)] == heads]
    return table.to_dict("records")


def texts(script: AppTest) -> str:
    """Return all shown text: plain texts, code, and the dashboard's own words."""
    kinds = (script.text, script.code, script.caption, script.title, script.warning, script.error)
    return "\n".join(str(one.value) for kind in kinds for one in kind)
