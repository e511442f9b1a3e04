"""valkey-py: recorded as redis-py is, under Valkey's own name; the two are independent."""

import asyncio
from typing import Any

import pytest
import redis
import valkey
import valkey.asyncio

from backwatch.collector import names
from backwatch.collector.probes.redis import RedisProbe
from backwatch.collector.probes.valkey import ValkeyProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.server import Server

PROBES = (ValkeyProbe,)


def test_valkeys_own_version_is_reported(recording: Recording, valkey_server: Server) -> None:
    with valkey.Valkey(host=valkey_server.host, port=valkey_server.port, protocol=3) as client:
        info: Any = client.info()
        version = info["valkey_version"]
        client.set("session:secret", 1)
    connect, _, set_ = recording.calls
    assert (connect.session.system, connect.session.server_version) == ("valkey", version)
    assert (set_.session.server_version, len(set_.session.server_id)) == (version, 40)
    assert set_.statement == "SET session:? ?"


def test_info_gives_the_version_if_the_handshake_does_not(recording: Recording, valkey_server: Server) -> None:
    with valkey.Valkey(host=valkey_server.host, port=valkey_server.port, protocol=2) as client:
        info: Any = client.info()
        version = info["valkey_version"]
        client.ping()
    assert [call.session.server_version for call in recording.calls] == ["", "", version]


def test_asyncio_has_the_same_records(recording: Recording, valkey_server: Server) -> None:
    async def ask() -> None:
        async with valkey.asyncio.Valkey(host=valkey_server.host, port=valkey_server.port) as client:
            await client.set("session:secret", 1)

    asyncio.run(ask())
    assert [(call.operation, call.session.system) for call in recording.calls] == [
        ("connect", "valkey"),
        ("SET", "valkey"),
    ]


def test_a_session_over_tls_reports_all_facts(recording: Recording, redis_server: Server) -> None:
    with valkey.Valkey.from_url(redis_server.tls_url, ssl_check_hostname=True) as client:
        client.ping()
    session = recording.of("PING")[0].session
    assert (session.encrypted, session.verified, session.requested) == (True, "full", "verify-full")
    assert (session.account, session.auth_method) == ("app", "clear-password")


def test_a_redirect_to_the_slots_node_is_reported(recording: Recording, redis_cluster: Server) -> None:
    with valkey.Valkey(host=redis_cluster.host, port=redis_cluster.port) as client:
        with pytest.raises(valkey.ResponseError):
            client.get("a")
        client.execute_command("CLUSTER SLOTS")
    assert str(recording.of("GET")[0].facts[names.REDIRECT_TARGET]).startswith(f"{redis_cluster.host}:")
    assert names.TOPOLOGY in recording.calls[-1].facts


def test_each_library_is_observed_by_its_own_probe(valkey_server: Server) -> None:
    with (
        valkey.Valkey(host=valkey_server.host, port=valkey_server.port) as connection,
        redis.Redis(host=valkey_server.host, port=valkey_server.port) as other,
    ):
        with watching(RedisProbe) as by_redis, watching(ValkeyProbe) as by_valkey:
            connection.get("a")
            other.set("a", 1)
        with watching(RedisProbe) as alone:
            connection.get("a")
    assert ([call.operation for call in by_redis.calls], alone.calls) == (["connect", "SET"], [])
    assert [call.operation for call in by_valkey.calls] == ["connect", "GET"]
