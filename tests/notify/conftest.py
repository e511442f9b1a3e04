"""A store on each engine, a clock that is set by hand, and a service over receivers."""

import base64
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from backwatch.collector.settings import NotifySettings
from backwatch.notify.outputs.standard_webhook import StandardWebhook
from backwatch.notify.service import NotifyService
from tests.services.http.receiver import Receiver
from tests.services.stores import store, store_url

__all__ = ["store", "store_url"]

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
START_NS = 1_700_000_000_000_000_000


class Clock:
    """Wall time, set by hand."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        """Lets time pass."""
        self.now_ns += int(seconds * 1_000_000_000)


def settings_of(url: str, one: Receiver | None) -> dict[str, str]:
    """The environment's settings for a store, and for an endpoint if there is one."""
    if one is None:
        return {"BACKWATCH_STORE_URL": url}
    return {
        "BACKWATCH_STORE_URL": url, "BACKWATCH_WEBHOOK_URL": one.url, "BACKWATCH_WEBHOOK_SECRET": SECRET,
        "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
    }  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def serving(store: sa.Engine, clock: Clock) -> Callable[..., NotifyService]:
    """``serving(receiver, …, timeout_s=1)`` gives a service that delivers to these receivers."""

    def make(
        *receivers: Receiver, clock_ns: Callable[[], int] = clock, timeout_s: float = 2.0, **settings: object
    ) -> NotifyService:
        outputs = [StandardWebhook(one.url, [SECRET], private_hosts=["127.0.0.1"]) for one in receivers]
        settings = {"events_per_hour": 0, **settings}  # no budget, unless a test is about it
        chosen = NotifySettings(timeout_s=timeout_s, **settings)  # type: ignore[arg-type]
        return NotifyService(store, chosen, outputs, clock_ns)

    return make
