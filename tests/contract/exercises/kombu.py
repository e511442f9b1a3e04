"""Typical calls of an app with Celery, over RabbitMQ (verified TLS) and over Redis, and of one that uses kombu."""

import os
import ssl
import time
from collections.abc import Callable
from typing import Any

import celery
from amqp.exceptions import AMQPError
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Consumer, Producer

from tests.contract.exercises.pika import Bomb

SERVICES = ("rabbitmq", "redis_server")
QUEUE = "exercise.tasks"


def amqp_url(server: Any, *, password: str = "") -> str:
    return f"amqp://{server.user}:{password or server.password}@{server.host}:{server.tls_port}//"


def tls(server: Any, ca_file: str = "") -> dict[str, Any]:
    return {"ca_certs": ca_file or server.ca_file, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": server.host}


def open_connection(url: str, **options: Any) -> Any:
    return Connection(url, **options)


def application(broker: str, **options: Any) -> Any:
    app = celery.Celery("exercise", broker=broker, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE, broker_connection_retry_on_startup=False, task_serializer="json",
        accept_content=["json", "pickle"], broker_connection_timeout=10, **options,
    )  # fmt: skip
    return app


def calls(services: dict[str, Any]) -> list[object]:
    rabbitmq, redis_server = services["rabbitmq"], services["redis_server"]
    seen: list[object] = []
    for app in (
        application(amqp_url(rabbitmq), broker_use_ssl=tls(rabbitmq)),
        application(redis_server.url),
    ):
        seen += _tasks(app)
    return [*seen, *_by_kombu(rabbitmq)]


def _tasks(app: Any) -> list[object]:
    seen: list[object] = []
    app.send_task("shop.tasks.add", (1, 2), retry=False)
    app.send_task("shop.tasks.run", (Bomb(),), serializer="pickle", compression="zlib", retry=False)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        queue = app.amqp.queues[QUEUE](channel)
        taken: list[Any] = []
        put_back: list[Any] = []

        def take(message: Any) -> None:
            if taken and not put_back:
                put_back.append(message)
                message.requeue()
            else:
                message.ack()
                taken.append(message)

        with Consumer(channel, [queue], on_message=take):
            while len(taken) < 2:
                connection.drain_events(timeout=20)
        seen += [(one.headers["task"], one.content_type) for one in taken]
    app.close()
    return seen


def _by_kombu(server: Any) -> list[object]:
    seen: list[object] = []
    with open_connection(amqp_url(server), ssl=tls(server)) as connection:
        channel = connection.channel()
        events = Exchange("exercise.kombu", "topic", channel=channel)
        queue = Queue("exercise.kombu", events, "order.#", channel=channel)
        queue.declare()
        returned: list[Any] = []
        producer = Producer(channel, events, on_return=lambda *reason: returned.append(str(reason[0])))
        producer.publish({"order": 1}, routing_key="order.created", compression="zlib")
        seen.append(_soon(queue.get).decode())
        seen.append(queue.get())
        producer.publish({"order": 2}, routing_key="order.created")
        producer.publish("back", routing_key="absent.listener", mandatory=True)
        seen.append(_soon(queue.purge))
        seen.append(returned)
        queue.delete()
        events.delete()
        try:
            Queue("exercise.nothing", channel=channel).queue_declare(passive=True)
        except AMQPError as error:
            seen.append(type(error))
    return seen


def _soon(asked: Callable[[], Any]) -> Any:
    """The broker's message count once the message has reached the queue."""
    answer = asked()
    for _ in range(500):
        if answer:
            break
        time.sleep(0.01)
        answer = asked()
    return answer


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["rabbitmq"]

    def connection(url: str = "", **options: Any) -> Any:
        return open_connection(url or amqp_url(server), connect_timeout=10, **options)

    def missing() -> None:
        with connection(ssl=tls(server)) as one:
            one.default_channel.queue_declare("exercise.nothing", passive=True)

    def sent_wrong() -> None:
        with connection(ssl=tls(server)) as one:
            one.default_channel.basic_publish()

    def sent_nowhere() -> None:
        with connection(ssl=tls(server)) as one:
            Producer(one).publish("text", exchange="exercise.nowhere")
            one.default_channel.queue_declare("exercise.kombu", passive=True)

    once = {"max_retries": 1, "interval_start": 0}  # or dialling a closed port takes twelve seconds

    def dial_unreachable() -> None:
        connection("redis://127.0.0.1:1//", transport_options=once).default_channel.client.ping()

    return [
        lambda: connection(amqp_url(server, password="wrong"), ssl=tls(server)).connect(),
        lambda: connection("amqp://127.0.0.1:1//").connect(),
        lambda: connection(ssl={**tls(server), "ca_certs": os.devnull}).connect(),
        dial_unreachable,
        missing,
        sent_wrong,
        sent_nowhere,
        lambda: application("redis://127.0.0.1:1/0", broker_transport_options=once).send_task(
            "shop.tasks.add", retry=False
        ),
    ]
