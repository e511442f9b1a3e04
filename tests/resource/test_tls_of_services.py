"""Transport security of caches, queues and MongoDB, the same for each client library."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from ssl import PEM_cert_to_DER_cert
from typing import Any

import pytest

from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.protocols.kafka import TOPIC, Kafka
from backwatch.attack.protocols.memcached import Memcached
from backwatch.attack.protocols.mongodb import SET, MongoDB
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.protocols.server import SECRET, HostileServer, combine
from backwatch.attack.techniques.certificate import CertificateSwapped
from backwatch.attack.techniques.old_tls import LoweredTls
from backwatch.attack.techniques.second import InClear
from backwatch.resource import Resource, ResourceUnsafe
from backwatch.resource.tls import fingerprint
from tests.resource.attaching import Serve, attach_url

Use = Callable[[Resource], object]


def use_redis(resource: Resource) -> object:
    with closing(resource.client()) as client:
        return client.set("basket:7", "two apples")


def use_redis_async(resource: Resource) -> object:
    async def run() -> object:
        client = await resource.aclient()
        try:
            return await client.set("basket:7", "two apples")
        finally:
            await client.aclose()

    return asyncio.run(run())


def use_memcached(resource: Resource) -> object:
    with closing(resource.client()) as client:
        return client.set("basket:7", "two apples", noreply=False)


def use_pymongo(resource: Resource) -> object:
    with resource.client() as client:
        return client["shop"]["baskets"].find_one({"_id": 7})


def use_pymongo_async(resource: Resource) -> object:
    async def run() -> object:
        async with await resource.aclient() as client:
            return await client["shop"]["baskets"].find_one({"_id": 7})

    return asyncio.run(run())


def use_pika(resource: Resource) -> object:
    with resource.connect() as connection:
        return connection.channel().queue_declare("orders")


def use_aio_pika(resource: Resource) -> object:
    async def run() -> object:
        async with await resource.aconnect() as connection:
            return await connection.channel()

    return asyncio.run(run())


def use_kombu(resource: Resource) -> object:
    with resource.client() as connection:
        return connection.connect()


def use_kafka(resource: Resource) -> object:
    with closing(resource.client(kind="producer", enable_idempotence=False, retries=0)) as producer:
        return producer.send(TOPIC, b"two apples").get(timeout=5)


KAFKA = "kafka://shop:{}@localhost:{}?sasl_mechanism=PLAIN"
CLIENTS: dict[str, tuple[type[HostileServer], str, Use]] = {
    "redis": (RedisServer, "redis://:{}@localhost:{}", use_redis),
    "redis-async": (RedisServer, "redis://:{}@localhost:{}", use_redis_async),
    "valkey": (RedisServer, "valkey://:{}@localhost:{}", use_redis),
    "valkey-async": (RedisServer, "valkey://:{}@localhost:{}", use_redis_async),
    "pymemcache": (Memcached, "memcached://shop:{}@localhost:{}", use_memcached),
    "pymongo": (MongoDB, f"mongodb://localhost:{{1}}/?replicaSet={SET}", use_pymongo),
    "pymongo-async": (MongoDB, f"mongodb://localhost:{{1}}/?replicaSet={SET}", use_pymongo_async),
    "pika": (AMQP, "amqp://shop:{}@localhost:{}/", use_pika),
    "aio_pika": (AMQP, "amqp://shop:{}@localhost:{}/", use_aio_pika),
    "kombu": (AMQP, "amqp://shop:{}@localhost:{}/", use_kombu),
    "kafka": (Kafka, KAFKA, use_kafka),
}
every_client = pytest.mark.parametrize("name", CLIENTS)
FIT = {"connect_timeout_s": 2, "read_timeout_s": 3}


def attach_service(name: str, served: tuple[HostileServer, str], **settings: Any) -> tuple[Resource, Use]:
    _, url, use = CLIENTS[name]
    driver = name.removesuffix("-async")
    service, ca_file = served
    return attach_url(url.format(SECRET, service.port), **{**FIT, "ca": ca_file, "driver": driver, **settings}), use


@every_client
def test_swapped_certificate_is_refused_by_its_pin(serve: Serve, name: str) -> None:
    served = serve(CLIENTS[name][0])
    pin = fingerprint(PEM_cert_to_DER_cert(served[0].certificate.chain.read_text()))
    resource, use = attach_service(name, served, pin=[pin])
    assert use(resource)
    served[0].record()
    CertificateSwapped.turn(served[0])
    with pytest.raises(ResourceUnsafe) as caught:
        use(resource)
    assert caught.value.check == "pin"
    assert SECRET.encode() not in b"".join(served[0].kept)


@every_client
def test_older_version_of_tls_is_refused(serve: Serve, name: str) -> None:
    served = serve(CLIENTS[name][0])
    resource, use = attach_service(name, served, tls_min="1.3")
    assert use(resource)
    LoweredTls.turn(served[0])
    with pytest.raises(ResourceUnsafe) as caught:
        use(resource)
    assert caught.value.check == "tls_min"


@every_client
def test_expired_certificate_is_refused(serve: Serve, name: str) -> None:
    served = serve(CLIENTS[name][0])
    served[0].certificate = served[0].authority.issue("expired", days=-1)
    resource, use = attach_service(name, served)
    with pytest.raises(ResourceUnsafe, match="expired") as caught:
        use(resource)
    assert caught.value.check == "tls"


@every_client
def test_no_byte_is_sent_in_plaintext(serve: Serve, name: str) -> None:
    served = serve(combine(InClear, CLIENTS[name][0]))
    served[0].record()
    served[0].turn()
    resource, use = attach_service(name, served)
    with pytest.raises(ResourceUnsafe) as caught:
        use(resource)
    assert caught.value.check == "tls"
    assert SECRET.encode() not in b"".join(served[0].kept)
