"""Facts of a connection and its caller: TLS, bytes on the wire, call site, identity."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from backwatch.collector.pipeline.app_identity import get_script_name, identify
from backwatch.collector.pipeline.call_site import clear_cache, find_call_site
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import format_tls_version, read_tls_facts
from tests.services.authority import Authority


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with client, accepted:
        yield client, accepted


def exchange(client: socket.socket, server: socket.socket, sent: int, received: int) -> None:
    client.sendall(b"x" * sent)
    server.recv(sent, socket.MSG_WAITALL)
    server.sendall(b"y" * received)
    client.recv(received, socket.MSG_WAITALL)


def is_connected(one: socket.socket) -> bool:
    try:
        one.getpeername()
    except OSError:
        return False
    return True


def test_each_reading_gives_the_bytes_since_the_last(pair: tuple[socket.socket, socket.socket]) -> None:
    wire = SocketCounters(pair[0].fileno())
    assert wire.read_delta() == (0, 0)
    exchange(*pair, 100, 70_000)
    assert wire.read_delta() == (100, 70_000)
    assert wire.read_delta() == (0, 0)


def test_a_rebound_wire_begins_at_zero(pair: tuple[socket.socket, socket.socket]) -> None:
    wire = SocketCounters(pair[0].fileno())
    exchange(*pair, 10, 20)
    wire.rebind(pair[1].fileno())
    assert wire.read_delta() == (20, 10)


def test_a_descriptor_that_came_to_name_another_connection_is_not_believed(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    exchange(*pair, 1000, 1000)
    wire = SocketCounters(pair[0].fileno())
    wire.read_delta()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as other:
        os.dup2(other.fileno(), pair[0].fileno())
        assert wire.read_delta() == (-1, -1)


def test_unix_sockets_and_closed_descriptors_have_no_figure() -> None:
    one, other = socket.socketpair()
    wire = SocketCounters(one.fileno())
    assert wire.read_delta() == (-1, -1)
    one.close()
    other.close()
    assert (-1, -1) == wire.read_delta() == SocketCounters(-1).read_delta()


def handshake(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext, name: str | None
) -> tuple[ssl.SSLObject, bytes]:
    """Connect two ends in memory; return the client's end and the server's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    done = {client: False, server: False}
    while not all(done.values()):
        for end in done:
            try:
                end.do_handshake()
                done[end] = True
            except ssl.SSLWantReadError:
                pass
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return client, der


@pytest.fixture
def server_side(ca: Authority) -> ssl.SSLContext:
    issued = ca.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate_file, issued.key_file)
    return context


@pytest.mark.parametrize(
    ("check", "verify", "verified"), [(True, True, "full"), (False, True, "chain"), (False, False, "none")]
)
def test_certificate_and_verification_are_reported_even_without_verification(
    server_side: ssl.SSLContext, ca: Authority, check: bool, verify: bool, verified: str
) -> None:
    context = ssl.create_default_context(cafile=str(ca.ca_file))
    context.check_hostname = check
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    client, der = handshake(server_side, context, "localhost")
    facts = read_tls_facts(client)
    assert (True, "1.3", verified) == (facts.get("encrypted"), facts.get("tls_version"), facts.get("verified"))
    assert facts.get("certificate_sha256") == sha256(der).hexdigest().upper()
    assert str(facts.get("not_after", "")).endswith("Z")
    assert facts.get("issuer")


def test_missing_tls_is_reported() -> None:
    assert read_tls_facts(None) == {"encrypted": False}


def test_a_broken_session_is_not_reported_as_plaintext(server_side: ssl.SSLContext, ca: Authority) -> None:
    one, other = socket.socketpair()
    ends: list[ssl.SSLSocket] = []
    server = threading.Thread(target=lambda: ends.append(server_side.wrap_socket(other, server_side=True)))
    server.start()
    with ssl.create_default_context(cafile=str(ca.ca_file)).wrap_socket(one, server_hostname="localhost") as client:
        server.join()
        assert read_tls_facts(client).get("encrypted") is True
        os.write(ends[0].fileno(), b"this is no record of TLS")
        with pytest.raises(ssl.SSLError):
            client.recv(1)
        assert read_tls_facts(client) == {}
    ends[0].close()


def test_a_server_that_closes_before_tls_is_not_reported_as_plaintext(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    client, server = pair
    server.close()
    client.sendall(b"is TLS spoken here?")  # the reply is a reset
    deadline = time.monotonic() + 10
    while is_connected(client):
        assert time.monotonic() < deadline
    with ssl.create_default_context().wrap_socket(client, server_hostname="localhost") as secured:
        assert secured.version() is None
        assert read_tls_facts(secured) == {}


def test_versions_are_written_as_the_contract_has_them() -> None:
    assert [format_tls_version(name) for name in ("TLSv1.2", "TLSv1", "TLSv1.1", None)] == ["1.2", "1.0", "1.1", ""]


def test_the_call_site_is_the_apps_own_frame_relative_to_its_folder() -> None:
    clear_cache()
    here = find_call_site()
    assert here is not None
    assert here.function == "test_the_call_site_is_the_apps_own_frame_relative_to_its_folder"
    assert not Path(here.file).is_absolute()
    assert here.file.endswith("tests/collector/session/test_session_facts.py")


def test_an_app_whose_event_loop_forbids_getcwd_has_call_sites(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def blocking() -> str:
        raise RuntimeError("Blocking call to os.getcwd")

    clear_cache()
    monkeypatch.setattr("os.getcwd", blocking)
    here = find_call_site()
    assert here is not None
    assert here.file == "tests/collector/session/test_session_facts.py"
    clear_cache()


def test_frames_of_the_standard_library_are_passed_over() -> None:
    sites: list[object] = []
    thread = threading.Thread(target=lambda: sites.append(find_call_site()))
    thread.start()
    thread.join()
    (site,) = sites
    assert site is not None
    assert "lambda" in str(site)


def test_generated_code_does_not_fill_the_memory() -> None:
    from backwatch.collector.pipeline import call_site as runtime_call_site

    for at in range(runtime_call_site.MAX_REMEMBERED + 100):
        exec(f"def f{at}(): return call_site()\nf{at}()", {"call_site": find_call_site, "__name__": "__main__"})  # noqa: S102
    assert len(runtime_call_site._known) <= runtime_call_site.MAX_REMEMBERED


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_SERVICE_NAME": "shop", "BACKWATCH_APP": "other"}, "shop"),
        ({"BACKWATCH_APP": "other"}, "other"),
        ({}, "who"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=eu,deployment.environment=prod"}, "eu/who/prod"),
    ],
)
def test_the_app_name_comes_from_opentelemetry_then_setting_then_script(
    tmp_path: Path, environment: dict[str, str], expected: str
) -> None:
    script = tmp_path / "who.py"
    script.write_text(
        "import os\nfrom backwatch.collector.pipeline.app_identity import identify\n"
        "print(identify(os.environ.get('BACKWATCH_APP', '')).key)\n"
    )
    ran = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert expected == ran.stdout.strip()


def test_the_apps_provider_is_read_first_and_none_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    import opentelemetry.trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=Resource({"service.name": "from-code"}))
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", provider)
    assert identify("fallback").name == "from-code"
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", None)
    assert identify("fallback").name == "fallback"
    assert opentelemetry.trace._TRACER_PROVIDER is None


def test_a_module_run_with_dash_m_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/srv/shop/__main__.py"])
    assert get_script_name() == "shop"
