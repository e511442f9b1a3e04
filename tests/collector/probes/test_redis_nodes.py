"""Nodes that Redis names: a cluster's, and the master that a Sentinel says is one."""

import asyncio
import socket
from collections.abc import Iterator

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
from tests.collector.probes.recording import Recording, watching
from tests.services.databases.redis_sentinel import MASTER
from tests.services.server import Server

ASKED = Session(system="redis", address="10.0.0.1", port=6379)
SLOT_OF_A = 15_495


@pytest.fixture
def recording() -> Iterator[Recording]:
    with watching(RedisProbe) as told:
        yield told


def both(cluster: Server) -> set[str]:
    with socket.create_connection((cluster.host, cluster.port)) as one:
        one.sendall(b"CLUSTER NODES\r\n")
        lines = one.recv(1 << 16).decode().splitlines()[1:]
    return {line.split()[1].partition("@")[0] for line in lines if line}


def test_a_cluster_names_its_nodes(redis_cluster: Server, recording: Recording) -> None:
    with RedisCluster(host=redis_cluster.host, port=redis_cluster.port) as client:
        client.set("a", 1)
    told = [one for one in recording.calls if names.TOPOLOGY in one.facts]
    assert told
    assert set(str(told[0].facts[names.TOPOLOGY]).split(",")) == both(redis_cluster)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("question", ["SLOTS", "SHARDS", "NODES"])
def test_every_way_to_ask_for_the_nodes_is_understood(
    redis_cluster: Server, recording: Recording, protocol: int, question: str
) -> None:
    with redis.Redis(host=redis_cluster.host, port=redis_cluster.port, protocol=protocol) as client:
        client.execute_command(f"CLUSTER {question}")
        client.execute_command("CLUSTER", question)
    first, second = recording.calls[-2:]
    assert set(str(first.facts[names.TOPOLOGY]).split(",")) == both(redis_cluster)
    assert first.facts == second.facts


def test_a_cluster_sends_on_to_the_node_that_has_the_slot(redis_cluster: Server, recording: Recording) -> None:
    other = next(one for one in both(redis_cluster) if not one.endswith(f":{redis_cluster.port}"))
    with redis.Redis(host=redis_cluster.host, port=redis_cluster.port) as client, pytest.raises(ResponseError):
        client.get("a")
    assert recording.calls[-1].facts[names.REDIRECT_TARGET] == other
    assert recording.calls[-1].facts.get(names.STATUS_CODE, "MOVED") == "MOVED"


def test_a_slot_on_its_way_is_asked_for_elsewhere(redis_cluster: Server, recording: Recording) -> None:
    other = next(one for one in both(redis_cluster) if not one.endswith(f":{redis_cluster.port}"))
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
    told = recording.of("GET")[-1]
    assert told.facts[names.REDIRECT_TARGET] == f"{redis_cluster.host}:{redis_cluster.port}"


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


def test_asyncio_tells_the_same(redis_sentinel: Server, recording: Recording) -> None:
    async def ask() -> None:
        async with redis.asyncio.Redis(host=redis_sentinel.host, port=redis_sentinel.port) as client:
            await client.execute_command("SENTINEL MASTERS")

    asyncio.run(ask())
    assert names.REDIRECT_TARGET in recording.calls[-1].facts


def told(name: str, command: list[object], reply: object) -> dict[str, object]:
    return dict(nodes.node_facts(name, command, reply, ASKED))


def test_a_node_without_an_address_is_the_one_that_was_asked() -> None:
    slots = [[0, 9, [b"", 7000, b"id"], [b"10.0.0.2", 7001, b"id"]], [10, 19, [None, 7000, b"id"]]]
    assert told("CLUSTER", ["CLUSTER", "SLOTS"], slots) == {names.TOPOLOGY: "10.0.0.1:7000,10.0.0.2:7001"}


def test_of_several_masters_none_is_where_the_client_is_sent() -> None:
    masters = [{"ip": "10.0.0.2", "port": "1"}, [b"ip", b"10.0.0.3", b"port", b"1"]]
    assert told("SENTINEL MASTERS", ["SENTINEL MASTERS"], masters) == {names.TOPOLOGY: "10.0.0.2:1,10.0.0.3:1"}


@pytest.mark.parametrize("name", sorted(nodes.ANNOUNCING_COMMANDS))
def test_a_hostile_answer_is_no_fault_of_ours(name: str) -> None:
    deep: list[object] = []
    deep.append(deep)
    for reply in (
        None, b"", b"x" * (1 << 20), 5, [], [[]], [[1, 2, [3]]], [[1, 2, [[], {}]]], deep, {b"nodes": 5}, [[[], []]],
        [{b"nodes": [[b"ip"], [b"ip", []]]}], [[b"ip", {}, b"port", b"x"]], [b"x" * 300, b"1"], ValueError("no"),
    ):  # fmt: skip
        for second in ("SLOTS", "SHARDS", "NODES", "MASTERS", "REPLICAS", "OTHER"):
            assert len(str(told(name, [name, second], reply))) < 2_000
