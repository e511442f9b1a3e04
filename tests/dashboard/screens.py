"""The real dashboard over a separate store, and a page in a real browser."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import requests
import sqlalchemy as sa
from playwright.sync_api import Page, WebSocketRoute

from backwatch.store.connect import open_store
from tests.services.commits import Owner
from tests.services.process import free_port, run_process

BACKWATCH = str(Path(sys.executable).with_name("backwatch"))
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 40_000


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment, with only these Backwatch settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BACKWATCH_")} | settings


@dataclass
class Dashboard:
    """Run the command until it serves."""

    url: str
    store: sa.Engine
    owner: Owner

    @property
    def port(self) -> int:
        """The address on which it listens."""
        return int(self.url.rpartition(":")[2])


def answers(url: str) -> bool:
    """Return whether it is ready."""
    with contextlib.suppress(requests.ConnectionError, requests.Timeout):
        return requests.get(f"{url}/readyz", timeout=5).status_code == 200
    return False


@contextlib.contextmanager
def serve(**settings: str) -> Generator[Dashboard]:
    """Run a dashboard over an empty store."""
    folder, port = Path(tempfile.mkdtemp(prefix="backwatch-dashboard-")), free_port()
    store_url, url = f"sqlite:///{folder / 'store.db'}", f"http://127.0.0.1:{port}"
    store = open_store(store_url)
    variables = {"BACKWATCH_STORE_URL": store_url, "BACKWATCH_DASHBOARD_PORT": str(port), **settings}
    with run_process(
        [BACKWATCH, "dashboard"],
        folder=folder,
        ready=lambda: answers(url),
        environment=variables,
        stop="TERM",
        grace_s=5,
    ):
        yield Dashboard(url, store, Owner(store))
        store.dispose()


@dataclass
class Window:
    """A page, and its console errors."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list[str])

    def go(self, path: str, words: str) -> None:
        """Open a path, and wait for these words."""
        self.page.goto(self.url + path)
        self.see(words)

    def see(self, words: str) -> None:
        """Wait for these words; a table's cells are also below its canvas, for screen readers."""
        self.page.wait_for_function(
            "words => document.body.textContent.includes(words)", arg=words, timeout=PATIENCE_MS
        )

    def unsee(self, words: str) -> None:
        """Wait until these words are gone."""
        self.page.wait_for_function(
            "words => !document.body.textContent.includes(words)", arg=words, timeout=PATIENCE_MS
        )

    def until(self, expression: str) -> None:
        """Wait until JavaScript finds it true."""
        self.page.wait_for_function(expression, timeout=PATIENCE_MS)

    def cell(self, row: int, column: int, table: int = 0) -> str:
        """Return the text of a table."""
        grid = self.page.locator("[data-testid=stDataFrame]").nth(table)
        return (grid.locator(f"#glide-cell-{column}-{row}").text_content(timeout=PATIENCE_MS) or "").strip()

    def press(self, name: str) -> None:
        """Click a button once it is alone: for a moment, a redrawn one stands beside the old one."""
        self.until(
            "[...document.querySelectorAll('[data-testid=stMain] button')]"
            f".filter(one => one.innerText.trim() === {name!r}).length === 1"
        )
        self.page.get_by_role("button", name=name, exact=True).click()

    def choose(self, label: str, option: str) -> None:
        """Choose by the keyboard: under a moving mouse, a long list scrolls to the chosen entry."""
        box = self.page.get_by_label(label)
        box.fill(option)
        self.page.wait_for_function(
            "option => [...document.querySelectorAll('[role=option]')].map(one => one.textContent).join() === option",
            arg=option, timeout=PATIENCE_MS,
        )  # fmt: skip
        box.press("Enter")

    def press_id(self, row: int, table: int = 0) -> None:
        """Click the id in a row of a table: the grid is a canvas of rows of 35 px."""
        self.page.locator("[data-testid=stDataFrame]").nth(table).click(position={"x": 40, "y": 35 * (row + 1) + 17})


class Held:
    """A proxy between browser and server that can hold back the server's messages."""

    def __init__(self) -> None:
        self.holding = False
        self.kept: list[str | bytes] = []
        self.sent: list[str | bytes] = []
        self._browser: WebSocketRoute | None = None
        self._server: WebSocketRoute | None = None

    def __call__(self, route: WebSocketRoute) -> None:
        self._browser, self._server = route, route.connect_to_server()
        route.on_message(self.send)
        self._server.on_message(self._pass)

    def send(self, message: str | bytes) -> None:
        """Forward to the server, as the browser does."""
        assert self._server is not None
        self.sent.append(message)
        self._server.send(message)

    def _pass(self, message: str | bytes) -> None:
        assert self._browser is not None
        if self.holding:
            self.kept.append(message)
        else:
            self._browser.send(message)

    def release(self) -> None:
        """Release all held messages, in order."""
        self.holding = False
        kept, self.kept = self.kept, []
        for message in kept:
            self._pass(message)
