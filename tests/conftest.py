"""Fixtures of all tests: real servers, databases and topics of a test's own, outside data; and checks after each test.

Each kind of server (``tests/services``) runs once per run. Tests of a server that is not installed are skipped, and
the last line of the run counts them; under ``CI=true`` they fail.
"""

import contextlib
import gc
import importlib
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Never

import pytest
from hypothesis import settings

from backwatch.collector import names
from backwatch.collector.runtime import guard
from tests.services.authority import Authority
from tests.services.brokers import kafka_broker, topics
from tests.services.databases import fresh_database
from tests.services.http import otelcol as otelcollector
from tests.services.internet import smtp
from tests.services.internet.smtp import MailServer
from tests.services.process import ROOT, binary, use_ports
from tests.services.server import PREFIX, Fixture, MissingServerError, Server, from_environment
from tests.services.sharing import ServerHost, request_authority, request_server

logging.getLogger("kafka.cluster").setLevel(logging.CRITICAL)
# A client that an earlier test left to the collector goes on asking for its topic, which is deleted by now: its lines
# would be among those of a later test that claims to see all of them.

BUILT = ROOT / ".tools" / "drivers"
"""Drivers without a wheel, built by ``tools/servers.sh``."""
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
DATA = "BACKWATCH_TEST_DATA"
MEMORY = "/dev/shm"
MIN_MEMORY_BYTES = 6 << 30
IGNORED_SIGNALS = [
    int(number)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    if signal.getsignal(number) is signal.SIG_IGN
]
SKIPPED = pytest.StashKey[Counter[str]]()
HOST = pytest.StashKey[ServerHost]()


# --- the run ---

# cassandra-driver imports eventlet if it is installed, and then httpcore2 no longer recognizes its own TLS sockets.
# Tests under eventlet have processes of their own.
sys.modules.setdefault("eventlet", None)  # pyright: ignore[reportArgumentType]  the import then fails


# How long an example takes depends on the machine; hypothesis has no deadline under CI either.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

# Apps, inner runs and the rewritten tests are compiled once, and not by each process anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if BUILT.is_dir():
    sys.path.append(str(BUILT))


def pytest_configure(config: pytest.Config) -> None:
    """Keep the shell's settings and the user's state folder out of the tests."""
    for name in list(os.environ):
        if name.startswith(("BACKWATCH_", "OTEL_")) and not name.startswith("BACKWATCH_TEST_"):
            del os.environ[name]
    _restore_signals(getattr(config, "workerinput", {}).get("ignored_signals", ()))
    state = ROOT / ".tools" / "state"  # keeps compiled kernels from run to run; everything else in it is deleted
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["XDG_STATE_HOME"] = str(state)
    worker = getattr(config, "workerinput", None)
    if worker is None:
        _use_memory_for_temporary_files()
    if worker is not None:
        use_ports(int(worker["workerid"].removeprefix("gw")) % worker["workercount"] + 1, worker["workercount"] + 1)
    elif "PYTEST_XDIST_WORKER" not in os.environ:  # nor a run within a run
        for leftover in state.glob("backwatch/*.db*"):
            leftover.unlink(missing_ok=True)


def _use_memory_for_temporary_files() -> None:
    """Keep temporary files in memory: servers and stores write each commit to the disk, milliseconds each time.

    ``TMPDIR`` chooses another folder.
    """
    try:
        memory = os.statvfs(MEMORY)
    except OSError:
        return
    has_room = memory.f_bavail * memory.f_frsize >= MIN_MEMORY_BYTES
    if has_room and not memory.f_flag & os.ST_NOEXEC and not os.environ.get("TMPDIR"):
        os.environ["TMPDIR"] = MEMORY
        tempfile.tempdir = None  # it is chosen once


def _restore_signals(ignored: Iterable[int]) -> None:
    """Let the apps of tests start with default signals, even if this run was started by ``nohup`` or with ``&``.

    A program inherits that a signal is ignored, but not that it has a handler.
    """
    for number in (*IGNORED_SIGNALS, *ignored):
        signal.signal(number, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give each xdist worker the address at which it requests servers, in the controlling process."""
    config: pytest.Config = node.config
    if HOST not in config.stash:
        use_ports(0, node.workerinput["workercount"] + 1)
        folder = Path(tempfile.mkdtemp(prefix="backwatch-tests-"))
        config.stash[HOST] = ServerHost(folder, {name: module.serve for name, module in SERVICES.items()})
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(config.stash[HOST].close)
    node.workerinput["servers"] = config.stash[HOST].address
    node.workerinput["ignored_signals"] = IGNORED_SIGNALS


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Deal units of tests to idle workers."""
    from tests.services.scheduling import UnitScheduling

    return UnitScheduling(config, log, Path(config.stash[HOST].address).with_name("units.json"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests on outside data unless ``BACKWATCH_TEST_DATA`` is set; sort the tests of a worker."""
    if not os.environ.get(DATA):
        without_data = [item for item in items if item.get_closest_marker("data")]
        if without_data:
            config.hook.pytest_deselected(items=without_data)
            items[:] = [item for item in items if not item.get_closest_marker("data")]
    if _server_address(config):
        from tests.services.scheduling import sort_slowest_first

        sort_slowest_first(items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the units of tests where the controlling process reads them; leave what was imported to no collection."""
    gc.collect()
    gc.freeze()  # a test that collects garbage would walk two million objects of ten thousand tests: two seconds
    address = _server_address(session.config)
    if address and os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
        from tests.services.scheduling import write_units

        write_units(session.items, Path(address).with_name("units.json"))


def _server_address(config: pytest.Config) -> str:
    return getattr(config, "workerinput", {}).get("servers", "")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Count the tests of missing servers; the count is written below pytest's own closing line."""
    missing: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if PREFIX in reason:
            missing[reason.partition(PREFIX)[2]] += 1
    config.stash[SKIPPED] = missing


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Free the memory of temporary files after a run without failures."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    if tempfile.gettempdir() == MEMORY and not exitstatus and not hasattr(session.config, "workerinput") and factory:
        session.config.add_cleanup(lambda: shutil.rmtree(factory.getbasetemp(), ignore_errors=True))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write how many tests were skipped, and why, as the last line of the run."""
    missing = config.stash.get(SKIPPED, None)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if missing and isinstance(reporter, pytest.TerminalReporter):
        why = "; ".join(f"{count} because of {reason}" for reason, count in sorted(missing.items()))
        reporter.write_line(f"skipped because a real server is missing: {missing.total()}: {why}", yellow=True)


# --- checks after each test ---


@pytest.fixture
def swallowed_faults() -> list[tuple[str, BaseException]]:
    """Errors of Backwatch that the guard has swallowed since the test began, for a test that expects some."""
    return guard.swallowed


@pytest.fixture(autouse=True)
def _no_unexpected_swallowed_faults(request: pytest.FixtureRequest) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    guard.swallowed.clear()
    guard.faults = 0  # heartbeats of a later test in this process would report them as losses
    yield
    left = list(guard.swallowed)
    guard.swallowed.clear()
    if left and "swallowed_faults" not in request.fixturenames:
        name, error = left[0]
        pytest.fail(f"the guard swallowed {len(left)} errors of Backwatch, first in {name}: {error!r}")


@pytest.fixture(autouse=True)
def _marked_services(request: pytest.FixtureRequest) -> None:  # pyright: ignore[reportUnusedFunction]
    for marker in request.node.iter_markers("services"):
        for name in marker.args:
            request.getfixturevalue(name)


# --- servers ---


def _skip(reason: str) -> Never:
    if IN_CI:
        pytest.fail(f"CI=true and {reason}", pytrace=False)
    pytest.skip(PREFIX + reason)


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Authority:
    """The run's certificate authority; it signed every server's certificate and issues more on demand."""
    folder = tmp_path_factory.mktemp("ca")
    address = _server_address(request.config)
    return request_authority(address, folder) if address else Authority(folder)


def _server_fixture(module: ModuleType) -> Any:
    """Define the fixture of one file of ``tests/services``."""
    description: Fixture = module.FIXTURE

    def server(ca: Authority, request: pytest.FixtureRequest) -> Iterator[Server]:
        named = from_environment(description.kind, description.port)
        address = _server_address(request.config)
        with contextlib.ExitStack() as stack:
            try:
                if named:
                    found = named
                elif address:
                    found = request_server(address, description.name)
                else:
                    found = stack.enter_context(module.serve(ca))
            except MissingServerError as missing:
                _skip(str(missing))
            yield found

    server.__doc__ = module.__doc__
    return pytest.fixture(scope="session", name=description.name)(server)


SERVICES: dict[str, ModuleType] = {}
"""Files of ``tests/services`` that offer a server, by the name of its fixture."""
for _file in sorted((Path(__file__).parent / "services").glob("*/[!_]*.py")):
    # Only these are imported: the others need libraries that an old driver's process may have in another version.
    if "\nFIXTURE = " in _file.read_text():
        _module = importlib.import_module(f"tests.services.{_file.parent.name}.{_file.stem}")
        SERVICES[_module.FIXTURE.name] = _module
        globals()[f"_{_file.stem}"] = _server_fixture(_module)


@pytest.fixture(scope="session")
def kafka_alone(ca: Authority, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A broker that no other worker uses, for tests that need topics under fixed names."""
    if not _server_address(request.config) or from_environment("kafka", 9092):
        yield request.getfixturevalue("kafka")
        return
    with contextlib.ExitStack() as stack:
        try:
            broker = stack.enter_context(kafka_broker.serve(ca))
        except MissingServerError as missing:
            _skip(str(missing))
        yield broker


@pytest.fixture(scope="session")
def smtp_server(ca: Authority) -> Iterator[MailServer]:
    """Mail servers in threads of the tests: STARTTLS, TLS from the first byte, and no TLS."""
    with smtp.serve(ca) as server:
        yield server


@pytest.fixture(scope="session")
def mysqlclient() -> Any:
    """The module ``MySQLdb``: a C extension without a wheel, built by ``tools/servers.sh``."""
    try:
        return importlib.import_module("MySQLdb")
    except ImportError as error:
        _skip(f"mysqlclient is not built (tools/servers.sh builds it): {error}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's Chromium, for Playwright's ``executable_path``."""
    return _find(lambda: binary("chromium", "chromium"))


@pytest.fixture(scope="session")
def uwsgi() -> str:
    """Path of uWSGI."""
    return _find(lambda: binary("uwsgi", "uwsgi", str(BUILT / "bin")))


@pytest.fixture(scope="session")
def otelcol() -> str:
    """Path of the OpenTelemetry Collector."""
    return _find(otelcollector.program)


@pytest.fixture(scope="session")
def java_agent() -> str:
    """Path of the OpenTelemetry Java agent, beside the libraries of the tests' Java app."""
    return _find(otelcollector.java_agent)


def _find(find: Callable[[], str]) -> str:
    try:
        return find()
    except MissingServerError as missing:
        _skip(str(missing))


# --- databases and topics of a test's own ---


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
    """The prefix of this test's keys."""
    return f"t{secrets.token_hex(6)}:"


@pytest.fixture
def kafka_prefix(kafka: Server) -> str:
    """The prefix of this test's topics and groups."""
    return f"t0{secrets.token_hex(6)}-"  # the digit keeps it from looking like a word, which the collector keeps


@pytest.fixture
def kafka_topic(kafka: Server, kafka_prefix: str) -> Iterator[Callable[..., str]]:
    """Create topics of this test's own, deleted after it: ``kafka_topic("calls", partitions=2)`` returns the name."""
    with topics.create_on_demand(kafka, kafka_prefix) as create:
        yield create


@pytest.fixture
def kafka_without_topics(kafka_alone: Server) -> Iterator[Server]:
    """A broker without ``otlp_spans`` and ``backwatch_calls``, for tests of whole services, which use these names."""
    fixed = (names.TOPIC_SPANS, names.TOPIC_CALLS)
    topics.delete(kafka_alone, fixed)
    yield kafka_alone
    topics.delete(kafka_alone, fixed)


@pytest.fixture
def data_folder() -> Path:
    """The folder of outside data (``BACKWATCH_TEST_DATA``); mark the test ``data``."""
    if not os.environ.get(DATA):
        pytest.fail(f"a test that uses data_folder must be marked `data`: {DATA} is not set", pytrace=False)
    return Path(os.environ[DATA]).resolve(strict=True)


@pytest.fixture
def no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder, for commands that keep their stream and store at the default places."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.rmtree(tmp_path / "state", ignore_errors=True)
    return tmp_path / "state" / "backwatch"
