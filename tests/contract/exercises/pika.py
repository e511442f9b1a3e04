"""Typical calls of an app that uses pika: blocking and asynchronous, over verified TLS."""

import contextlib
import os
import pickle
import ssl
from collections.abc import Callable
from typing import Any

import pika
from pika import exceptions

SERVICES = ("rabbitmq",)
QUEUE = "exercise.orders"


class Bomb:
    """A hostile peer's payload; it is never loaded here."""

    def __reduce__(self) -> Any:
        return vars(os)["system"], ("false",)


def parameters(server: Any, *, tls: bool = True, **options: Any) -> Any:
    login = pika.PlainCredentials(server.user, options.pop("password", server.password))
    common: dict[str, Any] = {"host": server.host, "virtual_host": "/", "credentials": login, **options}
    if not tls:
        return pika.ConnectionParameters(port=server.port, **common)
    common["ssl_options"] = pika.SSLOptions(ssl.create_default_context(cafile=server.ca_file), server.host)
    return pika.ConnectionParameters(**{"port": server.tls_port, **common})


def consume(channel: Any, queue: str, callback: Any) -> Any:
    return channel.basic_consume(queue, callback, auto_ack=True)


def get(channel: Any, queue: str) -> Any:
    return channel.basic_get(queue, auto_ack=True)


def calls(services: dict[str, Any]) -> list[object]:
    server = services["rabbitmq"]
    return [*_in_turn(server), *_driven_by_callbacks(server)]


def _soon(connection: Any, asked: Callable[[], Any]) -> Any:
    """Return the broker's reply once the message has reached the queue."""
    answer = asked()
    for _ in range(500):
        if answer[0] is not None:
            break
        connection.sleep(0.01)
        answer = asked()
    return answer


def _in_turn(server: Any) -> list[object]:
    seen: list[object] = []
    connection = pika.BlockingConnection(parameters(server))
    channel = connection.channel()
    seen.append(channel.queue_declare(queue=QUEUE).method.queue)
    channel.queue_purge(queue=QUEUE)
    channel.exchange_declare("exercise.events", "topic")
    channel.queue_bind(QUEUE, "exercise.events", "order.*")
    seen.append(channel.basic_publish("exercise.events", "order.created", b"x" * 1000))
    channel.basic_publish(exchange="", routing_key=QUEUE, body=b"!" + pickle.dumps(Bomb()))
    seen.append(_soon(connection, lambda: get(channel, QUEUE))[2])
    seen.append(_soon(connection, lambda: get(channel, QUEUE))[2])
    seen.append(get(channel, QUEUE))
    channel.basic_publish("", QUEUE, b"broken")
    for requeued in (True, False):
        method: Any = _soon(connection, lambda: channel.basic_get(QUEUE))[0]
        channel.basic_nack(method.delivery_tag, requeue=requeued)
        seen.append(method.redelivered)
    taken: list[bytes] = []
    tag = consume(channel, QUEUE, lambda _c, _m, _p, body: taken.append(body))
    channel.basic_publish("", QUEUE, "text")
    while not taken:
        connection.process_data_events(time_limit=1)
    channel.basic_cancel(tag)
    for _ in range(2):
        channel.basic_publish("", QUEUE, b"again")
    taken += [body for _, _, body in _first(channel, 2)]
    seen.append(taken)
    seen.append(channel.queue_purge(queue=QUEUE).method.message_count)
    channel.confirm_delivery()
    with contextlib.suppress(exceptions.AMQPError):
        seen.append(channel.basic_publish("exercise.events", "absent.listener", b"back", mandatory=True))
    channel.queue_delete(queue=QUEUE)
    channel.exchange_delete("exercise.events")
    with contextlib.suppress(exceptions.AMQPError):
        channel.queue_declare(queue="exercise.nothing", passive=True)
    transacted = connection.channel()
    transacted.tx_select()
    transacted.tx_commit()
    connection.close()
    return seen


def _first(channel: Any, count: int) -> list[Any]:
    found = []
    for one in channel.consume(QUEUE, auto_ack=True):
        found.append(one)
        if len(found) == count:
            break
    channel.cancel()
    return found


def _driven_by_callbacks(server: Any) -> list[object]:
    seen: list[object] = []

    def opened(connection: Any) -> None:
        connection.channel(on_open_callback=ready)

    def ready(channel: Any) -> None:
        channel.queue_declare("exercise.async", auto_delete=True, callback=lambda frame: declared(channel, frame))

    def declared(channel: Any, frame: Any) -> None:
        seen.append(frame.method.queue)
        consume(channel, "exercise.async", taken)
        channel.basic_publish("", "exercise.async", b"hello")

    def taken(channel: Any, _method: Any, _properties: Any, body: bytes) -> None:
        seen.append(body)
        channel.connection.close()

    def closed(connection: Any, *_why: Any) -> None:
        connection.ioloop.stop()

    connection = pika.SelectConnection(
        parameters(server, tls=False), on_open_callback=opened, on_close_callback=closed,
        on_open_error_callback=lambda _connection, why: seen.append(str(why)),
    )  # fmt: skip
    connection.ioloop.start()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["rabbitmq"]

    def channel() -> Any:
        return pika.BlockingConnection(parameters(server, tls=False)).channel()

    def closed() -> None:
        one = channel()
        one.close()
        one.basic_publish("", QUEUE, b"text")

    def missing() -> None:
        one = channel()
        one.basic_publish("exercise.nowhere", "key", b"text")
        one.queue_declare(queue="exercise.async", auto_delete=True)

    once: dict[str, Any] = {"connection_attempts": 1, "retry_delay": 0}
    return [
        lambda: pika.BlockingConnection(parameters(server, tls=False, password="wrong", **once)),
        lambda: pika.BlockingConnection(parameters(server, port=server.port, **once)),
        lambda: pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 1, **once)),
        lambda: channel().queue_declare(queue="exercise.nothing", passive=True),
        lambda: channel().queue_declare(queue=17),
        lambda: channel().basic_publish(),
        closed,
        missing,
    ]
