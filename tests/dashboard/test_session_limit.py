"""The bound of open pages, with the real server and real web sockets."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.dashboard.screens import Dashboard, serve
from tests.services.waiting import wait_until

MOST = 3


@pytest.fixture(scope="module")
def small() -> Iterator[Dashboard]:
    """Run a dashboard for so many pages."""
    with serve(BACKWATCH_DASHBOARD_SESSIONS=str(MOST)) as one:
        yield one


def open_socket(dashboard: Dashboard) -> ClientConnection:
    """Open a page's web socket."""
    url = dashboard.url.replace("http", "ws", 1) + "/_stcore/stream"
    return connect(url, origin=None, subprotocols=[Subprotocol("streamlit")], open_timeout=20, proxy=None)


def test_one_page_too_many_is_refused_until_another_is_closed(small: Dashboard) -> None:
    def status(path: str) -> int:
        return requests.get(small.url + path, timeout=20).status_code

    with ExitStack() as stack:
        pages = [stack.enter_context(open_socket(small)) for _ in range(MOST)]
        with pytest.raises(InvalidStatus) as refused:
            open_socket(small)
        assert refused.value.response.status_code == 503
        answer = requests.get(small.url + "/alerts", timeout=20)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert answer.text.startswith(f"{MOST} pages are open, the limit of BACKWATCH_DASHBOARD_SESSIONS")
        assert [status(path) for path in ("/", "/readyz", "/healthz", "/_stcore/health", "/nowhere")] == [
            503, 200, 200, 200, 404,
        ]  # fmt: skip
        pages[0].close()
        wait_until(lambda: status("/") == 200)
        stack.enter_context(open_socket(small))
    wait_until(lambda: status("/alerts") == 200)
