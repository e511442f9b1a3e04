"""Attacks that try to be learnt: repeated for weeks, hidden in releases, or sent before anything is known."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_calls
from backwatch.collector.runtime.record import CLIENT, Call, CallSite, Session
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Firings
from backwatch.detector.engine.log_entries import StreamRecords
from backwatch.detector.engine.step import Engine, EngineConfig

START_NS = 1_790_000_000_000_000_000
SECOND_NS = 10**9
DAY_S = 86_400
SESSION = Session(
    system="postgresql", address="db.internal", port=5432, namespace="shop", requested="verify-full",
    requested_explicit=True, encrypted=True, tls_version="1.3", cipher="TLS_AES_256_GCM_SHA384", verified="full",
    certificate_sha256="ab" * 32, not_before="2026-01-01T00:00:00Z", not_after="2027-12-01T00:00:00Z",
    issuer="CN=ca,O=Shop", subject="CN=db.internal", peer_address="10.1.2.3", peer_port=5432, account="shop",
    server_version="17.2",
)  # fmt: skip
PRODUCT = "SELECT id, name, price FROM products WHERE id = ?"
ORDERS = "SELECT id, total FROM orders WHERE user_id = ? ORDER BY id DESC LIMIT ?"
PRODUCT_SITE = CallSite("show_product", "shop/catalogue.py", 20)
ORDERS_SITE = CallSite("list_orders", "shop/orders.py", 40)
TABLES = ("users", "sessions", "cards", "employees", "invoices", "api_keys")


class Sent(NamedTuple):
    """A statement that the app sends at a time."""

    at_s: float
    text: str
    site: CallSite = PRODUCT_SITE
    rows: int = 1
    release: str = "1"
    signs: str = ""


def dump(number: int) -> str:
    """Return a dump by a clean ``UNION SELECT``, each with another table or column."""
    table = TABLES[number % len(TABLES)]
    return f"{PRODUCT} UNION SELECT id, secret_{number}, created_at FROM {table}"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(EngineConfig())


def reported(engine: Engine, sent: Sequence[Sent]) -> dict[str, list[float]]:
    """Return when statements were reported as high or critical, by their text."""
    shard = engine.new_shard()
    found: dict[str, list[float]] = {}
    ordered = sorted(sent)
    for at in range(0, len(ordered), 200):
        part = ordered[at : at + 200]
        values = [_encoded(each, at + number) for number, each in enumerate(part)]
        entry = StreamRecords(
            values=values, appended_ns=np.array([START_NS + int(each.at_s + 2) * SECOND_NS for each in part]),
            backfill=np.zeros(len(part), np.bool_), offsets=np.arange(at, at + len(part), dtype=np.int64),
        )  # fmt: skip
        for event in engine.step(shard, entry).events:
            if isinstance(event, Firings) and event.rule.level in ("high", "critical"):
                for finding in event.iter_findings():
                    text = str(finding.evidence.get("db.query.text", ""))
                    found.setdefault(text, []).append((finding.time_ns - START_NS) / SECOND_NS)
    return found


def _encoded(sent: Sent, number: int) -> bytes:
    end_ns = START_NS + int(sent.at_s * SECOND_NS)
    app = App("shop", "", "", (("service.name", "shop"), ("service.version", sent.release)))
    call = Call(
        SESSION, "SELECT", sent.text, True, sent.signs, CLIENT, sent.site, "/p", end_ns - 2_000_000, end_ns, number + 1,
        number + 1, 0, 90, 100 + 80 * sent.rows, False, sent.rows, -1, "", (),
    )  # fmt: skip
    return encode_calls(app, [call])


def ordinary(until_s: float, every_s: float, release_s: float = 0) -> Iterator[Sent]:
    """Yield the app's two statements in turn; a release every ``release_s``."""
    for number in range(int(until_s / every_s)):
        at_s = number * every_s
        release = str(1 + int(at_s // release_s)) if release_s else "1"
        orders = number % 3 == 2
        yield Sent(at_s, ORDERS if orders else PRODUCT, ORDERS_SITE if orders else PRODUCT_SITE, 5, release)


def is_reported_in_time(found: dict[str, list[float]], sent: Sequence[Sent], text: str) -> bool:
    """Return whether a statement was reported at its first or second sighting."""
    times = sorted(each.at_s for each in sent if each.text == text)
    return bool(found.get(text)) and min(found[text]) <= times[min(1, len(times) - 1)] + 1


def test_dump_from_call_101_on_is_reported_and_never_learnt(engine: Engine) -> None:
    sent = list(ordinary(28 * DAY_S, 300))
    first_s = [each for each in sent if each.text == PRODUCT][100].at_s
    hours = range(28 * 24 - int(first_s // 3_600) - 1)
    sent += [Sent(first_s + 1 + hour * 3_600, dump(0), rows=400) for hour in hours]
    found = reported(engine, sent)
    assert is_reported_in_time(found, sent, dump(0))
    assert max(found[dump(0)]) > 27 * DAY_S
    assert len(found[dump(0)]) >= 0.99 * len(hours)


@pytest.mark.parametrize("release_days", [1, 7])
def test_sixty_dumps_under_frequent_releases_are_all_reported(engine: Engine, release_days: int) -> None:
    sent = list(ordinary(64 * DAY_S, 600, release_days * DAY_S))
    for day in range(60):
        at_s = (day + 3) * DAY_S + 60  # a minute into the release
        sent += [Sent(at_s + i * 30, dump(day), rows=200, release=str(1 + (day + 3) // release_days)) for i in range(3)]
    found = reported(engine, sent)
    missed = [day for day in range(60) if not is_reported_in_time(found, sent, dump(day))]
    assert missed == []


@pytest.mark.parametrize("position", [0, 4, 25])
def test_attacker_in_the_first_minute_is_reported(engine: Engine, position: int) -> None:
    sent = list(ordinary(3_600, 2))
    sent += [Sent(position * 2 + 1 + i * 20, dump(1), rows=300) for i in range(40)]
    assert is_reported_in_time(reported(engine, sent), sent, dump(1))


def test_attacker_before_the_first_honest_call_is_reported(engine: Engine) -> None:
    sent = list(ordinary(3_600, 2))
    sent += [Sent(-3, dump(1), rows=300), *(Sent(31 + i * 20, dump(1), rows=300) for i in range(40))]
    assert is_reported_in_time(reported(engine, sent), sent, dump(1))


def test_call_site_that_always_joins_queries_learns_them(engine: Engine) -> None:
    sent = list(ordinary(3_600, 2))
    kinds = [f"SELECT id, name FROM books WHERE id = ? UNION SELECT id, name FROM {name}" for name in ("films", "maps")]
    sent += [Sent(i + 0.5, kinds[i % 2], CallSite("search", "shop/search.py", 9), 5) for i in range(3_000)]
    assert reported(engine, sent) == {}


def test_release_every_day_excuses_no_table_the_app_never_named(engine: Engine) -> None:
    sent = list(ordinary(30 * DAY_S, 600, DAY_S))
    text = "SELECT id, name, price FROM products WHERE id = ? AND EXISTS (SELECT 1 FROM admin_tokens WHERE kind = ?)"
    sent += [Sent(29 * DAY_S + 120 + i * 60, text, release="30") for i in range(3)]
    assert is_reported_in_time(reported(engine, sent), sent, text)


def test_outlier_of_the_learning_period_is_judged_again(engine: Engine) -> None:
    sent = list(ordinary(20 * DAY_S, 600))
    text = "SELECT id, name, price FROM products WHERE id = ? OR id IS NOT NULL"
    sent += [Sent(600 * 11 + 5, text, rows=400), *(Sent(15 * DAY_S + 5 + i * 60, text, rows=400) for i in range(2))]
    found = reported(engine, sent)
    assert found.get(text)
