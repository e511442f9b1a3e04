"""RabbitMQ and Kafka: producers and consumers, returned messages, a group that rebalances."""

import ssl
from typing import Any

from backwatch.attack.baseline.workloads import Process, WorkloadConfig, minutely, past, run
from tests.system.quiet_scenes.real import RealScene

POLL_MS = 500
MOST_ROUNDS, MOST_TRIES = 25, 5
"""Of polls by all of the group, and of a commit beside them."""


class QueueWork(RealScene):
    """Send and receive orders; in the hour a second consumer joins, and leaves again."""

    title = "orders through a queue, one given back now and then, a second consumer that joins the group and leaves it"
    naive = "messages come again, and partitions change hands"
    drivers = ("kafka", "pika")
    processes = (Process((past(4), minutely(rounds=4, ends_s=1_800), minutely("joined", 4, 1_800, 3_600))),)

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._server = self.server("kafka" if config.driver == "kafka" else "rabbitmq")
        self._name = self._server["database"]
        self._producer: Any = None
        self._consumers: list[Any] = []

    def work(self, phase: str, number: int) -> None:
        """Run one round."""
        if self.config.driver == "pika":
            self._order(number)
        else:
            self._send(2 if phase == "joined" and number == 1 else 1)

    def _order(self, number: int) -> None:
        import pika

        context = ssl.create_default_context(cafile=self._server["ca_file"])
        parameters = pika.ConnectionParameters(
            host="localhost", port=self._server["port"], ssl_options=pika.SSLOptions(context, "localhost"),
            credentials=pika.PlainCredentials(self._server["user"], self._server["password"]),
        )  # fmt: skip
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.queue_declare(self._name, durable=True)
            for order in range(3):
                channel.basic_publish("", self._name, f"order {order}".encode())
            for back in (number % 2 == 0, False, False, False):
                method, _, _ = channel.basic_get(self._name)
                if method is not None and back:
                    channel.basic_nack(method.delivery_tag, requeue=True)
                elif method is not None:
                    channel.basic_ack(method.delivery_tag)

    def _send(self, consumers: int) -> None:
        if self._producer is None:
            from kafka import KafkaProducer

            self._producer = KafkaProducer(**self._login())
        self._producer.send(self._name, b"two apples").get(timeout=60)
        while len(self._consumers) < consumers:
            self._consumers.append(self._joins())
        while len(self._consumers) > consumers:
            self._consumers.pop().close()
        taken = False
        for _ in range(MOST_ROUNDS):  # a group settles only while all of it polls
            for one in self._consumers:
                taken = bool(one.poll(timeout_ms=POLL_MS)) or taken
            if taken and all(one.assignment() for one in self._consumers):
                break
        for one in self._consumers:
            self._commit(one)

    def _commit(self, consumer: Any) -> None:
        from kafka.errors import CommitFailedError, RebalanceInProgressError

        for _ in range(MOST_TRIES):
            try:
                consumer.commit()
            except (
                CommitFailedError,
                RebalanceInProgressError,
            ):  # partitions change hands: received messages come again
                for one in self._consumers:
                    one.poll(timeout_ms=POLL_MS)
            else:
                return

    def _joins(self) -> Any:
        from kafka import KafkaConsumer

        consumer = KafkaConsumer(
            self._name, group_id=f"{self._name}-workers", auto_offset_reset="earliest", enable_auto_commit=False,
            **self._login(),
        )  # fmt: skip
        # A consumer that joins before it knows the topic's partitions gets none, and may stay so.
        consumer.partitions_for_topic(self._name)
        return consumer

    def _login(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": f"localhost:{self._server['port']}", "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=self._server["ca_file"]), "sasl_mechanism": "PLAIN",
            "sasl_plain_username": self._server["user"], "sasl_plain_password": self._server["password"],
        }  # fmt: skip


if __name__ == "__main__":
    run(QueueWork)
