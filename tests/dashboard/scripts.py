"""The dashboard's script run without a browser, over a store of a test's own."""

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
    """The store that the script reads; nothing that another one said is kept."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("BACKWATCH_STORE_URL", url)
    engine = open_store(url)
    forget()
    yield engine
    forget()
    engine.dispose()


def forget() -> None:
    """Makes the next read ask the store."""
    reads._store.cache_clear()  # pyright: ignore[reportAttributeAccessIssue]
    reads._query.clear()


def opened(page: str, **query: str) -> AppTest:
    """A page, opened by its address."""
    script = AppTest.from_file(SCRIPT, default_timeout=120)
    script._page_hash = calc_hash(page)
    for name, value in query.items():
        script.query_params[name] = value
    return script.run()


def press(script: AppTest, label: str) -> None:
    """Presses a button that can be pressed."""
    [button] = [one for one in script.button if one.label == label]
    assert not button.disabled
    button.click().run()


def rows(script: AppTest, *heads: str) -> list[dict[str, Any]]:
    """The rows of the table that has these heads, in this order, and perhaps more."""
    [table] = [one.value for one in script.dataframe if tuple(one.value.columns)[: len(heads)] == heads]
    return table.to_dict("records")


def texts(script: AppTest) -> str:
    """All that is shown: plain texts, code, and what our own words say."""
    kinds = (script.text, script.code, script.caption, script.title, script.warning, script.error)
    return "\n".join(str(one.value) for kind in kinds for one in kind)
