"""pymemcache: sessions, commands, values before they are unpickled; which facts are recorded, and which are not."""

import contextlib
import pickle
import socketserver
import ssl
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pymemcache.serde
import pytest
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheError

from backwatch.attack.scenarios.memcached.other_key import OtherKeyMemcached
from backwatch.collector import names
from backwatch.collector.probes.pymemcache import PymemcacheProbe
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.pymemcache import COMPRESSED, Bomb, context_of
from tests.services.faults.hostile import hostile
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.server import HOST, Server

PROBES = (PymemcacheProbe,)
OLD = not COMPRESSED
OLDEST = ("pymemcache==3.4.0", "six==1.16.0")


@pytest.fixture
def client(memcached: Server) -> Iterator[Client]:
    client = Client((memcached.host, memcached.port), timeout=5)
    yield client
    client.close()


@contextlib.contextmanager
def reply_with(answer: bytes) -> Generator[tuple[str, int]]:
    """A server that sends the same reply to every command, and closes the connection."""

    class Once(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer((HOST, 0), Once) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield HOST, server.server_address[1]
        server.shutdown()


def test_a_session_over_tls_reports_all_facts(recording: Recording, memcached: Server) -> None:
    client = Client((memcached.host, memcached.tls_port), tls_context=context_of(memcached))
    client.set("a", "1", noreply=False)
    connect, set_ = recording.calls
    session = set_.session
    assert (connect.operation, set_.operation, connect.session) == ("connect", "set", session)
    assert (session.system, session.address, session.port) == ("memcached", memcached.host, memcached.tls_port)
    assert (session.encrypted, session.verified, session.tls_version) == (True, "full", "1.3")
    assert (session.requested, session.requested_explicit) == ("verify-full", True)
    assert (session.peer_address, session.peer_port) == (memcached.host, memcached.tls_port)
    assert len(session.certificate_sha256) == 64
    # TLS 1.3: the server's tickets come with the handshake or with the first reply.
    assert connect.received > 600
    assert connect.received + set_.received < 4_000
    client.close()


def test_a_plain_session_is_reported_as_unencrypted(recording: Recording, client: Client, memcached: Server) -> None:
    client.get("a")
    session = recording.calls[-1].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", False)
    assert (session.account, session.auth_method, session.server_version) == ("", "", "")
    assert session.port == memcached.port


def test_an_untrusted_certificate_is_recorded(recording: Recording, memcached: Server) -> None:
    client = Client((memcached.host, memcached.tls_port), tls_context=ssl.create_default_context())
    with pytest.raises(ssl.SSLError):
        client.get("a")
    (connect,) = recording.calls
    assert (connect.operation, type(connect.error)) == ("connect", ssl.SSLCertVerificationError)


def test_the_version_is_known_once_the_app_has_requested_it(recording: Recording, client: Client) -> None:
    client.get("a")
    version = client.version()
    client.get("a")
    assert [call.session.server_version for call in recording.of("get")] == ["", version.decode()]
    client.close()
    client.stats()
    client.get("a")
    assert recording.calls[-1].session.server_version == version.decode()


def test_hits_and_misses_are_rows(recording: Recording, client: Client) -> None:
    client.set_many({"a": b"1", "b": b"2"}, noreply=False)
    client.get_many(["a", "b", "c"])
    client.get("a")
    client.get("none")
    client.gets("a")
    assert [call.rows_returned for call in recording.calls[2:]] == [2, 1, 0, 1]
    assert recording.calls[1].rows_affected == 2


def test_a_command_without_a_reply_has_no_rows(recording: Recording, client: Client) -> None:
    client.set("a", b"1")
    client.delete("a")
    client.set("a", b"1", noreply=False)
    client.delete_many(["a", "none"], noreply=False)
    client.touch("none", 5, noreply=False)
    assert [call.rows_affected for call in recording.calls[1:]] == [-1, -1, 1, 1, 0]


def test_bytes_are_counted_on_the_wire(recording: Recording, client: Client) -> None:
    client.set("a", b"x" * 10_000, noreply=False)
    client.get("a")
    _, set_, get = recording.calls
    assert (set_.sent, set_.received) == (len(b"set a 0 0 10000\r\n") + 10_002, len(b"STORED\r\n"))
    assert (get.sent, get.received) == (len(b"get a\r\n"), len(b"VALUE a 0 10000\r\n") + 10_002 + len(b"END\r\n"))


def test_bytes_on_a_unix_socket_are_an_estimate(recording: Recording, memcached: Server) -> None:
    client = Client(memcached.socket)
    client.set("a", b"x" * 10_000, noreply=False)
    client.get("a")
    connect, set_, get = recording.calls
    assert (connect.session.transport, connect.session.address) == ("unix", memcached.socket)
    assert set_.estimated
    assert get.estimated
    assert 10_000 <= set_.sent <= 10_100
    assert get.received == len(b"VALUE a 0 10000\r\n") + 10_002 + len(b"END\r\n")
    client.set("a", [1], noreply=False)
    assert recording.calls[-1].sent == -1  # the size of a serialised list is unknown
    client.close()


def test_no_key_and_no_value_is_recorded(recording: Recording, memcached: Server) -> None:
    client = Client((memcached.host, memcached.port), key_prefix=b"hidden-")
    client.set("session:secret", b"hunter2")
    client.get_many(["session:secret", "secret", b"user:secret"])
    client.delete("session:secret")
    client.delete_many(["session:secret", "user:secret"])
    client.incr("session:secret", 1)
    assert [call.statement for call in recording.calls[1:]] == [
        "set session:? ?", "get ? session:? user:?", "delete session:?", "delete session:? user:?", "incr session:?",
    ]  # fmt: skip
    assert "secret" not in str(recording.calls)
    client.close()


def test_a_pickle_bomb_is_named_before_it_is_loaded(recording: Recording, client: Client, memcached: Server) -> None:
    client.set("a", pickle.dumps(Bomb()), flags=1, noreply=False)
    loading = Client((memcached.host, memcached.port), serde=pymemcache.serde.pickle_serde)
    loading.get("a")
    loading.get_many(["a", "b"])
    for call in recording.of("get"):
        assert call.facts == {names.PAYLOAD_FORMAT: "pickle", names.PAYLOAD_GLOBALS: "contextlib.suppress"}
    loading.close()


def test_a_pickle_bomb_among_many_values_is_named(recording: Recording, client: Client) -> None:
    values = {f"{number:03}": b"harmless, and long enough to be looked at" for number in range(200)}
    client.set_many({**values, "150": pickle.dumps(Bomb())}, noreply=False)
    client.get_many(list(values))
    assert recording.calls[-1].facts[names.PAYLOAD_GLOBALS] == "contextlib.suppress"


@pytest.mark.skipif(OLD, reason="no serializer that compresses yet")
def test_a_compressed_value_reports_both_its_sizes(recording: Recording, memcached: Server) -> None:
    client = Client((memcached.host, memcached.port), serde=COMPRESSED())
    client.set("a", "word " * 10_000, noreply=False)
    client.set("b", "short", noreply=False)
    assert client.get("a") == "word " * 10_000
    facts = recording.calls[-1].facts
    assert facts[names.PAYLOAD_SIZE] == 50_000
    assert 0 < int(facts[names.PAYLOAD_WIRE]) < 1_000
    client.get("b")
    assert names.PAYLOAD_SIZE not in recording.calls[-1].facts
    client.close()


def test_calls_of_pools_and_hash_clients_have_their_server(recording: Recording, memcached: Server) -> None:
    pool = PooledClient((memcached.host, memcached.port))
    several = HashClient([(memcached.host, memcached.port), ("localhost", memcached.port)], use_pooling=True)
    pool.get("a")
    several.get_many([str(number) for number in range(50)])
    calls = [(call.operation, call.session.address) for call in recording.calls]
    assert calls[:2] == [("connect", memcached.host), ("get", memcached.host)]
    assert sorted(calls[2:]) == sorted(
        [("connect", memcached.host), ("get", memcached.host), ("connect", "localhost"), ("get", "localhost")]
    )
    pool.close()
    several.close()


def test_an_unreachable_server_is_recorded_once(recording: Recording, memcached: Server) -> None:
    for client in (Client((memcached.host, 1)), HashClient([(memcached.host, 1)], retry_attempts=0)):
        for method, arguments in (("get", ("a",)), ("set", ("a", b"1"))):
            with contextlib.suppress(OSError, MemcacheError):
                getattr(client, method)(*arguments)
    calls = [(each.operation, type(each.error)) for each in recording.calls]
    assert set(calls) == {("connect", ConnectionRefusedError)}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SERVER_ERROR out of memory\r\n", "MemcacheServerError"),
        (b"NONSENSE\r\n", "MemcacheUnknownError"),
        (b"", "MemcacheUnexpectedCloseError"),
        (b"VALUE a 0 100\r\nshort", "MemcacheUnexpectedCloseError"),
        (b"VALUE b 0 1\r\nx\r\nEND\r\n", "KeyError"),
    ],
)
def test_an_error_hidden_by_the_driver_is_recorded(recording: Recording, answer: bytes, error: str) -> None:
    with reply_with(answer) as server:
        try:
            raise LookupError("the app's own")
        except LookupError:
            client = Client(server, ignore_exc=True, timeout=5)
            assert client.get("a") is None
    call = recording.calls[-1]
    assert (call.operation, type(call.error).__name__, call.rows_returned) == ("get", error, -1)
    code = {"MemcacheServerError": "SERVER_ERROR"}.get(error)
    assert call.facts.get(names.STATUS_CODE) == code


def test_a_miss_while_the_app_handles_an_error_is_not_an_error(recording: Recording, client: Client) -> None:
    try:
        raise LookupError("the app's own")
    except LookupError:
        client.get("none")
    assert recording.calls[-1].error is None


def test_a_client_older_than_the_probe_is_known(client: Client, memcached: Server) -> None:
    client.set("a", b"x" * 100_000, noreply=False)
    with watching(PymemcacheProbe) as recording:
        client.get("none")
    (call,) = recording.calls
    assert (call.operation, call.session.peer_port) == ("get", memcached.port)
    assert call.sent < 100


def test_the_driver_may_read_the_keys_only_once(recording: Recording, client: Client) -> None:
    def keys() -> Iterator[str]:
        yield "none"

    client.get_many(keys())
    assert recording.calls[-1].statement == "get ?"


def test_raw_commands_of_the_app_are_recorded(recording: Recording, client: Client) -> None:
    client.stats("items")
    raw: Callable[..., Any] | None = getattr(client, "raw_command", None)
    if raw is not None:
        raw(b"lru_crawler metadump all", b"END\r\n")
        assert recording.calls[-1].statement == "lru_crawler metadump ?"
    assert recording.of("stats items")


@not_overlaid
def test_the_oldest_version_passes_the_same_tests(memcached: Server) -> None:
    run_tests_with(OLDEST, "pymemcache", memcached)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_reply_with_another_key_is_reported_without_its_content(ignored: bool) -> None:
    with watching(PymemcacheProbe) as recording, hostile(OtherKeyMemcached) as (service, ca_file):
        context = ssl.create_default_context(cafile=ca_file)
        client = Client(("localhost", service.port), tls_context=context, timeout=5, ignore_exc=ignored)
        client.set("basket:7", "apples", noreply=False)
        with contextlib.suppress(KeyError):
            assert client.get("basket:7") is None
        client.close()
    assert [call.facts.get(names.RESPONSE_INDICATORS) for call in recording.calls] == [None, None, "other-key"]
    assert "bought" not in repr([call.attributes() for call in recording.calls])


@pytest.mark.parametrize("missed", ["its flags", "its value"])
def test_a_key_error_of_a_serializer_is_not_a_mismatched_response(memcached: Server, missed: str) -> None:
    class Own:
        def serialize(self, _key: bytes, value: str) -> tuple[str, int]:
            return value, 7

        def deserialize(self, _key: bytes, value: bytes, flags: int) -> object:
            return {}[flags if missed == "its flags" else value]

    with watching(PymemcacheProbe) as recording:
        client = Client((memcached.host, memcached.port), serde=Own())
        client.set("own:7", "apples", noreply=False)
        with pytest.raises(KeyError):
            client.get("own:7")
        client.close()
    assert names.RESPONSE_INDICATORS not in recording.of("get")[0].facts
