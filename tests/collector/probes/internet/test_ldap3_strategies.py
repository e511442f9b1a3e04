"""ldap3's strategies: reading threads, pools, late and repeated connections, no server at all."""

import gc
import os
import socket
import threading
import time
import weakref

import ldap3

from backwatch.collector.probes.ldap3 import Ldap3Probe
from tests.collector.probes.internet.directory import QUIET, bind
from tests.collector.probes.recording import RecordedCall, Recording
from tests.contract.exercises.ldap3 import make_server, plain
from tests.services.internet.ldap import BASE, COUNT, PEOPLE
from tests.services.overlays import OVERLAID
from tests.services.server import Server

PROBES = (Ldap3Probe,)
SITES = OVERLAID not in os.environ
"""Whether call sites can be recorded: in an overlay the driver's own code passes for the app's."""


def test_responses_read_by_a_thread_are_recorded_for_their_caller(recording: Recording, ldap_server: Server) -> None:
    client = bind(ldap_server, client_strategy=ldap3.ASYNC)
    recording.calls.clear()
    numbers = [client.search(PEOPLE, f"(uid=user{number})") for number in range(1, COUNT + 1)]
    for number in numbers:
        assert len(client.get_response(number)[0]) == 1
    _wait_for_calls(recording, COUNT)
    searches = recording.of("search")
    assert [one.rows_returned for one in searches] == [1] * COUNT
    assert all(one.estimated for one in searches)
    sites = [one.caller.site for one in searches if one.caller is not None and one.caller.site is not None]
    assert (
        not SITES
        or [site.function.split(".")[0] for site in sites]
        == ["test_responses_read_by_a_thread_are_recorded_for_their_caller"] * COUNT
    )
    assert sum(one.received for one in searches) > 300
    client.unbind()
    client.strategy.receiver.join(10)


def _wait_for_calls(recording: Recording, count: int) -> list[RecordedCall]:
    until = time.monotonic() + 10
    while len(recording.of("search")) < count and time.monotonic() < until:
        time.sleep(0.01)
    return recording.of("search")


def test_starttls_of_a_reading_thread_is_recorded(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(plain(ldap_server, **QUIET), client_strategy=ldap3.ASYNC)
    client.open()
    client.start_tls()
    client.bind()
    client.unbind()
    client.strategy.receiver.join(10)
    (starttls,), (bind,) = recording.of("starttls"), recording.of("bind")
    assert (starttls.session.encrypted, starttls.session.verified) == (True, "full")
    assert (bind.session.encrypted, bind.error) == (True, None)


def test_a_pool_of_connections_records_the_caller(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(
        make_server(ldap_server, **QUIET), ldap_server.user, ldap_server.password, auto_bind=True,
        client_strategy=ldap3.REUSABLE, pool_name="people", pool_size=2,
    )  # fmt: skip
    number = client.search(PEOPLE, "(uid=user1)", attributes=["mail"])
    assert len(client.get_response(number)[0]) == 1
    (search,) = _wait_for_calls(recording, 1)
    assert search.caller is not None
    assert search.caller.site is not None
    assert not SITES or search.caller.site.function == "test_a_pool_of_connections_records_the_caller"
    assert (search.session.account, search.session.verified, search.estimated) == (ldap_server.user, "full", False)
    assert recording.of("connect")
    client.strategy.terminate()


def test_a_connection_that_is_made_late_is_recorded_when_it_is_made(recording: Recording, ldap_server: Server) -> None:
    client = ldap3.Connection(plain(ldap_server, **QUIET), ldap_server.user, ldap_server.password, lazy=True)
    client.open()
    client.start_tls()
    client.bind()
    assert recording.calls == []
    client.search(PEOPLE, "(uid=user1)")
    client.unbind()
    assert [one.operation for one in recording.calls] == ["connect", "starttls", "bind", "search", "unbind"]
    assert recording.of("search")[0].session.encrypted is True


def test_a_connection_that_is_made_anew_is_recorded(recording: Recording, ldap_server: Server) -> None:
    client = bind(ldap_server, client_strategy=ldap3.RESTARTABLE)
    recording.calls.clear()
    client.socket.shutdown(socket.SHUT_RDWR)
    assert client.search(PEOPLE, "(uid=user1)")
    client.unbind()
    assert [one.operation for one in recording.calls if one.error is None and one.operation != "unbind"] == [
        "connect", "bind", "search",
    ]  # fmt: skip
    lost = [one for one in recording.calls if one.operation == "search" and one.error is not None]
    assert len(lost) == 1
    assert recording.of("search")[-1].rows_returned == 1


def test_searches_from_many_threads_on_one_connection_are_all_recorded(
    recording: Recording, ldap_server: Server
) -> None:
    client = bind(ldap_server, client_strategy=ldap3.ASYNC)
    recording.calls.clear()

    def ask() -> None:
        for _ in range(10):
            client.get_response(client.search(PEOPLE, "(uid=user1)"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.rows_returned for one in _wait_for_calls(recording, 40)] == [1] * 40
    client.unbind()
    client.strategy.receiver.join(10)


def test_nothing_of_the_apps_is_kept_alive(recording: Recording, ldap_server: Server) -> None:
    client = bind(ldap_server)
    client.search(PEOPLE, "(uid=user1)")
    client.unbind()
    gone = weakref.ref(client)
    del client
    recording.calls.clear()
    gc.collect()
    assert gone() is None


def test_a_directory_in_memory_is_not_recorded(recording: Recording) -> None:
    client = ldap3.Connection(ldap3.Server("memory"), client_strategy=ldap3.MOCK_SYNC)
    client.strategy.add_entry(f"cn=x,{BASE}", {"cn": "x", "userPassword": "y"})
    client.bind()
    client.search(BASE, "(cn=x)")
    assert recording.calls == []
