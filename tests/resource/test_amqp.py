"""RabbitMQ, attached through each of its client libraries, on real and on hostile brokers."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios.amqp.pickle import BombQueue
from backwatch.resource import Resource, ResourceUnsafe
from tests.resource.attaching import Serve, attach_server, attach_url
from tests.services.server import Server

Exchange = Callable[..., bytes]
BODY = b'{"order": 7}'


def exchange_pika(resource: Resource, **options: Any) -> bytes:
    queue = f"attached-{secrets.token_hex(4)}"
    with resource.connect(**options) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, auto_delete=True)
        channel.basic_publish("", queue, BODY)
        for _, _, body in channel.consume(queue, inactivity_timeout=10, auto_ack=True):
            channel.cancel()
            return body or b""
    return b""


def exchange_aio_pika(resource: Resource, **options: Any) -> bytes:
    import aio_pika

    async def run() -> bytes:
        async with await resource.aconnect(**options) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(f"attached-{secrets.token_hex(4)}", auto_delete=True)
            await channel.default_exchange.publish(aio_pika.Message(BODY), routing_key=queue.name, timeout=10)
            message = await queue.get(timeout=10)
            await message.ack()
            return message.body

    return asyncio.run(run())


def exchange_kombu(resource: Resource, **options: Any) -> bytes:
    name = f"attached-{secrets.token_hex(4)}"
    with (
        resource.client(**options) as connection,
        closing(connection.SimpleQueue(name, serializer="json", queue_opts={"auto_delete": True})) as queue,
    ):
        queue.put({"order": 7})
        message = queue.get(timeout=10)
        message.ack()
        return str(message.payload).replace("'", '"').encode()


DRIVERS: dict[str, tuple[str, Exchange]] = {
    "pika": ("pika", exchange_pika), "aio-pika": ("aio_pika", exchange_aio_pika), "kombu": ("kombu", exchange_kombu),
}  # fmt: skip
every_driver = pytest.mark.parametrize(("driver", "exchange"), DRIVERS.values(), ids=DRIVERS)


@every_driver
@pytest.mark.services("rabbitmq")
def test_message_is_exchanged_over_verified_tls(rabbitmq: Server, driver: str, exchange: Exchange) -> None:
    assert exchange(attach_server(rabbitmq, driver=driver)) == BODY


@every_driver
@pytest.mark.services("rabbitmq")
def test_foreign_authority_is_refused(rabbitmq: Server, driver: str, exchange: Exchange) -> None:
    with pytest.raises(ResourceUnsafe, match="not verified") as caught:
        exchange(attach_server(rabbitmq, driver=driver, ca="system"))
    assert caught.value.check == "tls"


@every_driver
@pytest.mark.services("rabbitmq")
def test_broker_in_plaintext_is_refused_before_the_login(rabbitmq: Server, driver: str, exchange: Exchange) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        exchange(attach_url(rabbitmq.url, driver=driver, connect_timeout_s=2))
    assert caught.value.check == "tls"


@every_driver
@pytest.mark.services("rabbitmq")
def test_observing_changes_nothing_and_finds_plaintext(rabbitmq: Server, driver: str, exchange: Exchange) -> None:
    resource = attach_url(rabbitmq.url, driver=driver, mode="observe")
    assert exchange(resource) == BODY
    assert {finding.check for finding in resource.findings} == {"tls"}


@every_driver
def test_password_does_not_go_out_in_plaintext(driver: str, exchange: Exchange) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        exchange(attach_url("amqp://shop:secret@mq.example/", driver=driver, tls="off"))
    assert caught.value.check == "auth"


@every_driver
def test_own_tls_options_are_refused(driver: str, exchange: Exchange) -> None:
    option = {"pika": "ssl_options"}.get(driver, "ssl")
    with pytest.raises(ResourceUnsafe, match=option):
        exchange(attach_url("amqp://localhost/", driver=driver), **{option: None})


def attach_hostile(served: tuple[HostileServer, str], driver: str, **settings: Any) -> Resource:
    service, ca_file = served
    url = f"amqp://shop:only-on-loopback@localhost:{service.port}/"
    return attach_url(url, **{"ca": ca_file, "driver": driver, "connect_timeout_s": 5, **settings})


def receive_kombu(resource: Resource, accept: list[str]) -> Any:
    with resource.client() as connection, closing(connection.SimpleQueue("orders", accept=accept)) as queue:
        queue.put({"order": 7}, serializer="pickle" if "pickle" in accept else "json")
        return queue.get(timeout=5).payload


def test_pickle_is_not_read_even_if_a_consumer_accepts_it(serve: Serve) -> None:
    served = serve(BombQueue)
    served[0].turn()
    with pytest.raises(ResourceUnsafe, match="format pickle") as caught:
        receive_kombu(attach_hostile(served, "kombu"), ["pickle"])
    assert caught.value.check == "formats"
    assert receive_kombu(attach_hostile(serve(AMQP), "kombu", formats=["pickle"]), ["pickle"]) == {"order": 7}


class _Flood(AMQP):
    def message(self, body: bytes) -> bytes:
        return b'"' + b"x" * (8 << 20) + b'"' if self.hostile else body


@pytest.mark.parametrize("driver", ["pika", "kombu"])
def test_long_message_is_refused_by_its_header(serve: Serve, driver: str) -> None:
    served = serve(_Flood)
    exchange = DRIVERS[driver][1]
    resource = attach_hostile(served, driver, max_reply_bytes=1 << 20)
    assert exchange(resource) == BODY
    served[0].turn()
    with pytest.raises(ResourceUnsafe) as caught:
        exchange(resource)
    assert caught.value.check == "max_reply_bytes"


@pytest.mark.services("rabbitmq")
def test_robust_connection_is_checked(rabbitmq: Server) -> None:
    async def run(**settings: Any) -> Any:
        async with await attach_server(rabbitmq, driver="aio_pika", **settings).aclient() as connection:
            return (await connection.channel()).is_closed

    assert asyncio.run(run()) is False
    with pytest.raises(ResourceUnsafe):
        asyncio.run(run(ca="system"))


@every_driver
@pytest.mark.services("rabbitmq")
def test_broker_below_the_lowest_version_is_refused(rabbitmq: Server, driver: str, exchange: Exchange) -> None:
    assert exchange(attach_server(rabbitmq, driver=driver, min_version="3")) == BODY
    with pytest.raises(ResourceUnsafe) as caught:
        exchange(attach_server(rabbitmq, driver=driver, min_version="99"))
    assert caught.value.check == "min_version"
