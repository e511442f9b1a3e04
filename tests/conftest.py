"""What a test can ask for (real servers, a database or topic of its own, outside data), and what none may leave behind.

One server per kind and run (``tests/services``). Where one cannot be had its tests are skipped and the run's last line
says so; under ``CI=true`` that is a failure.
"""

import contextlib
import importlib
import os
import secrets
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from backwatch.collector import names
from backwatch.collector.runtime import guard
from tests.services.authority import Authority
from tests.services.brokers import topics
from tests.services.databases import fresh_database
from tests.services.http import otelcol as otelcollector
from tests.services.internet import smtp
from tests.services.internet.smtp import MailServer
from tests.services.process import binary
from tests.services.server import PREFIX, Fixture, MissingServerError, Server, from_environment

ROOT = Path(__file__).parents[1]
BUILT = ROOT / ".tools" / "drivers"
"""Drivers that come without a wheel, as ``tools/servers.sh`` built them."""
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
DATA = "BACKWATCH_TEST_DATA"
SKIPPED = pytest.StashKey[Counter[str]]()


# --- the run ---

# cassandra-driver brings eventlet into the process where that is installed, and with it httpcore2 no longer knows its
# own TLS sockets. Tests under eventlet have processes of their own.
sys.modules.setdefault("eventlet", None)  # pyright: ignore[reportArgumentType]  the import then fails


# How long an example takes is the machine's affair; under CI hypothesis thinks so too.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

if BUILT.is_dir():
    sys.path.append(str(BUILT))


def pytest_configure(config: pytest.Config) -> None:
    """The shell's own settings must not decide a test, nor may a test write into its user's state."""
    for name in list(os.environ):
        if name.startswith(("BACKWATCH_", "OTEL_")) and not name.startswith("BACKWATCH_TEST_"):
            del os.environ[name]
    state = ROOT / ".tools" / "state"  # kept from run to run for the sake of compiled kernels; all else in it goes
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["XDG_STATE_HOME"] = str(state)
    if not hasattr(config, "workerinput") and "PYTEST_XDIST_WORKER" not in os.environ:  # nor a run within a run
        for left in state.glob("backwatch/*.db*"):
            left.unlink(missing_ok=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests on outside data are not of this run where nobody said where the data are."""
    if os.environ.get(DATA):
        return
    without_data = [item for item in items if item.get_closest_marker("data")]
    if without_data:
        config.hook.pytest_deselected(items=without_data)
        items[:] = [item for item in items if not item.get_closest_marker("data")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Remembers which servers were missing; told last of all, below pytest's own closing line."""
    missing: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if PREFIX in reason:
            missing[reason.partition(PREFIX)[2]] += 1
    config.stash[SKIPPED] = missing


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of a run that could not test everything says how much and why."""
    missing = config.stash.get(SKIPPED, None)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if missing and isinstance(reporter, pytest.TerminalReporter):
        why = "; ".join(f"{count} because of {reason}" for reason, count in sorted(missing.items()))
        reporter.write_line(f"skipped for want of a real server: {missing.total()}: {why}", yellow=True)


# --- our own faults ---


@pytest.fixture
def swallowed_faults() -> list[tuple[str, BaseException]]:
    """For a test that expects the guard to swallow something: what it swallowed since the test began."""
    return guard.swallowed


@pytest.fixture(autouse=True)
def _nothing_is_swallowed_unasked(request: pytest.FixtureRequest) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    guard.swallowed.clear()
    yield
    left = list(guard.swallowed)
    guard.swallowed.clear()
    if left and "swallowed_faults" not in request.fixturenames:
        first = left[0]
        pytest.fail(f"the guard swallowed {len(left)} of our own faults, first in {first[0]}: {first[1]!r}")


@pytest.fixture(autouse=True)
def _marked_services(request: pytest.FixtureRequest) -> None:  # pyright: ignore[reportUnusedFunction]
    for marker in request.node.iter_markers("services"):
        for name in marker.args:
            request.getfixturevalue(name)


# --- servers ---


def _refuse(reason: str) -> None:
    if IN_CI:
        pytest.fail(f"CI=true and {reason}", pytrace=False)
    pytest.skip(PREFIX + reason)


@contextlib.contextmanager
def _shared(
    kind: str, port: int, serve: Callable[[Authority], AbstractContextManager[Server]], ca: Authority
) -> Generator[Server]:
    named = from_environment(kind, port)
    if named:
        yield named
        return
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(serve(ca))
        except MissingServerError as missing:
            _refuse(str(missing))
            raise
        yield server


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The run's own certificate authority; it signed every server's certificate and issues more on demand."""
    return Authority(tmp_path_factory.mktemp("ca"))


def _fixture(module: ModuleType) -> Any:
    """The run's server of one file of ``tests/services``."""
    offered: Fixture = module.FIXTURE

    def one(ca: Authority) -> Iterator[Server]:
        with _shared(offered.kind, offered.port, module.serve, ca) as server:
            yield server

    one.__doc__ = module.__doc__
    return pytest.fixture(scope="session", name=offered.name)(one)


for _file in (Path(__file__).parent / "services").glob("*/[!_]*.py"):
    # Only those are imported: the others need libraries that an old driver's process may have in another version.
    if "\nFIXTURE = " in _file.read_text():
        _module = importlib.import_module(f"tests.services.{_file.parent.name}.{_file.stem}")
        globals()[f"_{_file.stem}"] = _fixture(_module)


@pytest.fixture(scope="session")
def smtp_server(ca: Authority) -> Iterator[MailServer]:
    """Mail in a thread of the tests: STARTTLS, TLS at once, and no TLS."""
    with smtp.serve(ca) as server:
        yield server


@pytest.fixture(scope="session")
def mysqlclient() -> Any:
    """The module ``MySQLdb``: a C extension that has no wheel and must have been built here."""
    try:
        return importlib.import_module("MySQLdb")
    except ImportError as error:
        _refuse(f"mysqlclient is not built (tools/servers.sh builds it): {error}")
        raise


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Debian's Chromium is, for Playwright's ``executable_path``."""
    return _found(lambda: binary("chromium", "chromium"))


@pytest.fixture(scope="session")
def uwsgi() -> str:
    """Where uWSGI is."""
    return _found(lambda: binary("uwsgi", "uwsgi", str(BUILT / "bin")))


@pytest.fixture(scope="session")
def otelcol() -> str:
    """Where the OpenTelemetry Collector is."""
    return _found(otelcollector.program)


@pytest.fixture(scope="session")
def java_agent() -> str:
    """Where the OpenTelemetry Java agent is, beside what the Java app of the tests needs."""
    return _found(otelcollector.java_agent)


def _found(look: Callable[[], str]) -> str:
    try:
        return look()
    except MissingServerError as missing:
        _refuse(str(missing))
        raise


# --- a place of one's own in them ---


@pytest.fixture
def postgresql_database(postgresql: Server) -> Iterator[str]:
    """The URL of an empty database that is dropped after the test."""
    with fresh_database.postgresql(postgresql) as url:
        yield url


@pytest.fixture
def mariadb_database(mariadb: Server) -> Iterator[str]:
    """The URL of an empty database that is dropped after the test."""
    with fresh_database.mariadb(mariadb) as url:
        yield url


@pytest.fixture
def redis_prefix(redis_server: Server) -> str:
    """What this test's keys begin with."""
    return f"t{secrets.token_hex(6)}:"


@pytest.fixture
def kafka_prefix(kafka: Server) -> str:
    """What this test's topics and groups begin with."""
    return f"t0{secrets.token_hex(6)}-"  # with the digit it never looks like a word, which would be told as it is


@pytest.fixture
def kafka_topic(kafka: Server, kafka_prefix: str) -> Iterator[Callable[..., str]]:
    """Makes topics of this test's own: ``kafka_topic("calls", partitions=2)`` gives the name. Deleted after it."""
    with topics.made_on_demand(kafka, kafka_prefix) as make:
        yield make


@pytest.fixture
def kafka_without_topics(kafka: Server) -> Iterator[Server]:
    """The broker without ``otlp_spans`` and ``backwatch_calls``: for tests of whole services, which use those names."""
    fixed = (names.TOPIC_SPANS, names.TOPIC_CALLS)
    topics.delete(kafka, fixed)
    yield kafka
    topics.delete(kafka, fixed)


@pytest.fixture
def data_folder() -> Path:
    """Outside data (``BACKWATCH_TEST_DATA``); mark the test ``data``."""
    if not os.environ.get(DATA):
        pytest.fail(f"a test that uses data_folder must be marked `data`: {DATA} is not set", pytrace=False)
    return Path(os.environ[DATA]).resolve(strict=True)


@pytest.fixture
def no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test's own, for what keeps its stream and store at their default places."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.rmtree(tmp_path / "state", ignore_errors=True)
    return tmp_path / "state" / "backwatch"
