"""Nodes that Redis announces: those of a cluster, and the master that a Sentinel names."""

import asyncio
import socket

import pytest
import redis
import redis.asyncio
from redis.cluster import RedisCluster
from redis.exceptions import ResponseError
from redis.sentinel import Sentinel

from backwatch.collector import names
from backwatch.collector.probes.families.redis import nodes
from backwatch.collector.probes.redis import RedisProbe
from backwatch.collector.runtime.record import Session
from tests.collector.probes.recording import Recording
from tests.services.databases.redis_sentinel import MASTER
from tests.services.server import Server

PROBES = (RedisProbe,)
QUERIED = Session(system="redis", address="10.0.0.1", port=6379)
SLOT_OF_A = 15_495


def node_addresses(cluster: Server) -> set[str]:
    with socket.create_connection((cluster.host, cluster.port)) as connection:
        connection.sendall(b"CLUSTER NODES\r\n")
        lines = connection.recv(1 << 16).decode().splitlines()[1:]
    return {line.split()[1].partition("@")[0] for line in lines if line}


def test_a_cluster_announces_its_nodes(redis_cluster: Server, recording: Recording) -> None:
    with RedisCluster(host=redis_cluster.host, port=redis_cluster.port) as client:
        client.set("a", 1)
    calls = [call for call in recording.calls if names.TOPOLOGY in call.facts]
    assert calls
    assert set(str(calls[0].facts[names.TOPOLOGY]).split(",")) == node_addresses(redis_cluster)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("question", ["SLOTS", "SHARDS", "NODES"])
def test_every_query_for_the_nodes_is_understood(
    redis_cluster: Server, recording: Recording, protocol: int, question: str
) -> None:
    with redis.Redis(host=redis_cluster.host, port=redis_cluster.port, protocol=protocol) as client:
        client.execute_command(f"CLUSTER {question}")
        client.execute_command("CLUSTER", question)
    first, second = recording.calls[-2:]
    assert set(str(first.facts[names.TOPOLOGY]).split(",")) == node_addresses(redis_cluster)
    assert first.facts == second.facts


def test_a_redirect_to_the_slots_node_is_reported(redis_cluster: Server, recording: Recording) -> None:
    other = next(node for node in node_addresses(redis_cluster) if not node.endswith(f":{redis_cluster.port}"))
    with redis.Redis(host=redis_cluster.host, port=redis_cluster.port) as client, pytest.raises(ResponseError):
        client.get("a")
    assert recording.calls[-1].facts[names.REDIRECT_TARGET] == other
    assert recording.calls[-1].facts.get(names.STATUS_CODE, "MOVED") == "MOVED"


def test_a_redirect_of_a_migrating_slot_is_reported(redis_cluster: Server, recording: Recording) -> None:
    other = next(node for node in node_addresses(redis_cluster) if not node.endswith(f":{redis_cluster.port}"))
    with (
        redis.Redis(host=redis_cluster.host, port=int(other.rpartition(":")[2])) as leaving,
        redis.Redis(host=redis_cluster.host, port=redis_cluster.port) as coming,
    ):
        leaving.execute_command("CLUSTER", "SETSLOT", SLOT_OF_A, "MIGRATING", coming.execute_command("CLUSTER", "MYID"))
        try:
            with pytest.raises(ResponseError):
                leaving.get("a-key-that-is-not-there{a}")
        finally:
            leaving.execute_command("CLUSTER", "SETSLOT", SLOT_OF_A, "STABLE")
    call = recording.of("GET")[-1]
    assert call.facts[names.REDIRECT_TARGET] == f"{redis_cluster.host}:{redis_cluster.port}"


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_sentinel_names_the_master(redis_sentinel: Server, recording: Recording, protocol: int) -> None:
    options = {"protocol": protocol}
    asked = Sentinel([(redis_sentinel.host, redis_sentinel.port)], sentinel_kwargs=options)
    host, port = asked.discover_master(MASTER)
    master = f"{host}:{port}"
    assert recording.calls[-1].facts == {names.TOPOLOGY: master, names.REDIRECT_TARGET: master}
    asked.sentinels[0].sentinel_get_master_addr_by_name(MASTER)
    assert recording.calls[-1].facts == {names.TOPOLOGY: master, names.REDIRECT_TARGET: master}
    asked.sentinels[0].sentinel_master(MASTER)
    assert recording.calls[-1].facts == {names.TOPOLOGY: master, names.REDIRECT_TARGET: master}
    asked.sentinels[0].sentinel_slaves(MASTER)
    assert recording.calls[-1].facts == {}
    asked.sentinels[0].sentinel_get_master_addr_by_name("none")
    assert recording.calls[-1].facts == {}
    asked.sentinels[0].close()


def test_asyncio_has_the_same_records(redis_sentinel: Server, recording: Recording) -> None:
    async def ask() -> None:
        async with redis.asyncio.Redis(host=redis_sentinel.host, port=redis_sentinel.port) as client:
            await client.execute_command("SENTINEL MASTERS")

    asyncio.run(ask())
    assert names.REDIRECT_TARGET in recording.calls[-1].facts


def facts_of(name: str, command: list[object], reply: object) -> dict[str, object]:
    return dict(nodes.node_facts(name, command, reply, QUERIED))


def test_a_node_without_an_address_is_the_queried_node() -> None:
    slots = [[0, 9, [b"", 7000, b"id"], [b"10.0.0.2", 7001, b"id"]], [10, 19, [None, 7000, b"id"]]]
    assert facts_of("CLUSTER", ["CLUSTER", "SLOTS"], slots) == {names.TOPOLOGY: "10.0.0.1:7000,10.0.0.2:7001"}


def test_several_masters_are_no_redirect_target() -> None:
    masters = [{"ip": "10.0.0.2", "port": "1"}, [b"ip", b"10.0.0.3", b"port", b"1"]]
    assert facts_of("SENTINEL MASTERS", ["SENTINEL MASTERS"], masters) == {names.TOPOLOGY: "10.0.0.2:1,10.0.0.3:1"}


@pytest.mark.parametrize("name", sorted(nodes.ANNOUNCING_COMMANDS))
def test_a_hostile_reply_raises_no_internal_error(name: str) -> None:
    deep: list[object] = []
    deep.append(deep)
    for reply in (
        None, b"", b"x" * (1 << 20), 5, [], [[]], [[1, 2, [3]]], [[1, 2, [[], {}]]], deep, {b"nodes": 5}, [[[], []]],
        [{b"nodes": [[b"ip"], [b"ip", []]]}], [[b"ip", {}, b"port", b"x"]], [b"x" * 300, b"1"], ValueError("no"),
    ):  # fmt: skip
        for second in ("SLOTS", "SHARDS", "NODES", "MASTERS", "REPLICAS", "OTHER"):
            assert len(str(facts_of(name, [name, second], reply))) < 2_000
