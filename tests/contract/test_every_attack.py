"""Requirements of every hostile service: honest first, then harmful to a bare driver, and detected.

For each one there is ``harms/<name>.py``, found here by the service's name: ``PROBE`` (the probe of its driver),
``works(server)`` (real driver, verified TLS, an honest response), ``is_harmed(server, folder)`` (a careless app, and
its loss) and ``meets_it(server)`` (an observed app's calls to the hostile service; may raise).
"""

import contextlib
import importlib
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services import discover
from backwatch.attack.protocols.server import LOOPBACK, MAX_MESSAGE_BYTES, HostileServer
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.probes import load_probes
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Message
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import EngineConfig
from backwatch.detector.rules import rulebook
from backwatch.detector.runtime.replay import Replay
from tests.collector.memory_stream import MemoryStream
from tests.collector.probes.recording import watching
from tests.services.waiting import wait_until

SERVERS = list(discover())
HARMS = Path(__file__).with_name("harms")
USUAL = 35
"""Times that a service must have been honest for its change to be a surprise, and a few more."""
every_server = pytest.mark.parametrize("kind", SERVERS, ids=[kind.name for kind in SERVERS])
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(kind: type[HostileServer], authority: Authority) -> Iterator[HostileServer]:
    made = kind(authority)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def harm(kind: type[HostileServer]) -> Any:
    return importlib.import_module(f"tests.contract.harms.{kind.name}")


@pytest.fixture(autouse=True)
def _nothing_leaves_loopback(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    connect = socket.socket.connect

    def on_loopback_only(self: socket.socket, address: Any) -> None:
        assert not isinstance(address, tuple) or address[0] in (LOOPBACK, "localhost", "::1"), address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", on_loopback_only)


# --- description ---


@every_server
def test_server_declares_its_attack_source_and_expected_alert(kind: type[HostileServer]) -> None:
    assert kind.__module__.rpartition(".")[2] == kind.name
    assert len(kind.attack) > 20
    assert "CVE-" in kind.reference or "ATT&CK T" in kind.reference or "https://" in kind.reference
    assert kind.rule in {rule.name for rule in rulebook.load().rules}
    importlib.import_module(kind.driver)
    assert kind.__doc__


@every_server
def test_a_server_has_a_harm(kind: type[HostileServer]) -> None:
    assert (HARMS / f"{kind.name}.py").exists()


# --- behaviour ---


@every_server
def test_it_is_honest_first_and_again_after_it_repented(server: HostileServer, harm: Any) -> None:
    harm.works(server)
    server.turn()
    server.repent()
    harm.works(server)


@every_server
def test_the_bare_driver_is_really_harmed(server: HostileServer, harm: Any, tmp_path: Path) -> None:
    harm.works(server)
    server.turn()
    harm.is_harmed(server, tmp_path)


@contextlib.contextmanager
def observe(probe: str) -> Generator[Callable[[], list[Message]]]:
    """Observe the driver inside the block; yields a function that returns the published messages."""
    log = MemoryStream()
    pipeline = Pipeline(CollectorSettings(flush_interval_s=0.01, heartbeat_s=3600.0, app_name="shop"), lambda: log)

    def reported() -> list[Message]:
        assert pipeline.flush(10)
        return log.messages

    try:
        with contextlib.ExitStack() as stack:
            for one in load_probes(probe):
                stack.enter_context(watching(one, pipeline))  # type: ignore[arg-type]
            yield reported
    finally:
        pipeline.close()


def judge(messages: Sequence[Message]) -> set[str]:
    """Return the rules that fire on these messages, from the first call on."""
    judging = Replay(make_engine(EngineConfig()))
    found = {one.rule.name for one in judging.judge([one.value for one in messages])}
    assert judging.counts.calls
    assert not judging.counts.unreadable
    return found


@every_server
def test_attack_raises_its_alert_and_none_before(server: HostileServer, harm: Any) -> None:
    with observe(harm.PROBE) as reported:
        for _ in range(USUAL):
            harm.works(server)
        before = len(reported())
        server.turn()
        with contextlib.suppress(Exception):
            harm.meets_it(server)
        messages = reported()
    assert judge(messages[:before]) == set()
    assert server.rule in judge(messages)


# --- robustness ---

GARBAGE = {
    "nothing": b"",
    "zeros": bytes(300),
    "all ones": b"\xff" * 300,
    "lines": b"\r\n" * 100,
    "a line without an end": b"A" * 100_000,
    "another protocol": b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    "more than there is memory": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "a number of five thousand digits": b"*" + b"9" * 5_000 + b"\r\n",
    "parts without an end": b"*1000000000\r\n" + b"$1\r\na\r\n" * 2_000,
    "a negative part": b"*1\r\n$-7\r\n",
    "a short start": b"\x00\x00\x00\x05\x00",
    "a start with a false length": b"\x00\x00\x00\x01",
    "a start of two gigabytes": b"\x7f\xff\xff\xff" * 4,
    "a start, then a broken Bind": b"\x00\x00\x00\x09\x00\x03\x00\x00\x00B\x00\x00\x00\x05x",
    "a login without facts": b"\x01\x00\x00\x01\x00",
    "sixteen megabytes announced": b"\xff\xff\xff\x01",
    "TLS within TLS": b"STARTTLS\r\n" * 3,
    "a login in no base64": b"EHLO x\r\nAUTH PLAIN ***\r\nAUTH\r\n",
}


def conversation(server: HostileServer, sent: bytes, *, secured: bool = False) -> bytes:
    """Return a server's reply to these bytes, up to its hangup."""
    with socket.create_connection((LOOPBACK, server.port), timeout=5) as raw:
        client = raw
        if secured:
            context = ssl.create_default_context(cafile=str(server.authority.ca_file))
            client = context.wrap_socket(raw, server_hostname="localhost")
        heard = b""
        try:
            client.sendall(sent)
            socket.socket.shutdown(client, socket.SHUT_WR)
            while part := client.recv(1 << 16):
                heard += part
                assert len(heard) < MAX_MESSAGE_BYTES
        except TimeoutError:
            raise
        except OSError:
            pass  # it hung up first
        return heard


def secure_from_the_first_byte(server: HostileServer) -> bool:
    try:
        conversation(server, b"", secured=True)
    except (OSError, ssl.SSLError):
        return False
    return True


@every_server
@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("hostile", [False, True], ids=["honest", "hostile"])
def test_no_garbage_hangs_it(server: HostileServer, harm: Any, sent: bytes, hostile: bool) -> None:
    server.hostile = hostile
    conversation(server, sent)
    if secure_from_the_first_byte(server):
        conversation(server, sent, secured=True)
    server.repent()
    harm.works(server)


@every_server
def test_no_bytes_hang_it(server: HostileServer, harm: Any) -> None:
    secured = secure_from_the_first_byte(server)

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=400), st.booleans())
    def withstands(sent: bytes, hostile: bool) -> None:
        server.hostile = hostile
        conversation(server, sent, secured=secured)

    withstands()
    server.repent()
    harm.works(server)


# --- listening and stopping ---


@every_server
def test_it_listens_on_loopback_only(server: HostileServer) -> None:
    assert server._listener.getsockname()[0] == LOOPBACK


@every_server
def test_turning_and_repenting_drop_every_session(server: HostileServer) -> None:
    for change in (server.turn, server.repent):
        with socket.create_connection((LOOPBACK, server.port), timeout=5) as silent:
            wait_until(lambda: len(server._open) == 1)
            change()
            with contextlib.suppress(ConnectionError):
                while silent.recv(1 << 16):
                    pass
        wait_until(lambda: not server._open)


@every_server
def test_stopping_frees_the_port_and_leaves_no_thread(kind: type[HostileServer], authority: Authority) -> None:
    before = threading.active_count()
    first = kind(authority)
    first.start()
    with socket.create_connection((LOOPBACK, first.port), timeout=5):
        wait_until(lambda: len(first._open) == 1)
        first.stop()
    with contextlib.closing(socket.socket()) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind((LOOPBACK, first.port))
        own.listen()
    wait_until(lambda: threading.active_count() <= before)


@every_server
def test_server_that_never_started_stops(kind: type[HostileServer], authority: Authority) -> None:
    kind(authority).stop()


@every_server
def test_more_clients_than_it_has_room_for_are_turned_away(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backwatch.attack.protocols.server.MAX_SESSIONS", 1)
    with socket.create_connection((LOOPBACK, server.port), timeout=5):
        wait_until(lambda: len(server._open) == 1)
        assert conversation(server, b"") == b""
