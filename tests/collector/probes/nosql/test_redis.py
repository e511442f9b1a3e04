"""redis-py, sync and asyncio: one call per round trip, the session's facts, and the replies of a hostile Redis."""

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backwatch.collector import names
from backwatch.collector.probes.redis import RedisProbe
from tests.collector.probes.nosql.conftest import NO_RETRY, operations
from tests.collector.probes.recording import Recording, watching
from tests.services.server import Server

PROBES = (RedisProbe,)


def test_a_session_over_tls_reports_all_facts(
    recording: Recording, over_tls: redis.Redis, redis_server: Server
) -> None:
    over_tls.set("a", 1)
    connect, set_ = recording.calls
    session = set_.session
    assert (connect.operation, set_.operation, connect.session) == ("connect", "SET", session)
    assert (session.system, session.address, session.port) == ("redis", redis_server.host, redis_server.tls_port)
    assert (session.encrypted, session.verified, session.tls_version) == (True, "full", "1.3")
    assert (session.requested, session.requested_explicit) == ("verify-full", True)
    assert (session.account, session.auth_method, session.namespace) == ("app", "clear-password", "0")
    assert (session.peer_address, session.peer_port) == (redis_server.host, redis_server.tls_port)
    assert session.server_version[0].isdigit()
    assert len(session.certificate_sha256) == 64


def test_the_handshake_belongs_to_connect_and_a_command_to_its_call(
    recording: Recording, over_tls: redis.Redis
) -> None:
    over_tls.set("long", b"x" * 10_000)
    over_tls.get("long")
    connect, set_, get = recording.calls
    assert connect.received > 500
    assert 10_000 < set_.sent < 10_300
    assert 10_000 < get.received < 10_300
    assert get.sent < 200


def test_a_plain_session_is_reported_as_unencrypted(recording: Recording, plain: redis.Redis) -> None:
    plain.ping()
    session = recording.calls[-1].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", False)
    assert (session.account, session.auth_method) == ("", "none")


def test_unverified_certificates_are_reported(recording: Recording, redis_server: Server) -> None:
    with redis.Redis(host=redis_server.host, port=redis_server.tls_port, ssl=True, ssl_cert_reqs="none") as client:
        client.ping()
    session = recording.calls[-1].session
    assert (session.encrypted, session.verified, session.requested) == (True, "none", "require")


def test_verification_without_the_host_name_is_reported(recording: Recording, redis_server: Server) -> None:
    with redis.Redis(
        host=redis_server.host, port=redis_server.tls_port, ssl=True, ssl_ca_certs=redis_server.ca_file,
        ssl_check_hostname=False,
    ) as client:  # fmt: skip
        client.ping()
    session = recording.calls[-1].session
    assert (session.verified, session.requested) == ("chain", "verify-ca")


def test_a_unix_socket_has_a_path_and_no_bytes(recording: Recording, redis_server: Server) -> None:
    with redis.Redis(unix_socket_path=redis_server.socket, db=3) as client:
        client.ping()
    call = recording.calls[-1]
    assert (call.session.transport, call.session.address, call.session.port) == ("unix", redis_server.socket, 0)
    assert (call.session.namespace, call.session.encrypted) == ("3", False)
    assert (call.sent, call.received) == (-1, -1)


def test_a_failed_handshake_is_a_call(recording: Recording, redis_server: Server) -> None:
    client = redis.Redis(host=redis_server.host, port=redis_server.tls_port, ssl=True, **NO_RETRY)
    with pytest.raises(redis.ConnectionError):
        client.ping()
    (call,) = recording.calls
    assert (call.operation, type(call.error).__name__) == ("connect", "SSLCertVerificationError")
    assert (call.session.encrypted, call.session.requested) == (None, "verify-full")


def test_a_failed_login_is_a_call_with_its_account_and_session(recording: Recording, redis_server: Server) -> None:
    client = redis.Redis(host=redis_server.host, port=redis_server.port, username="ann", password="wrong", **NO_RETRY)
    with pytest.raises(redis.AuthenticationError):
        client.ping()
    (call,) = recording.calls
    assert (call.operation, type(call.error).__name__) == ("connect", "AuthenticationError")
    assert (call.session.account, call.session.encrypted) == ("ann", False)
    assert call.facts[names.STATUS_CODE] == "WRONGPASS"
    assert "wrong" not in repr(call.session)


def test_a_refused_connection_is_a_call(recording: Recording) -> None:
    with pytest.raises(redis.ConnectionError):
        redis.Redis(host="127.0.0.1", port=1, **NO_RETRY).ping()
    (call,) = recording.calls
    assert (call.operation, type(call.error).__name__) == ("connect", "ConnectionError")


def test_each_attempt_to_connect_is_a_call(recording: Recording) -> None:
    with pytest.raises(redis.ConnectionError):
        redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 2)).ping()
    assert operations(recording) == ["connect"] * 3


def test_a_connection_older_than_the_probe_is_read_at_its_next_call(
    over_tls: redis.Redis, redis_server: Server
) -> None:
    over_tls.set("old", b"x" * 10_000)
    with watching(RedisProbe) as recording:
        over_tls.get("old")
        over_tls.ping()
    get, ping = recording.calls
    assert (get.session.encrypted, get.session.verified) == (True, "full")
    assert get.session.server_version[0].isdigit()
    assert get.session is ping.session
    assert 10_000 < get.received < 10_300
    assert get.sent < 200
